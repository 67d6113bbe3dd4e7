"""Checks of the exercises of chapter 04, bottleneck attention (BAM)."""

import torch
from torch import Tensor

from attention_lite.exercises import Wrong, call, choose, exercise, expect_shape, same

_RANGE = {
    "a": "a gate alone lies between 0 and 1, but BAM adds the gated map to the input: its factor is 1 + M.",
    "b": "that is the range of one BAM. The second one multiplies what the first has made.",
    "d": "the input is kept: with every gate shut the factor of each BAM is 1, not 0.",
}
_CRITICISE = {
    "a": "sigmoid gates need not sum to one; that says nothing about what the network uses.",
    "c": "24 × 24 places are enough to say whether the map lies on the digit. That is not what is in doubt.",
    "d": "that the untrained map misses the digit speaks for the claim: training has moved the map there.",
}


@exercise("bam-range")
def check_range(answer) -> None:
    """A letter: the factors that two BAMs in a row can reach."""
    choose(answer, "c", _RANGE)


@exercise("bam-criticise")
def check_criticise(answer) -> None:
    """A letter: what speaks against a claim about a map."""
    choose(answer, "b", _CRITICISE)


@exercise("bam-window")
def check_window(window) -> None:
    """window(n, d): the side of the window of n 3 × 3 convolutions at dilation d."""
    for n, d in ((3, 4), (2, 4), (1, 1), (2, 1), (5, 7)):
        side, right = _number(window, n, d), 2 * n * d + 1
        if side == right:
            continue
        wrong = {
            n * d + 1: "each layer reaches d steps to *either* side of a place.",
            2 * n * d: "the place itself, in the middle, counts too.",
            n * (2 * d + 1): "the windows overlap: every further layer adds 2d places, not a whole window.",
            (2 * d + 1) ** n: "reaches add up from layer to layer; they do not multiply.",
            2 * n + 1: "that is the window at dilation 1.",
            2 * d + 1: "that is the window of one layer. Each further one reaches d steps further.",
            (2 * n + 1) ** 2: "you count the places that are seen. The question is how wide their window is.",
        }
        hint = wrong.get(side, f"the window is {right} wide: draw one row, and step back layer by layer.")
        raise Wrong(f"for n = {n} and d = {d} you answer {side}: {hint}")


@exercise("bam-rows")
def check_rows(rows) -> None:
    """rows(H, p, d, n): what n 3 × 3 convolutions with padding p and dilation d leave of H rows."""
    for height, p, d, n in ((20, 2, 3, 3), (7, 1, 2, 3), (14, 4, 4, 2), (10, 0, 1, 1), (5, 3, 2, 2), (5, 1, 3, 2)):
        left, right = _number(rows, height, p, d, n), max(0, height + n * (2 * p - 2 * d))
        if left == right:
            continue
        wrong = {
            height: "that is the size with the padding p = d. Here it is another.",
            height + n * (2 * p - 2): "that is right at dilation 1. At dilation d a 3 × 3 kernel is 2d + 1 rows tall.",
            height + n * (p - d): "both count twice, above and below.",
            height + 2 * p - 2 * d: "that is one convolution. The next one starts from what it leaves.",
            height + n * (2 * p - 2 * d): "fewer than no rows cannot come out: return 0.",
            height + 2 * p - 2 * d * n: "every convolution pads, not the first alone.",
        }
        hint = wrong.get(left, f"{right} come out. Each convolution turns H rows into H + 2p − 2d.")
        raise Wrong(f"for H = {height}, p = {p}, d = {d}, n = {n} you answer {left}: {hint}")


def _number(function, *arguments: int) -> float:
    """What the reader's function answers, refused unless it is a number."""
    if not callable(function):
        raise Wrong(f"expected a function, got {type(function).__name__}.")
    answer = function(*arguments)
    if answer is None or answer is ...:
        raise Wrong("your function returns nothing yet.")
    return float(answer) if float(answer) != int(answer) else int(answer)


@exercise("bam-output")
def check_output(output) -> None:
    """output(x, M_c, M_s): (B, C, H, W), (B, C), (B, H, W) -> (B, C, H, W), what BAM makes of x."""
    for b, c, h, w in ((2, 5, 3, 4), (3, 3, 3, 3), (1, 4, 2, 6)):
        x, M_c, M_s = 1 + torch.rand(b, c, h, w), 2 * torch.randn(b, c), 2 * torch.randn(b, h, w)
        y = call(output, x, M_c, M_s)
        expect_shape(y, (b, c, h, w), "(B, C, H, W)")
        if not same(y, x + x * torch.sigmoid(M_c[:, :, None, None] + M_s[:, None])):
            raise Wrong(_what_is_wrong(y, x, M_c, M_s))


def _what_is_wrong(y: Tensor, x: Tensor, M_c: Tensor, M_s: Tensor) -> str:
    """The sentence for a wrong output: recognise the usual slips by the numbers they give."""
    c, s = M_c[:, :, None, None], M_s[:, None]
    added = c + s
    if same(y, x * torch.sigmoid(added)):
        return "your gates are right, but BAM keeps the input: it returns x + x · M."
    for combined in (x * torch.sigmoid(c * s), x + x * torch.sigmoid(c * s)):
        if same(y, combined):
            return "you multiply the logits, as the published code does. The paper adds them."
    for combined in (c.sigmoid() + s.sigmoid(), c.sigmoid() * s.sigmoid()):
        if same(y, x + x * combined) or same(y, x * combined):
            return "you take a sigmoid of each branch. There is one sigmoid, and it comes after the sum."
    if same(y, x + torch.sigmoid(added)):
        return "you add the gates to x. Gates multiply: add x · M."
    if same(y, x + x * added):
        return "the sigmoid is missing: your factor can be negative."
    if x.shape[0] == x.shape[1] and same(y, x + x * torch.sigmoid(c + M_s)):
        return ("M_s lacks its axis for the channels. Broadcasting lines its first axis, the pictures, up with the "
                "channels, and does not complain when B = C.")
    if x.shape[1] == x.shape[3] and same(y, x + x * torch.sigmoid(M_c[:, None, None] + s)):
        return ("M_c lies along the columns of the picture: its channels have to stand on axis 1. Broadcasting does "
                "not complain when C = W.")
    worst = (y - x - x * torch.sigmoid(added)).abs().max().item()
    return f"your result differs from x + x · σ(M_c + M_s) by up to {worst:.2f}."
