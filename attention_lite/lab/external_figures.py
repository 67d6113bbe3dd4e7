"""Figures of chapter 10: external attention's memory, its sums under several discs, its slots on photographs."""

from collections.abc import Callable, Mapping, Sequence

import torch
from torch import Tensor, nn

from attention_lite import figures
from attention_lite.extras import extra
from attention_lite.lab.experiments import crops, slots, sums
from attention_lite.lab.scenes import Scenes, for_readers, masks

with extra("book"):
    import matplotlib.pyplot as plt

KINDS = {"asked": "the digit asked for now", "old": "the digit asked for before", "any": "any of the three digits"}
SCORES = ("object, slot named elsewhere", "object, best slot", "parts, best slot")


# The network taken apart


def show_widths(maps: Mapping[str, Tensor], limit: float) -> None:
    """Maps (N, columns) beside one another, at one scale, by the names of their blocks."""
    figure, axes = plt.subplots(1, len(maps), figsize=(5.5, 4.1), width_ratios=[A.shape[1] for A in maps.values()])
    for ax, (name, A) in zip(axes, maps.items(), strict=True):
        shown = figures.heat(ax, A, (0, limit), f"{name}\n{A.shape[0]} × {A.shape[1]}")
    figures.colour_bar(figure, shown, axes, "weight", extend="max")
    plt.show()


def show_slots(scenes: Mapping[str, Scenes], A: Tensor, numbers: Sequence[int], grid: tuple[int, int]) -> None:
    """How much each place takes from some slots, a row each, in scenes by their names; A (n, h, N, S)."""
    figure, axes = figures.panels(len(numbers), len(scenes), 1.83, 2.1)
    for row, number in zip(axes, numbers, strict=True):
        head, slot = divmod(int(number), A.shape[3])
        for ax, (name, scene), weights in zip(row, scenes.items(), A, strict=True):
            shown = figures.glow(ax, for_readers(scene)[0], weights[head, :, slot].unflatten(0, grid), 1,
                                 f"{name}\nhead {head}, slot {slot}")
    figures.colour_bar(figure, shown, axes, "A")
    plt.show()


def show_moves(scene: Scenes, moves: Mapping[str, Tensor], limit: float) -> None:
    """The scene, and maps (h, w) of how far what each place reads moves; NaN is left white."""
    figure, axes = figures.panels(1, 1 + len(moves), 1.9, 2.2)
    figures.picture(axes[0, 0], for_readers(scene)[0], "the scene")
    for ax, (name, move) in zip(axes[0, 1:], moves.items(), strict=True):
        shown = figures.heat(ax, move, (0, limit), name)
        for mask in masks(scene)[0]:
            figures.outline(ax, mask > 0.5, tuple(move.shape))
    figures.colour_bar(figure, shown, axes, "moves by", extend="max")
    plt.show()


# The experiment


def show_sums(rows: Sequence[dict], beside: Mapping[str, Sequence[float]], chance: float) -> None:
    """What is read by whose sums, a dot a training; `beside` {row: how often the digit asked for now is read}."""
    shares = {source: {label: [row[source][kind] for row in rows] for kind, label in KINDS.items()}
              for source in sums.SOURCES}
    shares |= {name: {KINDS["asked"]: values} for name, values in beside.items()}
    _, ax = plt.subplots(figsize=(figures.WIDTH, 4.2))
    figures.seed_dots(ax, shares, "by whose sums", chance)
    plt.show()


def show_few(rows: Sequence[dict]) -> None:
    """How often the digit asked for before is read when some of the sums have their old values, a line a training."""
    _, ax = plt.subplots(figsize=(5.8, 3.2))
    for row in rows:
        between = [row[f"{count} old"]["old"] for count in sums.FEW]
        ax.plot([row["its own"]["old"], *between, row["the old picture's"]["old"]], "o-",
                label=f"training {row['seed']}")
    ticks = ["0", *map(str, sums.FEW), "all"]
    ax.set(xticks=range(len(ticks)), xticklabels=ticks, ylim=(0, 1), xlabel="sums that have their old values",
           ylabel="reads the digit before")
    ax.legend()
    plt.show()


def show_ablation(parts: Mapping[str, Sequence[dict]], rows: Sequence[dict]) -> None:
    """Accuracy as trained and with W_O at zero, task by task; and how often a chosen slot points at the disc."""
    _, axes = figures.panels(2, 1, figures.WIDTH, 2.3)
    figures.seed_dots(axes[0, 0], {task: {label: [row[label.replace("$", "")] for row in part]
                                          for label in ("as trained", "$W_O$ = 0")}
                                   for task, part in parts.items()}, "accuracy")
    figures.seed_dots(axes[1, 0], {name: {"": [row[key] for row in rows]} for name, key in (
        ("trained", "points"), ("before training", "points before training"))},
        "the chosen slot's peak lies on the disc", rows[0]["chance"])
    plt.show()


# Slots on photographs


def left_out(rows: Sequence[dict], kind: str) -> dict[str, dict[str, float]]:
    """{score: {photograph: overlap}} of a kind's rows of "slots", the mean of its seeds where a photograph is left out.

    The scores are SCORES; a photograph with no part of four patches has NaN for its parts.
    """
    def best_part(row: dict, name: str) -> float:
        values = [value for part, value in row["best"][name].items() if part != "main"]
        return sum(values) / len(values) if values else float("nan")

    score: dict[str, Callable[[dict, str], float]] = dict(zip(SCORES, (
        lambda row, name: row["named"][name]["main"], lambda row, name: row["best"][name]["main"], best_part),
        strict=True))
    found: dict[str, dict[str, float]] = {}
    for asked, of in score.items():
        for name in slots.PHOTOGRAPHS:
            values = [of(row, name) for row in rows if row["kind"] == kind and name in row["left_out"]]
            found.setdefault(asked, {})[name] = sum(values) / len(values)
    return found


def show_overlaps(found: Mapping[str, Mapping[str, Mapping[str, float]]]) -> None:
    """A row a kind, a mark a photograph: what `left_out` gives, by kind."""
    _, ax = plt.subplots(figsize=(figures.WIDTH, 4.8))
    figures.seed_dots(ax, {kind.replace("of colour and", "of\ncolour and").replace(" attention", "\nattention"): {
        asked: list(of.values()) for asked, of in scores.items()} for kind, scores in found.items()},
        "intersection over union")
    plt.show()


def named_slot(memory: nn.Module, standard: slots.Standard, fold: int) -> int:
    """The slot that overlaps the main objects best, over the photographs that this fold's memory was trained on."""
    return int(torch.stack([slots.overlaps(_weights(memory, standard, name).argmax(1), slots.truth(name)["main"])
                            for name in slots.trained_on(fold)]).mean(0).argmax())


def _weights(memory: nn.Module, standard: slots.Standard, photograph: str) -> Tensor:
    """How much each patch of a photograph's middle takes from each slot: (256, S)."""
    return memory.attention(standard.of(crops.middle(photograph))[None])["slot"][0, 0]


def show_photographs(names: Sequence[str]) -> None:
    """Photographs, a column each, by memories that have not seen them: the patches' slots, and the named slot."""
    side = crops.GRID
    _, axes = figures.panels(3, len(names), 1.83, 1.95)
    for column, photograph in zip(axes.T, names, strict=True):
        fold = slots.memory_of(photograph)
        memory, standard = slots.load_memory(fold)
        slot, A = named_slot(memory, standard, fold), _weights(memory, standard, photograph)
        image = crops.pixels(crops.middle(photograph))[0].permute(1, 2, 0)
        figures.picture(column[0], image, photograph)
        column[1].imshow(A.argmax(1).view(side, side), cmap="tab20", vmin=0, vmax=19)
        column[1].set_axis_off()
        figures.glow(column[2], image, A[:, slot].view(side, side), 1, f"slot {slot}")
        for ax, shape in ((column[1], (side, side)), (column[2], tuple(image.shape[:2]))):
            figures.outline(ax, slots.truth(photograph)["main"].view(side, side) > 0.5, shape)
    plt.show()
