"""Blocks whose layers people have changed: quantised, wrapped, replaced, traced. They run right, or refuse in words."""

import copy
import re

import pytest
import torch
from test_every_block import DOUBLE, Case, built, every_block, inputs
from torch import Tensor, nn
from torch.ao.quantization import quantize_dynamic

from attention_lite import (
    EMSA,
    AttentionBlock,
    BAMBlock,
    ChannelAttentionModule,
    ScaledDotProductAttention,
    SEAttention,
    SimAM,
    SKAttention,
)
from attention_lite.published import ATTENTION, ResNet, ResT


class Wrapper(nn.Module):
    """A layer inside another that has no weight of its own, as adapters (LoRA) build it."""

    def __init__(self, base: nn.Module) -> None:
        super().__init__()
        self.base = base

    def forward(self, x: Tensor) -> Tensor:
        return self.base(x)


class Host(nn.Module):
    """A network around a block: torch.fx gives it what the block gets, and the block's defaults stay its own."""

    def __init__(self, block: nn.Module) -> None:
        super().__init__()
        self.block = block

    def forward(self, x: Tensor) -> Tensor:
        return self.block(x)


class CrossHost(Host):
    def forward(self, queries: Tensor, keys: Tensor, values: Tensor) -> Tensor:
        return self.block(queries, keys, values)


def replace_layers(module: nn.Module, kinds: tuple[type, ...], by) -> int:
    """Replace each layer of these kinds inside `module`, and return how many there were."""
    found = [(parent, name, child) for parent in module.modules() for name, child in parent.named_children()
             if isinstance(child, kinds)]
    for parent, name, child in found:
        setattr(parent, name, by(child))
    return len(found)


@pytest.mark.filterwarnings("ignore:.*quantize_per_tensor", "ignore::DeprecationWarning")
@every_block
def test_quantised_linear_layers(case):
    block, x = built(case).eval(), inputs(case)
    quantised = quantize_dynamic(block, {nn.Linear})
    assert any(isinstance(m, nn.Linear) for m in block.modules()) == any("quantized" in type(m).__module__
                                                                         for m in quantised.modules())
    torch.testing.assert_close(quantised(*x), block(*x), rtol=0.1, atol=0.2)
    for A, B in zip(quantised.attention(*x).values(), block.attention(*x).values(), strict=True):
        assert A.shape == B.shape


@every_block
@pytest.mark.parametrize("by", [Wrapper, nn.Sequential])
def test_layers_inside_other_modules(case, by):
    block, x = built(case).eval(), inputs(case)
    twin = copy.deepcopy(block)
    layers = replace_layers(twin, (nn.Linear, nn.Conv2d, nn.Conv1d), by)
    assert (layers == 0) == isinstance(block, (ChannelAttentionModule, SimAM))      # the blocks without layers
    torch.testing.assert_close(twin(*x), block(*x), rtol=0, atol=0)
    for A, B in zip(twin.attention(*x).values(), block.attention(*x).values(), strict=True):
        torch.testing.assert_close(A, B, rtol=0, atol=0)


@every_block
def test_weights_stored_in_fewer_bits_and_cast_before_use(case):
    class Cast(nn.Linear):
        def forward(self, x: Tensor) -> Tensor:
            return nn.functional.linear(x, self.weight.to(x.dtype), self.bias)

    block, x = built(case).eval(), inputs(case)
    for layer in [m for m in block.modules() if isinstance(m, nn.Linear)]:
        layer.__class__ = Cast
        layer.weight.requires_grad_(False)
        layer.weight.data = layer.weight.to(torch.float8_e4m3fn)
    assert torch.isfinite(block(*x)).all()


def traced(block: AttentionBlock, case: Case) -> torch.fx.GraphModule:
    return torch.fx.symbolic_trace((CrossHost if len(case.shapes) > 1 else Host)(block))


@every_block
@pytest.mark.parametrize("train", [False, True])
def test_symbolic_trace(case, train):
    block, x = built(case).train(train), inputs(case)
    if train and isinstance(block, (BAMBlock, SKAttention)):
        with pytest.raises(ValueError, match=re.escape("after model.eval()")):
            traced(block, case)
        return
    program = traced(copy.deepcopy(block), case)
    larger = [torch.cat([t, t.flip(0)]) for t in x]
    for given in (x, larger):
        torch.testing.assert_close(program(*given), block(*given))


def test_symbolic_trace_with_masks():
    class Padded(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.block = ScaledDotProductAttention(16, h=4)

        def forward(self, x: Tensor, mask: Tensor, key_mask: Tensor) -> Tensor:
            return self.block(x, mask=mask, key_mask=key_mask)

    torch.manual_seed(0)
    model = Padded()
    x, mask, there = torch.randn(3, 5, 16), torch.ones(5, 5, dtype=torch.bool).tril(), torch.rand(3, 5) > 0.3
    torch.testing.assert_close(torch.fx.symbolic_trace(model)(x, mask, there), model(x, mask, there))


def test_a_trace_still_checks_the_tokens_of_a_map():
    program = torch.fx.symbolic_trace(Host(EMSA(8, h=2, ratio=2)))
    assert program(torch.zeros(1, 25, 8)).shape == (1, 25, 8)
    with pytest.raises(ValueError, match="a square number of tokens unless H and W are given, got 5"):
        program(torch.zeros(1, 5, 8))


@pytest.mark.parametrize("attention", [*ATTENTION, "ResT"])
def test_published_networks_are_traced(attention):
    with torch.device("meta"):
        network = (ResT() if attention == "ResT" else ResNet(50, attention, published=True)).eval()
    program = torch.fx.symbolic_trace(network)
    assert program(torch.empty(2, 3, 224, 224, device="meta")).shape == (2, 1000)


@every_block
@pytest.mark.parametrize("weights", [torch.float32, DOUBLE])
def test_float64_under_autocast_is_refused_in_words(case, weights):
    block = built(case).eval().to(weights)
    other = {torch.float32: DOUBLE, DOUBLE: torch.float32}[weights]
    if not block.state_dict():                    # no weights: any float will do
        with torch.autocast("cpu", torch.bfloat16):
            assert block(*inputs(case, other)).dtype == other
        return
    message = f"must have the dtype of the block's weights, {weights}, got {other}: autocast casts no float64"
    with torch.autocast("cpu", torch.bfloat16):
        for way in (block, block.attention):
            with pytest.raises(ValueError, match=re.escape(message)):
                way(*inputs(case, other))


def test_layers_that_can_be_compared_still_are():
    se = SEAttention(8, 2)
    se.W1 = nn.Linear(8, 4, dtype=DOUBLE)
    with pytest.raises(ValueError, match=r"the dtype of the block's weights, torch\.float64, got torch\.float32"):
        se(torch.zeros(1, 8, 2, 2))
