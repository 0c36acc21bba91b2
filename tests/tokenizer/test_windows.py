"""Long text: encoded in windows, the same ids as whole, in linear time."""

import random
import time
from collections.abc import Iterator
from dataclasses import replace

import pytest

from pocketphi.errors import UserError
from pocketphi.tokenizer import Tokenizer
from pocketphi.tokenizer.splitting import SPLITS
from pocketphi.tokenizer.text_encoder import WINDOW, TextEncoder
from pocketphi.tokenizer.vocabulary import Vocabulary
from pocketphi.tokenizer.windows import MAX_WORD
from tokenizer.samples import TEXTS, llama2, phi3, smollm2, tiny_byte_level, tiny_sentencepiece

WHOLE = 10**9
CHARACTERS = ["a", " ", "\n", "^", "😀", "é", "\x00", "1", "'", "가", "٣", "\u3000", "\x04", "A1", " \n", "<|im_end|>"]


def long_texts(count: int, seed: int = 0) -> Iterator[str]:
    """Runs of everything that words are made of, long and short, in any order."""
    generator = random.Random(seed)
    pieces = [
        "a",
        "Zq",
        "ß",
        "가",
        "1",
        "٣",
        "12",
        " ",
        "\n",
        "\r\n",
        "\t",
        "\u3000",
        "^",
        "'",
        "'s",
        ".",
        "😀",
        "\u0301",
    ]
    for _ in range(count):
        few = generator.sample(pieces, generator.randrange(1, 5))
        parts = []
        while sum(map(len, parts)) < 3000:
            length = generator.choice([1, 1, 2, 3, 10, 100, 700])
            parts.append("".join(generator.choices(few if generator.random() < 0.7 else pieces[:1] * 2, k=length)))
            if generator.random() < 0.1:
                parts.append(generator.choice(TEXTS))
        yield "".join(parts)


def vocabularies() -> dict[str, Vocabulary]:
    byte_level = {rule: Tokenizer.from_json(tiny_byte_level(rule).to_str().encode()).vocabulary for rule in SPLITS}
    sentencepiece = tiny_sentencepiece()[0].vocabulary
    return {
        **byte_level,
        "llama-bpe, whole words": replace(byte_level["llama-bpe"], whole_words=True),
        "sentencepiece": sentencepiece,
        "sentencepiece, first": replace(sentencepiece, prefix="first-bare"),
    }


@pytest.mark.parametrize("name", vocabularies())
def test_windows_change_no_id(name: str):
    vocabulary = vocabularies()[name]
    whole = TextEncoder(vocabulary, window=WHOLE)
    for window in (200, 333, 1000):
        windowed = TextEncoder(vocabulary, window=window)
        for text in long_texts(60, seed=window):
            assert windowed.encode(text, is_first=True) == whole.encode(text, is_first=True), ascii(text)


@pytest.mark.parametrize("make", [smollm2, phi3, lambda: llama2()[0]])
def test_windows_change_no_id_of_real_vocabularies(make):
    tokenizer: Tokenizer = make()
    whole = TextEncoder(tokenizer.vocabulary, window=WHOLE)
    generator = random.Random(1)
    for text in [*long_texts(5), "".join(generator.choices("\n".join(TEXTS), k=5 * WINDOW)), "aB" * 3 * WINDOW]:
        long_text = text * (3 * WINDOW // len(text) + 1)
        assert tokenizer.encode(long_text) == whole.encode(long_text, is_first=True)


def test_the_library_never_sees_a_long_word():
    encoder = TextEncoder(phi3_like(), window=1000)
    seen: list[int] = []
    library = encoder._words

    class Watched:
        def encode(self, text: str, **options: bool):
            seen.append(len(text))
            return library.encode(text, **options)

    encoder._words = Watched()
    encoder.encode("ab" * 50_000, is_first=True)
    assert len(seen) > 100
    assert max(seen) <= 1000


def phi3_like() -> Vocabulary:
    return tiny_sentencepiece()[0].vocabulary


def test_a_word_that_would_take_gigabytes_is_refused():
    tokenizer = Tokenizer.from_json(tiny_byte_level("smollm").to_str().encode())
    with pytest.raises(UserError, match="may be one word, at most 16777216"):
        tokenizer.encode("a" * (MAX_WORD + 1))


def seconds(tokenizer: Tokenizer, text: str) -> float:
    start = time.process_time()
    tokenizer.encode(text)
    return time.process_time() - start


def mebibytes(character: str, count: int) -> str:
    return character * (count * 2**20 // len(character.encode()))


def test_a_mebibyte_of_one_letter_is_quick():
    tokenizer = Tokenizer.from_json(tiny_byte_level("smollm").to_str().encode())
    assert min(seconds(tokenizer, mebibytes("a", 1)) for _ in range(2)) <= 2


@pytest.mark.slow
@pytest.mark.parametrize("character", CHARACTERS)
@pytest.mark.parametrize("make", [smollm2, phi3, lambda: llama2()[0]], ids=["smollm2", "phi3", "llama2"])
def test_one_repeated_character_takes_linear_time(make, character: str):
    tokenizer: Tokenizer = make()
    one, two = (min(seconds(tokenizer, mebibytes(character, count)) for _ in range(3)) for count in (1, 2))
    assert one <= 2
    assert two <= 2.3 * one
