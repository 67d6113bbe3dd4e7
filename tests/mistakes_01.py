"""Mistakes that people make in the exercises of chapter 01, and a part of the sentence that each must get."""

import torch


def _excite(z, W1, W2):
    return torch.sigmoid(torch.relu(z @ W1.T) @ W2.T)


def _no_relu(x, W1, W2):
    return torch.sigmoid(x.mean((2, 3)) @ W1.T @ W2.T)


def _raw_scores(x, W1, W2):
    return torch.relu(x.mean((2, 3)) @ W1.T) @ W2.T


def _add(x, s):
    return x + s[:, :, None, None]


def _last_axis(x, s):
    # What broadcasting does with (B, 1, 1, C) where W = C; elsewhere the shapes do not even fit.
    return x * s[:, None, None, :] if x.shape[3] == s.shape[1] else x * s[:, :, None, None]


def _bare_product(x, s):
    return x * s if x.shape[2:] == s.shape else x * s[:, :, None, None]


def _in_place(x, s):
    return x.mul_(s[:, :, None, None])


MISTAKES = {
    "se-shift": [("a", "change places"), ("c", "through z alone"), ("d", "choose one of the letters")],
    "se-criticise": [
        ("a", "lets the channel pass"), ("b", "one number for the whole picture"), ("d", "each on its own")],
    "se-gates": [
        (lambda x, W1, W2: _excite(x.sum((2, 3)), W1, W2), "takes the sum"),
        (lambda x, W1, W2: _excite(x.amax((2, 3)), W1, W2), "takes the largest value"),
        (lambda x, W1, W2: _excite(x.mean((0, 2, 3)).expand(len(x), -1), W1, W2), "over the whole batch"),
        (_raw_scores, "the sigmoid is missing"),
        (lambda x, W1, W2: _raw_scores(x, W1, W2).softmax(1), "that is a softmax"),
        (_no_relu, "the ReLU between"),
        (lambda x, W1, W2: torch.sigmoid(torch.relu(_raw_scores(x, W1, W2))), "a ReLU too many"),
        (lambda x, W1, W2: x.mean((2, 3)), "differ from"),
        (lambda x, W1, W2: _excite(x.mean(1), W1, W2), "your code stopped with"),
    ],
    "se-scale": [
        (_add, "A gate multiplies"),
        (_last_axis, "each column of the picture"),
        (_bare_product, "broadcasting aligns the last axes"),
        (_in_place, "changes its input"),
        (lambda x, s: x * s.softmax(1)[:, :, None, None], "normalise the gates once more"),
        (lambda x, s: s, "(B, C, H, W)"),
    ],
    "se-parameters": [
        (lambda C, r: C * C // r, "one of the two layers"),
        (lambda C, r: 2 * C * C // r + C + C // r, "count biases"),
        (lambda C, r: 2 * C * C, "forget the reduction"),
        (lambda C, r: 2 * (C // r) ** 2, "not (C / r)²"),
    ],
}
