"""Checks of chapter 00, *A weighted average you can see*."""

import math
from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor

from attention_lite.exercises import NotFinite, Wrong, call, choose, exercise, expect_shape, same, slip, word


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
    scores = torch.tensor([[0.0, 0.0, -math.inf], [1000.0, 1000.0, 0.0], [-1000.0, 0.0, 0.0]])
    values = torch.tensor([[1.0], [3.0], [101.0]])
    try:
        Y = call(attend, scores, values)
    except NotFinite:
        raise Wrong("with a score of −∞ or of 1000 your averages are not numbers. Use a softmax that survives, "
                    "as in the exercise before.") from None
    if same(Y, torch.tensor([[2.0], [2.0], [3.0]])):
        raise Wrong("a key whose score is −∞ for one query is gone for all of them. Each query has scores of its own: "
                    "leave the key to the others.")
    if not same(Y, torch.tensor([[2.0], [2.0], [52.0]])):
        raise Wrong("the scores (0, 0, −∞), (1000, 1000, 0) and (−1000, 0, 0) over the values 1, 3, 101 give "
                    f"{_listed(Y.flatten())}; the averages should be 2, 2 and 52.")


def _what_went_wrong(attend: Callable, Y: Tensor, scores: Tensor, values: Tensor) -> str:
    """Name the mistake behind wrong averages of as many queries as keys."""
    A, n = scores.softmax(1), len(values)
    total = call(attend, scores, torch.ones_like(values)).mean(1)      # averages of ones: the sums of the weights
    worst = total[(total - 1).abs().argmax()]
    no_average = (f"the weights of a query sum to {worst:.3g}; they should sum to 1. "
                  "Divide by the sum over the keys, as the softmax does.")
    scaled = "these are softmax weights, but of divided scores. Take the scores as they are given."
    e = scores.exp()
    return slip(Y, {
        f"the weights of a query sum to {worst:.3g}; they should sum to 1. You normalised over the queries (dim=0): "
        "go along the keys (dim=1).": scores.softmax(0) @ values,
        f"you use the weights transposed: the weights of a query sum to {worst:.3g}. Row i of the scores belongs to "
        "query i, so the product is A @ values.": A.T @ values,
        "you treat the columns of the scores as the queries. Row i belongs to query i: normalise along dim=1 and use "
        "A @ values.": scores.softmax(0).T @ values,
        no_average: e @ values, no_average + " The weights are exponentials, too.": scores @ values,
        f"your averages are {n} times too small: the weights already sum to 1, do not divide by the number of keys "
        "again.": A @ values / n,
        f"{scaled} Nothing is divided by √N here.": (scores / math.sqrt(n)).softmax(1) @ values,
        f"{scaled} Nothing is divided by √c here.": (scores / math.sqrt(values.shape[1])).softmax(1) @ values,
        "you divide by the sum of all weights. Each query's weights sum to 1 on their own.": e @ values / e.sum(),
        "the sign is turned: the highest score gets the smallest weight.": (-scores).softmax(1) @ values,
        "you take the softmax of a softmax. Once is enough.": A.softmax(1) @ values,
        "you return the value with the highest score alone. All keys have a say, by their weights.":
            values[scores.argmax(1)],
    }) or (f"your first average is {_listed(Y[0])}; it should be {_listed((A @ values)[0])}. "
           f"Averages of ones should be 1; yours are {_listed(total)}.")


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
        if same(places, 2.0 ** H):
            raise Wrong(f"{first}. You took the natural logarithm, and 2 to the power of it: use one base for both.")
        if same(places[:1], H[:1].exp()):
            why = " You take 1 / Σ a², another number of places." if same(places, 1 / (A * A).sum(1)) else ""
            raise Wrong(f"the weights 0.7, 0.1, 0.1, 0.1 give {places[1]:.3g}; they should give {H[1].exp():.3g}.{why}")
        raise Wrong(f"{first}. The recipe is: H = −Σ a ln a along each row, then exp(H).")
    masked = torch.tensor([[0.5, 0.5, 0.0], [0.0, 1.0, 0.0]])
    try:
        places = call(my_effective_places, masked)
    except NotFinite:
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
