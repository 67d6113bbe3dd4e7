"""Checks for the book's exercises: they accept any correct answer and say in words what is wrong with another.

A check looks at properties and at values on several inputs, within a tolerance; it never looks at the code.
running.py runs the reader's code, answers.py reads what it gives, formulas.py compares numbers with a formula and with
those of usual slips; then there is one file a chapter.
"""

from collections.abc import Callable
from typing import Any

import torch

from attention_lite.exercises.answers import (  # noqa: F401  (for the chapters' files)
    NotFinite,
    ask,
    call,
    choose,
    close,
    described,
    expect_shape,
    indices,
    module,
    number,
    numbers,
    same,
    shown,
    slip,
    tensor,
    word,
)
from attention_lite.exercises.formulas import Formula
from attention_lite.exercises.running import Wrong, run, undisturbed  # noqa: F401  (run: for the chapters' files)

Check = Callable[[Any], None]
_CHECKS: dict[str, Check] = {}
FORMULAS: dict[str, Formula] = {}


def exercise(name: str) -> Callable[[Check], Check]:
    """Register the decorated function as the check of the exercise `name`."""
    def register(check_answer: Check) -> Check:
        _CHECKS[name] = check_answer
        return check_answer

    return register


def formula(name: str, *parts: Any, **named: Any) -> None:
    """Register a `Formula`, of these fields, as the check of the exercise `name`."""
    FORMULAS[name] = Formula(*parts, **named)
    exercise(name)(FORMULAS[name].check)


def verdict(name: str, answer: Any) -> tuple[bool, str]:
    """Judge an answer: whether it is correct, and the sentence to show.

    Random numbers, torch's default dtype and its gradient mode are afterwards as they were before.

    Raises:
        ValueError: if there is no exercise `name`.
    """
    if name not in _CHECKS:
        raise ValueError(f"name must be one of {', '.join(sorted(_CHECKS))}; got {name!r}")
    if answer is None or answer is ...:
        return False, "there is no answer here yet."
    try:
        with undisturbed(), torch.inference_mode(False), torch.enable_grad(), torch.device("cpu"):
            torch.set_default_dtype(torch.float32)
            torch.default_generator.manual_seed(0)       # the same inputs, and so the same sentence, each time
            _CHECKS[name](answer)
    except Wrong as wrong:
        return False, str(wrong)
    except Exception as error:         # the check's own: the reader's are caught where the reader's code is run
        return False, f"this check cannot read your answer, by its own fault ({type(error).__name__}: {error})."
    return True, ""


def check(name: str, answer: Any, solution: bool = False) -> None:
    """Print whether `answer` solves the exercise `name`, and if not, what is wrong with it.

    solution: the answer is the book's own, and what is printed says so: to run a whole notebook answers nothing for
        the reader.
    """
    correct, sentence = verdict(name, answer)
    right = "The book's solution is correct. Yours is judged above." if solution else "Correct."
    print(right if correct else f"Not yet: {sentence}")


from attention_lite.exercises import (  # noqa: E402, F401  (they register their checks)
    bam,
    cbam,
    coordinate,
    danet,
    eca,
    emsa,
    external,
    psa,
    se,
    self_attention,
    sk,
    text_gates,
    transformer,
    weighted_average,
    which_one,
)
