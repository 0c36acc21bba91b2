"""Random JSON schemas, the same for the same seed: all types, nested, with what real ones hold.

In the manner of hypothesis-jsonschema's own, but drawn from a `Random`, so that a benchmark can name them by number.
Most can be satisfied by construction; one in twenty has a keyword that no grammar keeps to.
"""

from collections.abc import Callable
from random import Random
from typing import Any

Schema = dict[str, Any]
WORDS = (
    *("name", "age", "title", "city", "country", "price", "amount", "tags", "items", "user", "email", "notes"),
    *("status", "kind", "color", "size", "score", "year", "month", "author", "address", "phone", "parent"),
    *("children", "value", "unit", "count", "label", "summary", "reason", "steps", "result"),
)
PATTERNS = ("^[A-Z]{3}-[0-9]{4}$", "^[a-z]{2,8}$", "^(yes|no|maybe)$", "^#[0-9a-f]{6}$", "^[A-Z][a-z]+( [A-Z][a-z]+)?$")
FORMATS = ("date", "time", "date-time", "email", "uuid", "ipv4")
UNKEPT: tuple[Schema, ...] = ({"uniqueItems": True}, {"not": {"type": "null"}}, {"propertyNames": {"maxLength": 9}})


def random_schema(seed: int) -> Schema:
    """Schema number `seed`."""
    random = Random(f"schema {seed}")
    schema = _schema(random, 3)
    if random.random() < 0.15:
        leaf = _schema(random, 1)
        schema = {
            "$defs": {"leaf": leaf},
            "type": "object",
            "properties": {"first": {"$ref": "#/$defs/leaf"}, "rest": schema},
            "required": ["first", "rest"],
            "additionalProperties": False,
        }
    if random.random() < 0.05:
        schema = {**schema, **random.choice(UNKEPT)}
    return schema


def _schema(random: Random, depth: int) -> Schema:
    makers: list[Callable[[Random, int], Schema]] = [_string, _integer, _number, _boolean, _null, _enum, _const]
    if depth > 0:
        makers += [_object, _object, _object, _object, _array, _array, _any_of, _one_of]
    return random.choice(makers)(random, depth)


def _string(random: Random, _: int) -> Schema:
    schema: Schema = {"type": "string"}
    kind = random.randrange(5)
    if kind == 0:
        least = random.randrange(8)
        schema |= {"minLength": least, "maxLength": least + random.randrange(1, 40)}
    elif kind == 1:
        schema["pattern"] = random.choice(PATTERNS)
    elif kind == 2:
        schema["format"] = random.choice(FORMATS)
    return schema


def _integer(random: Random, _: int) -> Schema:
    schema: Schema = {"type": "integer"}
    if random.random() < 0.5:
        least = random.randrange(-1000, 1000)
        schema |= {"minimum": least, "maximum": least + random.randrange(500)}
    elif random.random() < 0.3:
        schema["multipleOf"] = random.choice((2, 3, 5, 10, 60))
    return schema


def _number(random: Random, _: int) -> Schema:
    schema: Schema = {"type": "number"}
    if random.random() < 0.5:
        least = random.randrange(-100, 100) / 2
        schema |= {"minimum": least, "exclusiveMaximum": least + random.randrange(1, 100)}
    return schema


def _boolean(_: Random, __: int) -> Schema:
    return {"type": "boolean"}


def _null(_: Random, __: int) -> Schema:
    return {"type": "null"}


def _enum(random: Random, _: int) -> Schema:
    values: list[Any] = [*random.sample(WORDS, random.randrange(1, 6)), 7, None, 'a "quoted" word', "ÄÖ 漢字"]
    return {"enum": random.sample(values, random.randrange(1, len(values)))}


def _const(random: Random, _: int) -> Schema:
    return {"const": random.choice(["fixed", 42, -1.5, True, None, ["a", 1], {"k": "v"}])}


def _object(random: Random, depth: int) -> Schema:
    names = random.sample(WORDS, random.randrange(1, 6))
    schema: Schema = {"type": "object", "properties": {name: _schema(random, depth - 1) for name in names}}
    schema["required"] = [name for name in names if random.random() < 0.7]
    extra = random.random()
    if extra < 0.6:
        schema["additionalProperties"] = False
    elif extra < 0.75:
        schema["additionalProperties"] = _schema(random, 0)
    if random.random() < 0.3:
        schema |= {"title": random.choice(WORDS).title(), "description": "What is asked for."}
    return schema


def _array(random: Random, depth: int) -> Schema:
    schema: Schema = {"type": "array", "items": _schema(random, depth - 1)}
    if random.random() < 0.7:
        least = random.randrange(4)
        schema |= {"minItems": least, "maxItems": least + random.randrange(1, 6)}
    if random.random() < 0.2:
        schema["prefixItems"] = [_schema(random, 0) for _ in range(random.randrange(1, 3))]
        schema["minItems"], schema["maxItems"] = len(schema["prefixItems"]), 6
    return schema


def _any_of(random: Random, depth: int) -> Schema:
    return {"anyOf": [_schema(random, depth - 1) for _ in range(random.randrange(2, 4))]}


def _one_of(random: Random, depth: int) -> Schema:
    """Told apart by a constant, as typed unions are."""
    parts = []
    for kind in random.sample(WORDS, 2):
        part = _object(random, depth - 1) if depth > 1 else {"type": "object", "properties": {}, "required": []}
        part["properties"] = {"kind": {"const": kind}, **{k: v for k, v in part["properties"].items() if k != "kind"}}
        part["required"] = ["kind", *(name for name in part["required"] if name != "kind")]
        parts.append(part)
    return {"oneOf": parts}
