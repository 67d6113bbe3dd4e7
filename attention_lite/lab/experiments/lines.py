"""Does a network with coordinate attention need the gates of its rows and columns, and do they know where the digit is?

The gates of all blocks are exchanged at once, and the picture is left alone: for their mean over the lines, which says
nothing of a place, for the mean of all pictures, for another picture's, for its columns alone.
"""

from collections.abc import Callable

import torch
from torch import Tensor, nn

from attention_lite.lab import scoring
from attention_lite.lab.experiments import own
from attention_lite.lab.experiments.painted_over import drawn
from attention_lite.lab.scenes import masks

TASK = "one-digit-residual"
RUNS = own.runs(TASK, "coordinate-plain")

Lines = tuple[Tensor, Tensor]        # gates of rows (n, C, H) and of columns (n, C, W)


@torch.no_grad()
def run(net: nn.Module, images: Tensor, change: Callable[[int, Lines], Lines]) -> tuple[Tensor, list[Lines], Tensor]:
    """Class scores, after `change` has exchanged the gates of each block; the gates that the blocks gave; and what the
    last of them got, (n, C, H, W)."""
    given: list[Lines] = []
    got: list[Tensor] = []

    def exchanged(gate: nn.Module, args: tuple[Tensor], y: Tensor) -> Tensor:
        got.append(args[0])
        given.append(tuple(gate.attention(args[0]).values()))
        rows, columns = change(len(given) - 1, given[-1])
        return args[0] * rows[..., None] * columns[..., None, :]

    handles = [block.gate.register_forward_hook(exchanged) for block in net.blocks]
    try:
        return net(images), given, got[-1]
    finally:
        for handle in handles:
            handle.remove()


def crossed(lines: Lines) -> Tensor:
    """The gates of the places, the mean of all channels: (n, H, W)."""
    rows, columns = lines
    return torch.einsum("nci,ncj->nij", rows, columns) / rows.shape[1]


def level(lines: Lines) -> Lines:
    """Each channel's gates at their mean over its rows, and over its columns."""
    rows, columns = lines
    return rows.mean(2, keepdim=True).expand_as(rows), columns.mean(2, keepdim=True).expand_as(columns)


def measure(task: str, model: str, seed: int) -> dict:
    """One row: the accuracy with the network's own gates and with others, in all its blocks at once; and how often the
    largest gate of the last block lies on the digit, beside rankings that know less, and the features before it."""
    net, parts, scenes = own.load(task, model, seed), drawn(task), own.test_scenes(task)
    _, given, features = run(net, torch.cat([images for images, _ in parts]), lambda i, lines: lines)
    mean = [tuple(gates.mean(0) for gates in lines) for lines in given]
    changes: dict[str, Callable[[int, Lines], Lines]] = {
        "as trained": lambda i, lines: lines,
        "level": lambda i, lines: level(lines),
        "rows level": lambda i, lines: (level(lines)[0], lines[1]),
        "columns level": lambda i, lines: (lines[0], level(lines)[1]),
        "one fixed map": lambda i, lines: tuple(m.expand_as(g) for m, g in zip(mean[i], lines, strict=True)),
        "another picture's": lambda i, lines: tuple(gates.roll(1, 0) for gates in lines),
        "another picture's columns": lambda i, lines: (lines[0], lines[1].roll(1, 0))}
    row: dict = {"scenes": len(scenes)}
    for name, change in changes.items():
        row[name] = own.share(torch.cat([run(net, images, change)[0].argmax(1) == part.answer
                                         for images, part in parts]))
    maps = crossed(given[-1])
    on = scoring.on_grid(masks(scenes)[:, 0], tuple(maps.shape[1:]))
    orders = {"own gates": maps, "another picture's": maps.roll(1, 0),
              "features before the gates": features.abs().mean(1)}
    return row | {"peak on the digit": {name: own.share(scoring.peak_on(order, on)) for name, order in orders.items()},
                  "mean gate on the digit": maps[on].mean().item(), "mean gate off it": maps[~on].mean().item()}
