"""From a conversation, as a request tells it, to tokens."""

from collections.abc import Sequence

from pocketphi.chat import Message, render, render_open
from pocketphi.errors import UserError
from pocketphi.serve.openai.chat_request import AssistantMessage, ChatMessage, ToolMessage, text_of
from pocketphi.serve.openai.errors import ApiError
from pocketphi.serve.openai.plan import beside
from pocketphi.serve.openai.served import ServedModel


async def conversation_prompt(
    served: ServedModel,
    messages: Sequence[ChatMessage],
    *,
    opens: bool = True,
    continues: bool = False,
) -> list[int]:
    """Tokens of a conversation, up to where the assistant's answer begins.

    Args:
        opens: end with the opening of the assistant's turn.
        continues: go on within the last message, which is the assistant's.

    Raises:
        ApiError: the model's template cannot express the conversation.
    """
    if continues and not isinstance(messages[-1], AssistantMessage):
        raise ApiError("`continue_final_message` needs an assistant's message at the end", param="messages")
    size = sum(len(text_of(message.content)) for message in messages)
    try:
        return await beside(size, _encode, served, messages, opens=opens, continues=continues)
    except UserError as error:
        raise ApiError.of(error, param="messages") from None


def _encode(served: ServedModel, messages: Sequence[ChatMessage], *, opens: bool, continues: bool) -> list[int]:
    model = served.model
    told = [_message(message) for message in messages]
    if continues:
        segments = render_open(model.template, told)
    else:
        segments = render(model.template, told, add_generation_prompt=opens)
    return model.tokenizer.encode_segments(segments)


def _message(message: ChatMessage) -> Message:
    if isinstance(message, AssistantMessage):
        return Message("assistant", text_of(message.content))
    if isinstance(message, ToolMessage):
        raise ApiError("tools: not yet")
    return Message("system" if message.role == "developer" else message.role, text_of(message.content))
