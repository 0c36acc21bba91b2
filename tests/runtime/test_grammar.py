"""Masks against a brute-force oracle, answers against jsonschema, and grammars made to do harm."""

import json
import re
import time
from collections.abc import Callable, Sequence
from itertools import product
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from jsonschema import Draft202012Validator

from pocketphi.errors import UserError
from pocketphi.runtime.grammar import compiler as module
from pocketphi.runtime.grammar.compiler import CompiledGrammar, GrammarCompiler
from pocketphi.runtime.grammar.matcher import GrammarMatcher
from pocketphi.runtime.model import Model
from pocketphi.runtime.sampling import SamplingOptions
from pocketphi.runtime.scheduler.job import Job, Piece
from pocketphi.runtime.scheduler.scheduler import Scheduler
from pocketphi.runtime.writer import Limits, StopReason, Writer
from pocketphi.tokenizer import Tokenizer
from pocketphi.tokenizer.vocabulary import BYTE_CHARACTERS, BYTE_TOKENS, SpecialToken, Vocabulary
from random_schemas import random_schema
from tiny import tiny_tokenizer


def byte_level() -> Tokenizer:
    merges = (("a", "b"), ("b", "a"), ("ab", "a"), ("\u0120", "a"))
    tokens = (*BYTE_CHARACTERS, *(left + right for left, right in merges), "<|end|>", "<s>")
    special = (SpecialToken(len(tokens) - 2, "<|end|>"), SpecialToken(len(tokens) - 1, "<s>"))
    return Tokenizer(
        Vocabulary(
            kind="byte", tokens=tokens, merges=merges, special=special, split="gpt-2", eos_ids=(len(tokens) - 2,)
        )
    )


def sentencepiece() -> Tokenizer:
    tokens = ("<s>", "</s>", *BYTE_TOKENS, "\u2581", "a", "b", "\u2581\u2581", "\u2581a", "ab", "\u2581ab", "ba")
    merges = (("\u2581", "\u2581"), ("\u2581", "a"), ("a", "b"), ("\u2581", "ab"), ("b", "a"))
    special = (SpecialToken(0, "<s>"), SpecialToken(1, "</s>"))
    return Tokenizer(
        Vocabulary(
            kind="sentencepiece", tokens=tokens, merges=merges, special=special, prefix="every", bos_id=0, eos_ids=(1,)
        )
    )


TOKENIZERS = {"byte": byte_level(), "sentencepiece": sentencepiece()}
PADDING = 7
"""Rows of the logits beyond the vocabulary."""
COMPILERS = {name: GrammarCompiler(each, each.vocab_size + PADDING) for name, each in TOKENIZERS.items()}
PATTERNS = ("(ab|ba){1,2}", "a{0,3}b?", "[ab]{2}", " ?a+ ?", "(a|ab)(ba|a)?", "b(a| )*b")
LONGEST = 5
TEXTS = ["".join(letters) for length in range(LONGEST + 4) for letters in product("ab ", repeat=length)]


def allowed(matcher: GrammarMatcher, left: int | None = None) -> set[int]:
    return set(np.flatnonzero(np.unpackbits(matcher.mask(left).view(np.uint8), bitorder="little")).tolist())


def follow(kind: str, grammar: CompiledGrammar, language: Sequence[str], data: st.DataObject) -> None:
    """Walk at random, and compare each step with all texts of the language."""
    tokenizer = TOKENIZERS[kind]
    matcher = grammar.start()
    tokens: list[int] = []
    text = ""
    while len(text) < LONGEST:
        begun = [each for each in sorted(set(language)) if each.startswith(text)]
        after = {token: tokenizer.decode([*tokens, token]) for token in range(tokenizer.vocab_size)}
        expected = {
            token
            for token, longer in after.items()
            if len(longer) > len(text) and not tokenizer.is_special(token) and any(e.startswith(longer) for e in begun)
        }
        assert {token for token in allowed(matcher) if len(after.get(token, "")) <= LONGEST} == {
            token for token in expected if len(after[token]) <= LONGEST
        }
        assert matcher.may_end == (text in begun)
        assert matcher.is_finished == (begun == [text])
        if not expected:
            return
        tokens.append(data.draw(st.sampled_from(sorted(expected))))
        text = after[tokens[-1]]
        matcher.accept(tokens[-1])


@pytest.mark.parametrize("kind", TOKENIZERS)
@given(pattern=st.sampled_from(PATTERNS), data=st.data())
@settings(max_examples=30, deadline=None)
def test_a_token_is_allowed_if_and_only_if_the_text_stays_a_beginning(kind: str, pattern: str, data: st.DataObject):
    language = [text for text in TEXTS if re.fullmatch(pattern, text)]
    follow(kind, COMPILERS[kind].regex(pattern), language, data)


@pytest.mark.parametrize("kind", TOKENIZERS)
@given(texts=st.lists(st.text("ab ", min_size=1, max_size=LONGEST), min_size=1, max_size=5), data=st.data())
@settings(max_examples=30, deadline=None)
def test_one_of_some_texts_is_followed_too(kind: str, texts: list[str], data: st.DataObject):
    follow(kind, COMPILERS[kind].choice(texts), texts, data)


@given(texts=st.lists(st.text(min_size=1, max_size=4), min_size=1, max_size=3))
@settings(max_examples=50, deadline=None)
def test_any_text_can_be_chosen(texts: list[str]):
    text = texts[0].encode(errors="replace").decode()
    matcher = COMPILERS["byte"].choice([text, *(each.encode(errors="replace").decode() for each in texts[1:])]).start()
    for token in TOKENIZERS["byte"].encode(text):
        assert token in allowed(matcher)
        matcher.accept(token)
    assert matcher.may_end


@pytest.mark.parametrize("kind", TOKENIZERS)
def test_no_grammar_reaches_a_control_token(kind: str):
    tokenizer = TOKENIZERS[kind]
    for token in (*tokenizer.special_ids.values(), tokenizer.vocab_size, tokenizer.vocab_size + PADDING):
        with pytest.raises(UserError):
            COMPILERS[kind].lark(f"start: <[{token}]>")
    for name in tokenizer.special_ids:
        with pytest.raises(UserError):
            COMPILERS[kind].lark(f"start: {name}")


@pytest.mark.parametrize("kind", TOKENIZERS)
def test_any_token_means_any_that_has_text(kind: str):
    tokenizer = TOKENIZERS[kind]
    with_text = {token for token in range(tokenizer.vocab_size) if not tokenizer.is_special(token)}
    assert allowed(COMPILERS[kind].lark(r"start: /(.|\n)*/").start()) <= with_text


TINY = tiny_tokenizer()
STOPS = frozenset(TINY.eos_ids)
JSON = GrammarCompiler(TINY, TINY.vocab_size)


def answer(
    grammar: CompiledGrammar,
    logits: Callable[[int], np.ndarray],
    *,
    max_tokens: int | None = 400,
    stop_ids: frozenset[int] = STOPS,
) -> Writer:
    limits = Limits(context=1000, max_tokens=max_tokens, stop_ids=stop_ids)
    sampling = SamplingOptions(temperature=1.0)
    writer = Writer(TINY, sampling, limits, prompt_length=1, matcher=grammar.start())
    while writer.stop_reason is None:
        writer.push(logits(len(writer.tokens)))
    return writer


def noise(seed: int) -> Callable[[int], np.ndarray]:
    """What a model says that has learnt nothing: the worst that a grammar has to hold."""
    random = np.random.default_rng(seed)
    return lambda _: random.normal(0, 3, TINY.vocab_size).astype(np.float32)


def favours(*tokens: int) -> Callable[[int], np.ndarray]:
    logits = np.zeros(TINY.vocab_size, np.float32)
    logits[list(tokens)] = 50.0
    return lambda _: logits


@pytest.mark.parametrize("block", range(6))
def test_answers_of_a_model_that_knows_nothing_finish_and_are_valid(block: int):
    for number in range(20 * block, 20 * block + 20):
        schema = random_schema(number)
        if not set(schema) & {"uniqueItems", "not", "propertyNames"}:
            check(schema, number)


def check(schema: dict[str, Any], seed: int) -> None:
    writer = answer(JSON.json_schema(schema), noise(seed))
    assert writer.stop_reason is StopReason.END, (schema, writer.text[-80:])
    Draft202012Validator(schema).validate(json.loads(writer.text))


def test_any_json_object():
    for seed in range(20):
        assert isinstance(json.loads(answer(JSON.json_object(), noise(seed)).text), dict)


def test_the_end_of_the_turn_comes_just_where_the_grammar_allows_it():
    stop, b = TINY.eos_ids[0], TINY.encode("b")[0]
    grammar = JSON.regex("aab*")
    writer = answer(grammar, favours(stop))
    assert (writer.text, writer.stop_reason) == ("aa", StopReason.END)
    assert answer(grammar, favours(b), max_tokens=5).text == "aabbb"
    assert answer(grammar, favours(b), max_tokens=5).stop_reason is StopReason.LENGTH
    with pytest.raises(UserError):  # a stop token that is text the grammar needs
        answer(JSON.regex("ab"), favours(b), stop_ids=frozenset({b}))


def test_without_stop_tokens_an_answer_ends_where_nothing_can_follow():
    writer = answer(JSON.choice(["the end", "then"]), noise(0), stop_ids=frozenset())
    assert writer.stop_reason is StopReason.END
    assert writer.text in ("the end", "then")


@pytest.mark.parametrize("max_tokens", [40, 80, 300, None])
@pytest.mark.parametrize(
    "schema",
    [
        {"type": "integer"},
        {"type": "string"},
        {"type": "array", "items": {"type": "array", "items": {"type": "number"}}},
        {"type": "object", "properties": {"a": {"type": "string", "minLength": 9}, "b": {}}, "required": ["a", "b"]},
    ],
)
def test_json_comes_to_its_end_before_the_tokens_run_out(schema: dict[str, Any], max_tokens: int | None):
    endless = favours(*TINY.encode("7[x\\u"))
    writer = answer(JSON.json_schema(schema), endless, max_tokens=max_tokens)
    assert writer.stop_reason is StopReason.END
    Draft202012Validator(schema).validate(json.loads(writer.text))
    left_open = answer(JSON.json_schema(schema, closes=False), endless, max_tokens=max_tokens)
    assert left_open.stop_reason in (StopReason.LENGTH, StopReason.CONTEXT)
    assert writer.tokens[:12] == left_open.tokens[:12]


@pytest.mark.parametrize("digit", "0179")
@pytest.mark.parametrize(
    "schema",
    [
        {"type": "integer"},
        {"type": "integer", "multipleOf": 60},
        {"type": "number", "exclusiveMinimum": 4, "exclusiveMaximum": 5},
        {"type": "number", "exclusiveMinimum": -5, "maximum": -4},
        {"type": "number", "multipleOf": 0.25},
        {"type": "array", "items": {"type": "number", "minimum": 10}, "minItems": 2, "maxItems": 2},
    ],
)
def test_a_number_ends_where_a_double_holds_no_more(schema: dict[str, Any], digit: str):
    endless = favours(*TINY.encode(f"{digit}.")) if digit != "0" else favours(*TINY.encode("0"))
    text = answer(JSON.json_schema(schema), endless).text
    assert all(len(number) <= 30 for number in re.findall(r"[0-9.]+", text))
    Draft202012Validator(schema).validate(json.loads(text))


def test_an_end_that_is_never_found_costs_little():
    grammar = JSON.json_schema({"type": "array", "items": {"type": "integer", "multipleOf": 9973}, "minItems": 10**6})
    begin = time.thread_time()
    assert answer(grammar, favours(*TINY.encode("[1")), max_tokens=900).stop_reason is StopReason.LENGTH
    assert time.thread_time() - begin < 2.0


@pytest.mark.parametrize("kind", TOKENIZERS)
def test_answers_of_one_grammar_do_not_disturb_each_other(kind: str):
    grammar, tokenizer = COMPILERS[kind].regex("(ab|ba| a)*b"), TOKENIZERS[kind]
    texts = ["abb", "bab", " ab", "babab"]
    matchers = [grammar.start() for _ in texts]
    seen: list[list[set[int]]] = [[] for _ in texts]
    written = [tokenizer.encode(text) for text in texts]
    for place in range(max(map(len, written))):
        for matcher, tokens, masks in zip(matchers, written, seen, strict=True):
            if place < len(tokens):
                masks.append(allowed(matcher))
                matcher.accept(tokens[place])
    for tokens, masks in zip(written, seen, strict=True):
        alone = grammar.start()
        for token, mask in zip(tokens, masks, strict=True):
            assert allowed(alone) == mask
            alone.accept(token)


def test_a_job_keeps_to_its_grammar_beside_others(tiny_model: Model):
    compiler = GrammarCompiler(tiny_model.tokenizer, tiny_model.config.vocab_size)
    schema = {"type": "object", "properties": {"a": {"enum": [1, 2]}}, "required": ["a"], "additionalProperties": False}
    grammars = [compiler.json_schema(schema), None, compiler.choice(["the", "then"]), compiler.json_schema(schema)]
    heard: list[list[Piece]] = [[] for _ in grammars]
    with Scheduler(tiny_model) as scheduler:
        for index, grammar in enumerate(grammars):
            options = SamplingOptions(temperature=1.0, seed=index)
            job = Job(prompt=(1, 2, 3), max_tokens=40, grammar=grammar, sampling=options, top_logprobs=2)
            scheduler.submit(job, heard[index].append)
        deadline = time.monotonic() + 30
        while not all(pieces and pieces[-1].is_last for pieces in heard) and time.monotonic() < deadline:
            time.sleep(0.01)
    texts = ["".join(piece.text for piece in pieces) for pieces in heard]
    assert {json.loads(texts[index])["a"] for index in (0, 3)} <= {1, 2}
    assert texts[2] in ("the", "then")
    assert [heard[0][-1].stop_reason, heard[1][-1].stop_reason] == [StopReason.END, StopReason.LENGTH]


@pytest.mark.parametrize(
    "keyword", ["not", "if", "uniqueItems", "contains", "dependentRequired", "unevaluatedProperties"]
)
def test_a_keyword_that_cannot_be_kept_to_is_named(keyword: str):
    with pytest.raises(UserError, match=f"`{keyword}`"):
        JSON.json_schema({"type": "object", "properties": {"a": {keyword: {}}}})


def test_messages_say_what_is_wrong():
    for schema, told in (
        ({"type": "strin"}, "strin"),
        ({"$ref": "#/$defs/nope"}, "nope"),
        ({"oneOf": [{"type": "integer"}, {"type": "number"}]}, "oneOf"),
        ({"type": "string", "pattern": "(?=a)"}, "look-ahead"),
        ({"const": float("nan")}, "no JSON"),
        (False, "allows nothing"),
    ):
        with pytest.raises(UserError, match=re.escape(told)):
            JSON.json_schema(schema)  # type: ignore[arg-type]


def test_a_schema_cannot_loosen_what_is_kept_to():
    with pytest.raises(UserError, match="`not`"):
        JSON.json_schema({"not": {}, "x-guidance": {"lenient": True}})
    assert JSON.json_schema({"type": "object", "title": "T", "x-own": 1, "default": {}}).start().mask().any()


def test_definitions_and_the_order_of_properties_are_kept():
    schema = {
        "$defs": {"x": {"const": 1}},
        "type": "object",
        "properties": {"b": {"$ref": "#/$defs/x"}, "a": {"$ref": "#/$defs/x"}},
        "required": ["b", "a"],
        "additionalProperties": False,
    }
    found = json.loads(answer(JSON.json_schema(schema), noise(1)).text)
    assert list(found.items()) == [("b", 1), ("a", 1)]


def test_compiled_grammars_are_kept_for_the_next_request():
    compiler = GrammarCompiler(TINY, TINY.vocab_size)
    first = compiler.regex("a")
    assert compiler.regex("a") is first
    for index in range(module.MAX_KEPT):
        compiler.regex(f"b{index}")
    assert compiler.regex("a") is not first
