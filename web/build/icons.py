"""Draws the page's PNG icons from `public/icon.svg` in the system's Chromium: `python web/build/icons.py`.

The maskable one has no round corners and keeps to the inner four fifths, which no launcher cuts away.
"""

import shutil
from pathlib import Path

from playwright.sync_api import sync_playwright

PUBLIC = Path(__file__).parents[1] / "public"


def main() -> None:
    svg = (PUBLIC / "icon.svg").read_text()
    whole = svg.replace(' rx="22"', "").replace('viewBox="0 0 100 100"', 'viewBox="0 0 100 100"')
    inner = whole.replace('fill="#20343a"/>', 'fill="#20343a"/><g transform="translate(10 10) scale(.8)">').replace("</svg>", "</g></svg>")
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=shutil.which("chromium"), args=["--no-sandbox"])
        for name, size, source in (
            ("icon-192.png", 192, svg),
            ("icon-512.png", 512, svg),
            ("icon-maskable-512.png", 512, inner),
            ("apple-touch-icon.png", 180, whole),
        ):
            page = browser.new_page(viewport={"width": size, "height": size})
            page.set_content(f"<style>body{{margin:0}}svg{{display:block;width:{size}px}}</style>{source}")
            page.screenshot(path=PUBLIC / name, omit_background=True)
            page.close()
        browser.close()


if __name__ == "__main__":
    main()
