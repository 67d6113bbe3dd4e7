"""Half precision with large inputs: nothing overflows on the way, and the map is the one that made the output."""

import pytest
import torch
from test_every_block import CASES, Case, built, every_block, inputs
from torch import Tensor, nn

from attention_lite import (
    EMSA,
    AttentionBlock,
    ChannelAttentionModule,
    ExternalAttention,
    PositionAttentionModule,
    ScaledDotProductAttention,
)

HALF = [torch.float16, torch.bfloat16]
half = pytest.mark.parametrize("dtype", HALF)


def large(case: Case) -> list[Tensor]:
    """Numbers of a few hundred, whose products and sums of products exceed float16's largest number, 65504."""
    return [300 * t for t in inputs(case)]


def assert_sound(case: Case, y: Tensor, maps: dict[str, Tensor]) -> None:
    assert torch.isfinite(y).all()
    for name, expected in case.maps.items():
        A = maps[name].double()
        assert torch.isfinite(A).all()
        assert A.min() >= expected.low
        assert A.max() <= expected.high
        if expected.axis is not None:
            sums, sizes = A.sum(expected.axis), A.abs().sum(expected.axis)
            assert ((sums - expected.total).abs() <= 0.01 * sizes).all()


@half
@every_block
def test_large_inputs_to_a_block_of_half_precision(case, dtype):
    block, x = built(case).eval().to(dtype), [t.to(dtype) for t in large(case)]
    y, maps = block(*x), block.attention(*x)
    assert {y.dtype, *(A.dtype for A in maps.values())} == {dtype}
    assert_sound(case, y, maps)


@half
@every_block
def test_large_inputs_under_autocast(case, dtype):
    block, x = built(case).eval(), large(case)
    with torch.autocast("cpu", dtype):
        y, maps = block(*x), block.attention(*x)
    assert_sound(case, y, maps)


@half
def test_wide_heads(dtype):
    torch.manual_seed(0)
    sa, x = ScaledDotProductAttention(64, h=1).to(dtype), (300 * torch.randn(2, 50, 64)).to(dtype)
    A = sa.attention(x)["position"]
    torch.testing.assert_close(sa.W_O((A @ sa.W_V(x)[:, None])[:, 0]), sa(x), rtol=0.02, atol=2)


@half
def test_many_places_of_few_channels(dtype):
    """Here the sum over the places, not a single product, is too large: 4² · 4096 > 65504."""
    torch.manual_seed(0)
    block, x = ChannelAttentionModule(), 4 * torch.randn(1, 16, 64, 64)
    expected = block.attention(x)["channel_to_channel"]
    torch.testing.assert_close(block.to(dtype).attention(x.to(dtype))["channel_to_channel"].float(), expected)
    assert torch.equal(block(x.to(dtype)), x.to(dtype))                                # beta is 0
    with torch.autocast("cpu", dtype):
        torch.testing.assert_close(block.float().attention(x)["channel_to_channel"].float(), expected)
        assert torch.equal(block(x), x)


def read_by_hand(block: AttentionBlock, x: list[Tensor], A: Tensor) -> Tensor:
    """The output that belongs to the map A, with the block's own layers."""
    if isinstance(block, ExternalAttention):
        return block.W_O(block.M_v(A).transpose(1, 2).flatten(2))
    if isinstance(block, PositionAttentionModule):
        read = A[:, 0] @ block.D(x[0].flatten(2).transpose(1, 2))
        return x[0] + block.alpha * read.transpose(1, 2).unflatten(2, x[0].shape[2:])
    if isinstance(block, ChannelAttentionModule):
        return x[0] + block.beta * (A @ x[0].flatten(2)).view_as(x[0])
    values = x[-1]
    if isinstance(block, EMSA) and block.shrink is not None:
        values = block.norm(block.shrink(values.transpose(1, 2).unflatten(2, (3, 3))).flatten(2).transpose(1, 2))
    V = block.W_V(values).unflatten(-1, (block.h, -1)).transpose(1, 2)
    return block.W_O((A @ V).transpose(1, 2).flatten(2))


ONE_MAP = {name: case for name, case in CASES.items() if isinstance(case.build(), (
    EMSA, ChannelAttentionModule, ExternalAttention, PositionAttentionModule, ScaledDotProductAttention))}


@half
@pytest.mark.parametrize("case", ONE_MAP.values(), ids=ONE_MAP)
def test_the_map_is_the_one_that_the_output_was_made_with(case, dtype):
    block, x = built(case).eval().to(dtype), [t.to(dtype) for t in large(case)]
    (A,), y = block.attention(*x).values(), block(*x)
    torch.testing.assert_close(read_by_hand(block, x, A), y, rtol=0.02, atol=0.01 * y.abs().max().item())


def test_half_precision_agrees_with_single_for_ordinary_inputs():
    """What is computed in float32 inside is rounded once, at the end: the maps keep float16's three digits."""
    for case in ONE_MAP.values():
        block, x = built(case).eval().half(), [t.half() for t in inputs(case)]
        low, = block.attention(*x).values()
        exact, = block.float().attention(*(t.float() for t in x)).values()
        torch.testing.assert_close(low.float(), exact, rtol=0.01, atol=0.01 * exact.abs().max().item())


def test_a_layer_in_the_place_of_the_mix_is_applied_in_float32_too():
    class Twice(nn.Module):
        def __init__(self, layer: nn.Module) -> None:
            super().__init__()
            self.layer = layer

        def forward(self, x: Tensor) -> Tensor:
            assert x.dtype == torch.float32
            return 2 * self.layer(x)

    torch.manual_seed(0)
    block, x = EMSA(16, h=4).half(), torch.randn(2, 9, 16).half()
    plain = block(x)
    block.mix = Twice(block.mix)
    assert not torch.equal(block(x), plain)


@pytest.mark.parametrize("dtype", [torch.float32, *HALF])
@every_block
def test_on_the_meta_device(case, dtype):
    """Where there are shapes and no numbers, as counting needs it; torch has no autocast there."""
    block, x = built(case).eval().to("meta", dtype), [t.to("meta", dtype) for t in inputs(case)]
    assert block(*x).is_meta
    assert [A.shape for A in block.attention(*x).values()] == [m.shape for m in case.maps.values()]
