"""Context gating under other gates: all open, the mean gate, another frame's. And which channels a frame shuts.

For SE the gates are exchanged, for "added-context" the numbers that are added. Means come from validation
scenes.
"""

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


def brightest_is_asked_for(scenes: Scenes, features: Tensor) -> float:
    """How often the digit that the frame asks for is the brightest of the three in the features' sum over channels."""
    total = features.sum(1)                                      # (n, h, w)
    on = scoring.on_grid(masks(scenes), tuple(total.shape[1:]))  # (n, 3, h, w)
    mean = (total[:, None] * on).sum((2, 3)) / on.sum((2, 3)).clamp(min=1)
    return own.share(mean.argmax(1) == scenes.target)


def shut_by_a_frame(net: nn.Module, scenes: Scenes) -> int:
    """How many channels pass, on the digits, less than SHUT under one frame of what they pass under another."""
    on = scoring.on_grid(masks(scenes).amax(1), (16, 16))[:, None]
    activity = torch.stack([(passed(net, own.gathered(ask_for(scenes, cue), net.stem)) * on).sum((0, 2, 3))
                            for cue in range(3)])
    return int((activity.amin(0) < SHUT * activity.amax(0)).sum())


@torch.no_grad()
def measure(task: str, model: str, seed: int) -> dict:
    """One row: the accuracy, and how often the right digit is the brightest, under each kind of gates."""
    net, scenes, validation = own.load(task, model, seed), own.test_scenes(task), own.validation_scenes(task)
    found = signal(net.block, own.gathered(validation, net.stem))
    by_cue = torch.stack([found[validation.target == cue].mean(0) for cue in range(3)])
    nothing = torch.zeros(48) if model == "added-context" else torch.ones(48)
    kinds: dict[str, Tensor | None] = {"as trained": None, "off": nothing, "mean": found.mean(0),
                                       "mean of its frame": by_cue[scenes.target]}
    features, row = own.gathered(scenes, net.stem), {"scenes": len(scenes)}
    for name, numbers in kinds.items():
        handed_on = passed(net, features, numbers)
        row[name] = {"accuracy": own.share(answers(net, handed_on) == scenes.answer),
                     "brightest": brightest_is_asked_for(scenes, handed_on)}
    other = (scenes.target + 1) % 3
    read = answers(net, passed(net, features, by_cue[other]))
    row["mean of the next frame"] = {
        "reads that frame's digit": own.share(read == scenes.label.gather(1, other[:, None])[:, 0]),
        "reads its own": own.share(read == scenes.answer)}
    row["channels that a frame shuts"] = shut_by_a_frame(net, scenes)
    return row | hidden_units(net, scenes, features) if model == "se" else row


def hidden_units(net: nn.Module, scenes: Scenes, features: Tensor) -> dict:
    """How many of SE's hidden units fire in most scenes of a frame, and the share of its gates that are exactly 1/2."""
    hidden, gates = torch.relu(net.block.W1(features.mean((2, 3)))), signal(net.block, features)
    of_cue = [scenes.target == cue for cue in range(3)]
    return {"units that fire": [int(((hidden[of] > 0).float().mean(0) > 0.5).sum()) for of in of_cue],
            "gates at one half": [own.share(gates[of] == 0.5) for of in of_cue]}
