"""From a model's name to a model in memory, with everything that a person should hear on the way."""

import gc
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

from pocketphi.cli.progress import byte_progress
from pocketphi.cli.report import notice

if TYPE_CHECKING:
    from pocketphi.runtime.model import Model


def pull_if_absent(name: str) -> None:
    """Fetch a model that is known but not here: the small default one at once, others after a question.

    Raises:
        NotPulledError: there is nobody to ask, or the answer is no.
    """
    from pocketphi.hub import DEFAULT_MODEL, NotPulledError, resolve

    try:
        resolve(name)
    except NotPulledError as absent:
        has_somebody_to_ask = sys.stdin.isatty() and sys.stderr.isatty()
        if name != DEFAULT_MODEL and not (has_somebody_to_ask and _wants(name, absent.message)):
            raise
        from pocketphi.hub import pull

        notice(f"{name} is not on this machine yet: pulling it")
        with byte_progress() as progress:
            pull(name, progress=progress)


def _wants(name: str, why: str) -> bool:
    import typer

    from pocketphi.hub import CATALOGUE

    about = next((f": {entry.about}" for entry in CATALOGUE if entry.name == name), "")
    return typer.confirm(f"{why}{about}; pull it now?", err=True)


def open_model(name: str, *, threads: int | None, context: int | None, activation_bits: int = 8) -> "Model":
    """Load a model that is on this machine, after saying what memory it takes.

    Raises:
        NotPulledError: it is in the catalogue or on the hub, but not here.
        UserError: it is nowhere, damaged, or does not fit in memory.
    """
    with _collector_paused():
        return _open_model(name, threads, context, activation_bits)


def _open_model(name: str, threads: int | None, context: int | None, activation_bits: int) -> "Model":
    from pocketphi.formats.pocket import open_pocket
    from pocketphi.hub import resolve
    from pocketphi.hub.disk import human_size
    from pocketphi.runtime.machine import available_memory
    from pocketphi.runtime.memory import choose_context
    from pocketphi.runtime.model import Model

    path = resolve(name)
    file = open_pocket(path)
    available = available_memory()
    size, plan = choose_context(
        file.config,
        weights_bytes=file.size,
        wanted=context,
        available=available,
        threads=threads,
        activation_bits=activation_bits,
    )
    has = "" if available is None else f"; {human_size(available)} available"
    notice(
        f"{path.stem}: takes up to {human_size(plan.total)} of memory ({human_size(plan.weights)} weights, "
        f"{human_size(plan.cache)} cache for {size:,} tokens, {human_size(plan.scratch)} scratch, "
        f"{human_size(plan.program)} program{has})"
    )
    return Model(file, threads=threads, context=size, activation_bits=activation_bits)


def open_served(name: str, *, threads: int | None, context: int | None, parallel: int, models: int) -> "Model":
    """Load a model for `parallel` sequences at once, after saying what memory it takes and what bounds its cache.

    Args:
        models: how many share the memory that is available, this one included.

    Raises:
        UserError: as `open_model`.
    """
    from pocketphi.formats.pocket import open_pocket
    from pocketphi.hub import resolve
    from pocketphi.hub.disk import human_size
    from pocketphi.runtime.machine import available_memory
    from pocketphi.runtime.memory import plan_serving
    from pocketphi.runtime.model import Model

    with _collector_paused():
        path = resolve(name)
        file = open_pocket(path)
        available = available_memory()
        plan = plan_serving(
            file.config,
            weights_bytes=file.size,
            wanted=context,
            available=None if available is None else available // models,
            parallel=parallel,
            threads=threads,
        )
        full = plan.full_sequences(file.config)
        notice(
            f"{path.stem}: takes up to {human_size(plan.memory.total)} of memory; its cache of keys and values is "
            f"bounded by {human_size(plan.budget)}: of {parallel} answers at once {min(full, parallel)} may fill their "
            f"context of {plan.context:,} tokens"
        )
        return Model(file, threads=threads, context=plan.context, page_budget_bytes=plan.budget)


@contextmanager
def _collector_paused() -> Iterator[None]:
    """Loading makes half a million objects that stay: looking for garbage among them costs 60 ms of 480."""
    was_enabled = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if was_enabled:
            gc.freeze()
            gc.enable()
