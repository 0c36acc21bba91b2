"""What a result on disk is, and where it comes from: `show` for the directories that stages make."""

import json as json_format
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from pocketphi.artifact import Artifact, is_artifact, open_artifact
from pocketphi.cli.watch import duration, headline
from pocketphi.errors import shown
from pocketphi.hub.disk import human_size
from pocketphi.serve.text import printable
from pocketphi.stages import outdated

_DIGITS = 12
"""Of a digest: enough to compare by eye."""


def made_at(path: Path) -> list[Artifact]:
    """What stages made: in the directory `path` itself, or, of a run, in those below it, ancestors first."""
    if is_artifact(path):
        return [open_artifact(path)]
    below = sorted(path.iterdir()) if path.is_dir() else []
    found = [open_artifact(inner) for inner in below if is_artifact(inner)]
    return sorted(found, key=lambda artifact: len(artifact.manifest["ancestors"]))


def show_made(path: Path, found: Sequence[Artifact], *, json: bool) -> None:
    """Print a finished stage with its ancestry, or a line for each finished stage of a run: the result of an older
    version of another stage says so."""
    if json:
        told = [{"path": str(artifact.path), **artifact.manifest} for artifact in found]
        if not is_artifact(path):
            told = [{**each, "outdated": outdated(artifact, found)} for each, artifact in zip(told, found, strict=True)]
        print(json_format.dumps(told[0] if is_artifact(path) else told))
        return
    if is_artifact(path):
        print("\n".join(_description(found[0])))
        return
    width = max(len(artifact.path.name) for artifact in found)
    for artifact in found:
        size, seconds = human_size(artifact.size_bytes), duration(_seconds(artifact))
        older = outdated(artifact, found)
        mark = f"  (made from an older {', '.join(map(printable, older))})" if older else ""
        name = printable(artifact.path.name)
        print(f"{name:{width}}  {size:>9}  {seconds:>12}  {headline(artifact)}{mark}".rstrip())


def _description(artifact: Artifact) -> Iterator[str]:
    manifest = artifact.manifest
    yield f"kind  {shown(artifact.kind)}"
    yield f"path  {printable(str(artifact.path))}"
    yield f"size  {human_size(artifact.size_bytes)} in {len(manifest['files'])} files"
    yield f"made in  {duration(_seconds(artifact))} by pocketphi {shown(manifest['code_version'])}"
    yield f"content  {shown(artifact.content)}"
    for name, values in (("settings", manifest["settings"]), ("summary", artifact.summary)):
        for key, value in _flat(values):
            yield f"{name}.{shown(key)}  {shown(value, 100)}"
    yield "ancestry"
    yield from _tree(manifest, manifest["ancestors"], set(), "", "")


def _tree(
    story: Mapping[str, Any], stories: Mapping[str, Any], told: set[str], first: str, further: str
) -> Iterator[str]:
    """A story and below it those of its parents; what was told above is only named."""
    inputs = story["inputs"]
    known = inputs in told and bool(story["parents"])
    told.add(inputs)
    seed = "" if story["seed"] is None else f", seed {story['seed']}"
    yield f"{first}{shown(story['stage'])} ({shown(story['content'])[:_DIGITS]}{seed}{', see above' if known else ''})"
    if not known:
        parents = [stories[parent] for parent in story["parents"]]
        for index, parent in enumerate(parents):
            is_last = index == len(parents) - 1
            yield from _tree(
                parent, stories, told, further + ("└─ " if is_last else "├─ "), further + ("   " if is_last else "│  ")
            )


def _flat(values: Mapping[str, Any], prefix: str = "") -> Iterator[tuple[str, str]]:
    for key, value in values.items():
        if isinstance(value, list) and any(isinstance(item, Mapping) for item in value):
            yield from _flat({str(index): item for index, item in enumerate(value)}, f"{prefix}{key}.")
        elif isinstance(value, Mapping) and value:
            yield from _flat(value, f"{prefix}{key}.")
        else:
            yield prefix + key, f"{value:.6g}" if isinstance(value, float) else json_format.dumps(value)


def _seconds(artifact: Artifact) -> float:
    seconds = artifact.manifest["measured"].get("seconds")
    return float(seconds) if isinstance(seconds, int | float) else 0.0
