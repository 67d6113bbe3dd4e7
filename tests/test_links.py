"""Where the pages' links lead: to a file, and to a place in it; and by what the papers that they cite can be found."""

from __future__ import annotations

import functools
import json
import re
from html import unescape
from urllib.parse import unquote, urlsplit

import pytest
from bs4 import Tag
from pybtex.database import Entry, parse_file

from conftest import HTML, ROOT
from test_book import PAGES, parsed
from try_role import EXPLORER, has

EVERY_PAGE = pytest.mark.parametrize("name", PAGES)
LEADING = ("href", "src", "action", "xlink:href")
NAMING = ("for", "aria-labelledby", "aria-describedby", "aria-controls")
REFERENCES = parse_file(ROOT / "book" / "references.bib").entries
IDENTIFIER = {
    "doi": r"10\.\d{4,9}/\S+",
    "eprint": r"\d{4}\.\d{4,5}",
    "isbn": r"[\d-]{9,16}[\dX]",
    "url": r"https://\S+\.\S+/\S+",
}


@functools.cache
def anchors(name: str) -> set[str]:
    """The names of all places in a page."""
    return {element[kind] for kind in ("id", "name") for element in parsed(name).find_all(attrs={kind: True})}


@functools.cache
def explorers(name: str) -> dict[str, dict]:
    """A page's explorers by name, with the states that they have."""
    page = (HTML / name).read_text(encoding="utf-8")
    return {unescape(found[1]): json.loads(found[2]) for found in EXPLORER.finditer(page)}


def leads(name: str, address: str) -> bool:
    """Whether an address on a page leads to a file of the book and, where it says so, to a place in it."""
    parts = urlsplit(address)
    target = ((HTML / name).parent / unquote(parts.path)).resolve() if parts.path else (HTML / name).resolve()
    if target.is_dir():
        target /= "index.html"
    if not target.is_file() or not target.is_relative_to(HTML.resolve()):
        return False
    if not parts.fragment or target.suffix != ".html":
        return True
    page, anchor = target.relative_to(HTML.resolve()).as_posix(), unquote(parts.fragment)
    if not anchor.startswith("try="):
        return anchor in anchors(page)
    explorer, _, state = anchor.removeprefix("try=").partition(":")
    return explorer in explorers(page) and has(explorers(page)[explorer], state)


def addresses(element: Tag) -> list[str]:
    """The addresses that an element leads to, those on other hosts and data apart."""
    found = [element[kind] for kind in LEADING if kind in element.attrs]
    if element.name == "meta" and element.get("http-equiv", "").lower() == "refresh":
        found.append(element["content"].partition("url=")[2])
    return [address for address in found if not urlsplit(address).scheme and not urlsplit(address).netloc]


@EVERY_PAGE
def test_internal_links_lead_somewhere(name: str) -> None:
    links = {address for element in parsed(name).find_all(True) for address in addresses(element)}
    assert links
    assert [address for address in links if not leads(name, address)] == []


@EVERY_PAGE
def test_what_an_element_names_is_there(name: str) -> None:
    """A label's field, the words that describe an element: screen readers follow these."""
    named = {word for kind in NAMING for element in parsed(name).find_all(attrs={kind: True})
             for word in element[kind].split()}
    assert named <= anchors(name)


def test_styles_name_files_that_are_there() -> None:
    missing = [
        f"{style.relative_to(HTML)}: {address}"
        for style in (HTML / "_static").rglob("*.css")
        for address in re.findall(r"url\([\"']?([^\"')]+)", style.read_text(encoding="utf-8"))
        if not urlsplit(address).scheme and not (style.parent / urlsplit(address).path).is_file()
    ]
    assert missing == []


def identifiers(entry: Entry) -> list[str]:
    """The fields of a reference by which it can be found."""
    return [kind for kind in IDENTIFIER if kind in entry.fields]


@pytest.mark.parametrize("key", sorted(REFERENCES))
def test_a_reference_can_be_found(key: str) -> None:
    entry = REFERENCES[key]
    assert identifiers(entry), "a DOI, an arXiv number, an ISBN or an address is wanted"
    for kind in identifiers(entry):
        assert re.fullmatch(IDENTIFIER[kind], entry.fields[kind]), (kind, entry.fields[kind])


def test_every_reference_on_its_page_has_a_link() -> None:
    entries = parsed("book/references.html").select("main .citation")
    assert len(entries) > 40
    assert [entry.get_text() for entry in entries if not entry.select("a.external[href^='https://']")] == []
