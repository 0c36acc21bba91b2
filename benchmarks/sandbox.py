"""What does the sandbox cost? One run of a trivial program in it, beside the same program in a plain Python.

    python benchmarks/sandbox.py --out benchmarks/results/sandbox_overhead.json

The plain side is one process of the same interpreter, started with the same few modules (`-S`, no `site`), that holds
code and tests together; the harder of the two baselines, since an interpreter as people start it takes longer. Both
sides run in pairs, in alternating order, and the overhead is taken within a pair: what else the machine does falls on
both. The bar is the median.

An installed package is compiled; a checkout where Python keeps no bytecode (`PYTHONDONTWRITEBYTECODE`) compiles the
sandbox's own modules in every process, about 9 ms a run. `is_compiled` says which was measured.
"""

import argparse
import json
import statistics
import subprocess
import sys
import time
from importlib.util import cache_from_source
from pathlib import Path

from pocketphi.eval.sandbox import inside
from pocketphi.eval.sandbox.run import Program, require, run_program

CODE = "def double(x):\n    return 2 * x\n"
TEST = "assert double(4) == 8\n"
PROGRAM = Program(code=CODE, test=f"from solution import double\n{TEST}")
PYTHON = [str(Path(sys.executable).resolve()), "-P", "-s", "-S", "-B"]
LIMIT_MS = 60.0
WARM_UP = 3


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--pairs", type=int, default=60)
    parser.add_argument("--out", type=Path)
    options = parser.parse_args()
    require()
    for _ in range(WARM_UP):
        sandboxed()
        plain()
    pairs = []
    for number in range(options.pairs):
        first, second = (sandboxed, plain) if number % 2 else (plain, sandboxed)
        found = {each: each() for each in (first, second)}
        pairs.append({"sandbox_ms": found[sandboxed], "plain_ms": found[plain]})
    overheads = [pair["sandbox_ms"] - pair["plain_ms"] for pair in pairs]
    report = {
        "limit_ms": LIMIT_MS,
        "num_pairs": options.pairs,
        "is_compiled": Path(cache_from_source(inside.__file__)).is_file(),
        "overhead_ms": spread(overheads),
        "sandbox_ms": spread([pair["sandbox_ms"] for pair in pairs]),
        "plain_ms": spread([pair["plain_ms"] for pair in pairs]),
        "pairs": pairs,
        "met": statistics.median(overheads) <= LIMIT_MS,
    }
    text = json.dumps(report, indent=1)
    print(json.dumps({key: value for key, value in report.items() if key != "pairs"}, indent=1))
    if options.out is not None:
        options.out.write_text(text + "\n", encoding="utf-8")


def sandboxed() -> float:
    """Milliseconds of a run in the sandbox, from the call to the verdict and the end of both processes."""
    started = time.perf_counter()
    outcome = run_program(PROGRAM)
    taken = time.perf_counter() - started
    if outcome.status != "passed":
        sys.exit(f"the program is `{outcome.status}` in the sandbox: {outcome.reason}")
    return 1000 * taken


def plain() -> float:
    """Milliseconds of the same without one."""
    started = time.perf_counter()
    subprocess.run([*PYTHON, "-c", CODE + TEST], check=True, stdin=subprocess.DEVNULL, capture_output=True, env={})
    return 1000 * (time.perf_counter() - started)


def spread(values: list[float]) -> dict[str, float]:
    """Median and 95th percentile."""
    return {"median": statistics.median(values), "p95": statistics.quantiles(values, n=20, method="inclusive")[-1]}


if __name__ == "__main__":
    main()
