"""Options that several verbs share, and numbers that are checked before anything is loaded.

A number out of range is wrong usage (exit code 2), and the message names the range. typer hands
defaults to the same parsers, as the numbers they are.
"""

import math
from collections.abc import Callable
from typing import Annotated

import typer

MAX_CONTEXT = 131_072


def whole(low: int, high: int) -> Callable[[str | int], int]:
    """A parser for whole numbers from `low` to `high`."""

    def parse(given: str | int) -> int:
        text = str(given)
        digits = text.strip().replace("_", "").removeprefix("+")
        # A long row of digits is out of range anyhow, and slow to convert.
        value = int(digits) if digits.removeprefix("-").isdecimal() and len(digits) <= 30 else None
        if value is None or not low <= value <= high:
            raise typer.BadParameter(f"`{text[:40]}` is not a whole number from {low:,} to {high:,}")
        return value

    return parse


def real(low: float, high: float) -> Callable[[str | float], float]:
    """A parser for numbers from `low` to `high`; NaN and infinities are none."""

    def parse(given: str | float) -> float:
        text = str(given)
        try:
            value = float(text)
        except ValueError:
            value = math.nan
        if not low <= value <= high:
            raise typer.BadParameter(f"`{text[:40]}` is not a number from {low:g} to {high:g}")
        return value

    return parse


def one_of(*choices: int) -> Callable[[str | int], int]:
    """A parser for one of a few numbers."""

    def parse(given: str | int) -> int:
        text = str(given)
        for choice in choices:
            if text.strip() == str(choice):
                return choice
        raise typer.BadParameter(f"`{text[:40]}` is not one of {', '.join(map(str, choices))}")

    return parse


def utf8(text: str) -> str:
    """A parser for text: what a shell passes need not be UTF-8."""
    try:
        text.encode("utf-8")
    except UnicodeEncodeError as error:
        raise typer.BadParameter(f"it is not UTF-8 at character {error.start:,}") from error
    return text


Model = Annotated[
    str, typer.Argument(metavar="MODEL", help="a name (`pocketphi list` shows them), hf:owner/name, or a .pocket file")
]
Threads = Annotated[
    int | None,
    typer.Option(parser=whole(1, 256), metavar="N", help="worker threads; default: the physical cores"),
]
Context = Annotated[
    int | None,
    typer.Option(
        parser=whole(1, MAX_CONTEXT),
        metavar="N",
        help="tokens that a conversation may take; default: what the model knows and memory holds",
    ),
]
Group = Annotated[
    int,
    typer.Option(
        parser=one_of(32, 64, 128), metavar="32|64|128", help="weights that share a scale, where they are rounded"
    ),
]
Template = Annotated[
    str | None, typer.Option(parser=utf8, metavar="NAME", help="chat template; default: the model's own")
]
Json = Annotated[bool, typer.Option("--json", help="print JSON")]
