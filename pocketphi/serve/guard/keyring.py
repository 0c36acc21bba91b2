"""Keys of requests: compared in constant time, and guessing is slow.

Digests are compared, so lengths tell nothing, and every key is compared with every request, so neither does the order.
Whoever fails often from one address must wait. Addresses that fail are remembered in a bounded table, oldest first out:
a network full of guessers fills it, and still each of them gets a few guesses a minute at 160 bits.
"""

import hashlib
import hmac
import time
from collections import OrderedDict
from collections.abc import Callable, Sequence

from pocketphi.serve.guard.refusals import Refused

FAILURES_A_MINUTE = 20
_MOST_ADDRESSES = 4096
_MOST_KEY_BYTES = 1024


class Keyring:
    """The keys that open.

    Args:
        clock: seconds that only grow.
    """

    def __init__(self, keys: Sequence[str], clock: Callable[[], float] = time.monotonic) -> None:
        self._digests = [hashlib.sha256(key.encode()).digest() for key in keys]
        self._clock = clock
        self._failures: OrderedDict[str, tuple[int, float]] = OrderedDict()
        """Of an address: how many, and since when they are counted."""

    @property
    def is_empty(self) -> bool:
        """Whether nobody needs a key."""
        return not self._digests

    def tenant(self, authorization: bytes | None, address: str) -> str:
        """Whose key it is, as a name that does not tell the key.

        Args:
            authorization: the header's value.
            address: whose failures are counted.

        Raises:
            Refused: 401, none or a wrong one; 429, too many wrong ones.
        """
        count, since = self._failures.get(address, (0, 0.0))
        if count and self._clock() - since >= 60:
            count = 0
        if count >= FAILURES_A_MINUTE:
            wait = max(1, round(60 - (self._clock() - since)))
            raise Refused(429, "too_many_failures", "too many wrong keys; wait a minute", {"Retry-After": str(wait)})
        given = hashlib.sha256(_bearer(authorization)).digest()
        fits = [hmac.compare_digest(given, digest) for digest in self._digests]
        if authorization is not None and any(fits):
            return given.hex()[:16]
        if authorization is not None:  # asking without a key is how clients find out that one is needed
            self._note(address, count + 1, since if count else self._clock())
        message = "this server needs its key: `Authorization: Bearer KEY`" if authorization is None else "wrong key"
        raise Refused(401, "invalid_api_key", message, {"WWW-Authenticate": 'Bearer realm="pocketphi"'})

    def _note(self, address: str, count: int, since: float) -> None:
        self._failures[address] = (count, since)
        self._failures.move_to_end(address)
        if len(self._failures) > _MOST_ADDRESSES:
            self._failures.popitem(last=False)


def _bearer(authorization: bytes | None) -> bytes:
    """The key in the header; something that no key is if there is none."""
    if authorization is None or len(authorization) > _MOST_KEY_BYTES or authorization[:7].lower() != b"bearer ":
        return b""
    return authorization[7:]
