"""An explorer of forced gates: whose gates a network gets, in which of its blocks, and what it then finds."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import traitlets

from attention_lite.as_array import as_array
from attention_lite.explorers import arrays
from attention_lite.explorers.base import SHOWS, PhotographExplorer, Whole
from attention_lite.explorers.packing import Packer


class ForcedGatesExplorer(PhotographExplorer):
    """Force another photograph's gates on a network, in all of its blocks or in one, and see what it still finds.

    Arguments:
        images: uint8 (P, H, W, 3).
        gates: (P, S, C) in [0, 1]: the gates of all blocks, one block after another, that photograph p gets from
            source s. The first P sources are the photographs themselves, so gates[p, p] are a photograph's own.
        maps: (P, S, h, w) in [0, 1], or uint8 for 255ths: the network's answer where all blocks are forced.
        blocks: the name of each block -> its number of channels, C in all.
        single: photograph -> (B, S, h, w), like maps: the answers where one of the B blocks is forced alone.
        source_names: the S − P names of the other sources.
        found: what the map finds, in a word ("text"): a place is found where the map is above `threshold`.
        image, source, block: the state at the start; source −1 is the photograph's own gates, block −1 all blocks.
        place: a place of the map, a number or (row, column) from 0; −1 for none.
        show: "photograph", "both" (what is not found is dimmed) or "map".
        image_names: P strings.  alt: what the photographs show; P strings, or one for all.

    Traits `image`, `source`, `block`, `place`, `show` are synchronised both ways.

    Raises ValueError, naming the argument, on anything that does not fit the above.
    """

    source = Whole(-1).tag(sync=True)
    block = Whole(-1).tag(sync=True)
    place = Whole(-1).tag(sync=True)
    show = traitlets.Unicode("both").tag(sync=True)

    def __init__(
        self,
        images: Any,
        gates: Any,
        maps: Any,
        *,
        blocks: Mapping[str, int],
        single: Mapping[int, Any] | None = None,
        source_names: Sequence[str] | None = None,
        found: str = "text",
        threshold: float = 0.3,
        image: int = 0,
        source: int = -1,
        block: int = -1,
        place: int | Sequence[int] = -1,
        show: str = "both",
        image_names: Sequence[str] | None = None,
        alt: str | Sequence[str] = "",
    ) -> None:
        pictures = arrays.images(images, ("P",))
        count, sizes = len(pictures), _sizes(blocks)
        gate = arrays.numbers("gates", gates, (count, "S", sum(sizes)))
        sources = gate.shape[1]
        if sources < count:
            raise ValueError(f"gates must have a source for each of the {count} photographs, got {sources} sources")
        answers = _shares("maps", maps, (count, sources, "h", "w"))
        grid = arrays.grid(answers.shape[2:], pictures.shape[1:3])
        alone = {arrays.index("single", p, count): _shares(f"single[{p}]", m, (len(sizes), sources, *grid))
                 for p, m in (single or {}).items()}
        threshold = arrays.positive("threshold", threshold)
        arrays.within("threshold", np.asarray(threshold), 0, 1)

        self._limits = {"image": count, "source": sources, "block": len(sizes), "place": grid[0] * grid[1]}
        start = {"image": image, "source": source, "block": block, "show": show,
                 "place": arrays.place("place", place, grid, low=-1)}
        start = {name: self._check(name, value) for name, value in start.items()}

        packer = Packer()
        packer.add_deflated("gates", _bytes(arrays.within("gates", gate, 0, 1)))
        packer.add_deflated("maps", answers)
        if alone:
            packer.add_deflated("single", np.stack(list(alone.values())))
        packer.add_images("images", pictures)
        spec = {
            "grid": list(grid),
            "blockNames": list(blocks),
            "blockSizes": sizes,
            "singles": list(alone),
            "threshold": threshold,
            "found": arrays.word("found", found),
            "imageNames": arrays.names("image_names", image_names, count, "{}"),
            "sourceNames": arrays.names("source_names", source_names, sources - count, "source {}"),
            "alt": arrays.alts(alt, count),
            "arrays": packer.spec,
        }
        self._summary = f"{count} photographs, {sources} sources of gates, {len(sizes)} blocks"
        super().__init__(kind="forced-gates", spec=spec, data=packer.data, **start)

    def _check(self, name: str, value: Any) -> Any:
        if name == "show":
            return arrays.choice(name, value, SHOWS)
        return arrays.index(name, value, self._limits[name], low=0 if name == "image" else -1)

    @traitlets.validate("source", "block", "place", "show")
    def _valid_here(self, proposal: Any) -> Any:
        return self._check(proposal["trait"].name, proposal["value"])


def _sizes(blocks: Any) -> list[int]:
    if not isinstance(blocks, Mapping) or not blocks:
        raise ValueError(f"blocks must be a dict from names to numbers of channels, got {blocks!r}")
    return [int(arrays.positive(f"blocks[{name!r}]", size)) for name, size in blocks.items()]


def _shares(name: str, value: Any, shape: tuple[int | str, ...]) -> np.ndarray:
    """Numbers in [0, 1], or 255ths of them, as uint8."""
    in_bytes = as_array(name, value).dtype == np.uint8
    numbers = arrays.numbers(name, value, shape)
    return numbers.astype(np.uint8) if in_bytes else _bytes(arrays.within(name, numbers, 0, 1))


def _bytes(shares: np.ndarray) -> np.ndarray:
    return np.rint(shares * 255).astype(np.uint8)
