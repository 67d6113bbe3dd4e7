"""Mistakes that people make in chapter 11, and a part of the sentence that each must get."""

import math
import statistics
from fractions import Fraction

import numpy as np
import torch


def _s(values):
    return statistics.stdev(values) / math.sqrt(len(values))


MISTAKES = {
    "compare-interval": [
        (lambda v: 2.776 * statistics.pstdev(v) / math.sqrt(5), "not by n = 5"),
        (lambda v: 2.776 * statistics.stdev(v), "divide by √n"),
        (lambda v: 1.96 * _s(v), "for many trainings"),
        (lambda v: 5.552 * _s(v), "the whole width"),
        (lambda v: _s(v), "standard error"),
        (lambda v: 0.5, "Compute t · s"),
        (lambda v: None, "returns nothing yet"),
    ],
    "which-reach": [(225, "the number of pixels"), (15 / 64, "the share of a side"), (1.0, "Take the model"),
                    (49 / 4096, "7 × 7 pixels"), (0.5, "stem, block and tail"), (15, "15 is the side"),
                    (169 / 4096, "is too small"), (0.25, "is too large"), ("0.05", "Leave the quotes out"),
                    (5.49, "per cent"), (0.945, "do not move it"), (225 / 12288, "not by three times as much"),
                    (675 / 4096, "you count each of them"), (225 / 2304, "not 48 × 48"), (1 / 256, "one place of the"),
                    (1 / 4096, "that is one pixel"), (0, "some pixels do move it"), (0.75, "the frame's ring"),
                    (0.05, "rounded too far"), (224 / 4096, "stem, block and tail")],
    "cost-pairs": [
        (lambda d, s: 2 * d * s * s, "They are shrunken first"),
        (lambda d, s: d * (s + 1), "in both directions"),
        (lambda d, s: 2 * d, "that is self-attention"),
        (lambda d, s: d, "queries and output are projected as well"),
        (lambda d, s: 7, "solve for N"),
    ],
    "cost-criticise": [("a", "a batch multiplies"), ("c", "another column"), ("d", "the same base"),
                       ("x", "choose one of the letters")],
}

RIGHT = {
    "which-reach": [Fraction(225, 4096), np.float32(225 / 4096), torch.tensor(225 / 4096), 0.0549, 0.055],
    "cost-criticise": ["(b)", "b)", "B."],
    "cost-pairs": [lambda d, s: Fraction(d) * (1 + s * s)],
    "compare-interval": [lambda values: torch.tensor(values).std() * 2.776 / math.sqrt(5)],
}
