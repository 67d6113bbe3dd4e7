"""Figures of the networks that read digits of any size, as chapters 05 and 06 show them; rows are the experiments'."""

import re
from collections.abc import Callable, Mapping, Sequence

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from attention_lite import figures
from attention_lite.extras import extra
from attention_lite.lab.experiments import kernels, shares
from attention_lite.lab.scenes import Scenes, brightened, draw, for_readers, masks
from attention_lite.lab.tasks import enlarge
from attention_lite.lab.training import pictures, untrained
from attention_lite.recording import record_attention

with extra("book"):
    import matplotlib.pyplot as plt
    import numpy as np

Row = Mapping[str, object]
# What the mean weight might follow, as the side of a strong digit that would be like one of this side and opacity.
RULES: dict[str, Callable[[float, float], float]] = {
    "side": lambda side, opacity: side, "√ink": lambda side, opacity: side * opacity**0.5,
    "side × opacity": lambda side, opacity: side * opacity}


# What kernels see


def seen_by_a_unit(net: nn.Module, branch: int, scene: Scenes) -> int:
    """The side of the square of pixels that reaches a unit of block 1 through one of its branches."""
    block, x = net.blocks[0], pictures(scene).requires_grad_()
    block.middle.branches[branch](block.reduce(net.stem(x)))[0, :, 6, 6].sum().backward()
    rows = torch.where(x.grad[0].abs().sum((0, 2)) > 0)[0]
    return int(rows.max() - rows.min()) + 1


def through_squares(scene: Scenes, sides: Sequence[int], squares: Sequence[int]) -> None:
    """The scene with its digit at two sides, and what two squares at the digit's middle cut out of it."""
    _, axes = figures.panels(2, 3, 1.83, 1.95)
    for row, side in zip(axes, sides, strict=True):
        s = enlarge(scene, side)
        figures.picture(row[0], for_readers(s)[0], f"{side} pixels")
        y, x = (int(4 * float(v)) for v in (s.y, s.x))
        for ax, seen, ink in zip(row[1:], squares, ("w", "C3"), strict=True):
            h = 2 * seen
            figures.picture(ax, for_readers(s)[0][max(0, y - h):y + h, max(0, x - h):x + h], f"{seen} × {seen} px")
            row[0].add_patch(plt.Rectangle((x - h, y - h), 2 * h, 2 * h, fill=False, color=ink, lw=1.5))
    plt.show()


def ink_inside(scenes: Scenes, square: int) -> float:
    """How much of a digit's ink lies in a square at its middle, on average."""
    ink, at = masks(scenes)[:, 0], torch.arange(scenes.size) + 0.5
    y, x = ((at - c).abs() < square / 2 for c in (scenes.y, scenes.x))
    return float(((ink * y[:, :, None] * x[:, None, :]).sum((1, 2)) / ink.sum((1, 2))).mean())


def touched(named: Mapping[str, tuple[int, int]]) -> None:
    """Of 7 × 7 places those that a kernel touches: name -> (k, dilation)."""
    _, axes = figures.panels(1, 3, 1.83, 2.1)
    for ax, (name, (k, m)) in zip(axes[0], named.items(), strict=True):
        at = torch.zeros(1, 1, 7, 7, requires_grad=True)
        F.conv2d(at, torch.ones(1, 1, k, k), padding=m * (k // 2), dilation=m)[0, 0, 3, 3].backward()
        figures.heat(ax, at.grad[0, 0], (0, 1), f"{name}\n{int(at.grad.sum())} weights")
    plt.show()


def through_holes(scene: Scenes) -> None:
    """The places of a digit in the picture's middle, and those that a 3 × 3 with dilation 4 touches."""
    places = brightened(F.adaptive_avg_pool2d(draw(scene), 12))[0, :, 1:10, 1:10].permute(1, 2, 0)
    kept = torch.zeros(9, 9, 1, dtype=torch.bool)
    kept[::4, ::4] = True
    _, axes = figures.panels(1, 3, 1.83, 2.2)
    figures.picture(axes[0, 0], for_readers(scene)[0], "28 pixels")
    axes[0, 0].add_patch(plt.Rectangle((16, 16), 144, 144, fill=False, color="white", lw=2))
    figures.picture(axes[0, 1], places, "9 × 9:\n81 places")
    figures.picture(axes[0, 2], torch.where(kept, places, torch.tensor(0.85)), "3 × 3, dilated:\n9 places")
    plt.show()


def channels_seen(convs: Sequence[nn.Conv2d], names: Sequence[str]) -> None:
    """For each convolution, by the gradient, which input channels (columns) reach which output channels (rows)."""
    _, axes = figures.panels(len(convs), 1, 4.6, 1.0)
    for ax, conv, name in zip(axes[:, 0], convs, names, strict=True):
        at, seen = torch.zeros(1, conv.in_channels, 9, 9, requires_grad=True), []
        for c in range(conv.out_channels):
            grad, = torch.autograd.grad(conv(at)[0, c, 4, 4], at)
            seen.append(grad[0].abs().amax((1, 2)) > 0)
        figures.heat(ax, torch.stack(seen).float(), (0, 1), f"{name}: {int(seen[0].sum())} of {conv.in_channels}")
    plt.show()


# What moves SK's weights


def drawn_as(row: Row, block: int = 0) -> list[tuple[int, float, float]]:
    """Side, opacity and mean weight of all variants of a row of "size-and-ink" that have a digit."""
    found = [(re.match(r"(\d+) px(?:, opacity (.*))?", name), w[block]) for name, w in row["mean weight"].items()]
    return [(int(name[1]), float(name[2] or 1), w) for name, w in found if name]


def by_rule(rows: Sequence[Row]) -> dict[str, float]:
    """The mean weight of block 1 against each of RULES: strong digits as a line, fainter ones as dots.

    Returns for each rule how far, on average, the variants tried afterwards lie from the line, as a share of its rise.
    """
    _, axes = figures.panels(len(rows), len(RULES), 1.83, 1.75)
    misses: dict[str, list[float]] = {name: [] for name in RULES}
    for row, axs in zip(rows, axes, strict=True):
        variants = drawn_as(row)
        for ax, (name, rule) in zip(axs, RULES.items(), strict=True):
            line = [(0, row["mean weight"]["no digit"][0]), *((side, w) for side, o, w in variants if o == 1)]
            ax.plot(*zip(*line, strict=True), color="0.6", zorder=0)
            for side, o, w in (v for v in variants if v[1] < 1):
                new = (side, o) in kernels.TRIED_AFTERWARDS
                ax.plot(rule(side, o), w, "D" if new else "o", markersize=5, color=f"C{int(new)}", alpha=0.8)
                if new:
                    on_line = np.interp(rule(side, o), *zip(*line, strict=True))
                    misses[name].append(abs(w - on_line) / (line[-1][1] - line[0][1]))
            ax.set(xlim=(0, 30), xticks=(0, 10, 20, 30), title=name)
        axs[0].set_ylabel(f"training {row['seed']}")
    plt.show()
    return {name: float(np.mean(found)) for name, found in misses.items()}


def one_dial(rows: Sequence[Row]) -> None:
    """What shrinking and fading do to the weights of block 1, a dot a channel."""
    _, axes = figures.panels(1, len(rows), 1.83, 2.1)
    for row, ax in zip(rows, axes[0], strict=True):
        ax.axline((0, 0), slope=1, color="0.7", linewidth=1)
        ax.plot(row["moves in block 1"]["shrink"], row["moves in block 1"]["fade"], "o", markersize=5, alpha=0.7)
        ax.set(title=f"training {row['seed']}", xlabel="shrink", xlim=(-0.32, 0.32), ylim=(-0.32, 0.32),
               aspect="equal", xticks=(-0.2, 0, 0.2), yticks=(-0.2, 0, 0.2))
    axes[0, 0].set_ylabel("fade")
    plt.show()


def before_training(seed: int, scenes: Scenes, sides: Sequence[int]) -> Tensor:
    """The mean weight of the wider kernel in a network that has not been trained: (sides, blocks)."""
    net, found = untrained("any-size", "sk", seed), []
    for side in sides:
        with record_attention(net) as maps, torch.no_grad():
            net(pictures(enlarge(scenes, side)))
        found.append(torch.stack([m["kernel"][:, 1].mean() for m in maps.values()]))
    return torch.stack(found)


def by_size(rows: Sequence[Row], before: Sequence[Tensor]) -> Tensor:
    """The mean weight in each block against the side of strong digits; returns its rise: (rows, blocks)."""
    _, axes = figures.panels(1, kernels.BLOCKS, 1.83, 2.2)
    for seed, (row, flat) in enumerate(zip(rows, before, strict=True)):
        for b, ax in enumerate(axes[0]):
            ax.plot(kernels.SIDES, [row["mean weight"][f"{side} px"][b] for side in kernels.SIDES], "-o",
                    color=f"C{seed}", markersize=4)
            ax.plot((kernels.SIDES[0], kernels.SIDES[-1]), flat[:, b], "--", color=f"C{seed}", linewidth=1)
            ax.set(title=f"block {b + 1}", ylim=(0.34, 0.56), xticks=(9, 16, 28))
            ax.tick_params(labelleft=b == 0)
    axes[0, 0].set_ylabel("mean weight")
    axes[0, 1].set_xlabel("side of the digit, pixels")
    plt.show()
    small, large = (torch.tensor([row["mean weight"][f"{side} px"] for row in rows]) for side in (9, 28))
    return large - small


# Weights exchanged, and how far they move


def right(rows: Sequence[Row], kind: str, at: str = shares.MIXED) -> list[float]:
    """The accuracy of each row of "forced-shares" with weights of this kind."""
    return [row[kind][at] if kind == "its own" else row[kind][at]["right"] for row in rows]


def confined() -> None:
    """A split's weight against its score, with the inner sigmoid and without."""
    u = torch.linspace(-6, 6, 241)
    scores = torch.stack([u, -u, -u, -u])          # the rivals: opposite
    low, high = shares.LOWEST, shares.HIGHEST
    _, ax = plt.subplots(figsize=(figures.WIDTH, 2.6))
    ax.plot(u, scores.softmax(0)[0], color="C1", label="softmax of scores")
    ax.plot(u, scores.sigmoid().softmax(0)[0], color="C0", label="softmax of sigmoids")
    for bound in (low, high):
        ax.axhline(bound, color="0.4", linestyle="--", linewidth=1)
    ax.set(xlabel="score u of one split, −u of its three rivals", ylabel="its weight", ylim=(0, 1),
           yticks=[0, low, 0.25, high, 1])
    ax.set_yticklabels(["0", f"{low:.3f}", "0.25", f"{high:.3f}", "1"])
    ax.legend(loc="upper left")
    plt.show()


def ranges(columns: Mapping[str, Sequence[Row]]) -> None:
    """For each channel the range of its weight over all scenes, by its median: title -> rows of "forced-shares"."""
    trainings = len(next(iter(columns.values())))
    _, axes = figures.panels(trainings, len(columns), 2.75, 1.7)
    for column, (title, rows) in zip(axes.T, columns.items(), strict=True):
        for k, (ax, row) in enumerate(zip(column, rows, strict=True)):
            least, tenth, median, ninth, most = torch.tensor(row["quantiles"])
            order, at = median.argsort(), range(len(median))
            ax.vlines(at, least[order], most[order], color="C4", linewidth=0.8)
            ax.vlines(at, tenth[order], ninth[order], color="C0", linewidth=2.5)
            for bound in (shares.LOWEST, shares.HIGHEST):
                ax.axhline(bound, color="0.4", linestyle="--", linewidth=1)
            ax.set(ylim=(0, 1), xticks=[], yticks=(0, 0.25, 0.5, 1), title=title if k == 0 else "")
            ax.set_ylabel(f"training {k}" if ax in axes[:, 0] else "")
    axes[-1, 0].set_xlabel("96 channels, by median")
    plt.show()


def size_changes(named: Mapping[str, Sequence[Row]], splits: Sequence[int]) -> dict[str, Tensor]:
    """The change of each split's mean weight from the smallest digits to the largest: (trainings, blocks, splits)."""
    _, axes = figures.panels(len(named), kernels.BLOCKS, 1.83, 1.75)
    found = {}
    for axs, (title, rows) in zip(axes, named.items(), strict=True):
        small, large = (torch.tensor([row["mean weight"][at] for row in rows]) for at in shares.EXTREMES)
        found[title] = large - small
        for b, ax in enumerate(axs):
            for k, moved in enumerate(found[title][:, b]):
                ax.plot(splits, moved, "-o", color=f"C{k}", markersize=4, linewidth=1)
            ax.set(ylim=(-0.07, 0.07), xticks=splits, title=f"block {b + 1}")
            ax.tick_params(labelleft=b == 0)
        axs[0].set_ylabel(title)
    axes[-1, 1].set_xlabel("kernel")
    plt.show()
    return found
