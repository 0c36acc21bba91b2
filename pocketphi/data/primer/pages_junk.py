"""Pages that are not worth reading, one function for each kind.

Each gives the title and the inside of a page (`html.page` puts the site around it), or the whole body where the page
is broken on purpose.
"""

import base64
import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from pocketphi.data.primer import html
from pocketphi.data.primer import templates_junk as said
from pocketphi.data.primer.html import Site
from pocketphi.data.primer.lessons import Block
from pocketphi.data.primer.problem import Scene
from pocketphi.data.primer.templates_html import MENU
from pocketphi.data.primer.world import COLOURS, WEEKDAYS


@dataclass(frozen=True, slots=True)
class Page:
    """A page as bytes."""

    body: bytes
    language: str = "en"
    truncated: bool = False


def _fields(scene: Scene) -> dict[str, object]:
    x, y = scene.names(2)
    product, second = scene.several(said.PRODUCTS, 2)
    a, b = (f"{name} {scene.pick(said.TEAMS)}" for name in scene.names(2))
    day = scene.pick(WEEKDAYS)
    return {
        "x": x, "y": y, "X": x.upper(), "Y": y.upper(), "a": a, "b": b, "day": day, "DAY": day.upper(),
        "product": product, "product2": second, "PRODUCT": product.upper(), "price": scene.between(100, 4999),
        "n": scene.between(5, 95), "n2": scene.between(1, 5), "n3": scene.between(0, 4),
        "year": scene.between(2009, 2023), "sign": scene.pick(said.SIGNS), "colour": scene.pick(COLOURS),
        "list": ", ".join(str(scene.between(1, 49)) for _ in range(6)),
    }  # fmt: skip


def _filled(scene: Scene, group: Sequence[str], count: int) -> list[str]:
    return [scene.pick(group).format_map(_fields(scene)) for _ in range(count)]


def _paragraphs(sentences: Sequence[str], size: int) -> str:
    pieces = [" ".join(sentences[start : start + size]) for start in range(0, len(sentences), size)]
    return "\n".join(f"<p>{piece}</p>" for piece in pieces)


def _whole(scene: Scene, site: Site, title: str, main: str, language: str = "en") -> Page:
    return Page(html.page(scene, site, title, main, language=language).encode(), language)


def _navigation(scene: Scene, site: Site) -> Page:
    blocks = "".join(
        f"<div><h3>{scene.pick(MENU)}</h3><ul>{html.links(scene.several(MENU, scene.between(5, 12)))}</ul></div>"
        for _ in range(scene.between(4, 9))
    )
    return _whole(scene, site, scene.pick(("Home", "Sitemap", "Welcome")), blocks)


def _adverts(scene: Scene, site: Site) -> Page:
    items = "".join(
        f'<div class="product"><img src="/img/{scene.below(9999)}.jpg" alt=""><p>{text}</p><a href="#">Buy</a></div>'
        for text in _filled(scene, said.ADVERTS, scene.between(14, 34))
    )
    return _whole(scene, site, "Shop", items)


def _spam(scene: Scene, site: Site) -> Page:
    product, second = scene.several(said.PRODUCTS, 2)
    sentences = [
        scene.pick(said.SPAM).format_map({**_fields(scene), "product": product, "product2": second})
        for _ in range(scene.between(14, 34))
    ]
    return _whole(scene, site, f"Best {product} {scene.below(90)}", _paragraphs(sentences, scene.between(2, 5)))


def _foreign(scene: Scene, site: Site) -> Page:
    language = scene.pick(tuple(said.LANGUAGES))
    pools = [pool.split(",") for pool in said.LANGUAGES[language]]
    gap, stop = ("", "。") if language in ("zh", "ja") else (" ", ".")
    sentences = [gap.join(scene.pick(pool) for pool in pools) + stop for _ in range(scene.between(18, 45))]
    return _whole(scene, site, sentences[0], _paragraphs(sentences, scene.between(3, 7)), language)


def _personal_data(scene: Scene, site: Site) -> Page:
    rows = []
    for _ in range(scene.between(15, 45)):
        first, last = scene.names(2)
        rows.append(
            (
                f"{first} {last}",
                f"{scene.between(1, 140)} {scene.pick(said.STREETS)}",
                f"555-01{scene.between(10, 99)}",
                f"{first.lower()}.{last.lower()}@mail.example",
                f"born {scene.between(1, 28)}/{scene.between(1, 12)}/{scene.between(1940, 2005)}",
            )
        )
    if scene.chance(0.5):
        main = (
            "<table>" + "".join(f"<tr>{''.join(f'<td>{cell}</td>' for cell in row)}</tr>" for row in rows) + "</table>"
        )
    else:
        main = "".join(f"<p>{', '.join(row)}</p>" for row in rows)
    return _whole(scene, site, scene.pick(("Members", "Directory", "Contact list", "Customers")), main)


def _sports(scene: Scene, site: Site) -> Page:
    rows = "".join(
        f"<tr><td>{scene.names(1)[0]} {scene.pick(said.TEAMS)}</td><td>{scene.below(6)} - {scene.below(6)}</td>"
        f"<td>{scene.names(1)[0]} {scene.pick(said.TEAMS)}</td><td>{scene.between(200, 4000)}</td></tr>"
        for _ in range(scene.between(8, 24))
    )
    sentences = _filled(scene, said.SPORTS, scene.between(0, 16))
    return _whole(
        scene, site, f"Results, round {scene.between(1, 38)}", f"{_paragraphs(sentences, 4)}<table>{rows}</table>"
    )


def _trivia(scene: Scene, site: Site) -> Page:
    group = scene.pick((said.GOSSIP, said.GOSSIP, said.HOROSCOPE, said.LOTTERY, said.SPORTS))
    sentences = _filled(scene, group, scene.between(12, 26))
    return _whole(
        scene, site, scene.pick(("Stars", "Today", "Latest", "Weekend")), _paragraphs(sentences, scene.between(1, 4))
    )


def _broken_markup(scene: Scene, site: Site) -> Page:
    """The text was decoded as the wrong encoding, or escaped twice, or swallowed by a tag that never ends."""
    way = scene.below(3)
    text = " ".join(_filled(scene, said.NOTICES, 8) + _filled(scene, said.ADVERTS, 8))
    if way == 0:
        wrong = "".join(scene.pick(("Ã©", "â€™", "Ã¼", "ï¿½", "Â ", "Ã±", " ")) + word for word in text.split())
        return _whole(scene, site, "Untitled", f"<p>{wrong}</p>")
    if way == 1:
        twice = "".join(
            f"&lt;div class=&quot;c{scene.below(99)}&quot;&gt;&amp;nbsp;{word}&lt;/div&gt;&lt;br /&gt;"
            for word in text.split()
        )
        return _whole(scene, site, "&lt;untitled&gt;", twice)
    body = html.page(scene, site, "Page", f"<p>{text}</p>")
    cut = body.index("<body") if "<body" in body else body.index("<BODY")
    return Page((body[:cut] + "<body><script>var text = '" + body[cut:].replace("</script>", "")).encode())


def _truncated(scene: Scene, site: Site) -> Page:
    """The crawler stopped before the text began."""
    body = html.page(scene, site, "Lesson", f"<p>{' '.join(_filled(scene, said.NOTICES, 3))}</p>").encode()
    head = b"<!-- " + b" ".join(b"%08x" % scene.below(2**32) for _ in range(scene.between(40, 150))) + b" -->"
    whole = head + body
    return Page(whole[: len(head) + int(len(body) * (0.1 + 0.3 * scene.rng.random()))], truncated=True)


def _boilerplate(scene: Scene, site: Site) -> Page:
    sentences = _filled(scene, said.NOTICES, scene.between(8, 24))
    return _whole(
        scene, site, scene.pick(("Log in", "Privacy policy", "Terms of use", "Error")), _paragraphs(sentences, 3)
    )


def _listing(scene: Scene, site: Site) -> Page:
    items = "".join(f"<li>{text}</li>" for text in _filled(scene, said.LISTING, scene.between(30, 90)))
    return _whole(scene, site, scene.pick(("Archive", "Index", "Files")), f"<ul>{items}</ul>")


def _machine_noise(scene: Scene, site: Site) -> Page:
    way = scene.below(4)
    if way == 0:
        rows = [
            f"2024-01-{scene.between(10, 28)} {scene.between(10, 23)}:{scene.between(10, 59)} "
            f"[worker-{scene.below(9)}] "
            f"{scene.pick(('INFO', 'WARN', 'ERROR'))} id=0x{scene.below(2**24):06x} "
            f"status={scene.pick((200, 404, 500))}"
            for _ in range(scene.between(20, 60))
        ]
    elif way == 1:
        rows = [base64.b64encode(scene.rng.randbytes(48)).decode() for _ in range(scene.between(20, 70))]
    elif way == 2:
        rows = [",".join(str(scene.below(10_000)) for _ in range(12)) for _ in range(scene.between(20, 60))]
    else:
        rows = [
            " ".join("".join(scene.pick("bcdfghjklmnpqrstvwxz") for _ in range(scene.between(3, 9))) for _ in range(10))
            for _ in range(scene.between(15, 40))
        ]
    return _whole(scene, site, f"dump {scene.below(10_000)}", "<pre>" + "\n".join(rows) + "</pre>")


def _lorem(scene: Scene, site: Site) -> Page:
    sentences = [
        " ".join(scene.pick(said.LOREM) for _ in range(scene.between(6, 14))).capitalize() + "."
        for _ in range(scene.between(15, 40))
    ]
    return _whole(scene, site, "Lorem ipsum", _paragraphs(["Lorem ipsum dolor sit amet.", *sentences], 4))


def _shouting(scene: Scene, site: Site) -> Page:
    return _whole(
        scene,
        site,
        "READ THIS!!!",
        _paragraphs(_filled(scene, said.SHOUTS, scene.between(14, 34)), scene.between(1, 4)),
    )


JUNK_KINDS: dict[str, tuple[Callable[[Scene, Site], Page], int]] = {
    "navigation": (_navigation, 2),
    "adverts": (_adverts, 2),
    "spam": (_spam, 2),
    "foreign": (_foreign, 2),
    "personal_data": (_personal_data, 2),
    "sports_results": (_sports, 2),
    "trivia": (_trivia, 2),
    "broken_markup": (_broken_markup, 1),
    "truncated": (_truncated, 1),
    "boilerplate": (_boilerplate, 2),
    "listing": (_listing, 2),
    "machine_noise": (_machine_noise, 2),
    "lorem": (_lorem, 1),
    "shouting": (_shouting, 1),
}
"""What each kind writes, and how often it comes. Near-duplicates and contaminated pages are made from good ones."""


def with_noise(scene: Scene, blocks: Sequence[Block], share: float) -> tuple[Block, ...]:
    """The same blocks with that share of their words, rounded down, replaced."""
    sizes = [_count(text) for block in blocks for text in (block.text, block.more)]
    places = iter(sorted(scene.rng.sample(range(sum(sizes)), int(sum(sizes) * share))))
    place = next(places, -1)
    number = 0

    def noisy(text: str) -> str:
        nonlocal place, number
        if place >= number + _count(text) or place < 0:
            number += _count(text)
            return text
        words = re.split(r"([ \n])", text)
        for index in range(0, len(words), 2):
            if number == place:
                words[index] = scene.pick(said.NOISE_WORDS)
                place = next(places, -1)
            number += 1
        return "".join(words)

    return tuple(Block(block.kind, noisy(block.text), noisy(block.more)) for block in blocks)


def _count(text: str) -> int:
    """Words as `with_noise` counts them; an empty text has one, which is empty."""
    return text.count(" ") + text.count("\n") + 1
