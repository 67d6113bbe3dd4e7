"""The explorer of forced gates: what it refuses, and what a reader does with it in a page with no kernel or network.

Every number read from the page is computed again here, from the arrays that the explorer was made of.
"""

from __future__ import annotations

import base64
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import explorers
import numpy as np
import pytest
from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import Browser, Page, expect

from attention_lite.explorers import ForcedGatesExplorer
from conftest import watch_context

RNG = np.random.default_rng(0)
NAMES, OTHERS = ["page", "cat", "cup"], ["mean of all", "one half"]
BLOCKS = {"early": 4, "late": 6}
IMAGES = RNG.integers(0, 256, (3, 96, 96, 3), dtype=np.uint8)
GATES = np.repeat(RNG.random((1, 5, 10)), 3, 0)
MAPS = np.round(255 * RNG.random((3, 5, 12, 12)) ** 2).astype(np.uint8)
MAPS[2, 2] = 0                                   # the cup has no text of its own, nor under the cat's gates
MAPS[2, 1] = 0
SINGLE = np.round(255 * RNG.random((2, 5, 12, 12)) ** 2).astype(np.uint8)


def explorer(**changes: Any) -> ForcedGatesExplorer:
    arguments = {"images": IMAGES, "gates": GATES, "maps": MAPS, "blocks": BLOCKS, "single": {0: SINGLE},
                 "image_names": NAMES, "source_names": OTHERS, "alt": ["A page", "A cat", "A cup"], **changes}
    return ForcedGatesExplorer(arguments.pop("images"), arguments.pop("gates"), arguments.pop("maps"), **arguments)


@pytest.mark.parametrize(("changes", "message"), [
    ({"images": IMAGES[:2]}, r"gates must have shape \(2, S, 10\), got \(3, 5, 10\)"),
    ({"gates": GATES + 1}, r"gates must lie in \[0, 1\]"),
    ({"gates": GATES[:, :2]}, "gates must have a source for each of the 3 photographs, got 2 sources"),
    ({"maps": MAPS[:, :4]}, r"maps must have shape \(3, 5, h, w\)"),
    ({"maps": MAPS.astype(float)}, r"maps must lie in \[0, 1\], got"),
    ({"blocks": {"early": 4}}, r"gates must have shape \(3, S, 4\)"),
    ({"blocks": [4, 6]}, "blocks must be a dict from names to numbers of channels"),
    ({"blocks": {"early": 4, "late": 0}}, r"blocks\['late'\] must be a positive number, got 0"),
    ({"single": {3: SINGLE}}, "single must be an integer in 0 … 2, got 3"),
    ({"single": {0: SINGLE[:1]}}, r"single\[0\] must have shape \(2, 5, 12, 12\)"),
    ({"source_names": ["half"]}, "source_names must have 2 names, got 1"),
    ({"threshold": 1.5}, r"threshold must lie in \[0, 1\]"),
    ({"source": 5}, "source must be an integer in -1 … 4, got 5"),
    ({"block": 2}, "block must be an integer in -1 … 1, got 2"),
    ({"show": "heat"}, "show must be one of"),
])
def test_it_refuses(changes: dict[str, Any], message: str):
    with pytest.raises(ValueError, match=message):
        explorer(**changes)


def test_state_is_checked_as_it_is_set_and_numbers_do_as_well_as_bytes():
    widget = explorer(maps=MAPS / 255)
    assert repr(widget) == "ForcedGatesExplorer(3 photographs, 5 sources of gates, 2 blocks)"
    assert widget.data == explorer().data
    widget.source = np.int64(4)
    with pytest.raises(ValueError, match="source must be an integer in -1 … 4, got 7"):
        widget.source = 7
    assert widget.source == 4


def page_of(widget: ForcedGatesExplorer, ground: str) -> str:
    state = dict(widget.get_state())
    data = base64.b64encode(bytes(state.pop("data"))).decode()
    saved = {"state": state, "buffers": [{"path": ["data"], "data": data}]}
    body = explorers.style(saved) + explorers.division(saved) + explorers.module(saved)
    return (f'<!doctype html><html lang="en"><head><title>Gates</title><meta name="viewport" '
            f'content="width=device-width, initial-scale=1"></head><body style="{ground}"><main><h1>Gates</h1>'
            f"{body}</main></body></html>")


@pytest.fixture(scope="module")
def file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("forced") / "light.html"
    path.write_text(page_of(explorer(), ""), encoding="utf-8")
    path.with_name("dark.html").write_text(page_of(explorer(), "background:#111;color:#eee"), encoding="utf-8")
    return path


@pytest.fixture
def opened(browser: Browser, file: Path) -> Iterator[Page]:
    context = browser.new_context(viewport={"width": 1100, "height": 900})
    watch = watch_context(context)
    page = context.new_page()
    page.goto(file.as_uri())
    says(page, "of the places count as text under its own gates")
    yield page
    context.close()
    assert watch.foreign == []
    assert watch.errors == []


def says(page: Page, words: str | re.Pattern[str]) -> None:
    expect(page.get_by_role("status")).to_contain_text(words)


def choose(page: Page, group: str, name: str) -> None:
    page.get_by_role("group", name=re.compile(group)).get_by_role("radio", name=name).check(force=True)


def text(map_: np.ndarray) -> np.ndarray:
    return map_ / 255 > 0.3


def overlap(a: np.ndarray, b: np.ndarray) -> float:
    return (text(a) & text(b)).sum() / (text(a) | text(b)).sum()


def test_every_photograph_under_every_source_is_scored_against_its_own_map(opened: Page):
    for p, name in enumerate(NAMES):
        choose(opened, "Photograph", name)
        choose(opened, "Whose gates", "its own")
        says(opened, f"{100 * text(MAPS[p, p]).mean():.1f} % of the places count as text under its own gates.")
        for s, source in enumerate([*NAMES, *OTHERS]):
            if s == p or not (text(MAPS[p, s]) | text(MAPS[p, p])).any():
                continue
            choose(opened, "Whose gates", source)
            says(opened, f"Overlap with its own map: {overlap(MAPS[p, s], MAPS[p, p]):.2f}.")
            says(opened, f"{100 * text(MAPS[p, s]).mean():.1f} % of the places count as text, under its own")


def test_where_there_is_no_text_at_all_no_number_is_made_up(opened: Page):
    choose(opened, "Photograph", "cup")
    choose(opened, "Whose gates", "cat")
    says(opened, "No text, as with its own gates. Overlap with its own map: none to measure.")
    choose(opened, "Whose gates", "page")
    says(opened, "Text where its own gates find none. Overlap with its own map: 0.00.")


def test_one_block_alone_is_forced_where_that_was_stored(opened: Page):
    choose(opened, "Whose gates", "cat")
    choose(opened, "Blocks that get them", "late")
    says(opened, f"Overlap with its own map: {overlap(SINGLE[1, 1], MAPS[0, 0]):.2f}.")
    says(opened, "Under the gates of cat in late alone")
    opened.get_by_text("Values as a table").click()
    apart = [0, np.abs(np.rint(GATES[0, 1, 4:] * 255) - np.rint(GATES[0, 0, 4:] * 255)).mean() / 255]
    rows = [f"{v:.2f}" for v in apart]
    expect(opened.locator("tbody tr td:last-child")).to_have_text(rows)
    choose(opened, "Photograph", "cup")
    choose(opened, "Whose gates", "page")
    says(opened, f"Overlap with its own map: {overlap(MAPS[2, 0], MAPS[2, 2]):.2f}.")    # of all blocks: none alone
    expect(opened.get_by_role("radio", name="late")).to_be_disabled()
    expect(opened.get_by_role("radio", name="all 2 blocks")).to_be_checked()


def test_a_place_is_read_by_pointer_and_by_keyboard(opened: Page):
    choose(opened, "Whose gates", "one half")
    stage = opened.locator(".ax-stage")
    box = stage.bounding_box()
    opened.mouse.click(box["x"] + 5.5 / 12 * box["width"], box["y"] + 3.5 / 12 * box["height"])
    says(opened, f"At row 3, column 5: {MAPS[0, 4, 3, 5] / 255:.2f}, under its own gates {MAPS[0, 0, 3, 5] / 255:.2f}.")
    opened.mouse.move(0, 0)
    stage.focus()
    opened.keyboard.press("ArrowDown")
    says(opened, f"At row 4, column 5: {MAPS[0, 4, 4, 5] / 255:.2f}")
    opened.keyboard.press("Escape")
    says(opened, "Point at a place to read its probability.")


def test_arrow_keys_change_whose_gates(opened: Page):
    opened.get_by_role("radio", name="its own").focus()
    opened.keyboard.press("ArrowRight")
    opened.keyboard.press("ArrowRight")
    says(opened, "Under the gates of cat")


def pixel(page: Page, row: int, column: int) -> list[int]:
    """The colour in the middle of a place, as it is drawn."""
    return page.evaluate(
        """([r, c]) => new Promise((done) => requestAnimationFrame(() => requestAnimationFrame(() => {
            const stage = document.querySelector(".ax-stage");
            const [x, y] = [(c + 0.5) / 12 * stage.width, (r + 0.5) / 12 * stage.height];
            done([...stage.getContext("2d").getImageData(x, y, 1, 1).data].slice(0, 3));
        })))""", [row, column])


def test_what_is_not_found_is_dimmed_and_the_photograph_can_still_be_seen(opened: Page):
    darkest, brightest = np.unravel_index([MAPS[0, 1].argmin(), MAPS[0, 1].argmax()], (12, 12))
    places = list(zip(darkest, brightest, strict=True))
    choose(opened, "Whose gates", "cat")
    choose(opened, "Show", "photograph")
    whole = [sum(pixel(opened, int(r), int(c))) for r, c in places]
    choose(opened, "Show", "both")
    low, high = (sum(pixel(opened, int(r), int(c))) / whole[i] for i, (r, c) in enumerate(places))
    assert 0.1 < low < 0.5
    assert high > 0.8


@pytest.mark.parametrize("width", [390, 1100])
@pytest.mark.parametrize("name", ["light.html", "dark.html"])
def test_phone_dark_mode_and_axe(browser: Browser, file: Path, name: str, width: int):
    context = browser.new_context(viewport={"width": width, "height": 844}, has_touch=width < 500)
    page = context.new_page()
    page.goto(file.with_name(name).as_uri())
    says(page, "under its own gates")
    assert page.locator(".attention-explorer").get_attribute("data-theme") == name.split(".")[0]
    assert page.evaluate("document.documentElement.scrollWidth") <= width
    if width < 500:
        page.get_by_role("group", name="Whose gates").get_by_role("radio", name="cat").tap()
        says(page, "Under the gates of cat")
    violations = Axe().run(page).response["violations"]
    assert [(v["id"], v["nodes"][0]["html"][:100]) for v in violations] == []
    context.close()
