"""Other pictures' gates forced on a text detector: the pictures, the sources of gates, and two scores of what is found.

What the detector answers under all of them is stored: see `text_answers`.
"""

from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from attention_lite import force_gates, record_attention
from attention_lite.lab import photographs, printed
from attention_lite.networks import TextDetector

if TYPE_CHECKING:
    from attention_lite.lab.text_answers import Answers

SIDE = 320               # pixels of the square that the detector gets
POOL = 2                 # pixels of a map that become one place, by their mean
TEXT = 0.3               # a place is text if its probability is above this, as where the detector is used
PLAIN = {"cat": "chelsea", "cup": "coffee", "flower": "flower", "temple": "china", "astronaut": "astronaut"}
TEXTS = ("page", "page two", "cup sign", "rocket sign")
# Pictures of one kind, or with one photograph in both: the mean of the rest leaves them out.
KIN = {"page": ("page two",), "page two": ("page",), "cup sign": ("rocket sign", "cup"),
       "rocket sign": ("cup sign",), "cup": ("cup sign",)}
FOREIGN = "cat"          # the picture whose gates are also given in parts
MADE = ("mean of the rest", "all ½", "all 1", "own, shuffled", "own, one a block", "cat's where more open",
        "cat's where more shut", "cat's, own level", "own, cat's level")

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
    """The gates of each block times one number, so that their mean is that of `like`'s."""
    return {name: s * (like[name].mean() / s.mean()) for name, s in gates.items()}


def opened(gates: Gates, others: Gates) -> Gates:
    """The larger of two gates, channel by channel: the others' wherever they are more open."""
    return {name: torch.maximum(s, others[name]) for name, s in gates.items()}


def shut(gates: Gates, others: Gates) -> Gates:
    """The smaller of two gates, channel by channel: the others' wherever they are more shut."""
    return {name: torch.minimum(s, others[name]) for name, s in gates.items()}


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
            shuffled(mine), levelled(mine), opened(mine, foreign), shut(mine, foreign), at_level(foreign, mine),
            at_level(mine, foreign)]
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


def found(net: TextDetector, name: str, x: Tensor, forced: Mapping[str, Tensor | float]) -> tuple[int, int]:
    """How many words of `name`, one of TEXTS, the detector finds under forced gates (see `look`), and of how many."""
    drawn = printed.words_of(name)
    return words_found(look(net, x, forced)[0], drawn), len(drawn)


def shares(maps: Iterable[np.ndarray], name: str) -> list[float]:
    """The share of the words of `name` that each of these maps, (h, w) in [0, 1] or uint8 for 255ths, finds."""
    drawn = printed.words_of(name)
    return [words_found(text / 255 if text.dtype == np.uint8 else text, drawn) / len(drawn) for text in maps]


def shares_under(net: TextDetector, stored: "Answers", name: str, orders: int = 5) -> dict[str, list[float]]:
    """The share of the words of `name`, one of TEXTS, found under others' gates, by kind, and those that are MADE.

    Its own gates are shuffled in several orders: the first is stored, the others are asked of the network.
    """
    kin = KIN[name][0]
    rows = {"same kind": (kin,), FOREIGN: (FOREIGN,), "other text": set(TEXTS) - {name, kin},
            "no text": ("cup", "flower", "temple", "astronaut"), **{made: (made,) for made in MADE}}
    maps = {row: [stored.map(name, source) for source in sources] for row, sources in rows.items()}
    x = photographs.picture(stored.pictures[name], SIDE)
    own = look(net, x)[1]
    maps["own, shuffled"] += [look(net, x, shuffled(own, seed))[0].numpy() for seed in range(1, orders)]
    return {row: shares(of, name) for row, of in maps.items()}


# Pictures -------------------------------------------------------------------------------------------------------


def square(picture: np.ndarray, side: int) -> np.ndarray:
    """What the detector gets of a picture, its middle square, as uint8 (side, side, 3)."""
    return np.round(photographs.picture(picture, side)[0].permute(1, 2, 0).numpy() * 255).astype(np.uint8)
