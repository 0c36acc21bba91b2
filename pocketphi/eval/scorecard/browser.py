"""Every answer to look at: the items as data in the page, and a small script (`browser.js`) that shows them.

Items are text of strangers. They stand in a `script` element of type JSON, which no browser executes, with every `<`,
`>` and `&` escaped, so that nothing can end the element early; the script puts them on the page as text, never as
markup.
"""

import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pocketphi.eval.report.markup import Child, Html, clipped, plain, tag
from pocketphi.eval.report.page import Section, note
from pocketphi.eval.results import Item, TaskResult
from pocketphi.eval.scorecard.reading import Run, is_share, title_of, verdict
from pocketphi.eval.tasks.prompt import LETTERS

MOST = 2000
"""Items of a task that are embedded: wrong ones first."""
BUDGET = 16_000_000
"""Characters of all items together; each task may take its part."""
CHARACTERS = 2500
"""Of one text of an item."""
CHOICES = 26
SCRIPT = Path(__file__).with_name("browser.js")
_ESCAPES = str.maketrans({"<": "\\u003c", ">": "\\u003e", "&": "\\u0026", "\u2028": "\\u2028", "\u2029": "\\u2029"})
_STATES = {False: 0, True: 1, None: 2}


@dataclass(frozen=True, kw_only=True)
class Chosen:
    """What of a task is embedded."""

    title: str
    rows: Sequence[Any]
    total: int
    wrong: int


def browser_section(run: Run) -> Section | None:
    """The controls, the data, and what is left out."""
    if not run.items:
        return None
    room = BUDGET // len(run.items)
    chosen = {name: choose(run.tasks[name], items, room) for name, items in run.items.items()}
    data = {
        "tasks": [[name, each.title] for name, each in chosen.items()],
        "items": [[number, *row] for number, each in enumerate(chosen.values()) for row in each.rows],
    }
    shown, total = sum(len(each.rows) for each in chosen.values()), sum(each.total for each in chosen.values())
    wrong = sum(each.wrong for each in chosen.values())
    left_out = [
        f"{each.title} {each.total - len(each.rows):,}" for each in chosen.values() if len(each.rows) < each.total
    ]
    return Section(
        anchor="items",
        title="Every answer",
        content=[
            tag(
                "p",
                f"{total:,} questions, {wrong:,} answered wrong. Wrong answers come first: of each task those before "
                "all that the model was surest of.",
            ),
            note(
                f"{shown:,} of them are in this page, per task at most {MOST:,}. Left out are right answers first: "
                f"{', '.join(left_out)}. All are in the folder `items` of this run."
            )
            if left_out
            else None,
            _controls(),
            tag("script", Html(embedded(data)), type="application/json", id="items-data"),
        ],
    )


def choose(task: TaskResult, items: Sequence[Item], room: int) -> Chosen:
    """What of a task is embedded: wrong answers from the surest down, then right ones from the least sure up.

    Args:
        room: characters that they may take.
    """
    judged = [(verdict(item, task.metric) if is_share(task) else None, item) for item in items]
    order = sorted(judged, key=lambda pair: (_STATES[pair[0]], _sureness(pair[1]) * (1 if pair[0] else -1)))
    rows: list[Any] = []
    for state, item in order[:MOST]:
        row = _row(_STATES[state], item)
        room -= sum(len(text) for text in row if isinstance(text, str)) + sum(map(len, row[4])) + 60
        if room < 0:
            break
        rows.append(row)
    wrong = sum(state is False for state, _ in judged)
    return Chosen(title=title_of(task.name, task), rows=rows, total=len(items), wrong=wrong)


def embedded(data: Any) -> str:
    """JSON that nothing in it can lead out of a `script` element."""
    return json.dumps(data, ensure_ascii=False, separators=(",", ":")).translate(_ESCAPES)


def _sureness(item: Item) -> float:
    return max(item.probabilities, default=0.0)


def _row(state: int, item: Item) -> list[Any]:
    choices = [_text(choice) for choice in item.choices[:CHOICES]]
    question = item.question.replace("\r\n", "\n")
    return [
        _text(item.id),
        _text(item.subset),
        state,
        _text(question),
        choices,
        [round(value, 3) for value in item.probabilities[:CHOICES]],
        _index(item.expected, item.choices),
        _index(item.answer, item.choices),
        _text(item.expected),
        _text(item.answer),
        _text(item.written),
    ]


def _index(said: str, choices: Sequence[str]) -> int:
    """Of the choice that is meant by its text or its letter; -1 if none is."""
    if said in choices:
        return choices.index(said)
    at = LETTERS.find(said) if len(said) == 1 else -1
    return at if at < len(choices) else -1


def _text(text: str) -> str:
    return plain(clipped(text, CHARACTERS))


def _controls() -> Child:
    def field(label: str, name: str, control: Child) -> Child:
        return tag("div", tag("label", label, for_=name), control, class_="field")

    verdicts = (("", "all, wrong first"), ("0", "wrong"), ("1", "right"), ("2", "without a score"))
    options = [tag("option", told, value=value) for value, told in verdicts]
    return [
        tag(
            "p",
            "To look through the answers, let this page run its script. Nothing else here needs it; the same items are "
            "lines of the files in the folder `items` of the run.",
            class_="note",
            id="items-off",
        ),
        tag(
            "div",
            tag(
                "div",
                field("Search", "find", tag("input", type="search", id="find", autocomplete="off", spellcheck="false")),
                field("Task", "find-task", tag("select", tag("option", "all", value=""), id="find-task")),
                field("Part", "find-part", tag("select", tag("option", "all", value=""), id="find-part")),
                field("Answer", "find-verdict", tag("select", options, id="find-verdict")),
                class_="fields",
                role="search",
                aria_label="Answers",
            ),
            tag("p", id="found-count", role="status", aria_live="polite"),
            tag("div", id="found"),
            tag("button", "Show more", type="button", id="more", hidden=True),
            id="browser",
            hidden=True,
        ),
    ]
