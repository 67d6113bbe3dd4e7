"""CoordinateAttention against Hou et al. (2021), in loops: rows, columns, and what a product of the two cannot do."""

import math

import pytest
import torch
from by_hand import (
    DOUBLE,
    Weights,
    assert_differentiable,
    assert_same,
    batch_norm,
    linear,
    part,
    randomise,
    relu,
    sigmoid,
)
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor, nn

from attention_lite import CoordinateAttention


def hard_swish(u: Tensor) -> Tensor:
    clipped = relu(u + 3) - relu(u - 3)                           # from 0 to 6
    return u * clipped / 6


def reference(x: Tensor, weights: Weights, training: bool) -> tuple[dict[str, Tensor], Tensor]:
    """Equations 4 to 9, a row and a column at a time, with the layers of the authors' code."""
    _, _, H, W = x.shape

    def one_by_one(z: Tensor, layer: str) -> Tensor:
        own = part(weights, layer)
        return linear(z, own["weight"][..., 0], own["bias"])

    rows = [sum(x[:, :, i, j] for j in range(W)) / W for i in range(H)]                      # Eq. 4: each (B, C)
    columns = [sum(x[:, :, i, j] for i in range(H)) / H for j in range(W)]                   # Eq. 5
    hidden = torch.stack([one_by_one(z, "F1") for z in rows + columns], dim=2)               # Eq. 6: (B, C/r, H + W)
    f = hard_swish(batch_norm(hidden[..., None], **part(weights, "norm"), training=training)[..., 0])
    g_h = torch.stack([sigmoid(one_by_one(f[:, :, i], "F_h")) for i in range(H)], dim=2)     # Eq. 7
    g_w = torch.stack([sigmoid(one_by_one(f[:, :, H + j], "F_w")) for j in range(W)], dim=2)     # Eq. 8
    return {"rows": g_h, "columns": g_w}, torch.einsum("bchw,bch,bcw->bchw", x, g_h, g_w)    # Eq. 9


@settings(max_examples=25, deadline=None)
@given(batch=st.integers(1, 3), channel=st.integers(1, 12), reduction=st.integers(1, 3), height=st.integers(1, 6),
       width=st.integers(1, 6), training=st.booleans(), seed=st.integers(0, 2**16))
def test_forward_and_gradients_are_the_papers(batch, channel, reduction, height, width, training, seed):
    block = randomise(CoordinateAttention(channel, reduction), seed).train(training)
    assert_same(block, lambda x, w: reference(x, w, training),
                torch.randn(batch, channel, height, width, dtype=DOUBLE))


@pytest.mark.parametrize("training", [False, True])
def test_gradcheck(training):
    block = randomise(CoordinateAttention(4, 2), 1).train(training)
    assert_differentiable(block, torch.randn(2, 4, 3, 2, dtype=DOUBLE))


def count(channel: int, reduction: int = 32) -> int:
    return sum(p.numel() for p in CoordinateAttention(channel, reduction).parameters())


@pytest.mark.parametrize(("channel", "reduction", "hidden"), [(512, 32, 16), (960, 32, 30), (144, 32, 8), (10, 3, 8),
                                                              (100, 8, 12), (5, 1, 8)])
def test_parameter_counts(channel, reduction, hidden):
    weights, biases, norm = 3 * channel * hidden, hidden + 2 * channel, 2 * hidden
    assert count(channel, reduction) == weights + biases + norm


def test_mobilenet_v2_has_the_parameters_that_were_published():
    """3.95 M in the paper and in the authors' README; 3.5 M without. Their code has a block in all 17 but the first."""
    total = 3_504_872                                             # MobileNetV2; then a block on each expanded map
    for C, blocks in [(96, 1), (144, 2), (192, 3), (384, 4), (576, 3), (960, 3)]:
        total += blocks * count(C)
    assert total == 3_950_648


def test_defaults_are_the_papers():
    block = CoordinateAttention()
    assert [tuple(p.shape) for p in block.parameters()] == [
        (16, 512, 1), (16,), (16,), (16,), (512, 16, 1), (512,), (512, 16, 1), (512,)]


@settings(max_examples=25, deadline=None)
@given(scale=st.floats(1e-3, 5), seed=st.integers(0, 2**16))
def test_gates_lie_strictly_between_zero_and_one(scale, seed):
    torch.manual_seed(seed)
    block = CoordinateAttention(8).double()
    maps = block.attention(scale * torch.randn(3, 8, 4, 5, dtype=DOUBLE))
    assert {name: tuple(m.shape) for name, m in maps.items()} == {"rows": (3, 8, 4), "columns": (3, 8, 5)}
    for m in maps.values():
        assert ((m > 0) & (m < 1)).all()


@pytest.mark.parametrize("training", [False, True])
def test_forward_applies_exactly_the_gates_that_attention_returns(training):
    torch.manual_seed(0)
    block, x = CoordinateAttention(16).train(training), torch.randn(2, 16, 5, 3)
    maps = block.attention(x)
    assert torch.equal(block(x), x * maps["rows"][:, :, :, None] * maps["columns"][:, :, None, :])


def test_neutral_gates():
    block, x = CoordinateAttention(8).double(), torch.randn(2, 8, 3, 4, dtype=DOUBLE)
    for layer in (block.F_h, block.F_w):
        nn.init.zeros_(layer.weight)
        nn.init.zeros_(layer.bias)
    torch.testing.assert_close(block(x), x / 4, rtol=0, atol=0)   # sigmoid(0), twice
    for layer in (block.F_h, block.F_w):
        nn.init.constant_(layer.bias, 50.0)
    torch.testing.assert_close(block(x), x, rtol=0, atol=1e-15)   # open gates change nothing: no residual inside


def test_a_row_s_gate_sees_its_own_row_alone():
    """After training: 1 × 1 convolutions bring nothing from one row to another. So for the columns."""
    block, x = randomise(CoordinateAttention(8), 0).eval(), torch.randn(1, 8, 6, 5, dtype=DOUBLE)
    before, changed = block.attention(x), x.clone()
    changed[:, :, 2, 3] += 5
    after = block.attention(changed)
    for name, line in (("rows", 2), ("columns", 3)):
        moved = (before[name] - after[name]).abs().amax((0, 1)) > 1e-9
        assert moved.nonzero().flatten().tolist() == [line]


def test_within_a_row_places_may_be_shuffled():
    """A row's mean does not tell where in the row a thing stands: the columns tell it."""
    block, x = randomise(CoordinateAttention(8), 0).eval(), torch.randn(1, 8, 6, 5, dtype=DOUBLE)
    rows, columns = block.attention(x).values()
    other_rows, other_columns = block.attention(x[..., [3, 0, 4, 1, 2]]).values()
    torch.testing.assert_close(other_rows, rows, rtol=0, atol=1e-12)
    torch.testing.assert_close(other_columns, columns[..., [3, 0, 4, 1, 2]], rtol=0, atol=1e-12)


def test_a_map_turned_over_exchanges_rows_and_columns_with_their_layers():
    block, x = randomise(CoordinateAttention(8), 0).eval(), torch.randn(2, 8, 6, 5, dtype=DOUBLE)
    y = block(x)
    block.F_h, block.F_w = block.F_w, block.F_h
    torch.testing.assert_close(block(x.mT).mT, y, rtol=0, atol=1e-12)


def test_each_image_of_a_batch_is_on_its_own_and_eval_is_deterministic():
    block, x = randomise(CoordinateAttention(8), 0).eval(), torch.randn(3, 8, 4, 5, dtype=DOUBLE)
    y = block(x)
    assert torch.equal(block(x), y)
    for i in range(3):
        torch.testing.assert_close(y[i:i + 1], block(x[i:i + 1]), rtol=0, atol=1e-12)


@pytest.mark.parametrize("bad", [math.nan, math.inf, -math.inf])
def test_what_is_not_finite_stays_visible_in_its_own_row_and_column_of_its_own_image(bad):
    block, x = randomise(CoordinateAttention(8), 0).eval(), torch.randn(2, 8, 4, 4, dtype=DOUBLE)
    good = block(x)
    x[0, 3, 1, 2] = bad
    y = block(x)
    assert not torch.isfinite(y[0, 3, 1, 2])
    if math.isnan(bad):
        assert torch.isnan(y[0, :, 1]).all()
        assert torch.isnan(y[0, :, :, 2]).all()
    torch.testing.assert_close(y[1], good[1], rtol=0, atol=1e-12)
