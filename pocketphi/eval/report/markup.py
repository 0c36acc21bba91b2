"""HTML and SVG that cannot be broken out of: text is escaped unless it is `Html` already.

A report shows web pages, questions and what models wrote: hostile text. So nothing here joins strings by
hand. `tag` is the only maker of markup; it escapes every child and attribute that is not `Html`, and shows
control characters and direction overrides, with which a text could hide or turn around its neighbours, as
the replacement character.
"""

import html
import re
from collections.abc import Iterable
from typing import TypeAlias

# C0 and C1 controls but tab and line feed, direction overrides and isolates, lone surrogates, non-characters.
_UNPRINTABLE = re.compile(
    r"[\x00-\x08\x0b-\x1f\x7f-\x9f\u200e\u200f\u202a-\u202e\u2066-\u2069\ud800-\udfff\ufffe\uffff]"
)
_VOID = frozenset({"br", "hr", "input", "meta"})


class Html(str):
    """Text that is markup already."""

    __slots__ = ()


Child: TypeAlias = "str | int | float | Iterable[Child] | None"
Attribute: TypeAlias = str | int | float | bool | None


def tag(name: str, /, *children: Child, **attributes: Attribute) -> Html:
    """An element. Python names become attributes: `class_` is `class`, `stroke_width` is `stroke-width`; `None` and
    `False` leave one out."""
    opening = name + "".join(_attribute(key, value) for key, value in attributes.items())
    if name in _VOID:
        return Html(f"<{opening}>")
    return Html(f"<{opening}>{joined(children)}</{name}>")


def joined(children: Child) -> Html:
    """Children one after the other."""
    if children is None:
        return Html("")
    if isinstance(children, Html):
        return children
    if isinstance(children, str):
        return Html(html.escape(plain(children), quote=False))
    if isinstance(children, int | float):
        return Html(number(children))
    return Html("".join(joined(child) for child in children))


def plain(text: str) -> str:
    """The text with everything that could hide or reorder it made visible."""
    return _UNPRINTABLE.sub("\ufffd", text.replace("\r\n", "\n"))


def clipped(text: str, longest: int) -> str:
    """At most `longest` characters, cut with an ellipsis."""
    text = text.strip()
    return text if len(text) <= longest else text[: longest - 1].rstrip() + "…"


def number(value: float) -> str:
    """A coordinate: two decimals at most, none that say nothing."""
    return f"{value:.2f}".rstrip("0").rstrip(".")


def _attribute(key: str, value: Attribute) -> str:
    if value is None or value is False:
        return ""
    name = key.rstrip("_").replace("_", "-")
    if value is True:
        return f" {name}"
    text = number(value) if isinstance(value, int | float) else plain(value)
    return f' {name}="{html.escape(text)}"'
