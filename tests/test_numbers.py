"""Numbers of NumPy and torch are taken wherever Python's own are, and what is kept of them is Python's own."""

from collections.abc import Callable

import numpy as np
import pytest
import torch
from test_bad_input import ARGUMENTS
from test_explorers import gates, positions, slots
from test_table_explorer import table
from torch import nn

from attention_lite import PSA, ScaledDotProductAttention, SEAttention, checks, force_gates
from attention_lite.eca import adaptive_kernel_size
from attention_lite.lab import (
    ContextGating,
    OneDigit,
    ask_for,
    draw,
    enlarge,
    frame_mask,
    load_checkpoint,
    untrained,
)
from attention_lite.lab.patches import window
from attention_lite.networks import AddedContext, LocalGate
from attention_lite.published import ResNet, ResT

INTEGERS: dict[str, Callable[[int], object]] = {
    "int8": np.int8, "int64": np.int64, "uint16": np.uint16, "array": lambda n: np.array(n), "tensor": torch.tensor,
    "int32 tensor": lambda n: torch.tensor(n, dtype=torch.int32)}
BOOLEANS: dict[str, Callable[[bool], object]] = {"numpy": np.bool_, "tensor": torch.tensor}
FLOATS: dict[str, Callable[[float], object]] = {"float16": np.float16, "float32": np.float32, "float64": np.float64,
                                                "tensor": torch.tensor}
# Constructors, and arguments that build them in which every number and switch stands.
BUILD = [(block, right | {name: 1 for name in ("dia_val", "M", "L", "stride", "ratio", "S") if name in refused}
          | {name: False for name in ("published", "bias", "apply_transform") if name in refused})
         for block, (right, refused) in ARGUMENTS.items()]
BUILD += [(SEAttention, {"channel": 8, "reduction": 2, "bias": True}),
          (ScaledDotProductAttention, {"d_model": 8, "d_k": 4, "d_v": 4, "h": 2, "bias": False}),
          (PSA, {"channel": 8, "reduction": 2, "kernels": [3, 5], "groups": (1, 2)}),
          (LocalGate, {"channel": 8, "reduction": 2}), (AddedContext, {"channel": 8, "reduction": 2}),
          (ResNet, {"depth": 18, "published": True, "width": 8, "stride_first": False, "classes": 3}),
          (ResT, {"classes": 3})]


def changed(value: object, integer: Callable, boolean: Callable) -> object:
    if isinstance(value, (list, tuple)):
        return type(value)(changed(v, integer, boolean) for v in value)
    return value if isinstance(value, str) else boolean(value) if isinstance(value, bool) else integer(value)


def kept(module: nn.Module) -> dict[str, object]:
    """What the modules inside keep of their arguments, by name and type."""
    return {f"{name}.{key}": (value, type(value)) for name, m in module.named_modules()
            for key, value in vars(m).items() if isinstance(value, (bool, int, float, tuple, np.generic, torch.Tensor))}


@pytest.mark.parametrize("boolean", BOOLEANS.values(), ids=BOOLEANS)
@pytest.mark.parametrize("integer", INTEGERS.values(), ids=INTEGERS)
@pytest.mark.parametrize(("block", "arguments"), BUILD, ids=[b.__name__ for b, _ in BUILD])
def test_constructors(block, arguments, integer, boolean):
    plain = block(**arguments)
    other = block(**{name: changed(value, integer, boolean) for name, value in arguments.items()})
    assert kept(other) == kept(plain)
    assert len(kept(plain)) > 1
    assert repr(other) == repr(plain)


@pytest.mark.parametrize("kind", FLOATS.values(), ids=FLOATS)
def test_floats(kind):
    block = ScaledDotProductAttention(8, h=2, dropout=kind(0.25))
    assert type(block.dropout) is float
    assert block.dropout == 0.25
    assert adaptive_kernel_size(64, kind(2.0), kind(1.0)) == adaptive_kernel_size(64)
    scenes = OneDigit("test").sample(2, 0, hide=kind(1.0), contrast=kind(0.5))
    assert torch.equal(scenes.contrast, torch.full((2,), 0.5))
    assert torch.equal(enlarge(scenes, kind(10.0)).side, torch.full((2, 1), 10.0))


@pytest.mark.parametrize("integer", [np.int64, torch.tensor])
def test_the_lab(integer):
    scenes = ContextGating("test").sample(integer(2), integer(3))
    assert torch.equal(draw(scenes, integer(2)), draw(ContextGating("test").sample(2, 3), 2))
    assert torch.equal(frame_mask(integer(64), integer(2)), frame_mask(64, 2))
    assert torch.equal(ask_for(scenes, integer(1)).frame, ask_for(scenes, 1).frame)
    assert torch.equal(window("china", (integer(6), integer(9))), window("china", (6, 9)))
    same = zip(untrained("one-digit", "none", integer(1)).parameters(), untrained("one-digit", "none", 1).parameters(),
               strict=True)
    assert all(torch.equal(a, b) for a, b in same)
    assert load_checkpoint("one-digit", "none", integer(1))[1] == load_checkpoint("one-digit", "none", 1)[1]


@pytest.mark.parametrize(("check", "value"), [
    (checks.positive_int, np.float64(8)), (checks.positive_int, np.bool_(True)),
    (checks.positive_int, torch.tensor(8.0)), (checks.positive_int, np.array([8])),
    (checks.positive_int, torch.tensor([8])), (checks.integer, np.True_),
    (checks.positive_number, torch.tensor(True)), (checks.boolean, np.int64(1)), (checks.boolean, torch.tensor(1)),
    (checks.share, np.float32("nan")), (checks.probability, torch.tensor([0.1]))])
def test_numbers_of_the_wrong_kind_are_still_refused(check, value):
    with pytest.raises(ValueError, match=r"number must be .*, got .*"):
        check("number", value)


EXPLORERS = {"positions": (positions, {"query": 7, "temperature": 2.0, "head": 0, "image": 0}),
             "gates": (gates, {"image": 0, "variant": 1, "channel": 2, "place": 9, "force": -1}),
             "slots": (slots, {"image": 0, "memory": 1, "query": 7, "slot": 2}),
             "table": (table, {"x": 1, "y": 0, "sort": 1, "row": 1, "descending": False, "bound": 0.5})}


@pytest.mark.parametrize("numpy", [True, False])
@pytest.mark.parametrize("name", EXPLORERS)
def test_explorers(name, numpy):
    make, values = EXPLORERS[name]
    explorer = make()
    for trait, value in values.items():
        given = np.asarray(value)[()] if numpy else torch.tensor(value)
        setattr(explorer, trait, given.astype(np.float32) if numpy and isinstance(value, float) else given)
        assert getattr(explorer, trait) == value
        assert type(getattr(explorer, trait)) is type(value)


def test_explorers_constructors():
    weights = torch.tensor([0.1, 0.6, 0.3])
    assert positions(query=weights.argmax(), temperature=torch.tensor(2.0)).get_state(["query", "temperature"]) == {
        "query": 1, "temperature": 2.0}
    assert positions(query=(np.int64(1), torch.tensor(2))).query == 11
    assert table(sort=np.int8(1)).sort == 1


@pytest.mark.parametrize("number", [np.float32(0.5), torch.tensor(0.5), np.int64(1)])
def test_forced_gates(number):
    block, x = SEAttention(8, 2), torch.randn(2, 8, 3, 3)
    with force_gates(block, {"": number}):
        assert torch.equal(block(x), x * float(number))
