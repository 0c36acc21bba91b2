"""What a server says while it runs: little, one line each, on standard error.

Strangers write into requests, so control characters come out escaped. Prompts, answers and keys are never logged.
"""

import logging
from typing import TextIO

from pocketphi.serve.text import printable


class _Plain(logging.Formatter):
    def format(self, record: logging.LogRecord) -> str:
        return printable(super().format(record).replace("\n", "\\n"))


def start(stream: TextIO, *, verbose: bool) -> None:
    """Send pocketphi's own log to `stream`, requests too if `verbose`; libraries' only where something is wrong."""
    handler = logging.StreamHandler(stream)
    handler.setFormatter(_Plain("%(asctime)s %(levelname)s %(message)s", "%H:%M:%S"))
    root = logging.getLogger()
    root.addHandler(handler)
    root.setLevel(logging.WARNING)
    logging.getLogger("pocketphi").setLevel(logging.DEBUG if verbose else logging.WARNING)
