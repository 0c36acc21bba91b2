"""Curation: from raw pages to a corpus, one step after the other, each page that goes with a reason.

    read -> text -> personal data -> language -> rules -> education      each page by itself, in processes
         -> held-out questions -> exact duplicates -> near duplicates    pages against each other and the questions

What is left is cut in two by educational value: the best part is for the second phase of pretraining, the rest
for the first; lessons join the second. `docs/curation.md` has the rules and what they do.

Every page is counted once: `summary["funnel"]` lists the steps in order with what was kept and dropped and why, and
`dropped_samples.jsonl` keeps some of each kind to look at. The result depends on the pages and the table alone, not on
the number of processes or the order of files.
"""

import hashlib
import itertools
import json
import os
import shutil
from collections import Counter
from collections.abc import Container, Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from pocketphi.artifact import Artifact, Progress, no_progress, open_artifact, publish
from pocketphi.data import engine
from pocketphi.data.decontaminate import Overlap, Questions
from pocketphi.data.dedup import band_keys, digest, find_near_duplicates
from pocketphi.data.education import Scorer, own_scorer
from pocketphi.data.records import Document, read_documents, read_questions, write_documents
from pocketphi.data.shard import PAGE_STEPS, SAMPLE_CHARACTERS, SAMPLES_PER_REASON, Judge, write_shard
from pocketphi.data.sources import Source, corpus_settings, find_sources, keep_apart
from pocketphi.errors import UserError
from pocketphi.recipe import Curate
from pocketphi.version import __version__

HELD_OUT, EXACT, NEAR = "held-out questions", "exact duplicates", "near duplicates"
PRIMER_LICENSE = "Apache-2.0"
_SMALL = 4_000_000
"""Bytes of input below which starting processes costs more than it brings."""

Drops = dict[str, tuple[str, str]]
"""Id of a page -> the step that dropped it, and the reason."""


@dataclass(kw_only=True)
class Step:
    """A line of the funnel."""

    step: str
    kept: int = 0
    dropped: int = 0
    kept_bytes: int = 0
    """Of text; of the raw page at `read`."""
    dropped_bytes: int = 0
    reasons: dict[str, int] = field(default_factory=dict)


def curate(
    table: Curate,
    primer: Artifact | None,
    folders: Sequence[Path],
    out: Path,
    *,
    seed: int,
    progress: Progress = no_progress,
    protected: Iterable[str] = (),
    scorer: Scorer | None = None,
    num_processes: int | None = None,
) -> Artifact:
    """Make a corpus.

    Args:
        primer: its pages, lessons and held-out questions; None for a corpus of own pages.
        folders: own pages (`pocketphi.data.sources`).
        seed: part of the artifact's digest; curation draws nothing.
        protected: more texts that no page may hold, beside the primer's questions.
        scorer: of educational value; by default the one that the repository's rated sample trains.
        num_processes: workers; by default one for each core if the input is worth it.

    Raises:
        UserError: a folder is missing or empty, `out` lies in it or the other way round, or no page is left.
    """
    keep_apart(folders, out)
    settings = corpus_settings(table, folders)
    sources = find_sources(folders)
    questions = list(protected)
    if primer is not None:
        sources = find_sources([primer.path / "web"], PRIMER_LICENSE, "primer") + sources
        questions += [question.question for question in read_questions(primer.path / "questions.jsonl")]
    if not sources:
        raise UserError("there are no pages to curate", hint="give the recipe a table `primer`, or name a folder")
    judge = Judge(table=table, scorer=scorer or own_scorer(), questions=Questions(questions))
    engine.use_runner(table.runner)
    work = out.with_name(out.name + ".work")
    parents = [primer] if primer is not None else []
    with publish(out, kind="corpus", stage="corpus", settings=settings, seed=seed, parents=parents) as draft:
        story = {
            "code": __version__,
            "settings": settings,
            "questions": sorted(questions),
            "scorer": judge.scorer.digest(),
        }
        shards = _judge_sources(judge, sources, story, work, num_processes, progress)
        lessons, lesson_overlaps = _read_lessons(judge.questions, primer)
        drops = _compare(judge, shards, lesson_overlaps)
        survivors = _survivors(shards)
        kept = [row for row in survivors if row["id"] not in drops]
        funnel = _funnel(shards, survivors, drops)
        if not kept:
            raise _nothing_left(funnel)
        best = _best(kept, table.best_fraction if table.filter else 0.0)
        lesson_drops = {name: drop for name, drop in drops.items() if name in lesson_overlaps}
        parts = {
            "web": _documents(shards, {row["id"] for row in kept} - best),
            "web_best": _documents(shards, best),
            "lessons": (lesson for name, lesson in lessons.items() if name not in lesson_drops),
        }
        counts = {name: write_documents(draft.path / f"{name}.jsonl", part) for name, part in parts.items()}
        write_documents(draft.path / "dropped_samples.jsonl", _samples(shards, drops))
        draft.summary.update(
            kept=len(kept),
            dropped=sum(step.dropped for step in funnel),
            parts=counts,
            funnel=[asdict(step) for step in funnel],
            lessons={"kept": counts["lessons"], "dropped": dict(Counter(step for step, _ in lesson_drops.values()))},
            languages=dict(sorted(Counter(row["language"] for row in kept).items())),
        )
    shutil.rmtree(work, ignore_errors=True)
    return open_artifact(out, "corpus")


def _judge_sources(
    judge: Judge,
    sources: Sequence[Source],
    story: Mapping[str, Any],
    work: Path,
    num_processes: int | None,
    progress: Progress,
) -> list[Path]:
    """One Parquet file for each source; those of a run that was killed are taken over if their story is the same."""
    work.mkdir(parents=True, exist_ok=True)
    prefix = hashlib.sha256(json.dumps(story, sort_keys=True).encode("utf-8"))
    shards = []
    for source in sources:
        digest_of_shard = prefix.copy()
        digest_of_shard.update(f"{source.name} {source.license} {source.content()}".encode())
        shards.append(work / f"{digest_of_shard.hexdigest()[:32]}.parquet")
    todo = [number for number, shard in enumerate(shards) if not shard.is_file()]
    sizes = [source.path.stat().st_size for source in sources]
    total, done = max(sum(sizes), 1), sum(sizes) - sum(sizes[number] for number in todo)
    workers = num_processes or (len(os.sched_getaffinity(0)) if sum(sizes[n] for n in todo) > _SMALL else 1)

    def job(place: int) -> int:
        number = todo[place]
        return write_shard(judge, sources[number], shards[number])

    pages = 0
    for place, count in engine.do_jobs(job, len(todo), workers):
        done += sizes[todo[place]]
        pages += count
        progress(done, total, {"pages": pages})
    return shards


def _read_lessons(
    questions: Questions, primer: Artifact | None
) -> tuple[dict[str, Document], dict[str, tuple[bytes, Overlap]]]:
    """Lessons by id, and what is compared of each."""
    if primer is None:
        return {}, {}
    lessons = {f"lesson {lesson.id}": lesson for lesson in read_documents(primer.path / "lessons.jsonl")}
    return lessons, {name: (digest(item.text), questions.overlap(item.text)) for name, item in lessons.items()}


def _compare(judge: Judge, shards: Sequence[Path], lessons: Mapping[str, tuple[bytes, Overlap]]) -> Drops:
    """Pages and lessons that go because of what else there is."""
    drops: Drops = {}
    digests: dict[str, bytes] = {}
    signatures: dict[str, NDArray[np.uint32]] = {}
    overlaps = {name: overlap for name, (_, overlap) in lessons.items()}
    for row in engine.read_survivors(shards, ("id", "digest", "signature", "whole", "most", "runs")):
        digests[row["id"]] = row["digest"]
        signatures[row["id"]] = np.frombuffer(row["signature"], dtype="<u4")
        overlaps[row["id"]] = Overlap(whole=row["whole"], most=row["most"], runs=tuple(row["runs"]))
    found = {name: overlap for name, overlap in overlaps.items() if overlap.whole or overlap.most or overlap.runs}
    of_lessons = {name: content for name, (content, _) in lessons.items()}
    copies: Drops = {}
    _drop_copies({name: content for name, content in {**of_lessons, **digests}.items() if name in found}, copies)
    if judge.table.filter:
        _drop_alike([name for name in digests if name in found], signatures, judge.table, copies)
    for name, sign in judge.questions.contaminated(found, copies).items():
        drops[name] = (HELD_OUT, sign)
    # Lessons are compared by their words only: two lessons from one template with other numbers are no copies.
    _drop_copies(of_lessons, drops)
    if judge.table.filter:
        _drop_copies(digests, drops)
        _drop_alike(list(digests), signatures, judge.table, drops)
    return drops


def _drop_alike(
    names: Sequence[str], signatures: Mapping[str, NDArray[np.uint32]], table: Curate, drops: Drops
) -> None:
    left = [name for name in names if name not in drops]
    keys = [band_keys(signatures[name], table.num_bands) for name in left]
    near = find_near_duplicates(engine.group_by_key(left, keys), signatures, table.min_similarity)
    drops.update((name, (NEAR, "alike")) for name in near)


def _drop_copies(digests: Mapping[str, bytes], drops: Drops) -> None:
    seen: set[bytes] = set()
    for name in sorted(digests):
        if name in drops:
            continue
        if digests[name] in seen:
            drops[name] = (EXACT, "same words")
        seen.add(digests[name])


def _funnel(shards: Sequence[Path], survivors: Sequence[Mapping[str, Any]], drops: Drops) -> list[Step]:
    steps = {name: Step(step=name) for name in (*PAGE_STEPS, HELD_OUT, EXACT, NEAR)}
    left: list[tuple[str, int, int, int]] = []
    for row in engine.count_rows(shards):
        if row["step"]:
            steps[row["step"]].reasons[row["reason"]] = row["rows"]
            left.append((row["step"], row["rows"], row["raw"], row["text"]))
    for row in survivors:
        name, reason = drops.get(row["id"], ("", ""))
        if name:
            steps[name].reasons[reason] = steps[name].reasons.get(reason, 0) + 1
        left.append((name, 1, row["raw_bytes"], row["text_bytes"]))
    order = list(steps)
    for name, rows, raw, text in left:
        end = order.index(name) if name else len(order)
        for place, step in enumerate(steps.values()):
            size = raw if step.step == "read" or (step.step == "text" and place == end) else text
            if place < end:
                step.kept, step.kept_bytes = step.kept + rows, step.kept_bytes + size
            elif place == end:
                step.dropped, step.dropped_bytes = step.dropped + rows, step.dropped_bytes + size
    return list(steps.values())


def _best(kept: Sequence[Mapping[str, Any]], fraction: float) -> set[str]:
    """Ids of the pages of the highest educational value."""
    ranked = sorted(kept, key=lambda row: (-row["education"], row["id"]))
    return {row["id"] for row in ranked[: round(fraction * len(ranked))]}


def _survivors(shards: Sequence[Path]) -> list[Mapping[str, Any]]:
    """What there is to know of each page that stands by itself, but its text."""
    return list(engine.read_survivors(shards, ("id", "education", "language", "raw_bytes", "text_bytes")))


def _documents(shards: Sequence[Path], ids: Container[str]) -> Iterator[Document]:
    columns = ("id", "text", "url", "license", "language", "education")
    for row in engine.read_survivors(shards, columns):
        if row["id"] in ids:
            metadata = {"language": row["language"], "education": round(row["education"], 3)}
            yield Document(id=row["id"], text=row["text"], source=row["url"], license=row["license"], metadata=metadata)


def _samples(shards: Sequence[Path], drops: Drops) -> Iterator[Document]:
    """Some dropped pages of each step and reason, those with the smallest ids."""
    shown: Counter[tuple[str, str]] = Counter()
    late = ({**row, "step": drops[row["id"]][0], "reason": drops[row["id"]][1]} for row in _rows_of(shards, drops))
    for row in itertools.chain(engine.read_dropped(shards), late):
        kind = (row["step"], row["reason"])
        shown[kind] += 1
        if shown[kind] <= SAMPLES_PER_REASON:
            yield Document(
                id=row["id"],
                text=row["text"][:SAMPLE_CHARACTERS],
                source=row["url"],
                license=row["license"],
                metadata={"step": row["step"], "reason": row["reason"], "education": round(row["education"], 3)},
            )


def _rows_of(shards: Sequence[Path], ids: Container[str]) -> Iterator[Mapping[str, Any]]:
    for row in engine.read_survivors(shards, ("id", "text", "url", "license", "education")):
        if row["id"] in ids:
            yield row


def _nothing_left(funnel: Sequence[Step]) -> UserError:
    total = funnel[0].kept + funnel[0].dropped
    worst = max(funnel, key=lambda step: step.dropped)
    reason = max(worst.reasons, key=lambda name: worst.reasons[name], default="")
    return UserError(
        f"no page is left of {total}: `{worst.step}` dropped {worst.dropped}, most for `{reason}`",
        hint="see what the pages are; `curate.filter = false` keeps every page that has text",
    )
