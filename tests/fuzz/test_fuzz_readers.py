"""A short run of the reader fuzzer; `benchmarks/results/fuzz_readers.json` records the long one."""

import json
from pathlib import Path

import pytest

from fuzz.fuzz_readers import READERS, fuzz, seeds

RECORD = Path(__file__).parents[2] / "benchmarks" / "results" / "fuzz_readers.json"


@pytest.fixture(scope="module")
def first() -> dict[str, list[bytes]]:
    return seeds()


@pytest.mark.parametrize("name", READERS)
def test_mutants_are_refused_by_name_or_read_soundly(name: str, first: dict[str, list[bytes]]):
    outcome = fuzz(name, first[name], 7_000, seed=2)
    assert outcome.crashes == []
    # A fuzzer whose mutants all die at the same check tests one check.
    assert outcome.accepted > 100
    assert outcome.ways_of_refusing > 20


@pytest.mark.slow
@pytest.mark.parametrize("name", READERS)
def test_many_mutants(name: str, first: dict[str, list[bytes]], tmp_path: Path):
    assert fuzz(name, first[name], 300_000, seed=3, crash_folder=tmp_path).crashes == []


def test_the_same_seed_gives_the_same_mutants(first: dict[str, list[bytes]]):
    one, two = (fuzz("safetensors", first["safetensors"], 500, seed=4) for _ in range(2))
    assert (one.accepted, one.ways_of_refusing) == (two.accepted, two.ways_of_refusing)


def test_ten_million_executions_are_on_record():
    record = json.loads(RECORD.read_text())
    assert record["executions"] >= 10_000_000
    assert record["crashes"] == 0
    assert record["readers"].keys() == READERS.keys()
