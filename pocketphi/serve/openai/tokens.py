"""`/tokenize` and `/detokenize`, in vLLM's shapes."""

from starlette.requests import Request
from starlette.responses import JSONResponse, Response

from pocketphi.serve.openai.body import read
from pocketphi.serve.openai.errors import ApiError
from pocketphi.serve.openai.other_requests import DetokenizeRequest, TokenizeRequest
from pocketphi.serve.openai.plan import beside, encode_text
from pocketphi.serve.openai.prompts import conversation, prompt_tokens
from pocketphi.serve.openai.service import Service


async def tokenize(service: Service, request: Request) -> Response:
    asked = await read(request, TokenizeRequest)
    served = service.models.named(asked.model)
    if asked.prompt is not None:
        with_bos = asked.add_special_tokens is not False
        tokens = await beside(len(asked.prompt), encode_text, served, asked.prompt, add_special_tokens=with_bos)
    else:
        assert asked.messages is not None
        told = conversation(served, asked.messages, tools=asked.tools)
        tokens = await prompt_tokens(
            served, told, opens=asked.add_generation_prompt, continues=asked.continue_final_message
        )
    reply = {"count": len(tokens), "max_model_len": served.model.context_size, "tokens": tokens}
    if asked.return_token_strs:
        tokenizer = served.model.tokenizer
        reply["token_strs"] = [tokenizer.piece(token).decode(errors="replace") for token in tokens]
    return JSONResponse(reply)


async def detokenize(service: Service, request: Request) -> Response:
    asked = await read(request, DetokenizeRequest)
    served = service.models.named(asked.model)
    vocab_size = served.model.config.vocab_size
    for index, token in enumerate(asked.tokens):
        if token >= vocab_size:
            raise ApiError(
                f"`tokens[{index}]`: `{token}` is not one of the model's {vocab_size}",
                param=f"tokens[{index}]",
                code="invalid_value",
            )
    text = await beside(len(asked.tokens), served.model.tokenizer.decode, asked.tokens, skip_special=False)
    return JSONResponse({"prompt": text})
