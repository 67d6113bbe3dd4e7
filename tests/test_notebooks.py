"""The committed chapters: executed, in order, without error, light, and small enough to read on GitHub.

That their stored outputs are what the code gives is tested cell by cell by nbval, which `make test` runs over
book/chapters.
"""

from __future__ import annotations

import re
from pathlib import Path

import nbformat
import pytest
from nbformat import NotebookNode

from conftest import ROOT

CHAPTERS = sorted((ROOT / "book" / "chapters").glob("*.ipynb"))
EVERY_CHAPTER = pytest.mark.parametrize("path", CHAPTERS, ids=lambda path: path.stem)

SIZE_LIMIT_BYTES = 400_000


def code_cells(path: Path) -> list[NotebookNode]:
    return [cell for cell in nbformat.read(path, as_version=4).cells if cell.cell_type == "code"]


def test_the_contents_name_every_chapter_once() -> None:
    named = re.findall(r"file:\s*book/chapters/(\S+)", (ROOT / "_toc.yml").read_text(encoding="utf-8"))
    assert named
    assert sorted(named) == [path.stem for path in CHAPTERS]


def test_the_contents_number_the_chapters() -> None:
    """The text names chapters by their numbers, so the sidebar has them, too."""
    given = dict(re.findall(r'file:\s*book/chapters/(\S+)\n\s*title:\s*"(.*)"', (ROOT / "_toc.yml").read_text("utf-8")))
    own = {path.stem: next(cell.source.splitlines()[0] for cell in nbformat.read(path, as_version=4).cells
                           if cell.source.startswith("# ") and cell.cell_type == "markdown") for path in CHAPTERS}
    assert given == {name: f"{name[:2]} {title[2:]}" for name, title in own.items() if name[:2].isdigit()}


@EVERY_CHAPTER
def test_notebook_is_valid(path: Path) -> None:
    nbformat.validate(nbformat.read(path, as_version=4))


@EVERY_CHAPTER
def test_every_code_cell_was_executed_in_order(path: Path) -> None:
    # nbval passes every cell whose stored count is null, so a missing count would hide an untested cell.
    cells = code_cells(path)
    assert cells
    assert [cell.execution_count for cell in cells] == list(range(1, len(cells) + 1))


@EVERY_CHAPTER
def test_no_error_and_no_warning_is_stored(path: Path) -> None:
    outputs = [output for cell in code_cells(path) for output in cell.outputs]
    assert [output for output in outputs if output.output_type == "error"] == []
    assert [output.text for output in outputs if output.get("name") == "stderr"] == []


@EVERY_CHAPTER
def test_no_picture_and_no_widget_state_is_stored(path: Path) -> None:
    assert "widgets" not in nbformat.read(path, as_version=4).metadata
    forms = {form for cell in code_cells(path) for output in cell.outputs for form in output.get("data", {})}
    assert forms <= {"text/plain", "text/markdown", "text/latex"}
    assert path.stat().st_size < SIZE_LIMIT_BYTES


@EVERY_CHAPTER
def test_no_test_escapes_by_a_tag(path: Path) -> None:
    # nbval does not compare such cells, or lets their errors pass.
    escapes = {"nbval-skip", "nbval-ignore-output", "nbval-raises-exception", "raises-exception"}
    tagged = {tag for cell in code_cells(path) for tag in cell.metadata.get("tags", [])}
    comments = {tag.upper().replace("-", "_") for tag in escapes}
    commented = {comment for cell in code_cells(path) for comment in comments if comment in cell.source}
    assert not (escapes & tagged) | commented
