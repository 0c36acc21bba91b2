"""One job at work: the tokens it has, how many of them its session has read, and what writes its answer.

A sequence is a list of tokens of which the session has read some. Reading a prompt and writing an answer are the same
thing: the engine reads what is pending, and when nothing but the last token was, its logits give one token more.
"""

import time
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from pocketphi.errors import UserError
from pocketphi.runtime.native import NativeSession, StepOutput
from pocketphi.runtime.scheduler.job import Piece, Ticket
from pocketphi.runtime.scheduler.kept import Ids, KeptPrefix
from pocketphi.runtime.writer import StopReason, Writer


@dataclass(eq=False)
class Running:
    """A ticket at work."""

    ticket: Ticket
    prompt: Ids
    longest: int
    """Positions that it may come to take."""
    session: NativeSession
    start: int
    """Tokens that the session began with."""
    pages: int
    """The most that its session comes to own."""
    is_long: bool
    """Whether its keys are turned as beyond LongRoPE's border."""
    writer: Writer | None
    """None for a text to embed."""
    num_read: int = 0
    """Tokens in the session."""
    hidden: NDArray[np.float64] | None = None
    """Sum of the hidden states so far, of a text to embed."""

    @property
    def num_tokens(self) -> int:
        return len(self.prompt) + (0 if self.writer is None else len(self.writer.tokens))

    @property
    def num_pending(self) -> int:
        """Tokens that the session has not read; one or more."""
        return self.num_tokens - self.num_read

    @property
    def is_writing(self) -> bool:
        """Whether the prompt is read and the next token is all that is pending."""
        return self.num_pending == 1 and self.num_read > 0

    def pending(self, most: int) -> Sequence[int] | Ids:
        """The next tokens to read, at most so many."""
        begin, end = self.num_read, min(self.num_read + most, self.num_tokens)
        if end <= len(self.prompt):
            return self.prompt[begin:end]
        assert self.writer is not None
        written = self.writer.tokens
        if begin >= len(self.prompt):
            return written[begin - len(self.prompt) : end - len(self.prompt)]
        return [*self.prompt[begin:].tolist(), *written[: end - len(self.prompt)]]

    def take(self, num_read: int, output: StepOutput) -> Piece | None:
        """The session has read more. What that gives to the ticket's owner, if anything."""
        self.num_read += num_read
        if output.hidden is not None:
            total = output.hidden.sum(axis=0, dtype=np.float64)
            self.hidden = total if self.hidden is None else self.hidden + total
        if self.num_read < self.num_tokens:
            return None
        if self.writer is None:
            assert self.hidden is not None
            mean = (self.hidden / self.num_read).astype(np.float32)
            return Piece(embedding=mean, stop_reason=StopReason.END)
        assert output.logits is not None
        if self.ticket.first_token_at is None:
            self.ticket.first_token_at = time.monotonic()
        return write(self.writer, output.logits[0])

    def kept(self) -> KeptPrefix:
        """The session with what it has read, for the prefix cache."""
        written = [] if self.writer is None else self.writer.tokens
        tokens = np.concatenate((self.prompt, np.asarray(written, np.int32)))[: self.num_read]
        return KeptPrefix(tenant=self.ticket.job.tenant, tokens=tokens, session=self.session, is_long=self.is_long)


def write(writer: Writer, logits: NDArray[np.float32]) -> Piece:
    """Draw the next token from (V,) logits."""
    tokens, logprobs = len(writer.tokens), len(writer.logprobs)
    try:
        text = writer.push(logits)
    except UserError as error:
        return Piece(error=error)
    return Piece(
        text=text,
        tokens=tuple(writer.tokens[tokens:]),
        logprobs=tuple(writer.logprobs[logprobs:]),
        stop_reason=writer.stop_reason,
    )
