"""Pages worth reading: lessons, worksheets, encyclopaedia, how-to, questions and answers, stories, and more."""

from collections.abc import Callable, Mapping, Sequence

from pocketphi.data.primer import templates_lessons as prose
from pocketphi.data.primer import templates_pages as said
from pocketphi.data.primer import templates_stories as stories
from pocketphi.data.primer import templates_talk as talk
from pocketphi.data.primer.lessons import Block, Lesson, Make, fields_of, paragraph, write_lesson
from pocketphi.data.primer.problem import Scene
from pocketphi.data.primer.templates_science import ANIMALS, CLASS_FACTS, PLURAL
from pocketphi.data.primer.world import ITEMS, PLACES

TOPICS = tuple(prose.PROSE)


def _lesson(scene: Scene, make: Make) -> Lesson:
    return write_lesson(scene, make, scene.pick(TOPICS), scene.between(6, 11))


def _korean(scene: Scene, make: Make) -> Lesson:
    return write_lesson(scene, make, "korean", scene.between(6, 11))


def _worksheet(scene: Scene, make: Make) -> Lesson:
    """All questions first, then all solutions."""
    topic = scene.pick([topic for topic in TOPICS if topic != "python"])
    problems = [make(scene, topic) for _ in range(scene.between(5, 8))]
    blocks = [
        Block("title", scene.pick(said.WORKSHEET_TITLES).format_map(fields_of(scene))),
        Block("paragraph", paragraph(scene, (said.WORKSHEET_INTROS, 2), (prose.PROSE[topic].methods, 1))),
        Block("items", "\n".join(problem.question for problem in problems)),
        Block("heading", scene.pick(("Solutions", "Answers with all steps", "How to solve them"))),
        Block("paragraph", paragraph(scene, (prose.PROSE[topic].tips, 1), (prose.PROSE[topic].ideas, 1))),
        *(Block("example", problem.question, problem.solution) for problem in problems),
    ]
    return Lesson(topic, "en", tuple(blocks))


def _encyclopaedia(scene: Scene, make: Make) -> Lesson:
    """An article about a kind of animal, with what the reader can work out from it."""
    kind = scene.pick(tuple(ANIMALS))
    animal = scene.pick(ANIMALS[kind])
    fields: dict[str, object] = {
        **fields_of(scene), **CLASS_FACTS[kind], "kind": kind, "kinds": PLURAL[kind], "animal": animal,
        "an": "an" if animal[0] in "aeiou" else "a", "An": "An" if animal[0] in "aeiou" else "A",
        "others": ", ".join(scene.several([name for name in ANIMALS[kind] if name != animal], 3)),
    }  # fmt: skip
    blocks = [
        Block("title", animal.capitalize()),
        Block("paragraph", _sentences(scene, said.ARTICLE_OPENINGS, 3, fields)),
        Block("heading", scene.pick(("Body", "Description", "What it looks like"))),
        Block("paragraph", _sentences(scene, said.ARTICLE_BODY[kind], 4, fields)),
        Block("heading", scene.pick(("Questions", "Test yourself", "In school"))),
        Block("paragraph", _sentences(scene, said.ARTICLE_CLOSINGS, 2, fields)),
    ]
    for _ in range(scene.between(4, 7)):
        problem = make(scene, "science" if scene.chance(0.7) else "cause")
        blocks.append(Block("example", problem.question, problem.solution))
    return Lesson("science", "en", tuple(blocks))


def _howto(scene: Scene, make: Make) -> Lesson:
    topic = scene.pick(TOPICS)
    fields = fields_of(scene)
    tell = prose.PROSE[topic]
    blocks = [
        Block("title", scene.pick(said.HOWTO_TITLES).format(task=scene.pick(said.TASKS[topic]))),
        Block("paragraph", paragraph(scene, (said.HOWTO_INTROS, 2), (tell.ideas, 2))),
        Block("heading", scene.pick(("What to do", "The steps", "Step by step"))),
        Block("items", "\n".join(scene.several(tell.methods, min(3, len(tell.methods)))).format_map(fields)),
    ]
    for _ in range(scene.between(5, 9)):
        problem = make(scene, topic)
        blocks.append(Block("example", problem.question, problem.solution))
    blocks.append(Block("paragraph", paragraph(scene, (tell.tips, 2), (talk.CLOSINGS, 1))))
    return Lesson(topic, "en", tuple(blocks))


def _qa(scene: Scene, make: Make) -> Lesson:
    """A forum: somebody asks, somebody else answers."""
    topic = scene.pick(TOPICS)
    blocks = [Block("title", scene.pick(said.QA_TITLES).format(task=scene.pick(said.TASKS[topic])))]
    used: set[str] = set()
    for _ in range(scene.between(4, 6)):
        problem = make(scene, topic)
        told = paragraph(scene, (said.QA_ANSWER, 1), (prose.PROSE[topic].methods, 1), said=used)
        blocks += [
            Block("paragraph", paragraph(scene, (said.QA_ASK, 1), said=used)),
            Block("example", problem.question, problem.solution),
            Block("paragraph", told),
        ]
    blocks.append(Block("paragraph", paragraph(scene, (said.QA_THANKS, 2))))
    return Lesson(topic, "en", tuple(blocks))


def _story(scene: Scene, make: Make) -> Lesson:
    """A short story about two people and a thing, and questions about it."""
    x, y, w = scene.names(3)
    item, second = scene.several(ITEMS, 2)
    places = scene.several(PLACES, 4)
    fields = {
        "x": x, "y": y, "w": w, "item": item, "second": second, "place": places[3], "from": places[0], "to": places[1],
    }  # fmt: skip
    told, _ = scene.write(
        "where", stories.WHERE, "put move1 other move2", fields, {"move2": {**fields, "to": places[2]}}
    )
    blocks = [
        Block("title", scene.pick(said.STORY_TITLES).format_map(fields)),
        Block("paragraph", _sentences(scene, said.STORY_OPENINGS, 4, fields)),
        Block("paragraph", f"{told} {_sentences(scene, said.STORY_MIDDLES, 3, fields)}"),
        Block("paragraph", _sentences(scene, said.STORY_ENDS, 3, fields)),
        Block("heading", scene.pick(("Did you read with care?", "Questions about the story", "What do you remember?"))),
        Block(
            "example",
            scene.pick(said.STORY_QUESTIONS).format_map(fields),
            f"First the {item} is in the {places[0]}. Then it is in the {places[1]}. "
            f"Then it is in the {places[2]}.\nAnswer: {places[2]}",
        ),
    ]
    for _ in range(scene.between(3, 6)):
        problem = make(scene, "stories")
        blocks.append(Block("example", problem.question, problem.solution))
    return Lesson("stories", "en", tuple(blocks))


def _tutorial(scene: Scene, make: Make) -> Lesson:
    return write_lesson(scene, make, "python", scene.between(7, 11))


def _dialogue(scene: Scene, make: Make) -> Lesson:
    """A teacher and a pupil."""
    topic = scene.pick([topic for topic in TOPICS if topic != "python"])
    x, y = scene.names(2)
    tell = prose.PROSE[topic]
    blocks = [
        Block("title", f"{x} and {y} talk about {scene.pick(said.TASKS[topic])}"),
        Block("paragraph", f"{x}: {paragraph(scene, (tell.ideas, 2))}"),
        Block("paragraph", f"{y}: {paragraph(scene, (said.PUPIL, 1))}"),
        Block("paragraph", f"{x}: {paragraph(scene, (tell.methods, 2))}"),
    ]
    used: set[str] = set()
    for _ in range(scene.between(5, 7)):
        problem = make(scene, topic)
        praise = paragraph(scene, (said.TEACHER, 1), (tell.tips, 1 if scene.chance(0.3) else 0), said=used)
        blocks += [
            Block("example", f"{x}: {problem.question}", f"{y}: {problem.solution}"),
            Block("paragraph", f"{x}: {praise or 'Right.'}"),
        ]
    return Lesson(topic, "en", tuple(blocks))


def _notes(scene: Scene, make: Make) -> Lesson:
    """The diary of a class: several topics in one week."""
    x = scene.names(1)[0]
    blocks = [
        Block("title", scene.pick(said.NOTES_TITLES).format(x=x)),
        Block("paragraph", paragraph(scene, (said.NOTES_INTROS, 2))),
    ]
    for day in ("Monday", "Tuesday", "Wednesday", "Thursday", "Friday")[: scene.between(3, 5)]:
        topic = scene.pick(TOPICS)
        problem = make(scene, topic)
        told = paragraph(scene, (prose.PROSE[topic].ideas, 1), (prose.PROSE[topic].methods, 1))
        blocks += [
            Block("heading", day),
            Block("paragraph", f"{scene.pick(said.NOTES_DAYS).format(x=x)} {told}"),
            Block("example", problem.question, problem.solution),
        ]
    return Lesson("mixed", "en", tuple(blocks))


def _sentences(scene: Scene, group: Sequence[str], count: int, fields: Mapping[str, object]) -> str:
    return " ".join(scene.several(group, count)).format_map(fields)


GOOD_KINDS: dict[str, tuple[Callable[[Scene, Make], Lesson], int]] = {
    "lesson": (_lesson, 6),
    "worksheet": (_worksheet, 3),
    "encyclopaedia": (_encyclopaedia, 2),
    "howto": (_howto, 3),
    "qa": (_qa, 3),
    "korean_lesson": (_korean, 2),
    "story": (_story, 2),
    "tutorial": (_tutorial, 2),
    "dialogue": (_dialogue, 2),
    "notes": (_notes, 2),
}
"""What each kind writes, and how often it comes."""
