"""Train a tokenizer: byte-level BPE (Sennrich et al. 2016) with Phi-3's control tokens.

Every byte is in the alphabet, so every text can be written, in any script. Digits stay single: a small model that
sees `137` as three symbols can learn to carry. Words are cut by a rule that published models use too (`qwen2`:
letters with one leading sign, single digits, runs of line ends), so that every runtime knows it; newlines behind a
sign join it, which saves the line ends of worked steps.

Control tokens have Phi-3's names and its chat format (report, section 2: `<|user|>\\n ... <|end|>\\n<|assistant|>`),
and as there the tokens that mark turns swallow the whitespace behind them, so the template's line ends cost
nothing. One differs: `<|pad|>` stands for itself, because a model whose padding is its end of text learns to
ignore one of the two. Ids are small and first, the same in every tokenizer of ours.

`<|endoftext|>` separates documents; there is no BOS. The merges depend on the text alone: counts are exact and
ties are broken by id, so the same texts give the same bytes.
"""

import json
from collections.abc import Iterable, Iterator, Sequence
from itertools import chain
from pathlib import Path

import tokenizers
from tokenizers import models, trainers

from pocketphi.artifact import Artifact, Progress, no_progress, open_artifact, publish, read_verified
from pocketphi.errors import UserError, shown
from pocketphi.recipe import TokenizerTable, settings_of
from pocketphi.tokenizer.splitting import splitter
from pocketphi.tokenizer.tokenizer import Tokenizer
from pocketphi.tokenizer.vocabulary import BYTE_CHARACTERS, SpecialToken, Vocabulary

END_OF_TEXT = "<|endoftext|>"
TURN_END = "<|end|>"
PAD = "<|pad|>"
CONTROL_TOKENS = (END_OF_TEXT, PAD, "<|system|>", "<|user|>", "<|assistant|>", TURN_END)
"""By id."""
SPLIT_RULE = "qwen2"

# The published form of the chat format, by which every loader, ours too, tells a Phi-3 model.
_CHAT_TEMPLATE = (
    "{% for message in messages %}"
    + "{% el".join(
        ("{% " if role == "system" else "")
        + f"if message['role'] == '{role}' %}}{{{{'<|{role}|>\n' + message['content'] + '<|end|>\n'}}}}"
        for role in ("system", "user", "assistant")
    )
    + "{% endif %}{% endfor %}{% if add_generation_prompt %}{{ '<|assistant|>\n' }}{% else %}{{ eos_token }}{% endif %}"
)


def train_tokenizer(
    table: TokenizerTable,
    texts: Iterable[str],
    out: Path,
    *,
    seed: int,
    progress: Progress = no_progress,
    parents: Sequence[Artifact] = (),
) -> Artifact:
    """Learn merges from texts and publish `tokenizer.json` and `tokenizer_config.json`.

    Args:
        texts: read once, up to `table.max_bytes`; interleave sources of different kinds.
        seed: recorded only; nothing here is drawn.

    Raises:
        UserError: there is no text, or too little variety in it for `table.vocab_size` tokens.
    """
    with publish(
        out, kind="tokenizer", stage="tokenizer", settings=settings_of(table), seed=seed, parents=parents
    ) as draft:
        rest = iter(texts)
        first = next(rest, None)
        if first is None:
            raise UserError("no text to train a tokenizer on", hint="the corpus is empty: see what its filters dropped")
        counted = _Counted(chain((first,), rest), table.max_bytes, progress)
        tokenizer = Tokenizer(learn(counted, table.vocab_size))
        (draft.path / "tokenizer.json").write_bytes(_published(tokenizer))
        config = json.dumps(_config(), indent=2, ensure_ascii=False) + "\n"
        (draft.path / "tokenizer_config.json").write_text(config, encoding="utf-8")
        draft.summary.update(vocab_size=tokenizer.vocab_size, documents=counted.documents, bytes=counted.bytes)
    return open_artifact(out, "tokenizer")


def learn(texts: Iterable[str], vocab_size: int) -> Vocabulary:
    """The vocabulary of exactly `vocab_size` tokens that BPE finds in some texts.

    Raises:
        UserError: they hold too few different words for so many tokens.
    """
    library = tokenizers.Tokenizer(models.BPE())
    library.pre_tokenizer = splitter(SPLIT_RULE)
    trainer = trainers.BpeTrainer(
        vocab_size=vocab_size,
        special_tokens=list(CONTROL_TOKENS),
        initial_alphabet=list(BYTE_CHARACTERS),
        show_progress=False,
    )
    library.train_from_iterator(texts, trainer)
    root = json.loads(library.to_str())["model"]
    tokens = sorted(root["vocab"], key=root["vocab"].__getitem__)
    if len(tokens) < vocab_size:
        raise UserError(
            f"the texts give {len(tokens)} tokens, `tokenizer.vocab_size` asks for {vocab_size}",
            hint=f"set it to {len(tokens)} or less, or add text",
        )
    return Vocabulary(
        kind="byte",
        tokens=tuple(tokens),
        merges=tuple((left, right) for left, right in root["merges"]),
        special=tuple(
            SpecialToken(index, name, rstrip=name not in (END_OF_TEXT, PAD))
            for index, name in enumerate(CONTROL_TOKENS)
        ),
        split=SPLIT_RULE,
        eos_ids=(CONTROL_TOKENS.index(TURN_END), CONTROL_TOKENS.index(END_OF_TEXT)),
        pad_id=CONTROL_TOKENS.index(PAD),
    )


def load_tokenizer(artifact: Artifact) -> Tokenizer:
    """The tokenizer in a finished directory that holds one: a tokenizer or a checkpoint.

    Raises:
        UserError: it is damaged, or not the one that the artifact was made with: other ids than those of the shards
            train without a word.
    """
    path = artifact.path / "tokenizer.json"
    tokenizer, config = (read_verified(artifact, name) for name in (path.name, "tokenizer_config.json"))
    try:
        return Tokenizer.from_json(tokenizer, config=json.loads(config))
    except ValueError as error:
        raise UserError(f"cannot read the tokenizer in `{artifact.path}`: {shown(error)}") from None
    except UserError as error:
        raise UserError(f"`{path}`: {error.message}", hint=error.hint) from None


def _published(tokenizer: Tokenizer) -> bytes:
    """`tokenizer.json` without our own key, which stricter readers refuse; `_config` says the same."""
    root = json.loads(tokenizer.to_json())
    del root["pocketphi"]
    return json.dumps(root, ensure_ascii=False, separators=(",", ":")).encode()


def _config() -> dict[str, object]:
    """`tokenizer_config.json`: what other programs read beside the vocabulary."""
    return {
        "tokenizer_class": "PreTrainedTokenizerFast",
        "add_bos_token": False,
        "add_eos_token": False,
        "bos_token": None,
        "eos_token": END_OF_TEXT,
        "pad_token": PAD,
        "unk_token": None,
        "padding_side": "left",
        "clean_up_tokenization_spaces": False,
        "chat_template": _CHAT_TEMPLATE,
    }


class _Counted:
    """Texts on their way to the trainer: counted, and cut off at a number of bytes."""

    def __init__(self, texts: Iterable[str], max_bytes: int, progress: Progress) -> None:
        self._texts, self._max_bytes, self._progress = texts, max_bytes, progress
        self.documents = 0
        self.bytes = 0

    def __iter__(self) -> Iterator[str]:
        for text in self._texts:
            data = text.encode("utf-8", "replace")
            self.documents += 1
            self.bytes += len(data)
            if self.documents % 256 == 0:
                self._progress(self.bytes, self._max_bytes, {})
            yield data.decode("utf-8")
            if self.bytes >= self._max_bytes:
                break
        self._progress(self.bytes, self.bytes, {})
