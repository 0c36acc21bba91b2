"""Answers that are told in one piece."""

from dataclasses import dataclass, field

from starlette.requests import Request

from pocketphi.runtime.sampling import TokenLogprob
from pocketphi.runtime.writer import StopReason
from pocketphi.serve.openai.answers import Answers, followed
from pocketphi.serve.openai.metrics import ModelMetrics
from pocketphi.serve.openai.served import ServeOptions

FINISH_REASONS = {
    StopReason.END: "stop",
    StopReason.STOP: "stop",
    StopReason.LENGTH: "length",
    StopReason.CONTEXT: "length",
}


@dataclass
class WholeAnswer:
    """One answer, at its end."""

    texts: list[str] = field(default_factory=list)
    logprobs: list[TokenLogprob] = field(default_factory=list)
    stop_reason: StopReason = StopReason.END

    @property
    def text(self) -> str:
        return "".join(self.texts)

    @property
    def finish_reason(self) -> str:
        return FINISH_REASONS[self.stop_reason]


async def collect(
    answers: Answers, request: Request, *, options: ServeOptions, metrics: ModelMetrics
) -> list[WholeAnswer]:
    """Wait for every answer.

    Raises:
        ApiError: one failed, or the time is up; none goes on then.
        ClientLeft: as `followed`.
    """
    whole = [WholeAnswer() for _ in answers.tickets]
    try:
        async with followed(answers, request.receive, seconds=options.request_seconds):
            while answers.num_open:
                ready = await answers.ready()
                metrics.written(answers, ready)
                for index, piece in ready:
                    whole[index].texts.append(piece.text)
                    whole[index].logprobs += piece.logprobs
                    if piece.stop_reason is not None:
                        whole[index].stop_reason = piece.stop_reason
    finally:
        if answers.num_open:
            metrics.left(answers)
    return whole
