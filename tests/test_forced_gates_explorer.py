"""The explorer of forced gates: what it refuses, and what a reader does with it in a page with no kernel or network.

Every number read from the page is computed again here, from the arrays that the explorer was made of.
"""

from __future__ import annotations

import re
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import explorers
import numpy as np
import pytest
from playwright.sync_api import Browser, Page, expect

from attention_lite.explorers import ForcedGatesExplorer
from conftest import violations, watch_context

RNG = np.random.default_rng(0)
NAMES, OTHERS = ["page", "cat", "cup"], ["mean of all", "one half"]
BLOCKS = {"early": 4, "late": 6}
IMAGES = RNG.integers(0, 256, (3, 96, 96, 3), dtype=np.uint8)
GATES = np.repeat(RNG.random((1, 5, 10)), 3, 0)
MAPS = np.round(255 * RNG.random((3, 5, 12, 12)) ** 2).astype(np.uint8)
MAPS[2, 2] = 0                                   # the cup has no text of its own, nor under the cat's gates
MAPS[2, 1] = 0
ALONE, SPARED = np.round(255 * RNG.random((2, 2, 12, 12)) ** 2).astype(np.uint8)      # of the page with the cat's
INSIDE = RNG.normal(size=(3, 6, 8, 8))
WORDS = np.array([[0.1, 0.1, 0.6, 0.2], [0.55, 0.5, 0.95, 0.6], [0.3, 0.8, 0.34, 0.9]])
OWN = RNG.integers(0, 256, (96, 96, 3), dtype=np.uint8)


def arguments(**changes: Any) -> dict[str, Any]:
    return {"images": IMAGES, "gates": GATES, "maps": MAPS, "blocks": BLOCKS, "single": {(0, 1): (ALONE, SPARED)},
            "inside": ("late", INSIDE), "image_names": NAMES, "source_names": OTHERS,
            "alt": ["A page", "A cat", "A cup"], **changes}


def explorer(**changes: Any) -> ForcedGatesExplorer:
    return ForcedGatesExplorer(**arguments(**changes))


def with_own(photograph: Any) -> dict[str, Any]:
    """As lab.text_answers.with_own: the photograph last, its gates after those of the others."""
    if not isinstance(photograph, np.ndarray):
        raise ValueError("photograph must be a whole picture")
    gates, maps = (np.insert(old, 3, RNG.random(1), axis=1) for old in (GATES, MAPS / 255))
    return arguments(images=np.concatenate([IMAGES, photograph[None]]), gates=np.concatenate([gates, gates[:1]]),
                     maps=np.concatenate([maps, maps[:1]]), image_names=[*NAMES, "your own"],
                     inside=("late", INSIDE[[0, 1, 2, 0]]), alt="Something")


@pytest.mark.parametrize(("changes", "message"), [
    ({"images": IMAGES[:2]}, r"gates must have shape \(2, S, 10\), got \(3, 5, 10\)"),
    ({"gates": GATES + 1}, r"gates must lie in \[0, 1\]"),
    ({"gates": GATES[:, :2]}, "gates must have a source for each of the 3 photographs, got 2 sources"),
    ({"maps": MAPS[:, :4]}, r"maps must have shape \(3, 5, h, w\)"),
    ({"maps": MAPS.astype(float)}, r"maps must lie in \[0, 1\], got"),
    ({"blocks": {"early": 4}}, r"gates must have shape \(3, S, 4\)"),
    ({"blocks": [4, 6]}, "blocks must be a dict from names to numbers of channels"),
    ({"blocks": {"early": 4, "late": 0}}, r"blocks\['late'\] must be a positive number, got 0"),
    ({"single": {(3, 1): (ALONE, SPARED)}}, "single must be an integer in 0 … 2, got 3"),
    ({"single": {(0, 5): (ALONE, SPARED)}}, "single must be an integer in 0 … 4, got 5"),
    ({"single": {(0, 1): (ALONE[:1], SPARED)}}, r"single\[\(0, 1\)\] must have shape \(2, 12, 12\), got \(1, 12, 12\)"),
    ({"single": {(0, 1): (ALONE,)}}, r"single\[\(0, 1\)\] must be two answers, got 1"),
    ({"single": [(ALONE, SPARED)]}, r"single must be a dict from \(photograph, source\)"),
    ({"inside": ("middle", INSIDE)}, r"inside must be one of \['early', 'late'\], got 'middle'"),
    ({"inside": ("early", INSIDE)}, r"inside\['early'\] must have shape \(3, 4, h', w'\), got \(3, 6, 8, 8\)"),
    ({"words": {0: WORDS[:, :3]}}, r"words\[0\] must have shape \(n, 4\), got \(3, 3\)"),
    ({"words": {0: 2 * WORDS}}, r"words\[0\] must lie in \[0, 1\]"),
    ({"words": {3: WORDS}}, "words must be an integer in 0 … 2, got 3"),
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


def test_a_photograph_of_the_readers_own_is_added_and_bad_ones_are_refused_in_words():
    widget = explorer(look=with_own, source=1, block=1)
    widget.see(OWN)
    assert widget.spec["imageNames"] == [*NAMES, "your own"]
    assert (widget.image, widget.source, widget.block) == (3, -1, -1)
    assert widget.spec["sources"] == 6
    widget.source = 5
    with pytest.raises(ValueError, match="photograph must be a whole picture"):
        widget.see("none.jpg")
    widget.own = b"no picture"
    assert widget.refused == "photograph must be a whole picture"
    assert widget.image == 3
    with pytest.raises(ValueError, match="see needs an explorer made with look="):
        explorer().see(OWN)


def test_a_fault_on_the_way_is_said_too_and_the_file_is_not_kept():
    widget = explorer(look=lambda photograph: None)
    with pytest.raises(TypeError):
        widget.own = b"a picture"
    assert widget.refused.startswith("The photograph could not be shown: TypeError(")
    assert widget.own == b""


def save(folder: Path, widget: ForcedGatesExplorer) -> Path:
    """Pages of an explorer on a light and on a dark ground, and its scripts beside them."""
    saved = explorers.saved(widget)
    saved["state"] |= {"_css": widget._css, "_esm": widget._esm}
    body = explorers.style(saved) + explorers.division(saved) + f"<script>{explorers.module(saved)}</script>"
    scripts = folder / "_static" / "explorers"
    scripts.mkdir(parents=True)
    for name, text in explorers.scripts(saved).items():
        (scripts / name).write_text(text)
    for name, ground in {"light": "", "dark": "background:#111;color:#eee"}.items():
        (folder / f"{name}.html").write_text(
            f'<!doctype html><html lang="en"><head><title>Gates</title><meta charset="utf-8"><meta name="viewport" '
            f'content="width=device-width, initial-scale=1"></head><body style="{ground}"><main><h1>Gates</h1>'
            f"{body}</main></body></html>", encoding="utf-8")
    return folder / "light.html"


@pytest.fixture(scope="module")
def file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return save(tmp_path_factory.mktemp("forced"), explorer())


@pytest.fixture
def opened(browser: Browser, file: Path) -> Iterator[Page]:
    yield from open_at(browser, file)


def open_at(browser: Browser, file: Path) -> Iterator[Page]:
    context = browser.new_context(viewport={"width": 1100, "height": 1400})
    watch = watch_context(context)
    page = context.new_page()
    page.goto(file.as_uri())
    says(page, "under its own gates")
    yield page
    context.close()
    assert watch.foreign == []
    assert watch.errors == []


def says(page: Page, words: str | re.Pattern[str]) -> None:
    expect(page.get_by_role("status")).to_contain_text(words)


def choose(page: Page, group: str, name: str) -> None:
    if name in OTHERS:
        page.get_by_label("Or gates that were made").select_option(name)
        return
    page.get_by_role("group", name=re.compile(group)).get_by_role("radio", name=name).check(force=True)


def text(map_: np.ndarray) -> np.ndarray:
    return map_ / 255 > 0.3


def iou(a: np.ndarray, b: np.ndarray) -> float:
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
            says(opened, f"IoU with its own map: {iou(MAPS[p, s], MAPS[p, p]):.2f}.")
            says(opened, f"{100 * text(MAPS[p, s]).mean():.1f} % of the places count as text, under its own")


def test_where_there_is_no_text_at_all_no_number_is_made_up(opened: Page):
    choose(opened, "Photograph", "cup")
    choose(opened, "Whose gates", "cat")
    says(opened, "No text, as with its own gates under the gates of cat. IoU with its own map: none to measure.")
    choose(opened, "Whose gates", "page")
    says(opened, "Text where its own gates find none under the gates of page. IoU with its own map: 0.00.")


def test_one_block_is_forced_alone_or_spared_where_that_was_stored(opened: Page):
    choose(opened, "Whose gates", "cat")
    choose(opened, "Blocks that get them", "late")
    says(opened, f"IoU with its own map: {iou(ALONE[1], MAPS[0, 0]):.2f}.")
    says(opened, "under the gates of cat in late alone")
    opened.get_by_text("Values as a table").click()
    apart = [np.abs(np.rint(GATES[0, 1, part] * 255) - np.rint(GATES[0, 0, part] * 255)).mean() / 255
             for part in (slice(0, 4), slice(4, 10))]
    last = opened.locator("tbody tr td:last-child")
    expect(last).to_have_text(["0.00", f"{apart[1]:.2f}"])
    opened.get_by_label("All blocks but this one").check()
    says(opened, f"IoU with its own map: {iou(SPARED[1], MAPS[0, 0]):.2f}.")
    says(opened, "under the gates of cat in all blocks but late")
    expect(last).to_have_text([f"{apart[0]:.2f}", "0.00"])
    choose(opened, "Whose gates", "cup")                       # of all blocks: with the cup's, none was tried alone
    says(opened, f"IoU with its own map: {iou(MAPS[0, 2], MAPS[0, 0]):.2f}.")
    expect(opened.get_by_role("radio", name="late")).to_be_disabled()
    expect(opened.get_by_role("radio", name="all 2 blocks")).to_be_checked()


def test_a_button_gives_the_first_other_photographs_gates_and_both_answers_stand_side_by_side(opened: Page):
    opened.get_by_role("button", name="Give it the gates of cat").click()
    says(opened, "under the gates of cat")
    expect(opened.get_by_role("button", name="Give it")).to_have_count(0)
    left, right = (opened.locator(name).bounding_box() for name in (".ax-own", ".ax-stage"))
    assert left["y"] == right["y"]
    assert left["x"] + left["width"] <= right["x"]
    expect(opened.locator(".ax-pair figcaption")).to_have_text(["its own gates", "the gates of cat"])
    choose(opened, "Photograph", "cat")
    expect(opened.get_by_role("button", name="Give it the gates of page")).to_be_visible()


def test_a_state_stands_in_the_address_and_a_link_sets_it(browser: Browser, tmp_path: Path):
    states = {"spared": {"image": 0, "source": 1, "block": 1, "spared": True}, "cup": {"image": 2, "source": -1}}
    for page in open_at(browser, save(tmp_path, explorer(states=states))):
        choose(page, "Photograph", "cat")
        choose(page, "Whose gates", "cup")
        page.wait_for_function("location.hash === '#try=gates:image=1;source=2'")
        page.evaluate("location.hash = '#try=gates:spared'")
        says(page, f"IoU with its own map: {iou(SPARED[1], MAPS[0, 0]):.2f}.")
        says(page, "under the gates of cat in all blocks but late")
        page.evaluate("location.hash = '#try=gates:image=1;source=9'")
        expect(page.get_by_role("alert")).to_have_text("The address asks for source = 9, which is not to be had here.")
        says(page, "in all blocks but late")
        page.goto(f"{page.url.split('#')[0]}?again#try=gates:cup")
        says(page, f"{100 * text(MAPS[2, 2]).mean():.1f} % of the places count as text under its own gates.")
    with pytest.raises(ValueError, match="source must be an integer in -1 … 4, got 9"):
        explorer(states={"far": {"source": 9}})


def test_words_that_were_drawn_are_counted(browser: Browser, tmp_path: Path):
    def on(map_: np.ndarray) -> int:
        count = 0
        for left, top, right, bottom in WORDS:
            row, first, last = int((top + bottom) / 2 * 12), int(left * 12), int(np.ceil(right * 12))
            line = text(map_)[row, first:max(first + 1, last)]
            count += 2 * line.sum() >= line.size
        return count

    maps = MAPS.copy()
    maps[0, 1, 1, 1:5], maps[0, 1, 6, :] = 255, 0           # the first word more than half, the second not
    for page in open_at(browser, save(tmp_path, explorer(words={0: WORDS}, maps=maps))):
        says(page, f"{on(maps[0, 0])} of 3 words are found under its own gates.")
        choose(page, "Whose gates", "cat")
        says(page, f"{on(maps[0, 1])} of 3 words are found under the gates of cat; {on(maps[0, 0])} under its own.")


def test_inside_a_block_the_channels_that_move_furthest_are_shown_times_their_gates(opened: Page):
    choose(opened, "Whose gates", "cat")
    own, put = GATES[0, 0, 4:], GATES[0, 1, 4:]
    order = np.argsort(put - own)
    of = [[f"{round(gate * 255) / 255:.2f}" for gate in gates] for gates in (own, put)]
    words = "; ".join(f"channel {c}: {of[0][c]}, then {of[1][c]}" for c in order)
    tiles = opened.locator(".ax-tiles")
    expect(tiles).to_have_attribute("aria-label", re.compile(re.escape(words)))
    colours = tiles.evaluate("""(canvas) => {
        const context = canvas.getContext("2d"), side = (canvas.clientWidth - 20) / 6;
        const at = (r) => context.getImageData(side * 0.45, r * (32 + side) + 16 + side * 0.45, 1, 1).data;
        return [0, 1].map((r) => [...at(r)].slice(0, 3));
    }""")
    value = INSIDE[0, order[0]] / np.abs(INSIDE[0, order[0]]).max()
    white = [np.linalg.norm(255 - np.array(colour)) for colour in colours]
    assert (white[0] > white[1]) == (own[order[0]] > put[order[0]]) or abs(value[3, 3]) < 0.02
    two_rows = tiles.bounding_box()["height"]
    choose(opened, "Blocks that get them", "early")             # the block that is shown keeps its own
    expect(tiles).to_have_attribute("aria-label", re.compile("channels: its own gates. channel"))
    assert tiles.bounding_box()["height"] < 0.6 * two_rows


def test_before_a_choice_there_is_one_row_of_gates_and_the_menu_asks_for_one(opened: Page):
    """No two equal halves, and no empty menu."""
    heights = opened.evaluate("""() => [...document.querySelectorAll(".ax-gate-strip")].map((strip) => {
        const pixels = strip.getContext("2d").getImageData(strip.width / 2, 0, 1, strip.height).data;
        return [...pixels].filter((_, i) => i % 4 === 3 && pixels[i] > 0).length / strip.height;
    })""")
    assert heights == [1] * len(BLOCKS), "painted from the upper edge to the lower one"
    menu = opened.get_by_label("Or gates that were made")
    assert menu.evaluate("(menu) => menu.selectedOptions[0].text") == "choose …"
    choose(opened, "Whose gates", "cat")
    expect(opened.get_by_text("above: its own; below: those in place")).to_be_visible()
    menu.select_option(label="one half")
    assert menu.evaluate("(menu) => menu.selectedOptions[0].text") == "one half"


def test_a_strip_of_gates_is_as_low_as_its_line(opened: Page):
    """Another kind's style once made it five times as high: they stand in one sheet."""
    assert {round(strip.bounding_box()["height"]) for strip in opened.locator(".ax-gate-strip").all()} == {18}


def test_answers_that_are_missing_are_named(browser: Browser, file: Path, tmp_path: Path):
    alone = shutil.copy(file, tmp_path / "alone.html")
    page = browser.new_page()
    page.goto(alone.as_uri())
    says(page, "What was found on page is missing. It is a file beside this page")
    page.close()


def test_a_static_page_says_that_the_field_for_a_photograph_is_in_the_notebook(browser: Browser, tmp_path: Path):
    for page in open_at(browser, save(tmp_path, explorer(look=with_own))):
        expect(page.get_by_text("In the notebook of this page, a field here takes a photo")).to_be_visible()
        expect(page.locator("input[type=file]")).to_have_count(0)


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
    says(opened, "Point at a place of the right picture")


def test_arrow_keys_change_whose_gates(opened: Page):
    opened.get_by_role("radio", name="its own").focus()
    opened.keyboard.press("ArrowRight")
    opened.keyboard.press("ArrowRight")
    says(opened, "under the gates of cat")


def pixel(page: Page, row: int, column: int) -> list[int]:
    """The colour in the middle of a place, as it is drawn."""
    return page.evaluate(
        """([r, c]) => new Promise((done) => requestAnimationFrame(() => requestAnimationFrame(() => {
            const stage = document.querySelector(".ax-stage");
            const [x, y] = [(c + 0.5) / 12 * stage.width, (r + 0.5) / 12 * stage.height];
            done([...stage.getContext("2d").getImageData(x, y, 1, 1).data].slice(0, 3));
        })))""", [row, column])


def test_what_is_found_is_marked_in_yellow_and_the_rest_is_grey_and_can_be_seen(opened: Page):
    darkest, brightest = np.unravel_index([MAPS[0, 1].argmin(), MAPS[0, 1].argmax()], (12, 12))
    places = [(int(r), int(c)) for r, c in zip(darkest, brightest, strict=True)]
    choose(opened, "Whose gates", "cat")
    choose(opened, "Show", "photograph")
    plain = [np.array(pixel(opened, *place)) for place in places]
    choose(opened, "Show", "both")
    nothing, found = (np.array(pixel(opened, *place)) for place in places)
    assert np.ptp(nothing) < 0.25 * np.ptp(plain[0]) + 8
    assert 0.4 < nothing.mean() / plain[0].mean() < 1.8
    marked = 0.55 * plain[1] + 0.45 * np.array([255, 217, 0])
    assert np.abs(found - marked).max() < 40


@pytest.mark.thorough
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
        cat = page.get_by_role("group", name="Whose gates").get_by_role("radio", name="cat")
        assert cat.bounding_box()["x"] < width - 40              # to be seen without scrolling sideways
        cat.tap()
        says(page, "under the gates of cat")
    assert violations(page) == []
    context.close()
