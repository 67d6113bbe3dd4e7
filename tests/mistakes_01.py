"""Mistakes that people make in the exercises of chapter 01, and a part of the sentence that each must get."""

import math

import numpy as np
import torch

# Of the channels whose mean gate changes most between the red frame and the green, those that close and that open.
CLOSING = [27, 36, 44, 32, 42, 21, 1, 18]
OPENING = [8, 26, 19, 5, 35, 24, 25]


def _third(W1, *row):
    """W1, and a W2 whose third row is `row` and whose others are zero."""
    W1 = torch.tensor(W1)
    return W1, torch.cat([torch.zeros(2, len(row)), torch.tensor([row])])


MISTAKES = {
    "se-softmax": [("a", "not their size"), ("b", "still knows the frame"), ("d", "no gate is 0"),
                   ("e", "choose one of the letters")],
    "se-control": [("b", "on more scenes"), ("c", "another seed"), ("d", "a blind choice among ten"),
                   (1, "choose one of the letters")],
    "se-gates": [
        (torch.zeros(2, 3), "expected the two matrices"),
        (("W1", "W2"), "expected a tensor"),
        (_third([[1.0, math.nan, 0.0]], 9.0), "not all finite"),
        ((torch.zeros(3, 2), torch.zeros(2, 3)), "with k hidden units"),
        (_third([[1.0, -1.0, 0.0]], 9.0), "a sum of nothing is 0"),
        (_third([[-1.0, 1.0, 0.0]], -9.0), "σ(0) = ½, not open"),
        (_third([[1.0, -1.0, 0.0], [-1.0, 1.0, 0.0]], -9.0, 9.0), "the wrong way round"),
        (_third([[1.0, -1.0, 0.0], [-1.0, 1.0, 0.0]], 1.0, -1.0), "not far enough"),
        (_third([[1.0, 0.0, 0.0], [0.0, 1.0, 0.0]], 9.0, 9.0), "close it: W2 needs both signs"),
        (_third([[1.0, 0.0, 0.0], [0.0, 1.0, 0.0]], -9.0, -9.0), "open it: W2 needs both signs"),
        (_third([[1.0, -1.0, 0.0], [1.0, -1.0, 0.0]], 9.0, -9.0), "stays at ½"),
        (_third([[1.0, -1.0, 9.0], [-1.0, 1.0, 0.0]], 9.0, -9.0), "no say here"),
        (_third([[1.0, 0.0, 0.0], [-1.0, 0.0, 0.0]], 9.0, -9.0), "hardly fires in either"),
        (_third([[1.0, 0.0, -1.0], [-1.0, 0.0, 1.0]], 9.0, -9.0), "it hears z₃, too"),
        (_third([[1.0, 0.0, 0.0], [0.0, 3.0, 0.0]], 9.0, -9.0), "hears more than their difference"),
        ((torch.tensor([[0.0, 0], [0, 0], [9, -9]]), torch.tensor([[1.0, -1, 0], [-1, 1, 0]])), "W1 is the first"),
        ((torch.tensor([[1.0, -1], [-1, 1], [0, 0]]), torch.tensor([[0.0, 0, 9], [0, 0, -9]])), "is transposed"),
        ((torch.zeros(2, 4), torch.zeros(3, 2)), "no biases here"),
        ((torch.tensor([[1.0, -1.0, 0.0]]), torch.ones(3, 1)), "one of the first two gates moves"),
    ],
    "se-fewest": [
        ("all", "expected a list of numbers"),
        (8, "expected a list of numbers"),
        ([0, 48], "the numbers 0 to 47"),
        ([2.5], "the numbers 0 to 47"),
        ([[26, 27]], "expected a number"),
        (CLOSING, "You only close gates"),
        (OPENING, "You only open gates"),
        ([8, 27, 26, 36], "in 11% of the scenes and the red in 55%"),
        (range(48), "8 will do"),
        ([8, 32, 36, 43], "these four bars"),
        ([43, 46, 38], "hardly differs"),
    ],
}

# The eight channels of the chapter's solution, and its matrices, in other forms.
EIGHT = [8, 26, 27, 36, 44, 32, 42, 19]
RIGHT = {
    "se-fewest": [set(EIGHT), np.array(EIGHT), torch.tensor(EIGHT), [float(c) for c in EIGHT]],
    "se-gates": [[[[1, -1, 0], [-1, 1, 0]], [[0, 0], [0, 0], [9, -9]]],
                 (np.array([[1.0, -1, 0], [-1, 1, 0]]), np.array([[0.0, 0], [0, 0], [9, -9]]))],
}
