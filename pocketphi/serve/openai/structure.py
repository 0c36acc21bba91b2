"""The form that an answer must have: from what a request says to a grammar.

Compiling one takes up to a tenth of a second, so it is done beside the event loop.
"""

from pocketphi.runtime.scheduler.job import Grammar
from pocketphi.serve.openai.chat_request import ResponseFormat
from pocketphi.serve.openai.errors import ApiError
from pocketphi.serve.openai.fields import StructuredOutputs
from pocketphi.serve.openai.served import ServedModel


async def grammar_of(
    served: ServedModel, structured: StructuredOutputs | None, response_format: ResponseFormat | None = None
) -> Grammar | None:
    """The grammar that a request asks for, if any.

    Raises:
        ApiError: it is wrong, or too costly.
    """
    if structured is None and (response_format is None or response_format.type == "text"):
        return None
    raise ApiError("not yet")
