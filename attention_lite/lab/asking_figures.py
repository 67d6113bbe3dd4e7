"""Figures of what blocks change when another digit is asked for: the pages of the six gates and the four readers."""

from collections.abc import Mapping, Sequence

import torch
from torch import nn

from attention_lite import figures
from attention_lite.extras import extra
from attention_lite.lab.asking import DIGITS, changes
from attention_lite.lab.scenes import Scenes, for_readers, masks
from attention_lite.lab.tasks import ask_for
from attention_lite.lab.training import pictures

with extra("book"):
    import matplotlib.pyplot as plt



@torch.no_grad()
def show_changes(nets: Mapping[str, nn.Module], scene: Scenes) -> None:
    """One scene while each digit is asked for, and a row a network, by name: what its block changes, what it reads.

    Each row has a scale of its own. Places whose own features change too are left out.

    Raises:
        ValueError: that of `changes`.
    """
    asked = [ask_for(scene, digit) for digit in DIGITS]
    maps = {name: changes(net, scene)[:, 0] for name, net in nets.items()}
    # Under a frame the outer places are left out of every map: do not show them.
    kept = ~torch.stack(list(maps.values())).isnan().all(0).all(0)
    rows, columns = (torch.nonzero(kept.any(axis))[:, 0] for axis in (1, 0))
    height, width = kept.shape
    _, axes = figures.panels(1 + len(nets), 3, 1.8, 2.0)
    for ax, one in zip(axes[0], asked, strict=True):
        figures.picture(ax, for_readers(one)[0], f"asks for {int(one.answer)}")
    for line, (name, net) in zip(axes[1:], nets.items(), strict=True):
        limit = max(float(maps[name].nan_to_num().abs().max()), 1e-3)      # a block that changes nothing is white
        for ax, change, one in zip(line, maps[name], asked, strict=True):
            figures.heat(ax, change, (-limit, limit), f"{name}: {int(net(pictures(one)).argmax())}", cmap="PuOr_r")
            for mask in masks(scene)[0]:
                figures.outline(ax, mask, (height, width), "black")
            ax.set(xlim=(columns[0] - 0.5, columns[-1] + 0.5), ylim=(rows[-1] + 0.5, rows[0] - 0.5))
    plt.show()


def show_answers(reached: Mapping[str, Sequence[float]], lit: Mapping[str, Sequence[tuple[float, float]]]) -> None:
    """A row a block, a mark a training: accuracy, and how often the digit asked for is lit and dimmed most."""
    _, ax = plt.subplots(figsize=(figures.WIDTH, 0.55 * len(lit) + 0.9))
    figures.seed_dots(ax, {name: {"reads the digit asked for": reached[name],
                                  "lights it up most": [pair[0] for pair in lit[name]],
                                  "dims it most": [pair[1] for pair in lit[name]]} for name in lit}, chance=1 / 3)
    plt.show()
