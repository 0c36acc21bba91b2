"""The session that every client runs (session.json), made concrete for a server, and run by a client in a process.

A client is a program that reads the steps from standard input and writes one JSON line for each: `name`, `seconds`, and
either what the server answered as its library gives it back (`reply`, or the `events` of a stream), `error` (`status`
and `body`), or why the library has no such call (`absent`). What it all means is judged in `checks`, once for all.
"""

import contextlib
import json
import subprocess
import threading
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import httpx

from pocketphi.tokenizer import Tokenizer

SCHEMA: dict[str, Any] = {
    "type": "object",
    "properties": {
        "city": {"type": "string", "enum": ["Oslo", "Rome", "Lima"]},
        "days": {"type": "integer", "enum": [1, 3, 7]},
        "hourly": {"type": "boolean"},
    },
    "required": ["city", "days", "hourly"],
    "additionalProperties": False,
}
"""Finite, so that a model with random weights comes to its end too."""
KEY = "sk-of-the-scripted-session"


def session(model: str, tokenizer: Tokenizer, context: int) -> list[dict[str, Any]]:
    """The steps, each with its whole request."""
    values: dict[str, Any] = {
        "${model}": model,
        "${q}": str(tokenizer.encode("q")[0]),
        "${brace}": str(tokenizer.encode("}")[0]),
        "${long}": "a b " * context,
        "${schema}": SCHEMA,
    }

    def filled(value: Any) -> Any:
        if isinstance(value, dict):
            return {values.get(key, key): filled(each) for key, each in value.items()}
        if isinstance(value, list):
            return [filled(each) for each in value]
        return values.get(value, value) if isinstance(value, str) else value

    steps: dict[str, dict[str, Any]] = {}
    for step in json.loads(Path(__file__).with_name("session.json").read_text()):
        like = steps.get(step.get("like"), {})
        merged = {**like.get("request", {}), **filled(step.get("request", {}))}
        request = {name: value for name, value in merged.items() if value is not None}
        base = {"call": like.get("call"), "extra": like.get("extra", {}), "server": "main", "retries": 0}
        steps[step["name"]] = {**base, "key": KEY, **filled(step), "request": request}
    return list(steps.values())


def run(command: Sequence[str], steps: list[dict[str, Any]], servers: dict[str, str]) -> dict[str, dict[str, Any]]:
    """Run a client; what it says of each step.

    The server `busy` answers one request at a time and has no line. Somebody else is being answered until half a second
    after the first refusal, so a client that comes again when it is told to succeeds.
    """
    given = json.dumps({"servers": {name: f"{url}/v1" for name, url in servers.items()}, "steps": steps})
    results = {}
    with _occupied(servers["busy"]) as release:
        process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        assert process.stdin is not None
        assert process.stdout is not None
        with process:
            process.stdin.write(given)
            process.stdin.close()
            for line in process.stdout:
                result = json.loads(line)
                results[result["name"]] = result
                if result["name"] == "refused":
                    threading.Timer(0.5, release).start()
    assert process.returncode == 0, f"`{' '.join(command)}` failed"
    return results


@contextlib.contextmanager
def _occupied(url: str) -> Iterator[Any]:
    """An answer without end is read until the function that comes back is called."""
    over, begun = threading.Event(), threading.Event()
    where: dict[str, Any] = {"url": f"{url}/v1/completions", "headers": {"authorization": f"Bearer {KEY}"}}
    with httpx.Client() as client:
        for _ in range(25):  # it learns that answers are short, and tells others to come again soon
            client.post(**where, json={"prompt": "a", "max_tokens": 1}).raise_for_status()

    def read() -> None:
        body = {"prompt": "a", "stream": True, "ignore_eos": True, "max_tokens": 30_000}
        with httpx.stream("POST", **where, json=body) as stream:
            for _ in stream.iter_raw():
                begun.set()
                if over.is_set():
                    return

    reader = threading.Thread(target=read)
    reader.start()
    try:
        assert begun.wait(20)
        yield over.set
    finally:
        over.set()
        reader.join()
