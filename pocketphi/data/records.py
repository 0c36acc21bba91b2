"""What flows between data stages, and how it lies on disk: one JSON object a line, UTF-8.

Files of millions of lines are read one at a time. A damaged line names its file and number.
"""

import json
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, Literal, get_args

from pocketphi.chat import Conversation, Message, Preference
from pocketphi.errors import UserError, reason_of, shown

Scalar = str | int | float | bool
Tier = Literal["known_templates", "new_templates"]


@dataclass(frozen=True, kw_only=True)
class Document:
    """A text, and where it is from."""

    id: str
    text: str
    source: str
    """A URL, a file, or `primer`."""
    license: str
    metadata: Mapping[str, Scalar] = field(default_factory=dict)
    """`topic`, `language`, `education`, ... whatever a stage learnt about it."""


@dataclass(frozen=True, kw_only=True)
class Question:
    """A held-out question with its one right answer."""

    id: str
    topic: str
    tier: Tier
    """`known_templates`: numbers, names or combinations that training has not seen, in sentences that it has;
    `new_templates`: the sentences are new too."""
    question: str
    answer: str
    """What the last line of a right answer says after `Answer:`."""


def write_documents(path: Path, documents: Iterable[Document]) -> int:
    """Write them all; how many there were."""
    return _write(path, (asdict(document) for document in documents))


def read_documents(path: Path) -> Iterator[Document]:
    """One at a time. Raises `UserError` at a line that is none."""
    for where, row in _read(path):
        with _line(where):
            yield Document(**{**row, "id": str(row["id"])})


def write_questions(path: Path, questions: Iterable[Question]) -> int:
    """Write them all; how many there were."""
    return _write(path, (asdict(question) for question in questions))


def read_questions(path: Path) -> list[Question]:
    """All of them. Raises `UserError` at a line that is none."""
    questions = []
    for where, row in _read(path):
        with _line(where):
            question = Question(**row)
            if question.tier not in get_args(Tier):
                raise ValueError(f"tier `{question.tier}`")
            questions.append(question)
    return questions


def write_conversations(path: Path, conversations: Iterable[Conversation]) -> int:
    """Write them all; how many there were."""
    return _write(path, ({"messages": [asdict(message) for message in item.messages]} for item in conversations))


def read_conversations(path: Path) -> Iterator[Conversation]:
    """One at a time. Raises `UserError` at a line that is none."""
    for where, row in _read(path):
        with _line(where):
            yield Conversation(_messages(row["messages"]))


def write_preferences(path: Path, preferences: Iterable[Preference]) -> int:
    """Write them all; how many there were."""
    return _write(
        path,
        (
            {
                "prompt": [asdict(message) for message in pair.prompt],
                "chosen": asdict(pair.chosen),
                "rejected": asdict(pair.rejected),
            }
            for pair in preferences
        ),
    )


def read_preferences(path: Path) -> Iterator[Preference]:
    """One at a time. Raises `UserError` at a line that is none."""
    for where, row in _read(path):
        with _line(where):
            yield Preference(_messages(row["prompt"]), Message(**row["chosen"]), Message(**row["rejected"]))


def _messages(rows: list[dict[str, Any]]) -> tuple[Message, ...]:
    return tuple(Message(**row) for row in rows)


def _write(path: Path, rows: Iterable[Mapping[str, Any]]) -> int:
    count = 0
    with path.open("w", encoding="utf-8", newline="\n") as file:
        for row in rows:
            file.write(json.dumps(row, ensure_ascii=False, separators=(",", ":")) + "\n")
            count += 1
    return count


def _read(path: Path) -> Iterator[tuple[str, dict[str, Any]]]:
    try:
        with path.open("rb") as file:
            for number, line in enumerate(file, 1):
                where = f"{path}, line {number}"
                with _line(where):
                    row = json.loads(line)
                    if not isinstance(row, dict):
                        raise TypeError("not an object")
                yield where, row
    except OSError as error:
        raise UserError(f"cannot read `{path}`: {reason_of(error)}") from error


class _line:  # noqa: N801 - reads as a statement
    """Turns what goes wrong with one line into a `UserError` that names it."""

    def __init__(self, where: str) -> None:
        self.where = where

    def __enter__(self) -> None:
        return None

    def __exit__(self, kind: object, error: BaseException | None, trace: object) -> None:
        if isinstance(error, KeyError | TypeError | ValueError):
            raise UserError(f"{self.where}: {shown(error)}", hint="the file is damaged: make it again") from None
