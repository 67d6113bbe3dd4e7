"""Mistakes that people make in the exercises of chapter 07, and a part of the sentence that each must get."""

import copy

import torch


def _by_hand(query, key):
    """(W_Q, W_K) of four rows: what colour and kind count in the query and in the key."""
    def matrix(colour, digit, disc):
        W = torch.zeros(4, 5)
        W[:3, :3] = colour * torch.eye(3)
        W[3, 3:] = torch.tensor([digit, disc])
        return W

    return matrix(*query), matrix(*key)


def _less_blue(matrices):
    """The same, but for a blue that the query forgets."""
    W_Q = matrices[0].clone()
    W_Q[2, 2] = 0
    return W_Q, matrices[1]


def _changes_the_given(sa, T):
    with torch.no_grad():
        sa.W_Q.weight.div_(T)
    return sa


def _built(dropout=None, train=None, shared=()):
    """A `with_temperature` that is right but for another rate or mode, or parameters that it shares."""
    def with_temperature(sa, T):
        warm = copy.deepcopy(sa)
        with torch.no_grad():
            for parameter in warm.W_Q.parameters():
                parameter.div_(T)
        for name in shared:
            setattr(warm, name, getattr(sa, name))
        warm.dropout = sa.dropout if dropout is None else dropout
        return warm.train(sa.training if train is None else train)

    return with_temperature


def _scaled(factors, bias=True):
    """A mistaken `with_temperature` that multiplies the named projections by a function of T."""
    def with_temperature(sa, T):
        warm = copy.deepcopy(sa)
        with torch.no_grad():
            for name, factor in factors.items():
                layer = getattr(warm, name)
                layer.weight.mul_(factor(T))
                if bias and layer.bias is not None:
                    layer.bias.mul_(factor(T))
        return warm

    return with_temperature


MISTAKES = {
    "self-attention-by-hand": [
        (_by_hand((16.0, 0.0, 0.0), (1.0, 0.0, 0.0)), "of its weight for itself"),
        (_by_hand((16.0, 8.0, 8.0), (1.0, 1.0, 1.0)), "of its weight for itself"),
        (_by_hand((0.0, 16.0, 0.0), (0.0, 0.0, 1.0)), "but so do the others"),
        (_by_hand((2.0, 1.0, 0.0), (1.0, 0.0, 1.0)), "on the 20 places of ground"),
        (_by_hand((13.0, 3.0, 0.0), (1.0, 0.0, 1.0)), "at least 0.9 and at most 0.1"),
        (tuple(W[:, :3] for W in _by_hand((16.0, 8.0, 0.0), (1.0, 0.0, 1.0))), "with one d_k"),
        (torch.zeros(4, 5), "expected the two matrices"),
        (_by_hand((1.0, 0.0, 1.0), (16.0, 8.0, 0.0)), "in the other order"),
        (_by_hand((-16.0, -8.0, 0.0), (1.0, 0.0, 1.0)), "the wrong sign"),
        (_less_blue(_by_hand((32.0, 18.0, 0.0), (1.0, 0.0, 1.0))), "Every one of the three colours"),
    ],
    "self-attention-permute": [
        ("a", "one row for each *query*"),
        ("c", "travels with its own key"),
        ("d", "each key keeps its score"),
        (2, "choose one of the letters"),
    ],
    "self-attention-criticise": [
        ("a", "two or three hundredths"),
        ("b", "the plot has all five trainings"),
        ("c", "no less of a loss"),
    ],
    "self-attention-temperature": [
        (_changes_the_given, "changes the block that it was given"),
        (_scaled({"W_Q": lambda T: T}), "must flatten, not sharpen"),
        (_scaled({"W_Q": lambda T: 1 / T, "W_K": lambda T: 1 / T}), "not both"),
        (_scaled({"W_V": lambda T: 1 / T}), "as sharp as before"),
        (_scaled({"W_Q": lambda T: 1 / T}, bias=False), "it must be divided too"),
        (_scaled({"W_Q": lambda T: 1 / T, "W_O": lambda T: 1 / T}), "leave the values and W_O alone"),
        (_built(dropout=0.0), "drops weights at a rate"),
        (_built(train=True), "yours is in training mode"),
        (_built(train=False), "in training mode, yours is not"),
        (_built(shared=("W_V", "W_O")), "your block shares"),
    ],
}

RIGHT = {
    "self-attention-permute": ["(b)", "b)", "B."],
    "self-attention-temperature": [_built()],
    "self-attention-criticise": ["(d)", "D."],
    "self-attention-by-hand": [[W.numpy() for W in _by_hand((16.0, 8.0, 0.0), (1.0, 0.0, 1.0))],
                               _by_hand((-32.0, 18.0, 0.0), (-1.0, 0.0, 1.0))],
}
