"""Was it in the training corpus? Overlap of test items with the texts that a model was trained on.

Three rules, over words without case, punctuation and markup (`pocketphi.data.words`):

- `13 words`: a run of 13 words of the question stands in the corpus (Brown et al. 2020, appendix C), or all of a
  question that is shorter;
- `8 words`: runs of 8 words cover 70 % of the question's words (the share of Chowdhery et al. 2022, section 8, counted
  in words as Touvron et al. 2023 do, appendix A.6, so that a question cut over several documents is found too);
- `50 characters`: so many letters and digits in a row do (OpenAI 2023, GPT-4, appendix C; every place, not three).

Words in runs of 8 that more than 10 items of a task share are the task's own phrases: the longest stretch between them
is what is looked for. One of 4 to 7 words, or one that several items have, is nobody's own: there the right answer has
to stand in the same document; fewer words need an answer of 4 or more. What is left is not judged, and counted so.
Passages are not looked at: that an encyclopedia is in a corpus leaks no question.

The corpus is read once. What is kept grows with the questions, not with the corpus.
"""

from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from pocketphi.data.words import Hashes, hash_runs, hash_words, mix, words_of
from pocketphi.eval.results import Item
from pocketphi.eval.statistics import score_of
from pocketphi.eval.tasks.rows import Row

LONG, SHORT, CHARACTERS = "13 words", "8 words", "50 characters"
RULES = (LONG, SHORT, CHARACTERS)
LONG_RUN, RUN, WINDOW = 13, 8, 50
MIN_WORDS = 4
MIN_COVERED = 0.7
MAX_ITEMS = 10
"""A run of 8 words that more items of a task share is a phrase of the task."""
_BATCH = 1 << 18
"""Characters that are looked up together."""
_BREAK = "\0"
"""Between documents; no word has it."""

Flags = NDArray[np.bool_]
Places = NDArray[np.intp]


@dataclass(frozen=True, kw_only=True)
class Overlap:
    """What the corpus holds of one task."""

    found: Mapping[str, frozenset[str]]
    """Rule -> ids of the items that it calls seen."""
    unjudged: frozenset[str]
    """Ids of items that are too short to tell."""


@dataclass(kw_only=True, eq=False)
class _Question:
    """One item, as hashes of its runs."""

    id: str
    words: list[str]
    """Those that are not the task's."""
    eights: Hashes
    longs: Hashes
    windows: Hashes
    """Empty if the question has fewer characters; then its words decide."""
    anchor: int | None = None
    """Where the answer is asked for too: the run of words beside which it has to stand."""
    anchor_length: int = 0
    partners: tuple[str, ...] = ()
    seen: bool = False
    """The anchor and a partner stood in one document."""


def overlap(tasks: Mapping[str, Sequence[Row]], texts: Iterable[str]) -> dict[str, Overlap]:
    """Look for all items of all tasks, in one pass.

    Args:
        tasks: rows by the task's name.
        texts: documents of the corpus.
    """
    questions = {name: _questions(rows) for name, rows in tasks.items()}
    index = _Index([each for asked in questions.values() for each in asked])
    for batch in _batches(texts):
        index.look(batch)
    return {
        name: Overlap(
            found={rule: frozenset(each.id for each in asked if index.holds(each, rule)) for rule in RULES},
            unjudged=frozenset(each.id for each in asked if each.anchor is None and len(each.words) < RUN),
        )
        for name, asked in questions.items()
    }


def contamination_of(found: Overlap, items: Sequence[Item], metric: str) -> dict[str, dict[str, Any]]:
    """For `TaskResult.contamination`: rule -> how many items it calls seen, and the score with and without them.

    Args:
        metric: of the scores; None stands where no item is left.
    """
    told = {}
    for rule, ids in found.found.items():
        parts = {
            "all": items,
            "clean": [item for item in items if item.id not in ids],
            "dirty": [item for item in items if item.id in ids],
        }
        told[rule] = {
            "count": len(items),
            "dirty_count": len(parts["dirty"]),
            "share": len(parts["dirty"]) / max(1, len(items)),
            "unjudged_count": sum(item.id in found.unjudged for item in items),
            **{name: _score(part, metric) for name, part in parts.items()},
        }
    return told


def _score(items: Sequence[Item], metric: str) -> dict[str, Any] | None:
    scored = [item for item in items if metric in item.scores]
    if not scored:
        return None
    return asdict(score_of([item.scores[metric] for item in scored], [item.cluster for item in scored]))


def _questions(rows: Sequence[Row]) -> list[_Question]:
    asked = [words_of(row.question) for row in rows]
    runs = [hash_runs(hash_words(words), RUN) for words in asked]
    counts = Counter(value for each in runs for value in set(each.tolist()))
    own = [
        _longest(words, np.array([counts[value] > MAX_ITEMS for value in each.tolist()], np.bool_))
        for words, each in zip(asked, runs, strict=True)
    ]
    shared = Counter(map(tuple, own))
    return [_question(row, words, shared[tuple(words)] > 1) for row, words in zip(rows, own, strict=True)]


def _question(row: Row, words: list[str], is_shared: bool) -> _Question:
    hashes = hash_words(words)
    found = _Question(
        id=row.id,
        words=words,
        eights=hash_runs(hashes, RUN),
        longs=hash_runs(hashes, min(LONG_RUN, len(words))) if len(words) >= RUN else hashes[:0],
        windows=hash_runs(_characters(words), WINDOW) if len(words) >= RUN else hashes[:0],
    )
    answers = _answers(row)
    if len(words) >= MIN_WORDS and (is_shared or len(words) < RUN):
        _ask_for(found, " ".join(words), answers)
    elif words and len(words) < MIN_WORDS:
        longest = max(answers, key=len, default="")
        if len(longest.split()) >= MIN_WORDS:
            _ask_for(found, longest, (" ".join(words),))
    return found


def _longest(words: list[str], is_phrase: Flags) -> list[str]:
    """The longest stretch of words that lie in no phrase."""
    if not is_phrase.any():
        return words
    edges = np.flatnonzero(np.concatenate(([True], _covered(is_phrase), [True])))
    lengths = np.diff(edges)
    start = int(edges[int(lengths.argmax())])
    return words[start : start + int(lengths.max()) - 1]


def _answers(row: Row) -> tuple[str, ...]:
    texts = (row.choices[row.answer],) if isinstance(row.answer, int) else row.answer
    words = (words_of(text) for text in ((texts,) if isinstance(texts, str) else texts))
    return tuple(" ".join(each[:LONG_RUN]) for each in words if each)


def _ask_for(question: _Question, anchor: str, partners: tuple[str, ...]) -> None:
    words = anchor.split()[:LONG_RUN]
    if partners:
        question.anchor = int(hash_runs(hash_words(words), len(words))[0])
        question.anchor_length, question.partners = len(words), partners


@dataclass(frozen=True)
class _Batch:
    """Some documents, one behind the other."""

    documents: list[list[str]] = field(default_factory=list)

    def words(self) -> tuple[list[str], Places]:
        """All words with breaks between documents, and where each document starts."""
        joined: list[str] = []
        starts = []
        for words in self.documents:
            starts.append(len(joined))
            joined += words
            joined.append(_BREAK)
        return joined, np.array(starts, np.intp)


class _Runs:
    """A set of hashes, and which of them have been met."""

    def __init__(self, hashes: Sequence[Hashes]) -> None:
        self._values = np.unique(np.concatenate([*hashes, np.zeros(0, np.uint64)]))
        bits = max(12, (16 * len(self._values)).bit_length())
        self._shift = np.uint64(64 - bits)
        # Nearly all runs of a corpus are in no question; one look at this tells.
        self._filter = np.zeros(1 << bits, np.bool_)
        self._filter[self._values >> self._shift] = True
        self._met = np.zeros(len(self._values), np.bool_)

    def look(self, runs: Hashes) -> Places:
        """Where runs of the corpus are in the set."""
        candidates = np.flatnonzero(self._filter[runs >> self._shift])
        if not len(candidates):
            return candidates
        places = self._places(runs[candidates])
        is_equal = self._values[places] == runs[candidates]
        self._met[places[is_equal]] = True
        found: Places = candidates[is_equal]
        return found

    def met(self, runs: Hashes) -> Flags:
        """Of runs in the set, those that the corpus has."""
        found: Flags = self._met[self._places(runs)] if len(runs) else np.zeros(0, np.bool_)
        return found

    def _places(self, runs: Hashes) -> Places:
        places: Places = np.searchsorted(self._values, runs)
        places[places == len(self._values)] = 0
        return places


class _Index:
    """All questions, by the hashes of their runs."""

    def __init__(self, questions: Sequence[_Question]) -> None:
        runs: dict[int, list[Hashes]] = defaultdict(list)
        self._anchored: dict[int, dict[int, list[_Question]]] = defaultdict(lambda: defaultdict(list))
        for each in questions:
            if each.anchor is not None:
                runs[each.anchor_length].append(np.array([each.anchor], np.uint64))
                self._anchored[each.anchor_length][each.anchor].append(each)
            elif len(each.words) >= RUN:
                runs[RUN].append(each.eights)
                runs[min(LONG_RUN, len(each.words))].append(each.longs)
        self._runs = {length: _Runs(hashes) for length, hashes in sorted(runs.items())}
        self._windows = _Runs([each.windows for each in questions if each.anchor is None])

    def look(self, batch: _Batch) -> None:
        """Find what these documents hold."""
        words, starts = batch.words()
        hashes = hash_words(words)
        for length, runs in self._runs.items():
            found = hash_runs(hashes, length)
            places = runs.look(found)
            anchored = self._anchored.get(length)
            if anchored:
                self._look_beside(batch, anchored, found[places], np.searchsorted(starts, places, "right") - 1)
        self._windows.look(hash_runs(_characters(words), WINDOW))

    def _look_beside(
        self, batch: _Batch, anchored: Mapping[int, list[_Question]], values: Hashes, numbers: Places
    ) -> None:
        for value, number in set(zip(values.tolist(), numbers.tolist(), strict=True)):
            waiting = [each for each in anchored.get(value, ()) if not each.seen]
            text = f" {' '.join(batch.documents[number])} " if waiting else ""
            for each in waiting:
                each.seen = any(f" {partner} " in text for partner in each.partners)

    def holds(self, question: _Question, rule: str) -> bool:
        """Whether a rule calls the question seen."""
        if question.anchor is not None:
            return question.seen
        if len(question.words) < RUN:
            return False
        if rule == SHORT:
            return float(_covered(self._runs[RUN].met(question.eights)).mean()) >= MIN_COVERED
        if rule == CHARACTERS and len(question.windows):
            return bool(self._windows.met(question.windows).any())
        return bool(self._runs[min(LONG_RUN, len(question.words))].met(question.longs).any())


def _covered(starts: Flags) -> Flags:
    """Which words lie in a run of 8 that starts where the flags say."""
    steps = np.zeros(len(starts) + RUN, np.int64)
    steps[: len(starts)] += starts
    steps[RUN:] -= starts
    steps = steps[:-1]  # the last run ends with the last word
    covered: Flags = np.cumsum(steps) > 0
    return covered


def _characters(words: Sequence[str]) -> Hashes:
    """One hash a letter or digit."""
    return mix(np.frombuffer("".join(words).encode("utf-32-le", "replace"), "<u4").astype(np.uint64) + np.uint64(1))


def _batches(texts: Iterable[str]) -> Iterator[_Batch]:
    batch, size = _Batch(), 0
    for text in texts:
        batch.documents.append(words_of(text))
        size += len(text)
        if size >= _BATCH:
            yield batch
            batch, size = _Batch(), 0
    if batch.documents:
        yield batch
