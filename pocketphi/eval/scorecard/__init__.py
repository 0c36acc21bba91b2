"""A run of `pocketphi eval` as one page to look at: `write_page` writes `report.html` beside its results.

The page is one file and loads nothing. `reading` turns a folder into checked results and items; one module a section
says what they mean; `pictures` draws; the page around them, its markup and its units are those of `eval.report`. A
script, the only one, looks through the items (`browser`); all else is there without it.
"""

from collections.abc import Sequence
from pathlib import Path

from pocketphi.errors import UserError, reason_of
from pocketphi.eval.report.markup import tag
from pocketphi.eval.report.page import Section, note, page
from pocketphi.eval.scorecard.browser import SCRIPT, browser_section
from pocketphi.eval.scorecard.confidence import calibration_section
from pocketphi.eval.scorecard.head import head
from pocketphi.eval.scorecard.length import length_section
from pocketphi.eval.scorecard.lineage import lineage_section
from pocketphi.eval.scorecard.reading import read_run, told_apart
from pocketphi.eval.scorecard.subsets import subsets_section
from pocketphi.eval.scorecard.table import bars_section, table_section
from pocketphi.eval.scorecard.trust import against_section, contamination_section, formats_section

__all__ = ["PAGE", "write_page"]

PAGE = "report.html"


def write_page(folder: Path, others: Sequence[Path] = ()) -> Path:
    """Write the page of a run, from `results.json` and `items/`.

    The same files give the same bytes.

    Args:
        others: folders of further runs, to draw beside it and to compare it with.

    Returns:
        Where it is: `report.html` in `folder`.

    Raises:
        UserError: a folder holds no results, or the page cannot be written.
    """
    folders = [folder, *others]
    run, *beside = told_apart([read_run(each) for each in folders], folders)
    found = [
        table_section(run),
        bars_section(run, beside),
        against_section(run, beside),
        subsets_section(run),
        calibration_section(run),
        length_section(run),
        formats_section(run),
        contamination_section(run),
        browser_section(run),
        lineage_section(run),
    ]
    sections: list[Section] = [section for section in found if section is not None]
    notes = [*run.notes, *(f"{each.label}: {left_out}" for each in beside for left_out in each.notes)]
    foot = [
        note(f"Left out: {'; '.join(notes)}.") if notes else None,
        tag("p", "Written by pocketphi. Every figure comes from the results and items of the run."),
    ]
    text = page(
        f"{run.label} · scorecard · pocketphi",
        head(run),
        sections,
        foot,
        style=Path(__file__).with_name("scorecard.css").read_text(encoding="utf-8"),
        script=SCRIPT.read_text(encoding="utf-8") if run.items else "",
    )
    path = folder / PAGE
    try:
        path.write_text(text, encoding="utf-8", newline="\n")
    except OSError as error:
        raise UserError(f"cannot write `{path}`: {reason_of(error)}") from error
    return path
