"""How well text is taken out of real web pages: the extractors against pages with known text.

    POCKETPHI_DATA=... python benchmarks/extraction.py

Reads `$POCKETPHI_DATA/web` (pages of three public benchmarks and a set of WARC archives) and writes
`results/extraction.json`:

    aeb          F1 over the bag of runs of four words, as scrapinghub/article-extraction-benchmark does
    readability  the same against the text of Readability's expected HTML
    trafilatura  F1 over segments that must be kept and segments that must not, as its own evaluation does

and, for every page and archive, what became of it: nothing may crash.
"""

import argparse
import gzip
import json
import os
import time
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path
from statistics import fmean
from typing import Any, get_args

from pocketphi.data.extract import Extractor, NoText, to_text
from pocketphi.data.sources import Page, Unreadable, find_sources, read_source
from pocketphi.data.words import words_of

RESULTS = Path(__file__).parent / "results" / "extraction.json"
RUN = 4
Extract = Callable[[str], str]


def main() -> None:
    """Measure, print and write."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, default=Path(os.environ.get("POCKETPHI_DATA", "")) / "web")
    parser.add_argument("--out", type=Path, default=RESULTS)
    arguments = parser.parse_args()
    results: dict[str, Any] = {"extractors": {}}
    for name, extract in extractors().items():
        began = time.process_time()
        figures = score(arguments.data, extract)
        figures["megabytes_per_second_and_core"] = round(figures.pop("bytes") / 1e6 / (time.process_time() - began), 2)
        results["extractors"][name] = figures
        print(name, json.dumps(figures))
    results["every_page"] = every_page(arguments.data)
    print(json.dumps(results["every_page"]))
    arguments.out.write_text(json.dumps(results, indent=1) + "\n", encoding="utf-8")


def extractors() -> dict[str, Extract]:
    """Ours, and all text as the floor."""
    from resiliparse.extract.html2text import extract_plain_text

    def ours(name: Extractor) -> Extract:
        return lambda html: _text_or_nothing(html, name)

    chosen: dict[str, Extract] = {name: ours(name) for name in get_args(Extractor)}
    chosen["resiliparse, its main content as it is"] = lambda html: extract_plain_text(html, main_content=True)
    chosen["all text"] = lambda html: extract_plain_text(html, main_content=False)
    return chosen


def score(folder: Path, extract: Extract) -> dict[str, Any]:
    """F1 on each gold set."""
    figures: dict[str, Any] = {"bytes": 0}
    for name, gold_of in (("aeb", lambda row: row["gold_text"]), ("readability", _readability_text)):
        scores = []
        for row in rows(folder / f"extraction-{name}.jsonl.gz"):
            figures["bytes"] += len(row["html"].encode("utf-8", "replace"))
            scores.append(bag_score(extract(row["html"]), gold_of(row)))
        precision, recall = (fmean(score[place] for score in scores) for place in (0, 1))
        figures[name] = {
            "pages": len(scores),
            "precision": round(precision, 4),
            "recall": round(recall, 4),
            "f1": round(2 * precision * recall / (precision + recall), 4),
        }
    right = missed = wrong = pages = 0
    for part in (0, 1):
        for row in rows(folder / f"extraction-trafilatura-{part}.jsonl.gz"):
            figures["bytes"] += len(row["html"].encode("utf-8", "replace"))
            text = squeezed(extract(row["html"]))
            found = sum(squeezed(segment) in text for segment in row["with"])
            right, missed = right + found, missed + len(row["with"]) - found
            wrong += sum(squeezed(segment) in text for segment in row["without"])
            pages += 1
    figures["trafilatura"] = {
        "pages": pages,
        "precision": round(right / (right + wrong), 4),
        "recall": round(right / (right + missed), 4),
        "f1": round(2 * right / (2 * right + wrong + missed), 4),
    }
    return figures


def every_page(folder: Path) -> dict[str, Any]:
    """What each file under the folder gives: nothing may crash."""
    pages, num_bytes, fates = 0, 0, Counter[str]()
    for source in find_sources([folder]):
        for page in read_source(source):
            pages += 1
            if isinstance(page, Unreadable):
                fates[page.reason] += 1
                continue
            num_bytes += len(page.payload)
            try:
                to_text(page, "resiliparse")
                fates["text"] += 1
            except NoText as error:
                fates[str(error)] += 1
    return {"pages": pages, "bytes": num_bytes, "fates": dict(sorted(fates.items()))}


def bag_score(text: str, gold: str) -> tuple[float, float]:
    """Precision and recall over the bag of runs of words."""
    ours, theirs = (_bag(words_of(each)) for each in (text, gold))
    common = sum((ours & theirs).values())
    precision = common / sum(ours.values()) if ours else float(not theirs)
    recall = common / sum(theirs.values()) if theirs else 1.0
    return precision, recall


def rows(path: Path) -> Iterator[dict[str, Any]]:
    """JSON objects, one a line."""
    with gzip.open(path, "rt", encoding="utf-8") as file:
        yield from map(json.loads, file)


def squeezed(text: str) -> str:
    """Without what layout decides."""
    return " ".join(text.split())


def _bag(words: list[str]) -> Counter[tuple[str, ...]]:
    length = min(RUN, max(len(words), 1))
    return Counter(tuple(words[place : place + length]) for place in range(len(words) - length + 1))


def _text_or_nothing(html: str, extractor: Extractor) -> str:
    page = Page(key="", url="", kind="html", payload=html.encode("utf-8", "replace"), charset="utf-8")
    try:
        return to_text(page, extractor)
    except NoText:
        return ""


def _readability_text(row: dict[str, Any]) -> str:
    from resiliparse.extract.html2text import extract_plain_text

    return str(extract_plain_text(row["gold_html"], main_content=False, alt_texts=False))


if __name__ == "__main__":
    main()
