"""What it costs to widen llama.cpp's K types into our grids: next to nothing, stated as a KL divergence.

No engine involved: two float64 decoders, one over the source's weights as the `gguf` package reads them,
one over the imported file's.
"""

from pathlib import Path

import numpy as np
import pytest

from formats.builders import model_gguf
from pocketphi.formats.ggml import GgmlType
from pocketphi.formats.pocket import open_pocket
from pocketphi.hub.convert import import_model
from reference.decoder import Reference, plain_weights
from reference.gguf_weights import gguf_weights

MIX = {"": GgmlType.Q4_K, "attn_v": GgmlType.Q6_K, "ffn_down": GgmlType.Q6_K, "output": GgmlType.Q6_K}


@pytest.mark.parametrize("tied", [True, False])
@pytest.mark.parametrize(
    "kinds",
    [{"": GgmlType.Q4_K}, {"": GgmlType.Q5_K}, {"": GgmlType.Q6_K}, MIX],
    ids=["q4_k", "q5_k", "q6_k", "q4_k_m"],
)
def test_widening_a_k_type_costs_almost_nothing(tmp_path: Path, kinds: dict[str, GgmlType], tied: bool):
    source = tmp_path / "source.gguf"
    source.write_bytes(model_gguf(kinds, hidden=256, inner=512, tied=tied).build())
    file = open_pocket(import_model(source, tmp_path / "model.pocket"))
    tokens = np.random.default_rng(0).integers(0, file.config.vocab_size, 120).tolist()
    theirs, ours = (
        log_softmax(Reference(file.config, weights).logits(tokens))
        for weights in (gguf_weights(source, file.config), plain_weights(file))
    )
    spread = np.exp(theirs).max(axis=1).mean()
    assert spread > 2 / file.config.vocab_size, "the model says nothing, so the divergence would mean nothing"
    divergence = (np.exp(theirs) * (theirs - ours)).sum(axis=1)
    assert divergence.mean() <= 1e-4, f"KL divergence {divergence.mean():.2e}"


def log_softmax(logits: np.ndarray) -> np.ndarray:
    shifted = logits - logits.max(axis=1, keepdims=True)
    return shifted - np.log(np.exp(shifted).sum(axis=1, keepdims=True))
