"""Progress on standard error: a bar at a terminal, a few plain lines anywhere else."""

import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from pocketphi.cli.report import notice


@contextmanager
def byte_progress() -> Iterator[Callable[[str, int, int | None], None]]:
    """A callback for work counted in bytes: a label, bytes done, bytes in all if known.

    A finished bar stays and the next label starts another; before that, a new label (why there is a pause) takes
    the place of the old one. Away from a terminal a label is said once, then each further quarter.
    """
    if not sys.stderr.isatty():
        yield _plain()
        return
    from rich.console import Console
    from rich.markup import escape
    from rich.progress import BarColumn, DownloadColumn, Progress, TextColumn, TimeRemainingColumn, TransferSpeedColumn

    columns = (
        TextColumn("{task.description}"),
        BarColumn(bar_width=None),
        DownloadColumn(),
        TransferSpeedColumn(),
        TimeRemainingColumn(),
    )
    with Progress(*columns, console=Console(stderr=True)) as bars:
        task, current, is_finished = bars.add_task("", total=None, visible=False), "", True

        def show(label: str, done: int, total: int | None) -> None:
            nonlocal task, current, is_finished
            if label != current and is_finished:
                task = bars.add_task("", total=None)
            current, is_finished = label, total is not None and done >= total
            bars.update(task, description=escape(label), completed=done, total=total)

        yield show


def _plain() -> Callable[[str, int, int | None], None]:
    said: dict[str, int] = {}

    def show(label: str, done: int, total: int | None) -> None:
        quarter = 4 * done // total if total else 0
        if label not in said:
            notice(label)
            said[label] = quarter
        elif quarter > said[label]:
            notice(f"{label}: {25 * quarter} %")
            said[label] = quarter

    return show


@contextmanager
def step_progress(what: str) -> Iterator[Callable[[int, int], None]]:
    """A callback for any other work: how much is done, and how much there is. Silent away from a terminal."""
    if not sys.stderr.isatty():
        yield _silent
        return
    from rich.console import Console
    from rich.progress import BarColumn, Progress, TaskProgressColumn, TextColumn, TimeRemainingColumn

    columns = (TextColumn("{task.description}"), BarColumn(), TaskProgressColumn(), TimeRemainingColumn())
    with Progress(*columns, console=Console(stderr=True), transient=True) as bars:
        task = bars.add_task(what, total=None)
        yield lambda done, total: bars.update(task, completed=done, total=total)


def _silent(_done: int, _total: int) -> None:
    pass
