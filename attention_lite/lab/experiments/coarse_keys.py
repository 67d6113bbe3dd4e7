"""Keys that each speak for several places: do readers of cued search find the disc all the same, and use it?"""

import math
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import torch
from torch import Tensor, nn

from attention_lite import precision
from attention_lite.emsa import EMSA, EPS
from attention_lite.lab import scoring
from attention_lite.lab.experiments import own
from attention_lite.lab.scenes import Scenes, disc_mask, masks
from attention_lite.lab.training import pictures

TASK, GRID = "cued-search", (12, 12)
RUNS = own.runs(TASK, "self-attention", "emsa-1", "emsa", "emsa-4", "emsa-plain")
KNOWN = 200              # validation scenes: they name the head, and give sigma's mean
Norm = Callable[[Tensor, Tensor], Tensor]


def tokens(net: nn.Module, images: Tensor) -> Tensor:
    """What the block of tokens is given: (n, 144, C)."""
    return net.block.norm(net.stem(images).flatten(2).transpose(1, 2))


@torch.no_grad()
def softmaxed(net: nn.Module, images: Tensor) -> Tensor:
    """Each head's weights after the softmax, before EMSA's instance norm: (n, h, 144, N')."""
    block, x = net.block.block, tokens(net, images)
    if not isinstance(block, EMSA):
        return block.attention(x)["position"]
    Q, K = block._heads(block.W_Q(x)), block._heads(block.W_K(block._reduce(x)))
    return block._softmax(Q, K)


def disc_places(scenes: Scenes) -> Tensor:
    """The places of which the disc covers more than 15 %: (n, 12, 12)."""
    return scoring.on_grid(disc_mask(scenes), GRID)


def digit_places(scenes: Scenes) -> Tensor:
    """Those of the digit that is asked for: (n, 12, 12)."""
    return scoring.on_grid(masks(scenes)[torch.arange(len(scenes)), scenes.target], GRID)


def disc_of_keys(scenes: Scenes, side: int) -> Tensor:
    """For each of side × side keys the share of its places that lie on the disc: (n, side²)."""
    return disc_places(scenes).flatten(1).float() @ scoring.spread(torch.eye(side * side), GRID[0] * GRID[1]).T


def weight_on_disc(weights: Tensor, scenes: Scenes) -> Tensor:
    """The weight that the digit asked for gives to the disc, from (n, h, 144, N'): (n, h)."""
    asks = digit_places(scenes).flatten(1).float()
    asks = asks / asks.sum(1, keepdim=True)
    rows = torch.einsum("nq,nhqk->nhk", asks, weights)
    return torch.einsum("nhk,nk->nh", rows, disc_of_keys(scenes, math.isqrt(weights.shape[-1])))


def sigma_of(weights: Tensor) -> Tensor:
    """The root under EMSA's norm, of (n, h, 144, N'): (n, h, 1, 1)."""
    return (weights.var((2, 3), correction=0, keepdim=True) + EPS).sqrt()


@contextmanager
def normed_by(net: nn.Module, norm: Norm) -> Iterator[None]:
    """Let EMSA sum its values with norm(A, sigma) in place of (A - 1 / N') / sigma."""
    block = net.block.block

    def transformed(Q: Tensor, K: Tensor, V: Tensor) -> Tensor:
        A = block._softmax(Q, K)
        return precision.product(norm(A, sigma_of(A)), V)

    block._transformed = transformed
    try:
        yield
    finally:
        del block._transformed


def norms(net: nn.Module, weights: Tensor) -> dict[str, Norm]:
    """The norm's two halves undone, by name, from weights of many scenes; none for a block without it."""
    if getattr(net.block.block, "mix", None) is None:
        return {}
    fixed = sigma_of(weights).mean(0)
    return {"a fixed factor": lambda A, sigma: (A - 1 / A.shape[-1]) / fixed,
            "the mean kept": lambda A, sigma: A / sigma}


@torch.no_grad()
def measure(task: str, model: str, seed: int) -> dict:
    """One row: accuracy, what is read under another disc, the weight on the disc, and the norm's two halves undone."""
    net, scenes = own.load(task, model, seed), own.test_scenes(task)
    known = own.validation_scenes(task)[:KNOWN]
    weights = softmaxed(net, pictures(known))
    head, others = int(weight_on_disc(weights, known).mean(0).argmax()), norms(net, weights)
    side = math.isqrt(weights.shape[-1])
    measured = ("as trained", "new", "old", "disc", "even", "best", *others)
    found: dict[str, list[Tensor]] = {name: [] for name in measured}
    for images, part in own.parts(scenes):
        found["as trained"].append(net(images).argmax(1) == part.answer)
        for name, norm in others.items():
            with normed_by(net, norm):
                found[name].append(net(images).argmax(1) == part.answer)
        other = own.recoloured(part)
        now = net(pictures(other)).argmax(1)
        found["new"].append(now == other.answer)
        found["old"].append(now == part.answer)
        found["disc"].append(weight_on_disc(softmaxed(net, images), part)[:, head])
        keys = disc_of_keys(part, side)
        found["even"].append(keys.mean(1))
        found["best"].append(keys.amax(1))
    mean = {name: own.share(torch.cat(parts)) for name, parts in found.items()}
    return {"scenes": len(scenes), "keys": side * side, "as trained": mean["as trained"],
            "disc recoloured": {"the new digit": mean["new"], "the old digit": mean["old"]}, "head": head,
            "weight on the disc": mean["disc"], "equal weights": mean["even"], "best one key": mean["best"],
            **{name: mean[name] for name in others}}
