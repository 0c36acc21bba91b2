"""Write a `.pocket` file of random weights in the exact shapes of phi-3-mini.

    python benchmarks/make_model.py OUT.pocket [--layers 32] [--bits 4] [--group 128]

Speed does not depend on the values, so this measures the engine at full size without a download. The
numbers are still tame (scales like 0.02), so that nothing overflows on the way. The tokenizer is a toy.
"""

import argparse
from collections.abc import Iterator
from pathlib import Path

import numpy as np
from rich.progress import Progress
from tokenizers import Tokenizer as HubTokenizer
from tokenizers import decoders, models, pre_tokenizers

from pocketphi.architecture import DecoderConfig
from pocketphi.formats.pocket import ChatSettings, stored_shapes, write_pocket
from pocketphi.packing import PackedTensor, WeightFormat, pack, pack_vector, packed_bytes, round_to_nearest
from pocketphi.tokenizer import Tokenizer

PHI_3_MINI = {
    "architectures": ["Phi3ForCausalLM"],
    "model_type": "phi3",
    "vocab_size": 32064,
    "hidden_size": 3072,
    "intermediate_size": 8192,
    "num_attention_heads": 32,
    "num_key_value_heads": 32,
    "max_position_embeddings": 4096,
    "original_max_position_embeddings": 4096,
    "rms_norm_eps": 1e-5,
    "rope_theta": 10000.0,
    "sliding_window": 2047,
    "hidden_act": "silu",
    "tie_word_embeddings": False,
}
TILE_ROWS = 256


def main() -> None:
    parser = argparse.ArgumentParser(description="write a random `.pocket` file of phi-3-mini's shapes")
    parser.add_argument("out", type=Path)
    parser.add_argument("--layers", type=int, default=32)
    parser.add_argument("--bits", type=int, default=4, choices=(4, 8))
    parser.add_argument("--group", type=int, default=128)
    options = parser.parse_args()
    config = DecoderConfig.from_published({**PHI_3_MINI, "num_hidden_layers": options.layers})
    with Progress() as bar:
        task = bar.add_task(str(options.out), total=None)
        write_pocket(
            options.out,
            config=config,
            chat=ChatSettings(template="phi-3", bos_token_id=1, stop_token_ids=(2,), pad_token_id=0),
            lineage={"source": "random weights", "maker": "benchmarks/make_model.py"},
            tokenizer_json=toy_tokenizer().to_json(),
            tensors=random_tensors(config, options.bits, options.group),
            progress=lambda done, total: bar.update(task, completed=done, total=total),
        )
    matrices = {name: shape for name, shape in stored_shapes(config).items() if shape[0] > 1}
    numbers = sum(rows * cols for rows, cols in matrices.values())
    size = sum(packed_bytes(WeightFormat(f"q{options.bits}"), options.group, *shape) for shape in matrices.values())
    print(f"{options.out}: {numbers:,} weights, {8 * size / numbers:.3f} bits per weight")


def random_tensors(config: DecoderConfig, bits: int, group: int) -> Iterator[tuple[str, PackedTensor]]:
    """Every tensor of the config. Rows repeat every 256, which no kernel can notice, so that this is quick."""
    generator = np.random.default_rng(0)
    for name, (rows, cols) in stored_shapes(config).items():
        if name.startswith("rope."):
            continue
        if rows == 1:
            yield name, pack_vector(np.ones(cols, np.float32))
            continue
        weights = generator.standard_normal((TILE_ROWS, cols), np.float32) * np.float32(0.02)
        tile = pack(round_to_nearest(weights, bits, group))
        data = np.resize(tile.data, packed_bytes(tile.format, group, rows, cols))
        yield name, PackedTensor(format=tile.format, group=group, shape=(rows, cols), data=data)


def toy_tokenizer() -> Tokenizer:
    """Bytes as tokens, behind the three usual special ones and phi-3's role tokens."""
    alphabet = sorted(pre_tokenizers.ByteLevel.alphabet())
    names = ["<unk>", "<s>", "</s>", *alphabet]
    tokenizer = HubTokenizer(models.BPE(vocab={token: index for index, token in enumerate(names)}, merges=[]))
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    roles = ["<|endoftext|>", "<|assistant|>", "<|system|>", "<|end|>", "<|user|>"]
    tokenizer.add_special_tokens(["<unk>", "<s>", "</s>", *roles])
    return Tokenizer.from_json(tokenizer.to_str().encode())


if __name__ == "__main__":
    main()
