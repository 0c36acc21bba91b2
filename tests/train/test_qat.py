"""Quantization-aware training: the grid is the file's, and gradients reach the weights behind it."""

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor, nn
from torch.testing import assert_close

from pocketphi.model import Decoder, initialise
from pocketphi.packing import round_to_nearest
from pocketphi.train.pretrain import next_token_loss
from pocketphi.train.qat import quantization_aware, round_to_grid, straight_through
from train.samples import MODEL

GROUP = 32


@pytest.fixture
def model() -> Decoder:
    return initialise(Decoder(MODEL.decoder_config(VOCABULARY)), torch.Generator().manual_seed(3))


VOCABULARY = 64
IDS = torch.arange(4 * 16).view(4, 16) * 7 % VOCABULARY


@given(
    rows=st.integers(1, 9),
    cols=st.integers(1, 150),
    group=st.sampled_from((32, 64, 128)),
    scale=st.sampled_from((0.0, 1e-9, 1e-6, 0.02, 1.0, 3e3)),
    seed=st.integers(0, 1000),
)
@settings(deadline=None)
def test_the_grid_is_that_of_the_file(rows: int, cols: int, group: int, scale: float, seed: int) -> None:
    weights = (np.random.default_rng(seed).standard_normal((rows, cols)) * scale).astype(np.float32)
    expected = round_to_nearest(weights, 4, group).dequantize()
    np.testing.assert_array_equal(round_to_grid(torch.from_numpy(weights), group).numpy(), expected)


def test_rounding_passes_the_gradient_on() -> None:
    weight = torch.randn(5, 70, generator=torch.Generator().manual_seed(1), requires_grad=True)
    rounded = straight_through(weight, GROUP)
    assert_close(rounded, round_to_grid(weight.detach(), GROUP))
    towards = torch.randn(5, 70, generator=torch.Generator().manual_seed(2))
    (rounded * towards).sum().backward()
    assert_close(weight.grad, towards, rtol=0, atol=0)


def test_the_loss_is_that_of_the_rounded_model(model: Decoder) -> None:
    """Loss and gradients are those of a model whose layers really are rounded; the model itself stays as it is."""
    before = {name: weight.clone() for name, weight in model.state_dict().items()}
    aware = quantization_aware(model, next_token_loss(model), GROUP)
    found = aware(IDS, IDS, None)["loss"]
    found.backward()

    other = Decoder(model.config)
    other.load_state_dict(before)
    inside = [name for name, weight in other.named_parameters() if ".layers." in name and weight.dim() == 2]
    with torch.no_grad():
        for name in inside:
            weight = other.get_parameter(name)
            weight.copy_(round_to_grid(weight, GROUP))
    expected = next_token_loss(other)(IDS, IDS, None)["loss"]
    expected.backward()

    plain = next_token_loss(model)(IDS, IDS, None)["loss"]
    assert inside
    assert_close(found, expected)
    assert abs(float(plain.detach() - found.detach())) > 1e-3
    for (name, ours), (_, theirs) in zip(model.named_parameters(), other.named_parameters(), strict=True):
        assert_close(ours.grad, theirs.grad, rtol=1e-4, atol=1e-5, msg=lambda text, name=name: f"{name}: {text}")
        assert torch.equal(ours, before[name])


class Line(nn.Module):
    """One matrix, with a name like a decoder's."""

    def __init__(self) -> None:
        super().__init__()
        self.body = nn.ModuleDict({"layers": nn.ModuleList([nn.Linear(64, 8, bias=False)])})
        nn.init.zeros_(self.line.weight)

    @property
    def line(self) -> nn.Linear:
        line: nn.Linear = self.body["layers"][0]
        return line


def test_what_was_learnt_with_rounding_survives_it() -> None:
    """Inputs that hang together let one weight make up for the rounding of another, which only training can find."""
    chance = torch.Generator().manual_seed(5)
    x = torch.randn(512, 6, generator=chance) @ torch.randn(6, 64, generator=chance)
    x += 0.05 * torch.randn(512, 64, generator=chance)
    y = x @ torch.randn(64, 8, generator=chance)

    def error_after_rounding(aware: bool) -> float:
        model = Line()

        def loss() -> Tensor:
            return (model.line(x) - y).square().mean()

        rounded = quantization_aware(model, loss, GROUP)
        adam = torch.optim.Adam(model.parameters(), lr=0.02)
        for step in range(400):
            adam.param_groups[0]["lr"] = 0.02 * (1 - step / 400)
            (rounded() if aware else loss()).backward()
            adam.step()
            adam.zero_grad()
        return float(rounded().detach())

    assert error_after_rounding(aware=True) < 0.75 * error_after_rounding(aware=False)
