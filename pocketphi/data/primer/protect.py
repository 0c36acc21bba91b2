"""Keeps held-out questions out of everything else.

Names and combinations of numbers are held out when they are drawn. What is left are runs of ordinary words that a
held-out question shares with another one, such as `how many apples are left in the green box`. Decontamination by
n-grams would drop every page with such a run, so a problem that shares eight words in a row with a held-out
question is drawn again.
"""

import re
from collections.abc import Iterable

_WORD = re.compile(r"\w+")
RUN = 8
"""Words in a row that make two texts suspicious: the shorter n-gram of decontamination."""


def runs(text: str) -> set[str]:
    """All runs of eight words, lower case, without punctuation."""
    words = _WORD.findall(text.lower())
    return {" ".join(words[start : start + RUN]) for start in range(len(words) - RUN + 1)}


def all_runs(texts: Iterable[str]) -> frozenset[str]:
    """The runs of all texts."""
    return frozenset(run for text in texts for run in runs(text))
