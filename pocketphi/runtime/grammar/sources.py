"""What an answer may be, written as the right side of a Lark rule for llguidance, once it is known to be harmless.

Requests are strangers' text, and compiling a grammar can take time and memory out of all proportion to its length:
10,000 properties nine seconds, `[a-z]?` 20,000 times over nine seconds and 1.6 GB. llguidance bounds most of its work
by limits of its own (`compiler.LIMITS`); the limits here are for the steps that it does not count. Within both, the
costliest grammars found take less than a tenth of a second.

JSON is written as `json.dumps` writes it or without spaces: at most one space after a comma or a colon and none
elsewhere, so that no model can spend its answer on white space. Schemas are taken as they are, `$defs` and `$ref` and
the order of properties too; `oneOf` whose parts may overlap and other keywords that llguidance cannot keep to are
refused by name rather than ignored.
"""

import json
import math
import re
import urllib.parse
from collections.abc import Mapping, Sequence
from decimal import Decimal
from typing import Any

import llguidance

from pocketphi.errors import UserError, shown

MAX_SCHEMA_CHARACTERS = 262_144
MAX_SCHEMA_DEPTH = 100
"""Containers within containers; an object's property takes two."""
MAX_SCHEMA_VALUES = 20_000
"""An object counts as eight."""
MAX_PROPERTY_PAIRS = 160_000
"""Sum of the squares of the objects' numbers of properties: the time that these take. One object may have 400."""
MAX_CASES = 256
"""Ways in which the parts of an `allOf` can meet; see `_Cases`."""
MAX_MULTIPLE_OF = 10_000
"""In units of the last decimal: so many remainders are told apart."""
MAX_REGEX_WEIGHT = 8_192
"""Of all patterns of a grammar together; see `_weight`."""
MAX_LARK_CHARACTERS = 16_384
MAX_CHOICE_CHARACTERS = 65_536

_WRITTEN = {"whitespace_flexible": False, "item_separator": ", ?", "key_separator": ": ?"}
"""How JSON is written, in llguidance's words."""
_HEAVY = re.compile(r"\\[wWdDsSpP]")
_WIDE = re.compile(r"[.\[?*+{]")
_JSON_IN_LARK = re.compile(r"%json\b")
_LARK_TEXT = re.compile(r'"(?:[^"\\\n]|\\.)*"|/(?![/*])(?:[^/\\\n]|\\.)+/|//[^\n]*')
"""Strings, regular expressions and comments."""


def schema_source(schema: Mapping[str, Any] | bool) -> str:
    """JSON that `schema` allows.

    Raises:
        UserError: it is too large, too deep, or no JSON.
    """
    if schema is False:
        raise UserError("the JSON schema is `false`: it allows nothing")
    whole: Mapping[str, Any] = {} if schema is True else schema
    _check_schema(whole)
    text = _dumped({**whole, "x-guidance": _WRITTEN})
    if len(text) > MAX_SCHEMA_CHARACTERS:
        raise UserError(
            f"the JSON schema has `{len(text)}` characters", hint=f"at most {MAX_SCHEMA_CHARACTERS} are taken"
        )
    return f"%json {text}"


def regex_source(pattern: str) -> str:
    r"""Text that `pattern` matches as a whole, in the notation of Rust's `regex`; `\d` is 0 to 9.

    Raises:
        UserError: it is too large.
    """
    _check_weight(_weight(pattern))
    return "/" + llguidance.regex_to_lark(pattern, "d").replace("\n", r"\n") + "/"


def choice_source(texts: Sequence[str]) -> str:
    """One of `texts`.

    Raises:
        UserError: there are none, or too many characters in them.
    """
    if not texts:
        raise UserError("there is nothing to choose from", hint="give one text or more")
    size = sum(map(len, texts))
    if size > MAX_CHOICE_CHARACTERS:
        raise UserError(f"the texts to choose from have `{size}` characters", hint=f"give {MAX_CHOICE_CHARACTERS}")
    return " | ".join(map(literal, texts))


def lark_source(text: str) -> str:
    """A whole grammar in llguidance's Lark, checked as far as its cost goes.

    Raises:
        UserError: it is too large, or a JSON schema within it is; it combines expressions by `&` or `~`, which can take
            for ever; it sets options.
    """
    if len(text) > MAX_LARK_CHARACTERS:
        raise UserError(f"the grammar has `{len(text)}` characters", hint=f"at most {MAX_LARK_CHARACTERS} are taken")
    bare = _LARK_TEXT.sub(" ", text)
    _check_weight(sum(_weight(found[0][1:-1]) for found in _LARK_TEXT.finditer(text) if found[0][:2] != "//"))
    for found in _JSON_IN_LARK.finditer(text):
        begin = len(text) - len(text[found.end() :].lstrip())
        try:
            schema, end = json.JSONDecoder().raw_decode(text, begin)
        except (ValueError, RecursionError):
            continue  # it is part of a string, or llguidance will say what is wrong
        if isinstance(schema, dict):
            _check_schema(schema)
            bare = bare.replace(_LARK_TEXT.sub(" ", text[begin:end]), " ")
    for sign in ("%llguidance", "&", "~"):
        if sign in bare:
            raise UserError(f"the grammar holds `{sign}`, which is not taken", hint="write it without")
    return text


def literal(text: str) -> str:
    """Just this text, in Lark."""
    return json.dumps(text, ensure_ascii=False).replace("\x7f", r"\u007f")


def _dumped(schema: Mapping[str, Any]) -> str:
    try:
        return json.dumps(schema, allow_nan=False)
    except (TypeError, ValueError) as error:
        raise UserError(f"the JSON schema is no JSON: {shown(error)}") from None


def _check_schema(schema: Mapping[str, Any]) -> None:
    """Refuse a schema that would take long; nothing here recurses, whatever the depth."""
    values, pairs, weight = 0, 0, 0
    level: list[Any] = [schema]
    for _ in range(MAX_SCHEMA_DEPTH):
        below: list[Any] = []
        for value in level:
            if isinstance(value, Mapping):
                values += 7
                below += value.values()
                weight += sum(_weight(each) for each in _patterns(value))
                properties = value.get("properties")
                pairs += len(properties) ** 2 if isinstance(properties, Mapping) else 0
            elif isinstance(value, list | tuple):
                below += value
        values += len(below)
        if values > MAX_SCHEMA_VALUES:
            raise UserError("the JSON schema is too large", hint=f"at most {MAX_SCHEMA_VALUES} values are taken")
        level = below
    if level:
        raise UserError("the JSON schema is nested too deeply", hint=f"at most {MAX_SCHEMA_DEPTH} levels are taken")
    if pairs > MAX_PROPERTY_PAIRS:
        most = int(MAX_PROPERTY_PAIRS**0.5)
        raise UserError("the JSON schema has too many properties", hint=f"one object may have {most} of them")
    _check_weight(weight)
    _Cases(schema).check()


class _Cases:
    """Counts the ways in which the parts of a schema that hold at the same time can meet.

    llguidance multiplies them out: of two `anyOf` in one `allOf` each part with each. Patterns are intersected, which
    takes time exponential in their number, so each counts as four ways; a `multipleOf` as its remainders.
    """

    def __init__(self, root: Mapping[str, Any]) -> None:
        self._root = root
        self._known: dict[int, int] = {}

    def check(self) -> None:
        """Refuse a schema with too many."""
        todo: list[Any] = [self._root]
        while todo:
            value = todo.pop()
            if isinstance(value, Mapping):
                self._of(value, 0)
                todo += value.values()
            elif isinstance(value, list | tuple):
                todo += value

    def _of(self, schema: Any, depth: int) -> int:
        if not isinstance(schema, Mapping):
            return 1
        if id(schema) in self._known:
            return self._known[id(schema)]
        if depth > MAX_SCHEMA_DEPTH:
            raise UserError("references of the JSON schema lead too far", hint=f"{MAX_SCHEMA_DEPTH} steps are taken")
        self._known[id(schema)] = 1  # for a schema within itself
        factors = [self._of(self._target(schema.get("$ref")), depth + 1)]
        factors += [4 ** len(_patterns(schema)[:8]), _remainders(schema.get("multipleOf"))]
        factors += [self._of(part, depth + 1) for part in _parts(schema, "allOf")]
        factors += [sum(self._of(part, depth + 1) for part in _parts(schema, key)) for key in ("anyOf", "oneOf")]
        several = [factor for factor in factors if factor > 1]
        cases = math.prod(several)
        if len(several) > 1 and cases > MAX_CASES:
            raise UserError("the JSON schema joins too many conditions by `allOf`", hint="write fewer, or simpler ones")
        self._known[id(schema)] = cases
        return cases

    def _target(self, reference: Any) -> Any:
        """What a reference within the schema names, if it is one."""
        if not isinstance(reference, str) or not reference.startswith("#"):
            return None
        found: Any = self._root
        for name in reference[1:].split("/")[1:]:
            name = urllib.parse.unquote(name).replace("~1", "/").replace("~0", "~")
            if isinstance(found, list | tuple):
                found = found[int(name)] if name.isascii() and name.isdigit() and int(name) < len(found) else None
            else:
                found = found.get(name) if isinstance(found, Mapping) else None
        return found


def _parts(schema: Mapping[str, Any], key: str) -> Sequence[Any]:
    parts = schema.get(key)
    return parts if isinstance(parts, list | tuple) else ()


def _remainders(divisor: Any) -> int:
    """How many a `multipleOf` tells apart, in units of its last decimal."""
    if not isinstance(divisor, int | float) or not math.isfinite(divisor):
        return 1
    count = int("".join(map(str, Decimal(str(divisor)).as_tuple().digits)))
    if count > MAX_MULTIPLE_OF:
        raise UserError(f"`multipleOf` is `{shown(divisor)}`", hint=f"at most {MAX_MULTIPLE_OF} can be kept to")
    return count


def _patterns(schema: Mapping[str, Any]) -> list[str]:
    """Regular expressions of a schema, not of those within it."""
    keyed = schema.get("patternProperties")
    patterns = [schema.get("pattern"), *(keyed if isinstance(keyed, Mapping) else ())]
    return [pattern for pattern in patterns if isinstance(pattern, str)]


def _weight(pattern: str) -> int:
    """What a pattern costs, measured in plain characters.

    A class of Unicode such as `\\w` becomes hundreds of ranges of bytes before any limit of llguidance's counts.
    """
    if len(pattern) > MAX_REGEX_WEIGHT:
        return len(pattern)
    factor = 4 if "(?" in pattern else 1  # flags: a letter in any case
    return factor * (len(pattern) + 64 * len(_HEAVY.findall(pattern)) + 8 * len(_WIDE.findall(pattern)))


def _check_weight(weight: int) -> None:
    if weight > MAX_REGEX_WEIGHT:
        raise UserError(
            "the regular expressions are too large",
            hint=rf"{MAX_REGEX_WEIGHT} characters are taken; `\w`, `\s`, `\p` count as 64, `.[?*+{{` as 8 each",
        )
