"""Tokens that a server says it read, laid along the text that was sent."""

import io
from itertools import pairwise
from pathlib import Path

import pytest
import sentencepiece
from hypothesis import given
from hypothesis import strategies as st

from pocketphi.runtime.endpoint_echo import spans

# Laying tokens along a text.

letters = st.text("ab \u00e4\u4e2d\U0001f600", max_size=24)


@given(letters, st.data())
def test_tokens_of_any_cut_lie_where_they_were_cut(text: str, data: st.DataObject):
    """Cut anywhere between bytes; a token that holds part of a letter shows what UTF-8 decoders show of it."""
    raw = text.encode()
    cuts = sorted({0, len(raw), *data.draw(st.lists(st.integers(0, len(raw)), max_size=12))})
    parts = [raw[a:b] for a, b in pairwise(cuts)]
    found = spans([part.decode("utf-8", "replace") for part in parts], text)
    starts, whole = [0], True
    for part in parts:
        whole = whole and "\ufffd" not in part.decode("utf-8", "replace")
        starts.append(starts[-1] + len(part))
    if whole:
        exact = [len(raw[:start].decode()) for start in starts]
        assert found == list(pairwise(exact))
    elif found is not None:  # two blurred tokens in a row leave open where the next one lies, and then no is allowed
        assert found[-1][1] == len(text)


@pytest.mark.parametrize(
    ("pieces", "text", "expected"),
    [
        (["a", "b"], "ab", [(0, 1), (1, 2)]),
        (["<s>", "a", "b"], "ab", [(0, 0), (0, 1), (1, 2)]),
        (["the", "tin"], "the tin", [(0, 3), (3, 7)]),
        ([" the", " tin"], "the tin", [(0, 3), (3, 7)]),
        (["a", "\ufffd", "\ufffd", "b"], "a\u4e2db", [(0, 1), (1, 2), (1, 2), (2, 3)]),
        (["a", "bytes:\\xe4", "bytes:\\xb8\\xad"], "a\u4e2d", [(0, 1), (1, 2), (1, 2)]),
        (["a", "", "", "\u4e2d"], "a\u4e2d", [(0, 1), (1, 1), (1, 1), (1, 2)]),
        (["\ufffd", "b"], "\ufffdb", [(0, 1), (1, 2)]),
        (["a", "c"], "ab", None),
        (["a"], "ab", None),
        (["a", "b", "c"], "ab", None),
        (["a", "", "", "b"], "a   b", [(0, 1), (1, 4), (1, 4), (4, 5)]),
        (["a", "\ufffd", "c"], "abc", None),
        (["", "", ""], "abc", None),
        (["a", "\ufffd"], "a", None),
        (["a", "\ufffd"], "a" + "\u4e2d" * 20, None),
        (["x", "  ", "y"], "x    y", [(0, 1), (1, 3), (3, 6)]),
        (["x", " "], "x  ", [(0, 1), (1, 3)]),
        (["x"], "x y", None),
        (["x", "  "], "x ", None),
        ([], "a", None),
        ([], "", []),
    ],
)
def test_tokens_along_a_text(pieces: list[str], text: str, expected: list[tuple[int, int]] | None):
    assert spans(pieces, text) == expected


def test_tokens_of_sentencepiece_are_laid_where_they_belong():
    """By itself each token loses a space or is a byte of a letter; where the tokens of a context end is found still."""
    sentences = Path(__file__).read_text().splitlines()
    written = io.BytesIO()
    sentencepiece.SentencePieceTrainer.train(
        sentence_iterator=iter(sentences),
        model_writer=written,
        model_type="bpe",
        vocab_size=700,
        byte_fallback=True,
        character_coverage=0.999,
        normalization_rule_name="identity",
        remove_extra_whitespaces=False,
        allow_whitespace_only_pieces=True,
        minloglevel=2,
    )
    tokenizer = sentencepiece.SentencePieceProcessor(model_proto=written.getvalue())

    def alone(token: int) -> str:
        if tokenizer.is_byte(token):
            return bytes([int(tokenizer.id_to_piece(token)[3:5], 16)]).decode("utf-8", "replace")
        return str(tokenizer.decode([token]))

    for start in range(0, len(sentences), 40):
        text = "\n".join(sentences[start : start + 20]) + " na\u00efve \u4e2d\u6587\u3002 \U0001f600   ok"
        tokens = tokenizer.encode(text)
        places = spans(["<s>", *map(alone, tokens)], text)
        assert places is not None
        for border in range(1, len(text), 7):
            if text[border - 1].isspace() or any(a < border < b for a, b in places):
                continue  # where the context is asked for
            before = sum(a < border for a, _ in places[1:])
            assert tokens[:before] == tokenizer.encode(text[:border]), text[:border][-20:]
