"""Requests made out of the OpenAPI document that `pocketphi serve` gives, to break it: schemathesis, all its checks."""

import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from clients.conftest import serving
from clients.scripted import KEY
from tiny import write_tiny

HERE = Path(__file__).parent
CONFIG = """
[checks.positive_data_acceptance]
expected-statuses = ["2xx", "400", "404", "429"] # for which reasons: schemathesis_hooks.py

[checks.negative_data_rejection] # a body may be too long before anybody sees what else is wrong with it
expected-statuses = ["400", "401", "403", "404", "405", "413", "415", "421", "429"]
"""


@pytest.fixture(scope="module")
def terse(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """A server whose answers are short, whatever is asked: the context has 512 tokens."""
    home = tmp_path_factory.mktemp("terse")
    with serving(write_tiny(home / "tiny.pocket").path, home, "--api-key", KEY) as url:
        yield url


def schemathesis(url: str, folder: Path, *arguments: str) -> None:
    """Raises with schemathesis' report if it finds anything."""
    config = folder / "schemathesis.toml"
    config.write_text(CONFIG)
    command = [str(Path(sys.executable).with_name("schemathesis")), "--config-file", str(config), "run"]
    command += [f"{url}/openapi.json", "--header", f"Authorization: Bearer {KEY}", "--checks", "all"]
    command += ["--suppress-health-check", "all", "--generation-database", "none", *arguments]
    environment = {**os.environ, "SCHEMATHESIS_HOOKS": "schemathesis_hooks", "PYTHONPATH": str(HERE)}
    run = subprocess.run(command, cwd=folder, env=environment, capture_output=True, text=True)
    assert run.returncode == 0, run.stdout[-10_000:] + run.stderr[-2_000:]
    assert "0 generated" not in run.stdout


def test_schemathesis_finds_nothing_in_a_few_seconds(terse: str, tmp_path: Path) -> None:
    schemathesis(terse, tmp_path, "--phases", "fuzzing,stateful", "--max-examples", "12", "--seed", "1")


@pytest.mark.slow
@pytest.mark.timeout(1200)
@pytest.mark.parametrize("seed", ["1", "2"])
def test_schemathesis_finds_nothing(terse: str, tmp_path: Path, seed: str) -> None:
    schemathesis(terse, tmp_path, "--max-examples", "100", "--seed", seed)
