"""The queue's order and its bound."""

import itertools

from hypothesis import given
from hypothesis import strategies as st

from pocketphi.runtime.scheduler.job import Ticket
from pocketphi.runtime.scheduler.waiting import WaitingLine
from runtime.scheduler.asking import job


def ticket(tenant: str) -> Ticket:
    return Ticket(job([1], tenant=tenant), lambda _: None)


def take_all(line: WaitingLine) -> list[Ticket]:
    taken = []
    while (first := line.first()) is not None:
        assert line.take(first)
        taken.append(first)
    return taken


@given(st.lists(st.sampled_from("abc"), max_size=30))
def test_within_a_tenant_first_come_first_served_and_tenants_take_turns(tenants: list[str]):
    line, tickets = WaitingLine(), [ticket(tenant) for tenant in tenants]
    assert all(line.add(each, 100) for each in tickets)
    taken = take_all(line)
    for tenant in "abc":
        own = [each for each in tickets if each.job.tenant == tenant]
        assert [each for each in taken if each.job.tenant == tenant] == own
        # Between two of a tenant's turns nobody has two.
        places = [taken.index(each) for each in own]
        for begin, end in itertools.pairwise(places):
            between = [each.job.tenant for each in taken[begin + 1 : end]]
            assert len(between) == len(set(between))
    assert len(line) == 0


def test_it_is_bounded_but_whoever_waits_for_nothing_is_let_in():
    line = WaitingLine()
    assert [line.add(ticket("greedy"), 3) for _ in range(5)] == [True, True, True, False, False]
    assert line.add(ticket("modest"), 3)
    assert not line.add(ticket("modest"), 3)
    assert len(line) == 4


def test_a_ticket_leaves_from_the_middle():
    line, tickets = WaitingLine(), [ticket("a") for _ in range(3)]
    for each in tickets:
        line.add(each, 9)
    assert line.remove(tickets[1])
    assert not line.remove(tickets[1])
    assert list(line) == [tickets[0], tickets[2]]
    assert take_all(line) == [tickets[0], tickets[2]]
