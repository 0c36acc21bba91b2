"""Squeeze a checkpoint into one `.pocket` file that chats: 4-bit weights, 8 bits where it shows.

Every matrix is rounded to the nearest point of a 4-bit grid, with a minimum per group where the measured error
says that it pays (`quant.rtn`). With calibration text, the loss is measured too (`quant.sensitivity`): as long as
the rounded model diverges from the checkpoint by more than `max_divergence`, the class of matrices that costs most
per weight gets 8 bits. In small models that is the first layer's. Without calibration text all gets 4 bits.

A tied embedding is one tensor, read by row and used as head. It gets 8 bits, measured or not: its error would enter
every logit.

The checkpoint is mapped and streamed: memory holds one tensor, so the report's sizes need no more than that.
Only measuring loads the model.
"""

from collections.abc import Iterable, Mapping, Sequence
from collections.abc import Set as AbstractSet
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from pocketphi.architecture import expected_tensors
from pocketphi.artifact import Artifact, Progress, no_progress, open_artifact, publish
from pocketphi.formats.files import sha256_of
from pocketphi.formats.folder_source import open_folder_source
from pocketphi.formats.pocket import write_pocket
from pocketphi.formats.source import Matrix, Source, chat_settings
from pocketphi.packing import packed_bytes
from pocketphi.quant.pack import EMBEDDING, Form, finite_floats, pack_source
from pocketphi.quant.rtn import best_form, class_of, rounded, sample_step
from pocketphi.recipe import Quantize, settings_of
from pocketphi.version import __version__

MODEL_FILE = "model.pocket"
HEAD = "lm_head.weight"
_FIGURES = 3
"""Digits of a measured divergence that are recorded: those that every machine agrees on."""


@dataclass(frozen=True, kw_only=True)
class Plan:
    """Which classes of matrices get 8 bits, and why."""

    wide: frozenset[str] = frozenset()
    """By `class_of`; all others get 4 bits."""
    divergence: Mapping[str, float] = field(default_factory=dict)
    """Nats per token that rounding one class to 4 bits costs, all else as it was; empty if not measured."""
    total: float | None = None
    """What the whole plan costs."""


def quantize(
    table: Quantize,
    checkpoint: Artifact | Path,
    out: Path,
    *,
    seed: int,
    calibration: Iterable[str] | None = None,
    parents: Sequence[Artifact] = (),
    progress: Progress = no_progress,
) -> Artifact:
    """Round a checkpoint and publish a `model`: a directory with `model.pocket`.

    Args:
        checkpoint: a finished stage, or any model folder that `pocketphi import` reads.
        seed: recorded only; rounding to nearest draws nothing.
        calibration: text that the model should read well, to measure on.
        parents: where the calibration text is from.
        progress: in weights.

    Raises:
        UserError: the checkpoint is damaged or not a model that pocketphi runs, or `out` cannot be written.
    """
    folder = checkpoint.path if isinstance(checkpoint, Artifact) else checkpoint
    where = f"`{folder}`"
    source = open_folder_source(folder)
    chat = chat_settings(source, None, where)
    settings = settings_of(table)
    lineage: dict[str, Any] = {"source": folder.absolute().name, "quantizer": f"pocketphi {__version__}", **settings}
    if isinstance(checkpoint, Artifact):
        lineage["content"], parents = checkpoint.content, (checkpoint, *parents)
    else:
        lineage["sha256"] = {path.name: sha256_of(path) for path in source.files}
        settings = {**settings, "source": lineage["sha256"]}
    with publish(out, kind="model", stage="quantize", settings=settings, seed=seed, parents=parents) as draft:
        plan = make_plan(table, source, folder, calibration)
        forms: dict[str, Form] = {}

        def form_of(name: str, parts: Sequence[Matrix]) -> Form:
            step = sample_step(sum(part.shape[0] * part.shape[1] for part in parts))
            sample = np.concatenate([finite_floats(part, slice(None, None, step), where) for part in parts])
            kind = class_of(name, source.config.num_hidden_layers)
            forms[name] = best_form(sample, 8 if kind in plan.wide else 4, table.group)
            return forms[name]

        write_pocket(
            draft.path / MODEL_FILE,
            config=source.config,
            chat=chat,
            lineage=lineage,
            tokenizer_json=source.tokenizer.to_json(),
            tensors=pack_source(
                source,
                form_of,
                where=where,
                progress=lambda done, total: progress(done, total, {}),
            ),
        )
        draft.summary.update(_summary(source, forms, plan, (draft.path / MODEL_FILE).stat().st_size))
    return open_artifact(out, "model")


def make_plan(table: Quantize, source: Source, folder: Path, calibration: Iterable[str] | None) -> Plan:
    """Decide which classes of matrices get 8 bits."""
    tied = source.config.tie_word_embeddings
    outer = {"embed_tokens"} if tied else {"embed_tokens", "lm_head"}
    measured = table.embedding_bits == "measured"
    fixed = set() if measured and not tied else outer
    wide = outer if table.embedding_bits == 8 or (measured and tied) else set()
    if calibration is None:
        return Plan(wide=frozenset(wide))
    return _measure(table, source, folder, calibration, fixed, wide)


def _measure(
    table: Quantize,
    source: Source,
    folder: Path,
    calibration: Iterable[str],
    fixed: AbstractSet[str],
    wide: AbstractSet[str],
) -> Plan:
    """Give 8 bits to one class after the other until the divergence is low enough. Those in `fixed` stay."""
    from pocketphi.model.checkpoint import load_checkpoint  # measuring alone needs torch
    from pocketphi.quant.sensitivity import Divergence, calibration_tokens

    layers = source.config.num_hidden_layers
    matrices = {name: rows * cols for name, (rows, cols) in expected_tensors(source.config).items() if rows > 1}
    classes: dict[str, list[str]] = {}
    for name in matrices:
        classes.setdefault(class_of(name, layers), []).append(name)
    tokens = calibration_tokens(calibration, source.tokenizer, source.config)
    divergence = Divergence(load_checkpoint(folder), tokens)

    def cost(names: Iterable[str], wide: AbstractSet[str]) -> float:
        def rounding(name: str, weights: npt.NDArray[np.float32]) -> npt.NDArray[np.float32]:
            bits = 8 if class_of(name, layers) in wide else 4
            return rounded(weights, best_form(weights[:: sample_step(weights.size)], bits, table.group))

        return divergence.of(rounding, names)

    found = {kind: cost(names, frozenset()) for kind, names in classes.items()}
    per_weight = {kind: found[kind] / sum(matrices[name] for name in names) for kind, names in classes.items()}
    waiting = sorted(classes.keys() - fixed, key=lambda kind: (per_weight[kind], kind))
    while (total := cost(matrices, wide)) > table.max_divergence and waiting:
        wide = wide | {waiting.pop()}
    return Plan(
        wide=frozenset(wide),
        divergence={kind: _recorded(value) for kind, value in found.items()},
        total=_recorded(total),
    )


def _recorded(value: float) -> float:
    return float(f"{value:.{_FIGURES}g}")


def _summary(source: Source, forms: Mapping[str, Form], plan: Plan, size: int) -> dict[str, Any]:
    """Counts and figures for the manifest."""
    weights = sum(rows * cols for rows, cols in expected_tensors(source.config).values())
    stored: dict[str, int] = {}
    packed = 0
    for name, form in forms.items():
        kind, group = form
        stored[f"{kind}, groups of {group}"] = stored.get(f"{kind}, groups of {group}", 0) + 1
        packed += packed_bytes(kind, group, *expected_tensors(source.config)[name])
    return {
        "weights": weights,
        "bytes": size,
        "bytes_of_16_bit_weights": 2 * weights,
        "bits_per_weight": round(8 * packed / weights, 3),
        "matrices_by_format": stored,
        "embedding_bits": forms[EMBEDDING][0].bits,
        "head_bits": forms.get(HEAD, forms[EMBEDDING])[0].bits,
        "divergence_at_4_bits": dict(plan.divergence),
        "divergence": plan.total,
    }
