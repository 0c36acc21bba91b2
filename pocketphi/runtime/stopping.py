"""Finding stop strings in text that arrives in pieces.

A stop string may begin in one piece and end in a later one, so text that could be its beginning is
held back until it is decided. What comes out never holds a stop string, nor anything after it.
"""

from collections.abc import Sequence

from pocketphi.errors import UserError

MAX_STOPS = 64
MAX_STOP_CHARACTERS = 1024


class StopFinder:
    """Watches a stream of text for any of `stops`; the first to be complete wins, of two the longer.

    Raises:
        UserError: a stop string is empty or too long, or there are too many.
    """

    def __init__(self, stops: Sequence[str] = ()) -> None:
        if len(stops) > MAX_STOPS:
            raise UserError(f"`{len(stops)}` stop strings", hint=f"give at most {MAX_STOPS}")
        for stop in stops:
            if not 0 < len(stop) <= MAX_STOP_CHARACTERS:
                raise UserError(f"a stop string has `{len(stop)}` characters", hint=f"give 1 to {MAX_STOP_CHARACTERS}")
        self._stops = tuple(stops)
        self._held = ""
        self.found = False

    def push(self, piece: str) -> str:
        """Text that is certain to come before every stop string; "" once one was found."""
        if self.found:
            return ""
        text = self._held + piece
        found = [(place + len(stop), place) for stop in self._stops if (place := text.find(stop)) >= 0]
        if found:
            self.found, self._held = True, ""
            return text[: min(found)[1]]
        held = max((_overlap(text, stop) for stop in self._stops), default=0)
        self._held = text[len(text) - held :]
        return text[: len(text) - held]

    def finish(self) -> str:
        """What was held back, when the stream ends without a stop string."""
        rest, self._held = self._held, ""
        return rest


def _overlap(text: str, stop: str) -> int:
    """Characters at the end of `text` that begin `stop`."""
    for size in range(min(len(stop) - 1, len(text)), 0, -1):
        if stop.startswith(text[-size:]):
            return size
    return 0
