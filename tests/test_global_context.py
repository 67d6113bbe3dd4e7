"""GlobalContextBlock against Cao et al. (2019), in loops: one map, one context, added everywhere."""

import pytest
import torch
from by_hand import (
    DOUBLE,
    Weights,
    assert_differentiable,
    assert_same,
    layer_norm,
    linear,
    part,
    randomise,
    relu,
)
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor, nn

from attention_lite import GlobalContextBlock


def reference(x: Tensor, weights: Weights) -> tuple[dict[str, Tensor], Tensor]:
    """The paper's section on the block, a place at a time."""
    B, _, H, W = x.shape
    places = [x[:, :, i, j] for i in range(H) for j in range(W)]                             # each (B, C)
    kernel = part(weights, "W_k")
    e = [torch.exp(linear(p, kernel["weight"][:, :, 0, 0], kernel["bias"])) for p in places]             # (B, 1)
    a = [one / sum(e) for one in e]
    context = sum(weight * p for weight, p in zip(a, places, strict=True))                   # (B, C)
    hidden = relu(layer_norm(linear(context, **part(weights, "W_v1")), **part(weights, "norm")))
    brought = linear(hidden, **part(weights, "W_v2"))
    y = torch.stack([p + brought for p in places], dim=2).unflatten(2, (H, W))
    return {"context": torch.stack(a, dim=2).reshape(B, H, W)}, y


@settings(max_examples=25, deadline=None)
@given(batch=st.integers(1, 3), hidden=st.integers(2, 5), reduction=st.integers(1, 3), height=st.integers(1, 5),
       width=st.integers(1, 5), seed=st.integers(0, 2**16))
def test_forward_and_gradients_are_the_papers(batch, hidden, reduction, height, width, seed):
    block = randomise(GlobalContextBlock(hidden * reduction, reduction), seed)
    assert_same(block, reference, torch.randn(batch, hidden * reduction, height, width, dtype=DOUBLE))


def test_gradcheck():
    assert_differentiable(randomise(GlobalContextBlock(6, 2), 1), torch.randn(2, 6, 3, 2, dtype=DOUBLE))


def count(channel: int, reduction: int = 16) -> int:
    return sum(p.numel() for p in GlobalContextBlock(channel, reduction).parameters())


@pytest.mark.parametrize(("channel", "reduction"), [(512, 16), (48, 4), (8, 8), (6, 1)])
def test_parameter_counts(channel, reduction):
    hidden = channel // reduction
    assert count(channel, reduction) == (channel + 1) + 2 * channel * hidden + hidden + 2 * hidden + channel


def test_resnet_50_has_the_parameters_that_were_published():
    """28.08 M in the paper's table on ImageNet: a block in each of the last three stages' residual blocks."""
    total = 25_557_032 + 4 * count(512) + 6 * count(1024) + 3 * count(2048)
    assert total == 28_078_773


def test_without_its_last_layer_it_is_the_identity():
    """So it starts in the authors' code."""
    block, x = GlobalContextBlock(32), torch.randn(2, 32, 5, 4)
    for p in block.W_v2.parameters():
        nn.init.zeros_(p)
    assert torch.equal(block(x), x)


def test_all_places_get_the_same():
    block, x = randomise(GlobalContextBlock(8, 2), 0), torch.randn(2, 8, 4, 5, dtype=DOUBLE)
    brought = (block(x) - x).flatten(2)
    torch.testing.assert_close(brought, brought[:, :, :1].expand_as(brought))
    assert brought.abs().min() > 0


def test_with_even_weights_the_context_is_the_squeeze_of_se():
    block, x = randomise(GlobalContextBlock(8, 2), 0), torch.randn(2, 8, 4, 5, dtype=DOUBLE)
    nn.init.zeros_(block.W_k.weight)
    expected = block.W_v2(torch.relu(block.norm(block.W_v1(x.mean((2, 3))))))
    torch.testing.assert_close(block(x) - x, expected[:, :, None, None].expand_as(x))


def test_the_map_finds_the_place_that_its_kernel_looks_for():
    block = randomise(GlobalContextBlock(4, 2), 0)
    with torch.no_grad():
        block.W_k.weight.zero_()[0, 2] = 50.0
    x = torch.zeros(1, 4, 3, 3, dtype=DOUBLE)
    x[0, 2, 1, 2] = 1.0
    a = block.attention(x)["context"]
    assert a.shape == (1, 3, 3)
    assert a[0, 1, 2] > 0.999
