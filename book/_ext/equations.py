"""Equations that are drawn when the page comes: MathJax typesets them while the pages are written, not in the browser.

It runs in a V8 that a PyPI package carries (equations.js), and turns each formula into an SVG, beside MathML for those
who hear the page. The outlines of a page's signs stand once, before its text. A formula that MathJax does not
understand is a warning, and a build of this book fails on warnings.
"""

from __future__ import annotations

import functools
import importlib.util
import re
from pathlib import Path
from typing import Any

from docutils import nodes
from py_mini_racer import MiniRacer
from sphinx.application import Sphinx
from sphinx.util import logging
from sphinx.util.math import get_node_equation_number

logger = logging.getLogger(__name__)

# Its files, in the order in which they need each other.
MATHJAX = ("core", "loader", "adaptors/liteDOM", "input/tex-full", "output/svg", "output/svg/fonts/tex",
           "a11y/assistive-mml")
STYLE = "equations.css"


@functools.cache
def engine() -> MiniRacer:
    """V8 with MathJax in it, once a process."""
    package = Path(importlib.util.find_spec("sphinx-mathjax-offline").submodule_search_locations[0])
    files = [package / "static" / "mathjax" / f"{name}.js" for name in MATHJAX]
    v8 = MiniRacer()
    for file in (*files, Path(__file__).with_suffix(".js")):
        v8.eval(f"{file.read_text(encoding='utf-8')}\n0")       # what MathJax's files come to, Python need not have
    return v8


@functools.cache
def typeset(formula: str, display: bool) -> str:
    """The HTML of a formula. ValueError, with MathJax's words, if it does not understand it."""
    html, error = engine().call("typeset", formula, display)
    if error:
        raise ValueError(error)
    return html


def html(node: nodes.Node, display: bool) -> str:
    """The HTML of a node's formula; a warning, and nothing, in place of a wrong one."""
    try:
        return typeset(node.astext(), display)
    except ValueError as error:
        logger.warning("equation %s: %s", node.astext(), error, location=node)
        return ""


def write_inline(translator: Any, node: nodes.math) -> None:
    start = translator.starttag(node, "span", "", CLASS="math notranslate nohighlight")
    translator.body.append(f"{start}{html(node, display=False)}</span>")
    raise nodes.SkipNode


def write_displayed(translator: Any, node: nodes.math_block) -> None:
    translator.body.append(translator.starttag(node, "div", CLASS="math notranslate nohighlight"))
    if node["number"]:
        translator.body.append(f'<span class="eqno">({get_node_equation_number(translator, node)})')
        translator.add_permalink_ref(node, "Link to this equation")
        translator.body.append("</span>")
    translator.body.append(f"{html(node, display=True)}</div>\n")
    raise nodes.SkipNode


def add_outlines(app: Sphinx, pagename: str, templatename: str, context: dict, doctree: nodes.document | None) -> None:
    """Put the outlines of a page's signs before its text, each once."""
    if used := set(re.findall(r'xlink:href="#(MJX-[^"]+)"', context.get("body", ""))):
        paths = "".join(path for name, path in engine().call("outlines").items() if name in used)
        context["body"] = f'<svg style="display: none" aria-hidden="true"><defs>{paths}</defs></svg>\n{context["body"]}'


def write_style(app: Sphinx) -> None:
    if app.builder.format == "html":
        file = Path(app.outdir) / "_static" / STYLE
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(engine().call("style"), encoding="utf-8")


def setup(app: Sphinx) -> dict[str, bool]:
    app.add_html_math_renderer("equations", (write_inline, None), (write_displayed, None))
    app.add_css_file(STYLE)
    app.connect("builder-inited", write_style)
    app.connect("html-page-context", add_outlines)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
