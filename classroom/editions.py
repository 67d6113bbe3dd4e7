"""The editions of every assignment and of the chapters, from their one source: `make classroom`.

Students' have neither solutions nor hidden tests, teachers' have both, with the notes for teachers. Beside them stand
a folder that nbgrader takes as a course, and the settings that its students need on a server.
"""

from __future__ import annotations

import copy
import re
import shutil
import sys
from pathlib import Path

import nbformat
from nbformat import NotebookNode
from nbgrader.preprocessors import ClearHiddenTests, ClearOutput, ClearSolutions, LockCells

from attention_lite.exercises import FORMULAS, verdict
from classroom.cells import SOURCES, TEACHER, assignments, questions, source_of

ROOT = SOURCES.parents[1]
CHAPTERS = sorted((ROOT / "book" / "chapters").glob("[0-9][0-9]-*.ipynb"))
COURSE = "attention"
# For the accounts of students on a server: a notebook that is missing, or has another name, is not taken in silence.
STUDENTS_SETTINGS = f"""c = get_config()
c.CourseDirectory.course_id = "{COURSE}"
c.ExchangeSubmit.strict = True
"""
CODE_STUB, TEXT_STUB = "# Your answer stands here.", "*Write here.*"
TITLE = re.compile(r"^```\{exercise-start\} (.*)\n:label: .*\n```$", re.MULTILINE)
MARKER = re.compile(r"^```\{(?:exercise-end|solution-end)\}\n```\n?", re.MULTILINE)
OPENING = re.compile(r"^```\{solution-start\}.*\n:class: dropdown\n```$", re.MULTILINE)
FOLD = re.compile(r"^<details><summary>Solution</summary>\n\n(.*?)\n\n</details>$", re.MULTILINE | re.DOTALL)


# Assignments


def student(source: NotebookNode) -> NotebookNode:
    """An assignment without solutions, hidden tests and notes for teachers, as nbgrader would release it."""
    notebook = copy.deepcopy(source)
    notebook.cells = [cell for cell in notebook.cells if TEACHER not in cell.metadata.get("tags", [])]
    for step in (LockCells(), ClearSolutions(code_stub={"python": CODE_STUB}, text_stub=TEXT_STUB), ClearHiddenTests(),
                 ClearOutput()):
        notebook, _ = step.preprocess(notebook, {})
    return notebook


def teacher(source: NotebookNode) -> NotebookNode:
    """An assignment with everything, and a first cell that says what each question is worth."""
    notebook = copy.deepcopy(source)
    rows = "".join(f"| {q.name} | {q.points:g} | {'by hand' if q.by_hand else 'tested'} |\n" for q in questions(source))
    points = sum(q.points for q in questions(source))
    notebook.cells.insert(0, nbformat.v4.new_markdown_cell(
        f"**Teacher's edition.** {points:g} points.\n\n| question | points | |\n|---|---|---|\n{rows}", id="points"))
    return notebook


# Chapters


def chapter_for_students(chapter: NotebookNode) -> NotebookNode:
    """A chapter whose exercises have no solutions."""
    notebook = copy.deepcopy(chapter)
    cells, inside = [], False
    for cell in notebook.cells:
        if cell.cell_type == "markdown":
            text = cell.source
            if inside:
                before, end, after = text.partition("```{solution-end}\n```")
                text, inside = (after, False) if end else ("", True)
            while "```{solution-start}" in text:
                before, _, rest = text.partition("```{solution-start}")
                _, end, after = rest.partition("```{solution-end}\n```")
                text, inside = before + after, not end
            cell.source = _plain_exercises(text)
            if cell.source.strip():
                cells.append(cell)
        elif not inside:
            cells.append(cell)
    notebook.cells = cells
    return _without_outputs(notebook)


def chapter_for_teachers(chapter: NotebookNode) -> NotebookNode:
    """A chapter whose solutions stand open, each followed by the mistakes that its check names."""
    notebook = copy.deepcopy(chapter)
    cells = []
    for cell in notebook.cells:
        if cell.cell_type == "markdown":
            cell.source = _plain_exercises(FOLD.sub(r"\1", OPENING.sub("**Solution.**\n", cell.source)))
        cells.append(cell)
        for tag in cell.metadata.get("tags", []):
            if tag.startswith("solution:"):
                cell.metadata.pop("jupyter", None)
                cell.metadata.pop("cellView", None)
                if listen_for := mistakes(tag.removeprefix("solution:")):
                    cells.append(nbformat.v4.new_markdown_cell(
                        "**Listen for** these; the check answers:\n\n" + listen_for, id=f"{cell.id}-mistakes"))
    notebook.cells = cells
    return _without_outputs(notebook)


def mistakes(name: str) -> str:
    """The wrong letters of an exercise, or the slips of its formula, with what the check says of each, as a list."""
    if name in FORMULAS:
        return "\n".join(f"- {sentence}" for sentence in FORMULAS[name].slips)
    said = {letter: verdict(name, letter)[1] for letter in "abcde"}
    return "\n".join(f"- ({letter}): {sentence}" for letter, sentence in said.items()
                     if sentence and not sentence.startswith(("choose one", "expected")))


def _plain_exercises(text: str) -> str:
    """Sphinx's directives for exercises as plain headings, which Jupyter can show."""
    return MARKER.sub("", TITLE.sub(r"### Exercise: \1", text)).strip()


def _without_outputs(notebook: NotebookNode) -> NotebookNode:
    return ClearOutput().preprocess(notebook, {})[0]


# The command


def write(folder: Path) -> None:
    """Write all editions and the course for nbgrader, in place of what was there."""
    shutil.rmtree(folder, ignore_errors=True)
    for name in assignments():
        source = source_of(name)
        _save(student(source), folder / "student" / f"{name}.ipynb")
        _save(teacher(source), folder / "teacher" / f"{name}.ipynb")
    for path in CHAPTERS:
        chapter = nbformat.read(path, as_version=4)
        _save(chapter_for_students(chapter), folder / "student" / "chapters" / path.name)
        _save(chapter_for_teachers(chapter), folder / "teacher" / "chapters" / path.name)
    shutil.copytree(SOURCES, folder / "course" / "source")
    (folder / "course" / "nbgrader_config.py").write_text(config(), encoding="utf-8")
    (folder / "server").mkdir()
    (folder / "server" / "nbgrader_config.py").write_text(STUDENTS_SETTINGS, encoding="utf-8")


def config() -> str:
    """The settings of an nbgrader course anywhere on this machine: those of this folder."""
    settings = SOURCES.parent / "nbgrader_config.py"
    return (f"import sys\n\nsys.path.insert(0, {str(ROOT)!r})\n"
            f"load_subconfig({settings.name!r}, path={str(settings.parent)!r})\n")


def _save(notebook: NotebookNode, path: Path) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    nbformat.validate(notebook)
    nbformat.write(notebook, path)


if __name__ == "__main__":
    write(Path(sys.argv[1]))
    print(f"==> Students' and teachers' editions, and a course for nbgrader: {sys.argv[1]}")
