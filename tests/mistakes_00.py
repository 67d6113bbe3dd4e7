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


def _key_dropped_for_all(scores, values):
    return scores.masked_fill(torch.isinf(scores).any(0), -math.inf).softmax(1) @ values


def _entropy(A):
    return -torch.special.entr(A).neg().sum(-1)


def _log_without_care(A):
    return torch.exp(-(A * torch.log(A)).sum(-1))


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
    "average-attend": [
        (lambda s, v: torch.exp(s) @ v, "Divide by the sum over the keys"),
        (lambda s, v: s @ v, "Divide by the sum over the keys"),
        (lambda s, v: s.softmax(0) @ v, "You normalised over the queries (dim=0)"),
        (lambda s, v: s.softmax(1).T @ v, "you use the weights transposed"),
        (lambda s, v: s.softmax(0).T @ v, "columns of the scores as the queries"),
        (lambda s, v: s.softmax(1) @ v / len(v), "4 times too small"),
        (lambda s, v: torch.exp(s) @ v / torch.exp(s).sum(1, keepdim=True), "your averages are not numbers"),
        (lambda s, v: s.softmax(1), "expected (N_q, c)"),
        (lambda s, v: v[s.argmax(1)], "with the highest score alone"),
        (lambda s, v: (s.softmax(1) + 0.1) @ v, "your first average is"),
        (_key_dropped_for_all, "gone for all of them"),
        (lambda s, v: (s / math.sqrt(s.shape[1])).softmax(1) @ v, "divided by √N"),
    ],
    "average-places": [
        (lambda A: torch.exp(-(A * torch.log2(A.clamp(min=1e-30))).sum(-1)), "base 2"),
        (lambda A: torch.exp((A * torch.log(A.clamp(min=1e-30))).sum(-1)), "minus sign"),
        (_log_without_care, "weights of exactly 0"),
        (_entropy, "return exp(H)"),
        (lambda A: torch.exp(torch.special.entr(A).sum(0)), "one number for each key"),
        (lambda A: torch.exp(torch.special.entr(A).sum()).expand(len(A)), "You mix the queries"),
        (lambda A: 1 / (A ** 2).sum(-1), "the weights 0.7, 0.1, 0.1, 0.1 give"),
        (lambda A: torch.exp(-((A + 0.01) * torch.log(A + 0.01)).sum(-1)), "The recipe is"),
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
    "average-places": [lambda A: [math.exp(-sum(a * math.log(a) for a in row if a)) for row in A.tolist()]],
}
