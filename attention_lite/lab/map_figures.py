"""Figures of chapters 01 to 04: what gates let pass, gates of places with their pictures, and pictures painted over.

And one of the page with two more mechanisms: photographs, lit by SimAM.
"""

from collections.abc import Mapping, Sequence

import numpy as np
import torch
from torch import Tensor, nn

from attention_lite import SimAM, figures
from attention_lite.extras import extra
from attention_lite.lab import photographs
from attention_lite.lab.experiments import painted_over
from attention_lite.lab.scenes import Scenes, for_readers, masks
from attention_lite.lab.training import pictures

with extra("book"):
    import matplotlib.pyplot as plt


def passing(framed: Sequence[Scenes], features: Tensor, gates: Tensor, channels: Sequence[int], limit: float) -> None:
    """A column for each of one scene's frames: the picture, and below what passes of some channels, with their gates.

    Args:
        framed: the scene in each of n frames.
        features: what the block gets, (n, C, h, w).
        gates: of the channels, (n, C).
        channels: numbers of those that are shown.
        limit: the activity at which the colours end.
    """
    figure, axes = figures.panels(1 + len(channels), len(framed), figures.WIDTH / len(framed), 1.8)
    for scene, x, s, column in zip(framed, features, gates, axes.T, strict=True):
        figures.picture(column[0], for_readers(scene)[0])
        for c, ax in zip(channels, column[1:], strict=True):
            shown = figures.heat(ax, s[c] * x[c], (0, limit), f"{c}: gate {s[c]:.2f}", "magma")
            for digit in masks(scene)[0] > 0.5:
                figures.outline(ax, digit, tuple(x.shape[1:]))
    figures.colour_bar(figure, shown, axes[1:], "what passes", extend="max")
    plt.show()


def beside_pictures(scenes: Scenes, maps: Mapping[str, Tensor], label: str,
                    limits: tuple[float, float] = (0, 1), side: float = 1.4) -> None:
    """A row for each scene: the picture, and maps of it, (n, h, w), with the digit's outline; one scale for all."""
    figure, axes = figures.panels(len(scenes), 1 + len(maps), side, side)
    images, digits = for_readers(scenes), masks(scenes)[:, 0] > 0.5
    for i, row in enumerate(axes):
        figures.picture(row[0], images[i])
        for ax, (name, values) in zip(row[1:], maps.items(), strict=True):
            shown = figures.heat(ax, values[i], limits, name if i == 0 else "")
            figures.outline(ax, digits[i], tuple(values.shape[1:]), "black")
    figures.colour_bar(figure, shown, axes, label)
    plt.show()


def lit(scene: Scenes, gates: Tensor, passes: Tensor) -> None:
    """Gates of one scene's places (h, w), the picture with each place as bright as its gate, and what passes (h, w)."""
    image, digit = for_readers(scene)[0], masks(scene)[0, 0] > 0.5
    lamp = torch.kron(gates, torch.ones(len(image) // len(gates), len(image) // len(gates)))
    figure, (axes,) = figures.panels(1, 3, figures.WIDTH / 3, 2.2)
    figures.picture(axes[1], image * lamp[..., None], "lit by g")
    for ax, values, high, title, palette in ((axes[0], gates, 1, "the gates g", figures.MAP),
                                             (axes[2], passes, 2, "what passes", "magma")):
        shown = figures.heat(ax, values, (0, high), title, palette)
        figure.colorbar(shown, ax=ax, orientation="horizontal", shrink=0.9, aspect=12,
                        extend="max" if float(values.max()) > high else "neither")
        figures.outline(ax, digit, tuple(values.shape), "black" if ax is axes[0] else "white")
    plt.show()


def painted(scene: Scenes, orders: Mapping[str, Tensor]) -> None:
    """One scene, painted over where each order, (1, h, w), is lowest, and below where it is highest."""
    image = for_readers(scene).permute(0, 3, 1, 2)
    _, axes = figures.panels(2, len(orders), 1.83, 1.9)
    for column, (name, order) in zip(axes.T, orders.items(), strict=True):
        for ax, share, lowest in zip(column, (painted_over.LOWEST, painted_over.HIGHEST), (True, False), strict=True):
            kept = painted_over.painted(torch.ones_like(image), order, share, lowest)
            figures.picture(ax, (image * kept + 0.5 * (1 - kept))[0].permute(1, 2, 0), name if lowest else "")
    plt.show()


def several(columns: int, *panels: tuple[str, Tensor, tuple[float, float], str], digit: Tensor | None = None) -> None:
    """Maps with a scale each: (title, values, limits, palette); with the outline of `digit`, (H, W), if given."""
    side = figures.WIDTH / columns
    figure, axes = figures.panels(len(panels) // columns, columns, side, side + 0.35)
    for ax, (title, values, limits, palette) in zip(axes.flat, panels, strict=True):
        low, high = float(values.min()) < limits[0], float(values.max()) > limits[1]
        extend = {(0, 1): "max", (1, 0): "min", (1, 1): "both"}.get((low, high), "neither")
        shown = figures.heat(ax, values, limits, title, palette)
        figure.colorbar(shown, ax=ax, orientation="horizontal", shrink=0.9, aspect=12, extend=extend)
        if digit is not None:
            figures.outline(ax, digit, tuple(values.shape), "black")
    plt.show()


def table(maps: Mapping[str, Mapping[str, Tensor]], label: str, limits: tuple[float, float]) -> None:
    """Maps (h, w) by the names of their rows and columns, on one scale."""
    figure, axes = figures.panels(len(maps), len(next(iter(maps.values()))), 1.45, 1.5)
    for row, (name, of_row) in zip(axes, maps.items(), strict=True):
        for ax, (column, values) in zip(row, of_row.items(), strict=True):
            shown = figures.heat(ax, values, limits, f"{name}: {column}")
    figures.colour_bar(figure, shown, axes, label, extend="max")
    plt.show()


def lit_by_simam(*shown: np.ndarray) -> None:
    """Photographs, uint8 (H, W, 3), SimAM's gates of their three colours, the mean, and those of brightness alone."""
    figure, axes = figures.panels(3, len(shown), figures.WIDTH / len(shown), 1.9)
    titles = ("", "SimAM", "brightness")
    for photograph, column in zip(shown, axes.T, strict=True):
        image = photographs.picture(photograph, 224)
        grey = image.mean(1, keepdim=True)
        figures.picture(column[0], image[0].permute(1, 2, 0))
        for ax, title, x in zip(column[1:], titles[1:], (image, grey), strict=True):
            lit = figures.heat(ax, SimAM().attention(x)["channel_and_place"][0].mean(0), (0.62, 0.98), title)
    figures.colour_bar(figure, lit, axes, "mean gate")
    plt.show()


def moved_by_the_digit(net: nn.Module, scenes: Scenes, block: int = 2) -> dict[str, Tensor]:
    """How far the digit moves the mean and the maximum of each channel that the block's gates get: (C,) each.

    On average over the scenes; the unit is the standard deviation among the same scenes without a digit.
    """
    blank = scenes.replace(opacity=torch.zeros_like(scenes.opacity))
    seen, unseen = (painted_over.gated(net, pictures(some), block)[1] for some in (scenes, blank))
    pools = {"mean": lambda x: x.mean((2, 3)), "maximum": lambda x: x.amax((2, 3))}
    return {name: (pool(seen) - pool(unseen)).abs().mean(0) / pool(unseen).std(0) for name, pool in pools.items()}


def seen_from(block: nn.Module, features: Tensor, i: int, j: int) -> Tensor:
    """The places whose features move a BAM's number at place (i, j), in any picture of (n, C, h, w): bool (h, w)."""
    x = features.detach().clone().requires_grad_()
    block.attention(x)["spatial_logits"][:, i, j].sum().backward()
    return x.grad.abs().sum((0, 1)) > 0


def told_by_remainder(maps: Tensor, period: int) -> float:
    """How much of maps' variance, (n, h, w), is told by a place's row and column modulo `period`; by chance 0.

    The mean over the maps of the adjusted coefficient of determination.
    """
    height, width = maps.shape[1:]
    group = (torch.arange(height) % period)[:, None] * period + torch.arange(width) % period
    flat, group, groups, places = maps.flatten(1), group.flatten(), period ** 2, height * width
    within = sum(flat[:, group == k].var(1, correction=0) * (group == k).sum() for k in range(groups))
    return (1 - within / (places - groups) / flat.var(1)).mean().item()
