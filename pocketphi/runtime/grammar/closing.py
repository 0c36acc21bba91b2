"""Bringing JSON to its end while there are tokens left for that.

A small model may go on for ever where a schema lets it: digits of a number, characters of a string, items of a list.
Cut off at `max_tokens`, such an answer is no JSON at all. So when the tokens that are left are about as many as the
rest needs at the least, only those are allowed that close what is open: quotes and brackets first, and where more must
follow, the comma in front of it.

Numbers are as long as doubles are exact: after sixteen digits, or ten behind the point, or two of an exponent, a number
ends as soon as the schema lets it. A reader who rounds might else find a bound touched that the thirtieth decimal kept.

How many the rest needs is found by writing it, on a copy. That takes a millisecond or so, and is done again each time
half of the spare tokens are used up.
"""

from collections.abc import Sequence
from copy import copy

import llguidance
import numpy as np
from numpy.typing import NDArray

MOST_STEPS = 256
"""Of writing the rest on a copy; what takes more is begun at once."""
_MOST_DIGITS = (16, 10, 2, 2)
"""Of a number in front of the point, behind it, and of an exponent after `e` or `E`; more if the schema needs them."""
_MOST_TRIES = 4
"""Digits of a number that are chosen with a look at what follows: a millisecond or two each."""
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
        self._number = packed([piece[:1].isdigit() or piece[:1] in (b".", b"e", b"E") for piece in pieces])
        """With which a number goes on."""
        self._digits = [token for token, piece in enumerate(pieces) if len(piece) == 1 and piece.isdigit()]
        self._at, self._space = (packed([piece == text for piece in pieces]) for text in (b"@", b" "))
        self._outside = (*brackets, *(packed([piece == text for piece in pieces]) for text in (b'""', b'"', b",")))

    def shorten(
        self, mask: NDArray[np.uint32], state: "JsonState", matcher: llguidance.LLMatcher
    ) -> NDArray[np.uint32]:
        """Those of `mask` that end a number which is long enough, or lead there."""
        if state.num_digits < state.most_digits:
            return mask
        ending = mask & ~self._number
        if not ending.any() and state.num_digits < state.most_digits + _MOST_TRIES:
            ending = mask & self._before_end(matcher)
        return ending if ending.any() else mask

    def _before_end(self, matcher: llguidance.LLMatcher) -> NDArray[np.uint32]:
        """A digit behind which the number may end, or needs one more: enough for a `multipleOf` up to 100."""
        following = {digit: _after(matcher, digit) for digit in self._digits}
        for digit, state in following.items():
            if self._may_end(state):
                return self._only(digit)
        for digit, state in following.items():
            if not state.is_error() and any(self._may_end(_after(state, last)) for last in self._digits):
                return self._only(digit)
        return np.zeros_like(self._number)

    def _may_end(self, matcher: llguidance.LLMatcher) -> bool:
        """Whether a number may end here."""
        if matcher.is_error():
            return False
        words = look(matcher, len(self.pieces))
        size = len(self._number)
        return bool((words[:size] & ~self._number).any() or words[size:].any())

    def _only(self, token: int) -> NDArray[np.uint32]:
        mask = np.zeros_like(self._number)
        mask[token // 32] = 1 << token % 32
        return mask

    def narrow(self, mask: NDArray[np.uint32], state: "JsonState") -> NDArray[np.uint32]:
        """Those of `mask` that close, and most at once; if there are none, the one that writes most at once."""
        for tier in self._in_string if state.in_string else self._outside:
            closing = mask & tier
            if closing.any():
                return closing
        at = mask & self._at
        if state.in_string and at.any() and not (mask & self._space).any():
            return at  # an address may not end before it, and no other format has it
        tokens = _unpacked(mask)
        return self._only(int(tokens[np.argmax(self.lengths[tokens])]))

    def _by_length(self, chosen: Sequence[bool]) -> tuple[NDArray[np.uint32], ...]:
        """The chosen tokens, the longest first."""
        lengths = self.lengths * np.array(chosen)
        return tuple(packed(lengths == length) for length in np.unique(lengths[lengths > 0])[::-1])


class JsonState:
    """Whether the text so far ends within a string, or a number, and with how many digits of it."""

    def __init__(self) -> None:
        self.in_string = False
        self.num_digits = 0
        """Of a number's part: in front of the point, behind it, or in the exponent."""
        self.most_digits = _MOST_DIGITS[0]
        self._is_escaped = False

    def push(self, piece: bytes) -> None:
        for byte in piece:
            if self._is_escaped:
                self._is_escaped = False
            elif byte == 0x22:
                self.in_string = not self.in_string
            elif self.in_string:
                self._is_escaped = byte == 0x5C
            elif 0x30 <= byte <= 0x39:
                self.num_digits += 1
            elif byte in b"+-":
                pass  # of a number, or of its exponent
            else:
                self.num_digits = 0
                self.most_digits = _MOST_DIGITS[b".eE".find(byte) + 1]

    def copy(self) -> "JsonState":
        return copy(self)


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
        for count in range(MOST_STEPS):
            words = look(matcher, end)
            if matcher.is_error() or words[end // 32] >> np.uint32(end % 32) & 1:
                return count
            allowed = closers.narrow(closers.shorten(words[: -(-end // 32)], state, matcher), state)
            token = int(_unpacked(allowed)[0])
            matcher.consume_token(token)
            state.push(closers.pieces[token])
        return MOST_STEPS


def look(matcher: llguidance.LLMatcher, vocab_size: int) -> NDArray[np.uint32]:
    """A fresh mask, with the bit behind the last token for the end of the text."""
    words = np.zeros(vocab_size // 32 + 1, np.uint32)
    matcher.unsafe_compute_mask_ptr(words.ctypes.data, words.nbytes)
    return words


def _after(matcher: llguidance.LLMatcher, token: int) -> llguidance.LLMatcher:
    """The state after one more token; one in error if it may not come."""
    following = matcher.deep_copy()
    following.consume_token(token)
    return following


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
