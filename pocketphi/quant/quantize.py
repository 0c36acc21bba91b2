"""Squeeze a checkpoint into one `.pocket` file that chats: 4-bit weights, 8 bits where it shows.

Every matrix is rounded to the nearest point of a 4-bit grid (`quant.rtn`), with a minimum per group where the
measured error says that it pays. Embedding and head are the exception. A tied embedding is both at once, one
8-bit tensor: its error would enter every logit. Untied ones get 8 bits if measuring asks for it: if rounding a
weight of theirs to 4 bits costs more divergence than rounding the average weight of the layers
(`quant.sensitivity`). Without calibration text nothing is measured, and untied ones get 4 bits.

The checkpoint is mapped and streamed: memory holds one tensor, so the report's sizes need no more than that.
Only measuring loads the model.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
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
from pocketphi.packing import WeightFormat, packed_bytes
from pocketphi.quant.pack import EMBEDDING, Form, finite_floats, pack_source
from pocketphi.quant.rtn import pays_minimum, round_best
from pocketphi.recipe import Quantize, settings_of

MODEL_FILE = "model.pocket"
HEAD = "lm_head.weight"
_SAMPLE_WEIGHTS = 1 << 19
"""Weights of a matrix that decide on its minimum."""
_FIGURES = 3
"""Digits of a measured divergence that are recorded: those that every machine agrees on."""


@dataclass(frozen=True, kw_only=True)
class Plan:
    """How many bits embedding and head get, and why."""

    bits: Mapping[str, int]
    """By tensor name; what is not in it gets 4."""
    divergence: Mapping[str, float] = field(default_factory=dict)
    """Nats per token that rounding a class of matrices to 4 bits costs, all else as it was; empty if not measured."""
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
        calibration: text that the model should read well; what `embedding_bits = "measured"` measures on.
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
            forms[name] = choose_form(parts, plan.bits.get(name, 4), table.group, where)
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
                rounding=round_best,
                progress=lambda done, total: progress(done, total, {}),
            ),
        )
        draft.summary.update(_summary(source, forms, plan, (draft.path / MODEL_FILE).stat().st_size))
    return open_artifact(out, "model")


def make_plan(table: Quantize, source: Source, folder: Path, calibration: Iterable[str] | None) -> Plan:
    """Decide on the bits of embedding and head."""
    tied = source.config.tie_word_embeddings
    wide = [EMBEDDING] if tied else [EMBEDDING, HEAD]
    if table.embedding_bits != "measured":
        return Plan(bits=dict.fromkeys(wide, table.embedding_bits))
    if calibration is None:
        return Plan(bits={EMBEDDING: 8} if tied else {})
    return _measure(table, source, folder, calibration, wide)


def choose_form(parts: Sequence[Matrix], bits: int, group: int, where: str) -> Form:
    """The format of a fused matrix at these bits: with a minimum if its weights, by a sample of rows, repay it."""
    step = max(1, sum(part.shape[0] * part.shape[1] for part in parts) // _SAMPLE_WEIGHTS)
    sample = np.concatenate([finite_floats(part, slice(None, None, step), where) for part in parts])
    return WeightFormat(f"q{bits}{'m' if _takes_minimum(sample, bits, group) else ''}"), group


def _measure(table: Quantize, source: Source, folder: Path, calibration: Iterable[str], wide: Sequence[str]) -> Plan:
    from pocketphi.model.checkpoint import load_checkpoint  # measuring alone needs torch
    from pocketphi.quant.sensitivity import Divergence, calibration_tokens, class_of

    config = source.config
    model = load_checkpoint(folder).eval()
    divergence = Divergence(model, calibration_tokens(calibration, source.tokenizer, config.vocab_size))
    bits: dict[str, int] = {}

    def rounded(name: str, weights: npt.NDArray[np.float32]) -> npt.NDArray[np.float32]:
        width = bits.get(name, 4)
        minimum = _takes_minimum(weights[:: max(1, weights.size // _SAMPLE_WEIGHTS)], width, table.group)
        return round_best(weights, width, table.group, minimum).dequantize()

    found = divergence.by_class(rounded)
    sizes: dict[str, int] = {}
    for name, (rows, cols) in expected_tensors(config).items():
        if rows > 1:
            sizes[class_of(name)] = sizes.get(class_of(name), 0) + rows * cols
    outer = [class_of(name) for name in wide]
    inner = [kind for kind in found if kind not in outer]
    average = sum(found[kind] for kind in inner) / sum(sizes[kind] for kind in inner)
    for name in wide:
        kind = class_of(name)
        if config.tie_word_embeddings or found[kind] / sizes[kind] > average:
            bits[name] = 8
    matrices = [name for name, (rows, _) in expected_tensors(config).items() if rows > 1]
    return Plan(
        bits=bits,
        divergence={kind: _recorded(value) for kind, value in found.items()},
        total=_recorded(divergence.of(rounded, matrices)),
    )


def _takes_minimum(sample: npt.NDArray[np.float32], bits: int, group: int) -> bool:
    return bits == 4 and pays_minimum(sample, bits, group)


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
