"""A conversation to answer, up to where its jobs run: what chat completions and responses have in common."""

from dataclasses import dataclass

from starlette.requests import Request

from pocketphi.runtime.scheduler.job import Grammar
from pocketphi.serve.openai.answers import Answers
from pocketphi.serve.openai.chat_request import ChatRequest
from pocketphi.serve.openai.errors import ApiError
from pocketphi.serve.openai.plan import Plan, check_prompt, plan
from pocketphi.serve.openai.prompts import conversation, prompt_tokens
from pocketphi.serve.openai.served import ServedModel
from pocketphi.serve.openai.service import Service, tenant_of
from pocketphi.serve.openai.structure import compiled, form_of, grammar_of
from pocketphi.serve.tool_answers import CallParser
from pocketphi.serve.tools import ToolPlan


@dataclass(frozen=True, kw_only=True)
class Prepared:
    """Answers on their way, and how to read them."""

    asked: ChatRequest
    served: ServedModel
    told: ToolPlan
    planned: Plan
    answers: Answers

    def parser(self) -> CallParser | None:
        """Reads one answer; None if it is text and nothing else."""
        return self.told.parser()


async def prepare(service: Service, request: Request, asked: ChatRequest) -> Prepared:
    """Write the prompt, and submit what is to be answered.

    Raises:
        ApiError: the request cannot be answered.
    """
    served = service.models.named(asked.model)
    told = conversation(
        served,
        asked.messages,
        tools=asked.tools,
        choice=asked.tool_choice,
        is_parallel=asked.parallel_tool_calls is not False,
        answer=form_of(asked.structured_outputs, asked.response_format),
    )
    tokens = await prompt_tokens(
        served, told, opens=asked.add_generation_prompt, continues=asked.continue_final_message
    )
    check_prompt(served, tokens, param="messages")
    planned = plan(
        served,
        asked,
        [tokens],
        tenant=tenant_of(request),
        max_tokens=asked.most_tokens,
        stop_ids=served.model.stop_ids(served.model.template),
        grammar=await _grammar(served, asked, told),
        top_logprobs=(asked.top_logprobs or 0) if asked.logprobs else None,
    )
    answers = service.answers(served, planned.jobs)
    return Prepared(asked=asked, served=served, told=told, planned=planned, answers=answers)


async def _grammar(served: ServedModel, asked: ChatRequest, told: ToolPlan) -> Grammar | None:
    if not told.tools:
        return await grammar_of(served, asked.structured_outputs, asked.response_format)
    if asked.structured_outputs is not None and asked.structured_outputs.grammar is not None:
        raise ApiError("`structured_outputs.grammar` and `tools` exclude each other", param="structured_outputs")
    return await compiled(served, told.grammar, param="tools")
