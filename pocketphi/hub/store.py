"""The models on this machine: one `.pocket` file each, named after the model, in the XDG cache.

    CACHE/pocketphi/models/NAME.pocket     complete models, put there by one rename
    CACHE/pocketphi/downloads/NAME/        what a pull of NAME has fetched so far; gone once it succeeds
    CACHE/pocketphi/downloads/NAME.lock    held while some process pulls or removes NAME

Nothing here needs the network, and finding a model needs no third-party package.
"""

import shutil
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pocketphi.config import Settings, settings
from pocketphi.errors import UserError, shown
from pocketphi.hub import catalogue
from pocketphi.hub.disk import locked, writing

if TYPE_CHECKING:
    from pocketphi.formats.pocket import PocketFile

SUFFIX = ".pocket"
MADE = "model.pocket"
"""What `pocketphi make` calls the model of a run."""
_CONTEXTS = (2048, 4096, 8192, 16_384, 32_768, 65_536, 131_072)


class NotPulledError(UserError):
    """The model is known and can be pulled; it is not on this machine yet."""

    def __init__(self, name: str) -> None:
        if Path(name).exists():
            what = f"`{shown(name, 300)}` is not imported yet"
            other = f", or choose where it goes: `pocketphi import {shown(name, 300)} -o FILE.pocket`"
        else:
            what, other = f"model `{name}` is not on this machine yet", ""
        super().__init__(what, hint=f"run `pocketphi pull {shown(name, 300)}`{other}")
        self.name = name


@dataclass(frozen=True, kw_only=True)
class StoredModel:
    """A line of the list of models."""

    name: str
    path: Path
    size_bytes: int
    architecture: str | None = None
    num_parameters: int | None = None
    bits_per_weight: float | None = None
    """Of the whole model: all bytes of weights, scales included."""
    context: int | None = None
    problem: str | None = None
    """Why the file cannot be opened; what its header would say is None then."""


@dataclass(frozen=True, kw_only=True)
class ModelFacts:
    """What a model file's header says. Plain values only, so that it prints as JSON."""

    name: str
    path: str
    size_bytes: int
    num_parameters: int
    bits_per_weight: float
    """Of the whole model: all bytes of weights, scales included."""
    weight_formats: dict[str, int]
    """Format -> how many parameters are stored in it."""
    config: dict[str, Any]
    """Under the published names."""
    memory_bytes: dict[int, int]
    """Context -> what the model takes at most, once the context is full: weights, cache, scratch, program."""
    template: str
    bos_token_id: int | None
    stop_token_ids: list[int]
    lineage: dict[str, Any]


def model_path(name: str, here: Settings) -> Path:
    """Where the model `name` is, or would be, stored."""
    return here.cache_dir / "models" / f"{catalogue.check_name(name)}{SUFFIX}"


def staging_folder(name: str, here: Settings) -> Path:
    """Where a pull of `name` works."""
    return here.cache_dir / "downloads" / catalogue.check_name(name)


def lock_path(name: str, here: Settings) -> Path:
    return here.cache_dir / "downloads" / f"{catalogue.check_name(name)}.lock"


def resolve(name_or_path: str | Path) -> Path:
    """The `.pocket` file of a model that is on this machine.

    Args:
        name_or_path: a stored name, a catalogue name, `hf:owner/name[/file]`, the path of a `.pocket` file, that of
            a run of `pocketphi make`, or that of a GGUF file or Hugging Face folder that was pulled.

    Raises:
        NotPulledError: `pull(name_or_path)` would bring it.
        UserError: there is no such model; the hint gives the nearest names.
    """
    name, here = str(name_or_path), settings()
    is_path = isinstance(name_or_path, Path) or catalogue.looks_like_path(name)
    if not is_path:
        stored = model_path(stored_name(name), here)
        if stored.is_file():
            return stored
        if catalogue.is_known(name):
            raise NotPulledError(name)
    path = catalogue.find_path(name)
    if path is None:
        raise catalogue.missing_file(name) if is_path else catalogue.unknown_model(name, _names(here))
    if path.is_dir() and (made := _made_model(path)) is not None:
        return made
    if path.is_dir() and not (path / "config.json").exists():
        raise _not_a_model(path)
    if path.is_dir() or path.suffix.lower() == ".gguf":
        stored = model_path(catalogue.find(str(path)).name, here)
        if not stored.is_file():
            raise NotPulledError(str(path))
        return stored
    return path


def _made_model(folder: Path) -> Path | None:
    """The model in a directory that `pocketphi make` left: a run, or its stage `model`."""
    return next((path for path in (folder / MADE, folder / "model" / MADE) if path.is_file()), None)


def _not_a_model(folder: Path) -> UserError:
    inside = sorted(path for path in folder.iterdir() if path.suffix.lower() in (SUFFIX, ".gguf"))
    return UserError(
        f"`{shown(folder, 300)}` is not a model: a folder without config.json",
        hint=f"give the file in it: `{shown(inside[0], 300)}`"
        if inside
        else "give a `.pocket` file; `pocketphi import SOURCE -o FILE.pocket` makes one of a Hugging Face folder "
        "or a GGUF file",
    )


def list_models() -> list[StoredModel]:
    """The stored models, by name. A file that cannot be opened is listed with its problem."""
    here = settings()
    return [_line(name, model_path(name, here)) for name in _names(here)]


def show_model(name_or_path: str | Path) -> ModelFacts:
    """What the header of a model says: its shape, formats, size, memory, chat settings and lineage."""
    from pocketphi.formats.pocket import open_pocket
    from pocketphi.runtime.memory import plan_memory

    path = resolve(name_or_path)
    model = open_pocket(path)
    formats: dict[str, int] = {}
    for name, number in _num_parameters(model).items():
        key = model.tensors[name].format.value
        formats[key] = formats.get(key, 0) + number
    longest = model.config.max_position_embeddings
    contexts = [*(context for context in _CONTEXTS if context < longest), longest]
    return ModelFacts(
        name=path.stem,
        path=str(path),
        size_bytes=model.size,
        num_parameters=sum(formats.values()),
        bits_per_weight=_bits_per_weight(model),
        weight_formats=formats,
        config=model.config.to_published(),
        memory_bytes={
            context: plan_memory(model.config, weights_bytes=model.size, context=context).total for context in contexts
        },
        template=model.chat.template,
        bos_token_id=model.chat.bos_token_id,
        stop_token_ids=list(model.chat.stop_token_ids),
        lineage=model.lineage,
    )


def verify_model(name_or_path: str | Path, progress: Callable[[int, int], None] | None = None) -> Path:
    """Check every byte of a model against the hashes in its header, and return its path. Where the catalogue pins the
    file that a model is made from, the model must say that it is made from that one.

    Args:
        progress: called with bytes done and bytes in all.

    Raises:
        UserError: the file is damaged, the message names the tensor; or it is made from another file.
    """
    from pocketphi.formats.pocket import open_pocket, verify_pocket

    path = resolve(name_or_path)
    verify_pocket(path, progress)
    pinned = {entry.name: entry.source for entry in catalogue.CATALOGUE}.get(str(name_or_path))
    if isinstance(pinned, catalogue.WheelSource):
        sums = open_pocket(path).lineage.get("sha256")
        if not isinstance(sums, dict) or list(sums.values()) != [pinned.member_sha256]:
            raise UserError(
                f"`{name_or_path}` is not made from the file that the catalogue pins",
                hint=f"`pocketphi rm {name_or_path}`, then pull it again",
            )
    return path


def remove_model(name: str) -> int:
    """Delete a stored model, and what an unfinished pull of it left behind; return the number of bytes freed.

    Only names are accepted, never paths: files outside the store are not ours to delete.
    """
    here = settings()
    stored = stored_name(name)
    path, staging = model_path(stored, here), staging_folder(stored, here)
    if not path.is_file() and not staging.is_dir():
        if catalogue.is_known(name):
            raise UserError(f"model `{name}` is not on this machine", hint="`pocketphi list` shows those that are")
        raise catalogue.unknown_model(name, _names(here))

    def refuse(why: str) -> None:
        raise UserError(f"`{stored}` cannot be removed: {why}", hint="wait until it is done, or stop it")

    with locked(lock_path(stored, here), on_wait=refuse), writing(path):
        freed = sum(part.lstat().st_size for part in (path, *staging.rglob("*")) if part.is_file())
        path.unlink(missing_ok=True)
        if staging.is_dir():
            shutil.rmtree(staging)
    return freed


def stored_name(name: str) -> str:
    """The name under which the model that `name` stands for is stored by default."""
    return catalogue.check_name(catalogue.find(name).name if name.startswith("hf:") else name)


def _names(here: Settings) -> list[str]:
    folder = here.cache_dir / "models"
    stems = [path.name.removesuffix(SUFFIX) for path in folder.glob(f"*{SUFFIX}") if path.is_file()]
    return sorted(stem for stem in stems if catalogue.is_name(stem))


def _line(name: str, path: Path) -> StoredModel:
    from pocketphi.architecture import ARCHITECTURES
    from pocketphi.formats.pocket import open_pocket

    size = path.stat().st_size
    try:
        model = open_pocket(path)
    except UserError as error:
        return StoredModel(name=name, path=path, size_bytes=size, problem=error.message)
    return StoredModel(
        name=name,
        path=path,
        size_bytes=size,
        architecture=ARCHITECTURES[model.config.model_type],
        num_parameters=sum(_num_parameters(model).values()),
        bits_per_weight=_bits_per_weight(model),
        context=model.config.max_position_embeddings,
    )


def _num_parameters(model: "PocketFile") -> dict[str, int]:
    """Tensor -> how many parameters it holds, padding not counted."""
    from pocketphi.architecture import expected_tensors

    return {name: rows * cols for name, (rows, cols) in expected_tensors(model.config).items()}


def _bits_per_weight(model: "PocketFile") -> float:
    numbers = _num_parameters(model)
    return 8 * sum(len(model.tensors[name].data) for name in numbers) / sum(numbers.values())
