"""A real model: it answers, with the same bits on every path, and says what its weights say."""

import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

import pocketphi
from pocketphi.formats.pocket import PocketFile
from pocketphi.runtime import abi
from pocketphi.runtime.abi import Isa
from pocketphi.runtime.model import Model
from pocketphi.runtime.writer import StopReason
from reference.decoder import Reference, plain_weights
from reference.exact import ExactDecoder

ROOT = Path(__file__).parents[2]
BEST = Isa(abi.library().pp_best_isa())
TEXT = """A tide pool is a small world that the sea fills and leaves twice a day. Limpets hold on to the rock,
anemones close until the water comes back, and crabs wait under wet weed. In summer the water in a pool can become as
warm as a bath, and rain can make it almost fresh; whatever lives there must bear both. When the waves return they bring
food and cold water, and everything opens again. Children who lie down beside a pool and keep still for some minutes see
more of it than those who stir it with a stick, because the shrimps and the little fish come out of hiding."""


@pytest.fixture(scope="module")
def model(smollm2_file: PocketFile) -> Iterator[Model]:
    with Model(smollm2_file, threads=2, context=1024) as model:
        yield model


def test_it_answers_and_ends_its_turn(model: Model):
    with model.session() as session:
        text = "".join(session.reply("What is the capital of France?", max_tokens=60))
        assert "Paris" in text
        assert "<|" not in text
        assert session.stats is not None
        assert session.stats.stop_reason is StopReason.END


def test_a_second_turn_computes_only_what_is_new(model: Model):
    with model.session() as session:
        list(session.reply("What is the capital of France?", max_tokens=60))
        list(session.reply("And of Italy?", max_tokens=60))
        stats = session.stats
    assert stats is not None
    assert stats.cached_tokens > 0.6 * stats.prompt_tokens


def test_load_takes_a_path(smollm2_file: PocketFile):
    with pocketphi.load(smollm2_file.path, threads=1, context=256) as model:
        assert model.name == "smollm2-135m"
        assert model.context_size == 256
        assert model.template.name == "smollm2"
        assert model.bos_id is None


@pytest.mark.parametrize("threads", [1, 2, 3, 4, 8])
def test_threads_do_not_change_a_bit(smollm2_file: PocketFile, model: Model, threads: int):
    tokens = model.tokenizer.encode(TEXT)[:80]
    with Model(smollm2_file, threads=threads, context=256) as other:
        np.testing.assert_array_equal(other.logits(tokens), model.logits(tokens))


@pytest.mark.parametrize("isa", [isa.name.lower() for isa in Isa if Isa.AUTO < isa <= BEST])
def test_instruction_sets_do_not_change_a_bit(smollm2_file: PocketFile, model: Model, isa: str):
    tokens = model.tokenizer.encode(TEXT)[:40]
    with Model(smollm2_file, threads=2, context=256, isa=isa) as other:
        np.testing.assert_array_equal(other.logits(tokens), model.logits(tokens))


def test_decoding_gives_the_bits_of_the_prompt(model: Model):
    tokens = model.tokenizer.encode(TEXT)[:100]
    with model.engine.session() as session:
        rows = [session.step(tokens[:30]).logits, *(session.step([token]).logits for token in tokens[30:])]
    np.testing.assert_array_equal(np.concatenate(rows), model.logits(tokens)[29:])


def test_it_equals_the_numpy_decoder_bit_for_bit(model: Model):
    tokens = model.tokenizer.encode(TEXT)[:8]
    np.testing.assert_array_equal(model.logits(tokens), ExactDecoder(model.config, model.file.tensors).logits(tokens))


def test_it_says_what_its_weights_say(model: Model):
    """KL divergence to a float64 decoder: 8-bit activations cost some 3e-3, an error in the model 100 times as much."""
    tokens = model.tokenizer.encode(TEXT)[:120]
    exact = log_softmax(Reference(model.config, plain_weights(model.file)).logits(tokens))
    ours = log_softmax(model.logits(tokens).astype(np.float64))
    divergence = (np.exp(exact) * (exact - ours)).sum(axis=1)
    assert divergence.mean() < 0.01
    agree = (exact.argmax(axis=1) == ours.argmax(axis=1)).mean()
    assert agree > 0.9


def test_resident_memory_is_the_file_the_cache_and_little_more(smollm2_file: PocketFile):
    code = """
import sys, pocketphi
from pocketphi.runtime.machine import resident_memory
with pocketphi.load(sys.argv[1], threads=2, context=1024) as model, model.engine.session() as session:
    session.step([1] * 600)
    print(resident_memory() - model.file.size - model.engine.pages_in_use_bytes)
"""
    result = subprocess.run(
        [sys.executable, "-c", code, smollm2_file.path], capture_output=True, text=True, check=True, cwd=ROOT
    )
    assert int(result.stdout) < 150e6


def log_softmax(logits: np.ndarray) -> np.ndarray:
    shifted = logits - logits.max(axis=1, keepdims=True)
    return shifted - np.log(np.exp(shifted).sum(axis=1, keepdims=True))
