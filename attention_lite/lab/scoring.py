"""Scores: how often a network is right, and how much of an attention map lies where it should.

Maps and regions may be arrays or tensors, of any float, on any device, with gradient or without; scores come on the
CPU, in float32 at least.
"""

import math
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from attention_lite.as_array import as_array
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


def overlap(region: Any, truth: Any) -> Tensor:
    """Intersection over union, IoU, of boolean regions (…, S, S): (…), in [0, 1]. Two empty regions agree: 1.

    Raises:
        ValueError: if the shapes differ or a region is not boolean.
    """
    region, truth = _tensor("region", region), _tensor("truth", truth)
    if region.dtype != torch.bool or truth.dtype != torch.bool or region.shape != truth.shape:
        got = f"{region.dtype} {tuple(region.shape)} and {truth.dtype} {tuple(truth.shape)}"
        raise ValueError(f"region and truth must be boolean and of one shape, got {got}")
    union = (region | truth).sum((-2, -1))
    return torch.where(union == 0, 1.0, (region & truth).sum((-2, -1)) / union.clamp(min=1))


def iou(net: nn.Module, scenes: Scenes) -> float:
    """The mean IoU of what `net` paints with the digit that is asked for: the pixels it covers by more than half."""
    return overlap(painted(net, scenes), target_mask(scenes) > 0.5).mean().item()


def on_grid(mask: Any, grid: tuple[int, int]) -> Tensor:
    """Which places of a grid an object covers by more than 15 %: (…, S, S) in [0, 1] -> bool (…, h, w)."""
    mask = _known("mask", mask).float()
    flat = mask.reshape(-1, 1, *mask.shape[-2:])
    return (F.adaptive_avg_pool2d(flat, grid) > 0.15).reshape(*mask.shape[:-2], *grid)


def mass_on(weights: Any, where: Any) -> Tensor:
    """How much of each map lies on the object: (…, h, w) maps that sum to one, bool (…, h, w) -> (…).

    A uniform map scores the share of the places that are True.

    Raises:
        ValueError: if `where` does not broadcast to `weights`, or a weight is NaN.
    """
    weights, where = _maps_and_region(weights, where)
    return (weights * where).sum((-2, -1))


def peak_on(weights: Any, where: Any) -> Tensor:
    """Whether each map's largest value lies on the object (the "pointing game"): 0 or 1, (…).

    Where several places share the largest value, the score is the share of them on the object: a uniform map scores
    what chance would.

    Raises:
        ValueError: if `where` does not broadcast to `weights`, or a weight is NaN.
    """
    weights, where = _maps_and_region(weights, where)
    largest = weights == weights.amax((-2, -1), keepdim=True)
    return (largest * where).sum((-2, -1)) / largest.sum((-2, -1))


def query_maps(weights: Any, queries: Any, grid: tuple[int, int]) -> Tensor:
    """The mean map of a group of queries: weights (n, h, N, N), queries bool (n, *grid) -> (n, h, *grid).

    A scene whose group is empty (an object too small for the grid) gets a map of zeros.

    Raises:
        ValueError: if weights or queries do not fit the grid, or a weight is NaN.
    """
    weights, queries = _known("weights", weights), _tensor("queries", queries)
    places = grid[0] * grid[1]
    if weights.dim() != 4 or weights.shape[2:] != (places, places):
        got = tuple(weights.shape)
        raise ValueError(f"weights must have shape (n, h, {places}, {places}) for the grid {grid}, got {got}")
    if queries.shape != (len(weights), *grid):
        raise ValueError(f"queries must have shape {(len(weights), *grid)}, got {tuple(queries.shape)}")
    share = queries.flatten(1).to(weights.dtype)
    share = share / share.sum(1, keepdim=True).clamp(min=1)
    return torch.einsum("nq,nhqk->nhk", share, weights).unflatten(-1, grid)


def key_of(side: int, key_side: int) -> Tensor:
    """For each of side × side places, row by row, the one of key_side × key_side keys that speaks for it: (side²,).

    EMSA's convolution moves its window by the ratio of the two, from a middle on the first place on: of fewer keys than
    places, a place has the key whose window's middle is nearest.
    """
    ratio = side // key_side
    nearest = ((torch.arange(side) + (ratio - 1) // 2) // ratio).clamp(max=key_side - 1)
    return (nearest[:, None] * key_side + nearest).flatten()


def spread(weights: Tensor, places: int) -> Tensor:
    """Keys' weights (…, N') shared out among the places that they stand for: (…, places). Sums stay."""
    key = key_of(math.isqrt(places), math.isqrt(weights.shape[-1])).to(weights.device)
    return (weights / key.bincount())[..., key]


def explained_variance(gates: Any, group: Any) -> float:
    """The share of the gates' variance, (n, C), that lies between groups, (n,), not within them (eta squared).

    Gates that are the same in every row have no variance that could be explained: 0.

    Raises:
        ValueError: if `group` does not hold one number for each row of `gates`, there is no row, or a gate is NaN.
    """
    gates, group = _known("gates", gates).double(), _tensor("group", group)
    if gates.dim() != 2 or group.shape != gates.shape[:1] or 0 in gates.shape:
        got = f"{tuple(gates.shape)} and {tuple(group.shape)}"
        raise ValueError(f"gates and group must have shapes (n, C) and (n,), got {got}")
    if (gates == gates[0]).all():
        return 0.0
    total = ((gates - gates.mean(0)) ** 2).mean(0).sum()
    between = sum(((gates[group == g].mean(0) - gates.mean(0)) ** 2 * (group == g).double().mean()).sum()
                  for g in group.unique())
    return (between / total).item()


def _maps_and_region(weights: Any, where: Any) -> tuple[Tensor, Tensor]:
    weights, where = _known("weights", weights), _tensor("where", where)
    last = weights.shape[weights.dim() - where.dim():]
    if where.dim() > weights.dim() or any(w not in (1, s) for w, s in zip(where.shape, last, strict=True)):
        raise ValueError(f"where must broadcast to the maps {tuple(weights.shape)}, got {tuple(where.shape)}")
    return weights, where


def _known(name: str, value: Any) -> Tensor:
    """Numbers none of which is NaN: a NaN is neither large nor small, and any score of it would be a guess."""
    numbers = _tensor(name, value)
    if numbers.sum().isnan() and numbers.isnan().any():        # the sum, which is quicker, rules it out nearly always
        unknown = int(numbers.isnan().sum())
        raise ValueError(f"{name} must hold no NaN, got {unknown} of {numbers.numel()} numbers")
    return numbers


def _tensor(name: str, value: Any) -> Tensor:
    array = as_array(name, value)
    return torch.from_numpy(array) if array.flags.writeable else torch.tensor(array)     # maps are large: no copy
