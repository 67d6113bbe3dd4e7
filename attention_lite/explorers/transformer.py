"""An explorer of a vision transformer: point at a patch of a photograph and see where all heads of all layers look."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from math import isqrt
from typing import Any, Protocol

import numpy as np
import traitlets

from attention_lite.as_array import as_array
from attention_lite.explorers import arrays
from attention_lite.explorers.base import Switch, Whole
from attention_lite.explorers.own import OwnPhotographExplorer
from attention_lite.explorers.packing import Packer

COLOUR = "likeness of colour"     # what stands beside the networks: needs the picture alone


class Seen(Protocol):
    """A photograph as a transformer of L layers and h heads saw it; the class token comes first of the 1 + N tokens.

    name, alt: strings.  image: uint8 (S, S, 3).  queries, keys: (L, h, 1 + N, d).  features: (1 + N, c).
    described: (N, c), numbers of each patch that no network made: how much two patches differ.
    regions: {name: corners [[x, y], …] from 0 to 1}.  covers: (M, N), the share of each patch that each of the M
    regions covers.  pairs: [(names of regions that ask, patches that ask for them, names of their partners), …].
    """

    name: str
    alt: str
    image: Any
    queries: Any
    keys: Any
    features: Any
    described: Any
    regions: Mapping[str, Sequence[Sequence[float]]]
    covers: Any
    pairs: Sequence[tuple[Sequence[str], Sequence[int], Sequence[str]]]


class TransformerExplorer(OwnPhotographExplorer):
    """Point at a patch, or ask the class token, and see the weights of every head of every layer.

    Arguments:
        networks: {name: [Seen, …]}: the same photographs, square, as each network saw them; the first is shown.
        look: a function that gives {name: Seen} for a photograph of the reader's own, a file or an array: with it the
            reader can choose a file in the notebook, and `see` shows one.
        query: the patch at the start, a number or (row, column) from 0; −1 for the class token.
        layer, head: those shown in large, from 0.
        image, network: the photograph and the network at the start; `network` may be "likeness of colour".
        other: a second photograph, in which the patches whose last tokens are nearest are shown; −1 for none.
        outlined: whether the regions are outlined.
        name: what links and the page's address call the explorer.
        states: {name: {trait: value}}, for links that set it; a state names some of the traits of SHARED.
        limit: the weight at which the colours end, for every map of every photograph and network.
        temperature: τ of the likeness of colour, exp(−d²/τ) for patches whose `described` differ by d.

    All but `networks`, `look`, `limit`, `temperature`, `name` and `states` are traits, synchronised both ways; `own` is
    the file that the reader chose, `refused` says why it cannot be shown. Queries and keys travel in 8 bits: the keys
    less their mean over tokens, which no softmax sees, and one scale a channel.

    Raises ValueError, naming the argument, on anything that does not fit the above.
    """

    SHARED = ("image", "query", "layer", "head", "network", "other", "outlined")

    maps = traitlets.Dict().tag(sync=True)
    network = traitlets.Unicode().tag(sync=True)
    layer = Whole(0).tag(sync=True)
    head = Whole(0).tag(sync=True)
    query = Whole(0).tag(sync=True)
    other = Whole(-1).tag(sync=True)
    outlined = Switch(False).tag(sync=True)

    def __init__(
        self,
        networks: Mapping[str, Sequence[Seen]],
        *,
        look: Callable[[Any], Mapping[str, Seen]] | None = None,
        query: int | Sequence[int] = 0,
        layer: int = 0,
        head: int = 0,
        image: int = 0,
        network: str | None = None,
        other: int = -1,
        outlined: bool = False,
        limit: float = 0.05,
        temperature: float = 1.0,
        name: str = "transformer",
        states: Mapping[str, Mapping[str, Any]] | None = None,
    ) -> None:
        self._look = look
        self._limit = arrays.positive("limit", limit)
        self._temperature = arrays.positive("temperature", temperature)
        packed = self._pack({name: list(seen) for name, seen in _named(networks).items()})
        start = {"image": image, "layer": layer, "head": head, "other": other, "outlined": outlined,
                 "network": next(iter(networks)) if network is None else network,
                 "query": arrays.place("query", query, (self._side, self._side), low=-1)}
        super().__init__(kind="transformer", name=name, states=states, **packed,
                         **{name: self._check(name, value) for name, value in start.items()})

    def _with(self, found: Mapping[str, Seen]) -> dict[str, Any]:
        """One photograph more, the one that is shown."""
        if list(found) != list(self._seen):
            raise ValueError(f"look must give {', '.join(self._seen)}, got {', '.join(found)}")
        packed = self._pack({name: [*known, found[name]] for name, known in self._seen.items()})
        return packed | {"image": self._limits["image"] - 1}

    def _pack(self, networks: dict[str, list[Seen]]) -> dict[str, Any]:
        """The traits `spec`, `data` and `maps` of these photographs."""
        first = next(iter(networks.values()))
        pictures = [arrays.images(seen.image, ()) for seen in first]
        shape, width = _shape(first[0]), np.shape(as_array("features", first[0].features))[-1]
        layers, heads, tokens, d = shape
        side = isqrt(tokens - 1)
        if side ** 2 != tokens - 1 or side < 2:
            raise ValueError(f"queries must be those of a class token and a square of patches, got {tokens} tokens")
        for picture in pictures:
            if picture.shape[0] != picture.shape[1] or picture.shape[0] < side:
                got = f"{picture.shape[0]} × {picture.shape[1]}"
                raise ValueError(f"image must be square, {side} pixels at least, got {got}")
        packer, maps, parts = Packer(), {}, {}
        for name, seen in networks.items():
            parts[name] = [f"{name} {i}" for i in range(len(seen))]
            maps |= {part: _tokens(one, shape, width) for part, one in zip(parts[name], seen, strict=True)}
        packer.add("described", np.stack([_described(seen, side) for seen in first]))
        covers = [_covers(seen, side) for seen in first]
        packer.add("covers", np.concatenate(covers))
        packer.add_pictures("images", pictures)
        spec = {
            "grid": [side, side], "layers": layers, "heads": heads, "width": d, "featureWidth": width,
            "limit": self._limit, "networks": list(networks), "parts": parts, "looks": self._look is not None,
            "imageNames": [arrays.word("name", seen.name) for seen in first],
            "alt": [seen.alt for seen in first],
            "regions": [[[name, corners] for name, corners in seen.regions.items()] for seen in first],
            "pairs": [_pairs(seen) for seen in first], "temperature": self._temperature,
            "arrays": packer.spec,
        }
        self._limits = {"image": len(first), "layer": layers, "head": heads, "query": side ** 2, "other": len(first)}
        self._seen, self._side = networks, side
        self._summary = f"{len(first)} photographs, {layers} layers × {heads} heads, {side} × {side} patches"
        return {"spec": spec, "data": packer.data, "maps": maps}

    def _check(self, name: str, value: Any) -> Any:
        if name == "network":
            return arrays.choice(name, value, [*self._seen, COLOUR])
        if name == "outlined":
            return bool(value)
        return arrays.index(name, value, self._limits[name], low=-1 if name in ("query", "other") else 0)

    @traitlets.validate("network", "layer", "head", "query", "other")
    def _valid_here(self, proposal: Any) -> Any:
        return self._check(proposal["trait"].name, proposal["value"])


def _named(networks: Any) -> Mapping[str, Sequence[Seen]]:
    """Return `networks`, each with the same number of photographs."""
    if not isinstance(networks, Mapping) or not networks or not all(len(seen) for seen in networks.values()):
        raise ValueError(f"networks must be {{name: [photograph, …]}}, one of each at least, got {networks!r}")
    counts = {name: len(seen) for name, seen in networks.items()}
    if len(set(counts.values())) > 1:
        raise ValueError(f"networks must have seen the same photographs, got {counts}")
    return networks


def _shape(seen: Seen) -> tuple[int, ...]:
    """(L, h, 1 + N, d)."""
    return arrays.numbers("queries", seen.queries, ("layers", "heads", "tokens", "d")).shape


def _tokens(seen: Seen, shape: tuple[int, ...], width: int) -> bytes:
    """Queries, keys, features in 8 bits, then the scales: of a query times a key and 1/√d, (L, h, d), and (c,)."""
    queries = arrays.numbers("queries", seen.queries, shape)
    keys = arrays.numbers("keys", seen.keys, shape)
    features = arrays.numbers("features", seen.features, (shape[2], width))
    (q, q_scale), (k, k_scale) = _in_8_bits(queries), _in_8_bits(keys - keys.mean(2, keepdims=True))
    f, f_scale = _in_8_bits(features)
    scales = [(q_scale * k_scale / np.sqrt(shape[3])), f_scale]
    return b"".join([x.tobytes() for x in (q, k, f)] + [x.astype("<f4").tobytes() for x in scales])


def _in_8_bits(vectors: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Codes from −127 to 127 and the scale of each channel, over the tokens: vectors = codes · scale."""
    scale = np.maximum(np.abs(vectors).max(-2, keepdims=True), 1e-12) / 127
    return np.rint(vectors / scale).astype(np.int8), scale


def _described(seen: Seen, side: int) -> np.ndarray:
    """Colour and texture of the patches, float32 (N, c)."""
    return arrays.numbers("described", seen.described, (side ** 2, "c")).astype(np.float32)


def _pairs(seen: Seen) -> list[list[Any]]:
    """[what asks, its patches, what its partners are called, their numbers among the regions]."""
    names = list(seen.regions)
    return [[_called(asking), list(patches), _called(partners), [names.index(name) for name in partners]]
            for asking, patches, partners in seen.pairs]


def _called(names: Sequence[str]) -> str:
    return names[0] if len(names) == 1 else f"{names[0]} and {len(names) - 1} more"


def _covers(seen: Seen, side: int) -> np.ndarray:
    """Shares of the patches that each region covers, as uint8 of 255."""
    shares = as_array("covers", seen.covers)
    if shares.shape != (len(seen.regions), side ** 2):
        raise ValueError(f"covers must have shape ({len(seen.regions)}, {side ** 2}), got {shares.shape}")
    return np.rint(arrays.within("covers", shares, 0, 1) * 255).astype(np.uint8)
