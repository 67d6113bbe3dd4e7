"""Scores: how often a network is right, and how much of an attention map lies where it should."""

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from attention_lite.lab.scenes import Scenes, target_mask
from attention_lite.lab.training import pictures


@torch.no_grad()
def predictions(net: nn.Module, scenes: Scenes, batch: int = 250) -> Tensor:
    """The class that `net` gives each scene: (n,)."""
    parts = [net(pictures(scenes[i:i + batch])).argmax(1) for i in range(0, len(scenes), batch)]
    return torch.cat(parts)


def accuracy(net: nn.Module, scenes: Scenes) -> float:
    """The share of scenes that `net` reads right."""
    return (predictions(net, scenes) == scenes.answer).float().mean().item()


@torch.no_grad()
def painted(net: nn.Module, scenes: Scenes, batch: int = 250) -> Tensor:
    """The pixels that a segmenting `net` paints, those whose logit is above 0: bool (n, S, S)."""
    return torch.cat([net(pictures(scenes[i:i + batch])) > 0 for i in range(0, len(scenes), batch)])


def overlap(region: Tensor, truth: Tensor) -> Tensor:
    """Intersection over union, IoU, of boolean regions (…, S, S): (…), in [0, 1]. Two empty regions agree: 1.

    Raises:
        ValueError: if the shapes differ or a region is not boolean.
    """
    if region.dtype != torch.bool or truth.dtype != torch.bool or region.shape != truth.shape:
        got = f"{region.dtype} {tuple(region.shape)} and {truth.dtype} {tuple(truth.shape)}"
        raise ValueError(f"region and truth must be boolean and of one shape, got {got}")
    union = (region | truth).sum((-2, -1))
    return torch.where(union == 0, 1.0, (region & truth).sum((-2, -1)) / union.clamp(min=1))


def iou(net: nn.Module, scenes: Scenes) -> float:
    """The mean IoU of what `net` paints with the digit that is asked for: the pixels it covers by more than half."""
    return overlap(painted(net, scenes), target_mask(scenes) > 0.5).mean().item()


def on_grid(mask: Tensor, grid: tuple[int, int]) -> Tensor:
    """Which places of a grid an object covers by more than 15 %: (…, S, S) in [0, 1] -> bool (…, h, w)."""
    flat = mask.reshape(-1, 1, *mask.shape[-2:])
    return (F.adaptive_avg_pool2d(flat, grid) > 0.15).reshape(*mask.shape[:-2], *grid)


def mass_on(weights: Tensor, where: Tensor) -> Tensor:
    """How much of each map lies on the object: (…, h, w) maps that sum to one, bool (…, h, w) -> (…).

    A uniform map scores the share of the places that are True.

    Raises:
        ValueError: if `where` does not broadcast to `weights`.
    """
    _fits(where, weights)
    return (weights * where).sum((-2, -1))


def peak_on(weights: Tensor, where: Tensor) -> Tensor:
    """Whether each map's largest value lies on the object (the "pointing game"): bool (…).

    Raises:
        ValueError: if `where` does not broadcast to `weights`.
    """
    _fits(where, weights)
    peak = weights.flatten(-2).argmax(-1, keepdim=True)
    return where.expand(weights.shape).flatten(-2).gather(-1, peak)[..., 0]


def _fits(where: Tensor, weights: Tensor) -> None:
    last = weights.shape[weights.dim() - where.dim():]
    if where.dim() > weights.dim() or any(w not in (1, s) for w, s in zip(where.shape, last, strict=True)):
        raise ValueError(f"where must broadcast to the maps {tuple(weights.shape)}, got {tuple(where.shape)}")


def query_maps(weights: Tensor, queries: Tensor, grid: tuple[int, int]) -> Tensor:
    """The mean map of a group of queries: weights (n, h, N, N), queries bool (n, *grid) -> (n, h, *grid).

    A scene whose group is empty (an object too small for the grid) gets a map of zeros.

    Raises:
        ValueError: if weights or queries do not fit the grid.
    """
    places = grid[0] * grid[1]
    if weights.dim() != 4 or weights.shape[2:] != (places, places):
        got = tuple(weights.shape)
        raise ValueError(f"weights must have shape (n, h, {places}, {places}) for the grid {grid}, got {got}")
    if queries.shape != (len(weights), *grid):
        raise ValueError(f"queries must have shape {(len(weights), *grid)}, got {tuple(queries.shape)}")
    share = queries.flatten(1).float()
    share = share / share.sum(1, keepdim=True).clamp(min=1)
    return torch.einsum("nq,nhqk->nhk", share, weights).unflatten(-1, grid)


def explained_variance(gates: Tensor, group: Tensor) -> float:
    """The share of the gates' variance, (n, C), that lies between groups, (n,), not within them (eta squared).

    Raises:
        ValueError: if `group` does not hold one number for each row of `gates`.
    """
    if gates.dim() != 2 or group.shape != gates.shape[:1]:
        got = f"{tuple(gates.shape)} and {tuple(group.shape)}"
        raise ValueError(f"gates and group must have shapes (n, C) and (n,), got {got}")
    total = ((gates - gates.mean(0)) ** 2).mean(0).sum()
    between = sum(((gates[group == g].mean(0) - gates.mean(0)) ** 2 * (group == g).float().mean()).sum()
                  for g in group.unique())
    return (between / total).item()
