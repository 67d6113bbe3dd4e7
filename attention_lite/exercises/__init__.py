"""Checks for the book's exercises: they accept any correct answer and say in words what is wrong with another.

A check looks at properties and at values on several inputs, within a tolerance; it never looks at the code.
"""

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor

Check = Callable[[Any], None]
_CHECKS: dict[str, Check] = {}


class Wrong(Exception):
    """Raised inside a check, with the sentence that the reader is to see."""


def exercise(name: str) -> Callable[[Check], Check]:
    """Register the decorated function as the check of the exercise `name`."""
    def register(check_answer: Check) -> Check:
        _CHECKS[name] = check_answer
        return check_answer

    return register


def verdict(name: str, answer: Any) -> tuple[bool, str]:
    """Judge an answer: whether it is correct, and the sentence to show.

    Raises:
        ValueError: if there is no exercise `name`.
    """
    if name not in _CHECKS:
        raise ValueError(f"name must be one of {', '.join(sorted(_CHECKS))}; got {name!r}")
    if answer is None or answer is ...:
        return False, "there is no answer here yet."
    try:
        with torch.random.fork_rng():
            torch.manual_seed(0)             # the same inputs each time: a wrong answer gets the same sentence again
            _CHECKS[name](answer)
    except Wrong as wrong:
        return False, str(wrong)
    except Exception as error:               # the reader's own code may raise anything; the traceback is not the lesson
        return False, f"your code stopped with {type(error).__name__}: {error}"
    return True, ""


def check(name: str, answer: Any) -> None:
    """Print whether `answer` solves the exercise `name`, and if not, what is wrong with it."""
    correct, sentence = verdict(name, answer)
    print("Correct." if correct else f"Not yet: {sentence}")


def call(function: Callable, *arguments: Tensor) -> Tensor:
    """The result of the reader's function, as a tensor. Refuses None, NaN and infinity, and changed inputs."""
    if not callable(function):
        raise Wrong(f"expected a function, got {type(function).__name__}.")
    before = [a.clone() if isinstance(a, Tensor) else a for a in arguments]
    result = function(*arguments)
    if any(isinstance(a, Tensor) and not torch.equal(a, b) for a, b in zip(arguments, before, strict=True)):
        raise Wrong("your function changes its input. Write the result to a new tensor.")
    if result is None or result is ...:
        raise Wrong("your function returns nothing yet.")
    result = torch.as_tensor(result).detach()
    if not torch.isfinite(result).all():
        raise Wrong("your result contains numbers that are not finite (NaN or infinity).")
    return result


def expect_shape(result: Tensor, shape: tuple[int, ...], meaning: str) -> None:
    """Refuse a result of another shape; `meaning` names the axes, as "(B, C)"."""
    if tuple(result.shape) != tuple(shape):
        raise Wrong(f"your result has shape {tuple(result.shape)}; expected {meaning} = {tuple(shape)}.")


def same(result: Tensor, expected: Tensor, tolerance: float = 1e-4) -> bool:
    """Whether two tensors of one shape agree within a tolerance, relative to the larger values."""
    scale = expected.double().abs().max().clamp(min=1)
    if result.shape != expected.shape:
        return False
    return bool((result.double() - expected.double()).abs().max() <= tolerance * scale)


def choose(answer: Any, right: str, sentences: dict[str, str]) -> None:
    """Refuse any letter but `right`; `sentences` says for each wrong letter what is wrong with it."""
    choices = sorted([right, *sentences])
    if not isinstance(answer, str) or answer.strip().lower() not in choices:
        raise Wrong(f"choose one of the letters {', '.join(choices)}; got {answer!r}.")
    if answer.strip().lower() != right:
        raise Wrong(sentences[answer.strip().lower()])


from attention_lite.exercises import (  # noqa: E402, F401  (they register their checks)
    bam,
    cbam,
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
