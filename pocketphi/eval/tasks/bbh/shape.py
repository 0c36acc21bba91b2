"""The shape of a worked example."""

from collections.abc import Sequence
from typing import NamedTuple

from pocketphi.eval.tasks.prompt import LETTERS


class Example(NamedTuple):
    """A puzzle, the steps to its answer, and the answer."""

    question: str
    steps: str
    answer: str


def with_options(question: str, choices: Sequence[str], steps: str, right: str) -> Example:
    """An example that is answered by the letter of an option."""
    letters = [f"({letter})" for letter in LETTERS[: len(choices)]]
    listed = "\n".join(f"{letter} {choice}" for letter, choice in zip(letters, choices, strict=True))
    return Example(f"{question}\nOptions:\n{listed}", steps, letters[choices.index(right)])


def with_words(question: str, choices: Sequence[str], steps: str, right: str) -> Example:
    """An example that is answered by an option itself."""
    return Example(f"{question}\nOptions:\n" + "\n".join(f"- {choice}" for choice in choices), steps, right)
