"""Other pictures' gates forced on a text detector: what it still finds, all blocks forced at once or one alone.

`answers` runs the network; `stored` has what it answered on this book's pictures, for the explorer, as
`python -m attention_lite.lab text-gates` writes it.
"""

import io
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from attention_lite import force_gates, record_attention
from attention_lite.lab import photographs, pretrained, printed
from attention_lite.lab.files import write_whole
from attention_lite.lab.own_photograph import open_photograph
from attention_lite.networks import TextDetector

if TYPE_CHECKING:
    from matplotlib.axes import Axes

FILE = Path(__file__).parent / "text_gates.npz"
SIDE = 320               # pixels of the square that the detector gets
POOL = 2                 # pixels of a map that become one place, by their mean
TEXT = 0.3               # a place is text if its probability is above this, as where the detector is used
LEVELS = 31              # between no text and text, in answers that are kept: a page holds hundreds of maps
SINGLE = ("page", "cup sign")        # the pictures on which each block is forced alone, too
CONSTANTS = ("mean of all", "all ½", "all 1", "own, shuffled")

Gates = dict[str, Tensor]


@dataclass(frozen=True)
class Answers:
    """What the detector finds in P pictures under each of S sources of gates, its thirteen blocks having C channels.

    The first P sources are the pictures themselves, so picture p's own gates are source p; the others are CONSTANTS.

    pictures: name -> uint8 (H, W, 3).
    channels: the name of each block -> its number of channels, C in all.
    gates: (P, S, C), float32.  maps: uint8 (P, S, h, w), the probability of text × 255, all blocks being forced.
    single: the pictures that `single_maps`, (pictures, blocks, S, h, w), is about: one block forced alone.
    """

    pictures: dict[str, np.ndarray]
    channels: dict[str, int]
    gates: np.ndarray
    maps: np.ndarray
    single: tuple[str, ...]
    single_maps: np.ndarray

    @property
    def sources(self) -> tuple[str, ...]:
        """The names of the S sources."""
        return (*self.pictures, *CONSTANTS)

    def squares(self, side: int = 400) -> np.ndarray:
        """What the detector got of each picture, uint8 (P, side, side, 3)."""
        return np.stack([_square(picture, side) for picture in self.pictures.values()])

    def overlap(self, picture: str, source: str) -> float:
        """How far the map of `picture` under the gates of `source` agrees with that under its own (see `overlap`)."""
        p = list(self.pictures).index(picture)
        return overlap(self.maps[p, self.sources.index(source)] / 255, self.maps[p, p] / 255)


def book_pictures() -> dict[str, np.ndarray]:
    """The book's pictures with text and without, uint8 (H, W, 3)."""
    plain = {"cat": "chelsea", "cup": "coffee", "flower": "flower", "temple": "china", "astronaut": "astronaut"}
    return {"page": printed.printed_page(), "page two": printed.printed_page(1),
            "cup sign": printed.with_words("coffee"), "rocket sign": printed.with_words("rocket"),
            **{name: photographs.load(photograph) for name, photograph in plain.items()}}


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


def overlap(a: Tensor | np.ndarray, b: Tensor | np.ndarray) -> float:
    """Places that are text on both maps over those that are text on either; NaN where neither map has any."""
    a, b = np.asarray(a) > TEXT, np.asarray(b) > TEXT
    either = float((a | b).sum())
    return float((a & b).sum()) / either if either else float("nan")


def shuffled(gates: Gates, seed: int = 0) -> Gates:
    """The same gates in each block, dealt anew among its channels."""
    rng = torch.Generator().manual_seed(seed)
    return {name: s[torch.randperm(len(s), generator=rng)] for name, s in gates.items()}


def constant(gates: Gates) -> Gates:
    """The mean of each block's gates in all of its channels: thirteen numbers are left."""
    return {name: s.mean().expand_as(s) for name, s in gates.items()}


def at_level(gates: Gates, like: Gates) -> Gates:
    """The gates of each block times one number, so that their mean is that of `like`'s."""
    return {name: s * (like[name].mean() / s.mean()) for name, s in gates.items()}


def controls(net: TextDetector, x: Tensor, foreign: Gates, orders: int = 5) -> dict[str, list[float]]:
    """Overlaps of a picture's text map with that under gates of which one thing was changed.

    Args:
        net: the detector.
        x: the picture, (1, 3, H, W).
        foreign: another picture's gates.
        orders: in how many ways the picture's own gates are shuffled.
    """
    text, own = look(net, x)
    changed = {
        "own, shuffled": [shuffled(own, seed) for seed in range(orders)],
        "constant a block": [constant(own)],
        "foreign at own level": [at_level(foreign, own)],
        "own at foreign level": [at_level(own, foreign)],
    }
    return {name: [overlap(look(net, x, forced)[0], text) for forced in gates] for name, gates in changed.items()}


def answers(pictures: Mapping[str, np.ndarray], single: Sequence[str] = ()) -> Answers:
    """Force on each picture the gates of every other, their mean, ½, 1, and its own in another order.

    Args:
        pictures: name -> whatever `open_photograph` reads.
        single: pictures on which each of the thirteen blocks is forced alone, too; thirteen times the work.

    Raises:
        ValueError: if there is no picture, `single` names none of them, a picture cannot be read, or the weights are
            missing (see `read_weights`).
    """
    if not pictures:
        raise ValueError("pictures must hold at least one, got none")
    unknown = set(single) - set(pictures)
    if unknown:
        raise ValueError(f"single must name pictures, {', '.join(pictures)}; got {', '.join(sorted(unknown))}")
    opened = {name: open_photograph(picture) for name, picture in pictures.items()}
    net, x = pretrained.text_detector(), {name: photographs.picture(picture, SIDE) for name, picture in opened.items()}
    own = {name: look(net, x[name]) for name in x}
    gates = {name: _sources(name, {n: g for n, (_, g) in own.items()}) for name in opened}
    channels = {block: len(s) for block, s in next(iter(own.values()))[1].items()}

    def seen(name: str, forced: Gates) -> np.ndarray:
        return _in_levels(look(net, x[name], forced)[0].numpy())

    maps = [[seen(name, forced) for forced in gates[name]] for name in opened]
    alone = [[[seen(name, {block: forced[block]}) for forced in gates[name]] for block in channels] for name in single]
    rows = [[torch.cat(list(forced.values())).numpy() for forced in gates[name]] for name in opened]
    return Answers(opened, channels, np.array(rows), np.array(maps), tuple(single), np.array(alone, dtype=np.uint8))


def save(found: Answers, file: Path = FILE) -> None:
    """Write all but the pictures, whole or not at all."""
    buffer = io.BytesIO()
    np.savez_compressed(buffer, gates=np.round(found.gates * 255).astype(np.uint8), maps=found.maps,
                        single_maps=found.single_maps, blocks=list(found.channels),
                        channels=list(found.channels.values()))
    write_whole(file, buffer.getvalue())


def stored(file: Path = FILE) -> Answers:
    """The answers on `book_pictures`, gates to one part in 255, without running the network.

    Raises:
        ValueError: if there is no such file.
    """
    if not file.is_file():
        raise ValueError(f"{file} is missing; make it with: python -m attention_lite.lab text-gates")
    with np.load(file) as found:
        channels = dict(zip(found["blocks"].tolist(), found["channels"].tolist(), strict=True))
        return Answers(book_pictures(), channels, found["gates"].astype(np.float32) / 255, found["maps"], SINGLE,
                       found["single_maps"])


def show(ax: "Axes", picture: np.ndarray, text: Tensor, title: str = "") -> None:
    """Draw a picture, dark where the text map finds nothing."""
    from attention_lite import figures  # needs matplotlib, which the lab does without

    bright = F.interpolate(text[None, None], (2 * SIDE, 2 * SIDE), mode="bilinear")[0, 0].numpy()
    figures.picture(ax, _square(picture, 2 * SIDE) / 255 * (0.3 + 0.7 * bright[..., None]), title)


def _in_levels(text: np.ndarray) -> np.ndarray:
    """Probabilities rounded to one of LEVELS + 1 levels, as uint8 from 0 to 255."""
    return np.round(np.round(text * LEVELS) * (255 / LEVELS)).astype(np.uint8)


def _square(picture: np.ndarray, side: int) -> np.ndarray:
    return np.round(photographs.picture(picture, side)[0].permute(1, 2, 0).numpy() * 255).astype(np.uint8)


def _sources(picture: str, own: dict[str, Gates]) -> list[Gates]:
    """The gates of each picture, then CONSTANTS, as `picture` gets them."""
    first = own[picture]
    mean = {block: torch.stack([g[block] for g in own.values()]).mean(0) for block in first}
    constant = [{block: torch.full_like(s, value) for block, s in first.items()} for value in (0.5, 1.0)]
    return [*own.values(), mean, *constant, shuffled(first)]

