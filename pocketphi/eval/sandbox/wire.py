"""Values between the process that tests and the process that is tested.

Only plain values cross, rebuilt on the other side as exactly the types of Python, so nothing that arrives can lie about
what it equals. Anything else stays where it is and is named by a number.
"""

import json
from collections import deque
from collections.abc import Callable
from importlib import import_module
from typing import Any

MAX_LINE = 64 << 20
"""Bytes of a message."""

_NUMBERS = {"decimal": "Decimal", "fractions": "Fraction"}


def pack(value: Any, hold: Callable[[Any], int]) -> Any:
    """A JSON value. `hold` gives an object that is not plain its number."""
    # Subclasses (Counter, named tuples, IntEnum) cross as what they are built on.
    if value is None or isinstance(value, bool):
        return value
    for plain in (int, float, str):
        if isinstance(value, plain):
            return _EXACTLY[plain](value)
    if isinstance(value, list):
        return [pack(each, hold) for each in list.__iter__(value)]
    if isinstance(value, dict):
        return {"dict": [[pack(key, hold), pack(each, hold)] for key, each in dict.items(value)]}
    for kind, name in _SEQUENCES:
        if isinstance(value, kind):
            return {name: [pack(each, hold) for each in kind.__iter__(value)]}
    if isinstance(value, bytes | bytearray):
        return {"bytearray" if isinstance(value, bytearray) else "bytes": bytes(value).hex()}
    if isinstance(value, complex):
        return {"complex": [value.real, value.imag]}
    if isinstance(value, range):
        return {"range": [value.start, value.stop, value.step]}
    module = type(value).__module__
    if _NUMBERS.get(module) == type(value).__qualname__:
        return {"number": [module, str(value)]}
    return {"object": hold(value)}


_EXACTLY: dict[type, Callable[[Any], Any]] = {int: int.__int__, float: float.__float__, str: str.__str__}
_SEQUENCES: tuple[tuple[Any, str], ...] = (
    (tuple, "tuple"),
    (set, "set"),
    (frozenset, "frozenset"),
    (deque, "deque"),
)


def unpack(value: Any, held: Callable[[int], Any]) -> Any:
    """The value again. `held` gives what a number names.

    Raises:
        ValueError, TypeError, KeyError, ...: it was not written by `pack`.
    """
    if isinstance(value, list):
        return [unpack(each, held) for each in value]
    if not isinstance(value, dict):
        return value
    ((name, inner),) = value.items()
    if name == "dict":
        return {unpack(key, held): unpack(each, held) for key, each in inner}
    if name in ("bytes", "bytearray"):
        return (bytes if name == "bytes" else bytearray).fromhex(inner)
    if name == "complex":
        return complex(*inner)
    if name == "range":
        return range(*inner)
    if name == "number":
        kind = _NUMBERS[inner[0]]  # Before the import, which is of these two alone.
        return getattr(import_module(inner[0]), kind)(inner[1])
    if name == "object":
        return held(inner)
    kind = next(kind for kind, called in _SEQUENCES if called == name)
    return kind(unpack(each, held) for each in inner)


class Channel:
    """JSON lines over one descriptor, both ways."""

    def __init__(self, descriptor: int) -> None:
        self._reading = open(descriptor, "rb", closefd=False)  # noqa: SIM115 - stays open to the end
        self._writing = open(descriptor, "wb", closefd=False)  # noqa: SIM115

    def send(self, message: Any) -> None:
        """Raises OSError if nobody listens."""
        self._writing.write(json.dumps(message).encode() + b"\n")
        self._writing.flush()

    def receive(self) -> Any:
        """Raises EOFError at the end, ValueError or RecursionError if it is no message."""
        line = self._reading.readline(MAX_LINE)
        if not line:
            raise EOFError
        if not line.endswith(b"\n"):
            raise ValueError("a message is too long")
        return json.loads(line)
