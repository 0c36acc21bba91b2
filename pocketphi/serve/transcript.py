"""Conversations as files: JSON to go on with later, Markdown to read.

A saved file is written whole or not at all, readable by its owner only, and replaces nothing unless asked.
A loaded one is input from a stranger: size, shape and every type are checked before any of it is used.
"""

import json
import os
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pocketphi.chat import Message
from pocketphi.errors import UserError, reason_of

FORMAT = "pocketphi conversation 1"
MAX_FILE_BYTES = 64 << 20
_ROLES = ("system", "user", "assistant")


@dataclass(frozen=True, kw_only=True)
class Transcript:
    """A conversation and what it was held with."""

    model: str
    messages: tuple[Message, ...]
    """An optional system message, then user and assistant in turn."""
    settings: Mapping[str, float | int]
    """Sampling settings that differ from the defaults, by name."""


def save(transcript: Transcript, path: Path, *, replace: bool = False) -> None:
    """Write `transcript` as JSON.

    Raises:
        UserError: `path` exists and `replace` is false, or it cannot be written.
    """
    content = {
        "format": FORMAT,
        "model": transcript.model,
        "settings": dict(transcript.settings),
        "messages": [{"role": message.role, "content": message.content} for message in transcript.messages],
    }
    write_whole(path, json.dumps(content, indent=2, ensure_ascii=False) + "\n", replace=replace)


def load(path: Path) -> Transcript:
    """Read what `save` wrote.

    Raises:
        UserError: the file cannot be read, or is not a conversation; the message names the field.
    """
    try:
        if not path.is_file():
            raise UserError(f"no such file: `{path}`")
        size = path.stat().st_size
        if size > MAX_FILE_BYTES:
            raise UserError(f"`{path}` has {size:,} bytes; a conversation has at most {MAX_FILE_BYTES:,}")
        content = json.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise UserError(f"cannot read `{path}`: {reason_of(error)}") from error
    except (ValueError, RecursionError) as error:
        raise UserError(f"`{path}` is not a saved conversation: not JSON in UTF-8") from error
    return Transcript(
        model=_text(path, content, "model"),
        settings=_settings(path, content),
        messages=_messages(path, content),
    )


def _bad(path: Path, what: str) -> UserError:
    return UserError(f"`{path}` is not a saved conversation: {what}", hint="`/save FILE` writes one")


def _text(path: Path, content: Any, key: str) -> str:
    if not isinstance(content, dict) or content.get("format") != FORMAT:
        raise _bad(path, f"`format` is not `{FORMAT}`")
    value = content.get(key)
    if not isinstance(value, str):
        raise _bad(path, f"`{key}` is not text")
    return value


def _settings(path: Path, content: dict[str, Any]) -> dict[str, float | int]:
    settings = content.get("settings")
    if not isinstance(settings, dict):
        raise _bad(path, "`settings` is not an object")
    for name, value in settings.items():
        if isinstance(value, bool) or not isinstance(value, int | float):
            raise _bad(path, f"`settings.{name}` is not a number")
    return settings


def _messages(path: Path, content: dict[str, Any]) -> tuple[Message, ...]:
    entries = content.get("messages")
    if not isinstance(entries, list):
        raise _bad(path, "`messages` is not a list")
    messages = []
    for number, entry in enumerate(entries):
        if not isinstance(entry, dict) or not isinstance(entry.get("content"), str):
            raise _bad(path, f"`messages[{number}].content` is not text")
        if entry.get("role") not in _ROLES:
            raise _bad(path, f"`messages[{number}].role` is `{entry.get('role')}`, not one of {', '.join(_ROLES)}")
        content_text = entry["content"].encode("utf-8", "replace").decode()  # JSON can spell half a character
        messages.append(Message(role=entry["role"], content=content_text))
    first = 1 if messages and messages[0].role == "system" else 0
    for number, message in enumerate(messages[first:], first):
        expected = ("user", "assistant")[(number - first) % 2]
        if message.role != expected:
            raise _bad(path, f"`messages[{number}].role` is `{message.role}`, `{expected}` must come here")
    if (len(messages) - first) % 2:
        raise _bad(path, "the last question has no answer")
    return tuple(messages)


def markdown(model: str, messages: Sequence[Message]) -> str:
    """The conversation as a document. Texts stand as they are: models write Markdown themselves."""
    parts = [f"# Chat with {model}\n"]
    parts += [f"## {message.role.capitalize()}\n\n{message.content.strip()}\n" for message in messages]
    return "\n".join(parts)


def write_whole(path: Path, text: str, *, replace: bool) -> None:
    """Write a file completely or not at all, with mode 0600.

    Raises:
        UserError: `path` exists and `replace` is false, or it cannot be written.
    """
    if not replace and os.path.lexists(path):
        raise UserError(f"`{path}` exists", hint="choose another name, or delete it first")
    try:
        handle, name = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")
        scratch = Path(name)
        try:
            with os.fdopen(handle, "w", encoding="utf-8", errors="replace") as file:
                file.write(text)
                file.flush()
                os.fsync(file.fileno())
            if replace:
                scratch.replace(path)
            else:
                path.hardlink_to(scratch)  # unlike a rename, fails if the file has appeared meanwhile
        finally:
            scratch.unlink(missing_ok=True)
    except FileExistsError as error:
        raise UserError(f"`{path}` exists", hint="choose another name, or delete it first") from error
    except OSError as error:
        raise UserError(f"cannot write `{path}`: {reason_of(error)}", hint="choose another folder") from error
