"""How fast is `pocketphi serve` beside llama-server? Time to first token and tokens/s, for one client and for many.

    python benchmarks/serving.py smollm2.pocket --llama-server LLAMA_CPP/bin/llama-server \
        --gguf smollm2-q4_0.gguf --gguf smollm2-q8_0.gguf --out benchmarks/results/serving.json

Both servers are up the whole time, idle while the other one is asked, and asked in turn: A B A B ... Every prompt is
sent once and begins like no other, so no cache helps anybody; answers are greedy and 64 tokens long. A peer's file is
asked in every form given (`--gguf`); each figure is compared with the form that is best at it. Claims are medians of
the ratios within a round.
"""

import argparse
import asyncio
import json
import statistics
import sys
import tempfile
import time
from collections.abc import Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import Any

from workers.http_load import Heard, ask, chat_body, prompt_of
from workers.servers import Server, llama_server, ours, running

from pocketphi.runtime.bench import measure_read_bandwidth

CLIENTS = (1, 8)
BARS = {1: {"tokens_per_second": 1.5, "first_token": 0.5}, 8: {"tokens_per_second": 2.0, "first_token": 0.5}}


def main() -> None:
    options = _options()
    with tempfile.TemporaryDirectory() as folder, ExitStack() as stack:
        common = {"threads": options.threads, "parallel": options.parallel, "context": options.context}
        commands = {"pocketphi": ours(options.model, **common)}
        for gguf in options.gguf:
            commands[f"llama-server {gguf.stem}"] = llama_server(options.llama_server, gguf, **common)
        servers = [
            stack.enter_context(running(name, command, Path(folder) / f"{number}.log"))
            for number, (name, command) in enumerate(commands.items())
        ]
        for server in servers:
            asyncio.run(_round(server, 1, options, seed=0))
        rounds = []
        for number in range(1, options.rounds + 1):
            order = servers if number % 2 else servers[::-1]
            bandwidth = measure_read_bandwidth(options.threads, num_bytes=1 << 30, seconds=0.5)
            found = {
                f"{server.name}": {
                    str(clients): asyncio.run(_round(server, clients, options, seed=1000 * number + clients))
                    for clients in CLIENTS
                }
                for server in order
            }
            rounds.append({"read_bandwidth_bytes_per_second": bandwidth, "servers": found})
            print(json.dumps(rounds[-1]), file=sys.stderr)
        resident = {server.name: server.resident_bytes() for server in servers}
    report = {
        "what": f"{options.words}-word prompts, {options.tokens} new tokens, {options.parallel} slots, "
        f"{options.threads} threads",
        "model": options.model.name,
        "peers": [path.name for path in options.gguf],
        "claims": _claims(rounds),
        "resident_bytes": resident,
        "rounds": rounds,
    }
    print(json.dumps({key: value for key, value in report.items() if key != "rounds"}, indent=1))
    if options.out:
        options.out.write_text(json.dumps(report, indent=1) + "\n")


async def _round(server: Server, clients: int, options: argparse.Namespace, seed: int) -> dict[str, Any]:
    """So many clients at once, each with one request, a few times over."""
    first_tokens, rates = [], []
    for repeat in range(options.repeats):
        bodies = [
            chat_body(
                prompt_of(options.words, seed * 100 + repeat * 10 + client), tokens=options.tokens, cache_prompt=False
            )
            for client in range(clients)
        ]
        begin = time.perf_counter()
        heard = await asyncio.gather(*(ask(server.port, body) for body in bodies))
        seconds = time.perf_counter() - begin
        _check(server, heard, options.tokens)
        first_tokens += [each.first_token for each in heard]
        rates.append(sum(each.completion_tokens or 0 for each in heard) / seconds)
    return {
        "first_token_ms": round(1e3 * statistics.median(first_tokens), 1),
        "first_token_ms_most": round(1e3 * max(first_tokens), 1),
        "tokens_per_second": round(statistics.median(rates), 1),
    }


def _check(server: Server, heard: Sequence[Heard], tokens: int) -> None:
    for each in heard:
        if each.status != 200 or each.problem or each.first_token is None or each.completion_tokens != tokens:
            raise SystemExit(f"{server.name} did not answer as asked: {each}")


def _claims(rounds: Sequence[dict[str, Any]]) -> list[dict[str, Any]]:
    claims = []
    for clients in CLIENTS:
        rates, waits = [], []
        for each in rounds:
            own = each["servers"]["pocketphi"][str(clients)]
            peers = [found[str(clients)] for name, found in each["servers"].items() if name != "pocketphi"]
            rates.append(own["tokens_per_second"] / max(peer["tokens_per_second"] for peer in peers))
            waits.append(own["first_token_ms"] / min(peer["first_token_ms"] for peer in peers))
        bar = BARS[clients]
        rate, wait = statistics.median(rates), statistics.median(waits)
        claims.append(
            {
                "clients": clients,
                "tokens_per_second_ratio": round(rate, 2),
                "first_token_ratio": round(wait, 2),
                "ratios": {
                    "tokens_per_second": [round(r, 2) for r in rates],
                    "first_token": [round(w, 2) for w in waits],
                },
                "bar": bar,
                "met": rate >= bar["tokens_per_second"] and wait <= bar["first_token"],
            }
        )
    return claims


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("model", type=Path, help="a .pocket file")
    parser.add_argument("--llama-server", type=Path, required=True)
    parser.add_argument("--gguf", type=Path, action="append", required=True, help="the same model for llama-server")
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--parallel", type=int, default=8)
    parser.add_argument("--context", type=int, default=2048, help="positions of each slot")
    parser.add_argument("--words", type=int, default=300)
    parser.add_argument("--tokens", type=int, default=64)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--out", type=Path)
    return parser.parse_args()


if __name__ == "__main__":
    main()
