"""`POST /v1/chat/completions`: what it takes."""

from typing import Annotated, Any, Literal

from pydantic import Field, ValidationInfo, field_validator

from pocketphi.serve.openai.body import RequestModel, Unsupported
from pocketphi.serve.openai.fields import AnswerFields, Count

MAX_MESSAGES = 1024
MAX_PARTS = 64
MAX_TOOLS = 128

FunctionName = Annotated[str, Field(pattern="^[a-zA-Z0-9_.-]{1,64}$")]


class TextPart(RequestModel):
    """The only kind of part: images, audio and files are not read."""

    type: Literal["text"]
    text: str


Content = str | Annotated[list[TextPart], Field(min_length=1, max_length=MAX_PARTS)]


class SystemMessage(RequestModel):
    role: Literal["system"]
    content: Content


class DeveloperMessage(RequestModel):
    """As a system message."""

    role: Literal["developer"]
    content: Content


class UserMessage(RequestModel):
    role: Literal["user"]
    content: Content


class FunctionCall(RequestModel):
    name: FunctionName
    arguments: str = Field(description="A JSON object, as text.")


class ToolCall(RequestModel):
    id: Annotated[str, Field(min_length=1, max_length=128)]
    type: Literal["function"] = "function"
    function: FunctionCall


class AssistantMessage(RequestModel):
    role: Literal["assistant"]
    content: Content | None = None
    tool_calls: Annotated[list[ToolCall], Field(max_length=MAX_TOOLS)] | None = None
    audio: Unsupported = None
    function_call: Unsupported = None


class ToolMessage(RequestModel):
    role: Literal["tool"]
    content: Content
    tool_call_id: Annotated[str, Field(min_length=1, max_length=128)]


ChatMessage = Annotated[
    SystemMessage | DeveloperMessage | UserMessage | AssistantMessage | ToolMessage,
    Field(discriminator="role"),
]


class Function(RequestModel):
    name: FunctionName
    description: str | None = None
    parameters: dict[str, Any] | None = Field(None, description="A JSON schema of an object.")
    strict: bool | None = Field(None, description="Refuse parameters that cannot be kept to.")


class Tool(RequestModel):
    type: Literal["function"]
    function: Function


class NamedFunction(RequestModel):
    name: FunctionName


class NamedTool(RequestModel):
    type: Literal["function"]
    function: NamedFunction


class TextFormat(RequestModel):
    type: Literal["text"]


class JsonObjectFormat(RequestModel):
    type: Literal["json_object"]


class JsonSchema(RequestModel):
    name: Annotated[str, Field(pattern="^[a-zA-Z0-9_-]{1,64}$")]
    schema_: dict[str, Any] = Field(alias="schema")
    description: str | None = None
    strict: bool | None = Field(None, description="Always strict here.")


class JsonSchemaFormat(RequestModel):
    type: Literal["json_schema"]
    json_schema: JsonSchema


ResponseFormat = Annotated[TextFormat | JsonObjectFormat | JsonSchemaFormat, Field(discriminator="type")]
Tools = Annotated[list[Tool], Field(max_length=MAX_TOOLS)]


class ConversationFields(RequestModel):
    """How a conversation becomes a prompt."""

    messages: Annotated[list[ChatMessage], Field(min_length=1, max_length=MAX_MESSAGES)]
    tools: Tools | None = None
    add_generation_prompt: bool | None = Field(None, description="Open the assistant's turn; true if absent.")
    continue_final_message: bool | None = Field(
        None, description="Go on within the last message, an assistant's, instead of after it."
    )


class ChatRequest(AnswerFields, ConversationFields):
    """A conversation to answer."""

    max_completion_tokens: Count | None = Field(None, description="As `max_tokens`, over which it wins.")
    logprobs: bool | None = None
    top_logprobs: Annotated[int, Field(ge=0, le=20)] | None = Field(None, description="Needs `logprobs`.")
    tool_choice: Literal["none", "auto", "required"] | NamedTool | None = None
    parallel_tool_calls: bool | None = Field(None, description="Whether an answer may call several; true if absent.")
    response_format: ResponseFormat | None = None
    modalities: Annotated[list[Literal["text"]], Field(min_length=1, max_length=1)] | None = None
    audio: Unsupported = None
    functions: Unsupported = None
    function_call: Unsupported = None
    prediction: Unsupported = None
    web_search_options: Unsupported = None

    @field_validator("top_logprobs")
    @classmethod
    def _needs_logprobs(cls, top: int | None, info: ValidationInfo) -> int | None:
        if top and not info.data.get("logprobs"):
            raise ValueError("needs `logprobs` to be true")
        return top

    @field_validator("tool_choice")
    @classmethod
    def _is_among_tools(cls, choice: "str | NamedTool | None", info: ValidationInfo) -> "str | NamedTool | None":
        tools = info.data.get("tools") or []
        if choice == "required" and not tools:
            raise ValueError("is `required`, and there are no `tools`")
        if isinstance(choice, NamedTool) and choice.function.name not in {tool.function.name for tool in tools}:
            raise ValueError(f"names the function `{choice.function.name}`, which is not among `tools`")
        return choice

    @field_validator("tools")
    @classmethod
    def _differ(cls, tools: list[Tool] | None) -> list[Tool] | None:
        names = [tool.function.name for tool in tools or []]
        for name in names:
            if names.count(name) > 1:
                raise ValueError(f"has two functions of the name `{name}`")
        return tools

    @property
    def most_tokens(self) -> int | None:
        return self.max_tokens if self.max_completion_tokens is None else self.max_completion_tokens


def text_of(content: str | list[TextPart] | None) -> str:
    """A message's text; parts stand on lines of their own."""
    if isinstance(content, list):
        return "\n".join(part.text for part in content)
    return content or ""
