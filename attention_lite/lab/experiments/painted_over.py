"""Do the maps of CBAM and BAM know where the digit is better than other rankings do, and does the network need them?

A ranking of the places is tried by painting over the lowest half of them, or the highest fifth. Beside the network's
own map stand rankings that know less: another picture's map, one fixed map, a disc in the middle, places at random; and
one that needs no gate, the size of the features that the gate is computed from. Then the maps are exchanged inside the
network, and the picture is left alone.
"""

from collections.abc import Callable

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from attention_lite.bam import BAMBlock
from attention_lite.lab import scoring
from attention_lite.lab.experiments import own
from attention_lite.lab.scenes import Scenes, masks
from attention_lite.lab.training import pictures

TASK = "one-digit-residual"
RUNS = own.runs(TASK, "cbam", "bam")
BLOCK = {"cbam": 2, "bam": 0}    # whose map is tried: those that point best on validation scenes (chapters 03 and 04)
LOWEST, HIGHEST = 0.5, 0.2       # the shares that are painted over


@torch.no_grad()
def seen(net: nn.Module, images: Tensor, block: int) -> tuple[Tensor, Tensor]:
    """The map of one block and the size of the features that it is computed from: each (n, h, w)."""
    bam = isinstance(net.bottlenecks[0], BAMBlock)
    gate = net.bottlenecks[block] if bam else net.blocks[block].gate
    caught: list[Tensor] = []
    handle = gate.register_forward_pre_hook(lambda _, args: caught.append(args[0]))
    net(images)
    handle.remove()
    maps = gate.attention(caught[0])
    return maps["spatial_logits" if bam else "spatial"], caught[0].abs().mean(1)


def gathered(net: nn.Module, scenes: Scenes, block: int) -> tuple[Tensor, Tensor]:
    """Maps and features' sizes of all scenes: each (n, h, w)."""
    maps, sizes = zip(*(seen(net, images, block) for images, _ in own.parts(scenes)), strict=True)
    return torch.cat(maps), torch.cat(sizes)


def rankings(net: nn.Module, task: str, block: int) -> dict[str, Tensor]:
    """What ranks the places of each test scene, by name: each (n, h, w), large where a place is said to matter."""
    maps, sizes = gathered(net, own.test_scenes(task), block)
    fixed = gathered(net, own.validation_scenes(task), block)[0].mean(0)
    height, width = maps.shape[1:]
    y, x = torch.meshgrid(torch.arange(height) - (height - 1) / 2, torch.arange(width) - (width - 1) / 2, indexing="ij")
    return {"own map": maps, "another picture's map": maps.roll(1, 0), "one fixed map": fixed.expand_as(maps),
            "disc in the middle": -(y.square() + x.square()).expand_as(maps), "features before the gate": sizes,
            "at random": torch.rand(maps.shape, generator=torch.Generator().manual_seed(0))}


def painted(images: Tensor, order: Tensor, share: float, lowest: bool) -> Tensor:
    """The pictures with the lowest or highest `share` of their places, by `order` (n, h, w), in the mean colour: 0."""
    ranked = order.flatten(1).argsort(dim=1, descending=not lowest, stable=True)
    gone = torch.zeros_like(ranked, dtype=torch.bool).scatter(1, ranked[:, :round(share * ranked.shape[1])], True)
    kept = (~gone).float().unflatten(1, order.shape[1:])[:, None]
    return images * F.interpolate(kept, size=images.shape[2:], mode="nearest")


@torch.no_grad()
def accuracy(net: nn.Module, scenes: Scenes, order: Tensor, share: float, lowest: bool) -> float:
    """The share of painted scenes that are read right."""
    right = [net(painted(images, order[i * own.CHUNK:][:len(images)], share, lowest)).argmax(1) == part.answer
             for i, (images, part) in enumerate(own.parts(scenes))]
    return own.share(torch.cat(right))


def paint(task: str, model: str, seed: int) -> dict:
    """One row: the accuracy after painting by each ranking; and the gates on the digit and off it."""
    net, scenes = own.load(task, model, seed), own.test_scenes(task)
    orders = rankings(net, task, BLOCK[model])
    maps = orders["own map"]
    gates = maps.sigmoid() if model == "bam" else maps
    on = scoring.on_grid(masks(scenes)[:, 0], tuple(gates.shape[1:]))
    return {"scenes": len(scenes), "untouched": scoring.accuracy(net, scenes),
            "lowest half painted": {name: accuracy(net, scenes, o, LOWEST, True) for name, o in orders.items()},
            "highest fifth painted": {name: accuracy(net, scenes, o, HIGHEST, False) for name, o in orders.items()},
            "peak on the digit": {name: own.share(scoring.peak_on(o, on)) for name, o in orders.items()},
            "mean gate on the digit": gates[on].mean().item(), "mean gate off it": gates[~on].mean().item(),
            "places with a gate above 0.9": own.share(gates > 0.9)}


# The maps exchanged inside the network


Gates = tuple[Tensor, Tensor]        # of channels (n, C) and of places (n, h, w); BAM's before their sum and sigmoid


def run(net: nn.Module, images: Tensor, change: Callable[[int, Gates], Gates]) -> tuple[Tensor, list[Gates]]:
    """Class scores, after `change` has exchanged the gates of each block, and the gates that the blocks gave."""
    given: list[Gates] = []
    x = net.stem(images)
    for i, (block, bottleneck) in enumerate(zip(net.blocks, net.bottlenecks, strict=True)):
        if isinstance(bottleneck, BAMBlock):
            x = block(x)
            maps = bottleneck.attention(x)
            given.append((maps["channel_logits"], maps["spatial_logits"]))
            channels, places = change(i, given[-1])
            x = x + x * torch.sigmoid(channels[..., None, None] + places[:, None])
        elif isinstance(block.gate, nn.Identity):
            x = block(x)
        else:
            y = block.convs(x)
            maps = block.gate.attention(y)
            given.append((maps["channel"], maps["spatial"]))
            channels, places = change(i, given[-1])
            y = y * channels[..., None, None] * places[:, None]
            x = torch.relu(block.skip(x) + y if block.residual else y)
    return net.head(x.amax((2, 3))), given


@torch.no_grad()
def exchange(task: str, model: str, seed: int) -> dict:
    """One row: the accuracy with the network's own maps and with others, in all its blocks at once.

    Means are those of the test scenes' own gates: nothing is told to the network that these scenes do not have.
    """
    net, scenes = own.load(task, model, seed), own.test_scenes(task)
    given = run(net, pictures(scenes), lambda i, gates: gates)[1]
    mean = [(channels.mean(0), places.mean(0), places.mean()) for channels, places in given]
    off = (lambda c, s: (c - 1e4, s)) if model == "bam" else (lambda c, s: (torch.ones_like(c), torch.ones_like(s)))
    changes: dict[str, Callable[[int, Gates], Gates]] = {
        "as trained": lambda i, g: g,
        "places: one number": lambda i, g: (g[0], mean[i][2].expand_as(g[1])),
        "places: one fixed map": lambda i, g: (g[0], mean[i][1].expand_as(g[1])),
        "places: another picture's": lambda i, g: (g[0], g[1].roll(1, 0)),
        "channels: their means": lambda i, g: (mean[i][0].expand_as(g[0]), g[1]),
        "both: their means": lambda i, g: (mean[i][0].expand_as(g[0]), mean[i][2].expand_as(g[1])),
        "no gates": lambda i, g: off(*g)}
    row: dict = {"scenes": len(scenes)}
    for name, change in changes.items():
        right = [run(net, images, change)[0].argmax(1) == part.answer for images, part in own.parts(scenes)]
        row[name] = own.share(torch.cat(right))
    return row
