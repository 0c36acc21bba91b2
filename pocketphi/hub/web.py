"""One careful way to open a URL: HTTP and HTTPS only, by the standard library.

A failure is told apart by what helps against it. `BrokenConnection` is worth another try (no route, a break, a silent
server, 429 and every 5xx). `Refused` is the server's considered answer (401, 403, 404 and the like) and goes to the
caller, who knows what was asked for. What no second try mends, such as a certificate that does not match, is a
`UserError` at once.

Redirects are followed by hand, because two rules hang on them: the token is sent to the host it was meant for and to
no other, and a connection that began encrypted stays encrypted. No request is made offline: `open_url` checks before
a socket exists. Proxies and certificates come from the usual variables, which `urllib` reads.
"""

import http.client
import ssl
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from email.message import Message
from email.utils import parsedate_to_datetime
from typing import TypeVar
from urllib.parse import urljoin, urlsplit

from pocketphi.config import Settings
from pocketphi.errors import UserError
from pocketphi.version import __version__

MAX_REDIRECTS = 8
_WORTH_ANOTHER_TRY = {408, 425, 429}
_REDIRECTS = {301, 302, 303, 307, 308}

Result = TypeVar("Result")
Notify = Callable[[str], None]


@dataclass(frozen=True, kw_only=True)
class Patience:
    """How long a server may be silent or slow, and how often to try again."""

    silence_seconds: float = 30.0
    """Longest wait for a connection, for an answer, and between two pieces of a body."""

    slow_seconds: float = 60.0
    """The span over which the speed of a body is judged."""

    slow_bytes: int = 64 * 1024
    """Fewer bytes than this in one span count as a stall: a dead connection that still drips."""

    attempts: int = 10
    """Tries in a row that get nowhere, before giving up."""

    progress_bytes: int = 1024 * 1024
    """What a try must have gained for the count to start again."""

    backoff_seconds: float = 0.5
    """The first pause; each further one is twice as long, up to `max_backoff_seconds`."""

    max_backoff_seconds: float = 30.0
    max_retry_after_seconds: float = 300.0
    """The longest pause a server may ask for; it is obeyed up to here."""


class BrokenConnection(Exception):
    """A failure that may pass. `retry_after` is the pause in seconds that the server asked for."""

    def __init__(self, reason: str, *, retry_after: float | None = None) -> None:
        super().__init__(reason)
        self.reason = reason
        self.retry_after = retry_after


class Refused(Exception):
    """The server's considered no.

    Attributes:
        status: the HTTP status.
        code: the hub's own word for it (`X-Error-Code`), such as `GatedRepo`; empty if it gives none.
    """

    def __init__(self, status: int, code: str, host: str) -> None:
        super().__init__(f"`{host}` answered {status}" + (f" ({code})" if code else ""))
        self.status = status
        self.code = code
        self.host = host


class OfflineError(UserError):
    """The network is needed, and the user has forbidden it."""


class Unreachable(UserError):
    """Several tries got nowhere: there may be no network at all."""


@dataclass(frozen=True)
class Answer:
    """An open response, and what the redirects on the way said (`X-Linked-Etag` stands on the first)."""

    response: http.client.HTTPResponse
    headers: Message
    """Of the last hop, completed by headers that only an earlier hop gave."""

    @property
    def status(self) -> int:
        return self.response.status


def open_url(
    url: str,
    settings: Settings,
    patience: Patience,
    *,
    method: str = "GET",
    headers: Mapping[str, str] | None = None,
) -> Answer:
    """Open `url`, following redirects; the caller closes `Answer.response`.

    The token of `settings` goes to the host of `settings.hf_endpoint` alone.

    Raises:
        UserError: offline, or something that no second try mends.
        BrokenConnection: worth another try.
        Refused: the server said no.
    """
    require_network(settings, url)
    opener = _opener()
    asked = {"User-Agent": f"pocketphi/{__version__}", "Accept-Encoding": "identity", **(headers or {})}
    seen: list[Message] = []
    for _ in range(MAX_REDIRECTS + 1):
        request = _request(url, method, asked, settings)
        try:
            response = opener.open(request, timeout=patience.silence_seconds)
            return Answer(response, _merged(response.headers, seen))
        except urllib.error.HTTPError as error:
            with error:
                if error.code not in _REDIRECTS or not error.headers.get("Location"):
                    raise _judged(error, url) from None
                seen.append(error.headers)
                url = next_hop(url, error.headers["Location"])
        except ssl.SSLCertVerificationError as error:
            raise _untrusted(url, error) from error
        except urllib.error.URLError as error:
            if isinstance(error.reason, ssl.SSLCertVerificationError):
                raise _untrusted(url, error.reason) from error
            raise BrokenConnection(f"no connection to `{_host(url)}`: {said(error.reason)}") from error
        except (OSError, http.client.HTTPException) as error:
            raise BrokenConnection(f"the connection to `{_host(url)}` broke: {said(error)}") from error
    raise UserError(f"`{_host(url)}` redirects more than {MAX_REDIRECTS} times", hint="check `HF_ENDPOINT`")


def retrying(attempt: Callable[[], Result], patience: Patience, *, notify: Notify, what: str) -> Result:
    """The result of `attempt`, tried again after each `BrokenConnection`, up to `patience.attempts` times."""
    failures = 0
    while True:
        try:
            return attempt()
        except BrokenConnection as broken:
            failures += 1
            if failures >= patience.attempts:
                raise gave_up(what, broken, failures) from broken
            pause(broken, failures, patience, notify)


def pause(broken: BrokenConnection, failures: int, patience: Patience, notify: Notify) -> None:
    """Wait before try number `failures + 1`, as long as the server asked or twice as long as last time."""
    seconds = min(patience.backoff_seconds * 2 ** (failures - 1), patience.max_backoff_seconds)
    if broken.retry_after is not None:
        seconds = min(max(broken.retry_after, seconds), patience.max_retry_after_seconds)
    notify(f"{broken.reason}; trying again in {seconds:.1f} s")
    time.sleep(seconds)


def gave_up(what: str, broken: BrokenConnection, failures: int) -> Unreachable:
    return Unreachable(
        f"{what}: {broken.reason} (tried {failures} times)",
        hint="check the network and `HF_ENDPOINT`, then run the same command again: it goes on where it stopped",
    )


def require_network(settings: Settings, what: str) -> None:
    """Refuse to go on when the network is forbidden. Called before any socket or subprocess exists."""
    if settings.offline:
        raise OfflineError(
            f"`{without_query(what)}` is needed from the network, and the network is switched off",
            hint="unset `POCKETPHI_OFFLINE` and `HF_HUB_OFFLINE`, or use a model that `pocketphi list` shows",
        )


def without_query(url: str) -> str:
    """`url` fit for a message: signed addresses carry secrets in the query, some carry a password in front."""
    parts = urlsplit(url)
    return parts._replace(netloc=parts.netloc.rpartition("@")[2], query="", fragment="").geturl()


def _opener() -> urllib.request.OpenerDirector:
    """An opener that knows HTTP, HTTPS and proxies: no `file:`, no `ftp:`, no redirects of its own."""
    opener = urllib.request.OpenerDirector()
    for handler in (
        urllib.request.ProxyHandler(),
        urllib.request.HTTPHandler(),
        urllib.request.HTTPSHandler(context=ssl.create_default_context()),
        urllib.request.HTTPDefaultErrorHandler(),
        urllib.request.HTTPErrorProcessor(),
        urllib.request.UnknownHandler(),
    ):
        opener.add_handler(handler)
    return opener


def _request(url: str, method: str, headers: Mapping[str, str], settings: Settings) -> urllib.request.Request:
    if urlsplit(url).scheme not in {"http", "https"} or not urlsplit(url).hostname:
        raise UserError(f"`{without_query(url)}` is not an http or https address", hint="check `HF_ENDPOINT`")
    request = urllib.request.Request(url, headers=dict(headers), method=method)  # noqa: S310 - checked just above
    if settings.hf_token is not None and _origin(url) == _origin(settings.hf_endpoint):
        request.add_header("Authorization", f"Bearer {settings.hf_token}")
    return request


def next_hop(url: str, location: str) -> str:
    """Where a redirect from `url` leads."""
    target = urljoin(url, location)
    if urlsplit(url).scheme == "https" and urlsplit(target).scheme != "https":
        raise UserError(f"`{_host(url)}` redirects from https to `{without_query(target)}`, which is not encrypted")
    return target


def _judged(error: urllib.error.HTTPError, url: str) -> Exception:
    if error.code in _WORTH_ANOTHER_TRY or error.code >= 500:
        reason = f"`{_host(url)}` answered {error.code}"
        return BrokenConnection(reason, retry_after=_retry_after(error.headers))
    return Refused(error.code, error.headers.get("X-Error-Code", ""), _host(url))


def _retry_after(headers: Message) -> float | None:
    """Seconds, from `Retry-After` as a number or as a date; None if it is absent or unreadable."""
    value = headers.get("Retry-After", "").strip()
    if value.isascii() and value.isdigit():
        return float(value)
    try:
        return max(0.0, parsedate_to_datetime(value).timestamp() - time.time())
    except (ValueError, OverflowError):
        return None


def _untrusted(url: str, error: ssl.SSLCertVerificationError) -> UserError:
    return UserError(
        f"`{_host(url)}` shows a certificate that cannot be trusted: {error.verify_message}",
        hint="check the clock; behind a company proxy, name its certificate file in `SSL_CERT_FILE`",
    )


def _merged(last: Message, seen: list[Message]) -> Message:
    merged = Message()
    for headers in (last, *reversed(seen)):
        for name, value in headers.items():
            if name not in merged and (headers is last or name.lower().startswith("x-")):
                merged[name] = value
    return merged


def _origin(url: str) -> tuple[str, str | None, int | None]:
    parts = urlsplit(url)
    return parts.scheme, parts.hostname, parts.port or {"http": 80, "https": 443}.get(parts.scheme)


def _host(url: str) -> str:
    return urlsplit(url).netloc.rpartition("@")[2]


def said(error: object) -> str:
    """What an exception says, for a person; its type if it says nothing."""
    if isinstance(error, TimeoutError):
        return "no answer in time"
    return str(getattr(error, "strerror", None) or error or type(error).__name__)
