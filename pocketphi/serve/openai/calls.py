"""What an answer says, read while it is written: text, and calls of tools."""

from dataclasses import dataclass, replace
from typing import Protocol


@dataclass(frozen=True, kw_only=True)
class CallPart:
    """A call of a tool, or more of its arguments."""

    index: int
    """Which of the answer's calls."""
    id: str | None = None
    """With the name, in a call's first part alone."""
    name: str | None = None
    arguments: str = ""

    def with_more(self, arguments: str) -> "CallPart":
        return replace(self, arguments=self.arguments + arguments)


class Reader(Protocol):
    """Reads one answer in a conversation that has tools."""

    def push(self, text: str) -> list[str | CallPart]:
        """What became certain with this text."""
        ...

    def finish(self) -> list[str | CallPart]:
        """What was held back, at the end."""
        ...
