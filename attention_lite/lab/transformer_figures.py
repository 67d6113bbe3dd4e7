"""Figures of a vision transformer's maps, as chapter 12 shows them; what they show is from `transformer_maps`."""

from collections.abc import Mapping, Sequence
from typing import Any

from torch import Tensor

from attention_lite import figures
from attention_lite.extras import extra
from attention_lite.lab import regions, truth_results
from attention_lite.lab.transformer_maps import image
from attention_lite.lab.truth import GRID, SIDE

with extra("book"):
    import matplotlib.pyplot as plt
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

RIGHT, WRONG = figures.CYCLE[:2]


def show(weights: Mapping[str, Tensor], limit: float, photograph: str, query: Sequence[int] = (),
         outlined: Sequence[str] = (), label: str = "weight") -> Figure:
    """Maps of one photograph by their titles, {title: (side, side)}, glowing over it, in rows of up to three.

    Args:
        limit: the weight at which the colours end.
        query: patches to mark by a white dot, numbered row by row.
        outlined: names of regions to outline in white.
        label: what the colour bar is of.

    Returns the figure.
    """
    columns = min(len(weights), 3)
    width = 5.4 / columns
    figure, axes = figures.panels(-(-len(weights) // columns), columns, width=width, height=0.85 * width + 0.4)
    for ax in axes.flat[len(weights):]:
        ax.remove()
    shown = axes.flat[:len(weights)]
    for ax, (title, values) in zip(shown, weights.items(), strict=True):
        heat = figures.glow(ax, image(photograph)[0].permute(1, 2, 0), values, limit, title)
        _outline(ax, photograph, outlined, SIDE)
        side = values.shape[-1]
        for place in query:
            row, column = divmod(int(place), side)
            _dot(ax, (column + 0.5) * SIDE / side - 0.5, (row + 0.5) * SIDE / side - 0.5)
    figures.colour_bar(figure, heat, shown, label, extend="max")
    return figure


def patch_and_place(pixels: Tensor, patch: int, alike: Tensor) -> None:
    """A photograph (1, 3, 224, 224) under its grid, a patch in large, how alike its place is to all others', (N,)."""
    figure, axes = figures.panels(1, 3, width=1.85, height=2.1)
    shown, size = pixels[0].permute(1, 2, 0), SIDE // GRID
    figures.picture(axes[0, 0], shown, f"{GRID} × {GRID} patches")
    for line in range(0, SIDE + 1, size):
        axes[0, 0].axvline(line - 0.5, color="white", linewidth=0.5)
        axes[0, 0].axhline(line - 0.5, color="white", linewidth=0.5)
    row, column = divmod(patch, GRID)
    top, left = size * row, size * column
    axes[0, 0].add_patch(plt.Rectangle((left - 0.5, top - 0.5), size, size, fill=False, edgecolor=WRONG, linewidth=2))
    figures.picture(axes[0, 1], shown[top:top + size, left:left + size], f"patch {patch}")
    heat = figures.heat(axes[0, 2], alike.reshape(GRID, GRID), (-1, 1), "its place", "PuOr")
    _dot(axes[0, 2], column, row)
    figures.colour_bar(figure, heat, axes[0, 2], "cosine")


def dots(kinds: Sequence[str], values: Tensor, label: str) -> None:
    """A line a kind: a dot a photograph, a bar at the mean; values (photographs, kinds)."""
    _, ax = plt.subplots(figsize=(figures.WIDTH, 0.5 * len(kinds) + 0.9))
    for y, column in enumerate(values.T):
        ax.plot(column, [y] * len(column), "o", color=RIGHT, alpha=0.4)
        ax.plot(column.mean(), y, "|", color="black", markersize=20)
    ax.set_yticks(range(len(kinds)), [kind.replace("another ", "another\n") for kind in kinds])
    ax.set(ylim=(len(kinds) - 0.5, -0.5), xlabel=label)


def distances(trained: Tensor, untrained: Tensor, uniform: float, roles: Mapping[tuple[int, int], str]) -> None:
    """How far each head looks, in patches, in the trained network and an untrained one.

    Args:
        trained, untrained: (layers, heads).
        uniform: how far uniform weights look.
        roles: (layer, head) -> the marker of a head that shall stand out, beside others of its layer.
    """
    _, ax = plt.subplots(figsize=(figures.WIDTH, 3.4))
    layers = range(len(trained))
    for layer, row in enumerate(trained):
        apart = [head for of, head in roles if of == layer]
        for head, far in enumerate(row):
            if head in apart:
                x = layer + 0.5 * (apart.index(head) - (len(apart) - 1) / 2)
                ax.plot(x, far, roles[layer, head], color="black", markersize=10)
            else:
                ax.plot(layer, far, "o", color=RIGHT, markersize=6)
    ax.plot(layers, trained.mean(1), color=RIGHT, label="mean of the heads")
    ax.plot(layers, untrained.mean(1), "x", color=WRONG, label="untrained")
    ax.axhline(uniform, color="0.4", linewidth=1, linestyle="--", label="uniform")
    ax.set(xlabel="layer", ylabel="mean distance (patches)", ylim=(0, 11), xticks=layers)
    ax.legend(ncols=3, loc="upper center")


def partners(results: Mapping[str, Any], called: Mapping[str, str]) -> None:
    """Lift on the far partner of heads named on the other half, beside two controls: a line a photograph.

    Args:
        results: as `truth_results.load` gives them.
        called: photograph -> what a reader calls it.
    """
    figure, ax = plt.subplots(figsize=(figures.WIDTH, 4.4))
    y, ticks = 0, []
    for row in results["held_out"]:
        for name, value in row["network"]["lifts"].items():
            cross, = ax.plot(row[truth_results.LIKENESS]["lifts"][name], y, "x", color=WRONG)
            wrong, = ax.plot(row[truth_results.ELSEWHERE]["lifts"][name], y, "o", color="0.55", markerfacecolor="white")
            dot, = ax.plot(value, y, "o", color=RIGHT)
            ticks.append(f"{called[name]} ({row['layer']}, {row['head']})")
            y += 1
    ax.axvline(1, color="0.4", linewidth=1, linestyle="--")
    ax.set_xscale("log")
    ax.set_xticks([0.5, 1, 2, 5, 10, 20], ["0.5", "1", "2", "5", "10", "20"])
    ax.minorticks_off()
    ax.set_yticks(range(y), ticks)
    ax.set(xlabel="lift (1: uniform weights)", ylim=(y - 0.5, -0.5))
    figure.legend([dot, wrong, cross], ["named on the other half", "its maps of wrong pictures",
                                        "likeness of colour"], loc="outside upper center", ncols=2)


def _dot(ax: Axes, x: float, y: float) -> None:
    ax.plot(x, y, "o", color="white", markeredgecolor="black", markersize=5)


def _outline(ax: Axes, photograph: str, names: Sequence[str], size: int) -> None:
    """The regions of a photograph in white, on axes whose unit is 1 / size of its side."""
    for name in names:
        corners = [[size * v - 0.5 for v in corner] for corner in regions.region(photograph, name)]
        ax.add_patch(plt.Polygon(corners, fill=False, edgecolor="white"))
