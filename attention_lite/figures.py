"""The one style of the book's figures: sizes, colours, and maps on fixed limits with a colour bar."""

from collections.abc import Collection, Mapping, Sequence
from typing import Any

from attention_lite.extras import extra

with extra("book"):
    import matplotlib.pyplot as plt
    import numpy as np
    from matplotlib.axes import Axes
    from matplotlib.colors import LinearSegmentedColormap
    from matplotlib.figure import Figure
    from matplotlib.image import AxesImage

    from attention_lite.as_array import as_array

# Okabe and Ito's colours, distinguishable with any kind of colour vision.
CYCLE = ("#0072B2", "#D55E00", "#009E73", "#E69F00", "#56B4E9", "#CC79A7")
WIDTH = 5.5               # inches, of what shall be read on a phone
MAP = "viridis"           # weights and gates: from nothing to much
# The same over a photograph: from nothing, through which the photograph is seen, to an opaque yellow.
GLOW = LinearSegmentedColormap.from_list("glow", [(1.0, 0.4, 0.1, 0.0), (1.0, 0.6, 0.1, 0.6), (1.0, 0.95, 0.3, 1.0)])


def use_style() -> None:
    """Set matplotlib's defaults for the book, over its own ones: none of the reader's settings is left."""
    plt.rcdefaults()                      # a reader's image.origin would turn every map upside down
    plt.rcParams.update({
        "figure.dpi": 96, "savefig.dpi": 144, "savefig.bbox": "tight", "figure.facecolor": "white",
        "font.size": 11, "axes.titlesize": 11, "axes.labelsize": 11, "legend.fontsize": 11, "legend.frameon": False,
        "axes.spines.top": False, "axes.spines.right": False, "axes.prop_cycle": plt.cycler(color=CYCLE),
        "lines.linewidth": 2, "image.interpolation": "nearest", "figure.constrained_layout.use": True,
    })


def panels(rows: int, columns: int, width: float = 2.6, height: float = 2.6) -> tuple[Figure, np.ndarray]:
    """A figure of rows × columns axes, each width × height inches; the axes as an array (rows, columns)."""
    return plt.subplots(rows, columns, figsize=(columns * width, rows * height), squeeze=False)


def picture(ax: Axes, image: Any, title: str = "") -> None:
    """Show an RGB image (H, W, 3), an array or a tensor, without axes."""
    ax.imshow(as_array("image", image))
    ax.set_title(title)
    ax.set_axis_off()


def heat(ax: Axes, weights: Any, limits: tuple[float, float], title: str = "", cmap: str = MAP) -> AxesImage:
    """Show a map (h, w), an array or a tensor, on fixed limits, without axes; returns what a colour bar needs."""
    low, high = as_array("limits", limits)
    shown = ax.imshow(as_array("weights", weights), cmap=cmap, vmin=low, vmax=high)
    ax.set_title(title)
    ax.set_axis_off()
    return shown


def glow(ax: Axes, image: Any, weights: Any, limit: float, title: str = "") -> AxesImage:
    """Let the places of a photograph (H, W, 3) glow by their weights (h, w), from 0 to `limit`, over its dark greys."""
    image = as_array("image", image)
    height, width = image.shape[:2]
    grey = 0.65 * image @ np.array([0.299, 0.587, 0.114])
    ax.imshow(grey, cmap="gray", vmin=0, vmax=1)
    shown = ax.imshow(as_array("weights", weights), cmap=GLOW, vmin=0, vmax=limit,
                      extent=(-0.5, width - 0.5, height - 0.5, -0.5))
    ax.set_title(title)
    ax.set_axis_off()
    return shown


def outline(ax: Axes, mask: Any, shape: tuple[int, int], colour: str = "white") -> None:
    """Draw the edge of a boolean mask (H, W), an array or a tensor, over a map of another shape (h, w)."""
    mask = as_array("mask", mask).astype(float)
    height, width = mask.shape
    y = (np.arange(height) + 0.5) * shape[0] / height - 0.5
    x = (np.arange(width) + 0.5) * shape[1] / width - 0.5
    ax.contour(x, y, mask, levels=[0.5], colors=[colour], linewidths=1.5)


def colour_bar(figure: Figure, shown: AxesImage, axes: Axes | Sequence[Axes] | np.ndarray, label: str,
               extend: str = "neither") -> None:
    """Add a colour bar with numbers and a label beside the axes, on the dark ground of `glow`."""
    figure.colorbar(shown, ax=axes, label=label, shrink=0.85, extend=extend).ax.set_facecolor("0.25")


def strips(named: Mapping[str, Any], row_names: Sequence[str], limits: tuple[float, float], label: str,
           columns: str | Sequence[str]) -> None:
    """Show matrices (rows, n) as strips of cells under one another, on one scale with a colour bar.

    Args:
        named: title -> matrix, each of as many rows as `row_names` has names.
        row_names: what the rows are.
        limits: (low, high) of the colours.
        label: what a cell shows.
        columns: what the n columns are; or the names of the last strip's, one by one.
    """
    figure, axes = panels(len(named), 1, WIDTH, 0.35 + 0.33 * len(row_names))
    low, high = as_array("limits", limits)
    for ax, (title, values) in zip(axes[:, 0], named.items(), strict=True):
        shown = ax.imshow(as_array("values", values), cmap=MAP, vmin=low, vmax=high, aspect="auto")
        ax.set(title=title, yticks=range(len(row_names)), yticklabels=row_names, xticks=[])
    if isinstance(columns, str):
        axes[-1, 0].set_xlabel(columns)
    else:
        axes[-1, 0].set_xticks(range(len(columns)), columns)
    colour_bar(figure, shown, axes, label)


def seed_dots(ax: Axes, rows: Mapping[str, Mapping[str, Sequence[float]]], title: str = "",
              chance: float | None = None, hollow: Mapping[str, Collection[int]] | None = None) -> None:
    """Draw a line of dots for each row, one dot for each training; NaN is left out.

    Args:
        ax: where to draw.
        rows: name of the row -> name of what was measured -> a share in [0, 1] for each training.
        title: of the plot.
        chance: what guessing would reach, drawn as a dotted line.
        hollow: name of the row -> places in its sequences of the trainings whose dots are rings.
    """
    hollow = hollow or {}
    series = list(dict.fromkeys(name for row in rows.values() for name in row))
    for y, (label, row) in enumerate(rows.items()):
        for beside, (name, values) in enumerate(row.items()):
            i = series.index(name)
            rings = [seed for seed in range(len(values)) if seed in hollow.get(label, ())]
            dots = [seed for seed in range(len(values)) if seed not in rings]
            for seeds, inside in ((dots, CYCLE[i]), (rings, "none")):
                ax.plot([values[seed] for seed in seeds], [y + 0.2 * (beside - (len(row) - 1) / 2)] * len(seeds),
                        "os^D"[i], color=CYCLE[i], markerfacecolor=inside, alpha=0.75, markersize=6)
    for i, name in enumerate(series):
        ax.plot([], [], "os^D"[i], color=CYCLE[i], label=name)
    if chance is not None:
        ax.axvline(chance, color="0.6", linewidth=1, linestyle=":", zorder=0)
    ax.set(title=title, xlim=(-0.03, 1.03), ylim=(len(rows) - 0.5, -0.5), yticks=range(len(rows)),
           yticklabels=list(rows))
    if len(series) > 1:
        ax.legend(loc="upper right", bbox_to_anchor=(1.02, 0), borderaxespad=2.2, ncols=2, columnspacing=1,
                  handletextpad=0.2)
