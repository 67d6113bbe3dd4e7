"""Mistakes that people make in the exercises of chapter 04, and a part of the sentence that each must get."""

import numpy as np
import torch

MOVED = [12 * i + j for i in (2, 6, 10) for j in (3, 7, 11)]

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
    "bam-moves": [
        ([27], "to the sides, too"),
        ([12 * i + j for i in (1, 2, 3) for j in (2, 3, 4)], "these are its neighbours"),
        ([12 * i + j for i in range(5) for j in range(1, 6)], "places around it"),
        ([27, 31, 75, 79], "two in a row"),
        ([12 * i + j for i in range(11) for j in range(12)], "it is a sieve"),
        (range(144), "all 144 cannot be"),
        ([12 * j + i for i in (2, 6, 10) for j in (3, 7, 11)], "have changed places"),
        ([v + 13 for v in MOVED if v < 130 and v % 12 < 11] + [40, 44, 48], "of yours stay. Place"),
        (MOVED[:8], "1 of the places that move is missing. Take up to two steps"),
        ([*MOVED, 0], "1 of yours stays where it is. Place (0, 0)"),
        ([v + 1 for v in MOVED], "number the places from 1"),
        ([v for v in MOVED if v != 27], "the place itself moves"),
        ([27, 31, 35, 75, 123], "that is a cross"),
        ([27, 75, 123], "step from row to row."),
        ([27, 31, 35], "step from column to column."),
        ([(2, 3)], "expected a number"),
    ],
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
    "bam-best": [("a", "from training to training"), ("b", "a fair control"), ("c", "difference between trainings"),
                 ("e", "choose one of the letters")],
}

RIGHT = {
    "bam-best": ["(d)", "d)", "D.", "d"],
    "bam-moves": [set(MOVED), np.array(MOVED), torch.tensor(MOVED)],
    "bam-window": [lambda n, d: np.int32(1) + 2 * np.int32(n) * d, lambda n, d: torch.tensor(2.0 * n * d + 1)],
}
