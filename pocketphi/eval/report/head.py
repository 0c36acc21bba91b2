"""The first screen: what was made, in one sentence, a few figures, the way it took and one conversation."""

from pocketphi.eval.report.data import documents_kept
from pocketphi.eval.report.facts import packed_bytes, packed_name, parameters, pretraining_tokens, raw_bytes, seconds_of
from pocketphi.eval.report.markup import Child, tag
from pocketphi.eval.report.page import note
from pocketphi.eval.report.reading import TIERS, Evaluation, Run, Score, numbers
from pocketphi.eval.report.samples import conversation, last_measured, varied
from pocketphi.eval.report.squeezed import answer_speed
from pocketphi.eval.report.units import count, duration, in_words, percent, size

SHORTEST = 20
"""Characters of an answer that shows its steps."""


def head(run: Run) -> list[Child]:
    """What stands above the sections."""
    measured = last_measured(run)
    weights, raw, seconds = parameters(run), raw_bytes(run), sum(seconds_of(run).values())
    if weights is None:
        title = "A run that has made no model yet"
    else:
        source = f", made from {size(raw)} of raw pages" if raw else ""
        title = f"A language model of {in_words(weights)} parameters{source} in {duration(seconds)}"
    content: list[Child] = [
        tag("p", f"pocketphi · {run.name}", class_="kicker"),
        tag("h1", title),
        _lead(measured),
        _cards(run, measured),
        _way(run),
    ]
    if measured is not None:
        right = [s for s in measured.samples if s.is_correct and len(s.written) >= SHORTEST]
        chosen = varied(right or measured.samples, 1)
        content += [conversation(sample) for sample in chosen]
    content += [note("Left out: ", "; ".join(run.notes), ".")] if run.notes else []
    content += [_outdated(run)] if run.outdated else []
    return content


def _outdated(run: Run) -> Child:
    """That this run is not of one piece."""
    by_older: dict[str, list[str]] = {}
    for name, older in run.outdated.items():
        by_older.setdefault(", ".join(older), []).append(name)
    told = "; ".join(f"{', '.join(names)} from an older {older}" for older, names in by_older.items())
    return note(f"Not of one piece: made {told}. `pocketphi make` with the run’s recipe makes them again.")


def _lead(measured: Evaluation | None) -> Child:
    if measured is not None and not measured.tiers and "perplexity" in measured.figures:
        perplexity = f"{measured.figures['perplexity']:.3g}"
        told: list[Child] = ["It reads held-out documents of its corpus with a perplexity of ", tag("b", perplexity)]
        return tag("p", told, " a token.", class_="lead")
    if measured is None or not measured.tiers:
        return tag("p", "Nothing has been measured on it yet.", class_="lead")
    parts = [
        [tag("b", percent(score.accuracy)), f" of questions told in {TIERS.get(tier, tier)}"]
        for tier, score in _in_order(measured)
    ]
    told = ["It answers ", parts[0]]
    if len(parts) > 1:
        told += [", and ", parts[1]]
    return tag(
        "p", told, ": held-out ones, with names or combinations of numbers that training never saw.", class_="lead"
    )


def _in_order(measured: Evaluation) -> list[tuple[str, Score]]:
    return sorted(measured.tiers.items(), key=lambda item: list(TIERS).index(item[0]) if item[0] in TIERS else 9)


def _cards(run: Run, measured: Evaluation | None) -> Child:
    cards: list[tuple[str, str, str]] = []
    if (weights := parameters(run)) is not None:
        cards.append(("parameters", count(weights), ""))
    if (packed := packed_bytes(run)) is not None:
        cards.append(("the file that you chat with", size(packed), f"{_weights(run)}, tokenizer, settings"))
    if measured is not None:
        for tier, score in _in_order(measured):
            cards.append(
                (
                    f"right, told in {TIERS.get(tier, tier)}",
                    percent(score.accuracy),
                    f"± {100 * score.standard_error:.1f}, of {score.count:,} questions",
                )
            )
        if not measured.tiers and (bits := measured.figures.get("bits_per_byte")) is not None:
            documents = f"{measured.lessons.get('num_documents', 0):,.0f} held-out documents"
            cards.append(("bits per byte", f"{bits:.3f}", f"of {documents}"))
        if speed := answer_speed(measured):
            cards.append(("tokens a second", count(speed), "while answering, in batches"))
        if (ended := measured.figures.get("ended_fraction")) is not None:
            cards.append(("of answers end by themselves", percent(ended), ""))
    if seconds := sum(seconds_of(run).values()):
        cards.append(("from raw pages to a chat" if "model" in run.stages else "so far", duration(seconds), ""))
    if not cards:
        return None
    return tag(
        "dl",
        [
            tag("div", tag("dt", name, tag("small", more) if more else None), tag("dd", value))
            for name, value, more in cards
        ],
        class_="cards",
    )


def _weights(run: Run) -> str:
    bits = numbers(run.stages["model"].summary).get("bits_per_weight")
    return "weights" if bits is None else f"{bits:.1f} bits a weight"


def _way(run: Run) -> Child:
    steps: list[tuple[str, str]] = []
    if raw := raw_bytes(run):
        steps.append((size(raw), "raw pages"))
    if kept := sum(documents_kept(run).values()):
        steps.append((f"{kept:,.0f}", "pages kept"))
    if "tokenizer" in run.stages and (words := numbers(run.stages["tokenizer"].summary).get("vocab_size")):
        steps.append((f"{words:,.0f}", "tokens in the vocabulary"))
    if tokens := pretraining_tokens(run):
        steps.append((count(tokens), "tokens read in pretraining"))
    for name, key, told in (("sft", "conversations", "conversations to learn from"), ("dpo", "pairs", "preferences")):
        if name in run.stages and (number := numbers(run.stages[name].summary).get(key)):
            steps.append((f"{number:,.0f}", told))
    if packed := packed_bytes(run):
        steps.append((size(packed), f"{packed_name(run)} file"))
    if not steps:
        return None
    items = [tag("li", tag("b", figure), told) for figure, told in steps]
    return tag("ol", items, class_="way", aria_label="The way of this run")
