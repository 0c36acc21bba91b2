"""DPO against the formula, written out again on the published decoder, and against a gradient by hand."""

import math
from pathlib import Path

import numpy as np
import pytest
import torch
import transformers
from torch import Tensor
from torch.testing import assert_close

from pocketphi.artifact import Artifact, open_artifact, publish
from pocketphi.chat import Message, Preference
from pocketphi.data.records import read_preferences, write_preferences
from pocketphi.errors import UserError
from pocketphi.model import load_checkpoint
from pocketphi.recipe import Dpo
from pocketphi.tokenizer.train import PAD, load_tokenizer
from pocketphi.train.dpo import PairSource, cached_reference, dpo, encode_pair, preference_loss
from pocketphi.train.metrics import read_metrics

BETA = 0.3
PROMPT = (Message("user", "Hello"), Message("assistant", "Hi."), Message("user", "Ada has 3 pens. And now?"))
PREFERENCE = Preference(PROMPT, Message("assistant", "3 + 4 = 7.\nAnswer: 7"), Message("assistant", "No."))


def source_of(made: dict[str, Artifact], **changes: int) -> PairSource:
    tokenizer = load_tokenizer(made["tokenizer"])
    preferences = read_preferences(made["primer"].path / "preferences.jsonl")
    settings = {"length": 96, "batch_size": 4, "accumulate": 1, "epochs": 1, "seed": 0, **changes}
    pairs = [encode_pair(tokenizer, each) for each in (PREFERENCE, *preferences)]
    return PairSource(pairs, pad=tokenizer.special_ids[PAD], fixed=False, **settings)


def published_log_probability(model: transformers.Phi3ForCausalLM, ids: np.ndarray, learnt: np.ndarray) -> Tensor:
    """Of the learnt ids, one after the other, of one answer alone."""
    logits = model(torch.from_numpy(ids)[None]).logits[0]
    places = np.flatnonzero(learnt).tolist()
    return torch.stack([logits[place - 1].log_softmax(-1)[ids[place]] for place in places]).sum()


def test_only_the_last_answer_is_compared(made: dict[str, Artifact]) -> None:
    tokenizer = load_tokenizer(made["tokenizer"])
    for answer, message in zip(
        encode_pair(tokenizer, PREFERENCE), (PREFERENCE.chosen, PREFERENCE.rejected), strict=True
    ):
        text = tokenizer.decode(answer.ids[answer.learnt].tolist(), skip_special=False)
        assert text == f"{message.content}<|end|>"


def test_loss_rewards_and_gradient_are_those_of_an_independent_implementation(
    made: dict[str, Artifact], base: Artifact
) -> None:
    source = source_of(made)
    model = load_checkpoint(base.path)
    generator = torch.Generator().manual_seed(0)
    with torch.no_grad():
        for weight in model.parameters():
            weight += 0.02 * torch.randn(weight.shape, generator=generator)
    policy = transformers.Phi3ForCausalLM.from_pretrained(base.path, dtype=torch.float32)
    policy.load_state_dict(model.state_dict(), strict=False)
    reference = transformers.Phi3ForCausalLM.from_pretrained(base.path, dtype=torch.float32)

    indices = [0, 3, 7]
    losses, chosen_rewards, rejected_rewards = [], [], []
    for index in indices:
        ratios = []
        for side, answer in enumerate(source._pairs[index]):
            with torch.no_grad():
                kept = published_log_probability(reference, answer.ids, answer.learnt)
            source.reference[index, side] = kept
            ratios.append(published_log_probability(policy, answer.ids, answer.learnt) - kept)
        losses.append(torch.log(1 + torch.exp(-BETA * (ratios[0] - ratios[1]))))
        chosen_rewards.append(BETA * ratios[0].item())
        rejected_rewards.append(BETA * ratios[1].item())
    expected = torch.stack(losses).sum()
    expected.backward()

    figures = preference_loss(model, BETA)(*source.batch(indices))
    figures["loss"].backward()
    assert_close(figures["loss"], expected, rtol=1e-5, atol=1e-5)
    assert figures["chosen_reward"].item() == pytest.approx(sum(chosen_rewards), abs=1e-4)
    assert figures["rejected_reward"].item() == pytest.approx(sum(rejected_rewards), abs=1e-4)
    wins = sum(c > r for c, r in zip(chosen_rewards, rejected_rewards, strict=True))
    assert figures["accuracy"].item() == wins
    theirs = dict(policy.named_parameters())
    for name, weight in model.named_parameters():
        assert_close(
            weight.grad, theirs[name].grad, rtol=1e-3, atol=1e-5, msg=lambda text, name=name: f"{name}: {text}"
        )


def test_the_formula_by_hand(monkeypatch: pytest.MonkeyPatch) -> None:
    """Log-probabilities -4 and -6 against -5 and -5.5 of the reference: rewards 0.1 and -0.05 at beta 0.1."""
    import pocketphi.train.dpo as module

    found = torch.tensor([-4.0, -6.0], requires_grad=True)
    monkeypatch.setattr(module, "answer_log_probabilities", lambda *_: found)
    figures = preference_loss(None, 0.1)(None, None, torch.tensor([-5.0, -5.5]))
    assert figures["loss"].item() == pytest.approx(-math.log(1 / (1 + math.exp(-0.15))))
    assert figures["chosen_reward"].item() == pytest.approx(0.1)
    assert figures["rejected_reward"].item() == pytest.approx(-0.05)
    assert figures["margin"].item() == pytest.approx(0.15)
    figures["loss"].backward()
    slope = 0.1 / (1 + math.exp(0.15))
    assert_close(found.grad, torch.tensor([-slope, slope]))


def test_at_the_start_nothing_is_preferred(made: dict[str, Artifact], base: Artifact, tmp_path: Path) -> None:
    source = source_of(made)
    model = load_checkpoint(base.path)
    source.reference = cached_reference(tmp_path / "r", "x", model, source, precision="fp32")
    figures = preference_loss(model, BETA)(*source.batch(range(8)))
    assert figures["loss"].item() == pytest.approx(8 * math.log(2), rel=1e-4)
    assert abs(figures["margin"].item()) < 1e-3


def test_the_reference_is_computed_once(made: dict[str, Artifact], base: Artifact, tmp_path: Path) -> None:
    source = source_of(made)
    model = load_checkpoint(base.path)
    first = cached_reference(tmp_path / "r", "x", model, source, precision="fp32")
    with torch.no_grad():
        model.model.embed_tokens.weight.mul_(2)
    assert np.array_equal(cached_reference(tmp_path / "r", "x", model, source, precision="fp32"), first)
    assert not np.array_equal(cached_reference(tmp_path / "r", "y", model, source, precision="fp32"), first)


def test_micro_batches_hold_the_same_pairs(made: dict[str, Artifact], base: Artifact) -> None:
    model = load_checkpoint(base.path)
    sums = []
    for accumulate in (1, 2, 4):
        step = source_of(made, accumulate=accumulate).take()
        assert len(step.micro_batches) == accumulate
        sums.append(sum(preference_loss(model, BETA)(*micro)["loss"].item() for micro in step.micro_batches))
    assert sums == pytest.approx([sums[0]] * 3, rel=1e-5)


def test_every_pair_comes_once_an_epoch(made: dict[str, Artifact]) -> None:
    source = source_of(made, epochs=2)
    assert sorted(source._order) == sorted([*range(41)] * 2)
    assert sum(source.take().count for _ in range(source.steps)) == 82


def test_better_answers_win_in_the_end(base: Artifact, made: dict[str, Artifact], tmp_path: Path) -> None:
    table = Dpo(learning_rate=3e-3, epochs=3, sequence_length=96, batch_size=8, warmup_steps=2)
    tuned = dpo(table, base, made["primer"], tmp_path / "dpo", seed=1)
    last = read_metrics(tuned.path / "metrics.jsonl")[-1]
    assert set(last) >= {"loss", "chosen_reward", "rejected_reward", "margin", "accuracy"}
    assert last["accuracy"] == 1.0
    assert last["margin"] > 0.5
    assert last["loss"] < math.log(2)
    assert not (tmp_path / "dpo.work").exists()


def test_pairs_that_do_not_fit_are_dropped_and_counted(
    base: Artifact, made: dict[str, Artifact], tmp_path: Path
) -> None:
    long = Preference(PROMPT, Message("assistant", "long " * 100), Message("assistant", "no"))
    with publish(tmp_path / "primer", kind="primer", stage="primer", settings={}) as draft:
        write_preferences(draft.path / "preferences.jsonl", [PREFERENCE, long])
    tuned = dpo(Dpo(learning_rate=1e-4), base, open_artifact(tmp_path / "primer"), tmp_path / "dpo", seed=1)
    assert (tuned.summary["pairs"], tuned.summary["dropped"]) == (1, 1)


def test_no_pair_is_an_error(base: Artifact, tmp_path: Path) -> None:
    with publish(tmp_path / "primer", kind="primer", stage="primer", settings={}) as draft:
        write_preferences(draft.path / "preferences.jsonl", [])
    with pytest.raises(UserError, match="holds no pair that fits"):
        dpo(Dpo(learning_rate=1e-4), base, open_artifact(tmp_path / "primer"), tmp_path / "dpo", seed=1)
