import random
import re
import time

import pytest

from data.pages import prose
from pocketphi.data.decontaminate import MAX_TEXTS, Overlap, Questions
from pocketphi.data.words import words_of

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


@pytest.mark.parametrize("copies", [1, MAX_TEXTS + 1, 3 * MAX_TEXTS])
def test_many_copies_of_most_of_a_question_hide_nothing(copies: int) -> None:
    generator = random.Random(3)
    cut = LONG.rsplit(maxsplit=1)[0]
    texts = {str(n): f"{prose(generator, 9)} {cut} {prose(generator, 9)}" for n in range(copies)}
    clean = {f"clean {n}": prose(generator, 20) for n in range(20)}
    assert set(verdicts([LONG, *SHORT], {**texts, **clean})) == set(texts)


def test_copies_of_a_text_count_once_in_telling_a_phrase() -> None:
    phrase = " ".join(LONG.split()[:14])
    index = Questions([LONG])
    overlaps = {str(n): index.overlap(f"{phrase} and so on") for n in range(3 * MAX_TEXTS)}
    assert index.contaminated(overlaps) == {}
    assert set(index.contaminated(overlaps, copies=set(overlaps) - {"0"})) == set(overlaps)


NUMBERS = re.compile(r"\d+")
DRESSES = {
    "bold": lambda text: NUMBERS.sub(r"**\g<0>**", text),
    "italic": lambda text: re.sub(r"(?<![*\d])\d+(?![*\d])", r"*\g<0>*", text),
    "bold italic": lambda text: NUMBERS.sub(r"***\g<0>***", text),
    "underscores": lambda text: re.sub(r"(?<!\S)(\d+)(?!\S)", r"__\1__", text),
    "code": lambda text: NUMBERS.sub(r"`\g<0>`", text),
    "link": lambda text: NUMBERS.sub(r"[\g<0>](https://example.org/a)", text),
    "tags": lambda text: NUMBERS.sub(r"<b>\g<0></b>", text),
    "all bold": lambda text: f"**{text}**",
    "bold words": lambda text: re.sub(r"([^\W\d]+) ", r"**\1** ", text),
    "escaped": lambda text: text.replace("*", "\\*").replace("_", "\\_"),
    "quote": lambda text: "> " + "\n> ".join(text.split(" ", 2)),
}


@pytest.mark.parametrize("dress", DRESSES)
def test_marks_of_markdown_hide_no_question(dress: str) -> None:
    questions = [
        *SHORT,
        LONG,
        "Compute 12 * 34 + 5.",
        "What is 3*4*5?",
        "Is 7 > 5 or 5 > 7?",
        "snake_case has 12 letters?",
    ]
    texts = {question: f"Before.\n\n{DRESSES[dress](question)}\n\nAfter." for question in questions}
    if dress == "quote":
        del texts["Who wrote Hamlet?"]  # a question of three words counts as a line only
        del texts["Is 7 > 5 or 5 > 7?"]  # a quote that is cut before a sign is a quote in a quote
    assert set(verdicts(questions, texts)) == set(texts)


def test_signs_of_arithmetic_tell_questions_apart() -> None:
    assert words_of("3 * 4") == words_of("3 \\* 4") == words_of("**3** * **4**") == ["3", "*", "4"]
    assert words_of("3*4") == ["3", "*", "4"]
    assert words_of("7 > 5") == words_of("7\n> 5") == ["7", ">", "5"]
    assert words_of("* item\n> quoted **bold** __init__") == ["item", "quoted", "bold", "init"]
    assert words_of("__ + 5 = 12") == ["__", "+", "5", "=", "12"]


@pytest.mark.parametrize("text", ["*", "_", ">", "> ", "](", "<b ", "\\", "**1", "_a", " *", "\n>", "<b"])
def test_hostile_marks_take_a_moment(text: str) -> None:
    began = time.process_time()
    words_of(text * 200_000)
    assert time.process_time() - began < 4
