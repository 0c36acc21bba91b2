"""Keys and values of what was read already, so that a new token costs one step.

Rows of a batch may have different lengths: row b stands at `lengths[b]`, its next token goes there, and what
lies beyond is never looked at. So prompts are padded on the right and the padding is simply overwritten.
The cache keeps the token ids too: with LongRoPE, a row that grows past the original length has to be read
again under the long factors (`Decoder.forward` does it).
"""

from collections.abc import Sequence

import torch
from torch import Tensor

from pocketphi.architecture import DecoderConfig
from pocketphi.errors import UserError


class KeyValueCache:
    """Room for a batch of sequences; `Decoder.new_cache` makes one."""

    def __init__(
        self, config: DecoderConfig, batch_size: int, max_length: int, *, device: torch.device, dtype: torch.dtype
    ) -> None:
        self.max_length = max_length
        self.lengths = [0] * batch_size
        """Tokens of each row so far."""
        self.token_ids = torch.zeros(batch_size, max_length, dtype=torch.long, device=device)
        shape = (config.num_hidden_layers, batch_size, config.num_key_value_heads, max_length, config.head_dim)
        # Zeros, not `empty`: what is masked is still multiplied by zero, and zero times NaN is NaN.
        self.keys = torch.zeros(shape, dtype=dtype, device=device)
        self.values = torch.zeros(shape, dtype=dtype, device=device)

    def check_room(self, batch_size: int, length: int) -> None:
        """Raise unless `length` more tokens fit in every row, padding included."""
        if batch_size != len(self.lengths):
            raise ValueError(f"the cache has {len(self.lengths)} rows, not {batch_size}")
        if max(self.lengths) + length > self.max_length:
            raise UserError(
                f"{max(self.lengths)} tokens and {length} more do not fit in a cache of {self.max_length}",
                hint="ask for a larger `max_length`, or shorten the prompt",
            )

    def keep(self, rows: Sequence[int]) -> None:
        """Go on with some of the rows, in this order: those that are finished need no more steps."""
        index = torch.tensor(list(rows), device=self.keys.device)
        self.keys, self.values = self.keys.index_select(1, index), self.values.index_select(1, index)
        self.token_ids = self.token_ids.index_select(0, index)
        self.lengths = [self.lengths[row] for row in rows]


class LayerCache:
    """One layer's part of a cache during one step: where its new keys and values go."""

    def __init__(self, cache: KeyValueCache, layer: int, positions: Tensor, num_keys: int) -> None:
        self.keys, self.values = cache.keys[layer], cache.values[layer]
        self.positions = positions
        self.num_keys = num_keys

    def extend(self, key: Tensor, value: Tensor) -> tuple[Tensor, Tensor]:
        """Store (B, K, T, E) keys and values at `positions` (B, T); return the first `num_keys` of each row."""
        index = self.positions[:, None, :, None].expand_as(key)
        self.keys.scatter_(2, index, key.to(self.keys.dtype))
        self.values.scatter_(2, index, value.to(self.values.dtype))
        return self.keys[:, :, : self.num_keys], self.values[:, :, : self.num_keys]
