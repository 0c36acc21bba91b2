"""A conversation to answer, up to where its jobs run: what chat completions and responses have in common."""

from dataclasses import dataclass

from starlette.requests import Request

from pocketphi.serve.openai import structure
from pocketphi.serve.openai.answers import Answers
from pocketphi.serve.openai.calls import Reader
from pocketphi.serve.openai.chat_request import ChatRequest
from pocketphi.serve.openai.plan import Plan, check_prompt, plan
from pocketphi.serve.openai.prompts import conversation_prompt
from pocketphi.serve.openai.served import ServedModel
from pocketphi.serve.openai.service import Service, tenant_of


@dataclass(frozen=True, kw_only=True)
class Prepared:
    """Answers on their way, and how to read them."""

    asked: ChatRequest
    served: ServedModel
    planned: Plan
    answers: Answers

    def reader(self) -> Reader | None:
        """A fresh reader for one answer; None if it is text and nothing else."""
        return None


async def prepare(service: Service, request: Request, asked: ChatRequest) -> Prepared:
    """Write the prompt, and submit what is to be answered.

    Raises:
        ApiError: the request cannot be answered.
    """
    served = service.models.named(asked.model)
    tokens = await conversation_prompt(
        served,
        asked.messages,
        opens=asked.add_generation_prompt is not False,
        continues=asked.continue_final_message is True,
    )
    check_prompt(served, tokens, param="messages")
    planned = plan(
        served,
        asked,
        [tokens],
        tenant=tenant_of(request),
        max_tokens=asked.most_tokens,
        stop_ids=served.model.stop_ids(served.model.template),
        grammar=await structure.grammar_of(served, asked.structured_outputs, asked.response_format),
        top_logprobs=(asked.top_logprobs or 0) if asked.logprobs else None,
    )
    return Prepared(asked=asked, served=served, planned=planned, answers=service.answers(served, planned.jobs))
