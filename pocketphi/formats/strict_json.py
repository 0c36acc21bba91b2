"""JSON from strangers: bounded in size, depth and number of values; no duplicate keys, no NaN or infinity, no lone
surrogates."""

import json
import math
import re
from typing import Any, NoReturn

from pocketphi.errors import UserError, shown
from pocketphi.formats.limits import MAX_JSON_BYTES, MAX_JSON_DEPTH, MAX_JSON_VALUES


def parse_json(
    raw: bytes | str,
    where: str,
    max_bytes: int = MAX_JSON_BYTES,
    *,
    max_depth: int = MAX_JSON_DEPTH,
    is_javascript: bool = False,
) -> dict[str, Any]:
    """Parse a JSON object.

    Args:
        raw: UTF-8 text, decoded or not.
        where: names the file (and field) in errors.
        max_bytes: the longest text that is looked at.
        max_depth: containers within containers.
        is_javascript: 5.0 is the integer 5, as in JavaScript and JSON Schema, which have one kind of number.

    Raises:
        UserError: it is not JSON, not an object, or breaks a limit.
    """
    if len(raw) > max_bytes:
        raise UserError(f"{where}: JSON of {len(raw)} bytes, allowed are {max_bytes}")
    # Each of these bytes stands for at most one value of the parsed form, so counting them bounds its memory.
    marks = map(raw.count, ",:[{") if isinstance(raw, str) else map(raw.count, (b",", b":", b"[", b"{"))
    values = sum(marks)
    if values > MAX_JSON_VALUES:
        raise UserError(f"{where}: JSON of {values} values, allowed are {MAX_JSON_VALUES}")
    try:
        text = raw if isinstance(raw, str) else raw.decode("utf-8")
        parsed = (_JAVASCRIPT if is_javascript else _DECODER).decode(text)
        if _SURROGATE.search(text) is not None:
            json.dumps(parsed, ensure_ascii=False).encode("utf-8")  # a lone one cannot be encoded, a pair can
    except RecursionError:
        raise UserError(f"{where}: JSON nested too deeply, allowed are {max_depth} levels") from None
    except ValueError as error:  # bad UTF-8 and JSONDecodeError too
        raise UserError(f"{where}: not valid JSON: {shown(error)}") from None
    if not isinstance(parsed, dict):
        raise UserError(f"{where}: JSON holds {type(parsed).__name__}, not an object")
    if _is_deeper(parsed, max_depth):
        raise UserError(f"{where}: JSON nested too deeply, allowed are {max_depth} levels")
    return parsed


def dump_json(value: object) -> str:
    """Compact JSON, ASCII only, keys in the order given: the same value gives the same bytes."""
    return json.dumps(value, separators=(",", ":"), ensure_ascii=True, allow_nan=False)


def _object(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) != len(pairs):
        seen: set[str] = set()
        for name, _ in pairs:
            if name in seen:
                raise ValueError(f"duplicate key `{shown(name)}`")
            seen.add(name)
    return found


def _float(text: str) -> float:
    value = float(text)
    if not math.isfinite(value):
        raise ValueError(f"number `{shown(text)}` is too large")
    return value


def _number(text: str) -> float:
    value = _float(text)
    return int(value) if value.is_integer() and abs(value) <= 2**64 else value


def _constant(text: str) -> NoReturn:
    raise ValueError(f"`{text}` is not a number")


def _is_deeper(value: Any, levels: int) -> bool:
    layer = [value]
    for _ in range(levels):
        layer = [
            part
            for container in layer
            for part in (container.values() if isinstance(container, dict) else container)
            if isinstance(part, dict | list)
        ]
        if not layer:
            return False
    return True


_SURROGATE = re.compile(r"\\u[dD][89a-fA-F]")
_DECODER = json.JSONDecoder(object_pairs_hook=_object, parse_float=_float, parse_constant=_constant)
_JAVASCRIPT = json.JSONDecoder(object_pairs_hook=_object, parse_float=_number, parse_constant=_constant)
