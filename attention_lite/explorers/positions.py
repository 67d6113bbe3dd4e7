"""An explorer of positions: point at a place of a photograph and see where it attends."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import traitlets

from attention_lite.as_array import as_array
from attention_lite.explorers import arrays
from attention_lite.explorers.base import SHOWS, Number, PhotographExplorer, Whole, counted
from attention_lite.explorers.packing import Packer, cover, nice_above, outline

SIMILARITIES = ("dot", "scaled dot", "cosine", "distance")


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
        outlines, outline_names: boolean (P, M, H, W) regions of known truth: outline, and the weight on the places
            of which a region covers more than 15 %, as `lab.scoring.on_grid` has it.
        marks: for each photograph a list of (row, column, label).
        alt: what the photographs show, for readers who do not see them; P strings, or one for all.
        name: what links and the page's address call the explorer; without one it has neither.
        states: {name: {trait: value}}, for links that set it; what a state does not name stays as it is.

    Traits `image`, `head`, `similarity`, `temperature`, `scale`, `show`, `query` are synchronised both ways.

    Raises ValueError, naming the argument, on anything that does not fit the above.
    """

    SHARED = ("image", "head", "similarity", "temperature", "scale", "show", "query")

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
        name: str = "",
        states: Mapping[str, Mapping[str, Any]] | None = None,
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
            "query": (rows, columns),
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
            "query": (rows // 2) * columns + columns // 2 if query is None else query,
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
            "alt": arrays.alts(alt, count),
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
            f"{counted(count, 'photograph')}, {rows} × {columns} positions, {counted(heads, 'head')}"
        )
        super().__init__(kind="positions", name=name, states=states, spec=spec, data=packer.data, **start)

    def _check(self, name: str, value: Any) -> Any:
        allowed = self._limits[name]
        if name == "temperature":
            return float(arrays.within(name, np.asarray(arrays.positive(name, value)), *allowed))
        if name == "query":
            return arrays.place(name, value, allowed)
        check = arrays.index if isinstance(allowed, int) else arrays.choice
        return check(name, value, allowed)

    @traitlets.validate("head", "similarity", "temperature", "scale", "query", "show")
    def _valid_here(self, proposal: Any) -> Any:
        return self._check(proposal["trait"].name, proposal["value"])


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
