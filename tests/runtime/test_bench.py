"""The measurement itself: keys, shares of limits, and what it refuses."""

import json

import pytest

from pocketphi.errors import UserError
from pocketphi.runtime.bench import bench, measure_int8, measure_read_bandwidth
from pocketphi.runtime.model import Model

KEYS = {
    "prefill_tokens_per_second",
    "decode_tokens_per_second",
    "first_token_seconds",
    "peak_memory_bytes",
    "read_bandwidth_bytes_per_second",
    "int8_ops_per_second",
}


def test_a_result_has_the_promised_keys_and_is_json(tiny_model: Model):
    seen: list[tuple[int, int]] = []
    result = bench(tiny_model, prompt_tokens=32, new_tokens=4, repeats=2, progress=lambda *now: seen.append(now))
    values = json.loads(json.dumps(result.as_dict()))
    assert values.keys() >= KEYS
    assert all(values[key] > 0 for key in KEYS)
    assert seen == [(1, 2), (2, 2)]
    assert values["isa"] == tiny_model.engine.isa.name.lower()
    assert tiny_model.engine.pages_in_use_bytes == 0


def test_the_limits_of_this_machine_are_plausible(tiny_model: Model):
    assert 1e8 < measure_read_bandwidth(1, num_bytes=1 << 24, seconds=0.05) < 1e13
    assert 1e8 < measure_int8(1, tiny_model.engine.isa, seconds=0.05) < 1e15


def test_bytes_per_token_count_every_matrix_once(tiny_model: Model):
    tensors = tiny_model.file.tensors
    embedding = tensors["model.embed_tokens.weight"].data.nbytes
    total = sum(tensor.data.nbytes for tensor in tensors.values())
    assert total - embedding < tiny_model.bytes_per_token < total


@pytest.mark.parametrize("odd", [{"prompt_tokens": 0}, {"new_tokens": 0}, {"repeats": 0}, {"prompt_tokens": 500}])
def test_odd_counts_are_refused(tiny_model: Model, odd: dict[str, int]):
    with pytest.raises(UserError):
        bench(tiny_model, **{"new_tokens": 20, **odd})
