"""What `pocketphi serve` does when too many ask, when clients leave, and after thousands of requests.

    python benchmarks/serving_limits.py overload smollm2.pocket --out benchmarks/results/serving_overload.json
    python benchmarks/serving_limits.py aborts smollm2.pocket --out benchmarks/results/serving_aborts.json
    python benchmarks/serving_limits.py soak smollm2.pocket --out benchmarks/results/serving_soak.json

overload   the capacity is what as many clients as there are slots get done, each asking again at once; then requests
           arrive by chance (Poisson) at ten times that rate for a minute, whoever is being served. Goodput: requests
           answered in full, beside the capacity. Refusals must be 429 with `Retry-After`, and fast.
aborts     clients begin and leave at a random moment: in the line, in the prompt, in the answer.
           After each the server must have at most as many requests as there are clients, and how long that takes is
           asked of `/metrics`. At the end nothing may be left: requests, descriptors, threads.
soak       requests of random kinds and lengths; memory, descriptors and threads are looked at on the way.
"""

import argparse
import asyncio
import json
import random
import statistics
import tempfile
import time
from collections.abc import Awaitable, Callable, Sequence
from pathlib import Path
from typing import Any

from workers.http_load import Heard, ask, chat_body, get, prompt_of
from workers.servers import Server, ours, running

LOOK_SECONDS = 0.004


async def overload(server: Server, options: argparse.Namespace) -> dict[str, Any]:
    chance = random.Random(options.seed)
    seeds = iter(range(10**6, 10**7))

    def body() -> bytes:
        return json.dumps(chat_body(prompt_of(options.words, next(seeds)), tokens=options.tokens)).encode()

    async def one_client(until: float, heard: list[Heard]) -> None:
        while time.perf_counter() < until:
            heard.append(await ask(server.port, body()))

    async def closed_loop(seconds: float) -> float:
        heard: list[Heard] = []
        begin = time.perf_counter()
        await asyncio.gather(*(one_client(begin + seconds, heard) for _ in range(options.parallel)))
        return len([each for each in heard if _is_whole(each, options.tokens)]) / (time.perf_counter() - begin)

    await closed_loop(3)
    before = await closed_loop(options.seconds / 3)
    resident = server.resident_bytes()
    # Made before, because whoever makes them here takes the cores that the server computes on.
    times: list[float] = []
    while not times or times[-1] < options.seconds:
        times.append((times[-1] if times else 0.0) + chance.expovariate(options.load * before))
    bodies = [body() for _ in times]
    tasks: list[asyncio.Task[Heard]] = []
    begin = time.perf_counter()
    for arrival, made in zip(times, bodies, strict=True):
        await asyncio.sleep(max(0.0, begin + arrival - time.perf_counter()))
        tasks.append(asyncio.create_task(ask(server.port, made)))
    heard = await asyncio.gather(*tasks)
    seconds = max(each.started_at + each.ended for each in heard) - begin
    after = await closed_loop(options.seconds / 3)
    whole = [each for each in heard if _is_whole(each, options.tokens)]
    refused = [each for each in heard if each.status == 429]
    rest = [each for each in heard if each not in whole and each not in refused]
    capacity = (before + after) / 2
    goodput = len(whole) / seconds
    return {
        "requests": len(heard),
        "capacity_per_second": {"before": round(before, 2), "after": round(after, 2)},
        "offered_per_second": round(len(heard) / seconds, 1),
        "seconds": round(seconds, 1),
        "answered": len(whole),
        "goodput_share_of_capacity": round(goodput / capacity, 3),
        "refused": len(refused),
        "refused_without_retry_after": len([each for each in refused if not (each.retry_after or "").isdigit()]),
        "refusal_ms": _spread([1e3 * each.ended for each in refused]),
        "first_token_ms": _spread([1e3 * (each.first_token or 0) for each in whole]),
        "others": len(rest),
        "problems": sorted({each.problem for each in rest})[:5],
        "resident_growth_bytes": server.resident_bytes() - resident,
        "met": goodput >= 0.9 * capacity and not rest and all((each.retry_after or "").isdigit() for each in refused),
    }


async def aborts(server: Server, options: argparse.Namespace) -> dict[str, Any]:
    chance = random.Random(options.seed)
    whole = await ask(server.port, chat_body(prompt_of(options.words, 0), tokens=options.tokens))
    await ask(server.port, chat_body(prompt_of(5, 1), tokens=2))
    before = server.descriptors(), server.threads()
    freed: list[float] = []
    number = 0
    while len(freed) < options.aborts:
        group = min(options.parallel + 2, options.aborts - len(freed))  # two wait in the line
        leave = sorted(chance.uniform(0.0, whole.ended * 0.9) for _ in range(group))
        clients = []
        for seconds in leave:
            number += 1
            body = chat_body(prompt_of(options.words, 10**6 + number), tokens=options.tokens)
            clients.append(asyncio.create_task(ask(server.port, body, leave_after=max(1e-3, seconds))))
        for gone, client in enumerate(clients, start=1):
            await client
            left_at = time.perf_counter()
            while await _busy(server) > group - gone:
                if time.perf_counter() - left_at > 30:
                    raise SystemExit("a slot was not freed within 30 s")
                await asyncio.sleep(LOOK_SECONDS)
            freed.append(time.perf_counter() - left_at)
    await asyncio.sleep(1)
    again = await ask(server.port, chat_body(prompt_of(options.words, 0), tokens=options.tokens))
    await asyncio.sleep(0.5)
    after = server.descriptors(), server.threads()
    return {
        "aborts": len(freed),
        "whole_request_seconds": round(whole.ended, 2),
        "freed_ms": _spread([1e3 * seconds for seconds in freed]),
        "left_over_requests": await _busy(server),
        "descriptors": {"before": before[0], "after": after[0]},
        "threads": {"before": before[1], "after": after[1]},
        "answers_afterwards": again.completion_tokens == options.tokens,
        "met": max(freed) <= 0.25 and await _busy(server) == 0 and after[0] <= before[0] and after[1] <= before[1],
    }


async def soak(server: Server, options: argparse.Namespace) -> dict[str, Any]:
    chance = random.Random(options.seed)
    looks: list[dict[str, int]] = []
    done = 0
    problems: list[str] = []

    async def one_client() -> None:
        nonlocal done
        while done < options.requests:
            done += 1
            number = done
            if number % max(1, options.requests // 20) == 0:
                looks.append(
                    {
                        "requests": number,
                        "resident_bytes": server.resident_bytes(),
                        "descriptors": server.descriptors(),
                        "threads": server.threads(),
                    }
                )
            tokens = chance.choice([1, 8, 32])
            more = chance.choice([{}, {}, {"temperature": 1.0, "logprobs": True, "top_logprobs": 3}, {"n": 2}])
            body = chat_body(prompt_of(chance.choice([3, 40, 200]), chance.randrange(10**6)), tokens=tokens, **more)
            leaves = chance.random() < 0.2
            heard = await ask(server.port, body, leave_after=chance.random() * 0.3 if leaves else None)
            if not leaves and (heard.status != 200 or heard.problem):
                problems.append(f"{heard.status} {heard.problem}")

    await asyncio.gather(*(one_client() for _ in range(options.parallel)))
    await asyncio.sleep(1)
    settled = looks[len(looks) // 3 :]
    slope = _slope([(look["requests"], look["resident_bytes"]) for look in settled])
    return {
        "requests": done,
        "looks": looks,
        "bytes_per_request": round(slope, 1),
        "left_over_requests": await _busy(server),
        "problems": sorted(set(problems))[:5],
        "met": slope <= 1024 and not problems and await _busy(server) == 0,
    }


def _is_whole(heard: Heard, tokens: int) -> bool:
    return heard.status == 200 and not heard.problem and heard.completion_tokens == tokens


async def _busy(server: Server) -> int:
    """Requests that the server has in its line or at work."""
    _, text = await get(server.port, "/metrics")
    lines = [line for line in text.decode().splitlines() if line.startswith("vllm:num_requests_")]
    assert lines, "the server tells no vllm:num_requests_*"
    return round(sum(float(line.rsplit(" ", 1)[1]) for line in lines))


def _spread(values: Sequence[float]) -> dict[str, float]:
    if not values:
        return {}
    ordered = sorted(values)
    places = {"p50": 0.5, "p90": 0.9, "p99": 0.99}
    found = {name: ordered[min(len(ordered) - 1, int(share * len(ordered)))] for name, share in places.items()}
    return {name: round(value, 1) for name, value in {**found, "most": ordered[-1]}.items()}


def _slope(points: Sequence[tuple[float, float]]) -> float:
    """Of the straight line through points, by Theil and Sen: one odd look does not tilt it."""
    slopes = [(b[1] - a[1]) / (b[0] - a[0]) for i, a in enumerate(points) for b in points[i + 1 :]]
    return statistics.median(slopes)


KINDS: dict[str, Callable[[Server, argparse.Namespace], Awaitable[dict[str, Any]]]] = {
    "overload": overload,
    "aborts": aborts,
    "soak": soak,
}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("kind", choices=KINDS)
    parser.add_argument("model", type=Path, help="a .pocket file")
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--parallel", type=int, default=4)
    parser.add_argument("--queue", type=int, default=8)
    parser.add_argument("--context", type=int, default=2048)
    parser.add_argument("--words", type=int, default=300)
    parser.add_argument("--tokens", type=int, default=64)
    parser.add_argument("--seconds", type=float, default=60.0)
    parser.add_argument("--load", type=float, default=10.0, help="requests, as a multiple of the capacity")
    parser.add_argument("--aborts", type=int, default=1000)
    parser.add_argument("--requests", type=int, default=2000)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--out", type=Path)
    options = parser.parse_args()
    shape = {name: getattr(options, name) for name in ("threads", "parallel", "context", "queue")}
    with (
        tempfile.TemporaryDirectory() as folder,
        running("pocketphi", ours(options.model, **shape), Path(folder) / "log") as server,
    ):
        found = asyncio.run(KINDS[options.kind](server, options))
    report = {"model": options.model.name, **shape, "words": options.words, "tokens": options.tokens, **found}
    print(json.dumps(report, indent=1))
    if options.out:
        options.out.write_text(json.dumps(report, indent=1) + "\n")


if __name__ == "__main__":
    main()
