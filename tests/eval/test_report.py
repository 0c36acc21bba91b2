"""The report: one file that loads nothing, that no text can break, that everybody can read, of any part of a run."""

import base64
import hashlib
import html
import json
import re
from itertools import pairwise
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from eval.made_run import DROPPED, PARENTS, TOPICS, evaluate, make_run
from eval.page import Page
from pocketphi.artifact import open_artifact, publish
from pocketphi.errors import UserError
from pocketphi.eval.report import pictures, write_report
from pocketphi.eval.report.markup import Html, joined, tag

STAGES = tuple(PARENTS)
STYLES = Path(pictures.__file__).parent


def report(run: Path) -> tuple[str, Page]:
    artifact = write_report(run, run / "report")
    assert artifact.kind == "report"
    text = (artifact.path / "report.html").read_text(encoding="utf-8")
    return text, Page(text)


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_run(tmp_path_factory.mktemp("runs") / "nano")


@pytest.fixture(scope="module")
def written(run: Path) -> tuple[str, Page]:
    return report(run)


def test_a_whole_run_has_every_section(run: Path, written: tuple[str, Page]):
    text, page = written
    summary = open_artifact(run / "report", "report").summary
    assert summary["missing"] == []
    assert [section["id"] for section in page.all("section")] == summary["sections"]
    links = [link["href"] for link in page.all("a")]
    assert {f"#{name}" for name in summary["sections"]} < set(links)
    for told in ("918 thousand parameters", "23.5 MB of raw pages", "12 min", "72 %", "5.30 bits a weight"):
        assert told in text.replace("\u00a0", " ")
    for topic in TOPICS:
        assert topic.replace("_", " ") in page.text


def test_parents_are_the_finished_artifacts_in_the_order_of_a_run(run: Path, written: tuple[str, Page]):
    measured = {"phase1", "phase2", "sft", "dpo", "model"}
    names = [name for stage in STAGES for name in (stage, f"evaluation-{stage}")]
    expected = [open_artifact(run / n).inputs for n in names if not n.startswith("evaluation-") or n[11:] in measured]
    assert open_artifact(run / "report").manifest["parents"] == expected


def test_the_page_loads_nothing_and_runs_nothing(written: tuple[str, Page]):
    text, page = written
    assert not page.all("script")
    assert {name for name, _ in page.elements}.isdisjoint(
        {"img", "link", "iframe", "object", "embed", "image", "base", "form"}
    )
    for name, attributes in page.elements:
        assert not any(key.startswith("on") or key in {"src", "srcset", "style", "xlink:href"} for key in attributes), (
            name
        )
        assert (attributes.get("href") or "#").startswith("#")
    style = re.search(r"<style>(.*?)</style>", text, re.DOTALL)
    assert style is not None
    assert not re.search(r"url\(|@import|@font-face|expression", style[1])
    policy = next(meta for meta in page.all("meta") if meta.get("http-equiv") == "Content-Security-Policy")["content"]
    digest = base64.b64encode(hashlib.sha256(style[1].encode()).digest()).decode()
    assert policy == f"default-src 'none'; style-src 'sha256-{digest}'; base-uri 'none'; form-action 'none'"


def test_hostile_text_is_shown_not_obeyed(written: tuple[str, Page]):
    text, page = written
    assert "alert(1)" in page.text
    assert "<script" not in text
    assert "<img" not in text
    assert not re.search("[\x00-\x08\x0b-\x1f\x7f-\x9f\u202a-\u202e\u2066-\u2069]", text)


@given(st.text())
def test_any_text_comes_back_as_text(content: str):
    made = tag("p", content, title=content)
    page = Page(made)
    shown = re.sub("\ufffd", "", page.text)
    assert [name for name, _ in page.elements] == ["p"]
    assert shown == "".join(char for char in content.replace("\r\n", "\n") if char in shown)
    assert joined(Html("<b>")) == "<b>"
    assert html.unescape(str(joined(content))) == page.text


def test_every_picture_has_a_text_alternative_and_a_version_for_phones(written: tuple[str, Page]):
    _, page = written
    every = page.all("svg")
    assert len(every) >= 16
    assert all(picture["role"] == "img" and len(picture["aria-label"] or "") > 30 for picture in every)
    wide, slim = every[::2], every[1::2]
    assert [p["aria-label"] for p in wide] == [p["aria-label"] for p in slim]
    assert all(p["class"] == "wide" and p["viewbox"].startswith("0 0 820 ") for p in wide)
    assert all(p["class"] == "slim" and p["viewbox"].startswith("0 0 360 ") for p in slim)
    assert len(page.all("figcaption")) == len(page.all("figure")) == len(wide)


def test_headings_nest_and_tables_have_captions_and_heads(written: tuple[str, Page]):
    _, page = written
    levels = [int(name[1]) for name, _ in page.elements if re.fullmatch("h[1-6]", name)]
    assert levels[0] == 1
    assert levels.count(1) == 1
    assert all(after <= before + 1 for before, after in pairwise(levels))
    assert len(page.all("caption")) == len(page.all("table"))
    assert all(head.get("scope") in {"col", "row"} for head in page.all("th"))
    ids = [attributes["id"] for _, attributes in page.elements if "id" in attributes]
    assert len(ids) == len(set(ids))
    assert page.all("html")[0]["lang"] == "en"


def test_the_same_run_gives_the_same_page(run: Path, written: tuple[str, Page]):
    assert report(run)[0] == written[0]


@pytest.mark.parametrize("until", STAGES[:-1])
def test_any_part_of_a_run_has_a_report(tmp_path: Path, until: str):
    run = make_run(tmp_path / "part", until=until)
    _, page = report(run)
    missing = open_artifact(run / "report").summary["missing"]
    assert "what rounding costs" in missing
    assert f"Not in this run: {'; '.join(missing)}." in page.text


def test_baselines_are_drawn_beside_the_stages(tmp_path: Path):
    from random import Random

    run = make_run(tmp_path / "run", until="phase1")
    phase = [open_artifact(run / "phase1")]
    evaluate(run / "evaluation-most-frequent-answer", 0.21, phase, Random(1))
    text, page = report(run)
    assert "most frequent answer: 21\u00a0%" in page.text
    assert 'class="baseline"' in text
    # The page's headline is about the model, not about what takes none.
    assert "It answers 11\u00a0%" in page.text


def test_dropped_pages_can_be_looked_at_by_step_and_reason(written: tuple[str, Page]):
    _, page = written
    for step, reasons in DROPPED.items():
        assert step in page.text
        assert all(reason in page.text for reason in reasons)
    assert page.text.count("Win a free prize!") >= 3 * len(DROPPED)


def test_hidden_labels_say_how_well_the_filters_judged(written: tuple[str, Page]):
    # 39 of 40 lessons, stories and recipes and 36 of 40 how-tos were kept, and 1 of 160 junk pages.
    assert "96\u00a0% of the good pages were kept, 99.4\u00a0% of the junk was dropped" in written[1].text


def changed(run: Path, stage: str, **values: object) -> None:
    """Let the manifest of a stage say something else where no digest covers it."""
    path = run / stage / "manifest.json"
    path.write_text(json.dumps({**json.loads(path.read_text()), **values}))


@pytest.mark.parametrize(
    ("formats", "bits", "name"),
    [
        ({"q4, groups of 64": 16, "q8, groups of 64": 1}, 4.8, "4"),
        ({"q4, groups of 64": 10, "q8, groups of 64": 7}, 6.31, "6.3"),
        ({"q8, groups of 64": 17}, 8.24, "8"),
    ],
)
def test_the_file_is_called_after_the_bits_of_its_layers(
    tmp_path: Path, formats: dict[str, int], bits: float, name: str
):
    run = make_run(tmp_path / "run")
    summary = {"bits_per_weight": bits, "embedding_bits": 8, "head_bits": 8, "matrices_by_format": formats}
    changed(run, "model", summary=summary)
    _, page = report(run)
    assert f"{bits:.1f} bits a weight, tokenizer" in page.text
    assert f"16 bits against {name}" in page.text
    assert f"{name}-bit file" in page.text
    assert ("4-bit" in page.text) == (name == "4")


def test_what_learnt_with_rounded_layers_is_said_to_be_so(tmp_path: Path, written: tuple[str, Page]):
    told = "learnt with rounded layers (chat tuning (SFT) and preferences (DPO)"
    run = make_run(tmp_path / "run")
    for stage in ("sft", "dpo"):
        changed(run, stage, settings={"qat_group": 64})
    assert told in report(run)[1].text
    assert told not in written[1].text


def test_how_often_the_better_answer_wins_is_told_of_many_steps(tmp_path: Path):
    run = make_run(tmp_path / "run")
    path = run / "dpo" / "metrics.jsonl"
    rows = [json.loads(line) for line in path.read_text().splitlines()]
    of_batches = [0.25] * (len(rows) - 30) + [0.5, 1.0] * 15
    rows = [{**row, "accuracy": accuracy} for row, accuracy in zip(rows, of_batches, strict=True)]
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    reseal(run / "dpo")
    assert "higher reward in 75\u00a0% of the pairs of the last 30 steps" in report(run)[1].text


def test_what_was_made_from_an_older_stage_is_said_to_be_so(tmp_path: Path):
    run = make_run(tmp_path / "run")
    assert "Not of one piece" not in report(run)[1].text
    parents = [open_artifact(run / "sft"), open_artifact(run / "primer")]
    settings = {"learning_rate": 0.25}
    with publish(run / "dpo", kind="checkpoint", stage="dpo", settings=settings, seed=7, parents=parents) as draft:
        draft.summary["parameters"] = 917_632
    _, page = report(run)
    assert "made model, evaluation-dpo, evaluation-model from an older dpo." in page.text
    # The recipe beside it was not changed: the page shows what the stage itself saw.
    assert "learning_rate0.25seed7" in page.text


def test_speed_is_that_of_answering(written: tuple[str, Page]):
    assert "23,000 tokens/s" in written[0]
    assert "3,700 tokens/s" in written[0]


def test_which_copy_stays_is_no_mistake(tmp_path: Path):
    run = make_run(tmp_path / "run", until="corpus")
    labels = [
        {"id": "original", "label": "good", "kind": "lesson"},
        {"id": "copy", "label": "junk", "kind": "near_duplicate", "near_duplicate_of": "original"},
    ]
    (run / "primer" / "labels.jsonl").write_text("".join(json.dumps(label) + "\n" for label in labels))
    (run / "corpus" / "web.jsonl").write_text(json.dumps({"source": "copy"}) + "\n")
    (run / "corpus" / "web_best.jsonl").write_text("")
    for name in ("primer", "corpus"):
        reseal(run / name)
    assert "100\u00a0% of the good pages were kept, 100\u00a0% of the junk was dropped" in report(run)[1].text


def reseal(directory: Path) -> None:
    """Let the manifest say the sizes that the files have now."""
    path = directory / "manifest.json"
    manifest = json.loads(path.read_text())
    for name, file in manifest["files"].items():
        file["bytes"] = (directory / name).stat().st_size
    path.write_text(json.dumps(manifest))


@pytest.mark.parametrize("damage", [b"\xff\xfe", b"[1]\n", b"{" * 3000, b'{"step": "one", "loss": NaN}\n', b""])
def test_damaged_files_take_their_picture_with_them_and_leave_a_note(tmp_path: Path, damage: bytes):
    run = make_run(tmp_path / "run")
    for stage, name in (
        ("phase1", "metrics.jsonl"),
        ("corpus", "dropped_samples.jsonl"),
        ("primer", "labels.jsonl"),
        ("evaluation-dpo", "results.json"),
        ("evaluation-model", "samples.jsonl"),
    ):
        (run / stage / name).write_bytes(damage)
        reseal(run / stage)
    (run / "recipe.json").write_bytes(damage)
    (run / "sft" / "manifest.json").write_bytes(damage)
    _, page = report(run)
    assert "Left out: " in page.text
    assert "sft is left out" in page.text


@pytest.mark.parametrize(
    "summary",
    [
        {},
        {"funnel": 3, "parts": [1], "data": "x", "parameters": "many"},
        {"funnel": [1, {"dropped": -1}], "data": {"web": 1}},
    ],
)
def test_summaries_of_another_form_are_passed_over(tmp_path: Path, summary: dict[str, object]):
    run = make_run(tmp_path / "run")
    for stage in STAGES:
        path = run / stage / "manifest.json"
        path.write_text(json.dumps({**json.loads(path.read_text()), "summary": summary}))
    report(run)


def test_nothing_to_report_is_an_error(tmp_path: Path):
    with pytest.raises(UserError, match="holds no finished stage"):
        write_report(tmp_path, tmp_path / "report")
    with pytest.raises(UserError, match="is no directory"):
        write_report(tmp_path / "absent", tmp_path / "report")
