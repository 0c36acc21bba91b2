"""Does our engine say what the weights say? KL divergence to a float64 decoder, beside llama.cpp on the same file.

    POCKETPHI_DATA=FOLDER python benchmarks/quality.py MODEL.gguf --llama-logits PROGRAM \\
        --out benchmarks/results/quality_smollm2.json

Both runtimes read the same GGUF file and the same text; the truth is a plain NumPy decoder in double
precision over the dequantised weights (`tests/reference/decoder.py`). Activations in 8 bits cost both
runtimes something: the KL divergence from the truth, averaged over positions, says how much.

`--k-quants FILE ...` states what it costs to widen K-type grids into ours: the KL divergence between the
double precision decoders of the source's weights and of the imported ones, no engine involved.

`--llama-logits` is a program built from workers/llama_logits.c, whose head says how.
"""

import argparse
import json
import os
import re
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from rich.progress import track

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "tests"))

from pocketphi.eval.perplexity import perplexity as measure_perplexity
from pocketphi.formats.pocket import open_pocket
from pocketphi.hub.convert import import_model
from pocketphi.runtime.model import Model
from reference.decoder import Reference, plain_weights
from reference.gguf_weights import gguf_weights

Array = NDArray[Any]
SMALL_MARGIN = 0.1


def main() -> None:
    options = parse_options()
    text = options.text.read_text() if options.text else wikitext()
    with tempfile.TemporaryDirectory() as scratch:
        flags = (
            f"--llama-logits PROGRAM --llama-perplexity PROGRAM --chunks {options.chunks} --context {options.context}"
        )
        report = {
            "command": f"POCKETPHI_DATA=FOLDER python benchmarks/quality.py {options.model.name} {flags}",
            "model": options.model.name,
            "context": options.context,
            "positions": options.chunks * options.context,
            **compare(options, text, Path(scratch)),
            "long_text": long_text(options, text, Path(scratch)) if options.llama_perplexity else None,
            "k_quants": {file.name: widening(file, text, options, Path(scratch)) for file in options.k_quants},
        }
    print(json.dumps(report, indent=2))
    if options.out:
        options.out.write_text(json.dumps(report, indent=2) + "\n")


def compare(options: argparse.Namespace, text: str, scratch: Path) -> dict[str, Any]:
    """Each runtime's distance from the truth over the same positions."""
    pocket = imported(options.model, scratch)
    with Model(open_pocket(pocket), threads=options.threads, context=options.context) as model:
        tokens = np.asarray(model.tokenizer.encode(text), np.int32)[: options.chunks * options.context]
        chunks = tokens.reshape(options.chunks, options.context)
        truth = Reference(model.config, plain_weights(model.file))
        theirs = llama_logits(options, chunks, model.config.vocab_size, scratch)
        distances: dict[str, list[dict[str, Array]]] = {"pocketphi": [], "llama.cpp": []}
        costs: list[Array] = []
        for index, chunk in enumerate(track(chunks, "measuring", transient=True)):
            exact = truth.logits(chunk.tolist())
            costs.append(-log_softmax(exact)[np.arange(len(chunk) - 1), chunk[1:]])
            distances["pocketphi"].append(distance(exact, model.logits(chunk.tolist()), chunk))
            if theirs is not None:
                distances["llama.cpp"].append(distance(exact, theirs[index], chunk))
    found = {name: summary(parts) for name, parts in distances.items() if parts}
    report: dict[str, Any] = {"perplexity_of_the_truth": perplexity(np.concatenate(costs)), **found}
    if "llama.cpp" in found:
        ours, peer = found["pocketphi"], found["llama.cpp"]
        report["kl_ratio"] = ours["mean_kl"] / peer["mean_kl"]
        report["perplexity_difference"] = ours["perplexity"] / peer["perplexity"] - 1
    return report


def long_text(options: argparse.Namespace, text: str, scratch: Path) -> dict[str, Any]:
    """Perplexity by `llama-perplexity`'s definition, by each runtime's own program, over many chunks."""
    file, chunks = scratch / "text.txt", options.perplexity_chunks
    file.write_text(text)
    command = [options.llama_perplexity, "-m", options.model, "-f", file, "-c", options.context, "--chunks", chunks]
    words = [str(word) for word in (*command, "-t", options.threads)]
    printed = subprocess.run(words, check=True, capture_output=True, text=True)
    found = re.search(r"Final estimate: PPL = ([\d.]+)", printed.stdout + printed.stderr)
    assert found is not None, "llama-perplexity printed no final estimate"
    with Model(
        open_pocket(imported(options.model, scratch)), threads=options.threads, context=options.context
    ) as model:
        ours = measure_perplexity(model, text, context=options.context, max_chunks=chunks)
    theirs = float(found[1])
    return {
        "scored_tokens": ours.num_scored,
        "pocketphi": ours.perplexity,
        "llama.cpp": theirs,
        "difference": ours.perplexity / theirs - 1,
    }


def widening(file: Path, text: str, options: argparse.Namespace, scratch: Path) -> dict[str, Any]:
    """What importing a K-type file costs, in double precision on both sides."""
    model = open_pocket(imported(file, scratch))
    with Model(model, threads=1, context=options.context) as loaded:
        tokens = loaded.tokenizer.encode(text)[: options.context]
    source, ours = (
        Reference(model.config, weights).logits(tokens)
        for weights in (gguf_weights(file, model.config), plain_weights(model))
    )
    return summary([distance(source, ours, np.asarray(tokens))])


def distance(exact: Array, logits: Array, tokens: Array) -> dict[str, Array]:
    """(T,) KL divergence, cost of the next token, and the truth's margin where the likeliest token differs."""
    log_p, log_q = log_softmax(exact), log_softmax(logits.astype(np.float64))
    best, second = np.partition(exact, -2, axis=1)[:, -1], np.partition(exact, -2, axis=1)[:, -2]
    differs = exact.argmax(axis=1) != logits.argmax(axis=1)
    return {
        "kl": (np.exp(log_p) * (log_p - log_q)).sum(axis=1),
        "cost": -log_q[np.arange(len(tokens) - 1), tokens[1:]],
        "margins": (best - second)[differs],
    }


def summary(parts: list[dict[str, Array]]) -> dict[str, Any]:
    kl, cost, margins = (np.concatenate([part[name] for part in parts]) for name in ("kl", "cost", "margins"))
    return {
        "mean_kl": float(kl.mean()),
        "kl_99th_percentile": float(np.percentile(kl, 99)),
        "max_kl": float(kl.max()),
        "perplexity": perplexity(cost),
        "top1_differs": len(margins),
        "top1_differs_beyond_small_margin": int((margins >= SMALL_MARGIN).sum()),
        "largest_margin_where_top1_differs": float(margins.max(initial=0.0)),
    }


def perplexity(costs: Array) -> float:
    return float(np.exp(costs.mean()))


def log_softmax(logits: Array) -> Array:
    shifted = logits - logits.max(axis=1, keepdims=True)
    return shifted - np.log(np.exp(shifted).sum(axis=1, keepdims=True))


def llama_logits(options: argparse.Namespace, chunks: Array, vocab: int, scratch: Path) -> Array | None:
    """(chunks, context, V) logits of llama.cpp, or None without a program for them."""
    if options.llama_logits is None:
        return None
    tokens, logits = scratch / "tokens.i32", scratch / "logits.f32"
    chunks.astype("<i4").tofile(tokens)
    command = [options.llama_logits, options.model, options.threads, options.context, tokens, logits]
    subprocess.run([str(word) for word in command], check=True)
    return np.memmap(logits, "<f4", "r", shape=(*chunks.shape, vocab))


def imported(file: Path, scratch: Path) -> Path:
    out = scratch / f"{file.stem}.pocket"
    import_model(file, out)
    return out


def wikitext() -> str:
    import gzip

    folder = os.environ.get("POCKETPHI_DATA")
    if folder is None:
        sys.exit("set POCKETPHI_DATA to the folder of real text, or give --text FILE")
    return gzip.decompress((Path(folder) / "text" / "wikitext-2.valid.txt.gz").read_bytes()).decode()


def parse_options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description="KL divergence of our engine and llama.cpp to a float64 decoder")
    parser.add_argument("model", type=Path, help="GGUF file")
    parser.add_argument("--llama-logits", type=Path, help="program made from workers/llama_logits.c")
    parser.add_argument("--llama-perplexity", type=Path, help="llama.cpp's own program, for a longer text")
    parser.add_argument("--perplexity-chunks", type=int, default=80)
    parser.add_argument("--text", type=Path, help="default: wikitext from POCKETPHI_DATA")
    parser.add_argument("--chunks", type=int, default=8)
    parser.add_argument("--context", type=int, default=512, help="tokens in a chunk, each a sequence of its own")
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--k-quants", type=Path, nargs="*", default=[], help="GGUF files with K-types")
    parser.add_argument("--out", type=Path)
    return parser.parse_args()


if __name__ == "__main__":
    main()
