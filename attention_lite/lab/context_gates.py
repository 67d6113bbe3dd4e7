"""What a network of context gating reads under its own gates and under others: the fair controls of a channel gate.

The measured rows lie in a file beside this one. `make` measures them anew, and `load` reads them.
"""

import json
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import NamedTuple

import torch
from torch import Tensor, nn
from tqdm import tqdm

from attention_lite.lab import scoring
from attention_lite.lab.checkpoints import load_checkpoint
from attention_lite.lab.files import read_results, write_whole
from attention_lite.lab.recipes import RECIPES
from attention_lite.lab.scenes import Scenes, masks
from attention_lite.lab.tasks import ContextGating, ask_for
from attention_lite.lab.training import pictures

FILE = Path(__file__).with_name("context_gates.json")
COMMAND = "python -m attention_lite.lab.context_gates"
MODELS = ("se", "added-context")
TEST, KNOWN, FEW = 2000, 300, 300        # scenes: read, for the means, and those of them for the shut channels
PART, BATCH = 250, 50     # scenes drawn at a time; pictures that fit the processor's cache, twice as fast as 250
SOURCES = ("its own", "another picture's", "another frame's", "the mean gates", "all gates 1")
NEAR = slice(4, 12)      # rows and columns, of the 16 of the block's input, around the digits


class Outcome(NamedTuple):
    """Shares of the scenes. `asked`, `other`: the digit is read that the frame, or the next frame, asks for; `any`: one
    of the three. `brightest`, `raised`: of the three, the digit asked for has the largest mean in the features summed
    over channels, each times its gate, or times its gate less the mean gate; NaN where no gate differs from the mean.
    """

    asked: float
    other: float
    any: float
    brightest: float
    raised: float


@torch.no_grad()
def features(net: nn.Module, drawn: Tensor) -> Tensor:
    """The channels of each picture before the block: (n, 3, H, W) -> (n, C, h, w)."""
    return torch.cat([net.stem(part) for part in drawn.split(BATCH)])


@torch.no_grad()
def scores(net: nn.Module, x: Tensor, s: Tensor) -> Tensor:
    """Class scores of features (n, C, h, w) under the gates (n, C) or (C,): (n, 10)."""
    gates = s.expand(len(x), -1)[:, :, None, None]
    return torch.cat([net.head(net.tail(part * g).amax((2, 3)))
                      for part, g in zip(x.split(BATCH), gates.split(BATCH), strict=True)])


@torch.no_grad()
def mean_gates(net: nn.Module, scenes: Scenes) -> Tensor:
    """The mean gates under a red, a green and a blue frame: (3, C).

    Raises:
        ValueError: if one of the three frames does not occur in `scenes`.
    """
    absent = sorted({0, 1, 2} - set(scenes.target.tolist()))
    if absent:
        raise ValueError(f"scenes must have frames of all three colours, got none that asks for digit {absent[0]}")
    return _mean_by_frame(net.block.attention(features(net, pictures(scenes)))["channel"], scenes)


@torch.no_grad()
def firing(net: nn.Module, scenes: Scenes) -> Tensor:
    """How often each hidden unit of the block is above 0, under a red, a green and a blue frame: (3, C/r)."""
    hidden = net.block.W1(features(net, pictures(scenes)).mean((2, 3)))
    return _mean_by_frame((hidden > 0).float(), scenes)


@torch.no_grad()
def under_other_gates(net: nn.Module, scenes: Scenes, mean: Tensor) -> dict[str, Outcome]:
    """What `net` reads in `scenes` under the gates of each of SOURCES.

    "another picture's" are the gates of the next scene, of those drawn together, whose frame asks for the same digit;
    "another frame's" the mean gates of the next colour, red -> green -> blue -> red; "all gates 1" is the block
    switched off.

    Args:
        net: a ContextNet with an SE block.
        scenes: the scenes.
        mean: (3, C), its `mean_gates` of other scenes.
    """
    true = [_what_is_true(net, features(net, drawn), part, mean) for part, drawn in _parts(scenes)]
    shares = torch.cat(true, 2).mean(2)                                # (sources, outcomes)
    return {source: Outcome(*row) for source, row in zip(SOURCES, shares.tolist(), strict=True)}


def _what_is_true(net: nn.Module, x: Tensor, scenes: Scenes, mean: Tensor) -> Tensor:
    """For each source of gates, each field of Outcome and each scene, whether it is so: 0, 1 or NaN, (5, 5, n)."""
    target = scenes.target
    own, other = net.block.attention(x)["channel"], (target + 1) % 3
    gates = (own, own[_next_alike(target)], mean[other], mean.mean(0), torch.ones_like(mean[0]))
    on_digits = means_on(x, scoring.on_grid(masks(scenes), x.shape[2:]))

    def points(s: Tensor) -> Tensor:
        """Whether the sum over channels, each times its `s`, is largest on the digit asked for."""
        sums = torch.einsum("nkc,nc->nk", on_digits, s.expand(len(x), -1))
        return torch.where(s.any(), (sums.argmax(1) == target).float(), torch.nan)

    def outcomes(s: Tensor) -> Tensor:
        read = scores(net, x, s).argmax(1)
        of_other = scenes.label.gather(1, other[:, None])[:, 0]
        return torch.stack([read == scenes.answer, read == of_other, (read[:, None] == scenes.label).any(1),
                            points(s), points(s - mean.mean(0))])

    return torch.stack([outcomes(s) for s in gates])


def means_on(x: Tensor, where: Tensor) -> Tensor:
    """The mean of each channel on each of k objects: (n, C, h, w), bool (n, k, h, w) -> (n, k, C)."""
    where = where.to(x.dtype)
    return torch.einsum("nchw,nkhw->nkc", x, where) / where.sum((2, 3)).clamp(min=1)[:, :, None]


def seen_by_the_middle(net: nn.Module, drawn: Tensor) -> Tensor:
    """How much each pixel of one picture, (1, 3, H, W), moves the units at the middle of the last layer: (H, W)."""
    x = drawn.clone().requires_grad_()
    units = net.tail(net.block(net.stem(x)))
    units[0, :, units.shape[2] // 2, units.shape[3] // 2].sum().backward()
    return x.grad[0].abs().sum(0)


@torch.no_grad()
def shut_channels(net: nn.Module, scenes: Scenes) -> int:
    """How many channels a frame shuts: behind the block, near the digits, their mean under the frame of one colour is
    less than a tenth of that under another. Without a block it is 0: no unit there sees the frame.
    """
    drawn = [pictures(ask_for(scenes, cue)) for cue in range(3)]
    behind = torch.stack([net.block(features(net, part))[:, :, NEAR, NEAR].mean((0, 2, 3)) for part in drawn])
    return int((behind.amin(0) < behind.amax(0) / 10).sum())


# The file


def measure(model: str, seed: int) -> dict:
    """One row: how many channels a frame shuts; for SE the Outcome under each source of gates."""
    net, _ = load_checkpoint("context-gating", model, seed)
    test, known = _scenes("test", TEST, 2), _scenes("validation", KNOWN, 1)
    row = {"model": model, "seed": seed, "shut": shut_channels(net, test[:FEW])}
    if model != "se":
        return row
    found = under_other_gates(net, test, mean_gates(net, known))
    return row | {source: {kind: round(share, 4) for kind, share in outcome._asdict().items() if share == share}
                  for source, outcome in found.items()}


def make(path: Path = FILE) -> None:
    """Measure all rows and write the file, one row a line."""
    runs = [(model, seed) for model in MODELS for seed in RECIPES["context-gating"].seeds_of(model)]
    rows = [json.dumps(measure(*run)) for run in tqdm(runs, unit="network")]
    head = f'{{"command": {json.dumps(COMMAND)}, "scenes": {TEST},\n"rows": [\n'
    write_whole(path, (head + ",\n".join(rows) + "\n]}\n").encode())


def load(path: Path = FILE) -> dict[str, list[dict]]:
    """The rows of each of MODELS, in the order of their seeds.

    Raises:
        ValueError: if the file is missing, is not JSON, or lacks a row; says how to make it.
    """
    rows = read_results(path, COMMAND).get("rows", [])
    found = {model: [row for row in rows if row["model"] == model] for model in MODELS}
    for model, of_model in found.items():
        seeds = RECIPES["context-gating"].seeds_of(model)
        if tuple(row["seed"] for row in of_model) != seeds:
            raise ValueError(f"{path.name} must hold a row for each seed of {model}, {seeds}; make it with: {COMMAND}")
    return found


@cache
def _scenes(split: str, n: int, seed: int) -> Scenes:
    return ContextGating(split).sample(n, seed)


def _parts(scenes: Scenes) -> Iterator[tuple[Scenes, Tensor]]:
    for start in range(0, len(scenes), PART):
        part = scenes[start:start + PART]
        yield part, pictures(part)


def _mean_by_frame(values: Tensor, scenes: Scenes) -> Tensor:
    return torch.stack([values[scenes.target == cue].mean(0) for cue in range(3)])


def _next_alike(target: Tensor) -> Tensor:
    """For each scene the number of the next one with the same target; the last one's next is the first."""
    following = torch.empty_like(target)
    for value in target.unique():
        i = torch.where(target == value)[0]
        following[i] = i.roll(-1)
    return following


if __name__ == "__main__":
    make()
