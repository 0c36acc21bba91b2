"""The thread in front of the batch: queue, cancellation, shutdown, and many clients at once."""

import random
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor

import pytest

from pocketphi.errors import UserError
from pocketphi.runtime.model import Model
from pocketphi.runtime.scheduler.job import EmbedJob, Job, QueueFullError, ShuttingDownError
from pocketphi.runtime.scheduler.scheduler import Scheduler
from pocketphi.runtime.session import ContextFullError
from pocketphi.runtime.writer import StopReason
from runtime.scheduler.asking import PATIENCE_SECONDS, Heard, answer_alone, job, tokens_of


@pytest.fixture
def scheduler(model: Model) -> Iterator[Scheduler]:
    with Scheduler(model, parallel=2, max_waiting=3) as scheduler:
        yield scheduler
    assert model.engine.pages_in_use_bytes == 0


def endless(seed: int = 0, *, tenant: str = "") -> Job:
    """A job that ends when somebody ends it."""
    return job(tokens_of(5, seed), max_tokens=None, tenant=tenant)


def wait_for(claim: Callable[[], bool]) -> None:
    deadline = time.monotonic() + PATIENCE_SECONDS
    while not claim():
        assert time.monotonic() < deadline
        time.sleep(0.001)


def test_clients_of_many_threads_get_their_own_answers(model: Model):
    random_jobs = [
        job(tokens_of(1 + 13 * (seed % 7), seed % 5), max_tokens=1 + seed % 11, seed=seed) for seed in range(40)
    ]

    def ask(asked: Job) -> Heard:
        heard = Heard()
        scheduler.submit(asked, heard.hear)
        return heard.wait()

    with Scheduler(model, parallel=3, max_waiting=40) as scheduler, ThreadPoolExecutor(8) as clients:
        for asked, heard in zip(random_jobs, clients.map(ask, random_jobs), strict=True):
            assert (heard.tokens, heard.text, heard.stop_reason) == answer_alone(model, asked)
        stats = scheduler.stats()
    assert stats.prompt_tokens == sum(len(asked.prompt) for asked in random_jobs)
    assert stats.generated_tokens == sum(len(answer_alone(model, asked)[0]) for asked in random_jobs)
    assert (stats.running, stats.waiting) == (0, 0)
    assert model.engine.pages_in_use_bytes == 0


def test_a_full_line_refuses_at_once_and_says_when_to_come_back(scheduler: Scheduler):
    heard = [Heard() for _ in range(5)]
    tickets = [scheduler.submit(endless(seed), each.hear) for seed, each in enumerate(heard)]
    with pytest.raises(QueueFullError, match=r"requests wait already") as refusal:
        scheduler.submit(endless(), lambda _: None)
    assert 1 <= refusal.value.retry_after_seconds <= 60
    other = Heard()
    scheduler.submit(job([1, 2], tenant="b", max_tokens=1), other.hear)
    for ticket in tickets:
        ticket.cancel()
    other.wait()
    assert {each.wait().stop_reason for each in heard} == {StopReason.CANCELLED}
    wait_for(lambda: scheduler.stats().running == 0)


def test_a_job_can_be_cancelled_in_the_line_in_its_prompt_and_in_its_answer(scheduler: Scheduler):
    running = [Heard(), Heard()]
    tickets = [scheduler.submit(endless(seed), each.hear) for seed, each in enumerate(running)]
    for each in running:
        assert each.began.wait(PATIENCE_SECONDS)
    waiting = Heard()
    scheduler.submit(endless(), waiting.hear).cancel()
    assert waiting.stop_reason is StopReason.CANCELLED, "before `cancel` returns"
    for ticket in tickets:
        ticket.cancel()
        ticket.cancel()
    for each in running:
        assert each.wait().stop_reason is StopReason.CANCELLED
    late = Heard()
    ticket = scheduler.submit(job([1], max_tokens=1), late.hear)
    late.wait()
    ticket.cancel()


def test_a_thousand_clients_that_leave_at_random_leave_nothing_behind(model: Model):
    random_times = random.Random(5)
    before = threading.active_count()
    with Scheduler(model, parallel=4, max_waiting=1000) as scheduler:
        heard = []
        for seed in range(1000):
            each = Heard()
            ticket = scheduler.submit(job(tokens_of(random_times.choice([3, 70, 300]), seed), max_tokens=40), each.hear)
            heard.append(each)
            if random_times.random() < 0.5:
                time.sleep(random_times.random() * 0.002)
            ticket.cancel()
        staying = Heard()
        last = job(tokens_of(50))
        scheduler.submit(last, staying.hear)
        assert staying.wait().tokens == answer_alone(model, last)[0]
        assert all(each.wait().pieces[-1].is_last for each in heard)
        stats = scheduler.stats()
        assert (stats.running, stats.waiting) == (0, 0)
    assert model.engine.pages_in_use_bytes == 0
    assert threading.active_count() == before


def test_leaving_breaks_off_a_long_step(slow_reader: Scheduler):
    heard = Heard()
    ticket = slow_reader.submit(job(tokens_of(500), max_tokens=1), heard.hear)
    wait_for(lambda: slow_reader.stats().running == 1)
    begin = time.monotonic()
    ticket.cancel()
    assert heard.wait().stop_reason is StopReason.CANCELLED
    assert time.monotonic() - begin < 0.25
    wait_for(lambda: slow_reader.stats().running == 0)


def test_draining_serves_those_who_are_there_and_refuses_others(model: Model):
    with Scheduler(model, parallel=1) as scheduler:
        heard = [Heard() for _ in range(3)]
        for seed, each in enumerate(heard):
            scheduler.submit(job(tokens_of(9, seed)), each.hear)
        assert scheduler.drain(PATIENCE_SECONDS) == 0
        assert {each.stop_reason for each in heard} == {StopReason.LENGTH}
        with pytest.raises(ShuttingDownError):
            scheduler.submit(job([1]), lambda _: None)


def test_draining_says_how_many_were_cut(model: Model):
    with Scheduler(model, parallel=1) as scheduler:
        heard = [Heard() for _ in range(3)]
        for each in heard:
            scheduler.submit(endless(), each.hear)
        heard[0].began.wait(PATIENCE_SECONDS)
        cut = scheduler.drain(0)
        assert cut == 3
        assert all(each.wait().stop_reason is StopReason.CANCELLED for each in heard)


def test_what_cannot_be_served_is_refused_before_it_waits(scheduler: Scheduler):
    with pytest.raises(ContextFullError):
        scheduler.submit(job(tokens_of(scheduler.model.context_size)), lambda _: None)
    with pytest.raises(UserError, match="prompt is empty"):
        scheduler.submit(job([]), lambda _: None)
    heard = Heard()
    scheduler.submit(job([10**6]), heard.hear)
    assert heard.wait().pieces[-1].error is not None
    heard = Heard()
    scheduler.submit(EmbedJob(prompt=tuple(tokens_of(scheduler.model.context_size))), heard.hear)
    assert heard.wait().pieces[-1].embedding is not None


def test_models_take_turns(model: Model):
    turn = threading.Lock()
    with Scheduler(model, turn=turn) as first, Scheduler(model, turn=turn) as second:
        heard = [Heard(), Heard()]
        with turn:
            for scheduler, each in zip((first, second), heard, strict=True):
                scheduler.submit(job([1, 2, 3]), each.hear)
            assert not heard[0].began.wait(0.05)
        assert heard[0].wait().tokens == heard[1].wait().tokens
