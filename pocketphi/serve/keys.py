"""Who may ask: keys that people give, and the token that is made where they give none.

A server that others on the network reach always wants a key. The one that is made for it is kept in a file that nobody
else may read, so that a phone which opened the page once gets in after a restart too.
"""

import os
import secrets
from collections.abc import Sequence
from pathlib import Path

from pocketphi.errors import UserError, reason_of

MADE_BYTES = 20
"""160 random bits."""
FEWEST_CHARACTERS = 16
"""Of a key that others on the network could guess at."""
MOST_CHARACTERS = 256


def check_keys(keys: Sequence[str], *, is_reachable: bool) -> tuple[str, ...]:
    """The keys, if they are fit for a header and, on a network, hard to guess.

    Raises:
        UserError: one is not. The message does not repeat it.
    """
    for number, key in enumerate(keys, start=1):
        if not key.isascii() or not key.isprintable() or " " in key or not 1 <= len(key) <= MOST_CHARACTERS:
            raise UserError(
                f"key {number} is empty, too long, or holds characters that a header cannot carry",
                hint=f"give 1 to {MOST_CHARACTERS} letters, digits and signs, without spaces",
            )
        if is_reachable and len(key) < FEWEST_CHARACTERS:
            raise UserError(
                f"key {number} has `{len(key)}` characters, which is few for a server that others reach",
                hint=f"give {FEWEST_CHARACTERS} or more, or none: then a token is made",
            )
    return tuple(dict.fromkeys(keys))


def read_keys(path: Path) -> list[str]:
    """Keys from a file, one a line; empty lines and those that begin with # are skipped.

    Raises:
        UserError: it cannot be read, others may read it, or there is no key in it.
    """
    try:
        mode = path.stat().st_mode
        lines = path.read_text(encoding="utf-8").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        raise UserError(f"`{path}`: the keys cannot be read: {reason_of(error)}") from error
    if os.name == "posix" and mode & 0o077:
        raise UserError(f"`{path}`: others may read the keys", hint=f"chmod 600 {path}")
    keys = [line.strip() for line in lines if line.strip() and not line.startswith("#")]
    if not keys:
        raise UserError(f"`{path}` holds no key", hint="write one a line")
    return keys


def made_token(path: Path, *, anew: bool = False) -> str:
    """The token of this machine, from its file, or a new one.

    Args:
        anew: forget the old one: whoever has it gets in no more.
    """
    if not anew:
        try:
            token = path.read_text(encoding="ascii").strip()
        except (OSError, UnicodeDecodeError):
            token = ""
        if len(token) >= FEWEST_CHARACTERS:
            return token
    token = secrets.token_urlsafe(MADE_BYTES)
    write_secret(path, f"{token}\n".encode())
    return token


def write_secret(path: Path, content: bytes) -> None:
    """A file that nobody else may read, from its first byte on; whole or not at all.

    Raises:
        UserError: it cannot be written.
    """
    scratch = path.with_name(f".{path.name}.{os.getpid()}")
    try:
        path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        scratch.unlink(missing_ok=True)
        with os.fdopen(os.open(scratch, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "wb") as file:
            file.write(content)
        scratch.replace(path)
    except OSError as error:
        scratch.unlink(missing_ok=True)
        raise UserError(f"`{path}` cannot be written: {reason_of(error)}", hint="set `XDG_STATE_HOME`") from error
