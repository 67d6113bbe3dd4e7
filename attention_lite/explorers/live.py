"""The live explorer: a small network runs in the page, and the reader changes what it sees and what it computes."""

from __future__ import annotations

import json
import re
import zlib
from collections.abc import Mapping, Sequence
from typing import Any, Protocol

import numpy as np
import traitlets

from attention_lite.as_array import as_array
from attention_lite.explorers import arrays
from attention_lite.explorers.base import Explorer, Switch, Whole, counted
from attention_lite.explorers.packing import Packer

CAUSES = ("scene", "frame", "disc", "company", "drag", "size", "opacity", "ink", "ground", "gates", "gate", "map",
          "rows", "columns", "paint", "sums", "sum", "position", "channel_to_channel", "block", "forbid", "off",
          "kernel", "shuffle", "seed", "training", "control")
VIEWS = ("answer", "map", "seeds", "heads", "channels", "pair", "slots", "sums", "shares", "squeeze", "hidden", "gates",
         "strip", "count")
# Maps that can lie over the picture.
OVER = ("weights", "before", "context", "slot", "gates", "paint", "change")
CHOICES = {"own": "the network's own", "shut": "all 0", "half": "all ½", "open": "all 1",
           "even": "all at the mean of its own", "mean": "their mean over many scenes",
           "start": "those of the picture as it was"}
# Parts that can be switched off: their name for readers, and what the engine is told.
SWITCHES = {
    "W_O": ("W_O: nothing is brought back", {"off": ["W_O"]}),
    "channel branch": ("the channels' numbers", {"off": ["channel_branch"]}),
    "spatial branch": ("the places' numbers", {"off": ["spatial_branch"]}),
    "alpha": ("α: places", {"weights": {"block.position.alpha": 0}}),
    "beta": ("β: channels", {"weights": {"block.channel.beta": 0}}),
}
# What each trait may put in place of a map, besides that of a frame or of another scene.
EXCHANGED = {"gates": ("own", "shut", "half", "open", "even", "mean"), "map": ("own", "open", "even", "mean"),
             "rows": ("own", "open", "even", "mean"), "columns": ("own", "open", "even", "mean"),
             "sums": ("own", "start"), "position": ("own", "even", "start"),
             "channel_to_channel": ("own", "even", "start")}
LOGITS = ("own", "even", "mean")      # of those, what fits numbers before a sigmoid
CONTEXT = ("own", "even")             # what fits one map for all places, whose weights sum to one
PAIRS = ("position", "channel_to_channel")      # maps whose lines sum to one
LOOKS = {"query": -1, "key": -1, "channel": -1, "slot": -1, "head": 0}    # the least that each may be
BRANCHES = {"kernel": ("3 × 3", "dilated 3 × 3"), "split": ("3 × 3", "5 × 5", "7 × 7", "9 × 9")}     # SK, PSA
FORBIDDEN = ("disc", "digits", "ground")
BLOCKS = {"none": "no block", "conv": "convolutions", "se": "SE", "eca": "ECA", "local-gate": "gate without squeeze",
          "added-context": "context added", "eca-shuffled": "ECA, shuffled", "cbam": "CBAM", "bam": "BAM", "sk": "SK",
          "cbam-average": "CBAM, means alone", "cbam-plain": "CBAM, no shortcut", "psa": "PSA", "danet": "DANet",
          "emsa": "EMSA, ratio 2", "emsa-1": "ratio 1", "emsa-4": "ratio 4", "emsa-plain": "ratio 2, no mix",
          "sk-even": "branches even", "psa-even": "branches even", "psa-open": "no sigmoid",
          "external": "external attention", "global-context": "global context",
          "coordinate-plain": "coordinate attention"}      # others are called by their own name


class Stage(Protocol):
    """What a live explorer shows, as `attention_lite.lab.live.stage` makes it; see there."""

    size: int
    palette: Mapping[str, Sequence[float]]
    inks: Sequence[str]
    networks: Sequence[Mapping[str, Any]]
    weights: Mapping[str, bytes]
    maps: Mapping[str, Mapping[str, Mapping[str, Sequence[int]]]]
    means: Mapping[str, Mapping[str, Mapping[str, np.ndarray]]]
    scenes: Sequence[Mapping[str, Any]]
    crops: np.ndarray
    gamma: float
    crisp: np.ndarray
    stills: np.ndarray
    names: Sequence[str]
    alt: Sequence[str]
    counted: Sequence[Mapping[str, Any]]
    counted_crops: np.ndarray


class Pixels(traitlets.Bytes):
    """Bytes, or an array of them, of NumPy or torch."""

    def validate(self, obj: Any, value: Any) -> bytes:
        return super().validate(obj, _bytes(self.name, value))


class LiveExplorer(Explorer):
    """Change a cause and see a network answer anew: it runs in the page, with no kernel.

    Arguments:
        stage: networks and scenes, from `attention_lite.lab.live.stage`.
        causes: what the reader can change, in the order in which it is offered. Of the scene: "scene", "frame" or
            "disc" (their colour), "company" (the right halves of the dotted flags, passed on), "drag" (digits and disc,
            or flags), "size" and "opacity" of the one digit, "ink" (a digit that
            the reader draws or chooses, for the one that is asked for), "ground" (a photograph of their own). Of the
            block: "gates" of channels, the "map" of places, the gates of "rows" and "columns", the weights between
            places, "position", or between channels, "channel_to_channel" (exchanged whole),
            "gate" (one pulled, in the view "gates"), "sums" (external attention's) and "sum" (one of them, in the view
            "sums"), "paint" (gates of single places, by pressing on them), "block" (in which of several),
            "forbid" (places that nobody may read, or one head may not), "off" (parts switched off), "kernel" and
            "shuffle" (ECA's). Of the network: "seed", "training", "control".
        views: what is shown of the network, in order: "answer", "map" (which map lies over the picture), "seeds" (that
            map in every training), "heads", "channels" (of gates of rows and columns), "pair" (q · k, softmax,
            average), "slots", "sums", "shares", "squeeze", "hidden", "gates", "strip" (the last forty states),
            "count" (the same change made in the counted scenes).
        maps: what can lie over the picture: "weights" (of the place that asks; "before" EMSA's norm), "context" (one
            map for all places), "slot" (what each place reads from it), "gates" (of places), "paint", "change" (what
            the block gives a place while this digit is asked for, less the mean of all three); the first does at the
            start.
        off: the parts that "off" offers, of SWITCHES.
        name: what links to its states call the explorer; each one of a page has its own.
        states: {name: {trait: value}}: states that a sentence of the page can put it into. What a state does not
            name is as at the start.
        first: how many causes stand above the picture; the others stand below it.
        start: traits at the start.

    Each cause is a trait, synchronised both ways, and all of them are a state: `scene` a number; `frame`, `disc` a
    name of the palette, "" for their own colour; `company` by how many flags the right halves are passed on;
    `places` {number of a digit, or "disc": [y, x]}; `sides` and `opacities` {number of a digit: value}; `inks`
    {number of a digit: its 8 × 8 grey levels 0 … 16 as letters a … q}; `ground` uint8 (3, S, S), the reader's own
    photograph, empty for none, which alone stands in no address; `gates`, `map`, `rows`, `columns`, `sums`,
    `position`, `channel_to_channel` "own", "half", "open", "even", "mean", "frame:red" or "disc:red" (those that a
    red one would give), "scene:1" (of that scene), "start" (of this scene as it was); `pulled` {number of a channel:
    its gate}, `painted` {number of a place: its gate}, `pulled_sums` {number of a sum, head by head: its logarithm};
    `shares` of the branches, which sum to one; `forbid` names or numbers of places, to the head `forbid_head` alone,
    or to all, -1; `off` names of parts; `kernel` ECA's weights; `shuffled`; `block` in which block the weights are
    forced, "" for all; `model`, `seed`, `trained`. What is looked at: `query` and `key` (places, -1 for the digit
    that is asked for and the strongest key), `head`, `slot` (-1 for the strongest), `over` (the map over the
    picture), `channel` (-1 for the mean of all), `thing`. `answer` is read back: ten probabilities, or the overlap of
    the paint with each digit.

    Raises ValueError, naming the argument, on anything that does not fit the above.
    """

    SHARED = ("scene", "frame", "disc", "company", "places", "sides", "opacities", "inks", "gates", "pulled", "map",
              "rows", "columns", "painted", "sums", "pulled_sums", "position", "channel_to_channel", "shares", "forbid",
              "forbid_head", "off", "kernel", "shuffled", "block", "model", "seed", "trained", "query", "key",
              "head", "slot", "over", "channel")

    maps = traitlets.Dict().tag(sync=True)
    scene = Whole(0).tag(sync=True)
    frame = traitlets.Unicode("").tag(sync=True)
    disc = traitlets.Unicode("").tag(sync=True)
    company = Whole(0).tag(sync=True)
    places = traitlets.Dict().tag(sync=True)
    sides = traitlets.Dict().tag(sync=True)
    opacities = traitlets.Dict().tag(sync=True)
    inks = traitlets.Dict().tag(sync=True)
    # The kernel does not send a photograph back to the page that has just opened it.
    ground = Pixels(b"").tag(sync=True, echo_update=False, from_json=lambda value, widget: bytes(value))
    gates = traitlets.Unicode("own").tag(sync=True)
    pulled = traitlets.Dict().tag(sync=True)
    map = traitlets.Unicode("own").tag(sync=True)
    rows = traitlets.Unicode("own").tag(sync=True)
    columns = traitlets.Unicode("own").tag(sync=True)
    painted = traitlets.Dict().tag(sync=True)
    sums = traitlets.Unicode("own").tag(sync=True)
    pulled_sums = traitlets.Dict().tag(sync=True)
    position = traitlets.Unicode("own").tag(sync=True)
    channel_to_channel = traitlets.Unicode("own").tag(sync=True)
    shares = traitlets.List().tag(sync=True)
    forbid = traitlets.List().tag(sync=True)
    forbid_head = Whole(-1).tag(sync=True)
    off = traitlets.List().tag(sync=True)
    kernel = traitlets.List().tag(sync=True)
    shuffled = Switch(False).tag(sync=True)
    block = traitlets.Unicode("").tag(sync=True)
    model = traitlets.Unicode().tag(sync=True)
    seed = Whole(0).tag(sync=True)
    trained = Switch(True).tag(sync=True)
    query = Whole(-1).tag(sync=True)
    key = Whole(-1).tag(sync=True)
    head = Whole(0).tag(sync=True)
    slot = Whole(-1).tag(sync=True)
    over = traitlets.Unicode("").tag(sync=True)
    channel = Whole(-1).tag(sync=True)
    thing = traitlets.Unicode("").tag(sync=True)
    answer = traitlets.List(traitlets.Float()).tag(sync=True)

    def __init__(
        self,
        stage: Stage,
        *,
        causes: Sequence[str],
        views: Sequence[str],
        maps: Sequence[str] = (),
        off: Sequence[str] = (),
        name: str = "live",
        states: Mapping[str, Mapping[str, Any]] | None = None,
        first: int = 2,
        **start: Any,
    ) -> None:
        self._stage = stage
        self._sizes = _sizes(stage)
        self._models = list(dict.fromkeys(n["model"] for n in stage.networks))
        self._seeds = sorted({n["seed"] for n in stage.networks})
        self._over = [arrays.choice("maps", item, OVER) for item in maps]
        if "change" in self._over and not (self._has_frame() or self._has_disc()):
            raise ValueError("maps may hold 'change' only with scenes with a frame or a disc")
        self._off = [arrays.choice("off", item, list(SWITCHES)) for item in off]
        _chosen("causes", causes, CAUSES, self._lacks)
        _chosen("views", views, VIEWS, self._lacks)
        first_network = {trait: stage.networks[0][trait] for trait in ("model", "seed", "trained")}
        start = first_network | {"over": (self._over or [""])[0]} | start
        for trait, value in start.items():
            self._check(trait, value)
        packer = Packer()
        packer.add("crops", stage.crops)
        packer.add_images("images", arrays.images(stage.crisp, ("n",)))
        packer.add_images("stills", arrays.images(stage.stills, ("n",)))
        spec = {
            "causes": list(causes), "views": list(views), "maps": self._over, "first": first,
            "size": stage.size, "gamma": stage.gamma, "palette": dict(stage.palette),
            "colours": list(stage.palette),      # in their order: a notebook sorts the keys of a table
            "inks": list(stage.inks), "offered": self._offered(),
            "networks": list(stage.networks), "seeds": self._seeds,
            "models": {m: BLOCKS.get(m, m) for m in self._models},
            "choices": {trait: [*map(list, self._choices(trait).items())] for trait in EXCHANGED},
            "switches": {item: {"label": SWITCHES[item][0], **SWITCHES[item][1]} for item in self._off},
            "blocks": {block: f"block {i + 1}" for i, block in enumerate(self._blocks())},
            "asks": "query" in self._sizes or "paint" in causes,
            "heads": self._sizes.get("head", 0), "keys": self._sizes.get("key", 0),
            "slots": self._sizes.get("slot", 0), "lines": self._sizes.get("line", 0),
            "branches": self._branches(), "sides": [6, 36],
            "kernel": "block.conv.weight", "order": _shuffled(self._sizes.get("channel", 0)),
            "means": {part: {block: {item: [round(float(v), 5) for v in mean.ravel()] for item, mean in maps.items()}
                             for block, maps in blocks.items()} for part, blocks in stage.means.items()},
            "scenes": list(stage.scenes), "names": list(stage.names), "alt": list(stage.alt),
            "counted": len(stage.counted), "arrays": packer.spec,
        }
        bytes_ = dict(stage.weights)
        if "count" in views:
            bytes_["counted"] = _deflated(stage.counted, stage.counted_crops)
        self._summary = f"{counted(len(stage.networks), 'network')}, {counted(len(stage.scenes), 'scene')}"
        super().__init__(kind="live", name=arrays.word("name", name), states=states, spec=spec,
                         data=packer.data, maps=bytes_, **start)

    def _maps(self) -> list[Mapping[str, Sequence[int]]]:
        return [maps for blocks in self._stage.maps.values() for maps in blocks.values()]

    def _branches(self) -> Sequence[str]:
        return next((names for map_, names in BRANCHES.items() for maps in self._maps() if map_ in maps), ())

    def _blocks(self) -> list[str]:
        """The blocks of the first network that have gates; more than one only where it has several."""
        first = self._stage.means[self._stage.networks[0]["part"]]
        return [block for block, maps in first.items() if maps]

    def _offered(self) -> list[str]:
        """The colours of frame or disc that are offered: those that a digit of the scenes has."""
        seen = {colour for scene in self._stage.scenes for colour in scene["digits"]}
        return [colour for colour in self._stage.palette if colour in seen]

    def _choices(self, trait: str) -> dict[str, str]:
        before = {"gates": "channel_logits", "map": "spatial_logits"}.get(trait)
        logits = any(before in maps for maps in self._maps())
        context = trait == "map" and any("context" in maps for maps in self._maps())
        names = CONTEXT if context else [name for name in EXCHANGED[trait] if name in LOGITS or not logits]
        kept = {name: CHOICES[name] for name in names}
        frames = {f"frame:{c}": f"those of a {c} frame" for c in self._stage.palette
                  if (trait == "gates" or context) and self._has_frame()}
        if trait in PAIRS and self._has_disc():
            frames = {f"disc:{c}": f"those of a {c} disc" for c in self._offered()}
        scenes = {f"scene:{i}": f"those of {name}" for i, name in enumerate(self._stage.names)}
        return kept | frames | scenes

    def _whole(self) -> bool:
        """Whether every block comes in every training: a block may come in one of its own alone."""
        there = {(n["model"], n["seed"]) for n in self._stage.networks}
        return len(there) == len(self._models) * len(self._seeds)

    def _has_disc(self) -> bool:
        return self._stage.scenes[0]["disc_yx"] is not None

    def _has_flags(self) -> bool:
        return self._stage.scenes[0]["flags"] is not None

    def _has_halves(self) -> bool:
        return self._has_flags() and len(self._stage.scenes[0]["flags"][0]) == 2

    def _has_frame(self) -> bool:
        return self._stage.scenes[0]["frame"] is not None

    def _lacks(self, name: str) -> str | None:
        """What the stage would need for a cause or a view that it cannot show; None if it can."""
        stage, sizes = self._stage, self._sizes
        one = len(stage.scenes[0]["labels"]) == 1
        gates = ("channel" in sizes, "a block with one gate a channel")
        needs = {
            "frame": (self._has_frame(), "scenes with a frame"),
            "disc": (self._has_disc(), "scenes with a disc"),
            "company": (self._has_halves(), "flags of two parts"), "ink": (not self._has_flags(), "scenes of digits"),
            "size": (one, "scenes of one digit"), "opacity": (one, "scenes of one digit"),
            **dict.fromkeys(("seed", "seeds"), (len(self._seeds) > 1 and self._whole(),
                                                "two seeds or more, the same of every block")),
            "training": (len({n["trained"] for n in stage.networks}) > 1, "networks before training"),
            "control": (len(self._models) > 1, "a control"),
            "scene": (len(stage.scenes) > 1, "two scenes or more"),
            "block": (len(self._blocks()) > 1, "several blocks"),
            "off": (bool(self._off), "parts to switch off"),
            **dict.fromkeys(("gates", "gate", "squeeze", "hidden"), gates),
            **dict.fromkeys(("forbid", "pair"), ("key" in sizes, "a block in which places ask places")),
            "heads": ("query" in sizes, "a block in which places ask"),
            **dict.fromkeys(("sums", "sum", "slots"), ("slot" in sizes, "a block with slots")),
            "position": ("key" in sizes, "a block in which places ask places"),
            "channel_to_channel": ("channel read" in sizes, "a block in which channels read channels"),
            "shares": ("branch" in sizes, "a block with branches"),
            **dict.fromkeys(("kernel", "shuffle"), ("channel" in sizes, "a block with one gate a channel")),
            "map": (bool(self._over) or "place" in sizes, "maps, or a block with one gate a place"),
            **dict.fromkeys(("rows", "columns", "channels"),
                            ("row" in sizes, "a block with one gate a row and one a column")),
            "paint": ("spatial" in {name for maps in self._maps() for name in maps}, "a block with one gate a place"),
        }
        there, what = needs.get(name, (True, ""))
        return None if there else what

    def _check(self, name: str, value: Any) -> Any:
        stage, digits = self._stage, len(self._stage.scenes[0]["labels"])
        if name == "scene":
            return arrays.index(name, value, len(stage.scenes))
        if name in ("frame", "disc"):
            return arrays.choice(name, value, ["", *(stage.palette if self._lacks(name) is None else [])])
        if name == "company":
            return arrays.index(name, value, digits // 2 if self._has_halves() else 1)
        if name in EXCHANGED:
            return arrays.choice(name, value, list(self._choices(name)))
        if name == "model":
            return arrays.choice(name, value, self._models)
        if name == "seed":
            return arrays.choice(name, value, self._seeds)
        if name == "trained":
            return arrays.choice(name, value, list({n["trained"] for n in stage.networks}))
        if name == "inks":
            return {arrays.choice(name, str(k), [*map(str, range(digits))]): _levels(name, v) for k, v in value.items()}
        if name == "ground":
            return _pixels(name, value, stage.size)
        if name == "pulled_sums":
            most = self._sizes.get("head", 0) * self._sizes.get("slot", 0)
            return {str(arrays.index(name, int(i), most)): float(arrays.numbers(name, v, ())) for i, v in value.items()}
        if name == "forbid_head":
            return arrays.index(name, value, self._sizes.get("head", 0), low=-1)
        if name in ("pulled", "painted"):
            most = self._sizes.get({"pulled": "channel", "painted": "place"}[name], 0)
            return {str(arrays.index(name, int(c), most)): float(arrays.within(name, np.asarray(float(v)), 0, 1))
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
        if name == "forbid":
            return [v if isinstance(v, str) and arrays.choice(name, v, FORBIDDEN)
                    else arrays.index(name, v, self._sizes.get("key", 0)) for v in value]
        if name == "off":
            return [arrays.choice(name, v, self._off) for v in value]
        if name == "shares":
            return _shares(name, value, self._sizes.get("branch", 0))
        if name == "kernel":
            return arrays.numbers(name, value, (len(value),)).tolist() if len(value) else []
        if name == "block":
            return arrays.choice(name, value, ["", *self._blocks()])
        if name == "over":
            return arrays.choice(name, value, ["", *self._over])
        if name == "shuffled":
            return value
        if name in LOOKS:
            also = {"query": "place", "channel": "line"}.get(name, name)
            most = max(self._sizes.get(name, 0), self._sizes.get(also, 0))
            return arrays.index(name, value, most, low=LOOKS[name])
        raise ValueError(f"start must set traits of the explorer, got {name!r}")

    @traitlets.validate(*SHARED, "ground")
    def _valid(self, proposal: Any) -> Any:
        return self._check(proposal["trait"].name, proposal["value"])


def _sizes(stage: Stage) -> dict[str, int]:
    """How many there are, at most, of channels and places with a gate, branches, heads, queries, keys and slots."""
    axes = {"channel": ("channel",), "channel_logits": ("channel",), "kernel": ("branch",), "split": ("branch",),
            "position": ("head", "query", "key"), "slot": ("head", "query", "slot"),
            "channel_to_channel": ("channel that reads", "channel read"), "rows": ("line", "row")}
    sizes: dict[str, int] = {}
    for maps in (maps for blocks in stage.maps.values() for maps in blocks.values()):
        for name, shape in maps.items():
            found = dict(zip(axes.get(name, ()), shape, strict=False))
            if name in ("spatial", "spatial_logits"):
                found = {"place": shape[0] * shape[1]}
            for axis, size in found.items():
                sizes[axis] = max(sizes.get(axis, 0), size)
    return sizes


def _levels(name: str, value: Any) -> str:
    """The 64 grey levels of a digit, as letters."""
    if not isinstance(value, str) or not re.fullmatch("[a-q]{64}", value):
        raise ValueError(f"{name} must hold 64 letters from a to q, a grey level from 0 to 16 each, got {value!r}")
    return value


def _bytes(name: str, value: Any) -> bytes:
    if isinstance(value, bytes):
        return value
    array = as_array(name, value)
    if array.dtype != np.uint8:
        raise ValueError(f"{name} must be uint8, 0 to 255, got dtype {array.dtype}")
    return array.tobytes()


def _pixels(name: str, value: Any, size: int) -> bytes:
    value = _bytes(name, value)
    if len(value) not in (0, 3 * size * size):
        raise ValueError(f"{name} must be uint8 (3, {size}, {size}), or empty for none, got {len(value)} bytes")
    return value


def _shares(name: str, value: Any, branches: int) -> list[float]:
    """One number a branch, which sum to one; none for the network's own."""
    if not len(value):
        return []
    shares = arrays.within(name, arrays.numbers(name, value, (branches,)), 0, 1)
    if abs(shares.sum() - 1) > 1e-3:
        raise ValueError(f"{name} must sum to one, got {shares.sum():.3f}")
    return shares.tolist()


def _shuffled(channels: int) -> list[int]:
    return np.random.default_rng(0).permutation(channels).tolist()


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
