"""How a question looks to a model: worked examples, the question, and how its answer begins.

A `Prompt` is rendered as plain text for base models and as a conversation for chat models. A `Format` is how it is
written: the report's (Appendix A: `Question:`, `Options:`, `A. ...`, `Answer:`) is the first of `FORMATS`; the others
say the same in other signs, to measure how much a score hangs on them (Sclar et al. 2023, arXiv 2310.11324).
"""

import string
from collections.abc import Sequence
from dataclasses import dataclass

from pocketphi.chat import Message

LETTERS = string.ascii_uppercase


@dataclass(frozen=True, kw_only=True)
class Format:
    """The signs of a prompt."""

    name: str
    question: str = "Question: "
    options: str | None = "Options:"
    """A line above the options; None for none."""
    option: str = "{letter}. {text}"
    cue: str = "Answer:"
    line: str = "\n"
    """Between the parts of a question."""
    example: str = "\n\n"
    """Between worked examples."""


FORMATS: tuple[Format, ...] = (
    Format(name="report"),
    Format(name="short", question="Q: ", options=None, cue="A:"),
    Format(name="brackets", option="({letter}) {text}"),
    Format(name="colons", option="{letter}: {text}"),
    Format(name="closing", options="Choices:", option="{letter}) {text}"),
    Format(name="upper", question="QUESTION: ", options="OPTIONS:", cue="ANSWER:"),
    Format(name="bare", question="", options=None),
    Format(name="new lines", question="Question:\n", cue="Answer:\n"),
)
REPORT = FORMATS[0]


@dataclass(frozen=True, kw_only=True)
class Turn:
    """A worked example."""

    question: str
    """As it is shown, without the cue."""
    answer: str


@dataclass(frozen=True, kw_only=True)
class Prompt:
    """What a model is given before it answers."""

    question: str
    shots: tuple[Turn, ...] = ()
    instruction: str = ""
    """Stands before everything."""
    cue: str = REPORT.cue
    """How an answer begins; the model goes on behind it."""
    line: str = REPORT.line
    example: str = REPORT.example

    def text(self) -> str:
        """For a model that goes on with a text. It ends with the cue, so an answer starts with a space."""
        parts = [self.instruction] if self.instruction else []
        parts += [self._told(shot) for shot in self.shots]
        return self.example.join([*parts, self.asked])

    def messages(self) -> tuple[Message, ...]:
        """For a model that answers in turns; the last one is the assistant's, begun with the cue if there is one."""
        first = f"{self.instruction}{self.example}" if self.instruction else ""
        asked = [*(shot.question for shot in self.shots), self.question]
        asked[0] = first + asked[0]
        found: list[Message] = []
        for index, question in enumerate(asked):
            found.append(Message("user", question))
            if index < len(self.shots):
                found.append(Message("assistant", _behind(self.cue, self.shots[index].answer)))
        return (*found, Message("assistant", self.cue)) if self.cue else tuple(found)

    def _told(self, shot: Turn) -> str:
        if self.cue:
            return f"{shot.question}{self.line}{_behind(self.cue, shot.answer)}"
        return f"{shot.question} {shot.answer}".rstrip(" ")

    @property
    def asked(self) -> str:
        """The question's own part: what stands behind the worked examples."""
        return f"{self.question}{self.line}{self.cue}" if self.cue else self.question


def options(question: str, choices: Sequence[str], form: Format) -> str:
    """A question with its options under it, as a format writes them."""
    head = [form.options] if form.options is not None else []
    rows = [form.option.format(letter=letter, text=text) for letter, text in zip(LETTERS, choices, strict=False)]
    return form.line.join([form.question + question, *head, *rows])


def _behind(cue: str, answer: str) -> str:
    return answer if not cue else f"{cue}{answer}" if cue[-1].isspace() else f"{cue} {answer}"
