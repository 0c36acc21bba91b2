"""Keeps held-out questions out of everything else.

Names and combinations of numbers are held out when they are drawn. What is left are runs of ordinary words that a
held-out question shares with another one, such as `how many apples are left in the green box`. Decontamination by
n-grams would drop every page with such a run, so a problem or a lesson that shares eight words in a row with a
held-out question is drawn again.
"""

import re
from collections.abc import Callable, Iterable

from pocketphi.data.primer.lessons import Lesson
from pocketphi.data.primer.problem import Problem, Scene
from pocketphi.data.primer.skills import BY_TOPIC, draw_problem

_WORD = re.compile(r"\w+")
RUN = 8
"""Words in a row that make two texts suspicious: the shorter n-gram of decontamination."""


def runs(text: str) -> set[str]:
    """All runs of eight words, lower case, without punctuation."""
    words = _WORD.findall(text.lower())
    return {" ".join(words[start : start + RUN]) for start in range(len(words) - RUN + 1)}


class Guard:
    """Hands out problems and lessons that keep away from the held-out questions."""

    def __init__(self, questions: Iterable[str]) -> None:
        self.protected = frozenset(run for question in questions for run in runs(question))
        self.drawn_again = 0

    def problem(self, scene: Scene, topic: str | None) -> Problem:
        """A problem of a topic, or of any."""
        while True:
            problem = draw_problem(scene) if topic is None else scene.pick(BY_TOPIC[topic]).write(scene)
            if self.protected.isdisjoint(runs(problem.question)):
                return problem
            self.drawn_again += 1

    def lesson(self, write: Callable[[], Lesson]) -> Lesson:
        """What `write` writes, when no run goes from one block into the next that a question has."""
        while True:
            lesson = write()
            if self.protected.isdisjoint(runs(" ".join(f"{block.text} {block.more}" for block in lesson.blocks))):
                return lesson
            self.drawn_again += 1
