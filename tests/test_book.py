"""The built pages: links, pictures, hosts, errors, weight, phones, accessibility."""

from __future__ import annotations

import functools
import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import unquote, urlsplit

import pytest
from axe_playwright_python.sync_playwright import Axe
from bs4 import BeautifulSoup
from playwright.sync_api import Browser, Page

from conftest import HTML, ROOT, Watch, watch_context

PAGES = sorted(
    path.relative_to(HTML).as_posix()
    for path in HTML.rglob("*.html")
    if not {"_static", "_sources"} & set(path.relative_to(HTML).parts)
)
# Sphinx writes these besides the pages of _toc.yml; index.html only leads to book/index.html.
READ_PAGES = [page for page in PAGES if page != "index.html"]
EVERY_PAGE = pytest.mark.parametrize("name", READ_PAGES)

WEIGHT_LIMIT_BYTES = 2_500_000
DESKTOP = {"width": 1280, "height": 900}
PHONE = {"width": 390, "height": 844}


@functools.cache
def parsed(name: str) -> BeautifulSoup:
    return BeautifulSoup((HTML / name).read_text(encoding="utf-8"), "html.parser")


def settle(page: Page) -> None:
    """Wait until the page's scripts, equations and pictures are done."""
    page.wait_for_load_state("load")
    page.evaluate("() => window.MathJax?.startup?.promise")
    page.evaluate("() => document.fonts.ready")


@dataclass
class Opened:
    """A served page, open in a browser at desktop width and in light mode."""

    name: str
    page: Page
    watch: Watch
    weight: dict[str, int]
    """The bytes of every answer that the page got, by address."""


@pytest.fixture(scope="module", params=READ_PAGES)
def opened(request: pytest.FixtureRequest, browser: Browser, book_url: str) -> Iterator[Opened]:
    """Each page of the book in turn, loaded once for all the tests that look at it."""
    context = browser.new_context(viewport=DESKTOP, color_scheme="light", reduced_motion="reduce")
    watch = watch_context(context)
    weight: dict[str, int] = {}
    page = context.new_page()
    page.on("response", lambda response: weight.update({response.url: len(response.body())}))
    page.goto(f"{book_url}/{request.param}")
    settle(page)
    yield Opened(request.param, page, watch, weight)
    context.close()


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
                explorer, _, _ = anchor.removeprefix("try=").partition(":")       # of #try=explorer:state
                if not (soup.find(id=anchor) or soup.find("a", attrs={"name": anchor})
                        or soup.find("div", class_="attention-explorer", attrs={"data-name": explorer})):
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


def test_page_asks_no_other_host_and_throws_no_error(opened: Opened) -> None:
    assert opened.watch.foreign == []
    assert opened.watch.errors == []


def test_page_is_light(opened: Opened, book_url: str) -> None:
    own = {url: size for url, size in opened.weight.items() if not url.startswith(f"{book_url}/_static/")}
    assert own
    assert sum(own.values()) < WEIGHT_LIMIT_BYTES, own


@pytest.mark.parametrize("mode", ["light", "dark"])
def test_axe_finds_no_violation(opened: Opened, mode: str) -> None:
    page = opened.page
    page.emulate_media(color_scheme=mode)
    page.wait_for_function(f"() => document.documentElement.dataset.theme === '{mode}'")
    # What is folded away is looked at too, and at once: halfway through its fading in, a word has too little contrast.
    page.add_style_tag(content="*, *::before, *::after { animation: none !important; transition: none !important }")
    page.evaluate(
        """() => {
            document.querySelectorAll("main details").forEach(box => { box.open = true; });
            document.querySelectorAll(".toggle-hidden").forEach(box => box.classList.remove("toggle-hidden"));
            return new Promise(done => requestAnimationFrame(() => requestAnimationFrame(done)));
        }"""
    )
    violations = Axe().run(page).response["violations"]
    assert not [
        f"{violation['id']}: {node['html'][:160]} | {node['failureSummary'][:300]}"
        for violation in violations
        for node in violation["nodes"][:4]
    ]


def test_page_is_readable_on_a_phone(opened: Opened) -> None:
    page = opened.page
    page.set_viewport_size(PHONE)
    width, culprits = page.evaluate(
        """() => [document.documentElement.scrollWidth, [...document.querySelectorAll("main *")]
            .filter(e => e.getBoundingClientRect().right > innerWidth + 1)
            .slice(0, 5).map(e => e.outerHTML.slice(0, 100))]"""
    )
    page.set_viewport_size(DESKTOP)
    assert width <= PHONE["width"], culprits


@EVERY_PAGE
def test_page_works_from_disk(name: str, page: Page, watch: Watch, book_html: Path) -> None:
    page.goto((book_html / name).as_uri())
    settle(page)
    assert watch.foreign == []
    assert watch.errors == []
    assert page.locator("[data-mjx-error]").count() == 0
    if parsed(name).select(".math"):
        assert page.locator("mjx-container svg").count() > 0
