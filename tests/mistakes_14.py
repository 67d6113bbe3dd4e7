"""Mistakes that people make in the exercises of chapter 14, and a part of the sentence that each must get."""

from fractions import Fraction

import numpy as np
import torch

LINES = [15, 8]          # that cost most when shut: the fourth column and the ninth row

MISTAKES = {
    "coordinate-reach": [("a", "large in one place alone"), ("c", "easily drawn"), ("d", "not what a gate can see"),
                         ("e", "choose one of the letters")],
    "coordinate-blind": [
        ([], "with 0 lines shut"),
        ("all", "expected a list of numbers"),
        ([24], "the numbers 0 to 23"),
        ([0, 1, 23], "None of them crosses"),
        ([n + 1 for n in LINES], "counts rows and columns from 1"),
        ([(n + 12) % 24 for n in LINES], "have changed places"),
        (range(24), "3 will do"),
    ],
    "coordinate-parameters": [
        (lambda C, r: 3 * C * (C // r) + 3 * (C // r) + 2 * C, "fewer than 8"),
        (lambda C, r: 3 * C * max(8, C / r) + 3 * max(8, C / r) + 2 * C, "rounded down"),
        (lambda C, r: 4 * C * max(8, C // r) + 4 * max(8, C // r) + 2 * C, "you count two"),
        (lambda C, r: 2 * C * max(8, C // r) + 3 * max(8, C // r) + C, "F_h and F_w are two"),
        (lambda C, r: 3 * C * max(8, C // r) + 2 * max(8, C // r), "have biases, too"),
        (lambda C, r: 3 * C * max(8, C // r), "have biases, and the batch norm"),
        (lambda C, r: 3 * C * max(8, C // r) + max(8, C // r) + 2 * C, "behind the first layer has two"),
        (lambda C, r: 3 * C * max(8, C // r) + 5 * max(8, C // r) + 2 * C, "are not learned"),
        (lambda C, r: 3 * C * max(8, C // r) + 2 * max(8, C // r) + 2 * C, "one of the batch norm's two"),
        (lambda C, r: 12, "Count three layers"),
    ],
}

RIGHT = {
    "coordinate-parameters": [lambda C, r: Fraction(3 * C * max(8, C // r) + 3 * max(8, C // r) + 2 * C)],
    "coordinate-reach": ["(b)", "b.", " B "],
    "coordinate-blind": [set(LINES), np.array(LINES), torch.tensor(LINES), tuple(LINES)],
}
