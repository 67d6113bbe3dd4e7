"""What nbgrader's cell format says of a notebook's cells; and a submission, put back into what it was made from.

An answer's cell has the question's name as its id, is editable, and begins with the line `# Answer: name`. The test's
cell has the id `name-test`, is locked and has points; between BEGIN and END HIDDEN TESTS stands what no student sees. A
question marked by hand is one cell of text, editable and with points. Cells tagged "teacher" are for the teacher alone.
"""

from __future__ import annotations

import copy
import json
from pathlib import Path
from typing import NamedTuple

import nbformat
from nbformat import NotebookNode

from attention_lite.handing_in import MARK

SOURCES = Path(__file__).parent / "source"
BEGIN, END = "### BEGIN HIDDEN TESTS", "### END HIDDEN TESTS"
TEST = "-test"
TEACHER = "teacher"


class Refused(Exception):
    """A submission that cannot be graded; its text says why, to the teacher."""


class Question(NamedTuple):
    """A question of an assignment: its points, and whether a person marks it."""

    name: str
    points: float
    by_hand: bool


def assignments() -> list[str]:
    """The names of all assignments."""
    return sorted(path.name for path in SOURCES.iterdir() if (path / f"{path.name}.ipynb").exists())


def source_of(assignment: str) -> NotebookNode:
    """An assignment's one source, with solutions and hidden tests; `assignment` is its name, or the path of your own.

    Raises:
        ValueError: if there is no such assignment.
    """
    own = Path(assignment)
    path = own if own.suffix == ".ipynb" else SOURCES / assignment / f"{assignment}.ipynb"
    if not path.exists():
        raise ValueError(f"assignment must be one of {', '.join(assignments())}, or a source of your own; "
                         f"got {assignment!r}")
    return nbformat.read(path, as_version=4)


def about(cell: NotebookNode) -> dict:
    """What nbgrader knows of a cell: empty where it knows nothing, or nothing that can be read."""
    known = cell.metadata.get("nbgrader")
    return known if isinstance(known, dict) and isinstance(known.get("grade_id"), str) else {}


def is_test(cell: NotebookNode) -> bool:
    """Whether a cell of a source gives points by itself."""
    return bool(about(cell).get("grade")) and not about(cell)["solution"]


def questions(source: NotebookNode) -> list[Question]:
    """The questions of an assignment, in order."""
    return [Question(known["grade_id"].removesuffix(TEST), known["points"], known["solution"])
            for known in map(about, source.cells) if known.get("grade")]


def visible(code: str) -> str:
    """A test's cell as students see it, and as it runs in their process."""
    before, begin, rest = code.partition(BEGIN)
    return before + rest.partition(END)[2].lstrip("\n") if begin else code


def hidden(code: str) -> str:
    """The part of a test's cell that no student's process sees."""
    return code.partition(BEGIN)[2].partition(END)[0]


def read(path: Path, source: NotebookNode, assignment: str) -> NotebookNode:
    """The notebook to run for a submission: a notebook, or the file that `write_answers` has written.

    Raises:
        Refused: if the file is neither, or belongs to another assignment.
    """
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
    except (UnicodeDecodeError, json.JSONDecodeError, RecursionError):
        raise Refused("the file is no notebook: it cannot even be read as text in the form of one.") from None
    if isinstance(content, dict) and isinstance(content.get("cells"), dict):
        if content.get("assignment") != Path(assignment).stem:
            raise Refused(f"the file holds answers to {content.get('assignment')!r}, not to {Path(assignment).stem!r}.")
        submitted = _with_answers(source, content["cells"])
    else:
        try:
            for cell in content["cells"]:
                cell.pop("attachments", None)
                if cell["cell_type"] == "code":
                    cell["outputs"] = []                  # they may be large, and nobody believes them
            submitted = nbformat.reads(json.dumps(content), as_version=4)
            nbformat.validate(submitted)
        except Exception:                  # nbformat and jsonschema raise many kinds
            raise Refused("the file is no notebook: it has not the form of one.") from None
    return _restored(submitted, source)


def _with_answers(source: NotebookNode, answers: dict) -> NotebookNode:
    """The source, with the answers of a hand-in file in their cells."""
    notebook = copy.deepcopy(source)
    for cell in notebook.cells:
        if about(cell).get("solution"):
            text = answers.get(about(cell)["grade_id"])
            cell.source = text if isinstance(text, str) else ""
    return notebook


def _restored(submitted: NotebookNode, source: NotebookNode) -> NotebookNode:
    """The submission's own cells, with every locked cell as it stands in the source; cells that are gone come last."""
    known = {about(cell)["grade_id"]: cell for cell in source.cells if about(cell)}
    cells, seen = [], set()
    for cell in submitted.cells:
        name = about(cell).get("grade_id")
        if name not in known and cell.cell_type == "code" and cell.source.startswith(MARK):
            name = cell.source.splitlines()[0].removeprefix(MARK).strip()   # its metadata is lost, or was renamed
        if name in known and name not in seen:
            seen.add(name)
            own, cell = cell, copy.deepcopy(known[name])
            if about(cell)["solution"]:
                cell.source = own.source
        elif name in seen and not about(known[name])["solution"]:
            continue                                                      # a second copy of a test
        else:
            cell.metadata.pop("nbgrader", None)
        cells.append(cell)
    answered = {name for name in seen if about(known[name])["solution"]}
    if not answered:
        raise Refused("the notebook has no cell of this assignment: it is another one, or all cells were renamed.")
    cells += [copy.deepcopy(cell) for name, cell in known.items()
              if name not in seen and not about(cell)["solution"]]
    for i, cell in enumerate(cells):
        cell["id"] = f"cell-{i}"                            # a student's copy of a cell has the id of the first
    notebook = nbformat.v4.new_notebook(cells=cells)
    notebook.metadata["missing"] = [name for name, cell in known.items()
                                    if about(cell)["solution"] and name not in answered]
    return notebook
