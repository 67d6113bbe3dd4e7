"""Do the maps of CBAM and BAM know where the digit is better than other rankings do, and does the network need them?

A ranking of the places is tried by painting over the lowest half of them, or the highest fifth. Beside the network's
own map stand rankings that know less: another picture's map, one fixed map, a disc in the middle, places at random; and
one that needs no gate, the size of the features that the gate is computed from. Then the maps are exchanged inside the
network, and the picture is left alone.
"""

from collections.abc import Callable
from functools import cache

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
EXCHANGED = own.runs(TASK, "cbam", "cbam-average", "cbam-plain", "bam")
BLOCK = {"cbam": 2, "bam": 0}    # whose map is tried: those that point best on validation scenes (chapters 03 and 04)
LOWEST, HIGHEST = 0.5, 0.2       # the shares that are painted over


@cache
def drawn(task: str) -> list[tuple[Tensor, Scenes]]:
    """The test scenes in parts, drawn once: drawing takes longer than reading."""
    return list(own.parts(own.test_scenes(task)))


@torch.no_grad()
def gated(net: nn.Module, images: Tensor, block: int) -> tuple[nn.Module, Tensor]:
    """The CBAM or BAM of one block, and the features that it gets, (n, C, h, w)."""
    gate = net.bottlenecks[block] if isinstance(net.bottlenecks[0], BAMBlock) else net.blocks[block].gate
    caught: list[Tensor] = []
    handle = gate.register_forward_pre_hook(lambda _, args: caught.append(args[0]))
    net(images)
    handle.remove()
    return gate, caught[0]


def last_gets(net: nn.Module, scenes: Scenes) -> Tensor:
    """The features that the CBAM of the last block gets, (n, C, h, w)."""
    return gated(net, pictures(scenes), 2)[1]


def seen(net: nn.Module, images: Tensor, block: int) -> tuple[Tensor, Tensor]:
    """The map of one block and the size of the features that it is computed from: each (n, h, w)."""
    gate, features = gated(net, images, block)
    with torch.no_grad():
        maps = gate.attention(features)
    return maps["spatial_logits" if isinstance(gate, BAMBlock) else "spatial"], features.abs().mean(1)


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
def accuracy(net: nn.Module, parts: list[tuple[Tensor, Scenes]], order: Tensor, share: float, lowest: bool) -> float:
    """The share of painted scenes that are read right."""
    right = [net(painted(images, order[i * own.CHUNK:][:len(images)], share, lowest)).argmax(1) == part.answer
             for i, (images, part) in enumerate(parts)]
    return own.share(torch.cat(right))


def paint(task: str, model: str, seed: int) -> dict:
    """One row: the accuracy after painting by each ranking; and the gates on the digit and off it."""
    net, scenes, parts = own.load(task, model, seed), own.test_scenes(task), drawn(task)
    orders = rankings(net, task, BLOCK[model])
    maps = orders["own map"]
    gates = maps.sigmoid() if model == "bam" else maps
    on = scoring.on_grid(masks(scenes)[:, 0], tuple(gates.shape[1:]))
    return {"scenes": len(scenes), "untouched": scoring.accuracy(net, scenes),
            "lowest half painted": {name: accuracy(net, parts, o, LOWEST, True) for name, o in orders.items()},
            "highest fifth painted": {name: accuracy(net, parts, o, HIGHEST, False) for name, o in orders.items()},
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


def near_the_digit(scenes: Scenes, grid: tuple[int, int]) -> Tensor:
    """The places that the digit covers, and their neighbours: bool (n, h, w)."""
    on = scoring.on_grid(masks(scenes)[:, 0], grid)
    return F.max_pool2d(on[:, None].float(), 3, stride=1, padding=1)[:, 0] > 0


@torch.no_grad()
def exchange(task: str, model: str, seed: int) -> dict:
    """One row: the accuracy with the network's own maps and with others, in all its blocks at once.

    Means are those of the test scenes' own gates: nothing is told to the network that these scenes do not have. What
    is near the digit is told by the scene: no network could know it better.
    """
    net, parts = own.load(task, model, seed), drawn(task)
    given = run(net, torch.cat([images for images, _ in parts]), lambda i, gates: gates)[1]
    mean = [(channels.mean(0), places.mean(0), places.mean()) for channels, places in given]
    shut, open_ = (-1e4, 1e4) if model == "bam" else (0.0, 1.0)
    nothing = shut if model == "bam" else open_            # the gate with which the block does nothing
    changes: dict[str, Callable[[int, Gates, Tensor], Gates]] = {
        "as trained": lambda i, g, near: g,
        "places: one number": lambda i, g, near: (g[0], mean[i][2].expand_as(g[1])),
        "places: one fixed map": lambda i, g, near: (g[0], mean[i][1].expand_as(g[1])),
        "places: another picture's": lambda i, g, near: (g[0], g[1].roll(1, 0)),
        "places: open near the digit alone": lambda i, g, near: (g[0], torch.where(near, open_, shut)),
        "places: shut near the digit": lambda i, g, near: (g[0], torch.where(near, shut, g[1])),
        "channels: their means": lambda i, g, near: (mean[i][0].expand_as(g[0]), g[1]),
        "both: their means": lambda i, g, near: (mean[i][0].expand_as(g[0]), mean[i][2].expand_as(g[1])),
        "no gates": lambda i, g, near: (torch.full_like(g[0], nothing), torch.full_like(g[1], nothing))}
    row: dict = {"scenes": sum(len(part) for _, part in parts)}
    for name, change in changes.items():
        right = [run(net, images, lambda i, g, change=change, part=part: change(
            i, g, near_the_digit(part, tuple(g[1].shape[1:]))))[0].argmax(1) == part.answer for images, part in parts]
        row[name] = own.share(torch.cat(right))
    return row
