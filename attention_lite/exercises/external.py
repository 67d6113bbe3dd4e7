"""Checks of the exercises of chapter 10, external attention."""

from collections.abc import Callable

import torch
from torch import Tensor

from attention_lite.exercises import (
    NotFinite,
    Wrong,
    call,
    choose,
    exercise,
    expect_shape,
    formula,
    same,
    slip,
)


def _both(logits: Tensor) -> Tensor:
    """Softmax over the places, the last axis but one, then rows that sum to one."""
    return logits.log_softmax(-2).softmax(-1)


@exercise("external-normalise")
def check_normalise(double_normalise) -> None:
    """double_normalise(L): scores (N, S) -> weights (N, S), a softmax over the places and then rows that sum to 1."""
    for n, s, size in ((6, 4, 1.0), (3, 5, 1.0), (7, 3, 3.0)):
        L = size * torch.randn(n, s)
        A = call(double_normalise, L)
        expect_shape(A, (n, s), "(N, S)")
        _check_normalised(A, L)
    L = torch.tensor([[900.0, 300.0], [-400.0, -800.0], [100.0, 0.0]])
    try:
        A = call(double_normalise, L)
    except NotFinite as wrong:
        raise Wrong(f"right for small scores. For scores of several hundred {wrong} A row whose softmax over the "
                    "places is 0 in every slot gives 0 / 0: stay with logarithms until the last step.") from wrong
    if not same(A, _both(L)):
        raise Wrong(f"right for small scores. With scores of several hundred the rows sum to "
                    f"{[round(v, 2) for v in A.sum(1).tolist()]}: a constant in the denominator is larger than "
                    "what it is added to.")


def _check_normalised(A: Tensor, L: Tensor) -> None:
    """Refuse anything but the double normalisation of L; say what it is."""
    if same(A, _both(L)):
        return
    columns = L.softmax(0)
    sentence = slip(A, {
        "these are two softmaxes in the other order: the first runs over the places.": L.softmax(1).softmax(0),
        "you divide by the sum of all weights. Each row is divided by its own sum.": columns / columns.sum(),
        "you divide each row by its length, the root of the squares. Divide by its sum.":
            columns / columns.norm(dim=1, keepdim=True),
    })
    if sentence:
        raise Wrong(sentence)
    if same(A, L.softmax(1)):
        raise Wrong("this is a softmax over the slots alone. The softmax runs over the places, down each column; "
                    "the slots come second.")
    if same(A, columns):
        raise Wrong("each column sums to 1, the rows do not yet: the division by the sum over the slots is missing.")
    if same(A, columns.softmax(1)):
        raise Wrong("your second step is another softmax. It should only divide each row by its sum: the first step "
                    "has made the numbers positive already.")
    if same(A, L.softmax(1) / L.softmax(1).sum(0)):
        raise Wrong("the axes are exchanged: yours is a softmax over the slots, then a division by the sum over the "
                    "places.")
    if same(A, L / L.sum(1, keepdim=True)):
        raise Wrong("you divide the scores by their sums. Exponentials come first: the first step is a softmax.")
    sums = A.sum(1)
    worst = sums[(sums - 1).abs().argmax()].item()
    if abs(worst - 1) > 1e-3:
        raise Wrong(f"a place's weights should sum to 1 over the slots; yours sum to {worst:.2f}.")
    raise Wrong(f"your rows sum to 1, but your weights differ from the double normalisation by up to "
                f"{(A - _both(L)).abs().max():.2f}.")


@exercise("external-loud")
def check_loud(choice) -> None:
    """What the double normalisation does when one token is multiplied by 10: "a", "b" or "c"."""
    choose(choice, "c", {
        "a": "rows sum to 1 whatever happens, but a row can change and still sum to 1. Its scores are ten times as "
             "large: is its row the same?",
        "b": "each column is a softmax over the places. What happens to the others' shares of a column when one place "
             "takes nearly all of it?"})


def _operations(products: float, projection: float, single: float = 0) -> Callable[[int, int, int, int], float]:
    """A count: so many times N d S, and so many times N d² for several heads, or for a single one."""
    return lambda N, d, S, h: products * N * d * S + (projection if h > 1 else single) * N * d * d


formula(
    "external-cost", "N d S h", [(100, 48, 32, 4), (100, 48, 32, 1), (7, 6, 5, 3), (50, 24, 10, 8)],
    _operations(4, 2), {
        "half of the right number: a multiplication and an addition are two operations.": _operations(2, 1),
        "half of what the products with M_k and M_v cost together, and W_O is missing.": _operations(2, 0),
        "that is one product with a memory, or multiplications alone; and W_O is for h > 1 only.": _operations(2, 1, 1),
        "only one of the two products with a memory; the other is missing.": _operations(2, 2),
        "only one of the two products with a memory; and a single head has no projection W_O.": _operations(2, 2, 2),
        "too many: each head has d / h features, so h heads together cost what one head of d features costs.":
            lambda N, d, S, h: 4 * N * d * S * h + (2 * N * d * d if h > 1 else 0),
        "too many: each head has d / h features, and W_O is missing.": lambda N, d, S, h: 4 * N * d * S * h,
        "too many: each head has d / h features; and a single head has no projection W_O.":
            lambda N, d, S, h: 4 * N * d * S * h + 2 * N * d * d,
        "too few: that is one head of d / h features. There are h of them.":
            lambda N, d, S, h: 4 * N * d * S / h + (2 * N * d * d if h > 1 else 0),
        "the cost of all pairs of places. Here a place is compared with S slots.": lambda N, d, S, h: 4 * N * N * d,
        "the cost of all pairs of places, and W_O. Here a place is compared with S slots.":
            lambda N, d, S, h: 4 * N * N * d + (2 * N * d * d if h > 1 else 0),
        "right for one head. With several heads a projection W_O, d × d, follows: add its product.": _operations(4, 0),
        "a single head has no projection W_O: count it for h > 1 only.": _operations(4, 2, 2),
        "the product with W_O is N d², with two operations each: 2 N d².": _operations(4, 1),
        "that is W_O on a single place. It is used at all N.":
            lambda N, d, S, h: 4 * N * d * S + (2 * d * d if h > 1 else 0),
        "four projections of the tokens are self-attention's. Here the memories stand in place of keys and values.":
            lambda N, d, S, h: 4 * N * d * S + 8 * N * d * d,
        "W_O is d × d, whatever h: its product takes 2 N d².": lambda N, d, S, h: 4 * N * d * S + (
            2 * N * d * d / h if h > 1 else 0),
    }, "The two memories take 2 N S d each, whatever h, and W_O takes 2 N d² where there are several heads.")


@exercise("external-heads")
def check_heads(multi_head) -> None:
    """multi_head(X, M_k, M_v, W_O, h): (N, d), (S, d/h), (S, d/h), (d, d) -> (N, d); the heads share the memories."""
    for n, width, s, h in ((5, 3, 4, 2), (6, 2, 3, 3), (4, 5, 3, 1)):
        d = h * width
        X, M_k, M_v, W_O = torch.randn(n, d), torch.randn(s, width), torch.randn(s, width), torch.randn(d, d)
        result = call(multi_head, X, M_k, M_v, W_O, h)
        if tuple(result.shape) == (n, width) != (n, d):
            raise Wrong(f"your result has shape {(n, width)}, the width of one head. Concatenate the heads; do not "
                        "add them up.")
        expect_shape(result, (n, d), "(N, d)")
        split = X.unflatten(1, (h, width)).transpose(0, 1)                  # (h, N, d/h)
        heads = (_both(split @ M_k.T) @ M_v).transpose(0, 1).flatten(1)
        if same(result, heads @ W_O.T) or (h == 1 and same(result, heads)):       # a single head needs no W_O
            continue
        raise Wrong(_mixed_up(result, X, split, heads, M_k, M_v, W_O))


def _mixed_up(result: Tensor, X: Tensor, split: Tensor, heads: Tensor, M_k: Tensor, M_v: Tensor, W_O: Tensor) -> str:
    """The sentence for a wrong multi-head output."""
    h, n, width = split.shape

    def joined(A: Tensor) -> Tensor:
        return (A @ M_v).transpose(0, 1).flatten(1) @ W_O.T

    scores = split @ M_k.T                                                       # (h, N, S)
    every = _both(X.unflatten(1, (width, h)).permute(2, 0, 1) @ M_k.T)
    over_all = scores.permute(1, 0, 2).flatten(1).log_softmax(0).softmax(1).unflatten(1, (h, -1)).permute(1, 0, 2)
    return slip(result, {
        "your heads are right and side by side, but W_O is missing: return heads @ W_O.T.": heads,
        "you multiply by W_O, not by its transpose; its rows belong to the outputs, as in nn.Linear.": heads @ W_O,
        "your heads are made of whole tokens, not of parts of all tokens. Split the last axis into (h, d/h) first, "
        "then swap axes.": joined(_both(X.reshape(h, n, width) @ M_k.T)),
        "your heads are interleaved: head 0 takes every h-th feature of a token. It gets the first d/h.": joined(every),
        "your heads use a softmax over the slots. Normalise twice: over the places, then over the slots.":
            joined(scores.softmax(-1)),
        "your heads use a softmax over the places alone. Each row is still to be divided by its sum.":
            joined(scores.softmax(-2)),
        "your heads use two softmaxes. The second step only divides each row by its sum.":
            joined(scores.softmax(-2).softmax(-1)),
        "your softmax runs over the places of all heads at once. The memory is shared, the normalisation is not: each "
        "head has its own.": joined(_both(scores.flatten(0, 1)).unflatten(0, (h, n))),
        "your rows sum to one over the slots of all heads together. Each head has its own normalisation.":
            joined(over_all),
        "your heads are concatenated in the wrong layout: head by head, not token by token. Swap the axes first.":
            (_both(scores) @ M_v).reshape(n, -1) @ W_O.T,
        "you add X to the result. The skip is not part of it.": heads @ W_O.T + X,
    }) or f"your output differs by up to {(result - heads @ W_O.T).abs().max():.2f}."


@exercise("external-sums")
def check_sums(read_with) -> None:
    """read_with(X, M_k, M_v, log_Z): tokens (N, d) read from memories (S, d) with the slots' log-sums (S,) given."""
    for n, d, s in ((5, 4, 3), (1, 3, 4), (6, 2, 5)):
        X, M_k, M_v = torch.randn(n, d), torch.randn(s, d), torch.randn(s, d)
        log_Z = 2 * torch.randn(s)
        result = call(read_with, X, M_k, M_v, log_Z)
        if tuple(result.shape) == (n, s) != (n, d):
            raise Wrong(f"your result has shape {(n, s)}: those are the weights. Average the rows of M_v with them.")
        expect_shape(result, (n, d), "(N, d)")
        L = X @ M_k.T
        wrongs = (
            (_both(L), "you use the sums of these very tokens. Use those that are given: log_Z may come from another "
                       "picture."),
            (L.softmax(1), "log_Z changes nothing in your result. Subtract it from the scores before the softmax over "
                           "the slots."),
            ((L + log_Z).softmax(1), "you add log_Z. Dividing by Z means subtracting its logarithm."),
            ((L / log_Z).softmax(1), "you divide the scores by log_Z. It is the exponentials that are divided by Z; "
                                     "what does that do to the exponents?"),
            (((L.exp() / log_Z) / (L.exp() / log_Z).sum(1, keepdim=True)), "you divide by log_Z, which is a logarithm. "
             "The exponentials are divided by Z itself: subtract log_Z from the scores."),
            (L.exp() / log_Z, "you divide by log_Z, which is a logarithm, and the rows do not sum to 1 yet."),
            ((L - log_Z).softmax(0), "your softmax runs over the places. Those sums are given; it is over the slots."),
            (L.softmax(0), "you make the sums over these places. Use those that are given, "
                                                        "and divide each row by its sum."),
            ((L - log_Z).exp().softmax(1), "you take the exponential twice: divide each row by its sum instead."),
            ((L - log_Z.exp()).softmax(1), "you subtract Z itself, not its logarithm."),
            ((L - log_Z).exp(), "your weights do not sum to 1 over the slots yet: the second division is missing."))
        if same(result, (L - log_Z).softmax(1) @ M_v):
            continue
        for A, sentence in wrongs:
            if same(result, A @ M_v):
                raise Wrong(sentence)
        raise Wrong(f"your output differs by up to {(result - (L - log_Z).softmax(1) @ M_v).abs().max():.2f}.")
