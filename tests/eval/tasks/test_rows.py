"""Files of strangers: what is no row is refused with file and line before a model is asked; odd but sound ones read."""

import gzip
import json
import os
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from eval.tasks.golden import SAMPLES
from pocketphi.errors import UserError
from pocketphi.eval.tasks.catalogue import TASKS
from pocketphi.eval.tasks.examples import draw_examples
from pocketphi.eval.tasks.rows import Row, load_data, read_rows

GOOD: dict[str, Any] = {"id": "a", "question": "which?", "choices": ["red", "blue"], "answer": 1}


def lines(*rows: dict[str, Any]) -> bytes:
    return "".join(json.dumps(row) + "\n" for row in rows).encode()


@pytest.mark.parametrize(
    ("change", "wrong"),
    [
        ({"choices": ["one"], "answer": 0}, "one choice"),
        ({"choices": [str(i) for i in range(27)]}, "27 choices"),
        ({"choices": None}, "`choices` is `None`"),
        ({"answer": 2}, "no index"),
        ({"answer": ""}, "`answer` is empty"),
        ({"answer": ["x", " "]}, "`answer` is empty"),
        ({"question": " \n"}, "`question` is empty"),
        ({"id": ""}, "`id` is empty"),
        ({"question": "half \ud83d"}, "surrogate"),
        ({"choices": ["\udc00", "b"]}, "surrogate"),
        ({"meta": {"mc2": {"\ud800": 1}}}, "surrogate"),
        ({"meta": {"tests": [["\ud800"]]}}, "surrogate"),
    ],
)
def test_what_is_no_row_is_refused_with_file_and_line(tmp_path: Path, change: dict[str, Any], wrong: str):
    path = tmp_path / "t.test.jsonl"
    path.write_bytes(lines(GOOD) + b"\n" + lines({**GOOD, "id": "b", **change}))
    with pytest.raises(UserError, match=wrong) as caught:
        list(read_rows(path))
    assert caught.value.message.startswith(f"{path}, line 3: ")
    assert caught.value.message.isprintable()
    assert "docs/evaluation.md" in str(caught.value.hint)


@pytest.mark.parametrize(
    ("line", "wrong"),
    [
        (b'{"id": "b", "id": "c", "question": "q", "answer": "x"}', "the key `id` is given twice"),
        (b'{"id": "b", "question": "q", "answer": "x", "meta": {"k": 1, "k": 2}}', "the key `k` is given twice"),
        (b'{"id": "b", "question": "\xff", "answer": "x"}', "no UTF-8"),
        (lines(GOOD).strip(), "the id `a` is given twice"),
        (b"[" * 100_000, "line 2"),
        (b"{", "line 2"),
    ],
)
def test_a_line_that_is_none_is_refused(tmp_path: Path, line: bytes, wrong: str):
    path = tmp_path / "t.test.jsonl"
    path.write_bytes(lines(GOOD) + line)
    with pytest.raises(UserError, match=wrong) as caught:
        list(read_rows(path))
    assert "line 2" in caught.value.message


def test_equal_and_empty_choices_are_let_through_as_published_benchmarks_have_them(tmp_path: Path):
    path = tmp_path / "t.test.jsonl"
    path.write_bytes(lines({**GOOD, "choices": ["red", "red", ""]}))
    assert [row.choices for row in read_rows(path)] == [("red", "red", "")]


@pytest.mark.parametrize("name", ["t.test.jsonl", "t.test.jsonl.gz"])
def test_gzip_is_told_by_the_first_bytes_and_a_byte_order_mark_is_no_text(tmp_path: Path, name: str):
    text = b"\xef\xbb\xbf" + lines(GOOD, {**GOOD, "id": "b"}).replace(b"\n", b"\r\n")
    for content in (text, gzip.compress(text)):
        (tmp_path / name).write_bytes(content)
        data = load_data(tmp_path, "t")
        assert data.test == (Row(**{**GOOD, "choices": ("red", "blue")}), replace(data.test[0], id="b"))
        assert [row.place for row in data.test] == [f"{tmp_path / name}, line {number}" for number in (1, 2)]


@pytest.mark.parametrize("damage", [slice(0, 40), slice(0, -12)])
def test_a_damaged_archive_is_named(tmp_path: Path, damage: slice):
    path = tmp_path / "t.test.jsonl.gz"
    path.write_bytes(gzip.compress(lines(*({**GOOD, "id": str(i)} for i in range(99))))[damage])
    with pytest.raises(UserError, match="cannot read"):
        load_data(tmp_path, "t")
    path.write_bytes(path.read_bytes()[:12] + bytes(30))
    with pytest.raises(UserError, match="cannot read"):
        load_data(tmp_path, "t")


def test_what_is_not_there_or_no_file_is_told(tmp_path: Path):
    with pytest.raises(UserError, match="does not exist"):
        load_data(tmp_path / "absent", "t")
    (tmp_path / "file").touch()
    with pytest.raises(UserError, match="is no folder"):
        load_data(tmp_path / "file", "t")
    with pytest.raises(UserError) as caught:
        load_data(tmp_path, "t")
    for name in ("t.test_a.jsonl.gz", "t.test_a.jsonl", "t.test.jsonl.gz", "t.test.jsonl"):
        assert f"`{name}`" in caught.value.message
    (tmp_path / "t.test.jsonl").mkdir()
    with pytest.raises(UserError, match="is a folder"):
        load_data(tmp_path, "t")
    os.mkfifo(tmp_path / "u.test.jsonl")
    with pytest.raises(UserError, match="is a pipe"):
        load_data(tmp_path, "u")
    (tmp_path / "v.test.jsonl").symlink_to(tmp_path / "nowhere")
    with pytest.raises(UserError, match="cannot read"):
        load_data(tmp_path, "v")


@pytest.mark.parametrize(
    ("name", "change", "wrong"),
    [
        ("phi3_piqa", {"answer": "blue"}, "letters of its 2"),
        ("phi3_piqa", {"answer": "AB"}, "names 2 choices"),
        ("phi3_piqa", {"choices": [], "answer": "A"}, "letters of its 0"),
        ("phi3_anli", {}, "not entailment"),
        ("phi3_agieval", {"choices": [*"abcdefghijk"], "answer": ["A", "C"]}, "10 are the most"),
        ("phi3_agieval", {"answer": "C"}, "letters of its 2"),
        ("phi3_gsm8k", {"answer": "many"}, "must be a number"),
        ("phi3_math", {}, "must be a text"),
        ("phi3_triviaqa", {}, "must be a text"),
        ("phi3_bbh", {"answer": "x"}, "no subset"),
        ("phi3_bbh", {"answer": "perhaps", "subset": "navigate"}, "none of `navigate`"),
        ("phi3_truthfulqa", {"meta": {"mc2": {"blue": [1]}}}, "meta.mc2"),
        ("phi3_gpqa", {"answer": "A"}, "index of a choice"),
        ("phi3_humaneval", {}, "entry_point"),
        ("phi3_mbpp", {"answer": "def f(): pass"}, "meta.tests"),
        ("cloze_piqa", {"answer": "A"}, "index of a choice"),
        ("safety_xstest", {}, "neither `safe` nor `unsafe`"),
        ("safety_harmbench", {"answer": "harmful"}, "neither `safe` nor `unsafe`"),
        ("safety_bbq", {}, "no options"),
        ("safety_toxigen", {}, "neither `toxic` nor `benign`"),
        ("lab_bench", {"choices": [str(i) for i in range(26)]}, "no letter is left"),
    ],
)
def test_a_row_that_a_task_cannot_judge_is_refused_before_examples_are_drawn(
    tmp_path: Path, name: str, change: dict[str, Any], wrong: str
):
    task = TASKS[name]
    path = tmp_path / f"{task.file}.test.jsonl"
    path.write_bytes(lines({**GOOD, **change}))
    with pytest.raises(UserError, match=wrong) as caught:
        draw_examples(task, load_data(tmp_path, task.file), seed=1)
    assert caught.value.message.startswith(f"{path}, line 1, row `a`: ")


def test_every_task_of_files_checks_its_rows_and_takes_its_sample():
    for task in TASKS.values():
        if task.rows is None:
            assert task.check is not None, task.name
            if any(SAMPLES.glob(f"{task.file}.test*")):
                data = load_data(SAMPLES, task.file)
                assert all(row.place for row in data.test)
                draw_examples(replace(task, shots=0), data, seed=1)


@pytest.mark.skipif("POCKETPHI_DATA" not in os.environ, reason="needs the benchmarks themselves")
def test_no_row_of_the_published_benchmarks_is_refused():
    folder = Path(os.environ["POCKETPHI_DATA"]) / "bench"
    for task in TASKS.values():
        if task.rows is None and any(folder.glob(f"{task.file}.test*")):
            draw_examples(replace(task, shots=0), load_data(folder, task.file), seed=1)
