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


def two_scores(results: Mapping[str, Mapping[str, Sequence[tuple[float, float]]]]) -> None:
    """Words found and IoU under each source, {picture: {source: [(share of words, IoU), …]}}: a row a source."""
    _, axes = plt.subplots(1, 2, figsize=(5.4, 6), sharey=True)
    for i, (name, rows) in enumerate(results.items()):
        for y, scores in enumerate(rows.values()):
            for ax, values in zip(axes, zip(*scores, strict=True), strict=True):
                ax.plot(values, [y + 0.18 * (i - 1.5)] * len(values), "os^D"[i], color=figures.CYCLE[i], markersize=5,
                        alpha=0.7, label=name if y == 0 else None)
    for ax, label in zip(axes, ("share of\nwords found", "IoU with\nown map"), strict=True):
        ax.set(xlim=(-0.05, 1.05), xlabel=label, xticks=(0, 0.5, 1))
        ax.grid(alpha=0.3)
    _rows(axes[0], list(rows))
    _key(axes[0])


def by_block(shares: Mapping[str, Mapping[str, Sequence[float]]], blocks: Sequence[str], title: str) -> None:
    """Words found where blocks are forced one by one, {picture: {way: a share a block}}: a panel a picture."""
    _, axes = plt.subplots(1, len(shares), figsize=(5.4, 4), sharex=True, sharey=True)
    for ax, (name, ways) in zip(axes, shares.items(), strict=True):
        for (way, values), mark in zip(ways.items(), "os", strict=False):
            ax.plot(values, range(len(blocks)), mark, label=way)
        ax.set(xlim=(-0.05, 1.05), title=name, xlabel="share of words found")
        ax.grid(axis="x", alpha=0.3)
    _rows(axes[0], blocks)
    _key(axes[0], title)


def gates_of_pictures(table: Mapping[str, np.ndarray | Tensor], pictures: Sequence[str], named: Sequence[str]) -> None:
    """The gates of blocks, {block: (pictures, channels)}, as strips: a row a picture, channels by their mean gate."""
    figure, axes = plt.subplots(len(table), 1, figsize=(5.4, 5.2))
    ticks = [pictures.index(name) for name in named]
    for ax, (name, gates) in zip(axes, table.items(), strict=True):
        gates = np.asarray(gates)
        image = ax.imshow(gates[:, gates.mean(0).argsort(kind="stable")], vmin=0, vmax=1, aspect="auto",
                          cmap=figures.MAP)
        ax.set_yticks(ticks, named)
        ax.set_xticks([])
        ax.set_title(f"{name}, {gates.shape[1]} channels")
    figures.colour_bar(figure, image, axes, "gate")


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


def _key(ax: Axes, title: str = "") -> None:
    handles, labels = ax.get_legend_handles_labels()
    ax.figure.legend(handles, labels, loc="outside upper center", ncols=2, title=title or None)
