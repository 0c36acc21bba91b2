"""Bringing JSON to its end while there are tokens left for that.

A small model may go on for ever where a schema lets it: digits of a number, characters of a string, items of a list.
Cut off at `max_tokens`, such an answer is no JSON at all. So when the tokens that are left are about as many as the
rest needs at the least, only those are allowed that close what is open: quotes and brackets first, and where more must
follow, the comma in front of it.

How many the rest needs is found by writing it, on a copy. That takes a millisecond or so, and is done again each time
half of the spare tokens are used up.
"""

from collections.abc import Sequence

import llguidance
import numpy as np
from numpy.typing import NDArray

MOST_STEPS = 256
"""Of writing the rest on a copy; what takes more is begun at once."""
_SPARE = 8
"""Tokens beyond what the rest needs, and a quarter of that: the model's choice among equals may lead elsewhere."""
_SOON = 64
"""With so few tokens from the start, the first look is at the start."""


class Closers:
    """The tokens of one vocabulary that close JSON.

    Args:
        pieces: every token's bytes.
    """

    def __init__(self, pieces: Sequence[bytes]) -> None:
        self.pieces = pieces
        self.lengths = np.fromiter(map(len, pieces), np.int32, len(pieces))
        brackets = self._by_length([piece.strip(b"]}") == b"" for piece in pieces])
        self._in_string = self._by_length([piece[:1] == b'"' and piece[1:].strip(b"]}") == b"" for piece in pieces])
        self._outside = (*brackets, *(packed([piece == text for piece in pieces]) for text in (b'""', b'"', b",")))

    def narrow(self, mask: NDArray[np.uint32], state: "JsonState") -> NDArray[np.uint32]:
        """Those of `mask` that close, and most at once; if there are none, those that write most at once."""
        for tier in self._in_string if state.in_string else self._outside:
            closing = mask & tier
            if closing.any():
                return closing
        tokens = _unpacked(mask)
        lengths = self.lengths[tokens]
        longest = tokens[lengths == lengths.max()]
        narrowed = np.zeros_like(mask)
        np.bitwise_or.at(narrowed, longest // 32, np.uint32(1) << (longest % 32).astype(np.uint32))
        return narrowed

    def _by_length(self, chosen: Sequence[bool]) -> tuple[NDArray[np.uint32], ...]:
        """The chosen tokens, the longest first."""
        lengths = self.lengths * np.array(chosen)
        return tuple(packed(lengths == length) for length in np.unique(lengths[lengths > 0])[::-1])


class JsonState:
    """Whether the text so far ends within a string."""

    def __init__(self) -> None:
        self.in_string = False
        self._is_escaped = False

    def push(self, piece: bytes) -> None:
        for byte in piece:
            if self._is_escaped:
                self._is_escaped = False
            elif byte == 0x22:
                self.in_string = not self.in_string
            elif byte == 0x5C:
                self._is_escaped = self.in_string

    def copy(self) -> "JsonState":
        other = JsonState()
        other.in_string, other._is_escaped = self.in_string, self._is_escaped
        return other


class Closing:
    """When one answer must begin to close."""

    def __init__(self, closers: Closers) -> None:
        self.closers = closers
        self.state = JsonState()
        self._look_at: int | None = None
        self._has_begun = False

    def must(self, left: int, matcher: llguidance.LLMatcher) -> bool:
        """Whether to close from here on.

        Args:
            left: tokens that may still be written.
            matcher: where the answer stands.
        """
        if self._look_at is None:
            self._look_at = left if left <= _SOON else left // 2
        if not self._has_begun and left <= self._look_at:
            needed = self._needed(matcher.deep_copy())
            spare = left - needed - needed // 4 - _SPARE
            self._has_begun = spare <= 0
            self._look_at = left - max(1, spare // 2)
        return self._has_begun

    def _needed(self, matcher: llguidance.LLMatcher) -> int:
        """Tokens of the shortest end that is easily found."""
        closers, state = self.closers, self.state.copy()
        end = len(closers.pieces)
        words = np.zeros(end // 32 + 1, np.uint32)
        for count in range(MOST_STEPS):
            matcher.unsafe_compute_mask_ptr(words.ctypes.data, words.nbytes)
            if matcher.is_error() or words[end // 32] >> np.uint32(end % 32) & 1:
                return count
            allowed = closers.narrow(words[: -(-end // 32)], state)
            token = int(_unpacked(allowed)[0])
            matcher.consume_token(token)
            state.push(closers.pieces[token])
        return MOST_STEPS


def packed(chosen: Sequence[bool] | NDArray[np.bool_]) -> NDArray[np.uint32]:
    """Bit t % 32 of word t / 32 is set for the chosen tokens t."""
    octets = np.packbits(np.asarray(chosen, bool), bitorder="little")
    return np.pad(octets, (0, -len(octets) % 4)).view(np.uint32)


def _unpacked(mask: NDArray[np.uint32]) -> NDArray[np.int64]:
    """The tokens of a mask; most masks have few."""
    words = np.flatnonzero(mask)
    bits = np.unpackbits(mask[words].view(np.uint8), bitorder="little").reshape(-1, 32)
    rows, columns = np.nonzero(bits)
    return words[rows] * 32 + columns
