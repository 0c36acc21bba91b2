"""All benchmarks by name, and groups of them.

`phi3` is the report's table, `cloze` the same benchmarks in the form of most published figures of small models.
"""

import difflib
from collections.abc import Mapping, Sequence

from pocketphi.errors import UserError, shown
from pocketphi.eval.tasks.abstain import LAB_BENCH
from pocketphi.eval.tasks.cloze import CLOZE
from pocketphi.eval.tasks.code import CODE
from pocketphi.eval.tasks.longcontext import LONG_CONTEXT
from pocketphi.eval.tasks.phi3 import GPQA, PHI3
from pocketphi.eval.tasks.safety import SAFETY
from pocketphi.eval.tasks.task import BenchTask

GROUPS: Mapping[str, tuple[BenchTask, ...]] = {
    "phi3": (*PHI3, *CODE, GPQA),
    "cloze": CLOZE,
    "long_context": LONG_CONTEXT,
    "safety": SAFETY,
    "abstain": (LAB_BENCH,),
}
"""Name of a group -> its tasks, in the order of a table."""

TASKS: Mapping[str, BenchTask] = {task.name: task for group in GROUPS.values() for task in group}
"""Name -> task."""


def find_tasks(names: Sequence[str]) -> list[BenchTask]:
    """Tasks by their names or those of groups; each once, in the order in which it was first named.

    Raises:
        UserError: a name is neither; the hint has those nearest to it.
    """
    found: dict[str, BenchTask] = {}
    for name in names:
        if name in GROUPS:
            found.update({task.name: found.get(task.name, task) for task in GROUPS[name]})
        elif name in TASKS:
            found.setdefault(name, TASKS[name])
        else:
            near = difflib.get_close_matches(name.casefold()[:200], [*GROUPS, *TASKS], n=3, cutoff=0.5)
            raise UserError(
                f"there is no task `{shown(name)}`",
                hint=f"did you mean {' or '.join(f'`{each}`' for each in near)}?"
                if near
                else f"groups are {', '.join(GROUPS)}",
            )
    return list(found.values())
