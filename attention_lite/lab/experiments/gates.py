"""The real gates of a trained text detector, imitated from its pooled vectors: what must a gate know of the others?

SE's bottleneck lets every channel see every other, ECA shows it its neighbours in the channels' order, a weight a
channel itself alone (chapters 01 and 02). Each learns the gates of thirteen SE blocks on crops of some photographs,
stops where it does best on a few others, and is scored on the rest. The network was trained with SE, so its channels
have no reason to stand in an order that helps ECA; the same convolution over shuffled channels is the control.
"""

from collections.abc import Callable, Mapping, Sequence
from functools import cache
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from attention_lite import record_attention
from attention_lite.eca import adaptive_kernel_size
from attention_lite.lab import pretrained
from attention_lite.lab.experiments.crops import crops, pixels
from attention_lite.lab.photographs import PHOTOGRAPHS
from attention_lite.lab.precision import float32

BLOCKS = ("stages.0.0.se", "stages.1.1.se", "stages.2.1.se", "stages.2.3.se", "stages.3.1.se",
          *(f"laterals.{i}.se" for i in range(4)), *(f"smooths.{i}.se" for i in range(4)))
NAMES = tuple(sorted(PHOTOGRAPHS))
SPLITS = 5
STOPPED_ON, LEFT_OUT = 3, 3      # photographs; the rest are fitted on
CROPS, SMALLEST_CROP, SIDE = 24, 0.3, 192                        # of each photograph; pixels
STEPS, EVERY, BATCH, RATE = 1000, 50, 64, 3e-3
SHUFFLES = 3                     # orders of the channels
RUNS = [{"block": block, "split": split} for block in BLOCKS for split in range(SPLITS)]


# What the detector does


@cache
def recorded() -> dict[str, tuple[Tensor, Tensor]]:
    """For each block the pooled vectors z that it got and the gates that it gave: each (photographs · CROPS, C)."""
    net = pretrained.text_detector()
    pooled: dict[str, list[Tensor]] = {name: [] for name in BLOCKS}
    gates: dict[str, list[Tensor]] = {name: [] for name in BLOCKS}
    with record_attention(net) as maps, torch.no_grad():
        handles = [net.get_submodule(name).register_forward_pre_hook(
            lambda _, args, name=name: pooled[name].append(args[0].mean((2, 3)))) for name in BLOCKS]
        for crop in (crop for name in NAMES for crop in crops(name, CROPS, SMALLEST_CROP, seed=1)):
            net(pixels(crop, SIDE))
            for name in BLOCKS:
                gates[name].append(maps[name]["channel"])
        for handle in handles:
            handle.remove()
    return {name: (torch.cat(pooled[name]), torch.cat(gates[name])) for name in BLOCKS}


def split_of(split: int) -> tuple[Tensor, Tensor, Tensor]:
    """The numbers of the crops to fit on, to stop on, and left out: whole photographs each, drawn at random."""
    order = np.random.default_rng(split).permutation(len(NAMES))
    ends = len(NAMES) - LEFT_OUT - STOPPED_ON, len(NAMES) - LEFT_OUT
    return tuple(torch.from_numpy(part)[:, None].mul(CROPS).add(torch.arange(CROPS)).flatten()
                 for part in np.split(order, ends))


# Imitators: from standardised z, (n, C), to scores, (n, C), of which the sigmoid is taken


class Neighbours(nn.Module):
    """ECA's convolution along the channels, in their own order or another, and an offset a channel."""

    def __init__(self, order: Tensor) -> None:
        super().__init__()
        k = adaptive_kernel_size(len(order))
        self.conv = nn.Conv1d(1, 1, k, padding=k // 2, bias=False)
        self.bias = nn.Parameter(torch.zeros(len(order)))
        self.order, self.back = order, order.argsort()

    def forward(self, z: Tensor) -> Tensor:
        """(n, C) -> (n, C)."""
        return self.conv(z[:, None, self.order])[:, 0, self.back] + self.bias


class Alone(nn.Module):
    """A weight and an offset a channel: no channel sees another."""

    def __init__(self, channel: int) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.zeros(channel))
        self.bias = nn.Parameter(torch.zeros(channel))

    def forward(self, z: Tensor) -> Tensor:
        """(n, C) -> (n, C)."""
        return z * self.weight + self.bias


def bottleneck(channel: int, reduction: int) -> nn.Module:
    """SE's two layers, with biases; the hidden one has at least one unit."""
    hidden = max(1, channel // reduction)
    return nn.Sequential(nn.Linear(channel, hidden), nn.ReLU(), nn.Linear(hidden, channel))


def imitators(channel: int) -> dict[str, Callable[[], nn.Module]]:
    """All that learn, by their names in the rows."""
    orders = [torch.randperm(channel, generator=torch.Generator().manual_seed(seed)) for seed in range(SHUFFLES)]
    return {
        "weight a channel": lambda: Alone(channel),
        "eca": lambda: Neighbours(torch.arange(channel)),
        **{f"eca, shuffled {i}": lambda order=order: Neighbours(order) for i, order in enumerate(orders)},
        "bottleneck, r = 16": lambda: bottleneck(channel, 16),
        "bottleneck, r = 4": lambda: bottleneck(channel, 4),
        "full matrix": lambda: nn.Linear(channel, channel),
    }


def eca_without_offset(channel: int) -> nn.Module:
    """ECA as published: k weights, and nothing that tells one channel's usual gate from another's."""
    k = adaptive_kernel_size(channel)
    conv = nn.Conv1d(1, 1, k, padding=k // 2, bias=False)
    return nn.Sequential(nn.Unflatten(1, (1, channel)), conv, nn.Flatten())


# Fitting and scoring


def start_at_mean(model: nn.Module, mean: Tensor) -> nn.Module:
    """Let a model's last offsets give the mean gates, so that no imitator has to find them."""
    last = model[-1] if isinstance(model, nn.Sequential) else model
    with torch.no_grad():
        last.bias.copy_(mean.clamp(0.01, 0.99).logit())
    return model


def explained(gates: Tensor, imitated: Tensor, mean: Tensor) -> float:
    """R²: 1 minus the squared error over that of always giving `mean`, the mean gates of the crops fitted on."""
    return 1 - ((gates - imitated).square().sum() / (gates - mean).square().sum()).item()


def fit(model: nn.Module, z: Tensor, gates: Tensor, parts: tuple[Tensor, Tensor, Tensor]) -> dict[str, float]:
    """Fit on the first part's crops, stop where the second's R² is best; R² on the crops fitted on and left out."""
    fitted, stopped, left_out = parts
    mean = gates[fitted].mean(0)
    optimiser = torch.optim.Adam(model.parameters(), lr=RATE)
    generator = torch.Generator().manual_seed(0)
    best, result = -torch.inf, {}
    for step in range(STEPS + 1):
        if step % EVERY == 0:
            with torch.no_grad():
                imitated = torch.sigmoid(model(z))
            reached = explained(gates[stopped], imitated[stopped], mean)
            if reached > best:
                best = reached
                result = {"fitted": explained(gates[fitted], imitated[fitted], mean),
                          "left_out": explained(gates[left_out], imitated[left_out], mean)}
        batch = fitted[torch.randint(len(fitted), (BATCH,), generator=generator)]
        loss = F.mse_loss(torch.sigmoid(model(z[batch])), gates[batch])
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
    return result


@float32()
def measure(block: str, split: int) -> dict:
    """One row: R² of each imitator, on the crops fitted on and on those of the photographs left out."""
    z, gates = recorded()[block]
    parts = split_of(split)
    standard = (z - z[parts[0]].mean(0)) / (z[parts[0]].std(0) + 1e-5)
    mean, channel = gates[parts[0]].mean(0), gates.shape[1]
    row: dict = {"channels": channel, "left_out": sorted({NAMES[i // CROPS] for i in parts[2].tolist()})}
    with torch.random.fork_rng(devices=[]):
        for name, build in imitators(channel).items():
            torch.manual_seed(split)
            row[name] = fit(start_at_mean(build(), mean), standard, gates, parts)
        torch.manual_seed(split)
        row["eca without offset"] = fit(eca_without_offset(channel), z, gates, parts)
    row["mean, against the left-out crops' own"] = explained(gates[parts[2]], mean, gates[parts[2]].mean(0))
    return row


def left_out(rows: Sequence[Mapping[str, Any]], kinds: Mapping[str, str]) -> dict[str, list[float]]:
    """Of each imitator of `kinds` {its name: label}, for each block: R² on the crops left out, a mean over splits."""
    return {label: [float(np.mean([row[kind]["left_out"] for row in rows if row["block"] == block]))
                    for block in dict.fromkeys(row["block"] for row in rows)] for kind, label in kinds.items()}
