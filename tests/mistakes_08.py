"""Mistakes that people make in the exercises of chapter 08, and a part of the sentence that each must get."""

import math

import numpy as np
import torch


def _position(tokens=None, scores=None, axis=-1, values=None, back=None, finish=None):
    """A `position_attention` with one step replaced."""
    def position_attention(x, W_Q, W_K, W_V, alpha):
        c = x.shape[1]
        X = tokens(x) if tokens else x.flatten(2).transpose(1, 2)
        S = (X @ W_Q.T) @ (X @ W_K.T).transpose(-2, -1)
        A = (scores(S, c) if scores else S).softmax(axis)
        read = A @ (values(X) if values else X @ W_V.T)
        read = back(read, x) if back else read.transpose(1, 2).reshape(x.shape)
        return finish(x, read, alpha) if finish else x + alpha * read

    return position_attention


def _all_pictures_at_once(x, W_Q, W_K, W_V, alpha):
    b, c, h, w = x.shape
    X = x.flatten(2).transpose(1, 2).flatten(0, 1)                        # (B·N, C)
    read = (X @ W_Q.T @ (X @ W_K.T).T).softmax(-1) @ (X @ W_V.T)
    return x + alpha * read.reshape(b, h, w, c).permute(0, 3, 1, 2)


def _columns_first(x, W_Q, W_K, W_V, alpha):
    return _position()(x.transpose(2, 3), W_Q, W_K, W_V, alpha)


def _transposed_matrices(x, W_Q, W_K, W_V, alpha):
    return _position()(x, W_Q.T, W_K.T, W_V.T, alpha)


def _channel(change=lambda T: T, axis=-1, finish=lambda x, read, beta: x + beta * read):
    """A `channel_attention` with one step replaced."""
    def channel_attention(x, beta):
        F = x.flatten(2)
        read = change(F @ F.transpose(1, 2)).softmax(axis) @ F
        return finish(x, read.reshape(x.shape), beta)

    return channel_attention


def _published_sign(x, beta):
    return _channel(lambda T: T.amax(-1, keepdim=True) - T)(x, beta)


def _places(x, beta):
    F = x.flatten(2)
    return x + beta * (F @ (F.transpose(1, 2) @ F).softmax(-1).transpose(1, 2)).reshape(x.shape)


def _divides_by_root_n(x, beta):
    return _channel(lambda T: T / math.sqrt(x.shape[2] * x.shape[3]))(x, beta)


def _mean_over_places(x, beta):
    return _channel(lambda T: T / (x.shape[2] * x.shape[3]))(x, beta)


def _over_the_batch(x, beta):
    F = x.transpose(0, 1).flatten(1)                                     # (C, B·N): all pictures in one row
    return x + beta * ((F @ F.T).softmax(-1) @ F).reshape(x.shape[1], x.shape[0], *x.shape[2:]).transpose(0, 1)


def _unit_length(x, beta):
    unit = x.flatten(2)
    unit = unit / unit.norm(dim=2, keepdim=True)
    return x + beta * ((unit @ unit.transpose(1, 2)).softmax(-1) @ x.flatten(2)).reshape(x.shape)


MISTAKES = {
    "danet-position": [
        (_position(tokens=lambda x: x.reshape(len(x), -1, x.shape[1]),
                   back=lambda read, x: read.reshape(x.shape)), "your tokens are not places"),
        (_position(back=lambda read, x: read.reshape(x.shape)), "relabelled instead of moved"),
        (_position(back=lambda read, x: read.transpose(1, 2).reshape(
            *x.shape[:2], x.shape[3], x.shape[2]).transpose(2, 3)), "come back in another order"),
        (_columns_first, "rows and columns have changed places"),
        (_position(axis=1), "not the queries j"),
        (_position(scores=lambda S, c: S.transpose(1, 2)), "queries and keys have changed roles"),
        (_position(scores=lambda S, c: S / math.sqrt(c)), "does not divide the scores"),
        (_position(finish=lambda x, read, alpha: alpha * read), "The input is still to be added"),
        (_position(finish=lambda x, read, alpha: x + read), "α is missing"),
        (_position(values=lambda X: X), "the values are missing"),
        (_transposed_matrices, "the wrong way round"),
        (_all_pictures_at_once, "with the other pictures of the batch"),
    ],
    "danet-channel": [
        (_published_sign, "the sign is that of the published code"),
        (_channel(axis=1), "row j belongs to the channel that reads"),
        (_places, "you compare places"),
        (_channel(finish=lambda x, read, beta: beta * read), "The input is still to be added"),
        (_channel(finish=lambda x, read, beta: x + read), "β is missing"),
        (_divides_by_root_n, "divided by √N"),
        (_mean_over_places, "divided by N"),
        (_unit_length, "scaled to length 1"),
        (_over_the_batch, "with the other pictures of the batch"),
    ],
    "danet-sign": [
        (lambda P: 1 - P, "one minus a weight is not yet a weight"),
        (lambda P: (1 - P) / (1 - P).sum(1, keepdim=True), "1 − P turns the order round"),
        (lambda P: 1 / P, "divide each by its sum"),
        (lambda P: (1 / P) / (1 / P).sum(0), "your columns sum to 1"),
        (lambda P: (-P).softmax(1), "take the logarithm of P first"),
        (lambda P: (P.amax(1, keepdim=True) - P).softmax(1), "take the logarithm of P first"),
        (lambda P: P.log().softmax(1), "Where is the minus"),
        (lambda P: P.T, "a transpose changes who reads"),
    ],
    "danet-start": [
        ("a", "the upstream gradient times what was read"),
        ("c", "W_V acts only through"),
        ("d", "so their gradients are zero"),
        (0, "choose one of the letters"),
    ],
    "danet-cost": [
        (lambda C, H, W: (4 * H * W * C**2, 6 * H * W * C**2 + 4 * (H * W)**2 * C), "have changed places"),
        (lambda C, H, W: (3 * H * W * C**2 + 2 * (H * W)**2 * C, 4 * H * W * C**2), "an addition are two"),
        (lambda C, H, W: (4 * (H * W)**2 * C, 4 * H * W * C**2), "lacks the three projections"),
        (lambda C, H, W: (6 * H * W * C**2 + 2 * (H * W)**2 * C, 4 * H * W * C**2), "averaging the values as much"),
        (lambda C, H, W: (6 * H * C**2 + 4 * H**2 * C, 4 * H * C**2), "a feature map has H · W places"),
        (lambda C, H, W: (6 * H * W * C**2 + 4 * (H * W)**2 * C, 4 * (H * W)**2 * C), "its table is C × C"),
        (lambda C, H, W: (6 * H * W * C**2 + 4 * (H * W)**2 * C, 2 * H * W * C**2), "reading with them as much"),
        (lambda C, H, W: (6 * H * W * C**2 + 4 * (H * W)**2 * C, 10 * H * W * C**2), "it has none"),
        (lambda C, H, W: 4 * (H * W)**2 * C, "expected 2 numbers"),
    ],
}

RIGHT = {
    "danet-start": ["(b)", "b)", "B."],
    "danet-cost": [lambda C, H, W: np.array([6 * H * W * C**2 + 4 * (H * W)**2 * C, 4 * H * W * C**2]),
                   lambda C, H, W: torch.tensor([6 * H * W * C**2 + 4 * (H * W)**2 * C, 4 * H * W * C**2])],
}
