"""Context gating under other gates: all open, the mean gate, another picture's, another frame's. And how far it sees.

For SE the gates are exchanged, for "added-context" the numbers that are added. Means come from validation
scenes.
"""

import math
from collections.abc import Mapping, Sequence
from typing import Any

import torch
from torch import Tensor, nn

from attention_lite.lab import scoring
from attention_lite.lab.experiments import own
from attention_lite.lab.scenes import Scenes, masks
from attention_lite.lab.tasks import ask_for
from attention_lite.networks import AddedContext

TASK = "context-gating"
RUNS = own.runs(TASK, "se", "added-context")
SHUT = 0.1               # of the activity under the frame that lets most through: less, and a channel is shut
SOURCES = ("its own", "another picture's", "another frame's", "the mean gates", "all gates 1")


def signal(block: nn.Module, x: Tensor) -> Tensor:
    """What the block makes of the whole picture, a number a channel: features (n, C, h, w) -> (n, C)."""
    if isinstance(block, AddedContext):
        return block.W2(torch.relu(block.W1(x.mean((2, 3)))))
    return block.attention(x)["channel"]


def applied(block: nn.Module, x: Tensor, numbers: Tensor) -> Tensor:
    """What the block hands on if these were its numbers, (n, C) or (C,)."""
    numbers = numbers.expand(len(x), -1)[:, :, None, None]
    return torch.relu(x + numbers) if isinstance(block, AddedContext) else x * numbers


@torch.no_grad()
def passed(net: nn.Module, features: Tensor, numbers: Tensor | None = None) -> Tensor:
    """What the block hands on, (n, C, h, w): under `numbers`, (C,) or (n, C), or its own."""
    return applied(net.block, features, signal(net.block, features) if numbers is None else numbers)


@torch.no_grad()
def answers(net: nn.Module, features: Tensor) -> Tensor:
    """The classes that the rest of the network reads: (n,)."""
    return net.head(net.tail(features).amax((2, 3))).argmax(1)


@torch.no_grad()
def means_by_frame(net: nn.Module, scenes: Scenes) -> Tensor:
    """The mean numbers under a red, a green and a blue frame: (3, C).

    Raises:
        ValueError: if one of the three frames does not occur in `scenes`.
    """
    absent = sorted({0, 1, 2} - set(scenes.target.tolist()))
    if absent:
        raise ValueError(f"scenes must have frames of all three colours, got none that asks for digit {absent[0]}")
    found = own.gathered(scenes, lambda images: signal(net.block, net.stem(images)))
    return torch.stack([found[scenes.target == cue].mean(0) for cue in range(3)])


def others(numbers: Tensor, target: Tensor, by_frame: Tensor, off: Tensor) -> dict[str, Tensor]:
    """For each of SOURCES the numbers that the block gets, (n, C) or (C,).

    "another picture's" are those of the next scene whose frame asks for the same digit; "another frame's" the mean of
    the next colour, red -> green -> blue -> red.

    Args:
        numbers: (n, C), the block's own.  target: (n,), the digit that each frame asks for.
        by_frame: (3, C), see `means_by_frame`.  off: (C,), the numbers with which the block does nothing.
    """
    return dict(zip(SOURCES, (numbers, numbers[next_alike(target)], by_frame[(target + 1) % 3], by_frame.mean(0), off),
                    strict=True))


def next_alike(target: Tensor) -> Tensor:
    """For each scene the number of the next one with the same target; the last one's next is the first."""
    following = torch.empty_like(target)
    for value in target.unique():
        i = torch.where(target == value)[0]
        following[i] = i.roll(-1)
    return following


def brightest_is_asked_for(scenes: Scenes, features: Tensor) -> float:
    """How often the digit that the frame asks for is the brightest of the three in the features' sum over channels."""
    total = features.sum(1)                                      # (n, h, w)
    on = scoring.on_grid(masks(scenes), tuple(total.shape[1:]))  # (n, 3, h, w)
    mean = (total[:, None] * on).sum((2, 3)) / on.sum((2, 3)).clamp(min=1)
    return own.share(mean.argmax(1) == scenes.target)


def outcome(net: nn.Module, scenes: Scenes, handed_on: Tensor, without: Tensor) -> dict[str, float]:
    """Shares of the scenes, given what the block hands on, and what it would under the mean numbers.

    "asked", "other", "any": the digit is read that the frame, or the next frame, asks for, or one of the three.
    "brightest", "raised": the digit asked for is the brightest of the three in what is handed on, or in what that is
    more than under the mean numbers; the latter is left out where the two do not differ.
    """
    read = answers(net, handed_on)
    of_other = scenes.label.gather(1, ((scenes.target + 1) % 3)[:, None])[:, 0]
    found = {"asked": own.share(read == scenes.answer), "other": own.share(read == of_other),
             "any": own.share((read[:, None] == scenes.label).any(1)),
             "brightest": brightest_is_asked_for(scenes, handed_on)}
    changed = handed_on - without
    return found | ({"raised": brightest_is_asked_for(scenes, changed)} if changed.any() else {})


def shut_by_a_frame(net: nn.Module, scenes: Scenes) -> int:
    """How many channels pass, on the digits, less than SHUT under one frame of what they pass under another."""
    on = scoring.on_grid(masks(scenes).amax(1), (16, 16))[:, None]
    activity = torch.stack([(passed(net, own.gathered(ask_for(scenes, cue), net.stem)) * on).sum((0, 2, 3))
                            for cue in range(3)])
    return int((activity.amin(0) < SHUT * activity.amax(0)).sum())


@torch.no_grad()
def measure(task: str, model: str, seed: int) -> dict:
    """One row: the outcome under each source of numbers, and how many channels a frame shuts."""
    net, scenes = own.load(task, model, seed), own.test_scenes(task)
    by_frame = means_by_frame(net, own.validation_scenes(task))
    nothing = torch.zeros(48) if model == "added-context" else torch.ones(48)
    features = own.gathered(scenes, net.stem)
    numbers = others(signal(net.block, features), scenes.target, by_frame, nothing)
    without = passed(net, features, numbers["the mean gates"])
    row = {"scenes": len(scenes)} | {source: outcome(net, scenes, passed(net, features, s), without)
                                     for source, s in numbers.items()}
    row["channels that a frame shuts"] = shut_by_a_frame(net, scenes)
    return row | hidden_units(net, scenes, features) if model == "se" else row


def hidden_units(net: nn.Module, scenes: Scenes, features: Tensor) -> dict:
    """How many of SE's hidden units fire in most scenes of a frame, and the share of its gates that are exactly 1/2."""
    hidden, gates = torch.relu(net.block.W1(features.mean((2, 3)))), signal(net.block, features)
    of_cue = [scenes.target == cue for cue in range(3)]
    return {"units that fire": [int(((hidden[of] > 0).float().mean(0) > 0.5).sum()) for of in of_cue],
            "gates at one half": [own.share(gates[of] == 0.5) for of in of_cue]}


def shares(rows: Sequence[Mapping[str, Any]], kinds: Mapping[str, str]) -> dict[str, dict[str, list[float]]]:
    """Rows of one model as a plot takes them: {source: {label: a share for each row}}; `kinds` {field: label}."""
    return {source: {label: [row[source].get(kind, math.nan) for row in rows] for kind, label in kinds.items()}
            for source in SOURCES}


def seen_by_the_middle(net: nn.Module, drawn: Tensor) -> Tensor:
    """How much each pixel of one picture, (1, 3, H, W), moves the units at the middle of the last layer: (H, W)."""
    x = drawn.clone().requires_grad_()
    units = net.tail(net.block(net.stem(x)))
    units[0, :, units.shape[2] // 2, units.shape[3] // 2].sum().backward()
    return x.grad[0].abs().sum(0)
