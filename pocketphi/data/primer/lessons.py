"""Lessons: a title, the idea in prose, worked examples, a warning, a closing.

A lesson is a list of blocks, so that the same lesson can become plain text (the synthetic part of the corpus) or a
web page. Examples keep the form that answers have in a conversation: the question, the steps, `Answer: X`.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Literal

from pocketphi.data.primer import templates_lessons as prose
from pocketphi.data.primer import templates_talk as talk
from pocketphi.data.primer.problem import Problem, Scene
from pocketphi.data.primer.world import ITEMS, is_heldout

Make = Callable[[Scene, str | None], Problem]
"""Writes a problem of a topic, or of any."""


@dataclass(frozen=True, slots=True)
class Block:
    """A piece of a lesson or page. `text` of an example is its question, `more` its solution."""

    kind: Literal["title", "heading", "paragraph", "example", "items"]
    text: str
    more: str = ""


@dataclass(frozen=True, slots=True)
class Lesson:
    """A text about one topic."""

    topic: str
    language: str
    blocks: tuple[Block, ...]


def fields_of(scene: Scene) -> dict[str, object]:
    """What fills the prose of a lesson."""
    a, b = _pair(scene)
    x, y = scene.names(2)
    return {
        "x": x, "y": y, "item": scene.pick(ITEMS), "a": a, "b": b, "sum": a + b, "product": a * b,
        "big": max(a, b) + 1, "small": min(a, b), **scene.things(),
    }  # fmt: skip


def _pair(scene: Scene) -> tuple[int, int]:
    """Two small numbers whose sum, difference, product and order no held-out question asks for."""
    while True:
        a, b = scene.between(2, 9), scene.between(2, 9)
        low, high = min(a, b), max(a, b)
        uses = (
            ("add", (low, high)),
            ("subtract", (a + b, b)),
            ("multiplication", (low, high)),
            ("compare", (low, high + 1)),
        )
        if not any(is_heldout(kind, numbers) for kind, numbers in uses):
            return a, b


def paragraph(scene: Scene, *groups: tuple[Sequence[str], int], said: set[str] | None = None) -> str:
    """Some sentences of each group, filled.

    Args:
        said: sentences that the page has had; they do not come again, and the new ones join them.
    """
    chosen: list[str] = []
    for group, count in groups:
        fresh = [sentence for sentence in group if sentence not in said] if said else group
        chosen += scene.several(fresh, min(count, len(fresh)))
    if said is not None:
        said.update(chosen)
    return " ".join(chosen).format_map(fields_of(scene))


def write_lesson(scene: Scene, make: Make, topic: str, num_examples: int) -> Lesson:
    """A lesson about a topic with that many worked examples."""
    if topic == "korean":
        return _korean(scene, make, num_examples)
    tell = prose.PROSE[topic]
    said: set[str] = set()

    def speak(*groups: tuple[Sequence[str], int]) -> Block:
        return Block("paragraph", paragraph(scene, *groups, said=said))

    blocks = [
        Block("title", scene.pick(tell.titles).format(**fields_of(scene))),
        speak((talk.OPENINGS, scene.below(2)), (tell.ideas, scene.between(1, 4))),
    ]
    if scene.chance(0.7):
        blocks.append(speak((tell.methods, scene.between(1, 2))))
    for number in range(num_examples):
        if number and scene.chance(0.2):
            blocks.append(speak((scene.pick((talk.BRIDGES, talk.BRIDGES, tell.tips, tell.methods, tell.ideas)), 1)))
        blocks.append(_example(make(scene, topic)))
    if scene.chance(0.7):
        blocks.append(speak((tell.tips, 1), (talk.CLOSINGS, 1)))
    return Lesson(topic, "en", _filled(blocks))


def _korean(scene: Scene, make: Make, num_examples: int) -> Lesson:
    tell = talk.KOREAN
    said: set[str] = set()

    def speak(*groups: tuple[Sequence[str], int]) -> Block:
        return Block("paragraph", paragraph(scene, *groups, said=said))

    blocks = [
        Block("title", scene.pick(tell.titles)),
        speak((tell.ideas, scene.between(2, 3)), (tell.methods, scene.between(1, 3))),
    ]
    for number in range(num_examples):
        if number and scene.chance(0.3):
            blocks.append(speak((talk.KOREAN_BRIDGES, 1)))
        blocks.append(_example(make(scene, "korean")))
    blocks.append(speak((tell.tips, 1), (talk.KOREAN_CLOSINGS, 1)))
    return Lesson("korean", "ko", _filled(blocks))


def _filled(blocks: list[Block]) -> tuple[Block, ...]:
    """Without the paragraphs that found nothing new to say."""
    return tuple(block for block in blocks if block.text)


def _example(problem: Problem) -> Block:
    return Block("example", problem.question, problem.solution)


def as_text(scene: Scene, lesson: Lesson) -> str:
    """Plain text: mostly question and solution below each other, sometimes with labels."""
    style = scene.rng.random()
    parts = []
    number = 0
    for block in lesson.blocks:
        if block.kind != "example":
            parts.append(block.text)
            continue
        number += 1
        if style < 0.65 or lesson.language == "ko":
            parts.append(f"{block.text}\n{block.more}")
        elif style < 0.85:
            parts.append(f"Question: {block.text}\n{block.more}")
        else:
            parts.append(f"Example {number}. {block.text}\n{block.more}")
    return "\n\n".join(parts)
