"""The form that an answer must have: from what a request says to a grammar.

Compiling one takes up to a tenth of a second, so it is done beside the event loop.
"""

import asyncio
from collections.abc import Callable

from pocketphi.errors import UserError
from pocketphi.runtime.grammar.compiler import GrammarCompiler
from pocketphi.runtime.scheduler.job import Grammar
from pocketphi.serve.openai.chat_request import JsonSchemaFormat, ResponseFormat
from pocketphi.serve.openai.errors import ApiError
from pocketphi.serve.openai.fields import StructuredOutputs
from pocketphi.serve.openai.served import ServedModel


async def grammar_of(
    served: ServedModel, structured: StructuredOutputs | None, response_format: ResponseFormat | None = None
) -> Grammar | None:
    """The grammar that a request asks for, if any.

    Raises:
        ApiError: it is wrong, too costly, or there are two.
    """
    is_formed = response_format is not None and response_format.type != "text"
    if structured is None and not is_formed:
        return None
    if structured is not None and is_formed:
        raise ApiError("`structured_outputs` and `response_format` exclude each other", param="structured_outputs")
    param = "response_format" if structured is None else "structured_outputs"

    def make(compiler: GrammarCompiler) -> Grammar:
        if structured is None:
            if isinstance(response_format, JsonSchemaFormat):
                return compiler.json_schema(response_format.json_schema.schema_)
            return compiler.json_object()
        if structured.json_ is not None:
            return compiler.json_schema(structured.json_)
        if structured.regex is not None:
            return compiler.regex(structured.regex)
        if structured.choice is not None:
            return compiler.choice(structured.choice)
        assert structured.grammar is not None
        return compiler.lark(structured.grammar)

    return await compiled(served, make, param=param)


async def compiled(served: ServedModel, make: Callable[[GrammarCompiler], Grammar], *, param: str) -> Grammar:
    """What `make` makes, in a thread. Raises `ApiError` naming `param`."""
    try:
        return await asyncio.to_thread(make, served.grammars)
    except UserError as error:
        raise ApiError.of(error, param=param) from None
