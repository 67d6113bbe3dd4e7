"""Mistakes that people make in the exercises of chapter 10, and a part of the sentence that each must get."""

import math

from attention_lite.exercises.external import _network
from attention_lite.lab import CuedSearch, ask_for, pictures
from attention_lite.lab.experiments.sums import log_sums


def _head(X, M_k, M_v):
    return (X @ M_k.T).log_softmax(0).softmax(1) @ M_v


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


def _sums_of_another_disc(which):
    """{number: log Z} of the chapter's scene: the two sums that differ most from those under the red disc."""
    net, scene = _network()[0], CuedSearch("test").sample(6, seed=9)[2:3]
    red, other = (log_sums(net, net.stem(pictures(ask_for(scene, digit)))).detach().flatten() for digit in (0, which))
    return {int(n): float(other[n]) for n in (other - red).abs().argsort(descending=True)[:2]}


GREEN, MAGENTA = _sums_of_another_disc(1), _sums_of_another_disc(2)
RED = {9: 10.79}                         # under the chapter's own disc; under a green one it is 6.53


MISTAKES = {
    "external-loud": [
        ("a", "a row can change and still sum to 1"),
        ("b", "each column is a softmax over the places"),
        (3, "choose one of the letters"),
    ],
    "external-places": [
        ("a", "nothing for or against the ones"),
        ("c", "what the block is measured against"),
        ("d", "Which sums would mislead"),
        ("where", "choose one of the letters"),
    ],
    "external-forge": [
        ([5, 9], "expected a dictionary"),
        ({5: 8.0, 9: 9.0, 63: 3.0}, "2 will do"),
        ({128: 1.0}, "the numbers 0 to 127"),
        ({0: 5.0}, "hardly differs"),
        ({5: 10.81}, "still reads the red 9"),
        ({9: 0.0}, "but not by so much"),
        ({9: 1e300}, "is smaller than under a red one; yours is larger"),
        ({}, "is empty"),
        (MAGENTA, "a magenta disc"),
        (dict.fromkeys(GREEN, 1e3), "but not by so much"),
        ({9: RED[9]}, "have these values already"),
        ({9: math.exp(6.5)}, "give Z itself"),
        ({9: 6.5 - RED[9]}, "give how far a sum moves"),
        ({10: 6.5}, "counted from 0"),
        ({4 * 9 + 0: 6.5}, "not 4 × slot + head"),
        ({(0, 9): 6.5}, "got (0, 9)"),
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


RIGHT = {
    "external-loud": ["(c)", "c)", "C."],
    "external-places": ["(b)", "B"],
    "external-forge": [GREEN, {float(n): value for n, value in GREEN.items()}],
}
