"""A `Backend` as a model of lm-evaluation-harness.

The harness asks three things: how likely a continuation is, how likely a whole text is, and what comes next. Each
request is looked up among the answers kept from before; what is missing goes to the backend in large batches, ordered
so that prompts with a common beginning (the same worked examples) are neighbours and it is read once.

A conversation travels through the harness as a string, because that is all it knows: `MARK` and JSON. Here it becomes
turns again, so text in it can never turn into control tokens.

Batches are cut in the same way whatever is known already, and one is computed as a whole: a backend whose last bits
depend on its neighbours gives the same figures in a run that was killed.
"""

import json
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from lm_eval.api.instance import Instance
from lm_eval.api.model import LM

from pocketphi.chat import Message
from pocketphi.errors import UserError, shown
from pocketphi.eval.harness.answers import Answers, key_of
from pocketphi.runtime.backend import Backend, GenerateRequest, ScoreRequest
from pocketphi.runtime.sampling import SamplingOptions

MARK = "\0chat:"
"""Begins a context that is a conversation."""
BATCH = {"score": 256, "generate": 32}
"""Requests that go to the backend together, and are kept together when they are answered."""
DEFAULT_MAX_TOKENS = 256
"""What the harness writes at most where a task does not say."""
_IGNORED = {"until", "max_gen_toks", "do_sample", "temperature", "top_p", "top_k", "min_p", "seed"}

Done = Callable[[int, int], None]
"""Called with the requests that are answered and their number."""


class HarnessModel(LM):  # type: ignore[misc, unused-ignore]
    """Answers the harness's requests.

    Args:
        backend: computes what is not among `answers`.
        done: is told of every batch.
    """

    def __init__(
        self, backend: Backend, answers: Answers, *, name: str, done: Done = lambda _done, _total: None
    ) -> None:
        super().__init__()
        self.backend, self._answers, self._name = backend, answers, name
        self.done = done

    def loglikelihood(self, requests: list[Instance]) -> list[tuple[float, bool]]:
        """Log-likelihood of each continuation, and whether it would be written greedily."""
        pairs = [score_request(*request.args) for request in requests]
        found = self._answered(
            [["score", _told(pair.context), pair.continuation] for pair in pairs],
            lambda indices: [
                [result.logprob, result.is_greedy] for result in self.backend.score([pairs[i] for i in indices])
            ],
        )
        return [(float(logprob), bool(is_greedy)) for logprob, is_greedy in found]

    def loglikelihood_rolling(self, requests: list[Instance]) -> list[float]:
        """Log-likelihood of whole texts; one that does not fit is read in parts, each behind half a context."""
        found = []
        for request in requests:
            parts = [score_request(*pair) for pair in self._windows(str(request.args[0]))]
            scored = self._answered(
                [["score", part.context, part.continuation] for part in parts],
                lambda indices, parts=parts: [  # type: ignore[misc]
                    [result.logprob, result.is_greedy] for result in self.backend.score([parts[i] for i in indices])
                ],
            )
            found.append(sum(float(logprob) for logprob, _ in scored))
        return found

    def generate_until(self, requests: list[Instance]) -> list[str]:
        """What the model writes behind each prompt."""
        asked = [generate_request(*request.args) for request in requests]
        found = self._answered(
            [["generate", *request.args] for request in requests],
            lambda indices: [result.text for result in self.backend.generate([asked[i] for i in indices])],
        )
        return [str(text) for text in found]

    def apply_chat_template(self, chat_history: list[dict[str, str]], add_generation_prompt: bool = True) -> str:
        """The conversation as the string that `loglikelihood` and `generate_until` understand."""
        del add_generation_prompt  # a last turn of the assistant's is gone on with, any other is answered
        return MARK + json.dumps(chat_history, ensure_ascii=False)

    @property
    def tokenizer_name(self) -> str:
        return self._name

    def chat_template(self, chat_template: bool | str = False) -> str:
        """Built-in templates only: a template of a file is never executed."""
        return "built-in" if chat_template else ""

    def _answered(self, requests: Sequence[Any], compute: Callable[[Sequence[int]], list[Any]]) -> list[Any]:
        keys = [key_of(request) for request in requests]
        size = BATCH[requests[0][0]] if requests else 1
        # One of each, those with a common beginning together.
        order = sorted(
            {key: index for index, key in enumerate(keys)}.values(), key=lambda i: [str(p) for p in requests[i]]
        )
        found: dict[str, Any] = {}
        for start in range(0, len(order), size):
            batch = order[start : start + size]
            known = self._answers.find([keys[index] for index in batch])
            if len(known) < len(batch):
                known = dict(zip((keys[index] for index in batch), compute(batch), strict=True))
                self._answers.add(known)
            found.update(known)
            self.done(min(start + size, len(order)), len(order))
        return [found[key] for key in keys]

    def _windows(self, text: str) -> list[tuple[str, str]]:
        """(what stands before, part) of a text, parts as large as fit with half a context before them."""
        context = self.backend.capabilities.max_context
        parts: list[tuple[str, str]] = []
        start = 0
        while start < len(text):
            # A token stands for a byte at least, so this fits with any vocabulary; then as much more as fits.
            size = context // 2
            before = text[max(0, start - size) : start]
            while start + size < len(text) and self._fits(before, text[start : start + 2 * size]):
                size *= 2
            while size > 1 and not self._fits(before, text[start : start + size]):
                size //= 2
            parts.append((before, text[start : start + size]))
            start += size
        return parts

    def _fits(self, before: str, part: str) -> bool:
        length = self.backend.length(ScoreRequest(context=before, continuation=part))
        taken = len((before + part).encode("utf-8", "replace")) + 1 if length is None else length
        return taken <= self.backend.capabilities.max_context


def score_request(context: str, continuation: str) -> ScoreRequest:
    """What the harness asks. Spaces at the end of a context belong to the continuation, as in its own models."""
    if context.startswith(MARK):
        return ScoreRequest(context=conversation(context), continuation=continuation)
    kept = context.rstrip(" ")
    return ScoreRequest(context=kept, continuation=context[len(kept) :] + continuation)


def generate_request(context: str, settings: Mapping[str, Any]) -> GenerateRequest:
    """What the harness asks.

    Raises:
        UserError: a setting that we do not have.
    """
    unknown = sorted(settings.keys() - _IGNORED)
    if unknown:
        raise UserError(f"the task sets `{shown(unknown[0])}` for generation, which pocketphi does not know")
    until = settings.get("until") or []
    sampled = bool(settings.get("do_sample", False)) and float(settings.get("temperature", 1.0)) > 0
    options = SamplingOptions(temperature=0.0)
    if sampled:
        options = SamplingOptions(
            temperature=float(settings.get("temperature", 1.0)),
            top_p=float(settings.get("top_p", 1.0)),
            top_k=int(settings.get("top_k", 0)),
            min_p=float(settings.get("min_p", 0.0)),
            seed=int(settings.get("seed", 1234)),
        )
    return GenerateRequest(
        prompt=conversation(context) if context.startswith(MARK) else context,
        max_tokens=int(settings.get("max_gen_toks", DEFAULT_MAX_TOKENS)),
        stop=tuple([until] if isinstance(until, str) else [text for text in until if text]),
        sampling=options,
    )


def conversation(context: str) -> tuple[Message, ...]:
    """The turns behind `MARK`."""
    return tuple(Message(turn["role"], turn["content"]) for turn in json.loads(context.removeprefix(MARK)))


def marked(messages: Sequence[Message]) -> str:
    """The other way round."""
    return MARK + json.dumps([{"role": m.role, "content": m.content} for m in messages], ensure_ascii=False)


def _told(context: str | tuple[Message, ...]) -> str:
    return context if isinstance(context, str) else marked(context)
