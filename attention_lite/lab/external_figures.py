"""Figures of chapter 10: external attention's sums under several discs, what they do, its slots on photographs."""

from collections.abc import Callable, Mapping, Sequence

import torch
from torch import Tensor

from attention_lite import figures
from attention_lite.explorers import SlotsExplorer
from attention_lite.extras import extra
from attention_lite.lab import patches, photographs, seen
from attention_lite.lab.experiments import crops, slots, sums
from attention_lite.lab.scenes import Scenes, for_readers, masks

with extra("book"):
    import matplotlib.pyplot as plt

KINDS = {"asked": "the digit asked for now", "old": "the digit asked for before", "any": "any of the three digits"}
MEMORIES = {"trained": "external attention", "untrained": "untrained", "k-means": "k-means"}
SHOWN = 320              # pixels: the side of a photograph's middle in the explorer
SCORES = ("object, slot named elsewhere", "object, best slot", "parts, best slot")


# The network taken apart


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


def show_sums(rows: Sequence[dict], beside: Mapping[str, Sequence[float]], chance: float,
              learned: Sequence[dict]) -> None:
    """What is read by whose sums, a mark a training; `beside` {row: how often the digit asked for now is read}.

    The trainings of `learned` are filled; of those beside, only "$W_O$ = 0" has the same trainings.
    """
    rings = [i for i, row in enumerate(rows) if row not in learned]
    shares = {source: {label: [row[source][kind] for row in rows] for kind, label in KINDS.items()}
              for source in sums.SOURCES}
    shares |= {name: {KINDS["asked"]: values} for name, values in beside.items()}
    _, ax = plt.subplots(figsize=(figures.WIDTH, 4.2))
    same = (*sums.SOURCES, "$W_O$ = 0")
    figures.seed_dots(ax, shares, "by whose sums", chance,
                      {name: rings if name in same else range(len(rows)) for name in shares})
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


def show_ablation(parts: Mapping[str, Sequence[dict]], rows: Sequence[dict], learned: Sequence[dict]) -> None:
    """Accuracy as trained and with W_O at zero, task by task; and how often a chosen slot points at the disc.

    `learned`: the rows whose trainings are filled, in the last task.
    """
    rings = [i for i, row in enumerate(rows) if row not in learned]
    _, axes = figures.panels(2, 1, figures.WIDTH, 2.3)
    figures.seed_dots(axes[0, 0], {task: {label: [row[label.replace("$", "")] for row in part]
                                          for label in ("as trained", "$W_O$ = 0")}
                                   for task, part in parts.items()}, "accuracy", hollow={list(parts)[-1]: rings})
    figures.seed_dots(axes[1, 0], {name: {"": [row[key] for row in rows]} for name, key in (
        ("trained", "points"), ("before training", "points before training"))},
        "the chosen slot's peak lies on the disc", rows[0]["chance"], {"trained": rings})
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


def named_slot(photograph: str) -> int:
    """The slot that overlaps the main objects best on the photographs that this photograph's memory was trained on."""
    fold = slots.memory_of(photograph)
    memory, standard = slots.load_memory(fold)
    found = []
    for name in slots.trained_on(fold):
        group = slots.groups(memory, standard.of(crops.middle(name))[None])[0]
        found.append(slots.overlaps(group, slots.truth(name)["main"]))
    return int(torch.stack(found).mean(0).argmax())


def photographs_explorer(overlap: Mapping[str, Mapping[str, float]]) -> SlotsExplorer:
    """All photographs with regions under a finger; opens on the cat's left eye, by a memory that has not seen it.

    `overlap` as `left_out` gives it: the states "best", "sixth" and "last" show the named slot where it does so. "eye",
    "eye untrained" and "eye k-means" ask the cat's eye of a memory and of its controls.
    """
    named = overlap[SCORES[0]]
    ranked = sorted(named, key=lambda name: -named[name])
    names = slots.PHOTOGRAPHS
    shown = torch.stack([(255 * patches.window(name, (SHOWN, SHOWN))).round().byte() for name in names])
    taken = [torch.stack([slots.shares(kind, name) for kind in MEMORIES.values()]) for name in names]
    eye = {"image": names.index("chelsea"), "query": seen.patch_of("chelsea", "left eye"), "slot": -1, "show": "both"}
    states = {"eye": {**eye, "memory": 0}}
    states |= {f"eye {memory}": {**eye, "memory": i} for i, memory in enumerate(MEMORIES) if i}
    states |= {rank: {"image": names.index(name), "memory": 0, "slot": named_slot(name), "show": "both"}
               for rank, name in (("best", ranked[0]), ("sixth", ranked[5]), ("last", ranked[-1]))}
    return SlotsExplorer(
        shown, grid=(crops.GRID, crops.GRID), weights=torch.stack(taken), memory_names=list(MEMORIES),
        region=torch.stack([slots.truth(name)["main"] for name in names]), region_name="main object",
        image_names=[seen.WORDS.get(name, name) for name in names],
        alt=[photographs.PHOTOGRAPHS[name].title for name in names],
        name="photographs", states=states, image=eye["image"], query=eye["query"])
