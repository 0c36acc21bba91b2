"""What the model read: the funnel from raw pages to a corpus, and the mixture of each phase."""

from collections import defaultdict
from collections.abc import Mapping, Sequence
from typing import Any

from pocketphi.data.records import Document
from pocketphi.eval.report import svg
from pocketphi.eval.report.labels import labels_content
from pocketphi.eval.report.markup import Child, clipped, tag
from pocketphi.eval.report.page import Section, folded, table
from pocketphi.eval.report.pictures import Drop, figure, funnel
from pocketphi.eval.report.reading import STAGES, Run, mapping, numbers
from pocketphi.eval.report.svg import Bar, Segment
from pocketphi.eval.report.units import count, percent, size

STEPS: Mapping[str, str] = {
    "read": "could not be read",
    "text": "no text in it",
    "language": "another language",
    "rules": "broke a rule of writing",
    "personal data": "full of personal data",
    "education": "nothing to learn from it",
    "held-out questions": "holds a held-out question",
    "exact duplicates": "the same as another",
    "near duplicates": "nearly the same as another",
}
"""Step of curation -> what is wrong with a page that it drops."""
PARTS: Mapping[str, tuple[str, str]] = {
    "web": ("filtered web pages", "f1"),
    "web_best": ("the best web pages", "f2"),
    "lessons": ("synthetic lessons", "f3"),
}
EXAMPLES = 3
EXAMPLE_CHARACTERS = 700


def funnel_section(run: Run) -> Section | None:
    """Where the raw pages went."""
    corpus = run.stages.get("corpus")
    if corpus is None:
        return None
    found = corpus.summary.get("funnel")
    steps = [mapping(step) for step in found] if isinstance(found, list) else []
    kept = [
        (PARTS[name][0], int(documents), PARTS[name][1])
        for name, documents in documents_kept(run).items()
        if name in PARTS
    ]
    drops = [
        Drop(label=step_name(str(step.get("step"))), count=int(number))
        for step in steps
        if (number := numbers(step).get("dropped", 0)) > 0
    ]
    passed = sum(part[1] for part in kept)
    total = sum(drop.count for drop in drops) + passed
    if not total:
        return None
    label = (
        f"A stream of {total:,} raw pages that narrows to {passed:,} kept ones. "
        f"Dropped: {'; '.join(f'{drop.label} {drop.count:,}' for drop in drops) or 'none'}."
    )
    return Section(
        anchor="data",
        title="What was kept, and what was dropped",
        content=[
            tag(
                "p",
                "What a small model reads decides how good it gets. Of ",
                f"{total:,} raw pages ",
                tag("strong", f"{passed:,} ({percent(passed / total)})"),
                " were kept. Every dropped page is counted once, with the first reason against it.",
            ),
            figure(
                lambda width: funnel(total, drops, kept, width),
                label,
                "Width is the number of pages; the stream passes the steps of curation from top to bottom.",
            ),
            *labels_content(run),
            *_examples(run, steps),
            folded("The numbers", _reasons_table(steps, kept, total)),
        ],
    )


def documents_kept(run: Run) -> dict[str, float]:
    """Pages by the part of the corpus that they are in; lessons are no pages."""
    corpus = run.stages.get("corpus")
    parts = {} if corpus is None else numbers(corpus.summary.get("parts"))
    return {name: parts[name] for name in ("web", "web_best") if parts.get(name)}


def step_name(step: str) -> str:
    """What is wrong with a page, as a reader says it."""
    return STEPS.get(step, step.replace("_", " "))


def _reasons_table(steps: Sequence[Mapping[str, Any]], kept: Sequence[tuple[str, int, str]], total: int) -> Child:
    rows: list[list[Child]] = [
        [str(step.get("step")), reason, f"{pages:,.0f}", percent(pages / total)]
        for step in steps
        for reason, pages in sorted(numbers(step.get("reasons")).items(), key=lambda item: -item[1])
    ]
    rows += [["kept", name, f"{pages:,}", percent(pages / total)] for name, pages, _ in kept]
    return table(["step", "reason", "pages", "of all"], rows, "Pages by what became of them", (2, 3))


def _examples(run: Run, steps: Sequence[Mapping[str, Any]]) -> list[Child]:
    """Dropped pages to open, by step and reason."""
    by_reason: dict[tuple[str, str], list[Document]] = defaultdict(list)
    for page in run.dropped:
        by_reason[str(page.metadata.get("step", "")), str(page.metadata.get("reason", ""))].append(page)
    if not by_reason:
        return []
    opened: list[Child] = []
    for step in steps:
        name, counts = str(step.get("step")), numbers(step.get("reasons"))
        reasons = sorted((reason for of, reason in by_reason if of == name), key=lambda reason: -counts.get(reason, 0))
        if reasons:
            pages = [[tag("h4", reason), map(_page, by_reason[name, reason][:EXAMPLES])] for reason in reasons]
            dropped = f" · {numbers(step).get('dropped', 0):,.0f} pages"
            opened.append(folded([tag("strong", step_name(name)), dropped], pages))
    return [tag("h3", "Look at what was dropped"), tag("div", opened, class_="folds")]


def _page(page: Document) -> Child:
    text = clipped(page.text, EXAMPLE_CHARACTERS) or "(no text)"
    return [tag("p", clipped(page.source, 200), class_="from"), tag("div", text, class_="page", tabindex=0)]


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
