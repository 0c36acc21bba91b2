"""The application as it is served: the API and the page, the authority's certificate, and the guard around them."""

from collections.abc import Sequence

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route
from starlette.types import ASGIApp

from pocketphi.serve.addresses import Listening
from pocketphi.serve.certificate import Certificate
from pocketphi.serve.guard.middleware import Guard, Rules
from pocketphi.serve.openai.app import create_app
from pocketphi.serve.openai.page import PAGE_ROUTE
from pocketphi.serve.openai.served import ServedModel, ServeOptions

AUTHORITY_PATH = "/ca.crt"


def guarded_app(
    served: Sequence[ServedModel],
    listening: Listening,
    *,
    keys: Sequence[str],
    allowed_origins: Sequence[str] = (),
    certificate: Certificate | None = None,
    options: ServeOptions | None = None,
    body_seconds: float = 10.0,
) -> ASGIApp:
    """What uvicorn runs.

    Args:
        keys: one of them opens; none: everybody on this machine is let in.
        allowed_origins: pages of other origins that may ask.
        body_seconds: a request's body must arrive in.
    """
    app = create_app(served, options)
    # The page holds no secret, and a browser that opens it cannot send a key yet.
    open_paths = {
        "/health",
        *(route.path for route in app.routes if isinstance(route, Route) and route.name == PAGE_ROUTE),
    }
    if certificate is not None:
        authority = certificate.authority.read_bytes()

        async def offer(_request: Request) -> Response:
            return Response(authority, media_type="application/x-x509-ca-cert")

        app.add_route(AUTHORITY_PATH, offer, methods=["GET"], include_in_schema=False)
        open_paths.add(AUTHORITY_PATH)
    return Guard(
        app,
        Rules(
            hosts=listening.authorities,
            origins=listening.origins,
            allowed_origins=frozenset(allowed_origins),
            keys=tuple(keys),
            open_paths=frozenset(open_paths),
            post_paths=frozenset(
                route.path for route in app.routes if isinstance(route, Route) and "POST" in (route.methods or ())
            ),
            body_seconds=body_seconds,
        ),
    )
