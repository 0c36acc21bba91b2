"""The application: routes, what OpenAPI says about them, and errors.

It knows no sockets and no keys. Whoever runs it puts a guard in front; whose a request is stands in
`scope["pocketphi.tenant"]`.
"""

import logging
from collections.abc import Awaitable, Callable, Sequence

from fastapi import FastAPI
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import JSONResponse, Response

from pocketphi.errors import UserError
from pocketphi.serve.openai import chat, completions, embeddings, models, responses, tokens
from pocketphi.serve.openai.answers import ClientLeft
from pocketphi.serve.openai.errors import ApiError
from pocketphi.serve.openai.openapi import ROUTES, describe, extra_of, reference, replies_of
from pocketphi.serve.openai.page import page_routes
from pocketphi.serve.openai.served import ServedModel, ServedModels, ServeOptions
from pocketphi.serve.openai.service import Service, tenant_of
from pocketphi.version import __version__

Handler = Callable[[Service, Request], Awaitable[Response]]

log = logging.getLogger(__name__)


async def health(_service: Service, _request: Request) -> Response:
    return JSONResponse({"status": "ok"})


async def metrics(service: Service, _request: Request) -> Response:
    return Response(service.metrics.text(), media_type="text/plain; version=0.0.4; charset=utf-8")


HANDLERS: dict[str, Handler] = {
    "/v1/chat/completions": chat.create_chat_completion,
    "/v1/completions": completions.create_completion,
    "/v1/responses": responses.create_response,
    "/v1/embeddings": embeddings.create_embeddings,
    "/v1/models": models.list_models,
    "/v1/models/{model:path}": models.get_model,
    "/tokenize": tokens.tokenize,
    "/detokenize": tokens.detokenize,
    "/health": health,
    "/metrics": metrics,
}


_WAITING = frozenset({"/v1/chat/completions", "/v1/completions", "/v1/responses", "/v1/embeddings"})
"""Routes whose requests take a place in a line."""


def create_app(served: Sequence[ServedModel], options: ServeOptions | None = None) -> FastAPI:
    """The API and the page, as an ASGI application.

    Args:
        served: models; the first answers requests that name none.
    """
    options = ServeOptions() if options is None else options
    service = Service(ServedModels(served), options)
    app = FastAPI(
        title="pocketphi",
        version=__version__,
        summary="Language models on this machine, in OpenAI's words.",
        docs_url=None,  # FastAPI's pages load scripts from a CDN
        redoc_url=None,
        redirect_slashes=False,
        telemetry={
            "tracing": False,
            "metrics": False,
            "logs": False,
            "operation_spans": False,
            "auto_configure": False,
        },
        exception_handlers={
            ApiError: _refused,
            UserError: _not_possible,
            ClientLeft: _gone,
            HTTPException: _http_error,
            Exception: _failed,
        },
    )
    for route in ROUTES:
        app.add_api_route(
            route.path,
            _endpoint(service, HANDLERS[route.path], waits=route.path in _WAITING),
            methods=[route.method],
            name=HANDLERS[route.path].__name__,
            operation_id=HANDLERS[route.path].__name__,
            summary=route.summary,
            description=route.description,
            response_class=Response,
            responses=replies_of(route),
            openapi_extra=extra_of(route),
            response_model=None,
        )
    app.openapi = lambda: describe(app)  # type: ignore[method-assign]
    reference_page = reference(app)
    app.add_route("/docs", lambda _request: reference_page, methods=["GET"], include_in_schema=False)
    app.router.routes.extend(page_routes(options.page))
    return app


def _endpoint(service: Service, handler: Handler, *, waits: bool) -> Callable[[Request], Awaitable[Response]]:
    async def endpoint(request: Request) -> Response:
        if waits:
            service.check_room(tenant_of(request))
        return await handler(service, request)

    return endpoint


async def _refused(_request: Request, error: Exception) -> Response:
    assert isinstance(error, ApiError)
    return error.response


async def _not_possible(_request: Request, error: Exception) -> Response:
    assert isinstance(error, UserError)
    return ApiError.of(error).response


async def _gone(_request: Request, _error: Exception) -> Response:
    return Response(status_code=499)  # nobody reads it


async def _http_error(_request: Request, error: Exception) -> Response:
    assert isinstance(error, HTTPException)
    code = {404: "not_found", 405: "method_not_allowed"}.get(error.status_code)
    headers = dict(error.headers) if error.headers else None
    return ApiError(str(error.detail).lower(), status=error.status_code, code=code, headers=headers).response


async def _failed(_request: Request, _error: Exception) -> Response:
    return ApiError.internal().response  # Starlette raises the exception again after this, and the server logs it
