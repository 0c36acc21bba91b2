"""Small decoders of ours with random weights, and token ids for them."""

from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from pocketphi.architecture import DecoderConfig
from pocketphi.model import Decoder, initialise
from tiny import tiny_config, tiny_tokenizer


def decoder(config: DecoderConfig | None = None, seed: int = 0, **changes: Any) -> Decoder:
    """A decoder whose matrices are large enough for every part to count."""
    generator = torch.Generator().manual_seed(seed)
    model = initialise(Decoder(tiny_config(**changes) if config is None else config), generator)
    with torch.no_grad():
        for weight in model.parameters():
            noise = torch.randn(weight.shape, generator=generator)
            weight.copy_(1 + 0.2 * noise if weight.dim() == 1 else noise * weight.shape[1] ** -0.5)
    return model


def tokens(batch: int, length: int, seed: int = 0, vocab_size: int = 272) -> Tensor:
    """(B, T) random ids."""
    return torch.randint(0, vocab_size, (batch, length), generator=torch.Generator().manual_seed(seed))


def tokenizer_folder(path: Path) -> Path:
    """A folder with the tiny tokenizer."""
    path.mkdir(parents=True, exist_ok=True)
    (path / "tokenizer.json").write_bytes(tiny_tokenizer().to_json())
    (path / "tokenizer_config.json").write_text('{"tokenizer_class": "PreTrainedTokenizerFast"}')
    return path
