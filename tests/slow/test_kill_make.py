"""A run that is killed, again and again and anywhere, ends where an undisturbed one does, bit for bit."""

import os
import random
import signal
import subprocess
import sys
import time
from collections.abc import Mapping
from pathlib import Path

import pytest

from pocketphi.artifact import is_artifact, open_artifact, verify_artifact
from pocketphi.locks import exclusive

NUM_KILLS = 20
RECIPE = Path(__file__).parents[1] / "fast.toml"
# Models this small are slower on two threads than on one.
ENVIRONMENT = {**os.environ, "OMP_NUM_THREADS": "1"}

pytestmark = [pytest.mark.slow, pytest.mark.timeout(3600)]


def command(out: Path) -> list[str]:
    return [sys.executable, "-m", "pocketphi", "make", str(RECIPE), "--out", str(out)]


def contents(out: Path) -> Mapping[str, str]:
    """Stage -> digest of all its files, of all that is finished in a run."""
    found = {path.name: open_artifact(path) for path in out.iterdir() if is_artifact(path)}
    for artifact in found.values():
        verify_artifact(artifact)
    # The report tells times, which differ.
    return {name: artifact.content for name, artifact in found.items() if name != "report"}


@pytest.fixture(scope="module")
def undisturbed(tmp_path_factory: pytest.TempPathFactory) -> tuple[Mapping[str, str], float]:
    """What a run makes, and how many seconds it takes."""
    out = tmp_path_factory.mktemp("undisturbed") / "run"
    started = time.monotonic()
    subprocess.run(command(out), check=True, capture_output=True, env=ENVIRONMENT)
    return contents(out), time.monotonic() - started


def test_twenty_kills_change_nothing(undisturbed: tuple[Mapping[str, str], float], tmp_path: Path):
    expected, seconds = undisturbed
    moments = random.Random(int(os.environ.get("POCKETPHI_KILL_SEED", "0")))
    num_kills = num_runs = 0
    killed_in: list[str] = []
    while num_kills < NUM_KILLS:
        num_runs += 1
        (out := tmp_path / f"run{num_runs}").mkdir()
        is_finished = False
        while not is_finished:
            with subprocess.Popen(
                command(out), stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, env=ENVIRONMENT, start_new_session=True
            ) as process:
                try:
                    patience = moments.random() * seconds / 4 if num_kills < NUM_KILLS else None
                    _, said = process.communicate(timeout=patience)
                    assert process.returncode == 0, said.decode()
                    is_finished = True
                except subprocess.TimeoutExpired:
                    # Either the run alone, whose stage then dies by itself, or both at once.
                    if moments.random() < 0.5:
                        process.kill()
                    else:
                        os.killpg(process.pid, signal.SIGKILL)
                    num_kills += 1
                    killed_in += sorted(path.stem for path in out.glob("*.partial"))
            with exclusive(out / "run.lock", "a stage outlived its run", wait_seconds=10):
                finished = contents(out)
            assert finished.items() <= expected.items(), "a killed run left another result"
        assert contents(out) == expected
        leftovers = [path.name for path in out.iterdir() if path.suffix in {".partial", ".replaced", ".work", ".lock"}]
        assert not leftovers, "a killed run left something behind"
    print(f"{num_kills} kills in {num_runs} runs, in the middle of: {', '.join(killed_in)}")
