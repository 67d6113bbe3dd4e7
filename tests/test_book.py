"""The built pages: links, pictures, hosts, errors, weight, phones, accessibility."""

from __future__ import annotations

import functools
import re
from pathlib import Path
from urllib.parse import unquote, urlsplit

import pytest
from axe_playwright_python.sync_playwright import Axe
from bs4 import BeautifulSoup
from playwright.sync_api import Page

from conftest import HTML, ROOT, Watch

PAGES = sorted(
    path.relative_to(HTML).as_posix()
    for path in HTML.rglob("*.html")
    if not {"_static", "_sources"} & set(path.relative_to(HTML).parts)
)
# Sphinx writes these besides the pages of _toc.yml; index.html only leads to book/index.html.
READ_PAGES = [page for page in PAGES if page != "index.html"]
EVERY_PAGE = pytest.mark.parametrize("name", READ_PAGES)

WEIGHT_LIMIT_BYTES = 2_500_000


@functools.cache
def parsed(name: str) -> BeautifulSoup:
    return BeautifulSoup((HTML / name).read_text(encoding="utf-8"), "html.parser")


def settle(page: Page) -> None:
    """Wait until the page's scripts, equations and pictures are done."""
    page.wait_for_load_state("networkidle")
    page.evaluate("() => window.MathJax?.startup?.promise")
    page.evaluate("() => document.fonts.ready")


def test_every_page_of_the_contents_is_built() -> None:
    named = re.findall(r"(?:root|file):\s*(\S+)", (ROOT / "_toc.yml").read_text(encoding="utf-8"))
    assert named
    assert not [name for name in named if f"{name}.html" not in PAGES]


@EVERY_PAGE
def test_internal_links_lead_somewhere(name: str) -> None:
    broken = []
    for tag, attribute in (("a", "href"), ("img", "src"), ("link", "href"), ("script", "src")):
        for element in parsed(name).find_all(tag, attrs={attribute: True}):
            address = urlsplit(element[attribute])
            if address.scheme or address.netloc:
                continue
            path = unquote(address.path)
            target = ((HTML / name).parent / path).resolve() if path else HTML / name
            if target.is_dir():
                target /= "index.html"
            if not target.is_file():
                broken.append(element[attribute])
            elif address.fragment and target.suffix == ".html":
                soup = parsed(target.relative_to(HTML.resolve()).as_posix())
                anchor = unquote(address.fragment)
                if not (soup.find(id=anchor) or soup.find("a", attrs={"name": anchor})):
                    broken.append(element[attribute])
    assert not broken


@EVERY_PAGE
def test_every_picture_has_alt_text_in_words(name: str) -> None:
    wordless = [
        image.get("src", "")[:80]
        for image in parsed(name).find_all("img")
        if " " not in image.get("alt", "").strip()
    ]
    assert not wordless


@EVERY_PAGE
def test_page_asks_no_other_host_and_throws_no_error(
    name: str, page: Page, watch: Watch, book_url: str
) -> None:
    weight: dict[str, int] = {}
    page.on("response", lambda response: weight.update({response.url: len(response.body())}))
    page.goto(f"{book_url}/{name}")
    settle(page)
    assert watch.foreign == []
    assert watch.errors == []
    shared = f"{book_url}/_static/"
    own = {url: size for url, size in weight.items() if not url.startswith(shared)}
    assert sum(own.values()) < WEIGHT_LIMIT_BYTES, own


@EVERY_PAGE
def test_page_works_from_disk(name: str, page: Page, watch: Watch, book_html: Path) -> None:
    page.goto((book_html / name).as_uri())
    settle(page)
    assert watch.foreign == []
    assert watch.errors == []
    assert page.locator("mjx-merror, [data-mjx-error]").count() == 0
    if parsed(name).select(".math"):
        assert page.locator("mjx-container svg").count() > 0


@EVERY_PAGE
def test_readable_on_a_phone(name: str, page: Page, book_url: str) -> None:
    page.set_viewport_size({"width": 390, "height": 844})
    page.goto(f"{book_url}/{name}")
    settle(page)
    width, culprits = page.evaluate(
        """() => [document.documentElement.scrollWidth, [...document.querySelectorAll("main *")]
            .filter(e => e.getBoundingClientRect().right > 391 && getComputedStyle(e).position !== "fixed")
            .slice(0, 5).map(e => e.outerHTML.slice(0, 100))]"""
    )
    assert width <= 390, culprits


@EVERY_PAGE
@pytest.mark.parametrize("mode", ["light", "dark"])
def test_axe_finds_no_violation(name: str, mode: str, page: Page, book_url: str) -> None:
    page.emulate_media(color_scheme=mode, reduced_motion="reduce")
    page.goto(f"{book_url}/{name}")
    settle(page)
    assert page.evaluate("() => document.documentElement.dataset.theme") == mode
    for solution in page.locator("details, .toggle-button").all():
        if solution.is_visible():
            solution.evaluate("e => e.tagName === 'DETAILS' ? (e.open = true) : e.click()")
    found = Axe().run(page).response["violations"]
    assert not [
        f"{violation['id']}: {node['html'][:160]} | {node['failureSummary'][:300]}"
        for violation in found
        for node in violation["nodes"][:4]
    ]
