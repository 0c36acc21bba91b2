"""Fields that several requests share, with their ranges."""

from typing import Annotated, Any

from pydantic import ConfigDict, Field, ValidationInfo, field_validator, model_validator

from pocketphi.runtime.sampling import SamplingOptions
from pocketphi.runtime.stopping import MAX_STOP_CHARACTERS
from pocketphi.serve.defaults import TEMPERATURE, TOP_P
from pocketphi.serve.openai.body import RequestModel, Unsupported

MAX_CHOICES = 8
MAX_STOPS = 8
MAX_BIASES = 1024
MAX_TOKENS = 2**31 - 1

Count = Annotated[int, Field(ge=1, le=MAX_TOKENS)]
ModelName = Annotated[str, Field(max_length=512, description="Which of `/v1/models`; the first if absent.")]
Stop = Annotated[str, Field(min_length=1, max_length=MAX_STOP_CHARACTERS)]
TokenText = Annotated[str, Field(pattern="^[0-9]{1,7}$")]
Bias = Annotated[float, Field(ge=-100, le=100)]
Biases = Annotated[
    dict[TokenText, Bias], Field(max_length=MAX_BIASES, json_schema_extra={"additionalProperties": False})
]
Grammar = Annotated[str, Field(min_length=1, max_length=65_536)]


class StreamOptions(RequestModel):
    include_usage: bool | None = Field(
        None, description="A last chunk, without choices, tells the tokens of the request."
    )


class StructuredOutputs(RequestModel):
    """A form that the answer must have, in vLLM's words. Exactly one field."""

    model_config = ConfigDict(
        json_schema_extra={
            "oneOf": [
                {"required": [name], "properties": {name: {"not": {"type": "null"}}}}
                for name in ("json", "regex", "choice", "grammar")
            ]
        }
    )

    json_: dict[str, Any] | None = Field(None, alias="json", description="A JSON schema.")
    regex: Grammar | None = Field(None, description="A regular expression, without look-around.")
    choice: Annotated[list[Grammar], Field(min_length=1, max_length=256)] | None = Field(
        None, description="The answer is one of these."
    )
    grammar: Grammar | None = Field(None, description="A grammar in Lark's notation, as llguidance reads it.")

    @model_validator(mode="after")
    def _one(self) -> "StructuredOutputs":
        if sum(each is not None for each in (self.json_, self.regex, self.choice, self.grammar)) != 1:
            raise ValueError("give exactly one of `json`, `regex`, `choice` and `grammar`")
        return self


class SamplingFields(RequestModel):
    """How tokens are drawn, in OpenAI's words and the common extras."""

    temperature: Annotated[float, Field(ge=0, le=2)] | None = Field(
        None, description=f"0 takes the likeliest token; {TEMPERATURE} if absent."
    )
    top_p: Annotated[float, Field(ge=1e-6, le=1)] | None = Field(
        None, description=f"Draw from the likeliest tokens with this share; {TOP_P} if absent."
    )
    top_k: Annotated[int, Field(ge=0, le=2**31 - 1)] | None = Field(None, description="Of so many tokens; 0 for all.")
    min_p: Annotated[float, Field(ge=0, le=1)] | None = Field(
        None, description="Drop tokens below this share of the likeliest one's probability."
    )
    frequency_penalty: Annotated[float, Field(ge=-2, le=2)] | None = None
    presence_penalty: Annotated[float, Field(ge=-2, le=2)] | None = None
    repetition_penalty: Annotated[float, Field(ge=0.01, le=100)] | None = None
    logit_bias: Biases | None = Field(None, description="Token id to what is added to its logit.")
    seed: Annotated[int, Field(ge=-(2**63), le=2**64 - 1)] | None = Field(
        None, description="The same seed, the same answer; random if absent."
    )

    def sampling(self, seed: int) -> SamplingOptions:
        """As the engine takes it."""
        given = {
            name: value
            for name in ("top_k", "min_p", "frequency_penalty", "presence_penalty", "repetition_penalty")
            if (value := getattr(self, name)) is not None
        }
        return SamplingOptions(
            temperature=TEMPERATURE if self.temperature is None else self.temperature,
            top_p=TOP_P if self.top_p is None else self.top_p,
            logit_bias={int(token): bias for token, bias in (self.logit_bias or {}).items()},
            seed=seed,
            **given,
        )


class AnswerFields(SamplingFields):
    """What chat and plain completions share."""

    model: ModelName | None = None
    max_tokens: Count | None = None
    n: Annotated[int, Field(ge=1, le=MAX_CHOICES)] | None = Field(
        None, description="How many answers; the first is that of the same request with `n` 1."
    )
    stop: Stop | Annotated[list[Stop], Field(max_length=MAX_STOPS)] | None = Field(
        None, description="Texts that end the answer and are no part of it."
    )
    stream: bool | None = None
    stream_options: StreamOptions | None = None
    ignore_eos: bool | None = Field(None, description="Go on where the model would end.")
    structured_outputs: StructuredOutputs | None = None
    best_of: Annotated[int, Field(ge=1, le=MAX_CHOICES)] | None = Field(
        None, description="Must equal `n`: answers are not ranked."
    )
    user: Annotated[str, Field(max_length=512)] | None = Field(None, description="Ignored.")
    prompt_logprobs: Unsupported = None
    n_keep: Unsupported = None
    n_discard: Unsupported = None
    truncate_prompt_tokens: Unsupported = None

    @property
    def choices(self) -> int:
        return self.n or 1

    @property
    def stops(self) -> tuple[str, ...]:
        return (self.stop,) if isinstance(self.stop, str) else tuple(self.stop or ())

    @property
    def wants_usage(self) -> bool:
        return self.stream_options is not None and self.stream_options.include_usage is True

    @field_validator("best_of")
    @classmethod
    def _ranks_nothing(cls, best_of: int | None, info: ValidationInfo) -> int | None:
        if best_of is not None and best_of != (info.data.get("n") or 1):
            raise ValueError("must equal `n`: answers are not ranked")
        return best_of
