"""Scores: how often a network is right, and how much of an attention map lies where it should."""

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from attention_lite.lab.scenes import Scenes
from attention_lite.lab.training import pictures


@torch.no_grad()
def predictions(net: nn.Module, scenes: Scenes, batch: int = 250) -> Tensor:
    """The class that `net` gives each scene: (n,)."""
    parts = [net(pictures(scenes[i:i + batch])).argmax(1) for i in range(0, len(scenes), batch)]
    return torch.cat(parts)


def accuracy(net: nn.Module, scenes: Scenes) -> float:
    """The share of scenes that `net` reads right."""
    return (predictions(net, scenes) == scenes.answer).float().mean().item()


def on_grid(mask: Tensor, grid: tuple[int, int]) -> Tensor:
    """Which places of a grid an object covers by more than 15 %: (…, S, S) in [0, 1] -> bool (…, h, w)."""
    flat = mask.reshape(-1, 1, *mask.shape[-2:])
    return (F.adaptive_avg_pool2d(flat, grid) > 0.15).reshape(*mask.shape[:-2], *grid)


def mass_on(weights: Tensor, where: Tensor) -> Tensor:
    """How much of each map lies on the object: (…, h, w) maps that sum to one, bool (…, h, w) -> (…).

    A uniform map scores the object's share of the area.
    """
    return (weights * where).sum((-2, -1))


def peak_on(weights: Tensor, where: Tensor) -> Tensor:
    """Whether each map's largest value lies on the object (the "pointing game"): bool (…)."""
    peak = weights.flatten(-2).argmax(-1, keepdim=True)
    return where.expand(weights.shape).flatten(-2).gather(-1, peak)[..., 0]


def query_maps(weights: Tensor, queries: Tensor, grid: tuple[int, int]) -> Tensor:
    """The mean map of a group of queries: weights (n, h, N, N), queries bool (n, rows, columns) -> (n, h, rows, columns).

    A scene whose group is empty (an object too small for the grid) gets a map of zeros.
    """
    share = queries.flatten(1).float()
    share = share / share.sum(1, keepdim=True).clamp(min=1)
    return torch.einsum("nq,nhqk->nhk", share, weights).unflatten(-1, grid)


def explained_variance(gates: Tensor, group: Tensor) -> float:
    """The share of the gates' variance, (n, C), that lies between groups, (n,), rather than within them (eta squared)."""
    total = ((gates - gates.mean(0)) ** 2).mean(0).sum()
    between = sum(((gates[group == g].mean(0) - gates.mean(0)) ** 2 * (group == g).float().mean()).sum()
                  for g in group.unique())
    return (between / total).item()
