"""Other pictures' gates forced on a text detector: the pictures, the sources of gates, and two scores of what is found.

What the detector answers under all of them is stored: see `text_answers`, and `text_controls` for those that are drawn.
"""

from collections.abc import Iterable, Mapping

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from attention_lite import force_gates, record_attention
from attention_lite.lab import photographs, printed
from attention_lite.networks import TextDetector

SIDE = 320               # pixels of the square that the detector gets
POOL = 2                 # pixels of a map that become one place, by their mean
TEXT = 0.3               # a place is text if its probability is above this, as where the detector is used
PLAIN = {"cat": "chelsea", "cup": "coffee", "flower": "flower", "temple": "china", "astronaut": "astronaut"}
TEXTS = ("page", "page two", "cup sign", "rocket sign")
# Pictures of one kind, or with one photograph in both: the mean of the rest leaves them out.
KIN = {"page": ("page two",), "page two": ("page",), "cup sign": ("rocket sign", "cup"),
       "rocket sign": ("cup sign",), "cup": ("cup sign",)}
FOREIGN = "cat"          # the picture whose gates are also given in parts
STAGES = "stages"        # the blocks whose names start so can shut a channel; those of the neck add what they gate
NEAREST = 6              # channels from which one that is about as open is drawn
MADE = ("mean of the rest", "all ½", "all 1", "own, shuffled", "own, one a block", "cat's, one a block",
        "own, cat's level", "cat's, own level", "cat's, own zeros", "cat's, random zeros")

Gates = dict[str, Tensor]


def book_pictures() -> dict[str, np.ndarray]:
    """The book's pictures with text and without, uint8 (H, W, 3)."""
    plain = {name: photographs.load(photograph) for name, photograph in PLAIN.items()}
    return {"page": printed.printed_page(), "cat": plain.pop("cat"), "page two": printed.printed_page(1),
            "cup sign": printed.with_words("coffee"), "rocket sign": printed.with_words("rocket"), **plain}


@torch.no_grad()
def look(net: TextDetector, x: Tensor, forced: Mapping[str, Tensor | float] | None = None) -> tuple[Tensor, Gates]:
    """The text map of one picture, (h, w) in [0, 1], and each block's gates (C,): its own, but where some are forced.

    Args:
        net: the detector.
        x: the picture, (1, 3, H, W), as `photographs.picture` gives it.
        forced: gates for some blocks or all, as `force_gates` takes them.
    """
    with force_gates(net, forced or {}), record_attention(net) as maps:
        text = net(x)
    return F.avg_pool2d(text, POOL)[0], {name: recorded["channel"][0].clone() for name, recorded in maps.items()}


# Sources of gates -----------------------------------------------------------------------------------------------


def shuffled(gates: Gates, seed: int = 0) -> Gates:
    """The same gates in each block, dealt anew among its channels."""
    rng = torch.Generator().manual_seed(seed)
    return {name: s[torch.randperm(len(s), generator=rng)] for name, s in gates.items()}


def levelled(gates: Gates) -> Gates:
    """The mean of each block's gates in all of its channels: thirteen numbers are left."""
    return {name: s.mean().expand_as(s) for name, s in gates.items()}


def at_level(gates: Gates, like: Gates) -> Gates:
    """The gates of each block times the number that brings their mean to that of `like`'s, and none above 1."""
    return {name: (s * (like[name].mean() / s.mean())).clamp(max=1) for name, s in gates.items()}


def with_zeros(gates: Gates, like: Gates) -> Gates:
    """The same gates, but 0 in the STAGES wherever those of `like` are 0."""
    return {name: torch.where(like[name] == 0, 0.0, s) if name.startswith(STAGES) else s for name, s in gates.items()}


def with_random_zeros(gates: Gates, like: Gates, seed: int) -> Gates:
    """The same gates with as many of each block newly at 0 as `with_zeros` has, at random channels that were open."""
    rng, zeros = torch.Generator().manual_seed(seed), with_zeros(gates, like)
    return {name: _shut(s, int(((zeros[name] == 0) & (s > 0)).sum()), rng) for name, s in gates.items()}


def with_zeros_alike(gates: Gates, like: Gates, seed: int) -> Gates:
    """The same again, but each channel that is shut has a gate about as open as one that `with_zeros` shuts.

    It is one of the six nearest among those that are open in `like` too, so none that `with_zeros` shuts is taken.
    """
    rng, zeros = torch.Generator().manual_seed(seed), with_zeros(gates, like)
    kept = {name: s.clone() for name, s in gates.items()}
    for name, s in gates.items():
        free = (like[name] > 0) & (s > 0)
        for channel in ((zeros[name] == 0) & (s > 0)).nonzero()[:, 0]:
            near = (s - s[channel]).abs().masked_fill(~free, torch.inf).argsort()[:min(NEAREST, int(free.sum()))]
            taken = near[torch.randint(len(near), (1,), generator=rng)]
            kept[name][taken], free[taken] = 0, False
    return kept


def _shut(s: Tensor, count: int, rng: torch.Generator) -> Tensor:
    is_open = s.nonzero()[:, 0]
    return s.index_fill(0, is_open[torch.randperm(len(is_open), generator=rng)[:count]], 0)


def mean_of_rest(picture: str, own: Mapping[str, Gates]) -> Gates:
    """The mean gates of all pictures but this one and its kin."""
    rest = [gates for name, gates in own.items() if name not in (picture, *KIN.get(picture, ()))]
    return {block: torch.stack([gates[block] for gates in rest]).mean(0) for block in rest[0]}


def sources(picture: str, own: Mapping[str, Gates]) -> list[Gates]:
    """The gates of every picture, then those that are MADE, as `picture` gets them.

    Args:
        picture: one of `own`.
        own: each picture's own gates; the cat's among them.
    """
    mine, foreign = own[picture], own[FOREIGN]
    made = [mean_of_rest(picture, own), *({block: torch.full_like(s, value) for block, s in mine.items()}
                                          for value in (0.5, 1.0)),
            shuffled(mine), levelled(mine), levelled(foreign), at_level(mine, foreign), at_level(foreign, mine),
            with_zeros(foreign, mine), with_random_zeros(foreign, mine, list(own).index(picture))]
    return [*own.values(), *made]


# Scores ---------------------------------------------------------------------------------------------------------


def iou(a: Tensor | np.ndarray, b: Tensor | np.ndarray) -> float:
    """Places that are text on both maps over those that are text on either; NaN where neither map has any."""
    a, b = np.asarray(a) > TEXT, np.asarray(b) > TEXT
    either = float((a | b).sum())
    return float((a & b).sum()) / either if either else float("nan")


def words_found(text: Tensor | np.ndarray, words: np.ndarray) -> int:
    """How many words have text on at least half of the line through their middle.

    Args:
        text: a text map, (h, w) in [0, 1].
        words: their boxes, (n, 4), as `printed.words_of` gives them.
    """
    found, (h, w) = np.asarray(text) > TEXT, text.shape
    count = 0
    for left, top, right, bottom in words:
        row = min(int((top + bottom) / 2 * h), h - 1)
        line = found[row, int(left * w):max(int(left * w) + 1, int(np.ceil(right * w)))]
        count += bool(2 * line.sum() >= len(line))
    return count


def shares(maps: Iterable[np.ndarray], name: str) -> list[float]:
    """The share of the words of `name` that each of these maps, (h, w) in [0, 1] or uint8 for 255ths, finds."""
    drawn = printed.words_of(name)
    return [words_found(text / 255 if text.dtype == np.uint8 else text, drawn) / len(drawn) for text in maps]


# Pictures -------------------------------------------------------------------------------------------------------


def square(picture: np.ndarray, side: int) -> np.ndarray:
    """What the detector gets of a picture, its middle square, as uint8 (side, side, 3)."""
    return np.round(photographs.picture(picture, side)[0].permute(1, 2, 0).numpy() * 255).astype(np.uint8)
