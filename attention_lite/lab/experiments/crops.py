"""Squares cut out of photographs, and the tokens that the pretrained transformer makes of them."""

from dataclasses import dataclass
from functools import cache

import numpy as np
import torch
from torch import Tensor

from attention_lite.lab import photographs, pretrained
from attention_lite.networks.vision_transformer import VisionTransformer

GRID, SIDE = 16, 224             # patches and pixels along a side of what the transformer sees
WIDTH = 384                      # of its tokens


@dataclass(frozen=True)
class Crop:
    """A square of a photograph, in the photograph's own pixels."""

    photograph: str
    top: int
    left: int
    side: int


def middle(photograph: str) -> Crop:
    """The largest square around a photograph's middle."""
    height, width = photographs.load(photograph).shape[:2]
    side = min(height, width)
    return Crop(photograph, (height - side) // 2, (width - side) // 2, side)


def crops(photograph: str, count: int, smallest: float, seed: int) -> list[Crop]:
    """Random squares whose sides are at least `smallest` of the photograph's shorter one, the same for one seed."""
    height, width = photographs.load(photograph).shape[:2]
    random = np.random.default_rng([seed, *photograph.encode()])
    found = []
    for _ in range(count):
        side = int(min(height, width) * random.uniform(smallest, 1))
        top, left = random.integers(height - side + 1), random.integers(width - side + 1)
        found.append(Crop(photograph, int(top), int(left), side))
    return found


def pixels(crop: Crop, side: int = SIDE) -> Tensor:
    """A crop as the networks take it: (1, 3, side, side), RGB in [0, 1]."""
    image = photographs.load(crop.photograph)
    return photographs.picture(image[crop.top:crop.top + crop.side, crop.left:crop.left + crop.side], side)


@cache
def transformer() -> VisionTransformer:
    """The pretrained transformer, read once."""
    return pretrained.vision_transformer()


@cache
def tokens(crop: Crop) -> Tensor:
    """The transformer's last tokens of a crop's patches, without the class token: (256, 384)."""
    with torch.no_grad():
        return transformer()(pixels(crop))[0, 1:]
