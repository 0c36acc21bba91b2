"""The loop: what must not change the result does not, and what goes wrong is said."""

import json
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn
from torch.testing import assert_close

from pocketphi import recipe
from pocketphi.artifact import Artifact
from pocketphi.data.mixture import Mixture, PackedPart
from pocketphi.data.pack import open_shard
from pocketphi.errors import UserError
from pocketphi.train.batches import IGNORED, MixtureSource, Step, cut
from pocketphi.train.loop import Trained, train
from pocketphi.train.metrics import read_metrics
from pocketphi.train.pretrain import pretrain
from train.samples import MODEL, phase

Loss = Callable[..., dict[str, Tensor]]


class Lines:
    """Points of y = 2x + 1, eight a step, in so many micro-batches."""

    def __init__(self, accumulate: int = 1, broken_at: int = -1) -> None:
        self.accumulate, self.broken_at, self.next = accumulate, broken_at, 0

    def take(self) -> Step:
        x = np.random.default_rng(self.next).standard_normal((8, 1)).astype(np.float32)
        y = 2 * x + 1 if self.next != self.broken_at else np.full_like(x, np.nan)
        self.next += 1
        return Step(micro_batches=cut(x, y, parts=self.accumulate), count=8, tokens=8)

    @property
    def position(self) -> dict[str, Any]:
        return {"next": self.next}

    def seek(self, position: Mapping[str, Any]) -> None:
        self.next = position["next"]


def fit(
    work: Path, *, accumulate: int = 1, broken_at: int = -1, steps: int = 40, **changes: Any
) -> tuple[nn.Linear, Trained]:
    table = recipe.Optimizer(
        **{"learning_rate": 0.1, "weight_decay": 0.0, "precision": "fp32", "accumulate": accumulate, **changes}
    )
    model = nn.Linear(1, 1)
    nn.init.zeros_(model.weight)
    nn.init.zeros_(model.bias)

    def loss(x: Tensor, y: Tensor) -> dict[str, Tensor]:
        return {"loss": ((model(x) - y) ** 2).sum()}

    return model, train(model, Lines(accumulate, broken_at), loss, table, steps=steps, work=work, inputs="x")


def test_it_learns(tmp_path: Path) -> None:
    model, trained = fit(tmp_path, steps=150)
    assert_close(model.weight.item(), 2.0, atol=0.1, rtol=0)
    assert_close(model.bias.item(), 1.0, atol=0.1, rtol=0)
    assert (trained.steps, trained.tokens) == (150, 1200)
    assert trained.last["loss"] < 0.01


def test_micro_batches_do_not_change_the_gradient(tmp_path: Path) -> None:
    whole, _ = fit(tmp_path / "whole")
    parts, _ = fit(tmp_path / "parts", accumulate=4)
    assert_close(whole.weight, parts.weight, rtol=1e-5, atol=1e-6)
    first, second = (read_metrics(tmp_path / name / "metrics.jsonl") for name in ("whole", "parts"))
    for one, other in zip(first, second, strict=True):
        assert one == pytest.approx(other, rel=1e-4, abs=1e-6)


def test_gradients_are_clipped(tmp_path: Path) -> None:
    """With one step of plain momentum-free arithmetic: the recorded norm is the one before clipping."""
    fit(tmp_path, max_grad_norm=1e-3, steps=1)
    (line,) = read_metrics(tmp_path / "metrics.jsonl")
    x = torch.from_numpy(np.random.default_rng(0).standard_normal((8, 1)).astype(np.float32))
    slope, offset = (-2 * x * (2 * x + 1)).mean(), (-2 * (2 * x + 1)).mean()
    assert line["grad_norm"] == pytest.approx(torch.hypot(slope, offset).item(), rel=1e-5)


@pytest.mark.parametrize("broken_at", [0, 13, 39])
def test_a_loss_that_is_no_number_stops_the_run(broken_at: int, tmp_path: Path) -> None:
    with pytest.raises(UserError, match=f"training diverged: `loss` is nan at step {broken_at + 1}") as error:
        fit(tmp_path, broken_at=broken_at)
    assert error.value.hint is not None
    assert "learning_rate" in error.value.hint
    assert [line["step"] for line in read_metrics(tmp_path / "metrics.jsonl")] == list(range(1, broken_at + 1))


def test_no_state_is_kept_of_a_run_that_diverged(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="diverged"):
        fit(tmp_path, broken_at=5, checkpoint_steps=6)
    assert not (tmp_path / "state.safetensors").exists()


def test_metrics_hold_every_step_and_no_times(tmp_path: Path) -> None:
    fit(tmp_path / "one", steps=23)
    fit(tmp_path / "two", steps=23)
    lines = [json.loads(line) for line in (tmp_path / "one" / "metrics.jsonl").read_text().splitlines()]
    assert [line["step"] for line in lines] == list(range(1, 24))
    assert set(lines[0]) == {"step", "tokens", "loss", "learning_rate", "grad_norm"}
    assert (tmp_path / "one" / "metrics.jsonl").read_bytes() == (tmp_path / "two" / "metrics.jsonl").read_bytes()


def test_without_a_compiler_training_goes_on(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    import torch._inductor.config as inductor

    monkeypatch.setattr(inductor.cpp, "cxx", ("no-such-compiler",))
    monkeypatch.setattr(inductor, "force_disable_caches", True)
    plain, _ = fit(tmp_path / "plain", steps=3)
    compiled, trained = fit(tmp_path / "compiled", steps=3, compile=True)
    assert_close(plain.weight, compiled.weight)
    assert "compiler" in trained.measured["not_compiled"]


def test_global_settings_are_left_as_they_were(tmp_path: Path) -> None:
    before = (torch.get_num_threads(), torch.are_deterministic_algorithms_enabled())
    fit(tmp_path, steps=2)
    assert before == (torch.get_num_threads(), torch.are_deterministic_algorithms_enabled())


def test_pieces_share_rows_but_nothing_is_learnt_across_them(made: dict[str, Artifact]) -> None:
    shard = open_shard(made["shards"], "lessons")
    pad = 10_000  # no id of the text
    part = PackedPart(shard, length=129, pad=pad, seed=1)
    source = MixtureSource(Mixture([part], {"lessons": 1.0}), batch_size=16, accumulate=1, pad=pad)
    step = source.take()
    ((ids, targets, positions),) = step.micro_batches
    assert ids is not None
    assert targets is not None
    assert positions is not None
    starts = positions[:, 1:] == 0
    assert starts.sum() > 5
    assert (targets[:, :-1][starts] == IGNORED).all()
    inside = ~starts & (ids[:, 1:] != pad)
    assert torch.equal(targets[:, :-1][inside], ids[:, 1:][inside])
    assert step.count == int((targets != IGNORED).sum())


def test_pretraining_learns_and_says_what_it_read(base: Artifact, made: dict[str, Artifact]) -> None:
    lines = read_metrics(base.path / "metrics.jsonl")
    assert lines[-1]["loss"] < 0.75 * lines[0]["loss"]
    assert lines[0]["loss"] == pytest.approx(np.log(320), rel=0.05), "an untrained model knows nothing"
    data = base.summary["data"]["web"]
    assert data["tokens"] == base.summary["tokens"] == lines[-1]["tokens"]
    assert data["epochs"] == pytest.approx(data["tokens"] / made["shards"].summary["parts"]["web"]["tokens"], abs=1e-4)


def test_half_precision_trains_single_precision_weights(base: Artifact) -> None:
    from pocketphi.model import load_checkpoint

    weights = load_checkpoint(base.path).parameters()
    assert all(weight.dtype == torch.float32 for weight in weights)
    assert any((weight != weight.bfloat16().float()).any() for weight in load_checkpoint(base.path).parameters())


def test_the_same_seed_gives_the_same_bits(made: dict[str, Artifact], base: Artifact, tmp_path: Path) -> None:
    again = pretrain(phase(), MODEL, made["shards"], made["tokenizer"], tmp_path / "again", seed=1)
    other = pretrain(phase(), MODEL, made["shards"], made["tokenizer"], tmp_path / "other", seed=2)
    assert again.content == base.content
    assert other.content != base.content


def test_a_second_phase_reads_on(made: dict[str, Artifact], base: Artifact, tmp_path: Path) -> None:
    second = pretrain(phase(), MODEL, made["shards"], made["tokenizer"], tmp_path / "two", seed=1, start=base)
    assert second.stage == "pretrain.phase2"
    before, after = (artifact.summary["read"]["parts"]["web"] for artifact in (base, second))
    assert (after["epoch"], after["row"]) > (before["epoch"], before["row"])
    assert read_metrics(second.path / "metrics.jsonl")[0]["loss"] < 1.2 * base.summary["last"]["loss"]


def test_another_tokenizer_than_the_shards_is_refused(made: dict[str, Artifact], tmp_path: Path) -> None:
    from train.samples import write_tokenizer

    other = write_tokenizer(tmp_path / "tokenizer", vocab_size=322)
    with pytest.raises(UserError, match="was written with another tokenizer"):
        pretrain(phase(), MODEL, made["shards"], other, tmp_path / "out", seed=1)


def test_a_part_that_the_corpus_lacks_is_refused(made: dict[str, Artifact], tmp_path: Path) -> None:
    from pocketphi.data.pack import pack
    from train.samples import write_corpus

    shards = pack(write_corpus(tmp_path / "corpus", web=50), None, made["tokenizer"], tmp_path / "shards", seed=1)
    with pytest.raises(UserError, match=r"`pretrain\.phase1\.mixture` names `lessons`"):
        pretrain(phase(mixture={"lessons": 1.0}), MODEL, shards, made["tokenizer"], tmp_path / "out", seed=1)


def test_a_start_of_another_shape_is_refused(made: dict[str, Artifact], base: Artifact, tmp_path: Path) -> None:
    wider = MODEL.model_copy(update={"intermediate_size": 96})
    with pytest.raises(UserError, match="a model of another shape"):
        pretrain(phase(), wider, made["shards"], made["tokenizer"], tmp_path / "out", seed=1, start=base)


def test_ignored_is_what_cross_entropy_ignores() -> None:
    assert nn.CrossEntropyLoss().ignore_index == IGNORED
