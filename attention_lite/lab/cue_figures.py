"""Figures of cued search: one query of self-attention through all its steps, and what five trainings read."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import torch
from torch import Tensor, nn

from attention_lite import figures, record_attention
from attention_lite.extras import extra
from attention_lite.lab import experiments, photographs
from attention_lite.lab.experiments import cues
from attention_lite.lab.scenes import READER_SCALE, Scenes, disc_mask, for_readers
from attention_lite.lab.training import pictures

with extra("book"):
    import matplotlib.pyplot as plt
    from matplotlib.axes import Axes

CELL = READER_SCALE * 4     # a place in the pictures, in pixels
SIGNED = "PuOr_r"
FULL = 0.2                  # the weight from which on the colour is full, in all maps of the chapter


def place(y: Tensor, x: Tensor) -> int:
    """The number of the place, of 12 × 12, that holds a point of the picture."""
    return int(y / 4) * 12 + int(x / 4)


def middles(scene: Scenes) -> tuple[int, int, int]:
    """Places of one scene: in the middle of the digit asked for, of the next digit, and of the disc."""
    of_digits = [(int(scene.target) + shift) % 3 for shift in range(2)]
    asks, other = (place(scene.y[0, k], scene.x[0, k]) for k in of_digits)
    return asks, other, place(*scene.disc_yx[0])


def sees(net: nn.Module, scene: Scenes, at: int) -> Tensor:
    """Which pixels of one scene move the features of a place in the last layer: bool (48, 48)."""
    x = pictures(scene).requires_grad_()
    net.tail(net.block(net.stem(x))).flatten(2)[0, :, at].sum().backward()
    return x.grad.abs().sum((0, 1)) > 0


def mark(ax: Axes, at: int) -> None:
    """A square on a place of the shown picture."""
    y, x = divmod(at, 12)
    ax.plot(x * CELL + CELL / 2, y * CELL + CELL / 2, "s", mec="white", mfc="none", markersize=8, mew=2)


def show_reach(scene: Scenes, seen: Mapping[str, Tensor]) -> None:
    """The scene, and for each network, by name, the pixels that a place sees; the disc outlined."""
    _, axes = figures.panels(1, 1 + len(seen), 1.83, 2.1)
    figures.picture(axes[0, 0], for_readers(scene)[0], "the picture")
    for ax, (name, pixels) in zip(axes[0, 1:], seen.items(), strict=True):
        figures.heat(ax, pixels.float(), (0, 1), f"{name}: {int(pixels.sum()):,} px")
        figures.outline(ax, disc_mask(scene)[0] > 0.5, (48, 48), "red")
    plt.show()


def show_rows(rows: Mapping[str, Tensor], numbers: str, label: str = "") -> None:
    """Vectors of one length as rows of cells, by name, on a scale about zero."""
    values = torch.stack(list(rows.values()))
    limit = float(values.abs().max())
    figure, ax = plt.subplots(figsize=(figures.WIDTH, 0.6 + 0.38 * len(rows)))
    shown = ax.imshow(values, cmap=SIGNED, vmin=-limit, vmax=limit, aspect="auto")
    ax.set(xticks=[], xlabel=numbers, yticks=range(len(rows)), yticklabels=list(rows))
    figures.colour_bar(figure, shown, ax, label)
    plt.show()


def show_softmax(scene: Scenes, scores: Tensor, weights: Tensor, asks: int) -> None:
    """Scores and weights of one query, (144,) each, as maps; the disc outlined."""
    figure, axes = figures.panels(1, 2, 2.75, 2.4)
    limit = float(scores.abs().max())
    shown = figures.heat(axes[0, 0], scores.view(12, 12), (-limit, limit), "scores S", cmap=SIGNED)
    figures.outline(axes[0, 0], disc_mask(scene)[0] > 0.5, (12, 12), "black")
    figures.colour_bar(figure, shown, axes[0, 0], "score")
    shown = figures.glow(axes[0, 1], for_readers(scene)[0], weights.view(12, 12), FULL, "weights A")
    mark(axes[0, 1], asks)
    figures.colour_bar(figure, shown, axes[0, 1], "weight", extend="max")
    plt.show()


def show_heads(scene: Scenes, weights: Tensor, asks: int) -> None:
    """The weights of one query in four heads, (4, 144), over the scene; titled with those on the disc, added up."""
    on = cues.on_disc(scene)[0].flatten()
    figure, axes = figures.panels(2, 2, 2.3, 2.3)
    for head, ax in enumerate(axes.flat):
        shown = figures.glow(ax, for_readers(scene)[0], weights[head].view(12, 12), FULL,
                             f"head {head}: {weights[head][on].sum():.2f}")
        mark(ax, asks)
    figures.colour_bar(figure, shown, axes, "weight", extend="max")
    plt.show()


def spread_of_scores(widths: Sequence[int], draws: int = 5) -> Tensor:
    """Patches of the cat under random matrices: variance of the scores and slopes of the softmax.

    Returns:
        (2, 2, widths): the quantity; without and with the division by the root; d_k. A mean of `draws`.
    """
    photo = torch.from_numpy(photographs.load("chelsea").copy()).float() / 255
    patches = photo.unfold(0, 8, 16).unfold(1, 8, 16).flatten(2).flatten(0, 1)       # (532, 192)
    patches = (patches - patches.mean(0)) / patches.std(0)
    found = torch.zeros(2, 2, len(widths))
    generator = torch.Generator().manual_seed(0)
    for _ in range(draws):
        for n, d in enumerate(widths):
            W_Q, W_K = torch.randn(2, 192, d, generator=generator) / 192 ** 0.5
            products = (patches @ W_Q) @ (patches @ W_K).T
            for scaled, scores in enumerate((products, products / d ** 0.5)):
                slopes = 1 - scores.softmax(1).square().sum(1).mean()
                found[:, scaled, n] += torch.stack([scores.var(), slopes]) / draws
    return found


def show_spread(widths: Sequence[int], found: Tensor) -> None:
    """What `spread_of_scores` found, as two plots."""
    _, axes = figures.panels(1, 2, 2.75, 2.6)
    for ax, lines, title in zip(axes[0], found, ("variance of S", r"slopes, $\sum_j a_j (1 - a_j)$"), strict=True):
        for line, style, name in zip(lines, ("o--", "o-"), (r"$q\cdot k$", r"$q\cdot k/\sqrt{d_k}$"), strict=True):
            ax.plot(widths, line, style, label=name)
        ax.set(xscale="log", title=title, xlabel="$d_k$", ylim=(0, None))
        ax.set_xticks(widths, widths)
        ax.minorticks_off()
    axes[0, 0].legend()
    plt.show()


def trained_without() -> dict[str, list[float]]:
    """What self-attention reaches, five trainings each, that lacks a part of its help: the start, the curriculum."""
    rows = experiments.load()["other-starts"]["rows"]
    lacks = {("cued-search-ablations", "attention-fresh-keys"): "own $W_K$",
             ("cued-search-ablations", "attention-open-output"): "own $W_O$",
             ("cued-search-ablations", "attention-fresh"): "own $W_K$ and $W_O$",
             ("cued-search-at-once", "self-attention"): "no curriculum",
             ("cued-search-at-once", "attention-fresh"): "none of this help"}
    return {name: [row["test_accuracy"] for row in rows if (row["task"], row["model"]) == of]
            for of, name in lacks.items()}


def show_read(rows: Sequence[Mapping[str, Any]], off: Sequence[float]) -> None:
    """Rows of the experiment "cues" as dots: what is read; `off` are the accuracies with W_O at zero."""
    of = {model: [row for row in rows if row["model"] == model] for model in ("self-attention", "none", "conv")}
    asked, old = "the digit asked for", "the one asked for before"
    mine = of["self-attention"]
    lines = {"disc as it is": {asked: [row["asked"] for row in mine]},
             "recoloured": {asked: [row["recoloured"]["new"] for row in mine],
                            old: [row["recoloured"]["old"] for row in mine]}}
    lines |= {f"{what} forbidden": {asked: [row["forbidden"][what] for row in mine]} for what in cues.FORBIDDEN}
    lines |= {"$W_O = 0$": {asked: off}}
    lines |= {name: {asked: [row["asked"] for row in of[model]]}
              for model, name in (("none", "no block"), ("conv", "convolutions"))}
    lines |= {name: {asked: values} for name, values in trained_without().items()}
    _, ax = plt.subplots(figsize=(figures.WIDTH, 5.6))
    figures.seed_dots(ax, lines, "what is read", 1 / 3)
    plt.show()


def show_weight_on_disc(rows: Sequence[Mapping[str, Any]]) -> None:
    """Rows of self-attention in the experiment "cues" as dots: how much weight lies on the disc."""
    names = {"asked": "the digit asked for asks", "other": "another digit asks"}
    lines = {kind: {name: [row["heads"][kind][key] for row in rows] for key, name in names.items()}
             for kind in ("trained", "before training")}
    lines |= {kind: {names["asked"]: [rows[0]["without a network"][kind]]}
              for kind in ("likeness of colour", "nearness", "equal weights")}
    _, ax = plt.subplots(figsize=(figures.WIDTH, 3))
    figures.seed_dots(ax, lines, "weight on the disc")
    plt.show()


def map_of(net: nn.Module, scene: Scenes, head: int) -> Tensor:
    """The weights of the middle of the digit asked for, in one head: (144,)."""
    with record_attention(net) as maps, torch.no_grad():
        net(pictures(scene))
    (found,) = maps.values()
    return found["position"][0, head, middles(scene)[0]]


def show_maps(scenes: Scenes, kinds: Mapping[str, Callable[[Scenes], Tensor]]) -> None:
    """A row for each kind of map, by name, and a column for each scene; a kind makes (144,) of one scene."""
    figure, axes = figures.panels(len(kinds), len(scenes), 5.5 / len(scenes), 1.95)
    for line, (name, look) in zip(axes, kinds.items(), strict=True):
        line[len(scenes) // 2].set_title(name)
        for n, ax in enumerate(line):
            scene = scenes[n:n + 1]
            title = ax.get_title()
            shown = figures.glow(ax, for_readers(scene)[0], look(scene).view(12, 12), FULL, title)
            figures.outline(ax, disc_mask(scene, READER_SCALE)[0] > 0.5, (12 * CELL, 12 * CELL))
            mark(ax, middles(scene)[0])
    figures.colour_bar(figure, shown, axes, "weight", extend="max")
    plt.show()
