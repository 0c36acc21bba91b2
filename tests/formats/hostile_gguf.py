"""Crafted bad GGUF files; `hostile` says how they are numbered."""

import pickle
import struct
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np

from formats.builders import (
    ARRAY,
    BOOL,
    F32,
    F64,
    I32,
    STRING,
    U8,
    U32,
    U64,
    Entry,
    Gguf,
    Tensor,
    array,
    model_gguf,
    scalar,
    small_safetensors,
    string,
)
from formats.hostile import HUGE, PAYLOAD, Case, zip_of_a_pickle
from pocketphi.formats.ggml import GgmlType


def gguf_cases() -> Iterator[Case]:
    valid = model_gguf().build()

    def change(name: str, message: str, edit: Callable[[Gguf], Any]) -> Case:
        file = model_gguf()
        edit(file)
        return Case(name, file.build(), message)

    def first(name: str, message: str, **fields: Any) -> Case:
        """Change the first tensor."""

        def edit(file: Gguf) -> None:
            for field, value in fields.items():
                setattr(file.tensors[0], field, value)

        return change(name, message, edit)

    yield Case("1 empty", b"", "not a GGUF file: too short")
    yield Case("1 one byte", b"G", "not a GGUF file: too short")
    yield Case("1 three bytes", b"GGU", "not a GGUF file: too short")
    yield Case("1 magic only", b"GGUF", "truncated: version takes 4 bytes at byte 4, 0 are left")
    yield Case("2 wrong magic", b"GGML" + valid[4:], "not a GGUF file: it begins with")
    for version in (0, 1, 4, 2**32 - 1):
        yield change(
            f"2 version {version}",
            f"version {version}, this pocketphi reads",
            lambda f, v=version: setattr(f, "version", v),
        )
    yield change("2 big endian", "version 3 in big-endian byte order", lambda f: setattr(f, "version", 3 << 24))
    for part in (5, 8, 12, 20, 24, 30, 60, 200, 1000, len(valid) // 2, len(valid) - 33):
        yield Case(f"3 cut at {part}", valid[:part], "truncated")
    for count in HUGE:
        yield change(
            f"5 {count} tensors", f"{count} tensors, allowed are 8192", lambda f, n=count: setattr(f, "num_tensors", n)
        )
        yield change(
            f"5 {count} entries",
            f"{count} metadata entries, allowed are 4096",
            lambda f, n=count: setattr(f, "num_entries", n),
        )
        raw = struct.pack("<IQ", U32, count)
        yield change(
            f"5 array of {count}",
            f"has {count} values, allowed are",
            lambda f, r=raw: f.entries.insert(0, Entry("a", ARRAY, r)),
        )
        raw = struct.pack("<IQ", STRING, count)
        yield change(
            f"5 {count} strings",
            f"has {count} values, allowed are",
            lambda f, r=raw: f.entries.insert(0, Entry("a", ARRAY, r)),
        )
        raw = struct.pack("<Q", count)
        yield change(
            f"6 string of {count}",
            f"has {count} bytes, allowed are",
            lambda f, r=raw: f.entries.insert(0, Entry("a", STRING, r)),
        )
        raw = struct.pack("<IQQ", STRING, 1, count)
        yield change(
            f"6 element of {count}",
            f"`a\\[0\\]` has {count} bytes",
            lambda f, r=raw: f.entries.insert(0, Entry("a", ARRAY, r)),
        )
    yield change("5 8193 tensors", "8193 tensors, allowed are 8192", lambda f: setattr(f, "num_tensors", 8193))
    yield change("5 4097 entries", "4097 metadata entries, allowed are 4096", lambda f: setattr(f, "num_entries", 4097))
    yield change(
        "5 one tensor too many",
        "truncated|is not UTF-8|dimensions|names are|bytes, allowed",
        lambda f: setattr(f, "num_tensors", 21),
    )
    yield change("5 one tensor too few", "foreign data at the end|expected", lambda f: setattr(f, "num_tensors", 19))
    yield change(
        "5 one entry too many",
        "truncated|unknown type|bytes, allowed|not UTF-8",
        lambda f: setattr(f, "num_entries", len(f.entries) + 1),
    )
    yield change("5 two large arrays", "allowed are 1048576 \\(2097152 in a file\\)", _three_large_arrays)
    yield change(
        "6 string past the end", "truncated", lambda f: f.entries.append(Entry("z", STRING, struct.pack("<Q", 2**20)))
    )
    yield change("6 key of 257 bytes", "has 257 bytes, allowed are 256", lambda f: f.put("k" * 257, U32, 1))
    yield change("6 empty key", "names are printable text", lambda f: f.put("", U32, 1))
    yield change("6 key with an escape", "names are printable text", lambda f: f.put("\x1b[31m", U32, 1))
    yield change(
        "6 key that is not UTF-8", "not UTF-8", lambda f: f.entries.append(Entry(b"\xff\xfe", U32, scalar(U32, 1)))
    )
    yield change(
        "6 value that is not UTF-8",
        "`general.name` is .*, not UTF-8",
        lambda f: f.entries.append(Entry("general.name", STRING, string(b"\xc3\x28"))),
    )
    yield change(
        "6 string of 1 MiB + 1",
        "has 1048577 bytes, allowed are 1048576",
        lambda f: f.put("a", STRING, "x" * (2**20 + 1)),
    )
    yield change(
        "6 metadata of 33 MiB",
        "metadata of more than|allowed are 33554432",
        lambda f: [f.put(f"k{i}", STRING, "x" * 2**20) for i in range(33)],
    )
    name = "`token_embd.weight`"
    for label, dimensions in {
        "wraps to 0": [2**42 + 1, 2**22], "product is 2**64": [2**32, 2**32], "largest": [2**64 - 1, 1],
        "2**31 + 32": [2**31 + 32, 1], "0 columns": [0, 272], "0 rows": [64, 0],
    }.items():  # fmt: skip
        yield first(
            f"7 {label}", f"tensor {name} has shape .*, allowed are sizes of 1 to 2147483648", dimensions=dimensions
        )
    yield first("7 five dimensions", f"{name} has 5 dimensions, allowed are 1 to 4", dimensions=[64, 272, 1, 1, 1])
    yield first("7 no dimension", f"{name} has 0 dimensions", dimensions=[])
    yield first("7 2**32 - 1 dimensions", f"{name} has 4294967295 dimensions", num_dimensions=2**32 - 1)
    yield first("7 larger than the data", "overlaps|truncated", dimensions=[64, 2**20])
    yield first("7 smaller than the data", "leaves a hole before it", dimensions=[64, 8])
    yield first("7 three dimensions", "expected a matrix or a vector", dimensions=[64, 16, 17])
    yield change("8 two that wrap together", "truncated|expected|sizes of 1", _wrapping_pair)
    for alignment in (0, 1, 13, 16, 256, 2**31):
        yield change(
            f"9 alignment {alignment}",
            f"`general.alignment` is `{alignment}` of type 4, allowed are",
            lambda f, a=alignment: f.put("general.alignment", U32, a),
        )
    yield change(
        "9 alignment is text", "`general.alignment` is `32`", lambda f: f.put("general.alignment", STRING, "32")
    )
    yield change(
        "9 alignment is a float", "`general.alignment` is `32.0`", lambda f: f.put("general.alignment", F32, 32.0)
    )
    yield change("9 alignment is true", "`general.alignment` is `True`", lambda f: f.put("general.alignment", BOOL, 1))
    for offset in (2**20, 2**63, 2**64 - 32):
        yield first(f"10 offset {offset}", "leaves a hole before it|truncated", offset=offset)
    yield first("10 offset 7", "leaves a hole before it|overlaps", offset=7)
    yield change("10 two at one offset", "overlaps the tensor before", lambda f: setattr(f.tensors[1], "offset", 0))
    yield change("10 overlap by a block", "overlaps the tensor before", lambda f: setattr(f.tensors[1], "offset", 32))
    yield change(
        "10 hidden data between",
        "leaves a hole before it",
        lambda f: setattr(f.tensors[1], "offset", 64 * 272 * 2 + 32),
    )
    yield change("10 hidden data at the end", "foreign data at the end", lambda f: setattr(f, "tail", b"x" * 32))
    yield change("10 one byte at the end", "foreign data at the end", lambda f: setattr(f, "tail", b"x"))
    yield change(
        "11 key twice",
        "metadata key `llama.block_count` occurs twice",
        lambda f: f.entries.append(Entry("llama.block_count", U32, scalar(U32, 2))),
    )
    yield change("11 tensor twice", "tensor `token_embd.weight` occurs twice", lambda f: f.tensors.append(f.tensors[0]))
    yield change("11 4,000 near-equal keys", "key `kkkkkkkkkkkkkkkkkkkkkkkkkkk0` occurs twice", _near_equal_keys)
    for kind in (4, 5, 31, 99, 2**31, 2**32 - 1):
        yield first(f"12 type {kind}", f"`token_embd.weight` has type {kind}, read are F32", kind=kind)
    for kind, text in {10: "Q2_K", 23: "IQ4_XS", 28: "F64", 39: "MXFP4"}.items():
        yield first(f"12 type {text}", f"has type {text}, read are F32", kind=kind)
    yield first("12 row no multiple of the block", "has rows of 64, Q4_K needs a multiple of 256", kind=GgmlType.Q4_K)
    for kind in (13, 99, 2**32 - 1):
        yield change(
            f"12 value type {kind}",
            f"has unknown type {kind}",
            lambda f, k=kind: f.entries.insert(0, Entry("a", k, b"")),
        )
        raw = struct.pack("<IQ", kind, 1)
        yield change(
            f"12 element type {kind}",
            f"has element type {kind}: unknown",
            lambda f, r=raw: f.entries.insert(0, Entry("a", ARRAY, r)),
        )
    yield change(
        "12 truth value 2", "`a` is 2, a truth value is 0 or 1", lambda f: f.entries.insert(0, Entry("a", BOOL, b"\2"))
    )
    yield from _vocabulary_cases(change)
    nested = struct.pack("<IQ", ARRAY, 1) * 10_000
    yield change(
        "14 arrays 10,000 deep",
        "arrays of arrays are not read",
        lambda f: f.entries.insert(0, Entry("a", ARRAY, nested)),
    )
    yield change("15 rope theta NaN", "`rope_theta` is `nan`", lambda f: f.put("llama.rope.freq_base", F32, np.nan))
    yield change(
        "15 negative epsilon", "`rms_norm_eps`", lambda f: f.put("llama.attention.layer_norm_rms_epsilon", F32, -1e-5)
    )
    yield change(
        "15 10**9 layers", "`num_hidden_layers` is 1000000000", lambda f: f.put("llama.block_count", U32, 10**9)
    )
    yield change("15 no heads", "head_count` is 0", lambda f: f.put("llama.attention.head_count", U32, 0))
    yield change(
        "15 2**63 wide",
        "`llama.rope.dimension_count` is 16, only",
        lambda f: f.put("llama.embedding_length", U64, 2**63),
    )
    yield change(
        "15 width is a float",
        "`llama.embedding_length` is `64.0`, not a number",
        lambda f: f.put("llama.embedding_length", F64, 64.0),
    )
    yield change(
        "15 heads per layer",
        "`llama.attention.head_count` is",
        lambda f: f.put("llama.attention.head_count", ARRAY, array(U32, [4, 4])),
    )
    yield change("15 mixture of experts", "mixtures of experts", lambda f: f.put("llama.expert_count", U32, 8))
    yield change(
        "15 other architecture",
        "`general.architecture` is `phi2`",
        lambda f: f.put("general.architecture", STRING, "phi2"),
    )
    yield change("16 tensor missing", "1 tensors are missing: `output_norm.weight`", lambda f: f.tensors.pop(1))
    yield change("16 tensors without name", "names are printable text", lambda f: setattr(f.tensors[0], "name", ""))
    yield change(
        "16 tensor foreign",
        "are not of this architecture: `evil`",
        lambda f: f.tensors.append(Tensor("evil", GgmlType.F32, [8], bytes(32))),
    )
    yield change("16 shape not the config's", "expected", lambda f: f.put("llama.feed_forward_length", U32, 128))
    yield change("16 norm is a matrix", "wrong shape", lambda f: setattr(f.tensors[1], "dimensions", [32, 2]))
    yield change(
        "16 more tokens than rows",
        "the tokenizer has 264 tokens, the embedding only 200 rows",
        lambda f: f.tensors.__setitem__(slice(None), model_gguf(rows=200).tensors),
    )
    for kind in (GgmlType.F16, GgmlType.Q4_0, GgmlType.Q8_0):
        for label, bits in {"NaN": b"\x01\x7c", "infinity": b"\x00\xfc"}.items():
            file = model_gguf({"": kind})
            weight = file.tensors[3]
            weight.data = bits + weight.data[2:]
            yield Case(f"17 {kind.name} {label}", file.build(), f"`{weight.name}`.*(not finite|half precision)")
    for text in (
        "{{ self.__init__.__globals__.os.system('id') }}",
        "{% for a in range(9**9) %}{% endfor %}",
        "x" * 10**6,
    ):
        yield change(
            f"18 template {text[:20]}",
            "templates in files are never run",
            lambda f, t=text: f.put("tokenizer.chat_template", STRING, t),
        )
    yield Case("20 pickle", pickle.dumps({"a": 1}) + PAYLOAD, "not a GGUF file")
    yield Case("20 zip", zip_of_a_pickle(), "not a GGUF file")
    yield Case("20 safetensors", small_safetensors(), "not a GGUF file")
    yield Case("20 model and zip", valid + zip_of_a_pickle(), "foreign data at the end")


def _vocabulary_cases(change: Callable[[str, str, Callable[[Gguf], Any]], Case]) -> Iterator[Case]:
    prefix = "tokenizer.ggml."
    tokens = ["a", "b", "ab"]

    def put(name: str, message: str, **values: Any) -> Case:
        def edit(file: Gguf) -> None:
            for key, (kind, value) in values.items():
                file.put(prefix + key, kind, value)

        return change(f"13 {name}", message, edit)

    yield put("tokens typed UINT8", "`tokenizer.ggml.tokens` holds a int", tokens=(ARRAY, array(U8, [1, 2, 3])))
    yield put("tokens are text", "`tokenizer.ggml.tokens` is not an array", tokens=(STRING, "abc"))
    yield put(
        "types typed FLOAT32", "`tokenizer.ggml.token_type` holds a float", token_type=(ARRAY, array(F32, [1.0] * 264))
    )
    yield put("too few types", "has 3 entries for 264 tokens", token_type=(ARRAY, array(I32, [1, 1, 1])))
    yield put("unknown type", "`tokenizer.ggml.token_type` holds 99", token_type=(ARRAY, array(I32, [99] * 264)))
    yield put(
        "merge of absent tokens", "names a token that does not exist|`zz`", merges=(ARRAY, array(STRING, ["q zz"]))
    )
    yield put(
        "merge of one token", "`tokenizer.ggml.merges` entry 0 is not a pair", merges=(ARRAY, array(STRING, ["ab"]))
    )
    few = {"tokens": (ARRAY, array(STRING, [*tokens, "a"])), "token_type": (ARRAY, array(I32, [1] * 4)),
           "merges": (ARRAY, array(STRING, [])), "eos_token_id": (U32, 0)}  # fmt: skip
    yield put("duplicate tokens", "token `'a'` occurs twice", **few)
    yield put("empty token", "token 3 is empty", **few | {"tokens": (ARRAY, array(STRING, [*tokens, ""]))})
    yield put(
        "token of 2 KiB",
        "has 2048 bytes, at most 1024",
        **few | {"tokens": (ARRAY, array(STRING, [*tokens, "x" * 2048]))},
    )
    yield put(
        "token that is not UTF-8", "not UTF-8", **few | {"tokens": (ARRAY, array(STRING, [b"a", b"b", b"\xff", b"c"]))}
    )
    yield put("id out of range", "`tokenizer.ggml.eos_token_id` is 264, outside", eos_token_id=(U32, 264))
    yield put("id of 2**32 - 1", "`tokenizer.ggml.eos_token_id` is 4294967295", eos_token_id=(U32, 2**32 - 1))
    yield put("id is a float", "`tokenizer.ggml.eos_token_id` is a float", eos_token_id=(F32, 1.0))
    yield put("unknown model", "`tokenizer.ggml.model` is `unigram`", model=(STRING, "unigram"))
    scores = {"model": (STRING, "llama"), "scores": (ARRAY, array(U8, [1] * 264))}
    yield put("scores typed UINT8", "`tokenizer.ggml.scores` holds a int", **scores)
    yield put(
        "scores NaN", "holds a score that is not finite", **scores | {"scores": (ARRAY, array(F32, [np.nan] * 264))}
    )


def _three_large_arrays(file: Gguf) -> None:
    raw = struct.pack("<IQ", U8, 2**20) + bytes(2**20)
    file.entries[:0] = [Entry(f"a{i}", ARRAY, raw) for i in range(3)]


def _near_equal_keys(file: Gguf) -> None:
    file.entries = [Entry("k" * 27 + str(i), U8, b"\0") for i in [*range(4000), 0]]


def _wrapping_pair(file: Gguf) -> None:
    for tensor in file.tensors[:2]:
        tensor.kind, tensor.dimensions = GgmlType.F32, [2**31, 2**31, 2**31 // 4 - 1]
