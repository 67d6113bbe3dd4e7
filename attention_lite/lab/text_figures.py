"""Figures of the text detector under forced gates, as chapter 13 shows them; the numbers are `text_answers`'."""

from collections.abc import Mapping, Sequence

from torch import Tensor

from attention_lite import figures
from attention_lite.extras import extra
from attention_lite.lab.text_gates import SIDE, TEXT, TEXTS, square

with extra("book"):
    import matplotlib.pyplot as plt
    import numpy as np
    from matplotlib.axes import Axes


Results = Mapping[str, Mapping[str, Sequence[float]]]    # {picture: {source: [a value each]}}


def show(ax: Axes, picture: np.ndarray, text: Tensor | np.ndarray, title: str = "") -> None:
    """Draw a picture in grey, in its colours and under a yellow marker where the map is above TEXT."""
    shade = np.kron(np.asarray(text) > TEXT, np.ones((SIDE // len(text),) * 2))[..., None]
    colours = square(picture, SIDE) / 255
    grey = np.repeat(colours.mean(2, keepdims=True), 3, 2) * 0.75 + 0.25
    marked = 0.35 * colours + 0.65 * np.array([1.0, 0.85, 0.0])
    figures.picture(ax, grey * (1 - shade) + marked * shade, title)


def by_source(*parts: tuple[str, Results, Results]) -> None:
    """Two scores under each source of gates, a row a source, a mark a picture: a part is its title and both scores."""
    counts = [len(next(iter(words.values()))) for _, words, _ in parts]
    figure, axes = plt.subplots(len(parts), 2, figsize=(6.4, 1.0 + 0.37 * sum(counts)), sharex=True, sharey="row",
                                squeeze=False, height_ratios=counts)
    for pair, (title, *scores) in zip(axes, parts, strict=True):
        for ax, results in zip(pair, scores, strict=True):
            for i, (name, rows) in enumerate(results.items()):
                for y, values in enumerate(rows.values()):
                    ax.plot(values, [y + 0.19 * (i - 1.5)] * len(values), "os^D"[i], color=figures.CYCLE[i],
                            markersize=4, alpha=0.75, linestyle="none", label=name if y == 0 else None)
            names = list(next(iter(results.values())))
            for y in range(1, len(names)):
                ax.axhline(y - 0.5, color="0.5", linewidth=0.4)
            ax.set(xlim=(-0.06, 1.06), xticks=(0, 0.5, 1), ylim=(len(names) - 0.5, -0.5))
            ax.set_yticks(range(len(names)), names)
        if title:
            pair[0].set_title(title, loc="left")
    for ax, label in zip(axes[-1], ("share of words found", "IoU with its own map"), strict=True):
        ax.set_xlabel(label)
    handles, labels = axes[0, 0].get_legend_handles_labels()
    figure.legend(handles, labels, loc="outside upper center", ncols=2)


def open_and_found(points: Mapping[str, Mapping[str, tuple[float, float]]]) -> None:
    """How open others' gates leave what a picture shuts, and the IoU, {picture: {donor: (gate, IoU)}}: a plot each."""
    figure, axes = plt.subplots(2, 2, figsize=(6.4, 5.2), sharex=True, sharey=True)
    for ax, (picture, donors) in zip(axes.flat, points.items(), strict=True):
        for kind, colour, mark in (("with text", figures.CYCLE[1], "s"), ("without text", figures.CYCLE[0], "o")):
            of = [point for donor, point in donors.items() if (donor in TEXTS) == (kind == "with text")]
            ax.plot(*zip(*of, strict=True), mark, color=colour, alpha=0.75, label=f"donor {kind}")
        for donor, away in (("temple", (-22, -15)), ("flower", (4, 5)), ("cat", (5, -10)), ("cup", (2, 7))):
            ax.annotate(donor, donors[donor], away, textcoords="offset points", fontsize=9)
        ax.set(title=picture, xlim=(-0.02, 0.4), ylim=(-0.12, 1.1), yticks=(0, 0.5, 1))
        ax.grid(alpha=0.3)
    handles, labels = axes[0, 0].get_legend_handles_labels()
    figure.legend(handles, labels, loc="outside upper center", ncols=2)
    figure.supxlabel("mean of the donor's gates where this picture's are 0", fontsize="medium")
    figure.supylabel("IoU with its own map", fontsize="medium")


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
