"""Explorers of attention on photographs, and of a table: ipywidgets in a notebook, the same ES module in a static page.

They know arrays and nothing of torch: anything that `numpy.asarray` reads will do, and any tensor of torch, with
gradient, in bfloat16, on another device.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from attention_lite.extras import extra

with extra("book"):
    import numpy as np
    import traitlets

    from attention_lite.as_array import as_array
    from attention_lite.explorers import arrays
    from attention_lite.explorers.base import Number, PhotographExplorer, Whole
    from attention_lite.explorers.forced_gates import ForcedGatesExplorer
    from attention_lite.explorers.packing import Packer, cover, nice_above, nice_around, outline
    from attention_lite.explorers.table import Column, TableExplorer
    from attention_lite.explorers.transformer import TransformerExplorer

__all__ = ["Column", "ForcedGatesExplorer", "GatesExplorer", "PositionsExplorer", "ScalesExplorer", "TableExplorer",
           "TransformerExplorer"]

SIMILARITIES = ("dot", "scaled dot", "cosine", "distance")
SHOWS = ("photograph", "both", "map")


class PositionsExplorer(PhotographExplorer):
    """Point at a place of a photograph and see the weights with which it attends to every place.

    Arguments:
        images: uint8 (P, H, W, 3), or (H, W, 3) for one photograph.
        grid: (rows, columns) of the places laid over the photograph; N = rows × columns, row by row.
        queries, keys: (P, heads, N, d); the browser computes scores from them. `keys` defaults to `queries`.
            With one photograph (heads, N, d) will do, with one head besides (N, d).
        scores: (P, heads, N, N) in place of queries and keys; −inf where a query may not attend.
        weights: (P, heads, N, N) in place of scores; rows sum to one.
        values: (P, N, 3) colours in [0, 1]; their weighted average is shown beside the query's own colour,
            and the whole averaged photograph can be shown.
        similarity: "dot" q·k, "scaled dot" q·k/√d, "cosine", or "distance" −‖q − k‖².
        similarities: those between which the reader can switch (with queries and keys only).
        temperature, temperature_range: weights are softmax(score / temperature); the ends of the slider.
        scale, limit: "linear" (0 to limit) or "log" (1/2N or less, to limit) colours. The limits stay fixed;
            by default the limit is the 90th percentile of the rows' largest weights at the start, rounded up.
        query: the place at the start, a number or (row, column) from 0; by default the middle.
        image, head, show: the other state at the start; show is "photograph", "both", "map" or, with
            values, "result".
        image_names, head_names: P and heads strings; `head_label` says what a head is ("Head", "Layer", …).
        outlines, outline_names: boolean (P, M, H, W) regions of known truth: outline and weight.
        marks: for each photograph a list of (row, column, label).
        alt: what the photographs show, for readers who do not see them; P strings, or one for all.

    Traits `image`, `head`, `similarity`, `temperature`, `scale`, `show`, `query` are synchronised both ways.

    Raises ValueError, naming the argument, on anything that does not fit the above.
    """

    head = Whole(0).tag(sync=True)
    similarity = traitlets.Unicode("scaled dot").tag(sync=True)
    temperature = Number(1.0).tag(sync=True)
    scale = traitlets.Unicode("linear").tag(sync=True)
    query = Whole(0).tag(sync=True)
    show = traitlets.Unicode("both").tag(sync=True)

    def __init__(
        self,
        images: Any,
        *,
        grid: Sequence[int],
        queries: Any = None,
        keys: Any = None,
        scores: Any = None,
        weights: Any = None,
        values: Any = None,
        similarity: str = "scaled dot",
        similarities: Sequence[str] | None = None,
        temperature: float = 1.0,
        temperature_range: tuple[float, float] = (0.05, 20.0),
        scale: str = "linear",
        limit: float | None = None,
        query: int | Sequence[int] | None = None,
        image: int = 0,
        head: int = 0,
        show: str = "both",
        image_names: Sequence[str] | None = None,
        head_names: Sequence[str] | None = None,
        head_label: str = "Head",
        outlines: Any = None,
        outline_names: Sequence[str] | None = None,
        marks: Sequence[Sequence[tuple[int, int, str]]] | None = None,
        alt: str | Sequence[str] = "",
    ) -> None:
        pictures = as_array("images", images)
        pictures = arrays.images(pictures[None] if pictures.ndim == 3 else pictures, ("P",))
        count, size = len(pictures), pictures.shape[1:3]
        rows, columns = arrays.grid(grid, size)
        places = rows * columns

        sources = {"queries": queries, "scores": scores, "weights": weights}
        given = [name for name, v in sources.items() if v is not None]
        if len(given) != 1:
            raise ValueError(f"exactly one of queries, scores, weights must be given, got {given or 'none'}")
        if keys is not None and queries is None:
            raise ValueError("keys must come with queries, got keys alone")
        if queries is not None:
            q = arrays.numbers("queries", _lead("queries", queries, count), (count, "heads", places, "d"))
            k = q if keys is None else arrays.numbers("keys", _lead("keys", keys, count), q.shape)
            heads, source = q.shape[1], (q, k)
        else:
            table = _score_table(scores, weights, count, places)
            heads, source = table.shape[1], table

        allowed = SIMILARITIES if queries is not None else (similarity,)
        arrays.choice("similarity", similarity, allowed)
        choices = [similarity] if similarities is None else list(similarities)
        for option in choices:
            arrays.choice("similarities", option, allowed)
        arrays.choice("similarity", similarity, choices)
        low, high = (arrays.positive("temperature_range", t) for t in temperature_range)
        if not low < high:
            raise ValueError(f"temperature_range must be (low, high), low < high, got {(low, high)}")
        self._limits = {
            "image": count,
            "head": heads,
            "query": places,
            "similarity": choices,
            "scale": ("linear", "log"),
            "show": SHOWS if values is None else (*SHOWS, "result"),
            "temperature": (low, high),
        }
        start = {
            "image": image,
            "head": head,
            "similarity": similarity,
            "temperature": temperature,
            "scale": scale,
            "show": show,
            "query": arrays.place(
                "query", (rows // 2) * columns + columns // 2 if query is None else query, (rows, columns)
            ),
        }
        start = {name: self._check(name, value) for name, value in start.items()}
        if limit is None:
            limit = _typical_peak(source, similarity, start["temperature"])
        limit = arrays.positive("limit", limit)

        packer = Packer()
        spec: dict[str, Any] = {
            "grid": [rows, columns],
            "heads": heads,
            "similarities": choices,
            "temperatureRange": [low, high],
            "limit": limit,
            "imageNames": arrays.names("image_names", image_names, count, "{}"),
            "headNames": arrays.names("head_names", head_names, heads, "{}"),
            "headLabel": head_label,
            "outlineNames": [],
            "marks": _marks(marks, count, (rows, columns)),
            "alt": _alt(alt, count),
        }
        if outlines is not None:
            spec["outlineNames"] = _pack_outlines(
                packer, outlines, outline_names, count, size, (rows, columns)
            )
        elif outline_names is not None:
            raise ValueError(f"outline_names must come with outlines, got {list(outline_names)} alone")
        if values is not None:
            colours = arrays.numbers("values", _lead("values", values, count, 3), (count, places, 3))
            packer.add("values", arrays.within("values", colours, 0, 1).astype(np.float32))
        if queries is not None:
            packer.add_vectors("queries", q)
            packer.add_vectors("keys", k)
        else:
            packer.add_scores("scores", table)
        packer.add_images("images", pictures)
        spec["arrays"] = packer.spec
        self._summary = (
            f"{_counted(count, 'photograph')}, {rows} × {columns} positions, {_counted(heads, 'head')}"
        )
        super().__init__(kind="positions", spec=spec, data=packer.data, **start)

    def _check(self, name: str, value: Any) -> Any:
        allowed = self._limits[name]
        if name == "temperature":
            return float(arrays.within(name, np.asarray(arrays.positive(name, value)), *allowed))
        check = arrays.index if isinstance(allowed, int) else arrays.choice
        return check(name, value, allowed)

    @traitlets.validate("head", "similarity", "temperature", "scale", "query", "show")
    def _valid_here(self, proposal: Any) -> Any:
        return self._check(proposal["trait"].name, proposal["value"])


class GatesExplorer(PhotographExplorer):
    """See the gate of every channel, what it lets through of the features, and what the net answers.

    Arguments:
        images: uint8 (P, V, H, W, 3): P photographs, V variants of each (the frame's colour, say).
        gates: (P, V, C) in [0, 1].
        features: (P, V, C, h, w): the channels before the gate.
        forced: (F, C) in [0, 1]: gates that the reader can force in place of the net's own.
        answers: (P, V, 1 + F, K) class probabilities: under the net's own gates, then under each forced gate.
        truth: integer (P, V): the class that is asked for.
        candidates: integer (P, M): the class of each thing in the photograph that could be read.
        image_names, variant_names, forced_names, class_names, candidate_names: P, V, F, K and M strings.
        variant_label: what a variant is ("Frame"); `variant_colours`: V CSS colours for its marks.
        limit: the end of the features' scale, the same before and after the gate and for every channel; by
            default the 99.9th percentile of their size, rounded up.
        image, variant, show: the state at the start; show is "photograph", "both" or "map".
        force: −1 for the net's own gates, else the number of a forced gate.
        channel: the channel whose features are painted; −1 for the mean over channels.
        place: a place of the feature map, a number or (row, column) from 0; −1 for none.
        order: "channel", "gate" (largest first) or "variant" (grouped by the variant that opens the
            channel most).
        stage: features "before" or "after" the gate.
        compare: "none", "mean" (of all gates), "variant:i", "image:i" or "forced:i": the gates subtracted.
        alt: what the photographs show; P strings, or one for all.

    The traits `image`, `variant`, `force`, `channel`, `place`, `order`, `stage`, `compare`, `show` are
    synchronised both ways.

    Raises ValueError, naming the argument, on anything that does not fit the above.
    """

    variant = Whole(0).tag(sync=True)
    force = Whole(-1).tag(sync=True)
    channel = Whole(-1).tag(sync=True)
    place = Whole(-1).tag(sync=True)
    order = traitlets.Unicode("channel").tag(sync=True)
    stage = traitlets.Unicode("after").tag(sync=True)
    compare = traitlets.Unicode("none").tag(sync=True)
    show = traitlets.Unicode("both").tag(sync=True)

    def __init__(
        self,
        images: Any,
        gates: Any,
        features: Any,
        *,
        forced: Any = None,
        answers: Any = None,
        truth: Any = None,
        candidates: Any = None,
        image_names: Sequence[str] | None = None,
        variant_names: Sequence[str] | None = None,
        variant_label: str = "Variant",
        variant_colours: Sequence[str] | None = None,
        forced_names: Sequence[str] | None = None,
        class_names: Sequence[str] | None = None,
        candidate_names: Sequence[str] | None = None,
        limit: float | None = None,
        image: int = 0,
        variant: int = 0,
        force: int = -1,
        channel: int = -1,
        place: int | Sequence[int] = -1,
        order: str | None = None,
        stage: str = "after",
        compare: str = "none",
        show: str = "both",
        alt: str | Sequence[str] = "",
    ) -> None:
        pictures = arrays.images(images, ("P", "V"))
        count, variants, size = pictures.shape[0], pictures.shape[1], pictures.shape[2:4]
        gate = arrays.within("gates", arrays.numbers("gates", gates, (count, variants, "C")), 0, 1)
        channels = gate.shape[2]
        feature = arrays.numbers("features", features, (count, variants, channels, "h", "w"))
        grid = arrays.grid(feature.shape[3:], size)
        if forced is not None:
            forced = arrays.within("forced", arrays.numbers("forced", forced, ("F", channels)), 0, 1)
        forcings = 0 if forced is None else len(forced)
        if answers is not None:
            answers = arrays.numbers("answers", answers, (count, variants, 1 + forcings, "K"))
            arrays.distributions("answers", answers)
        for name, value in (("truth", truth), ("candidates", candidates), ("class_names", class_names)):
            if value is not None and answers is None:
                raise ValueError(f"{name} must come with answers, got {name} without answers")
        classes = 0 if answers is None else answers.shape[3]
        limit = _limit(feature) if limit is None else arrays.positive("limit", limit)

        self._limits = {
            "image": count,
            "variant": variants,
            "force": forcings,
            "channel": channels,
            "place": grid[0] * grid[1],
        }
        start = {
            "image": image,
            "variant": variant,
            "force": force,
            "channel": channel,
            "place": arrays.place("place", place, grid, low=-1),
            "order": order or ("variant" if variants > 1 else "channel"),
            "stage": stage,
            "compare": compare,
            "show": show,
        }
        start = {name: self._check(name, value) for name, value in start.items()}

        packer = Packer()
        spec: dict[str, Any] = {
            "grid": list(grid),
            "channels": channels,
            "limit": limit,
            "meanLimit": _limit(feature.mean(2)),
            "squeezeLimit": _limit(feature.mean((3, 4))),
            "meanDifferenceLimit": _limit(((gate - gate.mean((0, 1)))[..., None, None] * feature).mean(2)),
            "signed": bool((feature < 0).any()),
            "imageNames": arrays.names("image_names", image_names, count, "{}"),
            "variantNames": arrays.names("variant_names", variant_names, variants, "{}"),
            "variantLabel": variant_label,
            "variantColours": arrays.names("variant_colours", variant_colours, variants, "currentColor"),
            "forcedNames": arrays.names("forced_names", forced_names, forcings, "forced gate {}"),
            "classNames": arrays.names("class_names", class_names, classes, "{}"),
            "candidateNames": [],
            "alt": _alt(alt, count),
        }
        packer.add("gates", gate.astype(np.float32))
        if forced is not None:
            packer.add("forced", forced.astype(np.float32))
        if answers is not None:
            packer.add("answers", answers.astype(np.float32))
        if truth is not None:
            packer.add("truth", arrays.classes("truth", truth, (count, variants), classes).astype(np.int16))
        if candidates is not None:
            candidates = as_array("candidates", candidates)
            things = candidates.shape[1] if candidates.ndim == 2 else 0
            candidates = arrays.classes("candidates", candidates, (count, things), classes)
            spec["candidateNames"] = arrays.names("candidate_names", candidate_names, things, "thing {}")
            packer.add("candidates", candidates.astype(np.int16))
        elif candidate_names is not None:
            raise ValueError(f"candidate_names must come with candidates, got {list(candidate_names)} alone")
        packer.add_features("features", feature)
        packer.add_images("images", pictures)
        spec["arrays"] = packer.spec
        counts = {"photograph": count, "variant": variants, "channel": channels}
        self._summary = ", ".join(_counted(n, noun) for noun, n in counts.items())
        super().__init__(kind="gates", spec=spec, data=packer.data, **start)

    def _check(self, name: str, value: Any) -> Any:
        if name in ("order", "stage", "show"):
            allowed = {"order": ("channel", "gate", "variant"), "stage": ("before", "after"), "show": SHOWS}
            return arrays.choice(name, value, allowed[name])
        if name == "compare":
            options = ["none", "mean"]
            for kind, trait in (("variant", "variant"), ("image", "image"), ("forced", "force")):
                options += [f"{kind}:{i}" for i in range(self._limits[trait])]
            return arrays.choice(name, value, options)
        return arrays.index(name, value, self._limits[name], low=0 if name in ("image", "variant") else -1)

    @traitlets.validate("variant", "force", "channel", "place", "order", "stage", "compare", "show")
    def _valid_here(self, proposal: Any) -> Any:
        return self._check(proposal["trait"].name, proposal["value"])


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
            "alt": _alt(alt, count),
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
        self._summary = ", ".join(_counted(n, noun) for noun, n in counts.items())
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


def _limit(values: np.ndarray) -> float:
    """Return the 99.9th percentile of the values' size, rounded up."""
    return nice_above(max(1e-6, float(np.quantile(np.abs(values), 0.999))))


def _counted(count: int, noun: str) -> str:
    return f"{count} {noun}{'' if count == 1 else 's'}"


def _lead(name: str, value: Any, count: int, dimensions: int = 4) -> np.ndarray:
    """Return `value` with the axes of length one that may be left out when there is one photograph."""
    array = as_array(name, value)
    while count == 1 and 2 <= array.ndim < dimensions:
        array = array[None]
    return array


def _score_table(scores: Any, weights: Any, count: int, places: int) -> np.ndarray:
    """Return scores (P, heads, N, N): those given, or the logarithm of the weights."""
    shape = (count, "heads", places, places)
    if scores is not None:
        table = arrays.numbers("scores", _lead("scores", scores, count), shape, minus_inf=True)
        if np.isneginf(table).all(-1).any():
            raise ValueError("scores must leave every query something to attend to, got a row of −inf")
        return table
    table = arrays.distributions("weights", arrays.numbers("weights", _lead("weights", weights, count), shape))
    with np.errstate(divide="ignore"):
        return np.log(table)


def _typical_peak(
    source: tuple[np.ndarray, np.ndarray] | np.ndarray, similarity: str, temperature: float
) -> float:
    """Return the 90th percentile of the rows' largest weights, rounded up: the colour bar's end."""
    peaks = []
    for picture in range(len(source[0]) if isinstance(source, tuple) else len(source)):
        for head in range(source[0].shape[1] if isinstance(source, tuple) else source.shape[1]):
            if isinstance(source, tuple):
                table = _similarity(source[0][picture, head], source[1][picture, head], similarity)
            else:
                table = source[picture, head]
            below = np.exp((table - table.max(-1, keepdims=True)) / temperature)
            peaks.append(1 / below.sum(-1))
    return min(1.0, nice_above(float(np.quantile(np.concatenate(peaks), 0.9))))


def _similarity(q: np.ndarray, k: np.ndarray, similarity: str) -> np.ndarray:
    """Return scores (N, N) of queries and keys (N, d)."""
    if similarity == "cosine":
        q, k = (x / np.maximum(np.linalg.norm(x, axis=-1, keepdims=True), 1e-12) for x in (q, k))
    dot = q @ k.T
    if similarity == "scaled dot":
        return dot / np.sqrt(q.shape[-1])
    if similarity == "distance":
        return 2 * dot - (q**2).sum(-1, keepdims=True) - (k**2).sum(-1)
    return dot


def _pack_outlines(
    packer: Packer, outlines: Any, names: Any, count: int, size: tuple[int, int], grid: tuple[int, int]
) -> list[str]:
    """Pack the edges of each region and the share of each place that it covers; return the names."""
    masks = as_array("outlines", outlines)
    if masks.dtype != bool:
        raise ValueError(f"outlines must be boolean, got dtype {masks.dtype}")
    if masks.ndim != 4 or masks.shape[0] != count or masks.shape[2:] != size or masks.shape[1] < 1:
        raise ValueError(f"outlines must have shape ({count}, M, {size[0]}, {size[1]}), got {masks.shape}")
    regions = masks.shape[1]
    edges = [[outline(mask) for mask in picture] for picture in masks]
    ends = np.cumsum([len(edge) for picture in edges for edge in picture]).reshape(count, regions)
    packer.add("edges", np.concatenate([edge for picture in edges for edge in picture]))
    packer.add("edgeEnds", ends.astype(np.int32))
    covers = np.array([[cover(mask, grid) for mask in picture] for picture in masks])
    packer.add("covers", np.rint(covers * 255).astype(np.uint8))
    return arrays.names("outline_names", names, regions, "region {}")


def _marks(marks: Any, count: int, grid: tuple[int, int]) -> list[list[list[Any]]]:
    """Return marks as [[place, label], …] for each photograph."""
    if marks is None:
        return [[] for _ in range(count)]
    if len(marks) != count:
        raise ValueError(f"marks must hold a list for each of the {count} photographs, got {len(marks)}")
    return [[[arrays.place("marks", (row, col), grid), str(label)] for row, col, label in m] for m in marks]


def _alt(alt: str | Sequence[str], count: int) -> list[str]:
    return [alt] * count if isinstance(alt, str) else arrays.names("alt", alt, count, "")
