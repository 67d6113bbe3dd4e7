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
        (_divides_by_d, "your scores are divided by 8.00"),
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
        (_nothing_masked, "a forbidden key still gets the weight"),
    ],
    "self-attention-permute": [
        ("a", "one row for each *query*"),
        ("c", "travels with its own key"),
        (2, 'answer with "a", "b" or "c"'),
    ],
    "self-attention-temperature": [
        (_changes_the_given, "changes the block that it was given"),
        (_scaled({"W_Q": lambda T: T}), "must flatten, not sharpen"),
        (_scaled({"W_Q": lambda T: 1 / T, "W_K": lambda T: 1 / T}), "not both"),
        (_scaled({"W_V": lambda T: 1 / T}), "as sharp as before"),
        (_scaled({"W_Q": lambda T: 1 / T}, bias=False), "it must be divided too"),
        (_scaled({"W_Q": lambda T: 1 / T, "W_O": lambda T: 1 / T}), "leave the values and W_O alone"),
    ],
}
