"""`pocketphi.load`: from a name or a path to a model that answers."""

from pathlib import Path

from pocketphi.formats.pocket import open_pocket
from pocketphi.hub.store import resolve
from pocketphi.runtime.model import Model


def load(
    name_or_path: str | Path = "smollm2-135m",
    *,
    threads: int | None = None,
    context: int | None = None,
    isa: str | None = None,
    max_batch_tokens: int = 0,
    page_budget_bytes: int | None = None,
    activation_bits: int = 8,
) -> Model:
    """Load a model; use it as a context manager or call `close`.

        with pocketphi.load("smollm2-135m") as model:
            for piece in model.session().reply("Why is the sky blue?"):
                print(piece, end="", flush=True)

    Args:
        name_or_path: a catalogue name, `hf:owner/name[/file]`, or a local file or folder.
        threads: default: the physical cores that this process may use.
        context: positions that one conversation may take; default: what the model knows and memory holds.
        isa: force an instruction set (`scalar`, `avx2`, `avx512`, `amx`); default: the best here.
        max_batch_tokens: prompt tokens per pass through the layers; 0 for the engine's choice.
        page_budget_bytes: the most that the caches of all sessions may take together.
        activation_bits: 8, or 16 for results near single precision at twice the work.

    Raises:
        UserError: the model is missing, damaged, not supported, or does not fit in memory.
    """
    return Model(
        open_pocket(resolve(str(name_or_path))),
        threads=threads,
        context=context,
        isa=isa,
        max_batch_tokens=max_batch_tokens,
        page_budget_bytes=page_budget_bytes,
        activation_bits=activation_bits,
    )
