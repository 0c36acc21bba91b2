"""One question to an HTTP server that nobody vouches for: JSON there, JSON back, in a bounded time and size.

By the standard library, a connection for each request: what a model computes takes far longer than a handshake, and no
connection can have gone stale. A watch ends the exchange when its time is over, however cleverly the server drips.
Connections that fail, 408, 425, 429 and every 5xx are tried again, after the pause that `Retry-After` asks for.
Redirects are not followed: the key, and what is asked, are meant for the address that a person wrote.

No request leaves the machine offline, and proxies (from the usual variables, which `urllib` reads) never see one that
stays on it. The key appears in no message, not even where the server quotes it.
"""

import http.client
import ipaddress
import itertools
import json
import math
import ssl
import threading
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from email.utils import parsedate_to_datetime
from typing import Any, NoReturn
from urllib.parse import SplitResult, urlsplit
from urllib.request import getproxies, proxy_bypass

from pocketphi.errors import UserError, reason_of, shown
from pocketphi.runtime.endpoint_calls import Abandoned, Calls, cut
from pocketphi.version import __version__

_WORTH_ANOTHER_TRY = {408, 425, 429}
_SMALLEST_CAP = 1 << 20
_LARGEST_CAP = 64 << 20
_BYTES_FOR_A_BYTE = 512
"""A token is a byte at least, and what a server says about one takes a few hundred: more than this is no answer."""


@dataclass(frozen=True, kw_only=True)
class Patience:
    """How long an answer may take, and how often to ask again."""

    timeout_seconds: float = 300.0
    """From the first byte sent to the last one read, each time."""
    connect_seconds: float = 20.0
    attempts: int = 5
    backoff_seconds: float = 0.5
    """The first pause; each further one is twice as long."""
    max_retry_after_seconds: float = 300.0
    """The longest pause that a server may ask for; it is obeyed up to here."""
    total_seconds: float = 600.0
    """After the first try began, no other begins later than this: what twice took long is not asked five times."""

    def brief(self) -> "Patience":
        """For what takes a server no time: its list, a question of a few words."""
        return replace(
            self,
            timeout_seconds=min(30.0, self.timeout_seconds),
            attempts=min(2, self.attempts),
            max_retry_after_seconds=min(30.0, self.max_retry_after_seconds),
        )


class EndpointError(UserError):
    """The endpoint cannot be asked, or its answer cannot be used.

    Args:
        reason: what the message says behind the address.
        status: that of its refusal, if it was one.
    """

    def __init__(self, address: str, reason: str, *, hint: str | None = None, status: int | None = None) -> None:
        super().__init__(f"`{address}` {reason}", hint=hint)
        self.reason = reason
        self.status = status


class _Passing(Exception):
    """A failure that may pass."""

    def __init__(self, reason: str, *, status: int | None = None, retry_after: float = 0.0) -> None:
        super().__init__(reason)
        self.status = status
        self.retry_after = retry_after


class Server:
    """A server at `address`, such as `http://localhost:8000/v1`; without a path, `/v1` is meant.

    Args:
        key: sent as a bearer token.
        offline: refuse all but this machine.
        patience: may be changed between requests.
        notice: is told why a question is asked again; from any thread.

    Raises:
        UserError: the address or the key is unusable, or the network is forbidden.
    """

    def __init__(
        self,
        address: str,
        *,
        key: str | None,
        offline: bool,
        patience: Patience,
        notice: Callable[[str], None] = lambda _text: None,
    ) -> None:
        parts = _understood(address)
        self.address = f"{parts.scheme}://{parts.netloc}{parts.path.rstrip('/') or '/v1'}"
        self._base = urlsplit(self.address)
        self._is_here = _is_loopback(self._base.hostname or "")
        if offline and not self._is_here:
            raise UserError(
                f"`{self.address}` is needed from the network, and the network is switched off",
                hint="unset `POCKETPHI_OFFLINE` and `HF_HUB_OFFLINE`, or use a server on this machine",
            )
        if key is not None and not (key.isascii() and key.isprintable() and " " not in key):
            raise UserError("the key for the endpoint holds characters that no key has", hint="set it anew")
        self._key = key
        self.patience = patience
        self._notice = notice

    def get(self, path: str, calls: Calls | None = None) -> dict[str, Any]:
        """See `ask`."""
        return self.ask("GET", path, b"", calls or Calls())

    def post(self, path: str, body: Mapping[str, Any], calls: Calls | None = None) -> dict[str, Any]:
        """See `ask`."""
        return self.ask("POST", path, json.dumps(body).encode("ascii"), calls or Calls())

    def ask(self, method: str, path: str, body: bytes, calls: Calls) -> dict[str, Any]:
        """The JSON object that the server answers with.

        Raises:
            EndpointError: it refuses, keeps failing, or answers with something else.
            Abandoned: by `calls`.
        """
        if calls.over.is_set():
            raise Abandoned
        pause, start = self.patience.backoff_seconds, time.monotonic()
        for attempt in itertools.count(1):
            try:
                return self._exchange(method, path, body, calls)
            except _Passing as failure:
                wait = min(max(pause, failure.retry_after), self.patience.max_retry_after_seconds)
                is_over = time.monotonic() + wait - start > self.patience.total_seconds
                if attempt >= self.patience.attempts or is_over:
                    self.refuse(
                        f"{failure} (tried {'once' if attempt == 1 else f'{attempt} times'})",
                        hint="is the server up, and the address right? The same command goes on where it stopped",
                        status=failure.status,
                    )
                self._notice(f"`{self.address}` {self._hidden(str(failure))}; try {attempt + 1} in {wait:.3g} s")
            if calls.over.wait(wait):
                raise Abandoned
            pause *= 2
        raise AssertionError("counting ends")

    def refuse(self, reason: str, *, hint: str | None = None, status: int | None = None) -> NoReturn:
        """Raise an `EndpointError` that names the address, and not the key."""
        raise EndpointError(self.address, self._hidden(reason), hint=hint, status=status)

    def _exchange(self, method: str, path: str, body: bytes, calls: Calls) -> dict[str, Any]:
        """One try."""
        end = time.monotonic() + self.patience.timeout_seconds
        cap = min(max(_SMALLEST_CAP, len(body) * _BYTES_FOR_A_BYTE), _LARGEST_CAP)
        target, headers = self._base.path + path, self._headers()
        connection, target = self._connection(target, headers)
        try:
            connection.connect()
            wire = connection.sock
            wire.settimeout(self.patience.timeout_seconds)
        except ssl.SSLCertVerificationError as error:
            hint = "check the clock; name the certificate file of a company in `SSL_CERT_FILE`"
            self.refuse(f"shows a certificate that cannot be trusted: {error.verify_message}", hint=hint)
        except (OSError, http.client.HTTPException) as error:
            connection.close()
            raise _Passing(f"cannot be reached: {_said(error)}") from None
        watch = threading.Timer(max(0.0, end - time.monotonic()), cut, [wire])
        watch.daemon = True
        calls.add(wire)
        watch.start()
        try:
            connection.request(method, target, body or None, headers)
            with connection.getresponse() as response:
                raw = response.read(cap + 1)
                if len(raw) <= cap and response.length:
                    raise http.client.IncompleteRead(b"", response.length)
                if calls.over.is_set() or time.monotonic() >= end:
                    raise TimeoutError  # a body without a length ends wherever it is cut
        except (OSError, ValueError, http.client.HTTPException) as error:
            # A cut socket fails in as many ways as there are places to be in.
            if calls.over.is_set():
                raise Abandoned from None
            if time.monotonic() >= end:
                raise _Passing(f"gave no whole answer within {self.patience.timeout_seconds:g} s") from None
            raise _Passing(f"broke the connection: {_said(error)}") from None
        finally:
            watch.cancel()
            calls.remove(wire)
            connection.close()
        return self._judged(response, raw, cap)

    def _judged(self, response: http.client.HTTPResponse, raw: bytes, cap: int) -> dict[str, Any]:
        status = response.status
        if status in _WORTH_ANOTHER_TRY or status >= 500:
            reason = f"answered {status}{self._quoted(raw)}"
            raise _Passing(reason, status=status, retry_after=_retry_after(response.headers.get("Retry-After", "")))
        if 300 <= status < 400:
            target = urlsplit(response.headers.get("Location") or "")
            self.refuse(
                f"redirects to `{shown(self._hidden(target.netloc + target.path))}`, which is not followed",
                hint="give the address that answers by itself",
                status=status,
            )
        if status != 200:
            hint = "set `POCKETPHI_API_KEY` to a key of this server" if status in {401, 403} else None
            self.refuse(f"answered {status}{self._quoted(raw)}", hint=hint, status=status)
        if len(raw) > cap:
            self.refuse(f"answered with more than {cap:,} bytes")
        try:
            value = _parsed(raw)
        except ValueError as error:
            self.refuse(f"answered with something that is not JSON: {shown(error)}: `{self._start(raw)}`")
        if not isinstance(value, dict):
            self.refuse(f"answered with JSON that is no object: `{self._start(raw)}`")
        return value

    def _quoted(self, raw: bytes) -> str:
        """The server's own words for a refusal, in whichever of the usual forms."""
        try:
            value = _parsed(raw[:_SMALLEST_CAP])
        except ValueError:
            # A line of a proxy, say; pages tell nobody anything here.
            text = raw[:4096].decode("utf-8", "replace").strip()
            return "" if not text or text.startswith("<") else f": {shown(self._hidden(text), 300)}"
        for name in ("error", "message", "detail"):
            if isinstance(value, dict) and name in value:
                value = value[name]
        return f": {shown(self._hidden(str(value)), 300)}"

    def _start(self, raw: bytes) -> str:
        return shown(self._hidden(raw[:4096].decode("utf-8", "replace")))

    def _hidden(self, text: str) -> str:
        """`text` without the key; before it is cut short, as half a key is still a secret."""
        return text.replace(self._key, "***") if self._key else text

    def _headers(self) -> dict[str, str]:
        headers = {
            "User-Agent": f"pocketphi/{__version__}",
            "Accept": "application/json",
            "Accept-Encoding": "identity",
            "Content-Type": "application/json",
            "Connection": "close",
        }
        if self._key:
            headers["Authorization"] = f"Bearer {self._key}"
        return headers

    def _connection(self, target: str, headers: dict[str, str]) -> tuple[http.client.HTTPConnection, str]:
        """A connection that is not open yet, and what to ask it for; through a proxy if the surroundings have one."""
        host, port, scheme = self._base.hostname or "", self._base.port, self._base.scheme
        proxy = None if self._is_here or proxy_bypass(host) else getproxies().get(scheme)
        timeout = min(self.patience.connect_seconds, self.patience.timeout_seconds)
        kind = http.client.HTTPSConnection if scheme == "https" else http.client.HTTPConnection
        if proxy is None:
            return kind(host, port, timeout=timeout), target
        through = urlsplit(proxy if "://" in proxy else f"http://{proxy}")
        if through.hostname is None:
            raise UserError("the proxy of the surroundings is not an address", hint=f"check `{scheme}_proxy`")
        connection = kind(through.hostname, through.port or 80, timeout=timeout)
        if scheme == "https":
            connection.set_tunnel(host, port or 443)
            return connection, target
        headers["Host"] = self._base.netloc
        return connection, f"http://{self._base.netloc}{target}"


def _understood(address: str) -> SplitResult:
    """Never shows the address: a wrong one may hold a password."""
    try:
        parts = urlsplit(address)
        _ = parts.port
    except ValueError:
        parts = urlsplit("")
    if (
        parts.scheme not in {"http", "https"}
        or not parts.hostname
        or not address.isascii()
        or not address.isprintable()
    ):
        raise UserError("the endpoint is not an http or https address", hint="write it as `http://localhost:8000/v1`")
    if "@" in parts.netloc or parts.query or parts.fragment or " " in address:
        raise UserError(
            "the endpoint's address holds more than host, port and path",
            hint="a key belongs into the variable `POCKETPHI_API_KEY`",
        )
    return parts


def _is_loopback(host: str) -> bool:
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


def _parsed(raw: bytes) -> Any:
    """Raises `ValueError`."""
    try:
        return json.loads(raw.decode("utf-8"), parse_constant=_no_number, parse_float=_finite)
    except RecursionError:
        raise ValueError("nested too deeply") from None


def _no_number(text: str) -> NoReturn:
    raise ValueError(f"`{text}` is not a number")


def _finite(text: str) -> float:
    value = float(text)
    if not math.isfinite(value):
        raise ValueError(f"number `{shown(text)}` is too large")
    return value


def _retry_after(value: str) -> float:
    """Seconds, from a number or a date; 0 if it is absent or unreadable."""
    value = value.strip()
    if value.isascii() and value.isdigit():
        return float(value[:9])
    try:
        return max(0.0, parsedate_to_datetime(value).timestamp() - time.time())
    except (ValueError, OverflowError, TypeError):
        return 0.0


def _said(error: Exception) -> str:
    if isinstance(error, TimeoutError):
        return "no answer in time"
    if isinstance(error, http.client.IncompleteRead):
        return "the answer is cut off"
    return shown(reason_of(error) or type(error).__name__)
