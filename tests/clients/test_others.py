"""The official JavaScript client, LangChain and LiteLLM, each of the version that the locks name.

They are installed under build/, not into the environment of development: LiteLLM needs an older `openai` package. The
results of a whole run are the table in docs/serving.md.
"""

import fcntl
import hashlib
import os
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from clients.checks import check
from clients.scripted import run

HERE = Path(__file__).parent
ROOT = HERE.parents[1]
PYTHON_LOCK = ROOT / "requirements" / "clients.lock"
JAVASCRIPT_LOCK = HERE / "js" / "package-lock.json"
QUIET = {
    "LANGCHAIN_TRACING_V2": "false",
    "LANGSMITH_TRACING": "false",
    "LITELLM_LOCAL_MODEL_COST_MAP": "True",
    "LITELLM_TELEMETRY": "False",
}
"""What keeps the libraries from asking their makers for anything."""

pytestmark = pytest.mark.slow


@contextmanager
def installed(lock: Path, install: Callable[[Path], list[list[str]]]) -> Iterator[Path]:
    """A folder in which the commands of `install` put what `lock` names, once for each lock."""
    digest = hashlib.sha256(lock.read_bytes() + sys.version.encode()).hexdigest()[:12]
    folder = ROOT / "build" / "clients" / f"{lock.stem}-{digest}"
    folder.mkdir(parents=True, exist_ok=True)
    with (folder / "lock").open("w") as turn:
        fcntl.flock(turn, fcntl.LOCK_EX)
        if not (folder / "is-installed").exists():
            for command in install(folder):
                done = subprocess.run(command, cwd=folder, capture_output=True, text=True)
                if done.returncode:
                    reason = (done.stderr or done.stdout).strip().splitlines()[-1:]
                    pytest.skip(f"the package index cannot be reached: {' '.join(reason)}")
            (folder / "is-installed").touch()
    yield folder


@pytest.fixture(scope="module")
def packages() -> Iterator[Path]:
    """The Python that has LangChain and LiteLLM."""

    def install(folder: Path) -> list[list[str]]:
        python = str(folder / "venv" / "bin" / "python")
        pip = ["-m", "pip", "install", "-qq", "--no-deps", "--require-hashes", "-r", str(PYTHON_LOCK)]
        return [[sys.executable, "-m", "venv", "venv"], [python, *pip]]

    with installed(PYTHON_LOCK, install) as folder:
        yield folder / "venv" / "bin" / "python"


def test_the_javascript_client_runs_the_session(steps: list[dict[str, Any]], servers: dict[str, str]) -> None:
    node, npm = shutil.which("node"), shutil.which("npm")
    if node is None or npm is None:
        pytest.skip("needs node and npm")

    def install(folder: Path) -> list[list[str]]:
        for name in ("package.json", "package-lock.json"):
            shutil.copy(HERE / "js" / name, folder)
        return [[str(npm), "ci", "--ignore-scripts", "--no-audit", "--no-fund"]]

    with installed(JAVASCRIPT_LOCK, install) as folder:
        results = run([node, str(HERE / "js" / "session.mjs"), str(folder)], steps, servers)
    check(steps, results, absent=set())


@pytest.mark.parametrize(
    ("client", "absent"),
    [
        ("by_langchain.py", {"models", "model"}),
        (
            "by_litellm.py",
            {"models", "model", "parse tool", "streamed response", "streamed response tool", "response parse"},
        ),
    ],
    ids=["langchain", "litellm"],
)
def test_other_python_clients_run_the_session(
    client: str,
    absent: set[str],
    packages: Path,
    steps: list[dict[str, Any]],
    servers: dict[str, str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    for name in [name for name in os.environ if name.startswith(("OPENAI_", "LANG", "LITELLM_"))]:
        monkeypatch.delenv(name)
    for name, value in QUIET.items():
        monkeypatch.setenv(name, value)
    check(steps, run([str(packages), str(HERE / client)], steps, servers), absent)
