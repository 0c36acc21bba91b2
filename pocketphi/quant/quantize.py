"""Squeeze a checkpoint into one `.pocket` file that chats: 4-bit weights, 8 bits where it shows.

Every matrix is rounded to the nearest point of a 4-bit grid, with a minimum per group where the measured error
says that it pays (`quant.rtn`). With calibration text, the loss is measured too (`quant.sensitivity`): as long as
the rounded model diverges from the checkpoint by more than `max_divergence`, the class of matrices that costs most
per weight gets 8 bits. In small models that is the embedding, which is the head as well where the two are tied,
and then the projection that attention starts from.

Without calibration text a tied embedding gets 8 bits, because its error would enter every logit, and all else 4.

The checkpoint is mapped and streamed: memory holds one tensor, so the report's sizes need no more than that.
Only measuring loads the model.
"""

from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from collections.abc import Set as AbstractSet
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from pocketphi import __version__
from pocketphi.architecture import expected_tensors
from pocketphi.artifact import Artifact, Progress, no_progress, open_artifact, publish
from pocketphi.formats.files import sha256_of
from pocketphi.formats.folder_source import open_folder_source
from pocketphi.formats.pocket import write_pocket
from pocketphi.formats.source import Matrix, Source, chat_settings
from pocketphi.packing import packed_bytes
from pocketphi.quant.pack import EMBEDDING, Form, class_of, finite_floats, pack_source
from pocketphi.quant.rtn import best_form, rounded, sample_step
from pocketphi.recipe import Quantize, settings_of

MODEL_FILE = "model.pocket"
HEAD = "lm_head.weight"
_FIGURES = 3
"""Digits of a measured divergence that are recorded: those that every machine agrees on."""


@dataclass(frozen=True, kw_only=True)
class Plan:
    """Which classes of matrices get 8 bits, and why."""

    wide: frozenset[str]
    """`down_proj`, `embed_tokens`, ...; all others get 4 bits."""
    divergence: Mapping[str, float] = field(default_factory=dict)
    """Nats per token that rounding one class to 4 bits costs, all else as it was; empty if not measured."""
    total: float | None = None
    """What the whole plan costs."""

    def bits(self, name: str) -> int:
        """Of a matrix, by its published name."""
        return 8 if class_of(name) in self.wide else 4


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
            forms[name] = best_form(sample, plan.bits(name), table.group)
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
    outer = {class_of(EMBEDDING)} if source.config.tie_word_embeddings else {class_of(EMBEDDING), class_of(HEAD)}
    if table.embedding_bits == "measured":
        fixed, wide = set(), set()
    else:
        fixed, wide = outer, outer if table.embedding_bits == 8 else set()
    if calibration is not None:
        return _measure(table, source, folder, calibration, fixed, wide)
    if table.embedding_bits == "measured" and source.config.tie_word_embeddings:
        wide = outer
    return Plan(wide=frozenset(wide))


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

    shapes = {name: shape for name, shape in expected_tensors(source.config).items() if shape[0] > 1}
    sizes: Counter[str] = Counter()
    for name, (rows, cols) in shapes.items():
        sizes[class_of(name)] += rows * cols
    tokens = calibration_tokens(calibration, source.tokenizer, source.config.vocab_size)
    divergence = Divergence(load_checkpoint(folder), tokens)

    def rounding(plan: Plan) -> Callable[[str, npt.NDArray[np.float32]], npt.NDArray[np.float32]]:
        def apply(name: str, weights: npt.NDArray[np.float32]) -> npt.NDArray[np.float32]:
            form = best_form(weights[:: sample_step(weights.size)], plan.bits(name), table.group)
            return rounded(weights, form)

        return apply

    found = divergence.by_class(rounding(Plan(wide=frozenset())))
    by_cost = sorted(sizes.keys() - fixed, key=lambda kind: (found[kind] / sizes[kind], kind))
    plan = Plan(wide=frozenset(wide))
    while (total := divergence.of(rounding(plan), shapes)) > table.max_divergence and by_cost:
        plan = Plan(wide=plan.wide | {by_cost.pop()})
    return replace(plan, divergence={kind: _recorded(value) for kind, value in found.items()}, total=_recorded(total))


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
