"""The native engine as a `Backend`: several sequences move forward in every step.

What requests begin with in common is computed once (`runtime.prefixes`), and every context that is to be scored is read
once (`runtime.scoring`). Generating keeps up to `batch_size` answers in flight and starts the next request where one
ends. By the engine's promise none of this changes a bit of any result.
"""

from collections.abc import Sequence
from dataclasses import dataclass

from pocketphi.errors import UserError
from pocketphi.runtime.backend import (
    Capabilities,
    GenerateRequest,
    GenerateResult,
    ScoreRequest,
    ScoreResult,
)
from pocketphi.runtime.model import Model
from pocketphi.runtime.native import StepItem
from pocketphi.runtime.prefixes import Leaf, Prefixes
from pocketphi.runtime.requests import RequestReader
from pocketphi.runtime.scoring import score_tokens
from pocketphi.runtime.writer import Writer


@dataclass(eq=False)
class _InFlight:
    leaf: Leaf
    writer: Writer
    next_tokens: Sequence[int]


class NativeBackend:
    """Scores and generates on `model`.

    Args:
        batch_size: sequences in one step. Their caches share the model's page budget; where it is short, fewer.
    """

    def __init__(self, model: Model, *, batch_size: int = 8) -> None:
        if batch_size < 1:
            raise UserError(f"`batch_size` is `{batch_size}`", hint="give 1 or more")
        self.model = model
        self.batch_size = batch_size
        self._reader = RequestReader(
            tokenizer=model.tokenizer,
            template=model.template,
            bos_id=model.bos_id,
            stop_ids=model.stop_ids(),
            context=model.context_size,
        )

    @property
    def capabilities(self) -> Capabilities:
        return Capabilities(logits=True, logprobs=True, grammar=False, max_context=self.model.context_size)

    def length(self, request: ScoreRequest | GenerateRequest) -> int:
        """Tokens of a prompt, or of context and continuation."""
        return self._reader.length(request)

    def score(self, requests: Sequence[ScoreRequest]) -> list[ScoreResult]:
        """Log likelihoods, in the order of the requests. Raises `UserError` if one does not fit."""
        return score_tokens(self.model.engine, self._reader.scored(requests), batch_size=self.batch_size)

    def generate(self, requests: Sequence[GenerateRequest]) -> list[GenerateResult]:
        """Answers, in the order of the requests. Raises `UserError` if a prompt does not fit."""
        prompts = [tuple(self._reader.prompt(request)) for request in requests]
        pairs = list(zip(requests, prompts, strict=True))
        writers = [self._reader.writer(request, prompt) for request, prompt in pairs]
        longest = [min(len(prompt) + request.max_tokens, self.model.context_size) for request, prompt in pairs]
        flying: list[_InFlight] = []
        with Prefixes(self.model.engine, prompts, longest) as prefixes:
            while True:
                leaves = prefixes.take(self.batch_size - len(flying), [answer.leaf for answer in flying])
                flying += [_InFlight(leaf, writers[leaf.index], leaf.rest) for leaf in leaves]
                if not flying:
                    break
                items = [StepItem(session=answer.leaf.session, tokens=answer.next_tokens) for answer in flying]
                for answer, output in zip(flying, self.model.engine.step(items), strict=True):
                    assert output.logits is not None
                    answer.writer.push(output.logits[0])
                    answer.next_tokens = answer.writer.tokens[-1:]
                    if answer.writer.stop_reason is not None:
                        prefixes.close(answer.leaf.session)
                flying = [answer for answer in flying if answer.writer.stop_reason is None]
        return [_written(writer) for writer in writers]


def _written(writer: Writer) -> GenerateResult:
    assert writer.stop_reason is not None
    return GenerateResult(text=writer.text, num_tokens=len(writer.tokens), stop_reason=writer.stop_reason)
