"""Rows of a benchmark, from local files of one simple form: JSON lines, gzipped or not.

`TASK.test_a.jsonl.gz` or `TASK.test.jsonl.gz` holds what is asked, `TASK.train.jsonl.gz` what worked examples are taken
from. A row says `id, question, answer`, and where they apply `subset, split, context, choices, meta`; `answer` is the
0-based index into `choices`, a text, or a list of texts that are all right.

Files are written by strangers: a row that lacks something, an id given twice or an index out of range stops before
anything is scored.
"""

import gzip
import hashlib
import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from pocketphi.errors import UserError, reason_of, shown

TEST_PARTS = ("test_a", "test")
TRAIN_PART = "train"
_ENDINGS = (".jsonl.gz", ".jsonl")


@dataclass(frozen=True, kw_only=True)
class Row:
    """One item."""

    id: str
    question: str
    answer: int | str | tuple[str, ...]
    subset: str = ""
    split: str = ""
    context: str = ""
    choices: tuple[str, ...] = ()
    meta: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, kw_only=True)
class Data:
    """What a task is asked from."""

    test: tuple[Row, ...]
    """In the order of the file."""
    train: tuple[Row, ...]
    """Empty if there is no such file."""
    files: Mapping[str, str]
    """Name of each file -> SHA-256 of its bytes."""


def load_data(folder: Path, name: str) -> Data:
    """The rows of a benchmark.

    Raises:
        UserError: there is no test file, or a row is none.
    """
    test = test_file(folder, name)
    if test is None:
        raise UserError(
            f"`{folder}` has no `{name}.{TEST_PARTS[0]}.jsonl.gz`",
            hint="give the folder of the benchmarks with `--data`; docs/evaluation.md tells the form of the files",
        )
    train = _find(folder, name, TRAIN_PART)
    paths = [test] if train is None else [test, train]
    return Data(
        test=tuple(read_rows(test)),
        train=() if train is None else tuple(read_rows(train)),
        files={path.name: hashlib.sha256(path.read_bytes()).hexdigest() for path in paths},
    )


def test_file(folder: Path, name: str) -> Path | None:
    """Where the rows to ask are, if they are there."""
    return next((path for part in TEST_PARTS if (path := _find(folder, name, part)) is not None), None)


def read_rows(path: Path) -> Iterator[Row]:
    """Every row, checked. Raises `UserError` with the line's number."""
    seen: set[str] = set()
    for number, line in enumerate(_lines(path), 1):
        try:
            row = _row(json.loads(line))
        except (ValueError, KeyError, TypeError, RecursionError) as error:
            what = f"`{error.args[0]}` is missing" if isinstance(error, KeyError) else shown(error)
            raise UserError(f"{path}, line {number}: {what}") from None
        if row.id in seen:
            raise UserError(f"{path}, line {number}: the id `{shown(row.id)}` is given twice")
        seen.add(row.id)
        yield row
    if not seen:
        raise UserError(f"`{path}` has no rows")


def _row(value: Any) -> Row:
    if not isinstance(value, dict):
        raise TypeError("no JSON object")
    answer, choices = value["answer"], tuple(_texts(value.get("choices", [])))
    if isinstance(answer, bool) or not isinstance(answer, int | str | list):
        raise TypeError(f"`answer` is `{shown(answer)}`")
    if isinstance(answer, int) and not 0 <= answer < len(choices):
        raise ValueError(f"`answer` {shown(answer)} is no index into {len(choices)} choices")
    if isinstance(answer, list) and not answer:
        raise ValueError("`answer` is an empty list")
    meta = value.get("meta", {})
    if not isinstance(meta, dict):
        raise TypeError("`meta` is no object")
    texts = {key: _text(key, value.get(key, "")) for key in ("subset", "split", "context")}
    return Row(
        id=_text("id", value["id"]),
        question=_text("question", value["question"]),
        answer=tuple(_texts(answer)) if isinstance(answer, list) else answer,
        choices=choices,
        meta=meta,
        **texts,
    )


def _text(key: str, value: Any) -> str:
    if not isinstance(value, str):
        raise TypeError(f"`{key}` is `{shown(value)}`, not a text")
    return value


def _texts(values: Any) -> Iterator[str]:
    if not isinstance(values, list):
        raise TypeError(f"`{shown(values)}` is no list of texts")
    return (_text("choices", value) for value in values)


def _find(folder: Path, name: str, part: str) -> Path | None:
    paths = (folder / f"{name}.{part}{ending}" for ending in _ENDINGS)
    return next((path for path in paths if path.is_file()), None)


def _lines(path: Path) -> Iterator[str]:
    try:
        with (gzip.open if path.suffix == ".gz" else open)(path, "rt", encoding="utf-8") as file:
            yield from (line for line in file if line.strip())
    except (OSError, EOFError, UnicodeDecodeError) as error:
        raise UserError(f"cannot read `{path}`: {reason_of(error)}") from error
