"""Rows of a benchmark, from local files of one simple form: JSON lines, gzipped or not.

`TASK.test_a.jsonl.gz` or `TASK.test.jsonl.gz` holds what is asked, `TASK.train.jsonl.gz` what worked examples are taken
from. A row says `id, question, answer`, and where they apply `subset, split, context, choices, meta`; `answer` is the
0-based index into `choices`, a text, or a list of texts that are all right.

Files are written by strangers: a row that lacks something, an id given twice or an index out of range stops before
anything is asked, with the file and the line. What only one task needs of a row, its `BenchTask.check` tells. Choices
that are equal or empty are let through: published benchmarks have some (AGIEval, CommonsenseQA, MMLU).
"""

import gzip
import hashlib
import json
import os
import zlib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from pocketphi.errors import UserError, reason_of, shown

TEST_PARTS = ("test_a", "test")
TRAIN_PART = "train"
MAX_CHOICES = 26
"""As many as there are letters."""
_ENDINGS = (".jsonl.gz", ".jsonl")
_GZIP = b"\x1f\x8b"
_BOM = b"\xef\xbb\xbf"
_HINT = "docs/evaluation.md tells the form of the files"


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
    place: str = field(default="", compare=False, repr=False)
    """File and line, for messages; empty for a row that was made."""


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
        UserError: there is no folder or no test file, or a row is none.
    """
    test = test_file(folder, name)
    if test is None:
        names = [f"`{name}.{part}{ending}`" for part in TEST_PARTS for ending in _ENDINGS]
        raise UserError(
            f"`{folder}` has none of {', '.join(names)}",
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
    """Where the rows to ask are, if they are there. Raises `UserError` if there is no such folder."""
    if not folder.is_dir():
        state = "is no folder" if folder.exists() else "does not exist"
        raise UserError(f"the folder of benchmarks `{folder}` {state}", hint="`--data` names it")
    return next((path for part in TEST_PARTS if (path := _find(folder, name, part)) is not None), None)


def bad_row(row: Row, what: str, *, hint: str = _HINT) -> UserError:
    """The error that a row is no such thing as its task asks about."""
    return UserError(f"{row.place}{', ' if row.place else ''}row `{shown(row.id)}`: {what}", hint=hint)


def read_rows(path: Path) -> Iterator[Row]:
    """Every row, checked. Raises `UserError` with the line's number."""
    seen: set[str] = set()
    for number, line in _lines(path):
        place = f"{path}, line {number}"
        try:
            row = _row(json.loads(line.decode("utf-8"), object_pairs_hook=_object), place)
        except UnicodeDecodeError:
            raise UserError(f"{place}: it is no UTF-8", hint=_HINT) from None
        except (ValueError, KeyError, TypeError, RecursionError) as error:
            what = f"`{error.args[0]}` is missing" if isinstance(error, KeyError) else shown(error)
            raise UserError(f"{place}: {what}", hint=_HINT) from None
        if row.id in seen:
            raise UserError(f"{place}: the id `{shown(row.id)}` is given twice", hint=_HINT)
        seen.add(row.id)
        yield row
    if not seen:
        raise UserError(f"`{path}` has no rows", hint=_HINT)


def _object(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found: dict[str, Any] = {}
    for key, value in pairs:
        if key in found:
            raise ValueError(f"the key `{shown(key)}` is given twice")
        found[key] = value
    return found


def _row(value: Any, place: str) -> Row:
    if not isinstance(value, dict):
        raise TypeError("no JSON object")
    _refuse_surrogates(value)
    choices = tuple(_texts("choices", value.get("choices", [])))
    if len(choices) == 1:
        raise ValueError("there is one choice, and nothing to choose")
    if len(choices) > MAX_CHOICES:
        raise ValueError(f"there are {len(choices)} choices, and letters for {MAX_CHOICES}")
    meta = value.get("meta", {})
    if not isinstance(meta, dict):
        raise TypeError("`meta` is no object")
    texts = {key: _text(key, value.get(key, "")) for key in ("subset", "split", "context")}
    return Row(
        id=_said("id", value["id"]),
        question=_said("question", value["question"]),
        answer=_answer(value["answer"], len(choices)),
        choices=choices,
        meta=meta,
        place=place,
        **texts,
    )


def _answer(answer: Any, choices: int) -> int | str | tuple[str, ...]:
    if isinstance(answer, bool) or not isinstance(answer, int | str | list):
        raise TypeError(f"`answer` is `{shown(answer)}`")
    if isinstance(answer, int):
        if not 0 <= answer < choices:
            raise ValueError(f"`answer` {shown(answer)} is no index into {choices} choices")
        return answer
    if isinstance(answer, list):
        if not answer:
            raise ValueError("`answer` is an empty list")
        return tuple(_said("answer", each) for each in answer)
    return _said("answer", answer)


def _refuse_surrogates(value: Any) -> None:
    """Half of a character, which JSON can write (`"\\ud800"`), is no text that a model can be given."""
    if isinstance(value, str):
        if not value.isascii() and any("\ud800" <= char <= "\udfff" for char in value):
            raise ValueError(f"`{shown(value)}` holds half of a character (a lone surrogate)")
    elif isinstance(value, list | dict):
        for each in value if isinstance(value, list) else (*value, *value.values()):
            _refuse_surrogates(each)


def _said(key: str, value: Any) -> str:
    if not _text(key, value).strip():
        raise ValueError(f"`{key}` is empty")
    return str(value)


def _text(key: str, value: Any) -> str:
    if not isinstance(value, str):
        raise TypeError(f"`{key}` is `{shown(value)}`, not a text")
    return value


def _texts(key: str, values: Any) -> Iterator[str]:
    if not isinstance(values, list):
        raise TypeError(f"`{key}` is `{shown(values)}`, not a list of texts")
    return (_text(key, value) for value in values)


def _find(folder: Path, name: str, part: str) -> Path | None:
    paths = [folder / f"{name}.{part}{ending}" for ending in _ENDINGS]
    # What is there and cannot be read is an error of its own, when it is read.
    found = [path for path in paths if path.is_file()] or [path for path in paths if os.path.lexists(path)]
    return found[0] if found else None


def _lines(path: Path) -> Iterator[tuple[int, bytes]]:
    """The lines that say something, numbered from 1; gzipped or not is told by the first bytes, not by the name."""
    if path.exists() and not path.is_file():
        kind = "a folder" if path.is_dir() else "a pipe or a device"
        raise UserError(f"`{path}` is {kind}, not a file", hint=_HINT)
    try:
        with path.open("rb") as plain:
            is_gzip = plain.read(len(_GZIP)) == _GZIP
            plain.seek(0)
            for number, line in enumerate(gzip.GzipFile(fileobj=plain) if is_gzip else plain, 1):
                text = line.removeprefix(_BOM) if number == 1 else line
                if text.strip():
                    yield number, text
    except (OSError, EOFError, zlib.error) as error:
        raise UserError(f"cannot read `{path}`: {reason_of(error)}") from error
