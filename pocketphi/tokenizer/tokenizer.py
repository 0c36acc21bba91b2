"""Encoding and decoding.

Text and control tokens never share a path. Text goes through an encoder that does not know the
special tokens at all; only `encode_segments`, given a template's `Special` segments, emits them. What
a user typed therefore stays text: `<|end|>` becomes the pieces `<`, `|`, `end`, ...

Decoding joins bytes and reads them as UTF-8. `decode` is the streaming decoder fed at once, so the two
cannot disagree.
"""

import codecs
from collections.abc import Iterable, Mapping
from typing import Any, Self

from pocketphi.chat import Segment, Special
from pocketphi.errors import UserError
from pocketphi.tokenizer import gguf_vocabulary, json_file
from pocketphi.tokenizer.text_encoder import TextEncoder
from pocketphi.tokenizer.vocabulary import BYTE_CHARACTERS, BYTE_TOKENS, SPACE, SpecialToken, Vocabulary

WHITESPACE = "\t\n\v\f\r \x85\xa0\u1680\u2028\u2029\u202f\u205f\u3000" + "".join(map(chr, range(0x2000, 0x200B)))
"""Unicode's White_Space, which `lstrip` and `rstrip` tokens swallow. Python's own strip takes more."""


class Tokenizer:
    """A vocabulary in use. Immutable; safe to share between threads."""

    def __init__(self, vocabulary: Vocabulary) -> None:
        self.vocabulary = vocabulary
        self.vocab_size = len(vocabulary.tokens)
        """Number of ids. A model may have more rows than that (Phi-3 pads 32,011 to 32,064)."""
        self.special_ids: Mapping[str, int] = vocabulary.special_ids
        """Id of every token that text can never give, by its text."""
        self.bos_id = vocabulary.bos_id
        self.eos_ids = vocabulary.eos_ids
        self.pad_id = vocabulary.pad_id
        self.add_bos = vocabulary.add_bos
        """Whether `encode_segments` starts with BOS."""
        self._special: dict[int, SpecialToken] = {special.id: special for special in vocabulary.special}
        self._pieces: dict[int, bytes] = {}
        self._text = TextEncoder(vocabulary)

    @classmethod
    def from_json(cls, data: bytes, *, config: Mapping[str, Any] | None = None) -> Self:
        """Load a `tokenizer.json`, ours (`to_json`) or a published one.

        Args:
            data: the file's bytes.
            config: the parsed `tokenizer_config.json` beside a published one: names BOS, EOS and
                padding, and says whether BOS is added.

        Raises:
            UserError: malformed, over the limits, or built from parts that are not known.
        """
        return cls(json_file.read(data, config))

    @classmethod
    def from_gguf(cls, metadata: Mapping[str, Any]) -> Self:
        """Load the vocabulary in a GGUF file's metadata (`tokenizer.ggml.*`)."""
        return cls(gguf_vocabulary.read(metadata))

    def to_json(self) -> bytes:
        """Everything about this tokenizer in one file; the same tokenizer gives the same bytes."""
        return json_file.write(self.vocabulary)

    def encode(self, text: str) -> list[int]:
        """Ids of plain text, without BOS. Never a special one, whatever the text holds.

        Lone surrogates, which no UTF-8 can hold, become U+FFFD. A byte that a byte-level
        vocabulary has no token for is left out, as the reference implementations do (SmolLM2
        lacks a few control characters).
        """
        return self._encode_text(text, is_first=True)

    def encode_segments(self, segments: Iterable[Segment]) -> list[int]:
        """Ids of a template's output: the template decides on specials, with BOS added in front if the
        vocabulary asks for it and the template did not.

        Raises:
            UserError: a segment names a special token that the vocabulary lacks.
        """
        parts = self._stripped(segments)
        ids: list[int] = []
        for index, part in enumerate(parts):
            ids += [part.id] if isinstance(part, SpecialToken) else self._encode_text(part, is_first=index == 0)
        if self.add_bos and self.bos_id is not None and ids[:1] != [self.bos_id]:
            ids.insert(0, self.bos_id)
        return ids

    def decode(self, ids: Iterable[int], *, skip_special: bool = True) -> str:
        """Text of ids; invalid UTF-8 becomes U+FFFD.

        Args:
            ids: rows beyond the vocabulary (padding of the model) give no text.
            skip_special: leave out control tokens. Added markers such as `<tool_call>` stay.
        """
        stream = self.stream(skip_special=skip_special)
        return stream.push(*ids) + stream.flush()

    def stream(self, *, skip_special: bool = True) -> "IncrementalDecoder":
        """A decoder to feed token by token; its pieces join to what `decode` gives for all ids."""
        return IncrementalDecoder(self, skip_special=skip_special)

    def is_special(self, token_id: int) -> bool:
        """Whether plain text can never give this id."""
        return token_id in self._special or not 0 <= token_id < self.vocab_size

    def piece(self, token_id: int) -> bytes:
        """The bytes one token stands for; nothing for an id outside the vocabulary."""
        piece = self._pieces.get(token_id)
        if piece is None:
            piece = self._pieces[token_id] = self._make_piece(token_id)
        return piece

    def _make_piece(self, token_id: int) -> bytes:
        if not 0 <= token_id < self.vocab_size:
            return b""
        token = self.vocabulary.tokens[token_id]
        if token_id in self._special:
            return token.encode()
        if self.vocabulary.kind == "byte":
            values = [_BYTE_OF.get(character) for character in token]
            return token.encode() if None in values else bytes(values)  # type: ignore[arg-type]
        byte = _BYTE_OF_TOKEN.get(token)
        return token.replace(SPACE, " ").encode() if byte is None else bytes((byte,))

    def _encode_text(self, text: str, *, is_first: bool) -> list[int]:
        return self._text.encode(text, is_first=is_first) if text else []

    def _stripped(self, segments: Iterable[Segment]) -> list[str | SpecialToken]:
        """Neighbouring texts joined, special tokens looked up, and the whitespace that they swallow gone."""
        parts: list[str | SpecialToken] = []
        for segment in segments:
            if isinstance(segment, Special):
                parts.append(self._special_named(segment.name))
            elif parts and isinstance(last := parts[-1], str):
                parts[-1] = last + segment
            else:
                parts.append(segment)
        for index, part in enumerate(parts):
            if isinstance(part, str):
                before = parts[index - 1] if index > 0 else None
                after = parts[index + 1] if index + 1 < len(parts) else None
                if isinstance(before, SpecialToken) and before.rstrip:
                    part = part.lstrip(WHITESPACE)
                if isinstance(after, SpecialToken) and after.lstrip:
                    part = part.rstrip(WHITESPACE)
                parts[index] = part
        return parts

    def _special_named(self, name: str) -> SpecialToken:
        if name not in self.special_ids:
            raise UserError(
                f"the vocabulary has no control token `{name}`", hint="choose the model's own template: --template"
            )
        return self._special[self.special_ids[name]]


class IncrementalDecoder:
    """Ids in, text out as soon as it is certain: a character split over tokens waits for its rest."""

    def __init__(self, tokenizer: Tokenizer, *, skip_special: bool) -> None:
        self._tokenizer = tokenizer
        self._skip_special = skip_special
        self._utf8 = codecs.getincrementaldecoder("utf-8")("replace")
        self._strip_space = tokenizer.vocabulary.prefix != "never"

    def push(self, *ids: int) -> str:
        """The text that became certain with these ids; often one piece, sometimes none."""
        data = b"".join(self._bytes(token_id) for token_id in ids)
        if data and self._strip_space:
            # The space that encoding put in front of the text.
            self._strip_space = False
            data = data.removeprefix(b" ")
        return self._utf8.decode(data)

    def flush(self) -> str:
        """The end: a character that never became whole, as U+FFFD."""
        return self._utf8.decode(b"", final=True)

    def _bytes(self, token_id: int) -> bytes:
        special = self._tokenizer._special.get(token_id)
        hidden = special is not None and special.hidden and self._skip_special
        return b"" if hidden else self._tokenizer.piece(token_id)


_BYTE_OF = {character: byte for byte, character in enumerate(BYTE_CHARACTERS)}
_BYTE_OF_TOKEN = {token: byte for byte, token in enumerate(BYTE_TOKENS)}
