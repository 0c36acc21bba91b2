"""Vocabularies from strangers: a clear error or a usable tokenizer, soon, and never anything else."""

import copy
import json
import random
import time
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from pocketphi.errors import UserError
from pocketphi.tokenizer import Tokenizer
from pocketphi.tokenizer.vocabulary import BYTE_TOKENS
from tokenizer.samples import phi3_files, tiny_byte_level, tiny_sentencepiece

Json = dict[str, Any]


def byte_json() -> Json:
    return json.loads(tiny_byte_level("smollm").to_str())


def sentencepiece_json() -> Json:
    root = json.loads(tiny_sentencepiece()[0].to_json())
    del root["pocketphi"]
    return root


def load(root: Any, config: Json | None = None) -> Tokenizer:
    return Tokenizer.from_json(root if isinstance(root, bytes) else json.dumps(root).encode(), config=config)


def put(*path_and_value: Any) -> Callable[[Json], None]:
    """A change that sets the value at a path of keys."""
    *path, last, value = path_and_value

    def change(root: Json) -> None:
        for key in path:
            root = root[key]
        root[last] = value

    return change


def add_merge(merge: Any) -> Callable[[Json], None]:
    return lambda root: root["model"]["merges"].append(merge)


def add_token(**entry: Any) -> Callable[[Json], None]:
    token = {"id": 600, "content": "<x>", "special": True, "lstrip": False, "rstrip": False, "normalized": False}
    return lambda root: root["added_tokens"].append(token | entry)


SPLIT = {"type": "Split", "pattern": {"Regex": "(a+)+$"}, "behavior": "Isolated", "invert": False}

BROKEN_BYTE_LEVEL: dict[str, tuple[Callable[[Json], None], str]] = {
    "no model": (put("model", None), "`model` is missing"),
    "model is a list": (put("model", []), "`model` is list, not an object"),
    "unigram": (put("model", "type", "Unigram"), "`Unigram` is not supported"),
    "model type is a list": (put("model", "type", ["BPE"]), "is not supported"),
    "dropout": (put("model", "dropout", 0.1), "`model.dropout` is not supported"),
    "suffix": (put("model", "end_of_word_suffix", "</w>"), "`model.end_of_word_suffix`"),
    "no vocabulary": (put("model", "vocab", {}), "out of vocabulary"),
    "vocabulary is a list": (put("model", "vocab", [["a", 0]]), "`vocab` is list"),
    "id is text": (put("model", "vocab", "zz", "7"), "has id 7"),
    "id is true": (put("model", "vocab", "zz", True), "has id True"),
    "id is a fraction": (put("model", "vocab", "zz", 1.0), "has id 1.0"),
    "id is negative": (put("model", "vocab", "zz", -1), "has id -1"),
    "id is 2^31": (put("model", "vocab", "zz", 2**31), "has id 2147483648"),
    "id is 2^64": (put("model", "vocab", "zz", 2**64), "allowed are 0 to 262143"),
    "id past the limit": (put("model", "vocab", "zz", 262_144), "allowed are 0 to 262143"),
    "id leaves a hole": (put("model", "vocab", "zz", 5000), "no token has id 600"),
    "id of another": (put("model", "vocab", "zz", 10), "id 10 belongs to two tokens"),
    "empty token": (put("model", "vocab", "", 600), "token 600 is empty"),
    "long token": (put("model", "vocab", "é" * 513, 600), "token 600 has 1026 bytes, at most 1024"),
    "surrogate token": (put("model", "vocab", "\ud800", 600), "not valid Unicode"),
    "merges missing": (put("model", "merges", None), "`merges` is missing"),
    "merges of an absent token": (add_merge(["a", "ZZZ"]), "out of vocabulary"),
    "merge makes an absent token": (add_merge(["Q", "Q"]), "out of vocabulary"),
    "merge of three": (add_merge(["a", "b", "c"]), "not a pair"),
    "merge of text with two spaces": (add_merge("a b c"), "not a pair"),
    "merge of numbers": (add_merge([1, 2]), "not a pair"),
    "merge of lists": (add_merge([["a"], ["b"]]), "not a pair"),
    "merge of nothing": (add_merge(["", "a"]), "out of vocabulary"),
    "merge is null": (add_merge(None), "not a pair"),
    "merge listed twice": (lambda root: root["model"]["merges"].append(root["model"]["merges"][0]), "listed twice"),
    "added token is text": (put("added_tokens", ["<x>"]), "not an object"),
    "added tokens are a number": (put("added_tokens", 7), "`added_tokens`"),
    "added token without id": (add_token(id=None), "`id` is missing"),
    "added token with id true": (add_token(id=True), "`id` is bool"),
    "added token with a taken id": (add_token(id=300), "id 300 belongs to two tokens"),
    "added token with a huge id": (add_token(id=10**6), "has id 1000000"),
    "added token twice": (lambda root: [add_token()(root), add_token()(root)], "listed twice"),
    "added token with two ids": (lambda root: [add_token()(root), add_token(id=601)(root)], "occurs twice"),
    "added token, odd flag": (add_token(rstrip=1), "flag of an added token"),
    "added word": (add_token(content="hydroxyl", special=False), "ordinary word"),
    "added spaces": (add_token(content="    ", special=False), "ordinary word"),
    "foreign word rule": (put("pre_tokenizer", {"type": "Sequence", "pretokenizers": [SPLIT]}), "word-splitting rule"),
    "foreign word rule alone": (put("pre_tokenizer", SPLIT), "word-splitting rule"),
    "no word rule": (put("pre_tokenizer", None), "word-splitting rule"),
    "word rule is text": (put("pre_tokenizer", "ByteLevel"), "not a pipeline step"),
    "word rule holds text": (put("pre_tokenizer", {"type": "Sequence", "pretokenizers": ["x"]}), "not a pipeline step"),
    "prefix space": (put("pre_tokenizer", {"type": "ByteLevel", "add_prefix_space": True}), "word-splitting rule"),
    "normalizer": (put("normalizer", {"type": "Lowercase"}), "normalizer"),
    "decoder": (put("decoder", {"type": "WordPiece"}), "decoder"),
    "post-processor adds EOS": (
        put("post_processor", {"type": "TemplateProcessing", "single": [
            {"Sequence": {"id": "A"}}, {"SpecialToken": {"id": "<|im_end|>"}}]}), "more than a BOS token",
    ),
    "post-processor of another kind": (put("post_processor", {"type": "BertProcessing"}), "post-processor"),
    "our key, wrong": (put("pocketphi", {"bos_id": 0}), "`pocketphi` is not an object"),
    "our key, bos outside": (
        put("pocketphi", {"add_bos": False, "bos_id": 10**6, "eos_ids": [], "pad_id": None}), "bos id 1000000"
    ),
    "our key, eos is text": (
        put("pocketphi", {"add_bos": False, "bos_id": None, "eos_ids": ["x"], "pad_id": None}), "`eos_ids`"
    ),
    "our key, BOS without a token": (
        put("pocketphi", {"add_bos": True, "bos_id": None, "eos_ids": [], "pad_id": None}), "a BOS token is asked for"
    ),
}  # fmt: skip

BROKEN_SENTENCEPIECE: dict[str, tuple[Callable[[Json], None], str]] = {
    "a byte token is missing": (
        lambda root: root["model"]["vocab"].update(other=root["model"]["vocab"].pop("<0x41>")), "`<0x41>` is missing",
    ),
    "NFKC": (put("normalizer", {"type": "NFKC"}), "normalizer"),
    "a prefix that is not a space": (put("normalizer", "normalizers", 0, "prepend", "x"), "normalizer"),
    "a foreign replacement": (
        put("pre_tokenizer", {"type": "Metaspace", "replacement": "_", "prepend_scheme": "first", "split": False}),
        "pre-tokenizer",
    ),
    "a decoder that keeps the prefix": (put("decoder", "decoders", [{"type": "Fuse"}]), "decoder"),
}  # fmt: skip


@pytest.mark.parametrize("name", BROKEN_BYTE_LEVEL)
def test_a_broken_byte_level_file_is_refused(name: str):
    change, message = BROKEN_BYTE_LEVEL[name]
    root = byte_json()
    change(root)
    with pytest.raises(UserError) as error:
        load(root)
    assert message in error.value.message


@pytest.mark.parametrize("name", BROKEN_SENTENCEPIECE)
def test_a_broken_sentencepiece_file_is_refused(name: str):
    change, message = BROKEN_SENTENCEPIECE[name]
    root = sentencepiece_json()
    change(root)
    with pytest.raises(UserError) as error:
        load(root)
    assert message in error.value.message


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (b"", "not valid JSON"),
        (b"{", "not valid JSON"),
        (b"[]", "not a JSON object"),
        (b"null", "not a JSON object"),
        (b"\xff\xfe{}", "not valid JSON"),
        (b'{"a": 1, "a": 2}', "a key occurs twice"),
        (b'{"a": NaN}', "the number NaN"),
        (b'{"a": ' + b"9" * 5000 + b"}", "not valid JSON"),
        (b"[" * 100_000, "not valid JSON"),
        (b'{"a":' * 100_000, "not valid JSON"),
        (b"[" + b"[]," * 2_000_000, "values, at most 3000000"),
        (b" " * (41 << 20), "bytes, at most"),
        (b'{"model": ' + b'{"type":' * 400 + b"1" + b"}" * 400 + b"}", "is not supported"),
    ],
)
def test_bad_json_is_refused_soon(data: bytes, message: str):
    start = time.process_time()
    with pytest.raises(UserError) as error:
        Tokenizer.from_json(data)
    assert message in error.value.message
    assert time.process_time() - start < 2


@pytest.mark.parametrize(
    "config",
    [
        {"bos_token": "<nowhere>"},
        {"eos_token": ["<|im_end|>"]},
        {"pad_token": {"content": 7}},
        {"add_bos_token": "yes"},
        {"add_bos_token": True},
    ],
)
def test_a_broken_config_is_refused(config: Json):
    with pytest.raises(UserError):
        load(byte_json(), config)


def test_config_names_are_found_in_both_spellings():
    tokenizer = load(
        byte_json(), {"eos_token": {"content": "<|im_end|>"}, "bos_token": "<|im_start|>", "pad_token": None}
    )
    assert (tokenizer.bos_id, tokenizer.eos_ids, tokenizer.pad_id, tokenizer.add_bos) == (1, (2,), None, False)


def test_a_post_processor_with_bos_adds_bos():
    root = byte_json()
    sequence = {"Sequence": {"id": "A", "type_id": 0}}
    bos = {"SpecialToken": {"id": "<|im_start|>", "type_id": 0}}
    root["post_processor"] = {"type": "TemplateProcessing", "single": [bos, sequence], "pair": [], "special_tokens": {}}
    assert load(root).encode_segments(["a"]) == [1, *load(root).encode("a")]
    assert load(root, {"add_bos_token": False}).encode_segments(["a"]) == load(root).encode("a")


def survives(data: bytes) -> bool:
    """Whether a damaged file still loads; if so, whatever it became must work."""
    try:
        tokenizer = Tokenizer.from_json(data)
    except UserError:
        return False
    ids = tokenizer.encode("a <|im_end|> 12 é\n")
    assert not any(map(tokenizer.is_special, ids))
    tokenizer.decode(ids)
    assert Tokenizer.from_json(tokenizer.to_json()).vocabulary == tokenizer.vocabulary
    return True


@pytest.mark.parametrize("make", [byte_json, sentencepiece_json])
def test_truncated_files_are_refused(make: Callable[[], Json]):
    data = json.dumps(make()).encode()
    generator = random.Random(0)
    assert not any(survives(data[: generator.randrange(len(data))]) for _ in range(150))


@pytest.mark.parametrize("make", [byte_json, sentencepiece_json])
def test_damaged_files_are_refused_or_work(make: Callable[[], Json]):
    data = json.dumps(make()).encode()
    generator = random.Random(1)
    for _ in range(150):
        damaged = bytearray(data)
        for _ in range(generator.choice([1, 1, 3])):
            damaged[generator.randrange(len(damaged))] = generator.choice(b'0129{}[]",:ae \\\x00\xff')
        survives(bytes(damaged))


@pytest.mark.parametrize("make", [byte_json, sentencepiece_json])
def test_values_of_any_kind_are_refused_or_work(make: Callable[[], Json]):
    values = [
        None,
        True,
        0,
        -1,
        2**31,
        1.5,
        "",
        "x",
        [],
        {},
        [[]],
        {"type": "Sequence"},
        {"type": []},
        [None],
        "\ud800",
    ]
    root = make()
    generator = random.Random(2)
    for _ in range(250):
        changed = copy.deepcopy(root)
        place: Any = changed
        while True:
            keys = list(place) if isinstance(place, dict) else list(range(len(place)))
            key = generator.choice(keys[:40])
            if not isinstance(place[key], dict | list) or not place[key] or generator.random() < 0.3:
                break
            place = place[key]
        place[key] = generator.choice(values)
        survives(json.dumps(changed).encode())


def gguf_metadata() -> Json:
    """A SentencePiece vocabulary of 262 tokens, in GGUF's fields."""
    tokens = ["<unk>", "<s>", "</s>", *BYTE_TOKENS, "▁", "a", "▁a"]
    return {
        "tokenizer.ggml.model": "llama",
        "tokenizer.ggml.tokens": tokens,
        "tokenizer.ggml.scores": [0.0] * 259 + [-1.0, -2.0, -3.0],
        "tokenizer.ggml.token_type": [2, 3, 3, *[6] * 256, 1, 1, 1],
        "tokenizer.ggml.bos_token_id": 1,
        "tokenizer.ggml.eos_token_id": 2,
    }


def byte_metadata() -> Json:
    root = byte_json()
    return {
        "tokenizer.ggml.model": "gpt2",
        "tokenizer.ggml.pre": "smollm",
        "tokenizer.ggml.tokens": list(root["model"]["vocab"]),
        "tokenizer.ggml.token_type": [3, 3, 3] + [1] * (len(root["model"]["vocab"]) - 3),
        "tokenizer.ggml.merges": [" ".join(pair) for pair in root["model"]["merges"]],
        "tokenizer.ggml.eos_token_id": 2,
    }


NAN = float("nan")
BROKEN_GGUF: list[tuple[Callable[[], Json], str, Any, str]] = [
    (gguf_metadata, "model", None, "`tokenizer.ggml.model` is missing"),
    (gguf_metadata, "model", 7, "is a int, not str"),
    (gguf_metadata, "model", "bert", "supported are `gpt2`"),
    (gguf_metadata, "tokens", None, "`tokenizer.ggml.tokens` is missing"),
    (gguf_metadata, "tokens", "abc", "is not an array"),
    (gguf_metadata, "tokens", ["a"], "has 262 entries for 1 tokens"),
    (gguf_metadata, "tokens", list(range(262)), "holds a int, not str"),
    (gguf_metadata, "tokens", ["a"] * 262, "occurs twice"),
    (gguf_metadata, "tokens", ["a"] * 262_145, "at most 262144"),
    (gguf_metadata, "tokens", [*gguf_metadata()["tokenizer.ggml.tokens"][:-1], ""], "token 261 is empty"),
    (gguf_metadata, "tokens", [*gguf_metadata()["tokenizer.ggml.tokens"][:-1], "x" * 1025], "at most 1024"),
    (gguf_metadata, "scores", None, "`tokenizer.ggml.scores` is missing"),
    (gguf_metadata, "scores", [0.0], "has 1 entries for 262 tokens"),
    (gguf_metadata, "scores", np.zeros(262, np.uint8), "holds a int, not float"),
    (gguf_metadata, "scores", [0] * 262, "holds a int, not float"),
    (gguf_metadata, "scores", [NAN] * 262, "not finite"),
    (gguf_metadata, "scores", [-float("inf")] * 262, "not finite"),
    (gguf_metadata, "token_type", None, "`tokenizer.ggml.token_type` is missing"),
    (gguf_metadata, "token_type", [1.0] * 262, "holds a float, not int"),
    (gguf_metadata, "token_type", [True] * 262, "holds a bool, not int"),
    (gguf_metadata, "token_type", [7] * 262, "allowed are 1 to 6"),
    (gguf_metadata, "bos_token_id", 262, "is 262, outside the vocabulary of 262"),
    (gguf_metadata, "eos_token_id", -1, "is -1, outside"),
    (gguf_metadata, "eos_token_id", 2**32 - 1, "outside the vocabulary"),
    (gguf_metadata, "eos_token_id", True, "is a bool, not int"),
    (gguf_metadata, "add_bos_token", 1, "is a int, not bool"),
    (byte_metadata, "pre", None, "`tokenizer.ggml.pre` is missing"),
    (byte_metadata, "pre", "unheard-of", "unknown word-splitting rule"),
    (byte_metadata, "merges", None, "`tokenizer.ggml.merges` is missing"),
    (byte_metadata, "merges", ["a"], "not a pair"),
    (byte_metadata, "merges", ["a b c"], "not a pair"),
    (byte_metadata, "merges", [" a"], "not a pair"),
    (byte_metadata, "merges", ["Q ZZZ"], "out of vocabulary"),
    (byte_metadata, "merges", ["a a"] * 1_000_001, "at most 1000000"),
    (byte_metadata, "merges", [b"a b"], "holds a bytes, not str"),
]  # fmt: skip


@pytest.mark.parametrize(("make", "field", "value", "message"), BROKEN_GGUF)
def test_a_broken_gguf_vocabulary_is_refused_soon(make: Callable[[], Json], field: str, value: Any, message: str):
    start = time.process_time()
    with pytest.raises(UserError) as error:
        Tokenizer.from_gguf({**make(), f"tokenizer.ggml.{field}": value})
    assert message in str(error.value)
    assert time.process_time() - start < 2


def test_the_unbroken_ones_load():
    assert Tokenizer.from_gguf(gguf_metadata()).encode(" a") == [259, 261]
    assert Tokenizer.from_gguf(byte_metadata()).vocabulary == load(byte_json(), {"eos_token": "<|im_end|>"}).vocabulary
    as_arrays = {key: np.array(value) if isinstance(value, list) else value for key, value in gguf_metadata().items()}
    assert Tokenizer.from_gguf(as_arrays).vocabulary == Tokenizer.from_gguf(gguf_metadata()).vocabulary


@pytest.mark.parametrize(
    ("runs", "message"),
    [
        # A run of one letter can be cut everywhere: n runs give n * n / 2 merges.
        (["bcdefg"[i // 999] * (i % 999 + 1) for i in range(6 * 999)], "more than 16000000 characters"),
        ([chr(0x4E00 + i // 12) * (i % 12 + 1) for i in range(12 * 16_000)], "lead to more than 1000000 merges"),
    ],
)
def test_scores_that_lead_to_endless_merges_are_refused_soon(runs: list[str], message: str):
    metadata = gguf_metadata()
    metadata["tokenizer.ggml.tokens"] += runs
    metadata["tokenizer.ggml.scores"] += [-float(index) for index in range(len(runs))]
    metadata["tokenizer.ggml.token_type"] += [1] * len(runs)
    start = time.process_time()
    with pytest.raises(UserError, match=message):
        Tokenizer.from_gguf(metadata)
    assert time.process_time() - start < 2


def test_a_control_token_that_its_file_calls_ordinary_is_still_one():
    metadata = byte_metadata()
    metadata["tokenizer.ggml.token_type"] = [1] * len(metadata["tokenizer.ggml.tokens"])
    tokenizer = Tokenizer.from_gguf(metadata)
    assert set(tokenizer.special_ids) == {"<|endoftext|>", "<|im_start|>", "<|im_end|>"}


def test_the_published_phi3_file_is_read_as_it_is_meant():
    data, config = phi3_files()
    tokenizer = Tokenizer.from_json(data, config=config)
    assert (tokenizer.vocab_size, tokenizer.bos_id, tokenizer.eos_ids, tokenizer.pad_id) == (32011, 1, (32000,), 32000)
    assert not tokenizer.add_bos
    swallowing = {token.text for token in tokenizer.vocabulary.special if token.rstrip}
    assert set(tokenizer.special_ids) - swallowing == {"<unk>", "<s>", "<|endoftext|>"}
