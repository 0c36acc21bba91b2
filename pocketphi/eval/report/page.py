"""The page around the sections: one file, nothing from elsewhere.

The content security policy names the digest of the one style sheet, and of the one script of a page that has one, and
allows nothing else, so even markup that slipped through the escaping could load, run or restyle nothing.
"""

import base64
import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from pocketphi.eval.report.markup import Child, Html, tag


@dataclass(frozen=True, kw_only=True)
class Section:
    """A part of the page."""

    anchor: str
    title: str
    content: Sequence[Child]


def page(
    title: str,
    head: Sequence[Child],
    sections: Sequence[Section],
    foot: Sequence[Child],
    *,
    style: str = "",
    script: str = "",
) -> str:
    """The whole document.

    Args:
        style: rules of this page alone.
        script: ours, never put together from what was read.
    """
    sheets = (Path(__file__).with_name(name).read_text(encoding="utf-8") for name in ("pictures.css", "page.css"))
    style = "".join([*sheets, style])
    runs = f"script-src '{_digest(script)}'; " if script else ""
    policy = f"default-src 'none'; style-src '{_digest(style)}'; {runs}base-uri 'none'; form-action 'none'"
    links = [tag("li", tag("a", section.title, href=f"#{section.anchor}")) for section in sections]
    document = tag(
        "html",
        tag(
            "head",
            tag("meta", charset="utf-8"),
            tag("meta", http_equiv="Content-Security-Policy", content=policy),
            tag("meta", name="viewport", content="width=device-width, initial-scale=1"),
            tag("meta", name="referrer", content="no-referrer"),
            tag("meta", name="color-scheme", content="light dark"),
            tag("title", title),
            tag("style", Html(style)),
        ),
        "\n",
        tag(
            "body",
            tag("a", "To the content", href="#content", class_="skip"),
            tag("header", head),
            tag("nav", tag("ul", links), aria_label="Sections"),
            tag("main", [_section(section) for section in sections], id="content"),
            tag("footer", foot),
            tag("script", Html(script)) if script else None,
        ),
        lang="en",
    )
    return f"<!doctype html>\n{document}\n"


def _digest(content: str) -> str:
    return f"sha256-{base64.b64encode(hashlib.sha256(content.encode()).digest()).decode()}"


def _section(section: Section) -> Html:
    heading = f"{section.anchor}-heading"
    title = tag("h2", section.title, id=heading)
    return tag("section", title, section.content, "\n", id=section.anchor, aria_labelledby=heading)


def table(heads: Sequence[str], rows: Sequence[Sequence[Child]], caption: str, numeric: Sequence[int] = ()) -> Html:
    """A table whose first column heads its rows; columns in `numeric` are set right."""
    kind = ["n" if index in numeric else None for index in range(len(heads))]
    head = tag("tr", [tag("th", name, scope="col", class_=kind[i]) for i, name in enumerate(heads)])
    body = [
        tag(
            "tr", tag("th", row[0], scope="row"), [tag("td", cell, class_=kind[i]) for i, cell in enumerate(row[1:], 1)]
        )
        for row in rows
    ]
    inside = tag("table", tag("caption", caption), tag("thead", head), tag("tbody", body))
    return tag("div", inside, class_="scroll", tabindex=0, role="region", aria_label=caption)


def folded(summary: Child, *content: Child) -> Html:
    """Something to open."""
    return tag("details", tag("summary", summary), content)


def note(*content: Child) -> Html:
    """What is missing, or how to read what is there."""
    return tag("p", content, class_="note")
