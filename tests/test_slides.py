"""Slides: a page's pictures and explorers one by one, for a projector, by keys, pointer and address."""

from __future__ import annotations

from pathlib import Path

import pytest
from playwright.sync_api import Locator, Page, expect

from conftest import Watch, violations

CHAPTER = "book/chapters/07-self-attention.html"


def opened(page: Page, book_html: Path, slide: str = "#slides") -> Locator:
    """Open the chapter's slides, and return the one that is shown."""
    page.goto((book_html / CHAPTER).as_uri() + slide)
    shown = page.locator(".slide")
    shown.wait_for()
    return shown


def test_they_are_turned_by_keys_and_fill_the_window(page: Page, watch: Watch, book_html: Path) -> None:
    shown, bar = opened(page, book_html), page.get_by_role("navigation", name="Slides")
    expect(shown).to_have_count(1)
    assert shown.bounding_box() == {"x": 0, "y": 0, "width": 1280, "height": 900}
    expect(bar).to_contain_text("1 of ")
    expect(shown).to_have_class("attention-explorer slide")
    page.keyboard.press("PageDown")
    expect(bar).to_contain_text("2 of ")
    expect(shown).to_contain_text("The block.")
    page.keyboard.press("ArrowLeft")
    page.keyboard.press("ArrowLeft")                                # there is none before the first
    expect(bar).to_contain_text("1 of ")
    page.keyboard.press("Escape")
    expect(shown).to_have_count(0)
    expect(bar).to_have_count(0)
    assert page.evaluate("location.hash") == ""
    assert not watch.errors


def test_an_explorer_answers_on_its_slide_and_keeps_its_keys(page: Page, book_html: Path) -> None:
    shown = opened(page, book_html, "#slides=1")
    says = shown.get_by_role("status").filter(has_text="The network")
    expect(says).to_contain_text("the red digit")
    shown.get_by_role("radio", name="yellow").check()
    expect(says).to_contain_text("the yellow digit")
    shown.get_by_role("radio", name="yellow").press("ArrowRight")   # to the next colour, not to the next slide
    expect(shown.get_by_role("radio", name="green")).to_be_checked()
    page.get_by_role("button", name="End the slides").click()
    expect(page.locator(".attention-explorer").get_by_role("radio", name="green")).to_be_checked()


def test_the_button_at_the_top_starts_them(page: Page, book_html: Path) -> None:
    page.goto((book_html / CHAPTER).as_uri())
    page.get_by_role("button", name="Slides: the pictures one by one").click()
    page.get_by_role("button", name="Next slide").click()
    expect(page.get_by_role("navigation", name="Slides")).to_contain_text("2 of ")


@pytest.mark.thorough
@pytest.mark.parametrize("theme", ["light", "dark"])
@pytest.mark.parametrize("width", [390, 1280])
def test_everyone_can_use_them(page: Page, book_html: Path, width: int, theme: str) -> None:
    page.set_viewport_size({"width": width, "height": 844})
    page.emulate_media(color_scheme=theme)
    for number in (1, 2):
        shown = opened(page, book_html, f"#slides={number}")
        assert shown.evaluate("(node) => node.scrollWidth") <= width
        assert violations(page, ".slide, .slides-bar") == []
        page.goto("about:blank")
