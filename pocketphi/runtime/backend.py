"""What can score and generate text: the `Backend` protocol.

Evaluation, red teaming and the server talk to a model through two calls, both in batches. The native
engine (`runtime.native_backend`), a torch checkpoint and a remote endpoint answer them alike, so one
harness measures them all.

A text is plain, or a conversation that the model's chat template writes. A conversation that ends with a message of the
assistant is one whose answer has begun: the model goes on within that turn, which is neither closed nor opened anew. No
text gives a control token, whatever it holds; only the template writes those.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Protocol

from pocketphi.chat import Message
from pocketphi.runtime.sampling import SamplingOptions
from pocketphi.runtime.writer import StopReason


@dataclass(frozen=True, kw_only=True)
class Capabilities:
    """What a backend can do beyond text in, text out."""

    logits: bool
    logprobs: bool
    grammar: bool
    max_context: int
    """Tokens of prompt and answer together."""


@dataclass(frozen=True, kw_only=True)
class ScoreRequest:
    """How likely is `continuation` after `context`?

    The two are tokenized as one text. A tokenizer may join the end of the one with the start of the other, so as
    continuation count the tokens from the first one that differs from those of `context` alone. lm-evaluation-harness
    counts as many tokens as `context` alone has; both agree wherever no token reaches across.
    """

    context: str | tuple[Message, ...]
    """A text, or a conversation: `continuation` then follows the opening of an answer, or the answer begun there."""
    continuation: str


@dataclass(frozen=True, kw_only=True)
class ScoreResult:
    logprob: float
    """Natural logarithm, summed over the tokens of the continuation."""
    num_tokens: int
    is_greedy: bool
    """Whether each of these tokens was the likeliest."""


@dataclass(frozen=True, kw_only=True)
class GenerateRequest:
    prompt: str | tuple[Message, ...]
    """Plain text to go on from, or a conversation to answer in the model's own chat form; if its last message is the
    assistant's, that answer is gone on with."""
    max_tokens: int
    stop: tuple[str, ...] = ()
    sampling: SamplingOptions = field(default_factory=SamplingOptions)


@dataclass(frozen=True, kw_only=True)
class GenerateResult:
    text: str
    num_tokens: int
    stop_reason: StopReason


class Backend(Protocol):
    """Scores and generates in batches; results in the order of the requests."""

    @property
    def capabilities(self) -> Capabilities: ...

    def length(self, request: ScoreRequest | GenerateRequest) -> int | None:
        """Tokens of a prompt, or of context and continuation, whether they fit or not; None if that is not known."""
        ...

    def score(self, requests: Sequence[ScoreRequest]) -> list[ScoreResult]:
        """Raises `UserError` if a request does not fit in the context."""
        ...

    def generate(self, requests: Sequence[GenerateRequest]) -> list[GenerateResult]:
        """Raises `UserError` if a request does not fit in the context."""
        ...
