"""Every question type, and how they are drawn."""

from itertools import accumulate

from pocketphi.data.primer import korean, skills_measures, skills_numbers, skills_relations, skills_stories
from pocketphi.data.primer.problem import Problem, Scene, Skill

SKILLS: tuple[Skill, ...] = (
    *skills_numbers.SKILLS,
    *skills_measures.SKILLS,
    *skills_relations.SKILLS,
    *skills_stories.SKILLS,
    *korean.SKILLS,
)
TOPICS: tuple[str, ...] = tuple(dict.fromkeys(skill.topic for skill in SKILLS))
BY_TOPIC: dict[str, tuple[Skill, ...]] = {
    topic: tuple(skill for skill in SKILLS if skill.topic == topic) for topic in TOPICS
}
_CUMULATED = tuple(accumulate(skill.weight for skill in SKILLS))


def draw_skill(scene: Scene) -> Skill:
    """A question type, by weight."""
    return scene.rng.choices(SKILLS, cum_weights=_CUMULATED)[0]


def draw_problem(scene: Scene) -> Problem:
    """A problem of any type."""
    return draw_skill(scene).write(scene)
