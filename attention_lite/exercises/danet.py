"""Checks of the exercises of chapter 08, dual attention."""

from collections.abc import Iterator

import torch
from torch import Tensor

from attention_lite.exercises import Wrong, call, choose, exercise, expect_shape, same, slip

_START = {
    "a": "multiply out: the slope of the loss in α is the upstream gradient times what was read, and what was read "
         "is not zero.",
    "c": "W_V acts only through α A V. With α = 0, what does a small change of W_V change in the output?",
    "d": "with α = 0 a change of W_Q, W_K or W_V changes nothing in the output, so their gradients are zero.",
}
_SHARPER = {
    "a": "painting all three digits alike takes weights that do not tell the disc's colours apart. Does a factor of 4 "
         "change which channel has the largest score?",
    "b": "the table would have to be another one for that. How large is the largest weight of a row before, and how "
         "large after?",
    "c": "a softmax of larger scores is sharper. But how much was there left to sharpen? Look at the largest weights.",
}
_ZERO = {
    "a": "both numbers are IoU, of the same scenes. It is their causes that differ, not their unit.",
    "b": "a fall from 0.8 to 0 in each training needs no more scenes. What else changed with β?",
    "d": "a small β would take the same thing away, but for a rest. What thing? And who was trained with it?",
}


@exercise("danet-sharper")
def check_sharper(choice) -> None:
    """What becomes of the IoU if the scores between channels are four times as large: a letter."""
    choose(choice, "d", _SHARPER)


@exercise("danet-zero")
def check_zero(choice) -> None:
    """The strongest objection to a network with beta at zero: a letter."""
    choose(choice, "c", _ZERO)


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
