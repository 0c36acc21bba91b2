"""An evaluation of the real model gives the same results each time: again, without kept answers, and after kills."""

import json
import os
import random
import signal
import subprocess
import sys
import time
from collections.abc import Mapping
from pathlib import Path

import pytest

from pocketphi.config import settings
from pocketphi.eval.results import ITEMS, RESULTS
from pocketphi.eval.tasks.rows import test_file as file_of
from pocketphi.formats.pocket import PocketFile

TASKS = ("phi3_mmlu", "phi3_gsm8k", "cloze_piqa")
"""Letters behind worked examples, text that is written, and continuations."""
LIMIT = 8
NUM_KILLS = 4

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def data() -> Path:
    folder = settings().data_dir
    if folder is None:
        pytest.skip("POCKETPHI_DATA names no folder of real benchmarks")
    missing = [name for name in ("mmlu", "gsm8k", "piqa") if file_of(folder / "bench", name) is None]
    if missing:
        pytest.skip(f"POCKETPHI_DATA has no bench/{missing[0]}")
    return folder / "bench"


def command(model: Path, data: Path, out: Path, *options: str) -> list[str]:
    return [
        *(sys.executable, "-m", "pocketphi", "eval", str(model), "--tasks", ",".join(TASKS), "--data", str(data)),
        *("--limit", str(LIMIT), "--context", "4096", "--out", str(out), *options),
    ]


def environment(cache: Path) -> dict[str, str]:
    return {**os.environ, "XDG_CACHE_HOME": str(cache), "HF_HUB_OFFLINE": "1"}


def finished(model: Path, data: Path, out: Path, cache: Path, *options: str) -> dict[str, bytes]:
    run = subprocess.run(command(model, data, out, *options), capture_output=True, env=environment(cache), check=False)
    assert run.returncode == 0, run.stderr.decode(errors="replace")
    return contents(out)


def contents(out: Path) -> dict[str, bytes]:
    """All files of a run; of the manifest, what is not about times."""
    found = {str(path.relative_to(out)): path.read_bytes() for path in out.rglob("*") if path.is_file()}
    manifest: Mapping[str, object] = json.loads(found.pop("manifest.json"))
    kept = {name: value for name, value in manifest.items() if name != "measured"}
    assert {RESULTS, *(f"{ITEMS}/{task}.jsonl" for task in TASKS)} <= found.keys()
    return {**found, "manifest.json": json.dumps(kept, sort_keys=True).encode()}


def test_every_way_to_the_results_gives_the_same_bytes(smollm2_file: PocketFile, data: Path, tmp_path: Path):
    model = smollm2_file.path
    started = time.monotonic()
    undisturbed = finished(model, data, tmp_path / "first", tmp_path / "cache")
    seconds = time.monotonic() - started
    assert all(len(undisturbed[f"{ITEMS}/{task}.jsonl"].splitlines()) == LIMIT for task in TASKS)
    assert finished(model, data, tmp_path / "second", tmp_path / "none", "--no-cache") == undisturbed
    assert not (tmp_path / "none" / "pocketphi" / "eval").exists()
    assert finished(model, data, tmp_path / "third", tmp_path / "cache") == undisturbed

    moments = random.Random(int(os.environ.get("POCKETPHI_KILL_SEED", "0")))
    out, cache = tmp_path / "killed", tmp_path / "other cache"
    num_killed = 0
    for kill in range(NUM_KILLS):
        with subprocess.Popen(
            command(model, data, out), stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, env=environment(cache)
        ) as run:
            try:
                # Each kill comes in its own part of a run, so that some fall behind answers that are kept.
                run.wait(seconds * (kill + moments.random()) / NUM_KILLS)
            except subprocess.TimeoutExpired:
                run.send_signal(signal.SIGKILL)
                num_killed += 1
        assert not out.exists() or contents(out) == undisturbed, "a killed run left something else"
    assert num_killed > 1, "the kills came too late to prove anything"
    assert finished(model, data, out, cache) == undisturbed
    leftovers = [path.name for path in tmp_path.iterdir() if path.suffix in {".partial", ".replaced", ".lock"}]
    assert not leftovers, "a killed run left something behind"
