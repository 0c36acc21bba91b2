"""The page and the documentation: what is there is served well, and nothing else is."""

import gzip
import re
from collections.abc import Callable
from pathlib import Path

import httpx
import pytest

from pocketphi.serve.openai import ServeOptions
from serve.openai.conftest import Served


@pytest.fixture
def paged(serve: Callable[..., Served], page: Path) -> Served:
    (page.parent / "secret.txt").write_text("secret")
    (page / "link.txt").symlink_to(page.parent / "secret.txt")
    return serve(options=ServeOptions(page=page))


def test_without_a_page_the_server_says_how_to_get_it(serve: Callable[..., Served], tmp_path: Path) -> None:
    server = serve(options=ServeOptions(page=tmp_path / "not-built"))
    reply = httpx.get(f"{server.url}/")
    assert reply.status_code == 200
    assert "make web" in reply.text


def test_the_page_is_served_with_a_strict_policy(paged: Served, page: Path) -> None:
    reply = httpx.get(f"{paged.url}/")
    assert reply.text == (page / "index.html").read_text()
    assert reply.headers["cache-control"] == "no-cache"
    policy = reply.headers["content-security-policy"]
    assert "default-src 'self'" in policy
    assert "script-src" not in policy  # so that of default-src holds: no inline script
    assert "unsafe-eval" not in policy
    assert httpx.get(f"{paged.url}/manifest.webmanifest").headers["content-type"] == "application/manifest+json"


def test_files_named_by_their_digest_are_kept_for_ever(paged: Served) -> None:
    reply = httpx.get(f"{paged.url}/assets/index-abc123.js")
    assert "immutable" in reply.headers["cache-control"]
    assert reply.headers["content-type"].startswith("text/javascript")


def test_files_come_packed_to_those_who_can_unpack_them(paged: Served, page: Path) -> None:
    path = "/assets/index-abc123.js"
    with httpx.stream("GET", paged.url + path, headers={"accept-encoding": "gzip"}) as reply:
        raw = b"".join(reply.iter_raw())
        assert reply.headers["content-encoding"] == "gzip"
        assert reply.headers["vary"] == "accept-encoding"
    assert gzip.decompress(raw) == (page / path[1:]).read_bytes()
    plain = httpx.get(paged.url + path, headers={"accept-encoding": "identity"})
    assert "content-encoding" not in plain.headers
    assert len(raw) < len(plain.content)


def test_a_file_that_did_not_change_is_not_sent_again(paged: Served) -> None:
    first = httpx.get(f"{paged.url}/")
    again = httpx.get(f"{paged.url}/", headers={"if-none-match": first.headers["etag"]})
    assert (again.status_code, again.content) == (304, b"")


@pytest.mark.parametrize(
    "path",
    [
        "/../secret.txt",
        "/%2e%2e/secret.txt",
        "/%2e%2e%2fsecret.txt",
        "/%252e%252e/secret.txt",
        "/assets/../../secret.txt",
        "/..%5csecret.txt",
        "/..\\secret.txt",
        "/link.txt",
        "//etc/passwd",
        "/etc/passwd",
        "/%2fetc%2fpasswd",
        "/index.html%00.js",
        "/assets",
        "/assets/",
        "/assets/%2e",
        "/index.html/",
        "/v1/models/..%2f..%2fsecret.txt",
        "/page/index.html",
    ],
)
def test_no_spelling_of_a_path_reaches_another_file(paged: Served, path: str) -> None:
    with httpx.Client() as client:
        request = client.build_request("GET", paged.url)
        request.url = request.url.copy_with(raw_path=path.encode())
        reply = client.send(request)
    assert reply.status_code in {400, 404}
    assert "secret" not in reply.text or "does not exist" in reply.text


def test_the_documentation_loads_nothing_from_elsewhere(server: Served) -> None:
    reply = httpx.get(f"{server.url}/docs")
    assert reply.status_code == 200
    assert not re.search(r"(src|href)=[\"']?(https?:)?//", reply.text)
    assert "<script" not in reply.text
    for path in ("/v1/chat/completions", "/v1/responses", "/tokenize"):
        assert path in reply.text
