"""What the text detector answers under each source of gates, made once and stored, for the explorer and the chapter.

`python -m attention_lite.lab text-gates` makes the file; a test answers a sample of it anew. `with_own` adds a
photograph of the reader's.
"""

import io
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import ArrayLike
from torch import Tensor

from attention_lite.lab import photographs, pretrained, printed
from attention_lite.lab.files import write_whole
from attention_lite.lab.own_photograph import open_photograph
from attention_lite.lab.text_gates import (
    MADE,
    PLAIN,
    SIDE,
    TEXT,
    TEXTS,
    Gates,
    book_pictures,
    iou,
    look,
    sources,
    square,
    words_found,
)
from attention_lite.networks import TextDetector

FILE = Path(__file__).parent / "text_answers.npz"
LEVELS = 31              # between no text and text, in answers that are kept: a page holds hundreds of maps
STEPS = 15               # from 0 to the largest value of a channel
SINGLE = ("page", "cup sign")        # the pictures on which each block is forced alone, and spared alone, with these
SINGLE_SOURCES = ("cat", "cup", "mean of the rest", "all ½", "all 1", "own, shuffled")
INSIDE = "stages.1.1.se"             # the block whose channels are kept as they enter it
OWN = "your own"
ALT = {"page": "A printed page, black on cream", "page two": "Another printed page, black on grey",
       "cup sign": "A cup of coffee; above and below it words in white",
       "rocket sign": "A rocket at dawn with words in white and gold", "cat": "A cat's face",
       "cup": "A cup of coffee on a saucer", "flower": "A large dahlia and a small one", "temple": "A pagoda by a lake",
       "astronaut": "An astronaut in an orange suit", OWN: "Your own photograph"}


@dataclass(frozen=True)
class Answers:
    """What the detector finds in P pictures under each of S sources of gates, its thirteen blocks having C channels.

    The first P sources are the pictures themselves, so picture p's own gates are source p; the others are MADE.

    pictures: name -> uint8 (H, W, 3).
    channels: the name of each block -> its number of channels, C in all.
    gates: (P, S, C), float32.  maps: uint8 (P, S, h, w), the probability of text × 255, all blocks being forced.
    alone, spared: for some (picture, source), uint8 (blocks, h, w): one block forced alone; all blocks but one.
    inside: int8 (P, c, h', w'): what enters the block INSIDE, each channel over its largest absolute value × STEPS.
    """

    pictures: dict[str, np.ndarray]
    channels: dict[str, int]
    gates: np.ndarray
    maps: np.ndarray
    alone: dict[tuple[str, str], np.ndarray]
    spared: dict[tuple[str, str], np.ndarray]
    inside: np.ndarray

    @property
    def sources(self) -> tuple[str, ...]:
        """The names of the S sources."""
        return (*self.pictures, *MADE)

    def map(self, picture: str, source: str | None = None) -> np.ndarray:
        """The text map of a picture, (h, w) in [0, 1], under the gates of a source, or its own."""
        return self.maps[list(self.pictures).index(picture), self.sources.index(source or picture)] / 255

    def iou(self, picture: str, source: str) -> float:
        """How far the map of `picture` under the gates of `source` is the one under its own (see `iou`)."""
        return iou(self.map(picture, source), self.map(picture))

    def words(self, picture: str, source: str | None = None) -> tuple[int, int]:
        """How many words of a picture that was drawn with them are found (see `words_found`), and of how many."""
        drawn = printed.words_of(picture)
        return words_found(self.map(picture, source), drawn), len(drawn)

    def state(self, picture: str, source: str, block: str = "", spared: bool = False) -> dict[str, Any]:
        """The explorer's state: a picture gets the gates of a source, in all blocks, in one, or in all but this one."""
        s = self.sources.index(source)
        return {"image": list(self.pictures).index(picture), "source": -1 if source == picture else s,
                "block": list(self.channels).index(block) if block else -1, "spared": spared}

    def shown(self) -> dict[str, Any]:
        """The arguments of `ForcedGatesExplorer`."""
        names = list(self.pictures)
        pairs = {(names.index(p), self.sources.index(s)): (maps, self.spared[p, s])
                 for (p, s), maps in self.alone.items()}
        return {"images": np.stack([square(picture, 400) for picture in self.pictures.values()]),
                "gates": self.gates, "maps": self.maps, "blocks": self.channels, "image_names": names,
                "source_names": list(MADE), "single": pairs, "inside": (INSIDE, self.inside), "threshold": TEXT,
                "words": {names.index(name): printed.words_of(name) for name in names if name in TEXTS},
                "alt": [ALT.get(name, name) for name in names]}


def answers() -> Answers:
    """Force on each of the book's pictures the gates of every other, and those that are MADE: a minute or two of work.

    Raises:
        ValueError: if the weights are missing (see `read_weights`).
    """
    net, pictures = pretrained.text_detector(), book_pictures()
    x = {name: photographs.picture(picture, SIDE) for name, picture in pictures.items()}
    own, inside = _watch(net, x)
    forced = {name: sources(name, own) for name in x}
    channels = {block: len(s) for block, s in next(iter(own.values())).items()}
    names = (*pictures, *MADE)
    alone, spared = {}, {}
    for name in SINGLE:
        for source, gates in zip(names, forced[name], strict=True):
            if source in SINGLE_SOURCES:
                alone[name, source] = _stack(net, x[name], ({block: gates[block]} for block in channels))
                spared[name, source] = _stack(net, x[name], ({k: s for k, s in gates.items() if k != block}
                                                             for block in channels))
    return Answers(pictures, channels, np.stack([_rows(gates) for gates in forced.values()]),
                   np.stack([_stack(net, x[name], gates) for name, gates in forced.items()]), alone, spared, inside)


def with_own(photograph: str | Path | ArrayLike, found: Answers | None = None) -> Answers:
    """The stored answers, or `found`, and with them those on a photograph of the reader's own, called "your own".

    It gets every other picture's gates and those that are MADE, and every other picture gets its gates; blocks alone
    are not tried. The mean of the rest is that of all other pictures.

    Raises:
        ValueError: if the photograph cannot be read (see `open_photograph`), or the weights are missing.
    """
    opened = open_photograph(photograph)
    found = stored() if found is None else found
    net, x = pretrained.text_detector(), photographs.picture(opened, SIDE)
    count, sizes = len(found.pictures), list(found.channels.values())

    def split(row: np.ndarray) -> Gates:
        return dict(zip(found.channels, torch.from_numpy(row).split(sizes), strict=True))

    mine, inside = _watch(net, {OWN: x})
    own = {name: split(found.gates[p, p]) for p, name in enumerate(found.pictures)} | mine
    forced = sources(OWN, own)
    theirs = [_stack(net, photographs.picture(picture, SIDE), [mine[OWN]]) for picture in found.pictures.values()]
    gates = np.insert(found.gates, count, _rows([mine[OWN]]), axis=1)
    maps = np.insert(found.maps, count, np.concatenate(theirs), axis=1)
    return replace(found, pictures={**found.pictures, OWN: opened}, gates=np.concatenate([gates, _rows(forced)[None]]),
                   maps=np.concatenate([maps, _stack(net, x, forced)[None]]),
                   inside=np.concatenate([found.inside, inside]))


def shown_with(photograph: str | Path | ArrayLike) -> dict[str, Any]:
    """The arguments of `ForcedGatesExplorer` with a photograph of the reader's own: its `look` (see `with_own`)."""
    return with_own(photograph).shown()


def watched() -> dict[str, np.ndarray]:
    """Own gates, (C,), of the book's pictures and all its other photographs, from the file."""
    with np.load(_existing(FILE)) as kept:
        return dict(zip(kept["watched_names"].tolist(), kept["watched"].astype(np.float32) / 255, strict=True))


def watch_all() -> dict[str, np.ndarray]:
    """The same by the network."""
    pictures = book_pictures() | {name: photographs.load(name) for name in photographs.PHOTOGRAPHS
                                  if name not in tuple(PLAIN.values())}
    net = pretrained.text_detector()
    return {name: _rows([look(net, photographs.picture(picture, SIDE))[1]])[0] for name, picture in pictures.items()}


def save(found: Answers, gates: dict[str, np.ndarray], file: Path = FILE) -> None:
    """Write the answers but for their pictures, and the gates of all that were watched; whole or not at all."""
    buffer = io.BytesIO()
    np.savez_compressed(
        buffer, gates=_in_bytes(found.gates), maps=found.maps, inside=found.inside, blocks=list(found.channels),
        channels=list(found.channels.values()), pairs=list(found.alone), alone=np.stack(list(found.alone.values())),
        spared=np.stack(list(found.spared.values())), watched_names=list(gates),
        watched=_in_bytes(np.stack(list(gates.values()))))
    write_whole(file, buffer.getvalue())


def stored(file: Path = FILE) -> Answers:
    """The answers on `book_pictures`, gates to one part in 255, without running the network.

    Raises:
        ValueError: if there is no such file.
    """
    with np.load(_existing(file)) as kept:
        channels = dict(zip(kept["blocks"].tolist(), kept["channels"].tolist(), strict=True))
        pairs = [tuple(pair) for pair in kept["pairs"].tolist()]
        alone, spared = (dict(zip(pairs, kept[name], strict=True)) for name in ("alone", "spared"))
        return Answers(book_pictures(), channels, kept["gates"].astype(np.float32) / 255, kept["maps"], alone, spared,
                       kept["inside"])


def _existing(file: Path) -> Path:
    if not file.is_file():
        raise ValueError(f"{file} is missing; make it with: python -m attention_lite.lab text-gates")
    return file


def _watch(net: TextDetector, x: dict[str, Tensor]) -> tuple[dict[str, Gates], np.ndarray]:
    """Each picture's own gates, and what enters the block INSIDE, as `Answers` has it."""
    own, inside = {}, []
    for name, picture in x.items():
        with _entering(net, inside):
            own[name] = look(net, picture)[1]
    channels = np.stack(inside)
    peak = np.abs(channels).max((2, 3), keepdims=True)
    return own, np.rint(channels / np.where(peak > 0, peak, 1) * STEPS).astype(np.int8)


@contextmanager
def _entering(net: TextDetector, kept: list[np.ndarray]) -> Iterator[None]:
    block = net.get_submodule(INSIDE)
    hook = block.register_forward_pre_hook(lambda module, inputs: kept.append(inputs[0][0].numpy()))
    try:
        yield
    finally:
        hook.remove()


def _stack(net: TextDetector, x: Tensor, forced: Any) -> np.ndarray:
    """The text maps of a picture under several gates, rounded to one of LEVELS + 1 levels, uint8 from 0 to 255."""
    maps = np.stack([look(net, x, gates)[0].numpy() for gates in forced])
    return np.round(np.round(maps * LEVELS) * (255 / LEVELS)).astype(np.uint8)


def _rows(forced: list[Gates]) -> np.ndarray:
    """(S, C)."""
    return np.stack([torch.cat(list(gates.values())).numpy() for gates in forced])


def _in_bytes(gates: np.ndarray) -> np.ndarray:
    return np.round(gates * 255).astype(np.uint8)
