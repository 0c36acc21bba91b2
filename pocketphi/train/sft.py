"""Supervised fine-tuning: a base model learns to answer in turns.

Only what the assistant says is learnt, and the token that ends its turn: that is how an answer ends at all. A
conversation that does not fit a row is dropped and counted, not cut, for a cut answer teaches to stop
anywhere. Conversations share rows, do not see each other, and padding is a token of its own.
"""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from pocketphi.artifact import Artifact, Progress, no_progress
from pocketphi.chat import Message, render, template_by_name
from pocketphi.data.records import read_conversations
from pocketphi.errors import UserError
from pocketphi.model import load_checkpoint
from pocketphi.recipe import Sft, settings_of
from pocketphi.tokenizer import Tokenizer
from pocketphi.tokenizer.train import PAD, TURN_END, load_tokenizer
from pocketphi.train.batches import ListSource
from pocketphi.train.checkpoint_stage import Prepared, train_to_checkpoint
from pocketphi.train.loop import Trained, default_device
from pocketphi.train.pretrain import next_token_loss

CONVERSATIONS = "conversations.jsonl"
_TEMPLATE = "phi-3"


def sft(
    table: Sft,
    checkpoint: Artifact,
    conversations: Artifact,
    out: Path,
    *,
    seed: int,
    progress: Progress = no_progress,
    device: torch.device | None = None,
) -> Artifact:
    """Tune a checkpoint on the conversations of an artifact that holds `conversations.jsonl`.

    Raises:
        UserError: no conversation is left to learn from.
    """
    tokenizer = load_tokenizer(checkpoint)
    path = conversations.path / CONVERSATIONS
    examples, dropped = [], 0
    for conversation in read_conversations(path):
        example = encode_conversation(tokenizer, conversation.messages)
        if len(example[0]) <= table.sequence_length + 1 and example[1].any():
            examples.append(example)
        else:
            dropped += 1
    if not examples:
        raise UserError(
            f"`{path}` holds no conversation with an answer that fits `sft.sequence_length` {table.sequence_length}"
        )

    def prepare(_work: Path, _inputs: str) -> Prepared:
        decoder = load_checkpoint(checkpoint.path, device=device or default_device())
        source = ListSource(
            examples,
            length=table.sequence_length,
            batch_size=table.batch_size,
            accumulate=table.accumulate,
            epochs=table.epochs,
            pad=tokenizer.special_ids[PAD],
            seed=seed,
        )
        return decoder, source, next_token_loss(decoder), source.steps

    def summary(_trained: Trained) -> Mapping[str, Any]:
        return {"conversations": len(examples), "dropped": dropped}

    return train_to_checkpoint(
        "sft",
        table,
        settings_of(table),
        prepare,
        out,
        tokenizer_dir=checkpoint.path,
        tokenizer=tokenizer,
        parents=[checkpoint, conversations],
        seed=seed,
        summary=summary,
        progress=progress,
    )


def encode_conversation(
    tokenizer: Tokenizer, messages: Sequence[Message]
) -> tuple[NDArray[np.int64], NDArray[np.bool_]]:
    """Ids of a conversation, and which of them are learnt: what the assistant says, up to its turn's end.

    Text never encodes to a control token, so the turns can be read off the ids.
    """
    segments = render(template_by_name(_TEMPLATE), messages, add_generation_prompt=False)
    ids = np.array(tokenizer.encode_segments(segments), np.int64)
    starts = np.flatnonzero(ids == tokenizer.special_ids["<|assistant|>"])
    ends = np.flatnonzero(ids == tokenizer.special_ids[TURN_END])
    learnt = np.zeros(len(ids), np.bool_)
    for start in starts:
        learnt[start + 1 : ends[np.searchsorted(ends, start)] + 1] = True
    return ids, learnt
