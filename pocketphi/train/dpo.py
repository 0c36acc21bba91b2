"""Direct preference optimization (Rafailov et al. 2023, arXiv 2305.18290).

For a prompt with a better answer w and a worse one l, equation 7 asks to minimise

    -log sigmoid(beta * ((log p(w) - log r(w)) - (log p(l) - log r(l))))

where p is the model and r the reference, the model as it started. A log-probability is that of the whole answer, its
turn's end included. The reference never changes, so its log-probabilities are computed once, before the first
step, and kept in the work folder; no second model is in memory while the first one learns.

`beta * (log p - log r)` is an answer's reward. Metrics hold both mean rewards, their difference (`margin`) and how
often the better answer has the higher one (`accuracy`).
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn.functional import logsigmoid

from pocketphi.artifact import Artifact, Progress, no_progress
from pocketphi.chat import Preference
from pocketphi.data.records import read_preferences
from pocketphi.errors import UserError
from pocketphi.model import Decoder, load_checkpoint
from pocketphi.recipe import Dpo, settings_of
from pocketphi.tokenizer import Tokenizer
from pocketphi.tokenizer.train import PAD, load_tokenizer
from pocketphi.train.batches import IGNORED, Step, cut
from pocketphi.train.checkpoint_stage import Prepared, train_to_checkpoint
from pocketphi.train.loop import Loss, Trained, default_device
from pocketphi.train.qat import quantization_aware
from pocketphi.train.sft import encode_conversation
from pocketphi.train.state import read_tensors, write_tensors

PREFERENCES = "preferences.jsonl"
REFERENCE = "reference.safetensors"
_ROUND_TO = 32


@dataclass(frozen=True)
class Answer:
    """One answer behind its prompt."""

    ids: NDArray[np.int64]
    learnt: NDArray[np.bool_]
    """Which ids are the answer's own."""


Pair = tuple[Answer, Answer]
"""The better one first."""


def dpo(
    table: Dpo,
    checkpoint: Artifact,
    preferences: Artifact,
    out: Path,
    *,
    seed: int,
    progress: Progress = no_progress,
    device: torch.device | None = None,
) -> Artifact:
    """Tune a checkpoint on the pairs of an artifact that holds `preferences.jsonl`.

    Raises:
        UserError: no pair is left to learn from.
    """
    tokenizer = load_tokenizer(checkpoint)
    path = preferences.path / PREFERENCES
    pairs, dropped = [], 0
    for preference in read_preferences(path):
        pair = encode_pair(tokenizer, preference)
        if max(len(answer.ids) for answer in pair) <= table.sequence_length + 1:
            pairs.append(pair)
        else:
            dropped += 1
    if not pairs:
        raise UserError(f"`{path}` holds no pair that fits `dpo.sequence_length` {table.sequence_length}")

    def prepare(work: Path, inputs: str) -> Prepared:
        decoder = load_checkpoint(checkpoint.path, device=device or default_device())
        source = PairSource(
            pairs,
            length=table.sequence_length,
            fixed=table.compile,
            batch_size=table.batch_size,
            accumulate=table.accumulate,
            epochs=table.epochs,
            pad=tokenizer.special_ids[PAD],
            seed=seed,
        )
        source.reference = cached_reference(
            work / REFERENCE, inputs, decoder, source, precision=table.precision, qat_group=table.qat_group
        )
        return decoder, source, preference_loss(decoder, table.beta), source.steps

    def summary(_trained: Trained) -> Mapping[str, Any]:
        return {"pairs": len(pairs), "dropped": dropped}

    return train_to_checkpoint(
        "dpo",
        table,
        settings_of(table),
        prepare,
        out,
        tokenizer_dir=checkpoint.path,
        tokenizer=tokenizer,
        parents=[checkpoint, preferences],
        seed=seed,
        summary=summary,
        progress=progress,
    )


def encode_pair(tokenizer: Tokenizer, preference: Preference) -> Pair:
    """Both answers behind the prompt; of each only the last turn is learnt."""
    prompt, _ = encode_conversation(tokenizer, preference.prompt)
    # The prompt alone ends with an end of text; behind it the answer starts with the assistant's mark.
    own_from = len(prompt)
    answers = []
    for message in (preference.chosen, preference.rejected):
        ids, learnt = encode_conversation(tokenizer, (*preference.prompt, message))
        learnt[:own_from] = False
        answers.append(Answer(ids, learnt))
    return answers[0], answers[1]


class PairSource:
    """Pairs, a few times over. A micro-batch of n pairs is (2n, T): the better answers, then the worse ones.

    Args:
        fixed: pad every batch to `length`, as a compiled loss wants; else to its longest answer.
    """

    def __init__(
        self,
        pairs: Sequence[Pair],
        *,
        length: int,
        fixed: bool,
        batch_size: int,
        accumulate: int,
        epochs: int,
        pad: int,
        seed: int,
    ) -> None:
        self._pairs, self._length, self._fixed, self._pad = pairs, length, fixed, pad
        self._batch_size, self._accumulate = batch_size, accumulate
        self._order = [
            int(index)
            for epoch in range(epochs)
            for index in np.random.default_rng([seed, epoch]).permutation(len(pairs))
        ]
        self._next = 0
        self.reference = np.zeros((len(pairs), 2), np.float32)
        """Log-probabilities of the better and the worse answers under the reference."""

    @property
    def steps(self) -> int:
        """How many there are."""
        return -(-len(self._order) // self._batch_size)

    def take(self) -> Step:
        chosen = self._order[self._next * self._batch_size : (self._next + 1) * self._batch_size]
        self._next += 1
        cuts = np.array_split(np.array(chosen), self._accumulate)
        return Step(
            micro_batches=[self.batch(indices.tolist()) for indices in cuts if len(indices)],
            count=len(chosen),
            tokens=sum(len(answer.ids) for index in chosen for answer in self._pairs[index]),
        )

    def batch(self, indices: Sequence[int]) -> tuple[Tensor | None, ...]:
        """(inputs, targets, reference) of some pairs; `reference` is (2n,)."""
        answers = [self._pairs[index][side] for side in (0, 1) for index in indices]
        longest = max(len(answer.ids) for answer in answers) - 1
        length = self._length if self._fixed else min(self._length, -(-longest // _ROUND_TO) * _ROUND_TO)
        ids = np.full((len(answers), length + 1), self._pad, np.int64)
        learnt = np.zeros(ids.shape, np.bool_)
        for row, answer in enumerate(answers):
            ids[row, : len(answer.ids)] = answer.ids
            learnt[row, : len(answer.ids)] = answer.learnt
        targets = np.where(learnt[:, 1:], ids[:, 1:], IGNORED)
        (tensors,) = cut(ids[:, :-1], targets, parts=1)
        return *tensors, torch.from_numpy(self.reference[list(indices)].T.reshape(-1).copy())

    @property
    def position(self) -> dict[str, Any]:
        return {"next": self._next}

    def seek(self, position: dict[str, Any]) -> None:
        self._next = position["next"]


def answer_log_probabilities(model: Decoder, inputs: Tensor, targets: Tensor) -> Tensor:
    """(N,) log-probability of each row's targets together."""
    losses = model.token_losses(model(inputs), targets)
    return -torch.where(targets == IGNORED, 0.0, losses).sum(dim=1)


def preference_loss(model: Decoder, beta: float) -> Loss:
    """Equation 7, summed over the pairs of a micro-batch."""

    def loss(inputs: Tensor, targets: Tensor, reference: Tensor) -> dict[str, Tensor]:
        rewards = beta * (answer_log_probabilities(model, inputs, targets) - reference)
        chosen, rejected = rewards.chunk(2)
        return {
            "loss": -logsigmoid(chosen - rejected).sum(),
            "chosen_reward": chosen.sum(),
            "rejected_reward": rejected.sum(),
            "margin": (chosen - rejected).sum(),
            "accuracy": (chosen > rejected).float().sum(),
        }

    return loss


@torch.no_grad()
def cached_reference(
    path: Path,
    inputs: str,
    model: Decoder,
    source: PairSource,
    *,
    precision: str,
    qat_group: int | None = None,
    batch_size: int = 32,
) -> NDArray[np.float32]:
    """(num_pairs, 2) log-probabilities under the model as it is now, from `path` if they are there for these inputs."""
    found = read_tensors(path, torch.device("cpu"))
    if found is not None and found[1].get("inputs") == inputs:
        return found[0]["reference"].numpy()
    model.eval()
    measure: Callable[..., Tensor] = partial(answer_log_probabilities, model)
    if qat_group is not None:
        measure = quantization_aware(model, measure, qat_group)
    reference = np.zeros_like(source.reference)
    # By length, so that little is padding.
    order = sorted(range(len(reference)), key=lambda index: max(len(answer.ids) for answer in source._pairs[index]))
    for start in range(0, len(order), batch_size):
        indices = order[start : start + batch_size]
        ids, targets, _ = source.batch(indices)
        assert ids is not None
        assert targets is not None
        with torch.autocast(model.device.type, torch.bfloat16, enabled=precision == "bf16"):
            found_here = measure(ids.to(model.device), targets.to(model.device))
        reference[indices] = found_here.float().cpu().numpy().reshape(2, -1).T
    write_tensors(path, {"reference": torch.from_numpy(reference)}, {"inputs": inputs})
    return reference
