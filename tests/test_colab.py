"""Colab opens one notebook in another folder, without the repository: what a chapter needs is in the package alone."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import nbformat
import pytest
from nbclient import NotebookClient
from nbformat import NotebookNode
from nbformat.v4 import new_code_cell, new_notebook

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
    for name in ("pyproject.toml", "README.md", "LICENSE"):
        shutil.copy(ROOT / name, source)
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


def run(notebook: NotebookNode, folder: Path, variables: dict[str, str]) -> NotebookNode:
    client = NotebookClient(
        notebook, timeout=120, kernel_name="python3", resources={"metadata": {"path": str(folder)}}
    )
    return client.execute(env=variables)


def colab_cell(path: Path) -> NotebookNode:
    return next(cell for cell in nbformat.read(path, as_version=4).cells if cell.cell_type == "code")


def text_of(notebook: NotebookNode) -> str:
    return "".join(output.get("text", "") for output in notebook.cells[-1].outputs)


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


@EVERY_CHAPTER
def test_chapter_runs_in_an_empty_folder(path: Path, installed: Path, tmp_path: Path) -> None:
    folder = empty_folder(tmp_path, "content")
    notebook = nbformat.read(path, as_version=4)
    notebook.cells.append(new_code_cell("import attention_lite; print(attention_lite.__file__)"))
    done = run(notebook, folder, environment(no_repository(tmp_path), installed))
    assert text_of(done).startswith(str(installed))


@EVERY_CHAPTER
def test_first_cell_is_the_same_in_every_chapter(path: Path) -> None:
    cell = colab_cell(path)
    assert "colab" in cell.metadata.get("tags", [])
    assert cell.source == colab_cell(CHAPTERS[0]).source
    assert cell.outputs == []


def test_first_cell_does_nothing_where_the_package_is(installed: Path, tmp_path: Path) -> None:
    asked = run_first_cell(tmp_path, installed)
    assert asked is None


def test_first_cell_asks_pip_where_the_package_is_missing(tmp_path: Path) -> None:
    from attention_lite import __version__
    from test_repository import REPOSITORY

    asked = run_first_cell(tmp_path)
    assert asked is not None
    assert asked[0] == "install"
    assert "--no-deps" in asked
    assert asked[-1].removeprefix("attention-lite @ ") == f"git+{REPOSITORY}@v{__version__}"


def run_first_cell(tmp_path: Path, *found: Path) -> list[str] | None:
    """What the chapters' first cell asks of pip, or None if nothing, with only `found` beside the libraries."""
    pip = empty_folder(tmp_path, "stub") / "pip"
    pip.mkdir()
    (pip / "__init__.py").touch()
    (pip / "__main__.py").write_text(RECORDING_PIP)
    notebook = new_notebook(cells=[new_code_cell(colab_cell(CHAPTERS[0]).source)])
    run(notebook, empty_folder(tmp_path, "content"), environment(no_repository(tmp_path), pip.parent, *found))
    asked = pip / "asked.json"
    return json.loads(asked.read_text()) if asked.exists() else None
