"""What the other routes take: completions, embeddings, tokens and text."""

from typing import Annotated, Literal

from pydantic import ConfigDict, Field, model_validator

from pocketphi.serve.openai.body import OnlyFalse, RequestModel, Unsupported
from pocketphi.serve.openai.chat_request import MAX_MESSAGES, ChatMessage, Tools
from pocketphi.serve.openai.fields import AnswerFields, ModelName

MAX_PROMPTS = 16
MAX_INPUTS = 256
MAX_PROMPT_TOKENS = 2**20

TokenId = Annotated[int, Field(ge=0, le=2**31 - 1)]
Prompt = Annotated[str, Field(min_length=1)]
TokenIds = Annotated[list[TokenId], Field(min_length=1, max_length=MAX_PROMPT_TOKENS)]


class CompletionRequest(AnswerFields):
    """A text, or tokens, to go on with."""

    prompt: (
        Prompt
        | TokenIds
        | Annotated[list[Prompt], Field(min_length=1, max_length=MAX_PROMPTS)]
        | Annotated[list[TokenIds], Field(min_length=1, max_length=MAX_PROMPTS)]
    )
    logprobs: Annotated[int, Field(ge=0, le=20)] | None = Field(
        None, description="How many of the likeliest tokens to name at each place."
    )
    echo: OnlyFalse = None
    suffix: Unsupported = None

    @property
    def prompts(self) -> list[str | list[int]]:
        """One or more, each to be answered `n` times."""
        if isinstance(self.prompt, str) or isinstance(self.prompt[0], int):
            return [self.prompt]
        return list(self.prompt)


class EmbeddingRequest(RequestModel):
    """Texts, or tokens, whose mean-pooled hidden states are wanted."""

    model: ModelName | None = None
    input: (
        Annotated[str, Field(min_length=1)]
        | TokenIds
        | Annotated[list[Annotated[str, Field(min_length=1)]], Field(min_length=1, max_length=MAX_INPUTS)]
        | Annotated[list[TokenIds], Field(min_length=1, max_length=MAX_INPUTS)]
    )
    encoding_format: Literal["float", "base64"] | None = Field(None, description="`float` if absent.")
    dimensions: Annotated[int, Field(ge=1)] | None = Field(None, description="Must equal the model's width.")
    user: Annotated[str, Field(max_length=512)] | None = Field(None, description="Ignored.")

    @property
    def inputs(self) -> list[str | list[int]]:
        if isinstance(self.input, str) or isinstance(self.input[0], int):
            return [self.input]
        return list(self.input)


class TokenizeRequest(RequestModel):
    """A text or a conversation, as the model would read it. Exactly one of `prompt` and `messages`."""

    model_config = ConfigDict(
        json_schema_extra={
            "oneOf": [
                {"required": [name], "properties": {name: {"not": {"type": "null"}}}} for name in ("prompt", "messages")
            ]
        }
    )

    model: ModelName | None = None
    prompt: str | None = None
    messages: Annotated[list[ChatMessage], Field(min_length=1, max_length=MAX_MESSAGES)] | None = None
    add_special_tokens: bool | None = Field(
        None, description="Whether a `prompt` begins with the model's own first token; true if absent."
    )
    return_token_strs: bool | None = None
    add_generation_prompt: bool | None = Field(None, description="Open the assistant's turn; true if absent.")
    continue_final_message: bool | None = None
    tools: Tools | None = None

    @model_validator(mode="after")
    def _one(self) -> "TokenizeRequest":
        if (self.prompt is None) == (self.messages is None):
            raise ValueError("give exactly one of `prompt` and `messages`")
        return self


class DetokenizeRequest(RequestModel):
    """Tokens to write as text."""

    model: ModelName | None = None
    tokens: Annotated[list[TokenId], Field(max_length=MAX_PROMPT_TOKENS)]
