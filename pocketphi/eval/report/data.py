"""What the model read: the funnel from raw pages to a corpus, and the mixture of each phase."""

from collections import defaultdict
from collections.abc import Mapping, Sequence

from pocketphi.eval.report import svg
from pocketphi.eval.report.markup import Child, clipped, tag
from pocketphi.eval.report.page import Section, folded, note, table
from pocketphi.eval.report.pictures import Drop, figure, funnel
from pocketphi.eval.report.reading import STAGES, Run, mapping, numbers
from pocketphi.eval.report.svg import Bar, Segment
from pocketphi.eval.report.units import count, percent, size

REASONS: Mapping[str, str] = {}
"""Reason of a drop -> what a reader calls it; others are shown as they are written."""
PARTS: Mapping[str, tuple[str, str]] = {
    "web": ("filtered web pages", "f1"),
    "web_best": ("the best web pages", "f2"),
    "lessons": ("synthetic lessons", "f3"),
}
SHOWN_DROPS = 12
EXAMPLES = 3
EXAMPLE_CHARACTERS = 700


def funnel_section(run: Run) -> Section | None:
    """Where the raw pages went."""
    corpus = run.stages.get("corpus")
    if corpus is None:
        return None
    found = mapping(corpus.summary.get("funnel"))
    reasons = numbers(found.get("dropped"))
    kept = [
        (PARTS[name][0], int(number), PARTS[name][1])
        for name, number in numbers(found.get("kept")).items()
        if name in PARTS
    ]
    total = int(sum(reasons.values()) + sum(part[1] for part in kept))
    if not total:
        return Section(
            anchor="data", title="What was kept, and what was dropped", content=[note("No page was counted.")]
        )
    drops = [Drop(label=reason_name(name), count=int(number)) for name, number in reasons.items() if number > 0]
    shown = _largest(drops)
    passed = sum(part[1] for part in kept)
    label = (
        f"A stream of {total:,} raw pages that narrows to {passed:,} kept ones. "
        f"Dropped: {'; '.join(f'{drop.label} {drop.count:,}' for drop in shown)}."
    )
    return Section(
        anchor="data",
        title="What was kept, and what was dropped",
        content=[
            tag(
                "p",
                f"What a small model reads decides how good it gets. Of {total:,} raw pages ",
                tag("strong", f"{passed:,} ({percent(passed / total)})"),
                " were worth reading. Every dropped page has one reason: the first filter that refused it.",
            ),
            figure(
                lambda width: funnel(total, shown, kept, width),
                label,
                "Width is the number of pages; the stream passes the filters from top to bottom.",
            ),
            *_examples(run, reasons),
            folded(
                "The numbers",
                table(
                    ["reason", "pages", "of all"],
                    [[reason_name(name), f"{n:,.0f}", percent(n / total)] for name, n in reasons.items()]
                    + [[f"kept: {name}", f"{n:,}", percent(n / total)] for name, n, _ in kept],
                    "Pages by what became of them",
                    (1, 2),
                ),
            ),
        ],
    )


def reason_name(reason: str) -> str:
    """A reason as a reader calls it."""
    return REASONS.get(reason, reason.replace("_", " "))


def _largest(drops: Sequence[Drop]) -> list[Drop]:
    """At most `SHOWN_DROPS`, in order; the smallest are told together at the end."""
    if len(drops) <= SHOWN_DROPS:
        return list(drops)
    border = sorted((drop.count for drop in drops), reverse=True)[SHOWN_DROPS - 1]
    large = [drop for drop in drops if drop.count > border]
    rest = [drop for drop in drops if drop.count <= border]
    return [*large, Drop(label=f"{len(rest)} rarer reasons", count=sum(drop.count for drop in rest))]


def _examples(run: Run, reasons: Mapping[str, float]) -> list[Child]:
    by_reason: dict[str, list[Mapping[str, str]]] = defaultdict(list)
    for sample in run.dropped:
        by_reason[sample.get("reason", "")].append(sample)
    if not by_reason:
        return [note("The corpus keeps no samples of dropped pages.")]
    opened: list[Child] = []
    for reason in sorted(by_reason, key=lambda name: -reasons.get(name, 0)):
        samples = by_reason[reason][:EXAMPLES]
        pages = f"{reasons[reason]:,.0f} pages" if reason in reasons else "examples"
        opened.append(
            folded(
                [tag("strong", reason_name(reason)), f" · {pages}"],
                [
                    [
                        tag("p", clipped(sample.get("source", ""), 200), class_="from"),
                        tag("div", clipped(sample.get("text", ""), EXAMPLE_CHARACTERS) or "(no text)", class_="page"),
                    ]
                    for sample in samples
                ],
            )
        )
    return [tag("h3", "Look at what was dropped"), tag("div", opened, class_="folds")]


def mixture_section(run: Run) -> Section | None:
    """What each phase read, in tokens."""
    phases = [(name, _tokens_by_part(run, name)) for name in ("phase1", "phase2") if name in run.stages]
    bars = []
    for name, parts in phases:
        total = sum(parts.values())
        if not total:
            continue
        segments = [
            Segment(
                value=tokens,
                colour=PARTS.get(part, (part, "f6"))[1],
                hint=f"{PARTS.get(part, (part,))[0]}: {count(tokens)} tokens, {percent(tokens / total)}",
            )
            for part, tokens in parts.items()
        ]
        bars.append(Bar(label=STAGES[name], segments=segments, note=f"{count(total)} tokens"))
    if not bars:
        return None
    shards = mapping(run.stages["shards"].summary.get("parts")) if "shards" in run.stages else {}
    used = [part for part in PARTS if any(part in parts for _, parts in phases)]
    told = "; ".join(
        f"{STAGES[name]}: " + ", ".join(f"{PARTS.get(p, (p,))[0]} {count(n)} tokens" for p, n in parts.items())
        for name, parts in phases
    )
    rows: list[list[Child]] = []
    for part, value in shards.items():
        figures = numbers(value)
        rows.append(
            [
                PARTS.get(part, (part,))[0],
                f"{figures.get('documents', 0):,.0f}",
                count(figures.get("tokens", 0)),
                size(figures.get("bytes", 0)),
                *[_times(phase.get(part, 0), figures.get("tokens", 0)) for _, phase in phases],
            ]
        )
    heads = [
        "part",
        "documents",
        "tokens",
        "text",
        *[f"read in {STAGES[name].partition(', ')[2]}" for name, _ in phases],
    ]
    return Section(
        anchor="mixture",
        title="What each phase read",
        content=[
            figure(
                lambda width: _with_key(svg.bars(bars, width), [PARTS[part] for part in used]),
                f"Stacked bars of tokens. {told}.",
                "Phase 1 gives breadth, from filtered pages; phase 2 teaches to reason, from the best pages and "
                "from lessons.",
            ),
            folded("The numbers", table(heads, rows, "Parts of the corpus", range(1, len(heads)))) if rows else None,
        ],
    )


def _times(read: float, there: float) -> str:
    return f"{read / there:.2f} times" if read and there else "–"


def _tokens_by_part(run: Run, name: str) -> dict[str, float]:
    parts = mapping(run.stages[name].summary.get("data"))
    tokens = {
        part: numbers(parts[part]).get("tokens", 0.0)
        for part in [*PARTS, *sorted(parts.keys() - PARTS)]
        if part in parts
    }
    return {part: number for part, number in tokens.items() if number > 0}


def _with_key(drawing: svg.Drawing, entries: Sequence[tuple[str, str]]) -> svg.Drawing:
    """A drawing with a key of its colours below."""
    content: list[Child] = list(drawing.content)
    x, y = 0.0, drawing.height + 16
    for name, colour in entries:
        wide = svg.text_width(name) + 34
        if x and x + wide > drawing.width:
            x, y = 0.0, y + 19
        content += [svg.block(x, y - 10, 11, 11, colour), svg.text(x + 17, y, name)]
        x += wide
    return svg.Drawing(drawing.width, y + 8, content)
