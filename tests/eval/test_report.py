"""The report: one file that loads nothing, that no text can break, that everybody can read, of any part of a run."""

import base64
import hashlib
import html
import json
import math
import re
from html.parser import HTMLParser
from itertools import pairwise
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from eval.made_run import DROPPED, HOSTILE, PARENTS, TOPICS, evaluate, make_run
from pocketphi.artifact import open_artifact, publish
from pocketphi.errors import UserError
from pocketphi.eval.report import pictures, reading, scores, svg, units, write_report
from pocketphi.eval.report.markup import Html, joined, tag

STAGES = tuple(PARENTS)
STYLES = Path(pictures.__file__).parent


class Page(HTMLParser):
    """A parsed page: elements in order, with their attributes; every element is closed where it must be."""

    def __init__(self, text: str) -> None:
        super().__init__(convert_charrefs=True)
        self.elements: list[tuple[str, dict[str, str | None]]] = []
        self.open: list[str] = []
        self.text = ""
        self.feed(text)
        self.close()
        assert not self.open

    def handle_starttag(self, name: str, attributes: list[tuple[str, str | None]]) -> None:
        assert len(dict(attributes)) == len(attributes), "an attribute is given twice"
        self.elements.append((name, dict(attributes)))
        if name not in {"meta", "br", "hr"}:
            self.open.append(name)

    def handle_endtag(self, name: str) -> None:
        assert self.open.pop() == name

    def handle_data(self, data: str) -> None:
        if "style" not in self.open:
            self.text += data

    def all(self, name: str) -> list[dict[str, str | None]]:
        return [attributes for found, attributes in self.elements if found == name]


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


def luminance(colour: str) -> float:
    """Relative luminance (WCAG 2.2)."""
    channels = [int(colour[i : i + 2], 16) / 255 for i in (1, 3, 5)]
    linear = [c / 12.92 if c <= 0.04045 else ((c + 0.055) / 1.055) ** 2.4 for c in channels]
    return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]


def contrast(one: str, other: str) -> float:
    light, dark = sorted((luminance(one), luminance(other)), reverse=True)
    return (light + 0.05) / (dark + 0.05)


def test_text_and_marks_stand_out_in_light_and_dark():
    style = (STYLES / "pictures.css").read_text()
    modes = [
        dict(re.findall(r"--([\w-]+): (#[0-9a-f]{6})", block))
        for block in re.findall(r":root \{(.*?)\}", style, re.DOTALL)
    ]
    assert len(modes) == 2
    for mode in modes:
        for ground in ("paper", "card", "mark"):
            assert contrast(mode["ink"], mode[ground]) >= 7
            assert contrast(mode["soft"], mode[ground]) >= 4.5
        assert contrast(mode["ink"], mode["good-paper"]) >= 7
        assert contrast(mode["ink"], mode["bad-paper"]) >= 7
        assert min(contrast(mode[name], mode["card"]) for name in ("good", "bad")) >= 4.5
        assert min(contrast(mode[f"f{i}"], mode["paper"]) for i in range(1, 7)) >= 3


words = st.text(st.sampled_from("abcdefghij klmno한국어"), min_size=1, max_size=40)
score = st.builds(
    reading.Score,
    accuracy=st.floats(0, 1),
    standard_error=st.floats(0, 0.5),
    count=st.integers(1, 10**6),
)
widths = st.sampled_from([pictures.WIDE, pictures.SLIM])


def inside(drawing: svg.Drawing) -> None:
    """Every coordinate is a number, and no text of a picture leaves it on the right or the left."""
    text = drawing.svg("a label", "wide")
    assert "nan" not in re.sub(r">[^<]*<", "><", text)
    assert "inf" not in re.sub(r">[^<]*<", "><", text)
    assert drawing.height > 0
    page = Page(text)
    assert all(float(e["x"] or 0) >= -0.01 for e in page.all("rect"))
    for e in page.all("rect"):
        assert float(e["x"] or 0) + float(e["width"] or 0) <= drawing.width + 0.6
        assert float(e["height"] or 0) >= 0
    for line in re.findall(r"<text ([^>]*)>([^<]*)<", drawing.svg("x", "wide").split("<g ")[0]):
        place = dict(re.findall(r'(\S+)="([^"]*)"', line[0]))
        width, x = svg.text_width(html.unescape(line[1]), 11), float(place["x"])
        start = x - width * {"end": 1, "middle": 0.5}.get(place.get("text-anchor", ""), 0)
        assert start >= -1
        assert start + width <= drawing.width + 1


@given(st.lists(st.tuples(words, st.integers(0, 10**7)), max_size=15), st.integers(1, 10**7), widths)
def test_a_funnel_of_any_pages_can_be_drawn(drops: list[tuple[str, int]], kept: int, width: float):
    total = kept + sum(count for _, count in drops)
    drawn = [pictures.Drop(label=name, count=count) for name, count in drops]
    inside(pictures.funnel(total, drawn, [("web", kept, "f1")], width))


def lines_of(drawing: svg.Drawing) -> list[tuple[float, str]]:
    """Height and content of every text."""
    found = re.findall(r'<text [^>]*?y="([^"]*)"[^>]*>([^<]*)<', drawing.svg("x", "wide"))
    return [(float(y), html.unescape(content)) for y, content in found]


def test_on_a_phone_the_names_in_a_funnel_are_whole_and_apart():
    names = ("broke a rule of writing", "nothing to learn from it", "nearly the same as another")
    drops = [pictures.Drop(label=name, count=count) for name, count in zip(names, (1806, 57, 666), strict=True)]
    shown = lines_of(pictures.funnel(8383, drops, [("web", 2674, "f1")], pictures.SLIM))
    assert set(names) < {content for _, content in shown}
    heights = sorted(y for y, _ in shown)
    assert min(after - before for before, after in pairwise(heights)) >= 13


@given(st.lists(st.floats(0, 1), min_size=1, max_size=4), widths)
def test_names_of_baselines_touch_no_line(accuracies: list[float], width: float):
    columns = [scores.Column(name="phase 1", colour="f1")]
    of = {
        f"baseline {i}": {"known": reading.Score(accuracy=accuracy, standard_error=0.0, count=9)}
        for i, accuracy in enumerate(accuracies)
    }
    drawing = scores.stages(columns, {"known": [None]}, of, width)
    text = drawing.svg("x", "wide")
    lines = [
        tuple(map(float, place))
        for place in re.findall(r'x1="([^"]*)" y1="([^"]*)" x2="([^"]*)" y2="[^"]*" class="baseline"', text)
    ]
    named = re.findall(r'<text x="([^"]*)" y="([^"]*)"[^>]*>baseline', text)
    assert len(named) == len(of)
    for x, y in named:
        assert float(y) < drawing.height
        assert not any(start <= float(x) <= end and float(y) - 12 < at < float(y) + 4 for start, at, end in lines)


def test_the_rate_axis_shows_every_stage_however_far_apart_they_are():
    pretraining = [4e-3 * min(step / 21, 1.0) for step in range(300)]
    preferences = [4.8e-7, 1e-5, 1e-6]
    axis = pictures.rate_axis([pretraining, preferences])
    assert axis.low < min(preferences)
    assert axis.high > max(pretraining)
    assert len({axis.place(rate, 0, 150) for rate in preferences}) == 3
    # What falls to nothing does not stretch the axis.
    assert pictures.rate_axis([[4e-3, 1e-9]]).low > 1e-5


@given(st.lists(st.tuples(words, st.floats(0, 1e9)), min_size=1, max_size=8), widths)
def test_any_bars_can_be_drawn(rows: list[tuple[str, float]], width: float):
    drawn = [
        svg.Bar(label=name, segments=[svg.Segment(value=v, colour="f1")], note=f"{v:.0f}", error=v / 9)
        for name, v in rows
    ]
    inside(svg.bars(drawn, width))


@given(st.dictionaries(words, st.lists(st.none() | score, min_size=4, max_size=4), max_size=9), widths)
def test_any_scores_can_be_drawn(of_topic: dict[str, list[reading.Score | None]], width: float):
    columns = [scores.Column(name=f"stage {i}", colour=f"f{i}") for i in range(1, 5)]
    inside(scores.topics(columns, {"known": of_topic, "new": of_topic}, width))
    inside(scores.stages(columns, {"known": next(iter(of_topic.values()), [None] * 4)}, {}, width))


@given(st.floats(-1e6, 1e6), st.floats(1e-6, 1e6))
def test_ticks_are_round_ordered_and_few(low: float, span: float):
    ticks = svg.nice_ticks(low, low + span)
    assert ticks == sorted(ticks)
    assert len(ticks) <= 7
    assert all(low - span * 1e-6 <= tick <= low + span * (1 + 1e-6) for tick in ticks)


@given(st.lists(st.floats(-5, 5), min_size=1, max_size=500), st.integers(1, 50))
def test_thinning_keeps_the_mean_and_the_extremes(values: list[float], most: int):
    line = svg.Line(name="x", points=[(float(i), v) for i, v in enumerate(values)], colour="f1")
    thin = svg.thinned(line, most)
    assert len(thin.points) == min(most, len(values))
    if thin.low:
        assert min(thin.low) == min(values)
        assert max(thin.high) == max(values)
        assert all(
            a <= y + 1e-9 and y <= b + 1e-9 for (_, y), a, b in zip(thin.points, thin.low, thin.high, strict=True)
        )


@pytest.mark.parametrize(
    ("shown", "expected"),
    [
        (units.count(917), "917"),
        (units.count(917_632), "918 k"),
        (units.count(2_500_000), "2.5 M"),
        (units.size(620_000), "620 kB"),
        (units.size(1_835_264), "1.84 MB"),
        (units.duration(8.24), "8.2 s"),
        (units.duration(754), "12 min 34 s"),
        (units.duration(7_384), "2 h 03 min"),
        (units.percent(0.0001), "< 0.1 %"),
        (units.percent(0.0673), "6.7 %"),
        (units.percent(0.715), "72 %"),
        (units.percent(0.9996), "99.9 %"),
        (units.percent(1.0), "100 %"),
        (units.in_words(3_821_079_552), "3.82 billion"),
    ],
)
def test_figures_are_told_as_people_read_them(shown: str, expected: str):
    assert shown.replace("\u00a0", " ") == expected


def test_a_picture_of_its_own_needs_no_page():
    drawing = svg.bars([svg.Bar(label=HOSTILE, segments=[svg.Segment(value=1.0, colour="f1")], note="1")], 820)
    page = Page(pictures.standalone(drawing, "one bar"))
    assert page.all("svg")[0]["aria-label"] == "one bar"
    assert math.isclose(float(page.all("svg")[0]["width"] or 0), 852)
    assert not page.all("script")
