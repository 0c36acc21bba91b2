"""A real browser that was lured: a stranger's name that leads to this machine, and a stranger's page that asks it.

Chromium is told that `evil.test` is 127.0.0.1, which is what DNS rebinding does to a victim's resolver.
"""

import http.server
import shutil
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from pocketphi.runtime.model import Model
from serve.guard.conftest import KEY, LIMITS, Target, running

CHROMIUM = shutil.which("chromium")
pytestmark = pytest.mark.skipif(CHROMIUM is None, reason="needs chromium")

ASK = """async ([url, options]) => {
  try {
    const answer = await fetch(url, options);
    return [answer.status, answer.type, (await answer.text()).slice(0, 200)];
  }
  catch (error) { return [0, 'failed', String(error)]; }
}"""
CHAT = '{"messages":[{"role":"user","content":"hello"}],"max_tokens":2}'


@pytest.fixture(scope="module")
def loopback(guarded_model: Model, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Target]:
    with running(guarded_model, "localhost", tmp_path_factory.mktemp("state"), key=None, limits=LIMITS) as target:
        yield target


@pytest.fixture(scope="module")
def browser() -> Iterator[Any]:
    from playwright.sync_api import sync_playwright

    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(
            executable_path=CHROMIUM,
            args=[
                "--no-sandbox",
                "--host-resolver-rules=MAP evil.test 127.0.0.1, MAP *.evil.test 127.0.0.1",
                # Newer versions ask people before a page may reach this machine; the server must not rely on that.
                "--disable-features=LocalNetworkAccessChecks,BlockInsecurePrivateNetworkRequests",
            ],
        )
        yield browser
        browser.close()


@pytest.fixture(scope="module")
def foreign_site() -> Iterator[int]:
    """A stranger's web server on another port; its page is empty."""

    class Page(http.server.BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_response(200)
            self.send_header("Content-Type", "text/html")
            self.end_headers()
            self.wfile.write(b"<!doctype html><title>a stranger</title>")

        def log_message(self, *_: object) -> None:
            pass

    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Page) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield server.server_address[1]
        server.shutdown()


def lure(page: Any, origin: str) -> None:
    """A stranger's page at `origin`, as it was before its name led to this machine; what it asks goes to the server."""
    page.route(f"{origin}/trap", lambda route: route.fulfill(body="<!doctype html>", content_type="text/html"))
    page.goto(f"{origin}/trap")


def test_a_rebound_name_gets_nothing(browser: Any, loopback: Target):
    origin = f"http://evil.test:{loopback.address[1]}"
    page = browser.new_page()
    assert page.goto(f"{origin}/").status == 421
    lure(page, origin)
    for url, options in (("/v1/models", {}), ("/health", {}), ("/v1/chat/completions", post())):
        status, kind, text = page.evaluate(ASK, [url, options])
        assert status == 421, (url, kind, text)
        assert "tiny" not in text
    page.close()


def test_a_page_of_a_stranger_gets_nothing_and_starts_nothing(browser: Any, loopback: Target, foreign_site: int):
    before = loopback.scheduler.stats().prompt_tokens
    page = browser.new_page()
    page.goto(f"http://evil.test:{foreign_site}/")
    base = f"http://127.0.0.1:{loopback.address[1]}"
    plain = {"method": "POST", "headers": {"Content-Type": "text/plain"}, "body": CHAT}
    for url, options in (
        (f"{base}/v1/models", {}),
        (f"{base}/v1/chat/completions", post()),
        (f"{base}/v1/chat/completions", plain),
        (f"{base}/v1/chat/completions", {**plain, "mode": "no-cors"}),
        (f"{base}/v1/models", {"mode": "no-cors"}),
    ):
        status, kind, text = page.evaluate(ASK, [url, options])
        assert status == 0, (url, options, kind, text)
        assert "tiny" not in text
    with page.expect_navigation():
        page.evaluate(
            """url => { const form = document.createElement('form'); form.method = 'post'; form.enctype = 'text/plain';
            form.action = url; document.body.append(form); form.submit(); }""",
            f"{base}/v1/chat/completions",
        )
    assert "choices" not in page.content()
    assert loopback.scheduler.stats().prompt_tokens == before
    page.close()


def test_the_same_page_of_the_server_gets_its_answers(browser: Any, loopback: Target):
    page = browser.new_page()
    page.goto(f"http://localhost:{loopback.address[1]}/")
    status, _, text = page.evaluate(ASK, ["/v1/chat/completions", post()])
    assert status == 200, text
    page.close()


def test_on_a_network_too(browser: Any, guarded_model: Model, tmp_path: Path, foreign_site: int):
    with running(guarded_model, "0.0.0.0", tmp_path, key=KEY, limits=LIMITS) as target:
        context = browser.new_context(ignore_https_errors=True)
        page = context.new_page()
        origin = f"https://evil.test:{target.address[1]}"
        assert page.goto(f"{origin}/").status == 421
        lure(page, origin)
        keyed = {**post(), "headers": {"Content-Type": "application/json", "Authorization": f"Bearer {KEY}"}}
        assert page.evaluate(ASK, ["/v1/chat/completions", keyed])[0] == 421
        page.goto(f"https://{target.authority}/")
        assert page.evaluate(ASK, ["/v1/chat/completions", post()])[0] == 401
        assert page.evaluate(ASK, ["/v1/chat/completions", keyed])[0] == 200
        page.goto(f"http://evil.test:{foreign_site}/")
        assert page.evaluate(ASK, [f"https://{target.authority}/v1/chat/completions", keyed])[0] == 0
        context.close()


def post() -> dict[str, Any]:
    return {"method": "POST", "headers": {"Content-Type": "application/json"}, "body": CHAT}
