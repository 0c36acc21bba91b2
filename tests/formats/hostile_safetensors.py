"""Crafted bad safetensors files; `hostile` says how they are numbered."""

import json
import pickle
from collections.abc import Iterator
from typing import Any

from formats.builders import (
    model_gguf,
    safetensors_bytes,
    small_safetensors,
)
from formats.hostile import HUGE, PAYLOAD, Case, zip_of_a_pickle


def safetensors_cases() -> Iterator[Case]:
    valid = small_safetensors()
    tensor: dict[str, Any] = {"dtype": "U8", "shape": [4], "data_offsets": [0, 4]}

    def one(name: str, message: str, data: bytes = bytes(4), **changes: Any) -> Case:
        return Case(name, safetensors_bytes({"a": tensor | changes}, data), message)

    yield Case("1 empty", b"", "too short for a safetensors file: 0 bytes")
    for size in (1, 3, 4, 7):
        yield Case(f"1 {size} bytes", valid[:size], f"too short for a safetensors file: {size} bytes")
    yield Case("1 length only", valid[:8], "truncated, or not a safetensors file")
    yield Case("2 no object", safetensors_bytes("[]"), "does not start with an object")
    yield Case("2 leading space", safetensors_bytes(" {}"), "does not start with an object")
    for part in (9, 20, len(valid) - 36, len(valid) - 1):
        yield Case(f"3 cut at {part}", valid[:part], "truncated")
    for length in [0, 1, *HUGE, 2**22 + 1]:
        yield Case(f"5 header length {length}", length.to_bytes(8, "little") + valid[8:], "header length")
    yield Case("5 8,193 tensors", _many_tensors(8193), "8193 tensors, allowed are 8192")
    yield Case("6 name of 257 bytes", safetensors_bytes({"n" * 257: tensor}, bytes(4)), "names are 1 to 256 bytes")
    yield Case("6 empty name", safetensors_bytes({"": tensor}, bytes(4)), "names are 1 to 256 bytes")
    yield Case("6 escape in a name", safetensors_bytes({"\x1b[2J": tensor}, bytes(4)), "names are 1 to 256 bytes")
    yield Case(
        "6 surrogate in a name",
        safetensors_bytes('{"\\ud800":' + json.dumps(tensor) + "}", bytes(4)),
        "names are 1 to 256|not valid JSON",
    )
    for label, shape in {
        "product wraps to 4": [2**62, 2**2 + 1], "product is 2**64": [2**32, 2**32], "2**42 + 1": [2**42 + 1, 4],
        "negative": [-4], "zero": [0], "five": [1, 1, 1, 1, 4], "fraction": [4.0], "text": ["4"], "truth": [True, 4],
        "none": None, "number": 4, "nested": [[4]],
    }.items():  # fmt: skip
        yield one(f"7 shape {label}", "shape `.*`, allowed are up to 4 sizes", shape=shape)
    yield one("8 sum wraps", "bytes, but U8", shape=[4], data_offsets=[0, 2**63 - 1])
    yield Case("8 two that wrap together", safetensors_bytes(
        {"a": tensor | {"shape": [2**31, 2**31], "data_offsets": [0, 2**62]},
         "b": tensor | {"shape": [2**31, 2**31], "data_offsets": [2**62, 2**63]}}),
        "are not a range|truncated")  # fmt: skip
    for label, offsets in {
        "past the end": [4, 8], "backwards": [4, 0], "negative": [-4, 0], "one": [0], "three": [0, 4, 8],
        "text": ["0", 4], "fraction": [0.0, 4.0], "2**64": [2**64, 2**64 + 4], "truth": [False, 4],
    }.items():  # fmt: skip
        yield one(f"10 offsets {label}", "data_offsets|hole|truncated", data_offsets=offsets)
    yield one("10 hole at the start", "leaves a hole after `header`", bytes(8), data_offsets=[4, 8])
    yield one("10 foreign data at the end", "there is foreign data at the end", bytes(5))
    yield one("10 truncated data", "truncated", bytes(3))
    two = {"a": tensor, "b": tensor | {"data_offsets": [2, 6]}}
    yield Case("10 overlap", safetensors_bytes(two, bytes(6)), "tensor `b` begins at byte .*: overlaps `a`")
    yield Case("10 two at one place", safetensors_bytes({"a": tensor, "b": tensor}, bytes(4)), "overlaps")
    yield Case(
        "10 hole between",
        safetensors_bytes({"a": tensor, "b": tensor | {"data_offsets": [6, 10]}}, bytes(10)),
        "leaves a hole after `a`",
    )
    yield Case(
        "11 tensor twice",
        safetensors_bytes('{"a":' + json.dumps(tensor) + ',"a":' + json.dumps(tensor) + "}", bytes(4)),
        "duplicate key `a`",
    )
    yield Case(
        "11 field twice",
        safetensors_bytes('{"a":{"dtype":"U8","dtype":"U8","shape":[4],"data_offsets":[0,4]}}', bytes(4)),
        "duplicate key `dtype`",
    )
    keys = ",".join(f'"{"k" * 20}{i}":1' for i in range(100_000))
    yield Case(
        "11 100,000 near-equal names",
        safetensors_bytes("{" + keys + ',"' + "k" * 20 + '7":1}'),
        "duplicate key `kkkkkkkkkkkkkkkkkkkk7`",
    )
    for dtype in ("Q4", "u8", "F8", "", None, 7, ["U8"], "U8 " * 1000):
        yield one(f"12 dtype {str(dtype)[:9]!r}", "unknown dtype", dtype=dtype)
    yield one("12 size not the shape's", "4 bytes, but F32 of shape \\[4\\] takes 16", dtype="F32")
    yield Case(
        "14 JSON 100,000 deep", safetensors_bytes('{"a":' + "[" * 100_000 + "]" * 100_000 + "}"), "nested too deeply"
    )
    yield Case("14 JSON 9 deep", safetensors_bytes('{"a":' + '{"a":' * 8 + "1" + "}" * 9), "nested too deeply")
    yield Case("14 JSON of 200 MiB said", (200 << 20).to_bytes(8, "little") + valid[8:], "truncated|header length")
    yield Case("14 JSON of 5 MiB", safetensors_bytes(b"{" + b" " * (5 << 20) + b"}"), "allowed are 2 to 4194304")
    yield Case("14 300,000 values", safetensors_bytes('{"a":[' + "0," * 300_000 + "0]}"), "values, allowed are 250000")
    for number in ("NaN", "Infinity", "-Infinity", "1e999", "-1e999"):
        yield Case(
            f"14 number {number}",
            safetensors_bytes('{"a":{"dtype":"U8","shape":[' + number + '],"data_offsets":[0,4]}}', bytes(4)),
            "not valid JSON",
        )
    yield Case(
        "14 number of 5,000 digits",
        safetensors_bytes('{"a":{"dtype":"U8","shape":[' + "9" * 5000 + '],"data_offsets":[0,4]}}', bytes(4)),
        "not valid JSON",
    )
    for label, text in {
        "trailing comma": '{"a":1,}', "single quotes": "{'a':1}", "comment": '{"a":1/**/}', "NUL": '{"a":"\0"}',
        "unfinished": '{"a":', "two objects": "{}{}", "bare word": '{"a":undefined}',
    }.items():  # fmt: skip
        yield Case(f"14 {label}", safetensors_bytes(text), "not valid JSON")
    yield Case("14 not UTF-8", safetensors_bytes(b'{"\xff":1}'), "not valid JSON")
    yield Case(
        "14 UTF-16", safetensors_bytes('{"a":1}'.encode("utf-16-le")), "not valid JSON|is not an object|duplicate"
    )
    yield Case(
        "16 unknown field",
        safetensors_bytes({"a": tensor | {"code": "os"}}, bytes(4)),
        "not an object of `dtype`, `shape` and `data_offsets`",
    )
    yield Case(
        "16 field missing", safetensors_bytes({"a": {"dtype": "U8", "shape": [4]}}, bytes(4)), "not an object of"
    )
    yield Case("16 entry is a list", safetensors_bytes({"a": [1]}), "not an object of")
    for label, metadata in {"list": [], "numbers": {"a": 1}, "nested": {"a": {}}, "null": None}.items():
        yield Case(
            f"16 metadata {label}",
            safetensors_bytes({"__metadata__": metadata}),
            "`__metadata__` is not an object of strings",
        )
    yield Case("16 weights of another type", valid, "has dtype U8, read are F32, F16, BF16")
    yield Case("20 pickle", pickle.dumps({"a": 1}) + PAYLOAD, "header length|too short|truncated")
    yield Case("20 zip of a pickle", zip_of_a_pickle(), "truncated, or not a safetensors file")
    yield Case("20 model and zip", valid + zip_of_a_pickle(), "there is foreign data at the end")
    yield Case("20 GGUF", model_gguf().build(), "truncated, or not a safetensors file|header length")


def _many_tensors(count: int) -> bytes:
    return safetensors_bytes(
        {f"t{i}": {"dtype": "U8", "shape": [1], "data_offsets": [i, i + 1]} for i in range(count)}, bytes(count)
    )
