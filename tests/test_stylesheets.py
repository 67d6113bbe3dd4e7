"""Every page asks for one stylesheet, which has each rule of the eleven that any of its elements could match."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace

import pytest
from playwright.sync_api import Page

import execution
import stylesheets
from conftest import HTML
from test_book import READ_PAGES, parsed

STATIC = HTML / "_static"


def usable(css: str, *words: str) -> str:
    return " ".join(stylesheets.usable(stylesheets.parsed(css), set(words)).split())


@pytest.mark.parametrize(("css", "left"), [
    (".a { x: 1 }", ".a{x: 1}"),
    (".b { x: 1 }", ""),
    (".a.b { x: 1 }", ""),
    (".a, .b, #c { x: 1 }", ".a,#c{x: 1}"),
    ("p > .b::before, p::before { x: 1 }", "p::before{x: 1}"),
    ("p:not(.b) { x: 1 }", "p:not(.b){x: 1}"),
    ("p:is(.a, .b) > q { x: 1 }", "p:is(.a, .b) > q{x: 1}"),
    ('[class*="b"] { x: 1 }', '[class*="b"]{x: 1}'),
    ("@media print { .a { x: 1 } .b { x: 1 } }", "@media print { .a{x: 1} }"),
    ("@media print { .b { x: 1 } }", ""),
    ("@font-face { src: url(a.ttf) }", "@font-face { src: url(a.ttf) }"),
])
def test_a_rule_stays_where_an_element_could_match(css: str, left: str) -> None:
    assert usable(css, "a", "c") == left


def test_addresses_are_those_of_the_folder_above(tmp_path: Path) -> None:
    (tmp_path / "styles").mkdir()
    (tmp_path / "first.css").write_text("a { background: url('dot.png') }")
    (tmp_path / "styles" / "second.css").write_text(
        '@import "../first.css"; b { background: url(../x/y.png) } c { background: url("data:image/png;base64,A") }')
    assert " ".join(stylesheets.file(tmp_path, tmp_path / "styles" / "second.css").split()) == (
        'a { background: url("dot.png") } b { background: url("x/y.png") } '
        'c { background: url("data:image/png;base64,A") }')


def test_a_page_that_was_not_written_again_keeps_its_one_link() -> None:
    old, new = (f'<link rel="stylesheet" href="../_static/all.css?v={version}" />\n' for version in (1, 2))
    assert stylesheets.with_one_link(f"<head>\n{old}</head>", new) == f"<head>\n{new}</head>"


@pytest.mark.parametrize("name", READ_PAGES)
def test_a_page_asks_for_one_stylesheet(name: str) -> None:
    links = parsed(name).select('link[rel="stylesheet"]')
    assert len(links) == 1
    assert (HTML / name).parent.joinpath(links[0]["href"].split("?")[0]).resolve() == STATIC / stylesheets.JOINED


# The selectors of a stylesheet, each by itself; with `present`, those that match an element of the page.
SELECTORS = """([css, present]) => {
    const found = new Set(), sheet = new CSSStyleSheet();
    const states = /::?(before|after|placeholder|marker|hover|focus\\S*|active)/g;
    const matches = one => { try { return document.querySelector(one.replace(states, "")); } catch { return false; } };
    const look = rules => { for (const rule of rules) {
        if (rule.selectorText) for (const one of rule.selectorText.split(/,(?![^(]*\\))/).map(each => each.trim()))
            if (!present || matches(one)) found.add(one);
        if (rule.cssRules && !rule.selectorText) look(rule.cssRules);
    } };
    sheet.replaceSync(css);
    look(sheet.cssRules);
    return [...found];
}"""


@pytest.mark.parametrize("name", [
    "book/chapters/01-se.html", "book/chapters/07-self-attention.html", "book/gallery.html", "book/glossary.html",
    "search.html"])
def test_no_rule_is_lost_that_an_element_matches(page: Page, book_url: str, name: str) -> None:
    page.goto(f"{book_url}/{name}")
    page.wait_for_load_state("networkidle")
    joined = (STATIC / stylesheets.JOINED).read_text(encoding="utf-8")
    names = joined.splitlines()[0].split()[1:-1]
    whole = "\n".join(stylesheets.file(STATIC, STATIC / each) for each in names)
    present, kept = page.evaluate(SELECTORS, [whole, True]), page.evaluate(SELECTORS, [joined, False])
    assert len(present) > 150
    assert set(present) <= set(kept)
    assert len(joined) < len(whole) / 2


def test_pages_are_written_anew_when_a_file_of_the_books_own_changes(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(execution, "ROOT", tmp_path)

    def noted() -> str:
        config = SimpleNamespace()
        stylesheets.note_own_files(SimpleNamespace(srcdir=tmp_path), config)
        return config.own_files

    (tmp_path / "book" / "_static").mkdir(parents=True)
    own = tmp_path / "book" / "_static" / "book.css"
    own.write_text("a { x: 1 }")
    before = noted()
    assert noted() == before
    own.write_text("a { x: 2 }")
    assert noted() != before


def test_the_band_of_a_title_reaches_across_its_box(page: Page, book_url: str) -> None:
    page.goto(f"{book_url}/book/chapters/08-danet.html")
    box, band = (page.locator(where).first.bounding_box()["width"] for where in (
        "div.exercise", "div.exercise > .admonition-title"))
    assert band > box - 8
