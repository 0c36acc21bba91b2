"""The texts that a model was trained on: what our stages made, or a folder of text and JSON lines.

A leak must not hide behind damage: a line that is no JSON is read as plain text, a file that breaks off is read up to
there, and both are counted. Of a JSON line every text in it is read, whatever its keys are called.
"""

import gzip
import json
import zlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any, cast

from pocketphi.artifact import Artifact, is_artifact, open_artifact
from pocketphi.errors import UserError, reason_of

_PRIMER = ("lessons.jsonl", "conversations.jsonl", "preferences.jsonl")
"""What is trained on; its pages go through `curate`, its other files are held out."""
_ENDINGS = (".jsonl", ".txt", ".text", ".md", ".markdown")
_PIECE = 1 << 20
_TAIL = 2_000
"""Bytes of a long text that the next piece begins with, so that no run of words is cut."""
_LONGEST_LINE = 1 << 26


@dataclass(kw_only=True)
class Read:
    """Counted while texts are read."""

    texts: int = 0
    characters: int = 0
    damaged: int = 0
    """Lines that are no JSON, and files that break off."""
    skipped: int = 0
    """Files of another kind."""


def read_training_texts(paths: Sequence[Path], read: Read) -> Iterator[str]:
    """Every text, one at a time.

    Args:
        paths: a `primer`, `corpus` or `shards`, the directory of a run, or a file or folder of anybody's text.

    Raises:
        UserError: a path holds nothing to read; at once, before the first text.
    """
    files = [(path, _files_of(path)) for path in paths]
    for path, found in files:
        if not found and not (path.is_dir() and is_artifact(path)):
            raise UserError(f"`{path}` holds no text", hint=f"give files that end in {', '.join(_ENDINGS)}, or .gz")
    return _counted(files, read)


def _counted(files: Sequence[tuple[Path, Sequence[Path]]], read: Read) -> Iterator[str]:
    for path, found in files:
        texts = (text for file in found for text in _texts_of(file, read))
        for text in texts if found else _decoded(open_artifact(path, "shards")):
            read.texts += 1
            read.characters += len(text)
            yield text


def _files_of(path: Path) -> list[Path]:
    """Files to read; none for shards, which hold ids."""
    if path.is_file():
        return [path]
    if not path.is_dir():
        raise UserError(f"`{path}` does not exist", hint="give a corpus, a run of `make`, or a file or folder of text")
    if is_artifact(path):
        return _files_made(open_artifact(path))
    made = [open_artifact(inner) for inner in sorted(path.iterdir()) if is_artifact(inner)]
    if made:
        return [file for artifact in made if artifact.kind in ("primer", "corpus") for file in _files_made(artifact)]
    inside = (file for file in path.rglob("*") if not any(p.startswith(".") for p in file.relative_to(path).parts))
    return sorted(file for file in inside if file.is_file())


def _files_made(artifact: Artifact) -> list[Path]:
    if artifact.kind == "primer":
        return [artifact.path / name for name in _PRIMER]
    if artifact.kind == "corpus":
        from pocketphi.data.pack import PARTS

        parts = (artifact.path / f"{name}.jsonl" for name in PARTS)
        return [part for part in parts if part.is_file()]
    if artifact.kind == "shards":
        return []
    raise UserError(
        f"`{artifact.path}` is a {artifact.kind}, which holds no training text",
        hint="give the primer, the corpus or the shards that it was made from, or the directory of the run",
    )


def _decoded(shards: Artifact) -> Iterator[str]:
    """Documents of the parts that are trained on, by the tokenizer beside them."""
    from pocketphi.data.pack import VALIDATION, open_shard
    from pocketphi.tokenizer.train import load_tokenizer

    beside = (open_artifact(path) for path in sorted(shards.path.parent.iterdir()) if is_artifact(path))
    made = next((each for each in beside if each.content == shards.summary["tokenizer"]), None)
    if made is None:
        raise UserError(
            f"the tokenizer of `{shards.path}` is not beside it", hint="give the corpus that they were made from"
        )
    tokenizer = load_tokenizer(made)
    for part in shards.summary["parts"]:
        if part != VALIDATION:
            shard = open_shard(shards, part)
            for number in range(shard.num_documents):
                yield tokenizer.decode(shard.document(number).tolist())


def _texts_of(path: Path, read: Read) -> Iterator[str]:
    name = path.name.lower()
    plain = name.removesuffix(".gz")
    if not plain.endswith(_ENDINGS):
        read.skipped += 1
        return
    try:
        with cast("IO[bytes]", gzip.open(path, "rb")) if name != plain else path.open("rb") as file:
            yield from _lines(file, read) if plain.endswith(".jsonl") else _pieces(file)
    except (EOFError, gzip.BadGzipFile, zlib.error):
        read.damaged += 1
    except OSError as error:
        raise UserError(f"cannot read `{path}`: {reason_of(error)}") from error


def _lines(file: IO[bytes], read: Read) -> Iterator[str]:
    while line := file.readline(_LONGEST_LINE):
        text = line.decode("utf-8", "replace").strip()
        if not text:
            continue
        try:
            yield "\n".join(_strings(json.loads(text)))
        except (ValueError, RecursionError):
            read.damaged += 1
            yield text


def _strings(value: Any) -> Iterator[str]:
    if isinstance(value, str):
        yield value
    elif isinstance(value, dict | list):
        for inner in value.values() if isinstance(value, dict) else value:
            yield from _strings(inner)


def _pieces(file: IO[bytes]) -> Iterator[str]:
    tail = b""
    while piece := file.read(_PIECE):
        yield (tail + piece).decode("utf-8", "replace")
        tail = piece[-_TAIL:]
