"""Throw mutated files at the three readers: each must refuse them with a `UserError` or read them soundly.

In process, on bytes, without coverage feedback: what makes up for that is knowing the formats. Numbers
are replaced by the ones that break arithmetic, JSON by other JSON with the length prefix put right,
.pocket headers are sealed again, and inputs that are accepted, or refused in a new way, join the pool
that later mutations start from.

    python tests/fuzz/fuzz_readers.py --executions 10000000 --out benchmarks/results/fuzz_readers.json
"""

import argparse
import json
import platform
import random
import re
import sys
import tempfile
import time
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor
from dataclasses import asdict, dataclass, field
from pathlib import Path

if __name__ == "__main__":
    sys.path[:0] = [str(Path(__file__).parents[1]), str(Path(__file__).parents[2])]

from formats.builders import model_gguf, seal, small_safetensors
from formats.test_mutations import small_gguf
from pocketphi.errors import UserError
from pocketphi.formats.gguf import parse_gguf
from pocketphi.formats.pocket import parse_pocket
from pocketphi.formats.safetensors import parse_header
from tiny import longrope_config, tiny_config, write_tiny

MAX_POOL = 400
MAX_SECONDS = 2.0
_EDGES = [0, 1, 2, 7, 8, 31, 32, 63, 64, 127, 128, 255, 256, 2**15, 2**16 - 1, 2**16, 2**20, 2**20 + 1, 2**31 - 1,
          2**31, 2**32 - 1, 2**32, 2**42 + 1, 2**53, 2**62, 2**63 - 1, 2**63, 2**64 - 1]  # fmt: skip
_JSON_EDGES = [
    b"null", b"true", b"-1", b"0", b"1.5", b"1e999", b"NaN", b"[]", b"{}", b'""', b'"x"', b"[[[]]]", b'{"a":1}',
    b'"\\ud800"', b'"../../x"', b'"q4"', b'"F64"', b'"U8"', *(str(edge).encode() for edge in _EDGES),
]  # fmt: skip
_JSON_TOKEN = re.compile(rb'-?\d+(?:\.\d+)?(?:e-?\d+)?|"(?:[^"\\]|\\.)*"|true|false|null|[\[\]{},:]|\\"[a-z0-9_.]*\\"')
_VALUE = re.compile(r"`.*`|\d+", re.DOTALL)

Random = random.Random


@dataclass
class Outcome:
    """What became of the mutants of one reader."""

    executions: int = 0
    accepted: int = 0
    refused: int = 0
    ways_of_refusing: int = 0
    """Error messages that differ by more than names and numbers."""
    slowest_seconds: float = 0.0
    crashes: list[str] = field(default_factory=list)
    """Exceptions other than `UserError`, and inputs that took over two seconds."""


def read_gguf(raw: bytes) -> None:
    header = parse_gguf(raw, len(raw), "`file`")
    dict(header.metadata)
    for info in header.tensors.values():
        assert 0 <= info.begin <= info.end <= len(raw)


def read_safetensors(raw: bytes) -> None:
    header = parse_header(raw, len(raw), "`file`")
    assert header.data_begin + sum(t.end - t.begin for t in header.tensors.values()) == len(raw)


def read_pocket(raw: bytes) -> None:
    header = parse_pocket(raw, len(raw), "`file`")
    assert sum(t.end - t.begin for t in header.layout.tensors.values()) == len(raw) - header.layout.data_begin


def mutate_bytes(raw: bytes, pool: list[bytes], rng: Random) -> bytes:
    """One to three changes that know nothing but numbers."""
    data = bytearray(raw)
    for _ in range(rng.choice((1, 1, 1, 2, 3))):
        if not data:
            break
        # Headers come first: look there more often than in the data.
        at = int(len(data) * rng.random() ** 2)
        kind = rng.randrange(8)
        if kind <= 1:
            data[at] ^= 1 << rng.randrange(8)
        elif kind == 2:
            data[at] = rng.choice((0, 1, 32, 127, 128, 255))
        elif kind <= 4:
            size = rng.choice((1, 2, 4, 8, 8))
            edge = rng.choice(_EDGES) + rng.choice((-1, 0, 0, 1))
            data[at : at + size] = (edge % (1 << 8 * size)).to_bytes(size, "little")
        elif kind == 5:
            end = at + rng.choice((1, 4, 8, 40))
            data[at:end] = b"" if rng.random() < 0.5 else data[at:end] * 2
        elif kind == 6:
            other = rng.choice(pool)
            begin = rng.randrange(len(other) + 1)
            data[at : at + rng.choice((0, 8))] = other[begin : begin + rng.choice((4, 16, 64))]
        else:
            del data[int(len(data) * rng.random()) :]
    return bytes(data)


def mutate_json(raw: bytes, pool: list[bytes], rng: Random) -> bytes:
    """Change tokens of the JSON header and put the length prefix right; sometimes, change plain bytes."""
    if len(raw) < 8 or rng.random() < 0.25:
        return mutate_bytes(raw, pool, rng)
    end = 8 + int.from_bytes(raw[:8], "little")
    head, tail = raw[8:end], raw[end:]
    for _ in range(rng.choice((1, 1, 1, 2))):
        start = rng.randrange(len(head) + 1)
        token = _JSON_TOKEN.search(head, start, start + 400)
        if token is None:
            continue
        kind = rng.randrange(5)
        if kind <= 1:
            new = rng.choice(_JSON_EDGES)
            # Inside JSON that is itself a string, quotes are escaped.
            new = new.replace(b'"', b'\\"') if token[0].startswith(b"\\") else new
        elif kind == 2:
            new = token[0] * 2
        elif kind == 3:
            new = b""
        else:
            other = _JSON_TOKEN.search(head, rng.randrange(len(head) + 1))
            new = other[0] if other else b"0"
        head = head[: token.start()] + new + head[token.end() :]
    if rng.random() < 0.7:
        head += b" " * (-(8 + len(head)) % 64)
    return len(head).to_bytes(8, "little") + head + tail


def mutate_pocket(raw: bytes, pool: list[bytes], rng: Random) -> bytes:
    """As JSON, mostly sealed again, so that the digest does not hide what lies behind it."""
    mutant = mutate_json(raw, pool, rng)
    return seal(mutant) if len(mutant) >= 8 and rng.random() < 0.8 else mutant


def seeds() -> dict[str, list[bytes]]:
    """Valid small files to start from."""
    with tempfile.TemporaryDirectory() as folder:
        small = {"num_hidden_layers": 1, "hidden_size": 32, "intermediate_size": 32}
        configs = (tiny_config(**small), longrope_config(**small, tie_word_embeddings=True))
        pockets = [
            write_tiny(Path(folder) / f"{i}.pocket", config).path.read_bytes() for i, config in enumerate(configs)
        ]
    model = model_gguf(layers=1, hidden=32, inner=32)
    model.entries = [entry for entry in model.entries if "tokenizer.ggml" not in str(entry.key)]
    return {
        "gguf": [small_gguf(), model.build()],
        "safetensors": [small_safetensors()],
        "pocket": pockets,
    }


READERS: dict[str, tuple[Callable[[bytes], None], Callable[[bytes, list[bytes], Random], bytes]]] = {
    "gguf": (read_gguf, mutate_bytes),
    "safetensors": (read_safetensors, mutate_json),
    "pocket": (read_pocket, mutate_pocket),
}


def fuzz(name: str, first: list[bytes], executions: int, seed: int, crash_folder: Path | None = None) -> Outcome:
    """Run one reader on `executions` mutants of `first`; the same seed gives the same mutants."""
    read, mutate = READERS[name]
    rng = Random(f"{name} {seed}")
    sound, odd, outcome = list(first), list(first), Outcome()
    ways: set[str] = set()
    clock = time.process_time  # on a busy machine, the wall clock measures the neighbours
    for raw in first:
        read(raw)
    for _ in range(executions):
        # Mostly one step from a sound file, so that late checks are reached; sometimes many steps.
        mutant = mutate(rng.choice(sound if rng.random() < 0.8 else odd), odd, rng)
        started = clock()
        kept = None
        try:
            read(mutant)
            outcome.accepted += 1
            kept = sound if rng.random() < 0.05 else None
        except UserError as error:
            outcome.refused += 1
            way = _VALUE.sub("", error.message.removeprefix("`file`")[:300])
            if way not in ways and len(ways) < 100_000:
                ways.add(way)
                kept = odd
        except Exception as error:  # noqa: BLE001 - finding these is the purpose
            outcome.crashes.append(f"{type(error).__name__}: {error}"[:300])
            _keep(crash_folder, f"{name}-{len(outcome.crashes)}", mutant)
        seconds = clock() - started
        if seconds > outcome.slowest_seconds:
            outcome.slowest_seconds = seconds
            if seconds > MAX_SECONDS:
                outcome.crashes.append(f"took {seconds:.1f} s")
                _keep(crash_folder, f"{name}-slow-{len(outcome.crashes)}", mutant)
        if kept is not None and len(mutant) < 1 << 16:
            if len(kept) < MAX_POOL:
                kept.append(mutant)
            else:
                kept[rng.randrange(len(first), MAX_POOL)] = mutant
    outcome.executions = executions
    outcome.ways_of_refusing = len(ways)
    return outcome


def _keep(folder: Path | None, name: str, raw: bytes) -> None:
    if folder is not None:
        folder.mkdir(parents=True, exist_ok=True)
        (folder / name).write_bytes(raw)


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--executions", type=int, default=1_000_000, help="in all, over the readers")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--crashes", type=Path, help="folder for inputs that crash a reader")
    parser.add_argument("--out", type=Path, help="JSON file to write")
    options = parser.parse_args()
    # GGUF is the largest reader; the other two share one header parser.
    shares = {"gguf": 0.4, "safetensors": 0.3, "pocket": 0.3}
    started = time.time()
    with ProcessPoolExecutor(len(READERS)) as processes:
        runs = {
            name: processes.submit(
                fuzz, name, first, round(options.executions * shares[name]), options.seed, options.crashes
            )
            for name, first in seeds().items()
        }
        outcomes = {name: asdict(run.result()) for name, run in runs.items()}
    record = {
        "executions": sum(outcome["executions"] for outcome in outcomes.values()),
        "crashes": sum(len(outcome["crashes"]) for outcome in outcomes.values()),
        "seed": options.seed,
        "seconds": round(time.time() - started),
        "python": platform.python_version(),
        "readers": outcomes,
    }
    text = json.dumps(record, indent=2) + "\n"
    if options.out is not None:
        options.out.write_text(text)
    print(text, end="")
    sys.exit(1 if record["crashes"] else 0)


if __name__ == "__main__":
    main()
