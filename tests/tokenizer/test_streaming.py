"""Decoding piece by piece: never a broken character, and in the end the same text."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pocketphi.tokenizer import Tokenizer
from tokenizer.samples import TEXTS, phi3, smollm2, tiny_byte_level, tiny_sentencepiece


def byte_level() -> Tokenizer:
    return Tokenizer.from_json(tiny_byte_level("smollm").to_str().encode())


TINY = [byte_level(), tiny_sentencepiece()[0]]
ids = st.lists(st.integers(-3, 1400) | st.integers(0, 300), max_size=60)


def streamed(tokenizer: Tokenizer, token_ids: list[int], *, skip_special: bool = True) -> list[str]:
    stream = tokenizer.stream(skip_special=skip_special)
    return [*(stream.push(token_id) for token_id in token_ids), stream.flush()]


@given(ids, st.booleans())
def test_pieces_join_to_the_whole(token_ids: list[int], skip_special: bool):
    for tokenizer in TINY:
        pieces = streamed(tokenizer, token_ids, skip_special=skip_special)
        assert "".join(pieces) == tokenizer.decode(token_ids, skip_special=skip_special)


@given(st.text())
def test_valid_text_never_shows_a_broken_character(text: str):
    for tokenizer in TINY:
        pieces = streamed(tokenizer, tokenizer.encode(text))
        assert sum(piece.count("\ufffd") for piece in pieces) == text.count("\ufffd")


@given(ids)
def test_no_text_is_held_back_but_one_unfinished_character(token_ids: list[int]):
    for tokenizer in TINY:
        stream, shown = tokenizer.stream(), ""
        for count, token_id in enumerate(token_ids, 1):
            shown += stream.push(token_id)
            whole = tokenizer.decode(token_ids[:count])
            # Two for the first bytes of a surrogate: Python waits for the third one before it refuses them.
            assert whole in (shown, shown + "\ufffd", shown + "\ufffd\ufffd")


@pytest.mark.parametrize("make", [smollm2, phi3])
def test_real_vocabularies_stream_all_samples(make):
    tokenizer: Tokenizer = make()
    for text in TEXTS:
        assert "".join(streamed(tokenizer, tokenizer.encode(text))) == tokenizer.decode(tokenizer.encode(text))


def test_every_byte_alone_is_shown():
    tokenizer = byte_level()
    for byte in range(256):
        token_id = next(i for i in range(tokenizer.vocab_size) if tokenizer.piece(i) == bytes([byte]))
        expected = chr(byte) if byte < 128 else "\ufffd"
        assert tokenizer.decode([token_id]) == expected


def test_the_first_space_of_sentencepiece_is_not_part_of_the_text():
    tokenizer, _ = tiny_sentencepiece()
    assert streamed(tokenizer, tokenizer.encode("ab"))[0].startswith("a")
    assert tokenizer.decode(tokenizer.encode(" ab")) == " ab"


def test_control_tokens_are_hidden_unless_asked_for():
    tokenizer = byte_level()
    token_ids = [tokenizer.special_ids["<|im_start|>"], *tokenizer.encode("hi"), tokenizer.special_ids["<|im_end|>"]]
    assert tokenizer.decode(token_ids) == "hi"
    assert tokenizer.decode(token_ids, skip_special=False) == "<|im_start|>hi<|im_end|>"


def test_rows_beyond_the_vocabulary_give_no_text():
    assert byte_level().decode([10**6, -1]) == ""
    assert byte_level().is_special(10**6)
