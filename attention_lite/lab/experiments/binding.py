"""Flags whose parts must be bound: how often each mechanism names the dot, and what its maps do.

Each row trains its own network. Of gates it says what another scene's gates do in their place (of SK and PSA: another
scene's weights of the kernels); of self-attention where each head's weight lies, asked from the flag that has a twin,
and what is named if nobody may read the twin.
"""

import torch
from torch import Tensor, nn

from attention_lite import PSA, BAMBlock, CBAMBlock, SKAttention, record_attention
from attention_lite.lab import scoring
from attention_lite.lab.experiments import own
from attention_lite.lab.experiments.ablations import trained
from attention_lite.lab.experiments.cues import answers_without, around
from attention_lite.lab.recipes import BINDING, GATES
from attention_lite.lab.runs import describe
from attention_lite.lab.scenes import Scenes, masks

GRID = (12, 12)
RUNS = [{"task": task, "model": model, "seed": seed} for task, recipe in BINDING.items() for model in recipe.models
        for seed in recipe.seeds_of(model)]


def measure(task: str, model: str, seed: int) -> dict:
    """One row: the training's record, and what there is to say of the block's maps."""
    training = trained(task, model, seed)
    return describe(task, model, seed, training.net, training) | maps_of(task, model, training.net)


def maps_of(task: str, model: str, net: nn.Module) -> dict:
    """What a row says of a trained network's maps: of gates and of self-attention; {} of the others."""
    scenes = own.test_scenes(task)
    if model in GATES:
        return {"exchanged": own.share(answers_exchanged(net, scenes) == scenes.answer)}
    if model != "self-attention":
        return {}
    head = int(weight_on_flags(net, own.validation_scenes(task))["twin"].argmax())
    shares = {name: share.tolist() for name, share in weight_on_flags(net, scenes).items()}
    return {"heads": shares, "head": head, "forbidden": {
        name: own.share(answers_without(net, scenes, around(on_flag(scenes, which))) == scenes.answer)
        for name, which in (("twin", twin(scenes)), ("black", twin(scenes) + 1))}}


# Gates


@torch.no_grad()
def answers_exchanged(net: nn.Module, scenes: Scenes) -> Tensor:
    """What a network with gates names if each scene's features get the gates of the scene before: (n,)."""
    found = []
    for images, _ in own.parts(scenes):
        y = exchanged(net.block, net.stem(images))
        found.append(net.head(net.tail(y).amax((2, 3))).argmax(1))
    return torch.cat(found)


def exchanged(block: nn.Module, x: Tensor) -> Tensor:
    """What a block gives for features x (B, C, H, W), each with the gates (or kernels' weights) of the last one."""
    selective = next((part for part in block.modules() if isinstance(part, SKAttention | PSA)), None)
    if selective is None:
        return x * gates(block, x).roll(1, 0)
    try:
        # The instance's own comes before the class's method.
        selective._weigh = lambda features: type(selective)._weigh(selective, features).roll(1, 0)
        return block(x)
    finally:
        del selective._weigh


def gates(block: nn.Module, x: Tensor) -> Tensor:
    """What SE, ECA, CBAM or BAM multiplies its input (B, C, H, W) by; broadcasts to its shape."""
    maps = block.attention(x)
    if isinstance(block, CBAMBlock):
        return maps["channel"][:, :, None, None] * maps["spatial"][:, None]
    if isinstance(block, BAMBlock):
        return 1 + maps["channel_and_place"]
    return maps["channel"][:, :, None, None]


# Places that ask places


def twin(scenes: Scenes) -> Tensor:
    """Which flag is the twin of the one that is asked for: (n,). The other black ones come after it."""
    return torch.full_like(scenes.target, scenes.label.shape[1] // 2)


def on_flag(scenes: Scenes, which: Tensor) -> Tensor:
    """The places on flag number `which`, (n,), of each scene: bool (n, 12, 12)."""
    return scoring.on_grid(masks(scenes)[torch.arange(len(scenes)), which], GRID)


@torch.no_grad()
def weight_on_flags(net: nn.Module, scenes: Scenes) -> dict[str, Tensor]:
    """Mean weight of each head, (heads,), asked from the flag that has a twin: on itself, on its twin, and on one of
    the other black ones and one of the other dotted ones, each the mean of those."""
    total: dict[str, Tensor] = {}
    for images, part in own.parts(scenes):
        with record_attention(net) as recorded:
            net(images)
        (found,) = recorded.values()
        asked = scoring.query_maps(found["position"], on_flag(part, part.target), GRID)
        pairs, first = part.label.shape[1] // 2, twin(part)
        flags = {"itself": [part.target], "twin": [first], "black": [first + i for i in range(1, pairs)],
                 "dotted": [(part.target + i) % pairs for i in range(1, pairs)]}
        for name, which in flags.items():
            on = [scoring.mass_on(asked, on_flag(part, one)[:, None]).sum(0) for one in which]
            total[name] = total.get(name, 0) + torch.stack(on).mean(0)
    return {name: share / len(scenes) for name, share in total.items()}
