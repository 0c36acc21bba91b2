"""`/v1/models` and `/v1/models/{model}`."""

from typing import Any

from starlette.requests import Request
from starlette.responses import JSONResponse, Response

from pocketphi.serve.openai.served import ServedModel
from pocketphi.serve.openai.service import Service


async def list_models(service: Service, _request: Request) -> Response:
    return JSONResponse({"object": "list", "data": [_card(served) for served in service.models]})


async def get_model(service: Service, request: Request) -> Response:
    return JSONResponse(_card(service.models.named(request.path_params["model"])))


def _card(served: ServedModel) -> dict[str, Any]:
    return {
        "id": served.name,
        "object": "model",
        "created": served.created,
        "owned_by": "pocketphi",
        "max_model_len": served.model.context_size,
    }
