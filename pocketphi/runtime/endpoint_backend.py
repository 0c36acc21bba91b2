"""Any OpenAI-compatible server as a `Backend`: what it says is checked before it is believed.

Texts go to `/completions`, conversations to `/chat/completions`, several at once; results keep their order. Scores
come from what a server says about the tokens of a prompt (`runtime.endpoint_echo`). OpenAI's API has no such thing for
chat models, and llama.cpp's server gives logprobs of new tokens only: such servers can generate, and `capabilities`
says so.

Before anything is scored the server is asked for one text twice and for a longer one once: tokens that both have must
be equally likely each time, for a model looks back only. One that invents its numbers, or gives zeros, is not scored
with.

The split of context and continuation is that of `ScoreRequest`. Where a token ends at the border, the tokens before it
are those of the context alone: no merge of byte pairs has crossed the border, so none depends on what follows. The
context is asked for by itself only where a token crosses the border, where spaces end it (tokenizers look beyond those
before they cut), and in conversations.

The weights behind an address can change unseen: `identity` says where, not what.
"""

import re
from collections.abc import Callable, Mapping, Sequence
from functools import cached_property
from typing import Any, Literal, Self

from pocketphi.chat import Message
from pocketphi.config import Settings
from pocketphi.config import settings as current_settings
from pocketphi.errors import UserError, shown
from pocketphi.runtime.backend import Capabilities, GenerateRequest, GenerateResult, ScoreRequest, ScoreResult
from pocketphi.runtime.endpoint_calls import Calls, each
from pocketphi.runtime.endpoint_echo import (
    Echo,
    Untrue,
    agree,
    count,
    echo_of_completion,
    echo_of_prompt,
    is_blurred,
    num_same,
    only_choice,
    spans,
)
from pocketphi.runtime.endpoint_http import EndpointError, Patience, Server
from pocketphi.runtime.sampling import SamplingOptions
from pocketphi.runtime.stopping import StopFinder
from pocketphi.runtime.writer import StopReason

Form = Literal["echo", "prompt_logprobs"]
Prompt = str | tuple[Message, ...]

_MOST_AT_ONCE = 64
_MOST_STOPS = 4
"""OpenAI takes no more; the others are looked for in what comes back."""
_PROBE, _PROBE_LONGER = "The quick brown fox jumps over the lazy dog", " and runs away"
_CANNOT = {400, 404, 405, 415, 422, 500, 501}
"""How servers refuse what they do not have."""


class EndpointBackend:
    """Scores and generates with the model that a server runs.

    Args:
        address: such as `http://localhost:8000/v1`; without a path, `/v1` is meant.
        settings: whether the network may be used, and the server's key.
        model: its name; by default the first of the server's list.
        max_context: tokens of prompt and answer together, where the server's list does not say.
        concurrency: requests at once.
        notice: is told why a request is sent again, while an answer may be waited for many minutes; from any thread.

    Raises:
        UserError: the address is unusable, the network forbidden, the server cannot be reached, or it does not say what
            was left out here.
    """

    def __init__(
        self,
        address: str,
        settings: Settings,
        *,
        model: str | None = None,
        max_context: int | None = None,
        concurrency: int = 8,
        patience: Patience | None = None,
        notice: Callable[[str], None] = lambda _text: None,
    ) -> None:
        if not 1 <= concurrency <= _MOST_AT_ONCE:
            raise UserError(f"`concurrency` is `{concurrency}`", hint=f"give 1 to {_MOST_AT_ONCE}")
        if max_context is not None and max_context < 1:
            raise UserError(f"`max_context` is `{max_context}`", hint="give the tokens of prompt and answer together")
        patience = patience or Patience()
        self._server = Server(
            address, key=settings.endpoint_key, offline=settings.offline, patience=patience.brief(), notice=notice
        )
        self._concurrency = concurrency
        if model is None or max_context is None:
            model, max_context = self._listed(model, max_context)
        self.model = model
        self._opens: bool | None = None
        self._form, self._why_not = self._form_of_scores()
        self._max_context = max_context
        self._server.patience = patience

    @classmethod
    def connect(
        cls, address: str, *, max_context: int | None = None, notice: Callable[[str], None] = lambda _text: None
    ) -> Self:
        """As the surroundings allow. `address` ends with `#NAME` where a server has several models."""
        place, _, model = address.partition("#")
        return cls(place, current_settings(), model=model or None, max_context=max_context, notice=notice)

    @property
    def address(self) -> str:
        """Where the server is; holds no key."""
        return self._server.address

    @property
    def name(self) -> str:
        """The model's, as it may name a folder."""
        return re.sub(r"[^A-Za-z0-9._-]+", "-", self.model)[:100].strip(".-") or "remote"

    @property
    def identity(self) -> str:
        """Stands for the model where its weights' digest would, in a cache for instance."""
        return f"remote {self.address} {self.model}"

    @property
    def capabilities(self) -> Capabilities:
        return Capabilities(logits=False, logprobs=self._form is not None, grammar=False, max_context=self._max_context)

    def length(self, request: ScoreRequest | GenerateRequest) -> None:
        """Not known: the tokenizer is the server's, and it refuses what does not fit."""
        del request

    def score(self, requests: Sequence[ScoreRequest]) -> list[ScoreResult]:
        """Log likelihoods, in the order of the requests.

        Raises:
            UserError: the server cannot score, fails, refuses a request, or contradicts itself.
        """
        if self._form is None:
            raise UserError(
                f"`{self.address}` cannot score texts: it {self._why_not}",
                hint=_NO_SCORES,
            )
        unclear = list(dict.fromkeys(r.context for r in requests if r.continuation and not _is_plain(r.context)))
        contexts = dict(zip(unclear, each(self._echo, unclear, self._concurrency), strict=True))

        def one(request: ScoreRequest, calls: Calls) -> ScoreResult:
            if not request.continuation:
                return ScoreResult(logprob=0.0, num_tokens=0, is_greedy=True)
            before = contexts.get(request.context)
            if isinstance(request.context, str):
                return self._score_text(request.context, request.continuation, before, calls)
            assert before is not None
            return self._score_answer(request.context, request.continuation, before, calls)

        return each(one, requests, self._concurrency)

    def generate(self, requests: Sequence[GenerateRequest]) -> list[GenerateResult]:
        """Answers, in the order of the requests; `num_tokens` as the server counts.

        Raises:
            UserError: the server fails, refuses a request, cannot go on with a begun answer, or contradicts itself.
        """
        if any(_is_begun(request.prompt) for request in requests) and self._why_not_begun is not None:
            raise UserError(
                f"`{self.address}` does not go on with an answer that has begun: {self._why_not_begun}",
                hint="vLLM and SGLang do (`continue_final_message`); or evaluate without the chat form",
            )
        return each(self._write, requests, self._concurrency)

    def _write(self, request: GenerateRequest, calls: Calls) -> GenerateResult:
        if not request.prompt or request.max_tokens < 1:
            raise UserError("a request needs a prompt and at least one token to write")
        finder = StopFinder(request.stop)
        path, body = self._asked(request.prompt)
        body |= {"max_tokens": request.max_tokens, **_sampling(request.sampling)}
        if request.stop:
            body["stop"] = list(request.stop[:_MOST_STOPS])
        try:
            return _answer(self._server.post(path, body, calls), request, finder)
        except Untrue as lie:
            self._server.refuse(str(lie))

    def _score_text(self, context: str, continuation: str, before: Echo | None, calls: Calls) -> ScoreResult:
        echo = self._echo(context + continuation, calls)
        places = spans(echo.pieces, context + continuation)
        assert places is not None, "an echo adds up to its prompt"
        border = len(context)
        if before is None and any(start < border < end for start, end in places):
            before = self._echo(context, calls)
        if before is not None:
            return _sum(echo, num_same(echo, before))
        return _sum(echo, next(index for index, (start, _) in enumerate(places) if start >= border))

    def _score_answer(self, talk: tuple[Message, ...], continuation: str, before: Echo, calls: Calls) -> ScoreResult:
        begun = talk[-1].content if _is_begun(talk) else ""
        turns = talk[:-1] if _is_begun(talk) else talk
        echo = self._echo((*turns, Message("assistant", begun + continuation)), calls)
        split = num_same(echo, before)
        # Templates may trim an answer, and tokens may lose spaces, but nothing may follow what is scored.
        told, meant = ("".join(text.split()) for text in ("".join(echo.pieces), continuation))
        if not told.endswith(meant) and not any(map(is_blurred, echo.pieces[split:])):
            self._server.refuse(
                "does not end a prompt where the answer does that is to be scored",
                hint="it needs `continue_final_message`, as vLLM has; or evaluate without the chat form",
            )
        return _sum(echo, split)

    def _echo(self, prompt: Prompt, calls: Calls) -> Echo:
        assert self._form is not None
        form = self._form if isinstance(prompt, str) else "prompt_logprobs"
        try:
            echo = self._read(form, prompt, calls)
        except Untrue as lie:
            self._server.refuse(str(lie), hint=_NO_SCORES)
        except EndpointError as error:
            if isinstance(prompt, str) or error.status not in _CANNOT:
                raise
            self._server.refuse(f"cannot score answers in a conversation: it {error.reason}", hint=_NO_CHAT_SCORES)
        if echo is None:
            what = "a text, as it did before" if isinstance(prompt, str) else "a conversation"
            self._server.refuse(f"gives no logprobs for {what}", hint=_NO_CHAT_SCORES)
        return echo

    def _read(self, form: Form, prompt: Prompt, calls: Calls | None = None) -> Echo | None:
        """What the server says about the tokens of `prompt`; None if nothing."""
        path, body = self._asked(prompt)
        # One token more than is wanted: to some servers 0 means as many as there is room for.
        body |= {"max_tokens": 1, "temperature": 0}
        if form == "echo" and isinstance(prompt, str):
            reply = self._server.post(path, {**body, "echo": True, "logprobs": 1}, calls)
            return echo_of_completion(reply, prompt)
        reply = self._server.post(path, {**body, "prompt_logprobs": 1}, calls)
        return echo_of_prompt(reply, prompt if isinstance(prompt, str) else None, self._opens)

    def _asked(self, prompt: Prompt) -> tuple[str, dict[str, Any]]:
        """Path and body of a request."""
        if isinstance(prompt, str):
            return "/completions", {"model": self.model, "prompt": prompt}
        messages = [{"role": message.role, "content": message.content} for message in prompt]
        body: dict[str, Any] = {"model": self.model, "messages": messages}
        if _is_begun(prompt):
            body |= {"continue_final_message": True, "add_generation_prompt": False}
        return "/chat/completions", body

    def _listed(self, model: str | None, max_context: int | None) -> tuple[str, int]:
        """Name and context from the server's list."""
        reply = self._server.get("/models")
        entries = reply.get("data")
        if not isinstance(entries, list) or not all(isinstance(entry, dict) for entry in entries):
            self._server.refuse("does not list its models", hint="is this the address of an OpenAI-compatible server?")
        entry: dict[str, Any] = next((e for e in entries if model is None or e.get("id") == model), {})
        name = entry.get("id") if model is None else model
        if not isinstance(name, str) or not name:
            self._server.refuse("lists no model", hint="load one there, or name it: `ADDRESS#NAME`")
        told = entry.get("max_model_len", entry.get("context_length"))
        length = told if max_context is None else max_context
        if not isinstance(length, int) or isinstance(length, bool) or length < 1:
            self._server.refuse(
                f"does not say how many tokens the context of `{shown(name)}` holds", hint="give it with `--context`"
            )
        return name, length

    def _form_of_scores(self) -> tuple[Form | None, str]:
        """How the server tells logprobs of a prompt; None and why, if it does not, or not to be trusted."""
        lie = refusal = ""
        forms: tuple[Form, ...] = ("echo", "prompt_logprobs")
        for form in forms:
            try:
                echoes = [self._read(form, text) for text in (_PROBE, _PROBE, _PROBE + _PROBE_LONGER)]
                if None not in echoes:
                    agree([echo for echo in echoes if echo is not None])
                    self._opens = echoes[0] is not None and not echoes[0].pieces[0]
                    return form, ""
            except Untrue as told:
                lie = str(told)
            except EndpointError as error:
                if error.status not in _CANNOT:
                    raise
                refusal = refusal or error.reason
        return None, lie or refusal or "gives no logprobs for the tokens of a prompt"

    @cached_property
    def _why_not_begun(self) -> str | None:
        """Why a begun answer would not be gone on with; None if it is. One letter of it must make the prompt one token
        longer, for a turn that is closed and opened anew has marks too."""
        question = Message("user", "Say a letter.")
        lengths = []
        for talk in ((question,), (question, Message("assistant", "a"))):
            path, body = self._asked(talk)
            try:
                reply = self._server.post(path, {**body, "max_tokens": 1, "temperature": 0})
                lengths.append(count(reply, "prompt_tokens"))
            except Untrue as lie:
                return f"it {lie}"
            except EndpointError as error:
                if len(talk) == 1 or error.status not in _CANNOT:
                    raise
                return f"it {error.reason}"
        shorter, longer = lengths
        if shorter is None or longer is None:
            return "it does not tell, by `usage.prompt_tokens`, how long a prompt is"
        return None if longer == shorter + 1 else f"one letter of it makes the prompt {longer - shorter} tokens longer"


_NO_SCORES = "vLLM and SGLang score; of other servers, only tasks that let the model write can be asked"
_NO_CHAT_SCORES = "it needs vLLM's `prompt_logprobs`; or evaluate without the chat form"


def _is_begun(prompt: Prompt) -> bool:
    return not isinstance(prompt, str) and bool(prompt) and prompt[-1].role == "assistant"


def _is_plain(context: Prompt) -> bool:
    """Whether it is tokenized as it would be by itself wherever a token ends with it."""
    return isinstance(context, str) and not context[-1:].isspace()


def _sum(echo: Echo, split: int) -> ScoreResult:
    """The tokens from `split` on; the first of all is given, not scored."""
    places = range(max(1, split), len(echo))
    return ScoreResult(
        logprob=sum(echo.logprobs[place] or 0.0 for place in places),
        num_tokens=len(places),
        is_greedy=all(map(echo.is_greedy, places)),
    )


def _sampling(options: SamplingOptions) -> dict[str, Any]:
    """Settings by OpenAI's names and vLLM's; those that change nothing are left out, as not every server knows all."""
    told: dict[str, Any] = {"temperature": options.temperature}
    if options.temperature > 0:
        told["seed"] = options.seed % 2**63
    plain = SamplingOptions()
    names = ("top_k", "top_p", "min_p", "repetition_penalty", "frequency_penalty", "presence_penalty")
    told |= {name: getattr(options, name) for name in names if getattr(options, name) != getattr(plain, name)}
    if options.logit_bias:
        told["logit_bias"] = {str(token): bias for token, bias in options.logit_bias.items()}
    return told


def _answer(reply: Mapping[str, Any], request: GenerateRequest, finder: StopFinder) -> GenerateResult:
    """Raises `Untrue`."""
    choice = only_choice(reply)
    ended = choice.get("finish_reason")
    if isinstance(request.prompt, str):
        text = choice.get("text")
    else:
        message = choice.get("message")
        text = message.get("content") if isinstance(message, dict) else None
        if text is None and ended == "length":
            text = ""  # all went into reasoning, which a server keeps apart
    if ended == "content_filter":
        raise Untrue("withholds an answer (`content_filter`)")
    if not isinstance(text, str) or text != text.encode("utf-8", "replace").decode("utf-8"):
        raise Untrue("gives an answer that is no text")
    num_tokens = count(reply, "completion_tokens")
    if num_tokens is None:
        raise Untrue("does not tell, by `usage.completion_tokens`, how many tokens an answer has")
    if num_tokens > request.max_tokens:
        raise Untrue(f"counts `{num_tokens}` tokens in an answer of at most {request.max_tokens}")
    text = finder.push(text) + finder.finish()
    if finder.found or choice.get("stop_reason") in request.stop:
        reason = StopReason.STOP
    elif ended == "length":
        reason = StopReason.LENGTH if num_tokens == request.max_tokens else StopReason.CONTEXT
    else:
        reason = StopReason.END
    return GenerateResult(text=text, num_tokens=num_tokens, stop_reason=reason)
