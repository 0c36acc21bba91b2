"""Names of tasks and groups."""

import pytest

from pocketphi.errors import UserError
from pocketphi.eval.tasks.catalogue import GROUPS, TASKS, find_tasks

_SHOTS = {
    "MMLU": 5, "HellaSwag": 5, "ANLI": 7, "GSM8K": 8, "MATH": 0, "MedQA": 2, "AGIEval": 0, "TriviaQA": 5, "ARC-C": 10,
    "ARC-E": 10, "PIQA": 5, "SociQA": 5, "BBH": 3, "WinoGrande": 5, "OpenBookQA": 10, "BoolQ": 2, "CommonsenseQA": 10,
    "TruthfulQA": 10, "HumanEval": 0, "MBPP": 3, "GPQA": 2,
}  # fmt: skip


def test_the_table_has_the_reports_benchmarks_with_its_shots() -> None:
    assert {task.title: task.shots for task in GROUPS["phi3"]} == _SHOTS


def test_names_are_unique_and_fit_for_files() -> None:
    everything = [task for group in GROUPS.values() for task in group]
    assert len({task.name for task in everything}) == len(everything)
    assert all(name.replace("_", "").isalnum() and name == task.name for name, task in TASKS.items())
    assert not set(GROUPS) & set(TASKS)


def test_groups_are_expanded_and_each_task_comes_once() -> None:
    found = find_tasks(["phi3_boolq", "cloze", "phi3", "cloze_piqa"])
    assert found[0].name == "phi3_boolq"
    assert len(found) == len(GROUPS["phi3"]) + len(GROUPS["cloze"])


def test_an_unknown_name_is_told_the_nearest() -> None:
    with pytest.raises(UserError, match="phi3_mmlo") as caught:
        find_tasks(["phi3_mmlo"])
    assert caught.value.hint is not None
    assert "`phi3_mmlu`" in caught.value.hint


@pytest.mark.parametrize("name", ["", "\x1b[31m", "x" * 100_000])
def test_nonsense_is_refused_with_the_groups(name: str) -> None:
    with pytest.raises(UserError) as caught:
        find_tasks([name])
    assert caught.value.hint is not None
    assert "phi3" in caught.value.hint


def test_every_chance_is_a_probability() -> None:
    assert all(task.chance is None or 0 <= task.chance <= 0.5 for task in TASKS.values())
