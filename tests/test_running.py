"""What runs the rest: the build's executions and nbval's use of them, the browser, the budget."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import nbformat
import pytest
from nbformat.v4 import new_code_cell, new_notebook, output_from_msg

import browser
import budget
import execution
import kept
from conftest import ROOT

CHAPTERS = sorted((ROOT / "book" / "chapters").glob("*.ipynb"))


@pytest.fixture
def chapter(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A notebook of three cells, and an empty folder for what is kept of it."""
    monkeypatch.setattr(execution, "CACHE", tmp_path / "executed")
    path = tmp_path / "chapter.ipynb"
    cells = ["import os; print(len(os.listdir()))", "", "2 + 3"]
    nbformat.write(new_notebook(cells=[new_code_cell(source) for source in cells]), path)
    return path


def test_outputs_are_kept_until_something_changes(chapter: Path) -> None:
    assert execution.kept_execution(chapter, "digest") is None
    made = execution.execute_and_keep(chapter, "digest", "1/1")
    # An empty folder: no file of the repository is within a chapter's reach.
    assert made.outputs[0][0]["text"] == "0\n"
    assert made.outputs[1][0]["data"] == {"text/plain": "5"}
    assert execution.kept_execution(chapter, "digest") == made
    assert execution.kept_execution(chapter, "digest of a changed package") is None
    notebook = nbformat.read(chapter, as_version=4)
    notebook.cells[0].source += "\nprint('more')"
    nbformat.write(notebook, chapter)
    assert execution.kept_execution(chapter, "digest") is None


def test_chapters_run_side_by_side_and_a_failure_names_the_chapter(chapter: Path) -> None:
    failing = chapter.with_name("failing.ipynb")
    nbformat.write(new_notebook(cells=[new_code_cell("1 / 0")]), failing)
    executions = execution.Executions([chapter, failing], "digest")
    assert executions.result(chapter).outputs[1][0]["data"] == {"text/plain": "5"}
    with pytest.raises(RuntimeError, match=r"failing could not be executed\n(.|\n)*ZeroDivisionError"):
        executions.result(failing)


def test_a_chapter_whose_cell_writes_to_stderr_fails(chapter: Path) -> None:
    # A warning would stand in the page; and IPython survives an error in what draws a figure, and prints it there.
    notebook = nbformat.read(chapter, as_version=4)
    notebook.cells[2].source = "import warnings; warnings.warn('a panel collapsed')"
    with pytest.raises(RuntimeError, match=r"warnings.warn(.|\n)*a panel collapsed"):
        execution.execute(notebook)


def test_workers_stay_within_cores_and_memory(monkeypatch: pytest.MonkeyPatch) -> None:
    assert execution.WORKERS >= 1
    assert execution.WORKERS * execution.BUDGET_GIGABYTES <= 4


def test_nbval_gets_the_kept_outputs_cell_by_cell(chapter: Path) -> None:
    kernel = kept.KeptKernel(execution.execute_and_keep(chapter, "digest", "1/1"))
    texts = []
    for cell in nbformat.read(chapter, as_version=4).cells:
        message = kernel.execute_cell_input(cell.source, allow_stdin=False)
        kernel.await_reply(message)
        outputs = []
        while (answer := kernel.get_message("iopub"))["msg_type"] != "status":
            assert answer["parent_header"]["msg_id"] == message
            outputs.append(output_from_msg({"header": {"msg_type": answer["msg_type"]}, "content": answer["content"]}))
        texts.append([output.get("text") or output["data"]["text/plain"] for output in outputs])
    assert texts == [["0\n"], [], ["5"]]
    assert kernel.is_alive()
    kernel.stop()
    assert not kernel.is_alive()


def test_nbval_sees_a_wrong_stored_output_in_a_kept_execution(tmp_path: Path) -> None:
    # The whole way: a digit of a stored output is changed, the build's execution is not.
    source = CHAPTERS[-1]
    digest = execution.package_digest()
    assert execution.kept_execution(source, digest) is not None, "make test builds the book first"
    folder = tmp_path / "chapters"
    folder.mkdir()
    notebook = nbformat.read(source, as_version=4)
    cell, output = next((c, o) for c in notebook.cells if c.cell_type == "code" for o in c.outputs if "text" in o)
    output.text = "wrong " + output.text
    nbformat.write(notebook, folder / source.name)
    command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "--nbval", "--nbval-current-env"]
    found = os.pathsep.join(str(ROOT / name) for name in ("tests", "book/_ext", "scripts"))
    done = subprocess.run([*command, "-p", "conftest", str(folder)], cwd=tmp_path, capture_output=True, text=True,
                          env={**os.environ, "PYTHONPATH": found}, check=False)
    assert "1 failed" in done.stdout, done.stdout + done.stderr
    assert cell.source.splitlines()[0] in done.stdout


@pytest.mark.parametrize(("starting", "expected", "code"), [
    ([True], [], 0),
    ([False, True], ["playwright"], 0),
    ([False, False, True], ["playwright", "package"], 0),
    ([False, False, False], ["playwright", "package"], 1),
])
def test_a_browser_is_looked_for_in_this_order(
    starting: list[bool], expected: list[str], code: int, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture
) -> None:
    tried = []
    answers = iter(starting)
    monkeypatch.setattr(browser, "starts", lambda: next(answers))
    ways = [(name, lambda name=name: tried.append(name) or True) for name in ("playwright", "package")]
    monkeypatch.setattr(browser, "WAYS", ways)
    assert browser.bring() == code
    assert tried == expected
    said = capsys.readouterr()
    assert [line for line in said.out.splitlines() if "installing" in line] == [
        f"==> The browser tests need Chromium: installing {name}" for name in expected
    ]
    assert bool(code) == ("none could be brought" in said.err)


def test_every_test_file_belongs_to_a_part() -> None:
    named = {name for files in budget.FILES.values() for name in files}
    assert named <= {path.stem for path in (ROOT / "tests").glob("test_*.py")}
    assert budget.part_of("tests/test_se.py::test_gate") == "package"
    assert budget.part_of("book/chapters/01-se.ipynb::Cell 3") == "chapters"
    assert budget.part_of("tests/test_book.py::test_links[a]") == "pages and explorers"


def test_a_part_may_take_twice_its_budget_and_no_more() -> None:
    spent = budget.Budget(workers=2, building=lambda: 0.0)
    spent.seconds["package"] = 2 * 60 * budget.MINUTES["package"]
    assert spent.over() == []
    spent.seconds["package"] += 1
    assert spent.over() == ["package"]
