"""Figures of chapter 08: what networks paint, from where its branches read, and what each training needs."""

from collections.abc import Mapping, Sequence

import torch
from torch import Tensor

from attention_lite import figures
from attention_lite.extras import extra
from attention_lite.lab import scoring
from attention_lite.lab.scenes import READER_SCALE, Scenes, for_readers, masks, target_mask

with extra("book"):
    import matplotlib.pyplot as plt

DARK = 0.25                         # how much light is left where nothing is painted
MARKS = "os^Dv"                     # one a training


def painted(scenes: Scenes, rows: Mapping[str, Tensor]) -> None:
    """Scenes in columns, and below each a row for each region (n, S, S), by name: only what is painted stays light.

    The number above each is its IoU with the digit that is asked for.
    """
    crisp = for_readers(scenes)
    _, axes = figures.panels(len(rows) + 1, len(scenes), 1.75, 1.75)
    for ax, image in zip(axes[0], crisp, strict=True):
        figures.picture(ax, image)
    for line, (name, region) in zip(axes[1:], rows.items(), strict=True):
        light = region.repeat_interleave(READER_SCALE, 1).repeat_interleave(READER_SCALE, 2)[..., None]
        fits = scoring.overlap(region, target_mask(scenes) > 0.5)
        for ax, image, fit in zip(line, crisp * (DARK + (1 - DARK) * light), fits, strict=True):
            figures.picture(ax, image, f"{fit:.2f}")
        _name(line[0], name)
    plt.show()


def reading(scene: Scenes, weights: Tensor, digits: Sequence[int], limit: float = 0.2) -> None:
    """The picture, and where the places of each of these digits read, on average: weights (N, N)."""
    grid = (round(len(weights) ** 0.5),) * 2
    where, crisp = scoring.on_grid(masks(scene), grid)[0], for_readers(scene)[0]
    figure, axes = figures.panels(1, 1 + len(digits), 1.83, 2.1)
    figures.picture(axes[0, 0], crisp, "the picture")
    for ax, digit in zip(axes[0, 1:], digits, strict=True):
        read = scoring.query_maps(weights[None, None], where[None, digit], grid)[0, 0]
        shown = figures.glow(ax, crisp, read, limit, f"the {int(scene.label[0, digit])} reads")
    figures.colour_bar(figure, shown, axes, "weight", extend="max")
    plt.show()


def tables(weights: Tensor, names: Sequence[str], most: int = 10, limit: float = 0.5) -> None:
    """The first table of weights between channels, (n, C, C), and how much each channel is read in all n, by name.

    The channels that are read most come first.
    """
    read = weights.mean(1)                                             # (n, C)
    order = read.amax(0).argsort(descending=True)
    figure, (left, right) = plt.subplots(1, 2, figsize=(5.8, 2.4), width_ratios=(1, 1.1))
    figures.heat(left, weights[0][:, order][order], (0, limit), names[0])
    shown = figures.heat(right, read[:, order[:most]], (0, limit), "how much it is read")
    right.set_axis_on()
    right.set(aspect="auto", yticks=range(len(names)), yticklabels=names, xticks=[], xlabel=f"{most} channels")
    figures.colour_bar(figure, shown, (left, right), "weight", extend="max")
    plt.show()


def channel(scene: Scenes, maps: Mapping[str, Tensor], names: Sequence[str], limit: float = 3.0) -> None:
    """Maps (rows, N) of one channel, by title, a row for each name, with the outlines of the scene's digits."""
    figure, axes = figures.panels(len(names), len(maps), 1.75, 1.75)
    grid = (round(next(iter(maps.values())).shape[1] ** 0.5),) * 2
    for i, (line, name) in enumerate(zip(axes, names, strict=True)):
        _name(line[0], name)
        for ax, map_ in zip(line, maps.values(), strict=True):
            shown = figures.heat(ax, map_[i].unflatten(0, grid), (-limit, limit), cmap="PuOr_r")
            for digit in masks(scene)[0] > 0.5:
                figures.outline(ax, digit, grid, "black")
    for ax, title in zip(axes[0], maps, strict=True):
        ax.set_title(title)
    figures.colour_bar(figure, shown, axes, "activity", extend="both")
    plt.show()


def trainings(rows: Mapping[str, Sequence[float]], label: str, limits: tuple[float, float],
              marked: float) -> None:
    """A row for each measure, by name, and in it a mark for each training, a little apart; `marked` is drawn dotted."""
    _, ax = plt.subplots(figsize=(figures.WIDTH, 1 + 0.5 * len(rows)))
    of_trainings = torch.tensor(list(rows.values())).T.tolist()
    for i, values in enumerate(of_trainings):
        apart = 0.15 * (i - (len(of_trainings) - 1) / 2)
        ax.plot(values, [y + apart for y in range(len(rows))], MARKS[i], markersize=7, alpha=0.8, label=f"training {i}")
    for line in range(len(rows) - 1):
        ax.axhline(line + 0.5, color="0.85", linewidth=0.8, zorder=0)
    ax.axvline(marked, color="0.6", linewidth=1, linestyle=":", zorder=0)
    ax.set(xlim=limits, ylim=(len(rows) - 0.5, -0.5), yticks=range(len(rows)), yticklabels=list(rows), xlabel=label)
    ax.legend(loc="lower center", bbox_to_anchor=(0.5, 1), ncols=len(of_trainings))
    plt.show()


def dots(rows: Mapping[str, Mapping[str, Sequence[float]]], title: str, chance: float | None = None) -> None:
    """`figures.seed_dots` in a figure of its own, high enough for its rows."""
    series = len({name for row in rows.values() for name in row})
    _, ax = plt.subplots(figsize=(figures.WIDTH, 0.9 + (0.5 if series > 1 else 0.33) * len(rows)))
    figures.seed_dots(ax, rows, title, chance)
    plt.show()


def map_and_loss(dots: Mapping[str, Sequence[tuple[float, float]]], even: float) -> None:
    """A dot a training: the weight on the disc, and the IoU lost without alpha; `even` weights are drawn dotted."""
    _, ax = plt.subplots(figsize=(4.6, 2.8))
    for (name, points), mark in zip(dots.items(), MARKS, strict=False):
        ax.plot(*zip(*points, strict=True), mark, label=name, markersize=7, alpha=0.8)
    ax.axvline(even, color="0.6", linewidth=1, linestyle=":", zorder=0)
    ax.set(xlim=(-0.03, 1.03), ylim=(-0.1, 1), xlabel="weight on the disc", ylabel="IoU lost without α")
    ax.legend(loc="lower center", bbox_to_anchor=(0.5, 1), ncols=2)
    plt.show()


def _name(ax: plt.Axes, name: str) -> None:
    ax.text(-0.06, 0.5, name, transform=ax.transAxes, rotation=90, ha="right", va="center")
