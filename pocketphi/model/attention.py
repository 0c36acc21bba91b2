"""Causal self-attention: multi-head or grouped-query, whole or through a sliding window, cached or not."""

import torch
from torch import Tensor, nn
from torch.nn import functional

from pocketphi.architecture import DecoderConfig
from pocketphi.model.cache import LayerCache
from pocketphi.model.rope import apply_rope

_MAX_PLAIN = 512
_PLAIN_BLOCK = 64


class Attention(nn.Module):
    """Query, key and value projections are one matrix: rows of all queries, then keys, then values."""

    def __init__(self, config: DecoderConfig) -> None:
        super().__init__()
        self.num_heads = config.num_attention_heads
        self.num_key_value_heads = config.num_key_value_heads
        self.head_dim = config.head_dim
        rows = (self.num_heads + 2 * self.num_key_value_heads) * self.head_dim
        self.qkv_proj = nn.Linear(config.hidden_size, rows, bias=False)
        self.o_proj = nn.Linear(self.num_heads * self.head_dim, config.hidden_size, bias=False)

    def forward(self, x: Tensor, cos: Tensor, sin: Tensor, mask: Tensor | None, cache: LayerCache | None) -> Tensor:
        """Let every position look at those before it.

        Args:
            x: (B, T, D).
            cos, sin: (T, 1, E/2) or (B, T, 1, E/2).
            mask: (B, 1, T, S) or (1, 1, T, S), true where a query sees a key; None if all T queries are the last
                of S = T keys, or T is 1 and the query sees every key.
            cache: takes the new keys and values, and gives back all S of them.
        """
        batch, length, _ = x.shape
        heads, groups = self.num_heads, self.num_key_value_heads
        qkv = self.qkv_proj(x).view(batch, length, heads + 2 * groups, self.head_dim)
        turned = apply_rope(qkv[:, :, : heads + groups], cos, sin).transpose(1, 2)
        query, key, value = turned[:, :heads], turned[:, heads:], qkv[:, :, heads + groups :].transpose(1, 2)
        if cache is not None:
            key, value = cache.extend(key, value)
            key, value = key.to(query.dtype), value.to(query.dtype)
        attended = attend(query, key, value, mask)
        out: Tensor = self.o_proj(attended.transpose(1, 2).reshape(batch, length, heads * self.head_dim))
        return out


def attend(query: Tensor, key: Tensor, value: Tensor, mask: Tensor | None) -> Tensor:
    """(B, H, T, E) queries over (B, K, S, E) keys and values, to (B, H, T, E); `mask` as for `Attention.forward`."""
    repeats, length = query.shape[1] // key.shape[1], query.shape[2]
    if query.requires_grad and query.device.type == "cpu" and query.dtype is torch.bfloat16 and length <= _MAX_PLAIN:
        return _attend_plainly(query, key, value, mask)
    if repeats > 1 and mask is not None and query.is_cuda:
        # On CUDA only the kernels without a mask take grouped queries; the fall-back would hold all T x S scores.
        key, value = (part.repeat_interleave(repeats, dim=1) for part in (key, value))
        repeats = 1
    is_causal = mask is None and length == key.shape[2]
    return functional.scaled_dot_product_attention(
        query, key, value, attn_mask=mask, is_causal=is_causal, enable_gqa=repeats > 1
    )


def _attend_plainly(query: Tensor, key: Tensor, value: Tensor, mask: Tensor | None) -> Tensor:
    """The same in three plain steps, for training on short sequences on a processor.

    There the backward pass of torch's kernel takes five times as long as its forward pass. Without it, a compiled
    step of the nano recipe's model (256 tokens, heads 32 wide, bfloat16, one thread) takes 0.43 s instead of 0.53 s.
    Queries go in blocks, each with the keys up to its last one: what lies in the future is mostly not computed.
    """
    batch, _, length, width = query.shape
    grouped = query.reshape(batch, key.shape[1], -1, length, width) * width**-0.5
    keys, values = key[:, :, None].transpose(3, 4), value[:, :, None]
    attended = []
    with torch.autocast("cpu", enabled=False):  # it would keep the weights of all keys in single precision
        for start in range(0, length, _PLAIN_BLOCK):
            end = min(start + _PLAIN_BLOCK, length)
            if mask is None:
                bias = torch.full((end - start, end), -torch.inf, dtype=query.dtype).triu(1 + start)
            else:
                unseen = ~mask[..., start:end, :end]
                bias = torch.zeros(unseen.shape, dtype=query.dtype).masked_fill(unseen, -torch.inf)[:, :, None]
            scores = grouped[..., start:end, :] @ keys[..., :end]
            attended.append((scores + bias).softmax(dim=-1) @ values[..., :end, :])
    return torch.cat(attended, dim=-2).flatten(1, 2)


def visible_keys(positions: Tensor, num_keys: int, window: int | None) -> Tensor:
    """Which keys a query sees: those up to itself and, with a window, the last `window` of them.

    Args:
        positions: (B, T) position of each query; key s stands at position s.

    Returns:
        (B, 1, T, S) booleans.
    """
    keys = torch.arange(num_keys, device=positions.device)
    seen = keys <= positions[..., None]
    if window is not None:
        seen &= keys > positions[..., None] - window
    return seen[:, None]


def visible_in_documents(positions: Tensor, window: int | None) -> Tensor:
    """The same for rows of several documents: a position that does not go on from the one before starts a new
    document, which sees nothing of the last one.

    Args:
        positions: (B, T).

    Returns:
        (B, 1, T, T) booleans.
    """
    places = torch.arange(positions.shape[1], device=positions.device)[None]
    starts = functional.pad(positions[:, 1:] != positions[:, :-1] + 1, (1, 0))
    document = starts.cumsum(dim=1)
    same = document[:, :, None] == document[:, None, :]
    return visible_keys(places, positions.shape[1], window) & same[:, None]
