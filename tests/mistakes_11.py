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
    "cost-eca": [(80, "a kernel of 3 in the first stage"), (22, "one block a stage"), (74, "not down"),
                 (100, "add n · k"), ("86", "Leave the quotes out"), (True, "got bool True")],
    "cost-cbam": [
        (lambda C, r, k: 2 * C * C // r + k * k, "reads two maps"),
        (lambda C, r, k: 4 * C * C // r + 2 * k * k, "Both pools share one"),
        (lambda C, r, k: 2 * C * C // r, "forget the spatial gate"),
        (lambda C, r, k: 2 * C * C // r + C + C // r + 2 * k * k, "count biases"),
        (lambda C, r, k: 2 * C * C // r + 2 * C * k * k, "not all C channels"),
        (lambda C, r, k: None, "returns nothing yet"),
    ],
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
    "cost-eca": [86.0, np.array([86]), Fraction(86), torch.tensor(86)],
    "cost-criticise": ["(b)", "b)", "B."],
    "cost-pairs": [lambda d, s: Fraction(d) * (1 + s * s)],
    "compare-interval": [lambda values: torch.tensor(values).std() * 2.776 / math.sqrt(5)],
}
