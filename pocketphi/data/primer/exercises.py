"""Held-out questions, conversations to tune on, and preference pairs."""

import re

from pocketphi.chat import Conversation, Message, Preference
from pocketphi.data.primer import korean
from pocketphi.data.primer import templates_chat as chat
from pocketphi.data.primer.lessons import Make
from pocketphi.data.primer.problem import Problem, Scene, worked
from pocketphi.data.primer.skills import SKILLS
from pocketphi.data.primer.world import HELDOUT_NAMES
from pocketphi.data.records import Question, Tier

_HELDOUT = frozenset(HELDOUT_NAMES)
_WORD = re.compile(r"\w+")


def write_questions(scene: Scene, tier: Tier, count: int) -> list[tuple[Question, Problem]]:
    """Held-out questions of a tier, as many of each type as of the others."""
    questions: list[tuple[Question, Problem]] = []
    seen: set[str] = set()
    while len(questions) < count:
        skill = SKILLS[len(questions) % len(SKILLS)]
        problem = skill.write(scene)
        if problem.question in seen or not is_novel(problem):
            continue
        seen.add(problem.question)
        questions.append(
            (
                Question(
                    id=f"{tier}-{len(questions):05d}",
                    topic=problem.topic,
                    tier=tier,
                    question=problem.question,
                    answer=problem.answer,
                ),
                problem,
            )
        )
    return questions


def is_novel(problem: Problem) -> bool:
    """Whether a held-out problem has numbers or a name that occur nowhere else."""
    if problem.combination is not None:
        return True
    if problem.topic == "korean":
        return any(name in problem.question for name in korean.HELDOUT_NAMES)
    return not _HELDOUT.isdisjoint(_WORD.findall(problem.question))


def write_conversation(scene: Scene, make: Make) -> Conversation:
    """An exercise, mostly of one turn; sometimes two in a row, or with a few polite words around it."""
    level = scene.rng.random()
    problem = make(scene, None)
    exercise = (Message("user", asked(scene, problem)), Message("assistant", problem.solution))
    if level < 0.8 or problem.topic == "korean":
        return Conversation(exercise)
    if level < 0.92 and problem.follow_up is not None and scene.chance(0.7):
        question, steps, answer = problem.follow_up
        return Conversation((*exercise, Message("user", question), Message("assistant", worked(steps, answer))))
    if level < 0.92:
        other = make(scene, problem.topic if scene.chance(0.5) else None)
        follow = scene.pick(chat.FOLLOW_UPS) if other.topic != "korean" and scene.chance(0.5) else ""
        question = f"{follow} {other.question}".strip()
        return Conversation((*exercise, Message("user", question), Message("assistant", other.solution)))
    if level < 0.97:
        hello, welcome = scene.pick(chat.GREETINGS)
        return Conversation((Message("user", hello), Message("assistant", welcome), *exercise))
    thanks, reply = scene.pick(chat.THANKS)
    return Conversation((*exercise, Message("user", thanks), Message("assistant", reply)))


def asked(scene: Scene, problem: Problem) -> str:
    """The question, sometimes with a word to the tutor in front."""
    if problem.topic != "korean" and scene.chance(0.08):
        return f"{scene.pick(chat.REQUESTS)} {problem.question}"
    return problem.question


def write_preference(scene: Scene, make: Make) -> tuple[Preference, str]:
    """A pair, and what is wrong with the rejected answer."""
    problem = make(scene, None)
    flaw = scene.pick(chat.FLAWS)
    chosen = problem.solution
    if flaw == "wrong_result":
        rejected = f"{_with_wrong_end(problem)}\nAnswer: {problem.wrong}"
    elif flaw == "no_steps":
        rejected = f"Answer: {problem.wrong if scene.chance(0.5) else problem.answer}"
    elif flaw == "rambling":
        filler = scene.several(chat.KOREAN_FILLER if problem.topic == "korean" else chat.FILLER, 3)
        rejected = f"{filler[0]} {problem.steps} {filler[1]} {filler[2]}\nAnswer: {problem.answer}"
    elif flaw == "no_answer_line":
        rejected = problem.steps
    elif flaw == "wrong_format":
        rejected = f"{problem.steps}\n{scene.pick(chat.BAD_FORMATS).format(answer=problem.answer)}"
    elif flaw == "goes_on":
        rejected = f"{chosen}\nAnswer: {problem.answer}\nAnswer: {problem.answer}"
    else:
        rejected = f"{problem.steps}\nAnswer: {problem.wrong}"
    return Preference(
        (Message("user", problem.question),), Message("assistant", chosen), Message("assistant", rejected)
    ), flaw


def _with_wrong_end(problem: Problem) -> str:
    """The steps with a slip in the last place where the answer stands."""
    before, found, after = problem.steps.rpartition(problem.answer)
    return before + problem.wrong + after if found else problem.steps
