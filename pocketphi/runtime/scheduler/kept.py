"""The prefix cache: sequences that are finished, kept until their pages are needed.

A conversation comes back with one turn more, and most of it has been read already. So the session of an ended answer
stays, and the next job that begins with the same tokens starts from a fork of it, which shares the full pages and
copies the last. What is kept is found by comparing tokens, never by a hash of them, and only by jobs of the same
tenant: how fast an answer begins tells nobody what others have asked.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from pocketphi.runtime.native import NativeSession

MOST_KEPT = 256
"""Looking one up takes some microseconds."""
FEWEST_TOKENS = 16
"""Fewer than these are read again in less time than a fork takes."""

Ids = NDArray[np.int32]


@dataclass(eq=False, frozen=True, kw_only=True)
class KeptPrefix:
    """A session with the tokens that it has read."""

    tenant: str
    tokens: Ids
    session: NativeSession
    is_long: bool
    """Whether its keys are turned as beyond LongRoPE's border."""


class KeptPrefixes:
    """Sessions by use, the longest unused first."""

    def __init__(self) -> None:
        self._kept: list[KeptPrefix] = []

    def __len__(self) -> int:
        return len(self._kept)

    def add(self, new: KeptPrefix) -> None:
        """Keep a session. Those of its tenant that it continues have nothing more to give, and go."""
        if len(new.tokens) < FEWEST_TOKENS:
            new.session.close()
            return
        for kept in tuple(self._kept):
            length = len(kept.tokens)
            is_alike = kept.tenant == new.tenant and kept.is_long == new.is_long and length <= len(new.tokens)
            if is_alike and common_length(kept.tokens, new.tokens) == length:
                self._drop(kept)
        self._kept.append(new)
        if len(self._kept) > MOST_KEPT:
            self.drop_oldest()

    def longest(self, tenant: str, tokens: Ids, *, is_long: bool) -> tuple[KeptPrefix | None, int]:
        """The kept session that begins most like `tokens`, and for how many of them."""
        best: KeptPrefix | None = None
        most = 0
        for kept in self._kept:
            if kept.tenant == tenant and kept.is_long == is_long:
                length = common_length(kept.tokens, tokens)
                if length > most:
                    best, most = kept, length
        return best, most

    def touch(self, kept: KeptPrefix) -> None:
        """It was of use: it goes last."""
        self._kept.remove(kept)
        self._kept.append(kept)

    def drop_oldest(self) -> bool:
        """Free the session that was unused for longest; False if there is none."""
        if not self._kept:
            return False
        self._drop(self._kept[0])
        return True

    def clear(self) -> None:
        while self.drop_oldest():
            pass

    def _drop(self, kept: KeptPrefix) -> None:
        self._kept.remove(kept)
        kept.session.close()


def common_length(first: Ids, second: Ids) -> int:
    """How many tokens two sequences begin with in common."""
    shorter = min(len(first), len(second))
    differs = first[:shorter] != second[:shorter]
    place = int(differs.argmax()) if shorter else 0
    return place if shorter and differs[place] else shorter


def ids(tokens: Sequence[int]) -> Ids:
    return np.asarray(tokens, np.int32)
