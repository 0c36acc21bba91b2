"""Everybody who should not get in, and what they get: on loopback, and on a network with HTTPS and a key.

A probe is the bytes of a request and the statuses that are right; 0 means that the connection closes without an answer.
After all of them the server has computed nothing, and still answers a good client.
"""

import json
from collections.abc import Iterator

import pytest

from serve.guard.conftest import Target

CHAT = json.dumps({"model": "tiny", "messages": [{"role": "user", "content": "hello"}], "max_tokens": 2}).encode()
SECRETS = (b"root:x:0", b"[project]", b"PRIVATE KEY", b"import ")


def request(
    target: Target,
    line: bytes = b"POST /v1/chat/completions HTTP/1.1",
    body: bytes = CHAT,
    *,
    host: bytes | None = None,
    key: bytes | None = None,
    more: bytes = b"",
    kind: bytes = b"application/json",
) -> bytes:
    """A good request, but for what is given."""
    head = line + b"\r\nHost: " + (target.authority.encode() if host is None else host) + b"\r\n"
    if key is None and target.key is not None:
        key = b"Bearer " + target.key.encode()
    if key:
        head += b"Authorization: " + key + b"\r\n"
    if line.startswith(b"POST"):
        head += b"Content-Type: " + kind + b"\r\nContent-Length: %d\r\n" % len(body)
        return head + more + b"\r\n" + body
    return head + more + b"\r\n"


def port_of(target: Target) -> bytes:
    return str(target.address[1]).encode()


@pytest.fixture(autouse=True)
def untouched(target: Target) -> Iterator[None]:
    """Whatever was sent, nothing was computed."""
    before = target.scheduler.stats()
    yield
    after = target.scheduler.stats()
    assert (after.prompt_tokens, after.waiting, after.running) == (before.prompt_tokens, 0, 0)


FOREIGN_HOSTS = [
    b"evil.test",
    b"evil.test:%(port)s",
    b"127.0.0.1.evil.test:%(port)s",
    b"localhost.evil.test:%(port)s",
    b"evil.test#localhost:%(port)s",
    b"localhost",
    b"127.0.0.1",
    b"localhost:1",
    b"localhost:%(port)s0",
    b"localhost:%(port)s:80",
    b"user@localhost:%(port)s",
    b"[::ffff:127.0.0.1]:%(port)s",
    b"2130706433:%(port)s",
    b"0.0.0.0:%(port)s",
    b"0:%(port)s",
    b"127.1:%(port)s",
    b"localhost.:%(port)s",
    b"10.0.0.1:%(port)s",
    b"router.local:%(port)s",
    b"printer.internal:%(port)s",
    b"",
]


@pytest.mark.parametrize("host", FOREIGN_HOSTS)
@pytest.mark.parametrize("line", [b"POST /v1/chat/completions HTTP/1.1", b"GET /v1/models HTTP/1.1", b"GET / HTTP/1.1"])
def test_another_host_is_refused_on_every_route(target: Target, host: bytes, line: bytes):
    status, answer = target.ask(request(target, line, host=host % {b"port": port_of(target)}))
    assert status in (421, 400), answer[:300]


FOREIGN_ORIGINS = [
    b"https://evil.test",
    b"null",
    b"http://localhost",
    b"http://localhost:1",
    b"http://localhost.evil.test:%(port)s",
    b"chrome-extension://abcdefghijklmnop",
    b"file://",
    b"ftp://localhost:%(port)s",
    b"https://notes.test.evil.test",
    b"https://notes.test:444",
    b"HTTPS://NOTES.TEST",
    b"",
]


@pytest.mark.parametrize("origin", FOREIGN_ORIGINS)
@pytest.mark.parametrize("line", [b"POST /v1/chat/completions HTTP/1.1", b"GET /v1/models HTTP/1.1"])
def test_another_page_is_refused(target: Target, origin: bytes, line: bytes):
    more = b"Origin: " + origin % {b"port": port_of(target)} + b"\r\n"
    status, answer = target.ask(request(target, line, more=more))
    assert status == 403, answer[:300]
    assert b"access-control-allow-origin" not in answer.lower()


def test_the_other_scheme_is_another_origin(target: Target):
    scheme = b"http" if target.scheme == "https" else b"https"
    more = b"Origin: " + scheme + b"://" + target.authority.encode() + b"\r\n"
    assert target.ask(request(target, more=more))[0] == 403


def test_a_form_of_another_site_is_refused(target: Target):
    for kind in (b"text/plain", b"application/x-www-form-urlencoded", b"multipart/form-data; boundary=x", b"", b"json"):
        assert target.ask(request(target, kind=kind))[0] == 415
    assert target.ask(request(target, more=b"Sec-Fetch-Site: cross-site\r\n"))[0] == 403


@pytest.mark.parametrize(
    "method", [b"TRACE", b"PUT", b"DELETE", b"PATCH", b"PROPFIND", b"CONNECT", b"OPTIONS", b"BREW"]
)
def test_other_methods_are_refused(target: Target, method: bytes):
    status, answer = target.ask(request(target, method + b" /v1/models HTTP/1.1"))
    assert status in (400, 405), answer[:300]


def near_misses(key: str) -> list[bytes]:
    return [
        b"",
        b"Bearer",
        b"Bearer ",
        b"Bearer " + key[:-1].encode(),
        b"Bearer " + key[1:].encode(),
        b"Bearer " + key.encode() + b"x",
        b"Bearer " + key.upper().encode(),
        b"Bearer  " + key.encode(),
        b"Bearer " + key.encode() + b"\t",
        b"Basic " + key.encode(),
        key.encode(),
        b"Bearer " + key.encode() + b", Bearer " + key.encode(),
        b"Bearer \xff\xfe",
        b"Bearer " + b"x" * 4000,
    ]


PATHS_WITH_KEY = (
    b"/v1/models",
    b"/v1/models/tiny",
    b"/docs",
    b"/openapi.json",
    b"/metrics",
    b"/nothing",
    b"//",
    b"/%2e%2e/index.html",
    b"/index.html/../v1/models",
    b"/V1/MODELS",
    b"/health/",
    b"/health/../metrics",
    b"/ca.crt/",
)


@pytest.mark.parametrize("path", PATHS_WITH_KEY)
def test_every_path_but_the_page_wants_the_key(target: Target, path: bytes):
    if target.key is None:
        assert target.ask(request(target, b"GET " + path + b" HTTP/1.1"))[0] in (200, 404)
        return
    status, answer = target.ask(request(target, b"GET " + path + b" HTTP/1.1", key=b""))
    assert status == 401
    assert b"www-authenticate: bearer" in answer.lower()
    assert (
        target.ask(request(target, b"GET " + path + b"?key=" + target.key.encode() + b" HTTP/1.1", key=b""))[0] == 401
    )


PATH_TRICKS = [
    before + name
    for before in (
        b"/../",
        b"/%2e%2e/",
        b"/%252e%252e/",
        b"/..%2f",
        b"/..%5c",
        b"/..\\",
        b"/assets/../../",
        b"/assets/%2e%2e/%2e%2e/",
        b"//",
        b"/%00/",
        b"/\xc0\xae\xc0\xae/",
        b"/./",
        b"/;/",
        b"/file:/",
        b"/%2f",
    )
    for name in (b"etc/passwd", b"pyproject.toml", b"authority.key", b"app.py")
]


@pytest.mark.parametrize("path", PATH_TRICKS)
def test_no_spelling_of_a_path_reaches_a_file(target: Target, path: bytes):
    status, answer = target.ask(request(target, b"GET " + path + b" HTTP/1.1"))
    assert status in (400, 404), answer[:300]
    assert not any(secret in answer for secret in SECRETS)


def smuggled(target: Target) -> list[bytes]:
    inner = b"GET /v1/models HTTP/1.1\r\nHost: " + target.authority.encode() + b"\r\n\r\n"
    line, host = b"POST /v1/chat/completions HTTP/1.1\r\n", b"Host: " + target.authority.encode() + b"\r\n"
    json_type = b"Content-Type: application/json\r\n"
    if target.key is not None:
        json_type += b"Authorization: Bearer " + target.key.encode() + b"\r\n"
    head = line + host + json_type
    return [
        head + b"Content-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n" + inner,
        head + b"Transfer-Encoding: chunked\r\nContent-Length: 5\r\n\r\n0\r\n\r\n" + inner,
        head + b"Content-Length: 5\r\nContent-Length: 6\r\n\r\nhello" + inner,
        head + b"Content-Length: 5\r\nContent-Length: 5\r\n\r\nhello" + inner,
        head + b"Content-Length: 5, 5\r\n\r\nhello" + inner,
        head + b"Content-Length: +5\r\n\r\nhello" + inner,
        head + b"Content-Length: -5\r\n\r\nhello" + inner,
        head + b"Content-Length: 0x5\r\n\r\nhello" + inner,
        head + b"Content-Length: 99999999999999999999\r\n\r\nhello" + inner,
        head + b"Content-Length : 5\r\n\r\nhello" + inner,
        head + b"Transfer-Encoding: xchunked\r\n\r\n0\r\n\r\n" + inner,
        head + b"Transfer-Encoding: chunked, identity\r\n\r\n0\r\n\r\n" + inner,
        head + b"Transfer-Encoding: identity\r\n\r\n0\r\n\r\n" + inner,
        head + b"Transfer-Encoding: chunked\r\nTransfer-Encoding: x\r\n\r\n0\r\n\r\n" + inner,
        head + b"Transfer-Encoding:\x0bchunked\r\n\r\n0\r\n\r\n" + inner,
        head + b"Transfer-Encoding: chunked\r\n\r\nzz\r\nhello\r\n0\r\n\r\n" + inner,
        head + b"Transfer-Encoding: chunked\r\n\r\n-1\r\nhello\r\n0\r\n\r\n" + inner,
        head + b"Transfer-Encoding: chunked\r\n\r\nffffffffffffffffff\r\nhello\r\n0\r\n\r\n" + inner,
        head + b"Transfer-Encoding: chunked\r\n\r\n5\nhello\n0\n\n" + inner,
        line.replace(b"1.1", b"1.0") + host + json_type + b"Transfer-Encoding: chunked\r\n\r\n0\r\n\r\n" + inner,
        head + b"X: a\r\n b: folded\r\nContent-Length: 5\r\n\r\nhello" + inner,
        head + b"X: a\0b\r\nContent-Length: 5\r\n\r\nhello" + inner,
        head + b"X: a\rb\r\nContent-Length: 5\r\n\r\nhello" + inner,
        head + b"X: a\nContent-Length: 50\r\nContent-Length: 5\r\n\r\nhello" + inner,
        head + b": empty\r\nContent-Length: 5\r\n\r\nhello" + inner,
        head + host + b"Content-Length: 5\r\n\r\nhello" + inner,
        line + host.replace(b": ", b" : ") + json_type + b"Content-Length: 5\r\n\r\nhello" + inner,
        line + json_type + b"Content-Length: 5\r\n\r\nhello" + inner,
        b"POST http://evil.test/v1/chat/completions HTTP/1.1\r\n"
        + host
        + json_type
        + b"Content-Length: 5\r\n\r\nhello",
        b"POST http://" + target.authority.encode() + b"/v1/models HTTP/1.1\r\n" + host + json_type + b"\r\n",
        b"GET /v1/models\r\n",
        b"GET /v1/models HTTP/0.9\r\n" + host + b"\r\n",
        b"GET /v1/models HTTP/2.0\r\n" + host + b"\r\n",
        b"GET /v1/models HTTP/1.9\r\n" + host + b"\r\n",
        b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
        b"GET /v1/mod els HTTP/1.1\r\n" + host + b"\r\n",
        b"GET /v1/models\x00 HTTP/1.1\r\n" + host + b"\r\n",
        b"GET evil.test:80 HTTP/1.1\r\n" + host + b"\r\n",
        b"CONNECT evil.test:80 HTTP/1.1\r\n" + host + b"\r\n",
        b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03",
        b"\0" * 100,
    ]


@pytest.mark.parametrize("number", range(41))
def test_what_two_readers_could_take_differently_is_refused(target: Target, number: int):
    status, answer = target.ask(smuggled(target)[number])
    assert status in (0, 400, 408), (smuggled(target)[number], answer[:300])
    assert answer.count(b"HTTP/1.1 ") <= 1, "the smuggled request was answered"
    assert b'"object":"list"' not in answer


def test_all_smuggled_forms_are_tried(target: Target):
    assert len(smuggled(target)) == 41


def test_headers_are_bounded(target: Target):
    line = b"GET /v1/models HTTP/1.1"
    assert target.ask(request(target, line, more=b"".join(b"X-%d: 1\r\n" % i for i in range(100))))[0] == 431
    assert target.ask(request(target, line, more=b"X: " + b"a" * (17 << 10) + b"\r\n"))[0] == 431
    assert target.ask(request(target, line, more=b"X: " + b"a" * (4 << 20) + b"\r\n"))[0] in (0, 431)
    assert target.ask(request(target, b"GET /" + b"a" * (9 << 10) + b" HTTP/1.1"))[0] == 414
    assert target.ask(request(target, line, key=b"Bearer " + b"x" * (1 << 20)))[0] in (0, 431)


def test_bodies_are_bounded(target: Target):
    for body in (b" " * ((1 << 20) + 1), b'{"messages":' + b"[" * (2 << 20)):
        assert target.ask(request(target, body=body))[0] in (0, 413)
    chunks = b"".join(b"10000\r\n" + b" " * 0x10000 + b"\r\n" for _ in range(20)) + b"0\r\n\r\n"
    plain = request(target, body=b"").replace(b"Content-Length: 0\r\n", b"Transfer-Encoding: chunked\r\n")
    assert target.ask(plain + chunks)[0] in (0, 413)
    assert target.ask(request(target, more=b"Content-Encoding: gzip\r\n"))[0] == 415


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"null",
        b"[]",
        b"{",
        b'{"a":1,"a":2}',
        b"[" * 100_000,
        b'{"a":' * 100_000,
        b"\xff\xfe",
        b'{"a":NaN}',
        b'{"a":1e999}',
    ],
)
def test_a_body_that_is_no_object_is_refused(target: Target, body: bytes):
    status, answer = target.ask(request(target, body=body))
    assert status == 400, answer[:300]
    assert json.loads(answer.partition(b"\r\n\r\n")[2])["error"]["message"]


def test_a_flood_of_requests_on_one_connection_ends_it(target: Target):
    good = request(target, b"GET /health HTTP/1.1")
    _, answer = target.ask(good * 1000)
    assert answer.count(b"HTTP/1.1 200") <= 10


def test_websockets_are_refused(target: Target):
    more = b"Connection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Key: x\r\nSec-WebSocket-Version: 13\r\n"
    assert target.ask(request(target, b"GET /v1/models HTTP/1.1", more=more))[0] == 400
