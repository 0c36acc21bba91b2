"""The queue: first come, first served within a tenant, and tenants take turns.

One client with a thousand requests delays another's single one by one place, not by a thousand. The queue is bounded,
so that a refusal comes at once and with a time to try again; a tenant that waits for nothing yet is let in anyway.
"""

from collections import OrderedDict, deque
from collections.abc import Iterator

from pocketphi.runtime.scheduler.job import Ticket


class WaitingLine:
    """Tickets that nobody works on yet. Not safe for threads by itself."""

    def __init__(self) -> None:
        self._tenants: OrderedDict[str, deque[Ticket]] = OrderedDict()
        self._number = 0

    def __len__(self) -> int:
        return self._number

    def __iter__(self) -> Iterator[Ticket]:
        return (ticket for line in self._tenants.values() for ticket in line)

    def has_place(self, tenant: str, most: int) -> bool:
        """Whether fewer than `most` wait, or nobody of `tenant` does."""
        return self._number < most or (most > 0 and tenant not in self._tenants)

    def add(self, ticket: Ticket, most: int) -> bool:
        """Put a ticket at the end of its tenant's line; False if there is no place."""
        if not self.has_place(ticket.job.tenant, most):
            return False
        line = self._tenants.get(ticket.job.tenant)
        if line is None:
            line = self._tenants[ticket.job.tenant] = deque()
        line.append(ticket)
        self._number += 1
        return True

    def first(self) -> Ticket | None:
        """Whose turn it is."""
        return next(iter(self._tenants.values()))[0] if self._tenants else None

    def take(self, ticket: Ticket) -> bool:
        """Remove a ticket to serve it: its tenant's next turn comes after all others'. False if it does not wait."""
        tenant = ticket.job.tenant
        if not self.remove(ticket):
            return False
        if tenant in self._tenants:
            self._tenants.move_to_end(tenant)
        return True

    def remove(self, ticket: Ticket) -> bool:
        """Take a ticket out, wherever it stands; False if it does not wait."""
        line = self._tenants.get(ticket.job.tenant)
        if line is None or ticket not in line:
            return False
        line.remove(ticket)
        self._number -= 1
        if not line:
            del self._tenants[ticket.job.tenant]
        return True
