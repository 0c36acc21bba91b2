"""What the decoder promises beyond the published arithmetic."""

import math
from typing import Any

import pytest
import torch
from torch import nn
from torch.utils._python_dispatch import TorchDispatchMode

from model.shapes import decoder, tokens
from pocketphi.architecture import DecoderConfig, expected_tensors
from pocketphi.errors import UserError
from pocketphi.model import Decoder, initialise, loss
from pocketphi.model.attention import attend, visible_in_documents
from pocketphi.recipe import load_recipe
from tiny import longrope_config, tiny_config


@pytest.mark.parametrize("tied", [False, True])
def test_weights_have_the_published_names_and_shapes(tied):
    config = tiny_config(tie_word_embeddings=tied)
    found = {name: tuple(weight.shape) for name, weight in Decoder(config).state_dict().items()}
    expected = {name: (cols,) if rows == 1 else (rows, cols) for name, (rows, cols) in expected_tensors(config).items()}
    assert found == expected


@pytest.mark.parametrize(("recipe", "parameters"), [("mini", 3_821_079_552), ("medium", 13_960_238_080)])
def test_the_published_sizes_have_the_published_counts(recipe, parameters, pytestconfig):
    table = load_recipe(pytestconfig.rootpath / "recipes" / f"{recipe}.toml")
    with torch.device("meta"):
        model = Decoder(table.model.decoder_config(table.tokenizer.vocab_size))
        assert model(torch.zeros(1, 8, dtype=torch.long)).shape == (1, 8, table.model.hidden_size)
    assert sum(weight.numel() for weight in model.parameters()) == parameters


def test_a_window_hides_what_is_too_far_back():
    """One layer sees 5 keys, itself included; so a token has no say 5 places on, and has one 4 places on."""
    model = decoder(num_hidden_layers=1, sliding_window=5)
    ids = tokens(1, 12)
    changed = ids.clone()
    changed[0, 2] = (ids[0, 2] + 1) % 272
    moved = (model(ids) - model(changed)).abs().amax(dim=2)[0] > 0
    assert moved.tolist() == [2 <= place < 7 for place in range(12)]


@pytest.mark.parametrize("config", [tiny_config(), tiny_config(sliding_window=6), longrope_config(border=16)])
def test_rows_of_different_length_are_read_as_if_alone(config):
    """Prompts padded on the right, then steps; with LongRoPE the rows cross the border one after the other."""
    model = decoder(config)
    prompts = [tokens(1, length, seed=length) for length in (5, 14, 9)]
    rest = tokens(3, 8, seed=9)
    padded = torch.full((3, 14), 7)
    for row, prompt in enumerate(prompts):
        padded[row, : prompt.shape[1]] = prompt
    cache = model.new_cache(3, 30)
    lengths = [prompt.shape[1] for prompt in prompts]
    with torch.no_grad():
        batch = [model(padded, cache=cache, lengths=lengths)[torch.arange(3), torch.tensor(lengths) - 1]]
        batch += [model(rest[:, place : place + 1], cache=cache)[:, 0] for place in range(8)]
        for row, prompt in enumerate(prompts):
            for step, hidden in enumerate(batch):
                alone = model(torch.cat([prompt, rest[row : row + 1, :step]], dim=1))[0, -1]
                assert (hidden[row] - alone).abs().max() < 2e-5, (row, step)
    assert cache.lengths == [length + 8 for length in lengths]


def test_padding_does_not_make_a_short_row_long():
    model = decoder(longrope_config(border=16))
    ids = tokens(2, 20)
    with torch.no_grad():
        both = model(ids, lengths=[12, 20])
        assert (both[0, :12] - model(ids[:1, :12])[0]).abs().max() < 2e-5
        assert (both[1] - model(ids[1:])[0]).abs().max() < 2e-5


def test_rows_that_are_done_leave_the_cache():
    model = decoder()
    ids = tokens(3, 10)
    cache = model.new_cache(3, 16)
    with torch.no_grad():
        model(ids[:, :9], cache=cache, lengths=[9, 4, 9])
        cache.keep([2, 0])
        hidden = model(ids[[2, 0], 9:], cache=cache)
        assert (hidden - model(ids[[2, 0]])[:, 9:]).abs().max() < 2e-5
    assert cache.lengths == [10, 10]


def test_a_full_cache_says_so():
    model = decoder()
    cache = model.new_cache(1, 8)
    model(tokens(1, 6), cache=cache)
    with pytest.raises(UserError, match="6 tokens and 3 more do not fit in a cache of 8"):
        model(tokens(1, 3), cache=cache)


class Dtypes(TorchDispatchMode):
    """Notes what matrix products and attention kernels are given."""

    def __init__(self) -> None:
        super().__init__()
        self.seen: dict[str, set[torch.dtype]] = {}

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        name = func.overloadpacket.__name__
        if "scaled_dot_product" in name or name in ("mm", "bmm", "_softmax"):
            self.seen.setdefault(name, set()).update(part.dtype for part in args if isinstance(part, torch.Tensor))
        return func(*args, **(kwargs or {}))


@pytest.mark.parametrize("use", ["training", "evaluating", "generating"])
def test_attention_stays_in_bfloat16_under_autocast(use):
    """Single-precision rotary tables must not widen queries and keys: that would take the slow path."""
    model = decoder()
    with Dtypes() as found, torch.autocast("cpu", torch.bfloat16), torch.set_grad_enabled(use == "training"):
        model(tokens(2, 8), cache=model.new_cache(2, 8) if use == "generating" else None)
    attention = {"bmm", "_softmax"} if use == "training" else {"_scaled_dot_product_flash_attention_for_cpu"}
    assert found.seen.keys() == {"mm", *attention}
    assert all(dtypes == {torch.bfloat16} for dtypes in found.seen.values()), found.seen


@pytest.mark.parametrize("key_heads", [1, 2, 4])
@pytest.mark.parametrize("masked", [False, True])
@pytest.mark.parametrize("length", [24, 64, 65, 150])
def test_plain_attention_is_the_kernels(key_heads, masked, length):
    """Values and gradients, within what bfloat16 holds."""
    generator = torch.Generator().manual_seed(0)
    parts = [torch.randn(3, heads, length, 16, generator=generator) for heads in (4, key_heads, key_heads)]
    positions = torch.stack([torch.arange(length), torch.arange(length) % 9, torch.arange(length) % 70])
    mask = visible_in_documents(positions, 7) if masked else None
    results = []
    for dtype, requires_grad in ((torch.bfloat16, True), (torch.float32, True)):
        inputs = [part.to(torch.bfloat16).to(dtype).requires_grad_(requires_grad) for part in parts]
        out = attend(*inputs, mask)
        out.square().sum().backward()
        results.append([out, *(part.grad for part in inputs)])
    for plain, kernel in zip(*results, strict=True):
        assert (plain.float() - kernel).norm() < 0.01 * kernel.norm()


def test_autocast_keeps_the_masters_and_moves_the_loss_little():
    model = decoder()
    ids, targets = tokens(2, 32), tokens(2, 32, seed=1)
    exact = model.loss(model(ids), targets)
    with torch.autocast("cpu", torch.bfloat16):
        close = model.loss(model(ids), targets)
    close.backward()
    assert close.dtype == torch.float32
    assert abs(float(close.detach() - exact.detach())) < 0.02 * float(exact.detach())
    assert all(weight.grad is not None and weight.grad.dtype == torch.float32 for weight in model.parameters())


@pytest.mark.parametrize(
    ("config", "documents"),
    [
        (tiny_config(num_hidden_layers=1), False),
        (tiny_config(num_hidden_layers=1, sliding_window=5), False),
        (longrope_config(border=8, num_hidden_layers=1), True),
    ],
)
def test_training_compiles_into_one_graph(config, documents, monkeypatch):
    monkeypatch.setattr(loss, "MAX_WHOLE_LOGITS", 20 * 272)  # chunks too
    model = decoder(config)
    ids, targets = tokens(2, 16), tokens(2, 16, seed=1)
    positions = torch.tensor([[*range(6), *range(10)], [*range(16)]]) if documents else None

    def step() -> torch.Tensor:
        with torch.autocast("cpu", torch.bfloat16):
            return model.loss(model(ids, positions), targets, ids < 200)

    torch._dynamo.reset()
    compiled = torch.compile(step, fullgraph=True, backend="aot_eager")()
    assert torch.allclose(compiled, step(), rtol=1e-3)
    compiled.backward()
    assert all(weight.grad is not None for weight in model.parameters())


def test_recomputing_changes_memory_only():
    model = decoder()
    ids, targets = tokens(2, 24), tokens(2, 24, seed=1)
    gradients = []
    for recompute in (False, True):
        model.recompute = recompute
        model.zero_grad()
        model.loss(model(ids), targets).backward()
        gradients.append([weight.grad.clone() for weight in model.parameters()])
    assert all(torch.equal(one, other) for one, other in zip(*gradients, strict=True))


def test_losses_in_chunks_are_the_losses_at_once(monkeypatch):
    model = decoder()
    hidden = model(tokens(2, 25)).detach().requires_grad_()
    targets, mask = tokens(2, 25, seed=1), tokens(2, 25, seed=2) < 100
    results = []
    for most in (1 << 26, 7 * 272):
        monkeypatch.setattr(loss, "MAX_WHOLE_LOGITS", most)
        model.zero_grad()
        hidden.grad = None
        value = model.loss(hidden, targets, mask)
        value.backward()
        results.append((value, hidden.grad, model.head.grad))
    for whole, chunked in zip(*results, strict=True):
        assert torch.allclose(whole, chunked, rtol=1e-5, atol=1e-7)
    by_hand = -model.logits(hidden).log_softmax(2).gather(2, targets[..., None])[..., 0][mask].mean()
    assert torch.allclose(results[0][0], by_hand, rtol=1e-6)


def test_a_mask_without_tokens_gives_zero():
    model = decoder()
    value = model.loss(model(tokens(1, 4)), tokens(1, 4), torch.zeros(1, 4, dtype=torch.bool))
    value.backward()
    assert float(value.detach()) == 0.0
    assert all(torch.isfinite(weight.grad).all() for weight in model.parameters())


def wide(**changes: Any) -> DecoderConfig:
    return tiny_config(hidden_size=256, intermediate_size=512, **changes)


def test_first_weights_come_from_the_generator_alone():
    one, same, other = (initialise(Decoder(wide()), torch.Generator().manual_seed(seed)) for seed in (1, 1, 2))
    for (name, weight), again in zip(one.state_dict().items(), same.state_dict().values(), strict=True):
        assert torch.equal(weight, again), name
    assert not torch.equal(one.head, other.head)


def test_first_weights_have_the_published_spread_and_the_residuals_less():
    layers = 8
    model = initialise(Decoder(wide(num_hidden_layers=layers)), torch.Generator().manual_seed(0))
    for name, weight in model.named_parameters():
        if weight.dim() == 1:
            assert torch.equal(weight, torch.ones_like(weight)), name
        else:
            writes = name.endswith(("o_proj.weight", "down_proj.weight"))
            expected = 0.02 / math.sqrt(2 * layers) if writes else 0.02
            assert float(weight.detach().std()) == pytest.approx(expected, rel=0.03), name


def test_a_fresh_model_predicts_evenly():
    model = initialise(Decoder(wide()), torch.Generator().manual_seed(0))
    value = model.loss(model(tokens(4, 32)), tokens(4, 32, seed=1))
    assert float(value.detach()) == pytest.approx(math.log(272), abs=0.1)


def test_a_small_model_learns():
    """A text of period 7 by heart: everything between ids and optimizer has the right sign."""
    model = initialise(Decoder(wide()), torch.Generator().manual_seed(0))
    ids = (torch.arange(33) % 7 * 5)[None]
    optimizer = torch.optim.AdamW(model.parameters(), lr=3e-3)
    for _ in range(20):
        optimizer.zero_grad()
        value = model.loss(model(ids[:, :-1]), ids[:, 1:])
        value.backward()
        nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimizer.step()
    assert float(value.detach()) < 0.1
