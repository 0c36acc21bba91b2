"""Every answer of the primer, worked out a second time from the text of the question."""

import re
from collections import Counter
from random import Random

import pytest

from data.primer_reader import solve
from pocketphi.data.primer.exercises import write_questions
from pocketphi.data.primer.korean import HELDOUT_NAMES as HELDOUT_KOREAN_NAMES
from pocketphi.data.primer.korean import ITEMS, NAMES, PLACES, THINGS, Noun
from pocketphi.data.primer.problem import Problem, Scene, added, divided, multiplied, taken
from pocketphi.data.primer.protect import Guard, runs
from pocketphi.data.primer.skills import SKILLS, TOPICS

PROBLEMS = 250
_EQUATION = re.compile(r"(\d+(?: [-+x/] \d+)+) = (\d+)")


def problems(name: str, *, heldout: bool = False, new: bool = False, count: int = PROBLEMS) -> list[Problem]:
    skill = next(skill for skill in SKILLS if skill.name == name)
    scene = Scene(Random(f"test {name}"), heldout=heldout, new=new)
    return [skill.write(scene) for _ in range(count)]


@pytest.mark.parametrize("name", [skill.name for skill in SKILLS])
@pytest.mark.parametrize(("heldout", "new"), [(False, False), (True, False), (True, True)])
def test_a_second_reader_gets_the_same_answer(name: str, heldout: bool, new: bool) -> None:
    for problem in problems(name, heldout=heldout, new=new):
        assert solve(name, problem.question) == problem.answer, problem.question


@pytest.mark.parametrize("name", [skill.name for skill in SKILLS])
def test_steps_lead_to_the_answer_and_the_slip_does_not(name: str) -> None:
    for problem in problems(name):
        assert problem.solution.splitlines()[-1] == f"Answer: {problem.answer}"
        assert problem.answer in problem.steps, problem
        assert problem.wrong != problem.answer, problem
        assert "\n" not in problem.steps
        assert len(problem.solution) < 300, "a tiny model has a context of 256 tokens"
        assert "{" not in problem.question + problem.solution, "an unfilled field"
        assert "  " not in problem.question.split("\n")[0]


@pytest.mark.parametrize("name", [skill.name for skill in SKILLS])
def test_every_equation_in_the_steps_is_true(name: str) -> None:
    found = 0
    for problem in problems(name):
        for left, right in _EQUATION.findall(problem.solution):
            found += 1
            assert eval(left.replace("x", "*")) == int(right), problem.solution
        chain = re.search(r"\d+ [x/] (\d+): ((?:\d+ is \d+(?:, )?)+)", problem.solution)
        for count, value in re.findall(r"(\d+) is (\d+)", chain[2]) if chain else []:
            assert int(count) * int(chain[1]) == int(value), problem.solution
    assert found or name not in {"add", "subtract", "two_step", "start", "korean_add"}


def test_written_sums_are_right_for_all_small_numbers() -> None:
    for a in range(2, 100):
        for b in range(2, 100):
            lines = [added(a, b)] + ([taken(a, b)] if a >= b else [])
            for left, right in (pair for line in lines for pair in _EQUATION.findall(line)):
                assert eval(left.replace("x", "*")) == int(right), lines


def test_products_and_quotients_are_counted_up() -> None:
    assert multiplied(3, 8) == "3 x 8: 1 is 8, 2 is 16, 3 is 24."
    assert divided(24, 8) == "24 / 8: 1 is 8, 2 is 16, 3 is 24."


def test_there_are_enough_patterns_and_the_held_out_ones_are_others() -> None:
    known = {skill.name: set(skill.patterns.sentences(new=False)) for skill in SKILLS}
    new = {skill.name: set(skill.patterns.sentences(new=True)) for skill in SKILLS}
    assert len(TOPICS) >= 12
    assert "korean" in TOPICS
    assert len(set().union(*known.values())) >= 300
    for name in known:
        assert len(known[name]) >= 15, name
        assert len(new[name]) >= 4, name
    assert not set().union(*known.values()) & set().union(*new.values())


@pytest.mark.parametrize("new", [False, True])
def test_every_pattern_is_used(new: bool) -> None:
    for skill in SKILLS:
        used = Counter(
            part
            for problem in problems(skill.name, heldout=new, new=new, count=1500)
            for part in problem.template.rsplit(":", 1)[1].split("+")
        )
        table = skill.patterns.new if new else skill.patterns.known
        expected = {f"{part}{index}" for part, patterns in table.items() for index in range(len(patterns))}
        assert expected == set(used), skill.name


def test_no_pattern_has_eight_words_in_a_row_that_every_question_shares() -> None:
    for skill in SKILLS:
        for pattern in (*skill.patterns.sentences(new=False), *skill.patterns.sentences(new=True)):
            fixed = re.split(r"\{\w+(?::\w+)?\}", pattern)
            assert max(len(re.findall(r"\w+", part)) for part in fixed) < 8, pattern


def test_korean_particles_agree_with_the_sound_before_them() -> None:
    assert f"{Noun('책'):을} {Noun('사과'):을} {Noun('교실'):으로} {Noun('시장'):으로}" == "책을 사과를 교실로 시장으로"
    words = {str(noun) for noun in (*NAMES, *HELDOUT_KOREAN_NAMES, *ITEMS, *PLACES)} | {str(noun) for noun, _ in THINGS}
    pairs = {"을": "를", "은": "는", "과": "와"}
    for name in ("korean_add", "korean_subtract", "korean_where"):
        for problem in problems(name):
            for word, particle in re.findall(
                r"\b([가-힣]+?)(을|를|은|는|과|와)(?= )", problem.question + problem.steps
            ):
                if word in words:
                    closed = (ord(word[-1]) - 0xAC00) % 28 != 0
                    assert (particle in pairs) == closed, f"{word}{particle}"


def test_no_known_pattern_is_crowded_out_by_the_held_out_questions() -> None:
    asked = write_questions(Scene(Random(1), heldout=True), "known_templates", 600)
    asked += write_questions(Scene(Random(2), heldout=True, new=True), "new_templates", 600)
    guard = Guard(question.question for question, _ in asked)
    for skill in SKILLS:
        drawn, refused = Counter[str](), Counter[str]()
        for problem in problems(skill.name, count=1500):
            parts = problem.template.rsplit(":", 1)[1].split("+")
            drawn.update(parts)
            if not guard.protected.isdisjoint(runs(problem.question)):
                refused.update(parts)
        worst = max(drawn, key=lambda part: refused[part] / drawn[part])
        assert refused[worst] <= 0.75 * drawn[worst], (skill.name, worst)
        assert refused.total() <= 0.25 * drawn.total(), skill.name
