import subprocess
import sys

import pytest

from data.pages import LESSON
from pocketphi.data.education import (
    RUBRIC,
    Rated,
    own_sample,
    own_scorer,
    rate_sample,
    read_sample,
    train_scorer,
)
from pocketphi.errors import UserError

SPAM = (
    "Hurry! Best prices on shoes and bags, free shipping, click here to order now! Only today 60% off everything!!! "
    * 3
)
RESULTS = (
    "Results: Reds 2, Blues 1. Greens 0, Whites 0. Top scorers: Ames 9, Bell 7, Cole 7. Next round on Saturday. " * 3
)


def test_the_sample_is_large_varied_and_has_no_text_twice() -> None:
    sample = own_sample()
    assert len(sample) >= 300
    assert len({rated.text for rated in sample}) == len(sample)
    for score in range(6):
        assert sum(rated.score == score for rated in sample) >= 25
    assert sum(any("가" <= letter <= "힣" for letter in rated.text) for rated in sample) >= 50


def test_texts_that_teach_score_above_texts_that_sell() -> None:
    scorer = own_scorer()
    assert scorer.score(LESSON) > 3
    assert scorer.score(SPAM) < 1.5
    assert scorer.score(RESULTS) < 2
    assert all(0 <= scorer.score(text) <= 5 for text in ("", " ", "1", "가", "\ud800", "x" * 100_000))


def test_length_alone_teaches_nothing() -> None:
    scorer = own_scorer()
    for text in (LESSON, SPAM, RESULTS):
        assert scorer.score("\n".join([text] * 4)) == pytest.approx(scorer.score(text), abs=0.6)


def test_held_out_ratings_are_predicted() -> None:
    sample = own_sample()
    scorer = train_scorer([rated for place, rated in enumerate(sample) if place % 4])
    held_out = sample[::4]
    right = sum((scorer.score(rated.text) >= 2.5) == (rated.score >= 2.5) for rated in held_out)
    assert right >= 0.8 * len(held_out)


def test_the_same_sample_gives_the_same_scorer_in_any_process() -> None:
    code = "from pocketphi.data.education import own_scorer; print(own_scorer().digest())"
    other = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert other.stdout.strip() == train_scorer(own_sample()).digest()


def test_any_judge_may_rate() -> None:
    asked: list[str] = []

    def judge(prompt: str) -> float:
        asked.append(prompt)
        return 9.0 if "water" in prompt else -1.0

    texts = [f"{word} number {n} of the day." for n in range(6) for word in ("water", "shoes")]
    sample = rate_sample(texts, judge)
    assert [rated.score for rated in sample] == [5.0, 0.0] * 6
    assert asked == [RUBRIC + text for text in texts]
    scorer = train_scorer(sample)
    assert scorer.score("water of the day.") > 3.5 > 1.5 > scorer.score("shoes of the day.")


def test_a_sample_that_shows_nothing_is_refused() -> None:
    with pytest.raises(UserError, match="3 rated texts"):
        train_scorer([Rated(text=str(n), score=n) for n in range(3)])
    with pytest.raises(UserError, match="12 rated texts"):
        train_scorer([Rated(text=str(n), score=3) for n in range(12)])
    with pytest.raises(UserError, match="line 2"):
        read_sample(['{"text": "a", "score": 1}', '{"text": "a"}'], "x")
    with pytest.raises(UserError, match="not in 0 to 5"):
        read_sample(['{"text": "a", "score": 6}'], "x")
