"""What sequences begin with in common, computed once.

Benchmarks put the same worked examples in front of every question. Taken in the order of their tokens, sequences that
begin alike are neighbours; `Prefixes` walks along them with a chain of sessions, each a fork of the one before that has
read some tokens more. A sequence starts as a fork of the chain's end, and a link closes as soon as no later sequence
begins with it. The engine's bits do not depend on how a text is cut into steps, so neither do results.

Pages of cached keys have a fixed budget. A sequence is handed out when the pages it may come to own are free beside
those that the sequences in flight may still take, so a batch shrinks where memory is short. One that has no room beside
the chain is read anew and alone, which takes no more than a single request does.
"""

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from types import TracebackType
from typing import Self

from pocketphi.runtime.abi import Positions
from pocketphi.runtime.native import NativeEngine, NativeSession
from pocketphi.runtime.pages import Pages

MIN_SHARED_TOKENS = 16
"""Fewer tokens than these cost less in the step of the sequence itself than in a step of their own."""


@dataclass(frozen=True, eq=False)
class Leaf:
    """A sequence in flight."""

    index: int
    """Of the sequence."""
    session: NativeSession
    start: int
    """Tokens that the session began with."""
    rest: tuple[int, ...]
    """The sequence's other tokens, at least one: the session has not read them when it is handed out."""
    pages: int
    """The most that this session comes to own, apart from those it shares."""


class Prefixes:
    """Sessions for sequences that may begin alike; a context manager that closes what is open.

    Args:
        sequences: of one or more tokens.
        longest: tokens that each may grow to.
    """

    def __init__(self, engine: NativeEngine, sequences: Sequence[tuple[int, ...]], longest: Sequence[int]) -> None:
        self.pages = Pages(engine)
        self._engine = engine
        self._order = sorted(range(len(sequences)), key=sequences.__getitem__)
        self._sequences = [sequences[index] for index in self._order]
        self._longest = [longest[index] for index in self._order]
        self._common = [common_length(*pair) for pair in zip(self._sequences, self._sequences[1:], strict=False)]
        self._next = 0
        self._chain: list[NativeSession] = []
        self._open: set[NativeSession] = set()

    def take(self, most: int, flying: Collection[Leaf] = ()) -> list[Leaf]:
        """The next sequences, as many as there is room for: none only if all were taken, or some are `flying`."""
        taken: list[Leaf] = []
        while len(taken) < most and self._next < len(self._order):
            sequence, longest = self._sequences[self._next], self._longest[self._next]
            common = self._common[self._next - 1] if self._next else 0
            while self._chain and self._chain[-1].length > common:
                self.close(self._chain.pop())
            links = self._links()
            needed, start = 0, self._chain[-1].length if self._chain else 0
            for link in links:
                needed += self._own_pages(start, link)
                start = link
            pages = self._own_pages(start, longest)
            if needed + pages > self.pages.free - sum(map(self._owed_pages, (*flying, *taken))):
                if taken or flying:
                    break
                while self._chain:
                    self.close(self._chain.pop())
                links, pages = [], self._own_pages(0, longest)
            for link in links:
                self._extend(sequence[:link])
            session = self._fork(self._chain[-1] if self._chain else None)
            start = session.length
            taken.append(Leaf(self._order[self._next], session, start, sequence[start:], pages))
            self._next += 1
        return taken

    def fork(self, leaf: Leaf) -> NativeSession:
        """A second session with what the leaf's has read; `close` takes it too."""
        return self._fork(leaf.session)

    def close(self, session: NativeSession) -> None:
        """Free a session that is no longer needed."""
        self._open.discard(session)
        session.close()

    def _links(self) -> list[int]:
        """Lengths to which the chain must grow before the next sequence: where later ones part from it."""
        sequence = self._sequences[self._next]
        read = self._chain[-1].length if self._chain else 0
        # At least one token is left for the sequence's own step, whose logits somebody wants.
        shared, partings = len(sequence) - 1, []
        for place in range(self._next, len(self._common)):
            shared = min(shared, self._common[place])
            if shared < read + MIN_SHARED_TOKENS or shared <= self.pages.border < len(sequence):
                break
            partings.append(shared)
        links: list[int] = []
        for parting in reversed(partings):
            if parting >= read + MIN_SHARED_TOKENS:
                links.append(parting)
                read = parting
        return links

    def _extend(self, prefix: tuple[int, ...]) -> None:
        """Add a link that has read `prefix`."""
        session = self._fork(self._chain[-1] if self._chain else None)
        session.step(prefix[session.length :], logits=Positions.NONE)
        self._chain.append(session)

    def _own_pages(self, start: int, length: int) -> int:
        return self.pages.own(start, length, restarts=start <= self.pages.border < length)

    def _owed_pages(self, leaf: Leaf) -> int:
        """Pages that a sequence in flight may still take."""
        return self.pages.owed(leaf.start, leaf.session.length, leaf.pages)

    def _fork(self, session: NativeSession | None) -> NativeSession:
        fork = self._engine.session() if session is None else session.fork()
        self._open.add(fork)
        return fork

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        for session in tuple(self._open):
            self.close(session)


def common_length(first: Sequence[int], second: Sequence[int]) -> int:
    """How many items two sequences begin with in common."""
    pairs = zip(first, second, strict=False)
    return next((i for i, (a, b) in enumerate(pairs) if a != b), min(len(first), len(second)))
