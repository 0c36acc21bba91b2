"""The gated feed-forward block, SwiGLU (Shazeer 2020): `down(silu(gate(x)) * up(x))`."""

from torch import Tensor, nn
from torch.nn import functional

from pocketphi.architecture import DecoderConfig


class FeedForward(nn.Module):
    """Gate and up projections are one matrix, gate rows first."""

    def __init__(self, config: DecoderConfig) -> None:
        super().__init__()
        self.gate_up_proj = nn.Linear(config.hidden_size, 2 * config.intermediate_size, bias=False)
        self.down_proj = nn.Linear(config.intermediate_size, config.hidden_size, bias=False)

    def forward(self, x: Tensor) -> Tensor:
        """(..., D) to (..., D)."""
        gate, up = self.gate_up_proj(x).chunk(2, dim=-1)
        out: Tensor = self.down_proj(functional.silu(gate) * up)
        return out
