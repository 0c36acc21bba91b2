"""Rows of one length out of documents of all lengths, and the parts of a corpus by their shares.

A row holds whole documents wherever they fit (best-fit packing, Ding et al. 2024, "Fewer Truncations Improve
Language Modeling"): in a stream that is cut every `length` ids most documents lose their head or their tail, and
with it what an answer refers to. Only a document longer than a row is cut, between two paragraphs where that is
possible, and its pieces are packed like documents. Every id of a part is in exactly one row of an epoch; what is left
of a row is padding, a few in a hundred.

Order is a function of the seed, the part's name, the epoch and the position, so nothing random is kept for a
resume: a `Mixture` goes on from the few numbers of its `position`. Documents are shuffled in groups, so an
epoch over billions of documents costs no more memory than one group.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from pocketphi.data.pack import TokenShard
from pocketphi.errors import UserError

GROUP_DOCUMENTS = 1 << 16


@dataclass(frozen=True)
class Piece:
    """A stretch of a shard that goes into one row."""

    start: int
    stop: int


@dataclass(frozen=True, eq=False)
class Row:
    """What a model reads at a time: pieces of documents, then padding."""

    ids: NDArray[np.int64]
    """(length,)"""
    positions: NDArray[np.int64]
    """(length,) how far each id is into its piece, so that 0 starts another; padding counts on."""


def best_fit(lengths: Sequence[int], capacity: int) -> list[list[int]]:
    """Put items into as few bins as best-fit decreasing needs.

    The longest first, each into the fullest bin that still has room. Free room is a whole number up to
    `capacity`, so the bins lie in buckets by it and the tightest fit is one bit scan.

    Args:
        lengths: 1 to `capacity` each.

    Returns:
        Indices into `lengths` by bin; every index once.
    """
    bins: list[list[int]] = []
    by_room: list[list[int]] = [[] for _ in range(capacity + 1)]
    rooms = 0  # bit r: some bin has room r
    for index in sorted(range(len(lengths)), key=lambda item: -lengths[item]):
        length = lengths[index]
        fitting = rooms >> length
        if fitting:
            room = length + ((fitting & -fitting).bit_length() - 1)
            chosen = by_room[room].pop()
            if not by_room[room]:
                rooms ^= 1 << room
            bins[chosen].append(index)
        else:
            room, chosen = capacity, len(bins)
            bins.append([index])
        if room > length:
            by_room[room - length].append(chosen)
            rooms |= 1 << (room - length)
    return bins


def pieces(
    ids: NDArray[Any], offsets: NDArray[np.int64], capacity: int, breaks: NDArray[np.bool_] | None = None
) -> list[Piece]:
    """Documents as pieces of at most `capacity` ids.

    Args:
        ids: (num_tokens,) of the shard.
        offsets: (num_documents + 1,) where each starts, and the end.
        breaks: by id, whether a paragraph ends with it.
    """
    found = []
    for start, stop in zip(offsets[:-1].tolist(), offsets[1:].tolist(), strict=True):
        if stop - start <= capacity:
            found.append(Piece(start, stop))
        elif breaks is None:
            found += [Piece(first, min(first + capacity, stop)) for first in range(start, stop, capacity)]
        else:
            found += _paragraphs(ids, start, stop, capacity, breaks)
    return found


def _paragraphs(ids: NDArray[Any], start: int, stop: int, capacity: int, breaks: NDArray[np.bool_]) -> Iterator[Piece]:
    """As many paragraphs at a time as fit in half a row; longer pieces leave room that nothing fits in (measured on
    lessons of 740 ids and rows of 257: 14 % padding against 5 %). A longer paragraph stands alone."""
    half = capacity // 2
    while stop - start > half:
        ends = start + 1 + np.flatnonzero(breaks[ids[start : min(start + capacity, stop)]])
        near = ends[ends <= start + half]
        end = int(near[-1]) if len(near) else int(ends[0]) if len(ends) else min(start + capacity, stop)
        yield Piece(start, end)
        start = end
    if start < stop:
        yield Piece(start, stop)


class PackedPart:
    """The rows of one part, epoch after epoch, without end."""

    def __init__(
        self, shard: TokenShard, *, length: int, pad: int, seed: int, breaks: NDArray[np.bool_] | None = None
    ) -> None:
        if not shard.num_tokens:
            raise UserError(f"the part `{shard.name}` has no documents", hint="see what the filters dropped")
        self.shard = shard
        self.length = length
        self._pad = pad
        self._seed = seed
        self._breaks = breaks
        self._groups = -(-shard.num_documents // GROUP_DOCUMENTS)
        self.epoch, self._group, self._row = 0, 0, 0
        self._rows: list[list[Piece]] | None = None

    def take(self) -> Row:
        """The next one."""
        if self._rows is None:
            self._rows = self._pack_group()
        row = Row(np.full(self.length, self._pad, np.int64), np.arange(self.length))
        filled = 0
        for piece in self._rows[self._row]:
            end = filled + piece.stop - piece.start
            row.ids[filled:end] = self.shard.ids[piece.start : piece.stop]
            row.positions[filled:] = np.arange(self.length - filled)
            filled = end
        self._row += 1
        if self._row == len(self._rows):
            self._rows, self._row, self._group = None, 0, self._group + 1
            if self._group == self._groups:
                self._group, self.epoch = 0, self.epoch + 1
        return row

    @property
    def position(self) -> list[int]:
        """Epoch, group and row that come next."""
        return [self.epoch, self._group, self._row]

    def seek(self, position: Sequence[int]) -> None:
        """Go on at a `position` of a part that was made alike."""
        self.epoch, self._group, self._row = position
        self._rows = None

    @property
    def bookmark(self) -> dict[str, int]:
        """Where to go on in another run; `resume` takes it."""
        return {"length": self.length, "seed": self._seed, "epoch": self.epoch, "group": self._group, "row": self._row}

    def resume(self, bookmark: Mapping[str, int]) -> None:
        """Go on behind what another run read. Rows of another length hold other documents, so then the next epoch
        starts, in its own order."""
        if (bookmark["length"], bookmark["seed"]) == (self.length, self._seed):
            self.seek([bookmark["epoch"], bookmark["group"], bookmark["row"]])
        else:
            self.seek([bookmark["epoch"] + 1, 0, 0])

    def _pack_group(self) -> list[list[Piece]]:
        group = int(self._random(0).permutation(self._groups)[self._group])
        start = group * GROUP_DOCUMENTS
        offsets = self.shard.offsets[start : start + GROUP_DOCUMENTS + 1]
        found = pieces(self.shard.ids, offsets, self.length, self._breaks)
        random = self._random(1 + group)
        # Shuffled before packing too: that order breaks ties, and stands inside a row (not the longest first).
        found = [found[index] for index in random.permutation(len(found))]
        rows = [
            [found[index] for index in sorted(row)]
            for row in best_fit([piece.stop - piece.start for piece in found], self.length)
        ]
        return [rows[index] for index in random.permutation(len(rows))]

    def _random(self, stream: int) -> np.random.Generator:
        return np.random.default_rng([self._seed, *self.shard.name.encode(), self.epoch, stream])


class Mixture:
    """Rows from several parts, so that each part's share of the ids is kept to within a row at any time."""

    def __init__(self, parts: Sequence[PackedPart], shares: Mapping[str, float]) -> None:
        total = sum(shares.values())
        self._parts = {part.shard.name: part for part in parts}
        self._shares = {name: shares[name] / total for name in self._parts}
        self.tokens = dict.fromkeys(self._parts, 0)
        """Ids handed out by part, padding not counted."""

    def take(self) -> Row:
        """The next one, of the part that is furthest behind its share."""
        given = sum(self.tokens.values())
        name = max(self._parts, key=lambda part: self._shares[part] * (given + 1) - self.tokens[part])
        part = self._parts[name]
        row = part.take()
        self.tokens[name] += int(np.count_nonzero(row.ids != part._pad))
        return row

    @property
    def position(self) -> dict[str, Any]:
        """JSON values that `seek` takes."""
        return {"tokens": dict(self.tokens), "parts": {name: part.position for name, part in self._parts.items()}}

    def seek(self, position: Mapping[str, Any]) -> None:
        """Go on at a `position` of a mixture that was made alike."""
        self.tokens = dict(position["tokens"])
        for name, part in self._parts.items():
            part.seek(position["parts"][name])
