"""What stands in `manifest.json`: the names of its parts, the digests, and what makes one damaged.

`pocketphi.artifact` writes and reads it.
"""

import hashlib
import json
from collections.abc import Mapping
from pathlib import Path, PurePosixPath
from typing import Any

from pocketphi.errors import shown

MANIFEST = "manifest.json"
MANIFEST_VERSION = 1
STORY = ("kind", "stage", "code_version", "settings", "seed", "inputs", "content", "parents", "summary")
"""What descendants remember: everything but the list of files and what differs from run to run."""
CHUNK_BYTES = 1 << 20


def problem_of(manifest: Mapping[str, Any]) -> str | None:
    """What is wrong with a manifest of our version, if anything is."""
    try:
        stories = [manifest, *manifest["ancestors"].values()]
        for story in stories:
            for key, type_ in zip(STORY, (str, str, str, dict, int | None, str, str, list, dict), strict=True):
                if not isinstance(story[key], type_):
                    return f"`{key}` is `{shown(story[key])}`"
            if not all(parent in manifest["ancestors"] for parent in story["parents"]):
                return "an ancestor is missing"
        files = manifest["files"]
        for name, file in files.items():
            way = PurePosixPath(name)
            if not name or way.is_absolute() or ".." in way.parts:
                return f"`{shown(name)}` is no name of a file in it"
            if type(file["bytes"]) is not int or not isinstance(file["sha256"], str):
                return f"the entry of `{shown(name)}`"
        if not isinstance(manifest["measured"], dict):
            return "`measured` is no object"
        return None if manifest["content"] == content_digest(files) else "its files do not make up its `content`"
    except (KeyError, TypeError, AttributeError, RecursionError, UnicodeError) as error:
        return f"{type(error).__name__} at {shown(error)}"


def content_digest(files: Mapping[str, Mapping[str, Any]]) -> str:
    """Of the names and digests of all files."""
    return digest_of_value({name: file["sha256"] for name, file in files.items()})


def digest_of_value(value: object) -> str:
    """Of a JSON value, however its keys are ordered."""
    return digest_of(json.dumps(value, sort_keys=True, separators=(",", ":"), ensure_ascii=False).encode("utf-8"))


def digest_of(data: bytes) -> str:
    """SHA-256 in hexadecimal digits."""
    return hashlib.sha256(data).hexdigest()


def file_digest(path: Path) -> str:
    """Of a file of any size."""
    digest = hashlib.sha256()
    with path.open("rb") as file:
        while chunk := file.read(CHUNK_BYTES):
            digest.update(chunk)
    return digest.hexdigest()
