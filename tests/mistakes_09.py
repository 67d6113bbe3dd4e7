"""Mistakes that people make in the exercises of chapter 09, and a part of the sentence that each must get."""

import numpy as np
import torch


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


def _multiplied(W_O, sigma):
    return W_O * sigma.repeat_interleave(W_O.shape[1] // len(sigma))


def _in_turns(W_O, sigma):
    return W_O / sigma.repeat(W_O.shape[1] // len(sigma))


def _one_for_all(W_O, sigma):
    return W_O / sigma.mean()


def _variance(W_O, sigma):
    return W_O / sigma.square().repeat_interleave(W_O.shape[1] // len(sigma))


def _right(W_O, sigma):
    return W_O / sigma.repeat_interleave(W_O.shape[1] // len(sigma))


def _turned(W_O, sigma):
    return _right(W_O, sigma).T


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
    "emsa-fold": [
        (_multiplied, "you multiply by sigma"),
        (_in_turns, "come head by head"),
        (_one_for_all, "each head has its own sigma"),
        (_variance, "divides by its root"),
        (lambda W_O, sigma: W_O, "nothing is folded in"),
        (_turned, "(C, h·d_v)"),
        (lambda W_O, sigma: W_O - sigma.repeat_interleave(W_O.shape[1] // len(sigma)), "you subtract sigma"),
        (lambda W_O, sigma: W_O / sigma.sum(), "each head has its own sigma"),
        (lambda W_O, sigma: torch.cat([W_O[:, :len(sigma)], _right(W_O, sigma)[:, len(sigma):]], 1), "column 0 by 1;"),
        (lambda W_O, sigma: W_O / sigma, "all of them need that head's factor"),
        (lambda W_O, sigma: W_O / sigma[:, None], "columns that meet the outputs of the heads, d_v a head"),
        (lambda W_O, sigma: W_O / sigma.repeat_interleave(len(W_O) // len(sigma))[:, None],
         "columns that meet the outputs of the heads."),
    ],
    "emsa-fewer": [
        ("a", "on the same 2,000 scenes"),
        ("b", "the sentence is about this one"),
        ("d", "a burden"),
        (3, "choose one of the letters"),
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
    "emsa-fold": [lambda W_O, sigma: (W_O.unflatten(1, (len(sigma), -1)) / sigma[:, None]).flatten(1),
                  lambda W_O, sigma: torch.cat([
                      part / s for part, s in zip(W_O.chunk(len(sigma), 1), sigma, strict=True)], 1)],
    "emsa-fewer": ["(c)", "C"],
    "emsa-shift": ["(b)", "b)", "B."],
    "emsa-size": [lambda H, W, s: np.array([_side(H, s), _side(W, s)]), lambda H, W, s: [_side(H, s), _side(W, s)],
                  lambda H, W, s: torch.empty(_side(H, s), _side(W, s)).shape],
    "emsa-ratio": [lambda H, W, h, megabytes: np.int64(
        _ratio(lambda H, W, h, b, s: 4 * h * H * W * _keys(H, W, s) <= b)(H, W, h, megabytes))],
}
