"""Sentences that put an explorer into a state: their links, and what fails the build."""

from __future__ import annotations

import io
import json
import sys
from pathlib import Path

import pytest
from bs4 import BeautifulSoup
from sphinx.application import Sphinx
from sphinx.util.docutils import docutils_namespace

from conftest import ROOT


def explorer(name: str, *states: str) -> str:
    """An explorer as the page holds it, in the form that the extension `explorers` writes."""
    data = json.dumps({"kind": "live", "name": name, "shared": ["query", "layer"],
                       "states": {state: {} for state in states}})
    return (f'<div class="attention-explorer" data-kind="live" data-name="{name}"><p>A picture.</p>'
            f'<script type="application/json">{data}</script></div>\n\n')


def build(tmp_path: Path, text: str, monkeypatch: pytest.MonkeyPatch) -> tuple[BeautifulSoup, str]:
    """The page that Sphinx makes of a text, and its warnings."""
    monkeypatch.setattr(sys, "path", [str(ROOT / "book" / "_ext"), *sys.path])
    source, out, warnings = tmp_path / "source", tmp_path / "out", io.StringIO()
    source.mkdir()
    (source / "index.md").write_text("# A page\n\n" + text, encoding="utf-8")
    with docutils_namespace():
        Sphinx(str(source), None, str(out), str(tmp_path / "doctrees"), "html", status=None, warning=warnings,
               confoverrides={"extensions": ["myst_parser", "try_role"],
                              "source_suffix": {".md": "markdown"}}).build()       # Sphinx keeps an earlier app's
    return BeautifulSoup((out / "index.html").read_text(encoding="utf-8"), "html.parser"), warnings.getvalue()


def test_a_sentence_becomes_a_link_to_the_state(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    page, warnings = build(tmp_path, explorer("se", "start", "green-gates", "of a cat") + (
        "First {try}`force the gates of a green frame <green-gates>`, then {try}`a cat's <of a cat>`, then "
        "{try}`go back <se:start>`.\n"), monkeypatch)
    assert warnings == ""
    links = page.select("a.ax-try")
    assert [link["href"] for link in links] == ["#try=se:green-gates", "#try=se:of%20a%20cat", "#try=se:start"]
    assert links[1].text == "a cat’s"
    assert "external" not in links[0]["class"]


def test_of_two_explorers_the_one_that_has_the_state_is_meant(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    page, warnings = build(tmp_path, explorer("se", "start", "green") + explorer("search", "start", "no-output") + (
        "{try}`One <no-output>`, {try}`another <green>`, {try}`a third <search:start>`.\n"), monkeypatch)
    assert warnings == ""
    assert [link["href"] for link in page.select("a.ax-try")] == [
        "#try=search:no-output", "#try=se:green", "#try=search:start"]


def test_values_of_traits_that_the_explorer_shares_are_a_state(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    page, warnings = build(tmp_path, explorer("se", "start") + "{try}`there <se:query=16;layer=2>`\n", monkeypatch)
    assert warnings == ""
    assert page.select_one("a.ax-try")["href"] == "#try=se:query=16;layer=2"


@pytest.mark.parametrize(("text", "said"), [
    ("{try}`deep <se:depth=2>`", "got se:depth=2"),
    ("{try}`blue <blue-gates>`",
     "try must name one state of one explorer of this page (se: start, green; search: start), got blue-gates"),
    ("{try}`back <start>`", "got start"),                         # both have it: which is meant?
    ("{try}`green <search:green>`", "got search:green"),
    ("{try}`green`", "try needs words and the name of a state, {try}`words <state>`, got green"),
])
def test_a_name_that_leads_nowhere_is_a_warning_which_fails_the_build(
    text: str, said: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    _, warnings = build(tmp_path, explorer("se", "start", "green") + explorer("search", "start") + text + "\n",
                        monkeypatch)
    assert "index.md" in warnings
    assert said in warnings


def test_a_page_without_an_explorer_says_so(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    _, warnings = build(tmp_path, "{try}`green <green>`\n", monkeypatch)
    assert "(no explorer), got green" in warnings
