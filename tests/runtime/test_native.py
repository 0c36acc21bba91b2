"""The engine's handles: lifetimes in any order, cancellation, sessions that fork and rewind."""

import ctypes
import gc
import os
import signal
import threading
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from pocketphi.errors import UserError
from pocketphi.formats.pocket import PocketFile
from pocketphi.packing import WeightFormat
from pocketphi.runtime import abi
from pocketphi.runtime.abi import Cancelled, Positions
from pocketphi.runtime.cancel import CancelFlag
from pocketphi.runtime.model import Model
from pocketphi.runtime.native import StepItem
from tiny import longrope_config, tiny_config

TOKENS = list(range(40))


def test_the_library_of_another_version_is_refused(tmp_path: Path):
    other = tmp_path / "libpocketphi.so"
    other.write_bytes(b"not a library")
    with pytest.raises(UserError, match="cannot be loaded") as error:
        abi.load_library(other)
    assert "make setup" in (error.value.hint or "")
    with pytest.raises(UserError, match="is missing"):
        abi.load_library(tmp_path / "absent.so")


def test_a_struct_of_another_size_is_refused(monkeypatch: pytest.MonkeyPatch):
    class Grown(ctypes.Structure):
        _fields_ = (("more", ctypes.c_uint8 * 4096),)

    monkeypatch.setitem(abi.STRUCTS, "pp_item", Grown)
    with pytest.raises(UserError, match="bytes in `pp_item`, expected 4096"):
        abi.load_library(abi.library_path())


def test_another_abi_version_is_refused(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(abi, "ABI_VERSION", 999)
    with pytest.raises(UserError, match="expected `999`"):
        abi.load_library(abi.library_path())


def test_a_closed_handle_raises_and_never_crashes(tiny_file: PocketFile):
    model = Model(tiny_file, threads=1)
    session = model.engine.session()
    session.step(TOKENS)
    other = model.engine.session()
    session.close()
    session.close()
    with pytest.raises(ValueError, match="closed"):
        session.step([1])
    with pytest.raises(ValueError, match="closed"):
        session.length  # noqa: B018
    model.close()
    model.close()
    for use in (lambda: other.step([1]), lambda: other.rewind(0), other.fork, model.engine.session):
        with pytest.raises(ValueError, match="closed"):
            use()
    other.close()


def test_forgotten_sessions_give_their_pages_back(tiny_model: Model):
    for _ in range(20):
        session = tiny_model.engine.session()
        session.step(TOKENS)
        del session
    gc.collect()
    assert tiny_model.engine.pages_in_use_bytes == 0


def test_handles_may_die_in_a_cycle(tiny_file: PocketFile):
    for _ in range(3):
        model = Model(tiny_file, threads=1)
        session = model.engine.session()
        session.step(TOKENS)
        model.cycle = [model, session]  # type: ignore[attr-defined]
        del model, session
        gc.collect()


def test_a_session_of_another_engine_is_refused(tiny_file: PocketFile):
    with Model(tiny_file, threads=1) as one, Model(tiny_file, threads=1) as two:
        session = one.engine.session()
        with pytest.raises(ValueError, match="another engine"):
            two.engine.step([StepItem(session=session, tokens=[1])])


@pytest.mark.parametrize("bad", [-1, 272, 2**31 - 1, 2**31, -(2**40), 2**70, 1.5])
def test_a_token_outside_the_vocabulary_changes_nothing(tiny_model: Model, bad: int):
    session = tiny_model.engine.session()
    session.step(TOKENS)
    with pytest.raises(UserError):
        session.step([1, bad, 2])
    assert session.length == len(TOKENS)


def test_too_long_a_sequence_is_refused_before_any_work(tiny_model: Model):
    session = tiny_model.engine.session()
    with pytest.raises(UserError):
        session.step([1] * (tiny_model.config.max_position_embeddings + 1))
    assert session.length == 0


def test_an_exhausted_page_budget_is_an_error_and_changes_nothing(open_tiny: Callable[..., Model]):
    model = open_tiny(load={"page_budget_bytes": 1 << 20})
    page = model.engine.page_bytes
    pages = (1 << 20) // page
    sessions = [model.engine.session() for _ in range(pages + 1)]
    for session in sessions[:pages]:
        session.step([1])
    with pytest.raises(UserError, match=r"page|memory|budget"):
        sessions[pages].step([1])
    assert sessions[pages].length == 0
    sessions[0].close()
    sessions[pages].step([1])


def test_rewinding_forgets_and_forking_shares(tiny_model: Model):
    whole = tiny_model.logits(TOKENS)
    session = tiny_model.engine.session()
    session.step(TOKENS)
    fork = session.fork()
    session.rewind(10)
    again = session.step(TOKENS[10:], logits=Positions.ALL).logits
    np.testing.assert_array_equal(again, whole[10:])
    fork.rewind(25)
    np.testing.assert_array_equal(fork.step(TOKENS[25:], logits=Positions.ALL).logits, whole[25:])
    with pytest.raises(UserError):
        session.rewind(len(TOKENS) + 1)


def test_a_fork_outlives_its_origin(tiny_model: Model):
    session = tiny_model.engine.session()
    session.step(list(range(100)))
    fork = session.fork()
    session.close()
    expected = tiny_model.logits([*range(100), 7])[-1]
    np.testing.assert_array_equal(fork.step([7]).logits[0], expected)


def test_a_flag_set_before_cancels_and_changes_nothing(tiny_model: Model):
    session = tiny_model.engine.session()
    session.step(TOKENS)
    flag = CancelFlag()
    flag.set()
    for tokens in ([1], TOKENS):
        with pytest.raises(Cancelled):
            session.step(tokens, cancel=flag)
        assert session.length == len(TOKENS)
    flag.clear()
    np.testing.assert_array_equal(session.step([1], cancel=flag).logits[0], tiny_model.logits([*TOKENS, 1])[-1])


@pytest.fixture
def slow_model(open_tiny: Callable[..., Model]) -> Model:
    """Minutes for a full context, so that there is time to interrupt it."""
    config = tiny_config(hidden_size=256, intermediate_size=512, num_hidden_layers=16, max_position_embeddings=8192)
    return open_tiny(config, kind=WeightFormat.F16, group=0, load={"isa": "scalar", "threads": 1})


def test_another_thread_can_cancel(slow_model: Model):
    session, flag = slow_model.engine.session(), CancelFlag()
    threading.Timer(0.2, flag.set).start()
    start = time.monotonic()
    with pytest.raises(Cancelled):
        session.step([1] * 8000, cancel=flag)
    assert time.monotonic() - start < 20  # the whole step takes minutes; a busy machine is slow to wake a thread
    assert session.length == 0


@pytest.mark.parametrize(
    "send", [lambda: os.kill(os.getpid(), signal.SIGINT), lambda: signal.raise_signal(signal.SIGINT)]
)
def test_an_interrupt_reaches_the_main_thread_in_mid_step(slow_model: Model, send: Callable[[], None]):
    session = slow_model.engine.session()
    threading.Timer(0.2, send).start()
    start = time.monotonic()
    with pytest.raises(KeyboardInterrupt):
        session.step([1] * 8000)
    assert time.monotonic() - start < 20  # the whole step takes minutes; a busy machine is slow to wake a thread
    assert session.length == 0
    session.step([1])


def test_a_signal_in_any_place_leaves_the_lock_free(tiny_model: Model):
    class Signalled(Exception):
        pass

    def handler(*_: object) -> None:
        raise Signalled

    before = signal.signal(signal.SIGALRM, handler)
    session, caught = tiny_model.engine.session(), 0
    try:
        deadline = time.monotonic() + 1.0
        while time.monotonic() < deadline:
            try:
                signal.setitimer(signal.ITIMER_REAL, 1e-5 + caught % 50 * 1e-6)
                for _ in range(100):
                    assert session.length == 0
            except Signalled:
                caught += 1
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)
    assert caught > 10
    assert session.length == 0


def test_closing_waits_for_a_step_in_another_thread(slow_model: Model):
    session, flag = slow_model.engine.session(), CancelFlag()
    outcome: list[BaseException] = []

    def work() -> None:
        try:
            session.step([1] * 8000, cancel=flag)
        except (Cancelled, ValueError) as error:
            outcome.append(error)

    thread = threading.Thread(target=work)
    thread.start()
    time.sleep(0.1)
    threading.Timer(0.1, flag.set).start()
    slow_model.close()
    thread.join()
    assert outcome


def test_progress_counts_up_to_the_total(open_tiny: Callable[..., Model]):
    model = open_tiny(load={"max_batch_tokens": 32})
    seen: list[tuple[int, int]] = []
    model.logits(list(range(200)), progress=lambda done, total: seen.append((done, total)))
    assert seen == sorted(seen)
    assert {total for _, total in seen} == {200}


def test_an_error_in_the_progress_callback_ends_the_step(open_tiny: Callable[..., Model]):
    model = open_tiny(load={"max_batch_tokens": 32})
    session = model.engine.session()

    def fail(done: int, total: int) -> None:
        raise RuntimeError(f"at {done}")

    with pytest.raises(RuntimeError, match="at "):
        session.step(list(range(200)), progress=fail)
    assert session.length == 0
    session.step([1])


def test_an_error_in_the_last_progress_callback_takes_the_step_back(open_tiny: Callable[..., Model]):
    session = open_tiny().engine.session()
    session.step([1, 2])

    def fail(done: int, total: int) -> None:
        raise RuntimeError(f"{done} of {total}")

    with pytest.raises(RuntimeError, match="3 of 3"):
        session.step([3, 4, 5], progress=fail)
    assert session.length == 2


def test_stale_keys_are_announced(open_tiny: Callable[..., Model]):
    model = open_tiny(longrope_config(border=32))
    session = model.engine.session()
    session.step([1] * 30)
    assert session.stale(2) == 0
    assert session.stale(3) == 30
    session.step([1] * 3)
    assert session.stale(1) == 0
    session.rewind(20)
    assert session.stale(1) == 20


def test_an_empty_step_is_a_bug_of_the_caller(tiny_model: Model):
    session = tiny_model.engine.session()
    with pytest.raises(ValueError, match="one or more tokens"):
        session.step([])
    assert tiny_model.engine.step([]) == []


@pytest.mark.parametrize("threads", [0, -1, 257])
def test_odd_thread_counts_are_refused(tiny_file: PocketFile, threads: int):
    with pytest.raises(UserError, match="threads"):
        Model(tiny_file, threads=threads)


def test_an_unknown_instruction_set_is_refused(tiny_file: PocketFile):
    with pytest.raises(UserError, match="`sse9` is unknown") as error:
        Model(tiny_file, isa="sse9")
    assert "avx2" in (error.value.hint or "")


def test_threads_that_share_an_engine_wait_for_each_other(open_tiny: Callable[..., Model]):
    model = open_tiny(load={"threads": 1})
    expected = model.logits(TOKENS)
    results: dict[int, list[np.ndarray]] = {number: [] for number in range(4)}

    def work(number: int) -> None:
        with model.engine.session() as session:
            results[number] = [session.step([token]).logits[0] for token in TOKENS]

    threads = [threading.Thread(target=work, args=(number,)) for number in results]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    for rows in results.values():
        np.testing.assert_array_equal(rows, expected)
