"""The one style of the book's figures: sizes, colours, and maps on fixed limits with a colour bar."""

from collections.abc import Sequence

import matplotlib.pyplot as plt
import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.image import AxesImage

# Okabe and Ito's colours, distinguishable with any kind of colour vision.
CYCLE = ("#0072B2", "#D55E00", "#009E73", "#E69F00", "#56B4E9", "#CC79A7")
MAP = "viridis"           # weights and gates: from nothing to much


def use_style() -> None:
    """Set matplotlib's defaults for the book. Figures keep a light ground in dark mode too."""
    plt.rcParams.update({
        "figure.dpi": 96, "savefig.dpi": 144, "savefig.bbox": "tight", "figure.facecolor": "white",
        "font.size": 11, "axes.titlesize": 11, "axes.labelsize": 11, "legend.fontsize": 10, "legend.frameon": False,
        "axes.spines.top": False, "axes.spines.right": False, "axes.prop_cycle": plt.cycler(color=CYCLE),
        "lines.linewidth": 2, "image.interpolation": "nearest", "figure.constrained_layout.use": True,
    })


def panels(rows: int, columns: int, width: float = 2.6, height: float = 2.6) -> tuple[Figure, np.ndarray]:
    """A figure of rows × columns axes, each width × height inches; the axes as an array (rows, columns)."""
    return plt.subplots(rows, columns, figsize=(columns * width, rows * height), squeeze=False)


def picture(ax: Axes, image: np.ndarray, title: str = "") -> None:
    """Show an RGB image (H, W, 3) without axes."""
    ax.imshow(np.asarray(image))
    ax.set_title(title)
    ax.set_axis_off()


def heat(ax: Axes, weights: np.ndarray, limits: tuple[float, float], title: str = "", cmap: str = MAP) -> AxesImage:
    """Show a map (h, w) on fixed limits, without axes; returns what a colour bar needs."""
    shown = ax.imshow(np.asarray(weights), cmap=cmap, vmin=limits[0], vmax=limits[1])
    ax.set_title(title)
    ax.set_axis_off()
    return shown


def outline(ax: Axes, mask: np.ndarray, shape: tuple[int, int], colour: str = "white") -> None:
    """Draw the edge of a boolean mask (H, W) over a map of another shape (h, w)."""
    height, width = np.asarray(mask).shape
    y = (np.arange(height) + 0.5) * shape[0] / height - 0.5
    x = (np.arange(width) + 0.5) * shape[1] / width - 0.5
    ax.contour(x, y, np.asarray(mask, dtype=float), levels=[0.5], colors=[colour], linewidths=1.5)


def colour_bar(figure: Figure, shown: AxesImage, axes: Axes | Sequence[Axes] | np.ndarray, label: str) -> None:
    """Add a colour bar with numbers and a label beside the axes."""
    figure.colorbar(shown, ax=axes, label=label, shrink=0.85)
