"""Text to token shards: flat files of ids that training maps into memory.

A shard is two files: `NAME.bin`, the ids of all documents one after the other, each closed by end of text, in two
bytes where the vocabulary allows it; and `NAME.idx`, where each document starts, with the total behind the last.
Nothing is cut, dropped or shuffled here: sequences are made from documents when they are read
(`pocketphi.data.mixture`), so one shard serves every sequence length, order and mixture.
"""

import hashlib
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from pocketphi.artifact import Artifact, Progress, no_progress, open_artifact, publish
from pocketphi.data.records import Document, read_documents
from pocketphi.errors import UserError
from pocketphi.tokenizer import Tokenizer
from pocketphi.tokenizer.train import END_OF_TEXT, load_tokenizer

PARTS = ("web", "web_best", "lessons")
"""Parts of a corpus, `NAME.jsonl` each."""
VALIDATION = "validation"
HELD_OUT_ONE_IN = 200
_BUFFER = 1 << 20


@dataclass(frozen=True, kw_only=True, eq=False)
class TokenShard:
    """Documents as ids, mapped."""

    name: str
    ids: NDArray[np.uint16] | NDArray[np.uint32]
    """(num_tokens,) every document's ids, its end of text included."""
    offsets: NDArray[np.int64]
    """(num_documents + 1,) where each starts; the last entry is the end of all."""

    @property
    def num_documents(self) -> int:
        return len(self.offsets) - 1

    @property
    def num_tokens(self) -> int:
        return len(self.ids)

    def document(self, index: int) -> NDArray[Any]:
        """(length,) ids of one document."""
        return self.ids[self.offsets[index] : self.offsets[index + 1]]


def pack(
    corpus: Artifact,
    primer: Artifact | None,
    tokenizer: Artifact,
    out: Path,
    *,
    seed: int,
    progress: Progress = no_progress,
) -> Artifact:
    """Encode the parts of a corpus, and held-out text to measure perplexity on.

    Args:
        primer: its `heldout_lessons.jsonl` is the validation text. Without one, the documents of the corpus whose
            id hashes so are held out, one in 200, and one at least where a part can spare it.
        seed: recorded only; nothing here is drawn.

    Raises:
        UserError: the corpus has no documents.
    """
    encoder = load_tokenizer(tokenizer)
    sources = {name: corpus.path / f"{name}.jsonl" for name in PARTS if (corpus.path / f"{name}.jsonl").is_file()}
    held_out = None if primer is None else primer.path / "heldout_lessons.jsonl"
    total = sum(path.stat().st_size for path in sources.values())
    parents = [corpus, *([primer] if primer else []), tokenizer]
    with publish(out, kind="shards", stage="shards", settings={}, seed=seed, parents=parents) as draft:
        done = 0

        def counted(path: Path) -> Iterator[Document]:
            nonlocal done
            for document in read_documents(path):
                yield document
                done += len(document.text)
                progress(done, max(done, total), {})

        spared = _choose_held_out(sources.values()) if held_out is None else set()
        validation: list[Document] = [] if held_out is None else list(read_documents(held_out))
        parts: dict[str, dict[str, int]] = {}
        for name, path in sources.items():
            documents: Iterable[Document] = counted(path)
            if held_out is None:
                documents = _hold_out(documents, spared, validation)
            parts[name] = write_shard(draft.path, name, (document.text for document in documents), encoder)
        if not any(part["documents"] for part in parts.values()):
            raise UserError(f"`{corpus.path}` has no documents", hint="see in its manifest what the filters dropped")
        parts[VALIDATION] = write_shard(draft.path, VALIDATION, (document.text for document in validation), encoder)
        draft.summary.update(
            parts={name: part for name, part in parts.items() if part["documents"]},
            bytes_per_id=_dtype(encoder).itemsize,
            tokenizer=tokenizer.content,
        )
    return open_artifact(out, "shards")


def write_shard(folder: Path, name: str, texts: Iterable[str], tokenizer: Tokenizer) -> dict[str, int]:
    """Write `NAME.bin` and `NAME.idx`; counts of `documents`, `tokens` and `bytes` of text."""
    end = tokenizer.special_ids[END_OF_TEXT]
    dtype = _dtype(tokenizer)
    offsets, size = [0], 0
    buffer: list[int] = []
    with (folder / f"{name}.bin").open("wb") as file:
        for text in texts:
            ids = tokenizer.encode(text)
            buffer += ids
            buffer.append(end)
            offsets.append(offsets[-1] + len(ids) + 1)
            size += len(text.encode("utf-8", "replace"))
            if len(buffer) >= _BUFFER:
                file.write(np.array(buffer, dtype).tobytes())
                buffer.clear()
        file.write(np.array(buffer, dtype).tobytes())
    (folder / f"{name}.idx").write_bytes(np.array(offsets, "<i8").tobytes())
    return {"documents": len(offsets) - 1, "tokens": offsets[-1], "bytes": size}


def open_shard(shards: Artifact, name: str) -> TokenShard:
    """Map one part.

    Raises:
        UserError: there is no such part, or the two files do not fit together.
    """
    parts = shards.summary["parts"]
    if name not in parts:
        raise UserError(f"`{shards.path}` has no part `{name}`", hint=f"it has {', '.join(map(repr, parts))}")
    dtype = np.dtype(f"<u{shards.summary['bytes_per_id']}")
    files = [shards.path / f"{name}.bin", shards.path / f"{name}.idx"]
    # An empty file cannot be mapped.
    ids, offsets = (
        np.memmap(path, kind, "r") if path.stat().st_size else np.empty(0, kind)
        for path, kind in zip(files, (dtype, np.dtype("<i8")), strict=True)
    )
    if not len(offsets) or offsets[0] != 0 or offsets[-1] != len(ids) or (np.diff(offsets) < 1).any():
        raise UserError(f"`{shards.path / name}.idx` does not fit its `.bin`", hint="run the stage `shards` again")
    return TokenShard(name=name, ids=ids, offsets=offsets)


def _dtype(tokenizer: Tokenizer) -> np.dtype[Any]:
    return np.dtype("<u2" if tokenizer.vocab_size <= 1 << 16 else "<u4")


def _choose_held_out(paths: Iterable[Path]) -> set[str]:
    """Ids of the documents whose digest says so; if none does, the lowest digest of a part that keeps another."""
    chosen: set[str] = set()
    lowest: list[tuple[int, str]] = []
    for path in paths:
        count, least = 0, None
        for document in read_documents(path):
            count, found = count + 1, (_number(document.id), document.id)
            least = found if least is None else min(least, found)
            if found[0] % HELD_OUT_ONE_IN == 0:
                chosen.add(document.id)
        if least is not None and count > 1:
            lowest.append(least)
    return chosen or {name for _, name in sorted(lowest)[:1]}


def _number(name: str) -> int:
    return int.from_bytes(hashlib.sha256(name.encode("utf-8", "replace")).digest()[:8], "little")


def _hold_out(documents: Iterable[Document], spared: set[str], validation: list[Document]) -> Iterator[Document]:
    for document in documents:
        if document.id in spared:
            validation.append(document)
        else:
            yield document
