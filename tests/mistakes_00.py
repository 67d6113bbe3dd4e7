"""Mistakes that readers make in the exercises of chapter 00, each with a part of the sentence it should get."""

import math

import torch


def _no_maximum(scores):
    e = torch.exp(scores)
    return e / e.sum(dim=-1, keepdim=True)


def _one_maximum_for_all(scores):
    e = torch.exp(scores - scores.max())
    return e / e.sum(dim=-1, keepdim=True)


def _two_axes_only(scores):
    e = torch.exp(scores - scores.max(dim=-1, keepdim=True).values)
    return e / e.sum(dim=1, keepdim=True)


def _shifted(by):
    def softmax(scores):
        e = torch.exp(scores - by(scores))
        return e / e.sum(dim=-1, keepdim=True)

    return softmax


def _one_row_is_right(scores):
    """Weights whose first row sums to one and whose second does not quite."""
    A = scores.softmax(-1)
    A[1:] *= 1.0009
    return A


MISTAKES = {
    "average-softmax": [
        (_no_maximum, "Subtract the largest score of each row first"),
        (_one_maximum_for_all, "not the largest of all"),
        (lambda s: s.softmax(0), "Did you normalise over the queries?"),
        (lambda s: torch.exp(s - s.max(-1, keepdim=True).values), "sum to 3; they"),
        (lambda s: s / s.sum(-1, keepdim=True), "Is it exp(score)"),
        (lambda s: (-s).softmax(-1), "Is it exp(score)"),
        (_two_axes_only, "on scores with three axes"),
        (_shifted(lambda s: s.mean(-1, keepdim=True)), "not its mean, smallest or first"),
        (_shifted(lambda s: s.amin(-1, keepdim=True)), "not its mean, smallest or first"),
        (_shifted(lambda s: s[..., :1]), "not its mean, smallest or first"),
        (_shifted(lambda s: s.median(-1, keepdim=True).values), "not its mean, smallest or first"),
        (_one_row_is_right, "the weights of row 1 sum to 1.0009"),
    ],
    "average-elsewhere": [
        ("a", "has a large even share"), ("c", "Where do they fall"), ("d", "always looked at the same spots"),
        (2, "choose one of the letters"),
    ],
    "average-light": [
        ({"doubled": "distance", "lifted": "distance"}, "twice as far apart"),
        ({"doubled": "dot", "lifted": "distance"}, "= 4 q·k"),
        ({"doubled": "cosine", "lifted": "dot"}, "bright keys gain"),
        ({"doubled": "cosine", "lifted": "cosine"}, "changes the angles"),
        ({"doubled": ..., "lifted": "distance"}, "there is no answer here yet"),
        ({"doubled": "euclid", "lifted": "distance"}, "choose one of"),
        ("cosine", "expected {"),
    ],
    "average-criticise": [
        ("a", "a lower temperature sharpens every map"),
        ("b", "not one weight"),
        ("d", "Change the cause you suspect"),
        (math.pi, "choose one of the letters"),
    ],
}

RIGHT = {
    "average-light": [{"doubled": "Cosine", "lifted": "Distance"}, {"lifted": " distance", "doubled": '"cosine"'}],
    "average-softmax": [lambda s: torch.exp(s - torch.logsumexp(s, -1, keepdim=True)),
                        lambda s: s.double().softmax(-1).numpy()],
}
