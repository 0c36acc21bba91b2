"""From a request to jobs: tokens, seeds, limits and grammar, all checked before anything runs."""

import asyncio
import secrets
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import ParamSpec, TypeVar

from pocketphi.runtime.sampling import MAX_SEED
from pocketphi.runtime.scheduler.job import Grammar, Job
from pocketphi.runtime.session import ContextFullError
from pocketphi.serve.openai.answers import Answers
from pocketphi.serve.openai.errors import ApiError
from pocketphi.serve.openai.fields import AnswerFields
from pocketphi.serve.openai.served import ServedModel

LONG_TEXT = 16_384
"""Characters. Writing and encoding so many takes a few milliseconds; more is done beside the event loop."""
_STRIDE = 0x9E3779B97F4A7C15
"""Odd, so that the seeds of a request's answers all differ."""

P = ParamSpec("P")
T = TypeVar("T")


@dataclass(frozen=True, kw_only=True)
class Plan:
    """The jobs of a request: `n` answers to each prompt, one prompt's after another's."""

    jobs: Sequence[Job]
    n: int

    def usage(self, answers: Answers) -> dict[str, object]:
        """OpenAI's `usage`: every prompt counted once."""
        prompt = sum(len(job.prompt) for job in self.jobs[:: self.n])
        cached = sum(ticket.num_cached_tokens for ticket in answers.tickets[:: self.n] if ticket is not None)
        return {
            "prompt_tokens": prompt,
            "completion_tokens": answers.num_tokens,
            "total_tokens": prompt + answers.num_tokens,
            "prompt_tokens_details": {"cached_tokens": cached},
        }


def plan(
    served: ServedModel,
    request: AnswerFields,
    prompts: Sequence[Sequence[int]],
    *,
    tenant: str,
    max_tokens: int | None,
    stop_ids: frozenset[int],
    grammar: Grammar | None = None,
    top_logprobs: int | None = None,
) -> Plan:
    """The jobs of `request`.

    Args:
        prompts: tokens of each, checked by `check_prompt`.
        stop_ids: what ends an answer, unless the request ignores that.

    Raises:
        ApiError: a token of `logit_bias` is none of the model's.
    """
    vocab_size = served.model.config.vocab_size
    for token in request.logit_bias or {}:
        if int(token) >= vocab_size:
            raise ApiError(
                f"`logit_bias`: token `{token}` is not one of the model's {vocab_size}",
                param="logit_bias",
                code="invalid_value",
            )
    n = request.choices
    seed = secrets.randbits(63) if request.seed is None else request.seed
    jobs = [
        Job(
            prompt=tuple(prompt),
            max_tokens=max_tokens,
            sampling=request.sampling((seed + index * _STRIDE) & MAX_SEED),
            stops=request.stops,
            stop_ids=frozenset() if request.ignore_eos else stop_ids,
            grammar=grammar,
            top_logprobs=top_logprobs,
            tenant=tenant,
        )
        for prompt in prompts
        for index in range(n)
    ]
    return Plan(jobs=jobs, n=n)


def check_prompt(served: ServedModel, tokens: Sequence[int], *, param: str, answer: int = 1) -> None:
    """Refuse a prompt that is empty, too long, or holds what is no token of the model.

    Args:
        answer: tokens for which there must be room after it.
    """
    if not tokens:
        raise ApiError(f"`{param}` is empty", param=param, code="invalid_value")
    if len(tokens) + answer > served.model.context_size:
        error = ContextFullError(needed=len(tokens) + answer, context=served.model.context_size)
        raise ApiError.of(error, param=param)
    vocab_size = served.model.config.vocab_size
    if max(tokens) >= vocab_size:
        raise ApiError(
            f"`{param}`: token `{max(tokens)}` is not one of the model's {vocab_size}",
            param=param,
            code="invalid_value",
        )


def encode_text(served: ServedModel, text: str, *, add_special_tokens: bool = True) -> list[int]:
    """Tokens of a text that is no conversation, with the token in front that every sequence starts with."""
    model = served.model
    tokens = model.tokenizer.encode(text)
    return [model.bos_id, *tokens] if add_special_tokens and model.bos_id is not None else tokens


async def beside(size: int, work: Callable[P, T], /, *arguments: P.args, **options: P.kwargs) -> T:
    """`work(...)`, in a thread if there is much of it, so that nobody's stream waits.

    Args:
        size: characters, roughly.
    """
    if size <= LONG_TEXT:
        return work(*arguments, **options)
    return await asyncio.to_thread(work, *arguments, **options)
