"""Whatever joins, leaves, shares and crosses: every answer is the one that a fresh session gives."""

import random
from collections.abc import Callable

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pocketphi.errors import UserError
from pocketphi.runtime.abi import Cancelled
from pocketphi.runtime.cancel import CancelFlag
from pocketphi.runtime.model import Model
from pocketphi.runtime.scheduler import batch as batch_module
from pocketphi.runtime.scheduler.batch import Batch
from pocketphi.runtime.scheduler.job import EmbedJob, Job, Ticket
from runtime.scheduler.asking import Heard, answer_alone, embedding_alone, job, tokens_of


class Asked:
    """A job, its ticket and what was heard of it."""

    def __init__(self, asked: Job | EmbedJob) -> None:
        self.heard = Heard()
        self.job = asked
        self.ticket = Ticket(asked, self.heard.hear)


def run(batch: Batch, asked: list[Asked], *, parallel: int = 4) -> None:
    """Serve all of them."""
    line = list(asked)
    while line or batch.running:
        while line and len(batch.running) < parallel and batch.start(line[0].ticket):
            line.pop(0)
        for ticket, piece in batch.step(batch.compose()):
            ticket.on_piece(piece)


def assert_as_alone(model: Model, asked: list[Asked]) -> None:
    for each in asked:
        if isinstance(each.job, EmbedJob):
            assert each.heard.pieces[-1].embedding is not None
            np.testing.assert_allclose(
                each.heard.pieces[-1].embedding, embedding_alone(model, each.job), rtol=1e-6, atol=1e-6
            )
        else:
            assert (each.heard.tokens, each.heard.text, each.heard.stop_reason) == answer_alone(model, each.job)


STEMS = [tokens_of(length, seed=length) for length in (0, 20, 63, 64, 65, 130, 200)]
prompts = st.builds(
    lambda stem, cut, own: [*stem[: max(0, len(stem) - cut)], *own],
    st.sampled_from(STEMS),
    st.sampled_from([0, 0, 1, 5]),
    st.lists(st.integers(0, 255), min_size=1, max_size=40),
)
jobs = st.builds(
    job,
    prompts,
    max_tokens=st.sampled_from([1, 2, 9, 70]),
    tenant=st.sampled_from(["", "", "b"]),
    seed=st.integers(0, 3),
)


@settings(max_examples=60, deadline=None)
@given(asked=st.lists(jobs, min_size=1, max_size=8), parallel=st.integers(1, 4))
def test_an_answer_does_not_depend_on_who_else_is_served(model: Model, asked: list[Job], parallel: int):
    everybody = [Asked(each) for each in asked]
    with Batch(model) as batch:
        run(batch, everybody, parallel=parallel)
        run(batch, [again := Asked(asked[0])])
        assert_as_alone(model, [*everybody, again])
    assert model.engine.pages_in_use_bytes == 0


@settings(max_examples=40, deadline=None)
@given(
    asked=st.lists(
        st.builds(job, st.lists(st.integers(0, 255), min_size=1, max_size=60), max_tokens=st.just(50)),
        min_size=1,
        max_size=5,
    ),
    parallel=st.integers(1, 3),
)
def test_across_the_border_of_longrope_too(longrope_model: Model, asked: list[Job], parallel: int):
    everybody = [Asked(each) for each in (*asked, *asked[:1])]
    with Batch(longrope_model) as batch:
        run(batch, everybody, parallel=parallel)
        assert_as_alone(longrope_model, everybody)
    assert longrope_model.engine.pages_in_use_bytes == 0


@settings(max_examples=40, deadline=None)
@given(asked=st.lists(jobs, min_size=2, max_size=6), seed=st.integers(0, 10**6))
def test_those_who_leave_change_nothing_for_those_who_stay(model: Model, asked: list[Job], seed: int):
    chance = random.Random(seed)
    everybody = [Asked(each) for each in asked]
    leaves_at = {each: chance.choice([None, 0, 1, 2, 5, 20]) for each in everybody[1:]}
    with Batch(model) as batch:
        for each in everybody:
            assert batch.start(each.ticket)
        steps = 0
        while batch.running:
            for each, at in leaves_at.items():
                if at == steps:
                    batch.remove(each.ticket)
            flag = CancelFlag()
            if chance.random() < 0.2:
                flag.set()
            parts = batch.compose(briefly=chance.random() < 0.5)
            try:
                news = batch.step(parts, flag) if parts else []
            except Cancelled:
                continue
            steps += 1
            for ticket, piece in news:
                ticket.on_piece(piece)
        assert_as_alone(model, [each for each in everybody if leaves_at.get(each) is None])
    assert model.engine.pages_in_use_bytes == 0


def test_a_prompt_is_read_once_for_all_answers_to_it(model: Model):
    prompt = tokens_of(200)
    everybody = [Asked(job(prompt, seed=seed)) for seed in range(4)]
    with Batch(model) as batch:
        run(batch, everybody)
    assert [each.ticket.num_cached_tokens for each in everybody] == [0, 199, 199, 199]
    assert_as_alone(model, everybody)


def test_a_conversation_that_comes_back_starts_where_it_ended(model: Model):
    with Batch(model) as batch:
        run(batch, [first := Asked(job(tokens_of(100)))])
        longer = [*first.job.prompt, *first.heard.tokens, *tokens_of(30, seed=1)]
        run(batch, [second := Asked(job(longer))])
        assert second.ticket.num_cached_tokens >= 100 + len(first.heard.tokens) - 1
        assert len(batch.kept) == 1, "what it continues has nothing more to give"
    assert_as_alone(model, [second])


def test_tenants_share_nothing(model: Model):
    prompt = tokens_of(100)
    everybody = [Asked(job(prompt, tenant=tenant)) for tenant in ("a", "b", "a", "b")]
    with Batch(model) as batch:
        run(batch, everybody[:2], parallel=2)
        run(batch, everybody[2:], parallel=2)
    assert [each.ticket.num_cached_tokens for each in everybody] == [0, 0, 99, 99]


def test_hidden_states_are_averaged_over_all_pieces_of_a_text(model: Model, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(batch_module, "PROMPT_TOKENS_ALONE", 37)
    everybody = [Asked(EmbedJob(prompt=tuple(tokens_of(length, seed=length)))) for length in (1, 36, 37, 38, 200)]
    with Batch(model) as batch:
        run(batch, everybody)
        assert len(batch.kept) == 0
    assert_as_alone(model, everybody)


def test_a_long_prompt_delays_those_who_write_by_little(model: Model):
    writing, reading = Asked(job([1, 2, 3], max_tokens=100)), Asked(job(tokens_of(400), max_tokens=1))
    with Batch(model) as batch:
        batch.start(writing.ticket)
        batch.step(batch.compose())
        batch.start(reading.ticket)
        while not reading.heard.ended.is_set():
            parts = batch.compose()
            assert sum(count for _, count in parts) <= 1 + batch_module.PROMPT_TOKENS_BESIDE
            news = batch.step(parts)
            assert writing.ticket in [ticket for ticket, _ in news], "it writes in every step"
            for ticket, piece in news:
                ticket.on_piece(piece)


def test_where_pages_are_short_fewer_run_at_once_and_all_are_served(open_tiny: Callable[..., Model]):
    roomy = open_tiny()
    with open_tiny(load={"page_budget_bytes": 5 * roomy.engine.page_bytes}) as model, Batch(model) as batch:
        everybody = [Asked(job(tokens_of(100, seed=seed), max_tokens=60, seed=seed)) for seed in range(5)]
        most = 0
        line = list(everybody)
        while line or batch.running:
            while line and batch.start(line[0].ticket):
                line.pop(0)
            most = max(most, len(batch.running))
            for ticket, piece in batch.step(batch.compose()):
                ticket.on_piece(piece)
        assert most == 1, "each takes three of five pages"
        assert_as_alone(roomy, everybody)
        with pytest.raises(UserError, match=r"more memory than cached keys may have"):
            batch.start(Asked(job(tokens_of(400))).ticket)


def test_kept_prefixes_make_way_when_pages_are_needed(open_tiny: Callable[..., Model]):
    page = open_tiny().engine.page_bytes
    with open_tiny(load={"page_budget_bytes": 6 * page}) as model, Batch(model) as batch:
        everybody = [Asked(job(tokens_of(120, seed=seed), max_tokens=5)) for seed in range(6)]
        run(batch, everybody, parallel=1)
        assert 1 <= len(batch.kept) <= 3
        run(batch, [again := Asked(job(everybody[-1].job.prompt))])
        assert again.ticket.num_cached_tokens == 119, "the latest is still there"
