"""What OpenAPI says: the routes with what they take, answer and refuse, and a page that shows it.

Bodies are read by `body.read`, not by FastAPI, whose answer to a wrong one would be a 422 of another shape; so the
request models are described here.
"""

import html
from dataclasses import dataclass
from functools import cache
from typing import Any

from fastapi import FastAPI
from fastapi.openapi.utils import get_openapi
from pydantic import BaseModel
from pydantic.json_schema import models_json_schema
from starlette.responses import HTMLResponse, Response

from pocketphi.serve.openai import replies
from pocketphi.serve.openai.body import RequestModel
from pocketphi.serve.openai.chat_request import ChatRequest
from pocketphi.serve.openai.errors import ErrorReply
from pocketphi.serve.openai.other_requests import (
    CompletionRequest,
    DetokenizeRequest,
    EmbeddingRequest,
    TokenizeRequest,
)
from pocketphi.serve.openai.page import CSP
from pocketphi.serve.openai.response_request import ResponseRequest

_COMPONENT = "#/components/schemas/{model}"
_WHY = {
    400: "The request is wrong; `param` names the field.",
    401: "The key is missing or wrong, where the server asks for one.",
    403: "The page that sends this is not this server's.",
    404: "There is no such model, or no such path.",
    408: "The body did not arrive in time.",
    413: "The body is too long.",
    415: "The body is not `application/json`.",
    421: "The server does not answer to this name.",
    429: "Too many requests wait. `Retry-After` says when to come again.",
    500: "The server failed.",
    503: "The server shuts down, or the request took too long.",
}


@dataclass(frozen=True, kw_only=True)
class RouteInfo:
    """One route as it is described."""

    method: str
    path: str
    summary: str
    description: str = ""
    takes: type[RequestModel] | None = None
    gives: type[BaseModel] | None = None
    refuses: tuple[int, ...] = ()
    streams: bool = False


_ANY = (401, 403, 421)
_READS = (400, *_ANY, 404, 408, 413, 415, 500)
_RUNS = (*_READS, 429, 503)

ROUTES = (
    RouteInfo(
        method="POST",
        path="/v1/chat/completions",
        summary="Answer a conversation",
        takes=ChatRequest,
        gives=replies.ChatCompletion,
        refuses=_RUNS,
        streams=True,
    ),
    RouteInfo(
        method="POST",
        path="/v1/completions",
        summary="Go on with a text",
        takes=CompletionRequest,
        gives=replies.Completion,
        refuses=_RUNS,
        streams=True,
    ),
    RouteInfo(
        method="POST",
        path="/v1/responses",
        summary="Answer, in the words of the Responses API",
        description="Nothing is kept: `store` is ignored, `previous_response_id` refused.",
        takes=ResponseRequest,
        gives=replies.ResponseObject,
        refuses=_RUNS,
        streams=True,
    ),
    RouteInfo(
        method="POST",
        path="/v1/embeddings",
        summary="Vectors of texts",
        description="The mean of a text's hidden states after the last layer. The model was not taught to embed.",
        takes=EmbeddingRequest,
        gives=replies.Embeddings,
        refuses=_RUNS,
    ),
    RouteInfo(method="GET", path="/v1/models", summary="The models", gives=replies.ModelList, refuses=_ANY),
    RouteInfo(
        method="GET", path="/v1/models/{model:path}", summary="One model", gives=replies.ModelCard, refuses=(*_ANY, 404)
    ),
    RouteInfo(
        method="POST",
        path="/tokenize",
        summary="Tokens of a text or a conversation",
        takes=TokenizeRequest,
        gives=replies.Tokens,
        refuses=_READS,
    ),
    RouteInfo(
        method="POST",
        path="/detokenize",
        summary="Text of tokens",
        takes=DetokenizeRequest,
        gives=replies.Detokenized,
        refuses=_READS,
    ),
    RouteInfo(
        method="GET", path="/health", summary="Whether the server answers", gives=replies.Health, refuses=(403, 421)
    ),
    RouteInfo(method="GET", path="/metrics", summary="Counters for Prometheus", refuses=_ANY),
)


def replies_of(route: RouteInfo) -> dict[int | str, dict[str, Any]]:
    """`responses=` for FastAPI."""
    good: dict[str, Any] = {"description": "The answer."}
    if route.gives is not None:
        good["content"] = {"application/json": {"schema": _reference(route.gives)}}
    else:
        good["content"] = {"text/plain": {"schema": {"type": "string"}}}
    if route.streams:
        good["content"]["text/event-stream"] = {}  # OpenAPI 3.1 has no words for events
    bad: dict[int | str, dict[str, Any]] = {
        status: {"description": _WHY[status], "content": {"application/json": {"schema": _reference(ErrorReply)}}}
        for status in sorted(route.refuses)
    }
    if 429 in bad:
        bad[429]["headers"] = {"Retry-After": {"description": "Seconds.", "schema": {"type": "integer"}}}
    return {200: good, **bad}


def extra_of(route: RouteInfo) -> dict[str, Any]:
    """What FastAPI cannot find out: body and path parameter."""
    extra: dict[str, Any] = {}
    if route.takes is not None:
        schema = {"application/json": {"schema": _reference(route.takes)}}
        extra["requestBody"] = {"required": True, "content": schema}
    if "{model" in route.path:
        extra["parameters"] = [{"name": "model", "in": "path", "required": True, "schema": {"type": "string"}}]
    return extra


def describe(app: FastAPI) -> dict[str, Any]:
    """The OpenAPI document."""
    if app.openapi_schema is None:
        document = get_openapi(title=app.title, version=app.version, summary=app.summary, routes=app.routes)
        document.setdefault("components", {})["schemas"] = _schemas()
        app.openapi_schema = document
    return app.openapi_schema


def reference(app: FastAPI) -> Response:
    """`/docs`: the same as a plain page, which loads nothing."""
    schemas = _schemas()
    parts = []
    for route in ROUTES:
        parts.append(f"<h2><code>{route.method} {html.escape(route.path)}</code></h2>")
        parts.append(f"<p>{html.escape(route.summary)}. {_text(route.description)}</p>")
        if route.takes is not None:
            parts.append(_fields(schemas[route.takes.__name__]))
    body = "\n".join(parts)
    page = (
        f'<!doctype html><html lang="en"><meta charset="utf-8"><meta name="viewport" content="width=device-width">'
        f"<title>{app.title} API</title><h1>{app.title} {app.version}</h1>"
        f'<p>{html.escape(app.summary or "")} For programs: <a href="/openapi.json">openapi.json</a>.</p>{body}</html>'
    )
    return HTMLResponse(page, headers={"content-security-policy": CSP, "cache-control": "no-cache"})


def _fields(schema: dict[str, Any]) -> str:
    required = schema.get("required", ())
    rows, refused = [], []
    for name, field in schema.get("properties", {}).items():
        if field.get("type") == "null":
            refused.append(f"<code>{html.escape(name)}</code>")
            continue
        members = [member for member in field.get("anyOf", [field]) if member != {"type": "null"}]
        kinds = ", ".join(dict.fromkeys(map(_kind, members)))
        what = next((each["description"] for each in (field, *members) if "description" in each), "")
        mark = " (required)" if name in required else ""
        rows.append(f"<tr><td><code>{html.escape(name)}</code>{mark}<td>{html.escape(kinds)}<td>{_text(what)}")
    table = f"<table><tr><th>field<th>type<th>{''.join(rows)}</table>"
    return f"{table}<p>Refused: {', '.join(refused)}.</p>" if refused else table


def _kind(schema: dict[str, Any]) -> str:
    if "enum" in schema or "const" in schema:
        return " or ".join(repr(value) for value in schema.get("enum", [schema.get("const")]))
    if "$ref" in schema:
        return str(schema["$ref"]).rsplit("/", 1)[-1]
    name = str(schema.get("type", "one of several"))
    bounds = (schema.get("minimum", schema.get("exclusiveMinimum")), schema.get("maximum"))
    low, high = ("" if bound is None else f"{bound:,}" for bound in bounds)
    return f"{name}, {low} to {high}" if low or high else name


def _text(text: str) -> str:
    """Text with its `code`."""
    pieces = html.escape(text).split("`")
    return "".join(f"<code>{piece}</code>" if index % 2 else piece for index, piece in enumerate(pieces))


def _reference(model: type[BaseModel]) -> dict[str, str]:
    return {"$ref": _COMPONENT.format(model=model.__name__)}


@cache
def _schemas() -> dict[str, Any]:
    """Every model's JSON schema by name."""
    kinds = {kind for route in ROUTES for kind in (route.takes, route.gives) if kind is not None} | {ErrorReply}
    ordered = sorted(kinds, key=lambda kind: kind.__name__)
    _, schema = models_json_schema([(kind, "validation") for kind in ordered], ref_template=_COMPONENT)
    found: dict[str, Any] = schema["$defs"]
    return found
