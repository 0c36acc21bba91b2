"""A conversation with a model: messages in, pieces of text out.

The messages are the state. Every answer starts from the tokens of the whole conversation as the
template writes it; the cache only saves the work of the part that is there already. So an answer
depends on the messages, the sampling options and the seed, never on what was said, undone or
cancelled before.

Nothing is cut in silence: a conversation that does not fit raises `ContextFullError` before any work,
and an answer that runs into the limit says so in `stats.stop_reason`.
"""

from collections.abc import Generator, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Self

from pocketphi.chat import ChatTemplate, Message, render
from pocketphi.errors import UserError, is_whole, shown
from pocketphi.runtime.cancel import CancelFlag
from pocketphi.runtime.generation import Answer, CachedSequence, ReplyStats
from pocketphi.runtime.native import ProgressCallback
from pocketphi.runtime.sampling import MAX_SEED, SamplingOptions
from pocketphi.runtime.writer import Limits, StopReason, Writer

if TYPE_CHECKING:
    from pocketphi.runtime.model import Model


class ContextFullError(UserError):
    """The conversation does not fit in the context, or leaves no room for an answer."""

    def __init__(self, *, needed: int, context: int) -> None:
        super().__init__(
            f"the conversation takes `{needed}` tokens, the context holds `{context}`, one of them for the answer",
            hint="drop older turns, start a new conversation, or load the model with a larger `context`",
        )
        self.needed = needed
        self.context = context


class Session:
    """One conversation. Made by `Model.session`."""

    def __init__(self, model: "Model", *, template: ChatTemplate, sampling: SamplingOptions) -> None:
        self.model = model
        self.template = template
        self.sampling = sampling
        """Used where a reply is given no options of its own."""
        self._cancel = CancelFlag()
        self._sequence = CachedSequence(model.engine.session())
        self._messages: tuple[Message, ...] = ()
        self._writing: Generator[str] | None = None
        self._attempts = 0
        self.stats: ReplyStats | None = None
        """Of the latest answer, also while it is written; None before the first."""
        self._used = 0

    @property
    def messages(self) -> tuple[Message, ...]:
        """The conversation so far: the system message, if any, then user and assistant in turn."""
        return self._messages

    @property
    def context_size(self) -> int:
        """Positions that prompt and answer may take together."""
        return self.model.context_size

    @property
    def context_used(self) -> int:
        """Positions that the conversation takes now."""
        return self._used

    def reply(
        self,
        text: str,
        *,
        max_tokens: int | None = None,
        sampling: SamplingOptions | None = None,
        stop: Sequence[str] = (),
        progress: ProgressCallback | None = None,
    ) -> Generator[str]:
        """Say `text`; the answer in pieces, as they become certain.

        The model works while the iterator is read. Question and answer become part of `messages` with
        the first token; closing the iterator, `cancel` or an exception keeps what was written until then.

        Args:
            max_tokens: end the answer after this many; None for what the context holds.
            stop: strings that end the answer and are no part of it.
            progress: called with tokens done and in all while the prompt is computed.

        Raises:
            ContextFullError: at once, before any work.
            UserError: an option is out of range, or, while reading, memory for the cache ran out.
        """
        self._attempts = 0
        return self._answer((*self._settled(), Message("user", text)), max_tokens, sampling, stop, progress)

    def regenerate(
        self,
        *,
        max_tokens: int | None = None,
        sampling: SamplingOptions | None = None,
        stop: Sequence[str] = (),
        progress: ProgressCallback | None = None,
    ) -> Generator[str]:
        """Answer the latest question again, as `reply` does; with a temperature, differently.

        Raises:
            UserError: nothing was asked yet; and as `reply`.
        """
        messages = self._settled()
        asked = [index for index, message in enumerate(messages) if message.role == "user"]
        if not asked:
            raise UserError("there is no answer to write again", hint="ask something first")
        self._attempts += 1
        options = self.sampling if sampling is None else sampling
        options = replace(options, seed=(options.seed + self._attempts) & MAX_SEED)
        return self._answer(messages[: asked[-1] + 1], max_tokens, options, stop, progress)

    def edit(
        self,
        index: int,
        text: str,
        *,
        max_tokens: int | None = None,
        sampling: SamplingOptions | None = None,
        stop: Sequence[str] = (),
        progress: ProgressCallback | None = None,
    ) -> Generator[str]:
        """Ask `messages[index]` in other words; what came after it is forgotten. Answers as `reply` does.

        Raises:
            UserError: `index` is no message of the user; and as `reply`.
        """
        messages = self._settled()
        if not 0 <= index < len(messages) or messages[index].role != "user":
            asked = [str(place) for place, message in enumerate(messages) if message.role == "user"]
            raise UserError(
                f"message `{index}` is not a question of yours",
                hint=f"choose one of {', '.join(asked)}" if asked else "ask something first",
            )
        self._attempts = 0
        return self._answer((*messages[:index], Message("user", text)), max_tokens, sampling, stop, progress)

    def undo(self) -> None:
        """Forget the latest question and its answer.

        Raises:
            UserError: there is none.
        """
        messages = self._settled()
        asked = [index for index, message in enumerate(messages) if message.role == "user"]
        if not asked:
            raise UserError("there is nothing to undo", hint="ask something first")
        self.reset(messages[: asked[-1]])

    def drop_oldest(self, turns: int = 1) -> None:
        """Forget the oldest questions and their answers; the system message stays."""
        self.reset(_without_oldest(self._settled(), turns))

    def set_system(self, text: str | None) -> None:
        """Replace the system message; None removes it."""
        rest = tuple(message for message in self._settled() if message.role != "system")
        self.reset(rest if text is None else (Message("system", text), *rest))

    def reset(self, messages: Sequence[Message]) -> None:
        """Go on from `messages` instead, for instance from a saved conversation."""
        self._settled()
        for message in messages[:1]:
            size = len(self._encode([message], closed=True)) if message.role == "system" else 0
            if size >= self.context_size:
                raise UserError(
                    f"the system message takes {size:,} tokens, the context holds {self.context_size:,}",
                    hint="shorten it, or load the model with a larger `context`",
                )
        self._used = len(self._encode(messages, closed=True)) if messages else 0
        self._messages = tuple(messages)

    def tokens_needed(self, text: str, *, drop: int = 0) -> int:
        """Tokens of the prompt that `reply(text)` would make, were the `drop` oldest turns forgotten."""
        return len(self._encode((*_without_oldest(self._messages, drop), Message("user", text))))

    def cancel(self) -> None:
        """Stop the answer that is being written, at the next layer. Safe in a signal handler and any thread."""
        self._cancel.set()

    def close(self) -> None:
        """Free the cache. A second call does nothing."""
        self._settled()
        self._sequence.native.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def _settled(self) -> tuple[Message, ...]:
        """The messages, once an answer that nobody read to its end is closed."""
        writing, self._writing = self._writing, None
        if writing is not None:
            writing.close()
        return self._messages

    def _encode(self, messages: Sequence[Message], *, closed: bool = False) -> list[int]:
        segments = render(self.template, messages, add_generation_prompt=not closed)
        return self.model.tokenizer.encode_segments(segments)

    def _answer(
        self,
        messages: tuple[Message, ...],
        max_tokens: int | None,
        sampling: SamplingOptions | None,
        stop: Sequence[str],
        progress: ProgressCallback | None,
    ) -> Generator[str]:
        if max_tokens is not None and (not is_whole(max_tokens) or max_tokens < 1):
            raise UserError(f"`max_tokens` is `{shown(max_tokens)}`", hint="give a whole number, 1 or more")
        prompt = self._encode(messages)
        if len(prompt) >= self.context_size:
            raise ContextFullError(needed=len(prompt) + 1, context=self.context_size)
        limits = Limits(
            context=self.context_size,
            max_tokens=max_tokens,
            stop_ids=self.model.stop_ids(self.template),
            stops=(stop,) if isinstance(stop, str) else tuple(stop),
        )
        options = self.sampling if sampling is None else sampling
        writer = Writer(self.model.tokenizer, options, limits, prompt_length=len(prompt))
        self._cancel.clear()
        answer = Answer(self._sequence, prompt, writer, self._cancel, progress)
        self._writing = self._write(messages, answer)
        return self._writing

    def _write(self, messages: tuple[Message, ...], answer: Answer) -> Generator[str]:
        try:
            for piece in answer.pieces():
                self._record(messages, answer)
                yield piece
        finally:
            self._record(messages, answer)

    def _record(self, messages: tuple[Message, ...], answer: Answer) -> None:
        """Note how far the answer is; it belongs to the conversation once it has begun."""
        self.stats = answer.stats
        if answer.writer.tokens or answer.stats.stop_reason is not StopReason.CANCELLED:
            self._messages = (*messages, Message("assistant", answer.writer.text))
            self._used = len(answer.prompt) + len(answer.writer.tokens)


def _without_oldest(messages: Sequence[Message], turns: int) -> tuple[Message, ...]:
    head = tuple(message for message in messages if message.role == "system")
    asked = [index for index, message in enumerate(messages) if message.role == "user"]
    if turns <= 0:
        return tuple(messages)
    return (*head, *messages[asked[turns] :]) if turns < len(asked) else head
