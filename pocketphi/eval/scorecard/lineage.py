"""What made these figures: the model, the code, the settings, and the digests of prompts and data."""

import json
from collections.abc import Mapping
from typing import Any

from pocketphi.eval.report.markup import Child, clipped, tag
from pocketphi.eval.report.page import Section, folded, table
from pocketphi.eval.scorecard.reading import Run, title_of


def lineage_section(run: Run) -> Section:
    """Enough to measure the same again."""
    found = run.results
    parts = (("model", found.model), ("code", found.code), ("settings", found.settings))
    rows = [row for name, value in parts for row in _rows(name, value)]
    prompts: list[list[Child]] = [
        [
            tag("code", name),
            title_of(name, task),
            str(task.version),
            str(task.shots),
            task.form,
            _digest(task.prompts_digest),
        ]
        for name, task in run.tasks.items()
    ]
    files = {file: digest for task in run.tasks.values() for file, digest in task.files.items()}
    listed: list[list[Child]] = [[tag("code", file), _digest(digest)] for file, digest in sorted(files.items())]
    heads = ["task", "title", "version", "shots", "form", "SHA-256 of all prompts"]
    asked = [
        folded(title_of(name, task), tag("pre", clipped(task.prompt, 25_000)))
        for name, task in run.tasks.items()
        if task.prompt
    ]
    return Section(
        anchor="lineage",
        title="Where it comes from",
        content=[
            tag(
                "p",
                "The same model, data, settings and code give the same figures, byte for byte: compare the digests.",
            ),
            table(["key", "value"], rows, "Model, code and settings") if rows else None,
            folded("Prompts, by task", table(heads, prompts, "Prompts by task", (2, 3))) if prompts else None,
            folded("What the first question of each task looked like, whole", *asked) if asked else None,
            folded("Data files", table(["file", "SHA-256"], listed, "Data files")) if listed else None,
        ],
    )


def _rows(name: str, value: Mapping[str, Any]) -> list[list[Child]]:
    return [[tag("code", f"{name}.{key}"), tag("code", _shown(value[key]))] for key in sorted(value)]


def _digest(value: Any) -> Child:
    return tag("span", clipped(str(value), 200), class_="digest")


def _shown(value: Any) -> str:
    return clipped(value if isinstance(value, str) else json.dumps(value, ensure_ascii=False), 400)
