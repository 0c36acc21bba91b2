"""The stages of a recipe: which there are, what they read, and one of them for real."""

import json
import math
import os
import random
import signal
import subprocess
import sys
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

from pocketphi.artifact import is_artifact, open_artifact
from pocketphi.cli.watch import duration, figures, headline
from pocketphi.data.pack import open_shard
from pocketphi.errors import UserError
from pocketphi.locks import exclusive
from pocketphi.pipeline import RECIPE, VERBS, make, open_backend, stages_named, stages_of
from pocketphi.recipe import Recipe, load_recipe, parse_recipe, settings_of
from pocketphi.runtime.backend import ScoreRequest
from pocketphi.tokenizer.train import load_tokenizer
from test_stages import Watch
from train.samples import document

FAST = Path(__file__).parent / "fast.toml"


def changed(**tables: Any) -> Recipe:
    """The fast recipe with some tables replaced; None takes one out."""
    return parse_recipe({**settings_of(load_recipe(FAST)), **tables}, "changed")


def parents(recipe: Recipe) -> Mapping[str, tuple[str, ...]]:
    return {stage.name: stage.parents for stage in stages_of(recipe)}


def test_every_stage_reads_what_comes_before_it_and_the_report_everything():
    read = parents(load_recipe(FAST))
    names = list(read)
    assert names[0] == "primer"
    assert names[-1] == "report"
    assert read["report"] == tuple(names[:-1])
    for position, name in enumerate(names):
        assert set(read[name]) <= set(names[:position]), name


def test_every_checkpoint_and_the_model_is_measured():
    names = list(parents(load_recipe(FAST)))
    for of in ("phase1", "phase2", "sft", "dpo", "model"):
        assert names.index(f"evaluation-{of}") == names.index(of) + 1
    assert {"evaluation-most-frequent-answer", "evaluation-5-gram"} <= set(names)


def test_a_recipe_without_phase_2_and_dpo_has_fewer_stages():
    phase1 = settings_of(load_recipe(FAST))["pretrain"]["phase1"]
    read = parents(changed(dpo=None, pretrain={"phase1": phase1}))
    assert "phase2" not in read
    assert "dpo" not in read
    assert read["sft"] == ("phase1", "primer")
    assert read["model"] == ("sft", "corpus")


def test_own_pages_alone_make_a_base_model_that_reads_held_out_pages(tmp_path: Path):
    phase1 = settings_of(load_recipe(FAST))["pretrain"]["phase1"]
    recipe = changed(primer=None, sft=None, dpo=None, pretrain={"phase1": phase1}, folders=[str(tmp_path)])
    read = parents(recipe)
    names = ["corpus", "tokenizer", "shards", "phase1", "evaluation-phase1", "model", "evaluation-model", "report"]
    assert list(read) == names
    assert read["evaluation-model"] == ("model", "shards", "tokenizer")


@pytest.mark.timeout(240)
def test_own_pages_alone_are_measured_by_what_held_out_documents_cost(tmp_path: Path):
    chance = random.Random(1)
    pages = tmp_path / "pages"
    pages.mkdir()
    for number in range(12):
        (pages / f"{number}.txt").write_text(document(number, chance).text)
    phase1 = {**settings_of(load_recipe(FAST))["pretrain"]["phase1"], "max_tokens": 4096, "batch_size": 4}
    recipe = changed(
        primer=None, sft=None, dpo=None, pretrain={"phase1": phase1}, folders=[str(pages)], curate={"filter": False},
        tokenizer={"vocab_size": 320},
    )  # fmt: skip
    outcomes = {each.stage: each.artifact for each in make(recipe, tmp_path / "run", view=Watch())}
    tokenizer = load_tokenizer(outcomes["tokenizer"])
    shard = open_shard(outcomes["shards"], "validation")
    assert shard.num_documents == 1, "a small corpus spares one document"
    text = tokenizer.decode(shard.document(0)[:-1].tolist())
    for of in ("phase1", "model"):
        found = outcomes[f"evaluation-{of}"]
        with open_backend(outcomes[of]) as backend:
            head, _, rest = text.partition(" ")
            [direct] = backend.score([ScoreRequest(context=head, continuation=" " + rest)])
        assert found.summary["perplexity"] == pytest.approx(math.exp(-direct.logprob / direct.num_tokens))
        bits = -direct.logprob / math.log(2) / len((" " + rest).encode())
        assert found.summary["bits_per_byte"] == pytest.approx(bits)
        assert "accuracy" not in found.summary
        assert "perplexity" in headline(found)
    page = (tmp_path / "run" / "report" / "report.html").read_text()
    shown = outcomes["evaluation-model"].summary
    assert f"{shown['perplexity']:.3g}" in page
    assert f"{shown['bits_per_byte']:.3f}" in page
    assert {"perplexity", "squeezed"} <= set(outcomes["report"].summary["sections"])
    assert "Prediction" in page


def test_the_report_is_made_again_when_what_only_it_shows_is_changed():
    def report_settings(**tables: Any) -> Mapping[str, Any]:
        return stages_of(changed(**tables))[-1].settings()

    same = report_settings()
    assert report_settings(name="other") != same
    assert report_settings(cluster={"num_gpus": 8}) != same


def test_a_verb_stands_for_its_stages_and_any_other_name_for_itself():
    stages = stages_of(load_recipe(FAST))
    named = {verb: stages_named(verb, stages) for verb in VERBS}
    assert (named["curate"], named["tokenize"]) == (["corpus"], ["tokenizer", "shards"])
    assert (named["pretrain"], named["quantize"]) == (["phase1", "phase2"], ["model"])
    assert named["evaluate"] == [stage.name for stage in stages if stage.name.startswith("evaluation-")]
    assert stages_named("sft", stages) == ["sft"]
    assert not VERBS.keys() & {stage.name for stage in stages}
    with pytest.raises(UserError, match="no stage that `evaluate` makes"):
        stages_named("evaluate", stages[:1])


def test_a_directory_always_carries_the_same_label():
    """So that a changed recipe may replace what it made before (`artifact.publish`)."""
    phase1 = settings_of(load_recipe(FAST))["pretrain"]["phase1"]
    recipes = [load_recipe(FAST), changed(dpo=None), changed(dpo=None, sft=None), changed(pretrain={"phase1": phase1})]
    labels: dict[str, str] = {}
    for recipe in recipes:
        for stage in stages_of(recipe):
            assert labels.setdefault(stage.name, stage.label) == stage.label


def test_own_pages_count_by_what_they_say_and_not_by_where_they_are(tmp_path: Path):
    def corpus_settings(folder: str, text: str) -> Mapping[str, Any]:
        pages = tmp_path / folder
        pages.mkdir(exist_ok=True)
        (pages / "page.txt").write_text(text)
        (corpus,) = (each for each in stages_of(load_recipe(FAST, (), [pages])) if each.name == "corpus")
        return corpus.settings()

    assert corpus_settings("here", "one") == corpus_settings("there", "one")
    assert corpus_settings("here", "one") != corpus_settings("here", "two")


@pytest.mark.parametrize("out", ["pages/runs/fast", "pages", "."])
def test_a_run_inside_its_own_pages_is_refused(tmp_path: Path, out: str):
    (tmp_path / "pages").mkdir()
    (tmp_path / "pages" / "page.txt").write_text("text")
    with pytest.raises(UserError, match="one holds the other"):
        make(load_recipe(FAST, (), [tmp_path / "pages"]), tmp_path / out, view=Watch())
    assert [path.name for path in (tmp_path / "pages").iterdir()] == ["page.txt"]


def test_listing_stages_loads_neither_torch_nor_the_data_engine():
    program = (
        "import sys; from pathlib import Path; from pocketphi.pipeline import *; from pocketphi.recipe import *\n"
        f"stages_of(load_recipe(Path({str(FAST)!r})))\n"
        "assert not {'torch', 'daft', 'numpy'} & sys.modules.keys()"
    )
    subprocess.run([sys.executable, "-c", program], check=True)


def test_a_stage_runs_in_a_process_of_its_own_and_is_found_again(tmp_path: Path):
    recipe = load_recipe(FAST, ["primer.web_bytes=20000", "primer.lesson_bytes=20000"])
    watch = Watch()
    (outcome,) = make(recipe, tmp_path / "run", view=watch, until="primer")
    assert not outcome.was_finished
    assert outcome.peak_memory_bytes is not None
    assert watch.figures, "it said how far it was"
    assert json.loads((tmp_path / "run" / RECIPE).read_text()) == settings_of(recipe)
    assert sorted(path.name for path in (tmp_path / "run").iterdir()) == ["logs", "primer", RECIPE]
    with pytest.raises(UserError, match="is the result of a stage"):
        make(recipe, tmp_path / "run" / "primer", view=watch)
    with pytest.raises(UserError, match="no stage"):
        make(recipe.model_copy(update={"seed": 2}), tmp_path / "run", view=watch, until="primr")
    assert json.loads((tmp_path / "run" / RECIPE).read_text()) == settings_of(recipe)
    (again,) = make(recipe, tmp_path / "run", view=watch, until="primer")
    assert again.was_finished
    (other,) = make(recipe.model_copy(update={"seed": 2}), tmp_path / "run", view=watch, until="primer")
    assert not other.was_finished
    assert other.artifact.content != outcome.artifact.content


def test_a_corpus_of_own_pages_that_are_no_good_says_what_dropped_them(tmp_path: Path):
    phase1 = settings_of(load_recipe(FAST))["pretrain"]["phase1"]
    pages = tmp_path / "pages"
    pages.mkdir()
    (pages / "page.html").write_text("<html><body><p>buy now</p></body></html>")
    recipe = changed(primer=None, sft=None, dpo=None, pretrain={"phase1": phase1}, folders=[str(pages)])
    with pytest.raises(UserError, match="corpus: ") as error:
        make(recipe, tmp_path / "run", view=Watch())
    assert not is_artifact(tmp_path / "run" / "corpus")
    assert "page" in error.value.message


def test_a_run_in_use_is_refused_and_free_again_after_a_kill(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr("pocketphi.pipeline._SECONDS_FOR_THE_LOCK", 0.1)
    out = tmp_path / "run"
    command = [
        sys.executable,
        "-m",
        "pocketphi",
        "make",
        str(FAST),
        "--out",
        str(out),
        "--set",
        "primer.web_bytes=50000000",
    ]
    with subprocess.Popen(command, stderr=subprocess.DEVNULL) as process:
        while not (out / "primer.partial").exists():
            assert process.poll() is None
            time.sleep(0.01)
        with pytest.raises(UserError, match="is in use by another run"):
            make(load_recipe(FAST), out, view=Watch(), until="primer")
        process.send_signal(signal.SIGKILL)
    with exclusive(out / "run.lock", "still in use", wait_seconds=10):
        assert not is_artifact(out / "primer")
    small = load_recipe(FAST, ["primer.web_bytes=20000", "primer.lesson_bytes=20000"])
    make(small, out, view=Watch(), until="primer")
    assert not (out / "primer.partial").exists()


def test_a_directory_that_cannot_be_written_is_an_error(tmp_path: Path):
    (tmp_path / "file").write_text("")
    with pytest.raises(UserError, match="cannot write in"):
        make(load_recipe(FAST), tmp_path / "file" / "run", view=Watch())


def test_the_command_line_makes_shows_and_explains(tmp_path: Path):
    def pocketphi(*arguments: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [sys.executable, "-m", "pocketphi", *arguments], cwd=tmp_path, capture_output=True, text=True, timeout=60
        )

    small = ["--set", "primer.web_bytes=20000", "--set", "primer.lesson_bytes=20000"]
    made = pocketphi("make", str(FAST), "--until", "primer", *small)
    assert made.returncode == 0, made.stderr
    assert made.stdout == "runs/fast/primer\n"
    assert "pages" in made.stderr
    assert "total" in made.stderr
    shown = pocketphi("show", "runs/fast/primer")
    assert "kind  primer" in shown.stdout
    assert f"content  {open_artifact(tmp_path / 'runs/fast/primer').content}" in shown.stdout
    assert json.loads(pocketphi("show", "runs/fast/primer", "--json").stdout)["seed"] == 1
    assert pocketphi("show", "runs/fast").stdout.startswith("primer ")
    assert pocketphi("verify", "runs/fast").stdout == "runs/fast/primer\n"
    assert pocketphi("primer", str(FAST), *small).stdout == "runs/fast/primer\n"
    early = pocketphi("sft", str(FAST), *small)
    assert early.returncode == 1
    assert "error: `runs/fast/corpus` is not finished" in early.stderr
    unknown = pocketphi("make", str(FAST), "--set", "sft.epoch=2")
    assert unknown.returncode == 1
    assert "did you mean `epochs`?" in unknown.stderr
    missing = pocketphi("make", str(FAST), "--data", "nowhere")
    assert "nowhere` does not exist" in missing.stderr
    assert json.loads(pocketphi("schema").stdout)["title"] == "Recipe"


@pytest.mark.parametrize(
    ("seconds", "text"),
    [(0.04, "0.0 s"), (59.94, "59.9 s"), (59.96, "1 min 00 s"), (185, "3 min 05 s"), (7800, "2 h 10 min")],
)
def test_durations_read_well(seconds: float, text: str):
    assert duration(seconds) == text


def test_figures_are_one_line():
    assert figures({"loss": 2.3149, "tokens/s": 51234.5, "steps": 1200, "part": "web"}) == (
        "loss 2.315, tokens/s 51,234, steps 1,200, part web"
    )


@pytest.mark.slow
@pytest.mark.timeout(900)
def test_the_fast_recipe_goes_from_pages_to_a_chat(tmp_path: Path):
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    command = [sys.executable, "-m", "pocketphi"]
    out = tmp_path / "run"
    made = subprocess.run(
        [*command, "make", str(FAST), "--out", str(out)], capture_output=True, text=True, env=environment
    )
    assert made.returncode == 0, made.stderr
    assert made.stdout == f"{out / 'report' / 'report.html'}\n"
    assert (out / "report" / "report.html").stat().st_size > 10_000
    for path in (out, out / "model", out / "model" / "model.pocket"):
        said = subprocess.run(
            [*command, "chat", str(path), "--prompt", "What is 2 + 3?", "--max-tokens", "8"],
            capture_output=True, text=True, env=environment,
        )  # fmt: skip
        assert said.returncode == 0, said.stderr
    model = open_artifact(out / "model")
    stages = {story["stage"] for story in model.manifest["ancestors"].values()}
    assert stages == {"primer", "corpus", "tokenizer", "shards", "pretrain.phase1", "pretrain.phase2", "sft", "dpo"}
