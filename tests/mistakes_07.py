"""Mistakes that people make in the exercises of chapter 07, and a part of the sentence that each must get."""

import copy
import math

import torch


def _no_scaling(Q, K, V):
    return (Q @ K.T).softmax(-1) @ V


def _over_the_queries(Q, K, V):
    return (Q @ K.T / math.sqrt(Q.shape[-1])).softmax(0) @ V


def _divides_by_d(Q, K, V):
    return (Q @ K.T / Q.shape[-1]).softmax(-1) @ V


def _by_root_of(size):
    return lambda Q, K, V: (Q @ K.T / math.sqrt(size(Q, K, V))).softmax(-1) @ V


def _forgets_the_values(Q, K, V):
    return (Q @ K.T / math.sqrt(Q.shape[-1])).softmax(-1)


def _no_softmax(Q, K, V):
    return Q @ K.T / math.sqrt(Q.shape[-1]) @ V


def _view_only(x, h):
    return x.view(x.shape[0], h, x.shape[1], -1)


def _no_transpose(x, h):
    return x.unflatten(-1, (h, -1))


def _interleaved(x, h):
    return x.unflatten(-1, (-1, h)).permute(0, 3, 1, 2)


def _keeps_the_width(x, h):
    return x.unsqueeze(1).expand(-1, h, -1, -1)


def _after_the_softmax(scores, allowed):
    return scores.softmax(-1) * allowed


def _inverted(scores, allowed):
    return scores.masked_fill(allowed, -1e9).softmax(-1)


def _filled(low):
    return lambda scores, allowed: scores.masked_fill(~allowed, low).softmax(-1)


def _inverted_with_infinity(scores, allowed):
    return scores.masked_fill(allowed, -math.inf).softmax(-1)


def _minus_one(scores, allowed):
    return scores.masked_fill(~allowed, -1.0).softmax(-1)


def _zero_score(scores, allowed):
    return (scores * allowed).softmax(-1)


def _nothing_masked(scores, allowed):
    return scores.softmax(-1)


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
    "self-attention-head": [
        (_no_scaling, "the scaling is missing"),
        (_over_the_queries, "did you normalise over the queries"),
        (_divides_by_d, "divided by 8.00, d_k itself"),
        (_by_root_of(lambda Q, K, V: len(K)), "the root of the number of keys"),
        (_by_root_of(lambda Q, K, V: V.shape[1]), "the root of the width of the values"),
        (_forgets_the_values, "those are the weights"),
        (_no_softmax, "Did you forget the softmax"),
    ],
    "self-attention-split": [
        (_view_only, "without moving them"),
        (_no_transpose, "swap the axes N and h"),
        (_interleaved, "one in every 3"),
        (_keeps_the_width, "expected (B, h, N, d)"),
    ],
    "self-attention-mask": [
        (_after_the_softmax, "Mask before the softmax"),
        (_inverted, "lies on keys that are forbidden to it"),
        (_minus_one, "a forbidden key still gets the weight"),
        (_zero_score, "a forbidden key still gets the weight"),
        (_nothing_masked, "there is no mask"),
        (_inverted_with_infinity, "the query that may attend to every key"),
        (_filled(-100.0), "not low enough beside every score"),
        (_filled(-1000.0), "not low enough beside every score"),
        (_filled(-1e4), "not low enough beside every score"),
    ],
    "self-attention-permute": [
        ("a", "one row for each *query*"),
        ("c", "travels with its own key"),
        (2, "choose one of the letters"),
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
    "self-attention-mask": [lambda scores, allowed: scores.masked_fill(~allowed, -math.inf).softmax(-1).numpy()],
}
