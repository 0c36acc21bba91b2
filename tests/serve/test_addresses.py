"""Where a server listens, and the names that lead there."""

import ipaddress
import socket

import pytest

from pocketphi.errors import UserError
from pocketphi.serve.addresses import Listening, listen, own_addresses


def closed(listening: Listening) -> Listening:
    for bound in listening.sockets:
        bound.close()
    return listening


def test_this_machine_alone_is_both_loopback_addresses_on_one_port():
    listening = listen("localhost", 0)
    try:
        assert not listening.is_reachable
        assert {bound.getsockname()[1] for bound in listening.sockets} == {listening.port}
        for bound in listening.sockets:
            with socket.socket(bound.family) as client:
                client.connect(bound.getsockname()[:2])
    finally:
        closed(listening)
    assert f"127.0.0.1:{listening.port}" in listening.authorities
    assert f"localhost:{listening.port}" in listening.authorities
    assert "localhost" not in listening.authorities, "a port is part of the name"
    assert listening.urls[0] == f"http://localhost:{listening.port}"


def test_every_address_is_named_but_no_other():
    listening = closed(listen("0.0.0.0", 0, ["Cosy.Example"]))
    assert listening.is_reachable
    assert listening.scheme == "https"
    assert listening.names[0] == "cosy.example"
    assert f"0.0.0.0:{listening.port}" not in listening.authorities
    for address in own_addresses():
        if ipaddress.ip_address(address).version == 4:
            assert f"{address}:{listening.port}" in listening.authorities
    assert f"https://cosy.example:{listening.port}" in listening.origins


def test_the_default_port_needs_no_number():
    listening = Listening(sockets=(), port=443, is_reachable=True, names=("box.local", "fd00::1"))
    assert listening.authorities == {"box.local", "box.local:443", "[fd00::1]", "[fd00::1]:443"}
    assert listening.urls == ("https://box.local", "https://[fd00::1]")


def test_a_taken_port_is_named_and_nothing_stays_open():
    first = listen("127.0.0.1", 0)
    try:
        with pytest.raises(UserError, match=f"port `{first.port}` of `127.0.0.1` is taken") as error:
            listen("localhost", first.port)
        assert "--port 0" in (error.value.hint or "")
    finally:
        closed(first)


@pytest.mark.parametrize("host", ["203.0.113.9", "999.1.1.1", "no-such-host.invalid", "not an address", ""])
def test_an_address_of_another_machine_is_refused(host: str):
    with pytest.raises(UserError, match="no address of this machine"):
        listen(host, 0)
