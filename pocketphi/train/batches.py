"""Rows of ids to what a step learns from.

A batch is three tensors (B, T): `inputs`, `targets` (the id that follows each input, or IGNORED where nothing is
to be learnt: padding, a user's words) and `positions` (each document of a row counts from 0, so the decoder keeps
them apart).
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from pocketphi.data.mixture import Mixture, best_fit

IGNORED = -100
"""Target without a loss; the number that PyTorch's cross-entropy skips."""


@dataclass(frozen=True)
class Step:
    """What one optimizer step learns from."""

    micro_batches: Sequence[tuple[Tensor | None, ...]]
    """Arguments of the loss, one call after the other."""
    count: int
    """What the sums of all micro-batches are divided by: targets, or pairs. Known before the first of them, so
    that the gradient does not depend on how a batch is cut."""
    tokens: int
    """Ids in it that are no padding."""


class Source(Protocol):
    """Where steps come from."""

    def take(self) -> Step:
        """The next."""

    @property
    def position(self) -> dict[str, Any]:
        """JSON values from which `seek` goes on."""

    def seek(self, position: dict[str, Any]) -> None:
        """Go on there."""


class MixtureSource:
    """Rows of a mixture, whose pieces do not see each other: every id is a target but the first of each piece.

    Args:
        mixture: its rows have one id more than a sequence.
    """

    def __init__(self, mixture: Mixture, *, batch_size: int, accumulate: int, pad: int) -> None:
        self._mixture = mixture
        self._batch_size, self._accumulate, self._pad = batch_size, accumulate, pad

    def take(self) -> Step:
        rows = [self._mixture.take() for _ in range(self._batch_size)]
        ids, positions = (np.stack(arrays) for arrays in zip(*((row.ids, row.positions) for row in rows), strict=True))
        is_text = ids != self._pad
        targets = np.where(is_text[:, 1:] & (positions[:, 1:] > 0), ids[:, 1:], IGNORED)
        return Step(
            micro_batches=cut(ids[:, :-1], targets, positions[:, :-1], parts=self._accumulate),
            count=int(np.count_nonzero(targets != IGNORED)),
            tokens=int(np.count_nonzero(is_text)),
        )

    @property
    def position(self) -> dict[str, Any]:
        return self._mixture.position

    def seek(self, position: dict[str, Any]) -> None:
        self._mixture.seek(position)


class ListSource:
    """Examples that fit in memory, a few times over, each epoch packed into rows and shuffled in its own way.

    Args:
        examples: (ids, learnt) each: at most `length` + 1 ids, and which of them are targets.
        length: T.
        seed: of the order.
    """

    def __init__(
        self,
        examples: Sequence[tuple[NDArray[np.int64], NDArray[np.bool_]]],
        *,
        length: int,
        batch_size: int,
        accumulate: int,
        epochs: int,
        pad: int,
        seed: int,
    ) -> None:
        self._examples, self._length, self._pad = examples, length, pad
        self._batch_size, self._accumulate = batch_size, accumulate
        self._rows = list(self._plan(epochs, seed))
        self._next = 0

    @property
    def steps(self) -> int:
        """How many there are."""
        return -(-len(self._rows) // self._batch_size)

    def take(self) -> Step:
        start = self._next * self._batch_size
        self._next += 1
        inputs = np.full((self._batch_size, self._length + 1), self._pad, np.int64)
        learnt = np.zeros(inputs.shape, np.bool_)
        positions = np.tile(np.arange(self._length + 1), (self._batch_size, 1))
        tokens = 0
        for index, row in enumerate(self._rows[start : start + self._batch_size]):
            filled = 0
            for item in row:
                ids, mask = self._examples[item]
                place = slice(filled, filled + len(ids))
                inputs[index, place], learnt[index, place] = ids, mask
                positions[index, place] = np.arange(len(ids))
                filled += len(ids)
            positions[index, filled:] = np.arange(self._length + 1 - filled)
            tokens += filled
        targets = np.where(learnt[:, 1:], inputs[:, 1:], IGNORED)
        return Step(
            micro_batches=cut(inputs[:, :-1], targets, positions[:, :-1], parts=self._accumulate),
            count=int(np.count_nonzero(targets != IGNORED)),
            tokens=tokens,
        )

    @property
    def position(self) -> dict[str, Any]:
        return {"next": self._next}

    def seek(self, position: dict[str, Any]) -> None:
        self._next = position["next"]

    def _plan(self, epochs: int, seed: int) -> Iterator[list[int]]:
        for epoch in range(epochs):
            random = np.random.default_rng([seed, epoch])
            order = random.permutation(len(self._examples)).tolist()
            rows = best_fit([len(self._examples[item][0]) for item in order], self._length + 1)
            for row in random.permutation(len(rows)):
                yield [order[item] for item in sorted(rows[row])]


def cut(*arrays: NDArray[np.int64] | None, parts: int) -> list[tuple[Tensor | None, ...]]:
    """Batches of rows as micro-batches of tensors."""
    cuts = [[None] * parts if array is None else np.array_split(array, parts) for array in arrays]
    return [
        tuple(None if part is None else torch.from_numpy(np.ascontiguousarray(part)) for part in micro)
        for micro in zip(*cuts, strict=True)
    ]
