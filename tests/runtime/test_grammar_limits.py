"""Grammars made to do harm, and grammars that are merely large."""

import json
import time
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from pocketphi.errors import UserError
from pocketphi.runtime.grammar.compiler import CompiledGrammar, GrammarCompiler
from tiny import tiny_tokenizer

TINY = tiny_tokenizer()
JSON = GrammarCompiler(TINY, TINY.vocab_size)


def deep(levels: int) -> dict[str, Any]:
    schema: dict[str, Any] = {"type": "string"}
    for _ in range(levels):
        schema = {"type": "array", "items": schema}
    return schema


def properties(count: int) -> dict[str, Any]:
    return {"type": "object", "properties": {f"p{index}": {"type": "integer"} for index in range(count)}}


HOSTILE: dict[str, Callable[[GrammarCompiler], object]] = {
    "depth": lambda c: c.json_schema(deep(10_000)),
    "properties": lambda c: c.json_schema(properties(10_000)),
    "properties in Lark": lambda c: c.lark(f"start: %json {json.dumps(properties(600))}"),
    "values": lambda c: c.json_schema({"enum": [{"a": [index]} for index in range(50_000)]}),
    "long": lambda c: c.json_schema({"const": "x" * 2**20}),
    "self": lambda c: c.json_schema({"$ref": "#"}),
    "each other": lambda c: c.json_schema(
        {"$defs": {"a": {"$ref": "#/$defs/b"}, "b": {"$ref": "#/$defs/a"}}, "$ref": "#/$defs/a"}
    ),
    "cases": lambda c: c.json_schema(
        {"allOf": [{"anyOf": [{"properties": {f"p{i}": {"const": j}}} for j in range(2)]} for i in range(12)]}
    ),
    "cases by reference": lambda c: c.json_schema(
        {"$defs": {"a": {"anyOf": [{"minimum": 1}, {"maximum": 0}]}}, "allOf": [{"$ref": "#/$defs/a"}] * 12}
    ),
    "patterns": lambda c: c.json_schema({"allOf": [{"type": "string", "pattern": f"a{i}.*b"} for i in range(30)]}),
    "remainders": lambda c: c.json_schema({"allOf": [{"type": "integer", "multipleOf": n} for n in (997, 991, 983)]}),
    "a large divisor": lambda c: c.json_schema({"type": "integer", "multipleOf": 1_000_003}),
    "1 MiB": lambda c: c.regex("ab" * 2**19),
    "options": lambda c: c.regex("[a-z]?" * 2_000),
    "Unicode": lambda c: c.regex(r"\w?" * 1_000),
    "brackets": lambda c: c.regex("(" * 4_000 + ")" * 4_000),
    "Lark brackets": lambda c: c.lark("start: " + "(" * 8_000 + '"a"' + ")" * 8_000),
    "intersections": lambda c: c.lark("start: A\nA: " + " & ".join(f"/.*a{i}.*/" for i in range(30))),
    "complement": lambda c: c.lark("start: A\nA: ~(/(a|b)*a(a|b){20}/)"),
    "1 MiB of Lark": lambda c: c.lark('start: "a"\n' + "// comment\n" * 100_000),
    "choices": lambda c: c.choice([f"{index:0100}" for index in range(10_000)]),
    "no choice": lambda c: c.choice([]),
}


@pytest.mark.parametrize("name", HOSTILE)
def test_a_hostile_grammar_is_refused_in_time(name: str):
    begin = time.thread_time()
    with pytest.raises(UserError) as error:
        HOSTILE[name](JSON)
    assert time.thread_time() - begin < 0.3  # a tenth of a second, on a machine that does nothing else
    assert len(error.value.message) < 300


HARMLESS: dict[str, Callable[[GrammarCompiler], CompiledGrammar]] = {
    "nested stars": lambda c: c.regex("(a*)*"),
    "counted": lambda c: c.regex("((a{1000}){1000}){1000}"),
    "exponential": lambda c: c.regex("(a|b)*a(a|b){300}"),
    "minItems": lambda c: c.json_schema({"type": "array", "items": {"type": "integer"}, "minItems": 10**9}),
    "maxLength": lambda c: c.json_schema({"type": "string", "maxLength": 10**9}),
    "many properties": lambda c: c.json_schema(properties(400)),
    "enum": lambda c: c.json_schema({"enum": [f"value {index}" for index in range(10_000)]}),
    "tree": lambda c: c.json_schema({"type": "object", "additionalProperties": {"$ref": "#"}}),
    "ambiguous": lambda c: c.lark('start: a\na: a a a | "x"?'),
    "deep": lambda c: c.json_schema(deep(45)),
}


@pytest.mark.parametrize("name", HARMLESS)
def test_what_is_only_large_is_compiled_and_followed_in_time(name: str):
    begin = time.thread_time()
    matcher = HARMLESS[name](JSON).start()
    random = np.random.default_rng(0)
    longest = 0.0
    for _ in range(50):
        tokens = np.flatnonzero(np.unpackbits(matcher.mask().view(np.uint8), bitorder="little"))
        if not len(tokens):
            break
        step = time.thread_time()
        matcher.accept(int(random.choice(tokens)))
        longest = max(longest, time.thread_time() - step)
    assert longest < 0.05
    assert time.thread_time() - begin < 1.0
