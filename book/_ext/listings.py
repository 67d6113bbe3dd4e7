"""Code and printed output that fit the page: each line stands in an element of its own, so that it can wrap well.

A long line goes on below its own indent, and a comment after code keeps together (book/_static/book.css does both).
Printed columns keep their lines, since a wrapped table cannot be read.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from html import unescape

from pygments.formatters import HtmlFormatter
from sphinx.application import Sphinx

TAG = re.compile("<[^>]+>")
# A comment that stands after code: `(B, C)` beside the line that makes it.
BESIDE = re.compile(r'(?<=\S)((?:<span class="w">)?[ ]+(?:</span>)?)(<span class="c1">.*</span>)$')
COLUMNS = re.compile(r"\S {2,}\S")


def listed(line: str) -> str:
    """One line of highlighted code as an element, which knows its indent and whether it is a row of columns."""
    text = unescape(TAG.sub("", line)).rstrip("\n")
    indent = len(text) - len(text.lstrip(" "))
    kind = "line columns" if COLUMNS.search(text) else "line"
    code = BESIDE.sub(r'\1<span class="beside">\2</span>', line.rstrip("\n"))
    return f'<span class="{kind}" style="--indent: {indent}ch">{code}\n</span>'


class Listing(HtmlFormatter):
    """Pygments' HTML, with every line in an element of its own."""

    def wrap(self, source: Iterator[tuple[int, str]]) -> Iterator[tuple[int, str]]:
        lines = [(is_code, listed(line) if is_code else line) for is_code, line in source]
        self.prestyles = f"--lines: {sum(is_code for is_code, _ in lines)}"
        return super().wrap(iter(lines))


def use(app: Sphinx) -> None:
    if app.builder.format == "html":
        app.builder.highlighter.formatter = Listing


def setup(app: Sphinx) -> dict[str, bool]:
    app.connect("builder-inited", use)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
