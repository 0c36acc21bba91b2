"""`/v1/embeddings`: a text's hidden states after the last layer's norm, averaged over its tokens.

A chat model was never taught to embed: texts that mean the same come out near each other, but a model made for it does
better. The vectors are not normalised.
"""

import base64
from typing import Any

import numpy as np
from numpy.typing import NDArray
from starlette.requests import Request
from starlette.responses import JSONResponse, Response

from pocketphi.runtime.scheduler.job import EmbedJob
from pocketphi.serve.openai.answers import followed
from pocketphi.serve.openai.body import read
from pocketphi.serve.openai.errors import ApiError
from pocketphi.serve.openai.other_requests import EmbeddingRequest
from pocketphi.serve.openai.plan import beside, check_prompt, encode_text
from pocketphi.serve.openai.service import Service, tenant_of


async def create_embeddings(service: Service, request: Request) -> Response:
    asked = await read(request, EmbeddingRequest)
    served = service.models.named(asked.model)
    width = served.model.config.hidden_size
    if asked.dimensions not in (None, width):
        raise ApiError(
            f"`dimensions` is `{asked.dimensions}`; the model's vectors have {width}, and are not shortened",
            param="dimensions",
            code="invalid_value",
        )
    texts: list[list[int]] = []
    for text in asked.inputs:
        tokens = await beside(len(text), encode_text, served, text) if isinstance(text, str) else text
        check_prompt(served, tokens, param="input", answer=0)
        texts.append(tokens)

    tenant = tenant_of(request)
    answers = service.answers(served, [EmbedJob(prompt=tuple(tokens), tenant=tenant) for tokens in texts])
    vectors: dict[int, NDArray[np.float32]] = {}
    async with followed(answers, request.receive, seconds=service.options.request_seconds):
        while answers.num_open:
            ready = await answers.ready()
            service.metrics_of(served).written(answers, ready)
            vectors.update({index: piece.embedding for index, piece in ready if piece.embedding is not None})

    as_text = asked.encoding_format == "base64"
    data = [
        {"object": "embedding", "index": index, "embedding": _base64(vector) if as_text else vector.tolist()}
        for index, vector in sorted(vectors.items())
    ]
    total = sum(map(len, texts))
    usage = {"prompt_tokens": total, "total_tokens": total}
    reply: dict[str, Any] = {"object": "list", "data": data, "model": served.name, "usage": usage}
    return JSONResponse(reply)


def _base64(vector: NDArray[np.float32]) -> str:
    return base64.b64encode(vector.astype("<f4").tobytes()).decode("ascii")
