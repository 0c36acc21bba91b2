"""Which worked examples a row is asked with.

They come from the train file; where a benchmark has none, from the rows themselves, and those rows, with all that share
a passage with them, are not asked. Rows of the split `dev` were made to be examples and go first, in the order of the
file; the others follow in an order drawn from the seed and their id. So every row of a task (of a subset, where the
examples are of the row's own) has the same examples in the same order, and their part of the prompt is read once.

A row that says the same as one that is asked is never an example.
"""

import hashlib
import re
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field

from pocketphi.errors import UserError
from pocketphi.eval.tasks.rows import Data, Row
from pocketphi.eval.tasks.task import BenchTask

_MADE_FOR_IT = "dev"
_WORD = re.compile(r"\w+")


@dataclass(frozen=True, kw_only=True)
class Drawn:
    """What is asked, and after which examples."""

    task: BenchTask
    test: tuple[Row, ...]
    """The rows to ask, in the order of the file."""
    by_group: Mapping[str, tuple[Row, ...]] = field(default_factory=dict)

    def shots(self, row: Row) -> tuple[Row, ...]:
        """The worked examples of a row, `task.shots` of them."""
        if self.task.worked is not None:
            return tuple(self.task.worked(row)[: self.task.shots])
        return self.by_group.get(_group(self.task, row), ())


def draw_examples(task: BenchTask, data: Data, *, seed: int) -> Drawn:
    """Choose the worked examples of a task.

    Raises:
        UserError: a row is none that the task can ask about, there are too few, or nothing is left to ask.
    """
    if task.check is not None:
        for row in (*data.test, *data.train):
            task.check(row)
    if task.shots == 0 or task.worked is not None:
        return _checked(Drawn(task=task, test=data.test), data)
    pools: dict[str, list[Row]] = defaultdict(list)
    asked = {_said(row) for row in data.test} if data.train else set()
    for row in _made_first(data.train or data.test, seed):
        if (said := _said(row)) not in asked:
            pools[_group(task, row)].append(row)
            asked.add(said)
    groups = dict.fromkeys(_group(task, row) for row in data.test)
    chosen = {group: tuple(pools[group][: task.shots]) for group in groups}
    test = data.test if data.train else _others(task, data.test, [row for rows in chosen.values() for row in rows])
    return _checked(Drawn(task=task, test=test, by_group=chosen), data)


def _checked(drawn: Drawn, data: Data) -> Drawn:
    task = drawn.task
    for group, row in {_group(task, row): row for row in data.test}.items():
        found = len(drawn.shots(row))
        if found < task.shots:
            where = f"`{task.file}`" + (f", subset `{group}`," if group else "")
            raise UserError(
                f"`{task.name}` needs {task.shots} worked examples, and {where} has {found}",
                hint=f"give more rows in `{task.file}.train.jsonl.gz`, or take `--shots {found}`",
            )
    if not drawn.test:
        raise UserError(
            f"`{task.name}`: the worked examples leave no row to ask",
            hint=f"give the examples in `{task.file}.train.jsonl.gz`",
        )
    return drawn


def _made_first(rows: Sequence[Row], seed: int) -> Iterable[Row]:
    def key(row: Row) -> bytes:
        return hashlib.sha256(f"{seed}/{row.id}".encode("utf-8", "surrogatepass")).digest()

    yield from (row for row in rows if row.split == _MADE_FOR_IT)
    yield from sorted((row for row in rows if row.split != _MADE_FOR_IT), key=key)


def _others(task: BenchTask, rows: Sequence[Row], chosen: Sequence[Row]) -> tuple[Row, ...]:
    """Rows that neither are examples nor tell what is in one."""
    shown, passages = {_said(row) for row in chosen}, {_passage(task, row) for row in chosen}
    return tuple(row for row in rows if _said(row) not in shown and _passage(task, row) not in passages)


def _passage(task: BenchTask, row: Row) -> str:
    return row.id if task.cluster is None else task.cluster(row)


def _group(task: BenchTask, row: Row) -> str:
    return row.subset if task.by_subset else ""


def _said(row: Row) -> str:
    """The words of a row, in one normal form; options in any order are the same."""
    context, question, *choices = (
        " ".join(_WORD.findall(part.casefold())) for part in (row.context, row.question, *row.choices)
    )
    return "\n".join((context, question, *sorted(choices)))
