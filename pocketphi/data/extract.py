"""Text out of pages: bytes to characters, HTML to text, and characters that no text needs taken out.

Two extractors: resiliparse is fast, trafilatura is precise. Both keep the main content: headings, paragraphs, lists,
code and tables (a row is a line, its cells apart by ` | `), without navigation, adverts and footers. `docs/curation.md`
has their scores on pages with known text.
"""

import re
import unicodedata
from bisect import bisect_left
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
MAX_SEARCH = 300_000_000
"""Characters times depth beyond which it is left out too: about a second."""

MAX_ASIDE_FRACTION = 0.1
"""An element whose name says that it is beside the point goes only if it holds at most this part of the page."""
MAX_ASIDES = 1_000
"""With more of them the names mean something else (the rows of a register, say), and measuring all takes seconds."""
MAX_MEASURED = 10
"""Times the page that is measured for asides inside asides; what is left then stays."""
MIN_CHARACTERS_WITHOUT_MAIN = 200
MAX_MARKS = 30
"""Combining marks in a row, as in the stream-safe format of UAX 15: putting them in order is quadratic."""

_ASIDES = ",".join(
    f'[{attribute}*="{name}"]'
    for name in (
        "comment", "share", "sharing", "social", "related", "recommend", "newsletter", "cookie", "sidebar",
        "breadcrumb", "promo", "advert", "banner", "subscribe", "author-bio", "footer",
    )
    for attribute in ("class", "id")
) + ",footer,aside,nav"  # fmt: skip
_ITEM = re.compile(r"\s*(?:\d{1,3}[.)]|[•◦▪*-])\s+\S")
_MENU = re.compile(r"\s*[|»›•·]\s*")
_NOTICE = re.compile(
    r"(?:©|\(c\) ?(?:19|20)\d\d|copyright (?:©|\(c\)|(?:19|20)\d\d)|all rights reserved|powered by\b"
    r"|(?:leave|write|post) a (?:comment|reply)|no comments yet|comments(?: \(\d+\))?$|\d+ comments?$"
    r"|advertisement$|read more$|share(?: (?:this|on|print|tweet|e-?mail|by|via|facebook|twitter))+\b"
    r"|(?:skip|jump) to (?:main )?content|back to top$|follow us\b|sign up for our\b|subscribe to our\b)",
    re.IGNORECASE,
)
_META_CHARSET = re.compile(rb"<meta[^>]{1,200}?charset\s*=\s*[\"']?\s*([\w.:-]{2,40})", re.IGNORECASE)
_NESTING = re.compile(
    r"<(/?)(?:div|span|section|article|table|ul|ol|blockquote|font|center|b|i|em|strong|a|form)\b", re.IGNORECASE
)
_BOMS = ((b"\xef\xbb\xbf", "utf-8"), (b"\xff\xfe", "utf-16-le"), (b"\xfe\xff", "utf-16-be"))
_GAPS = re.compile(r"[ \t]+")
_SPACES = re.compile(r"(?<=\S)[ \u00a0\u2000-\u200a\u3000]{2,}")
_BLANK_LINES = re.compile(r"\n{3,}")
_MARKS = re.compile(rf"[^\w\s\x00-\x7f]{{{MAX_MARKS + 1},}}")
_FRONT_MATTER = re.compile(r"\A---\n.{0,4000}?\n---\n", re.DOTALL)
# Controls, soft hyphens, marks of direction, lone surrogates, private use; the joiners that some scripts need stay.
_INVISIBLE = re.compile(
    r"[\x00-\x08\x0b-\x1f\x7f-\x9f\xad\u200b\u200e\u200f\u202a-\u202e\u2060-\u206f\ufeff\ufff9-\ufffb"
    "\ud800-\udfff\ue000-\uf8ff]"
)


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
                return payload.decode(map_encoding_to_html5(claim) or claim)
        except (UnicodeDecodeError, LookupError, ValueError):
            continue
    # A few bad bytes in UTF-8 are a cut or an editor's slip: what is around them is right.
    text = payload.decode("utf-8", "replace")
    if text.count("\ufffd") <= MAX_UNDECODABLE_FRACTION * len(text) and not text.isascii() and _has_multibyte(text):
        return text
    try:
        guess = payload.decode(detect_encoding(payload) or "utf-8", "replace")
    except LookupError:
        guess = text
    if _is_binary(guess):
        raise NoText("binary")
    if "\ufffd" in guess:
        # uchardet does not tell Korea's old charset from UTF-8 with errors; it decodes without an error or not at all.
        try:
            return payload.decode("cp949")
        except UnicodeDecodeError:
            pass
    if guess.count("\ufffd") > MAX_UNDECODABLE_FRACTION * len(guess):
        raise NoText("cannot be decoded")
    return guess


def tidy(text: str) -> str:
    """One form for equal texts: NFC, plain line ends, no control or invisible characters, no runs of blanks."""
    text = _MARKS.sub(_few_marks, text.replace("\r\n", "\n").replace("\r", "\n"))
    text = _INVISIBLE.sub("", unicodedata.normalize("NFC", text))
    lines = [_SPACES.sub(" ", _GAPS.sub(_cell, line) if "\t" in line else line).rstrip() for line in text.split("\n")]
    return _BLANK_LINES.sub("\n\n", "\n".join(lines)).strip()


def _cell(match: re.Match[str]) -> str:
    # Tabs at the start of a line indent; between words they part the cells of a table.
    gap = match.group()
    if "\t" not in gap:
        return gap
    return gap.replace("\t", "    ") if match.start() == 0 else " | "


def _few_marks(match: re.Match[str]) -> str:
    kept: list[str] = []
    marks = 0
    for character in match.group():
        marks = marks + 1 if unicodedata.combining(character) else 0
        if marks <= MAX_MARKS:
            kept.append(character)
    return "".join(kept)


def _main_text(html: str, extractor: Extractor) -> str:
    if extractor == "trafilatura":
        return _precise(html)
    tree = HTMLTree.parse(html)
    depth = _depth(html)
    if depth > MAX_DEPTH or depth * len(html) > MAX_SEARCH:
        return str(extract_plain_text(tree, main_content=False, alt_texts=False))
    _remove_asides(tree)
    every = str(extract_plain_text(tree, main_content=False, alt_texts=False))
    text = str(extract_plain_text(tree, main_content=True, alt_texts=False))
    # Where no main content is found there may still be a page of another make; a few words are its menu.
    if not text.strip() and len(every) >= MIN_CHARACTERS_WITHOUT_MAIN:
        text = every
    lines = _with_lists(text.split("\n"), every.split("\n"))
    return "\n".join(line for line in lines if not _is_boilerplate(line))


def _remove_asides(tree: HTMLTree) -> None:
    """Take out what its name says is beside the point, unless it holds much of the page: names lie."""
    if tree.body is None:
        return
    total = len(tree.body.text or "")
    asides = tree.body.query_selector_all(_ASIDES)
    if len(asides) > MAX_ASIDES:
        return
    measured = place = 0
    while place < len(asides) and measured <= MAX_MEASURED * total:
        element = asides[place]
        place += 1
        size = len(element.text or "")
        measured += size
        if element.parent is not None and size <= MAX_ASIDE_FRACTION * total:
            # In the order of the document: those inside it come next, and go with it.
            place += len(element.query_selector_all(_ASIDES))
            element.parent.remove_child(element)


def _with_lists(main: list[str], every: list[str]) -> list[str]:
    """The main lines, with the lists of sentences between them that resiliparse takes for menus."""
    places: dict[str, list[int]] = {}
    for place, line in enumerate(every):
        places.setdefault(line.strip(), []).append(place)
    lines: list[str] = []
    reached = 0
    for line in main:
        found = places.get(line.strip(), []) if line.strip() else []
        after = bisect_left(found, reached)
        if after < len(found):
            if lines:
                lines += _sentences_of_lists(every[reached : found[after]])
            reached = found[after] + 1
        lines.append(line)
    return lines


def _sentences_of_lists(lines: list[str]) -> list[str]:
    items = [line for line in lines if _ITEM.match(line)]
    sentences = sum(line.rstrip().endswith((".", "?", "!", ":", ";", "。")) for line in items)
    return [*items, ""] if items and sentences >= 0.6 * len(items) else []


def _is_boilerplate(line: str) -> bool:
    bare = line.strip()
    if not bare or len(bare) > 150:
        return False
    if _NOTICE.match(bare):
        return True
    parts = [part.strip() for part in _MENU.split(bare)]
    return (
        len(parts) >= 3
        and all(len(part) <= 24 and part[-1:] not in ".?!" for part in parts)
        and not any(map(str.isdigit, bare))
    )


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
