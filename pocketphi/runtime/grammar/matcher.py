"""Following one answer through its grammar."""

import re
from collections.abc import Sequence

import llguidance
import numpy as np
from numpy.typing import NDArray

from pocketphi.errors import UserError, shown
from pocketphi.runtime.grammar.closing import Closing


class GrammarMatcher:
    """Where one answer stands in its grammar (`writer.Matcher`).

    Args:
        matcher: at the beginning.
        rest: the same in the vocabulary for all tokens but the first, if that is another.
        pieces: every token's bytes.
        reachable: packed as the mask: tokens with bytes, and the end.
        closing: brings the answer to its end while tokens are left; None to leave that to the model.
    """

    def __init__(
        self,
        matcher: llguidance.LLMatcher,
        rest: llguidance.LLMatcher | None,
        pieces: Sequence[bytes],
        reachable: NDArray[np.uint32],
        closing: Closing | None,
    ) -> None:
        self._matcher, self._rest, self._pieces = matcher, rest, pieces
        self._reachable, self._closing = reachable, closing
        self._end = len(pieces)
        self._words = np.zeros(self._end // 32 + 1, np.uint32)
        self._mask = self._words[: -(-self._end // 32)]
        self.may_end = False
        self.is_finished = False
        self._look()

    def mask(self, left: int | None = None) -> NDArray[np.uint32]:
        """Bit t % 32 of word t / 32 is set if token t may come next; (ceil(V / 32),), valid until `accept`.

        Args:
            left: tokens that may still be written. Where the answer must close and may end, none is set.
        """
        if self._closing is None:
            return self._mask
        closers, state = self._closing.closers, self._closing.state
        must_close = left is not None and self._closing.must(left, self._matcher)
        if self.may_end and (must_close or state.num_digits >= state.most_digits):
            return np.zeros_like(self._mask)
        mask = closers.shorten(self._mask, state, self._matcher)
        return closers.narrow(mask, state) if must_close else mask

    def accept(self, token: int) -> None:
        """`token` was drawn: one that the mask allowed.

        Raises:
            UserError: following the grammar became too costly.
        """
        piece = self._pieces[token]
        if self._rest is not None:
            piece = piece.removeprefix(b" ")
            self._matcher, self._rest = self._rest, None
            taken = self._matcher.consume_tokens([self._byte(value) for value in piece])
        else:
            taken = self._matcher.consume_token(token)
        if not taken:
            raise error_of(self._matcher.get_error())
        if self._closing is not None:
            self._closing.state.push(piece)
        self._look()

    def _byte(self, value: int) -> int:
        """The token of one byte: every vocabulary whose first token loses a space has all 256."""
        return self._pieces.index(bytes((value,)))

    def _look(self) -> None:
        """Make the mask, and know whether the text may end."""
        self._matcher.unsafe_compute_mask_ptr(self._words.ctypes.data, self._words.nbytes)
        if self._matcher.is_error():
            raise error_of(self._matcher.get_error())
        self._words &= self._reachable  # a grammar may name a control token by its number
        word, bit = self._end // 32, np.uint32(1 << self._end % 32)
        self.may_end = bool(self._words[word] & bit)
        self._words[word] &= ~bit
        self.is_finished = self.may_end and not self._mask.any()


def error_of(text: str) -> UserError:
    """What llguidance says is wrong, as a message of ours."""
    if "NoExtension" in text:
        return UserError("the grammar allows no text at all", hint="check references that lead to themselves")
    if "Unable to determine" in text:
        return UserError("the JSON schema joins conditions on one text that cannot be kept to together")
    if (
        text.startswith("panic")
        or "fuel" in text
        or "limit" in text
        or "too many" in text.lower()
        or "too large" in text
    ):
        return UserError("the grammar is too costly to keep to", hint="make it smaller")
    keys = re.search(r"Unimplemented keys: \[(.*?)\]", text)
    if keys is not None:
        named = ", ".join(f"`{key}`" for key in re.findall(r'"(.*?)"', keys[1]))
        return UserError(f"the JSON schema uses {named}, which cannot be kept to", hint="leave it out, or express it")
    unknown = re.search(r"Unknown format: (\S+)", text)
    if unknown is not None:
        named = f"the JSON schema has the format `{shown(unknown[1])}`, which cannot be kept to"
        return UserError(named, hint="leave it out, or say it with `pattern`")
    if "oneOf" in text:
        return UserError("the JSON schema has a `oneOf` whose parts may overlap", hint="use `anyOf`")
    line = re.sub(r"^at \d+\(\d+\): |^\d+\(\d+\): ", "", text).partition("\n   1 |")[0]
    problem = line.removeprefix("failed to compile JSON schema: ")
    where = "grammar" if problem == line else "JSON schema"
    return UserError(f"the {where} is not usable: {shown(' '.join(problem.split()), 200)}")
