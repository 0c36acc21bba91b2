"""Crafted bad .pocket files; `hostile` says how they are numbered."""

import json
from collections.abc import Callable, Iterator
from typing import Any

from formats.builders import (
    model_gguf,
    rebuild_pocket,
    seal,
    small_safetensors,
    split_pocket,
)
from formats.hostile import HUGE, Case, zip_of_a_pickle


def pocket_cases(valid: bytes) -> Iterator[Case]:
    """Cases from the bytes of a valid file."""
    header, data = split_pocket(valid)
    end = len(valid) - len(data)

    def meta(name: str, message: str, **changes: Any) -> Case:
        """Change metadata values; a callable gets the parsed value and changes it in place."""
        fields = json.loads(json.dumps(header))
        for key, value in changes.items():
            if callable(value):
                inner = json.loads(fields["__metadata__"][key])
                value(inner)
                value = json.dumps(inner)
            fields["__metadata__"][key] = value
        return Case(name, rebuild_pocket(fields, data), message)

    def place(name: str, message: str, edit: Callable[[dict[str, Any]], Any]) -> Case:
        fields = json.loads(json.dumps(header))
        edit(fields)
        return Case(name, rebuild_pocket(fields, data), message)

    def table(name: str, message: str, tensor: str = "model.norm.weight", **changes: Any) -> Case:
        return meta(name, message, tensors=lambda inner: inner[tensor].update(changes))

    yield Case("1 empty", b"", "too short")
    yield Case("1 one byte", b"x", "too short")
    yield Case("2 GGUF", model_gguf().build(), "a GGUF file, not a `.pocket` file")
    yield Case("2 safetensors", small_safetensors(), "it states no `pocket_version`")
    for version in ("0", "2", "999"):
        yield meta(
            f"2 version {version}", f"pocket_version {version}, this pocketphi reads version 1", pocket_version=version
        )
    yield meta("2 version x", "states no `pocket_version`", pocket_version="x")
    for part in (7, 8, 100, end - 1, end, end + 64, len(valid) - 64, len(valid) - 1):
        yield Case(f"3 cut at {part}", valid[:part], "truncated|too short")
    for at in (end + 1, (end + len(valid)) // 2, len(valid) - 70):
        yield Case(
            f"4 bit of data {at}", valid[:at] + bytes([valid[at] ^ 16]) + valid[at + 1 :], "is damaged: its SHA-256 is"
        )
    for at in (0, 9, 40, 300, end - 1):
        yield Case(
            f"4 bit of header {at}",
            valid[:at] + bytes([valid[at] ^ 1]) + valid[at + 1 :],
            "damaged|header length|truncated|pocket_version|header",
        )
    yield Case(
        "4 digest twice",
        seal(valid.replace(b'"lineage":', b'"header_sha256":"' + b"0" * 64 + b'","lineage":', 1)),
        "header",
    )
    for count in HUGE:
        yield Case(f"5 header length {count}", count.to_bytes(8, "little") + valid[8:], "header length")
    yield Case("10 foreign data at the end", valid + bytes(64), "there is foreign data at the end")
    yield place("10 hole", "hole|overlaps|truncated", lambda f: f["model.norm.weight"].update(data_offsets=[0, 320]))
    yield place("10 tensors swapped", "damaged|expected", _swap_two)
    yield place("11 tensor gone from the layout", "hole|header's tensors", lambda f: f.pop("model.norm.weight"))
    yield place("12 not U8", "expected U8", lambda f: f["model.norm.weight"].update(dtype="I8"))
    yield table("12 unknown format", "unknown format `q3`, known: f32", "lm_head.weight", format="q3")
    yield table("12 format is a number", "unknown format `4`", "lm_head.weight", format=4)
    yield table("12 unknown group", "`q4` in groups of `48`, allowed", "lm_head.weight", group=48)
    yield table("12 group 0", "`q4` in groups of `0`", "lm_head.weight", group=0)
    yield table("12 group is true", "in groups of `True`", "lm_head.weight", group=True)
    yield table("12 other format of another size", "expected U8 of", "lm_head.weight", format="q8")
    yield table("12 norm in 4 bits", "vectors are f32, matrices are not", format="q4", group=32)
    yield table("12 matrix in f32", "vectors are f32, matrices are not", "lm_head.weight", format="f32", group=0)
    yield meta("14 tensors no JSON", "tensors: not valid JSON", tensors="{")
    yield meta("14 config no JSON", "config: not valid JSON", config="{'a'}")
    yield meta("14 lineage deep", "nested too deeply", lineage='{"a":' * 20 + "1" + "}" * 20)
    yield meta("14 chat NaN", "chat: not valid JSON", chat='{"template":NaN}')
    yield meta("14 config a list", "JSON holds list, not an object", config="[]")
    for field, value, message in [
        ("num_attention_heads", 0, "`num_attention_heads` is 0"), ("num_attention_heads", 5, "does not divide"),
        ("num_hidden_layers", 10**9, "`num_hidden_layers` is 1000000000"), ("rope_theta", 0, "`rope_theta`"),
        ("max_position_embeddings", 2**31, "`max_position_embeddings` is 2147483648"),
        ("rms_norm_eps", -1, "`rms_norm_eps`"),
        ("vocab_size", 10**8, "`vocab_size` is 100000000"), ("model_type", "gpt2", "architecture `gpt2`"),
        ("auto_map", {"AutoConfig": "evil.C"}, "`auto_map`"),
        ("_attn_implementation_internal", "x", "unknown config key"),
        ("hidden_size", 10**6, "`hidden_size` is 1000000"), ("attention_bias", True, "`attention_bias`"),
        ("vocab_size", 271, "shape"), ("num_hidden_layers", 3, "tensors missing"),
        ("num_hidden_layers", 1, "tensors foreign"),
    ]:  # fmt: skip
        label = f"{'19' if 'auto' in field or field[0] == '_' else '15'} {field} {value}"
        yield meta(label, message, config=lambda inner, f=field, v=value: inner.update({f: v}))
    yield table("16 other shape", "shape `\\[1, 80\\]`, the config needs \\[1, 72\\]", shape=[1, 80])
    yield table("16 shape of floats", "shape `\\[1.0, 72.0\\]`", shape=[1.0, 72.0])
    yield table("16 shape huge", "shape", shape=[2**62, 4])
    yield table("16 digest too short", "is not 64 hexadecimal digits", sha256="ab")
    yield table("16 digest is a number", "is not 64 hexadecimal digits", sha256=7)
    yield table("16 unknown field", "not an object of `format`", code="os")
    yield table("16 other digest", "is damaged: its SHA-256 is", sha256="0" * 64)
    yield meta(
        "16 line missing", "1 tensors missing: `lm_head.weight`", tensors=lambda inner: inner.pop("lm_head.weight")
    )
    yield meta("16 line foreign", "1 tensors foreign: `evil`", tensors=lambda inner: inner.update(evil={}))
    yield meta("16 no tokenizer", "1 tensors missing: `tokenizer`", tensors=lambda inner: inner.pop("tokenizer"))
    yield meta("16 unknown metadata", "header keys", code="import os")
    for field, value, message in [
        ("stop_token_ids", [], "stop_token_ids `\\[\\]`"), ("stop_token_ids", [10**9], "token id `1000000000`"),
        ("stop_token_ids", ["1"], "token id `1`"), ("stop_token_ids", 5, "stop_token_ids `5`"),
        ("bos_token_id", -1, "token id `-1`"),
        ("template", 7, "template `7` is not a name"), ("template", "x" * 1000, "is not a name"),
        ("extra", 1, "are not those of chat"),
    ]:  # fmt: skip
        yield meta(
            f"16 chat {field} {str(value)[:9]}", message, chat=lambda inner, f=field, v=value: inner.update({f: v})
        )
    for label, bits in {"NaN": b"\x01\x7e", "infinity": b"\x00\x7c"}.items():
        yield Case(
            f"17 scale {label}",
            with_data(valid, "lm_head.weight", bits),
            "`lm_head.weight` holds a number that is not finite",
        )
    yield Case(
        "17 norm NaN", with_data(valid, "model.norm.weight", b"\xff\xff\xff\x7f"), "`model.norm.weight` holds a number"
    )
    yield Case("20 polyglot", valid + zip_of_a_pickle(), "there is foreign data at the end")


def with_data(valid: bytes, tensor: str, start: bytes) -> bytes:
    """A .pocket file whose tensor begins with other bytes, its digests true."""
    import hashlib

    header, data = split_pocket(valid)
    begin, end = header[tensor]["data_offsets"]
    data = data[:begin] + start + data[begin + len(start) :]
    table = json.loads(header["__metadata__"]["tensors"])
    table[tensor]["sha256"] = hashlib.sha256(data[begin:end]).hexdigest()
    header["__metadata__"]["tensors"] = json.dumps(table)
    return rebuild_pocket(header, data)


def _swap_two(fields: dict[str, Any]) -> None:
    one, two = "model.layers.0.self_attn.o_proj.weight", "model.layers.1.self_attn.o_proj.weight"
    fields[one], fields[two] = fields[two], fields[one]
