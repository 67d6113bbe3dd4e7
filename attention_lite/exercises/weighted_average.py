"""Checks of chapter 00, *A weighted average you can see*."""

import math
from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor

from attention_lite.exercises import Wrong, call, exercise, expect_shape, same


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
        except Wrong:
            raise Wrong(f"scores near {size:g} give weights that are not numbers: exp({size:g}) is "
                        f"{'infinite' if size > 0 else 'zero, and so is the sum'}. Subtract the largest score of each "
                        "row first.") from None
        if not same(A, large.softmax(-1)):
            raise Wrong(f"scores {size:g}, {size + 1:g}, {size + 2:g} give the weights {_listed(A[0])}; they should be "
                        f"{_listed(large[0].softmax(0))}, as for 0, 1, 2.")
    apart = torch.tensor([[1000.0, 1001.0], [-1000.0, -1001.0]])
    try:
        good = same(call(my_softmax, apart), apart.softmax(-1))
    except Wrong:
        good = False
    if not good:
        raise Wrong("two rows with very different scores go wrong together: one at 1000, one at −1000. "
                    "Subtract the largest score of each row from that row, not the largest of all.")


@exercise("average-attend")
def check_attend(attend: Callable) -> None:
    """Weighted averages of values from scores."""
    square, values = torch.randn(4, 4), torch.randn(4, 3)
    Y = call(attend, square, values)
    expect_shape(Y, (4, 3), "(N_q, c)")
    A = square.softmax(1)
    if not same(Y, A @ values):
        raise Wrong(_what_went_wrong(attend, Y, square, values))
    for queries, keys in ((2, 5), (6, 3)):
        scores, values = 3 * torch.randn(queries, keys), torch.randn(keys, 3)
        Y = call(attend, scores, values)
        expect_shape(Y, (queries, 3), "(N_q, c)")
        if not same(Y, scores.softmax(1) @ values):
            raise Wrong(f"with {queries} queries and {keys} keys your averages differ, "
                        "though with 4 and 4 they were right.")
    scores = torch.tensor([[0.0, 0.0, -math.inf], [1000.0, 1000.0, 0.0]])
    values = torch.tensor([[1.0], [3.0], [100.0]])
    try:
        Y = call(attend, scores, values)
    except Wrong:
        raise Wrong("with a score of −∞ or of 1000 your averages are not numbers. Use a softmax that survives, "
                    "as in the exercise before.") from None
    if not same(Y, torch.tensor([[2.0], [2.0]])):
        raise Wrong(f"scores (0, 0, −∞) and (1000, 1000, 0) over the values 1, 3, 100 give {_listed(Y.flatten())}; "
                    "both averages should be 2.")


def _what_went_wrong(attend: Callable, Y: Tensor, scores: Tensor, values: Tensor) -> str:
    """Name the mistake behind wrong averages of as many queries as keys."""
    A = scores.softmax(1)
    total = call(attend, scores, torch.ones_like(values)).mean(1)      # averages of ones: the sums of the weights
    if same(Y, scores.softmax(0) @ values):
        return (f"your weights for one query sum to {total[0]:.3g}; they should sum to 1. You normalised over the "
                "queries (dim=0): go along the keys (dim=1).")
    if same(Y, A.T @ values):
        return (f"you use the weights transposed: the first query's weights sum to {total[0]:.3g}. Row i of the scores "
                "belongs to query i, so the product is A @ values.")
    if same(Y, scores.softmax(0).T @ values):
        return ("you treat the columns of the scores as the queries. Row i belongs to query i: "
                "normalise along dim=1 and use A @ values.")
    if same(Y, scores.exp() @ values) or same(Y, scores @ values):
        return (f"your weights for one query sum to {total[0]:.3g}; they should sum to 1. "
                "Divide by the sum over the keys, as the softmax does.")
    if same(Y, A @ values / len(values)):
        return (f"your averages are {len(values)} times too small: the weights already sum to 1, do not divide by the "
                "number of keys again.")
    return (f"your first average is {_listed(Y[0])}; it should be {_listed((A @ values)[0])}. "
            f"Averaging ones gives {total[0]:.3g} and should give 1.")


@exercise("average-places")
def check_places(my_effective_places: Callable) -> None:
    """exp(entropy) of each row."""
    A = torch.tensor([[0.25, 0.25, 0.25, 0.25], [0.7, 0.1, 0.1, 0.1]])
    places = call(my_effective_places, A)
    H = -(A * A.log()).sum(1)
    if tuple(places.shape) == (4,):
        raise Wrong("you return one number for each key, shape (4,); sum over the keys, the last axis, so that each of "
                    "the two queries gets one.")
    expect_shape(places, (2,), "(N_q,)")
    if not same(places, H.exp()):
        first = f"four equal weights give {places[0]:.3g}; they should give 4"
        if same(places, (-H).exp()):
            raise Wrong(f"{first}. The entropy has a minus sign: H = −Σ a ln a.")
        if same(places, (H / math.log(2)).exp()):
            raise Wrong(f"{first}. You took the logarithm to base 2 and the exponential to base e: "
                        "use one base for both.")
        if same(places, H):
            raise Wrong(f"{first}. That is the entropy H itself: return exp(H).")
        if same(places, H.sum().exp().expand(2)) or same(places, H.mean().exp().expand(2)):
            raise Wrong(f"{first}. You mix the queries: each row has an entropy of its own.")
        if same(places[:1], H[:1].exp()):
            raise Wrong(f"the weights 0.7, 0.1, 0.1, 0.1 give {places[1]:.3g}; they should give {H[1].exp():.3g}.")
        raise Wrong(f"{first}. The recipe is: H = −Σ a ln a along each row, then exp(H).")
    masked = torch.tensor([[0.5, 0.5, 0.0], [0.0, 1.0, 0.0]])
    try:
        places = call(my_effective_places, masked)
    except Wrong:
        raise Wrong("weights of exactly 0 give a result that is not a number: 0 · ln 0 is 0 · (−∞). "
                    "Let such places count 0.") from None
    if not same(places, torch.tensor([2.0, 1.0]), 1e-3):
        raise Wrong(f"the weights (½, ½, 0) and (0, 1, 0) give {_listed(places)}; they should give 2 and 1: "
                    "a place with weight 0 counts nothing.")
    A = torch.softmax(3 * torch.randn(5, 7), 1)
    if not same(call(my_effective_places, A), (-(A * A.log()).sum(1)).exp(), 1e-3):
        raise Wrong("for 5 queries and 7 keys your numbers differ, though for 2 and 4 they were right.")


SIMILARITIES = ("distance", "dot", "cosine")


@exercise("average-light")
def check_light(unchanged: Any) -> None:
    """Which score ignores a doubled, and which a lifted photograph."""
    if not isinstance(unchanged, dict) or set(unchanged) != {"doubled", "lifted"}:
        raise Wrong('expected {"doubled": …, "lifted": …}, with one of the three scores for each.')
    if any(value is ... or value is None for value in unchanged.values()):
        raise Wrong("there is no answer here yet: choose a score for both.")
    for change, answer in unchanged.items():
        if answer not in SIMILARITIES:
            raise Wrong(f'for "{change}" you answer {answer!r}; choose one of "distance", "dot", "cosine".')
    sentences = {
        ("doubled", "distance"): "doubled colours are twice as far apart, so d² is four times as large, "
                                 "and so is the score: the map grows sharper.",
        ("doubled", "dot"): "(2q)·(2k) = 4 q·k: the score is four times as large, and the map grows sharper.",
        ("lifted", "dot"): "(q + c)·(k + c) has a term c·k that differs from key to key: bright keys gain.",
        ("lifted", "cosine"): "adding a constant turns every description towards grey, and so changes the angles.",
    }
    for change in ("doubled", "lifted"):
        if (change, unchanged[change]) in sentences:
            raise Wrong(f"{change}: {sentences[change, unchanged[change]]}")


@exercise("average-criticise")
def check_criticise(answer: Any) -> None:
    """Which experiment tests whether a map follows the thing or its colour."""
    sentences = {
        "a": "a lower temperature sharpens every map. It may hide the tank whichever of the two the map follows.",
        "b": "stretching the colours changes what you see and not one weight. It tests nothing.",
        "d": "one more example on the same photograph may be lit or dark for either reason. "
             "Change the cause you suspect, and nothing else.",
    }
    choice = answer.strip().lower() if isinstance(answer, str) else answer
    if choice in sentences:
        raise Wrong(sentences[choice])
    if choice != "c":
        raise Wrong(f"you answer {answer!r}; choose one of 'a', 'b', 'c', 'd'.")


def _expect_rows_sum_to_one(A: Tensor) -> None:
    total = A.sum(-1)
    if (total - 1).abs().max() > 1e-4:
        over_queries = (A.sum(0) - 1).abs().max() <= 1e-4
        why = ("Did you normalise over the queries? Sum over the last axis." if over_queries
               else "Divide by the sum over the last axis.")
        raise Wrong(f"the weights of your first row sum to {total[0]:.3g}; they should sum to 1. {why}")


def _listed(numbers: Tensor) -> str:
    return ", ".join(f"{number:.3g}" for number in numbers.tolist())
