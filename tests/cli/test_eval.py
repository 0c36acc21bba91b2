"""The verb `eval`, from its words to a table, a page and results on disk."""

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from eval.made_results import made_item, made_results
from pocketphi.cli.benchmarks import table
from pocketphi.cli.report import run
from pocketphi.eval.results import read_results
from pocketphi.eval.tasks.catalogue import GROUPS, TASKS

Call = Callable[..., tuple[int, str, str]]


@pytest.fixture
def data(tmp_path: Path) -> Path:
    folder = tmp_path / "bench"
    folder.mkdir()
    rows: list[dict[str, Any]] = [
        {"id": f"b{i}", "question": f"is tin {i} red", "context": f"tin {i}", "answer": i % 2, "choices": ["no", "yes"]}
        for i in range(12)
    ]
    (folder / "boolq.test.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    return folder


def test_a_table_a_page_and_every_answer(pocketphi: Call, stored: str, data: Path, tmp_path: Path):
    out = tmp_path / "out"
    code, printed, err = pocketphi("eval", stored, "--tasks", "cloze_boolq", "--data", data, "--out", out)
    assert code == 0, err
    lines = printed.splitlines()
    assert lines[0].split()[:3] == ["task", "metric", "score"]
    assert lines[1].startswith("cloze_boolq")
    assert " 12 " in lines[1]
    assert lines[-1] == str(out / "report.html")
    assert (out / "report.html").is_file()
    assert read_results(out).model["backend"] == "native"


def test_activations_of_16_bits_are_another_measurement(pocketphi: Call, stored: str, data: Path, tmp_path: Path):
    common = ("--tasks", "cloze_boolq", "--data", data)
    outs = {bits: tmp_path / bits for bits in ("8", "16")}
    for bits, out in outs.items():
        assert pocketphi("eval", stored, *common, "--activation-bits", bits, "--out", out)[0] == 0
    plain, fine = (read_results(out) for out in outs.values())
    assert (plain.model["backend"], fine.model["backend"]) == ("native", "native-16")
    answers = [(out / "items" / "cloze_boolq.jsonl").read_text() for out in outs.values()]
    assert answers[0] != answers[1]  # nothing came from the other's cache


def test_other_settings_get_a_folder_of_their_own(
    pocketphi: Call, stored: str, data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.chdir(tmp_path)
    command = ("eval", stored, "--data", data, "--tasks", "phi3_boolq,cloze_boolq")
    pages = [pocketphi(*command, *more)[1].splitlines()[-1] for more in ((), ("--shots", "phi3_boolq=0"), ())]
    assert pages == [f"evals/tiny{number}/report.html" for number in ("", "-2", "")]
    shots = [[task.shots for task in read_results(Path(page).parent).tasks.values()] for page in pages[:2]]
    assert shots == [[2, 0], [0, 0]]


def test_the_table_tells_what_else_was_measured():
    items = [made_item(f"i{n}", acc=float(n % 2)) for n in range(10)]
    items = [replace(item, scores={**item.scores, "f1": 0.25}) for item in items]
    results = made_results({"one": items})
    seen = {"count": 10, "dirty_count": 3}
    task = replace(results.tasks["one"], formats={"report": 0.5, "bare": 0.3}, contamination={"8 words": seen})
    lines = table(replace(results, tasks={"one": task}))
    assert [line.strip() for line in lines[2:]] == [
        "f1: 25.0 ± 0.0",
        "2 formats: 30.0 to 50.0",
        "in the corpus (8 words): 3 of 10",
    ]


@pytest.mark.parametrize(("library", "extra"), [("torch", "train"), ("daft", "data"), ("lm_eval", "eval")])
def test_a_library_that_is_not_there_is_named(capsys: pytest.CaptureFixture[str], library: str, extra: str):
    def command() -> None:
        raise ModuleNotFoundError(f"No module named '{library}'", name=f"{library}.part")

    assert run(command, shows_traceback=False) == 1
    err = capsys.readouterr().err
    assert f"this needs `{library}`" in err
    assert f"pocketphi[{extra}]" in err


def test_list_needs_no_model(pocketphi: Call):
    code, printed, _ = pocketphi("eval", "--list")
    assert code == 0
    assert all(name in printed for name in (*GROUPS, *TASKS))


@pytest.mark.parametrize(
    ("words", "wrong"),
    [
        ((), "there is no MODEL"),
        (("tiny", "--tasks", ","), "`--tasks` names none"),
        (("tiny", "--tasks", "phi3_boolk"), "did you mean `phi3_boolq`"),
        (("nowhere", "--tasks", "phi3_boolq"), "nowhere"),
        (("tiny", "--tasks", "phi3_boolq"), "phi3_boolq"),
        (("tiny", "--tasks", "phi3_boolq", "--backend", "torch", "--context", "64"), "are the engine's"),
        (("tiny", "--tasks", "phi3_boolq", "--activation-bits", "4"), "--activation-bits"),
        (("tiny", "--tasks", "phi3_boolq", "--limit", "0"), "--limit"),
        (("tiny", "--tasks", "phi3_boolq", "--shots", "many"), "not a whole number"),
        (("tiny", "--tasks", "phi3_boolq", "--shots", "cloze_boolq=1"), "`cloze_boolq`, which is not among the tasks"),
        (("tiny", "--tasks", "phi3_boolq", "--against", "nowhere"), "nowhere"),
    ],
)
def test_what_is_wrong_is_said(pocketphi: Call, stored: str, words: tuple[str, ...], wrong: str):
    code, printed, err = pocketphi("eval", *words)
    assert code in (1, 2)
    assert printed == ""
    assert wrong in err
