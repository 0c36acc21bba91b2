"""Tools as text: what a model is told of them, how calls and results stand in a conversation, what an answer may be.

None of the built-in templates knows tools, so they are told in the words and tags that models of this size were trained
on elsewhere (docs/tools.md has every form and where it comes from): a list of functions in the system message, calls
as JSON between `<tool_call>` tags, results between `<tool_response>` tags in a user's turn. All of it is plain text to
the tokenizer: nothing here makes a control token, whatever a tool's result holds, and a result cannot close its own
tags.

A grammar holds the answer to the form. It may begin with text, unless a call is asked for; a call that has begun names
a tool that there is and has arguments by the tool's schema. Where a schema has what no grammar can keep to, its
arguments are any JSON object, unless the tool is `strict`.

`serve.tool_answers` reads what comes back.
"""

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal, Protocol

from pocketphi.chat import ChatTemplate, Message
from pocketphi.errors import UserError, shown
from pocketphi.runtime.grammar.sources import literal, schema_source
from pocketphi.serve.tool_answers import CALL_BEGIN, CALL_END, CallParser

MAX_TOOLS = 128
_NO_SYSTEM = ("phi-3-april",)
"""Templates without a place for a system message: it stands in front of the first question."""
_LISTS = ("smollm2",)
"""Templates whose models write calls as one list."""
_ALTERNATE = ("phi-3-april", "llama-2")
"""Templates in which user and assistant take turns: what follows a tool's result joins its turn."""
_TAGS = ("tool_call", "tool_response", "tools")
_ANY_OBJECT: Mapping[str, Any] = {"type": "object"}
_NO_ARGUMENTS: Mapping[str, Any] = {"type": "object", "properties": {}, "additionalProperties": False}


@dataclass(frozen=True, kw_only=True)
class Tool:
    """A function that the model may ask to be called."""

    name: str
    description: str | None = None
    parameters: Mapping[str, Any] | None = None
    """A JSON schema of an object; None for a function without arguments."""
    strict: bool = False
    """Refuse a schema that cannot be kept to, instead of taking any JSON object."""


@dataclass(frozen=True, kw_only=True)
class ToolCall:
    """A call in the conversation so far."""

    id: str
    name: str
    arguments: str = "{}"
    """JSON."""


@dataclass(frozen=True, kw_only=True)
class Turn:
    """A message of a conversation with tools."""

    role: Literal["system", "user", "assistant", "tool"]
    content: str = ""
    calls: tuple[ToolCall, ...] = ()
    """Of an assistant's turn."""
    call_id: str | None = None
    """Of a tool's turn: the call that it answers."""


@dataclass(frozen=True, kw_only=True)
class Named:
    """Call this tool."""

    name: str


Choice = Literal["none", "auto", "required"] | Named


class Compiles(Protocol):
    """`runtime.grammar.compiler.GrammarCompiler`, as far as it is needed here."""

    def compile(self, lark: str, *, closes: bool = False) -> Any:
        """A grammar, or `UserError`."""
        ...


@dataclass(frozen=True, kw_only=True)
class ToolPlan:
    """How to ask a model that has tools."""

    messages: tuple[Message, ...]
    tools: tuple[Tool, ...] = ()
    """Those that may be called."""
    needs_call: bool = False
    is_parallel: bool = True
    is_list: bool = False
    answer: str | None = field(default=None, repr=False)
    """What text other than calls may be; None for anything."""

    def grammar(self, compiler: Compiles) -> Any:
        """What the answer may be; None for anything. Takes up to a tenth of a second.

        Raises:
            UserError: a strict tool's schema cannot be kept to, or is too large.
        """
        closes = self.needs_call or (self.answer or "").startswith("%json")
        if not self.tools:
            return None if self.answer is None else compiler.compile(f"start: {self.answer}", closes=closes)
        try:
            return compiler.compile(self.lark(), closes=closes)
        except UserError:
            if all(tool.strict for tool in self.tools):
                raise
            return compiler.compile(self.lark(keeps_schemas=False), closes=closes)

    def lark(self, *, keeps_schemas: bool = True) -> str:
        """The grammar's text.

        Args:
            keeps_schemas: of all tools, not of strict ones alone.
        """
        rules = [_call_rule(tool, keeps_schema=keeps_schemas or tool.strict) for tool in self.tools]
        names = " | ".join(f"call_{index}" for index in range(len(rules)))
        begin, between, end = ("[", ", ", "]") if self.is_list else ("\n", f"\n{CALL_END}\n{CALL_BEGIN}\n", "\n")
        more = f"({literal(between)} call)*" if self.is_parallel else ""
        calls = f"{literal(begin)} call {more} {literal(end + CALL_END)}"
        lines = [f"call: {names}", *(f"call_{index}: {rule}" for index, rule in enumerate(rules))]
        if self.needs_call:
            lines.append(f"start: {literal(CALL_BEGIN)} {calls}")
        elif self.answer is not None:
            lines.append(f"start: {literal(CALL_BEGIN)} {calls} | {self.answer}")
        else:
            lines += [f"start: begun {calls} | TEXT", f"begun[lazy]: TEXT {literal(CALL_BEGIN)}", r"TEXT: /(.|\n)*/"]
        return "\n".join(lines)

    def parser(self) -> CallParser | None:
        """Reads one answer that the grammar held; None if it is text and nothing else."""
        return CallParser([tool.name for tool in self.tools], is_held=True) if self.tools else None


def plan_tools(
    template: ChatTemplate,
    turns: Sequence[Turn],
    tools: Sequence[Tool] = (),
    choice: Choice = "auto",
    *,
    is_parallel: bool = True,
    answer: str | None = None,
) -> ToolPlan:
    """Write a conversation with tools as messages of `template`.

    Args:
        turns: in order.
        tools: all that there are, which the model is told whichever it must call; `choice` "none" hides them.
        choice: whether the answer may be a call, must be one, or must be of one tool.
        is_parallel: whether an answer may hold several calls.
        answer: what an answer other than calls may be, by a function of `runtime.grammar.sources`; None for any text.

    Raises:
        UserError: a result answers no call, a tool is chosen that is not there, or the template cannot express it.
    """
    if len({tool.name for tool in tools}) != len(tools) or len(tools) > MAX_TOOLS:
        raise UserError(f"`{len(tools)}` tools", hint=f"give at most {MAX_TOOLS}, each of its own name")
    offered = () if choice == "none" else tuple(tools)
    if isinstance(choice, Named):
        offered = tuple(tool for tool in tools if tool.name == choice.name)
    needs_call = choice == "required" or isinstance(choice, Named)
    if needs_call and not offered:
        wanted = f"the tool `{shown(choice.name)}`" if isinstance(choice, Named) else "a tool"
        raise UserError(f"{wanted} must be called, and is not there", hint="list it in `tools`")
    is_list = template.name in _LISTS
    messages = _messages(turns, is_list=is_list, joins=template.name in _ALTERNATE)
    if offered:
        told = _told(tools, is_list=is_list, is_parallel=is_parallel)
        if template.name in _NO_SYSTEM:
            messages = _before_first_question(messages, told)
        elif messages and messages[0].role == "system":
            messages[0] = Message("system", f"{messages[0].content}\n\n{told}")
        else:
            messages.insert(0, Message("system", told))
    return ToolPlan(
        messages=tuple(messages),
        tools=offered,
        needs_call=needs_call,
        is_parallel=is_parallel,
        is_list=is_list,
        answer=answer,
    )


def write_calls(calls: Iterable[ToolCall], *, is_list: bool) -> str:
    """Calls as an assistant's turn holds them."""
    written = [f'{{"name": {_dumped(call.name)}, "arguments": {_arguments(call)}}}' for call in calls]
    if is_list:
        return f"{CALL_BEGIN}[{', '.join(written)}]{CALL_END}"
    return "\n".join(f"{CALL_BEGIN}\n{call}\n{CALL_END}" for call in written)


def _messages(turns: Sequence[Turn], *, is_list: bool, joins: bool) -> list[Message]:
    """Turns without the list of tools."""
    messages: list[Message] = []
    calls: list[str] = []
    results: dict[int, str] = {}
    """Of the assistant's latest calls, by their order there."""

    def flush(text: str | None = None) -> None:
        told = [results[index] for index in sorted(results)]
        results.clear()
        if told and text is not None and joins:
            told, text = [*told, text], None
        if told:
            messages.append(Message("user", "\n".join(told)))
        if text is not None:
            messages.append(Message("user", text))

    for turn in turns:
        if turn.role == "tool":
            if turn.call_id not in calls:
                raise UserError(
                    f"the result of `{shown(turn.call_id)}` answers no call of the assistant's turn before it",
                    hint="send the assistant's message with its calls, then a result for each",
                )
            results[calls.index(turn.call_id)] = f"<tool_response>\n{_without_tags(turn.content)}\n</tool_response>"
        elif turn.role == "assistant":
            flush()
            calls = [call.id for call in turn.calls]
            parts = [turn.content] if turn.content else []
            parts += [write_calls(turn.calls, is_list=is_list)] if turn.calls else []
            messages.append(Message("assistant", "\n".join(parts)))
        else:
            flush(turn.content if turn.role == "user" else None)
            calls = []
            if turn.role == "system":
                messages.append(Message("system", turn.content))
    flush()
    return messages


def _told(tools: Sequence[Tool], *, is_list: bool, is_parallel: bool) -> str:
    """What the model is told."""
    lines = "\n".join(_dumped({"type": "function", "function": _function(tool)}) for tool in tools)
    form = '{"name": "function name", "arguments": {"argument": "value"}}'
    form = f"{CALL_BEGIN}[{form}]{CALL_END}" if is_list else f"{CALL_BEGIN}\n{form}\n{CALL_END}"
    several = (
        ("Several calls go into one list." if is_list else "Several calls follow each other.") if is_parallel else ""
    )
    return (
        f"# Tools\n\nYou can call these functions, described by JSON schemas:\n<tools>\n{lines}\n</tools>\n\n"
        f"To call a function, write its name and arguments as JSON between tags:\n{form}\n"
        f"{several or 'Make one call at a time.'} Results come between <tool_response> tags. "
        "When no function is needed, answer in plain text."
    )


def _function(tool: Tool) -> dict[str, Any]:
    told: dict[str, Any] = {"name": tool.name}
    if tool.description is not None:
        told["description"] = tool.description
    return {**told, "parameters": _NO_ARGUMENTS if tool.parameters is None else tool.parameters}


def _call_rule(tool: Tool, *, keeps_schema: bool) -> str:
    schema = _NO_ARGUMENTS if tool.parameters is None else {**_ANY_OBJECT, **tool.parameters}
    head = literal(f'{{"name": {json.dumps(tool.name)}, "arguments": ')
    return f'{head} {schema_source(schema if keeps_schema else _ANY_OBJECT)} "}}"'


def _before_first_question(messages: Sequence[Message], told: str) -> list[Message]:
    """For a template without system messages: `told` in front of the user's first words."""
    system = [message.content for message in messages[:1] if message.role == "system"]
    rest = list(messages[len(system) :])
    if not rest or rest[0].role != "user":
        raise UserError("tools are told in front of the first question, and there is none", hint="add a user message")
    rest[0] = Message("user", "\n\n".join([*system, told, rest[0].content]))
    return rest


def _arguments(call: ToolCall) -> str:
    """As they were written, if they are a JSON object; otherwise as a string within one."""
    try:
        is_object = isinstance(json.loads(call.arguments), dict)
    except (ValueError, RecursionError):
        is_object = False
    if is_object:
        return call.arguments.strip()
    return "{}" if not call.arguments.strip() else _dumped({"arguments": call.arguments})


def _without_tags(text: str) -> str:
    """A tool's result that cannot seem to be more than one, nor a call."""
    for tag in _TAGS:
        for begin in ("<", "</"):
            text = text.replace(f"{begin}{tag}>", f"&lt;{begin[1:]}{tag}>")
    return text


def _dumped(value: object) -> str:
    """JSON whose strings close no tag: `<` before a slash is written as its number."""
    return json.dumps(value, ensure_ascii=False).replace("</", "\\u003c/")
