"""An explorer of scales: the size of an object, and which of its kernels each block picks for it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import traitlets

from attention_lite.as_array import as_array
from attention_lite.explorers import arrays
from attention_lite.explorers.base import PhotographExplorer, Whole, counted
from attention_lite.explorers.packing import Packer, nice_around


class ScalesExplorer(PhotographExplorer):
    """Change the size of an object in a photograph and see which of its branches each block picks.

    A block has M branches with kernels of different sizes, named from the smallest to the largest, and gives each
    channel M weights that sum to one. The bars and the plot show the mean over a block's channels.

    Arguments:
        images: uint8 (P, V, H, W, 3): P photographs, each with the object in V sizes.
        weights: (P, V, L, M, C) in [0, 1], summing to one over the M branches, for L blocks; or a list of L arrays
            (P, V, M, C), whose C may differ.
        sizes: (V,) the side of the object, ascending, in pixels of the network's input.
        mean: (V, L, M), summing to one over M: the mean over many scenes.
        spread: (2, V, L, M): lower and upper end of a band around it, over seeds, say.
        branch_names, block_names, image_names: M, L and P strings.
        mean_name, spread_name: what `mean` and `spread` are, in words.
        thing: what the object is, in a word.
        scale: how many pixels of `images` one pixel of the network's input became, as in `lab.draw(scenes, 4)`.
        centres: (P, 2) row and column of the object's centre, in pixels of the network's input; by default the
            photograph's middle.
        fields: (M,), or (L, M) if blocks differ: the side of what each branch's kernel covers, in pixels of the
            network's input; drawn as squares around the object.
        limits: (low, high) of the plot's vertical axis, for every photograph, block and branch; by default round
            numbers around all that can be shown.
        answers: (P, V, K) class probabilities; truth: integer (P,), the right class; class_names: K strings.
        image, variant, block, branch: the state at the start; variant is the number of the size, by default the
            middle one.
        channel: the channel whose weight is read out; −1 for none.
        alt: what the photographs show; P strings, or one for all.

    The traits `image`, `variant`, `block`, `branch`, `channel` are synchronised both ways.

    Raises ValueError, naming the argument, on anything that does not fit the above.
    """

    variant = Whole(0).tag(sync=True)
    block = Whole(0).tag(sync=True)
    branch = Whole(0).tag(sync=True)
    channel = Whole(-1).tag(sync=True)

    def __init__(
        self,
        images: Any,
        weights: Any,
        sizes: Any,
        *,
        mean: Any = None,
        spread: Any = None,
        branch_names: Sequence[str] | None = None,
        block_names: Sequence[str] | None = None,
        image_names: Sequence[str] | None = None,
        mean_name: str = "mean over the test scenes",
        spread_name: str = "spread over seeds",
        thing: str = "object",
        scale: float = 1,
        centres: Any = None,
        fields: Any = None,
        limits: tuple[float, float] | None = None,
        answers: Any = None,
        truth: Any = None,
        class_names: Sequence[str] | None = None,
        image: int = 0,
        variant: int | None = None,
        block: int = 0,
        branch: int | None = None,
        channel: int = -1,
        alt: str | Sequence[str] = "",
    ) -> None:
        pictures = arrays.images(images, ("P", "V"))
        count, variants = pictures.shape[:2]
        if variants < 2:
            raise ValueError(f"images must show the object in at least two sizes, got {variants}")
        side = arrays.ascending("sizes", sizes, variants)
        tables = _kernel_weights(weights, count, variants)
        blocks, branches = len(tables), tables[0].shape[2]
        pixel = arrays.positive("scale", scale)
        extent = (pictures.shape[2] / pixel, pictures.shape[3] / pixel)
        middle = [[extent[0] / 2, extent[1] / 2]] * count
        centre = arrays.numbers("centres", middle if centres is None else centres, (count, 2))
        if (centre < 0).any() or (centre > extent).any():
            raise ValueError(f"centres must lie on the {extent[0]:g} × {extent[1]:g} pixels, got {centre.tolist()}")
        shown = [table.mean(3) for table in tables]
        if mean is not None:
            mean = arrays.distributions("mean", arrays.numbers("mean", mean, (variants, blocks, branches)))
            shown.append(mean)
        if spread is not None:
            spread = _band(spread, mean, (2, variants, blocks, branches))
            shown.append(spread)
        if answers is not None:
            answers = arrays.distributions("answers", arrays.numbers("answers", answers, (count, variants, "K")))
        for name, value in (("truth", truth), ("class_names", class_names)):
            if value is not None and answers is None:
                raise ValueError(f"{name} must come with answers, got {name} without answers")
        classes = 0 if answers is None else answers.shape[2]

        self._limits = {
            "image": count,
            "variant": variants,
            "block": blocks,
            "branch": branches,
            "channel": max(table.shape[3] for table in tables),
        }
        start = {
            "image": image,
            "variant": variants // 2 if variant is None else variant,
            "block": block,
            "branch": branches - 1 if branch is None else branch,
            "channel": channel,
        }
        start = {name: self._check(name, value) for name, value in start.items()}

        packer = Packer()
        spec: dict[str, Any] = {
            "sizes": side.tolist(),
            "extent": list(extent),
            "centres": centre.tolist(),
            "fields": None if fields is None else _fields(fields, blocks, branches),
            "limits": _plot_limits(limits, np.concatenate([[1 / branches], *map(np.ravel, shown)])),
            "channelLimits": nice_around(np.concatenate([[1 / branches], *map(np.ravel, tables)])),
            "channels": [table.shape[3] for table in tables],
            "imageNames": arrays.names("image_names", image_names, count, "{}"),
            "blockNames": arrays.names("block_names", block_names, blocks, "block {}"),
            "branchNames": arrays.names("branch_names", branch_names, branches, "branch {}"),
            "classNames": arrays.names("class_names", class_names, classes, "{}"),
            "meanName": mean_name,
            "spreadName": spread_name,
            "thing": arrays.word("thing", thing),
            "alt": arrays.alts(alt, count),
        }
        for number, table in enumerate(tables):
            packer.add_shares(f"weights{number}", table)
        for name, value in (("mean", mean), ("spread", spread), ("answers", answers)):
            if value is not None:
                packer.add_shares(name, value)
        if truth is not None:
            packer.add("truth", arrays.classes("truth", truth, (count,), classes).astype(np.int16))
        packer.add_images("images", pictures)
        spec["arrays"] = packer.spec
        counts = {"photograph": count, "size": variants, "block": blocks}
        self._summary = ", ".join(counted(n, noun) for noun, n in counts.items())
        self._summary += f", {branches} branches"
        super().__init__(kind="scales", spec=spec, data=packer.data, **start)

    def _check(self, name: str, value: Any) -> Any:
        return arrays.index(name, value, self._limits[name], low=-1 if name == "channel" else 0)

    @traitlets.validate("variant", "block", "branch", "channel")
    def _valid_here(self, proposal: Any) -> Any:
        return self._check(proposal["trait"].name, proposal["value"])


def _kernel_weights(weights: Any, count: int, variants: int) -> list[np.ndarray]:
    """Return the weights of each block, (P, V, M, C): those of one array for all blocks, or of a list."""
    if isinstance(weights, (list, tuple)):
        if not weights:
            raise ValueError("weights must hold an array for each block, got an empty list")
        tables = []
        for i, value in enumerate(weights):
            branches = tables[0].shape[2] if tables else "M"
            table = arrays.numbers(f"weights[{i}]", value, (count, variants, branches, "C"))
            tables.append(arrays.distributions(f"weights[{i}]", table, axis=2))
    else:
        table = arrays.numbers("weights", weights, (count, variants, "L", "M", "C"))
        tables = list(np.moveaxis(arrays.distributions("weights", table, axis=3), 2, 0))
    if tables[0].shape[2] < 2:
        raise ValueError("weights must have at least two branches (axis M), got one")
    return tables


def _band(spread: Any, mean: np.ndarray | None, shape: tuple[int, ...]) -> np.ndarray:
    """Return (lower, upper) ends of a band in [0, 1]."""
    if mean is None:
        raise ValueError("spread must come with mean, got spread alone")
    band = arrays.within("spread", arrays.numbers("spread", spread, shape), 0, 1)
    if (band[0] > band[1]).any():
        raise ValueError("spread must hold lower ends, then upper ends, got a lower end above its upper end")
    return band


def _fields(fields: Any, blocks: int, branches: int) -> list[list[float]]:
    """Return the side of each branch's field in each block."""
    array = as_array("fields", fields)
    array = arrays.numbers("fields", array, (branches,) if array.ndim == 1 else (blocks, branches))
    if (array <= 0).any():
        raise ValueError(f"fields must be positive, got {array.tolist()}")
    return np.broadcast_to(array, (blocks, branches)).tolist()


def _plot_limits(limits: Any, values: np.ndarray) -> tuple[float, float]:
    """Return (low, high) that hold all values: those given, or round ones."""
    if limits is None:
        return nice_around(values)
    low, high = arrays.numbers("limits", limits, (2,)).tolist()
    if not 0 <= low < high <= 1:
        raise ValueError(f"limits must be (low, high), 0 ≤ low < high ≤ 1, got {tuple(limits)}")
    if values.min() < low or values.max() > high:
        raise ValueError(
            f"limits must hold every weight shown, {values.min():.4g} to {values.max():.4g}, got {tuple(limits)}"
        )
    return low, high
