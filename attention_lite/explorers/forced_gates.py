"""An explorer of forced gates: whose gates a network gets, in which of its blocks, and what it then finds."""

from __future__ import annotations

import zlib
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
import traitlets

from attention_lite.as_array import as_array
from attention_lite.explorers import arrays
from attention_lite.explorers.base import SHOWS, Switch, Whole, counted
from attention_lite.explorers.own import OwnPhotographExplorer
from attention_lite.explorers.packing import Packer


class ForcedGatesExplorer(OwnPhotographExplorer):
    """Force another photograph's gates on a network, in all of its blocks or in some, and see what it still finds.

    Arguments:
        images: uint8 (P, H, W, 3).
        gates: (P, S, C) in [0, 1]: the gates of all blocks, one block after another, that photograph p gets from
            source s. The first P sources are the photographs themselves, so gates[p, p] are a photograph's own.
        maps: (P, S, h, w) in [0, 1], or uint8 for 255ths: the network's answer where all blocks are forced.
        blocks: the name of each block -> its number of channels, C in all.
        single: (photograph, source) -> two answers (B, h, w), like maps: where one of the B blocks is forced alone,
            and where all but this one are.
        inside: the name of a block and what enters it, (P, c, h', w'), under each photograph's own gates.
        words: photograph -> (n, 4), what is there to be found: left, top, right, bottom of each, as fractions.
        source_names: the S − P names of the other sources.
        look: a function that gives these arguments anew, a dict, for a photograph of the reader's own, a file or an
            array, which has become the last one: with it the reader can choose a file in the notebook.
        found: what the map finds, in a word ("text"): a place is found where the map is above `threshold`.
        image, source, block: the state at the start; source −1 is the photograph's own gates, block −1 all blocks.
        spared: whether all blocks but `block` are forced, in place of `block` alone.
        place: a place of the map, a number or (row, column) from 0; −1 for none.
        show: "photograph", "both" (what is found is marked) or "map".
        image_names: P strings.  alt: what the photographs show; P strings, or one for all.
        name: what links and the page's address call the explorer.
        states: {name: {trait: value}}, for links that set it; a state names some of the traits of SHARED.

    Traits `image`, `source`, `block`, `spared`, `place`, `show` are synchronised both ways.

    Raises ValueError, naming the argument, on anything that does not fit the above.
    """

    SHARED = ("image", "source", "block", "spared", "place", "show")

    maps = traitlets.Dict().tag(sync=True)      # what a page loads when it is asked for, by its name in spec["parts"]
    source = Whole(-1).tag(sync=True)
    block = Whole(-1).tag(sync=True)
    spared = Switch(False).tag(sync=True)
    place = Whole(-1).tag(sync=True)
    show = traitlets.Unicode("both").tag(sync=True)

    def __init__(
        self,
        images: Any,
        gates: Any,
        maps: Any,
        *,
        blocks: Mapping[str, int],
        single: Mapping[tuple[int, int], Sequence[Any]] | None = None,
        inside: tuple[str, Any] | None = None,
        words: Mapping[int, Any] | None = None,
        source_names: Sequence[str] | None = None,
        look: Callable[[Any], Mapping[str, Any]] | None = None,
        found: str = "text",
        threshold: float = 0.3,
        image: int = 0,
        source: int = -1,
        block: int = -1,
        spared: bool = False,
        place: int | Sequence[int] = -1,
        show: str = "both",
        image_names: Sequence[str] | None = None,
        alt: str | Sequence[str] = "",
        name: str = "gates",
        states: Mapping[str, Mapping[str, Any]] | None = None,
    ) -> None:
        self._look = look
        packed = self._pack(images, gates, maps, blocks=blocks, single=single, inside=inside, words=words,
                            source_names=source_names, found=found, threshold=threshold, image_names=image_names,
                            alt=alt)
        start = {"image": image, "source": source, "block": block, "spared": spared, "show": show,
                 "place": arrays.place("place", place, self._grid, low=-1)}
        super().__init__(kind="forced-gates", name=name, states=states, **packed,
                         **{name: self._check(name, value) for name, value in start.items()})

    def _with(self, found: Mapping[str, Any]) -> dict[str, Any]:
        """All photographs anew, the last of them shown under its own gates."""
        packed = self._pack(**found)
        return packed | {"image": self._limits["image"] - 1, "source": -1, "block": -1, "place": -1}

    def _pack(
        self, images: Any, gates: Any, maps: Any, *, blocks: Any, single: Any = None, inside: Any = None,
        words: Any = None, source_names: Any = None, found: str = "text", threshold: float = 0.3,
        image_names: Any = None, alt: Any = "",
    ) -> dict[str, Any]:
        """The traits `spec`, `data` and `maps` of these photographs."""
        pictures = arrays.images(images, ("P",))
        count, sizes = len(pictures), _sizes(blocks)
        gate = arrays.within("gates", arrays.numbers("gates", gates, (count, "S", sum(sizes))), 0, 1)
        sources = gate.shape[1]
        if sources < count:
            raise ValueError(f"gates must have a source for each of the {count} photographs, got {sources} sources")
        answers = _shares("maps", maps, (count, sources, "h", "w"))
        grid = arrays.grid(answers.shape[2:], pictures.shape[1:3])
        pairs = _pairs(single or {}, count, sources, (len(sizes), *grid))
        entering, within = _inside(inside, list(blocks), sizes, count)
        threshold = arrays.positive("threshold", threshold)
        arrays.within("threshold", np.asarray(threshold), 0, 1)
        self._grid = grid
        self._summary = f"{counted(count, 'photograph')}, {sources} sources of gates, {len(sizes)} blocks"
        self._limits = {"image": count, "source": sources, "block": len(sizes), "place": grid[0] * grid[1]}

        packer = Packer()
        packer.add_images("images", pictures)
        parts = {f"answers {p}": _deflated(_bytes(gate[p]), answers[p], entering[p:p + 1]) for p in range(count)}
        singles = {p: [s for q, s in pairs if q == p] for p in sorted({p for p, _ in pairs})}
        parts |= {f"blocks {p}": _deflated(*(pairs[p, s] for s in of)) for p, of in singles.items()}
        spec = {
            "grid": list(grid),
            "sources": sources,
            "blockNames": list(blocks),
            "blockSizes": sizes,
            "parts": {name: name for name in parts},
            "singles": {str(p): of for p, of in singles.items()},
            "inside": within,
            "words": _boxes(words or {}, count),
            "threshold": threshold,
            "found": arrays.word("found", found),
            "looks": self._look is not None,
            "imageNames": arrays.names("image_names", image_names, count, "{}"),
            "sourceNames": arrays.names("source_names", source_names, sources - count, "source {}"),
            "alt": arrays.alts(alt, count),
            "arrays": packer.spec,
        }
        return {"spec": spec, "data": packer.data, "maps": parts}

    def _check(self, name: str, value: Any) -> Any:
        if name == "show":
            return arrays.choice(name, value, SHOWS)
        if name == "spared":
            return bool(value)
        return arrays.index(name, value, self._limits[name], low=0 if name == "image" else -1)

    @traitlets.validate("source", "block", "place", "show")
    def _valid_here(self, proposal: Any) -> Any:
        return self._check(proposal["trait"].name, proposal["value"])


def _sizes(blocks: Any) -> list[int]:
    if not isinstance(blocks, Mapping) or not blocks:
        raise ValueError(f"blocks must be a dict from names to numbers of channels, got {blocks!r}")
    return [int(arrays.positive(f"blocks[{name!r}]", size)) for name, size in blocks.items()]


def _pairs(single: Any, count: int, sources: int, shape: tuple[int, ...]) -> dict[tuple[int, int], np.ndarray]:
    """(photograph, source) -> uint8 (2, B, h, w)."""
    if not isinstance(single, Mapping):
        raise ValueError(f"single must be a dict from (photograph, source) to two answers, got {single!r}")
    found = {}
    for key, answers in single.items():
        photograph, source = arrays.index("single", key[0], count), arrays.index("single", key[1], sources)
        if len(answers) != 2:
            raise ValueError(f"single[{key}] must be two answers, got {len(answers)}")
        found[photograph, source] = np.stack([_shares(f"single[{key}]", maps, shape) for maps in answers])
    return found


def _inside(inside: Any, names: list[str], sizes: list[int], count: int) -> tuple[np.ndarray, dict[str, Any] | None]:
    """What enters a block, as int8 with a scale a photograph and channel, and the block's number and shape."""
    if inside is None:
        return np.zeros((count, 0), np.uint8), None
    name, values = inside
    block = names.index(arrays.choice("inside", name, names))
    entering = arrays.numbers(f"inside[{name!r}]", values, (count, sizes[block], "h'", "w'"))
    peak = np.abs(entering).max((2, 3), keepdims=True)
    codes = np.rint(entering / np.where(peak > 0, peak, 1) * 127).astype(np.int8)
    return codes.view(np.uint8), {"block": block, "shape": list(codes.shape[1:])}


def _boxes(words: Mapping[int, Any], count: int) -> list[list[list[float]] | None]:
    """The boxes of each photograph that has some."""
    boxes: list[list[list[float]] | None] = [None] * count
    for photograph, of in words.items():
        name = f"words[{photograph}]"
        found = arrays.within(name, arrays.numbers(name, of, ("n", 4)), 0, 1)
        boxes[arrays.index("words", photograph, count)] = np.round(found, 4).tolist()
    return boxes


def _deflated(*parts: np.ndarray) -> bytes:
    return zlib.compress(b"".join(np.ascontiguousarray(part).tobytes() for part in parts), 9)


def _shares(name: str, value: Any, shape: tuple[int | str, ...]) -> np.ndarray:
    """Numbers in [0, 1], or 255ths of them, as uint8."""
    in_bytes = as_array(name, value).dtype == np.uint8
    numbers = arrays.numbers(name, value, shape)
    return numbers.astype(np.uint8) if in_bytes else _bytes(arrays.within(name, numbers, 0, 1))


def _bytes(shares: np.ndarray) -> np.ndarray:
    return np.rint(shares * 255).astype(np.uint8)
