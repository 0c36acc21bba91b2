"""Where it comes from: the recipe, the time each stage took, and the ancestry with its digests."""

import json
from collections.abc import Mapping, Sequence
from typing import Any

from pocketphi.artifact import Artifact
from pocketphi.eval.report.facts import seconds_of
from pocketphi.eval.report.markup import Child, clipped, tag
from pocketphi.eval.report.page import Section, folded, table
from pocketphi.eval.report.pictures import Node, figure, lineage
from pocketphi.eval.report.reading import EVALUATION, STAGES, Run, mapping
from pocketphi.eval.report.svg import Bar, Segment, bars
from pocketphi.eval.report.training import COLOUR
from pocketphi.eval.report.units import duration, percent, size

DIGITS = 12


def time_section(run: Run) -> Section | None:
    """What each stage took."""
    seconds = seconds_of(run)
    total = sum(seconds.values())
    if not total:
        return None
    measuring = sum(value for name, value in seconds.items() if name.startswith(EVALUATION))
    rows = {STAGES[name]: (seconds[name], f"f{COLOUR.get(name, '6')}") for name in STAGES if name in seconds}
    if measuring:
        rows["measuring"] = (measuring, "f6")
    drawn = [
        Bar(
            label=name,
            segments=[Segment(value=value, colour=colour)],
            note=f"{duration(value)} · {percent(value / total)}",
        )
        for name, (value, colour) in rows.items()
    ]
    told = "; ".join(f"{name} {duration(value)}" for name, (value, _) in rows.items())
    return Section(
        anchor="time",
        title="Where the time went",
        content=[
            figure(
                lambda width: bars(drawn, width),
                f"Time by stage, {duration(total)} in all: {told}.",
                f"{duration(total)} in all, stages one after the other, on the machine that made this run.",
            )
        ],
    )


def recipe_section(run: Run) -> Section | None:
    """Every choice of the run, from the manifests: `recipe.json` may have been changed since a stage was made."""
    made = {**run.stages, "evaluation": next(iter(run.measured.values()), None)}
    tables = {
        name: {
            **mapping(artifact.manifest.get("settings")),
            **({} if artifact.manifest["seed"] is None else {"seed": artifact.manifest["seed"]}),
        }
        for name, artifact in made.items()
        if artifact is not None
    }
    tables["cluster"] = dict(mapping(run.recipe.get("cluster")))
    opened = [
        folded(tag("strong", name), table(["key", "value"], rows, f"Settings of {name}"))
        for name, value in tables.items()
        if (rows := [[tag("code", key), tag("code", shown)] for key, shown in _flat(value)])
    ]
    if not opened:
        return None
    return Section(
        anchor="recipe",
        title="The recipe",
        content=[
            tag("p", "The settings of each stage as it saw them when it was made, defaults included."),
            tag("div", opened, class_="folds"),
        ],
    )


def lineage_section(run: Run) -> Section:
    """What came from what."""
    stories = _stories(run)
    rows = {story["inputs"]: row for row, story in enumerate(stories)}
    names = [_name(run, story) for story in stories]
    nodes = [
        Node(
            name=name,
            digest=str(story["content"])[:DIGITS],
            colour=f"f{COLOUR.get(name, '6')}",
            parents=[rows[parent] for parent in story["parents"] if parent in rows],
        )
        for name, story in zip(names, stories, strict=True)
    ]
    told = "; ".join(
        f"{node.name} from {', '.join(nodes[parent].name for parent in node.parents)}" for node in nodes if node.parents
    )
    cells: list[list[Child]] = [
        [
            name,
            tag("span", story["content"], class_="digest"),
            tag("span", story["inputs"], class_="digest"),
            "" if story.get("seed") is None else str(story["seed"]),
            str(story.get("code_version", "")),
        ]
        for name, story in zip(names, stories, strict=True)
    ]
    files: list[list[Child]] = [
        [
            f"{artifact.path.name}/{clipped(name, 120)}",
            size(file["bytes"]),
            tag("span", file["sha256"], class_="digest"),
        ]
        for artifact in run.stages.values()
        for name, file in artifact.manifest["files"].items()
    ]
    heads = ["artifact", "content (what it is)", "inputs (what it was made from)", "seed", "pocketphi"]
    return Section(
        anchor="lineage",
        title="Where it comes from",
        content=[
            figure(
                lambda width: lineage(nodes, width),
                f"Ancestry of every artifact. {told}.",
                "An arc leads from what was read down to what was made of it. "
                f"Beside each name: the first {DIGITS} digits of the SHA-256 of its content.",
            ),
            folded("All digests", table(heads, cells, "Artifacts, by SHA-256", (3,))),
            folded("All files", table(["file", "size", "SHA-256"], files, "Files of the stages", (1,))),
        ],
    )


def _stories(run: Run) -> list[Mapping[str, Any]]:
    """Every artifact and ancestor once, parents before children. Measurements are left out: they change nothing."""
    known: dict[str, Mapping[str, Any]] = {}
    for artifact in run.stages.values():
        for story in [*_ancestors(artifact), artifact.manifest]:
            known.setdefault(story["inputs"], story)
    ordered: dict[str, Mapping[str, Any]] = {}
    waiting = list(known.values())
    while waiting:
        ready = [s for s in waiting if all(parent in ordered or parent not in known for parent in s["parents"])]
        if not ready:  # damaged manifests may name each other
            ready = waiting
        ordered |= {story["inputs"]: story for story in ready[:1]}
        waiting = [story for story in waiting if story["inputs"] not in ordered]
    return list(ordered.values())


def _ancestors(artifact: Artifact) -> Sequence[Mapping[str, Any]]:
    ancestors = artifact.manifest.get("ancestors", ())
    listed = ancestors.values() if isinstance(ancestors, Mapping) else ancestors
    return [s for s in listed if isinstance(s, Mapping) and {"inputs", "content", "parents", "stage"} <= s.keys()]


def _name(run: Run, story: Mapping[str, Any]) -> str:
    for name, artifact in run.stages.items():
        if artifact.inputs == story["inputs"]:
            return name
    return str(story["stage"])


def _flat(value: object, prefix: str = "") -> list[tuple[str, str]]:
    """`a.b` and its value for everything below a table."""
    if not isinstance(value, Mapping):
        return []
    rows: list[tuple[str, str]] = []
    for key, item in value.items():
        name = f"{prefix}{key}"
        nested = isinstance(item, Mapping) and any(isinstance(each, Mapping) for each in item.values())
        if isinstance(item, Mapping) and (nested or not prefix):
            rows += _flat(item, f"{name}.")
        else:
            rows.append((name, _shown(item)))
    return rows


def _shown(value: object) -> str:
    return clipped(value if isinstance(value, str) else json.dumps(value, ensure_ascii=False), 300)
