"""The command in this process or under a shell, with folders of its own."""

import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from pocketphi.cli import main
from pocketphi.formats.pocket import PocketFile

ROOT = Path(__file__).parents[2]


@pytest.fixture(autouse=True)
def own_folders(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """No test touches the network or the folders of whoever runs it."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "state"))
    monkeypatch.setenv("POCKETPHI_OFFLINE", "1")
    monkeypatch.delenv("POCKETPHI_DATA", raising=False)


@pytest.fixture
def pocketphi(capsys: pytest.CaptureFixture[str]) -> Callable[..., tuple[int, str, str]]:
    """Run the command in this process: exit code, standard output, standard error."""

    def call(*arguments: object) -> tuple[int, str, str]:
        with pytest.raises(SystemExit) as end:
            main([str(argument) for argument in arguments])
        out, err = capsys.readouterr()
        assert "Traceback" not in err
        return int(end.value.code or 0), out, err

    return call


@pytest.fixture
def stored(tiny_file: PocketFile, tmp_path: Path) -> str:
    """A tiny model in the store; its name."""
    folder = tmp_path / "cache" / "pocketphi" / "models"
    folder.mkdir(parents=True)
    (folder / "tiny.pocket").write_bytes(tiny_file.path.read_bytes())
    return "tiny"


@pytest.fixture
def shell() -> Callable[..., subprocess.CompletedProcess[bytes]]:
    """Run a bash command line in which `pocketphi` is ours."""

    def call(command: str, **options: object) -> subprocess.CompletedProcess[bytes]:
        line = f'pocketphi() {{ "{sys.executable}" -m pocketphi "$@"; }}; {command}'
        return subprocess.run(["bash", "-c", line], cwd=ROOT, capture_output=True, timeout=60, **options)  # type: ignore[call-overload,no-any-return]

    return call
