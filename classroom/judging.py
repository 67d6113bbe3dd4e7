"""Judging: a student's answers leave the kernel as plain numbers and text; the hidden tests run here, without it.

So nothing that a student's notebook patches, redefines or edits reaches a test: it sees what was read from JSON.
"""

from __future__ import annotations

import os
import secrets
from typing import Any, NamedTuple

import torch
from nbformat import NotebookNode

from attention_lite.exercises.running import Wrong, undisturbed
from attention_lite.handing_in import FORM, LUCK, decoded
from classroom.cells import TEST, about, hidden, is_test, visible
from classroom.running import Limits, run

NO_ANSWER = "there is no answer here yet."


class Verdict(NamedTuple):
    """What a question earned, and a sentence for the student where that is less than all."""

    points: float
    sentence: str


def grade(notebook: NotebookNode, limits: Limits) -> dict[str, Verdict]:
    """Run a submission, whose locked cells are the source's, in fresh kernels, and judge its answers here.

    The notebook keeps its own outputs. Its tests' cells have their code from the source.

    Returns:
        A verdict for each question that has a test.
    """
    luck = secrets.token_hex(8)
    code = {i: cell.source for i, cell in enumerate(notebook.cells) if is_test(cell)}
    for i in code:
        notebook.cells[i].source = visible(code[i])
    try:
        wrong = run(notebook, limits, {LUCK: luck, "MPLBACKEND": "agg", "OMP_NUM_THREADS": "1"})
    finally:
        for i, source in code.items():
            notebook.cells[i].source = source
    return {about(notebook.cells[i])["grade_id"].removesuffix(TEST): _verdict(notebook, i, wrong, luck) for i in code}


def _verdict(notebook: NotebookNode, i: int, wrong: dict[int, str], luck: str) -> Verdict:
    cell = notebook.cells[i]
    name = about(cell)["grade_id"].removesuffix(TEST)
    handed_in = _handed_in(cell, name)
    own = [j for j, other in enumerate(notebook.cells) if about(other).get("grade_id") == name]
    if handed_in is None:
        stopped = [wrong[j] for j in (*own, i) if j in wrong]
        raised = [f"it stopped with {o.ename}: {o.evalue[:300]}" for j in (*own, i) if j not in wrong
                  for o in notebook.cells[j].outputs if o.output_type == "error"]
        return Verdict(0, (stopped + raised or [NO_ANSWER])[0])
    correct, sentence = judge(cell.source, handed_in.get("answer"), luck)
    if not correct and sentence == NO_ANSWER and isinstance(handed_in.get("sentence"), str):
        sentence = handed_in["sentence"][:500] or NO_ANSWER
    sentence = " ".join([sentence, *(wrong[j] for j in own if j in wrong)]).strip()
    return Verdict(about(cell)["points"] if correct else 0, sentence)


def _handed_in(cell: NotebookNode, name: str) -> dict | None:
    """What the test's cell has handed in under its name, if anything."""
    found = [output["data"][FORM] for output in cell.outputs if FORM in output.get("data", {})]
    found = [given for given in found if isinstance(given, dict) and given.get("question") == name]
    return found[-1] if found else None


def judge(test: str, coded: Any, luck: str) -> tuple[bool, str]:
    """Whether the hidden part of a test accepts an answer, and if not, the sentence for the student.

    Raises:
        ValueError: if the test has no hidden part.
    """
    if not hidden(test).strip():
        raise ValueError("a test's cell has no hidden tests")
    if coded is None:
        return False, NO_ANSWER
    before = os.environ.get(LUCK)
    os.environ[LUCK] = luck
    try:
        with undisturbed(), torch.no_grad():
            exec(compile(hidden(test), "<hidden tests>", "exec"), {"answer": decoded(coded)})
    except Wrong as found:
        return False, str(found)
    except Exception:                # an answer of another form than the test reads: its message would tell of the test
        return False, "your answer is not the one asked for, or has not the form asked for."
    finally:
        os.environ.pop(LUCK)
        if before is not None:
            os.environ[LUCK] = before
    return True, ""
