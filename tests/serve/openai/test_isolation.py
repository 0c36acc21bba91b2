"""An answer equals the same request on a fresh server, whatever others asked before and ask meanwhile."""

import json
import threading
from collections.abc import Iterator
from functools import cache
from typing import Any

import httpx
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from pocketphi.runtime.model import Model
from serve.openai.conftest import Served, served

SHARED = "the one in the tin and then another thin thing that the inn had " * 4
PROMPTS = ("a", SHARED, SHARED + "and more", SHARED[:100], SHARED + SHARED)
CHAT, PLAIN, EMBED = "/v1/chat/completions", "/v1/completions", "/v1/embeddings"


def chat(prompt: str, **fields: Any) -> tuple[str, dict[str, Any]]:
    return CHAT, {"messages": [{"role": "user", "content": prompt}], "max_tokens": 12, "seed": 3, **fields}


TARGETS: tuple[tuple[str, dict[str, Any]], ...] = (
    chat(SHARED, logprobs=True, top_logprobs=3),
    chat(SHARED + "and more", n=3, temperature=1),
    chat("a", presence_penalty=1, logit_bias={"65": 2}),
    chat(SHARED, response_format={"type": "json_object"}),
    (PLAIN, {"prompt": SHARED, "max_tokens": 12, "seed": 9, "logprobs": 2}),
    (EMBED, {"input": [SHARED, "a"]}),
)


def essence(server: Served, path: str, body: dict[str, Any]) -> Any:
    """An answer without what differs by right: its name, its time, and what the cache saved."""
    reply = httpx.post(server.url + path, json=body, timeout=60).json()
    for name in ("id", "created"):
        reply.pop(name, None)
    reply["usage"].pop("prompt_tokens_details", None)
    return reply


@pytest.fixture(scope="module")
def used(model: Model) -> Iterator[Served]:
    """One server for all histories."""
    with served(model, parallel=3) as server:
        yield server


def ask_and_leave(server: Served, body: dict[str, Any], lines: int) -> None:
    """Read so many lines of a stream, then go."""
    with httpx.stream("POST", server.url + CHAT, json={**body, "stream": True}, timeout=60) as stream:
        for index, _ in enumerate(stream.iter_lines()):
            if index >= lines:
                break


@cache
def alone(model: Model, index: int) -> Any:
    with served(model, parallel=3) as fresh:
        return essence(fresh, *TARGETS[index])


OTHERS = st.tuples(
    st.sampled_from(PROMPTS),
    st.integers(1, 40),
    st.sampled_from([0.0, 1.0]),
    st.one_of(st.none(), st.integers(0, 20)),
)


@settings(max_examples=20, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(history=st.lists(OTHERS, max_size=6), target=st.integers(0, len(TARGETS) - 1))
def test_no_history_changes_an_answer(model: Model, used: Served, history: list[Any], target: int) -> None:
    threads = []
    for prompt, max_tokens, temperature, leaves_after in history:
        _, body = chat(prompt, max_tokens=max_tokens, temperature=temperature, seed=max_tokens)
        if leaves_after is None:
            threads.append(threading.Thread(target=essence, args=(used, CHAT, body)))
        else:
            threads.append(threading.Thread(target=ask_and_leave, args=(used, body, leaves_after)))
        threads[-1].start()
    answer = essence(used, *TARGETS[target])
    for thread in threads:
        thread.join()
    assert json.dumps(answer, sort_keys=True) == json.dumps(alone(model, target), sort_keys=True)
    assert essence(used, *TARGETS[target]) == answer
