"""The closing chapter's figure of flags whose parts must be bound: from one part to four, where each block gives up."""

from collections.abc import Mapping, Sequence
from typing import Any

from attention_lite import figures
from attention_lite.extras import extra
from attention_lite.lab.comparison_figures import COLOURS, GROUPS, NAMES
from attention_lite.lab.recipes import COMPARED, GATES, SHOWN
from attention_lite.lab.runs import TEST_SEED
from attention_lite.lab.scenes import READER_SCALE, for_readers
from attention_lite.lab.tasks import BINDINGS

with extra("book"):
    import matplotlib.pyplot as plt
    from matplotlib.axes import Axes

COUNTED = {1: "one part", 2: "two parts", 3: "three", 4: "four"}
FLAGS = {"itself": "its own flag", "twin": "the twin", "black": "another black", "dotted": "another dotted"}
SPREAD = 0.13            # of a row, between the dots of two trainings
# Other recipes of a task, by the end of their names: their mark.
OTHERS = {"longer": ("D", "steps × 2"), "wide": ("^", "channels × 2")}


def reached(rows: Sequence[Mapping[str, Any]], task: str, model: str) -> list[float]:
    """The accuracy on the test scenes of each training of `model`, by seed."""
    return [row["test_accuracy"] for row in rows if (row["task"], row["model"]) == (task, model)]


def shown(rows: Sequence[Mapping[str, Any]]) -> Mapping[str, Any]:
    """The row of the network with self-attention that the book runs."""
    run = next(run for run in SHOWN if run[1] == "self-attention")
    return next(row for row in rows if (row["task"], row["model"], row["seed"]) == run)


def told(rows: Sequence[Mapping[str, Any]]) -> str:
    """What the rows say of gates that are another scene's, and of the head that looks for the twin, a line each.

    Of two parts, of the gates' trainings that learned.
    """
    row = shown(rows)
    head = row["head"]
    gated = {task: {f"{NAMES[r['model']]} {r['seed']}" if task == "binding-2" else NAMES[r["model"]]: r["exchanged"]
                    for r in rows if r["task"] == task and r["model"] in GATES and r["test_accuracy"] > least}
             for task, least in (("binding-1", 0), ("binding-2", 2 * BINDINGS[1].blind))}
    lines = {"one part, another scene's gates:": gated["binding-1"],
             "two parts, another scene's gates, training": gated["binding-2"],
             f"two parts, head {head}, weight on": {FLAGS[name]: share[head] for name, share in row["heads"].items()},
             "right if nobody may read": {FLAGS[name]: share for name, share in row["forbidden"].items()}}
    return "\n".join(f"{what} " + ", ".join(f"{name} {value:.2f}" for name, value in values.items())
                     for what, values in lines.items())


def curves(rows: Sequence[Mapping[str, Any]]) -> None:
    """A column for each number of parts: a scene, and below it a line a block and a dot a training."""
    figure, axes = plt.subplots(2, len(BINDINGS), figsize=(figures.WIDTH, 5.6), height_ratios=[1, 3.6])
    for column, (side, (scene, ax)) in enumerate(zip(BINDINGS, axes.T, strict=True)):
        shown = side("test").sample(200, seed=TEST_SEED)[:1]
        figures.picture(scene, for_readers(shown)[0], COUNTED[side.parts])
        _dots(ax, rows, side.name, "o")
        ax.axvline(side.blind, color="0.6", lw=1, ls=":")
        ax.set(xlim=(0.2, 1.06), xticks=(0.33, 1), ylim=(len(COMPARED) - 0.5, -0.5))
        ax.set_xticklabels(["⅓", "1"])
        ax.set_yticks(range(len(COMPARED)), [NAMES[model] for model in COMPARED] if column == 0 else [])
        for name, (mark, _) in OTHERS.items():
            _dots(ax, rows, f"{side.name}-{name}", mark)
    for mark, label in OTHERS.values():
        axes[1, 1].plot([], [], mark, color="0.4", mfc="none", ms=6, label=label)
    axes[1, 1].plot([], [], "o", color="0.4", ms=5, label="a training")
    axes[1, 0].set_xlabel("accuracy")
    figure.legend(loc="outside lower center", ncols=3)


def show_twins() -> None:
    """The first scene of two parts, as it is and with the right halves passed on: a line joins the flag to its twin."""
    scene = BINDINGS[1]("test").sample(200, seed=TEST_SEED)[:1]
    _, axes = plt.subplots(1, 2, figsize=(figures.WIDTH, 2.9))
    pairs = scene.flags.shape[1] // 2
    halves = scene.flags.clone()
    halves[:, :pairs, 1:] = halves[:, :pairs, 1:].roll(-1, 1)      # each dotted flag's, of the next dotted one
    for ax, flags, title in zip(axes, (scene.flags, halves), ("their own", "passed on"), strict=True):
        figures.picture(ax, for_readers(scene.replace(flags=flags))[0], f"right halves: {title}")
        unlike = (flags[0, :pairs, None] - flags[0, None, pairs:]).abs().sum((2, 3))
        dotted, twin = divmod(int(unlike.argmin()), pairs)
        both = [dotted, pairs + twin]
        for colour, width in (("black", 3.5), ("white", 1.5)):
            ax.plot(READER_SCALE * scene.x[0, both], READER_SCALE * scene.y[0, both], "-", color=colour, lw=width)
            for k in both:
                side = READER_SCALE * float(scene.side[0, k])
                corner = [READER_SCALE * float(middle[0, k]) - side / 2 for middle in (scene.x, scene.y)]
                ax.add_patch(plt.Rectangle(corner, side, side, fill=False, ec=colour, lw=width))
    plt.show()


def _dots(ax: Axes, rows: Sequence[Mapping[str, Any]], task: str, mark: str) -> None:
    for y, model in enumerate(COMPARED):
        values = reached(rows, task, model)
        colour = COLOURS[GROUPS[model]]
        filled = {"alpha": 0.6, "ms": 5} if mark == "o" else {"mfc": "none", "ms": 6}
        below = [y + SPREAD * (i - (len(values) - 1) / 2) for i in range(len(values))]      # five at one place are seen
        ax.plot(values, below, mark, color=colour, **filled)
