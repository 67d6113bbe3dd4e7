"""What the explorers share: the ES module and its style, state that is checked as it is set, a photograph chosen."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any, ClassVar

import anywidget
import traitlets

from attention_lite.checks import plain

HERE = Path(__file__).parent


# The files of the module and of the style, in their order: what all explorers share, then those of each kind.
PARTS = {
    "shared": ("tools", "packed", "files", "address", "explorer", "photograph", "channels", "homes"),
    "positions": ("positions",),
    "gates": ("gates",),
    "slots": ("slots",),
    "table": ("table",),
    "forced-gates": ("forced_gates",),
    "transformer": ("transformer_kernel", "transformer_engine", "patches", "own_photograph", "transformer_picture",
                    "transformer"),
    "live": ("tensors", "mechanisms", "engine", "draw", "causes", "answers", "count", "views", "views_map",
             "views_bars", "views_pair", "views_shares", "views_seeds", "live_own", "live_controls", "live_asking",
             "live_picture", "live_words", "live"),
}
SHOWS = ("photograph", "both", "map")


def _sum_of(ending: str) -> str:
    """All files of one ending, a line before each that names it: a static page takes only the kinds that it shows."""
    files = [(kind, HERE / f"{name}.{ending}") for kind, names in PARTS.items() for name in names]
    return "".join(f"/* {kind}: {file.name} */\n{file.read_text(encoding='utf-8')}"
                   for kind, file in files if file.is_file())


def counted(count: int, noun: str) -> str:
    """The number and its noun, in the plural where it must be."""
    return f"{count} {noun}{'' if count == 1 else 's'}"


class Whole(traitlets.Int):
    """An integer, of NumPy or torch too: `explorer.query = weights.argmax()`."""

    def validate(self, obj: Any, value: Any) -> int:
        return super().validate(obj, plain(value))


class Number(traitlets.Float):
    """A number, of NumPy or torch too."""

    def validate(self, obj: Any, value: Any) -> float:
        return super().validate(obj, plain(value))


class Switch(traitlets.Bool):
    """True or False, of NumPy or torch too."""

    def validate(self, obj: Any, value: Any) -> bool:
        return super().validate(obj, plain(value))


class Explorer(anywidget.AnyWidget):
    """What all explorers share: the module, the style, the packed arrays, states that links name.

    In a static page the traits of SHARED stand in the address, so that it can be shared: #try=name:trait=value;…
    A state, {trait: value} for some of them, has an address by its name, #try=name:state.
    """

    SHARED: ClassVar[tuple[str, ...]] = ()

    _esm = _sum_of("js")
    _css = _sum_of("css")

    kind = traitlets.Unicode().tag(sync=True)
    spec = traitlets.Dict().tag(sync=True)
    data = traitlets.Bytes().tag(sync=True)
    name = traitlets.Unicode().tag(sync=True)
    states = traitlets.Dict().tag(sync=True)
    shared = traitlets.Tuple().tag(sync=True)

    _summary = ""

    def __init__(self, *, name: str = "", states: Mapping[str, Mapping[str, Any]] | None = None, **rest: Any) -> None:
        if states and not name:
            raise ValueError(f"states must come with a name, got {sorted(states)} alone")
        super().__init__(name=name, states=dict(states or {}), **rest)

    @traitlets.default("shared")
    def _all_shared(self) -> tuple[str, ...]:
        return self.SHARED

    @traitlets.validate("states")
    def _valid_states(self, proposal: Any) -> dict[str, dict[str, Any]]:
        for state, values in proposal["value"].items():
            if unknown := set(values) - set(self.SHARED):
                raise ValueError(f"states must set {', '.join(self.SHARED)} alone, {state!r} sets {min(unknown)!r}")
        return {state: {trait: self._check(trait, value) for trait, value in values.items()}
                for state, values in proposal["value"].items()}

    def __repr__(self) -> str:
        return f"{type(self).__name__}({self._summary})"

    def _check(self, name: str, value: Any) -> Any:
        """Return `value` if trait `name` may take it; ValueError otherwise."""
        raise NotImplementedError


class PhotographExplorer(Explorer):
    """What the explorers of photographs share besides: which one is shown."""

    image = Whole(0).tag(sync=True)

    @traitlets.validate("image")
    def _valid(self, proposal: Any) -> Any:
        return self._check(proposal["trait"].name, proposal["value"])
