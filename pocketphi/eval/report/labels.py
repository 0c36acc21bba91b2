"""How well the filters judged: the primer's hidden labels beside what curation kept.

The generator of the primer writes down of every page whether it is good or junk, and of which kind. Curation never
sees these labels; a report may, because nothing is learnt from it. A run on own pages has none.
"""

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass

from pocketphi.eval.report.markup import Child, tag
from pocketphi.eval.report.page import folded, table
from pocketphi.eval.report.pictures import figure
from pocketphi.eval.report.reading import Run, rows
from pocketphi.eval.report.svg import Bar, Segment, bars
from pocketphi.eval.report.units import percent

GOOD, JUNK = "good", "junk"


@dataclass(frozen=True)
class Kind:
    """A kind of page in the primer."""

    label: str
    name: str
    count: int
    kept: int

    @property
    def rightly(self) -> float:
        """Part of them that was judged as its label says."""
        kept = self.kept / self.count
        return kept if self.label == GOOD else 1 - kept


def judged(run: Run, notes: list[str]) -> list[Kind]:
    """Every kind that the primer made, good ones first, those that were judged worst last."""
    primer, corpus = run.stages.get("primer"), run.stages.get("corpus")
    if primer is None or corpus is None or not (primer.path / "labels.jsonl").is_file():
        return []
    files = [path for name in ("web", "web_best") if (path := corpus.path / f"{name}.jsonl").is_file()]
    kept = {str(row.get("source")) for path in files for row in rows(path, notes, most=None)}
    labels = list(rows(primer.path / "labels.jsonl", notes, most=None))
    for row in labels:  # of a page and its copies any one may stay
        page, original = str(row.get("id")), row.get("near_duplicate_of")
        if original is not None and page in kept and str(original) not in kept:
            kept.remove(page)
            kept.add(str(original))
    counts: Counter[tuple[str, str]] = Counter()
    left: Counter[tuple[str, str]] = Counter()
    for row in labels:
        kind = (str(row.get("label")), str(row.get("kind")))
        counts[kind] += 1
        left[kind] += str(row.get("id")) in kept
    found = [Kind(*kind, count, left[kind]) for kind, count in counts.items() if kind[0] in (GOOD, JUNK)]
    return sorted(found, key=lambda kind: (kind.label, -kind.rightly, kind.name))


def labels_content(run: Run) -> list[Child]:
    """A picture of the verdicts by kind; nothing without labels."""
    kinds = judged(run, [])
    if not kinds:
        return []
    of = {label: [kind for kind in kinds if kind.label == label] for label in (GOOD, JUNK)}
    told = {
        GOOD: f"{_share(of[GOOD], kept=True)} of the good pages were kept",
        JUNK: f"{_share(of[JUNK], kept=False)} of the junk was dropped",
    }
    drawn = [
        Bar(
            label=kind.name.replace("_", " "),
            segments=_segments(kind),
            note=f"{percent(kind.rightly)} {'kept' if kind.label == GOOD else 'dropped'} of {kind.count:,}",
        )
        for kind in kinds
    ]
    numbers: list[list[Child]] = [
        [kind.name.replace("_", " "), kind.label, f"{kind.count:,}", f"{kind.kept:,}", percent(kind.rightly)]
        for kind in kinds
    ]
    heads = ["kind", "label", "pages", "kept", "judged right"]
    worst = min(kinds, key=lambda kind: kind.rightly)
    return [
        tag("h3", "Were the filters right?"),
        tag(
            "p",
            "The generator of the embedded pages knows which are good; the filters do not. ",
            tag("strong", f"{told[GOOD]}, {told[JUNK]}."),
        ),
        figure(
            lambda width: bars(drawn, width, longest=1.0, gap_after=[len(of[GOOD]) - 1]),
            f"Verdicts by kind of page. {told[GOOD]}, {told[JUNK]}. Judged worst: {worst.name.replace('_', ' ')}, "
            f"{percent(worst.rightly)} right.",
            [
                "Good kinds above, junk below. ",
                tag("span", "Judged right", class_="key f2"),
                ", ",
                tag("span", "judged wrong", class_="key f5"),
                ". Of a page and its near duplicates any one may stay.",
            ],
        ),
        folded("The numbers", table(heads, numbers, "Kinds of pages and what became of them", (2, 3, 4))),
    ]


def _segments(kind: Kind) -> list[Segment]:
    hint = f"{kind.name.replace('_', ' ')} ({kind.label}): {kind.kept:,} of {kind.count:,} kept"
    parts: Mapping[str, float] = {"f2": kind.rightly, "f5": 1 - kind.rightly}
    return [Segment(value=value, colour=colour, hint=hint) for colour, value in parts.items() if value > 0]


def _share(kinds: list[Kind], *, kept: bool) -> str:
    total = sum(kind.count for kind in kinds)
    left = sum(kind.kept for kind in kinds)
    return percent((left if kept else total - left) / total) if total else "none"
