"""The memory plan: refused with numbers before anything is loaded, and close to what is really taken."""

import subprocess
import sys
from pathlib import Path

import pytest

from pocketphi.architecture import DecoderConfig, RopeConfig
from pocketphi.errors import UserError
from pocketphi.formats.pocket import PocketFile
from pocketphi.runtime import machine
from pocketphi.runtime.memory import (
    SMALLEST_CONTEXT,
    cache_bytes_per_position,
    choose_context,
    page_budget,
    plan_memory,
    plan_serving,
)
from pocketphi.runtime.model import Model
from tiny import tiny_config

GIB = 1 << 30
MINI = DecoderConfig(
    model_type="phi3",
    vocab_size=32064,
    hidden_size=3072,
    intermediate_size=8192,
    num_hidden_layers=32,
    num_attention_heads=32,
    num_key_value_heads=32,
    rope=RopeConfig(head_dim=96, max_position_embeddings=131072),
)


def test_phi3_mini_takes_what_its_shape_says():
    assert cache_bytes_per_position(MINI) == 393_216


def test_the_default_context_leaves_memory_alone():
    context, plan = choose_context(MINI, weights_bytes=2 * GIB, wanted=None, available=16 * GIB)
    assert 20_000 < context < 131072
    assert plan.total <= 12 * GIB
    assert choose_context(MINI, weights_bytes=2 * GIB, wanted=None, available=128 * GIB)[0] == 131072
    assert choose_context(MINI, weights_bytes=2 * GIB, wanted=None, available=None)[0] == 131072


def test_too_much_is_refused_with_numbers_and_a_context_that_fits():
    with pytest.raises(UserError, match=r"GiB of memory needed .* 65536 positions.*6\.00 GiB available") as error:
        choose_context(MINI, weights_bytes=2 * GIB, wanted=65536, available=6 * GIB)
    assert error.value.hint is not None
    fitting = int(error.value.hint.split()[3])
    choose_context(MINI, weights_bytes=2 * GIB, wanted=fitting, available=6 * GIB)
    with pytest.raises(UserError):
        choose_context(MINI, weights_bytes=2 * GIB, wanted=fitting + 1, available=6 * GIB)


def test_a_model_that_cannot_fit_at_all_hints_at_a_smaller_one():
    with pytest.raises(UserError) as error:
        choose_context(MINI, weights_bytes=2 * GIB, wanted=None, available=GIB)
    assert "smaller model" in (error.value.hint or "")


@pytest.mark.parametrize("wanted", [0, -5, 131073])
def test_an_impossible_context_is_refused(wanted: int):
    with pytest.raises(UserError, match="context `"):
        choose_context(MINI, weights_bytes=GIB, wanted=wanted, available=64 * GIB)


def test_the_plan_knows_the_engine_s_pages(tiny_model: Model):
    per_position = tiny_model.engine.page_bytes / tiny_model.engine.page_positions
    assert per_position == pytest.approx(tiny_model.cache_bytes_per_position, rel=0.01)


_FULL = """
import sys
from pathlib import Path
from pocketphi.cli.app import app
from pocketphi.cli.loading import open_model
from pocketphi.runtime.machine import resident_memory
with open_model(sys.argv[1], threads=int(sys.argv[2]), context=int(sys.argv[3])) as model:
    session = model.session()
    next(iter(session.reply("hello")))
    with model.engine.session() as tokens:
        tokens.step([3 + i % 200 for i in range(model.context_size - 100)])
    print(model.memory_plan.total, resident_memory())
"""


@pytest.mark.parametrize(("threads", "context"), [(1, 512), (2, 3001)])
def test_the_plan_bounds_what_a_real_process_takes(smollm2_file: PocketFile, threads: int, context: int):
    command = [sys.executable, "-c", _FULL, str(smollm2_file.path), str(threads), str(context)]
    planned, taken = map(int, subprocess.run(command, check=True, capture_output=True, timeout=120).stdout.split())
    assert taken <= planned <= 1.3 * taken


def test_the_plan_counts_whole_pages_and_threads():
    def total(**changes: int) -> int:
        return plan_memory(MINI, **{"weights_bytes": GIB, "context": 65, "threads": 1, **changes}).total

    assert total(context=128) == total(context=65) > total(context=64)
    assert total(threads=8) > total(threads=1)
    assert total(pass_tokens=4096) > total(pass_tokens=512) == total()


def test_the_budget_always_grants_one_context_and_never_more_than_asked():
    config = tiny_config()
    one = page_budget(config, context=65, available=0)
    assert one == 128 * cache_bytes_per_position(config)
    assert page_budget(config, context=65, available=GIB) == 8 * one


def test_every_full_context_fits_in_the_default_budget(tiny_model: Model):
    tiny_model.logits([1] * tiny_model.context_size)


def write_cgroup(root: Path, **files: str) -> None:
    for name, text in files.items():
        path = root / name.replace("__", "/").replace("_DOT_", ".")
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)


def test_a_cgroup_limits_memory_and_cores(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(machine, "_CGROUP", tmp_path)
    monkeypatch.setattr(machine, "_cgroup_folders", lambda: [tmp_path / "a", tmp_path])
    write_cgroup(
        tmp_path,
        a__memory_DOT_max="1000000",
        a__memory_DOT_current="900000",
        a__memory_DOT_stat="anon 500000\nactive_file 100000\ninactive_file 200000\n",
        a__cpu_DOT_max="100000 100000",
        memory_DOT_max="max",
    )
    assert machine.available_memory() == 400_000
    assert machine.available_cores() == 1


def test_unlimited_is_the_machine(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(machine, "_CGROUP", tmp_path)
    available = machine.available_memory()
    assert available is None or available > 0
    assert machine.available_cores() >= 1


def test_hyper_threads_count_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(machine, "_CGROUP", tmp_path / "none")
    monkeypatch.setattr(machine, "_CPUS", tmp_path)
    monkeypatch.setattr(machine.os, "sched_getaffinity", lambda pid: {0, 1, 2, 3}, raising=False)
    for cpu, siblings in enumerate(["0,2", "1,3", "0,2", "1,3"]):
        write_cgroup(tmp_path, **{f"cpu{cpu}__topology__thread_siblings_list": siblings})
    assert machine.available_cores() == 2


@pytest.mark.parametrize("parallel", [1, 4, 8])
@pytest.mark.parametrize("gib", [6, 16, 64])
def test_several_full_contexts_fit_when_serving(parallel: int, gib: int):
    plan = plan_serving(MINI, weights_bytes=2 * GIB, wanted=None, available=gib * GIB, parallel=parallel)
    assert plan.full_sequences(MINI) >= parallel or plan.context == SMALLEST_CONTEXT
    assert plan.memory.total <= gib * GIB
    one = choose_context(MINI, weights_bytes=2 * GIB, wanted=None, available=gib * GIB)[0]
    assert plan.context <= one


def test_a_long_context_that_was_asked_for_is_served_to_fewer_at_once():
    plan = plan_serving(MINI, weights_bytes=2 * GIB, wanted=32_768, available=24 * GIB, parallel=4)
    assert plan.context == 32_768
    assert plan.full_sequences(MINI) == 1
    assert plan.memory.total <= 24 * GIB
    with pytest.raises(UserError, match="of memory needed"):
        plan_serving(MINI, weights_bytes=2 * GIB, wanted=65_536, available=24 * GIB, parallel=4)
