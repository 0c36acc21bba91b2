"""What the page must never do, and what everybody can expect of it: safety, reach, weight, speed."""

import gzip
import json
import re
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import expect

from pocketphi.serve.openai.served import PAGE
from web.conftest import answered, say
from web.scripted import Script

AXE = Path(__file__).parents[2] / "web" / "node_modules" / "axe-core" / "axe.min.js"
FIRST_LOAD_BYTES = 200_000
SHOWCASE = """# A heading

Some **bold** and `code`, a [link](https://example.org), and $e^{i\\pi} + 1 = 0$.

| a | b |
|---|---|
| 1 | 2 |

1. one
2. two

```python
def double(x):
    return 2 * x  # twice
```

$$\\int_0^1 x^2\\,dx = \\frac{1}{3}$$
"""

HOSTILE = [
    "<img src=x onerror=\"document.title='owned'\">",
    "<script>document.title='owned'</script>",
    "<svg onload=\"document.title='owned'\"></svg>",
    "<iframe src=\"javascript:parent.document.title='owned'\"></iframe>",
    "[click](javascript:document.title='owned')",
    "[click](JaVaScRiPt&colon;document.title='owned')",
    "[click](data:text/html,<script>opener.document.title='owned'</script>)",
    "[click](vbscript:x)",
    "![pixel](https://evil.test/pixel.png)",
    "![x](//evil.test/x.png)",
    "<a href=\"javascript:document.title='owned'\">click</a>",
    "<style>body{display:none}</style>",
    "<form action=https://evil.test><input name=x></form>",
    "<math><mtext><table><mglyph><style><img src=x onerror=\"document.title='owned'\">",
    '<div style="position:fixed;inset:0">cover</div>',
    "$\\href{javascript:document.title='owned'}{x}$",
    "$\\includegraphics{https://evil.test/x.png}$",
    "```html\n<img src=x onerror=\"document.title='owned'\">\n```",
    "<https://evil.test/autolink>",
]


def test_whatever_a_model_writes_is_inert(page: Any, script: Script):
    script.words = [f"{each}\n\n" for each in HOSTILE]
    say(page, "Show me")
    answered(page)
    links = {link.get_attribute("href"): link for link in page.locator(".turn.assistant .text a[href]").all()}
    assert "https://evil.test/autolink" in links, "what is harmless is a link"
    for href, link in links.items():
        assert href is not None
        assert re.match(r"https?:|mailto:", href), href
        assert "noopener" in (link.get_attribute("rel") or "")
        assert link.get_attribute("target") == "_blank"
    forbidden = "img, script, iframe, style, form, svg:not(.icon):not(.logo), [onerror], [onload], [style]"
    assert page.locator(f".turn.assistant .text :is({forbidden})").count() == 0
    page.wait_for_timeout(300)
    assert page.title() != "owned"
    assert "onerror" in page.inner_text(".turn.assistant .text"), "it is shown, not obeyed"


def test_an_endless_line_is_shown_as_it_is(page: Any, script: Script):
    script.words = ["<img src=x onerror=\"document.title='owned'\"> ", "a" * 200_001]
    say(page, "Show me")
    assert len(answered(page)) > 200_000
    assert page.locator(".turn.assistant .text img").count() == 0
    assert page.title() != "owned"


def test_markdown_code_tables_and_formulas(page: Any, script: Script):
    script.words = re.findall(r"[\s\S]{1,7}", SHOWCASE)
    say(page, "Show me")
    answered(page)
    text = page.locator(".turn.assistant .text")
    for part in (
        "h1",
        "strong",
        "table td",
        "ol li",
        "pre .hljs-keyword",
        "math mfrac",
        "a[href='https://example.org']",
    ):
        expect(text.locator(part).first).to_be_attached()
    assert text.locator("math").count() == 2
    page.context.grant_permissions(["clipboard-read", "clipboard-write"])
    page.click("figure.code button")
    assert page.evaluate("() => navigator.clipboard.readText()").startswith("def double")


@pytest.mark.parametrize("theme", ["light", "dark"])
@pytest.mark.parametrize("size", [(1280, 800), (360, 740)])
def test_nobody_is_shut_out(browser: Any, address: str, script: Script, theme: str, size: tuple[int, int]):
    if not AXE.is_file():
        pytest.skip("the page is not built: `make web` needs Node.js")
    width, height = size
    context = browser.new_context(
        viewport={"width": width, "height": height}, color_scheme=theme, bypass_csp=True, locale="en-US"
    )
    page = context.new_page()
    page.goto(address)
    page.wait_for_selector(".model select:not([disabled])")
    page.evaluate(AXE.read_text())
    script.words = [SHOWCASE]
    assert_accessible(page, "empty")
    say(page, "Show me")
    answered(page)
    page.wait_for_selector("math")
    assert_accessible(page, "chat")
    page.click("button[aria-label='Settings']")
    assert_accessible(page, "settings")
    page.keyboard.press("Escape")
    if width < 820:
        page.click("button[aria-label='Menu']")
        page.wait_for_timeout(300)
        assert_accessible(page, "menu")
    assert page.evaluate("() => document.documentElement.scrollWidth <= innerWidth"), "nothing sticks out"
    context.close()


def assert_accessible(page: Any, where: str) -> None:
    found = page.evaluate("async () => (await axe.run()).violations")
    serious = [
        (each["id"], [node["html"][:160] for node in each["nodes"]])
        for each in found
        if each["impact"] in ("serious", "critical")
    ]
    assert not serious, (where, serious)


def test_the_keyboard_is_enough(page: Any, script: Script):
    page.keyboard.type("Typed without a mouse")
    page.keyboard.press("Shift+Enter")
    page.keyboard.type("on two lines")
    page.keyboard.press("Enter")
    answered(page)
    assert script.asked[-1]["messages"][0]["content"] == "Typed without a mouse\non two lines"
    page.keyboard.press("Control+ArrowUp")
    expect(page.locator(".editor textarea")).to_be_focused()
    page.keyboard.press("Escape")
    expect(page.locator(".editor")).to_have_count(0)
    page.keyboard.press("Control+k")
    expect(page.locator("#search")).to_be_focused()
    page.keyboard.press("Escape")
    page.keyboard.press("Control+Shift+O")
    expect(page.locator(".turn")).to_have_count(0)
    expect(page.locator("#composer")).to_be_focused()
    page.keyboard.press("Shift+Tab")
    page.keyboard.press("?")
    expect(page.locator("dialog kbd").first).to_be_visible()
    page.keyboard.press("Escape")
    expect(page.locator("dialog")).to_have_count(0)


def test_readers_hear_that_it_is_done_and_not_every_word(page: Any):
    say(page, "Hello")
    answered(page)
    assert page.inner_text(".thread > [role=status]") == "The answer is complete."
    assert page.get_attribute(".turns", "aria-live") == "off"


def test_it_can_be_installed(page: Any, address: str):
    manifest = json.loads((PAGE / "manifest.webmanifest").read_text())
    assert {"name", "short_name", "id", "start_url", "scope", "display", "icons", "theme_color"} <= set(manifest)
    assert manifest["display"] == "standalone"
    sizes = {(icon["sizes"], icon["purpose"]) for icon in manifest["icons"]}
    assert {("192x192", "any"), ("512x512", "any"), ("512x512", "maskable")} <= sizes
    for icon in manifest["icons"]:
        assert page.request.get(address + icon["src"]).headers["content-type"] == icon["type"].split(";")[0]
    session = page.context.new_cdp_session(page)
    page.evaluate("async () => { await navigator.serviceWorker.ready; }")
    assert session.send("Page.getAppManifest")["errors"] == []
    assert [
        each
        for each in session.send("Page.getInstallabilityErrors")["installabilityErrors"]
        if each["errorId"] != "in-incognito"
    ] == []


def test_the_first_load_is_light_and_quick(browser: Any, address: str):
    context = browser.new_context()
    page = context.new_page()
    loaded: list[str] = []
    page.on("response", lambda answer: loaded.append(answer.url))
    page.goto(address, wait_until="networkidle")
    paint = page.evaluate("() => performance.getEntriesByName('first-contentful-paint')[0]?.startTime")
    assert paint is not None
    assert paint <= 1000
    context.close()
    names = {url.removeprefix(address).lstrip("/") or "index.html" for url in loaded}
    shell = [PAGE / name for name in names if (PAGE / name).is_file() and Path(name).suffix in (".html", ".js", ".css")]
    lazy = [name for name in names if "katex" in name or "highlight" in name]
    weight = sum(
        len(gzip.compress(path.read_bytes(), 9))
        for path in shell
        if path.name not in {Path(each).name for each in lazy}
    )
    assert 10_000 < weight <= FIRST_LOAD_BYTES


def test_a_long_conversation_and_a_long_paste_stay_usable(page: Any, script: Script):
    script.words = ["A short answer."]
    turns = {}
    parent = None
    for number in range(500):
        turns[f"t{number}"] = {
            "parent": parent,
            "role": ("user", "assistant")[number % 2],
            "text": f"Line {number} **bold**",
            "createdAt": number,
        }
        parent = f"t{number}"
    conversation = {
        "id": "long",
        "title": "Long",
        "createdAt": 1,
        "updatedAt": 2,
        "system": "",
        "turns": turns,
        "leaf": parent,
    }
    file = {
        "name": "long.json",
        "mimeType": "application/json",
        "buffer": json.dumps({"conversations": [conversation]}).encode(),
    }
    page.set_input_files("input[type=file]", file)
    page.click("text=Long")
    expect(page.locator(".turn")).to_have_count(500)
    begin = page.evaluate("() => performance.now()")
    say(page, "x" * (1 << 20))
    expect(page.locator(".turn")).to_have_count(502)
    answered(page)
    assert page.evaluate("() => performance.now()") - begin < 8000
