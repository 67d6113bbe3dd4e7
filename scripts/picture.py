"""The picture that stands for the first page's explorer in a build without weights: python scripts/picture.py

It is a photograph of the explorer itself, in the built book, by the Chromium that the tests use.
"""

from __future__ import annotations

import io
import sys
from pathlib import Path

from PIL import Image
from playwright.sync_api import sync_playwright

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT / "tests"))
PICTURE = ROOT / "book" / "_static" / "transformer.jpg"
PAGE = ROOT / "_build" / "html" / "book" / "index.html"


def main() -> None:
    """Photograph the explorer's two maps, large and small, and store the picture."""
    from browser import launch

    with sync_playwright() as playwright:
        page = launch(playwright).new_page(viewport={"width": 1280, "height": 900})
        page.goto(PAGE.as_uri())
        root = page.locator(".attention-explorer")
        root.get_by_role("status").filter(has_text="strongest weight").wait_for()
        left, right = (root.locator(part).bounding_box() for part in (".ax-stage", ".ax-maps"))
        width = right["x"] + right["width"] - left["x"]
        frame = {"x": left["x"], "y": left["y"], "width": width, "height": left["height"]}
        shot = Image.open(io.BytesIO(page.screenshot(clip=frame)))
        shot.convert("RGB").save(PICTURE, quality=85, optimize=True)
    print(f"{PICTURE.relative_to(ROOT)}: {shot.width} × {shot.height}, {PICTURE.stat().st_size / 1000:.0f} kB")


if __name__ == "__main__":
    main()
