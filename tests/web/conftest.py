"""The system's Chromium, a scripted server, and pages that tell when something goes wrong in them."""

import shutil
from collections.abc import Iterator
from typing import Any

import pytest

from pocketphi.serve.openai.served import PAGE
from web.scripted import Script, application, running

CHROMIUM = shutil.which("chromium")


@pytest.fixture(scope="session")
def browser() -> Iterator[Any]:
    if CHROMIUM is None:
        pytest.skip("needs chromium")
    if not (PAGE / "index.html").is_file():
        pytest.skip("the page is not built: `make web` needs Node.js")
    from playwright.sync_api import sync_playwright

    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox"])
        yield browser
        browser.close()


@pytest.fixture
def script() -> Script:
    return Script()


@pytest.fixture
def address(script: Script) -> Iterator[str]:
    with running(application(script)) as address:
        yield address


@pytest.fixture
def context(browser: Any) -> Iterator[Any]:
    """A browser profile of its own; what it complained about must be nothing."""
    context = browser.new_context(viewport={"width": 1280, "height": 800}, locale="en-US")
    context.set_default_timeout(8000)
    yield context
    context.close()


@pytest.fixture
def page(context: Any, address: str) -> Iterator[Any]:
    """The page, open, with no complaint in its console and no request to anybody else."""
    page = context.new_page()
    complaints: list[str] = []
    page.on("pageerror", lambda error: complaints.append(str(error)))
    page.on("console", lambda message: complaints.append(message.text) if message.type == "error" else None)
    page.on("request", lambda asked: None if is_own(asked.url, address) else complaints.append(asked.url))
    page.complaints = complaints
    page.goto(address)
    page.wait_for_selector("#composer")
    yield page
    assert not complaints


def is_own(url: str, address: str) -> bool:
    return url.startswith((f"{address}/", "data:", "blob:"))


def say(page: Any, text: str) -> None:
    """Type and send."""
    page.fill("#composer", text)
    page.press("#composer", "Enter")


def answered(page: Any) -> str:
    """Wait for the end of the answer; its text."""
    page.wait_for_selector(".turn.assistant:last-child footer")
    return page.inner_text(".turn.assistant:last-child .text").strip()
