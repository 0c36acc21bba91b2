"""The scorecard: one file that loads nothing, that no text can break, that everybody can read, of any run."""

import base64
import hashlib
import json
import re
import shutil
import subprocess
import time
from dataclasses import replace
from itertools import pairwise
from pathlib import Path
from statistics import fmean

import pytest
from hypothesis import given
from hypothesis import strategies as st

from eval.made_run import HOSTILE
from eval.made_scores import CHOICE, WRITTEN, make_scores
from eval.page import Page
from pocketphi.errors import UserError
from pocketphi.eval.results import read_items, read_results, write_items, write_results
from pocketphi.eval.scorecard import browser, published, write_page
from pocketphi.eval.scorecard.pictures import points
from pocketphi.eval.scorecard.reading import read_run
from pocketphi.eval.scorecard.table import averages


@pytest.fixture(scope="module")
def folders(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    home = tmp_path_factory.mktemp("evals")
    return make_scores(home / "first"), make_scores(home / "second", ability=0.8, name="small-360m")


@pytest.fixture(scope="module")
def written(folders: tuple[Path, Path]) -> tuple[str, Page]:
    text = write_page(folders[0], [folders[1]]).read_text(encoding="utf-8")
    return text, Page(text)


def data_of(text: str) -> dict[str, list[list[object]]]:
    """What the browser of items is given."""
    found = re.search(r'<script type="application/json" id="items-data">(.*?)</script>', text, re.DOTALL)
    assert found is not None
    data: dict[str, list[list[object]]] = json.loads(found[1])
    return data


def test_a_whole_run_has_every_section(written: tuple[str, Page]):
    _, page = written
    anchors = [section["id"] for section in page.all("section")]
    expected = "table bars against subsets calibration length formats contamination items lineage"
    assert anchors == expected.split()
    assert {f"#{anchor}" for anchor in anchors} < {link["href"] for link in page.all("a")}


def test_the_page_loads_nothing_and_runs_one_script_of_ours(written: tuple[str, Page]):
    text, page = written
    assert {name for name, _ in page.elements}.isdisjoint(
        {"img", "link", "iframe", "object", "embed", "image", "base", "form", "use"}
    )
    for name, attributes in page.elements:
        bad = {"src", "srcset", "style", "xlink:href", "action", "formaction"}
        assert not any(key.startswith("on") or key in bad for key in attributes), name
        assert (attributes.get("href") or "#").startswith("#")
    assert [script.get("type") for script in page.all("script")] == ["application/json", None]
    script, style = browser.SCRIPT.read_text(), re.search(r"<style>(.*?)</style>", text, re.DOTALL)
    assert style is not None
    assert f"<script>{script}</script>" in text
    assert not re.search(r"url\(|@import|@font-face|expression", style[1])
    digests = [base64.b64encode(hashlib.sha256(part.encode()).digest()).decode() for part in (style[1], script)]
    policy = next(meta for meta in page.all("meta") if meta.get("http-equiv") == "Content-Security-Policy")["content"]
    assert policy == (
        f"default-src 'none'; style-src 'sha256-{digests[0]}'; script-src 'sha256-{digests[1]}'; "
        "base-uri 'none'; form-action 'none'"
    )


def test_the_script_makes_no_markup_of_text_and_asks_nobody():
    script = browser.SCRIPT.read_text()
    markup = ("innerHTML", "outerHTML", "insertAdjacentHTML", "document.write", "</")
    for name in (*markup, "eval(", "Function(", "fetch", "XMLHttp", "import(", "localStorage"):
        assert name not in script
    assert script.count("(") == script.count(")")
    assert script.count("{") == script.count("}")


@pytest.mark.skipif(shutil.which("node") is None, reason="needs node")
def test_the_script_is_javascript():
    subprocess.run(["node", "--check", str(browser.SCRIPT)], check=True, timeout=60)


@pytest.mark.slow
@pytest.mark.skipif(shutil.which("chromium") is None, reason="needs chromium")
def test_a_browser_shows_the_answers_and_obeys_none(folders: tuple[Path, Path], tmp_path: Path):
    # As root chromium runs without its own sandbox only; the page is ours.
    command = [
        "chromium",
        "--headless=new",
        "--no-sandbox",
        "--disable-gpu",
        f"--user-data-dir={tmp_path}",
        "--dump-dom",
    ]
    address = write_page(folders[0], [folders[1]]).as_uri()
    found = subprocess.run([*command, address], check=True, timeout=120, capture_output=True, text=True).stdout
    assert found.count('<details class="item wrong">') == 40
    assert re.search(r'<div id="browser">', found)
    assert "<img" not in found
    assert found.count("<script") == 2


def test_the_scorecard_has_no_colours_of_its_own():
    # Those of the report have the contrast that its tests compute.
    assert not re.search(
        r"#[0-9a-fA-F]{3,8}\b(?![^{]*\{)|rgb|hsl", (browser.SCRIPT.parent / "scorecard.css").read_text()
    )


def test_hostile_text_is_shown_not_obeyed(written: tuple[str, Page]):
    text, _ = written
    assert text.count("<script") == text.count("</script>") == 2
    assert "<img" not in text
    assert not re.search("[\x00-\x08\x0b-\x1f\x7f-\x9f\u2028\u2029\u202a-\u202e\u2066-\u2069]", text)
    questions = [row[4] for row in data_of(text)["items"]]
    assert all("</script><script>alert(1)</script>" in str(question) for question in questions)


@given(st.recursive(st.text(), lambda inner: st.lists(inner, max_size=4), max_leaves=8))
def test_any_text_stays_inside_its_element(value: object):
    made = browser.embedded(value)
    assert not re.search(r"[<>&\u2028\u2029]", made)
    assert json.loads(made) == value


def test_every_picture_has_a_text_alternative_and_a_version_for_phones(written: tuple[str, Page]):
    _, page = written
    every = page.all("svg")
    assert all(picture["role"] == "img" and len(picture["aria-label"] or "") > 30 for picture in every)
    wide, slim = every[::2], every[1::2]
    assert [p["aria-label"] for p in wide] == [p["aria-label"] for p in slim]
    assert all(p["class"] == "wide" and p["viewbox"].startswith("0 0 820 ") for p in wide)
    assert all(p["class"] == "slim" and p["viewbox"].startswith("0 0 360 ") for p in slim)
    assert len(page.all("figcaption")) == len(page.all("figure")) == len(wide) >= 6


def test_headings_nest_tables_have_heads_and_fields_have_labels(written: tuple[str, Page]):
    _, page = written
    levels = [int(name[1]) for name, _ in page.elements if re.fullmatch("h[1-6]", name)]
    assert levels[0] == 1
    assert levels.count(1) == 1
    assert all(after <= before + 1 for before, after in pairwise(levels))
    assert len(page.all("caption")) == len(page.all("table"))
    assert all(head.get("scope") in {"col", "row", "colgroup"} for head in page.all("th"))
    ids = [attributes["id"] for _, attributes in page.elements if "id" in attributes]
    assert len(ids) == len(set(ids))
    fields = {field["id"] for name in ("input", "select") for field in page.all(name)}
    assert fields == {label["for"] for label in page.all("label")}
    assert any(p.get("role") == "status" for p in page.all("p"))


def test_without_its_script_the_page_says_where_the_answers_are(written: tuple[str, Page]):
    _, page = written
    hidden = [attributes.get("id") for _, attributes in page.elements if "hidden" in attributes]
    assert hidden == ["browser", "more"]
    assert "let this page run its script" in page.text


def test_published_scores_are_those_of_the_report():
    # The averages that the report prints, but for medium (its own cells give 77.2) and 3.5-mini (another table).
    printed = {"Phi-3 mini 3.8B": 69.7, "Phi-3 small 7B": 73.6, "Mistral 7B": 58.9, "Gemma 7B": 59.3,
               "Llama-3-In 8B": 67.3, "Mixtral 8x7B": 66.8, "GPT-3.5 1106": 72.8}  # fmt: skip
    assert len(published.AVERAGED) == 20
    for column, average in printed.items():
        cells = [published.PUBLISHED[name].scores[column] for name in published.AVERAGED]
        assert abs(fmean(cells) - average) < 0.15, column


def test_averages_are_over_what_both_have(folders: tuple[Path, Path]):
    run = read_run(folders[0])
    for column, (theirs, ours, count) in averages(run).items():
        shared = [n for n in (*CHOICE, *WRITTEN) if column in published.PUBLISHED[n].scores]
        assert count == len(shared)
        assert theirs == pytest.approx(fmean(published.PUBLISHED[n].scores[column] for n in shared))
        assert ours == pytest.approx(100 * fmean(run.tasks[n].scores["acc"].value for n in shared))


def test_others_figures_are_marked_as_theirs_and_ours_say_of_how_many(written: tuple[str, Page]):
    text, page = written
    assert "through another pipeline with its own prompts, on full sets" in page.text
    assert "of 14,042" in page.text
    assert "10 shots (published: 5)" in page.text
    assert "not measured" in page.text
    assert "`medqa.test_a.jsonl.gz` is missing" in page.text
    assert text.count("Published:") >= 3


def test_wrong_answers_come_first_the_surest_before_all(written: tuple[str, Page], folders: tuple[Path, Path]):
    data = data_of(written[0])
    for number, (name, _) in enumerate(data["tasks"]):
        rows = [row for row in data["items"] if row[0] == number]
        states = [row[3] for row in rows]
        assert states == sorted(states)
        sure = [max(row[6], default=0.0) for row in rows if row[3] == 0]  # type: ignore[call-overload]
        assert sure == sorted(sure, reverse=True)
        assert len(rows) == len(list(read_items(folders[0], str(name))))


def test_what_is_no_share_is_neither_right_nor_wrong(written: tuple[str, Page]):
    data = data_of(written[0])
    number = [name for name, _ in data["tasks"]].index("wikitext")
    assert {row[3] for row in data["items"] if row[0] == number} == {2}


def test_choices_are_found_by_letter_and_by_text():
    assert browser._index("B", ("x", "y")) == 1
    assert browser._index("y", ("x", "y")) == 1
    assert browser._index("B", ("B", "y")) == 0
    assert browser._index("C", ("x", "y")) == -1
    assert browser._index("", ("x", "y")) == -1


def test_runs_are_compared_item_by_item(folders: tuple[Path, Path], written: tuple[str, Page]):
    first, second = (read_run(folder) for folder in folders)
    for name in CHOICE:
        gap = first.tasks[name].scores["acc"].value - second.tasks[name].scores["acc"].value
        assert f"{first.tasks[name].title} {points(gap)} points" in written[0]


def test_what_cannot_be_compared_is_said(tmp_path: Path):
    first, second = make_scores(tmp_path / "a", count=30), make_scores(tmp_path / "b", count=40)
    rows = list(read_items(second, "phi3_boolq"))
    write_items(second, "phi3_boolq", [replace(row, id=f"other/{row.id}") for row in rows])
    write_items(second, "phi3_piqa", [replace(row, prompt_digest="0") for row in read_items(second, "phi3_piqa")])
    results = read_results(second)
    tasks = {**results.tasks, "phi3_piqa": replace(results.tasks["phi3_piqa"], prompts_digest="f" * 64)}
    write_results(second, replace(results, tasks=tasks))
    told = Page(write_page(first, [second]).read_text(encoding="utf-8")).text
    assert "boolq is not compared: the two have no item in common" in told
    assert "MMLU: compared on 30 items" in told
    assert "piqa is not compared: other prompts for 30 of 30 items" in told
    (second / "items" / "phi3_mmlu.jsonl").write_text("{\n")
    assert "Not compared: " in Page(write_page(first, [second]).read_text(encoding="utf-8")).text


def test_models_of_one_name_are_told_apart_by_their_folders(tmp_path: Path):
    first, second = make_scores(tmp_path / "a", count=9), make_scores(tmp_path / "b", count=9)
    text = write_page(first, [second]).read_text(encoding="utf-8")
    assert "tiny-135m (a)" in text
    assert "Against <bdi>tiny-135m (b)</bdi>" in text


def test_one_benchmark_asked_in_two_ways_is_told_apart(tmp_path: Path):
    folder = make_scores(tmp_path / "a", count=12)
    results = read_results(folder)
    again = replace(results.tasks["phi3_mmlu"], name="cloze_mmlu")
    write_results(folder, replace(results, tasks={**results.tasks, "cloze_mmlu": again}))
    write_items(folder, "cloze_mmlu", list(read_items(folder, "phi3_mmlu")))
    text = write_page(folder).read_text(encoding="utf-8")
    titles = dict(data_of(text)["tasks"])
    assert titles["phi3_mmlu"] == "MMLU"
    assert titles["cloze_mmlu"] == "MMLU (cloze_mmlu)"
    calibrated = text.partition("Reliability diagrams")[2].partition('"')[0]
    assert "; MMLU " in calibrated
    assert "; MMLU (cloze_mmlu) " in calibrated


def test_tasks_stand_in_the_order_of_the_report_and_lengths_rise(tmp_path: Path):
    folder = make_scores(tmp_path / "a", count=3)
    results = read_results(folder)
    any_task = results.tasks["phi3_piqa"]
    names = ["passkey_16k", "phi3_mbpp", "passkey_2k", "phi3_mmlu", "1_", "\u00b2"]
    write_results(folder, replace(results, tasks={name: replace(any_task, name=name) for name in names}))
    order = list(read_run(folder).tasks)
    assert order[:2] == ["phi3_mmlu", "phi3_mbpp"]
    assert order.index("passkey_2k") < order.index("passkey_16k")


def test_the_same_files_give_the_same_page(folders: tuple[Path, Path], written: tuple[str, Page]):
    assert write_page(folders[0], [folders[1]]).read_text(encoding="utf-8") == written[0]


def test_a_run_without_items_or_scores_has_a_page(tmp_path: Path):
    folder = make_scores(tmp_path / "a", count=5)
    shutil.rmtree(folder / "items")
    text = write_page(folder).read_text(encoding="utf-8")
    assert "<script" not in text
    assert "script-src" not in text
    results = read_results(folder)
    write_results(folder, replace(results, tasks={"phi3_medqa": results.tasks["phi3_medqa"]}))
    assert "no score" in Page(write_page(folder).read_text(encoding="utf-8")).text
    write_results(folder, replace(results, tasks={}))
    Page(write_page(folder).read_text(encoding="utf-8"))


def test_damage_is_left_out_and_said(tmp_path: Path):
    folder = make_scores(tmp_path / "a", count=8)
    results = json.loads((folder / "results.json").read_text())
    results["tasks"]["phi3_boolq"]["scores"]["acc"]["value"] = float("nan")
    results["tasks"]["phi3_piqa"]["title"] = 7
    results["tasks"]["../outside"] = results["tasks"]["phi3_mmlu"]
    results["model"]["name"] = HOSTILE
    (folder / "results.json").write_text(json.dumps(results))
    (folder / "items" / "phi3_gsm8k.jsonl").write_text("{\n")
    (folder / "items" / "phi3_winogrande.jsonl").write_text("")
    row = json.loads((folder / "items" / "phi3_mmlu.jsonl").read_text().split("\n")[0])
    odd = [{**row, "question": 3}, {**row, "probabilities": ["x"]}, {**row, "scores": {"acc": float("inf")}}, row]
    (folder / "items" / "phi3_mmlu.jsonl").write_text("".join(json.dumps(each) + "\n" for each in odd))
    page = Page(write_page(folder).read_text(encoding="utf-8"))
    assert "the task `phi3_piqa` is damaged" in page.text
    assert "the task `../outside` is damaged" in page.text
    assert "3 damaged items of `phi3_mmlu`" in page.text
    assert "phi3_gsm8k.jsonl, line 1" in page.text


def test_nothing_to_show_is_an_error(tmp_path: Path):
    with pytest.raises(UserError, match=r"cannot read `.*results\.json`"):
        write_page(tmp_path)


def test_many_items_make_a_small_page_soon(tmp_path: Path):
    folder = make_scores(tmp_path / "a", count=4)
    items = list(read_items(folder, "phi3_mmlu"))
    many = [replace(items[n % 4], id=str(n), question=f"{n} {'word ' * 900}") for n in range(20_000)]
    write_items(folder, "phi3_mmlu", many)
    start = time.perf_counter()
    path = write_page(folder)
    assert time.perf_counter() - start < 5
    assert path.stat().st_size < 1.2 * browser.BUDGET
    text = path.read_text(encoding="utf-8")
    per_task: dict[object, int] = {}
    for row in data_of(text)["items"]:
        per_task[row[0]] = per_task.get(row[0], 0) + 1
    assert max(per_task.values()) <= browser.MOST
    assert "Left out are right answers first: MMLU 1" in Page(text).text
