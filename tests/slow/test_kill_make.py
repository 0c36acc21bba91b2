"""A run that is killed, again and again and anywhere, ends where an undisturbed one does, bit for bit."""

import os
import random
import signal
import subprocess
import sys
import time
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import pytest

from pocketphi.artifact import is_artifact, open_artifact, place_of, verify_artifact
from pocketphi.locks import exclusive

NUM_KILLS = 20
RECIPE = Path(__file__).parents[1] / "fast.toml"
# Models this small are slower on two threads than on one.
ENVIRONMENT = {**os.environ, "OMP_NUM_THREADS": "1"}

pytestmark = [pytest.mark.slow, pytest.mark.timeout(3600)]


def command(out: Path) -> list[str]:
    return [sys.executable, "-m", "pocketphi", "make", str(RECIPE), "--out", str(out)]


def contents(out: Path) -> Mapping[str, str]:
    """Stage -> digest of all its files, of all that is finished in a run, if only a rename short of its place."""
    found = {place_of(path).name: open_artifact(path) for path in out.iterdir() if is_artifact(path)}
    for artifact in found.values():
        verify_artifact(artifact)
    # The report tells times, which differ.
    return {name: artifact.content for name, artifact in found.items() if name != "report"}


@dataclass(frozen=True)
class Reference:
    """A run that nobody disturbed."""

    contents: Mapping[str, str]
    seconds: float
    stage_seconds: Mapping[str, float]


@pytest.fixture(scope="module")
def undisturbed(tmp_path_factory: pytest.TempPathFactory) -> Reference:
    out = tmp_path_factory.mktemp("undisturbed") / "run"
    started = time.monotonic()
    subprocess.run(command(out), check=True, capture_output=True, env=ENVIRONMENT)
    seconds = time.monotonic() - started
    made = {path.name: open_artifact(path) for path in out.iterdir() if is_artifact(path)}
    return Reference(
        contents(out), seconds, {name: each.manifest["measured"]["seconds"] for name, each in made.items()}
    )


def wait_for_a_moment(
    process: subprocess.Popen[bytes], out: Path, moments: random.Random, reference: Reference
) -> bool:
    """Wait until it is time to kill, at a random time or at one in the middle of a random stage; False if the run ends
    before that."""
    waiting = sorted(name for name in reference.stage_seconds if not is_artifact(out / name))
    if not waiting or moments.random() < 0.5:
        deadline = time.monotonic() + moments.random() * reference.seconds / 4
    else:
        stage = moments.choice(waiting)
        while process.poll() is None and not (out / f"{stage}.partial").exists():
            time.sleep(0.002)
        deadline = time.monotonic() + moments.random() * reference.stage_seconds[stage]
    while process.poll() is None and time.monotonic() < deadline:
        time.sleep(0.002)
    return process.poll() is None


def test_twenty_kills_change_nothing(undisturbed: Reference, tmp_path: Path):
    moments = random.Random(int(os.environ.get("POCKETPHI_KILL_SEED", "0")))
    num_kills = num_runs = 0
    killed_in: list[str] = []
    while num_kills < NUM_KILLS:
        num_runs += 1
        (out := tmp_path / f"run{num_runs}").mkdir()
        is_finished = False
        while not is_finished:
            with (
                (tmp_path / "said").open("wb") as said,
                subprocess.Popen(
                    command(out), stdout=said, stderr=said, env=ENVIRONMENT, start_new_session=True
                ) as run,
            ):
                if num_kills < NUM_KILLS and wait_for_a_moment(run, out, moments, undisturbed):
                    # Either the run alone, whose stage then dies by itself, or both at once.
                    run.kill() if moments.random() < 0.5 else os.killpg(run.pid, signal.SIGKILL)
                    num_kills += 1
                    killed_in += [path.stem for path in out.glob("*.partial")] or ["between"]
                else:
                    assert run.wait() == 0, (tmp_path / "said").read_text()
                    is_finished = True
            with exclusive(out / "run.lock", "a stage outlived its run", wait_seconds=10):
                finished = contents(out)
            assert finished.items() <= undisturbed.contents.items(), "a killed run left another result"
        assert contents(out) == undisturbed.contents
        leftovers = [path.name for path in out.iterdir() if path.suffix in {".partial", ".replaced", ".work", ".lock"}]
        assert not leftovers, "a killed run left something behind"
    print(f"{num_kills} kills in {num_runs} runs: {', '.join(killed_in)}")
    assert len(set(killed_in)) > 3, "the kills came to too few places to prove anything"
