"""Plain text: the same ids as the reference implementations, and back to the same text."""

import functools
import gzip
import json
import random
from collections.abc import Iterator
from pathlib import Path

import pytest
import tokenizers
from hypothesis import given
from hypothesis import strategies as st

from pocketphi.tokenizer import Tokenizer
from pocketphi.tokenizer.splitting import SPLITS
from tokenizer.samples import (
    TEXTS,
    data_file,
    llama2,
    phi3,
    phi3_files,
    random_texts,
    smollm2,
    smollm2_metadata,
    tiny_byte_level,
    tiny_sentencepiece,
)

GOLDEN = Path(__file__).parents[1] / "golden" / "smollm2_tokens.json"


@functools.cache
def ours(rule: str) -> Tokenizer:
    return Tokenizer.from_json(tiny_byte_level(rule).to_str().encode())


def corpora() -> Iterator[str]:
    """Real paragraphs, in many languages and kinds of writing."""
    for name in ("web/language_identification.jsonl.gz", "web/c4_demo.jsonl.gz", "textbooks/rust-book.jsonl.gz"):
        with gzip.open(data_file(name), "rt", encoding="utf-8") as lines:
            for _, line in zip(range(300), lines, strict=False):
                yield max((value for value in json.loads(line).values() if isinstance(value, str)), key=len)[:4000]


@pytest.mark.parametrize("rule", SPLITS)
def test_byte_level_ids_equal_the_published_pipeline(rule: str):
    published, tokenizer = tiny_byte_level(rule), ours(rule)
    for text in [*TEXTS, *random_texts(2000)]:
        assert tokenizer.encode(text) == published.encode(text, add_special_tokens=False).ids, ascii(text)


def test_sentencepiece_ids_equal_sentencepiece():
    tokenizer, processor = tiny_sentencepiece()
    for text in [*TEXTS, *random_texts(2000)]:
        if text:
            assert tokenizer.encode(text) == processor.encode(text), ascii(text)


def test_llama2_ids_equal_sentencepiece():
    tokenizer, processor = llama2()
    for text in [*TEXTS, *random_texts(3000), *corpora()]:
        if text:
            assert tokenizer.encode(text) == processor.encode(text), ascii(text)


def test_cuts_of_self_overlapping_tokens_equal_sentencepiece():
    # Where two ways to make one token overlap, SentencePiece takes the leftmost and a list of merges
    # the first listed: the one place where the two could differ.
    tokenizer, processor = llama2()
    makings: dict[str, int] = {}
    for left, right in tokenizer.vocabulary.merges:
        makings[left + right] = makings.get(left + right, 0) + 1
    generator = random.Random(0)
    for token in [token for token, count in makings.items() if count > 1]:
        for overlap in [k for k in range(1, len(token)) if token[:k] == token[-k:]]:
            text = generator.choice(["", "a", "-"]) + token + token[overlap:] * generator.randrange(1, 4) + "s"
            text = text.replace("▁", " ")
            assert tokenizer.encode(text) == processor.encode(text), text


def test_phi3_ids_equal_the_published_file_in_the_library():
    published = tokenizers.Tokenizer.from_str(phi3_files()[0].decode())
    for text in [*TEXTS, *random_texts(3000), *corpora()]:
        assert phi3().encode(text) == published.encode(text, add_special_tokens=False).ids, ascii(text)


def test_smollm2_ids_equal_llama_cpp():
    for text, ids in json.loads(GOLDEN.read_text())["tokens"]:
        assert smollm2().encode(text) == ids, ascii(text)


def test_smollm2_ids_equal_the_published_pipeline():
    metadata = smollm2_metadata()
    vocab = {token: index for index, token in enumerate(metadata["tokenizer.ggml.tokens"])}
    merges = [tuple(merge.split(" ")) for merge in metadata["tokenizer.ggml.merges"]]
    published = tokenizers.Tokenizer(tokenizers.models.BPE(vocab, merges))
    published.pre_tokenizer = tiny_byte_level("smollm").pre_tokenizer
    for text in [*TEXTS, *random_texts(3000)]:
        assert smollm2().encode(text) == published.encode(text, add_special_tokens=False).ids, ascii(text)


def test_phi3_merges_derived_from_scores_are_the_published_list():
    assert llama2()[0].vocabulary.merges == phi3().vocabulary.merges


@pytest.mark.parametrize("rule", SPLITS)
def test_byte_level_text_comes_back(rule: str):
    for text in [*TEXTS, *random_texts(500)]:
        assert ours(rule).decode(ours(rule).encode(text)) == text


def test_sentencepiece_text_comes_back():
    tokenizer, _ = tiny_sentencepiece()
    for text in [*TEXTS, *random_texts(500)]:
        # The one character that cannot: it is what a space is written as.
        assert tokenizer.decode(tokenizer.encode(text)) == text.replace("▁", " ")


@given(st.text())
def test_any_text_comes_back(text: str):
    for tokenizer in (ours("llama-bpe"), tiny_sentencepiece()[0]):
        assert tokenizer.decode(tokenizer.encode(text)) == text.replace(
            "▁", " " if tokenizer.vocabulary.prefix else "▁"
        )


@given(st.text(st.characters(categories=["Cs", "L", "N"]), max_size=8))
def test_lone_surrogates_become_replacement_characters(text: str):
    cleaned = text.encode("utf-16", "surrogatepass").decode("utf-16", "replace")
    for tokenizer in (ours("smollm"), tiny_sentencepiece()[0]):
        assert tokenizer.encode(text) == tokenizer.encode(cleaned)


def test_a_byte_without_a_token_leaves_no_trace_as_in_the_library():
    assert smollm2().encode("a\x04b") == smollm2().encode("a") + smollm2().encode("b")


@pytest.mark.parametrize("make", [lambda: ours("qwen2"), lambda: tiny_sentencepiece()[0], smollm2, phi3])
def test_the_canonical_form_reads_back_equal(make):
    tokenizer = make()
    again = Tokenizer.from_json(tokenizer.to_json())
    assert again.vocabulary == tokenizer.vocabulary
    assert again.to_json() == tokenizer.to_json()


@pytest.mark.parametrize("make", [lambda: ours("gpt-2"), lambda: tiny_sentencepiece()[0], smollm2, phi3])
def test_the_canonical_form_means_the_same_to_the_library(make):
    tokenizer = make()
    root = json.loads(tokenizer.to_json())
    del root["pocketphi"]  # our own key, which the library refuses
    library = tokenizers.Tokenizer.from_str(json.dumps(root))
    for text in TEXTS:
        ids = tokenizer.encode(text)
        assert library.encode(text, add_special_tokens=False).ids == ids
        assert library.decode(ids) == tokenizer.decode(ids)
