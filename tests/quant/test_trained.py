"""A model that has learnt something still knows it at 4 bits, in the engine and in torch."""

import importlib.util
from argparse import Namespace
from pathlib import Path
from types import ModuleType

import pytest
import torch

from pocketphi.artifact import Artifact, open_artifact, publish
from pocketphi.chat import Message, render, template_by_name
from pocketphi.data.records import Question, write_questions
from pocketphi.model.checkpoint import save_checkpoint
from pocketphi.model.decoder import Decoder
from pocketphi.model.initialise import initialise
from pocketphi.quant.quantize import quantize
from pocketphi.recipe import Quantize, TokenizerTable
from pocketphi.tokenizer.train import load_tokenizer, train_tokenizer
from tiny import tiny_config

pytestmark = pytest.mark.usefixtures("one_thread")

NAMES = "Anna Ben Carla David Emma Felix Greta Henry Ida Jonas Karin Leo Maria Nina Oscar Paula"
PLACES = "Rome Oslo Bonn Lima Cairo Paris Delhi Quito Kiev Riga Bern Prague Seoul Tunis Minsk Dakar"
FACTS = {f"Where does {name} live?": place for name, place in zip(NAMES.split(), PLACES.split(), strict=True)}


@pytest.fixture
def run(tmp_path: Path) -> Path:
    """A run directory with a primer, a trained `sft` and its `model`."""
    folder = tmp_path / "run"
    folder.mkdir()
    texts = [f"{question}\nThat is easy.\nAnswer: {place}" for question, place in FACTS.items()]
    tokenizer = train_tokenizer(TokenizerTable(vocab_size=320), texts, folder / "tokenizer", seed=1)
    with publish(folder / "primer", kind="primer", stage="primer", settings={}) as draft:
        questions = [
            Question(id=question, topic="places", tier="known_templates", question=question, answer=place)
            for question, place in FACTS.items()
        ]
        write_questions(draft.path / "questions.jsonl", questions)
    model = trained(tokenizer)
    with publish(folder / "sft", kind="checkpoint", stage="sft", settings={}, parents=(tokenizer,)) as draft:
        save_checkpoint(model, draft.path, tokenizer_dir=tokenizer.path)
    quantize(Quantize(), open_artifact(folder / "sft"), folder / "model", seed=1, calibration=texts * 8)
    return folder


def trained(tokenizer: Artifact) -> Decoder:
    """A model that knows the facts by heart."""
    vocabulary, template = load_tokenizer(tokenizer), template_by_name("phi-3")
    end, pad = vocabulary.special_ids["<|end|>"], vocabulary.special_ids["<|pad|>"]
    rows = []
    for question, place in FACTS.items():
        prompt = vocabulary.encode_segments(render(template, [Message("user", question)]))
        rows.append([*prompt, *vocabulary.encode(f"That is easy.\nAnswer: {place}"), end])
    width = max(map(len, rows))
    ids = torch.tensor([row + [pad] * (width - len(row)) for row in rows])
    model = initialise(Decoder(tiny_config(vocab_size=320)), torch.Generator().manual_seed(1))
    optimizer = torch.optim.AdamW(model.parameters(), lr=5e-3)
    for _ in range(100):
        loss = model.loss(model(ids[:, :-1]), ids[:, 1:], ids[:, 1:] != pad)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    return model


def benchmark() -> ModuleType:
    path = Path(__file__).parents[2] / "benchmarks" / "quantized.py"
    spec = importlib.util.spec_from_file_location("quantized", path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_every_runtime_knows_the_facts_at_every_width(run: Path):
    report = benchmark().measure(Namespace(runs=[run], unrounded=[run], questions=100, max_tokens=30, threads=1))
    assert {name: found["accuracy"] for name, found in report["accuracy"].items()} == {
        "checkpoint, torch": 1.0,
        "16 bits, engine": 1.0,
        "4 bits, engine": 1.0,
        "4 bits, torch": 1.0,
        "16 bits, tuned without rounding, engine": 1.0,
    }
    assert all(found["same_text"] == 1.0 for found in report["torch and engine"].values())
    assert all(bar["met"] for bar in report["bars"])
    assert report["runs"][0]["bytes_4_bit"] < 0.6 * report["runs"][0]["bytes_16_bit"]
