"""Text out of pages: bytes to characters, HTML to text, and characters that no text needs taken out.

Two extractors: resiliparse is fast, trafilatura is precise. Both keep the main content: headings, paragraphs, lists,
code and tables (a row is a line, its cells apart by ` | `), without navigation, adverts and footers. `docs/curation.md`
has their scores on pages with known text.
"""

import re
import unicodedata
from typing import Literal

from resiliparse.extract.html2text import extract_plain_text
from resiliparse.parse.encoding import detect_encoding, map_encoding_to_html5
from resiliparse.parse.html import HTMLTree

from pocketphi.data.sources import Page

Extractor = Literal["resiliparse", "trafilatura"]

MAX_UNDECODABLE_FRACTION = 0.02
"""Replacement characters beyond this are no slip of an editor: the text is lost."""
MAX_DEPTH = 400
"""Nested elements beyond which the search for main content, quadratic in depth, is left out."""

_META_CHARSET = re.compile(rb"<meta[^>]{1,200}?charset\s*=\s*[\"']?\s*([\w.:-]{2,40})", re.IGNORECASE)
_NESTING = re.compile(
    r"<(/?)(?:div|span|section|article|table|ul|ol|blockquote|font|center|b|i|em|strong|a|form)\b", re.I
)
_BOMS = ((b"\xef\xbb\xbf", "utf-8"), (b"\xff\xfe", "utf-16-le"), (b"\xfe\xff", "utf-16-be"))
_TABS = re.compile(r"[ \t]*\t[ \t]*")
_SPACES = re.compile(r"(?<=\S)[ \u00a0\u2000-\u200a\u3000]{2,}")
_BLANK_LINES = re.compile(r"\n{3,}")
_FRONT_MATTER = re.compile(r"\A---\n.{0,4000}?\n---\n", re.DOTALL)
_KEPT_CONTROLS = frozenset("\n\t")


class NoText(Exception):
    """The page holds no text; the reason is the message."""


def to_text(page: Page, extractor: Extractor) -> str:
    """The page's text.

    Raises:
        NoText: it is binary, cannot be decoded, or holds nothing to read.
    """
    text = decode(page.payload, page.charset, is_html=page.kind == "html")
    if page.kind == "html":
        text = _main_text(text, extractor)
    elif page.kind == "markdown":
        text = _FRONT_MATTER.sub("", text.replace("\r\n", "\n"))
    text = tidy(text)
    if not any(character.isalnum() for character in text):
        raise NoText("no text")
    return text


def decode(payload: bytes, charset: str | None, *, is_html: bool) -> str:
    """Bytes to characters. A byte order mark decides, then what HTTP said, then what the page says of itself, then
    UTF-8, then statistics; a claim that does not decode is passed over.

    Raises:
        NoText: it is binary, or too much of it cannot be decoded.
    """
    for mark, name in _BOMS:
        if payload.startswith(mark):
            return payload[len(mark) :].decode(name, "replace")
    if payload.count(0) > len(payload) // 1000:
        raise NoText("binary")
    claims = [charset]
    if is_html and (meta := _META_CHARSET.search(payload[:4096])):
        claims.append(meta.group(1).decode("ascii", "replace"))
    claims.append("utf-8")
    for claim in claims:
        try:
            if claim:
                return payload.decode(map_encoding_to_html5(claim))
        except (UnicodeDecodeError, LookupError, ValueError):
            continue
    # A few bad bytes in UTF-8 are a cut or an editor's slip: what is around them is right.
    text = payload.decode("utf-8", "replace")
    if text.count("\ufffd") <= MAX_UNDECODABLE_FRACTION * len(text) and not text.isascii() and _has_multibyte(text):
        return text
    try:
        guess = payload.decode(detect_encoding(payload), "replace")
    except LookupError:
        guess = text
    if _is_binary(guess):
        raise NoText("binary")
    if guess.count("\ufffd") > MAX_UNDECODABLE_FRACTION * len(guess):
        raise NoText("cannot be decoded")
    return guess


def tidy(text: str) -> str:
    """One form for equal texts: NFC, plain line ends, no control or invisible characters, no runs of blanks."""
    text = unicodedata.normalize("NFC", text.replace("\r\n", "\n").replace("\r", "\n"))
    if not text.isprintable():
        text = "".join(c for c in text if c in _KEPT_CONTROLS or unicodedata.category(c) not in _INVISIBLE)
    lines = [_SPACES.sub(" ", _TABS.sub(_cell, line)).rstrip() for line in text.split("\n")]
    return _BLANK_LINES.sub("\n\n", "\n".join(lines)).strip()


_INVISIBLE = frozenset(("Cc", "Cf", "Cs", "Co", "Cn"))


def _cell(match: re.Match[str]) -> str:
    # Tabs at the start of a line indent; between words they part the cells of a table.
    return match.group().replace("\t", "    ") if match.start() == 0 else " | "


def _main_text(html: str, extractor: Extractor) -> str:
    if extractor == "trafilatura":
        return _precise(html)
    is_deep = _depth(html) > MAX_DEPTH
    tree = HTMLTree.parse(html)
    text = extract_plain_text(tree, main_content=not is_deep, alt_texts=False)
    if not text.strip() and not is_deep:
        text = extract_plain_text(tree, main_content=False, alt_texts=False)
    return str(text)


def _precise(html: str) -> str:
    import trafilatura  # slow to import, and not needed by default

    return trafilatura.extract(html, favor_precision=True, include_comments=False, include_tables=True) or ""


def _depth(html: str) -> int:
    if html.count("<") < MAX_DEPTH:
        return 0
    depth = deepest = 0
    for match in _NESTING.finditer(html):
        if match.group(1):
            depth = max(depth - 1, 0)
        else:
            depth += 1
            deepest = max(deepest, depth)
    return deepest


def _has_multibyte(text: str) -> bool:
    """Whether UTF-8 sequences decoded, so that the text is UTF-8 with slips and not another charset."""
    return sum(ord(character) > 0x7F and character != "\ufffd" for character in text) >= text.count("\ufffd")


def _is_binary(text: str) -> bool:
    controls = sum(character < " " and character not in "\n\r\t\f" for character in text[:4096])
    return controls > 0.05 * len(text[:4096])
