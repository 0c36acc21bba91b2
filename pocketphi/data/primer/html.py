"""Web pages around a text: head, menus, sidebars, adverts, footers; a dozen skeletons, two hundred sites.

A site keeps its skeleton, its menu and its manners (how it writes quotes, what it wraps examples in), as real sites
do, so the boilerplate of a site repeats and its content does not.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from html import escape

from pocketphi.data.primer.lessons import Block
from pocketphi.data.primer.problem import Scene
from pocketphi.data.primer.templates_html import ADVERTS, COOKIE, FOOTERS, MENU, SCRIPTS, SKELETONS
from pocketphi.data.primer.world import words

_FIRST = words(
    "blue green happy little open bright clever quiet early north south river hill lake star sun paper pencil"
)
_SECOND = words("school page notes class study room house garden path corner desk book lamp bridge tree board club")
_ENDINGS = words("example example.com example.org example.net")


@dataclass(frozen=True, slots=True)
class Site:
    """What the pages of a site share."""

    name: str
    host: str
    skeleton: int
    menu: tuple[str, ...]
    example: int
    """How an example is marked up."""
    footer: str


def sites(scene: Scene, count: int) -> tuple[Site, ...]:
    """Sites that differ in all but their purpose."""
    return tuple(
        Site(
            name=f"{first.capitalize()} {second.capitalize()}",
            host=f"{first}-{second}{number}.{scene.pick(_ENDINGS)}",
            skeleton=scene.below(len(SKELETONS)),
            menu=tuple(scene.several(MENU, scene.between(4, 8))),
            example=scene.below(5),
            footer=scene.pick(FOOTERS),
        )
        for number in range(count)
        for first, second in [(scene.pick(_FIRST), scene.pick(_SECOND))]
    )


def links(words: Sequence[str], *, tag: str = "li") -> str:
    """A menu."""
    return "".join(f'<{tag}><a href="/{word.lower().replace(" ", "-")}">{word}</a></{tag}>' for word in words)


def render(site: Site, blocks: Sequence[Block]) -> str:
    """The main content as HTML."""
    return "\n".join(_block(site, block) for block in blocks)


def page(scene: Scene, site: Site, title: str, main: str, *, language: str = "en") -> str:
    """A whole page."""
    day, year = scene.between(1, 365), scene.between(2009, 2023)
    fill = {"site": site.name, "day": day, "year": year}
    head = (
        f'<head><meta charset="utf-8"><title>{escape(title)} - {site.name}</title>'
        f'<link rel="stylesheet" href="/style{site.skeleton}.css">'
        + ('<meta name="viewport" content="width=device-width, initial-scale=1">' if site.skeleton % 2 else "")
        + (scene.pick(SCRIPTS).replace("{day}", str(day)) if scene.chance(0.6) else "")
        + "</head>"
    )
    extras = [
        f'<div class="ad">{scene.pick(ADVERTS)}</div>' if scene.chance(0.35) else "",
        f'<div id="cookie-bar">{COOKIE}</div>' if scene.chance(0.2) else "",
        scene.pick(SCRIPTS).replace("{day}", str(day)) if scene.chance(0.4) else "",
    ]
    return SKELETONS[site.skeleton].format(
        lang=language,
        head=head,
        menu=links(site.menu),
        bar=" | ".join(f'<a href="#">{word}</a>' for word in site.menu),
        site=site.name,
        main=main,
        side=links(scene.several(MENU, 3)) if scene.chance(0.6) else "",
        advert=extras[0],
        cookie=extras[1],
        script=extras[2],
        footer=site.footer.format_map(fill),
        day=day,
    )


def _block(site: Site, block: Block) -> str:
    text = escape(block.text, quote=site.skeleton % 3 == 0)
    if block.kind == "title":
        return f"<h1>{text}</h1>"
    if block.kind == "heading":
        return f"<h2>{text}</h2>"
    if block.kind == "paragraph":
        return f"<p>{text}</p>"
    if block.kind == "items":
        tag = "ol" if site.example % 2 else "ul"
        return f"<{tag}>" + "".join(f"<li>{item}</li>" for item in text.split("\n")) + f"</{tag}>"
    more = escape(block.more, quote=False).replace("\n", "<br>\n")
    question, newline, code = text.partition("\n")
    program = f"<pre>{code}</pre>" if newline else ""
    match site.example:
        case 0:
            return f"<p>{question}</p>{program}<p>{more}</p>"
        case 1:
            return f'<div class="exercise"><p><b>{question}</b></p>{program}<p>{more}</p></div>'
        case 2:
            return f"<p>{question}{'</p>' + program + '<p>' if program else '<br>'}{more}</p>"
        case 3:
            return f"<blockquote><p>{question}</p>{program}</blockquote><p>{more}</p>"
        case _:
            return f"<section><p>{question}</p>{program}<p><span>{more}</span></p></section>"
