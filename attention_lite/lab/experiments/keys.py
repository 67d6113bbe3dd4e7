"""Fewer keys in a trained transformer, without training it again: what becomes of its last tokens?

In some layers every query reads from fewer keys and values than there are patches, as in EMSA's shrunken map
(chapter 09), but the network was trained with all of them. The class token stays a key of its own.
"""

from collections.abc import Callable, Iterator
from contextlib import contextmanager

import torch
import torch.nn.functional as F
from torch import Tensor

from attention_lite.lab.experiments.crops import GRID, middle, pixels, tokens, transformer
from attention_lite.lab.photographs import PHOTOGRAPHS
from attention_lite.lab.precision import float32
from attention_lite.networks.vision_transformer import VisionTransformer

LAYERS = {"last six": range(6, 12), "all twelve": range(12)}
SQUARES = (2, 4, 8, 16)          # patches along a side of what becomes one key
DRAWS = 3                        # of random places
RUNS = [{"photograph": name, "layers": layers, "square": square}
        for name in PHOTOGRAPHS for layers in LAYERS for square in SQUARES]


def averaged(square: int) -> Callable[[Tensor], Tensor]:
    """One key for each square of patches, their mean: tokens (B, 257, d) -> (B, 1 + 256 / square², d)."""
    def keys(x: Tensor) -> Tensor:
        maps = x[:, 1:].transpose(1, 2).unflatten(2, (GRID, GRID))
        return torch.cat([x[:, :1], F.avg_pool2d(maps, square).flatten(2).transpose(1, 2)], 1)
    return keys


def counted(square: int) -> Callable[[Tensor], Tensor]:
    """The same means, each as often as it has patches, so that the class token gains no weight: (B, 257, d)."""
    def keys(x: Tensor) -> Tensor:
        means = averaged(square)(x)
        return torch.cat([means[:, :1], means[:, 1:].repeat_interleave(square ** 2, 1)], 1)
    return keys


def chosen(places: Tensor) -> Callable[[Tensor], Tensor]:
    """The keys of some patches alone: (B, 1 + places, d)."""
    def keys(x: Tensor) -> Tensor:
        return torch.cat([x[:, :1], x[:, 1 + places]], 1)
    return keys


def random_places(square: int, draw: int) -> Tensor:
    """As many patches as there are squares, the same in every layer."""
    generator = torch.Generator().manual_seed(draw)
    return torch.randperm(GRID ** 2, generator=generator)[:(GRID // square) ** 2]


@contextmanager
def fewer_keys(net: VisionTransformer, layers: range, keys: Callable[[Tensor], Tensor]) -> Iterator[None]:
    """Let some layers' queries read from keys and values made of `keys(x)` instead of all tokens x."""
    def shrink(_: object, args: tuple[Tensor]) -> tuple[Tensor, Tensor]:
        return args[0], keys(args[0])
    handles = [net.layers[i].attention.register_forward_pre_hook(shrink) for i in layers]
    try:
        yield
    finally:
        for handle in handles:
            handle.remove()


@torch.no_grad()
def likeness(photograph: str, layers: str, keys: Callable[[Tensor], Tensor]) -> float:
    """The cosine of the last tokens with those of the untouched network, a mean over the patches."""
    net, crop = transformer(), middle(photograph)
    with fewer_keys(net, LAYERS[layers], keys):
        found = net(pixels(crop))[0, 1:]
    return F.cosine_similarity(found, tokens(crop), dim=1).mean().item()


def other_photographs(photograph: str) -> float:
    """The floor: the cosine of the last tokens with another photograph's at the same place, a mean over all others."""
    own = tokens(middle(photograph))
    others = torch.stack([tokens(middle(name)) for name in PHOTOGRAPHS if name != photograph])
    return F.cosine_similarity(own, others, dim=2).mean().item()


@float32()
def measure(photograph: str, layers: str, square: int) -> dict:
    """One row: the cosine with each kind of fewer keys, and the floor."""
    return {
        "averaged": likeness(photograph, layers, averaged(square)),
        "counted": likeness(photograph, layers, counted(square)),
        "random": [likeness(photograph, layers, chosen(random_places(square, draw))) for draw in range(DRAWS)],
        "other_photographs": other_photographs(photograph),
    }
