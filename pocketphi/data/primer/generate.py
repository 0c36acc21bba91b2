"""The stage: from a seed to the files of the primer.

The held-out questions come first, because everything else keeps away from them (`protect`). Each file draws from a
random stream of its own, so more web pages do not change the lessons.
"""

from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from functools import partial
from itertools import accumulate
from pathlib import Path
from random import Random
from typing import Any

from pocketphi.artifact import Artifact, Progress, no_progress, open_artifact, publish
from pocketphi.chat import Conversation, Preference
from pocketphi.data.primer.exercises import (
    write_conversation,
    write_preference,
    write_questions,
)
from pocketphi.data.primer.lessons import Make, as_text, write_lesson
from pocketphi.data.primer.problem import Scene
from pocketphi.data.primer.protect import Guard
from pocketphi.data.primer.skills import SKILLS, TOPICS
from pocketphi.data.primer.web import write_web
from pocketphi.data.records import (
    Document,
    write_conversations,
    write_documents,
    write_preferences,
)
from pocketphi.data.records import (
    write_questions as save_questions,
)
from pocketphi.recipe import Primer, settings_of

STAGE = "primer"
LICENSE = "Apache-2.0"
_HELDOUT_LESSON_SHARE = 0.02
"""Held-out lessons, for perplexity, as a part of the lessons."""


def generate_primer(table: Primer, out: Path, *, seed: int, progress: Progress = no_progress) -> Artifact:
    """Write the primer: pages with hidden labels, lessons, conversations, preferences, held-out questions.

    The same table and seed give the same bytes on every machine. What each file holds stands in `docs/design.md`.

    Raises:
        UserError: `out` cannot be written.
    """
    with publish(out, kind="primer", stage=STAGE, settings=settings_of(table), seed=seed) as draft:
        # Conversations and pairs have about 300 and 700 bytes.
        total = table.web_bytes + table.lesson_bytes + 300.0 * table.num_conversations + 700.0 * table.num_preferences
        done = 0.0

        def report(amount: float, figures: Mapping[str, float | str]) -> None:
            nonlocal done
            done = min(done + amount, total)
            progress(done, total, figures)

        def scene(name: str, *, heldout: bool = False, new: bool = False) -> Scene:
            rng = Random(f"pocketphi primer {seed} {name}")  # noqa: S311 - data, not secrets
            return Scene(rng, heldout=heldout, new=new)

        known = write_questions(scene("known questions", heldout=True), "known_templates", table.num_questions)
        new = write_questions(scene("new questions", heldout=True, new=True), "new_templates", table.num_questions)
        questions = known + new
        save_questions(draft.path / "questions.jsonl", (question for question, _ in questions))
        report(0, {"part": "questions"})

        guard = Guard(question.question for question, _ in questions)
        web = write_web(scene("web"), guard, questions, draft.path, table.web_bytes, report)
        lessons = _lessons(scene("lessons"), guard, "lesson", table.lesson_bytes, report)
        lesson_counts = _save_lessons(draft.path / "lessons.jsonl", lessons)
        heldout_bytes = max(2_000, int(table.lesson_bytes * _HELDOUT_LESSON_SHARE))
        heldout = _lessons(scene("heldout lessons", heldout=True), Guard(()), "heldout", heldout_bytes, report)
        heldout_counts = _save_lessons(draft.path / "heldout_lessons.jsonl", heldout)
        turns = Counter[str]()
        write_conversations(
            draft.path / "conversations.jsonl",
            _conversations(scene("conversations"), guard.problem, table.num_conversations, turns, report),
        )
        flaws = Counter[str]()
        write_preferences(
            draft.path / "preferences.jsonl",
            _preferences(scene("preferences"), guard.problem, table.num_preferences, flaws, report),
        )
        draft.summary.update(
            web=web,
            lessons=lesson_counts,
            heldout_lessons=heldout_counts,
            conversations={"count": table.num_conversations, "turns": dict(sorted(turns.items()))},
            preferences={"count": table.num_preferences, "flaws": dict(sorted(flaws.items()))},
            questions={
                "count": len(questions),
                "topics": dict(sorted(Counter(question.topic for question, _ in questions).items())),
            },
            templates={
                "known": sum(len(skill.patterns.sentences(new=False)) for skill in SKILLS),
                "new": sum(len(skill.patterns.sentences(new=True)) for skill in SKILLS),
                "question_types": len(SKILLS),
            },
            drawn_again=guard.drawn_again,
        )
        progress(total, total, {"part": "done"})
    return open_artifact(out, STAGE)


Report = Callable[[float, Mapping[str, float | str]], None]


def _lessons(scene: Scene, guard: Guard, prefix: str, num_bytes: int, report: Report) -> Iterator[Document]:
    """Lessons on all topics in turn, until they have that many bytes."""
    size = 0
    number = 0
    weights = tuple(accumulate(sum(skill.weight for skill in SKILLS if skill.topic == topic) for topic in TOPICS))
    while size < num_bytes:
        topic = scene.rng.choices(TOPICS, cum_weights=weights)[0]
        lesson = guard.lesson(partial(write_lesson, scene, guard.problem, topic, scene.between(4, 12)))
        text = as_text(scene, lesson)
        length = len(text.encode())
        size += length
        yield Document(
            id=f"{prefix}-{number:06d}",
            text=text,
            source="primer",
            license=LICENSE,
            metadata={"topic": topic, "language": lesson.language},
        )
        number += 1
        if prefix == "lesson":
            report(length, {"part": "lessons"})


def _save_lessons(path: Path, lessons: Iterator[Document]) -> dict[str, Any]:
    """Write them; counts and bytes by topic."""
    counts, sizes = Counter[str](), Counter[str]()

    def counted() -> Iterator[Document]:
        for lesson in lessons:
            topic = str(lesson.metadata["topic"])
            counts[topic] += 1
            sizes[topic] += len(lesson.text.encode())
            yield lesson

    write_documents(path, counted())
    return {
        "count": counts.total(),
        "bytes": sizes.total(),
        "topics": {topic: {"count": counts[topic], "bytes": sizes[topic]} for topic in sorted(counts)},
    }


def _conversations(scene: Scene, make: Make, count: int, turns: Counter[str], report: Report) -> Iterator[Conversation]:
    for number in range(count):
        conversation = write_conversation(scene, make)
        turns[str(len(conversation.messages) // 2)] += 1
        yield conversation
        if number % 64 == 0:
            report(300.0 * 64, {"part": "conversations"})


def _preferences(scene: Scene, make: Make, count: int, flaws: Counter[str], report: Report) -> Iterator[Preference]:
    for number in range(count):
        pair, flaw = write_preference(scene, make)
        flaws[flaw] += 1
        yield pair
        if number % 64 == 0:
            report(700.0 * 64, {"part": "preferences"})
