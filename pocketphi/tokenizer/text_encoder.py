"""Plain text to ids: the half of a tokenizer that knows no special token.

The merging itself is done by the `tokenizers` library, from parts that we build; nothing of a model file
reaches it unchecked.
"""

import re
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cached_property

import numpy as np
import tokenizers
from numpy.typing import NDArray
from tokenizers import Regex, models, pre_tokenizers

from pocketphi.errors import UserError
from pocketphi.tokenizer.splitting import splitter
from pocketphi.tokenizer.vocabulary import BYTE_TOKENS, SPACE, Vocabulary
from pocketphi.tokenizer.windows import encode_word, encode_words

WINDOW = 32_768
"""Characters encoded at once. Well above eight of the longest tokens, small enough for the processor's cache."""


class TextEncoder:
    """Encodes text with a vocabulary's ordinary tokens only."""

    def __init__(self, vocabulary: Vocabulary, *, window: int = WINDOW) -> None:
        self._vocabulary = vocabulary
        self._window = window
        tokens, merges = vocabulary.text_alphabet()
        is_byte = vocabulary.kind == "byte"
        with _library_errors():
            model = models.BPE(tokens, list(merges), byte_fallback=not is_byte, ignore_merges=vocabulary.whole_words)
            self._merger = tokenizers.Tokenizer(model)
            self._words = tokenizers.Tokenizer(model)
            if is_byte:
                self._words.pre_tokenizer = splitter(vocabulary.split)
            elif re.search(f"[^{SPACE}\n]{SPACE}", "\n".join(vocabulary.joined)) is None:
                # No token joins a space to what is before it, so text may be cut there; the library
                # then remembers whole words, which is twice as fast.
                self._words.pre_tokenizer = pre_tokenizers.Split(Regex(f"{SPACE}*[^{SPACE}]+|{SPACE}+"), "isolated")

    def encode(self, text: str, *, is_first: bool) -> list[int]:
        """Ids of a stretch of text between special tokens.

        Args:
            text: anything; lone surrogates become U+FFFD.
            is_first: whether no special token precedes it.
        """
        text = _without_surrogates(text)
        with _library_errors():
            if self._vocabulary.kind == "byte":
                return encode_words(text, self._words, self._merge_word, window=self._window)
            text = self._prefixed(text.replace(" ", SPACE), is_first=is_first)
            return encode_word(text, self._words, self._lengths, window=self._window)

    def _merge_word(self, word: str) -> list[int]:
        return encode_word(word, self._merger, self._lengths, window=self._window)

    def _prefixed(self, text: str, *, is_first: bool) -> str:
        match self._vocabulary.prefix:
            case "every":
                return SPACE + text
            case "every-bare" if not text.startswith(SPACE):
                return SPACE + text
            case "first-bare" if is_first and not text.startswith(SPACE):
                return SPACE + text
        return text

    @cached_property
    def _lengths(self) -> NDArray[np.int64]:
        """(num_tokens,) UTF-8 bytes of text, written in the vocabulary's symbols, that each token stands for."""
        lengths = [len(token.encode()) for token in self._vocabulary.tokens]
        if self._vocabulary.kind == "sentencepiece":
            for token in BYTE_TOKENS:
                lengths[self._vocabulary.ids[token]] = 1
        return np.array(lengths)


def _without_surrogates(text: str) -> str:
    try:
        text.encode()
    except UnicodeEncodeError:
        return text.encode("utf-16", "surrogatepass").decode("utf-16", "replace")
    return text


@contextmanager
def _library_errors() -> Iterator[None]:
    """Report what the library could not do, a panic of its Rust code included, as a `UserError`."""
    try:
        yield
    except UserError:
        raise
    except BaseException as error:
        # A Rust panic arrives as PanicException, which derives from BaseException and cannot be imported.
        if isinstance(error, Exception) or type(error).__name__ == "PanicException":
            raise UserError(f"tokenizer: the `tokenizers` library failed: {str(error)[:200]}") from error
        raise
