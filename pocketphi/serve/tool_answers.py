"""What an answer says, read while it is written: text, and calls of tools.

A call is what `serve.tools` asks for: `<tool_call>` with `{"name": ..., "arguments": {...}}` as JSON, or a list of such
objects. Its name is told as soon as the arguments begin, and the arguments as they come, in the answer's own
characters. White space before a call is no text of the answer.

An answer that a grammar holds can only be cut off. Any other may break the form: then nothing is told of a call before
it is whole, and what is none, because it is no JSON or names no tool, is text, as it was written.
"""

import json
import re
import secrets
from collections.abc import Callable, Collection
from dataclasses import dataclass, replace
from typing import Any

CALL_BEGIN = "<tool_call>"
CALL_END = "</tool_call>"

_HEAD = re.compile(
    r'\s*(?P<list>\[\s*)?\{\s*"name"\s*:\s*(?P<name>"(?:[^"\\]|\\.)*")\s*,\s*"(?:arguments|parameters)"\s*:\s*(?=\{)'
)
_STRUCTURE = re.compile(r'["{}]')
_STRING_END = re.compile(r'["\\]')
_NEXT, _WHOLE = "},", ("}" + CALL_END, "}]" + CALL_END)
"""What may follow the arguments, without white space: another call of a list, or the end."""


@dataclass(frozen=True, kw_only=True)
class CallPart:
    """A call of a tool, or more of its arguments."""

    index: int
    """Which of the answer's calls, from 0."""
    id: str | None = None
    """With the name, in a call's first part alone."""
    name: str | None = None
    arguments: str = ""
    """JSON, or a stretch of it: a call's parts join to one object."""

    def with_more(self, arguments: str) -> "CallPart":
        return replace(self, arguments=self.arguments + arguments)


class CallParser:
    """Reads one answer, fed as it is written; the parts depend on how it is cut, what they join to does not.

    Args:
        names: of the tools.
        is_held: whether a grammar holds the answer to the form.
        make_id: a new call's id.
    """

    def __init__(
        self, names: Collection[str], *, is_held: bool, make_id: Callable[[], str] = lambda: _make_id()
    ) -> None:
        self._names, self._is_held, self._make_id = frozenset(names), is_held, make_id
        self._read: Callable[[list[str | CallPart]], bool] = self._read_text
        self._waiting = ""
        """Not yet decided."""
        self._raw = ""
        """The tag and all that was read of what may be a call, as it would stand in the text."""
        self._call: CallPart | None = None
        """The call whose arguments are read, with those not yet told."""
        self._depth, self._in_string = 0, False
        self._is_list = False
        self._num_calls = 0

    def push(self, text: str) -> list[str | CallPart]:
        """What became certain with this text."""
        parts: list[str | CallPart] = []
        self._waiting += text
        while self._read(parts):
            pass
        return parts

    def finish(self) -> list[str | CallPart]:
        """What was held back, at the end."""
        parts: list[str | CallPart] = []
        rest = self._waiting
        if self._read == self._read_head:
            rest = "" if self._tell_whole(rest, parts) else self._raw + rest
        elif self._call is not None and self._is_held:
            parts += [self._call.with_more(rest)] if rest else []
            rest = ""
        elif self._call is not None:
            rest = self._raw + rest
        elif self._num_calls and (self._read == self._read_tail or not rest.strip()):
            rest = "" if any(end.startswith(_bare(rest)) for end in (_NEXT, *_WHOLE)) else rest
        if rest:
            parts.append(rest)
        self._raw = self._waiting = ""
        self._call, self._read = None, self._read_text
        return parts

    def _read_text(self, parts: list[str | CallPart]) -> bool:
        """Text up to a tag; each of these functions says whether there is more to do."""
        text, found, rest = self._waiting.partition(CALL_BEGIN)
        if found:
            kept = text.rstrip()
            self._raw, self._waiting, self._read = text[len(kept) :] + found, rest, self._read_head
        else:
            begun = next((n for n in range(len(CALL_BEGIN) - 1, 0, -1) if text.endswith(CALL_BEGIN[:n])), 0)
            kept = text[: len(text) - begun].rstrip()
            self._waiting = text[len(kept) :]
        if kept:
            parts.append(kept)
        return bool(found)

    def _read_head(self, parts: list[str | CallPart]) -> bool:
        """A call up to its arguments."""
        found = _HEAD.match(self._waiting)
        if found is None:
            body, end, rest = self._waiting.partition(CALL_END)
            if not end:
                return False
            if self._tell_whole(body, parts):
                self._raw, self._waiting, self._read = "", rest, self._read_text
                return True
            return self._give_up(body + end, parts)
        name = _parsed(found["name"])
        if name not in self._names:
            return self._give_up(found[0], parts)
        self._is_list = self._is_list or found["list"] is not None
        self._raw += found[0]
        self._waiting = self._waiting[found.end() :]
        self._call = CallPart(index=self._num_calls, id=self._make_id(), name=name)
        self._depth, self._in_string, self._read = 0, False, self._read_arguments
        return True

    def _read_arguments(self, parts: list[str | CallPart]) -> bool:
        """One JSON object; only where it ends is looked for."""
        assert self._call is not None
        place = 0
        is_whole = False
        while not is_whole:
            found = (_STRING_END if self._in_string else _STRUCTURE).search(self._waiting, place)
            if found is None:
                place = len(self._waiting)
                break
            if found[0] == "\\":
                if found.end() == len(self._waiting):
                    place = found.start()
                    break
                place = found.end() + 1
                continue
            place = found.end()
            if found[0] == '"':
                self._in_string = not self._in_string
            else:
                self._depth += 1 if found[0] == "{" else -1
                is_whole = self._depth == 0
        read, self._waiting = self._waiting[:place], self._waiting[place:]
        self._raw += read
        self._call = self._call.with_more(read)
        if self._is_held or (is_whole and isinstance(_parsed(self._call.arguments), dict)):
            if read:
                parts.append(self._call)
            self._call = CallPart(index=self._call.index)
        elif is_whole:
            self._call = None
            return self._give_up("", parts)
        if is_whole:
            self._call, self._raw = None, ""
            self._num_calls += 1
            self._read = self._read_tail
        return is_whole

    def _read_tail(self, _: list[str | CallPart]) -> bool:
        """What stands between a call's arguments and the next call, or the text."""
        bare = _bare(self._waiting)
        if self._is_list and bare.startswith(_NEXT):
            self._waiting = self._waiting.partition(",")[2]
            self._read = self._read_head
            return True
        if bare.startswith(_WHOLE):
            self._waiting = self._waiting.partition(CALL_END)[2]
        elif any(end.startswith(bare) for end in (_NEXT, *_WHOLE)):
            return False
        self._is_list, self._read = False, self._read_text
        return True

    def _tell_whole(self, body: str, parts: list[str | CallPart]) -> bool:
        """Tell a body in any order of its fields. False if it is no call, or not of known tools alone."""
        parsed = _parsed(body)
        calls = parsed if isinstance(parsed, list) and parsed else [parsed]
        told = []
        for call in calls:
            if not isinstance(call, dict) or call.get("name") not in self._names:
                return False
            arguments = call.get("arguments", call.get("parameters", {}))
            if isinstance(arguments, str):
                arguments = _parsed(arguments)
            if not isinstance(arguments, dict):
                return False
            told.append((call["name"], json.dumps(arguments, ensure_ascii=False)))
        for name, arguments in told:
            parts.append(CallPart(index=self._num_calls, id=self._make_id(), name=name, arguments=arguments))
            self._num_calls += 1
        return True

    def _give_up(self, read: str, parts: list[str | CallPart]) -> bool:
        """What seemed to be a call is text."""
        parts.append(self._raw + read)
        self._waiting = self._waiting[len(read) :]
        self._raw, self._is_list, self._read = "", False, self._read_text
        return True


def parse_answer(text: str, names: Collection[str], *, is_held: bool) -> tuple[str, list[CallPart]]:
    """A whole answer's text, and its calls in order."""
    parser = CallParser(names, is_held=is_held)
    calls: dict[int, CallPart] = {}
    rest = ""
    for part in [*parser.push(text), *parser.finish()]:
        if isinstance(part, str):
            rest += part
        else:
            calls[part.index] = calls[part.index].with_more(part.arguments) if part.index in calls else part
    return rest, list(calls.values())


def _bare(text: str) -> str:
    return "".join(text.split())


def _parsed(text: str) -> Any:
    """None for what is no JSON."""
    try:
        return json.loads(text)
    except (ValueError, RecursionError):
        return None


def _make_id() -> str:
    return f"call_{secrets.token_hex(12)}"
