"""Mistakes that people make in the exercises of chapter 09, and a part of the sentence that each must get."""

import numpy as np
import torch
import torch.nn.functional as F


def _side(side, s):
    return (side + 2 * (s // 2) - s - 1) // s + 1


def _no_padding(H, W, s):
    return tuple((side - s - 1) // s + 1 for side in (H, W))


def _floor(H, W, s):
    return H // s, W // s


def _ceil(H, W, s):
    return -(-H // s), -(-W // s)


def _no_stride(H, W, s):
    return tuple(side + 2 * (s // 2) - s for side in (H, W))


def _not_whole(H, W, s):
    return H / s, W / s


def _how_many(H, W, s):
    return _side(H, s) * _side(W, s)


def _map(x, size):
    return x.transpose(1, 2).unflatten(2, size)


def _conv(map_, w, b, s):
    return F.conv2d(map_, w, b, stride=s, padding=s // 2, groups=len(w)).flatten(2).transpose(1, 2)


def _no_norm(x, size, w, b, s):
    return _conv(_map(x, size), w, b, s)


def _view(x, size, w, b, s):
    return F.layer_norm(_conv(x.reshape(len(x), -1, *size), w, b, s), x.shape[-1:])


def _norm_first(x, size, w, b, s):
    return _conv(_map(F.layer_norm(x, x.shape[-1:]), size), w, b, s)


def _norm_over_places(x, size, w, b, s):
    return F.instance_norm(_conv(_map(x, size), w, b, s).transpose(1, 2)).transpose(1, 2)


def _still_a_map(x, size, w, b, s):
    y = F.conv2d(_map(x, size), w, b, stride=s, padding=s // 2, groups=len(w))
    return F.layer_norm(y.flatten(2).transpose(1, 2), x.shape[-1:]).transpose(1, 2)


def _no_bias(x, size, w, b, s):
    return F.layer_norm(_conv(_map(x, size), w, None, s), x.shape[-1:])


def _unpadded(x, size, w, b, s):
    y = F.conv2d(_map(x, size), w, b, stride=s, groups=len(w)).flatten(2).transpose(1, 2)
    return F.layer_norm(y, x.shape[-1:])


def _half_the_kernel(x, size, w, b, s):
    k = w.shape[-1]
    y = F.conv2d(_map(x, size), w, b, stride=s, padding=k // 2, groups=len(w)).flatten(2).transpose(1, 2)
    return F.layer_norm(y, x.shape[-1:])


def _mixed(S, T):
    return torch.einsum("mg,bgij->bmij", T, S)


def _no_instance_norm(S, T):
    return _mixed(S, T).softmax(-1)


def _mixes_weights(S, T):
    return F.instance_norm(_mixed(S.softmax(-1), T))


def _transposed(S, T):
    return F.instance_norm(_mixed(S, T.T).softmax(-1))


def _over_queries(S, T):
    return F.instance_norm(_mixed(S, T).softmax(-2))


def _row_by_row(S, T):
    return F.layer_norm(_mixed(S, T).softmax(-1), S.shape[-1:])


def _all_heads(S, T):
    return F.layer_norm(_mixed(S, T).softmax(-1), S.shape[1:])


def _norm_before(S, T):
    return F.instance_norm(_mixed(S, T)).softmax(-1)


def _no_mixing(S, T):
    return F.instance_norm(S.softmax(-1))


def _ratio(fits):
    """A mistaken `least_ratio`: the first power of two for which fits(H, W, h, megabytes, s)."""
    def least_ratio(H, W, h, megabytes):
        return next(2**i for i in range(11) if fits(H, W, h, megabytes * 1e6, 2**i))

    return least_ratio


def _keys(H, W, s):
    return H * W if s == 1 else _side(H, s) * _side(W, s)


MISTAKES = {
    "emsa-size": [
        (_no_padding, "without padding the last ones have no room"),
        (_floor, "Write out where the windows begin"),
        (_ceil, "an odd one is padded by less"),
        (_no_stride, "the stride is missing"),
        (_not_whole, "sizes are whole numbers"),
        (_how_many, "expected 2 numbers"),
    ],
    "emsa-reduce": [
        (_no_norm, "the layer norm over the channels is still to come"),
        (_view, "without moving a number"),
        (_norm_first, "the norm comes last"),
        (_norm_over_places, "normalises each token over its channels"),
        (_still_a_map, "the channels come second"),
        (_no_bias, "the bias b of the convolution is missing"),
        (_unpadded, "there is no padding"),
        (_half_the_kernel, "is another number when s is odd"),
    ],
    "emsa-transform": [
        (_no_instance_norm, "the instance norm is missing"),
        (_mixes_weights, "It is the scores that are mixed"),
        (_transposed, "your matrix is transposed"),
        (_over_queries, "your softmax runs over the queries"),
        (_row_by_row, "all queries together"),
        (_all_heads, "Each head's map has its own spread"),
        (_norm_before, "take the softmax afterwards"),
        (_no_mixing, "the heads are not mixed"),
    ],
    "emsa-shift": [
        ("a", "What does a row sum to now"),
        ("c", "take the constant out of the sum"),
        ("d", "No value has a say in them"),
        (0, "choose one of the letters"),
    ],
    "emsa-ratio": [
        (_ratio(lambda H, W, h, b, s: 4 * H * W * _keys(H, W, s) <= b), "each head has a map of its own"),
        (_ratio(lambda H, W, h, b, s: h * H * W * _keys(H, W, s) <= b), "a weight takes 4 bytes"),
        (_ratio(lambda H, W, h, b, s: 4 * h * _keys(H, W, s) ** 2 <= b), "the queries are not shrunken"),
        (_ratio(lambda H, W, h, b, s: 4 * h * (H * W) ** 2 / s <= b), "by about s², not by s"),
        (_ratio(lambda H, W, h, b, s: 4 * h * H * W * _side(H, s) * _side(W, s) <= b), "keeps all H · W keys"),
        (_ratio(lambda H, W, h, b, s: 4 * h * H * W * (H * W / s**2) <= b), "not H W / s²"),
        (_ratio(lambda H, W, h, b, s: 4 * h * H * W * (H // s) * (W // s) <= b), "not that of H // s times W // s"),
        (_ratio(lambda H, W, h, b, s: 4 * h * H * H * _keys(H, H, s) <= b), "not H²"),
        (_ratio(lambda H, W, h, b, s: 4 * h * H * W * _keys(H, W, s) * 1e6 / 2**20 <= b), "not 2^20"),
    ],
}

RIGHT = {
    "emsa-shift": ["(b)", "b)", "B."],
    "emsa-size": [lambda H, W, s: np.array([_side(H, s), _side(W, s)]), lambda H, W, s: [_side(H, s), _side(W, s)],
                  lambda H, W, s: torch.empty(_side(H, s), _side(W, s)).shape],
    "emsa-ratio": [lambda H, W, h, megabytes: np.int64(
        _ratio(lambda H, W, h, b, s: 4 * h * H * W * _keys(H, W, s) <= b)(H, W, h, megabytes))],
}
