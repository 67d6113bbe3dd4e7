"""An explorer of a shared memory: point at a place of a photograph and see which others take from the same slot."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import traitlets

from attention_lite.as_array import as_array
from attention_lite.explorers import arrays
from attention_lite.explorers.base import SHOWS, PhotographExplorer, Whole, counted
from attention_lite.explorers.packing import Packer


class SlotsExplorer(PhotographExplorer):
    """Point at a place of a photograph and see which places take from the same slot of a memory.

    Arguments:
        images: uint8 (P, H, W, 3), or (H, W, 3) for one photograph.
        grid: (rows, columns) of the places laid over the photograph; N = rows × columns, row by row.
        weights: (P, memories, N, S): how much each place takes from each slot; rows sum to one.
        memory_names: as many strings as there are memories.
        region: (P, N), the share of each place that something known covers, in [0, 1]: it is outlined, and held
            against the places that take most from a slot.
        region_name: what that is.
        query: the place at the start, a number, or (row, column) from 0; by default the middle.
        image, memory, slot, show: the other state at the start. Slot −1 is the one that the place takes most from;
            show is "photograph", "both", "map" or "slots": each place in the colour of its slot.
        image_names: P strings.
        alt: what the photographs show, for readers who do not see them; P strings, or one for all.
        name: what links and the page's address call the explorer; without one it has neither.
        states: {name: {trait: value}}, for links that set it; what a state does not name stays as it is.

    Traits `image`, `memory`, `query`, `slot`, `show` are synchronised both ways.

    Raises ValueError, naming the argument, on anything that does not fit the above.
    """

    SHARED = ("image", "memory", "query", "slot", "show")

    memory = Whole(0).tag(sync=True)
    query = Whole(0).tag(sync=True)
    slot = Whole(-1).tag(sync=True)
    show = traitlets.Unicode("both").tag(sync=True)

    def __init__(
        self,
        images: Any,
        *,
        grid: Sequence[int],
        weights: Any,
        memory_names: Sequence[str],
        region: Any,
        region_name: str,
        query: int | Sequence[int] | None = None,
        image: int = 0,
        memory: int = 0,
        slot: int = -1,
        show: str = "both",
        image_names: Sequence[str] | None = None,
        alt: str | Sequence[str] = "",
        name: str = "",
        states: Mapping[str, Mapping[str, Any]] | None = None,
    ) -> None:
        pictures = as_array("images", images)
        pictures = arrays.images(pictures[None] if pictures.ndim == 3 else pictures, ("P",))
        count = len(pictures)
        rows, columns = arrays.grid(grid, pictures.shape[1:3])
        places = rows * columns
        taken = arrays.distributions(
            "weights", arrays.numbers("weights", weights, (count, "memories", places, "S")))
        covers = arrays.within("region", arrays.numbers("region", region, (count, places)), 0, 1)
        memories, slots = taken.shape[1], taken.shape[3]
        self._limits = {"image": count, "memory": memories, "query": (rows, columns), "slot": slots,
                        "show": (*SHOWS, "slots")}
        start = {"image": image, "memory": memory, "slot": slot, "show": show,
                 "query": (rows // 2) * columns + columns // 2 if query is None else query}
        start = {trait: self._check(trait, value) for trait, value in start.items()}
        packer = Packer()
        packer.add("weights", np.rint(255 * taken).astype(np.uint8))
        packer.add("covers", np.rint(255 * covers).astype(np.uint8))
        packer.add_images("images", pictures)
        spec = {
            "grid": [rows, columns],
            "slots": slots,
            "imageNames": arrays.names("image_names", image_names, count, "{}"),
            "memoryNames": arrays.names("memory_names", memory_names, memories, "{}"),
            "regionName": arrays.word("region_name", region_name),
            "alt": arrays.alts(alt, count),
            "arrays": packer.spec,
        }
        self._summary = (f"{counted(count, 'photograph')}, {rows} × {columns} places, {slots} slots, "
                         f"{memories} {'memory' if memories == 1 else 'memories'}")
        super().__init__(kind="slots", name=name, states=states, spec=spec, data=packer.data, **start)

    def _check(self, name: str, value: Any) -> Any:
        allowed = self._limits[name]
        if name == "query":
            return arrays.place(name, value, allowed)
        if name == "slot":
            return arrays.index(name, value, allowed, low=-1)
        check = arrays.index if isinstance(allowed, int) else arrays.choice
        return check(name, value, allowed)

    @traitlets.validate("memory", "query", "slot", "show")
    def _valid_here(self, proposal: Any) -> Any:
        return self._check(proposal["trait"].name, proposal["value"])
