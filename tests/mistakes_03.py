"""Mistakes that people make in the exercises of chapter 03, and a part of the sentence that each must get."""

from fractions import Fraction

import torch
import torch.nn.functional as F


def _scores(first, second, kernel):
    return F.conv2d(torch.stack([first, second], 1), kernel, padding=kernel.shape[-1] // 2)[:, 0]


def _gates(first, second, kernel):
    return torch.sigmoid(_scores(first, second, kernel))


def _softmax(x, kernel):
    scores = _scores(x.mean(1), x.amax(1), kernel)
    return scores.flatten(1).softmax(1).view_as(scores)


def _unpadded(x, kernel):
    return torch.sigmoid(F.conv2d(torch.stack([x.mean(1), x.amax(1)], 1), kernel))[:, 0]


def _mirrored(x, kernel):
    pools = F.pad(torch.stack([x.mean(1), x.amax(1)], 1), (kernel.shape[-1] // 2,) * 4, mode="reflect")
    return torch.sigmoid(F.conv2d(pools, kernel))[:, 0]


MISTAKES = {
    "cbam-max-alone": [("a", "takes a mean"), ("c", "stand out from them"), ("d", "choose one of the letters")],
    "cbam-criticise": [
        ("a", "need not sum to one"), ("b", "0.5 everywhere"), ("d", "in most pictures")],
    "cbam-places": [
        (lambda x, kernel: _gates(x.amax(1), x.mean(1), kernel), "the maximum first"),
        (lambda x, kernel: _gates(x.mean(1), x.mean(1), kernel), "the second is the maximum"),
        (lambda x, kernel: _gates(x.amax(1), x.amax(1), kernel), "the first is the mean"),
        (lambda x, kernel: _gates(x.sum(1), x.amax(1), kernel), "the sum over the channels"),
        (lambda x, kernel: _scores(x.mean(1), x.amax(1), kernel), "the sigmoid is missing"),
        (_softmax, "that is a softmax"),
        (lambda x, kernel: _gates(x.mean(1), x.amax(1), kernel.flip((2, 3))), "turned by 180°"),
        (_unpadded, "has shrunk"),
        (_mirrored, "differ from"),
        (lambda x, kernel: torch.sigmoid(x.mean((2, 3))), "(B, H, W)"),
    ],
    "cbam-relabel": [
        (lambda kernel: kernel.clone(), "as it came"),
        (lambda kernel: kernel.flip((2, 3)), "leave the two planes"),
        (lambda kernel: kernel.flip((1, 2, 3)), "have changed places"),
        (lambda kernel: kernel.transpose(2, 3), "rows and columns"),
        (lambda kernel: 2 * kernel, "numbers themselves"),
        (lambda kernel: -kernel, "change the sign"),
        (lambda kernel: kernel.flip(2), "turn the rows round"),
        (lambda kernel: kernel[:, :1], "expected (1, 2, k, k)"),
    ],
    "cbam-parameters": [
        (lambda C, r, k: 2 * C * C // r + k * k, "two planes, one for each"),
        (lambda C, r, k: 4 * C * C // r + 2 * k * k, "two pairs"),
        (lambda C, r, k: 2 * C * C // r, "channel gate alone"),
        (lambda C, r, k: 2 * C * C // r + 2 * k * k + 1, "a bias of the convolution"),
        (lambda C, r, k: 2 * C * C // r + C * k * k, "not all C channels"),
        (lambda C, r, k: f"{2 * C * C // r + 2 * k * k}", "Leave the quotes out"),
        (lambda C, r, k: 7, "which both pools share"),
        (lambda C, r, k: C * C // r + 2 * k * k, "one of the two matrices"),
    ],
}

RIGHT = {
    "cbam-parameters": [lambda C, r, k: Fraction(2 * C * C, r) + 2 * k * k, lambda C, r, k: 2 * C * C / r + 2 * k**2.0],
    "cbam-max-alone": ["(b)", "b.", " B "],
    "cbam-relabel": [lambda kernel: kernel.numpy()[:, ::-1]],
}
