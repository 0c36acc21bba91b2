"""Results on disk: directories that are complete or absent, and know where they come from.

A stage writes its result into a scratch directory next to the final one. When it is done, every file is
digested and synced, the manifest is put there last, and a rename makes the directory visible. So a directory
with a manifest is complete; a killed run leaves a scratch directory that nobody mistakes for a result. Where
an older result is replaced, it steps aside first: whatever moment a kill picks, one of the two is whole, and
`find_artifact` or the next `publish` finishes the exchange.

The manifest names the `inputs` of the artifacts that a result was made from, and carries the stories of all
its ancestors, so one file tells where a model comes from even after its parents are gone. Two digests
matter: `inputs` (the stage, its settings, its seed and its parents' content) says whether a finished
result still answers the question; `content` (the bytes of all files) says what it is. Neither holds
a time, a path or a host, so the same recipe gives the same digests everywhere.
"""

import errno
import json
import os
import shutil
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from pocketphi.errors import UserError, reason_of, shown
from pocketphi.locks import exclusive
from pocketphi.manifest import (
    CHUNK_BYTES,
    MANIFEST,
    MANIFEST_VERSION,
    STORY,
    content_digest,
    digest_of,
    digest_of_value,
    file_digest,
    problem_of,
)
from pocketphi.version import __version__

_SCRATCH_SUFFIX = ".partial"
_ASIDE_SUFFIX = ".replaced"
_LOCK_SUFFIX = ".lock"
_FULL = {errno.ENOSPC, errno.EDQUOT, errno.EFBIG}

Progress = Callable[[float, float, Mapping[str, float | str]], None]
"""Called with what is done, what there is in all, and figures worth a look (`loss`, `dropped`, ...)."""


def no_progress(done: float, total: float, figures: Mapping[str, float | str]) -> None:
    """The `Progress` of somebody who does not look."""


@dataclass(frozen=True, kw_only=True)
class Artifact:
    """A finished directory."""

    path: Path
    kind: str
    """What it is: `primer`, `corpus`, `tokenizer`, `shards`, `checkpoint`, `evaluation`, `model` or `report`."""
    stage: str
    """What made it, such as `pretrain.phase1`."""
    content: str
    """SHA-256 over the names and digests of its files."""
    inputs: str
    """SHA-256 over the stage, its settings, its seed and its parents' content."""
    manifest: Mapping[str, Any] = field(repr=False)

    @property
    def summary(self) -> Mapping[str, Any]:
        """The counts and figures that the stage left."""
        summary: Mapping[str, Any] = self.manifest["summary"]
        return summary

    @property
    def size_bytes(self) -> int:
        """Of all files but the manifest."""
        return sum(file["bytes"] for file in self.manifest["files"].values())


@dataclass(frozen=True, kw_only=True)
class Draft:
    """A directory in the making."""

    path: Path
    """Write files and folders here."""
    summary: dict[str, Any] = field(default_factory=dict)
    """Counts and figures for the manifest: JSON values that two runs of the same recipe share. Times and speeds
    go to `measured`."""
    measured: dict[str, Any] = field(default_factory=dict)
    """Seconds, rates, memory: what may differ from run to run."""


def inputs_digest(stage: str, settings: Mapping[str, Any], seed: int | None, parents: Sequence[Artifact]) -> str:
    """What a result with these inputs would carry as `inputs`."""
    story = {
        "manifest_version": MANIFEST_VERSION,
        "stage": stage,
        "settings": settings,
        "seed": seed,
        "parents": [parent.content for parent in parents],
    }
    return digest_of_value(story)


@contextmanager
def publish(
    out: Path,
    *,
    kind: str,
    stage: str,
    settings: Mapping[str, Any],
    seed: int | None = None,
    parents: Sequence[Artifact] = (),
) -> Iterator[Draft]:
    """Yield a `Draft` that becomes `out` if the block succeeds. An older `out` is replaced only then.

    Args:
        settings: the resolved settings of the stage, as JSON values.
        parents: what the stage reads, in a fixed order.

    Raises:
        UserError: `out` cannot be written, the disk is full, `out` is a parent or something that this stage did not
            make, or another process is making it. An `OSError` of the block that has nothing to do with `out` passes.
    """
    scratch = scratch_path(out)
    started = time.monotonic()
    with _writing(out):
        out.parent.mkdir(parents=True, exist_ok=True)
    with exclusive(_beside(out, _LOCK_SUFFIX), f"`{out}` is being made by another process"):
        try:
            with _writing(out):
                _settle(out)
                refuse_foreign(out)
                _refuse_to_replace(out, kind, stage, parents)
                _remove(scratch)
                scratch.mkdir()
            draft = Draft(path=scratch)
            try:
                yield draft
            except OSError as error:
                if error.errno in _FULL or _is_inside(error.filename, scratch):
                    raise _cannot_write(out, error) from error
                raise
            except Exception as error:
                # Libraries that write files themselves (safetensors, torch) wrap what the system said.
                if shutil.disk_usage(scratch).free < CHUNK_BYTES:
                    raise _disk_full(out) from error
                raise
            with _writing(out):
                files = _sealed(scratch)
                manifest = {
                    "manifest_version": MANIFEST_VERSION,
                    "kind": kind,
                    "stage": stage,
                    "code_version": __version__,
                    "settings": settings,
                    "seed": seed,
                    "inputs": inputs_digest(stage, settings, seed, parents),
                    "content": content_digest(files),
                    "parents": [parent.inputs for parent in parents],
                    "ancestors": _ancestors(parents),
                    "summary": draft.summary,
                    "measured": {**draft.measured, "seconds": round(time.monotonic() - started, 3)},
                    "files": files,
                }
                _put_manifest(scratch, manifest)
                _exchange(scratch, out)
        except BaseException:
            # A scratch directory with a manifest is a result already: it stays for `_settle`.
            if not is_artifact(scratch):
                shutil.rmtree(scratch, ignore_errors=True)
            raise


def open_artifact(path: Path, kind: str | None = None) -> Artifact:
    """Read the manifest of a finished directory, and check that its files are there in full length.

    Raises:
        UserError: there is none, it is damaged or of another version, or the artifact is not a `kind`.
    """
    where = path / MANIFEST
    again = "delete the directory and run its stage again"
    try:
        manifest = json.loads(where.read_bytes())
    except FileNotFoundError:
        raise UserError(
            f"`{path}` holds no finished result: `{MANIFEST}` is missing", hint="run the stage that makes it"
        ) from None
    except OSError as error:
        raise UserError(f"cannot read `{where}`: {reason_of(error)}", hint=again) from error
    except (ValueError, RecursionError) as error:
        raise UserError(f"`{where}` is damaged: {shown(error)}", hint=again) from None
    version = manifest.get("manifest_version") if isinstance(manifest, dict) else None
    if version != MANIFEST_VERSION:
        raise UserError(
            f"`{where}` has manifest_version `{shown(version)}`, this pocketphi reads {MANIFEST_VERSION}", hint=again
        )
    problem = problem_of(manifest)
    if problem is not None:
        raise UserError(f"`{where}` is damaged: {problem}", hint=again)
    artifact = Artifact(
        path=path,
        kind=manifest["kind"],
        stage=manifest["stage"],
        content=manifest["content"],
        inputs=manifest["inputs"],
        manifest=manifest,
    )
    if kind is not None and artifact.kind != kind:
        raise UserError(f"`{path}` is a {shown(artifact.kind)}, expected a {kind}")
    for name, file in manifest["files"].items():
        try:
            found = (path / name).stat().st_size
        except (OSError, ValueError):
            found = None
        if found != file["bytes"]:
            raise UserError(
                f"`{shown(path / name, 300)}` has {'no' if found is None else found} bytes, "
                f"its manifest says {file['bytes']}",
                hint=again,
            )
    return artifact


def find_artifact(out: Path) -> Artifact | None:
    """What is finished at `out`, after tidying up what a kill left half done; None if nothing is.

    Raises:
        UserError: it is damaged, or another process is making it.
    """
    if any(_beside(out, suffix).exists() for suffix in (_SCRATCH_SUFFIX, _ASIDE_SUFFIX, _LOCK_SUFFIX)):
        with exclusive(_beside(out, _LOCK_SUFFIX), f"`{out}` is being made by another process"), _writing(out):
            _settle(out)
    return open_artifact(out) if is_artifact(out) else None


def refuse_foreign(out: Path) -> None:
    """Raise `UserError` if something that no stage made is where a result is to be."""
    if out.exists() and not is_artifact(out) and (not out.is_dir() or any(out.iterdir())):
        raise UserError(
            f"`{out}` is in the way: no stage made it", hint="choose another place for the result, or move it"
        )


def place_of(path: Path) -> Path:
    """Where the result belongs that `path` holds or, in the midst of an exchange, is about to replace."""
    for suffix in (_SCRATCH_SUFFIX, _ASIDE_SUFFIX):
        if path.name.endswith(suffix):
            return path.with_name(path.name.removesuffix(suffix))
    return path


def read_verified(artifact: Artifact, name: str) -> bytes:
    """A small file of an artifact. Raises `UserError` if it is not what its stage wrote."""
    path = artifact.path / name
    try:
        data = path.read_bytes()
    except OSError as error:
        raise UserError(f"cannot read `{path}`: {reason_of(error)}") from error
    file = artifact.manifest["files"].get(name)
    if file is None or digest_of(data) != file["sha256"]:
        raise _changed(path)
    return data


def verify_artifact(artifact: Artifact) -> None:
    """Read every file and compare its digest. Raises `UserError` naming the first that differs."""
    for name, file in artifact.manifest["files"].items():
        if file_digest(artifact.path / name) != file["sha256"]:
            raise _changed(artifact.path / name)


def is_artifact(path: Path) -> bool:
    """Whether `path` is a finished directory of ours, judged by its manifest's presence alone."""
    return (path / MANIFEST).is_file()


def scratch_path(out: Path) -> Path:
    """Where a result that becomes `out` is written."""
    return _beside(out, _SCRATCH_SUFFIX)


def _beside(out: Path, suffix: str) -> Path:
    return out.with_name(out.name + suffix)


def _changed(path: Path) -> UserError:
    return UserError(f"`{path}` was changed after it was made", hint="run its stage again")


def _refuse_to_replace(out: Path, kind: str, stage: str, parents: Sequence[Artifact]) -> None:
    """A result makes way for a newer one of its own stage, and for no other."""
    try:
        older = open_artifact(out)
    except UserError:
        return  # there is none, or it is of no use to anybody
    elsewhere = "choose another place for the result, or delete that directory"
    if any(parent.path.resolve() == out.resolve() for parent in parents):
        raise UserError(f"`{out}` is what `{stage}` reads: it cannot be replaced by its result", hint=elsewhere)
    if (older.kind, older.stage) != (kind, stage):
        made = f"a finished {shown(older.kind)} of `{shown(older.stage)}`"
        raise UserError(f"`{out}` is {made}, which the {kind} of `{stage}` does not replace", hint=elsewhere)


def _settle(out: Path) -> None:
    """Finish the exchange that a kill cut short. The caller holds the lock."""
    scratch, aside = scratch_path(out), _beside(out, _ASIDE_SUFFIX)
    if is_artifact(scratch):
        refuse_foreign(out)
        _exchange(scratch, out)
    elif aside.exists() and not out.exists():
        aside.rename(out)
    _remove(aside)


def _exchange(scratch: Path, out: Path) -> None:
    """Make `scratch` visible as `out`. A directory cannot be renamed over another, so the older one steps aside."""
    aside = _beside(out, _ASIDE_SUFFIX)
    if out.exists():
        _remove(aside)
        out.rename(aside)
    scratch.rename(out)
    _sync(out.parent)
    _remove(aside)


def _put_manifest(folder: Path, manifest: Mapping[str, Any]) -> None:
    """All of it at once: whoever sees the name sees the whole."""
    unnamed = folder / f"{MANIFEST}.unfinished"
    with unnamed.open("w", encoding="utf-8") as file:
        file.write(json.dumps(manifest, indent=1, sort_keys=True) + "\n")
        file.flush()
        os.fsync(file.fileno())
    unnamed.rename(folder / MANIFEST)
    _sync(folder)


def _sealed(folder: Path) -> dict[str, dict[str, Any]]:
    """Size and digest of every file in `folder`, once it is safely on the disk."""
    files = {}
    for path in sorted(folder.rglob("*")):
        if path.is_file():
            with path.open("rb") as file:
                os.fsync(file.fileno())
            files[path.relative_to(folder).as_posix()] = {"bytes": path.stat().st_size, "sha256": file_digest(path)}
    return files


def _ancestors(parents: Sequence[Artifact]) -> dict[str, Any]:
    """The stories of all ancestors by their `inputs`, each told once however many ways lead to it."""
    stories: dict[str, Any] = {}
    for parent in parents:
        stories.update(parent.manifest["ancestors"])
        stories[parent.inputs] = {key: parent.manifest[key] for key in STORY}
    return stories


@contextmanager
def _writing(out: Path) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        raise _cannot_write(out, error) from error


def _cannot_write(out: Path, error: OSError) -> UserError:
    if error.errno in _FULL:
        return _disk_full(out)
    return UserError(
        f"cannot write `{out}`: {reason_of(error)}",
        hint="choose a place that you may write to",
    )


def _disk_full(out: Path) -> UserError:
    return UserError(f"cannot write `{out}`: the disk is full", hint="free some space and run the same command again")


def _is_inside(name: object, folder: Path) -> bool:
    return isinstance(name, str) and Path(name).is_relative_to(folder)


def _sync(folder: Path) -> None:
    """Make what happened in `folder` survive a power cut."""
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _remove(path: Path) -> None:
    if path.is_dir() and not path.is_symlink():
        shutil.rmtree(path)
    else:
        path.unlink(missing_ok=True)
