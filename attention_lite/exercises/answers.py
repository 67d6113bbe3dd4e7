"""How every check reads an answer: a letter, a word, a number, several numbers, a tensor, a module.

A reader takes whatever means the same thing: "(b)" for "b", NumPy's integers and Fractions for numbers, arrays and
lists for tensors. What cannot be read is refused with a sentence that says what was expected.
"""

import math
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

import torch
from torch import Tensor, nn

from attention_lite.exercises.running import Wrong, run

NOTHING = (None, ...)


class NotFinite(Wrong):
    """A result with NaN or infinity in it."""


def ask(function: Callable, *arguments: Any) -> Any:
    """What the reader's function returns; refused if it is nothing yet, or if a tensor that it was given changed."""
    given = [_copied(a) for a in arguments]
    result = run(function, *given)
    if any(isinstance(a, Tensor) and not torch.equal(a, b) for a, b in zip(arguments, given, strict=True)):
        raise Wrong("your function changes its input. Write the result to a new tensor.")
    if any(result is nothing for nothing in NOTHING) or _holds_nothing(result):
        raise Wrong("your function returns nothing yet.")
    return result


def _copied(value: Any) -> Any:
    """A tensor or list of the same numbers, which the reader's code may change; anything else as it is."""
    return value.clone() if isinstance(value, Tensor) else list(value) if isinstance(value, list) else value


def _holds_nothing(result: Any) -> bool:
    return isinstance(result, (tuple, list)) and any(v is nothing for v in result for nothing in NOTHING)


# Letters and words

def choose(answer: Any, right: str, sentences: dict[str, str]) -> None:
    """Refuse any letter but `right`; `sentences` says for each wrong letter what is wrong with it."""
    chosen = letter(answer, sorted([right, *sentences]))
    if chosen != right:
        raise Wrong(sentences[chosen])


def letter(answer: Any, choices: Sequence[str]) -> str:
    """The letter of an answer such as "b", "B", "(b)", "b." or "(b) Nothing."."""
    said = _alone(answer)
    pattern = r"\W*([a-z])\W*|\W*([a-z])\s*[).:].*"            # the letter alone, or before the words of its choice
    found = re.fullmatch(pattern, said.lower(), re.DOTALL) if isinstance(said, str) else None
    chosen = (found[1] or found[2]) if found else None
    if chosen is None or chosen not in choices:
        raise Wrong(f"choose one of the letters {', '.join(choices)}; got {answer!r}.")
    return chosen


def word(answer: Any, choices: Sequence[str], place: str) -> str:
    """One of the words `choices`, in small letters or large; `place` says what it answers."""
    said = answer.strip(" \t\n'\"().").lower() if isinstance(answer, str) else answer
    if said not in choices:
        raise Wrong(f"for {place} you answer {answer!r}; choose one of {', '.join(map(repr, choices))}.")
    return said


def _alone(answer: Any) -> Any:
    """What a collection of one thing holds; anything else as it is."""
    return next(iter(answer)) if isinstance(answer, (list, tuple, set)) and len(answer) == 1 else answer


# Numbers

def number(answer: Any) -> int | float:
    """A number as Python's own int where it is whole, else float: of NumPy, torch, a Fraction, an array of one."""
    if isinstance(answer, str):
        raise Wrong(f"expected a number, got the text {answer!r}. Leave the quotes out.")
    value = _alone(answer)
    if hasattr(value, "detach"):
        value = value.detach()
    if hasattr(value, "item") and math.prod(getattr(value, "shape", ())) == 1:
        value = value.item()
    if isinstance(value, (bool, str, complex)) or not hasattr(value, "__float__") or hasattr(value, "shape"):
        raise Wrong(f"expected a number, got {described(answer)}.")
    try:
        if not math.isfinite(value):
            raise Wrong(f"expected a number, got {float(value)}.")
    except OverflowError:
        raise Wrong("your number is too large to be the answer.") from None
    return int(value) if value == int(value) else float(value)


def numbers(answer: Any, meaning: str) -> tuple[int | float, ...]:
    """Several numbers in their order: of a tuple, a list, an array. `meaning` names each, as "rows, columns"."""
    count = meaning.count(",") + 1
    if isinstance(answer, (str, bytes, set, Mapping)) or not hasattr(answer, "__iter__") \
            or getattr(answer, "shape", None) == ():
        raise Wrong(f"expected {count} numbers ({meaning}), got {described(answer)}.")
    values = list(answer.tolist() if hasattr(answer, "tolist") else answer)
    if len(values) != count:
        raise Wrong(f"expected {count} numbers ({meaning}), got {len(values)}.")
    return tuple(number(v) for v in values)


def indices(answer: Any, count: int, what: str, rule: str = "") -> list[int]:
    """Numbers of some of `count` things, called `what`, each once and in order: of a list, a set, a range, an array.

    `rule` says how rows and columns, or other pairs, become numbers, as "place (i, j) has the number 12 i + j".
    """
    if isinstance(answer, (str, bytes, Mapping)) or not hasattr(answer, "__iter__") \
            or getattr(answer, "shape", None) == ():
        raise Wrong(f"expected a list of numbers of {what}, got {described(answer)}.")
    rule, given = f": {rule}." if rule else ".", answer.tolist() if hasattr(answer, "tolist") else list(answer)
    pairs = [v for v in given if isinstance(v, (tuple, list)) and len(v) > 1]
    if pairs:
        raise Wrong(f"expected a number for each of the {what}, got {pairs[0]!r}{rule}")
    values = {number(v) for v in given}
    strange = [v for v in values if not isinstance(v, int) or not 0 <= v < count]
    if strange:
        raise Wrong(f"the {what} have the numbers 0 to {count - 1}, got {shown(strange[0])}{rule}")
    return sorted(values)


def close(one: float, other: float, tolerance: float = 1e-6) -> bool:
    """Whether two numbers are one but for rounding."""
    return math.isclose(one, other, rel_tol=tolerance, abs_tol=1e-9)


def shown(value: float) -> str:
    """A number for a sentence: whole ones with all their digits, others with six."""
    return f"{value:,}" if isinstance(value, int) else f"{value:.6g}"


# Tensors and modules

def call(function: Callable, *arguments: Any) -> Tensor:
    """The result of the reader's function, as a tensor of finite numbers."""
    result = tensor(ask(function, *arguments))
    if not torch.isfinite(result).all():
        raise NotFinite("your result contains numbers that are not finite (NaN or infinity).")
    return result


def tensor(answer: Any) -> Tensor:
    """A tensor of numbers, cut off from any gradient: of a tensor, an array, or nested lists of either."""
    if isinstance(answer, Tensor):
        result = answer.detach().to_dense() if answer.is_sparse else answer.detach()
        if result.is_complex():
            raise Wrong("your result holds complex numbers.")
        return result
    if isinstance(answer, (list, tuple)) and answer:
        parts = [tensor(v) for v in answer]
        if len({p.shape for p in parts}) > 1:
            shapes = ", ".join(str(tuple(p.shape)) for p in parts)
            raise Wrong(f"expected one tensor, got a {type(answer).__name__} of {len(parts)}, of shapes {shapes}.")
        return torch.stack(parts)
    try:                                    # an array is copied, for torch takes no negative strides
        if isinstance(answer, (str, bytes, Mapping, set, complex)):
            raise TypeError
        return torch.as_tensor(answer.copy() if hasattr(answer, "shape") else float(answer))
    except (TypeError, ValueError, RuntimeError):
        raise Wrong(f"expected a tensor, got {described(answer)}.") from None


def module(answer: Any, what: str) -> nn.Module:
    """A network or block; `what` says which is expected."""
    if not isinstance(answer, nn.Module):
        raise Wrong(f"expected {what}, got {described(answer)}.")
    return answer


def described(answer: Any) -> str:
    """An answer of the wrong kind, for a sentence."""
    if hasattr(answer, "shape") and not isinstance(answer, type):
        return f"{type(answer).__name__} of shape {tuple(answer.shape)}"
    return f"{type(answer).__name__}" + (f" {answer!r}" if isinstance(answer, (str, bool, complex, float, int)) else "")


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


def slip(result: Tensor, slips: Mapping[str, Tensor] | Iterator[tuple[str, Tensor]],
         tolerance: float = 1e-4) -> str | None:
    """The sentence of the first slip that gives this very result."""
    pairs = slips.items() if isinstance(slips, Mapping) else slips
    return next((sentence for sentence, wrong in pairs if same(result, wrong, tolerance)), None)
