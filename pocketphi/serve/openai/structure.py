"""The form that an answer must have: from what a request says to a grammar.

Compiling one takes up to a tenth of a second, so it is done beside the event loop.
"""

import asyncio
from collections.abc import Callable

from pocketphi.errors import UserError
from pocketphi.runtime.grammar.compiler import GrammarCompiler
from pocketphi.runtime.grammar.sources import choice_source, regex_source, schema_source
from pocketphi.runtime.scheduler.job import Grammar
from pocketphi.serve.openai.chat_request import JsonSchemaFormat, ResponseFormat, TextFormat
from pocketphi.serve.openai.errors import ApiError
from pocketphi.serve.openai.fields import StructuredOutputs
from pocketphi.serve.openai.served import ServedModel


def form_of(structured: StructuredOutputs | None, response_format: ResponseFormat | None = None) -> str | None:
    """What the answer may be, as the right side of a rule; None for anything, and for a whole `grammar`.

    Raises:
        ApiError: it is wrong or too large, or there are two.
    """
    param = "structured_outputs" if response_format is None else "response_format"
    try:
        if response_format is not None and not isinstance(response_format, TextFormat):
            if structured is not None:
                raise ApiError("`structured_outputs` and `response_format` exclude each other", param=param)
            if isinstance(response_format, JsonSchemaFormat):
                return schema_source(response_format.json_schema.schema_)
            return schema_source({"type": "object"})
        if structured is None:
            return None
        if structured.json_ is not None:
            return schema_source(structured.json_)
        if structured.regex is not None:
            return regex_source(structured.regex)
        return None if structured.choice is None else choice_source(structured.choice)
    except UserError as error:
        raise ApiError.of(error, param=param) from None


async def compiled(
    served: ServedModel, make: Callable[[GrammarCompiler], Grammar | None], *, param: str
) -> Grammar | None:
    """What `make` makes, in a thread.

    Raises:
        ApiError: the grammar is wrong, or too costly; names `param`.
    """
    try:
        return await asyncio.to_thread(make, served.grammars)
    except UserError as error:
        raise ApiError.of(error, param=param) from None


async def grammar_of(
    served: ServedModel, structured: StructuredOutputs | None, response_format: ResponseFormat | None = None
) -> Grammar | None:
    """The grammar of an answer that is no call of a tool; None if it may be anything.

    Raises:
        ApiError: as `form_of` and `compiled`.
    """
    is_formed = response_format is not None and not isinstance(response_format, TextFormat)
    if structured is None and not is_formed:
        return None

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

    return await compiled(served, make, param="response_format" if structured is None else "structured_outputs")
