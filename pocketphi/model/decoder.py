"""The dense Phi-3 decoder; Llama-shaped models are the same decoder once their projections are fused.

Pre-norm blocks, `x += attention(norm(x))`, `x += feed_forward(norm(x))`, with RMSNorm, rotary positions and SwiGLU,
no biases, no dropout (Phi-3 technical report, arXiv 2404.14219, section 2; the published configs). `state_dict` has
the published names, those of `architecture.expected_tensors`; a tied head is the embedding itself and has no name.

Train it in single precision under bfloat16 autocast. `forward` gives hidden states; `loss`, `token_losses` and
`logits` take them on from there, so that no caller pays for logits it does not want. For generation:

    cache = model.new_cache(batch_size, max_length)
    hidden = model(prompt_ids, cache=cache, lengths=[5, 3])     # prompts padded on the right
    hidden = model(next_ids, cache=cache)                       # (B, 1), one more token in every row
"""

from collections.abc import Sequence

import torch
from torch import Tensor, nn
from torch.utils.checkpoint import checkpoint

from pocketphi.architecture import DecoderConfig
from pocketphi.model.attention import Attention, visible_in_documents, visible_keys
from pocketphi.model.cache import KeyValueCache, LayerCache
from pocketphi.model.feed_forward import FeedForward
from pocketphi.model.loss import token_losses
from pocketphi.model.rope import Rotary


class DecoderLayer(nn.Module):
    """One block: attention and feed-forward, each around a residual."""

    def __init__(self, config: DecoderConfig) -> None:
        super().__init__()
        self.input_layernorm = nn.RMSNorm(config.hidden_size, eps=config.rms_norm_eps)
        self.self_attn = Attention(config)
        self.post_attention_layernorm = nn.RMSNorm(config.hidden_size, eps=config.rms_norm_eps)
        self.mlp = FeedForward(config)

    def forward(self, x: Tensor, cos: Tensor, sin: Tensor, mask: Tensor | None, cache: LayerCache | None) -> Tensor:
        """(B, T, D) to (B, T, D); the rest as for `Attention.forward`."""
        x = x + self.self_attn(self.input_layernorm(x), cos, sin, mask, cache)
        out: Tensor = x + self.mlp(self.post_attention_layernorm(x))
        return out


class DecoderBody(nn.Module):
    """Embedding, layers and final norm: what the published names call `model`."""

    def __init__(self, config: DecoderConfig) -> None:
        super().__init__()
        self.embed_tokens = nn.Embedding(config.vocab_size, config.hidden_size)
        self.layers = nn.ModuleList(DecoderLayer(config) for _ in range(config.num_hidden_layers))
        self.norm = nn.RMSNorm(config.hidden_size, eps=config.rms_norm_eps)


class Decoder(nn.Module):
    """A decoder with its head.

    Args:
        config: the shape.
        recompute: compute a layer's activations again in the backward pass instead of keeping them: about a third
            more arithmetic for a small part of the memory. May be changed at any time.
    """

    def __init__(self, config: DecoderConfig, *, recompute: bool = False) -> None:
        super().__init__()
        self.config = config
        self.recompute = recompute
        self.rotary = Rotary(config.rope)
        self.model = DecoderBody(config)
        if not config.tie_word_embeddings:
            self.lm_head = nn.Linear(config.hidden_size, config.vocab_size, bias=False)

    @property
    def head(self) -> Tensor:
        """(V, D) the matrix that makes logits."""
        return self.model.embed_tokens.weight if self.config.tie_word_embeddings else self.lm_head.weight

    @property
    def device(self) -> torch.device:
        return self.model.embed_tokens.weight.device

    def forward(
        self,
        input_ids: Tensor,
        positions: Tensor | None = None,
        *,
        cache: KeyValueCache | None = None,
        lengths: Sequence[int] | None = None,
    ) -> Tensor:
        """Read tokens.

        Args:
            input_ids: (B, T).
            positions: (B, T), without a cache only; 0, 1, 2, ... if None. A position that does not go on from the one
                before starts a new document, which sees nothing of the last one.
            cache: what was read before; the tokens are added to it.
            lengths: how many of the T tokens of each row count, the rest being padding; all if None. Nothing sees
                padding that comes after it, but a cache and LongRoPE must know how long a row is.

        Returns:
            (B, T, D) hidden states after the final norm; those of padding mean nothing.

        Raises:
            UserError: the cache has no room.
        """
        if cache is not None:
            if positions is not None:
                raise ValueError("a cache knows the positions")
            return self._extend(input_ids, cache, [input_ids.shape[1]] * len(input_ids) if lengths is None else lengths)
        window = self.config.sliding_window
        row_lengths = None if lengths is None else torch.tensor(lengths, device=input_ids.device)
        if positions is not None:
            mask: Tensor | None = visible_in_documents(positions, window)
            cos, sin = self.rotary(positions, positions.amax(dim=1) + 1 if row_lengths is None else row_lengths)
        else:
            length = input_ids.shape[1]
            places = torch.arange(length, device=input_ids.device)
            mask = visible_keys(places[None], length, window) if window is not None and length > window else None
            cos, sin = self.rotary(places, length if row_lengths is None else row_lengths)
        return self._run(input_ids, cos, sin, mask)

    def logits(self, hidden: Tensor) -> Tensor:
        """(..., D) hidden states to (..., V) logits."""
        return nn.functional.linear(hidden, self.head)

    def token_losses(self, hidden: Tensor, targets: Tensor) -> Tensor:
        """(B, T) negative log-probability in nats of each target under the hidden state before it.

        Args:
            hidden: (B, T, D).
            targets: (B, T) the token that follows each position.
        """
        return token_losses(hidden, self.head, targets)

    def loss(self, hidden: Tensor, targets: Tensor, mask: Tensor | None = None) -> Tensor:
        """Mean loss in nats per token, over the tokens where `mask` (B, T) is true, or all; 0 if there is none."""
        losses = self.token_losses(hidden, targets)
        if mask is None:
            return losses.mean()
        # `where`, not a product: a loss that does not count may be infinite.
        return torch.where(mask, losses, 0.0).sum() / mask.sum().clamp(min=1)

    def new_cache(self, batch_size: int, max_length: int) -> KeyValueCache:
        """An empty cache for sequences of up to `max_length` tokens, in the precision that attention runs in now."""
        device, dtype = self.device, self.model.embed_tokens.weight.dtype
        if torch.is_autocast_enabled(device.type):
            dtype = torch.get_autocast_dtype(device.type)
        return KeyValueCache(self.config, batch_size, max_length, device=device, dtype=dtype)

    def _run(
        self, input_ids: Tensor, cos: Tensor, sin: Tensor, mask: Tensor | None, caches: Sequence[LayerCache] = ()
    ) -> Tensor:
        x = self.model.embed_tokens(input_ids)
        cos, sin = cos[..., None, :], sin[..., None, :]  # the same for every head
        for index, layer in enumerate(self.model.layers):
            if self.recompute and torch.is_grad_enabled():
                x = checkpoint(layer, x, cos, sin, mask, None, use_reentrant=False)
            else:
                x = layer(x, cos, sin, mask, caches[index] if caches else None)
        out: Tensor = self.model.norm(x)
        return out

    @torch.no_grad()
    def _extend(self, input_ids: Tensor, cache: KeyValueCache, lengths: Sequence[int]) -> Tensor:
        """`forward` with a cache."""
        batch, length = input_ids.shape
        cache.check_room(batch, length)
        before, is_long = list(cache.lengths), self.rotary.is_long
        after = [old + new for old, new in zip(before, lengths, strict=True)]
        start = torch.tensor(before, device=input_ids.device)
        positions = start[:, None] + torch.arange(length, device=input_ids.device)
        cache.token_ids.scatter_(1, positions, input_ids)
        if any(old and not is_long(old) and is_long(new) for old, new in zip(before, after, strict=True)):
            # A row crosses the border of LongRoPE: its keys were turned by the short list, so all is read again.
            cache.lengths = [0] * batch
            hidden = self._extend(cache.token_ids[:, : max(after)].clone(), cache, after)
            index = positions.clamp(max=max(after) - 1)[..., None].expand(-1, -1, hidden.shape[-1])
            return hidden.gather(1, index)
        cos, sin = self.rotary(positions, torch.tensor(after, device=input_ids.device))
        num_keys = max(before) + length
        window = self.config.sliding_window
        sees_all = num_keys == length or (length == 1 and min(before) == max(before))
        mask = (
            None if sees_all and (window is None or num_keys <= window) else visible_keys(positions, num_keys, window)
        )
        layers = range(self.config.num_hidden_layers)
        caches = [LayerCache(cache, layer, positions, num_keys) for layer in layers]
        hidden = self._run(input_ids, cos, sin, mask, caches)
        cache.lengths = after
        return hidden
