"""What a reader can make out: code whole on a desktop and a phone, labels there, figures in the dark."""

from __future__ import annotations

import io
from collections.abc import Iterator

import pytest
from PIL import Image
from playwright.sync_api import Browser, Page

from conftest import HTML, watch_context
from test_book import DESKTOP, PHONE, READ_PAGES, UNFOLD, settle

pytestmark = pytest.mark.thorough

# By the text: to parse all pages takes half a minute, in each of pytest's workers.
LISTED = [name for name in READ_PAGES if "<pre" in (HTML / name).read_text(encoding="utf-8").split("<main", 1)[1]]
CUT = """all => all.filter(pre => pre.clientWidth && pre.scrollWidth > pre.clientWidth + 1)
               .map(pre => pre.textContent.slice(0, 120))"""


@pytest.fixture(scope="module", params=LISTED)
def unfolded(request: pytest.FixtureRequest, browser: Browser, book_url: str) -> Iterator[Page]:
    """Each page that has code or output, at desktop width, with all that is folded open."""
    context = browser.new_context(viewport=DESKTOP, service_workers="block")
    watch_context(context)
    page = context.new_page()
    page.goto(f"{book_url}/{request.param}")
    settle(page)
    page.evaluate(UNFOLD)
    yield page
    context.close()


def cut(page: Page, selector: str = "main pre") -> list[str]:
    """How each block begins whose lines are longer than the page is wide."""
    return page.locator(selector).evaluate_all(CUT)


def test_no_code_and_no_output_is_cut_on_a_desktop(unfolded: Page) -> None:
    assert unfolded.locator("main pre").count() > 0
    assert cut(unfolded) == []


def test_code_is_read_whole_on_a_phone(unfolded: Page) -> None:
    """Printed columns alone may scroll there."""
    unfolded.set_viewport_size(PHONE)
    rows = cut(unfolded, "main pre:not(:has(.columns))")
    code = cut(unfolded, "main :is(.highlight-python, .highlight-ipython3) pre")
    unfolded.set_viewport_size(DESKTOP)
    assert rows + code == []


def test_a_block_that_cannot_wrap_is_found_out(unfolded: Page) -> None:
    unfolded.add_style_tag(content="main pre .line { white-space: pre !important; min-width: 2000px }")
    assert len(cut(unfolded)) > 0


# Pixels of the smallest label of each drawing that is shown: plain words, and the letters of formulas.
LABELS = """all => all.filter(svg => svg.clientWidth).map(svg => {
    const shown = svg.getBoundingClientRect().width / svg.viewBox.baseVal.width;
    const words = [...svg.querySelectorAll("text")].map(text => parseFloat(getComputedStyle(text).fontSize));
    const letters = [...svg.querySelectorAll("g[transform*=scale]")]
        .map(group => 100 * parseFloat(group.getAttribute("transform").split("scale(")[1]));
    return shown * Math.min(...words, ...letters);
}).filter(Number.isFinite)"""


def test_labels_can_be_read_on_a_phone(unfolded: Page) -> None:
    unfolded.set_viewport_size(PHONE)
    labels = unfolded.locator(".picture svg").evaluate_all(LABELS)
    unfolded.set_viewport_size(DESKTOP)
    assert len(labels) == unfolded.locator(".picture:has(svg :is(text, use))").count()
    assert [round(label, 1) for label in labels if label < 10] == []


# How each figure that is seen begins, whether it is drawn, and the places in its corners, from the page's top left.
CORNERS = """() => [...document.querySelectorAll("main :is(.picture svg, img)")]
    .filter(figure => figure.checkVisibility()).map(figure => [figure, figure.getBoundingClientRect()])
    .filter(([, box]) => box.width && box.height).map(([figure, box]) => [
        figure.outerHTML.slice(0, 120), figure.tagName === "svg",
        [box.left + 1, box.right - 2].flatMap(x => [box.top + 1, box.bottom - 2].map(y => [x, y + scrollY]))])"""
WINDOW = {"width": 1280, "height": 3000}


def lights(page: Page, places: list[list[float]]) -> list[int]:
    """How light the page is at places of it, 0 to 255: read from pictures of a high window, which is scrolled."""
    page.set_viewport_size(WINDOW)
    found: dict[int, int] = {}
    while left := [i for i in range(len(places)) if i not in found]:
        page.evaluate("y => scrollTo({ top: y, behavior: 'instant' })", min(places[i][1] for i in left) - 100)
        top = page.evaluate("scrollY")
        shot = Image.open(io.BytesIO(page.screenshot(animations="disabled"))).convert("L")
        for i in left:
            x, y = places[i]
            if 0 <= y - top < WINDOW["height"]:
                found[i] = shot.getpixel((int(x), int(y - top)))
    page.set_viewport_size(DESKTOP)
    return [found[i] for i in range(len(places))]


def test_no_figure_is_a_light_slab_in_the_dark(unfolded: Page) -> None:
    unfolded.emulate_media(color_scheme="dark")
    unfolded.wait_for_function("() => document.documentElement.dataset.theme === 'dark'")
    # What lies fixed over the page would be in the picture of a figure that is higher than the window.
    unfolded.add_style_tag(content=".bd-header-article, #pst-back-to-top, #pst-skip-link { display: none !important }")
    figures = unfolded.evaluate(CORNERS)
    light = lights(unfolded, [corner for _, _, corners in figures for corner in corners])
    unfolded.emulate_media(color_scheme="light")
    assert len(light) == 4 * len(figures)
    # A figure's corners lie outside its panels, on the page's own ground; a photograph may have a light sky.
    four = [light[4 * i:4 * i + 4] for i in range(len(figures))]
    assert [begin for (begin, drawn, _), corners in zip(figures, four, strict=True)
            if (max(corners) > 60 if drawn else min(corners) > 230)] == []
