"""Mistakes that people make in the exercises of chapter 10, and a part of the sentence that each must get."""

from fractions import Fraction

import torch


def _over_the_slots(L):
    return L.softmax(1)


def _over_the_places(L):
    return L.softmax(0)


def _two_softmaxes(L):
    return L.softmax(0).softmax(1)


def _axes_exchanged(L):
    A = L.softmax(1)
    return A / A.sum(0, keepdim=True)


def _no_exponentials(L):
    return L / L.sum(1, keepdim=True)


def _not_finite(L):
    A = L.softmax(0)
    return A / A.sum(1, keepdim=True)


def _with_a_constant(L):
    A = L.softmax(0)
    return A / (1e-9 + A.sum(1, keepdim=True))


def _plain_exp(L):
    A = L.exp() / L.exp().sum(0)
    return A / A.sum(1, keepdim=True)


def _head(X, M_k, M_v):
    return (X @ M_k.T).log_softmax(0).softmax(1) @ M_v


def _no_W_O(X, M_k, M_v, W_O, h):
    return torch.cat([_head(part, M_k, M_v) for part in X.chunk(h, 1)], 1)


def _W_O_not_transposed(X, M_k, M_v, W_O, h):
    return _no_W_O(X, M_k, M_v, W_O, h) @ W_O


def _heads_added(X, M_k, M_v, W_O, h):
    return sum(_head(part, M_k, M_v) for part in X.chunk(h, 1))


def _view_only(X, M_k, M_v, W_O, h):
    parts = X.view(h, len(X), -1)
    return torch.cat([_head(part, M_k, M_v) for part in parts], 1) @ W_O.T


def _plain_softmax(X, M_k, M_v, W_O, h):
    return torch.cat([(part @ M_k.T).softmax(1) @ M_v for part in X.chunk(h, 1)], 1) @ W_O.T


def _one_normalisation_for_all_heads(X, M_k, M_v, W_O, h):
    everything = torch.cat([part @ M_k.T for part in X.chunk(h, 1)])
    A = everything.log_softmax(0).softmax(1)
    return torch.cat([a @ M_v for a in A.chunk(h)], 1) @ W_O.T


def _own_sums(X, M_k, M_v, log_Z):
    return _head(X, M_k, M_v)


def _sums_ignored(X, M_k, M_v, log_Z):
    return (X @ M_k.T).softmax(1) @ M_v


def _sums_added(X, M_k, M_v, log_Z):
    return (X @ M_k.T + log_Z).softmax(1) @ M_v


def _scores_divided(X, M_k, M_v, log_Z):
    return (X @ M_k.T / log_Z).softmax(1) @ M_v


def _Z_subtracted(X, M_k, M_v, log_Z):
    return (X @ M_k.T - log_Z.exp()).softmax(1) @ M_v


def _rows_do_not_sum_to_one(X, M_k, M_v, log_Z):
    return (X @ M_k.T - log_Z).exp() @ M_v


def _weights_only(X, M_k, M_v, log_Z):
    return (X @ M_k.T - log_Z).softmax(1)


def _counts(one, many=None):
    """A mistaken `operations`: `one` for a single head, `many` for several (default: the same)."""
    return lambda N, d, S, h: (many or one)(N, d, S, h) if h > 1 else one(N, d, S, h)


MISTAKES = {
    "external-normalise": [
        (_over_the_slots, "a softmax over the slots alone"),
        (_over_the_places, "the rows do not yet"),
        (_two_softmaxes, "your second step is another softmax"),
        (_axes_exchanged, "the axes are exchanged"),
        (_no_exponentials, "Exponentials come first"),
        (_not_finite, "gives 0 / 0"),
        (_plain_exp, "gives 0 / 0"),
        (_with_a_constant, "a constant in the denominator"),
    ],
    "external-loud": [
        ("a", "a row can change and still sum to 1"),
        ("b", "each column is a softmax over the places"),
        (3, "choose one of the letters"),
    ],
    "external-cost": [
        (_counts(lambda N, d, S, h: 2 * N * d * S, lambda N, d, S, h: 2 * N * d * S + N * d * d),
         "a multiplication and an addition are two"),
        (_counts(lambda N, d, S, h: 4 * N * N * d), "the cost of all pairs of places"),
        (_counts(lambda N, d, S, h: 4 * N * d * S), "right for one head"),
        (_counts(lambda N, d, S, h: 4 * N * d * S, lambda N, d, S, h: h * 4 * N * d * S + 2 * N * d * d),
         "h heads together cost what one"),
        (_counts(lambda N, d, S, h: 4 * N * d * S + 2 * N * d * d), "a single head has no projection"),
        (_counts(lambda N, d, S, h: 4 * N * d * S, lambda N, d, S, h: 2 * N * d * S + 2 * N * d * d),
         "only one of the two products"),
        (_counts(lambda N, d, S, h: 2 * N * d * S), "cost together, and W_O is missing"),
        (_counts(lambda N, d, S, h: N + d + S), "whatever h, and W_O takes"),
    ],
    "external-heads": [
        (_no_W_O, "W_O is missing"),
        (_W_O_not_transposed, "not by its transpose"),
        (_heads_added, "the width of one head"),
        (_view_only, "made of whole tokens"),
        (_plain_softmax, "Normalise twice"),
        (_one_normalisation_for_all_heads, "each head has its own"),
    ],
    "external-sums": [
        (_own_sums, "the sums of these very tokens"),
        (_sums_ignored, "log_Z changes nothing"),
        (_sums_added, "you add log_Z"),
        (_scores_divided, "you divide the scores by log_Z"),
        (_Z_subtracted, "you subtract Z itself"),
        (_rows_do_not_sum_to_one, "the second division is missing"),
        (_weights_only, "those are the weights"),
    ],
}


def _head_by_head(X, M_k, M_v, W_O, h):
    heads = _no_W_O(X, M_k, M_v, W_O, h)
    return heads if h == 1 else heads @ W_O.T            # as the chapter says: a single head has no W_O


RIGHT = {
    "external-loud": ["(c)", "c)", "C."],
    "external-heads": [_head_by_head, lambda *given: _no_W_O(*given) @ given[3].T],
    "external-cost": [lambda N, d, S, h: Fraction(4 * N * S * d, h) * h + (2 * N * d * d if h > 1 else 0)],
}
