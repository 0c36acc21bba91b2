"""What a tokenizer is made of: the one checked form behind every file format.

Two kinds of byte-pair encoding are in use. Both start from small symbols and join neighbours by a
ranked list of merges; they differ in the alphabet:

- *byte*: every byte has a printable stand-in character (GPT-2's table); a rule from `splitting.py`
  first cuts text into words that are never joined.
- *sentencepiece*: characters, with spaces written `▁` and a token `<0xNN>` for each byte of a
  character outside the vocabulary; the text may gain a space in front.

A token is *special* when text can never produce it. That holds for every control token, whatever
its file calls it, and for added markers such as `<tool_call>`.
"""

import re
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from itertools import chain
from typing import Literal

from pocketphi.errors import UserError
from pocketphi.tokenizer.splitting import SPLITS

Kind = Literal["byte", "sentencepiece"]
Prefix = Literal["every", "every-bare", "first-bare", "never"]

MAX_TOKENS = 262_144
MAX_TOKEN_BYTES = 1024
MAX_MERGES = 1_000_000
SPACE = "\u2581"
BYTE_TOKENS = tuple(f"<0x{byte:02X}>" for byte in range(256))


def _byte_characters() -> str:
    printable = [*range(0x21, 0x7F), *range(0xA1, 0xAD), *range(0xAE, 0x100)]
    stand_ins = iter(range(0x100, 0x200))
    return "".join(chr(byte if byte in printable else next(stand_ins)) for byte in range(256))


BYTE_CHARACTERS = _byte_characters()
"""GPT-2's printable character for each byte value."""


@dataclass(frozen=True)
class SpecialToken:
    """A token that only a template can name.

    `hidden` ones are left out of decoded text; `lstrip` and `rstrip` ones swallow the whitespace
    before or after them.
    """

    id: int
    text: str
    hidden: bool = True
    lstrip: bool = False
    rstrip: bool = False


@dataclass(frozen=True, kw_only=True)
class Vocabulary:
    """A complete byte-pair encoding, checked on construction.

    That merges name existing tokens is left to the `tokenizers` library, which refuses others.
    """

    kind: Kind
    tokens: tuple[str, ...]
    """Token texts by id, as the files spell them."""
    merges: tuple[tuple[str, str], ...]
    """Pairs to join, the most urgent first."""
    special: tuple[SpecialToken, ...]
    split: str = ""
    """For *byte*: the name of the rule that cuts words."""
    whole_words: bool = False
    """For *byte*: a word that is a token is not built from merges."""
    prefix: Prefix = "never"
    """For *sentencepiece*: which stretches of text (between special tokens) gain a leading space. *bare* ones:
    only where they do not start with one."""
    add_bos: bool = False
    bos_id: int | None = None
    eos_ids: tuple[int, ...] = ()
    pad_id: int | None = None

    def __post_init__(self) -> None:
        self._check_tokens()
        self._check_merges()
        for name, token_id in (("bos", self.bos_id), ("pad", self.pad_id), *(("eos", i) for i in self.eos_ids)):
            if token_id is not None and not 0 <= token_id < len(self.tokens):
                raise UserError(f"tokenizer: {name} id {token_id} is outside the vocabulary of {len(self.tokens)}")
        if self.add_bos and self.bos_id is None:
            raise UserError("tokenizer: a BOS token is asked for, but none is named")
        if self.kind == "byte" and self.split not in SPLITS:
            raise UserError(f"tokenizer: word rule `{self.split}` is unknown", hint=f"known are {', '.join(SPLITS)}")

    def _check_tokens(self) -> None:
        if not 2 <= len(self.tokens) <= MAX_TOKENS:
            raise UserError(f"tokenizer: {len(self.tokens)} tokens, allowed are 2 to {MAX_TOKENS}")
        if len(self.ids) != len(self.tokens):
            twice = next(token for token, count in Counter(self.tokens).items() if count > 1)
            raise UserError(f"tokenizer: token {_show(twice)} occurs twice")
        try:
            lengths = [len(token.encode()) for token in self.tokens]
        except UnicodeEncodeError as error:
            raise UserError(f"tokenizer: token {_show(str(error.object))} is not valid Unicode") from error
        if min(lengths) == 0:
            raise UserError(f"tokenizer: token {lengths.index(0)} is empty")
        if max(lengths) > MAX_TOKEN_BYTES:
            index = lengths.index(max(lengths))
            raise UserError(f"tokenizer: token {index} has {lengths[index]} bytes, at most {MAX_TOKEN_BYTES}")
        for special in self.special:
            if not 0 <= special.id < len(self.tokens) or self.tokens[special.id] != special.text:
                raise UserError(f"tokenizer: special token {_show(special.text)} does not have id {special.id}")
        if len(self.special_ids) != len(self.special):
            raise UserError("tokenizer: a special token is listed twice")
        visible = (special.text for special in self.special if not special.hidden)
        word = next((text for text in visible if not is_tag(text)), None)
        if word is not None:
            raise UserError(
                f"tokenizer: {_show(word)} is an ordinary word added to the vocabulary after its training; "
                "such words are matched before all others, which is not supported"
            )
        if self.kind == "sentencepiece":
            missing = next((token for token in BYTE_TOKENS if token not in self.ids), None)
            if missing is not None:
                raise UserError(
                    f"tokenizer: byte token `{missing}` is missing, so some text could not be written",
                    hint="only vocabularies with byte fallback are supported",
                )

    def _check_merges(self) -> None:
        if len(self.merges) > MAX_MERGES:
            raise UserError(f"tokenizer: {len(self.merges)} merges, at most {MAX_MERGES}")
        if len(set(self.merges)) != len(self.merges):
            raise UserError("tokenizer: a merge is listed twice")

    @cached_property
    def joined(self) -> list[str]:
        """What each merge makes."""
        return [left + right for left, right in self.merges]

    @cached_property
    def ids(self) -> dict[str, int]:
        """Id of each token text."""
        return {token: index for index, token in enumerate(self.tokens)}

    @cached_property
    def special_ids(self) -> dict[str, int]:
        """Id of each special token's text."""
        return {special.text: special.id for special in self.special}

    def text_alphabet(self) -> tuple[dict[str, int], Sequence[tuple[str, str]]]:
        """(tokens, merges) that text may use: no special token, and no merge that would lead to one.

        For *sentencepiece* the byte tokens are reached from bytes only, never by joining `<0`, `x41`, `>`.
        """
        special = self.special_ids
        unreachable = set(special) if self.kind == "byte" else {*special, *BYTE_TOKENS}
        tokens = {token: index for token, index in self.ids.items() if token not in special}
        merges: Sequence[tuple[str, str]] = self.merges
        if not (unreachable.isdisjoint(self.joined) and unreachable.isdisjoint(chain.from_iterable(merges))):
            merges = [pair for pair in merges if unreachable.isdisjoint({*pair, "".join(pair)})]
        return tokens, merges


def is_control(token: str, *, named: bool) -> bool:
    """Whether a token is a control token by its looks. Some files forget to say that it is one.

    Args:
        token: its text.
        named: whether the file names it as BOS, padding or unknown; then `<s>` and `[PAD]` are meant too.
    """
    return is_tag(token) if named else token.startswith("<|") and re.fullmatch(r"<\|\w{1,60}\|>", token) is not None


def is_tag(token: str) -> bool:
    """Whether an added token is meant for templates and parsers, `<tool_call>`, not for ordinary writing."""
    return len(token) > 2 and (token[0], token[-1]) in (("<", ">"), ("[", "]"))


def _show(token: str) -> str:
    return f"`{token[:40]!a}`"
