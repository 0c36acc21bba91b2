"""One exercise, and the sentences that it is written with.

A `Problem` is computed, never written down: a skill draws numbers and names from a `Scene`, works out the answer
and the steps to it, and lets the scene choose the sentences. The sentences of a skill are tables (`Patterns`):
for every part of a question (`tell`, `event`, `ask`, ...) a list of patterns, and the frames in which parts
follow each other. The parts combine freely, so twenty patterns make hundreds of questions. Each skill has two
tables that share no pattern: `known` for everything that is learnt from, `new` for the second tier of the
held-out questions.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from random import Random
from typing import TypeVar

from pocketphi.data.primer.world import (
    BOXES,
    HELDOUT_NAMES,
    NAMES,
    NUMBER_WORDS,
    THINGS,
    is_heldout,
)

Item = TypeVar("Item")
Numbers = tuple[int, ...]
Combination = tuple[str, Numbers]

_cached_is_heldout = cache(is_heldout)


@dataclass(frozen=True, slots=True)
class Problem:
    """A question with its worked answer."""

    topic: str
    skill: str
    """The question type: one scheme of steps."""
    question: str
    steps: str
    """Sentences that restate what is given and work it out."""
    answer: str
    wrong: str
    """An answer that somebody who slips would give."""
    template: str
    """The patterns it is written with, such as `add:tell3+event0+ask5`."""
    combination: Combination | None = None
    """The kind of sum and its numbers, where the answer depends on numbers."""
    follow_up: tuple[str, str, str] | None = None
    """A second question about the same story, with its steps and its answer: makes no sense alone."""

    @property
    def solution(self) -> str:
        """The whole answer, as a tutor writes it."""
        return worked(self.steps, self.answer)


def worked(steps: str, answer: str) -> str:
    """The form of every answer."""
    return f"{steps}\nAnswer: {answer}"


def lines(block: str) -> tuple[str, ...]:
    """The patterns of a block, one a line."""
    return tuple(line.strip() for line in block.strip().splitlines())


@dataclass(frozen=True)
class Patterns:
    """The sentences of one skill."""

    known: Mapping[str, tuple[str, ...]]
    new: Mapping[str, tuple[str, ...]]
    frames: tuple[str, ...]
    """Parts in order, such as `tell event ask`."""
    new_frames: tuple[str, ...] = ()
    """The frames of `new`, where they differ."""

    def sentences(self, *, new: bool) -> tuple[str, ...]:
        """Every distinct pattern."""
        return tuple(dict.fromkeys(pattern for part in (self.new if new else self.known).values() for pattern in part))


@dataclass(frozen=True)
class Skill:
    """One question type."""

    name: str
    topic: str
    write: Callable[["Scene"], Problem]
    patterns: Patterns
    weight: int = 2
    """How often it comes, against the others."""


@dataclass(slots=True)
class Scene:
    """Where a skill draws from: the training world, or the held-out one."""

    rng: Random
    heldout: bool = False
    """Draw held-out names and combinations only; otherwise draw none of them."""
    new: bool = False
    """Write with the patterns that training never sees."""

    def below(self, bound: int) -> int:
        """A whole number from 0 to `bound` - 1. (A third of the time of `randrange`; the bias is below 1e-9.)"""
        return int(self.rng.random() * bound)

    def between(self, low: int, high: int) -> int:
        """A whole number from `low` to `high`."""
        return low + int(self.rng.random() * (high - low + 1))

    def chance(self, probability: float) -> bool:
        """True that often."""
        return self.rng.random() < probability

    def pick(self, items: Sequence[Item]) -> Item:
        """One of them."""
        return items[int(self.rng.random() * len(items))]

    def several(self, items: Sequence[Item], count: int) -> list[Item]:
        """Distinct ones, in random order. `items` are distinct."""
        chosen: list[Item] = []
        while len(chosen) < count:
            item = self.pick(items)
            if item not in chosen:
                chosen.append(item)
        return chosen

    def shuffled(self, items: Sequence[Item]) -> list[Item]:
        """All of them in random order."""
        return self.several(items, len(items))

    def names(self, count: int) -> list[str]:
        """Distinct people."""
        return self.several(HELDOUT_NAMES if self.heldout else NAMES, count)

    def things(self) -> dict[str, str]:
        """Something to count, and what it lies in."""
        thing, things = self.pick(THINGS)
        article = "an" if thing[0] in "aeiou" else "a"
        return {
            "thing": thing,
            "things": things,
            "a_thing": f"{article} {thing}",
            "A_thing": f"{article.capitalize()} {thing}",
            "box": self.pick(BOXES),
        }

    def numbers(self, kind: str, draw: Callable[[], Numbers], *, ordered: bool = False) -> Numbers:
        """Draw until the combination is on this scene's side of the border.

        Args:
            kind: what is done with the numbers.
            ordered: whether (7, 8) is another combination than (8, 7).
        """
        while True:
            values = draw()
            if _cached_is_heldout(kind, values if ordered else tuple(sorted(values))) == self.heldout:
                return values

    def frame(self, patterns: Patterns) -> str:
        """The order of parts."""
        return self.pick(patterns.new_frames or patterns.frames if self.new else patterns.frames)

    def write(
        self,
        name: str,
        patterns: Patterns,
        frame: str,
        fields: Mapping[str, object],
        parts: Mapping[str, Mapping[str, object]] | None = None,
    ) -> tuple[str, str]:
        """A question in that frame, and its template.

        Args:
            fields: what fills the patterns.
            parts: what fills the patterns of one part instead; `tell1` and `tell2` both choose from `tell`.
        """
        table = patterns.new if self.new else patterns.known
        sentences: list[str] = []
        marks: list[str] = []
        for part in frame.split():
            bare = part.rstrip("123456789")
            choices = table[bare]
            index = int(self.rng.random() * len(choices))
            sentences.append(choices[index].format_map(parts[part] if parts and part in parts else fields))
            marks.append(f"{bare}{index}")
        text = " ".join(sentences).replace(" \n", "\n")
        # A question may open with a number word or a common noun.
        return text[:1].upper() + text[1:], f"{name}:{'new:' if self.new else ''}{'+'.join(marks)}"

    def say(self, number: int) -> str:
        """Digits mostly, sometimes the word."""
        return NUMBER_WORDS[number] if 0 < number <= 20 and self.rng.random() < 0.12 else str(number)


def easy(scene: Scene, *, limit: int = 99) -> tuple[int, int]:
    """Two numbers from 2 on whose sum is at most `limit`: small ones most often."""
    level = scene.rng.random()
    if level < 0.7 or limit <= 20:
        return scene.between(2, 10), scene.between(2, 10)
    if level < 0.9:
        return scene.between(2, min(limit - 10, 30)), scene.between(2, 10)
    first = scene.between(11, limit - 12)
    return first, scene.between(2, limit - first)


def added(a: int, b: int) -> str:
    """The sum, digit by digit where both have two: `27 + 15: 7 + 5 = 12, 2 + 1 + 1 = 4, so 27 + 15 = 42.`"""
    if a + b <= 20 or a + b >= 100 or min(a, b) < 2:
        return f"{a} + {b} = {a + b}."
    ones = a % 10 + b % 10
    digits = [str(ten) for ten in (a // 10, b // 10, ones // 10) if ten]
    tens = f"{' + '.join(digits)} = {(a + b) // 10}" if len(digits) > 1 else f"{digits[0]} ten"
    return f"{a % 10} + {b % 10} = {ones}, {tens}, so {a} + {b} = {a + b}."


def taken(a: int, b: int) -> str:
    """The difference, digit by digit: `42 - 15: 12 - 5 = 7, 4 - 1 - 1 = 2, so 42 - 15 = 27.`"""
    if a <= 20 or a >= 100 or b < 2:
        return f"{a} - {b} = {a - b}."
    borrow = a % 10 < b % 10
    ones = a % 10 + 10 * borrow
    digits = [str(a // 10), *(str(ten) for ten in (b // 10, int(borrow)) if ten)]
    tens = f"{' - '.join(digits)} = {(a - b) // 10}" if len(digits) > 1 else f"{digits[0]} ten{'s' * (a >= 20)}"
    return f"{ones} - {b % 10} = {ones - b % 10}, {tens}, so {a} - {b} = {a - b}."


def multiplied(a: int, b: int) -> str:
    """The product, counted up: `3 x 8: 1 is 8, 2 is 16, 3 is 24.`"""
    return f"{a} x {b}: {_multiples(a, b)}."


def divided(a: int, b: int) -> str:
    """The quotient, counted up in the same way: `24 / 8: 1 is 8, 2 is 16, 3 is 24.`"""
    return f"{a} / {b}: {_multiples(a // b, b)}."


def _multiples(count: int, size: int) -> str:
    # The count stands in every step, so a model sees when to stop.
    return ", ".join(f"{step} is {step * size}" for step in range(1, count + 1))


def slip(scene: Scene, right: int, likely: int | None = None) -> str:
    """A wrong number: half the time the `likely` one, such as the sum for a product; else one near the right one."""
    if likely is not None and likely != right and scene.chance(0.5):
        return str(likely)
    return str(right + scene.pick((-10, -2, -1, 1, 2, 10)) if right > 10 else right + scene.between(1, 3))
