"""Held-out questions out of training text.

Three signs, over words without case and punctuation:

- the whole question stands in the text, whatever its length (a question below `MIN_WORDS` words must be a line);
- a run of 13 words of it does (Brown et al. 2020, appendix C);
- runs of 8 words cover much of it (Touvron et al. 2023, appendix A.6, count covered words in this way).

Most of a question counts as the whole one: three quarters of its runs of 8 words. Other runs that several questions
share, or that stand in more than `MAX_TEXTS` texts, are phrases of the language and not of one question, and do not
count (Brown et al. 2020 leave out runs that occur more than ten times). This matters where questions are made from
templates: `how many apples does she have now` is no leak. Copies of a text count once: a leak does not become a phrase
by being copied.
"""

import math
from collections import Counter, defaultdict
from collections.abc import Container, Iterable, Mapping
from dataclasses import dataclass

import numpy as np

from pocketphi.data.words import Hashes, hash_runs, hash_words, words_of

LONG_RUN, RUN = 13, 8
MIN_COVERED = 0.4
"""Part of a question's own runs of 8 words that a text must hold."""
MIN_RUNS = 3
"""A question with fewer own runs of 8 words is left to the other signs."""
MOST = 0.75
"""Part of all runs of 8 words of a question that is as good as the whole."""
MAX_TEXTS = 10
MIN_WORDS = 4


@dataclass(frozen=True, kw_only=True)
class Overlap:
    """What a text shares with the questions."""

    whole: bool
    most: bool = False
    """Most of a question."""
    runs: tuple[int, ...]
    """Hashes of the shared runs of 8 and 13 words."""


NO_OVERLAP = Overlap(whole=False, runs=())


class Questions:
    """An index of protected texts."""

    def __init__(self, protected: Iterable[str]) -> None:
        self._own: list[frozenset[int]] = []
        whole: dict[int, set[int]] = defaultdict(set)
        lines: set[tuple[str, ...]] = set()
        runs: dict[int, list[set[int]]] = {RUN: [], LONG_RUN: []}
        for words in sorted({tuple(words_of(text)) for text in protected}):
            if len(words) < MIN_WORDS:
                lines.add(words)
                continue
            hashes = hash_words(words)
            whole[len(words)].add(int(hash_runs(hashes, len(words))[0]))
            for length, found in runs.items():
                found.append({int(value) for value in hash_runs(hashes, length)})
        self._holders: dict[int, list[int]] = defaultdict(list)
        for number, values in enumerate(runs[RUN]):
            for value in values if len(values) >= MIN_RUNS else ():
                self._holders[value].append(number)
        # In a short question the last two words are more than a quarter of the runs.
        self._needed = [max(MIN_RUNS, min(math.ceil(MOST * len(values)), len(values) - 2)) for values in runs[RUN]]
        self._lines = frozenset(lines - {()})
        self._whole = {length: _sorted(values) for length, values in sorted(whole.items())}
        self._runs = {length: _sorted(set().union(*found)) for length, found in runs.items()}
        counts = {length: Counter(value for values in found for value in values) for length, found in runs.items()}
        self._long = frozenset(value for value, count in counts[LONG_RUN].items() if count == 1)
        for values in runs[RUN]:
            own = frozenset(value for value in values if counts[RUN][value] == 1)
            if len(own) >= MIN_RUNS:
                self._own.append(own)
        self._owner = {value: number for number, own in enumerate(self._own) for value in own}

    def overlap(self, text: str) -> Overlap:
        """What one text shares with the questions; `contaminated` judges it once all texts are known."""
        if not self._whole and not self._lines:
            return NO_OVERLAP
        whole = bool(self._lines) and any(tuple(words_of(line)) in self._lines for line in text.split("\n") if line)
        hashes = hash_words(words_of(text))
        eights = _common(hash_runs(hashes, RUN), self._runs[RUN])
        for length, values in self._whole.items():
            # Without a common run of 8 there is no longer one.
            if whole or (length >= RUN and len(eights) == 0):
                break
            whole = len(_common(hash_runs(hashes, length), values)) > 0
        longs = _common(hash_runs(hashes, LONG_RUN), self._runs[LONG_RUN]) if len(eights) else eights
        runs = [int(value) for value in eights if int(value) in self._owner]
        runs += [int(value) for value in longs if int(value) in self._long]
        return Overlap(whole=whole, most=self._holds_most(eights), runs=tuple(sorted(runs)))

    def _holds_most(self, eights: Hashes) -> bool:
        held = Counter(number for value in eights for number in self._holders.get(int(value), ()))
        return any(count >= self._needed[number] for number, count in held.items())

    def contaminated(self, overlaps: Mapping[str, Overlap], copies: Container[str] = ()) -> dict[str, str]:
        """From the id of each contaminated text to the sign that told.

        Args:
            overlaps: of all texts that share anything, by id.
            copies: those of them that are copies of others, so that they do not count in telling a phrase.
        """
        texts = Counter(
            value for name, overlap in overlaps.items() if name not in copies for value in set(overlap.runs)
        )
        reasons: dict[str, str] = {}
        for name, overlap in sorted(overlaps.items()):
            rare = {value for value in overlap.runs if texts[value] <= MAX_TEXTS}
            if overlap.whole:
                reasons[name] = "whole question"
            elif overlap.most:
                reasons[name] = "most of a question"
            elif rare & self._long:
                reasons[name] = "13 words of a question"
            elif self._is_covered(rare, texts):
                reasons[name] = "8-word runs of a question"
        return reasons

    def _is_covered(self, rare: set[int], texts: Mapping[int, int]) -> bool:
        found = Counter(self._owner[value] for value in rare if value in self._owner)
        for number, count in found.items():
            own = self._own[number]
            common = sum(texts.get(value, 0) > MAX_TEXTS for value in own)
            if count >= MIN_RUNS and count >= MIN_COVERED * (len(own) - common):
                return True
        return False


def _sorted(values: set[int]) -> Hashes:
    return np.array(sorted(values), dtype=np.uint64)


def _common(runs: Hashes, values: Hashes) -> Hashes:
    if len(runs) == 0 or len(values) == 0:
        return np.zeros(0, dtype=np.uint64)
    runs = np.unique(runs)
    places = np.searchsorted(values, runs)
    places[places == len(values)] = 0
    found: Hashes = runs[values[places] == runs]
    return found
