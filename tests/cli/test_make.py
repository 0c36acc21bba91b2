"""The verbs that make one thing by itself, and those that make a part of a run."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
import torch

from pocketphi.artifact import Artifact, open_artifact, publish
from pocketphi.model.checkpoint import save_checkpoint
from pocketphi.model.decoder import Decoder
from pocketphi.model.initialise import initialise
from pocketphi.recipe import TokenizerTable
from pocketphi.tokenizer.train import train_tokenizer
from tiny import tiny_config
from tokenizer.samples import TEXTS

FAST = Path(__file__).parents[1] / "fast.toml"
PAGE = "The river runs from the hills to the sea, and the people who live beside it know it well. "


@pytest.fixture
def checkpoint(tmp_path: Path) -> Artifact:
    """A finished stage that trained, in a run."""
    tokenizer = train_tokenizer(TokenizerTable(vocab_size=320), TEXTS, tmp_path / "run" / "tokenizer", seed=1)
    model = initialise(Decoder(tiny_config(vocab_size=320)), torch.Generator().manual_seed(1))
    with publish(tmp_path / "run" / "dpo", kind="checkpoint", stage="dpo", settings={}, parents=(tokenizer,)) as draft:
        save_checkpoint(model, draft.path, tokenizer_dir=tokenizer.path, stop_token_ids=[5])
    return open_artifact(tmp_path / "run" / "dpo")


def test_a_checkpoint_is_rounded_but_never_replaced_by_its_model(pocketphi, checkpoint, tmp_path):
    code, out, err = pocketphi("quantize", checkpoint.path, "-o", checkpoint.path)
    assert (code, out) == (1, "")
    assert "is what `quantize` reads" in err
    assert open_artifact(checkpoint.path).content == checkpoint.content
    code, out, err = pocketphi("quantize", checkpoint.path, "-o", tmp_path / "deep" / "model")
    assert (code, out) == (0, f"{tmp_path / 'deep' / 'model' / 'model.pocket'}\n"), err
    assert [path.name for path in (tmp_path / "deep").iterdir()] == ["model"]


def test_folders_are_not_curated_over_another_stage(pocketphi, checkpoint, tmp_path):
    (tmp_path / "pages").mkdir()
    (tmp_path / "pages" / "page.txt").write_text(PAGE)
    before = sorted(path.name for path in checkpoint.path.parent.iterdir())
    code, _, err = pocketphi("curate", tmp_path / "pages", "-o", checkpoint.path)
    assert code == 1
    assert "is a finished checkpoint of `dpo`, which the corpus of `corpus` does not replace" in err
    assert sorted(path.name for path in checkpoint.path.parent.iterdir()) == before
    assert open_artifact(checkpoint.path).content == checkpoint.content


def test_a_place_that_is_none_is_refused(pocketphi, tmp_path):
    assert pocketphi("quantize", tmp_path, "-o", ".")[0] == 2
    (tmp_path / "file").write_text("")
    code, _, err = pocketphi("quantize", tmp_path, "-o", tmp_path / "file" / "model")
    assert code == 1
    assert "cannot write" in err


def test_interrupted_curation_says_nothing_of_its_libraries(tmp_path):
    pages, out = tmp_path / "pages", tmp_path / "out"
    pages.mkdir()
    for number in range(300):
        (pages / f"{number}.txt").write_text(f"{number}. " + 200 * PAGE)
    command = [sys.executable, "-m", "pocketphi", "curate", str(pages), "-o", str(out)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE) as process:
        while not (tmp_path / "out.partial").exists():
            assert process.poll() is None
            time.sleep(0.01)
        os.kill(process.pid, signal.SIGINT)
        said = process.communicate(timeout=30)
    assert (process.returncode, said) == (130, (b"", b"corpus ...\n"))
    assert not out.exists()
    assert not (tmp_path / "out.log").exists()


def test_verbs_stand_for_their_stages(pocketphi, tmp_path):
    small = ["--set", "primer.web_bytes=20000", "--set", "primer.lesson_bytes=20000", "--out", tmp_path / "run"]
    code, _, err = pocketphi("make", FAST, *small, "--until", "curate", "--from", "pretrain")
    assert code == 1
    assert "`phase1` comes after `corpus`" in err
    code, _, err = pocketphi("make", FAST, *small, "--until", "tokenize", "--from", "evaluate")
    assert "`evaluation-phase1` comes after `shards`" in err
    code, _, err = pocketphi("make", FAST, *small, "--until", "evaluate", "--from", "report")
    assert "`report` comes after `evaluation-most-frequent-answer`" in err
    base = tmp_path / "base.toml"
    base.write_text(FAST.read_text().split("[sft]")[0])
    code, _, err = pocketphi("sft", base, *small)
    assert code == 1
    assert "the recipe has no stage `sft`" in err
