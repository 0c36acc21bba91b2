"""Whatever is edited by hand is named; what `pocketphi eval` leaves passes."""

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from random import Random
from typing import Any

import pytest
from typer.testing import CliRunner

from pocketphi.artifact import publish
from pocketphi.cli.app import app
from pocketphi.errors import UserError
from pocketphi.eval.results import Item, Score
from pocketphi.eval.statistics import score_of
from pocketphi.eval.verify import holds_results, verify_results
from pocketphi.manifest import content_digest, file_digest
from tests.eval.made_results import made_item, made_results, made_task, write_run


def some_items(count: int = 60) -> list[Item]:
    rng = Random(2)
    return [
        made_item(f"q{i}", acc=float(rng.random() < 0.6), cluster=f"p{i // 3}", subset=("art", "law")[i % 2])
        for i in range(count)
    ]


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    out = tmp_path / "run"
    with publish(out, kind="benchmarks", stage="eval", settings={}) as draft:
        asked = {"one": some_items(), "two": some_items(20)}
        results = made_results(asked)
        empty = replace(made_task("three", []), scores={}, note="no sandbox here")
        write_run(draft.path, asked, results=replace(results, tasks={**results.tasks, "three": empty}))
    return out


def edit(path: Path, change: Callable[[Any], None]) -> None:
    value = json.loads(path.read_text())
    change(value)
    path.write_text(json.dumps(value))


def edit_item(folder: Path, number: int, **values: Any) -> None:
    path = folder / "items" / "one.jsonl"
    lines = path.read_text().splitlines()
    lines[number] = json.dumps({**json.loads(lines[number]), **values})
    path.write_text("\n".join(lines) + "\n")


def reseal(folder: Path) -> None:
    """What somebody does who knows about the manifest."""

    def change(manifest: dict[str, Any]) -> None:
        for name, file in manifest["files"].items():
            file.update(bytes=(folder / name).stat().st_size, sha256=file_digest(folder / name))
        manifest["content"] = content_digest(manifest["files"])

    edit(folder / "manifest.json", change)


def test_what_a_run_leaves_is_as_it_was_left(folder: Path) -> None:
    assert holds_results(folder)
    assert verify_results(folder) == []
    result = CliRunner().invoke(app, ["verify", str(folder)])
    assert (result.exit_code, result.output.strip()) == (0, str(folder))


def raise_score(value: Any) -> None:
    value["tasks"]["one"]["scores"]["acc"]["value"] += 0.05


def narrow_error(value: Any) -> None:
    value["tasks"]["one"]["scores"]["acc"]["standard_error"] /= 2


def raise_subset(value: Any) -> None:
    value["tasks"]["one"]["subsets"]["law"]["acc"]["value"] = 1.0


def change_count(value: Any) -> None:
    value["tasks"]["one"]["scores"]["acc"]["count"] = 600


def invent_metric(value: Any) -> None:
    value["tasks"]["one"]["scores"]["f1"] = value["tasks"]["one"]["scores"]["acc"]


@pytest.mark.parametrize(
    ("change", "told"),
    [
        (raise_score, "one: `acc` is"),
        (narrow_error, "one: `acc` is"),
        (change_count, "of 600, its items give"),
        (raise_subset, "one: `acc` of `law` is 1 "),
        (invent_metric, "one: `f1` is"),
    ],
)
def test_an_edited_score_is_found_even_if_the_manifest_is_edited_too(
    folder: Path, change: Callable[[Any], None], told: str
) -> None:
    edit(folder / "results.json", change)
    found = verify_results(folder)
    assert found[0] == "`results.json` was changed"
    assert any(told in each for each in found), found
    reseal(folder)
    found = verify_results(folder)
    assert len(found) == 1, found
    assert told in found[0]


def test_an_edited_item_is_found(folder: Path) -> None:
    wrong = next(i for i, item in enumerate(some_items()) if item.scores["acc"] == 0)
    edit_item(folder, wrong, scores={"acc": 1.0})
    found = verify_results(folder)
    assert "`items/one.jsonl` was changed" in found
    assert any("`acc` is" in each and "its items give" in each for each in found)
    assert f"one: item `q{wrong}`: it is scored 1, `B` was chosen and `A` is right" in found


def test_changes_in_step_are_found_where_an_item_contradicts_itself(folder: Path) -> None:
    wrong = next(i for i, item in enumerate(some_items()) if item.scores["acc"] == 0)
    items = some_items()
    items[wrong] = replace(items[wrong], scores={"acc": 1.0}, answer="A", logprobs=(-0.1, -0.2))
    write_run(folder, {"one": items, "two": some_items(20)})
    reseal(folder)
    assert verify_results(folder) == [f"one: item `q{wrong}`: its probabilities are not those of its log-likelihoods"]


def test_files_that_are_gone_or_new_and_prompts_of_others(folder: Path) -> None:
    (folder / "items" / "four.jsonl").write_text("")
    edit_item(folder, 3, prompt_digest="0" * 64)
    found = verify_results(folder)
    assert "`items/four.jsonl` was added" in found
    assert "one: `prompts_digest` is not that of the items' prompts" in found
    (folder / "items" / "one.jsonl").unlink()
    with pytest.raises(UserError, match=r"one\.jsonl"):
        verify_results(folder)


def test_the_command_names_what_was_changed(folder: Path) -> None:
    edit(folder / "results.json", raise_score)
    result = CliRunner().invoke(app, ["verify", str(folder)])
    assert result.exit_code == 1
    told = str(result.exception or result.output)
    assert "was changed after it was made" in told
    assert "`acc` is" in told


def test_filters_of_the_harness_are_told_apart(tmp_path: Path) -> None:
    asked = [
        replace(made_item(f"{i}/{kind}", written="text"), cluster=str(i), scores={"exact_match": float(i < most)})
        for kind, most in (("flexible", 8), ("strict", 5))
        for i in range(10)
    ]

    def of(kind: str) -> Score:
        some = [item for item in asked if item.id.endswith(kind)]
        return score_of([item.scores["exact_match"] for item in some], [item.cluster for item in some])

    task = replace(
        made_task("one", asked),
        form="lm-eval",
        metric="exact_match",
        scores={"exact_match": of("strict"), "exact_match, flexible": of("flexible")},
    )
    for changed, found in ((task, 0), (replace(task, scores={"exact_match, strict": of("flexible")}), 1)):
        out = tmp_path / str(found)
        with publish(out, kind="benchmarks", stage="eval", settings={}) as draft:
            write_run(draft.path, {"one": asked}, results=replace(made_results({}), tasks={"one": changed}))
        assert len(verify_results(out)) == found
