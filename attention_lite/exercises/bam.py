"""Checks of the exercises of chapter 04, bottleneck attention (BAM)."""

import torch
from torch import Tensor

from attention_lite.exercises import Wrong, call, choose, exercise, expect_shape, formula, same, slip

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


formula(
    "bam-window", "n d", [(3, 4), (2, 4), (1, 1), (2, 1), (5, 7), (1, 3)],
    lambda n, d: 2 * n * d + 1, {
        "each layer reaches d steps to *either* side of a place.": lambda n, d: n * d + 1,
        "the place itself, in the middle, counts too.": lambda n, d: 2 * n * d,
        "the windows overlap: every further layer adds 2d places, not a whole window.": lambda n, d: n * (2 * d + 1),
        "the windows overlap: every further layer adds 2d places, not a whole kernel of 3.": lambda n, d: 3 * n * d,
        "reaches add up from layer to layer; they do not multiply.": lambda n, d: (2 * d + 1) ** n,
        "reaches add up from layer to layer; they do not multiply, and a 3 × 3 kernel is not three times as wide.":
            lambda n, d: 3 ** n,
        "that is the window at dilation 1.": lambda n, d: 2 * n + 1,
        "that is the window of one layer. Each further one reaches d steps further.": lambda n, d: 2 * d + 1,
        "you count the places that are seen at dilation 1. The question is how wide their window is.":
            lambda n, d: (2 * n + 1) ** 2,
        "you count all the places of the window. The question is how wide it is.": lambda n, d: (2 * n * d + 1) ** 2,
        "that is how far it reaches to one side. The window has two sides and a middle.": lambda n, d: n * d,
        "the first layer's dilation counts too.": lambda n, d: 2 * (n - 1) * d + 3,
    }, "Draw one row, and step back layer by layer.")

formula(
    "bam-rows", "H p d n", [(20, 2, 3, 3), (7, 1, 2, 3), (14, 4, 4, 2), (10, 0, 1, 1), (5, 3, 2, 2), (5, 1, 3, 2),
                            (30, 1, 4, 2), (3, 0, 2, 2)],
    lambda H, p, d, n: max(0, H + n * (2 * p - 2 * d)), {
        "that is the size with the padding p = d. Here it is another.": lambda H, p, d, n: H,
        "that is right at dilation 1. At dilation d a 3 × 3 kernel is 2d + 1 rows tall.":
            lambda H, p, d, n: H + n * (2 * p - 2),
        "that is right at dilation 1 alone. At dilation d a 3 × 3 kernel is 2d + 1 rows tall.":
            lambda H, p, d, n: max(0, H + n * (2 * p - 2)),
        "both count twice, above and below.": lambda H, p, d, n: H + n * (p - d),
        "padding and dilation both count twice, above and below.": lambda H, p, d, n: max(0, H + n * (p - d)),
        "the padding counts twice, above and below.": lambda H, p, d, n: max(0, H + n * (p - 2 * d)),
        "that is one convolution. The next one starts from what it leaves.": lambda H, p, d, n: H + 2 * p - 2 * d,
        "that is one convolution of the n. The next one starts from what it leaves.":
            lambda H, p, d, n: max(0, H + 2 * p - 2 * d),
        "fewer than no rows cannot come out: return 0.": lambda H, p, d, n: H + n * (2 * p - 2 * d),
        "every convolution pads, not the first alone.": lambda H, p, d, n: H + 2 * p - 2 * d * n,
        "each of the n convolutions pads, not the first alone.": lambda H, p, d, n: max(0, H + 2 * p - 2 * d * n),
        "a 3 × 3 kernel at dilation d is 2d + 1 rows tall, so each convolution takes 2d rows, not 2d + 1.":
            lambda H, p, d, n: max(0, H + n * (2 * p - 2 * d - 1)),
        "a 3 × 3 kernel at dilation d is 2d + 1 rows tall, not 3d.": lambda H, p, d, n: max(
            0, H + n * (2 * p - 3 * d + 1)),
        "the padding is missing: it adds p rows above and p below.": lambda H, p, d, n: max(0, H - 2 * d * n),
        "there is nothing to return 1 for: where no window fits, no row comes out.": lambda H, p, d, n: max(
            1, H + n * (2 * p - 2 * d)),
    }, "Each convolution turns H rows into H + 2p − 2d.")


@exercise("bam-output")
def check_output(output) -> None:
    """output(x, M_c, M_s): (B, C, H, W), (B, C), (B, H, W) -> (B, C, H, W), what BAM makes of x."""
    for b, c, h, w in ((3, 3, 4, 3), (2, 5, 3, 4), (1, 4, 2, 6)):      # that in which slips of the axes fit comes first
        x, M_c, M_s = 1 + torch.rand(b, c, h, w), 2 * torch.randn(b, c), 2 * torch.randn(b, h, w)
        y = call(output, x, M_c, M_s)
        expect_shape(y, (b, c, h, w), "(B, C, H, W)")
        if not same(y, x + x * torch.sigmoid(M_c[:, :, None, None] + M_s[:, None])):
            raise Wrong(_what_is_wrong(y, x, M_c, M_s))


def _what_is_wrong(y: Tensor, x: Tensor, M_c: Tensor, M_s: Tensor) -> str:
    """The sentence for a wrong output: recognise the usual slips by the numbers they give."""
    c, s = M_c[:, :, None, None], M_s[:, None]
    M = torch.sigmoid(c + s)
    two = "you take a sigmoid of each branch. There is one sigmoid, and it comes after the sum."
    logits = "you multiply the logits, as the published code does. The paper adds them."
    slips = [
        ("your gates are right, but BAM keeps the input: it returns x + x · M.", x * M),
        (logits, x * torch.sigmoid(c * s)), (logits, x + x * torch.sigmoid(c * s)),
        (two, x * (c.sigmoid() + s.sigmoid())), (two, x + x * (c.sigmoid() + s.sigmoid())),
        (two, x * c.sigmoid() * s.sigmoid()), (two, x + x * c.sigmoid() * s.sigmoid()),
        (two, x + x * (c.sigmoid() + s.sigmoid()) / 2),
        ("you take the sigmoid twice. Once, after the sum, is enough.", x + x * (c.sigmoid() + s.sigmoid()).sigmoid()),
        ("you add the gates to x. Gates multiply: add x · M.", x + M),
        ("the sigmoid is missing: your factor can be negative.", x + x * (c + s)),
        ("the sigmoid is missing, and the input is not kept: it is x + x · σ(M_c + M_s).", x * (c + s)),
        ("the branch of the places is missing.", x + x * c.sigmoid().expand_as(x)),
        ("the branch of the channels is missing.", x + x * s.sigmoid().expand_as(x)),
        ("these are the gates M. The output is x + x · M.", M),
    ]
    if x.shape[0] == x.shape[1]:
        slips.append(("M_s lacks its axis for the channels. Broadcasting lines its first axis, the pictures, up with "
                      "the channels, and does not complain when B = C.", x + x * torch.sigmoid(c + M_s)))
    if x.shape[1] == x.shape[3]:
        slips.append(("M_c lies along the columns of the picture: its channels have to stand on axis 1. Broadcasting "
                      "does not complain when C = W.", x + x * torch.sigmoid(M_c[:, None, None] + s)))
    return slip(y, iter(slips)) or ("your result differs from x + x · σ(M_c + M_s) by up to "
                                    f"{(y - x - x * M).abs().max().item():.2f}.")
