import random
import time

import pytest

from data.pages import LESSON, prose
from pocketphi.data import quality
from pocketphi.data.quality import clean_lines, find_fault

KOREAN = """\
물은 왜 얼면 뜰까요? 대부분의 물질은 얼면 부피가 줄어듭니다. 그러나 물은 얼 때 부피가
커집니다. 같은 무게가 더 넓은 자리를 차지하기 때문에 얼음은 물보다 가볍습니다. 그래서 호수는
위에서부터 업니다. 얼음 아래의 물은 차가운 바람을 만나지 않아서 잘 얼지 않습니다. 물고기는
그곳에서 겨울을 보낼 수 있습니다. 집에서도 쉽게 알아볼 수 있습니다. 컵에 물을 담고 얼음을 하나
넣어 보세요. 얼음이 어디에 있는지 살펴보고 그 까닭을 친구에게 말해 보세요. 얼음이 녹은 뒤에
물의 높이가 어떻게 되는지도 적어 보세요. 그림을 그려서 설명하면 더 좋습니다. 다음 시간에는
소금물이 왜 더 낮은 온도에서 어는지 배웁니다."""


@pytest.mark.parametrize(("text", "language"), [(LESSON, "en"), (KOREAN, "ko")])
def test_a_lesson_passes(text: str, language: str) -> None:
    assert find_fault(text, language) is None


def test_varied_prose_passes() -> None:
    generator = random.Random(0)
    for sentences in (8, 30, 300):
        assert find_fault(prose(generator, sentences), "en") is None


@pytest.mark.parametrize(
    ("fault", "text"),
    [
        ("too few words", "Only a few words stand here. It is short. That is all."),
        ("too many words", "word " * (quality.MAX_WORDS + 1)),
        ("mean word length", "a b c d e f g of the i " * 20),
        ("capitals", LESSON.upper()),
        ("hash signs", LESSON.replace(" ", " #", 60)),
        ("ellipses", LESSON.replace(" ", " ... ", 40)),
        ("words without a letter", LESSON + " 1234 5678:4321 22,718 1990-1995" * 30),
        ("stop words", " ".join(f"word{n} thing{n} colour{n}." for n in range(40))),
        ("bullets", "\n".join(f"•the {prose(random.Random(n), 1)}" for n in range(30))),
        ("cut lines", "\n".join(f"the man of the house number {n} went to town and ..." for n in range(30))),
        (
            "lines without punctuation",
            "\n".join(f"the long line number {n} of the day has words to it" for n in range(9)),
        ),
        ("short lines", "\n".join(f"{n} of the things we have." for n in range(40))),
        ("braces", "\n".join(f"{{ {prose(random.Random(n), 1)} }};" for n in range(30))),
        ("repeated lines", LESSON + ("\nCall the office of the town today and ask." * 6)),
        ("repeated phrases", prose(random.Random(1), 12) + " the cat of the house sat on a mat" * 6 + " and left."),
        ("placeholder", LESSON + " Lorem ipsum dolor."),
        ("too few sentences", LESSON.replace(".", ",").replace("?", ",") + "."),
    ],
)
def test_each_rule_names_itself(fault: str, text: str) -> None:
    assert find_fault(text, "en") == fault


def test_rules_about_english_words_leave_other_languages_alone() -> None:
    assert find_fault(KOREAN, "xx") is None
    assert find_fault(LESSON, "ko") == "stop words"


def test_notices_about_cookies_and_scripts_are_taken_out() -> None:
    text = "First line.\nThis site uses cookies to serve you.\nPlease enable JavaScript.\nLast line.\n" + "x" * 1001
    assert clean_lines(text) == "First line.\nLast line."


def test_repetition_counts_agree_with_counting_by_hand() -> None:
    words = [*"abcdeabcdefgabcde"]
    hashes = quality.hash_words(words)
    lengths = quality.np.array([len(word) for word in words])
    # `a b c d e` stands three times; the second and third are repeats: 10 of 17 characters.
    assert quality._duplicate_runs(hashes, lengths, 5) == pytest.approx(10 / 17)
    assert quality._top_run(hashes, lengths, 2) == pytest.approx(2 * 3 / 17)
    assert quality._duplicate_runs(hashes, lengths, 10) == 0.0


def test_rules_take_time_in_proportion_to_the_text() -> None:
    text = "\n".join(prose(random.Random(n), 10) for n in range(400))
    began = time.process_time()
    find_fault(text, "en")
    assert time.process_time() - began < 3
