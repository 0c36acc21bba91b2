import random

import pytest

from data.pages import prose
from pocketphi.data.decontaminate import MAX_TEXTS, Overlap, Questions

TEMPLATE = "{} has {} apples and gives {} of them to a friend. How many apples does {} have now?"
SHORT = [
    "What is 7431 + 2906?",
    "Who wrote Hamlet?",
    "민수는 사과를 417개 샀습니다. 모두 몇 개일까요?",
    "Name three rivers of Asia",
]
LONG = (
    "A tank holds 417 litres of water when it is full. Each minute 13 litres run out through a small hole, while a "
    "pump brings 5 litres back. After how many minutes will the tank be empty for the first time?"
)


def verdicts(questions: list[str], texts: dict[str, str]) -> dict[str, str]:
    index = Questions(questions)
    return index.contaminated({name: index.overlap(text) for name, text in texts.items()})


@pytest.mark.parametrize("question", [*SHORT, LONG])
def test_a_planted_question_is_always_found(question: str) -> None:
    generator = random.Random(0)
    before, after = prose(generator, 30), prose(generator, 30)
    planted = [
        question,
        question.upper(),
        question.replace(" ", "\n", 2),
        question.replace("?", " ...?"),
        f"“{question}”",
    ]
    texts = {str(number): f"{before}\n{each}\n{after}" for number, each in enumerate(planted)}
    if len(question.split()) < 4:
        del texts["2"]  # a question of three words counts as a line only
    assert set(verdicts([*SHORT, LONG], texts)) == set(texts)


def test_clean_text_is_clean() -> None:
    generator = random.Random(1)
    assert verdicts([*SHORT, LONG], {str(n): prose(generator, 40) for n in range(50)}) == {}


def test_a_part_of_a_long_question_is_enough() -> None:
    words = LONG.split()
    found = verdicts(
        [LONG], {"13": " ".join(words[5:18]), "12": " ".join(words[5:17]), "half": " ".join(words[:9] + words[10:30])}
    )
    assert found["13"] == "13 words of a question"
    assert "half" in found
    assert "12" not in found


def test_runs_of_eight_words_tell_a_question_that_was_changed() -> None:
    words = LONG.split()
    changed = [*words[:12], "gallons", *words[13:25], "slowly", *words[26:38], "dry", *words[39:]]
    assert verdicts([LONG], {"changed": " ".join(changed)}) == {"changed": "8-word runs of a question"}


def test_other_sums_from_the_template_of_a_question_are_no_leak() -> None:
    questions = [
        TEMPLATE.format(name, a, b, name) for name, a, b in (("Zoro", 91, 17), ("Quin", 83, 29), ("Vash", 77, 31))
    ]
    generator = random.Random(2)
    lessons = {
        str(n): " ".join(
            TEMPLATE.format(name, n + 203, n + 100, name) for name in generator.sample(["Ann", "Bo", "Cy", "Di"], 3)
        )
        for n in range(40)
    }
    assert verdicts(questions, lessons) == {}
    lessons["leak"] = lessons["7"] + " " + questions[1]
    assert verdicts(questions, lessons) == {"leak": "whole question"}


def test_phrases_that_many_texts_share_do_not_count() -> None:
    phrase = " ".join(LONG.split()[:14])
    few = {str(n): f"{phrase} and number {n}" for n in range(MAX_TEXTS)}
    assert len(verdicts([LONG], few)) == MAX_TEXTS
    many = {**few, "one more": f"{phrase} once more"}
    assert verdicts([LONG], many) == {}
    assert set(verdicts([LONG], {**many, "whole": LONG})) == {"whole"}


def test_no_questions_no_overlap() -> None:
    assert Questions([]).overlap(LONG) == Overlap(whole=False, runs=())
    assert Questions(["", "?!"]).overlap(LONG) == Overlap(whole=False, runs=())
