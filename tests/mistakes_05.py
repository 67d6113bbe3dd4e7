"""Mistakes that people make in the exercises of chapter 05, and a part of the sentence that each must get."""

import numpy as np
import torch


def _scores(z, rows):
    return torch.einsum("bd,mcd->bmc", z, rows)


def _sums_to_one(select, z, rows):
    a = select(z, rows)
    return not torch.allclose(a.sum(1), torch.ones(len(z), rows.shape[1]))


def _first_picture_only(select, z, rows):
    return not torch.allclose(select(z, rows)[:1], select(z[:1], rows), atol=1e-5)


def _last_picture_only(select, z, rows):
    return not torch.allclose(select(z, rows)[-1:], select(z[-1:], rows), atol=1e-5)


def _ends_only(select, z, rows):
    return _first_picture_only(select, z, rows) or _last_picture_only(select, z, rows)


def _exactly(select, z, rows):
    return any(not torch.equal(select(z, rows)[i:i + 1], select(z[i:i + 1], rows)) for i in range(len(z)))


def _sums_over_the_batch(select, z, rows):
    return torch.allclose(select(z, rows).sum(0), torch.ones(rows.shape[:2]))


def _sign_turned(select, z, rows):
    return torch.allclose(select(z, rows)[:1], select(z[:1], rows), atol=1e-5)


MISTAKES = {
    "sk-twins": [("a", "still differ"), ("c", "mix a thing with itself"), ("d", "not their sum")],
    "sk-criticise": [("a", "how a softmax works"), ("c", "forced weights"), ("d", "stays flat"),
                     ("e", "choose one of the letters")],
    "sk-select": [
        (_scores, "the softmax is missing"),
        (lambda z, rows: _scores(z, rows).softmax(0), "over the batch"),
        (lambda z, rows: _scores(z, rows).softmax(2), "over the channels?"),
        (lambda z, rows: _scores(z, rows).flatten(1).softmax(1).view(len(z), len(rows), -1), "channels together"),
        (lambda z, rows: torch.sigmoid(_scores(z, rows)), "the branches compete"),
        (lambda z, rows: (-_scores(z, rows)).softmax(1), "the sign is wrong"),
        (lambda z, rows: _scores(z, rows) / _scores(z, rows).sum(1, keepdim=True), "exponentials first"),
        (lambda z, rows: _scores(z, rows).softmax(1).transpose(1, 2), "(B, M, C)"),
        (lambda z, rows: (2 * _scores(z, rows)).softmax(1), "differ from the softmax"),
    ],
    "sk-span": [
        (lambda k, d: k * d, "fewer steps"),
        (lambda k, d: d * (k - 1), "one more"),
        (lambda k, d: 2 * d + 1, "k = 3 only"),
        (lambda k, d: k + d - 1, "widen one gap"),
        (lambda k, d: k + 2 * (d - 1), "widen two gaps"),
        (lambda k, d: k, "moves the taps apart"),
        (lambda k, d: 0, "Draw the taps"),
    ],
    "sk-leak": [
        (lambda select, z, rows: True, "always says True"),
        (_last_picture_only, "only the first picture leans"),
        (_ends_only, "only the second picture leans"),
        (_exactly, "Compare with a tolerance"),
        (_sums_to_one, "you accuse a softmax over the channels"),
        (_first_picture_only, "only the last picture leans"),
        (_sums_over_the_batch, "subtracts the batch's mean"),
        (_sign_turned, "says the opposite"),
        (lambda select, z, rows: False, "always says False"),
        (lambda select, z, rows: select(z, rows) != select(z.flip(0), rows).flip(0), "return one True or False"),
    ],
}

RIGHT = {
    "sk-twins": ["(b)", "b)", "B."],
    "sk-leak": [lambda select, z, rows: np.bool_(max(
        (select(z, rows)[i] - select(z[i:i + 1], rows)[0]).abs().max().item() for i in range(len(z))) > 1e-4)],
}
