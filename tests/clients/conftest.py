"""`pocketphi serve` as a process, with a tiny model: one for the session, one that is busy."""

import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

import pytest

from clients.scripted import KEY, session
from tiny import tiny_config, tiny_tokenizer, write_tiny

ROOT = Path(__file__).parents[2]
CONTEXT = 32_768
"""Room for an answer that lasts until it is closed."""


@contextmanager
def serving(model: Path, home: Path, *options: str) -> Iterator[str]:
    """The command as a person starts it; its address."""
    environment = {
        **os.environ,
        "XDG_CACHE_HOME": str(home / "cache"),
        "XDG_STATE_HOME": str(home / "state"),
        "POCKETPHI_OFFLINE": "1",
    }
    command = [sys.executable, "-m", "pocketphi", "serve", str(model), "--port", "0", "--threads", "1", *options]
    with (home / "serve.log").open("ab") as log:
        process = subprocess.Popen(
            command, cwd=ROOT, env=environment, stdout=subprocess.PIPE, stderr=log, text=True, start_new_session=True
        )
    with process:
        assert process.stdout is not None
        url = process.stdout.readline().strip()
        assert url, (home / "serve.log").read_text()
        try:
            yield url
        finally:
            process.terminate()
            process.wait(20)


@pytest.fixture(scope="session")
def tiny_path(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A model that answers nonsense, for long if asked to."""
    path = tmp_path_factory.mktemp("clients") / "tiny.pocket"
    write_tiny(path, tiny_config(max_position_embeddings=CONTEXT, original_max_position_embeddings=CONTEXT))
    return path


@pytest.fixture(scope="session")
def servers(tiny_path: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[str, str]]:
    """Addresses by the names that session.json uses."""
    home = tmp_path_factory.mktemp("home")
    with ExitStack() as stack:
        start = lambda *options: stack.enter_context(serving(tiny_path, home, "--api-key", KEY, *options))  # noqa: E731
        yield {"main": start(), "busy": start("--parallel", "1", "--queue", "0")}


@pytest.fixture(scope="session")
def steps() -> list[dict[str, Any]]:
    """The session for the tiny model."""
    return session("tiny", tiny_tokenizer(), CONTEXT)
