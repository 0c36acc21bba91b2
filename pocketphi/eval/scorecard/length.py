"""How right is the model where an answer may only be so long?"""

from functools import partial

from pocketphi.eval.report import svg
from pocketphi.eval.report.markup import Child, tag
from pocketphi.eval.report.page import Section, folded, table
from pocketphi.eval.report.pictures import figure
from pocketphi.eval.scorecard.pictures import Curves, mosaic, over_length
from pocketphi.eval.scorecard.reading import Run, is_share, title_of
from pocketphi.eval.tasks.length import ALPHA, LengthScores, length_scores

MOST = 12
"""Tasks that are drawn."""


def length_section(run: Run) -> Section | None:
    """Accuracy by the words that an answer may have, for tasks whose answers were written."""
    found: dict[str, LengthScores] = {}
    for name, items in run.items.items():
        task = run.tasks[name]
        scores = length_scores(items, metric=task.metric) if is_share(task) else None
        if scores is not None:
            found[title_of(name, task)] = scores
    if not found:
        return None
    panels = [partial(over_length, _curves(title, scores)) for title, scores in list(found.items())[:MOST]]
    told = "; ".join(
        f"{title} {_told(scores)}, {100 * scores.accuracy:.1f} % without a limit" for title, scores in found.items()
    )
    limits = sorted({k for scores in found.values() for k in scores.hca})
    rows: list[list[Child]] = []
    for title, scores in found.items():
        for measure, values in (("HCA", scores.hca), ("SCA", scores.sca), ("CCA", scores.cca)):
            cells = [f"{100 * values[k]:.1f}" if k in values else "" for k in limits]
            words = f"{scores.mean_words:.0f} ± {scores.deviation_words:.0f}"
            rows.append([title, measure, *cells, f"{100 * scores.accuracy:.1f}", words])
    heads = ["task", "measure", *[f"{k} words" for k in limits], "no limit", "words of an answer"]
    return Section(
        anchor="length",
        title="Right, and short enough",
        content=[
            tag(
                "p",
                "Who waits for an answer on a phone counts words. ",
                tag("strong", "HCA"),
                " counts an answer that is right and has at most so many words; ",
                tag("strong", "SCA"),
                f" discounts a longer one by exp((k − words) / {ALPHA:g}) (Nayab et al. 2024, arXiv 2407.19825).",
            ),
            figure(
                lambda width: mosaic(panels, width, 1 if width <= svg.NARROW else min(3, max(len(panels), 2))),
                f"Accuracy over the limit of words, hard (HCA): {told}.",
                [
                    tag("span", "HCA", class_="key k1"),
                    " and ",
                    tag("span", "SCA", class_="key f3"),
                    " over the limit of words; dashed and level: without a limit.",
                    f" The first {MOST} of {len(found)}; the table has all." if len(found) > MOST else None,
                ],
            ),
            folded("The numbers", table(heads, rows, "Accuracy by length, in percent", range(2, len(heads)))),
        ],
    )


def _curves(title: str, scores: LengthScores) -> Curves:
    limits = sorted(scores.hca)
    return Curves(
        title=title,
        limits=limits,
        strict=[scores.hca[k] for k in limits],
        soft=[scores.sca[k] for k in limits],
        level=scores.accuracy,
    )


def _told(scores: LengthScores) -> str:
    return ", ".join(f"{100 * value:.1f} % in {k} words" for k, value in sorted(scores.hca.items()))
