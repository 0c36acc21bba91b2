"""How well `pocketphi curate` tells good pages from junk: on the primer's hidden labels.

    python benchmarks/curation.py [--seeds 101 102 103] [--megabytes 12]

Writes `results/curation_primer.json`. Rules, thresholds and the rated sample were developed on pages labelled
`development` of other seeds; `unseen` pages are of kinds and templates that nobody looked at. A duplicate is found if
at most one page of the pair is left; a good page counts as kept if it or its planted copy is.
"""

import argparse
import json
import resource
import tempfile
import time
from collections import defaultdict
from pathlib import Path
from typing import Any

from pocketphi.data.curate import curate
from pocketphi.data.primer import generate_primer
from pocketphi.data.records import read_documents
from pocketphi.recipe import Curate, Primer

RESULTS = Path(__file__).parent / "results" / "curation_primer.json"
SPLITS = ("development", "unseen")


def measure(seed: int, num_bytes: int, folder: Path) -> dict[str, Any]:
    """One primer, one corpus, its figures."""
    primer = generate_primer(Primer(web_bytes=num_bytes, lesson_bytes=num_bytes // 3), folder / "primer", seed=seed)
    usage = resource.getrusage(resource.RUSAGE_SELF)
    began, used = time.monotonic(), usage.ru_utime + usage.ru_stime
    corpus = curate(Curate(), primer, [], folder / "corpus", seed=seed, num_processes=1)
    usage = resource.getrusage(resource.RUSAGE_SELF)
    seconds, processor = time.monotonic() - began, usage.ru_utime + usage.ru_stime - used
    labels = [json.loads(line) for line in (primer.path / "labels.jsonl").read_text(encoding="utf-8").splitlines()]
    kept = {doc.source for part in ("web", "web_best") for doc in read_documents(corpus.path / f"{part}.jsonl")}
    copies = {row["id"]: row["near_duplicate_of"] for row in labels if "near_duplicate_of" in row}
    alive = kept | {original for copy, original in copies.items() if copy in kept}
    rates: dict[str, dict[str, list[int]]] = defaultdict(lambda: defaultdict(lambda: [0, 0]))
    for row in labels:
        split = row["split"]
        for name in SPLITS if split not in SPLITS else (split,):
            figures = rates[name]
            if row["kind"] == "near_duplicate":
                found = not (row["id"] in kept and row["near_duplicate_of"] in kept)
                kinds, success = ("duplicates", f"duplicates, noise {row['noise']:g}"), found
            elif row["kind"] == "contaminated":
                kinds, success = ("contaminated", "junk"), row["id"] not in kept
            elif row["label"] == "good":
                kinds, success = ("good", f"good/{row['kind']}"), row["id"] in alive
            else:
                kinds, success = ("junk", f"junk/{row['kind']}"), row["id"] not in kept
            for kind in kinds:
                figures[kind][0] += success
                figures[kind][1] += 1
    raw = primer.summary["web"]["bytes"]
    return {
        "seed": seed,
        "splits": {
            split: {kind: {"right": right, "of": of} for kind, (right, of) in sorted(figures.items())}
            for split, figures in sorted(rates.items())
        },
        "lessons": dict(corpus.summary["lessons"]),
        "raw_bytes": raw,
        "seconds": round(seconds, 2),
        "megabytes_per_second_and_core": round((raw + (num_bytes // 3)) / 1e6 / processor, 2),
        "funnel": corpus.summary["funnel"],
    }


def main() -> None:
    """Measure, print and write."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seeds", type=int, nargs="+", default=[101, 102, 103])
    parser.add_argument("--megabytes", type=int, default=12)
    parser.add_argument("--out", type=Path, default=RESULTS)
    arguments = parser.parse_args()
    runs = []
    for seed in arguments.seeds:
        with tempfile.TemporaryDirectory() as folder:
            runs.append(measure(seed, arguments.megabytes * 1_000_000, Path(folder)))
    total: dict[str, dict[str, list[int]]] = defaultdict(lambda: defaultdict(lambda: [0, 0]))
    for run in runs:
        for split, figures in run["splits"].items():
            for kind, figure in figures.items():
                total[split][kind][0] += figure["right"]
                total[split][kind][1] += figure["of"]
    rates = {
        split: {kind: {"rate": round(right / of, 4), "of": of} for kind, (right, of) in figures.items()}
        for split, figures in total.items()
    }
    for split, figures in rates.items():
        print(split)
        for kind, figure in figures.items():
            print(f"  {kind:32} {figure['rate']:7.2%}  of {figure['of']}")
    print("MB/s and core:", [run["megabytes_per_second_and_core"] for run in runs], [run["lessons"] for run in runs])
    arguments.out.write_text(json.dumps({"rates": rates, "runs": runs}, indent=1) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
