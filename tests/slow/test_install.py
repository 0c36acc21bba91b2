"""The wheel: one for every Python of a platform, complete, and enough to chat."""

import platform
import subprocess
import sys
import sysconfig
import zipfile
from pathlib import Path

import pytest

from pocketphi import __version__
from pocketphi.formats.pocket import PocketFile

ROOT = Path(__file__).parents[2]

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("wheel")
    said(ROOT, sys.executable, "-m", "pip", "wheel", "--no-deps", "--no-build-isolation", "--wheel-dir", folder, ".")
    return next(folder.glob("*.whl"))


def said(folder: Path, *command: str | Path) -> str:
    result = subprocess.run(command, capture_output=True, text=True, cwd=folder)
    assert result.returncode == 0, result.stdout + result.stderr
    return result.stdout


def test_one_wheel_serves_every_python_of_a_platform(wheel: Path):
    name, version, python, abi, platform_tag = wheel.stem.split("-")
    assert (name, version, python, abi) == ("pocketphi", __version__, "py3", "none")
    assert platform_tag.endswith(platform.machine())


def test_the_wheel_holds_the_package_and_the_library_alone(wheel: Path):
    names = set(zipfile.ZipFile(wheel).namelist())
    library = {name for name in names if name.startswith("pocketphi/_engine/")}
    assert [Path(name).suffix for name in library] in ([".so"], [".dylib"])
    modules = {name for name in names if name.startswith("pocketphi/")} - library
    expected = {p.relative_to(ROOT).as_posix() for p in (ROOT / "pocketphi").rglob("*") if p.is_file()}
    assert modules == {name for name in expected if "__pycache__" not in name and "/_engine/" not in name}
    assert {name.split("/")[0] for name in names} == {"pocketphi", f"pocketphi-{__version__}.dist-info"}
    assert f"pocketphi-{__version__}.dist-info/licenses/LICENSE" in names


def test_the_wheel_chats_outside_the_checkout(wheel: Path, tiny_file: PocketFile, tmp_path: Path):
    """In a virtual environment that holds the base dependencies of this one and nothing of the checkout."""
    environment = tmp_path / "venv"
    subprocess.run([sys.executable, "-m", "venv", "--without-pip", environment], check=True)
    python = environment / "bin" / "python"
    site = said(tmp_path, python, "-c", "import sysconfig; print(sysconfig.get_path('purelib'))").strip()
    zipfile.ZipFile(wheel).extractall(site)
    (Path(site) / "zz_dependencies.pth").write_text(sysconfig.get_path("purelib") + "\n")
    assert said(tmp_path, python, "-c", "import pocketphi; print(pocketphi.__file__)").startswith(site)
    said(tmp_path, python, "-m", "pocketphi", "chat", tiny_file.path, "--prompt", "hello", "--max-tokens", "3")
