"""Two runs on the same items: what is told apart, what is refused, and why."""

import json
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from random import Random

import pytest

from pocketphi.errors import UserError
from pocketphi.eval.against import as_json, compare_runs, table_of, write_against
from pocketphi.eval.results import Item, write_items
from tests.eval.made_results import made_item, made_results, made_task, write_run


def items(right: Mapping[str, float], **values: str) -> list[Item]:
    return [made_item(name, acc=score, **values) for name, score in right.items()]


def graded(skill: float, count: int = 300, seed: int = 1) -> dict[str, float]:
    """The same questions are hard for everybody."""
    rng = Random(seed)
    return {f"q{index}": float(rng.random() < skill) for index in range(count)}


def run(folder: Path, tasks: Mapping[str, list[Item]], name: str) -> Path:
    return write_run(folder, tasks, name=name)


def test_a_better_run_is_told_from_one_that_is_not(tmp_path: Path) -> None:
    strong, weak, same = graded(0.8), graded(0.6), graded(0.6, seed=1)
    first = run(tmp_path / "a", {"one": items(strong), "two": items(same)}, "strong")
    second = run(tmp_path / "b", {"one": items(weak), "two": items(same)}, "weak")
    found = compare_runs(first, second)
    assert (found.first, found.second) == ("strong", "weak")
    assert {name: each.verdict for name, each in found.tasks.items()} == {"one": "better", "two": "unclear"}
    assert found.tasks["one"].paired.difference == pytest.approx(
        (sum(strong.values()) - sum(weak.values())) / len(strong)
    )
    assert compare_runs(second, first).tasks["one"].verdict == "worse"
    text = "\n".join(table_of(found))
    assert "better" in text
    assert "unclear" in text
    assert json.loads(json.dumps(as_json(found)))["tasks"]["one"]["verdict"] == "better"


def test_p_values_are_adjusted_for_the_number_of_tasks(tmp_path: Path) -> None:
    # 9 wins and 1 loss: p = 0.021 alone, 0.21 among ten tasks.
    won = {f"q{index}": float(index != 9) for index in range(60)}
    lost = {f"q{index}": float(index >= 9) for index in range(60)}
    alone = [run(tmp_path / name, {"one": items(right)}, name) for name, right in (("a", won), ("b", lost))]
    assert compare_runs(*alone).tasks["one"].verdict == "better"
    many = [
        run(tmp_path / name, {"one": items(right)} | {f"t{i}": items(won) for i in range(9)}, name)
        for name, right in (("c", won), ("d", lost))
    ]
    found = compare_runs(*many).tasks["one"]
    assert found.adjusted_p == pytest.approx(10 * found.paired.p_value)
    assert found.verdict == "unclear"


def test_another_test_is_refused_and_the_difference_named(tmp_path: Path) -> None:
    right = graded(0.7, 50)
    names = ("version", "metric", "files", "prompts", "same")
    first = run(tmp_path / "a", {name: items(right) for name in names}, "a")
    tasks = {name: items(right) for name in names}
    tasks["prompts"] = items(right, prompt="Q: other signs")
    results = made_results(tasks, name="b")
    changed = {
        "version": replace(results.tasks["version"], version=2),
        "metric": replace(results.tasks["metric"], metric="acc_norm"),
        "files": replace(results.tasks["files"], files={"files.test.jsonl": "other"}),
        "prompts": replace(results.tasks["prompts"], shots=0),
    }
    second = write_run(tmp_path / "b", tasks, results=replace(results, tasks={**results.tasks, **changed}))
    found = compare_runs(first, second)
    assert list(found.tasks) == ["same"]
    assert found.refused["version"] == ("version 1 and 2",)
    assert found.refused["metric"] == ("metric `acc` and `acc_norm`",)
    assert found.refused["files"] == ("other data in `files.test.jsonl`",)
    assert found.refused["prompts"] == ("other prompts for 50 of 50 items (shots 5 and 0)",)
    assert "prompts: not compared: other prompts for 50 of 50 items (shots 5 and 0)" in table_of(found)
    anyway = compare_runs(first, second, anyway=True)
    # Nothing has that metric there, and nothing can be done about it.
    assert anyway.refused == {"metric": ("the two have no item in common",)}
    assert anyway.tasks["prompts"].notes == found.refused["prompts"]


def test_a_shorter_run_is_compared_on_what_it_has(tmp_path: Path) -> None:
    right = graded(0.7, 80)
    short = dict.fromkeys(list(right)[:30], 1.0)
    found = compare_runs(
        run(tmp_path / "a", {"one": items(right), "mine": items(right)}, "a"),
        run(tmp_path / "b", {"one": items(short), "theirs": items(right)}, "b"),
    )
    assert found.tasks["one"].count == 30
    assert found.tasks["one"].paired.difference == pytest.approx(sum(right[name] for name in short) / 30 - 1)
    assert found.tasks["one"].notes == ("compared on 30 items; 50 have a score in one run only",)
    assert (found.only_first, found.only_second) == (("mine",), ("theirs",))
    assert "only the second run has theirs" in table_of(found)


def test_items_of_one_passage_count_together(tmp_path: Path) -> None:
    first = [made_item(f"q{i}", acc=float(i % 40 < 30), cluster=f"p{i % 40}") for i in range(400)]
    second = [made_item(f"q{i}", acc=float(i % 40 >= 8), cluster=f"p{i % 40}") for i in range(400)]
    found = compare_runs(run(tmp_path / "a", {"one": first}, "a"), run(tmp_path / "b", {"one": second}, "b"))
    assert found.tasks["one"].paired.p_value > 0.05


def test_less_of_a_cost_is_better(tmp_path: Path) -> None:
    rng = Random(3)
    costs = [rng.uniform(5, 9) for _ in range(50)]
    folders = []
    for name, more in (("a", 0.0), ("b", 0.5)):
        asked = [
            replace(made_item(f"q{i}"), scores={"word_perplexity": cost + more * rng.random()})
            for i, cost in enumerate(costs)
        ]
        results = made_results({"one": asked}, name=name)
        task = replace(made_task("one", asked), metric="word_perplexity")
        folders.append(write_run(tmp_path / name, {"one": asked}, results=replace(results, tasks={"one": task})))
    assert compare_runs(folders[0], folders[1]).tasks["one"].verdict == "better"


def test_what_was_not_scored_is_not_compared(tmp_path: Path) -> None:
    asked = items(graded(0.5, 20))
    first = run(tmp_path / "a", {"one": asked}, "a")
    results = made_results({"one": asked}, name="b")
    empty = replace(results.tasks["one"], scores={}, prompts_digest="", note="there is no sandbox here")
    second = write_run(tmp_path / "b", {}, results=replace(results, tasks={"one": empty}))
    found = compare_runs(first, second)
    assert found.refused == {"one": ("`b` has no score: there is no sandbox here",)}


def test_damaged_results_are_named(tmp_path: Path) -> None:
    first = run(tmp_path / "a", {"one": items(graded(0.5, 20))}, "a")
    with pytest.raises(UserError, match=r"cannot read .*results\.json"):
        compare_runs(first, tmp_path / "nothing")
    write_items(first, "one", [])
    with pytest.raises(UserError, match=r"one\.jsonl, line 1"):
        compare_runs(first, first)


def test_programs_find_every_comparison_in_a_file(tmp_path: Path) -> None:
    strong, weak = graded(0.8), graded(0.6)
    first = run(tmp_path / "a", {"one": items(strong)}, "strong")
    second = run(tmp_path / "far" / "b", {"one": items(weak)}, "weak")
    same = run(tmp_path / "near" / "b", {"one": items(strong)}, "strong again")
    paths = write_against(first, [second, same, tmp_path / "no thing"])
    assert [path.name for path in paths] == ["against-b.json", "against-b-2.json", "against-no-thing.json"]
    told, equal, failed = (json.loads(path.read_text()) for path in paths)
    assert told == {"schema": 1, **json.loads(json.dumps(as_json(compare_runs(first, second))))}
    found = told["tasks"]["one"]
    assert found["paired"].keys() == {
        "difference",
        "standard_error",
        "low",
        "high",
        "p_value",
        "wins",
        "losses",
        "ties",
    }
    flips = [(strong[name] > weak[name]) - (strong[name] < weak[name]) for name in strong]
    assert (found["paired"]["wins"], found["paired"]["losses"]) == (flips.count(1), flips.count(-1))
    assert (found["count"], found["verdict"], equal["tasks"]["one"]["paired"]["difference"]) == (300, "better", 0)
    assert "results.json" in failed["error"]


@pytest.mark.filterwarnings("ignore:invalid value:RuntimeWarning")
def test_a_figure_that_is_not_finite_is_null(tmp_path: Path) -> None:
    folders = []
    for name, cost in (("a", float("inf")), ("b", 2.0)):
        asked = [replace(made_item(f"q{i}"), scores={"loss": cost}) for i in range(9)]
        results = made_results({"one": asked}, name=name)
        task = replace(made_task("one", asked), metric="loss")
        folders.append(write_run(tmp_path / name, {"one": asked}, results=replace(results, tasks={"one": task})))
    (path,) = write_against(folders[0], folders[1:])
    assert json.loads(path.read_text())["tasks"]["one"]["paired"]["difference"] is None


def test_another_seed_is_named_where_it_changed_the_prompts(tmp_path: Path) -> None:
    right = graded(0.7, 40)
    folders = []
    for seed in (1, 2):
        tasks = {"drawn": items(right, prompt=f"shots of {seed}"), "bare": items(right)}
        results = made_results(tasks, name=str(seed))
        folders.append(write_run(tmp_path / str(seed), tasks, results=replace(results, settings={"seed": seed})))
    found = compare_runs(*folders)
    assert found.refused == {"drawn": ("other prompts for 40 of 40 items (seed 1 and 2)",)}
    assert found.tasks["bare"].count == 40
