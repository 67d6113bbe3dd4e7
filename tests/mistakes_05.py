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
    "sk-twins": [("a", "still differ"), ("b", "not their sum"), ("d", "mix a thing with itself")],
    "sk-criticise": [("a", "too weak, not wrong"), ("b", "not how often"), ("c", "in a bad proportion"),
                     ("e", "choose one of the letters")],
    "sk-match": [(0.25, "made the ink the same"), (1, "only the size is left"), (0.8, "too strong"), (0.1, "too faint"),
                 (2, "divide the other way round"), (-0.5, "between 0 and 1, got -0.5."), (50, "per cent"),
                 (0, "no digit left"), (0.396, "the weight itself"), (0.707, "take the root")],
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
    "sk-twins": ["(c)", "c)", "C."],
    "sk-match": [np.float32(0.5), torch.tensor(0.5)],
    "sk-leak": [lambda select, z, rows: np.bool_(max(
        (select(z, rows)[i] - select(z[i:i + 1], rows)[0]).abs().max().item() for i in range(len(z))) > 1e-4)],
}
