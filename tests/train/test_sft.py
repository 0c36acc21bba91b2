"""What is learnt from a conversation: the assistant's words and the end of its turn, nothing else."""

from pathlib import Path

import pytest
import torch
import transformers
from torch.testing import assert_close

from pocketphi.artifact import Artifact, open_artifact, publish
from pocketphi.chat import Conversation, Message
from pocketphi.data.records import read_conversations, write_conversations
from pocketphi.errors import UserError
from pocketphi.model import load_checkpoint
from pocketphi.recipe import Sft
from pocketphi.tokenizer import Tokenizer
from pocketphi.tokenizer.train import PAD, load_tokenizer
from pocketphi.train.batches import IGNORED, ListSource
from pocketphi.train.metrics import read_metrics
from pocketphi.train.pretrain import next_token_loss
from pocketphi.train.sft import encode_conversation, sft

TALK = (
    Message("system", "Be brief."),
    Message("user", "Hello <|assistant|> 1"),
    Message("assistant", "Hi!"),
    Message("user", "And?"),
    Message("assistant", "Done.\nAnswer: 3"),
)


@pytest.fixture(scope="module")
def tokenizer(made: dict[str, Artifact]) -> Tokenizer:
    return load_tokenizer(made["tokenizer"])


def source_of(
    tokenizer: Tokenizer, talks: list[tuple[Message, ...]], *, length: int = 64, **changes: int
) -> ListSource:
    settings = {"batch_size": 2, "accumulate": 1, "epochs": 1, "seed": 0, **changes}
    examples = [encode_conversation(tokenizer, talk) for talk in talks]
    return ListSource(examples, length=length, pad=tokenizer.special_ids[PAD], **settings)


def test_only_answers_and_their_ends_are_learnt(tokenizer: Tokenizer) -> None:
    ids, learnt = encode_conversation(tokenizer, TALK)
    assert tokenizer.decode(ids[learnt].tolist(), skip_special=False) == "Hi!<|end|>Done.\nAnswer: 3<|end|>"


def test_targets_are_the_learnt_ids_one_step_ahead(tokenizer: Tokenizer) -> None:
    ids, learnt = encode_conversation(tokenizer, TALK)
    step = source_of(tokenizer, [TALK]).take()
    ((inputs, targets, positions),) = step.micro_batches
    assert inputs is not None
    assert targets is not None
    assert positions is not None
    assert inputs[0, : len(ids)].tolist() == ids.tolist()
    assert (inputs[0, len(ids) :] == tokenizer.special_ids[PAD]).all()
    wanted = [int(id_) if is_learnt else IGNORED for id_, is_learnt in zip(ids[1:], learnt[1:], strict=True)]
    assert targets[0, : len(wanted)].tolist() == wanted
    assert (targets[0, len(wanted) :] == IGNORED).all()
    assert (targets[1] == IGNORED).all(), "the batch is filled up with nothing"
    assert (step.count, step.tokens) == (learnt.sum(), len(ids))


def test_the_loss_is_that_of_the_published_decoder(tokenizer: Tokenizer, base: Artifact) -> None:
    """Three conversations in one row, against each alone through `Phi3ForCausalLM`."""
    talks = [TALK[1:3], TALK[1:], TALK]
    source = source_of(tokenizer, talks, length=127)
    assert len(source._rows) == 1
    step = source.take()
    ours = next_token_loss(load_checkpoint(base.path))(*step.micro_batches[0])["loss"]
    published = transformers.Phi3ForCausalLM.from_pretrained(base.path, dtype=torch.float32)
    theirs = torch.zeros(())
    for talk in talks:
        ids, learnt = (torch.from_numpy(array) for array in encode_conversation(tokenizer, talk))
        log_probabilities = published(ids[None]).logits[0].log_softmax(-1)
        for place in learnt.nonzero().flatten().tolist():
            theirs = theirs - log_probabilities[place - 1, ids[place]]
    assert_close(ours, theirs, rtol=1e-5, atol=1e-5)


def test_every_conversation_is_learnt_once_an_epoch(tokenizer: Tokenizer, made: dict[str, Artifact]) -> None:
    talks = [talk.messages for talk in read_conversations(made["primer"].path / "conversations.jsonl")]
    source = source_of(tokenizer, talks, length=96, epochs=3)
    answers: list[str] = []
    for _ in range(source.steps):
        for _, targets, _ in source.take().micro_batches:
            assert targets is not None
            for row in targets:
                text = tokenizer.decode(row[row != IGNORED].tolist(), skip_special=False)
                answers += [answer for answer in text.split("<|end|>") if answer]
    assert sorted(answers) == sorted([talk[1].content for talk in talks] * 3)


def test_it_learns_to_answer_and_to_stop(base: Artifact, made: dict[str, Artifact], tmp_path: Path) -> None:
    table = Sft(learning_rate=1e-2, epochs=20, sequence_length=96, batch_size=4, warmup_steps=5, optimizer="muon")
    tuned = sft(table, base, made["primer"], tmp_path / "sft", seed=1)
    assert tuned.summary["conversations"] == 60
    assert tuned.summary["dropped"] == 0
    lines = read_metrics(tuned.path / "metrics.jsonl")
    assert lines[-1]["loss"] < 0.5 * lines[0]["loss"]
    generation = transformers.GenerationConfig.from_pretrained(tuned.path)
    assert {0, 5} <= set(generation.eos_token_id), "end of text and end of turn stop an answer"
    assert generation.pad_token_id == 1


def test_what_does_not_fit_is_dropped_and_counted(base: Artifact, made: dict[str, Artifact], tmp_path: Path) -> None:
    talks = [
        Conversation((Message("user", "short"), Message("assistant", "yes"))),
        Conversation((Message("user", "long " * 200), Message("assistant", "yes"))),
        Conversation((Message("user", "no answer"),)),
    ]
    with publish(tmp_path / "primer", kind="primer", stage="primer", settings={}) as draft:
        write_conversations(draft.path / "conversations.jsonl", talks)
    table = Sft(learning_rate=1e-3, epochs=1, sequence_length=96, batch_size=2)
    tuned = sft(table, base, open_artifact(tmp_path / "primer"), tmp_path / "sft", seed=1)
    assert (tuned.summary["conversations"], tuned.summary["dropped"]) == (1, 2)


def test_nothing_to_learn_is_an_error(base: Artifact, tmp_path: Path) -> None:
    with publish(tmp_path / "primer", kind="primer", stage="primer", settings={}) as draft:
        write_conversations(draft.path / "conversations.jsonl", [])
    with pytest.raises(UserError, match="holds no conversation with an answer that fits"):
        sft(Sft(learning_rate=1e-3), base, open_artifact(tmp_path / "primer"), tmp_path / "sft", seed=1)
