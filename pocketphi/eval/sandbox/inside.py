"""What runs in the two confined processes: one holds the code that a model wrote, the other the tests.

The tests see the code as the module `solution`. What they take from it is a stand-in that passes a call over to the
other process and gets a plain value back. So the code cannot reach the tests, what they expect, their `assert` or the
secret that a pass is reported with: all that it can do is to answer, or not.
"""

import builtins
import json
import operator
import os
import sys
import types
from collections.abc import Callable
from functools import partial
from typing import Any

from pocketphi.eval.sandbox.confine import Cell, Unbuilt, confine
from pocketphi.eval.sandbox.wire import Channel, pack, unpack

MODULE = "solution"

_OPERATIONS: dict[str, Callable[..., Any]] = {
    "attribute": getattr,
    "assign": setattr,
    "iterate": iter,
    "next": next,
    "length": len,
    "item": operator.getitem,
    "contains": operator.contains,
    "truth": bool,
}


def main() -> None:
    """Read the orders on standard input, and do one of the two parts. Started by `run`."""
    orders = json.loads(sys.stdin.buffer.read())
    sys.argv[:] = [""]
    os.environ.clear()
    sys.set_int_max_str_digits(0)
    nothing = os.open(os.devnull, os.O_RDWR)
    os.dup2(nothing, 0)
    descriptor, cell = orders["channel"], Cell(*orders["cell"])
    channel = Channel(descriptor)
    if orders["nonce"] is None:
        try:
            confine(cell, (0, 1, 2, descriptor))
        except Unbuilt as unbuilt:
            channel.send({"unbuilt": str(unbuilt)})
            return
        # Line by line: this process is killed as soon as the verdict is there.
        sys.stdout = open(1, "w", encoding="utf-8", errors="replace", buffering=1, closefd=False)  # noqa: SIM115
        _answer(orders["source"], channel)
        return
    # What tests print is nobody's: standard output carries the verdict.
    verdict = os.fdopen(os.dup(1), "wb")
    os.dup2(nothing, 1)
    os.dup2(nothing, 2)
    try:
        confine(cell, (0, 1, 2, descriptor, verdict.fileno()))
        status, reason = _judge(orders["source"], channel)
    except Unbuilt as unbuilt:
        status, reason = "unbuilt", str(unbuilt)
    verdict.write(json.dumps([orders["nonce"], status, reason[:1000]]).encode())
    verdict.flush()
    os._exit(0)  # Whatever the tests left for the end of the process is not run.


def _answer(source: str, channel: Channel) -> None:
    """Define the code's functions, then do what is asked of them."""
    channel.send({"built": True})
    module = types.ModuleType(MODULE)
    sys.modules[MODULE] = module
    objects: list[Any] = [module]
    numbers = {id(module): 0}

    def hold(value: Any) -> int:
        if id(value) not in numbers:
            numbers[id(value)] = len(objects)
            objects.append(value)
        return numbers[id(value)]

    def held(number: int) -> Any:
        return objects[number]

    def define() -> None:
        exec(compile(source, f"{MODULE}.py", "exec", dont_inherit=True), module.__dict__)  # noqa: S102 - what we are for

    channel.send(_outcome(define, hold))
    while True:
        try:
            request = channel.receive()
        except EOFError:
            return
        target, arguments, names = (unpack(request[key], held) for key in ("target", "arguments", "names"))
        # A call may change its arguments; the tests shall see it.
        before = [_frozen(argument, hold) for argument in arguments]
        if request["operation"] == "call":
            do = partial(_call, target, *arguments, **names)
        else:
            do = partial(_OPERATIONS[request["operation"]], target, *arguments)
        reply = _outcome(do, hold)
        after = [_frozen(argument, hold) for argument in arguments]
        changed = [[index, new] for index, (old, new) in enumerate(zip(before, after, strict=True)) if old != new]
        channel.send({**reply, "changed": changed})


def _call(target: Any, /, *arguments: Any, **names: Any) -> Any:
    return target(*arguments, **names)


def _outcome(do: Callable[[], Any], hold: Callable[[Any], int]) -> dict[str, Any]:
    try:
        return {"value": pack(do(), hold)}
    except BaseException as error:  # noqa: BLE001 - SystemExit too is an answer
        import traceback  # Slow to load, and seldom needed.

        traceback.print_exc()
        return {"raised": [kind.__name__ for kind in type(error).__mro__], "text": str(error)[:500]}


def _frozen(value: Any, hold: Callable[[Any], int]) -> Any:
    return pack(value, hold) if isinstance(value, list | dict | set | bytearray) else None


class Gone(BaseException):
    """The other process ended or talks nonsense. Not an `Exception`: tests shall not take it for an answer."""


class Raised(Exception):
    """The code raised something that is not one of Python's own exceptions."""


class Peer:
    """The process with the code, as the tests see it."""

    def __init__(self, channel: Channel) -> None:
        self._channel = channel
        self._remotes: dict[int, Remote] = {}
        self.lost = ""
        """Why it is gone."""

    def receive(self) -> dict[str, Any]:
        if self.lost:
            raise Gone(self.lost)
        try:
            message = self._channel.receive()
            if not isinstance(message, dict) or not isinstance(message.get("raised", []), list):
                raise TypeError("no message")
        except (EOFError, OSError):
            self.lost = "ended"
            raise Gone(self.lost) from None
        except (ValueError, TypeError, RecursionError):
            self.lost = "garbled"
            raise Gone(self.lost) from None
        return message

    def value(self, reply: dict[str, Any]) -> Any:
        """What a reply says; raises what the code raised."""
        if "raised" in reply:
            raise _exception([str(name) for name in reply["raised"]], str(reply.get("text", "")))
        try:
            return unpack(reply["value"], self.held)
        except (ValueError, TypeError, KeyError, RecursionError, StopIteration, ArithmeticError) as error:
            self.lost = "garbled"
            raise Gone(self.lost) from error

    def ask(self, target: "Remote", operation: str, arguments: tuple[Any, ...], names: dict[str, Any]) -> Any:
        """An operation on an object of the code's."""
        if self.lost:
            raise Gone(self.lost)
        parts = {"target": target, "arguments": list(arguments), "names": names}
        message = {key: pack(part, _number) for key, part in parts.items()}
        try:
            self._channel.send({**message, "operation": operation})
        except OSError:
            self.lost = "ended"
            raise Gone(self.lost) from None
        reply = self.receive()
        try:
            for index, new in reply["changed"]:
                _refill(arguments[index], unpack(new, self.held))
        except (ValueError, TypeError, KeyError, IndexError, RecursionError, StopIteration) as error:
            self.lost = "garbled"
            raise Gone(self.lost) from error
        return self.value(reply)

    def held(self, number: int) -> "Remote":
        return self._remotes.setdefault(int(number), Remote(self, int(number)))


class Remote:
    """An object of the code's that is not a plain value: a function, a class, an iterator."""

    __slots__ = ("_number", "_peer")
    _number: int
    _peer: Peer

    def __init__(self, peer: Peer, number: int) -> None:
        object.__setattr__(self, "_peer", peer)
        object.__setattr__(self, "_number", number)

    def __call__(self, *arguments: Any, **names: Any) -> Any:
        return self._peer.ask(self, "call", arguments, names)

    def __getattr__(self, name: str) -> Any:
        return self._peer.ask(self, "attribute", (name,), {})

    def __setattr__(self, name: str, value: Any) -> None:
        self._peer.ask(self, "assign", (name, value), {})

    def __iter__(self) -> Any:
        return self._peer.ask(self, "iterate", (), {})

    def __next__(self) -> Any:
        return self._peer.ask(self, "next", (), {})

    def __len__(self) -> int:
        return int(self._peer.ask(self, "length", (), {}))

    def __getitem__(self, key: Any) -> Any:
        return self._peer.ask(self, "item", (key,), {})

    def __contains__(self, value: Any) -> bool:
        return bool(self._peer.ask(self, "contains", (value,), {}))

    def __bool__(self) -> bool:
        return bool(self._peer.ask(self, "truth", (), {}))


class _Solution(types.ModuleType):
    """`from solution import f`"""

    def __init__(self, peer: Peer) -> None:
        super().__init__(MODULE)
        self._remote = peer.held(0)

    def __getattr__(self, name: str) -> Any:
        if name.startswith("__"):  # `import` asks a module for many things.
            raise AttributeError(name)
        return getattr(self._remote, name)


def _judge(source: str, channel: Channel) -> tuple[str, str]:
    """Run the tests: a status, and the reason if they did not pass."""
    peer = Peer(channel)
    try:
        built = peer.receive()
        if "unbuilt" in built:
            return "unbuilt", str(built["unbuilt"])
        defined = peer.receive()
        if "raised" in defined:
            return _status(peer.value, defined)
        sys.modules[MODULE] = _Solution(peer)
        exec(compile(source, "tests", "exec", dont_inherit=True), {"__name__": "tests"})  # noqa: S102
    except Gone as gone:
        return "gone", str(gone)
    except BaseException as error:  # noqa: BLE001 - whatever it is, the tests did not pass
        return _told(error, source)
    return ("gone", peer.lost) if peer.lost else ("passed", "")


def _status(value: Callable[[dict[str, Any]], Any], reply: dict[str, Any]) -> tuple[str, str]:
    try:
        value(reply)
    except BaseException as error:  # noqa: BLE001
        status, reason = _told(error, "")
        # An assertion of the code's own, before any test.
        return ("error" if status == "failed" else status), reason
    return "error", "nothing was raised"


def _told(error: BaseException, source: str) -> tuple[str, str]:
    kind = "out of memory" if isinstance(error, MemoryError) else "error"
    kind = "failed" if isinstance(error, AssertionError) else kind
    line, trace = 0, error.__traceback__
    while trace is not None:
        if trace.tb_frame.f_code.co_filename == "tests":
            line = trace.tb_lineno
        trace = trace.tb_next
    lines = source.splitlines()
    where = f" at `{lines[line - 1].strip()}`" if 0 < line <= len(lines) else ""
    name = "" if isinstance(error, Raised) else f"{type(error).__name__}: " if str(error) else type(error).__name__
    return kind, f"{name}{error}{where}"


def _exception(names: list[str], text: str) -> Exception:
    """The nearest of Python's own exceptions; SystemExit and the like become `Raised`."""
    for name in names:
        kind = getattr(builtins, str(name), None)
        if isinstance(kind, type) and issubclass(kind, Exception) and kind is not Exception:
            try:
                return kind(text)
            except TypeError:  # UnicodeDecodeError wants five arguments
                break
    return Raised(": ".join([*names[:1], *([text] if text else [])]))


def _number(value: Any) -> int:
    if isinstance(value, Remote):
        return value._number
    raise TypeError(f"a {type(value).__name__} cannot be passed to the code under test")


def _refill(target: Any, new: Any) -> None:
    """Make a container equal to another one, in place."""
    if type(target) is not type(new):
        raise TypeError("an argument changed its type")
    if isinstance(target, list | bytearray):
        target[:] = new
    else:
        target.clear()
        target.update(new)
