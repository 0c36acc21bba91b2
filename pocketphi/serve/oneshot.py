"""One answer without a conversation: for pipes, scripts and the two sample prompts.

The answer streams to standard output as it comes; what is said about it goes to standard error. On a
terminal the answer is made safe to show; into a pipe or a file it goes byte for byte.
"""

import json
import sys
from typing import BinaryIO

from pocketphi.errors import UserError
from pocketphi.runtime.generation import ReplyStats
from pocketphi.runtime.sampling import SamplingOptions
from pocketphi.runtime.session import Session
from pocketphi.runtime.writer import StopReason
from pocketphi.serve.text import printable

MAX_PROMPT_BYTES = 16 << 20
"""No context holds more; a larger prompt is refused before it is read to its end."""

SAMPLE_PROMPTS = ("What is the capital of France?", "Explain in two sentences why the sky is blue.")


def read_prompt(stream: BinaryIO) -> str:
    """The prompt that is piped in, without the last line feed.

    Raises:
        UserError: it is empty, not UTF-8, or larger than any context.
    """
    data = stream.read(MAX_PROMPT_BYTES + 1)
    if len(data) > MAX_PROMPT_BYTES:
        raise UserError(
            f"the prompt on standard input has more than {MAX_PROMPT_BYTES >> 20} MiB, more than any context holds",
            hint="send a part of it",
        )
    try:
        text = data.decode("utf-8")
    except UnicodeDecodeError as error:
        raise UserError(
            f"the prompt on standard input is not UTF-8: byte `0x{data[error.start]:02x}` at {error.start:,}",
            hint="convert it first, for instance with `iconv -t utf-8`",
        ) from error
    if not text.strip():
        raise UserError("the prompt on standard input is empty", hint="pipe a text in, or give `--prompt TEXT`")
    return text.removeprefix("\ufeff").removesuffix("\n")


def answer(session: Session, prompt: str, *, max_tokens: int | None) -> ReplyStats:
    """Stream the answer to standard output, and say on standard error how it went."""
    is_terminal = sys.stdout.isatty()
    try:
        for piece in session.reply(prompt, max_tokens=max_tokens):
            sys.stdout.write(printable(piece) if is_terminal else piece)
            sys.stdout.flush()
    finally:
        if session.stats is not None:
            sys.stdout.write("\n")
    stats = _stats(session)
    sys.stdout.flush()
    print(summary(stats), file=sys.stderr)
    return stats


def answer_as_json(session: Session, prompt: str, *, max_tokens: int | None, model_name: str) -> None:
    """Print the answer and its figures as one JSON object."""
    text = "".join(session.reply(prompt, max_tokens=max_tokens))
    stats = _stats(session)
    result = {
        "model": model_name,
        "text": text,
        "finish_reason": str(stats.stop_reason),
        "prompt_tokens": stats.prompt_tokens,
        "tokens": stats.new_tokens,
        "tokens_per_second": round(stats.decode_tokens_per_second, 2),
        "first_token_seconds": round(stats.prefill_seconds, 4),
        "seed": session.sampling.seed,
    }
    print(json.dumps(result, ensure_ascii=False))


def answer_samples(session: Session, *, max_tokens: int | None) -> None:
    """Answer the built-in prompts, greedily and each on its own, and print the speed."""
    session.sampling = SamplingOptions()
    start = session.messages
    for prompt in SAMPLE_PROMPTS:
        session.reset(start)
        print(f"> {prompt}")
        for piece in session.reply(prompt, max_tokens=max_tokens):
            sys.stdout.write(printable(piece))
            sys.stdout.flush()
        print(f"\n{summary(_stats(session))}\n", flush=True)


def summary(stats: ReplyStats) -> str:
    """How an answer went, on one line."""
    ended = {
        StopReason.LENGTH: ", cut by `--max-tokens`",
        StopReason.CONTEXT: ", cut because the context is full",
        StopReason.CANCELLED: ", stopped",
    }.get(stats.stop_reason, "")
    speed = f" at {stats.decode_tokens_per_second:.1f} tokens/s" if stats.decode_tokens_per_second else ""
    return f"({stats.new_tokens:,} tokens{speed}, the first after {stats.prefill_seconds:.2f} s{ended})"


def _stats(session: Session) -> ReplyStats:
    assert session.stats is not None
    return session.stats
