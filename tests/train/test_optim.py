"""Optimizers against their formulas and against PyTorch's own Muon."""

import math
from itertools import pairwise

import pytest
import torch
from torch import Tensor, nn
from torch.testing import assert_close

from pocketphi.architecture import DecoderConfig
from pocketphi.model import Decoder, initialise
from pocketphi.train.optim import Muon, learning_rate, make_optimizers, orthogonalise
from train.samples import MODEL, phase

CONFIG: DecoderConfig = MODEL.decoder_config(300)


def gradients(model: nn.Module, seed: int) -> None:
    generator = torch.Generator().manual_seed(seed)
    for weight in model.parameters():
        weight.grad = torch.randn(weight.shape, generator=generator)


def test_adamw_is_the_formula() -> None:
    """Loshchilov and Hutter 2019, algorithm 2, in double precision; norms do not decay."""
    table = phase(learning_rate=3e-3, weight_decay=0.2, beta1=0.8, beta2=0.9)
    model = initialise(Decoder(CONFIG), torch.Generator().manual_seed(0))
    expected = {name: weight.detach().double() for name, weight in model.named_parameters()}
    first = {name: torch.zeros_like(weight) for name, weight in expected.items()}
    second = {name: torch.zeros_like(weight) for name, weight in expected.items()}
    (optimizer,) = make_optimizers(model, table)
    for step in (1, 2, 3):
        gradients(model, step)
        optimizer.step()
        for name, weight in model.named_parameters():
            assert weight.grad is not None
            gradient = weight.grad.double()
            decay = 0.2 if weight.dim() == 2 else 0.0
            first[name] = 0.8 * first[name] + 0.2 * gradient
            second[name] = 0.9 * second[name] + 0.1 * gradient**2
            mean, spread = first[name] / (1 - 0.8**step), second[name] / (1 - 0.9**step)
            expected[name] = expected[name] * (1 - 3e-3 * decay) - 3e-3 * mean / (spread.sqrt() + 1e-8)
    for name, weight in model.named_parameters():
        assert_close(weight.detach().double(), expected[name], rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("shape", [(24, 24), (16, 40), (40, 16)])
def test_muon_is_pytorchs_muon(shape: tuple[int, int]) -> None:
    def weight() -> nn.Parameter:
        return nn.Parameter(torch.randn(shape, generator=torch.Generator().manual_seed(0)))

    ours, theirs = weight(), weight()
    optimizers = [
        Muon([ours], [[shape[0]]], lr=0.02, weight_decay=0.1, dtype=torch.bfloat16),
        torch.optim.Muon([theirs], lr=0.02, weight_decay=0.1, momentum=0.95, adjust_lr_fn="match_rms_adamw"),
    ]
    for step in range(3):
        for moved, optimizer in zip((ours, theirs), optimizers, strict=True):
            moved.grad = torch.randn(shape, generator=torch.Generator().manual_seed(step + 1))
            optimizer.step()
    assert_close(ours, theirs, rtol=0, atol=2e-3)  # bfloat16 steps, in another order


def test_orthogonal_rows_come_out() -> None:
    matrices = torch.randn(3, 16, 48, generator=torch.Generator().manual_seed(0))
    values = torch.linalg.svdvals(orthogonalise(matrices, torch.float32))
    assert values.min() > 0.6
    assert values.max() < 1.3


def test_parts_of_a_fused_matrix_are_moved_as_if_they_stood_alone() -> None:
    def move(weights: list[Tensor], parts: list[list[int]]) -> Tensor:
        optimizer = Muon([nn.Parameter(w) for w in weights], parts, lr=0.1, weight_decay=0.0, dtype=torch.float32)
        generator = torch.Generator().manual_seed(1)
        for weight in optimizer.param_groups[0]["params"]:
            weight.grad = torch.randn(weight.shape, generator=generator)
        optimizer.step()
        return torch.cat([weight.detach() for weight in optimizer.param_groups[0]["params"]])

    fused = torch.zeros(48, 32)
    together = move([fused.clone()], [[32, 8, 8]])
    apart = move([part.clone() for part in fused.split([32, 8, 8])], [[32], [8], [8]])
    assert_close(together, apart)


def test_muon_takes_the_matrices_of_the_layers_and_adamw_the_rest() -> None:
    model = Decoder(CONFIG)
    muon, adamw = make_optimizers(model, phase(optimizer="muon"))
    names = {id(weight): name for name, weight in model.named_parameters()}
    by_muon = {names[id(weight)] for group in muon.param_groups for weight in group["params"]}
    by_adamw = {names[id(weight)] for group in adamw.param_groups for weight in group["params"]}
    assert by_muon == {name for name in names.values() if "_proj" in name}
    assert by_adamw == set(names.values()) - by_muon
    decayed = {names[id(weight)] for weight in adamw.param_groups[0]["params"]}
    assert decayed == {"model.embed_tokens.weight"}


@pytest.mark.parametrize("schedule", ["cosine", "constant_decay"])
def test_schedules_rise_and_fall(schedule: str) -> None:
    table = phase(schedule=schedule, learning_rate=2.0, warmup_steps=10, decay_fraction=0.25, final_fraction=0.1)
    rates = [learning_rate(table, step, 100) for step in range(100)]
    assert rates[0] == pytest.approx(2.0 / 11)
    assert rates[10] == max(rates) == 2.0
    assert rates[-1] == pytest.approx(0.2)
    assert all(later <= earlier for earlier, later in pairwise(rates[10:]))
    assert all(later > earlier for earlier, later in pairwise(rates[:11]))
    middle = rates[55]
    if schedule == "constant_decay":
        assert (middle, rates[74]) == (2.0, 2.0)
        assert rates[87] == pytest.approx(0.2 + 1.8 * 12 / 25)
    else:
        assert middle == pytest.approx(0.2 + 1.8 * (1 + math.cos(math.pi * 45 / 89)) / 2)


@pytest.mark.parametrize("steps", [1, 2, 5])
def test_short_runs_have_a_rate_in_every_step(steps: int) -> None:
    for schedule in ("cosine", "constant_decay"):
        table = phase(schedule=schedule, warmup_steps=20)
        assert all(0 < learning_rate(table, step, steps) <= table.learning_rate for step in range(steps))
