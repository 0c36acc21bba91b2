"""Those who should get in do, while others try; slow ones are cut, guessers must wait."""

import json
import logging
import time
from concurrent.futures import ThreadPoolExecutor

import pytest

from pocketphi.serve.guard.keyring import FAILURES_A_MINUTE, Keyring
from pocketphi.serve.guard.refusals import Refused
from serve.guard.conftest import KEY, Target
from serve.guard.test_intruders import CHAT, near_misses, request


def test_a_good_client_is_answered(target: Target):
    status, answer = target.ask(request(target))
    assert status == 200, answer[:500]
    assert json.loads(answer.partition(b"\r\n\r\n")[2])["usage"]["completion_tokens"] >= 1


def test_pages_of_the_server_itself_may_ask(target: Target):
    own = f"Origin: {target.scheme}://{target.authority}\r\nSec-Fetch-Site: same-origin\r\n".encode()
    status, answer = target.ask(request(target, more=own))
    assert status == 200
    assert b"access-control-allow-origin" not in answer.lower()


def test_a_page_that_was_let_in_reads_answers_and_nobody_else(target: Target):
    asks = b"Origin: https://notes.test\r\n"
    status, answer = target.ask(request(target, more=asks))
    assert status == 200
    assert b"access-control-allow-origin: https://notes.test\r\n" in answer
    assert b"access-control-allow-credentials" not in answer
    wants = b"Access-Control-Request-Method: POST\r\nAccess-Control-Request-Headers: authorization\r\n"
    line = b"OPTIONS /v1/chat/completions HTTP/1.1"
    status, answer = target.ask(request(target, line, key=b"", more=asks + wants))
    assert status == 204
    assert b"access-control-allow-headers: authorization, content-type\r\n" in answer
    assert target.ask(request(target, line, key=b"", more=b"Origin: https://evil.test\r\n" + wants))[0] == 403


def test_the_page_and_health_are_for_everybody(target: Target):
    for path in (b"/", b"/index.html", b"/health"):
        status, answer = target.ask(request(target, b"GET " + path + b" HTTP/1.1", key=b""))
        assert status == 200
        for header in (b"x-content-type-options: nosniff", b"referrer-policy: no-referrer", b"x-frame-options: deny"):
            assert header in answer.lower()
        assert b"content-security-policy:" in answer.lower()


def test_the_authority_is_offered_on_a_network(target: Target):
    status, answer = target.ask(request(target, b"GET /ca.crt HTTP/1.1", key=b""))
    assert status == (200 if target.key else 404)
    assert (b"BEGIN CERTIFICATE" in answer) == bool(target.key)
    assert b"PRIVATE" not in answer


def test_every_name_of_the_server_leads_to_it(target: Target):
    names = [b"localhost", b"LOCALHOST", b"127.0.0.1"] + ([b"cosy.test"] if target.key else [])
    for name in names:
        host = name + b":" + str(target.address[1]).encode()
        assert target.ask(request(target, b"GET /health HTTP/1.1", host=host))[0] == 200


def test_a_good_client_is_answered_while_slow_ones_hold_connections(target: Target):
    slow_head = request(target)[:60]
    slow_body = request(target)[:-10]
    connections = [target.connect() for _ in range(40)]
    try:
        for number, connection in enumerate(connections):
            connection.sendall((slow_head, slow_body)[number % 2])
        begin = time.monotonic()
        assert target.ask(request(target))[0] == 200
        assert time.monotonic() - begin < 1
        answers = [connection.recv(65536) for connection in connections]
        assert {answer[:12] for answer in answers} == {b"HTTP/1.1 408"}
        assert time.monotonic() - begin < 5
    finally:
        for connection in connections:
            connection.close()


def test_a_client_that_sends_nothing_is_sent_away(target: Target):
    with target.connect() as connection:
        begin = time.monotonic()
        assert connection.recv(65536)[:12] == b"HTTP/1.1 408"
        assert time.monotonic() - begin < 4


def test_one_address_does_not_take_all_connections(target: Target):
    connections = [target.connect() for _ in range(64)]
    try:
        with target.connect() as one_more:
            assert one_more.recv(65536)[:12] == b"HTTP/1.1 503"
    finally:
        for connection in connections:
            connection.close()
    deadline = time.monotonic() + 5
    while target.ask(request(target, b"GET /health HTTP/1.1"))[0] != 200:
        assert time.monotonic() < deadline
        time.sleep(0.02)


def test_no_secret_and_no_prompt_is_logged(target: Target, caplog: pytest.LogCaptureFixture):
    with caplog.at_level(logging.DEBUG):
        target.ask(request(target, key=b"Bearer a-wrong-key-that-somebody-typed"))
        target.ask(request(target, b"GET /x%0d%0a\x1b[31m HTTP/1.1"))
        target.ask(request(target, b"GET /%0d%0a%1b[31mred HTTP/1.1"))
        target.ask(request(target, body=CHAT.replace(b"hello", b"my-private-question")))
    for secret in (KEY, "a-wrong-key", "my-private-question", "\x1b"):
        assert secret not in caplog.text


def test_near_misses_are_refused_until_the_guesser_must_wait():
    now = [0.0]
    keyring = Keyring([KEY, "another-key-of-another-client"], clock=lambda: now[0])
    for miss in near_misses(KEY):
        with pytest.raises(Refused) as refused:
            keyring.tenant(miss, "192.0.2.1")
        assert refused.value.status == 401
        assert KEY not in str(refused.value)
    for _ in range(FAILURES_A_MINUTE - len(near_misses(KEY))):
        with pytest.raises(Refused):
            keyring.tenant(b"Bearer x", "192.0.2.1")
    with pytest.raises(Refused) as refused:
        keyring.tenant(b"Bearer " + KEY.encode(), "192.0.2.1")
    assert refused.value.status == 429
    assert int(refused.value.headers["Retry-After"]) <= 60
    assert keyring.tenant(b"bearer " + KEY.encode(), "192.0.2.2"), "others are not kept waiting"
    now[0] = 61
    assert keyring.tenant(b"Bearer " + KEY.encode(), "192.0.2.1")


def test_tenants_differ_by_key_and_do_not_tell_it():
    keyring = Keyring([KEY, "another-key-of-another-client"])
    first = keyring.tenant(b"Bearer " + KEY.encode(), "a")
    assert first == keyring.tenant(b"Bearer " + KEY.encode(), "b")
    assert first != keyring.tenant(b"Bearer another-key-of-another-client", "a")
    assert KEY not in first


def test_asking_without_a_key_is_no_guess():
    keyring = Keyring([KEY])
    for _ in range(2 * FAILURES_A_MINUTE):
        with pytest.raises(Refused) as refused:
            keyring.tenant(None, "a")
        assert refused.value.status == 401


def test_many_guessers_do_not_fill_the_memory():
    keyring = Keyring([KEY])
    for number in range(10_000):
        with pytest.raises(Refused):
            keyring.tenant(b"Bearer x", str(number))
    assert len(keyring._failures) <= 4096


def test_clients_at_once_are_all_answered(target: Target):
    with ThreadPoolExecutor(12) as clients:
        assert set(clients.map(lambda _: target.ask(request(target))[0], range(36))) == {200}
