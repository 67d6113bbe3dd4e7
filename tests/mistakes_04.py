"""Mistakes that people make in the exercises of chapter 04, and a part of the sentence that each must get."""

import numpy as np
import torch


def _logits(M_c, M_s):
    return M_c[:, :, None, None], M_s[:, None]


def _no_input(x, M_c, M_s):
    return x * torch.sigmoid(sum(_logits(M_c, M_s)))


def _product(x, M_c, M_s):
    c, s = _logits(M_c, M_s)
    return x + x * torch.sigmoid(c * s)


def _two_sigmoids(x, M_c, M_s):
    c, s = _logits(M_c, M_s)
    return x + x * torch.sigmoid(c) * torch.sigmoid(s)


def _gates_added(x, M_c, M_s):
    return x + torch.sigmoid(sum(_logits(M_c, M_s)))


def _no_sigmoid(x, M_c, M_s):
    return x + x * sum(_logits(M_c, M_s))


def _broadcast_alone(x, M_c, M_s):
    return x + x * torch.sigmoid(M_c[:, :, None, None] + M_s)


def _places_without_axis(x, M_c, M_s):
    # What broadcasting does where B = C; elsewhere the shapes do not even fit.
    c, s = _logits(M_c, M_s)
    return x + x * torch.sigmoid(c + (M_s if x.shape[0] == x.shape[1] else s))


def _channels_on_columns(x, M_c, M_s):
    c, s = _logits(M_c, M_s)
    return x + x * torch.sigmoid((M_c[:, None, None] if x.shape[1] == x.shape[3] else c) + s)


MISTAKES = {
    "bam-window": [
        (lambda n, d: n * d + 1, "*either* side"),
        (lambda n, d: 2 * n * d, "counts too"),
        (lambda n, d: n * (2 * d + 1), "windows overlap"),
        (lambda n, d: (2 * d + 1) ** n, "do not multiply"),
        (lambda n, d: 2 * n + 1, "window at dilation 1."),
        (lambda n, d: 2 * d + 1, "of one layer"),
        (lambda n, d: (2 * n + 1) ** 2, "seen at dilation 1"),
        (lambda n, d: 0, "step back layer by layer"),
        (lambda n, d: None, "returns nothing yet"),
        (7, "expected a function"),
    ],
    "bam-output": [
        (_no_input, "keeps the input"),
        (_product, "as the published code does"),
        (_two_sigmoids, "a sigmoid of each branch"),
        (_gates_added, "Gates multiply"),
        (_no_sigmoid, "can be negative"),
        (_places_without_axis, "lacks its axis"),
        (_broadcast_alone, "lacks its axis"),
        (_channels_on_columns, "along the columns"),
        (lambda x, M_c, M_s: x, "differs from"),
        (lambda x, M_c, M_s: M_c, "(B, C, H, W)"),
    ],
    "bam-range": [("a", "adds the gated map"), ("b", "range of one BAM"), ("d", "the factor of each BAM is 1")],
    "bam-rows": [
        (lambda H, p, d, n: H, "the padding p = d"),
        (lambda H, p, d, n: H + n * (2 * p - 2), "right at dilation 1."),
        (lambda H, p, d, n: max(0, H + n * (2 * p - 2)), "right at dilation 1 alone"),
        (lambda H, p, d, n: H + n * (p - d), ": both count twice"),
        (lambda H, p, d, n: H + 2 * p - 2 * d, "one convolution. The"),
        (lambda H, p, d, n: H + n * (2 * p - 2 * d), "return 0"),
        (lambda H, p, d, n: H + 2 * p - 2 * d * n, "every convolution pads"),
        (lambda H, p, d, n: H / 2, "Each convolution turns"),
    ],
    "bam-criticise": [
        ("a", "need not sum to one"), ("c", "24 × 24 places"), ("d", "speaks for the claim")],
}

RIGHT = {
    "bam-range": ["(c)", "c)", "C.", "c"],
    "bam-window": [lambda n, d: np.int32(1) + 2 * np.int32(n) * d, lambda n, d: torch.tensor(2.0 * n * d + 1)],
}
