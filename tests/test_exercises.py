"""Every exercise: its solution passes, its blank fails, and each mistake that people make gets its own sentence."""

import importlib
from pathlib import Path

import nbformat
import pytest
from nbformat import NotebookNode

from attention_lite.exercises import _CHECKS, verdict

CHAPTERS = sorted((Path(__file__).parents[1] / "book" / "chapters").glob("[0-9][0-9]-*.ipynb"))
MISTAKES = {name: mistakes for chapter in CHAPTERS
            for name, mistakes in importlib.import_module(f"mistakes_{chapter.name[:2]}").MISTAKES.items()}


def tagged(chapter: Path, kind: str) -> dict[str, list[NotebookNode]]:
    """The cells tagged `kind:<exercise>`, by exercise."""
    found: dict[str, list[NotebookNode]] = {}
    for cell in nbformat.read(chapter, as_version=4).cells:
        for tag in cell.metadata.get("tags", []):
            if tag.startswith(f"{kind}:"):
                found.setdefault(tag.removeprefix(f"{kind}:"), []).append(cell)
    return found


def printed(cells: list[NotebookNode]) -> list[str]:
    """The lines that cells have printed."""
    return "".join(o.text for c in cells for o in c.outputs if o.output_type == "stream").splitlines()


@pytest.mark.parametrize("chapter", CHAPTERS, ids=lambda p: p.stem)
def test_solutions_pass_and_blanks_fail(chapter):
    # The chapter's stored outputs, which nbval compares with those of a fresh run.
    blanks, solutions = tagged(chapter, "exercise"), tagged(chapter, "solution")
    assert 3 <= len(blanks) <= 5
    assert blanks.keys() == solutions.keys()
    for name, cells in blanks.items():
        assert f'check("{name}"' in "".join(cell.source for cell in cells)
        assert any(line.startswith("Not yet: ") for line in printed(cells)), f"blank of {name} passes"
        assert "Correct." in printed(solutions[name]), f"solution of {name} fails"


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
