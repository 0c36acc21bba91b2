"""`POST /v1/responses`: what it takes. A response is made of what the request says and of nothing else."""

from typing import Annotated, Any, Literal

from pydantic import Discriminator, Field, Tag, ValidationInfo, field_validator

from pocketphi.serve.openai.body import OnlyFalse, RequestModel, Unsupported
from pocketphi.serve.openai.chat_request import MAX_MESSAGES, MAX_PARTS, MAX_TOOLS, FunctionName
from pocketphi.serve.openai.fields import Count, ModelName, SamplingFields

Name = Annotated[str, Field(min_length=1, max_length=128)]


class InputText(RequestModel):
    """`output_text` is what an assistant said before."""

    type: Literal["input_text", "output_text"]
    text: str


class InputMessage(RequestModel):
    type: Literal["message"] | None = None
    role: Literal["system", "developer", "user", "assistant"]
    content: str | Annotated[list[InputText], Field(min_length=1, max_length=MAX_PARTS)]


class InputCall(RequestModel):
    type: Literal["function_call"]
    call_id: Name
    name: FunctionName
    arguments: str


class InputCallOutput(RequestModel):
    type: Literal["function_call_output"]
    call_id: Name
    output: str | Annotated[list[InputText], Field(min_length=1, max_length=MAX_PARTS)]


class InputReasoning(RequestModel):
    """Passed over."""

    type: Literal["reasoning"]


def _kind(item: Any) -> str:
    kind = item.get("type") if isinstance(item, dict) else getattr(item, "type", None)
    return "message" if kind is None else str(kind)


InputItem = Annotated[
    Annotated[InputMessage, Tag("message")]
    | Annotated[InputCall, Tag("function_call")]
    | Annotated[InputCallOutput, Tag("function_call_output")]
    | Annotated[InputReasoning, Tag("reasoning")],
    Discriminator(_kind),
]


class ResponseTool(RequestModel):
    type: Literal["function"]
    name: FunctionName
    description: str | None = None
    parameters: dict[str, Any] | None = None
    strict: bool | None = None


class ChosenTool(RequestModel):
    type: Literal["function"]
    name: FunctionName


class PlainFormat(RequestModel):
    type: Literal["text"]


class ObjectFormat(RequestModel):
    type: Literal["json_object"]


class SchemaFormat(RequestModel):
    type: Literal["json_schema"]
    name: Annotated[str, Field(pattern="^[a-zA-Z0-9_-]{1,64}$")]
    schema_: dict[str, Any] = Field(alias="schema")
    description: str | None = None
    strict: bool | None = None


class ResponseText(RequestModel):
    format: Annotated[PlainFormat | ObjectFormat | SchemaFormat, Field(discriminator="type")] | None = None


class ResponseRequest(SamplingFields):
    """An input to answer."""

    model: ModelName | None = None
    input: str | Annotated[list[InputItem], Field(min_length=1, max_length=MAX_MESSAGES)]
    instructions: str | None = None
    max_output_tokens: Count | None = None
    stream: bool | None = None
    text: ResponseText | None = None
    tools: Annotated[list[ResponseTool], Field(max_length=MAX_TOOLS)] | None = None
    tool_choice: Literal["none", "auto", "required"] | ChosenTool | None = None
    parallel_tool_calls: bool | None = None
    top_logprobs: Annotated[int, Field(ge=0, le=20)] | None = Field(
        None, description="Logprobs are told if `include` names `message.output_text.logprobs`."
    )
    include: list[str] | None = None
    metadata: Annotated[dict[str, str], Field(max_length=16)] | None = None
    store: bool | None = Field(None, description="Ignored: nothing is kept.")
    truncation: Literal["disabled"] | None = Field(None, description="Nothing is cut in silence.")
    user: Annotated[str, Field(max_length=512)] | None = None
    previous_response_id: Unsupported = None
    conversation: Unsupported = None
    prompt: Unsupported = None
    max_tool_calls: Unsupported = None
    background: OnlyFalse = None

    @field_validator("tool_choice")
    @classmethod
    def _is_among_tools(cls, choice: "str | ChosenTool | None", info: ValidationInfo) -> "str | ChosenTool | None":
        names = {tool.name for tool in info.data.get("tools") or []}
        if choice == "required" and not names:
            raise ValueError("is `required`, and there are no `tools`")
        if isinstance(choice, ChosenTool) and choice.name not in names:
            raise ValueError(f"names the function `{choice.name}`, which is not among `tools`")
        return choice
