"""A server on this machine that plays OpenAI's API with a tiny model, faithfully or with one thing wrong.

What a server says is a dictionary until it is sent, so a test that wants another answer gives `wrong`, a function from
(path, body, right answer) to what is sent in its stead: a dictionary, raw bytes, or a function of the open connection.
"""

import json
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import numpy as np

from pocketphi.chat import Message, Segment, render, render_open
from pocketphi.runtime.backend import GenerateRequest
from pocketphi.runtime.model import Model
from pocketphi.runtime.native_backend import NativeBackend
from pocketphi.runtime.sampling import SamplingOptions, score
from pocketphi.runtime.writer import StopReason

Raw = Callable[[BaseHTTPRequestHandler], None]
Wrong = Callable[[str, dict[str, Any], dict[str, Any]], dict[str, Any] | bytes | Raw]
ENDED = {StopReason.END: "stop", StopReason.STOP: "stop", StopReason.LENGTH: "length", StopReason.CONTEXT: "length"}


@dataclass
class Seen:
    path: str
    headers: dict[str, str]
    body: dict[str, Any]


@dataclass
class OpenAI:
    """What the server is, and what it saw."""

    model: Model
    echoes: bool = True
    """Whether it knows `echo`, as OpenAI's first API."""
    prompt_logprobs: bool = True
    """Whether it knows `prompt_logprobs`, as vLLM."""
    continues: bool = True
    """Whether it goes on with a begun answer."""
    loses_spaces: bool = False
    """Whether a token by itself has no space before it, as SentencePiece's in vLLM."""
    wrong: Wrong = lambda _path, _body, right: right
    seen: list[Seen] = field(default_factory=list)
    most_at_once: int = 0
    address: str = ""
    _now: int = 0
    _count: threading.Lock = field(default_factory=threading.Lock)
    _engine: threading.Lock = field(default_factory=threading.Lock)

    def bodies(self, path: str) -> list[dict[str, Any]]:
        return [seen.body for seen in self.seen if seen.path == f"/v1{path}"]

    def entered(self, by: int) -> None:
        with self._count:
            self._now += by
            self.most_at_once = max(self.most_at_once, self._now)

    def answer(self, path: str, body: dict[str, Any]) -> dict[str, Any]:
        if path == "/v1/models":
            return {"data": [{"id": "tiny", "max_model_len": self.model.context_size}, {"id": "other"}]}
        with self._engine:
            return self._completion(body) if path == "/v1/completions" else self._chat(body)

    def _completion(self, body: dict[str, Any]) -> dict[str, Any]:
        bos = self.model.bos_id
        tokens = [*([] if bos is None else [bos]), *self.model.tokenizer.encode(body["prompt"])]
        text, num_tokens, ended, stop = self._written(body["prompt"], body)
        choice: dict[str, Any] = {"index": 0, "text": text, "finish_reason": ended, "stop_reason": stop}
        if body.get("echo") and self.echoes:
            # The new token is told of as well: here one that says nothing new.
            choice["text"] = body["prompt"] + text
            logprobs, best, ids = self._logprobs(tokens)
            pieces = [self._piece(token) for token in tokens]
            tops = [
                {piece: own} | {self._piece(i): top}
                for piece, own, top, i in zip(pieces, logprobs, best, ids, strict=True)
            ]
            choice["logprobs"] = {
                "tokens": [*pieces, *([text] if num_tokens else [])],
                "token_logprobs": [None, *logprobs[1:], *([-0.5] if num_tokens else [])],
                "top_logprobs": [None, *tops[1:], *([{text: -0.5}] if num_tokens else [])],
                "text_offset": [0] * (len(tokens) + bool(num_tokens)),
            }
        elif body.get("logprobs"):
            choice["logprobs"] = {"tokens": [text], "token_logprobs": [-0.5], "top_logprobs": [{text: -0.5}]}
        if body.get("prompt_logprobs") and self.prompt_logprobs:
            choice["prompt_logprobs"] = self._prompt_logprobs(tokens)
        return {"choices": [choice], "usage": {"prompt_tokens": len(tokens), "completion_tokens": num_tokens}}

    def _chat(self, body: dict[str, Any]) -> dict[str, Any]:
        messages = tuple(Message(m["role"], m["content"]) for m in body["messages"])
        goes_on = self.continues and body.get("continue_final_message") and not body["add_generation_prompt"]
        segments: Sequence[Segment] = (render_open if goes_on else render)(self.model.template, messages)
        tokens = self.model.tokenizer.encode_segments(segments)
        text, num_tokens, ended, stop = self._written(messages, body)
        message = {"role": "assistant", "content": text}
        reply: dict[str, Any] = {
            "choices": [{"index": 0, "message": message, "finish_reason": ended, "stop_reason": stop}],
            "usage": {"prompt_tokens": len(tokens), "completion_tokens": num_tokens},
        }
        if body.get("prompt_logprobs") and self.prompt_logprobs:
            reply["prompt_logprobs"] = self._prompt_logprobs(tokens)
        return reply

    def _written(self, prompt: str | tuple[Message, ...], body: dict[str, Any]) -> tuple[str, int, str, str | None]:
        stop = tuple(body.get("stop", ()))
        sampling = SamplingOptions(temperature=body["temperature"], seed=body.get("seed", 0))
        request = GenerateRequest(prompt=prompt, max_tokens=body["max_tokens"], stop=stop, sampling=sampling)
        [result] = NativeBackend(self.model).generate([request])
        which = stop[0] if result.stop_reason is StopReason.STOP else None
        return result.text, result.num_tokens, ENDED[result.stop_reason], which

    def _piece(self, token: int) -> str:
        piece = self.model.tokenizer.decode([token], skip_special=False)
        return piece.removeprefix(" ") if self.loses_spaces else piece

    def _logprobs(self, tokens: list[int]) -> tuple[list[float], list[float], list[int]]:
        """Of every token but the first, which is 0; the likeliest one's; its id."""
        logits = self.model.logits(tokens)[:-1]
        own, best = score(logits, tokens[1:]) if len(tokens) > 1 else (np.zeros(0), np.zeros(0, np.int32))
        tops, _ = score(logits, best) if len(tokens) > 1 else (np.zeros(0), None)
        return [0.0, *own.tolist()], [0.0, *tops.tolist()], [0, *best.tolist()]

    def _prompt_logprobs(self, tokens: list[int]) -> list[dict[str, Any] | None]:
        rows: list[dict[str, Any] | None] = [None]
        for token, own, top, best in list(zip(tokens, *self._logprobs(tokens), strict=True))[1:]:
            rows.append(
                {str(i): {"logprob": x, "decoded_token": self._piece(i)} for i, x in ((token, own), (best, top))}
            )
        return rows


@contextmanager
def openai_server(server: OpenAI) -> Iterator[OpenAI]:
    """Serve, and tell the address."""

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            server.entered(1)
            with suppress(BrokenPipeError, ConnectionResetError):
                self._answer()
            server.entered(-1)

        do_GET = do_POST

        def _answer(self) -> None:
            size = int(self.headers.get("Content-Length") or 0)
            body = json.loads(self.rfile.read(size)) if size else {}
            server.seen.append(Seen(self.path, {k.lower(): v for k, v in self.headers.items()}, body))
            sent = server.wrong(self.path.removeprefix("/v1"), body, server.answer(self.path, body))
            if callable(sent):
                sent(self)
            else:
                send(self, sent if isinstance(sent, bytes) else json.dumps(sent).encode())

        def log_message(self, *arguments: object) -> None:
            """Say nothing."""

    http = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    http.daemon_threads = True
    server.address = f"http://127.0.0.1:{http.server_port}/v1"
    threading.Thread(target=http.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True).start()
    try:
        yield server
    finally:
        http.shutdown()
        http.server_close()


def send(
    request: BaseHTTPRequestHandler,
    content: bytes,
    status: int = 200,
    headers: dict[str, str] | None = None,
    length: int | None = None,
) -> None:
    """Answer; `length` is what the header says, if not the truth."""
    request.send_response(status)
    for name, value in {"Content-Type": "application/json", **(headers or {})}.items():
        request.send_header(name, value)
    request.send_header("Content-Length", str(len(content) if length is None else length))
    request.end_headers()
    request.wfile.write(content)
