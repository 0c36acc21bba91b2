"""The native engine as a `Backend`: several sequences move forward in every step.

Generating drives the batch that the server's scheduler drives (`runtime.scheduler.batch`): up to `batch_size` answers
are in flight, and the next request starts where one ends. Scoring reads every context once (`runtime.scoring`). What
requests begin with in common is computed once. By the engine's promise none of this changes a bit of any result.
"""

from collections import deque
from collections.abc import Sequence

from pocketphi.errors import UserError
from pocketphi.runtime.backend import (
    Capabilities,
    GenerateRequest,
    GenerateResult,
    ScoreRequest,
    ScoreResult,
)
from pocketphi.runtime.model import Model
from pocketphi.runtime.requests import RequestReader
from pocketphi.runtime.scheduler.batch import PROMPT_TOKENS_ALONE, Batch
from pocketphi.runtime.scheduler.job import Piece, Ticket
from pocketphi.runtime.scoring import score_tokens


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
        answers = [_Answer() for _ in requests]
        tickets = [
            Ticket(self._reader.job(request), answer.push) for request, answer in zip(requests, answers, strict=True)
        ]
        # Neighbours in the order of their tokens begin alike: what one has read the next one starts from.
        line = deque(sorted(tickets, key=lambda ticket: ticket.job.prompt))
        with Batch(self.model, prompt_tokens_beside=PROMPT_TOKENS_ALONE) as batch:
            while line or batch.running:
                while line and len(batch.running) < self.batch_size and batch.start(line[0]):
                    line.popleft()
                for ticket, piece in batch.step(batch.compose()):
                    ticket.on_piece(piece)
        return [answer.result() for answer in answers]


class _Answer:
    """What came of one request."""

    def __init__(self) -> None:
        self._text: list[str] = []
        self._num_tokens = 0
        self._last: Piece | None = None

    def push(self, piece: Piece) -> None:
        self._text.append(piece.text)
        self._num_tokens += len(piece.tokens)
        self._last = piece

    def result(self) -> GenerateResult:
        """Raises `UserError` if the answer failed."""
        assert self._last is not None
        if self._last.error is not None:
            raise self._last.error
        assert self._last.stop_reason is not None
        return GenerateResult(text="".join(self._text), num_tokens=self._num_tokens, stop_reason=self._last.stop_reason)
