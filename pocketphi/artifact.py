"""Results on disk: directories that are complete or absent, and know where they come from.

A stage writes its result into a scratch directory next to the final one. When it is done, every file is
digested, the manifest is written last, and one rename makes the directory visible. So a directory with a
manifest is complete; a killed run leaves a scratch directory that nobody mistakes for a result.

The manifest names the digests of the artifacts that a result was made from, and carries their own
manifests' stories, so one file tells the whole ancestry even after the parents are gone. Two digests
matter: `inputs` (the stage, its settings, its seed and its parents' content) says whether a finished
result still answers the question; `content` (the bytes of all files) says what it is. Neither holds
a time, a path or a host, so the same recipe gives the same digests everywhere.
"""

import hashlib
import json
import os
import shutil
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from pocketphi import __version__
from pocketphi.errors import UserError, shown

MANIFEST = "manifest.json"
MANIFEST_VERSION = 1
_SCRATCH_SUFFIX = ".partial"
_CHUNK_BYTES = 1 << 20

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
    return hashlib.sha256(_canonical(story)).hexdigest()


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
        UserError: `out` or its folder cannot be written, or `out` is something that no stage made.
    """
    scratch = scratch_path(out)
    started = time.monotonic()
    try:
        if out.exists() and not is_artifact(out) and (not out.is_dir() or any(out.iterdir())):
            raise UserError(f"`{out}` is in the way: no stage made it", hint="choose another --out, or move it away")
        _remove(scratch)
        scratch.mkdir(parents=True)
        draft = Draft(path=scratch)
        yield draft
        files = {
            path.relative_to(scratch).as_posix(): {"bytes": path.stat().st_size, "sha256": _file_digest(path)}
            for path in sorted(scratch.rglob("*"))
            if path.is_file()
        }
        manifest = {
            "manifest_version": MANIFEST_VERSION,
            "kind": kind,
            "stage": stage,
            "code_version": __version__,
            "settings": settings,
            "seed": seed,
            "inputs": inputs_digest(stage, settings, seed, parents),
            "content": _content_digest(files),
            "parents": [_story(parent.manifest) for parent in parents],
            "summary": draft.summary,
            "measured": {**draft.measured, "seconds": round(time.monotonic() - started, 3)},
            "files": files,
        }
        _write_synced(scratch / MANIFEST, json.dumps(manifest, indent=1, sort_keys=True, ensure_ascii=False) + "\n")
        _remove(out)
        scratch.rename(out)
    except OSError as error:
        _remove(scratch)
        raise UserError(
            f"cannot write `{out}`: {(error.strerror or str(error)).lower()}",
            hint="free some space or choose another --out",
        ) from error
    except BaseException:
        _remove(scratch)
        raise


def open_artifact(path: Path, kind: str | None = None) -> Artifact:
    """Read the manifest of a finished directory.

    Raises:
        UserError: there is none, it is damaged or of another version, or the artifact is not a `kind`.
    """
    where = path / MANIFEST
    try:
        manifest = json.loads(where.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise UserError(
            f"`{path}` holds no finished result: `{MANIFEST}` is missing", hint="run the stage that makes it"
        ) from None
    except (OSError, ValueError) as error:
        raise UserError(
            f"cannot read `{where}`: {shown(error)}", hint="delete the directory and run its stage"
        ) from error
    version = manifest.get("manifest_version") if isinstance(manifest, dict) else None
    if version != MANIFEST_VERSION:
        raise UserError(
            f"`{where}` has manifest_version `{shown(version)}`, this pocketphi reads {MANIFEST_VERSION}",
            hint="delete the directory and run its stage again",
        )
    try:
        artifact = Artifact(
            path=path,
            kind=manifest["kind"],
            stage=manifest["stage"],
            content=manifest["content"],
            inputs=manifest["inputs"],
            manifest=manifest,
        )
        files = {name: file["bytes"] for name, file in manifest["files"].items()}
    except (KeyError, TypeError, AttributeError) as error:
        raise UserError(
            f"`{where}` is damaged: {shown(error)}", hint="delete the directory and run its stage"
        ) from None
    if kind is not None and artifact.kind != kind:
        raise UserError(f"`{path}` is a {artifact.kind}, expected a {kind}")
    for name, size in files.items():
        found = (path / name).stat().st_size if (path / name).is_file() else None
        if found != size:
            raise UserError(
                f"`{path / name}` has {found if found is not None else 'no'} bytes, its manifest says {size}",
                hint="delete the directory and run its stage again",
            )
    return artifact


def verify_artifact(artifact: Artifact) -> None:
    """Read every file and compare its digest. Raises `UserError` naming the first that differs."""
    for name, file in artifact.manifest["files"].items():
        if _file_digest(artifact.path / name) != file["sha256"]:
            raise UserError(f"`{artifact.path / name}` was changed after it was made", hint="run its stage again")


def is_artifact(path: Path) -> bool:
    """Whether `path` is a finished directory of ours, judged by its manifest's presence alone."""
    return (path / MANIFEST).is_file()


def scratch_path(out: Path) -> Path:
    """Where a result that becomes `out` is written."""
    return out.with_name(out.name + _SCRATCH_SUFFIX)


def _story(manifest: Mapping[str, Any]) -> dict[str, Any]:
    """What descendants remember: everything but the list of files and what differs from run to run."""
    return {key: value for key, value in manifest.items() if key not in ("files", "measured", "manifest_version")}


def _canonical(value: object) -> bytes:
    return json.dumps(value, sort_keys=True, separators=(",", ":"), ensure_ascii=False).encode("utf-8")


def _content_digest(files: Mapping[str, Mapping[str, Any]]) -> str:
    return hashlib.sha256(_canonical({name: file["sha256"] for name, file in files.items()})).hexdigest()


def _file_digest(path: Path) -> str:
    digest = hashlib.sha256()
    with path.open("rb") as file:
        while chunk := file.read(_CHUNK_BYTES):
            digest.update(chunk)
    return digest.hexdigest()


def _write_synced(path: Path, text: str) -> None:
    with path.open("w", encoding="utf-8") as file:
        file.write(text)
        file.flush()
        os.fsync(file.fileno())


def _remove(path: Path) -> None:
    if path.is_dir() and not path.is_symlink():
        shutil.rmtree(path)
    else:
        path.unlink(missing_ok=True)
