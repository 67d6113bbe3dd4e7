"""Equations are typeset while the book is built: every page holds drawings and MathML, and asks for no MathJax."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import pytest
from bs4 import BeautifulSoup

import equations
from conftest import HTML, ROOT
from test_book import PAGES, parsed

WITH_EQUATIONS = [name for name in PAGES if parsed(name).select(".math")]


def drawn(formula: str, display: bool = False) -> BeautifulSoup:
    return BeautifulSoup(equations.typeset(formula, display), "html.parser")


def test_a_formula_is_a_drawing_and_mathml() -> None:
    soup = drawn(r"\frac{\mathbf{q}^\top k}{\sqrt{d}}", display=True)
    assert soup.select_one("mjx-container[display=true] > svg[aria-hidden=true] use")
    assert soup.select_one("mjx-assistive-mml > math[display=block] mfrac msqrt mi").text == "d"


def test_a_drawing_takes_the_size_and_the_colour_of_the_text_around_it() -> None:
    svg = drawn("a_b").svg
    assert svg["width"].endswith("ex")
    assert svg["height"].endswith("ex")
    assert svg.g["fill"] == svg.g["stroke"] == "currentColor"


@pytest.mark.parametrize(("formula", "words"), [
    (r"\frac{a}{", "Missing close brace"),
    (r"\begin{aligned} a", r"Missing \end{aligned}"),
    (r"\nosuchmacro x", r"Undefined control sequence \nosuchmacro"),
    (r"a_b_c", "Double subscripts"),
])
def test_a_wrong_formula_is_refused_in_mathjax_s_words(formula: str, words: str) -> None:
    with pytest.raises(ValueError, match=re.escape(words)):
        equations.typeset(formula, True)


def build(folder: Path, text: str) -> subprocess.CompletedProcess[str]:
    """A book of one page, built as this one is: warnings are errors."""
    (folder / "conf.py").write_text(
        f"import sys\nsys.path.insert(0, {str(ROOT / 'book' / '_ext')!r})\n"
        "extensions = ['myst_parser', 'equations']\nmyst_enable_extensions = ['amsmath', 'dollarmath']\n"
        "html_math_renderer = 'equations'\n", encoding="utf-8")
    (folder / "index.md").write_text(text, encoding="utf-8")
    return subprocess.run([sys.executable, "-m", "sphinx", "-W", "--keep-going", "-q", folder, folder / "html"],
                          capture_output=True, text=True, encoding="utf-8")


def test_a_wrong_formula_fails_the_build_and_is_named(tmp_path: Path) -> None:
    finished = build(tmp_path, "# Title\n\nRight: $a$.\n\nWrong: $\\frac{a}$.\n")
    assert finished.returncode != 0
    assert re.search(r"index\.md:5: WARNING: equation \\frac\{a\}: .*Missing argument", finished.stderr)


def test_equations_are_numbered_and_referred_to(tmp_path: Path) -> None:
    finished = build(tmp_path, "# $x^2$ in a title\n\n$$\na = b\n$$ (eq-one)\n\nBy {eq}`eq-one`.\n\n"
                               "\\begin{align}\nc &= d \\\\\ne &= f\n\\end{align}\n")
    assert finished.returncode == 0, finished.stderr
    page = BeautifulSoup((tmp_path / "html" / "index.html").read_text(encoding="utf-8"), "html.parser")
    assert page.select_one("#equation-eq-one .eqno").text.startswith("(1)")
    assert page.select_one("a[href='#equation-eq-one']:not(.headerlink)").text == "(1)"
    assert len(page.select("div.math mjx-container[display=true]")) == 2
    assert page.select_one("h1 mjx-container")


@pytest.mark.parametrize("name", PAGES)
def test_every_equation_of_a_page_is_there_before_any_script_runs(name: str) -> None:
    page = parsed(name)
    for equation in page.select(".math"):
        assert len(equation.select("mjx-container > svg")) == 1
        assert len(equation.select("mjx-container > mjx-assistive-mml > math")) == 1
        assert not re.search(r"\\[a-z(\[]", equation.text)
    outlined = [path["id"] for path in page.select("path[id^=MJX-]")]
    assert len(set(outlined)) == len(outlined)
    assert {use["xlink:href"].removeprefix("#") for use in page.select(".math use")} == set(outlined)


def test_the_book_holds_equations_and_their_style_and_no_mathjax() -> None:
    assert len(WITH_EQUATIONS) > 15
    assert "mjx-assistive-mml" in (HTML / "_static" / equations.STYLE).read_text(encoding="utf-8")
    assert not (HTML / "_static" / "mathjax").exists()
