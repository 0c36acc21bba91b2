"""The plan against counts made another way: torch's own counter, saved tensors, sums by hand, published figures."""

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import torch
from torch.nn.attention import SDPBackend, sdpa_kernel
from torch.utils.flop_counter import FlopCounterMode
from typer.testing import CliRunner

from pocketphi.architecture import DecoderConfig
from pocketphi.cli.app import app
from pocketphi.errors import UserError
from pocketphi.model import Decoder, loss
from pocketphi.model.attention import visible_keys
from pocketphi.recipe import load_recipe
from pocketphi.train.plan import (
    activation_bytes,
    flops_per_token,
    make_plan,
    mean_visible_keys,
    num_parameters,
    published_runs,
)
from tiny import tiny_config

RECIPES = Path(__file__).parents[2] / "recipes"
SIZES = ("mini", "medium")


def small(**changes: Any) -> DecoderConfig:
    """Wide enough that matrices rule, as in real models."""
    return tiny_config(
        **{
            "hidden_size": 128,
            "intermediate_size": 320,
            "num_attention_heads": 8,
            "vocab_size": 512,
            **changes,
        }
    )


def counted_flops(model: Decoder, ids: torch.Tensor) -> int:
    """What torch's counter sees in a step. It knows nothing of causality: attention is the whole square."""
    with FlopCounterMode(display=False) as counter, sdpa_kernel(SDPBackend.MATH):
        model.loss(model(ids), ids).backward()
    return counter.get_total_flops()


@pytest.mark.parametrize("tied", [False, True])
def test_flops_are_those_that_torch_counts(tied):
    config, length = small(tie_word_embeddings=tied), 64
    counted = counted_flops(Decoder(config), torch.zeros(2, length, dtype=torch.long))
    assert 2 * length * flops_per_token(config, length).total == pytest.approx(counted, rel=1e-3)


@pytest.mark.parametrize("size", SIZES)
def test_flops_of_the_reports_sizes_are_those_that_torch_counts(size, monkeypatch):
    """The real shapes, without their weights. A head that is computed twice to save memory would add 0.7 %."""
    monkeypatch.setattr(loss, "MAX_WHOLE_LOGITS", 1 << 40)
    recipe = load_recipe(RECIPES / f"{size}.toml")
    with torch.device("meta"):
        model = Decoder(recipe.model.decoder_config(recipe.tokenizer.vocab_size))
        counted = counted_flops(model, torch.zeros(1, 4096, dtype=torch.long))
    plan = make_plan(recipe)
    assert plan.flops_of_square / plan.tokens == pytest.approx(counted / 4096, rel=1e-3)


@pytest.mark.parametrize("window", [None, 1, 5, 12, 40])
def test_visible_keys_are_those_of_the_mask(window):
    length = 12
    mask = visible_keys(torch.arange(length)[None], length, window)
    assert mean_visible_keys(length, window) == pytest.approx(int(mask.sum()) / length)


def test_flops_of_mini_by_hand():
    """Six for each weight that is multiplied, and twelve for each key, feature and layer."""
    plan = make_plan(load_recipe(RECIPES / "mini.toml"))
    matrices = 32 * (9216 * 3072 + 3072 * 3072 + 16_384 * 3072 + 3072 * 8192) + 32_064 * 3072
    keys = sum(min(place, 2047) for place in range(1, 4097)) / 4096
    by_hand = 3.3e12 * (6 * matrices + 12 * 32 * 3072 * keys)
    assert plan.flops == pytest.approx(by_hand, rel=1e-9)
    assert plan.flops == pytest.approx(6 * 3.82e9 * 3.3e12, rel=0.1)  # the rule of thumb


@pytest.mark.parametrize(
    ("size", "parameters", "tokens"), [("mini", 3_821_079_552, 3.3e12), ("medium", 13_960_238_080, 4.8e12)]
)
def test_the_reports_sizes_are_the_reports(size, parameters, tokens):
    plan = make_plan(load_recipe(RECIPES / f"{size}.toml"))
    assert plan.parameters == parameters
    assert plan.tokens == tokens
    assert plan.checkpoint_bytes == 2 * parameters
    assert plan.fits


def test_published_runs_imply_a_quarter_of_the_peak():
    """Facts: 6 x 3.82e9 x 3.3e12 FLOPs in 7 days of 512 H100 are some 25 % before attention is counted."""
    found = {run.name: run.utilization for run in published_runs()}
    assert found.keys() == {"phi-3-mini, April 2024", "phi-3-mini, June 2024", "phi-3-medium", "phi-3.5-MoE"}
    assert found["phi-3-mini, April 2024"] == pytest.approx(0.26, abs=0.01)
    assert all(0.19 < value < 0.30 for value in found.values()), found


def test_the_mixture_of_experts_is_counted_by_its_published_active_part():
    """6,640,999,744 active parameters: what is multiplied, the embedding, and norms and biases, which do not count."""
    run = next(run for run in published_runs() if "MoE" in run.name)
    attention = 12 * 32 * 4096 * (4096 + 1) / 2
    multiplied = (run.flops / run.tokens - attention) / 6
    norms_and_biases = 32 * (4 * 4096 + (4096 + 2 * 1024) + 4096) + 2 * 4096 + 32_064
    assert multiplied + 32_064 * 4096 + norms_and_biases == pytest.approx(6_640_999_744, abs=1)


@pytest.mark.parametrize("recompute", [False, True])
def test_activations_are_what_autograd_saves(recompute):
    """Every storage that the backward pass holds, counted once; sequences are long enough for attention's kernel."""
    config, batch, length = small(num_hidden_layers=4, max_position_embeddings=1024), 3, 640
    model = Decoder(config, recompute=recompute)
    held: dict[int, Any] = {}

    def note(tensor: torch.Tensor) -> torch.Tensor:
        storage = tensor.untyped_storage()
        held[storage.data_ptr()] = storage  # keeping it keeps its address from being used again
        return tensor

    ids = torch.zeros(batch, length, dtype=torch.long)
    with torch.autocast("cpu", torch.bfloat16), torch.autograd.graph.saved_tensors_hooks(note, lambda tensor: tensor):
        hidden = model(ids)
    assert hidden.requires_grad
    weights = {weight.untyped_storage().data_ptr() for weight in model.parameters()}
    found = sum(storage.nbytes() for address, storage in held.items() if address not in weights)
    # Not in the plan: autocast's copies of the weights, and the normed stream, which only the unfused norm keeps.
    tokens, layers = batch * length, config.num_hidden_layers
    copies = 0 if recompute else 2 * sum(weight.numel() for weight in model.model.layers.parameters())
    unfused = 4 * config.hidden_size * tokens * (1 if recompute else 2 * layers + 1)
    # In the plan, but not left by the layers: the head's input and logits, and the one layer that is computed again.
    head = tokens * (2 * config.hidden_size + 10 * config.vocab_size)
    kept = [activation_bytes(small(num_hidden_layers=count), tokens, recompute=False) for count in (1, 2)]
    layer = kept[1] - kept[0] if recompute else 0
    planned = activation_bytes(config, tokens, recompute=recompute) - head - layer
    assert planned + copies + unfused == pytest.approx(found, rel=0.03)


def test_memory_shrinks_with_the_number_of_gpus():
    plans = [make_plan(load_recipe(RECIPES / "mini.toml", [f"cluster.num_gpus={count}"])) for count in (64, 512)]
    assert plans[0].memory.weights == 8 * plans[1].memory.weights
    assert plans[0].memory.activations > plans[1].memory.activations
    assert plans[0].days == pytest.approx(8 * plans[1].days)
    assert plans[0].dollars == pytest.approx(plans[1].dollars)


def test_a_model_that_does_not_fit_says_so():
    changes = ["cluster.num_gpus=2", "cluster.gpu_memory_bytes=24000000000"]
    plan = make_plan(load_recipe(RECIPES / "medium.toml", changes))
    assert plan.fits is False
    assert plan.recompute is None
    options = [option for change in changes for option in ("--set", change)]
    table = CliRunner().invoke(app, ["plan", str(RECIPES / "medium.toml"), *options])
    assert "it does not fit" in table.stdout
    assert plan.accumulate == {}
    assert "no `accumulate` is enough" in table.stdout


def test_what_would_make_it_fit_is_said_and_does():
    fewer = ["cluster.num_gpus=16"]
    plan = make_plan(load_recipe(RECIPES / "mini.toml", fewer))
    assert plan.fits is False
    ways = [f"pretrain.{name}.accumulate={count}" for name, count in plan.accumulate.items()]
    assert len(ways) == len(plan.phases)
    table = CliRunner().invoke(app, ["plan", str(RECIPES / "mini.toml"), "--set", *fewer])
    assert all(f"--set {way}" in table.stdout for way in ways)
    assert make_plan(load_recipe(RECIPES / "mini.toml", fewer + ways)).fits
    halves = [f"pretrain.{name}.accumulate={count // 2}" for name, count in plan.accumulate.items()]
    assert not make_plan(load_recipe(RECIPES / "mini.toml", fewer + halves)).fits, "and no fewer do"


def test_more_gpus_than_sequences_are_refused():
    recipe = load_recipe(RECIPES / "mini.toml", ["cluster.num_gpus=2048"])
    with pytest.raises(UserError, match=r"`pretrain.phase1` has 1024 sequences at a time for 2048 GPUs"):
        make_plan(recipe)


@pytest.mark.parametrize("recipe", sorted(path.stem for path in RECIPES.glob("*.toml")))
def test_every_recipe_has_a_plan(recipe):
    table = CliRunner().invoke(app, ["plan", str(RECIPES / f"{recipe}.toml")])
    assert table.exit_code == 0, table.output
    config = load_recipe(RECIPES / f"{recipe}.toml")
    shape = config.model.decoder_config(config.tokenizer.vocab_size)
    assert f"{num_parameters(shape):,}" in table.stdout
    assert all(len(line) <= 120 for line in table.stdout.splitlines())
    assert ("\ncost" in table.stdout) == (config.cluster is not None)


def test_json_holds_the_figures_of_the_table():
    result = CliRunner().invoke(app, ["plan", str(RECIPES / "mini.toml"), "--json"])
    plan = json.loads(result.stdout)
    assert plan["parameters"] == 3_821_079_552
    assert plan["days"] == pytest.approx(sum(phase["days"] for phase in plan["phases"]))
    assert plan["dollars"] == pytest.approx(plan["days"] * 24 * 512 * 2.5)
    assert len(plan["published"]) == 4


def test_planning_needs_no_torch():
    code = (
        "import sys, pocketphi.train.plan; print([name for name in ('torch', 'transformers') if name in sys.modules])"
    )
    found = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert found.stdout.strip() == "[]"
