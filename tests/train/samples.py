"""Small artifacts to train on: sums about a few people, as lessons, conversations and preference pairs."""

import random
from pathlib import Path
from typing import Any

from pocketphi.artifact import Artifact, open_artifact, publish
from pocketphi.chat import Conversation, Message, Preference
from pocketphi.data.pack import pack
from pocketphi.data.records import Document, write_conversations, write_documents, write_preferences
from pocketphi.recipe import Model, PretrainPhase, TokenizerTable
from pocketphi.tokenizer.train import train_tokenizer

NAMES = ("Ada", "Ben", "Cleo", "Dan", "Eva", "Finn", "Gus", "Hana")
MODEL = Model(
    hidden_size=32,
    intermediate_size=64,
    num_hidden_layers=2,
    num_attention_heads=4,
    num_key_value_heads=2,
    max_position_embeddings=128,
    tie_word_embeddings=True,
)


def phase(**changes: Any) -> PretrainPhase:
    """Thirty steps of a few hundred tokens."""
    settings: dict[str, Any] = {
        "mixture": {"web": 1.0},
        "max_tokens": 30 * 4 * 64,
        "sequence_length": 64,
        "batch_size": 4,
        "learning_rate": 1e-2,
        "warmup_steps": 3,
        "checkpoint_steps": 7,
    }
    return PretrainPhase(**{**settings, **changes})


def exercise(chance: random.Random) -> tuple[str, str]:
    """A question and its answer."""
    one, other = chance.sample(NAMES, 2)
    has, gets = chance.randint(2, 49), chance.randint(2, 49)
    question = f"{one} has {has} pens. {other} gives {one} {gets} more. How many pens does {one} have?"
    return question, f"{has} + {gets} = {has + gets}.\nAnswer: {has + gets}"


def document(number: int, chance: random.Random) -> Document:
    """One to four exercises."""
    text = "\n\n".join("\n".join(exercise(chance)) for _ in range(chance.randint(1, 4)))
    return Document(id=str(number), text=text, source="sample", license="Apache-2.0")


def write_primer(out: Path, *, conversations: int = 60, preferences: int = 40) -> Artifact:
    """Conversations, preferences and held-out lessons."""
    chance = random.Random(1)
    with publish(out, kind="primer", stage="primer", settings={}) as draft:
        turns = [exercise(chance) for _ in range(conversations)]
        write_conversations(
            draft.path / "conversations.jsonl",
            (Conversation((Message("user", ask), Message("assistant", tell))) for ask, tell in turns),
        )
        turns = [exercise(chance) for _ in range(preferences)]
        write_preferences(
            draft.path / "preferences.jsonl",
            (
                Preference((Message("user", ask),), Message("assistant", tell), Message("assistant", "I do not know."))
                for ask, tell in turns
            ),
        )
        write_documents(draft.path / "heldout_lessons.jsonl", (document(number, chance) for number in range(5)))
    return open_artifact(out)


def write_corpus(out: Path, **documents: int) -> Artifact:
    """Parts of a corpus, so many documents each."""
    chance = random.Random(2)
    with publish(out, kind="corpus", stage="corpus", settings=documents) as draft:
        for part, count in documents.items():
            write_documents(draft.path / f"{part}.jsonl", (document(number, chance) for number in range(count)))
    return open_artifact(out)


def write_tokenizer(out: Path, vocab_size: int = 320) -> Artifact:
    """A tokenizer that knows these sentences."""
    chance = random.Random(3)
    texts = (document(number, chance).text for number in range(100))
    return train_tokenizer(TokenizerTable(vocab_size=vocab_size), texts, out, seed=1)


def write_all(folder: Path) -> dict[str, Artifact]:
    """Primer, corpus, tokenizer and shards."""
    made = {
        "primer": write_primer(folder / "primer"),
        "corpus": write_corpus(folder / "corpus", web=200, web_best=30, lessons=60),
        "tokenizer": write_tokenizer(folder / "tokenizer"),
    }
    made["shards"] = pack(made["corpus"], made["primer"], made["tokenizer"], folder / "shards", seed=1)
    return made
