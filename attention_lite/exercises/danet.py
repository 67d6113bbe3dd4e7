"""Checks of the exercises of chapter 08, dual attention."""

import math
from collections.abc import Callable, Iterator

import torch
from torch import Tensor

from attention_lite.exercises import Wrong, call, choose, exercise, expect_shape, formula, same, slip

_START = {
    "a": "multiply out: the slope of the loss in α is the upstream gradient times what was read, and what was read "
         "is not zero.",
    "c": "W_V acts only through α A V. With α = 0, what does a small change of W_V change in the output?",
    "d": "with α = 0 a change of W_Q, W_K or W_V changes nothing in the output, so their gradients are zero.",
}


@exercise("danet-position")
def check_position(position_attention) -> None:
    """position_attention(x, W_Q, W_K, W_V, alpha): (B, C, H, W), three times (C, C), a number -> (B, C, H, W)."""
    for b, c, h, w in ((2, 6, 3, 5), (3, 4, 4, 2), (1, 9, 3, 3)):
        x, alpha = torch.randn(b, c, h, w), 0.7
        matrices = [1.5 * torch.randn(c, c) / math.sqrt(c) for _ in range(3)]
        y = call(position_attention, x, *matrices, alpha)
        if tuple(y.shape) == (b, c, w, h) != (b, c, h, w):
            raise Wrong(f"your result has shape {(b, c, w, h)}: rows and columns have changed places. The place "
                        "(row, column) is token row · W + column.")
        expect_shape(y, (b, c, h, w), "(B, C, H, W)")
        if not same(y, _position(x, *matrices, alpha)):
            raise Wrong(slip(y, _position_slips(x, *matrices, alpha))
                        or _mixes_pictures(position_attention, x, *matrices, alpha)
                        or f"your result differs from x + α A V by up to "
                           f"{(y - _position(x, *matrices, alpha)).abs().max():.2f}.")


def _position(x: Tensor, W_Q: Tensor, W_K: Tensor, W_V: Tensor, alpha: float, *, width: float = 1.0,
              residual: bool = True) -> Tensor:
    X = x.flatten(2).transpose(1, 2)
    A = ((X @ W_Q.T) @ (X @ W_K.T).transpose(1, 2) / math.sqrt(width)).softmax(-1)
    read = (A @ (X @ W_V.T)).transpose(1, 2).unflatten(2, x.shape[2:])
    return residual * x + alpha * read


def _position_slips(x: Tensor, W_Q: Tensor, W_K: Tensor, W_V: Tensor,
                    alpha: float) -> Iterator[tuple[str, Tensor]]:
    """The usual slips: what to say of each, and what it gives."""
    b, c, h, w = x.shape
    X = x.flatten(2).transpose(1, 2)
    scores, V = (X @ W_Q.T) @ (X @ W_K.T).transpose(1, 2), X @ W_V.T
    tokens = x.reshape(b, h * w, c)                       # relabelled, not moved
    mixed = (((tokens @ W_Q.T) @ (tokens @ W_K.T).transpose(1, 2)).softmax(-1) @ (tokens @ W_V.T)).reshape(x.shape)
    by_columns = (scores.softmax(-1) @ V).transpose(1, 2).reshape(b, c, w, h).transpose(2, 3)

    def done(read: Tensor) -> Tensor:
        return x + alpha * read.transpose(1, 2).unflatten(2, (h, w))

    yield ("your tokens are not places: a view of (B, C, H, W) as (B, N, C) cuts the list of numbers elsewhere. "
           "Flatten the places, then swap the axes.", x + alpha * mixed)
    yield ("the places come back in another order: the result of token row · W + column belongs to (row, column).",
           x + alpha * by_columns)
    yield ("what was read is relabelled instead of moved: it is (B, N, C), so swap its axes before you cut N into "
           "rows and columns.", x + alpha * (scores.softmax(-1) @ V).reshape(x.shape))
    yield "the columns of your weights sum to 1: the softmax runs over the keys i, not the queries j.", done(
        scores.softmax(1) @ V)
    yield "queries and keys have changed roles: row j of the scores is query j against all keys.", done(
        scores.transpose(1, 2).softmax(-1) @ V)
    yield "α multiplies the input as well. Only what was read is weighed by it.", alpha * _position(
        x, W_Q, W_K, W_V, 1.0)
    yield "the softmax is missing: these are the bare scores.", done(scores @ V)
    yield "W_Q and W_K have changed roles: queries come from W_Q.", _position(x, W_K, W_Q, W_V, alpha)
    yield "W_V alone is used the wrong way round: row o of it makes number o of a value, so X W_Vᵀ.", _position(
        x, W_Q, W_K, W_V.T, alpha)
    yield "DANet does not divide the scores by the root of N either.", _position(x, W_Q, W_K, W_V, alpha, width=h * w)
    yield "DANet does not divide the scores by √C.", _position(x, W_Q, W_K, W_V, alpha, width=c)
    yield "you return what was read, α A V. The input is still to be added.", _position(
        x, W_Q, W_K, W_V, alpha, residual=False)
    yield "α is missing: you add all of what was read.", _position(x, W_Q, W_K, W_V, 1.0)
    yield "the matrices are used the wrong way round: row o of W_Q makes number o of a query, so X W_Qᵀ.", _position(
        x, W_Q.T, W_K.T, W_V.T, alpha)
    yield "the values are missing: you average the tokens themselves. Make V with W_V first.", _position(
        x, W_Q, W_K, torch.eye(c), alpha)


@exercise("danet-channel")
def check_channel(channel_attention) -> None:
    """channel_attention(x, beta): (B, C, H, W) and a number -> (B, C, H, W)."""
    for b, c, h, w in ((2, 5, 3, 4), (3, 4, 2, 5), (1, 6, 3, 3)):
        x, beta = 0.5 * torch.randn(b, c, h, w), 0.6
        y = call(channel_attention, x, beta)
        expect_shape(y, (b, c, h, w), "(B, C, H, W)")
        right = x + beta * _read(x, lambda T: T)
        if not same(y, right):
            raise Wrong(slip(y, _channel_slips(x, beta))
                        or _mixes_pictures(channel_attention, x, beta)
                        or f"your result differs from x + β R x by up to {(y - right).abs().max():.2f}.")


def _read(x: Tensor, change: Callable[[Tensor], Tensor], axis: int = -1) -> Tensor:
    """R x, with the scores changed on their way to the softmax."""
    F = x.flatten(2)
    return (change(F @ F.transpose(1, 2)).softmax(axis) @ F).unflatten(2, x.shape[2:])


def _channel_slips(x: Tensor, beta: float) -> Iterator[tuple[str, Tensor]]:
    """The usual slips: what to say of each, and what it gives."""
    F, N = x.flatten(2), x.shape[2] * x.shape[3]
    unit = F / F.norm(dim=2, keepdim=True)
    places = (F @ (F.transpose(1, 2) @ F).softmax(1)).unflatten(2, x.shape[2:])
    yield "the sign is that of the published code: your channels read from those least like them.", x + beta * _read(
        x, lambda T: -T)
    yield "the columns of your weights sum to 1: row j belongs to the channel that reads.", x + beta * _read(
        x, lambda T: T, axis=1)
    yield f"you compare places, {N} × {N}; compare channels, {x.shape[1]} × {x.shape[1]}.", x + beta * places
    yield "you return what was read, β R x. The input is still to be added.", beta * _read(x, lambda T: T)
    yield "β is missing: you add all of what was read.", x + _read(x, lambda T: T)
    yield "the scores are divided by √C: the paper takes the bare products.", x + beta * _read(
        x, lambda T: T / math.sqrt(x.shape[1]))
    yield "β multiplies the input as well. Only what was read is weighed by it.", beta * (x + _read(x, lambda T: T))
    yield "the softmax is missing: these are the bare products.", x + beta * (
        F @ F.transpose(1, 2) @ F).unflatten(2, x.shape[2:])
    yield "the scores are divided by √N: the paper takes the bare products.", x + beta * _read(
        x, lambda T: T / math.sqrt(N))
    yield "the scores are divided by N: the paper takes the bare products, a sum over places, not a mean.", (
        x + beta * _read(x, lambda T: T / N))
    yield "your channels are scaled to length 1 before they are compared: the paper takes the bare products.", (
        x + beta * ((unit @ unit.transpose(1, 2)).softmax(-1) @ F).unflatten(2, x.shape[2:]))


@exercise("danet-sign")
def check_sign(paper_weights) -> None:
    """paper_weights(P): the weights of the published code, (C, C) -> the weights of the paper, (C, C)."""
    for c in (3, 5, 8):
        T = torch.randn(c, 2 * c)
        T = T @ T.T / (2 * c) * 3
        P = (-T).softmax(1)
        R = call(paper_weights, P)
        expect_shape(R, (c, c), "(C, C)")
        if not same(R, T.softmax(1), 1e-3):
            raise Wrong(slip(R, _sign_slips(P)) or "your rows differ from the paper's weights by up to "
                        f"{(R - T.softmax(1)).abs().max():.2f}. A row of P is e to the minus score, over its sum.")


def _sign_slips(P: Tensor) -> Iterator[tuple[str, Tensor]]:
    """The usual slips: what to say of each, and what it gives."""
    inverse = 1 / P
    yield f"your rows sum to {inverse.sum(1)[0]:.1f}, not 1: divide each by its sum.", inverse
    yield "your columns sum to 1 instead of your rows.", inverse / inverse.sum(0)
    yield "1 − P turns the order round, but not the sizes. What becomes of e to the power of −t?", (
        (1 - P) / (1 - P).sum(1, keepdim=True))
    yield "one minus a weight is not yet a weight, and its size is not right either: the rows sum to C − 1.", 1 - P
    yield "1 / P² turns the order round, and sharpens it, too. 1 / P is e to the power of t, but for a factor.", (
        inverse**2 / (inverse**2).sum(1, keepdim=True))
    yield "you take a softmax of 1 / P. 1 / P is e to the power of t already, but for a factor: divide by the sum.", (
        inverse.softmax(1))
    yield "those are negative: −P is no weight. What becomes of e to the power of −t?", -P
    yield "−log P is the score again, but for a number. The softmax of the scores is asked for.", -P.log()
    yield "a softmax of −P treats weights as if they were scores: take the logarithm of P first.", (-P).softmax(1)
    yield "max − P turns the order round, but not the sizes. What becomes of e to the power of −t?", (
        (P.amax(1, keepdim=True) - P) / (P.amax(1, keepdim=True) - P).sum(1, keepdim=True))
    yield "those are still the published code's weights: a softmax of log P gives P back. Where is the minus?", P
    yield "a transpose changes who reads from whom; the sign changes from whom one reads.", P.T


@exercise("danet-start")
def check_start(choice) -> None:
    """Which parameters have a gradient other than zero while alpha is 0: a letter."""
    choose(choice, "b", _START)


def _position_part(projections: float, products: float, N: Callable[[int, int], int] = lambda H, W: H * W,
                   ) -> Callable[[int, int, int], tuple]:
    """FLOPs of the position part alone, as projections · N C² + products · N² C."""
    return lambda C, H, W: (projections * N(H, W) * C**2 + products * N(H, W) ** 2 * C, None)


def _channel_part(count: Callable[[int, int], float]) -> Callable[[int, int, int], tuple]:
    """FLOPs of the channel part alone, as count(C, N)."""
    return lambda C, H, W: (None, count(C, H * W))


def _both_parts(C: int, H: int, W: int) -> tuple[int, int]:
    N = H * W
    return 6 * N * C**2 + 4 * N**2 * C, 4 * N * C**2


formula(
    "danet-cost", "C H W", [(48, 11, 12), (512, 16, 8), (16, 40, 60)], _both_parts, {
        "the two parts have changed places: the position part comes first.": lambda *case: _both_parts(*case)[::-1],
        "your position part has half of the FLOPs: a multiplication and an addition are two.": _position_part(3, 2),
        "your position part lacks the three projections, 2 N C² each.": _position_part(0, 4),
        "your position part lacks the three projections, and has half of the FLOPs: a multiplication and an addition "
        "are two.": _position_part(0, 2),
        "your position part lacks a product: the scores take 2 N² C, and averaging the values as much again.":
            _position_part(6, 2),
        "your position part has one projection. There are three: queries, keys and values.": _position_part(2, 4),
        "your position part has two projections. There are three: queries, keys and values.": _position_part(4, 4),
        "your position part has four projections. There are three: DANet has no W_O.": _position_part(8, 4),
        "your position part counts the projections' multiplications alone.": _position_part(3, 4),
        "your position part has N = H: a feature map has H · W places.": _position_part(6, 4, lambda H, W: H),
        "your position part has keys and queries of C / 8 features, as the published code. Full width is asked for.":
            lambda C, H, W: (2.5 * H * W * C**2 + 2.25 * (H * W) ** 2 * C, None),
        "your channel part has half of the FLOPs, or one product of two: the scores take 2 N C², and reading with them "
        "as much again.": _channel_part(lambda C, N: 2 * N * C**2),
        "your channel part has N² C: its table is C × C, and each number of it a sum over N places.":
            _channel_part(lambda C, N: 4 * N**2 * C),
        "your channel part has projections: it has none.": _channel_part(lambda C, N: 10 * N * C**2),
        "your channel part has a projection: it has none.": _channel_part(lambda C, N: 6 * N * C**2),
        "your channel part has a quarter of the FLOPs: two products, and two operations for a multiplication and an "
        "addition.": _channel_part(lambda C, N: N * C**2),
        "your channel part forgets that each product of two channels is a sum over N places.":
            _channel_part(lambda C, N: 4 * C**2),
        "your channel part has a table of C³: the scores are C², each a sum over N places.":
            _channel_part(lambda C, N: 4 * C**3),
    }, "Position: three projections, 2 N C² each, the scores and the reading, 2 N² C each. Channel: 2 N C² twice.",
    "position, channel")


def _mixes_pictures(function: Callable, x: Tensor, *rest: Tensor | float) -> str | None:
    """A sentence, if the first picture's result depends on the other pictures of the batch."""
    if len(x) == 1 or same(call(function, x, *rest)[:1], call(function, x[:1], *rest)):
        return None
    return "the result of a picture changes with the other pictures of the batch: each has weights of its own."
