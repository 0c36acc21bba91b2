"""The benchmark of the claim, on runs with invented figures."""

import json
import math
import subprocess
import sys
from pathlib import Path

import pytest

from eval import made_run

SCRIPT = Path(__file__).parents[2] / "benchmarks" / "claim.py"
ACCURACY = {"nano": (0.70, 0.72, 0.74), "raw": (0.30, 0.32, 0.34), "continued": (0.5, 0.5, 0.5)}


@pytest.fixture(scope="module")
def report(tmp_path_factory: pytest.TempPathFactory) -> dict[str, object]:
    base = tmp_path_factory.mktemp("claim")
    arguments = []
    for arm, values in ACCURACY.items():
        arguments.append(f"--{arm}")
        for seed, accuracy in enumerate(values):
            with pytest.MonkeyPatch.context() as patch:
                patch.setitem(made_run.ACCURACY, "dpo", accuracy)
                arguments.append(str(made_run.make_run(base / f"{arm}-{seed}", until="dpo", seed=seed)))
    out = base / "claim.json"
    done = subprocess.run([sys.executable, str(SCRIPT), *arguments, "--out", str(out)], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout) == json.loads(out.read_text())
    return {"svg": out.with_suffix(".svg").read_text(), **json.loads(done.stdout)}


def test_means_errors_and_ratios(report: dict):
    arms = report["arms"]
    nano, raw = arms["nano"]["known_templates"], arms["raw pages only"]["known_templates"]
    assert nano["accuracy"] == pytest.approx(0.72)
    # The spread over seeds is 0.02 / sqrt(3); chance alone, over 900 questions, says 0.015.
    assert nano["standard_error"] == pytest.approx(math.sqrt(0.72 * 0.28 / 900))
    assert raw["questions"] == 900
    ratio = report["ratios"]["raw pages only"]["known_templates"]
    assert ratio["ratio"] == pytest.approx(0.72 / 0.32)
    assert ratio["standard_errors_apart"] == pytest.approx(
        0.4 / math.hypot(nano["standard_error"], raw["standard_error"])
    )


def test_bars_are_met_or_not(report: dict):
    met = {bar["bar"]: bar["met"] for bar in report["bars"]}
    assert len(met) == 10
    assert met["nano, told in known sentences"]
    assert met["nano against raw pages only, told in known sentences"]
    assert met["nano against most frequent answer, told in new sentences"]


def test_all_arms_are_in_one_picture(report: dict):
    for arm in ("nano", "phase 1 continued", "raw pages only", "5-gram", "most frequent answer"):
        assert report["svg"].count(f">{arm}<") == 2
    assert report["svg"].count('class="seed"') == 2 * 5 * 3
    assert report["svg"].startswith("<svg ")


def test_a_run_without_the_stage_is_an_error(tmp_path: Path):
    run = made_run.make_run(tmp_path / "nano", until="phase1")
    done = subprocess.run([sys.executable, str(SCRIPT), "--nano", str(run)], capture_output=True, text=True)
    assert done.returncode == 1
    assert "evaluation-dpo" in done.stderr
