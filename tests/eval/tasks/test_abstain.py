from collections import Counter
from dataclasses import replace

import pytest

from eval.tasks.golden import SAMPLES
from pocketphi.eval.tasks.abstain import ABSTAIN, LAB_BENCH, with_abstention
from pocketphi.eval.tasks.multilingual import multilingual_mmlu
from pocketphi.eval.tasks.prompt import LETTERS, REPORT
from pocketphi.eval.tasks.rows import Row, load_data
from pocketphi.eval.tasks.task import Choices, Likelihood

ROW = Row(id="lab/7", question="Which?", answer=0, choices=("right", "wrong", "worse"))


def said(row, text):
    """Scores of a model that prefers the option with this text."""
    asked = LAB_BENCH.ask(row, (), REPORT)
    assert isinstance(asked, Choices)
    letter = LETTERS[with_abstention(row).choices.index(text)]
    reply = tuple(Likelihood(logprob=-1.0 if each == letter else -2.0, is_greedy=False) for each in asked.labels)
    return LAB_BENCH.judge(row, asked, reply).scores


@pytest.mark.parametrize(
    ("text", "scores"),
    [
        ("right", {"acc": 1, "coverage": 1, "precision": 1}),
        ("wrong", {"acc": 0, "coverage": 1, "precision": 0}),
        (ABSTAIN, {"acc": 0, "coverage": 0}),
    ],
)
def test_abstaining_is_no_answer_and_has_no_precision(text, scores):
    assert said(ROW, text) == scores


def test_accuracy_is_coverage_times_precision():
    rows = [replace(ROW, id=f"lab/{n}") for n in range(12)]
    scores = [said(row, ("right", "wrong", ABSTAIN)[n % 3]) for n, row in enumerate(rows)]
    mean = {
        metric: sum(values) / len(values)
        for metric in ("acc", "coverage", "precision")
        if (values := [each[metric] for each in scores if metric in each])
    }
    assert mean == {"acc": pytest.approx(1 / 3), "coverage": pytest.approx(2 / 3), "precision": pytest.approx(1 / 2)}
    assert mean["acc"] == pytest.approx(mean["coverage"] * mean["precision"])


def test_the_order_hangs_on_the_id_alone_and_favours_no_place():
    places: Counter[int] = Counter()
    abstain: Counter[int] = Counter()
    for n in range(400):
        row = with_abstention(replace(ROW, id=f"lab/{n}"))
        assert row == with_abstention(replace(ROW, id=f"lab/{n}"))
        assert isinstance(row.answer, int)
        assert row.choices[row.answer] == "right"
        assert sorted(row.choices) == sorted((*ROW.choices, ABSTAIN))
        places[row.answer] += 1
        abstain[row.choices.index(ABSTAIN)] += 1
    # 100 expected in each of four places, with a standard deviation below 9.
    assert all(60 < count < 140 for count in (*places.values(), *abstain.values()))
    assert len(places) == len(abstain) == 4


def test_a_row_that_has_the_option_already_gets_no_second_one():
    assert with_abstention(replace(ROW, choices=(*ROW.choices, ABSTAIN))).choices.count(ABSTAIN) == 1


def test_mmlu_by_language_is_what_the_folder_has(tmp_path):
    for name in (
        "mmlu.test",
        "mmlu_pro.test",
        "mmlu_ko.test_a",
        "mmlu_ko.train",
        "mmlu_fr.train",
        "mmlu_xx.test",
        "gsm8k.test",
    ):
        (tmp_path / f"{name}.jsonl.gz").touch()
    tasks = multilingual_mmlu(tmp_path)
    assert [(task.name, task.title) for task in tasks] == [("mmlu_ko", "MMLU (Korean)"), ("mmlu_xx", "MMLU (xx)")]
    assert multilingual_mmlu(tmp_path / "absent") == ()


def test_mmlu_by_language_asks_with_examples_of_the_same_subject():
    (task,) = multilingual_mmlu(SAMPLES)
    data = load_data(SAMPLES, task.file)
    assert (task.shots, task.by_subset, task.metric) == (5, True, "acc")
    asked = task.ask(data.test[0], [data.train[0]], REPORT)
    assert isinstance(asked, Choices)
    prompt = asked.asked[0][0].text()
    assert prompt == (
        "Question: Wie viel ist 3 plus 4?\nOptions:\nA. 7\nB. 8\nC. 6\nD. 5\nAnswer: A\n\n"
        "Question: Wie viel ist 7 mal 8?\nOptions:\nA. 54\nB. 56\nC. 63\nD. 49\nAnswer:"
    )
    assert [text for _, text in asked.asked] == [" A", " B", " C", " D"]
    reply = tuple(Likelihood(logprob=value, is_greedy=False) for value in (-2.0, -1.0, -3.0, -4.0))
    assert task.judge(data.test[0], asked, reply).scores == {"acc": 1}
