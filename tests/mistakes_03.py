"""Mistakes that people make in the exercises of chapter 03, and a part of the sentence that each must get."""

from fractions import Fraction

import numpy as np
import torch

DIGIT = [98, 110, 109, 97, 123, 112, 111, 100]       # places of the digit, those first that cost most when shut

MISTAKES = {
    "cbam-level": [("a", "did fall"), ("c", "all three fall"), ("d", "take the digit away"),
                   ("e", "choose one of the letters")],
    "cbam-blind": [
        ([], "with 0 places shut"),
        ("all", "expected a list of numbers"),
        ([144], "the numbers 0 to 143"),
        ([(8, 2), (9, 2)], "expected a number"),
        (DIGIT[:4], "their neighbours have seen it"),
        (range(12), "beside the digit"),
        ([12 * (n % 12) + n // 12 for n in DIGIT], "have changed places"),
        ([n + 13 for n in DIGIT], "counts rows and columns from 1"),
        ([n + 1 for n in DIGIT], "counts columns from 1"),
        ([n + 12 for n in DIGIT], "counts rows from 1"),
        ([74, 75, 85, 86, 87, 97, 98, 99, 110, 111, 122, 123], "their neighbours have seen it"),
        (range(144), "12 will do"),
    ],
    "cbam-relabel": [
        (lambda kernel: kernel.clone(), "as it came"),
        (lambda kernel: kernel.flip((2, 3)), "leave the two planes"),
        (lambda kernel: kernel.flip((1, 2, 3)), "have changed places"),
        (lambda kernel: kernel.transpose(2, 3), "rows and columns"),
        (lambda kernel: 2 * kernel, "numbers themselves"),
        (lambda kernel: -kernel, "change the sign"),
        (lambda kernel: kernel.flip(2), "turn the rows round"),
        (lambda kernel: kernel[:, :1], "expected (1, 2, k, k)"),
    ],
    "cbam-parameters": [
        (lambda C, r, k: 2 * C * C // r + k * k, "two planes, one for each"),
        (lambda C, r, k: 4 * C * C // r + 2 * k * k, "two pairs"),
        (lambda C, r, k: 2 * C * C // r, "channel gate alone"),
        (lambda C, r, k: 2 * C * C // r + 2 * k * k + 1, "a bias of the convolution"),
        (lambda C, r, k: 2 * C * C // r + C * k * k, "not all C channels"),
        (lambda C, r, k: f"{2 * C * C // r + 2 * k * k}", "Leave the quotes out"),
        (lambda C, r, k: 7, "which both pools share"),
        (lambda C, r, k: C * C // r + 2 * k * k, "one of the two matrices"),
    ],
}

RIGHT = {
    "cbam-parameters": [lambda C, r, k: Fraction(2 * C * C, r) + 2 * k * k, lambda C, r, k: 2 * C * C / r + 2 * k**2.0],
    "cbam-level": ["(b)", "b.", " B "],
    "cbam-blind": [set(DIGIT), np.array(DIGIT), torch.tensor(DIGIT), tuple(DIGIT)],
    "cbam-relabel": [lambda kernel: kernel.numpy()[:, ::-1]],
}
