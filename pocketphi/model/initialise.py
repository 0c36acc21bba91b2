"""First weights of a decoder.

Every matrix is normal with the published `initializer_range` of 0.02. The two that write into the residual stream,
`o_proj` and `down_proj`, are smaller by sqrt(2 * layers): there are that many of them, their outputs add up, and so
the stream's variance at the last layer does not grow with depth (Radford et al. 2019, section 2.3; the published code
of Phi-3-small does the same). Norms start at one.
"""

import math

import torch
from torch import nn

from pocketphi.model.decoder import Decoder

INITIALIZER_RANGE = 0.02


@torch.no_grad()
def initialise(model: Decoder, generator: torch.Generator) -> Decoder:
    """Give every weight its first value, in place. The same generator state gives the same weights.

    Numbers are drawn on the generator's device, one weight after the other, so a generator on the processor gives a
    model on any device the same start.
    """
    residual = INITIALIZER_RANGE / math.sqrt(2 * model.config.num_hidden_layers)
    for name, weight in model.named_parameters():
        if weight.dim() == 1:
            nn.init.ones_(weight)
            continue
        is_residual = name.endswith((".o_proj.weight", ".down_proj.weight"))
        drawn = torch.empty(weight.shape, device=generator.device, dtype=weight.dtype)
        drawn.normal_(0.0, residual if is_residual else INITIALIZER_RANGE, generator=generator)
        weight.copy_(drawn)
    return model
