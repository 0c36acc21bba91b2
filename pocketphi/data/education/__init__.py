"""Educational value, 0 to 5: what a text teaches, as a small regressor learnt it from rated examples.

The idea is FineWeb-Edu's (Penedo et al. 2024, section 4): a judge rates a small sample by a written rubric, a cheap
model learns the ratings and scores everything. Here the sample is `rated.jsonl`, short texts written and rated by hand
by the rubric in `docs/curation.md`; `rate_sample` has any other judge rate any other texts, such as a `Backend`
asked with `RUBRIC`.

The regressor is ridge regression, in closed form, on hashed runs of characters and words and on a few counts, so
training takes a second and the same sample gives the same weights. Digits count as one digit: how much
is not the point.
"""

import hashlib
import json
import math
import re
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from functools import lru_cache
from importlib import resources

import numpy as np
from numpy.typing import NDArray

from pocketphi.data.words import Hashes, hash_runs, hash_words, mix
from pocketphi.errors import UserError, shown

HIGHEST = 5.0
RUBRIC = """Rate how much the text teaches a pupil, from 0 to 5. Start at 0 and add a point for each that holds:
it says something true and lasting about the world, not only adverts, menus, chatter or news of a day;
it explains: a how, a why or a meaning, even if it is messy or mixed with other things;
a teacher could use it: it is coherent and stays with its subject;
it is written to teach: it defines, orders its steps, gives worked examples or reasons;
nothing distracts, and a pupil could learn it from this text alone.
Answer with the number alone.

Text:
"""
_COLUMNS = 1 << 15
_READ_CHARACTERS = 3_000
"""A page shows its worth early; longer ones are read in two places."""
_RUNS_OF_CHARACTERS = (3, 4, 5)
_RIDGE = 0.1
"""Of the mean squared length of a text's features."""
_EDGE = 0.05
"""A rating of 0 or 5 counts as this far from the end of the scale."""
_COUNTS_WEIGHT = 0.25
_DIGIT = re.compile(r"\d+")
_DIGITS, _CAPITALS, _SIGNS = re.compile(r"\d"), re.compile("[A-ZÀ-ÖØ-Þ]"), re.compile(r"""[^\w\s.,'"]""")
_WORD = re.compile(r"\w+|[^\w\s]")
_SENTENCE_END = re.compile(r"[.!?。！？]+(?=\s|$)")

Vector = NDArray[np.float32]


@dataclass(frozen=True, kw_only=True)
class Rated:
    """A text and what a judge gave it."""

    text: str
    score: float


@dataclass(frozen=True, kw_only=True)
class Scorer:
    """A trained regressor."""

    weights: Vector
    bias: float
    center: Vector
    scale: Vector

    def digest(self) -> str:
        """SHA-256 of what it learnt."""
        parts = (self.weights, np.float32(self.bias), self.center, self.scale)
        return hashlib.sha256(b"".join(part.tobytes() for part in parts)).hexdigest()

    def score(self, text: str) -> float:
        """Educational value of a text, 0 to 5."""
        value = float(_features(text, self.center, self.scale) @ self.weights) + self.bias
        return HIGHEST / (1.0 + math.exp(-value))


def train_scorer(sample: Sequence[Rated]) -> Scorer:
    """Fit the ratings. The same sample gives the same scorer.

    Raises:
        UserError: fewer than ten texts, or all rated alike.
    """
    scores = np.array([rated.score for rated in sample], dtype=np.float64)
    if len(sample) < 10 or scores.min(initial=HIGHEST) == scores.max(initial=0.0):
        raise UserError(
            f"{len(sample)} rated texts do not show what is good", hint="rate at least ten, some high and some low"
        )
    counts = np.stack([_counts(rated.text) for rated in sample])
    center, scale = counts.mean(axis=0), counts.std(axis=0) + np.float32(1e-3)
    features = np.stack([_features(rated.text, center, scale) for rated in sample]).astype(np.float64)
    # On the logistic scale no text reaches 0 or 5, so the best texts keep their order.
    parts = np.clip(scores / HIGHEST, _EDGE, 1.0 - _EDGE)
    targets = np.log(parts / (1.0 - parts))
    bias = float(targets.mean())
    # The dual form: a system of the size of the sample, not of the number of columns.
    kernel = features @ features.T
    ridge = _RIDGE * float(np.trace(kernel)) / len(sample)
    solution = np.linalg.solve(kernel + ridge * np.eye(len(sample)), targets - bias)
    weights = (features.T @ solution).astype(np.float32)
    return Scorer(weights=weights, bias=bias, center=center, scale=scale)


def read_sample(lines: Iterable[str], where: str) -> list[Rated]:
    """Ratings from JSON lines with `text` and `score`. Raises `UserError` at a line that is none."""
    sample = []
    for number, line in enumerate(lines, 1):
        try:
            row = json.loads(line)
            rated = Rated(text=str(row["text"]), score=float(row["score"]))
        except (ValueError, KeyError, TypeError) as error:
            raise UserError(f"{where}, line {number}: {shown(error)}") from None
        if not 0.0 <= rated.score <= HIGHEST:
            raise UserError(f"{where}, line {number}: score `{rated.score}` is not in 0 to 5")
        sample.append(rated)
    return sample


def rate_sample(texts: Iterable[str], rate: Callable[[str], float]) -> list[Rated]:
    """Have a judge rate texts: a person, or a `Backend` that is asked with `RUBRIC` before the text."""
    return [Rated(text=text, score=min(max(float(rate(RUBRIC + text)), 0.0), HIGHEST)) for text in texts]


def own_sample() -> list[Rated]:
    """The texts in the repository, rated by hand."""
    file = resources.files(__name__).joinpath("rated.jsonl")
    return read_sample(file.read_text(encoding="utf-8").splitlines(), "rated.jsonl")


@lru_cache(maxsize=1)
def own_scorer() -> Scorer:
    """The scorer that the texts in the repository train."""
    return train_scorer(own_sample())


def _features(text: str, center: Vector, scale: Vector) -> Vector:
    """(columns,) of unit length for the hashed part, with the counts behind it."""
    low = _DIGIT.sub("0", _excerpt(text).lower())
    hashed = np.zeros(_COLUMNS, dtype=np.float32)
    words = hash_words(_WORD.findall(low))
    letters = np.frombuffer(low.encode("utf-32-le", "replace"), dtype=np.uint32).astype(np.uint64)
    letters = mix(letters + np.uint64(1 << 40))
    parts = [(1, words, 1.0), (2, words, 1.0)] + [(length, letters, 0.7) for length in _RUNS_OF_CHARACTERS]
    for length, hashes, weight in parts:
        part = _bag(hash_runs(hashes, length), length * (1 if hashes is words else 101))
        norm = float(np.linalg.norm(part))
        if norm > 0:
            hashed += np.float32(weight / norm) * part
    norm = float(np.linalg.norm(hashed)) or 1.0
    counts = np.clip((_counts(text) - center) / scale, -3.0, 3.0) * np.float32(_COUNTS_WEIGHT / np.sqrt(len(center)))
    return np.concatenate((hashed / np.float32(norm), counts.astype(np.float32)))


def _bag(runs: Hashes, salt: int) -> Vector:
    """(columns,) dampened counts with a hashed sign (Weinberger et al. 2009)."""
    bag = np.zeros(_COLUMNS, dtype=np.float32)
    values, counts = np.unique(runs, return_counts=True)
    mixed = mix(values + np.uint64(salt))
    columns = (mixed % np.uint64(_COLUMNS)).astype(np.int64)
    signs = 1.0 - 2.0 * ((mixed >> np.uint64(40)) & np.uint64(1)).astype(np.float32)
    np.add.at(bag, columns, signs * np.log1p(counts).astype(np.float32))
    return bag


def _excerpt(text: str) -> str:
    if len(text) <= _READ_CHARACTERS:
        return text
    half, middle = _READ_CHARACTERS // 2, len(text) // 2
    return text[:half] + "\n" + text[middle : middle + half]


def _counts(text: str) -> Vector:
    """(8,) what the look of a text gives away."""
    text = _excerpt(text)
    words = text.split() or [""]
    lines = [line for line in text.split("\n") if line.strip()] or [""]
    sentences = max(len(_SENTENCE_END.findall(text)), 1)
    size = max(len(text), 1)
    return np.array(
        [
            np.log1p(len(words) / sentences),
            sum(map(len, words)) / len(words),
            len(_DIGITS.findall(text)) / size,
            len(_CAPITALS.findall(text)) / size,
            text.count("!") / sentences,
            text.count("?") / sentences,
            len(_SIGNS.findall(text)) / size,
            sum(line.rstrip().endswith((".", "?", ":", "!", "。")) for line in lines) / len(lines),
        ],
        dtype=np.float32,
    )
