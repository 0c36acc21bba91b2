"""Long text in linear time and small memory, with exactly the ids of encoding it whole.

The `tokenizers` library holds some 100 bytes of state per byte of text and slows down with its length
(measured: 2 MiB take up to 2.7 times as long as 1 MiB), and one character repeated is one long word. So text is
encoded in windows. Two facts make the windows exact.

*Words.* A rule of `splitting.py` works from left to right and never looks back, so what follows the
end of a word does not depend on what came before. To find a word it looks one character past it or,
inside whitespace, to the end of that whitespace, which holds at most three words. So when a window cuts
text at an arbitrary place, all its words but the last four are those of the whole text.

*Tokens of a word.* Byte-pair encoding always joins the most urgent pair, the leftmost among equals, and
a join concerns two neighbours only. So a sequence of tokens is the encoding of its text if and only if
each two neighbours, encoded by themselves, stay as they are:

- *only if*: no join crosses a token's border, hence between two neighbours the same joins happen, in
  the same order, as when the two stand alone.
- *if*: look at the first join that crosses the border between two of the tokens. Until then the two have
  developed as if alone, so encoding the two by themselves would make this join as well.

If two overlapping windows of a word contain the same token at the same place, then the tokens of the
first up to there and those of the second from there on have proven neighbours only: together they are
the encoding of both windows' text.
"""

import re
from bisect import bisect_left
from collections.abc import Callable
from typing import cast

import numpy as np
import tokenizers
from numpy.typing import NDArray

from pocketphi.errors import UserError

_UNCERTAIN_WORDS = 4
_FEW_WORDS = 8
MAX_WORD = 1 << 24
"""Characters of one word of a byte-level vocabulary. Finding its end takes some 64 bytes of memory for each."""
_RUN = re.compile(r"\s+|[^\W\d_]+|\d+|[^\w\s]+|_+")
"""A stretch of one kind of character: the likely extent of a long word."""


def encode_words(
    text: str, encoder: tokenizers.Tokenizer, merge_word: Callable[[str], list[int]], *, window: int
) -> list[int]:
    """Ids of a text that `encoder` cuts into words.

    Args:
        text: of any length.
        encoder: cuts words and merges.
        merge_word: merges one word, as the encoder's splitter gives it.
        window: characters taken at once.
    """
    ids: list[int] = []
    start = 0
    while len(text) - start > window:
        encoding = _encode(encoder, text[start : start + window])
        words = cast("list[int]", encoding.word_ids)
        if words and words[-1] >= _FEW_WORDS:
            certain = bisect_left(words, words[-1] - _UNCERTAIN_WORDS)
            ids += encoding.ids[:certain]
            start += cast("tuple[int, int]", encoding.token_to_chars(certain))[0]
        else:
            for word, end in _few_words(text, start, encoder, window):
                ids += merge_word(word)
                start = end
    return ids + _ids(encoder, text[start:])


def _few_words(text: str, start: int, encoder: tokenizers.Tokenizer, window: int) -> list[tuple[str, int]]:
    """(word, end) of the words at `start`, of which fewer than `_FEW_WORDS` begin in one window.

    The text looked at grows until the last of them is certain, so the work is in proportion to their length.
    """
    run = _RUN.match(text, start + window - 1)
    end = window + (start + window if run is None else run.end())
    while True:
        if end - start > MAX_WORD:
            raise UserError(
                f"the text has a stretch of {end - start} characters that may be one word, at most {MAX_WORD}",
                hint="put spaces or line breaks into it, or leave it out",
            )
        words = encoder.pre_tokenizer.pre_tokenize_str(text[start:end])
        if end >= len(text):
            break
        if len(words) >= _FEW_WORDS + _UNCERTAIN_WORDS:
            words = words[:_FEW_WORDS]
            break
        end += end - start
    return [(word, start + place[1]) for word, place in words]


def encode_word(word: str, encoder: tokenizers.Tokenizer, lengths: NDArray[np.int64], *, window: int) -> list[int]:
    """Ids of one word of any length, by overlapping windows that share a token.

    Args:
        word: in the symbols of the vocabulary.
        encoder: merges; cuts it further at most where no token could reach across.
        lengths: (num_tokens,) bytes of the word that each token stands for.
        window: bytes taken at once; more than any token has.
    """
    data = word.encode()
    if len(data) <= window:
        return _ids(encoder, word)
    ids: list[int] = []
    start, end = 0, _character_start(data, window)
    tokens = np.array(_ids(encoder, data[:end].decode()), dtype=np.int64)
    while end < len(data):
        borders = start + np.cumsum(lengths[tokens])
        if not len(borders) or borders[-1] != end:
            return _ids(encoder, word)  # a symbol without a token left no trace: places are not known
        index = int(np.searchsorted(borders, end - window // 8))
        restart = _character_start(data, int(borders[index]))
        end = _character_start(data, restart + window)
        following = np.array(_ids(encoder, data[restart:end].decode()), dtype=np.int64)
        shared = _shared_token(tokens, borders, following, restart + np.cumsum(lengths[following]))
        if shared is None:
            return _ids(encoder, word)
        ids += tokens[: shared[0]].tolist()
        start = int(borders[shared[0] - 1])
        tokens = following[shared[1] :]
    ids += tokens.tolist()
    return ids


def _encode(encoder: tokenizers.Tokenizer, text: str) -> tokenizers.Encoding:
    return encoder.encode(text, add_special_tokens=False)


def _ids(encoder: tokenizers.Tokenizer, text: str) -> list[int]:
    return _encode(encoder, text).ids


def _shared_token(
    tokens: NDArray[np.int64], borders: NDArray[np.int64], following: NDArray[np.int64], ends: NDArray[np.int64]
) -> tuple[int, int] | None:
    """Index, in both windows, of the first token that they have at the same place; None if there is none.

    Equal tokens that end at the same place also start at the same place.
    """
    _, first, second = np.intersect1d(borders, ends, assume_unique=True, return_indices=True)
    equal = np.flatnonzero(tokens[first] == following[second])
    return (int(first[equal[0]]), int(second[equal[0]])) if len(equal) else None


def _character_start(data: bytes, position: int) -> int:
    while position < len(data) and data[position] & 0xC0 == 0x80:
        position += 1
    return min(position, len(data))
