"""How much it hurts to round some matrices: the KL divergence to the model as it was, on calibration text.

Everything else stays as it is meanwhile, so the figures say where bits are needed. They are nats per token,
averaged over positions. The model runs in torch, in single precision, and must fit in memory.
"""

from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor, nn

from pocketphi.architecture import DecoderConfig
from pocketphi.errors import UserError
from pocketphi.model.decoder import Decoder
from pocketphi.tokenizer import Tokenizer

Round = Callable[[str, npt.NDArray[np.float32]], npt.NDArray[np.float32]]
"""A matrix by its published name, and its (rows, cols) weights: what it becomes."""

LENGTH = 256
"""Tokens of a calibration sequence, if the model reads so far."""
_MAX_POSITIONS = 2048
_MAX_LOGITS = 1 << 26
"""Numbers of the reference distribution that are held in memory."""
_LOGITS_AT_ONCE = 1 << 22


def calibration_tokens(texts: Iterable[str], tokenizer: Tokenizer, config: DecoderConfig) -> Tensor:
    """(B, T) ids from texts, joined and cut; as many as a reference distribution may have rows for.

    Raises:
        UserError: the texts are too short for one sequence.
    """
    length = min(LENGTH, config.max_position_embeddings)
    wanted = max(1, min(_MAX_POSITIONS, _MAX_LOGITS // config.vocab_size) // length) * length
    ids: list[int] = []
    for text in texts:
        ids += tokenizer.encode(text + "\n\n")
        if len(ids) >= wanted:
            break
    rows = min(len(ids), wanted) // length
    if not rows:
        raise UserError(f"the calibration text has {len(ids)} tokens, it takes {length}", hint="give more text")
    return torch.tensor(ids[: rows * length]).view(rows, length)


class Divergence:
    """Measures a changed model against itself as it was.

    Args:
        model: restored after every measurement.
        tokens: (B, T) ids to read.
    """

    def __init__(self, model: Decoder, tokens: Tensor) -> None:
        self.model = model
        rows = max(1, _LOGITS_AT_ONCE // (model.config.vocab_size * tokens.shape[1]))
        self._batches = torch.split(tokens.to(model.device), rows)
        self._count = tokens.numel()
        self._reference = [self._log_probabilities(batch) for batch in self._batches]

    def of(self, rounding: Round, names: Iterable[str]) -> float:
        """Mean KL divergence in nats per token with these matrices rounded."""
        with torch.inference_mode(), _rounded(self.model, rounding, set(names)):
            total = 0.0
            for batch, reference in zip(self._batches, self._reference, strict=True):
                changed = self._log_probabilities(batch)
                total += float((reference.exp() * (reference - changed)).sum(dim=-1).double().sum())
        return max(0.0, total / self._count)

    @torch.inference_mode()
    def _log_probabilities(self, batch: Tensor) -> Tensor:
        return nn.functional.log_softmax(self.model.logits(self.model(batch)).float(), dim=-1)


@contextmanager
def _rounded(model: Decoder, rounding: Round, names: set[str]) -> Iterator[None]:
    """Matrices rounded inside the block, and what they were after it."""
    before: dict[str, Tensor] = {}
    parameters = dict(model.named_parameters())
    try:
        for name in sorted(names):
            weight = parameters[name].data
            before[name] = weight.clone()
            weight.copy_(torch.from_numpy(rounding(name, weight.float().cpu().numpy())))
        yield
    finally:
        for name, weight in before.items():
            parameters[name].data.copy_(weight)
