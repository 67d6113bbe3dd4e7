"""Figures of keys that speak for several places (chapter 09)."""

from collections.abc import Callable, Mapping, Sequence
from itertools import product
from typing import Any

import torch
from torch import Tensor
from torch.nn.functional import avg_pool2d, interpolate, pixel_unshuffle

from attention_lite import EMSA, ScaledDotProductAttention, figures
from attention_lite.extras import extra
from attention_lite.lab import photographs, scoring
from attention_lite.lab.measuring import kept_bytes, shortest_seconds
from attention_lite.lab.scenes import READER_SCALE, Scenes, brightened, disc_mask, draw, for_readers

with extra("book"):
    import matplotlib.pyplot as plt

RATIOS = (1, 2, 4, 8)
Row = Mapping[str, Any]


def patches_of(photograph: str) -> Tensor:
    """A photograph's squares of 4 × 4 pixels, each 48 numbers: (48, rows, columns)."""
    image = torch.from_numpy(photographs.load(photograph).copy()).float() / 255
    rows, columns = (side // 4 * 4 for side in image.shape[:2])
    return pixel_unshuffle(image[:rows, :columns].permute(2, 0, 1), 4)


def alike(patches: Tensor, most: int) -> list[float]:
    """The correlation of two places 0, 1, … `most` columns apart."""
    patches = patches - patches.mean((1, 2), keepdim=True)
    power, n = patches.square().sum(0).mean(), patches.shape[2]
    return [((patches[:, :, d:] * patches[:, :, :n - d]).sum(0).mean() / power).item() for d in range(most + 1)]


def show_bill(size: tuple[int, int], curves: Mapping[str, Sequence[float]]) -> None:
    """One head's map of a picture of `size` pixels in megabytes, by ratio; and how alike places are, by distance."""
    _, axes = figures.panels(2, 1, figures.WIDTH, 2.5)
    steps = (32, 16, 8, 4)
    for s, mark in zip(RATIOS, "os^D", strict=True):
        n = [(size[0] // step) * (size[1] // step) for step in steps]
        axes[0, 0].plot(range(len(steps)), [4 * m * m / s ** 2 / 1e6 for m in n], f"{mark}-",
                        label="a key a place" if s == 1 else f"ratio {s}")
    axes[0, 0].set(yscale="log", ylabel="megabytes", xlabel="a place every … pixels", xticks=range(len(steps)),
                   xticklabels=steps)
    axes[0, 0].legend(ncols=2)
    for (name, curve), line in zip(curves.items(), ("-", "--", ":"), strict=True):
        (drawn,) = axes[1, 0].plot(curve, line)
        axes[1, 0].text(len(curve) - 0.5, max(curve[-1], 0.06), name, color=drawn.get_color(), va="center")
    axes[1, 0].set(xlabel="places apart", ylabel="correlation", ylim=(0, 1.02), xlim=(-1, len(curve) + 4),
                   xticks=(0, 1, 2, 4, 8, 16, 24))
    plt.show()


def show_keys(scene: Scenes) -> None:
    """The scene, and what is left of its colours at three ratios if a key is the mean of its window; the disc outlined.

    Each place has the colour of the key that speaks for it.
    """
    places = avg_pool2d(draw(scene), scene.size // 12)
    _, axes = figures.panels(2, 2, figures.WIDTH / 2, 2.7)
    figures.picture(axes[0, 0], for_readers(scene)[0], "the scene")
    for ax, s in zip(axes.flat[1:], RATIOS, strict=False):
        means = avg_pool2d(places, s + 1, s, s // 2, count_include_pad=False) if s > 1 else places
        keys = scoring.key_of(12, 12 // s).unflatten(0, (12, 12))
        seen = brightened(means)[0].flatten(1)[:, keys]
        figures.picture(ax, seen.permute(1, 2, 0), f"ratio {s}: {means[0, 0].numel()} keys")
        figures.outline(ax, disc_mask(scene, READER_SCALE)[0] > 0.5, (12, 12))
    plt.show()


def show_heads(scene: Scenes, place: tuple[int, int], rows: Tensor, T: Tensor) -> None:
    """Which keys one place prefers, head by head, (4, rows, columns), beside the scene and the matrix of the mix.

    The place is a cross, the disc outlined.
    """
    figure, axes = figures.panels(2, 3, figures.WIDTH / 3, 2.1)
    side = scene.size * READER_SCALE / 12
    figures.picture(axes[0, 0], for_readers(scene)[0], "the query")
    axes[0, 0].plot((place[1] + 0.5) * side, (place[0] + 0.5) * side, "+", color="white", markersize=14,
                    markeredgewidth=2.5)
    for m, (ax, row) in enumerate(zip(axes[:, 1:].flat, rows, strict=True)):
        figures.heat(ax, row, (0, float(row.max())), f"head {m}")
        figures.outline(ax, disc_mask(scene, READER_SCALE)[0] > 0.5, tuple(row.shape))
    limit = float(T.abs().max())
    shown = figures.heat(axes[1, 0], T, (-limit, limit), "the mix, T", cmap="PuOr_r")
    figure.colorbar(shown, ax=axes[1, 0], location="bottom", shrink=0.8)
    plt.show()


def show_norm(A: Tensor, A_hat: Tensor, disc: Tensor) -> None:
    """One query's weights on the keys before and after the norm, each on its own scale; zero and the disc marked."""
    n = A.numel()
    order = A.argsort(descending=True)
    _, axes = figures.panels(2, 1, figures.WIDTH, 1.9)
    for ax, values, name in ((axes[0, 0], A, "A"), (axes[1, 0], A_hat, "Â")):
        for kind, colour in ((disc, figures.CYCLE[1]), (~disc, figures.CYCLE[0])):
            where = kind[order]
            ax.bar(torch.arange(n)[where], values[order][where], color=colour)
        ax.axhline(0, color="0.5", linewidth=1)
        ax.set(ylabel=name, xticks=[])
    axes[0, 0].axhline(1 / n, color="0.5", linestyle=":", linewidth=1.5)
    axes[1, 0].set_xlabel(f"{n} keys, the strongest first")
    plt.show()


def show_learned(reached: Mapping[str, Sequence[float]], rows: Mapping[str, Sequence[Row]], blind: float) -> None:
    """Accuracy of every training, and what is read once the disc asks for another digit; a row a network."""
    heights = [0.3 * len(reached), 0.42 * len(rows)]
    _, axes = plt.subplots(2, 1, figsize=(figures.WIDTH, sum(heights) + 1.4), height_ratios=heights)
    asked = {name: {"": values} for name, values in reached.items()}
    figures.seed_dots(axes[0], asked, "the digit asked for is read", blind)
    now = {name: {kind: [row["disc recoloured"][kind] for row in of] for kind in ("the new digit", "the old digit")}
           for name, of in rows.items()}
    figures.seed_dots(axes[1], now, "the disc recoloured: what is read")
    plt.show()


def show_disc(rows: Mapping[str, Sequence[Row]], learned: Callable[[float], bool]) -> None:
    """The weight on the disc of each training, beside what equal weights and the best single key would give it."""
    _, ax = plt.subplots(figsize=(figures.WIDTH, 0.5 * len(rows) + 1.3))
    for y, of in enumerate(rows.values()):
        for row in of:
            ax.plot(row["weight on the disc"], y, "o", color=figures.CYCLE[0], alpha=0.75,
                    fillstyle="full" if learned(row["as trained"]) else "none")
        ax.plot([of[0]["equal weights"]] * 2, (y - 0.3, y + 0.3), color="0.5", linestyle=":")
        ax.plot([of[0]["best one key"]] * 2, (y - 0.3, y + 0.3), color=figures.CYCLE[1])
    ax.set(xlim=(0, 1.03), ylim=(len(rows) - 0.5, -0.5), yticks=range(len(rows)), yticklabels=list(rows),
           xlabel="weight on the disc")
    plt.show()


def show_loudness(loud: Mapping[str, Sequence[Row]], rows: Mapping[str, Sequence[Row]]) -> None:
    """Heads' outputs against their values, with the norm and without; and the norm's two halves undone."""
    _, axes = figures.panels(2, 1, figures.WIDTH, 2.4)
    for y, of in enumerate(loud.values()):
        for i, kind in enumerate(("output / values", "without the norm")):
            axes[0, 0].plot([row[kind] for row in of], [y + 0.1 - 0.2 * i] * len(of), "os"[i], color=figures.CYCLE[i],
                            alpha=0.75, label=("with the norm", "without it")[i] if y == 0 else None)
    axes[0, 0].axvline(1, color="0.6", linestyle=":", linewidth=1)
    axes[0, 0].set(xscale="log", title="size of the output over that of the values", yticks=range(len(loud)),
                   yticklabels=list(loud), ylim=(len(loud) - 0.5, -0.5))
    axes[0, 0].legend(loc="lower right")
    names = {"as trained": "as trained", "a fixed factor": "a fixed factor", "the mean kept": "the mean kept"}
    figures.seed_dots(axes[1, 0], {ratio: {name: [row[key] for row in of] for key, name in names.items()}
                                   for ratio, of in rows.items()}, "the digit asked for is read")
    plt.show()


def show_fewer(rows: Sequence[Row], layers: str) -> dict[int, tuple[float, float, int]]:
    """How much of the trained transformer's tokens fewer keys leave, a dot a photograph.

    Returns:
        {patches along a square's side: (mean with means of squares, mean with random patches, photographs in which
        random patches do better)}.
    """
    found: dict[str, dict[str, list[float]]] = {}
    means: dict[int, tuple[float, float, int]] = {}
    for square in (2, 4, 8, 16):
        of = [row for row in rows if row["layers"] == layers and row["square"] == square]
        averaged = [row["averaged"] for row in of]
        random = [sum(row["random"]) / len(row["random"]) for row in of]
        found[f"{256 // square ** 2} of 256 keys"] = {"means of squares": averaged, "random patches": random}
        means[square] = (sum(averaged) / len(of), sum(random) / len(of),
                         sum(b > a for a, b in zip(averaged, random, strict=True)))
    floor = [row["other_photographs"] for row in rows if row["layers"] == layers and row["square"] == 2]
    _, ax = plt.subplots(figsize=(figures.WIDTH, 3))
    figures.seed_dots(ax, found, chance=sum(floor) / len(floor))
    for y, (averaged, random, _) in enumerate(means.values()):
        ax.plot(averaged, y - 0.1, "|", color="black", markersize=16, markeredgewidth=2)
        ax.plot(random, y + 0.1, "|", color="black", markersize=16, markeredgewidth=2)
    ax.set_xlabel("cosine with the untouched tokens")
    ax.xaxis.set_label_position("top")
    plt.show()
    return means


def photograph_tokens(side: int, channel: int = 48) -> Tensor:
    """A photograph as side × side places of 4 × 4 pixels: (1, side², 48)."""
    image = torch.from_numpy(photographs.load("chelsea").copy()).float().permute(2, 0, 1)[None, :, :288, :288] / 255
    return pixel_unshuffle(interpolate(image, 4 * side, mode="bilinear", antialias=True), 4).flatten(2).transpose(1, 2)


def show_costs(side: int, C: int = 48, d_k: int = 16, h: int = 4) -> tuple[dict[str, float], dict[str, float]]:
    """Memory and time of one layer on side × side places, over fused self-attention's, measured now.

    Returns:
        ({layer: memory kept for the backward pass}, {layer: time of a forward pass}), relative to "self-attention".
    """
    X = photograph_tokens(side)
    layers = {"self-attention": ScaledDotProductAttention(C, d_k, d_k, h)} | {
        f"ratio {s}{' alone' if plain else ''}": EMSA(C, d_k, d_k, h, ratio=s, apply_transform=not plain)
        for plain, s in product((True, False), (2, 4))}
    base = next(iter(layers))
    clock = {name: times[0] for name, times in shortest_seconds(layers, [X]).items()}
    kept = {name: float(kept_bytes(layer, X)) for name, layer in layers.items()}
    memory, time = ({name: value / of[base] for name, value in of.items()} for of in (kept, clock))
    _, axes = figures.panels(1, 2, figures.WIDTH / 2, 2.6)
    for ax, values, name in zip(axes[0], (memory, time), ("memory", "time"), strict=True):
        ax.barh(range(len(layers)), list(values.values()),
                color=[figures.CYCLE[0 if "alone" in n or n == base else 1] for n in layers])
        ax.axvline(1, color="0.5", linestyle=":", linewidth=1)
        ax.set(title=name, ylim=(len(layers) - 0.5, -0.5), yticks=range(len(layers)), yticklabels=list(layers))
    axes[0, 1].set_yticklabels([])
    axes[0, 0].set_xscale("log")
    plt.show()
    return memory, time
