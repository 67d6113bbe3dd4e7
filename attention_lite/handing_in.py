"""Handing in an answer to a class's question: it becomes plain numbers and text, which another process judges.

    answer = hand_in("weights", weights, cases=[(draw("weights, 1", 3, 8),)], look=look)

What is shown beneath the cell is a first look, for the student. The points come from the grader, which runs the
notebook anew, with other numbers from `draw`, and believes nothing but the plain answers. `write_answers` puts all of
them into one file, for a class that works on Colab or without a network.
"""

import hashlib
import json
import math
import numbers
import os
import sys
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from attention_lite.exercises.answers import NOTHING, ask, described
from attention_lite.exercises.running import Wrong

FORM = "application/vnd.attention-lite.answer+json"     # of the output that holds an answer
LUCK = "ATTENTION_LITE_LUCK"                            # the grader sets it, and `draw` gives other numbers
MOST = 200_000                                          # numbers of one answer
MARK = "# Answer: "                                     # the first line of the cell that answers a question

_began = time.monotonic()
_handed_in: dict[str, dict[str, Any]] = {}


def seed(label: str) -> int:
    """A seed that stays the same for one label, until the grader draws others."""
    text = f"{os.environ.get(LUCK, '')} {label}"
    return int.from_bytes(hashlib.sha256(text.encode()).digest()[:4], "big")


def draw(label: str, *shape: int) -> Tensor:
    """Normal random numbers of a shape, the same for one label until the grader draws others."""
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed(label)))


def hand_in(question: str, answer: Any, cases: Sequence[tuple] | None = None,
            look: Callable[[Any], str | None] | None = None) -> Any:
    """Take an answer, say at once whether anything is wrong with its form, and return it as plain numbers and text.

    Args:
        question: its name.
        answer: a number, a text, a tensor or an array, or lists of these; with `cases`, a function.
        cases: the arguments of each call of the function; the answer is the list of what it returns.
        look: gets the plain answer and returns a sentence on what is wrong with it, or None.

    Returns:
        The answer: numbers, texts, lists, and float64 tensors. None if there is none yet.
    """
    value, sentence = None, ""
    try:
        if any(answer is nothing for nothing in NOTHING):
            raise Wrong("there is no answer here yet.")
        coded = plain(answer if cases is None else [ask(answer, *case) for case in cases])
        value = decoded(coded)
        sentence = (look(value) if look else None) or ""
    except Wrong as wrong:
        sentence = str(wrong)
    except Exception as error:           # of `look`, which meets answers of any form
        sentence = f"your answer has not the form that is asked for ({type(error).__name__}: {error})."
    _handed_in[question] = {"answer": None if value is None else coded, "verdict": sentence,
                            "seconds": round(time.monotonic() - _began)}
    _show({"question": question, "answer": _handed_in[question]["answer"], "sentence": sentence},
          f"Not yet: {sentence}" if sentence else "Handed in. Its form is right; your teacher's tests do the rest.")
    return value


def plain(answer: Any) -> Any:
    """An answer in the words of JSON: text and numbers as they are, a tensor as its shape and values, lists of these.

    Raises:
        Wrong: if it holds anything else, or too much.
    """
    if answer is None or isinstance(answer, (str, bool)):
        return answer if answer is None else bool(answer) if isinstance(answer, bool) else str(answer)
    if hasattr(answer, "detach"):
        answer = answer.detach().cpu().to_dense() if answer.is_sparse else answer.detach().cpu()
    if hasattr(answer, "shape") and hasattr(answer, "tolist"):
        if math.prod(answer.shape) > MOST:
            raise Wrong(f"your answer holds {math.prod(answer.shape):,} numbers; at most {MOST:,} are taken.")
        values = torch.as_tensor(answer.tolist(), dtype=torch.float64)
        return {"shape": list(values.shape), "values": values.flatten().tolist()} if values.dim() else values.item()
    if isinstance(answer, numbers.Integral):
        return int(answer)
    if isinstance(answer, numbers.Real):
        return float(answer)
    if isinstance(answer, (list, tuple, set, range)):
        if len(answer) > MOST:
            raise Wrong(f"your answer holds {len(answer):,} things; at most {MOST:,} are taken.")
        return [plain(part) for part in (sorted(answer) if isinstance(answer, set) else answer)]
    raise Wrong(f"expected numbers, text, tensors or lists of these, got {described(answer)}.")


def decoded(coded: Any) -> Any:
    """What `plain` has coded: its own numbers, texts and lists, and float64 tensors."""
    if isinstance(coded, dict):
        return torch.tensor(coded["values"], dtype=torch.float64).reshape(coded["shape"])
    return [decoded(part) for part in coded] if isinstance(coded, list) else coded


def _show(answer: dict[str, Any], sentence: str) -> None:
    """Print the sentence; in a notebook the output carries the answer, too, for the grader."""
    shell = sys.modules["IPython"].get_ipython() if "IPython" in sys.modules else None
    if shell is None:
        print(sentence)
    else:
        shell.display_pub.publish({"text/plain": sentence, FORM: answer})


def write_answers(assignment: str, student: str, folder: str | Path = ".") -> Path:
    """Write one file with all that is needed to grade the work: each answer's cell, the answers, verdicts and seconds.

    Args:
        assignment: its name, as "gates".
        student: the student's name, which the file's name bears.
        folder: where to write; on Colab the file is downloaded, too.

    Raises:
        ValueError: if the name is empty.
    """
    name = "".join(c if c.isalnum() or c in "-_." else "-" for c in student.strip())
    if not name.strip("-."):
        raise ValueError(f"student must be your name; got {student!r}")
    path = Path(folder) / f"{name}.{assignment}.json"
    path.write_text(json.dumps({"assignment": assignment, "student": student, "cells": _answer_cells(),
                                "questions": _handed_in}, indent=1), encoding="utf-8")
    print(f"Written: {path.name}, with the answers to {len(_handed_in)} questions. Hand this file in.")
    if "google.colab" in sys.modules:
        sys.modules["google.colab"].files.download(str(path))
    return path


def _answer_cells() -> dict[str, str]:
    """The text of each cell that begins with the mark of an answer, as it was run last."""
    shell = sys.modules["IPython"].get_ipython() if "IPython" in sys.modules else None
    ran = shell.user_ns.get("In", []) if shell else []
    return {text.splitlines()[0].removeprefix(MARK).strip(): text for text in ran if text.startswith(MARK)}
