"""Mistakes that people make in the exercises of chapter 02, and a part of the sentence that each must get."""

import math
from fractions import Fraction

import numpy as np
import torch

from attention_lite.eca import adaptive_kernel_size


def _odd(t):
    return int(t) if int(t) % 2 else int(t) + 1


def _t(C):
    return (math.log2(C) + 1) / 2


MISTAKES = {
    "eca-flip": [("a", "change sides"), ("b", "from which side"), ("d", "weights are exchanged"),
                 ("e", "choose one of the letters")],
    "eca-criticise": [("a", "the line itself"), ("c", "the same k channels"), ("d", "true of every squeeze")],
    "eca-ring": [
        (range(48), "most channels keep both"), ([], "something changes"), ([0], "And the other end"),
        (np.array([47]), "And the other end"), ([0, 1, 46, 47], "whom does gate 1 hear"),
        ([0, 9, 47], "gate 9 hears its left"), ([1, 46], "across this cut"), ([0, 48], "the numbers 0 to 47"),
        ("0 and 47", "expected a list of numbers"),
    ],
    "eca-kernel": [
        (lambda C: int(_t(C)), "cut t off"),
        (lambda C: _odd((math.log(C) + 1) / 2), "to the base 2"),
        (lambda C: _odd(math.log2(C) / 2), "did you add b"),
        (lambda C: _odd(math.log2(C) / 2 + 1), "divide b by γ, too"),
        (lambda C: int((_t(C) - 1) // 2) * 2 + 1, "always round down"),
        (lambda C: math.ceil((_t(C) - 1) / 2) * 2 + 1, "always round up"),
        (lambda C: math.ceil((_t(C) - 2) / 2) * 2 + 1, "at a tie the larger"),
        (lambda C: 2 * round((_t(C) - 1) / 2) + 1, "Python's round"),
        (lambda C: 3, "for some widths only"),
        (lambda C: max(3, adaptive_kernel_size(C)), "no smallest size"),
        (lambda C: min(7, adaptive_kernel_size(C)), "no largest size"),
        (lambda C: round(_t(C)), "odd or even"),
        (lambda C: 11, "Work out t ="),
        (lambda C: str(adaptive_kernel_size(C)), "Leave the quotes out"),
    ],
}

RIGHT = {
    "eca-flip": ["(c)", "c)", "C.", "(c) When the kernel reads the same from both ends."],
    "eca-kernel": [lambda C: np.int64(adaptive_kernel_size(C)), lambda C: torch.tensor([adaptive_kernel_size(C)]),
                   lambda C: Fraction(adaptive_kernel_size(C))],
    "eca-ring": [{47, 0}, np.array([0, 47]), torch.tensor([47, 0]), (0.0, 47.0)],
}
