"""An explorer of gates: one number for each channel, what it lets through, and what the network answers."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import traitlets

from attention_lite.as_array import as_array
from attention_lite.explorers import arrays
from attention_lite.explorers.base import SHOWS, PhotographExplorer, Whole, counted
from attention_lite.explorers.packing import Packer, nice_above


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
            "alt": arrays.alts(alt, count),
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
        self._summary = ", ".join(counted(n, noun) for noun, n in counts.items())
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


def _limit(values: np.ndarray) -> float:
    """Return the 99.9th percentile of the values' size, rounded up."""
    return nice_above(max(1e-6, float(np.quantile(np.abs(values), 0.999))))
