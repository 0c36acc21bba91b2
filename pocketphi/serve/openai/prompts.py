"""From a conversation, as a request tells it, to tokens."""

from collections.abc import Sequence

from pocketphi.chat import render, render_open
from pocketphi.errors import UserError
from pocketphi.serve.openai import chat_request
from pocketphi.serve.openai.chat_request import AssistantMessage, ChatMessage, NamedTool, ToolMessage, text_of
from pocketphi.serve.openai.errors import ApiError
from pocketphi.serve.openai.plan import beside
from pocketphi.serve.openai.served import ServedModel
from pocketphi.serve.tools import Choice, Named, Tool, ToolCall, ToolPlan, Turn, plan_tools


def conversation(
    served: ServedModel,
    messages: Sequence[ChatMessage],
    *,
    tools: Sequence[chat_request.Tool] | None = None,
    choice: str | NamedTool | None = None,
    is_parallel: bool = True,
    answer: str | None = None,
) -> ToolPlan:
    """What the model is told, tools and all.

    Args:
        answer: what text other than calls may be (`plan_tools`).

    Raises:
        ApiError: the conversation cannot be told.
    """
    offered = [
        Tool(
            name=tool.function.name,
            description=tool.function.description,
            parameters=tool.function.parameters,
            strict=tool.function.strict is True,
        )
        for tool in tools or ()
    ]
    chosen = _choice(choice)
    try:
        turns = [_turn(message) for message in messages]
        return plan_tools(served.model.template, turns, offered, chosen, is_parallel=is_parallel, answer=answer)
    except UserError as error:
        raise ApiError.of(error, param="messages") from None


async def prompt_tokens(
    served: ServedModel, told: ToolPlan, *, opens: bool | None = None, continues: bool | None = None
) -> list[int]:
    """Tokens of a conversation, up to where the assistant's answer begins.

    Args:
        opens: end with the opening of the assistant's turn, as is usual.
        continues: go on within the last message, which is the assistant's.

    Raises:
        ApiError: the model's template cannot express the conversation.
    """
    if continues and told.messages[-1].role != "assistant":
        message = "`continue_final_message` needs an assistant's message at the end"
        raise ApiError(message, param="messages", code="invalid_value")
    model = served.model

    def encode() -> list[int]:
        if continues:
            segments = render_open(model.template, told.messages)
        else:
            segments = render(model.template, told.messages, add_generation_prompt=opens is not False)
        return model.tokenizer.encode_segments(segments)

    try:
        return await beside(sum(len(message.content) for message in told.messages), encode)
    except UserError as error:
        raise ApiError.of(error, param="messages") from None


def _turn(message: ChatMessage) -> Turn:
    text = text_of(message.content)
    if isinstance(message, AssistantMessage):
        calls = tuple(
            ToolCall(id=call.id, name=call.function.name, arguments=call.function.arguments)
            for call in message.tool_calls or ()
        )
        return Turn(role="assistant", content=text, calls=calls)
    if isinstance(message, ToolMessage):
        return Turn(role="tool", content=text, call_id=message.tool_call_id)
    return Turn(role="user" if message.role == "user" else "system", content=text)


def _choice(choice: str | NamedTool | None) -> Choice:
    if isinstance(choice, NamedTool):
        return Named(name=choice.function.name)
    if choice == "required":
        return "required"
    return "none" if choice == "none" else "auto"
