"""The closing chapter's figures of the comparison: its tasks, and what its five trainings of each block reached."""

import math
from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor
from torch.nn.functional import interpolate

from attention_lite import figures
from attention_lite.extras import extra
from attention_lite.lab.comparison import COST_TASK
from attention_lite.lab.recipes import COMPARED, FIVE_SEEDS
from attention_lite.lab.runs import TEST_SEED, learned
from attention_lite.lab.scenes import Scenes, for_readers
from attention_lite.lab.tasks import TASKS

with extra("book"):
    import matplotlib.pyplot as plt
    import numpy as np
    from matplotlib.axes import Axes

NAMES = {"none": "no block", "conv": "convolution", "se": "SE", "eca": "ECA", "cbam": "CBAM", "bam": "BAM", "sk": "SK",
         "psa": "PSA", "self-attention": "self-attention", "danet": "DANet", "emsa": "EMSA", "external": "external"}
CONTROLS, GATES = ("none", "conv"), ("se", "eca", "cbam", "bam", "sk", "psa")
GROUPS = {model: "control" if model in CONTROLS else "gate" if model in GATES else "reader" for model in COMPARED}
COLOURS = dict(zip(("control", "gate", "reader"), figures.CYCLE, strict=False))
SHOWN = {"context-gating": "context gating", "cued-search": "cued search", "one-digit": "one digit"}
MARKS = {"largest": ("o", figures.CYCLE[1], "largest weights"), "random": ("x", "0.5", "at random"),
         "smallest": ("s", figures.CYCLE[2], "smallest weights"),
         "features": ("D", figures.CYCLE[0], "longest features, no map")}


class Comparison:
    """The rows of `comparison.load()`, by task, model and seed."""

    def __init__(self, results: Mapping[str, list[dict[str, Any]]]) -> None:
        self.rows = {(row["task"], row["model"], row["seed"]): row for row in results["rows"]}
        self.costs = {(row["model"], row["seed"]): row for row in results["costs"]}

    def each(self, task: str, model: str, key: str = "accuracy") -> np.ndarray:
        """One number a seed; NaN where the mechanism has no such number."""
        return np.array([self.rows[task, model, seed].get(key, math.nan) for seed in FIVE_SEEDS], dtype=float)

    def lost(self, task: str, model: str, what: str) -> np.ndarray:
        """Accuracy lost by a deletion, "largest", "random", "smallest" or "features": one number a seed, or NaN."""
        found = [self.rows[task, model, seed].get("deletion") for seed in FIVE_SEEDS]
        return np.array([gone["nothing"] - gone[what] if gone else math.nan for gone in found])

    def count(self, task: str, model: str) -> int:
        """How many of the five trainings learned the task."""
        return sum(learned(task, accuracy) for accuracy in self.each(task, model))

    def against_none(self, model: str, key: str) -> np.ndarray:
        """"forward", "step" or "peak_bytes" to that of no block, in the same run: one number a seed."""
        return np.array([self.costs[model, seed][key] / self.costs["none", seed][key] for seed in FIVE_SEEDS])

    def wrong_draws(self, task: str, least: float = 0.02) -> float:
        """How often one training of each of two blocks ranks them as their other four trainings do not.

        Over all pairs of blocks and of seeds in which the means of the other four differ by more than `least`.
        """
        wrong = total = 0
        values = [self.each(task, model) for model in COMPARED]
        for i, one in enumerate(values):
            for other in values[i + 1:]:
                for s in range(len(one)):
                    for t in range(len(other)):
                        rest = np.delete(one, s).mean() - np.delete(other, t).mean()
                        total += abs(rest) > least
                        wrong += abs(rest) > least and rest * (one[s] - other[t]) < 0
        return float(wrong / total)


def thumbnails() -> None:
    """A test scene of each task, and the answer."""
    _, axes = figures.panels(1, len(SHOWN), 1.83, 2.2)
    for ax, (task, name) in zip(axes[0], SHOWN.items(), strict=True):
        scene = TASKS[task]("test").sample(200, seed=TEST_SEED)[:1]
        figures.picture(ax, for_readers(scene)[0], f"{name}: {int(scene.answer)}")


def wrong_picks(of: Comparison) -> list[float]:
    """A bar a task: how often one training picks the wrong block (see `wrong_draws`); dotted, a coin. Returns them."""
    wrong = [of.wrong_draws(task) for task in SHOWN]
    _, ax = plt.subplots(figsize=(figures.WIDTH, 1.9))
    ax.barh(list(SHOWN.values()), wrong, height=0.55, color=figures.CYCLE[1])
    ax.axvline(0.5, color="0.6", lw=1, ls=":")
    ax.set(xlim=(0, 0.55), xlabel="how often one training picks the wrong block")
    ax.invert_yaxis()
    return wrong


def show_reach(scene: Scenes, heard: Mapping[str, Tensor]) -> None:
    """One scene for each network, dark where a pixel does not move the middle place; masks (H, W) by their networks."""
    _, axes = figures.panels(1, len(heard), 1.45, 1.9)
    image = torch.as_tensor(for_readers(scene)[0])
    height, width = image.shape[:2]
    for ax, (name, mask) in zip(axes[0], heard.items(), strict=True):
        light = interpolate(mask[None, None].float(), (height, width))[0, 0, ..., None]
        figures.picture(ax, image * (0.15 + 0.85 * light), f"{name}\n{mask.float().mean():.2f}")
        ax.plot(width / 2, height / 2, "x", color="white", markersize=5)
    plt.show()


def accuracies(of: Comparison) -> None:
    """A panel a task, a line a block, a dot a training; at the right, how many learned."""
    _, axes = plt.subplots(len(SHOWN), 1, figsize=(figures.WIDTH, 10.5), sharex=True)
    for ax, (task, name) in zip(axes, SHOWN.items(), strict=True):
        for y, model in enumerate(COMPARED):
            _line(ax, y, of.each(task, model), model)
            ax.text(1.02, y, f"{of.count(task, model)} of 5", va="center", transform=ax.get_yaxis_transform())
        blind = TASKS[task].blind
        ax.axvline(blind, color="0.6", lw=1, ls=":")
        ax.axvline(2 * blind, color="0.6", lw=1, ls="--")
        _names(ax, COMPARED)
        ax.set(title=name, xlim=(0, 1))
    axes[-1].set_xlabel("accuracy")


def map_scores(of: Comparison) -> None:
    """A panel a task: the map's score after training and before, a dot a training; dotted, what says nothing."""
    asked = {"context-gating": "share of the weights' variance that is the frame's colour",
             "cued-search": "the read digit's weight on the disc", "one-digit": "how often the peak lies on the digit"}
    known = {task: [model for model in COMPARED if np.isfinite(of.each(task, model, "map_score")).all()]
             for task in asked}
    _, axes = plt.subplots(len(asked), 1, figsize=(figures.WIDTH, 8.6), sharex=True, height_ratios=[
        len(models) + 1.5 for models in known.values()])
    for ax, (task, title) in zip(axes, asked.items(), strict=True):
        for y, model in enumerate(known[task]):
            _line(ax, y, of.each(task, model, "map_score"), model)
            ax.plot(of.each(task, model, "map_score_untrained"), [y + 0.28] * len(FIVE_SEEDS), "x", color="0.5", ms=5)
        ax.axvline(of.each(task, known[task][0], "map_chance").mean(), color="0.6", lw=1, ls=":")
        _names(ax, known[task])
        ax.set(title=title, xlim=(-0.03, 1.03))


def deletions(of: Comparison) -> None:
    """What deleting a tenth costs, by what the map ranks first, at random, and by a ranking that needs no map."""
    others = {"context-gating": ("smallest", "a tenth of the channels"),
              "one-digit": ("features", "a tenth of the places")}
    figure, axes = plt.subplots(2, 1, figsize=(figures.WIDTH, 6.4), sharex=True)
    for ax, (task, (other, title)) in zip(axes, others.items(), strict=True):
        known = [model for model in COMPARED if np.isfinite(of.lost(task, model, "largest")).all()]
        for i, what in enumerate(("largest", "random", other)):
            mark, colour, label = MARKS[what]
            for y, model in enumerate(known):
                ax.plot(of.lost(task, model, what), [y + 0.25 * (i - 1)] * len(FIVE_SEEDS), mark, color=colour, ms=6,
                        alpha=0.75, label=None if y or (ax is axes[1] and what != other) else label)
        _names(ax, known)
        ax.set(title=f"{SHOWN[task]}: {title}", xlim=(-0.05, 1))
    axes[-1].set_xlabel("accuracy lost")
    figure.legend(loc="outside lower center", ncols=2)


def times(of: Comparison) -> None:
    """The network's forward pass and step to that without a block: a dot a run."""
    _, ax = plt.subplots(figsize=(figures.WIDTH, 4.6))
    for i, (key, mark, label) in enumerate((("forward", "o", "forward pass, one picture"),
                                            ("step", "s", "training step, 64 pictures"))):
        for y, model in enumerate(COMPARED):
            ax.plot(of.against_none(model, key), [y + 0.2 * (2 * i - 1)] * len(FIVE_SEEDS), mark, ms=5, alpha=0.7,
                    color=figures.CYCLE[i], label=label if y == 0 else None)
    ax.axvline(1, color="0.6", lw=1, ls=":")
    _names(ax, COMPARED)
    ax.set(xlabel=f"time, no block 1 ({SHOWN[COST_TASK]})", xlim=(0.8, None))
    ax.legend(loc="upper right")


def _line(ax: Axes, y: float, values: np.ndarray, model: str) -> None:
    colour = COLOURS[GROUPS[model]]
    ax.plot([values.min(), values.max()], [y, y], color=colour, lw=1)
    ax.plot(values, [y] * len(values), "o", color=colour, ms=5, alpha=0.6)


def _names(ax: Axes, models: tuple[str, ...] | list[str]) -> None:
    ax.set_yticks(range(len(models)), [NAMES[model] for model in models])
    ax.set_ylim(len(models) - 0.5, -0.5)
