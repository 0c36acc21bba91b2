"""Takes the pictures of the page that the documents show: `python web/build/pictures.py [FOLDER]`.

Desktop and phone, light and dark, in the system's Chromium against a scripted server; without FOLDER for the documents.
"""

import re
import shutil
import sys
from pathlib import Path
from typing import Any

from playwright.sync_api import sync_playwright

ROOT = Path(__file__).parents[2]
sys.path.insert(0, str(ROOT / "tests"))

from web.scripted import Script, application, running  # noqa: E402

QUESTION = "How does a dropped ball gain speed? Show the formula, a table and a few lines of Python."
ANSWER = r"""A falling ball gains **the same amount of speed every second**: about 9.8 m/s, if the air may be ignored.
The speed after a time $t$ and the height it fell through are

$$v = g\,t \qquad h = \frac{1}{2}\,g\,t^2$$

| seconds | speed in m/s | fallen in m |
|--:|--:|--:|
| 1 | 9.8 | 4.9 |
| 2 | 19.6 | 19.6 |
| 3 | 29.4 | 44.1 |

```python
def fallen(seconds: float, gravity: float = 9.81) -> float:
    # half of g times t squared, in metres
    return gravity * seconds**2 / 2

print([round(fallen(t), 1) for t in range(1, 4)])
```

Twice the time is *four* times the height, so the table's last column grows faster than its second.
"""
EARLIER = ("Names for a small bakery", "Plan a rainy Sunday", "Why is the sky blue?")


def main() -> None:
    out = Path(sys.argv[1]) if len(sys.argv) > 1 else ROOT / "docs" / "pictures"
    out.mkdir(parents=True, exist_ok=True)
    script = Script()
    with running(application(script)) as address, sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=shutil.which("chromium"), args=["--no-sandbox"])

        def opened(width: int, height: int, theme: str, scale: float = 1) -> Any:
            context = browser.new_context(
                viewport={"width": width, "height": height},
                color_scheme=theme,
                locale="en-US",
                device_scale_factor=scale,
                has_touch=width < 500,
                is_mobile=width < 500,
            )
            page = context.new_page()
            page.goto(address)
            page.wait_for_selector(".model select:not([disabled])")
            return page

        def talk(page: Any) -> None:
            script.words, script.pause = ["So it is."], 0
            for title in EARLIER:
                ask(page, title)
                page.keyboard.press("Control+Shift+O")
            script.words, script.pause = re.findall(r"[\s\S]{1,6}", ANSWER), 0.004
            ask(page, QUESTION)
            page.wait_for_selector("math mfrac")
            page.wait_for_selector(".hljs-keyword")

        for theme in ("light", "dark"):
            desktop = opened(1280, 800, theme)
            talk(desktop)
            desktop.screenshot(path=out / f"serve-desktop-{theme}.png")
            desktop.context.close()
        phone = opened(360, 740, "light", 1.5)
        phone.screenshot(path=out / "serve-phone-empty.png")
        phone.context.close()
        phone = opened(360, 740, "dark", 1.5)
        talk(phone)
        phone.screenshot(path=out / "serve-phone-chat.png")
        phone.context.close()
        browser.close()


def ask(page: Any, text: str) -> None:
    page.fill("#composer", text)
    page.press("#composer", "Enter")
    page.wait_for_selector(".turn.assistant:last-child footer")


if __name__ == "__main__":
    main()
