"""Mistakes that people make in the exercises of chapter 08, and a part of the sentence that each must get."""

import numpy as np
import torch

MISTAKES = {
    "danet-sharper": [
        ("a", "which channel has the largest score"),
        ("b", "another one for that"),
        ("c", "how much was there left to sharpen"),
        (4, "choose one of the letters"),
    ],
    "danet-zero": [
        ("a", "both numbers are IoU"),
        ("b", "needs no more scenes"),
        ("d", "take the same thing away"),
        ("e", "choose one of the letters"),
    ],
    "danet-sign": [
        (lambda P: 1 - P, "one minus a weight is not yet a weight"),
        (lambda P: (1 - P) / (1 - P).sum(1, keepdim=True), "1 − P turns the order round"),
        (lambda P: 1 / P, "divide each by its sum"),
        (lambda P: (1 / P) / (1 / P).sum(0), "your columns sum to 1"),
        (lambda P: (-P).softmax(1), "take the logarithm of P first"),
        (lambda P: (P.amax(1, keepdim=True) - P).softmax(1), "take the logarithm of P first"),
        (lambda P: P.log().softmax(1), "Where is the minus"),
        (lambda P: P.T, "a transpose changes who reads"),
    ],
    "danet-start": [
        ("a", "the upstream gradient times what was read"),
        ("c", "W_V acts only through"),
        ("d", "so their gradients are zero"),
        (0, "choose one of the letters"),
    ],
    "danet-cost": [
        (lambda C, H, W: (4 * H * W * C**2, 6 * H * W * C**2 + 4 * (H * W)**2 * C), "have changed places"),
        (lambda C, H, W: (3 * H * W * C**2 + 2 * (H * W)**2 * C, 4 * H * W * C**2), "an addition are two"),
        (lambda C, H, W: (4 * (H * W)**2 * C, 4 * H * W * C**2), "lacks the three projections"),
        (lambda C, H, W: (6 * H * W * C**2 + 2 * (H * W)**2 * C, 4 * H * W * C**2), "averaging the values as much"),
        (lambda C, H, W: (6 * H * C**2 + 4 * H**2 * C, 4 * H * C**2), "a feature map has H · W places"),
        (lambda C, H, W: (6 * H * W * C**2 + 4 * (H * W)**2 * C, 4 * (H * W)**2 * C), "its table is C × C"),
        (lambda C, H, W: (6 * H * W * C**2 + 4 * (H * W)**2 * C, 2 * H * W * C**2), "reading with them as much"),
        (lambda C, H, W: (6 * H * W * C**2 + 4 * (H * W)**2 * C, 10 * H * W * C**2), "it has none"),
        (lambda C, H, W: 4 * (H * W)**2 * C, "expected 2 numbers"),
    ],
}

RIGHT = {
    "danet-sharper": ["(d)", "D", "d."],
    "danet-zero": ["(c)", "C", "c) They have never met it."],
    "danet-start": ["(b)", "b)", "B."],
    "danet-cost": [lambda C, H, W: np.array([6 * H * W * C**2 + 4 * (H * W)**2 * C, 4 * H * W * C**2]),
                   lambda C, H, W: torch.tensor([6 * H * W * C**2 + 4 * (H * W)**2 * C, 4 * H * W * C**2])],
}
