"""Words, and hashes of runs of words: what the rules, the duplicate finder and decontamination count with.

A word is hashed once; the hash of any run of words then follows from prefix sums, so that all runs of one length
cost a few array operations (Karp and Rabin 1987, modulo 2**64). The hashes depend on the text alone, never on the
process or the machine.
"""

import re
import unicodedata
import zlib
from collections.abc import Sequence
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

Hashes = NDArray[np.uint64]

# Chinese and Japanese write no spaces: there every character counts as a word. Signs of arithmetic count too, so
# that `7 + 5` and `7 / 5` differ.
_WORD = re.compile(
    r"[\u3040-\u30ff\u3400-\u4dbf\u4e00-\u9fff]|[^\W\u3040-\u30ff\u3400-\u4dbf\u4e00-\u9fff]+|[+*/=<>×÷−]"
)
# Marks of Markdown that would hide a word or stand as one. A star stays between numbers, where it multiplies.
_ESCAPES = re.compile(r"\\([*_<>`~])")
_STRONG = re.compile(r"(?<!\d)\*{2,}|\*{2,}(?!\d)")
_EMPHASIS = re.compile(r"(?<!\S)\*(?=[^\s*])|(?<=[^\s*])\*(?!\S)")
_STAR = re.compile(r"((?<=[\d)\]`])(?:\*{1,2}|\s\*{1,2}\s)(?=[\d(\[`]))|\*+")
_UNDERSCORES = re.compile(r"(?<!\w)_++(?=\w)|(?<=[^\W_])_++(?!\w)")
_QUOTE = re.compile(r"^(?:(?<!\d\n)[ \t]*>[ \t>]*|[ \t]*>[ \t>]*+(?!\d))", re.MULTILINE)
_TARGET = re.compile(r"\]\([^()\s]{0,300}\)")
_CODE = re.compile(r"(?<=\d)`(?=\w)")
_TAG = re.compile(r"</?(?:b|i|u|s|em|strong|mark|code|kbd|sub|sup|small|big|span|font|br)(?:\s[^<>]{0,200})?/?>")
_BASE = 0x9E3779B97F4A7C15
_INVERSE = pow(_BASE, -1, 1 << 64)


def words_of(text: str) -> list[str]:
    """The words of a text, without case, punctuation, variants of width and marks of Markdown."""
    return _WORD.findall(_without_marks(unicodedata.normalize("NFKC", text).casefold()))


def _without_marks(text: str) -> str:
    if "\\" in text:
        text = _ESCAPES.sub(r"\1", text)
    if "<" in text:
        text = _TAG.sub("", text)
    if ">" in text:
        text = _QUOTE.sub("", text)
    if "](" in text:
        text = _TARGET.sub("", text)
    if "`" in text:
        text = _CODE.sub("", text)
    if "_" in text:
        text = _UNDERSCORES.sub("", text)
    return _STAR.sub(r"\1", _EMPHASIS.sub("", _STRONG.sub("", text))) if "*" in text else text


def hash_words(words: Sequence[str]) -> Hashes:
    """(N,) one hash a word."""
    sums = [zlib.crc32(word.encode("utf-8", "replace")) for word in words]
    return mix(np.array(sums, dtype=np.uint64))


def hash_runs(hashes: Hashes, length: int) -> Hashes:
    """(N - length + 1,) the hash of every run of `length` words; empty if there are fewer words."""
    count = len(hashes) - length + 1
    if count <= 0:
        return np.zeros(0, dtype=np.uint64)
    powers, inverses = _powers(_round_up(len(hashes)))
    sums = np.zeros(len(hashes) + 1, dtype=np.uint64)
    np.cumsum(hashes * powers[: len(hashes)], out=sums[1:])
    return mix((sums[length:] - sums[:count]) * inverses[:count])


def mix(values: Hashes) -> Hashes:
    """Scramble 64-bit values (the finalizer of SplitMix64, Steele et al. 2014)."""
    values = (values ^ (values >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    values = (values ^ (values >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return values ^ (values >> np.uint64(31))


def _round_up(count: int) -> int:
    return 1 << max(count - 1, 1023).bit_length()


@lru_cache(maxsize=12)
def _powers(count: int) -> tuple[Hashes, Hashes]:
    steps = np.ones((2, count), dtype=np.uint64)
    steps[0, 1:], steps[1, 1:] = _BASE, _INVERSE
    powers, inverses = np.cumprod(steps, axis=1)
    return powers, inverses
