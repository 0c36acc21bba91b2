"""Pretraining: next-token prediction on a mixture of the corpus, one phase at a time.

The report trains in two phases with disjoint data: broad web first, then the best of it with synthetic lessons
(section 2). A phase that starts from another goes on where that one stopped reading, so a part of the corpus is
repeated only when all of it was read; how often each was read is in the manifest.

Documents, and pieces of long ones, share rows but do not see each other: what stands before is about somebody else,
and a model that is asked one question at a time never meets it.
"""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from pocketphi.artifact import Artifact, Progress, no_progress
from pocketphi.data.mixture import Mixture, PackedPart
from pocketphi.data.pack import open_shard
from pocketphi.errors import UserError
from pocketphi.model import Decoder, initialise, load_checkpoint
from pocketphi.recipe import Model, PretrainPhase, settings_of
from pocketphi.tokenizer.train import PAD, load_tokenizer
from pocketphi.train.batches import IGNORED, MixtureSource
from pocketphi.train.checkpoint_stage import Prepared, train_to_checkpoint
from pocketphi.train.loop import Loss, Trained, default_device


def pretrain_settings(table: PretrainPhase, model: Model) -> dict[str, Any]:
    """What the manifest of a phase records, and what its digest covers."""
    return {**settings_of(table), "model": settings_of(model)}


def pretrain(
    table: PretrainPhase,
    model: Model,
    shards: Artifact,
    tokenizer: Artifact,
    out: Path,
    *,
    seed: int,
    progress: Progress = no_progress,
    start: Artifact | None = None,
    device: torch.device | None = None,
) -> Artifact:
    """Train one phase.

    Args:
        start: the phase to go on from; a new model if None.
        device: where to train; an accelerator if there is one.

    Raises:
        UserError: the tokenizer is not the one of the shards, or `start` is of another shape.
    """
    stage = f"pretrain.phase{1 if start is None else 2}"
    if shards.summary["tokenizer"] != tokenizer.content:
        raise UserError(
            f"`{shards.path}` was written with another tokenizer than `{tokenizer.path}`",
            hint="run the stage `shards` again",
        )
    encoder = load_tokenizer(tokenizer)
    config = model.decoder_config(encoder.vocab_size)
    pad = encoder.special_ids[PAD]
    shares: dict[str, float] = dict(table.mixture.items())
    missing = sorted(shares.keys() - shards.summary["parts"].keys())
    if missing:
        raise UserError(
            f"`{stage}.mixture` names `{missing[0]}`, which the corpus does not have or has no documents of",
            hint=f"it has {', '.join(shards.summary['parts'])}",
        )
    breaks = np.array([encoder.piece(index).endswith(b"\n\n") for index in range(encoder.vocab_size)])
    parts = [
        PackedPart(open_shard(shards, name), length=table.sequence_length + 1, pad=pad, seed=seed, breaks=breaks)
        for name in sorted(shares)
    ]
    before = _read_before(start, shards)
    for part in parts:
        if part.shard.name in before:
            part.resume(before[part.shard.name])
    mixture = Mixture(parts, shares)
    where = device or default_device()

    def prepare(_work: Path, _inputs: str) -> Prepared:
        if start is None:
            decoder = initialise(Decoder(config), torch.Generator().manual_seed(seed)).to(where)
        else:
            decoder = load_checkpoint(start.path, device=where)
            if decoder.config != config:
                raise UserError(f"`{start.path}` is a model of another shape than the recipe's")
        source = MixtureSource(mixture, batch_size=table.batch_size, accumulate=table.accumulate, pad=pad)
        steps = -(-table.max_tokens // (table.batch_size * table.sequence_length))
        return decoder, source, next_token_loss(decoder), steps

    def summary(_trained: Trained) -> Mapping[str, Any]:
        return {
            "data": {
                part.shard.name: {
                    "share": round(shares[part.shard.name] / sum(shares.values()), 4),
                    "tokens": mixture.tokens[part.shard.name],
                    "epochs": round(mixture.tokens[part.shard.name] / part.shard.num_tokens, 4),
                }
                for part in parts
            },
            "read": {"shards": shards.content, "parts": {**before, **{p.shard.name: p.bookmark for p in parts}}},
        }

    return train_to_checkpoint(
        stage,
        table,
        pretrain_settings(table, model),
        prepare,
        out,
        tokenizer_dir=tokenizer.path,
        tokenizer=encoder,
        parents=[shards, tokenizer, *([start] if start else [])],
        seed=seed,
        summary=summary,
        progress=progress,
    )


def next_token_loss(model: Decoder) -> Loss:
    """The summed negative log-probability of the targets."""

    def loss(inputs: Tensor, targets: Tensor, positions: Tensor | None) -> dict[str, Tensor]:
        losses = model.token_losses(model(inputs, positions), targets)
        return {"loss": torch.where(targets == IGNORED, 0.0, losses).sum()}

    return loss


def _read_before(start: Artifact | None, shards: Artifact) -> dict[str, Any]:
    """Where earlier phases stopped, if they read the same shards."""
    read = start.summary.get("read", {}) if start else {}
    return dict(read["parts"]) if read.get("shards") == shards.content else {}
