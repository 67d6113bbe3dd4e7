"""What a vision transformer makes of a photograph: the queries and keys of every layer, and its last tokens."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import torch
from numpy.typing import ArrayLike
from torch import Tensor

from attention_lite.lab import patches, photographs, regions, truth_results
from attention_lite.lab.own_photograph import open_photograph
from attention_lite.lab.pretrained import vision_transformer
from attention_lite.lab.truth import GRID, QUESTIONS, SIDE, queries, untrained
from attention_lite.networks.vision_transformer import VisionTransformer

SHOWN = 400              # pixels: the longest side on which a page shows a photograph
# What a reader calls a photograph, where it is not its own name.
WORDS = {"chelsea": "cat", "china": "pagoda", "coffee": "cup", "hubble_deep_field": "galaxies"}

COLOUR = "likeness of colour"        # the explorer's control that no network makes

UNTRAINED_SEED = 0

NETWORKS: dict[str, Callable[[], VisionTransformer]] = {
    "trained": vision_transformer,
    "untrained": lambda: untrained(UNTRAINED_SEED),
}


@dataclass(frozen=True)
class Seen:
    """A photograph, and what a transformer of L layers and h heads computed for it; the class token comes first.

    name, alt: what a reader calls the photograph, and what it shows.  image: its middle square, uint8, (S, S, 3).
    queries, keys: (L, h, 1 + N, d).  features: the last tokens, (1 + N, c).
    described: colour and texture of each patch, (N, 8), as `patches.describe` has them.
    regions: polygons by name, their corners from 0 to 1.  covers: the share of each patch that each covers, (M, N).
    pairs: the far pairs of `truth.QUESTIONS`, (names that ask, their patches, names of the partner).
    """

    name: str
    alt: str
    image: np.ndarray
    queries: Tensor
    keys: Tensor
    features: Tensor
    described: Tensor
    regions: dict[str, regions.Polygon] = field(default_factory=dict)
    covers: Tensor = field(default_factory=lambda: torch.zeros(0, GRID ** 2))
    pairs: list[tuple[tuple[str, ...], list[int], tuple[str, ...]]] = field(default_factory=list)


def see(net: VisionTransformer, photograph: str | Path | ArrayLike) -> Seen:
    """Run a transformer on the middle square, 224 × 224, of a photograph.

    Args:
        net: as `pretrained.vision_transformer()` or `truth.untrained(seed)` makes it.
        photograph: the name of one of `photographs.PHOTOGRAPHS`; or what `open_photograph` takes.

    Raises:
        ValueError: if it is neither.
    """
    if isinstance(photograph, str) and photograph in tuple(photographs.PHOTOGRAPHS):
        return _see_named(net, photograph)
    own = open_photograph(photograph)
    return Seen("your own", "Your own photograph", _square(own), **_tokens(net, photographs.picture(own, SIDE)))


def both(photograph: str | Path | ArrayLike) -> dict[str, Seen]:
    """What the trained network and an untrained one (seed 0) see; errors are those of `see`, or of missing weights."""
    return {name: see(build(), photograph) for name, build in NETWORKS.items()}


def both_on(names: tuple[str, ...] | list[str]) -> dict[str, list[Seen]]:
    """The same for several photographs, as an explorer takes it: {"trained": […], "untrained": […]}."""
    networks = {name: build() for name, build in NETWORKS.items()}
    return {name: [see(net, photograph) for photograph in names] for name, net in networks.items()}


def named_head(photograph: str) -> dict[str, int]:
    """The layer and head, from 0, that the photographs of the *other* half name as the one that finds far partners.

    Raises:
        ValueError: if the photograph has no question in `truth.QUESTIONS`.
    """
    rows = [row for row in truth_results.load()["questions"] if row["photograph"] == photograph]
    if not rows:
        raise ValueError(f"photograph must be one of {', '.join(truth_results.PHOTOGRAPHS)}; got {photograph!r}")
    return {part: rows[0]["named_elsewhere"][part] for part in ("layer", "head")}


def states(names: tuple[str, ...] | list[str]) -> dict[str, dict[str, int | str]]:
    """The states of an explorer of these photographs that links name.

    One for each region that asks in `truth.QUESTIONS`, as "cat-left-eye": the patch it fills most, and the head
    that the other half of the photographs named; "cat-left-eye-untrained" and "cat-left-eye-by-colour" ask the same of
    what the network is held against. And the networks alone: "trained", "untrained", "colour".
    """
    found: dict[str, dict[str, int | str]] = {
        "trained": {"network": "trained"}, "untrained": {"network": "untrained"}, "colour": {"network": COLOUR}}
    for question in QUESTIONS:
        name, region = question.photograph, question.query[0]
        if name in tuple(names):
            words = f"{WORDS.get(name, name)} {region}".replace(",", "").replace(" ", "-")
            for ending, network in (("", "trained"), ("-untrained", "untrained"), ("-by-colour", COLOUR)):
                found[words + ending] = {"image": list(names).index(name), "query": patch_of(name, region),
                                         **named_head(name), "network": network, "other": -1}
    return found


def patch_of(photograph: str, region: str) -> int:
    """The patch that a region fills most, to a tenth; of several, the nearest to its middle; numbered row by row.

    Raises:
        ValueError: if the photograph or the region is unknown.
    """
    shares = regions.coverage(regions.region(photograph, region), GRID).flatten()
    places = torch.cartesian_prod(torch.arange(float(GRID)), torch.arange(float(GRID)))
    from_middle = (places - shares @ places / shares.sum()).norm(dim=1)
    return int((from_middle / 1000 - (10 * shares).round()).argmin())


def temperature() -> float:
    """The one temperature of likeness of colour: the best for it over all ten photographs."""
    return truth_results.temperature(truth_results.load())


def _see_named(net: VisionTransformer, photograph: str) -> Seen:
    outlines = regions.regions(photograph) if photograph in regions.drawn() else {}
    pairs = [(q.query, queries(q).tolist(), q.partner) for q in QUESTIONS if q.photograph == photograph]
    covers = [regions.coverage(polygon, GRID).flatten() for polygon in outlines.values()]
    return Seen(
        WORDS.get(photograph, photograph), photographs.PHOTOGRAPHS[photograph].title,
        _square(photographs.load(photograph)),
        **_tokens(net, patches.window(photograph, (SIDE, SIDE)).permute(2, 0, 1)[None]),
        regions=outlines, covers=torch.stack(covers) if covers else torch.zeros(0, GRID ** 2), pairs=pairs,
    )


def _square(photograph: np.ndarray) -> np.ndarray:
    side = min(SHOWN, *photograph.shape[:2])
    pixels = photographs.picture(photograph, side)[0].permute(1, 2, 0) * 255
    return pixels.round().to(torch.uint8).numpy()


@torch.no_grad()
def _tokens(net: VisionTransformer, image: Tensor) -> dict[str, Tensor]:
    """Queries, keys, last tokens, and colour and texture of a photograph (1, 3, 224, 224)."""
    found: dict[str, list[Tensor]] = {"W_Q": [], "W_K": []}
    heads = net.layers[0].attention.h
    hooks = [
        getattr(layer.attention, name).register_forward_hook(
            lambda module, inputs, output, kept=kept: kept.append(output[0].unflatten(1, (heads, -1)).transpose(0, 1)))
        for layer in net.layers for name, kept in found.items()
    ]
    try:
        features = net(image)[0]
    finally:
        for hook in hooks:
            hook.remove()
    return {"queries": torch.stack(found["W_Q"]), "keys": torch.stack(found["W_K"]), "features": features,
            "described": patches.describe(image[0].permute(1, 2, 0), (GRID, GRID))}
