"""Every exercise: its solution passes, its blank fails, and each mistake that people make gets its own sentence."""

import contextlib
import importlib
import io
from pathlib import Path

import matplotlib.pyplot as plt
import nbformat
import pytest

from attention_lite.exercises import _CHECKS, verdict

CHAPTERS = sorted((Path(__file__).parents[1] / "book" / "chapters").glob("[0-9][0-9]-*.ipynb"))
MISTAKES = {name: mistakes for chapter in CHAPTERS
            for name, mistakes in importlib.import_module(f"mistakes_{chapter.name[:2]}").MISTAKES.items()}


def tagged(chapter: Path, kind: str) -> dict[str, list[str]]:
    """The sources of the cells tagged `kind:<exercise>`, by exercise."""
    found: dict[str, list[str]] = {}
    for cell in nbformat.read(chapter, as_version=4).cells:
        for tag in cell.metadata.get("tags", []):
            if tag.startswith(f"{kind}:"):
                found.setdefault(tag.removeprefix(f"{kind}:"), []).append(cell.source)
    return found


def lesson(chapter: Path) -> str:
    """The chapter's other code: what a reader has run before the exercises."""
    cells = nbformat.read(chapter, as_version=4).cells
    tags = [" ".join(c.metadata.get("tags", [])) for c in cells]
    return "\n".join(c.source for c, t in zip(cells, tags, strict=True)
                     if c.cell_type == "code" and "exercise:" not in t and "solution:" not in t)


def run(source: str, namespace: dict) -> list[str]:
    """Execute a cell; the lines it prints."""
    printed = io.StringIO()
    with contextlib.redirect_stdout(printed):
        exec(compile(source, "<cell>", "exec"), namespace)
    plt.close("all")
    return printed.getvalue().splitlines()


@pytest.mark.parametrize("chapter", CHAPTERS, ids=lambda p: p.stem)
def test_solutions_pass_and_blanks_fail(chapter):
    blanks, solutions = tagged(chapter, "exercise"), tagged(chapter, "solution")
    assert 3 <= len(blanks) <= 5
    assert blanks.keys() == solutions.keys()
    namespace = {"display": lambda *_: None}
    run(lesson(chapter), namespace)
    for name, cells in blanks.items():
        assert f'check("{name}"' in "".join(cells)
        assert any(line.startswith("Not yet: ") for c in cells for line in run(c, namespace)), f"blank of {name} passes"
        assert "Correct." in [line for c in solutions[name] for line in run(c, namespace)], f"solution of {name} fails"


def test_every_check_belongs_to_an_exercise_and_has_mistakes():
    exercises = {name for chapter in CHAPTERS for name in tagged(chapter, "exercise")}
    assert exercises == set(_CHECKS)
    assert exercises == MISTAKES.keys()
    for name, mistakes in MISTAKES.items():
        assert len({sentence for _, sentence in mistakes}) >= 3, f"{name}: too few mistakes told apart"


@pytest.mark.parametrize(("name", "answer", "sentence"),
                         [(n, a, s) for n, mistakes in MISTAKES.items() for a, s in mistakes])
def test_mistake_is_named(name, answer, sentence):
    correct, said = verdict(name, answer)
    assert not correct
    assert sentence in said
    others = [s for _, s in MISTAKES[name] if s != sentence]
    assert not any(other in said for other in others), f"the sentence fits another mistake too: {said}"


@pytest.mark.parametrize("nothing", [None, ...])
def test_no_answer_yet(nothing):
    assert verdict("se-gates", nothing) == (False, "there is no answer here yet.")


def test_unknown_exercise():
    with pytest.raises(ValueError, match=r"name must be one of .*se-gates.*got 'se-gate'"):
        verdict("se-gate", 1)
