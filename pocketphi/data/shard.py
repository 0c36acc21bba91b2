"""One file of pages, step by step: what every worker of `curate` does.

A page becomes a row: its text and what the later steps need, or the step and reason that dropped it. Rows go to
one Parquet file a source, written under a temporary name and renamed, so a run that was killed goes on
with the sources that are not done.
"""

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from hashlib import blake2b
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from pocketphi.data.decontaminate import Questions
from pocketphi.data.dedup import digest, minhash
from pocketphi.data.education import Scorer
from pocketphi.data.extract import NoText, to_text
from pocketphi.data.language import MIN_CONFIDENCE, detect_language
from pocketphi.data.privacy import is_personal, mask_personal_data
from pocketphi.data.quality import FAULTS_OF_EXERCISES, MIN_EDUCATION_OF_EXERCISES, clean_lines, find_fault
from pocketphi.data.sources import Page, Source, Unreadable, read_source
from pocketphi.recipe import Curate

PAGE_STEPS = ("read", "text", "personal data", "language", "rules", "education")
"""In order; `curate` goes on with the steps that compare pages."""
SAMPLES_PER_REASON = 12
SAMPLE_CHARACTERS = 1_200
_ROWS = 500

_SCHEMA = pa.schema(
    [
        ("id", pa.string()),
        ("url", pa.string()),
        ("license", pa.string()),
        ("step", pa.string()),
        ("reason", pa.string()),
        ("raw_bytes", pa.int64()),
        ("text_bytes", pa.int64()),
        ("text", pa.string()),
        ("language", pa.string()),
        ("education", pa.float32()),
        ("digest", pa.binary()),
        ("signature", pa.binary()),
        ("whole", pa.bool_()),
        ("most", pa.bool_()),
        ("runs", pa.list_(pa.uint64())),
    ]
)


@dataclass(kw_only=True)
class Row:
    """A page, and how far it came. `step` names the step that dropped it; it is empty if none did."""

    id: str
    url: str
    license: str
    raw_bytes: int
    step: str = ""
    reason: str = ""
    text_bytes: int = 0
    text: str = ""
    language: str = ""
    education: float = 0.0
    digest: bytes = b""
    signature: bytes = b""
    whole: bool = False
    most: bool = False
    runs: list[int] = field(default_factory=list)


@dataclass(frozen=True, kw_only=True)
class Judge:
    """Everything that a worker needs to know; it is sent there once."""

    table: Curate
    scorer: Scorer
    questions: Questions

    def rows(self, source: Source) -> Iterator[Row]:
        """A row for every page of a source, in order."""
        for page in read_source(source):
            if isinstance(page, Unreadable):
                row = _row(page.key, page.url, source, page.num_bytes)
                row.step, row.reason = "read", page.reason
            else:
                row = self._judge(page, source)
            yield row

    def _judge(self, page: Page, source: Source) -> Row:
        row = _row(page.key, page.url, source, len(page.payload))
        try:
            text = to_text(page, self.table.extractor)
        except NoText as error:
            row.step, row.reason = "text", str(error)
            return row
        row.text, row.text_bytes = text, len(text.encode("utf-8"))
        row.language, confidence = detect_language(text)
        masked, items = mask_personal_data(text)
        if self.table.filter:
            row.step, row.reason = self._fault(row, confidence, items)
            if row.step:
                return row
            masked = clean_lines(masked)
        row.text, row.text_bytes = masked, len(masked.encode("utf-8"))
        row.digest = digest(masked)
        if self.table.filter:
            row.signature = minhash(masked, self.table.num_hashes).astype("<u4").tobytes()
        overlap = self.questions.overlap(masked)
        row.whole, row.most, row.runs = overlap.whole, overlap.most, list(overlap.runs)
        return row

    def _fault(self, row: Row, confidence: float, items: int) -> tuple[str, str]:
        text = clean_lines(row.text)
        if is_personal(items, len(text.split())):
            return "personal data", "list of people"
        if row.language not in self.table.languages:
            return "language", row.language
        if confidence < MIN_CONFIDENCE:
            return "language", "uncertain"
        fault = find_fault(text, row.language)
        if fault and fault not in FAULTS_OF_EXERCISES:
            return "rules", fault
        row.education = self.scorer.score(text)
        if fault and row.education < MIN_EDUCATION_OF_EXERCISES:
            return "rules", fault
        return ("education", "low value") if row.education < self.table.min_education else ("", "")


def write_shard(judge: Judge, source: Source, out: Path) -> int:
    """Judge every page of a source. How many there were."""
    samples: Counter[tuple[str, str]] = Counter()
    scratch = out.with_suffix(".partial")
    count = 0
    with pq.ParquetWriter(scratch, _SCHEMA, compression="zstd") as writer:
        waiting: list[dict[str, Any]] = []
        for row in judge.rows(source):
            count += 1
            if row.step:
                samples[row.step, row.reason] += 1
                few = samples[row.step, row.reason] <= SAMPLES_PER_REASON
                row.text = row.text[:SAMPLE_CHARACTERS] if few else ""
            waiting.append(vars(row))
            if len(waiting) == _ROWS:
                writer.write_table(pa.Table.from_pylist(waiting, schema=_SCHEMA))
                waiting = []
        if waiting:
            writer.write_table(pa.Table.from_pylist(waiting, schema=_SCHEMA))
    scratch.replace(out)
    return count


def _row(key: str, url: str, source: Source, raw_bytes: int) -> Row:
    # Ids are digests, so that "the smallest id" favours no site and files sorted by id are shuffled.
    return Row(
        id=blake2b(key.encode("utf-8", "replace"), digest_size=10).hexdigest(),
        url=url,
        license=source.license,
        raw_bytes=raw_bytes,
    )
