"""Checks of chapter 00, *A weighted average you can see*."""

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor

from attention_lite.exercises import NotFinite, Wrong, call, choose, exercise, expect_shape, same, word


@exercise("average-softmax")
def check_softmax(my_softmax: Callable) -> None:
    """A softmax over the last axis, for scores of any size."""
    scores = torch.tensor([[0.0, -1.0, -8.0], [2.0, 2.0, 2.0]])
    A = call(my_softmax, scores)
    expect_shape(A, (2, 3), "(N_q, N_k)")
    _expect_rows_sum_to_one(A)
    if not same(A, scores.softmax(-1)):
        raise Wrong(f"for the scores 0, −1, −8 your weights are {_listed(A[0])}; they should be "
                    f"{_listed(scores[0].softmax(0))}. Is it exp(score), divided by the sum of all the exp(score)?")
    three_axes = torch.randn(2, 4, 5)
    A = call(my_softmax, three_axes)
    expect_shape(A, (2, 4, 5), "(…, N)")
    if not same(A, three_axes.softmax(-1)):
        raise Wrong("on scores with three axes your weights differ. Do the maximum and the sum go over the last axis, "
                    "dim=-1?")
    for size in (1000.0, -1000.0):
        large = torch.tensor([[size, size + 1, size + 2]])
        try:
            A = call(my_softmax, large)
        except NotFinite:
            raise Wrong(f"scores near {size:g} give weights that are not numbers: exp({size:g}) is "
                        f"{'infinite' if size > 0 else 'zero, and so is the sum'}. Subtract the largest score of each "
                        "row first.") from None
        if not same(A, large.softmax(-1)):
            raise Wrong(f"scores {size:g}, {size + 1:g}, {size + 2:g} give the weights {_listed(A[0])}; they should be "
                        f"{_listed(large[0].softmax(0))}, as for 0, 1, 2.")
    apart = torch.tensor([[1000.0, 1001.0], [-1000.0, -1001.0]])
    if not _right_softmax(my_softmax, apart):
        raise Wrong("two rows with very different scores go wrong together: one at 1000, one at −1000. "
                    "Subtract the largest score of each row from that row, not the largest of all.")
    for low, high in ((0, 1), (1, 0)):                  # far apart within a row: only the largest can be subtracted
        row = 5000.0 * torch.tensor([[low, high, high], [high, low, low]])
        if not _right_softmax(my_softmax, row):
            raise Wrong("in a row with the scores 0 and 5000 an exponential becomes infinite, or all become zero. "
                        "Subtract the row's largest score, not its mean, smallest or first: then no exponent is above "
                        "0, and one of them is 0.")


def _right_softmax(my_softmax: Callable, scores: Tensor) -> bool:
    try:
        return same(call(my_softmax, scores), scores.softmax(-1), 1e-3)    # a logarithm of 5000 is coarse in 32 bits
    except NotFinite:
        return False


SIMILARITIES = ("distance", "dot", "cosine")


@exercise("average-light")
def check_light(unchanged: Any) -> None:
    """Which score ignores a doubled, and which a lifted photograph."""
    if not isinstance(unchanged, dict) or set(unchanged) != {"doubled", "lifted"}:
        raise Wrong('expected {"doubled": …, "lifted": …}, with one of the three scores for each.')
    if any(value is ... or value is None for value in unchanged.values()):
        raise Wrong("there is no answer here yet: choose a score for both.")
    chosen = {change: word(answer, SIMILARITIES, f'"{change}"') for change, answer in unchanged.items()}
    sentences = {
        ("doubled", "distance"): "doubled colours are twice as far apart, so d² is four times as large, "
                                 "and so is the score: the map grows sharper.",
        ("doubled", "dot"): "(2q)·(2k) = 4 q·k: the score is four times as large, and the map grows sharper.",
        ("lifted", "dot"): "(q + c)·(k + c) has a term c·k that differs from key to key: bright keys gain.",
        ("lifted", "cosine"): "adding a constant turns every description towards grey, and so changes the angles.",
    }
    for change in ("doubled", "lifted"):
        if (change, chosen[change]) in sentences:
            raise Wrong(f"{change}: {sentences[change, chosen[change]]}")


@exercise("average-criticise")
def check_criticise(answer: Any) -> None:
    """Which experiment tests whether a map follows the thing or its colour."""
    choose(answer, "c", {
        "a": "a lower temperature sharpens every map. It may hide the tank whichever of the two the map follows.",
        "b": "stretching the colours changes what you see and not one weight. It tests nothing.",
        "d": "another query on the same photograph may be lit or dark for either reason. Change the cause you suspect, "
             "and nothing else.",
    })


@exercise("average-elsewhere")
def check_elsewhere(answer: Any) -> None:
    """A letter: what the maps of other photographs, as a control, rule out."""
    choose(answer, "b", {
        "a": "a large partner has a large even share, too, and the score is divided by it. That needs no control.",
        "c": "weights from other photographs say nothing about what the network was trained on. Where do they fall?",
        "d": "a control on the same ten photographs makes them no more. What would it show if the network always "
             "looked at the same spots?",
    })


def _expect_rows_sum_to_one(A: Tensor) -> None:
    total = A.sum(-1)
    row = int((total - 1).abs().argmax())
    if abs(total[row] - 1) > 1e-4:
        over_queries = (A.sum(0) - 1).abs().max() <= 1e-4
        why = ("Did you normalise over the queries? Sum over the last axis." if over_queries
               else "Divide by the sum over the last axis.")
        raise Wrong(f"the weights of row {row} sum to {total[row]:.5g}; they should sum to 1. {why}")


def _listed(numbers: Tensor) -> str:
    return ", ".join(f"{number:.3g}" for number in numbers.tolist())
