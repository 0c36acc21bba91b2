"""Request bodies: strict JSON, then a pydantic model, with errors that name the field in OpenAI's way.

Nothing is coerced: `"5"` and `true` are no numbers. A field that the model does not have is ignored, because clients
send fields of newer APIs; one that we know and do not have (`Unsupported`) is refused by name, because leaving it out
would change what the answer means.
"""

import logging
from collections.abc import Sequence
from typing import Annotated, Any, TypeVar

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, ValidationError
from pydantic_core import ErrorDetails
from starlette.requests import ClientDisconnect, Request

from pocketphi.errors import UserError, shown
from pocketphi.formats.strict_json import parse_json
from pocketphi.serve.openai.errors import ApiError

MAX_BODY_BYTES = 4 << 20
"""What is looked at. A server that faces others is bounded lower, before a body is read whole (`serve.guard`)."""
MAX_BODY_DEPTH = 128

Unsupported = Annotated[None, Field(description="Not supported: leave it out, or null.")]


def _must_be_false(value: bool | None) -> bool | None:
    if value:
        raise ValueError("not supported here; leave it out, or false")
    return value


OnlyFalse = Annotated[
    bool | None,
    AfterValidator(_must_be_false),  # a literal would take 0 as well
    Field(json_schema_extra={"enum": [False, None]}, description="Not supported: leave it out, or false."),
]

log = logging.getLogger(__name__)


class RequestModel(BaseModel):
    """A request or a part of one."""

    model_config = ConfigDict(strict=True, extra="ignore", frozen=True, protected_namespaces=())


R = TypeVar("R", bound=RequestModel)


async def read(request: Request, kind: type[R]) -> R:
    """The body of `request`.

    Raises:
        ApiError: 400, naming the field; 413.
    """
    raw = bytearray()
    try:
        async for chunk in request.stream():
            raw += chunk
            if len(raw) > MAX_BODY_BYTES:
                raise ApiError(f"the body is longer than {MAX_BODY_BYTES} bytes", status=413, code="body_too_large")
    except ClientDisconnect:
        raise ApiError("the body ended early") from None
    return parse(bytes(raw), kind)


def parse(raw: bytes, kind: type[R]) -> R:
    """The body `raw`, checked."""
    if not raw:
        raise ApiError("the body is empty", code="invalid_json")
    try:
        fields = parse_json(raw, "the body", max_bytes=MAX_BODY_BYTES, max_depth=MAX_BODY_DEPTH, is_javascript=True)
    except UserError as error:
        raise ApiError(error.message, code="invalid_json") from None
    if unknown := fields.keys() - kind.model_fields.keys():
        log.debug("ignored fields: %s", shown(", ".join(sorted(unknown)), 300))
    return checked(fields, kind)


def checked(fields: dict[str, Any], kind: type[R]) -> R:
    """Parsed fields as a request. Raises `ApiError`: 400, naming the field."""
    try:
        return kind.model_validate(fields)
    except ValidationError as error:
        raise _refusal(error.errors(include_url=False), fields) from None


def _refusal(errors: Sequence[ErrorDetails], fields: dict[str, Any]) -> ApiError:
    """One field's errors, those of the first; a union has some for each member, of which the right type tells more."""
    errors = [error for error in errors if not error["type"].endswith("_type")] or errors
    params = [_param(error, fields) for error in errors]
    param = max(params, key=len) if all(params[0] and each.startswith(params[0]) for each in params) else params[0]
    same = [error for error, each in zip(errors, params, strict=True) if each == param]
    reasons = " or ".join(dict.fromkeys(_reason(error) for error in same))
    return ApiError(f"`{param}`: {reasons}" if param else reasons, param=param or None, code=_code(same[0]))


def _reason(error: ErrorDetails) -> str:
    if error["type"] == "none_required":
        return "not supported here; leave it out"
    if error["type"] == "value_error":
        return str(error["ctx"]["error"])
    if error["type"] == "union_tag_not_found":
        return "field required"
    if error["type"] == "union_tag_invalid":
        return f"`{shown(error['ctx']['tag'])}` is none of {error['ctx']['expected_tags']}"
    text = error["msg"].replace(" after validation", "")
    if error["type"] in {"model_type", "model_attributes_type", "dict_type"}:
        text = "input should be an object"
    text = text[0].lower() + text[1:]
    value = error["input"]
    is_plain = isinstance(value, str | int | float | bool) and error["type"] != "missing"
    return f"{text}, not `{shown(value)}`" if is_plain else text


def _code(error: ErrorDetails) -> str:
    match error["type"]:
        case "missing":
            return "missing_required_parameter"
        case "none_required":
            return "unsupported_parameter"
    return "invalid_type" if error["type"].endswith("_type") else "invalid_value"


def _param(error: ErrorDetails, value: Any) -> str:
    """Where an error is, as `messages[0].content`: what is no key of the request names the member of a union."""
    place = list(error["loc"])
    is_missing = error["type"] == "missing"
    if error["type"] in {"union_tag_invalid", "union_tag_not_found"}:
        place.append("role" if "role" in str(error["ctx"]["discriminator"]) else "type")
        is_missing = True
    param = ""
    for index, part in enumerate(place):
        is_named = isinstance(value, dict) and (part in value or (is_missing and index == len(place) - 1))
        if is_named and isinstance(part, str):
            param += f".{part}" if param else part
            value = value.get(part)
        elif isinstance(value, list) and isinstance(part, int) and part < len(value):
            param += f"[{part}]"
            value = value[part]
    return shown(param, 120)
