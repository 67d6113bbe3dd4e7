"""Mistakes that people make in the exercises of chapter 06, and a part of the sentence that each must get."""

import math

import numpy as np
import torch
from torch import nn

E = math.e


def _scores(z, W1, W2):
    return torch.einsum("bsk,sck->bsc", torch.relu(torch.einsum("bsc,skc->bsk", z, W1)), W2)


def _gates(F, W1, W2):
    return torch.sigmoid(_scores(F.mean((3, 4)), W1, W2))


def _no_relu(F, W1, W2):
    hidden = torch.einsum("bsc,skc->bsk", F.mean((3, 4)), W1)
    return torch.sigmoid(torch.einsum("bsk,sck->bsc", hidden, W2)).softmax(1)


def _count(C, kernels, groups, term):
    return sum(term(k, g, C, len(kernels)) for k, g in zip(kernels, groups, strict=True))


class _Pyramid(nn.Module):
    """The correct class; the mistakes below each change one thing of it."""

    def __init__(self, channel, kernels):
        super().__init__()
        width = channel // len(kernels)
        self.convs = nn.ModuleList(nn.Conv2d(channel, width, k, padding=k // 2) for k in kernels)

    def forward(self, x):
        return torch.cat([conv(x) for conv in self.convs], 1)


class _StillAList(_Pyramid):
    def __init__(self, channel, kernels):
        super().__init__(channel, kernels)
        convs = list(self.convs)
        del self.convs
        self.convs = convs


class _StillInPlace(_Pyramid):
    def forward(self, x):
        for i, split in enumerate(x.chunk(len(self.convs), 1)):
            split.copy_(self.convs[i](x))
        return x


class _IntoACopy(_Pyramid):
    def forward(self, x):
        return _StillInPlace.forward(self, x.clone())


class _OwnPart(_Pyramid):
    def __init__(self, channel, kernels):
        super().__init__(channel, kernels)
        width = channel // len(kernels)
        self.convs = nn.ModuleList(nn.Conv2d(width, width, k, padding=k // 2) for k in kernels)


class _Added(_Pyramid):
    def forward(self, x):
        return sum(conv(x) for conv in self.convs)


class _Reversed(_Pyramid):
    def forward(self, x):
        return torch.cat([conv(x) for conv in self.convs][::-1], 1)


class _Detached(_Pyramid):
    def forward(self, x):
        head = self.convs[0](x)
        return torch.cat([head, *(conv(x).detach() for conv in self.convs[1:])], 1)


class _Nothing(_Pyramid):
    def forward(self, x):
        pass


MISTAKES = {
    "psa-criticise": [
        ("a", "not the maximum"), ("c", "four splits compete"), ("d", "single channels"),
        ("e", "choose one of the letters")],
    "psa-weights": [
        (lambda F, W1, W2: _gates(F, W1, W2).softmax(2), "over the channels of a split"),
        (lambda F, W1, W2: _gates(F, W1, W2).softmax(0), "over the batch"),
        (_gates, "still to come"),
        (lambda F, W1, W2: _scores(F.mean((3, 4)), W1, W2).softmax(1), "the sigmoid before the softmax"),
        (lambda F, W1, W2: torch.sigmoid(_scores(F.mean((3, 4)), W1, W2).softmax(1)), "the softmax first"),
        (lambda F, W1, W2: _gates(F, W1[:1].expand_as(W1), W2[:1].expand_as(W2)).softmax(1), "of the first split"),
        (_no_relu, "the ReLU between"),
        (lambda F, W1, W2: torch.sigmoid(_scores(F.sum((3, 4)), W1, W2)).softmax(1), "takes the sum"),
        (lambda F, W1, W2: torch.sigmoid(_scores(F.amax((3, 4)), W1, W2)).softmax(1), "the largest value"),
        (lambda F, W1, W2: _gates(F, W1, W2).softmax(1).mean(2), "(B, S, C/S)"),
        (lambda F, W1, W2: (2 * _gates(F, W1, W2)).softmax(1), "differ from"),
    ],
    "psa-bounds": [
        (lambda S: (E / (E + S - 1), 1 / (1 + (S - 1) * E)), "wrong way round"),
        (lambda S: (1 / (1 + S * E), E / (E + S)), "S − 1 rivals"),
        (lambda S: (0, 1), "a softmax of any scores"),
        (lambda S: (1 / (1 + 3 * E), E / (E + 3)), "for four splits"),
        (lambda S: (1 / (S - 1 + E), E / (E + S - 1)), "for the lower bound"),
        (lambda S: (0.25, 0.25), "at the end of its range"),
        (lambda S: 0.25, "expected 2 numbers"),
    ],
    "psa-parameters": [
        (lambda C, ks, gs: _count(C, ks, gs, lambda k, g, C, S: k * k * C * (C // S)), "forget the groups"),
        (lambda C, ks, gs: _count(C, ks, gs, lambda k, g, C, S: k * k * C * C // g), "C / S channels, not C"),
        (lambda C, ks, gs: _count(C, ks, gs, lambda k, g, C, S: k * k * (C // S) ** 2 // g), "its own part"),
        (lambda C, ks, gs: _count(C, ks, gs, lambda k, g, C, S: k * k * C * (C // S) // g**2), "by G twice"),
        (lambda C, ks, gs: _count(C, ks, gs, lambda k, g, C, S: k * C * (C // S) // g), "k² weights"),
        (lambda C, ks, gs: C + _count(C, ks, gs, lambda k, g, C, S: k * k * C * (C // S) // g), "count biases"),
    ],
    "psa-list": [
        (_StillAList, "inside a plain list"),
        (_StillInPlace, "writes into the map"),
        (_IntoACopy, "what the earlier ones have written"),
        (_OwnPart, "not a part of them"),
        (_Added, "(B, C, H, W)"),
        (_Reversed, "in the order of the kernels"),
        (_Detached, "gets a gradient"),
        (_Nothing, "returns nothing yet"),
        (3, "expected the class"),
    ],
}

RIGHT = {
    "psa-bounds": [lambda S: np.array([1 / (1 + (S - 1) * E), E / (E + S - 1)]),
                   lambda S: torch.tensor([1 / (1 + (S - 1) * E), E / (E + S - 1)]),
                   lambda S: (v for v in (1 / (1 + (S - 1) * E), E / (E + S - 1)))],
    "psa-list": [_Pyramid],
    "psa-criticise": ["(b)", "b)", "B."],
}
