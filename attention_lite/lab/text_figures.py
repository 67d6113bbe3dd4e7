"""Figures of the text detector under forced gates, as chapter 13 shows them; the numbers are `text_answers`'."""

from collections.abc import Mapping, Sequence

from torch import Tensor

from attention_lite import figures
from attention_lite.extras import extra
from attention_lite.lab.text_gates import SIDE, square

with extra("book"):
    import matplotlib.pyplot as plt
    import numpy as np
    from matplotlib.axes import Axes


def show(ax: Axes, picture: np.ndarray, text: Tensor | np.ndarray, title: str = "") -> None:
    """Draw a picture in grey, in its colours and under a yellow marker where the map says text."""
    shade = np.kron(np.asarray(text), np.ones((SIDE // len(text),) * 2))[..., None]
    colours = square(picture, SIDE) / 255
    grey = np.repeat(colours.mean(2, keepdims=True), 3, 2) * 0.75 + 0.25
    marked = 0.35 * colours + 0.65 * np.array([1.0, 0.85, 0.0])
    figures.picture(ax, grey * (1 - shade) + marked * shade, title)


def words_under(results: Mapping[str, Mapping[str, Sequence[float]]]) -> None:
    """Shares of words found under each source, {picture: {source: [share, …]}}: a row a source."""
    _, ax = plt.subplots(figsize=(5.4, 5.2))
    for i, (name, rows) in enumerate(results.items()):
        for y, shares in enumerate(rows.values()):
            ax.plot(shares, [y + 0.18 * (i - 1.5)] * len(shares), "os^D"[i], color=figures.CYCLE[i], markersize=5,
                    alpha=0.7, label=name if y == 0 else None)
    ax.set(xlim=(-0.05, 1.05), xlabel="share of words found", xticks=(0, 0.5, 1))
    ax.grid(alpha=0.3)
    _rows(ax, list(next(iter(results.values()))))
    _key(ax)


def moving_and_bringing_back(moves: Mapping[str, float], shares: Mapping[str, Mapping[str, float]],
                             named: Sequence[str] = ("stages.1.1", "smooths.3", "laterals.0")) -> None:
    """How far each block's gates move, and the words found if it is spared, {picture: {block: share}}: a plot each."""
    _, axes = plt.subplots(len(shares), 1, figsize=(5.4, 2.6 * len(shares)), sharex=True)
    for ax, (picture, found) in zip(axes, shares.items(), strict=True):
        for part, mark, colour in zip(("stages", "laterals", "smooths"), "os^", figures.CYCLE, strict=False):
            blocks = [block for block in found if block.startswith(part)]
            ax.plot([moves[block] for block in blocks], [found[block] for block in blocks], mark, color=colour,
                    alpha=0.75, label=part)
        for block, share in found.items():
            if (name := block.removesuffix(".se")) in named:
                below = share > 0.5                     # the upper ones have neighbours at their right
                ax.annotate(name, (moves[block], share), (0, -8) if below else (8, 0), textcoords="offset points",
                            ha="center" if below else "left", va="top" if below else "center")
        ax.set(title=picture, xlim=(0.1, 1.05), ylim=(-0.1, 1.1), yticks=(0, 0.5, 1), ylabel="share of words found")
        ax.grid(alpha=0.3)
    axes[-1].set_xlabel("how far its gates move")
    _key(axes[0])


def differences(named: Mapping[str, tuple[float, float, float]], label: str) -> None:
    """Differences with their intervals, {name: (mean, low, high)}, a row each, beside a line at zero."""
    _, ax = plt.subplots(figsize=(5.4, 2.8))
    for y, (mean, low, high) in enumerate(named.values()):
        ax.plot([low, high], [y, y], color=figures.CYCLE[0])
        ax.plot(mean, y, "o", color=figures.CYCLE[0])
    ax.axvline(0, color="0.4", linestyle="--", linewidth=1)
    ax.set(xlim=(-0.32, 0.08), xticks=(-0.3, -0.2, -0.1, 0), xlabel=label)
    _rows(ax, list(named))


def _rows(ax: Axes, names: Sequence[str]) -> None:
    ax.set_yticks(range(len(names)), names)
    ax.invert_yaxis()


def _key(ax: Axes) -> None:
    handles, labels = ax.get_legend_handles_labels()
    ax.figure.legend(handles, labels, loc="outside upper center", ncols=2 + len(labels) % 2)
