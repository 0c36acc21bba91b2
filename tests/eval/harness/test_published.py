"""The harness's own tasks, by name: from a definition and data that lie in a folder, as they lie on the hub."""

import json
from pathlib import Path

import pytest
from lm_eval.tasks import TaskManager

from pocketphi.errors import UserError
from pocketphi.eval.harness import published
from pocketphi.eval.harness.adapter import score_request
from pocketphi.eval.harness.prepare import Options, Subject
from pocketphi.eval.harness.published import find_published
from pocketphi.eval.harness.run import evaluate
from pocketphi.eval.results import read_items, read_results
from pocketphi.runtime.model import Model
from pocketphi.runtime.native_backend import NativeBackend

CHOICE = """
task: own_choice
dataset_path: json
dataset_kwargs:
  data_files:
    test: {file}
test_split: test
output_type: multiple_choice
doc_to_text: "Q: {{{{q}}}}\\nA:"
doc_to_target: label
doc_to_choice: "{{{{choices}}}}"
metric_list:
  - metric: acc
  - metric: acc_norm
metadata:
  version: 2.0
"""
WRITTEN = """
task: own_written
dataset_path: json
dataset_kwargs:
  data_files:
    test: {file}
test_split: test
output_type: generate_until
doc_to_text: "Q: {{{{q}}}}\\nA:"
doc_to_target: "{{{{choices[label]}}}}"
generation_kwargs:
  until: ["\\n"]
  max_gen_toks: 8
metric_list:
  - metric: exact_match
metadata:
  version: 1.0
"""
UNSAFE = WRITTEN.replace("own_written", "own_unsafe") + "unsafe_code: true\n"


@pytest.fixture
def _own_tasks(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = tmp_path / "tasks"
    folder.mkdir()
    file = folder / "rows.jsonl"
    rows = [{"q": f"what is in tin {i}?", "choices": ["the thing", f"tin {i}"], "label": i % 2} for i in range(9)]
    file.write_text("".join(json.dumps(row) + "\n" for row in rows))
    for name, text in {"choice": CHOICE, "written": WRITTEN, "unsafe": UNSAFE}.items():
        (folder / f"{name}.yaml").write_text(text.format(file=file))
    monkeypatch.setattr("datasets.config.HF_DATASETS_CACHE", tmp_path / "cache")
    manager = TaskManager(include_path=str(folder), include_defaults=False)
    monkeypatch.setattr(published, "_manager", lambda: manager)


@pytest.fixture
def subject(tiny_model: Model) -> Subject:
    return Subject(backend=NativeBackend(tiny_model), name="tiny", digest="0" * 64, kind="native")


@pytest.mark.usefixtures("_own_tasks")
def test_its_tasks_give_results_in_our_form(subject: Subject, tmp_path: Path):
    tasks = find_published(["own_choice", "own_written"])
    found = evaluate(subject, tasks, Options(limit=7), tmp_path / "out")
    results = read_results(found.path)
    assert results.tasks["own_choice"].metric == "acc_norm"
    assert results.tasks["own_choice"].version == 2
    assert results.tasks["own_choice"].scores["acc"].count == 7
    for item in read_items(found.path, "own_choice"):
        for choice, logprob in zip(item.choices, item.logprobs, strict=True):
            (expected,) = subject.backend.score([score_request(item.question, choice)])
            assert expected.logprob == logprob
    written = list(read_items(found.path, "own_written"))
    assert len(written) == 7
    assert all("\n" not in item.written for item in written)
    again = evaluate(subject, find_published(["own_choice"]), Options(limit=7), tmp_path / "again")
    assert read_results(again.path).tasks["own_choice"] == results.tasks["own_choice"]


@pytest.mark.usefixtures("_own_tasks")
def test_its_tasks_that_run_code_are_left_out(subject: Subject, tmp_path: Path):
    with pytest.raises(UserError, match="without a sandbox"):
        evaluate(subject, find_published(["own_unsafe"]), Options(), tmp_path / "out")


@pytest.mark.usefixtures("_own_tasks")
def test_names_that_are_none_have_neighbours():
    with pytest.raises(UserError, match="own_chioce") as raised:
        find_published(["own_chioce"], ["phi3_mmlu"])
    assert "`own_choice`" in str(raised.value.hint)


@pytest.mark.usefixtures("_own_tasks")
def test_data_that_are_not_there_are_named(tmp_path: Path):
    (tmp_path / "tasks" / "rows.jsonl").unlink()
    with pytest.raises(UserError, match="the data of `own_choice`"):
        find_published(["own_choice"])
