"""Cued search under other cues: the disc recoloured, or nobody may read from it. And how much of a map lies on it.

Beside a trained map stand three that need no training: the network's own before its first step, nearness, and likeness
of colour. The head is named on validation scenes, and so are the scales of nearness and of colour.
"""

from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from functools import cache

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from attention_lite import record_attention
from attention_lite.lab import scoring
from attention_lite.lab.experiments import own
from attention_lite.lab.scenes import Scenes, disc_mask, masks
from attention_lite.lab.training import pictures, untrained

TASK, GRID = "cued-search", (12, 12)
RUNS = own.runs(TASK, "self-attention", "none", "conv")
FORBIDDEN = ("disc", "a digit", "ground")
SCALES = {"nearness": [0.5 * 1.3 ** i for i in range(14)],        # places
          "likeness of colour": [0.02 * 1.5 ** i for i in range(14)]}     # squared distances of mean colours


def are_near(scenes: Scenes) -> Tensor:
    """Whether the disc stands in a cell of the 3 × 3 beside the one of the digit that is asked for: bool (n,)."""
    digit = torch.stack([scenes.y, scenes.x], 2)[torch.arange(len(scenes)), scenes.target]
    return ((digit - scenes.disc_yx).abs() / 16).round().amax(1) == 1


def covered(scenes: Scenes, shift: int = 0) -> Tensor:
    """The places on the digit that is asked for, or on one of the next: bool (n, 12, 12)."""
    which = (scenes.target + shift) % 3
    return scoring.on_grid(masks(scenes)[torch.arange(len(scenes)), which], GRID)


def on_disc(scenes: Scenes) -> Tensor:
    """The places on the disc: bool (n, 12, 12)."""
    return scoring.on_grid(disc_mask(scenes), GRID)


def around(where: Tensor) -> Tensor:
    """The places (n, h, w) and those that touch them."""
    return F.max_pool2d(where.float(), 3, stride=1, padding=1).bool()


def forbidden(scenes: Scenes) -> dict[str, Tensor]:
    """For each of FORBIDDEN the places that nobody may read, bool (n, 12, 12).

    The disc or the next digit, with the places that touch it; and as many places of the ground, drawn by chance, as are
    forbidden for the disc (where there are as many).
    """
    disc, things = around(on_disc(scenes)), around(on_disc(scenes))
    for shift in range(3):
        things = things | around(covered(scenes, shift))
    chance = torch.rand(things.shape, generator=torch.Generator().manual_seed(0)) - 2 * things
    rank = chance.flatten(1).argsort(1, descending=True).argsort(1).view_as(things)
    ground = (rank < disc.sum((1, 2))[:, None, None]) & ~things
    return dict(zip(FORBIDDEN, (disc, around(covered(scenes, 1)), ground), strict=True))


@contextmanager
def forbidding(net: nn.Module, where: Tensor, heads: Iterable[int] | None = None) -> Iterator[None]:
    """No query of `net.block`, or of these heads, reads these places, (n, h, w), in the next call with n pictures."""
    mask = ~where.flatten(1)[:, None, None]
    if heads is not None:
        chosen = torch.zeros(net.block.block.h, dtype=torch.bool)
        chosen[list(heads)] = True
        mask = mask | ~chosen[:, None, None]                               # (n, heads, 1, keys)
    handle = net.block.block.register_forward_pre_hook(
        lambda _, args, kwargs: (args, kwargs | {"mask": mask}), with_kwargs=True)
    try:
        yield
    finally:
        handle.remove()


@torch.no_grad()
def answers_without(net: nn.Module, scenes: Scenes, where: Tensor, heads: Iterable[int] | None = None) -> Tensor:
    """What the network reads if nobody, or none of these heads, may read these places: (n,)."""
    found = []
    for start in range(0, len(scenes), own.CHUNK):
        part = slice(start, start + own.CHUNK)
        with forbidding(net, where[part], heads):
            found.append(net(pictures(scenes[part])).argmax(1))
    return torch.cat(found)


@torch.no_grad()
def mass_on_disc(net: nn.Module, scenes: Scenes) -> Tensor:
    """Mean weight on the disc, (2, heads): of the queries on the digit asked for, and of those on the other two."""
    total = torch.zeros(())
    for images, part in own.parts(scenes):
        with record_attention(net) as maps:
            net(images)
        (found,) = maps.values()
        groups = covered(part), covered(part, 1) | covered(part, 2)
        total = total + torch.stack([scoring.mass_on(
            scoring.query_maps(found["position"], group, GRID), on_disc(part)[:, None]).sum(0) for group in groups])
    return total / len(scenes)


def named_head(net: nn.Module, scenes: Scenes) -> int:
    """The head whose queries on the digit asked for have most weight on the disc."""
    return int(mass_on_disc(net, scenes)[0].argmax())


def nearness(scenes: Scenes, scale: float) -> Tensor:
    """Weights that fall with the distance of two places: (n, 1, 144, 144)."""
    y, x = torch.meshgrid(*map(torch.arange, GRID), indexing="ij")
    place = torch.stack([y, x], -1).flatten(0, 1).float()
    return (-torch.cdist(place, place).square() / scale ** 2).softmax(1).expand(len(scenes), 1, -1, -1)


def likeness_of_colour(scenes: Scenes, scale: float) -> Tensor:
    """Weights that fall with the distance of two places' mean colours: (n, 1, 144, 144)."""
    colour = F.adaptive_avg_pool2d(pictures(scenes), GRID).flatten(2).transpose(1, 2)
    return (-torch.cdist(colour, colour).square() / scale).softmax(2)[:, None]


def _mass_of(ranking: Callable[[Scenes, float], Tensor], scenes: Scenes, scale: float) -> float:
    total = 0.0
    for start in range(0, len(scenes), own.CHUNK):
        part = scenes[start:start + own.CHUNK]
        maps = scoring.query_maps(ranking(part, scale), covered(part), GRID)[:, 0]
        total += scoring.mass_on(maps, on_disc(part)).sum().item()
    return total / len(scenes)


@cache
def without_a_network() -> dict[str, float]:
    """Weight on the disc, from the digit asked for: of equal weights, of nearness, of likeness of colour."""
    validation, test = own.validation_scenes(TASK), own.test_scenes(TASK)
    found = {"equal weights": own.share(on_disc(test))}
    for name, ranking in (("nearness", nearness), ("likeness of colour", likeness_of_colour)):
        best = max(SCALES[name], key=lambda scale: _mass_of(ranking, validation[:500], scale))
        found |= {name: _mass_of(ranking, test, best), f"scale of {name}": best}
    return found


@torch.no_grad()
def measure(task: str, model: str, seed: int) -> dict:
    """One row: what is read, also with the disc recoloured; of self-attention, also without keys, and its heads."""
    net, scenes = own.load(task, model, seed), own.test_scenes(task)
    near, again = are_near(scenes), own.recoloured(scenes)
    read, now = scoring.predictions(net, scenes), scoring.predictions(net, again)
    right = read == scenes.answer
    row: dict = {"scenes": len(scenes), "asked": own.share(right), "near": own.share(right[near]),
                 "far": own.share(right[~near]), "any": own.share((read[:, None] == scenes.label).any(1)),
                 "recoloured": {"new": own.share(now == again.answer), "old": own.share(now == scenes.answer)}}
    if model != "self-attention":
        return row
    row["forbidden"] = {name: own.share(answers_without(net, scenes, where) == scenes.answer)
                        for name, where in forbidden(scenes).items()}
    row["heads"] = {}
    for name, one in (("trained", net), ("before training", untrained(task, model, seed))):
        head = named_head(one, own.validation_scenes(task))
        asked, other = mass_on_disc(one, scenes)[:, head].tolist()
        row["heads"][name] = {"head": head, "asked": asked, "other": other}
    return row | {"without a network": without_a_network()}
