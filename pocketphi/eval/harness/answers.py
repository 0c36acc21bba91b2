"""What a model has answered before: one SQLite file for each model, so that nothing is computed twice.

The key is the digest of the whole request; the file is that of the model's digest and of all else that may change an
answer. SQLite's own journal makes every batch durable at once or not at all, so a killed run loses at most the batch
in flight.
"""

import hashlib
import json
import sqlite3
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from pocketphi.errors import UserError

_AT_ONCE = 500
"""Keys in a query: SQLite takes 999 by default in old builds."""


def key_of(request: Any) -> str:
    """SHA-256 of a request, as a JSON value."""
    text = json.dumps(request, sort_keys=True, separators=(",", ":"), ensure_ascii=False)
    return hashlib.sha256(text.encode("utf-8", "surrogatepass")).hexdigest()


class Answers:
    """JSON values by key."""

    def __init__(self, connection: sqlite3.Connection) -> None:
        self._connection = connection

    def find(self, keys: Sequence[str]) -> dict[str, Any]:
        """Those that are there."""
        found: dict[str, Any] = {}
        for start in range(0, len(keys), _AT_ONCE):
            some = list(keys[start : start + _AT_ONCE])
            marks = ",".join("?" * len(some))
            rows = self._connection.execute(f"SELECT key, value FROM answers WHERE key IN ({marks})", some)  # noqa: S608
            found.update((key, json.loads(value)) for key, value in rows)
        return found

    def add(self, values: Mapping[str, Any]) -> None:
        """Keep them, all or none."""
        with self._connection:
            rows = [(key, json.dumps(value)) for key, value in values.items()]
            self._connection.executemany("INSERT OR REPLACE INTO answers VALUES (?, ?)", rows)


@contextmanager
def open_answers(path: Path | None) -> Iterator[Answers]:
    """The file at `path`, made if it is not there; for None a file in memory.

    Raises:
        UserError: it cannot be opened, or is no such file.
    """
    try:
        if path is not None:
            path.parent.mkdir(parents=True, exist_ok=True)
        connection = sqlite3.connect(":memory:" if path is None else path, timeout=60)
        try:
            connection.execute("PRAGMA journal_mode = WAL")
            connection.execute("CREATE TABLE IF NOT EXISTS answers (key TEXT PRIMARY KEY, value TEXT) WITHOUT ROWID")
            yield Answers(connection)
        finally:
            connection.close()
    except (sqlite3.Error, OSError) as error:
        raise UserError(
            f"cannot keep answers in `{path}`: {error}", hint="delete that file, or run with `--no-cache`"
        ) from error
