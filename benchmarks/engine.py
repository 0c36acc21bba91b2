"""Our engine beside others on this machine, interleaved: prompt and decode speed as ratios.

    python benchmarks/engine.py smollm2.pocket --threads 2 --rounds 5 \\
        --llama-bench PATH --gguf q4_1.gguf --gguf q4_0.gguf \\
        --ik-bench PATH --openvino-python PATH --openvino-model FOLDER --out benchmarks/results/NAME.json

Each round runs every engine once, in turn, in a process of its own; the read bandwidth of the machine is
taken right before each. A claim is the median over rounds of the ratio *within* a round, so slow windows
of a shared machine cancel. All engines see the same prompt and answer lengths and thread count, and
decode from an empty context. Writes the numbers as JSON and a picture beside it. Peers whose paths are
not given are left out. Run it on a quiet machine: nothing else running.
"""

import argparse
import json
import platform
import statistics
import subprocess
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from rich.progress import Progress

HERE = Path(__file__).resolve().parent


@dataclass(frozen=True)
class Engine:
    """One runtime with one model file. `run` gives prompt and decode tokens/s (and more) of a fresh process."""

    name: str
    run: Callable[[], dict[str, Any]]


def main() -> None:
    options = parse_options()
    engines = chosen_engines(options)
    rounds: list[dict[str, dict[str, Any]]] = []
    with Progress(auto_refresh=False) as bar:  # a bar that moves by itself would take time from the engines
        task = bar.add_task("measuring", total=options.rounds * len(engines))
        for _ in range(options.rounds):
            results = {}
            for engine in engines:
                bar.update(task, description=engine.name, refresh=True)
                before = read_bandwidth(options.threads)
                results[engine.name] = {"bandwidth_before": before, **engine.run()}
                bar.advance(task)
            rounds.append(results)
    report = {
        "command": "python benchmarks/engine.py ...",
        "machine": processor(),
        "model": options.model.name,
        "model_bytes": options.model.stat().st_size,
        "threads": options.threads,
        "prompt_tokens": options.prompt_tokens,
        "new_tokens": options.new_tokens,
        "medians": {engine.name: medians(rounds, engine.name) for engine in engines},
        "ratios": {engine.name: ratios(rounds, engines[0].name, engine.name) for engine in engines[1:]},
        "rounds": rounds,
    }
    options.out.parent.mkdir(parents=True, exist_ok=True)
    options.out.write_text(json.dumps(report, indent=1) + "\n")
    draw(report, options.out.with_suffix(".svg"))
    print(table(report))


def parse_options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description="our engine beside others, interleaved")
    parser.add_argument("model", type=Path, help="our model file")
    parser.add_argument("--isa", default=None, help="force one instruction set of ours")
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--prompt-tokens", type=int, default=512)
    parser.add_argument("--new-tokens", type=int, default=128)
    parser.add_argument("--llama-bench", type=Path)
    parser.add_argument("--ik-bench", type=Path)
    parser.add_argument("--gguf", type=Path, action="append", default=[], help="model of the two, may be repeated")
    parser.add_argument("--openvino-python", type=Path)
    parser.add_argument("--openvino-model", type=Path)
    parser.add_argument("--openvino-group", type=int, default=128, help="its dynamic quantization group")
    parser.add_argument("--out", type=Path, required=True)
    return parser.parse_args()


def chosen_engines(options: argparse.Namespace) -> list[Engine]:
    counts = [str(options.threads), str(options.prompt_tokens), str(options.new_tokens)]
    ours = [sys.executable, str(HERE / "workers" / "ours.py"), str(options.model), *counts, options.isa or "auto"]
    engines = [Engine("pocketphi", lambda: last_json(ours))]
    for label, binary in (("llama.cpp", options.llama_bench), ("ik_llama.cpp", options.ik_bench)):
        for gguf in options.gguf if binary else []:
            extra = ["-rtr", "1"] if label == "ik_llama.cpp" else []
            command = [str(binary), "-m", str(gguf), "-t", counts[0], "-p", counts[1], "-n", counts[2], *extra]
            engines.append(Engine(f"{label} {gguf.stem}", lambda command=command: llama_bench(command)))
    if options.openvino_python and options.openvino_model:
        worker = [
            str(options.openvino_python),
            str(HERE / "workers" / "openvino_worker.py"),
            str(options.openvino_model),
        ]
        worker += [*counts, str(options.openvino_group)]
        engines.append(Engine(f"OpenVINO dq {options.openvino_group}", lambda: last_json(worker)))
    return engines


def llama_bench(command: list[str]) -> dict[str, Any]:
    """One repeat of llama-bench: {"prefill", "decode"} in tokens/s."""
    output = subprocess.run([*command, "-r", "1", "-o", "json"], check=True, capture_output=True, text=True).stdout
    rows = json.loads(output[output.index("[") :])
    return {("prefill" if row["n_prompt"] else "decode"): row["avg_ts"] for row in rows}


def last_json(command: list[str]) -> dict[str, Any]:
    output = subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True).stdout
    result: dict[str, Any] = json.loads(output.strip().splitlines()[-1])
    return result


def read_bandwidth(threads: int) -> float:
    """Bytes/s of a read-only pass, in a process of its own."""
    return float(last_json([sys.executable, str(HERE / "workers" / "bandwidth.py"), str(threads)])["bandwidth"])


def medians(rounds: list[dict[str, dict[str, Any]]], name: str) -> dict[str, float]:
    keys = [key for key, value in rounds[0][name].items() if isinstance(value, int | float)]
    return {key: statistics.median(results[name][key] for results in rounds) for key in keys}


def ratios(rounds: list[dict[str, dict[str, Any]]], ours: str, peer: str) -> dict[str, dict[str, float]]:
    """Ours over theirs, per round: median, least and most."""
    found = {}
    for key in ("prefill", "decode"):
        values = [results[ours][key] / results[peer][key] for results in rounds]
        found[key] = {"median": statistics.median(values), "min": min(values), "max": max(values)}
    return found


def processor() -> str:
    for line in Path("/proc/cpuinfo").read_text().splitlines() if Path("/proc/cpuinfo").exists() else []:
        if line.startswith("model name"):
            return line.partition(":")[2].strip()
    return platform.processor() or platform.machine()


def table(report: dict[str, Any]) -> str:
    lines = ["| engine | prefill tok/s | decode tok/s | ours / theirs, prefill | decode |", "|---|---|---|---|---|"]
    for name, values in report["medians"].items():
        ratio = report["ratios"].get(name)
        shown = ("1", "1") if ratio is None else (f"{ratio[key]['median']:.2f}" for key in ("prefill", "decode"))
        lines.append(f"| {name} | {values['prefill']:.0f} | {values['decode']:.1f} | {' | '.join(shown)} |")
    return "\n".join(lines)


def draw(report: dict[str, Any], path: Path) -> None:
    """Bars of prefill and decode, one per engine, with the range over rounds."""
    import matplotlib

    matplotlib.use("svg")
    from matplotlib import pyplot

    names = list(report["medians"])
    figure, axes = pyplot.subplots(1, 2, figsize=(11, 0.6 * len(names) + 1.6), sharey=True)
    for axis, key in zip(axes, ("prefill", "decode"), strict=True):
        values = [[results[name][key] for results in report["rounds"]] for name in names]
        middle = [statistics.median(samples) for samples in values]
        spread = [
            [mid - min(samples) for mid, samples in zip(middle, values, strict=True)],
            [max(samples) - mid for mid, samples in zip(middle, values, strict=True)],
        ]
        colours = ["#2a6f97"] + ["#b8b8b8"] * (len(names) - 1)
        axis.barh(names, middle, xerr=spread, color=colours, capsize=3)
        axis.set_title(f"{key}, tokens/s")
        axis.invert_yaxis()
        axis.spines[["top", "right"]].set_visible(False)
    figure.suptitle(f"{report['model']}, {report['threads']} threads, {report['machine']}", fontsize=10)
    figure.tight_layout()
    figure.savefig(path)


if __name__ == "__main__":
    main()
