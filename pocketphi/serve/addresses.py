"""Where a server listens, and under which names it may be asked for.

A browser that was lured to a stranger's page sends the stranger's name in `Host`, even when that name was made to point
at this machine. So the names are an exact list: the addresses that are bound, `localhost`, this machine's own name, and
what `--host-name` adds.
"""

import errno
import ipaddress
import socket
from collections.abc import Sequence
from dataclasses import dataclass

import psutil

from pocketphi.errors import UserError, reason_of

LOOPBACK = ("127.0.0.1", "::1")
_WILDCARDS = ("0.0.0.0", "::")  # noqa: S104 - names to compare with; nothing is bound here
_DEFAULT_PORTS = {"http": 80, "https": 443}


@dataclass(frozen=True, kw_only=True)
class Listening:
    """Open sockets and the names that lead to them."""

    sockets: tuple[socket.socket, ...]
    port: int
    is_reachable: bool
    """Whether anybody but this machine can connect."""
    names: tuple[str, ...]
    """Addresses and host names without port, the most useful first."""

    @property
    def scheme(self) -> str:
        return "https" if self.is_reachable else "http"

    @property
    def authorities(self) -> frozenset[str]:
        """What `Host` may say."""
        named = {f"{_bracketed(name)}:{self.port}" for name in self.names}
        if self.port == _DEFAULT_PORTS[self.scheme]:
            named |= {_bracketed(name) for name in self.names}
        return frozenset(named)

    @property
    def origins(self) -> frozenset[str]:
        """What `Origin` may say."""
        return frozenset(f"{self.scheme}://{authority}" for authority in self.authorities)

    @property
    def urls(self) -> tuple[str, ...]:
        """One for each name."""
        end = "" if self.port == _DEFAULT_PORTS[self.scheme] else f":{self.port}"
        return tuple(f"{self.scheme}://{_bracketed(name)}{end}" for name in self.names)


def listen(host: str, port: int, host_names: Sequence[str] = ()) -> Listening:
    """Bind sockets: both loopback addresses for `localhost`, otherwise the one asked for.

    Args:
        port: 0 for a free one.

    Raises:
        UserError: the address is not this machine's, or the port is taken.
    """
    wanted = LOOPBACK if host == "localhost" else (host,)
    try:
        found = [socket.getaddrinfo(each, None, type=socket.SOCK_STREAM) for each in wanted]
    except OSError as error:
        raise UserError(f"`{host}` is no address of this machine: {reason_of(error)}") from error
    sockets: list[socket.socket] = []
    try:
        for address in dict.fromkeys(str(info[4][0]) for infos in found for info in infos):
            bound = _bind(address, port)
            if bound is None:
                continue
            sockets.append(bound)
            port = bound.getsockname()[1]
        if not sockets:
            raise UserError(f"`{host}` is no address of this machine", hint="leave `--host` out for this machine alone")
    except UserError:
        for bound in sockets:
            bound.close()
        raise
    bound_addresses = [str(bound.getsockname()[0]) for bound in sockets]
    is_reachable = not all(ipaddress.ip_address(address).is_loopback for address in bound_addresses)
    return Listening(
        sockets=tuple(sockets),
        port=port,
        is_reachable=is_reachable,
        names=tuple(_names(bound_addresses, is_reachable=is_reachable, more=host_names)),
    )


def _names(addresses: Sequence[str], *, is_reachable: bool, more: Sequence[str]) -> list[str]:
    """Every name that leads to `addresses`, those for other machines first."""
    if not is_reachable:
        return list(dict.fromkeys(("localhost", *addresses, *map(str.lower, more))))
    names = [name.lower() for name in more]
    if any(address in _WILDCARDS for address in addresses):
        families = {ipaddress.ip_address(address).version for address in addresses}
        own = own_addresses()
        far = [address for address in own if not ipaddress.ip_address(address).is_loopback]
        names += [address for address in far if ipaddress.ip_address(address).version in families or 6 in families]
        names += _host_names()
        names += ["localhost", *LOOPBACK]
    else:
        names += [*addresses, *_host_names()]
    return list(dict.fromkeys(names))


def own_addresses() -> list[str]:
    """The addresses of this machine's interfaces that are up, IPv4 first. Those that need a zone are left out."""
    up = {name for name, state in psutil.net_if_stats().items() if state.isup}
    found = [
        address.address
        for name, addresses in psutil.net_if_addrs().items()
        if name in up
        for address in addresses
        if address.family in (socket.AF_INET, socket.AF_INET6) and "%" not in address.address
    ]
    return sorted(found, key=lambda address: ipaddress.ip_address(address).version)


def _host_names() -> list[str]:
    name = socket.gethostname().lower().partition(".")[0]
    is_usable = bool(name) and name.isascii() and name.replace("-", "").isalnum() and name != "localhost"
    return [name, f"{name}.local"] if is_usable else []


def _bind(address: str, port: int) -> socket.socket | None:
    """A listening socket; None if this machine lacks the address."""
    is_six = ":" in address
    try:
        bound = socket.socket(socket.AF_INET6 if is_six else socket.AF_INET, socket.SOCK_STREAM)
    except OSError:
        return None
    try:
        bound.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        if is_six:
            bound.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
        bound.bind((address, port))
        bound.listen(256)
        bound.setblocking(False)
    except PermissionError as error:
        bound.close()
        raise UserError(f"port `{port}` is for the administrator", hint="take one from 1024 on") from error
    except OSError as error:
        bound.close()
        if error.errno == errno.EADDRINUSE:
            raise UserError(
                f"port `{port}` of `{address}` is taken",
                hint="stop what listens there, or take another: `--port 0` finds a free one",
            ) from error
        return None
    return bound


def _bracketed(name: str) -> str:
    return f"[{name}]" if ":" in name else name
