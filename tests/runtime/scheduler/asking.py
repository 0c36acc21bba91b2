"""Jobs for a tiny model, and the plain way to their answers: one session, one token after another."""

import threading
from dataclasses import dataclass, field

import numpy as np

from pocketphi.runtime.model import Model
from pocketphi.runtime.sampling import SamplingOptions
from pocketphi.runtime.scheduler.job import EmbedJob, Job, Piece
from pocketphi.runtime.writer import Limits, StopReason, Writer

PATIENCE_SECONDS = 20.0


def job(prompt: list[int] | tuple[int, ...], *, max_tokens: int | None = 12, tenant: str = "", seed: int = 0) -> Job:
    """A job that draws with a temperature, so that a wrong logit shows."""
    sampling = SamplingOptions(temperature=1.5, seed=seed)
    return Job(prompt=tuple(prompt), max_tokens=max_tokens, sampling=sampling, tenant=tenant)


def tokens_of(count: int, seed: int = 0) -> list[int]:
    """Tokens of text, none of them a control token."""
    return np.random.default_rng(seed).integers(0, 256, count).tolist()


@dataclass
class Heard:
    """What a job's owner has heard."""

    pieces: list[Piece] = field(default_factory=list)
    ended: threading.Event = field(default_factory=threading.Event)
    began: threading.Event = field(default_factory=threading.Event)

    def hear(self, piece: Piece) -> None:
        assert not self.ended.is_set(), "a piece after the last"
        self.pieces.append(piece)
        self.began.set()
        if piece.is_last:
            self.ended.set()

    def wait(self) -> "Heard":
        assert self.ended.wait(PATIENCE_SECONDS), "no end of the answer"
        return self

    @property
    def tokens(self) -> list[int]:
        return [token for piece in self.pieces for token in piece.tokens]

    @property
    def text(self) -> str:
        return "".join(piece.text for piece in self.pieces)

    @property
    def stop_reason(self) -> StopReason | None:
        return self.pieces[-1].stop_reason


def answer_alone(model: Model, asked: Job) -> tuple[list[int], str, StopReason]:
    """The oracle: a fresh session reads the whole prompt at once, then token after token."""
    limits = Limits(context=model.context_size, max_tokens=asked.max_tokens, stop_ids=asked.stop_ids, stops=asked.stops)
    writer = Writer(model.tokenizer, asked.sampling, limits, prompt_length=len(asked.prompt))
    with model.engine.session() as session:
        tokens = list(asked.prompt)
        while writer.stop_reason is None:
            output = session.step(tokens)
            assert output.logits is not None
            writer.push(output.logits[0])
            tokens = writer.tokens[-1:]
    return writer.tokens, writer.text, writer.stop_reason


def embedding_alone(model: Model, asked: EmbedJob) -> np.ndarray:
    return model.hidden(asked.prompt).mean(axis=0, dtype=np.float64).astype(np.float32)
