"""Mistakes that people make in the exercises of chapter 06, and a part of the sentence that each must get."""

import math

import numpy as np
import torch
from torch import nn

E = math.e


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
        ("a", "not the maximum"), ("b", "single channels"), ("d", "four splits compete"),
        ("e", "choose one of the letters")],
    "psa-tilt": [
        ("b", "which kernel a channel comes from"), ("c", "a fifth of its strength"), ("d", "the rest of the network"),
        ("all of it", "choose one of the letters")],
    "psa-bounds": [
        (lambda S: (E / (E + S - 1), 1 / (1 + (S - 1) * E)), "wrong way round"),
        (lambda S: (1 / (1 + S * E), E / (E + S)), "S − 1 rivals"),
        (lambda S: (0, 1), "a softmax of any scores"),
        (lambda S: (1 / (1 + 3 * E), E / (E + 3)), "for four splits"),
        (lambda S: (1 / (S - 1 + E), E / (E + S - 1)), "for the lower bound"),
        (lambda S: (0.25, 0.25), "at the end of its range"),
        (lambda S: 0.25, "expected 2 numbers"),
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
    "psa-criticise": ["(c)", "c)", "C."],
    "psa-tilt": ["(a)", "A."],
}
