"""A run that was killed, however often, ends with the same bits as one that was not."""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Mapping
from pathlib import Path

import pytest
import torch
from safetensors import SafetensorError

from pocketphi.artifact import Artifact, open_artifact
from pocketphi.errors import UserError
from pocketphi.recipe import Dpo, Sft
from pocketphi.train import state
from pocketphi.train.dpo import dpo
from pocketphi.train.metrics import read_metrics
from pocketphi.train.pretrain import pretrain
from pocketphi.train.sft import sft
from train.samples import MODEL, phase

TESTS = Path(__file__).parents[1]

CHILD = """
import sys
from pathlib import Path
import torch
from pocketphi.artifact import open_artifact
from pocketphi.train.pretrain import pretrain
from train.samples import MODEL, phase

torch.set_num_threads(1)
made = Path(sys.argv[1])
shards, tokenizer = open_artifact(made / "shards"), open_artifact(made / "tokenizer")
pretrain(phase(optimizer="muon", accumulate=2), MODEL, shards, tokenizer, Path(sys.argv[2]), seed=5)
"""


class Cut(BaseException):
    """Stands for a kill where a process of its own would take too long to start."""


def cut_at(step: int) -> Callable[[float, float, Mapping[str, float | str]], None]:
    def progress(done: float, total: float, figures: Mapping[str, float | str]) -> None:
        if done >= step:
            raise Cut

    return progress


def test_a_killed_process_loses_nothing(made: dict[str, Artifact], tmp_path: Path) -> None:
    folder = made["shards"].path.parent

    def start(out: Path) -> subprocess.Popen[bytes]:
        environment = {**os.environ, "PYTHONPATH": f"{TESTS.parent}:{TESTS}"}
        return subprocess.Popen([sys.executable, "-c", CHILD, str(folder), str(out)], env=environment)

    assert start(tmp_path / "whole").wait() == 0
    killed = tmp_path / "killed"
    for state_number in range(2):
        child = start(killed)
        kept = killed.with_name("killed.work") / "state.safetensors"
        before = kept.stat().st_mtime_ns if kept.exists() else 0
        deadline = time.monotonic() + 120
        while child.poll() is None and (not kept.exists() or kept.stat().st_mtime_ns == before):
            assert time.monotonic() < deadline, "no state was written"
            time.sleep(0.001)
        child.send_signal(signal.SIGKILL)
        assert child.wait() == -signal.SIGKILL, f"finished before kill {state_number + 1}"
    assert start(killed).wait() == 0
    assert open_artifact(killed).content == open_artifact(tmp_path / "whole").content
    assert not killed.with_name("killed.work").exists()


@pytest.mark.parametrize("stage", ["pretrain", "sft", "dpo"])
def test_each_stage_goes_on_where_it_was_cut(
    stage: str, made: dict[str, Artifact], base: Artifact, tmp_path: Path
) -> None:
    def run(out: Path, **options: object) -> Artifact:
        common = {"learning_rate": 1e-3, "checkpoint_steps": 4, "batch_size": 2, "sequence_length": 96}
        if stage == "pretrain":
            table = phase(mixture={"web": 1.0, "lessons": 2.0}, max_tokens=24 * 4 * 64, checkpoint_steps=4)
            return pretrain(table, MODEL, made["shards"], made["tokenizer"], out, seed=3, start=base, **options)
        if stage == "sft":
            return sft(Sft(epochs=2, **common), base, made["primer"], out, seed=3, **options)
        return dpo(Dpo(epochs=2, **common), base, made["primer"], out, seed=3, **options)

    whole = run(tmp_path / "whole")
    for step in (10, 20):
        with pytest.raises(Cut):
            run(tmp_path / "cut", progress=cut_at(step))
    assert not (tmp_path / "cut").exists()
    done: list[float] = []
    cut = run(tmp_path / "cut", progress=lambda step, total, figures: done.append(step))
    assert min(done) >= 8, "it started from the beginning"
    assert cut.content == whole.content
    assert read_metrics(cut.path / "metrics.jsonl") == read_metrics(whole.path / "metrics.jsonl")


def test_the_state_of_another_run_is_not_used(made: dict[str, Artifact], tmp_path: Path) -> None:
    def run(out: Path, seed: int, **options: object) -> Artifact:
        return pretrain(phase(), MODEL, made["shards"], made["tokenizer"], out, seed=seed, **options)

    with pytest.raises(Cut):
        run(tmp_path / "out", 1, progress=cut_at(20))
    assert run(tmp_path / "out", 2).content == run(tmp_path / "fresh", 2).content


def test_a_full_disk_is_an_error_that_says_so(
    made: dict[str, Artifact], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*_: object) -> None:
        raise SafetensorError("I/O error: No space left on device (os error 28)")

    monkeypatch.setattr(state, "save_file", full)
    with pytest.raises(UserError, match=r"cannot write `.*state\.safetensors`: I/O error: No space left"):
        pretrain(phase(), MODEL, made["shards"], made["tokenizer"], tmp_path / "out", seed=1)
    assert not (tmp_path / "out").exists()


def test_a_damaged_state_is_an_error_that_says_what_to_do(made: dict[str, Artifact], tmp_path: Path) -> None:
    work = tmp_path / "out.work"
    work.mkdir()
    (work / "state.safetensors").write_bytes(b"\x08\0\0\0\0\0\0\0{}      ")
    with pytest.raises(UserError, match=r"state\.safetensors` is damaged") as error:
        pretrain(phase(), MODEL, made["shards"], made["tokenizer"], tmp_path / "out", seed=1)
    assert error.value.hint is not None
    assert "delete it" in error.value.hint


@pytest.mark.slow
def test_compiled_code_on_several_threads_resumes_to_the_same_bits(made: dict[str, Artifact], tmp_path: Path) -> None:
    def run(out: Path, **options: object) -> Artifact:
        table = phase(compile=True, optimizer="muon")
        return pretrain(table, MODEL, made["shards"], made["tokenizer"], out, seed=3, **options)

    torch.set_num_threads(2)
    whole = run(tmp_path / "whole")
    assert "not_compiled" not in whole.manifest["measured"]
    with pytest.raises(Cut):
        run(tmp_path / "cut", progress=cut_at(20))
    torch._dynamo.reset()
    assert run(tmp_path / "cut").content == whole.content
