"""The raw web: good pages and junk in WARC files, and the labels that nobody but tests may see.

A page's id is its address (`WARC-Target-URI`). A line of `labels.jsonl` says `label` (`good` or `junk`), `kind`,
`split` (kinds marked `unseen` are for the last test of a filter; develop it on the others), `topic` and `language`,
and where it applies `near_duplicate_of` with `noise` (the share of words replaced), or `contaminated` (ids of the
held-out questions that were planted). Pages in `truncated.warc.gz` come after the file's end or are cut by it.
"""

import json
from collections import Counter, deque
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from itertools import accumulate
from pathlib import Path
from typing import Any

from pocketphi.data.primer import html, warc
from pocketphi.data.primer.lessons import Block, Lesson
from pocketphi.data.primer.pages_good import GOOD_KINDS
from pocketphi.data.primer.pages_junk import JUNK_KINDS, Page, with_noise
from pocketphi.data.primer.problem import Problem, Scene
from pocketphi.data.primer.protect import Guard
from pocketphi.data.records import Question

UNSEEN_KINDS = frozenset({"dialogue", "notes", "trivia", "listing", "lorem", "shouting"})
"""Good and junk kinds that filters are not developed on."""
JUNK_SHARE = 0.55
"""Part of the raw bytes that is junk, near-duplicates and planted contamination included."""
_NEAR_DUPLICATES = 0.15
"""Part of the junk pages that are noisy copies of good ones."""
_FILE_BYTES = 4_000_000
_SITES = 200
_DECK = 200
"""Good pages that can still be copied."""

_GOOD = tuple(GOOD_KINDS)
_GOOD_WEIGHTS = tuple(accumulate(weight for _, weight in GOOD_KINDS.values()))
_JUNK = tuple(JUNK_KINDS)
_JUNK_WEIGHTS = tuple(accumulate(weight for _, weight in JUNK_KINDS.values()))


@dataclass(slots=True)
class _Web:
    """The pages so far."""

    folder: Path
    records: list[bytes] = field(default_factory=list)
    pending: int = 0
    files: int = 0
    pages: int = 0
    good_bytes: int = 0
    junk_bytes: int = 0
    counts: Counter[str] = field(default_factory=Counter)
    sizes: Counter[str] = field(default_factory=Counter)
    topics: Counter[str] = field(default_factory=Counter)
    labels: list[dict[str, Any]] = field(default_factory=list)

    def add(self, site: html.Site, page: Page, label: str, kind: str, **more: object) -> str:
        """Take a page; its address."""
        # The address says nothing of the kind: filters may look at it.
        url = f"http://{site.host}/{site.menu[self.pages % len(site.menu)].lower().replace(' ', '-')}/{self.pages}.html"
        self.record(url, page)
        size = len(page.body)
        if label == "good":
            self.good_bytes += size
        else:
            self.junk_bytes += size
        self.counts[f"{label}/{kind}"] += 1
        self.sizes[f"{label}/{kind}"] += size
        split = "unseen" if kind in UNSEEN_KINDS else "development"
        self.labels.append({"id": url, "label": label, "kind": kind, "split": split, "language": page.language, **more})
        return url

    def record(self, url: str, page: Page) -> None:
        """Put a page into the current file."""
        self.records.append(warc.record(url, page.body, self.pages, truncated=page.truncated))
        self.pages += 1
        self.pending += len(page.body)
        if self.pending >= _FILE_BYTES:
            self.flush()

    def flush(self) -> None:
        """Write the current file."""
        if self.records:
            warc.write_file(self.folder / f"{self.files:05d}.warc.gz", [warc.info(self.files), *self.records])
            self.files += 1
        self.records = []
        self.pending = 0


def write_web(
    scene: Scene,
    guard: Guard,
    questions: Sequence[tuple[Question, Problem]],
    out: Path,
    num_bytes: int,
    report: Callable[[float, Mapping[str, float | str]], None],
) -> dict[str, Any]:
    """Write `web/*.warc.gz` and `labels.jsonl`; counts and bytes by kind.

    Args:
        guard: gives what keeps away from the held-out questions.
        questions: some of them are planted.
        num_bytes: HTML in all.
        report: hears how many bytes came since the last call.
    """
    web = _Web(out / "web")
    web.folder.mkdir()
    every = html.sites(scene, _SITES)
    deck: deque[tuple[str, Lesson]] = deque(maxlen=_DECK)
    plants = _plants(scene, questions, num_bytes)
    planted_every = num_bytes // (len(plants) + 1)
    while (size := web.good_bytes + web.junk_bytes) < num_bytes:
        before = size
        site = scene.pick(every)
        if plants and size >= planted_every * (web.counts["junk/contaminated"] + 1):
            _plant(scene, guard, web, site, plants.pop())
        elif web.junk_bytes < JUNK_SHARE * size:
            if deck and scene.chance(_NEAR_DUPLICATES):
                _copy(scene, guard, web, site, deck)
            else:
                kind = scene.rng.choices(_JUNK, cum_weights=_JUNK_WEIGHTS)[0]
                web.add(site, JUNK_KINDS[kind][0](scene, site), "junk", kind)
        else:
            kind = scene.rng.choices(_GOOD, cum_weights=_GOOD_WEIGHTS)[0]
            lesson = guard.lesson(partial(GOOD_KINDS[kind][0], scene, guard.problem))
            url = web.add(site, _printed(scene, site, lesson), "good", kind, topic=lesson.topic)
            web.topics[lesson.topic] += 1
            deck.append((url, lesson))
        if web.pages % 16 == 0:
            report(0, {"part": "web", "pages": web.pages})
        report(web.good_bytes + web.junk_bytes - before, {"part": "web"})
    web.flush()
    _truncated_archive(scene, web, every)
    (out / "labels.jsonl").write_text(
        "".join(json.dumps(label, ensure_ascii=False, separators=(",", ":")) + "\n" for label in web.labels),
        encoding="utf-8",
        newline="\n",
    )
    return {
        "pages": web.pages,
        "bytes": web.good_bytes + web.junk_bytes,
        "junk_share": round(web.junk_bytes / (web.good_bytes + web.junk_bytes), 4),
        "kinds": {kind: {"count": web.counts[kind], "bytes": web.sizes[kind]} for kind in sorted(web.counts)},
        "topics": dict(sorted(web.topics.items())),
    }


def _printed(scene: Scene, site: html.Site, lesson: Lesson) -> Page:
    text = html.page(scene, site, lesson.blocks[0].text, html.render(site, lesson.blocks), language=lesson.language)
    return Page(text.encode(), lesson.language)


def _copy(scene: Scene, guard: Guard, web: _Web, site: html.Site, deck: deque[tuple[str, Lesson]]) -> None:
    """A copy of an earlier page on another site, with 0 to 2 % of the words replaced."""
    url, lesson = scene.pick(deck)
    noise = scene.pick((0.0, 0.005, 0.01, 0.02))
    copy = guard.lesson(lambda: Lesson(lesson.topic, lesson.language, with_noise(scene, lesson.blocks, noise)))
    web.add(site, _printed(scene, site, copy), "junk", "near_duplicate", near_duplicate_of=url, noise=noise)


def _plants(
    scene: Scene, questions: Sequence[tuple[Question, Problem]], num_bytes: int
) -> list[tuple[Question, Problem]]:
    """Questions to plant: about one for 250 kB, of those that an 8-gram can find."""
    findable = [pair for pair in questions if len(pair[0].question.split()) >= 10]
    count = min(len(findable), max(2, num_bytes // 250_000))
    return scene.rng.sample(findable, count)


def _plant(scene: Scene, guard: Guard, web: _Web, site: html.Site, plant: tuple[Question, Problem]) -> None:
    """A good page with a held-out question in it, as it is or a little changed."""
    question, problem = plant
    lesson = GOOD_KINDS["lesson"][0](scene, guard.problem)
    text, way = question.question, scene.below(4)
    if way == 1:
        text = text.lower()
    elif way == 2:
        text = text.replace(",", "").replace(".", " ").replace("?", " ?")
    elif way == 3 and len(text.split(" ")) >= 16:
        words = text.split(" ")
        text = " ".join(["Well,", *words[1:-1], "please?"])
    place = scene.between(2, len(lesson.blocks))
    block = Block("example", text, problem.solution)
    planted = Lesson(lesson.topic, lesson.language, (*lesson.blocks[:place], block, *lesson.blocks[place:]))
    web.add(site, _printed(scene, site, planted), "junk", "contaminated", contaminated=[question.id])


def _truncated_archive(scene: Scene, web: _Web, every: Sequence[html.Site]) -> None:
    """A last file that breaks off in the middle of a record, as a broken transfer leaves it."""
    for _ in range(3):
        site = scene.pick(every)
        web.add(site, JUNK_KINDS["boilerplate"][0](scene, site), "junk", "truncated_archive")
    last = len(web.records[-1])
    warc.write_file(web.folder / "truncated.warc.gz", [warc.info(web.files), *web.records], cut=last // 2)
    web.records = []
