"""A run as one page to look at: `write_report` reads what its stages left and writes `report.html`.

The page is one file without scripts, fonts or anything else from elsewhere, so it can be mailed, printed and
opened in ten years. `reading` turns a run directory into a few named facts; one module a section says what they
mean; `pictures` and `svg` draw; `markup` is the only maker of tags and escapes everything. A stage that is
missing takes its section with it and leaves a line that says so: a report can be written at any time of a run.
"""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from pocketphi.artifact import Artifact, Progress, no_progress, open_artifact, publish
from pocketphi.eval.report.data import funnel_section, mixture_section
from pocketphi.eval.report.head import head
from pocketphi.eval.report.markup import tag
from pocketphi.eval.report.origins import lineage_section, recipe_section, time_section
from pocketphi.eval.report.page import Section, note, page
from pocketphi.eval.report.reading import read_run
from pocketphi.eval.report.results import accuracy_section
from pocketphi.eval.report.samples import samples_section
from pocketphi.eval.report.squeezed import squeezed_section
from pocketphi.eval.report.training import curves_section
from pocketphi.version import __version__

__all__ = ["write_report"]

REPORT = "report.html"
SECTIONS = (
    ("what was kept and dropped", funnel_section),
    ("what each phase read", mixture_section),
    ("how it learnt", curves_section),
    ("what it can do", accuracy_section),
    ("what rounding costs", squeezed_section),
    ("what it says", samples_section),
    ("the recipe", recipe_section),
    ("where the time went", time_section),
    ("where it comes from", lineage_section),
)


def write_report(
    run: Path, out: Path, *, settings: Mapping[str, Any] | None = None, progress: Progress = no_progress
) -> Artifact:
    """Read a run directory and publish a `report`.

    Its parents are all finished artifacts of the run, in the order of `Run.parents`.

    Args:
        settings: what the page takes from the recipe alone, because no other stage has it, for the manifest.

    Raises:
        UserError: `run` holds no finished stage, or `out` cannot be written.
    """
    found = read_run(run)
    sections: list[Section] = []
    missing: list[str] = []
    for done, (name, write) in enumerate(SECTIONS):
        progress(done, len(SECTIONS), {})
        section = write(found)
        if section is None:
            missing.append(name)
        else:
            sections.append(section)
    foot = [
        note(f"Not in this run: {'; '.join(missing)}.") if missing else None,
        tag("p", f"Written by pocketphi {__version__}. Every figure comes from the manifests and files of the run."),
    ]
    text = page(f"{found.name} · pocketphi", head(found), sections, foot)
    with publish(out, kind="report", stage="report", settings=settings or {}, parents=found.parents) as draft:
        (draft.path / REPORT).write_text(text, encoding="utf-8", newline="\n")
        draft.summary.update(sections=[section.anchor for section in sections], missing=missing)
    progress(len(SECTIONS), len(SECTIONS), {})
    return open_artifact(out, "report")
