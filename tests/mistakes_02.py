"""Mistakes that people make in the exercises of chapter 02, and a part of the sentence that each must get."""

import math
from fractions import Fraction

import numpy as np
import torch
import torch.nn.functional as F

from attention_lite.eca import adaptive_kernel_size


def _sums(z, w, mode="constant"):
    p = len(w) // 2
    return F.conv1d(F.pad(z[:, None], (p, p), mode=mode), w[None, None])[:, 0]


def _gates(z, w, mode="constant"):
    return torch.sigmoid(_sums(z, w, mode))


def _without_padding(x, w):
    return torch.sigmoid(F.conv1d(x.mean((2, 3))[:, None], w[None, None])[:, 0])


def _odd(t):
    return int(t) if int(t) % 2 else int(t) + 1


def _t(C):
    return (math.log2(C) + 1) / 2


MISTAKES = {
    "eca-flip": [("a", "change sides"), ("b", "from which side"), ("e", "choose one of the letters")],
    "eca-criticise": [("a", "the line itself"), ("c", "the same k channels"), ("d", "true of every squeeze")],
    "eca-gates": [
        (lambda x, w: _gates(x.sum((2, 3)), w), "takes the sum"),
        (lambda x, w: _gates(x.amax((2, 3)), w), "takes the largest value"),
        (lambda x, w: _gates(x.mean((0, 2, 3)).expand(len(x), -1), w), "over the whole batch"),
        (lambda x, w: _sums(x.mean((2, 3)), w), "the sigmoid is missing"),
        (lambda x, w: _sums(x.mean((2, 3)), w).softmax(1), "that is a softmax"),
        (lambda x, w: _gates(x.mean((2, 3)), w.flip(0)), "from its far end"),
        (lambda x, w: _gates(x.mean((2, 3)), w, "circular"), "form a ring"),
        (lambda x, w: _gates(x.mean((2, 3)), w, "replicate"), "repeat the channels"),
        (_without_padding, "at both ends"),
        (lambda x, w: torch.sigmoid(x.mean((2, 3))), "w has no say"),
        (lambda x, w: torch.sigmoid(2 * x.mean((2, 3))), "differ from"),
        (lambda x, w: torch.sigmoid(_sums(x.mean((2, 3)).T, w).T), "along the pictures of the batch"),
        (lambda x, w: x.mean(1), "(B, C)"),
        (lambda x, w: F.conv1d(x.mean((2, 3)), w), "your code stopped with"),
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
    "eca-parameters": [
        (lambda stages: sum(adaptive_kernel_size(c) for _, c in stages), "a kernel of its own"),
        (lambda stages: sum(n * c * adaptive_kernel_size(c) for n, c in stages), "all channels share one"),
        (lambda stages: sum(n * (1 + adaptive_kernel_size(c)) for n, c in stages), "count biases"),
        (lambda stages: sum(n * 2 * c * c // 16 for n, c in stages), "SE's two matrices"),
        (lambda stages: sum(n * (3 if c == 256 else adaptive_kernel_size(c)) for n, c in stages), "pass by hand"),
        (lambda stages: sum(n * adaptive_kernel_size(c) for c, n in {c: n for n, c in stages}.items()), "equally wide"),
        (lambda stages: sum(c * adaptive_kernel_size(n) for n, c in stages), "you read the pairs as"),
    ],
}

RIGHT = {
    "eca-flip": ["(c)", "c)", "C.", "(c) When the kernel reads the same from both ends."],
    "eca-kernel": [lambda C: np.int64(adaptive_kernel_size(C)), lambda C: torch.tensor([adaptive_kernel_size(C)]),
                   lambda C: Fraction(adaptive_kernel_size(C))],
    "eca-parameters": [lambda stages: np.sum([n * adaptive_kernel_size(c) for n, c in stages])],
}
