"""The live explorer: a small network runs in the page, and the reader changes what it sees and what it computes."""

from __future__ import annotations

import json
import zlib
from collections.abc import Mapping, Sequence
from typing import Any, Protocol

import numpy as np
import traitlets

from attention_lite.explorers import arrays
from attention_lite.explorers.base import Explorer, Switch, Whole, counted
from attention_lite.explorers.packing import Packer

CAUSES = ("scene", "frame", "disc", "drag", "gates", "gate", "seed", "training", "control")
VIEWS = ("answer", "squeeze", "hidden", "gates", "strip", "count")
GATES = {"own": "the network's own", "half": "all ½", "open": "all 1: no gate", "even": "all at the mean of its own",
         "mean": "their mean over many scenes"}
BLOCKS = {"none": "no block", "conv": "convolutions", "se": "SE", "eca": "ECA", "local-gate": "gate without squeeze",
          "added-context": "context added", "eca-shuffled": "ECA, shuffled"}      # others are called by their own name


class Stage(Protocol):
    """What a live explorer shows, as `attention_lite.lab.live.stage` makes it; see there."""

    size: int
    palette: Mapping[str, Sequence[float]]
    networks: Sequence[Mapping[str, Any]]
    weights: Mapping[str, bytes]
    means: Mapping[str, np.ndarray]
    scenes: Sequence[Mapping[str, Any]]
    crops: np.ndarray
    crisp: np.ndarray
    stills: np.ndarray
    names: Sequence[str]
    alt: Sequence[str]
    counted: Sequence[Mapping[str, Any]]
    counted_crops: np.ndarray


class LiveExplorer(Explorer):
    """Change a cause and see a network answer anew: it runs in the page, with no kernel.

    Arguments:
        stage: networks and scenes, from `attention_lite.lab.live.stage`.
        causes: what the reader can change, in the order in which it is offered: "scene", "frame" or "disc" (their
            colour), "drag" (digits and disc), "gates" (all of them forced), "gate" (one pulled; its bars are the view
            "gates"), "seed", "training" (before or after it), "control" (another block).
        views: what is shown of the network, in order: "answer", "squeeze", "hidden", "gates", "strip" (the last forty
            states), "count" (the same change made in the counted scenes).
        name: what links to its states call the explorer; each one of a page has its own.
        states: {name: {trait: value}}: states that a sentence of the page can put it into. What a state does not
            name is as at the start.
        first: how many causes stand above the picture; the others stand below it.
        start: traits at the start.

    Each cause is a trait, synchronised both ways, and all of them are a state: `scene` a number; `frame`, `disc` a
    name of the palette, "" for their own colour; `places` {number of a digit, or "disc": [y, x]}; `sides` and
    `opacities` {number of a digit: value}; `gates` "own", "half", "open", "even", "mean", "frame:red" (those that a
    red frame would give), "scene:1" (those of that scene); `pulled` {number of a channel: its gate}; `model`, `seed`,
    `trained`. `channel` and `thing` are what is chosen. `answer` is read back: the ten probabilities.

    Raises ValueError, naming the argument, on anything that does not fit the above.
    """

    SHARED = ("scene", "frame", "disc", "places", "sides", "opacities", "gates", "pulled", "model", "seed", "trained")

    maps = traitlets.Dict().tag(sync=True)
    scene = Whole(0).tag(sync=True)
    frame = traitlets.Unicode("").tag(sync=True)
    disc = traitlets.Unicode("").tag(sync=True)
    places = traitlets.Dict().tag(sync=True)
    sides = traitlets.Dict().tag(sync=True)
    opacities = traitlets.Dict().tag(sync=True)
    gates = traitlets.Unicode("own").tag(sync=True)
    pulled = traitlets.Dict().tag(sync=True)
    model = traitlets.Unicode().tag(sync=True)
    seed = Whole(0).tag(sync=True)
    trained = Switch(True).tag(sync=True)
    channel = Whole(-1).tag(sync=True)
    thing = traitlets.Unicode("").tag(sync=True)
    answer = traitlets.List(traitlets.Float()).tag(sync=True)

    def __init__(
        self,
        stage: Stage,
        *,
        causes: Sequence[str],
        views: Sequence[str],
        name: str = "live",
        states: Mapping[str, Mapping[str, Any]] | None = None,
        first: int = 2,
        **start: Any,
    ) -> None:
        self._stage = stage
        self._channels = {n["part"]: len(stage.means[n["part"]]) for n in stage.networks if n["part"] in stage.means}
        self._models = list(dict.fromkeys(n["model"] for n in stage.networks))
        self._seeds = sorted({n["seed"] for n in stage.networks})
        self._causes = _chosen("causes", causes, CAUSES, self._lacks)
        _chosen("views", views, VIEWS, self._lacks)
        start = {trait: stage.networks[0][trait] for trait in ("model", "seed", "trained")} | start
        for trait, value in start.items():
            self._check(trait, value)
        packer = Packer()
        packer.add("crops", stage.crops)
        packer.add_images("images", arrays.images(stage.crisp, ("n",)))
        packer.add_images("stills", arrays.images(stage.stills, ("n",)))
        spec = {
            "causes": list(causes), "views": list(views), "first": first,
            "size": stage.size, "palette": dict(stage.palette),
            "offered": list(stage.palette), "networks": list(stage.networks), "seeds": self._seeds,
            "models": {m: BLOCKS.get(m, m) for m in self._models},
            "gateChoices": [[value, label] for value, label in self._gate_choices().items()],
            "means": {part: [round(float(v), 6) for v in mean] for part, mean in stage.means.items()},
            "scenes": list(stage.scenes), "names": list(stage.names), "alt": list(stage.alt),
            "counted": len(stage.counted), "arrays": packer.spec,
        }
        maps = dict(stage.weights)
        if "count" in views:
            maps["counted"] = _deflated(stage.counted, stage.counted_crops)
        self._summary = f"{counted(len(stage.networks), 'network')}, {counted(len(stage.scenes), 'scene')}"
        super().__init__(kind="live", name=arrays.word("name", name), states=dict(states or {}), spec=spec,
                         data=packer.data, maps=maps, **start)

    def _gate_choices(self) -> dict[str, str]:
        frames = {f"frame:{c}": f"those of a {c} frame" for c in self._stage.palette if self._has_frame()}
        scenes = {f"scene:{i}": f"those of {name}" for i, name in enumerate(self._stage.names)}
        return GATES | frames | scenes

    def _has_frame(self) -> bool:
        return self._stage.scenes[0]["frame"] is not None

    def _lacks(self, name: str) -> str | None:
        """What the stage would need for a cause or a view that it cannot show; None if it can."""
        stage = self._stage
        needs = {
            "frame": (self._has_frame(), "scenes with a frame"),
            "disc": (stage.scenes[0]["disc_yx"] is not None, "scenes with a disc"),
            "seed": (len(self._seeds) > 1, "two seeds or more"),
            "training": (len({n["trained"] for n in stage.networks}) > 1, "networks before training"),
            "control": (len(self._models) > 1, "a control"),
            "scene": (len(stage.scenes) > 1, "two scenes or more"),
            **{view: (bool(self._channels), "a block with one gate a channel") for view in ("gates", "gate", "squeeze",
                                                                                         "hidden")},
        }
        there, what = needs.get(name, (True, ""))
        return None if there else what

    def _check(self, name: str, value: Any) -> Any:
        stage, digits = self._stage, len(self._stage.scenes[0]["labels"])
        if name == "scene":
            return arrays.index(name, value, len(stage.scenes))
        if name in ("frame", "disc"):
            return arrays.choice(name, value, ["", *(stage.palette if self._lacks(name) is None else [])])
        if name == "gates":
            return arrays.choice(name, value, list(self._gate_choices()))
        if name == "model":
            return arrays.choice(name, value, self._models)
        if name == "seed":
            return arrays.choice(name, value, self._seeds)
        if name == "trained":
            return arrays.choice(name, value, list({n["trained"] for n in stage.networks}))
        if name == "pulled":
            channels = max(self._channels.values(), default=0)
            return {str(arrays.index(name, int(c), channels)): float(arrays.within(name, np.asarray(float(v)), 0, 1))
                    for c, v in value.items()}
        if name == "places":
            things = [*map(str, range(digits)), *(["disc"] if stage.scenes[0]["disc_yx"] is not None else [])]
            return {arrays.choice(name, str(k), things):
                    arrays.within(name, arrays.numbers(name, v, (2,)), 0, stage.size).tolist()
                    for k, v in value.items()}
        if name in ("sides", "opacities"):
            most = stage.size if name == "sides" else 1
            return {arrays.choice(name, str(k), [*map(str, range(digits))]):
                    float(arrays.within(name, np.asarray(float(v)), 0, most)) for k, v in value.items()}
        if name == "channel":
            return arrays.index(name, value, max(self._channels.values(), default=0), low=-1)
        raise ValueError(f"start must set traits of the explorer, got {name!r}")

    @traitlets.validate("scene", "frame", "disc", "places", "sides", "opacities", "gates", "pulled", "model", "seed",
                        "trained", "channel")
    def _valid(self, proposal: Any) -> Any:
        return self._check(proposal["trait"].name, proposal["value"])


def _chosen(name: str, given: Sequence[str], known: Sequence[str], lacks: Any) -> list[str]:
    for item in given:
        arrays.choice(name, item, known)
        if missing := lacks(item):
            raise ValueError(f"{name} may hold {item!r} only with {missing}")
    return list(given)


def _deflated(scenes: Sequence[Mapping[str, Any]], crops: np.ndarray) -> bytes:
    """The descriptions as a line of JSON, then the photographs, each row as differences from left to right."""
    steps = np.diff(crops, axis=-1, prepend=np.zeros_like(crops[..., :1]))
    return zlib.compress(json.dumps(list(scenes)).encode() + b"\n" + steps.tobytes(), 9)
