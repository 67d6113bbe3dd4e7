"""ECAAttention against Wang et al. (2020), tap by tap, and the size of its kernel against exact arithmetic."""

import math
from fractions import Fraction

import pytest
import torch
from by_hand import (
    DOUBLE,
    Weights,
    assert_differentiable,
    assert_same,
    mean_over_places,
    randomise,
    shuffle_places,
    sigmoid,
)
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor, nn

from attention_lite import ECAAttention
from attention_lite.eca import adaptive_kernel_size


def reference(x: Tensor, weights: Weights) -> tuple[dict[str, Tensor], Tensor]:
    """Section 3.2.2: each channel's gate from the k channels around it, one kernel for all channels."""
    z, taps = mean_over_places(x), weights["conv.weight"][0, 0]
    C, k = z.shape[1], len(taps)
    gates = []
    for c in range(C):
        u = torch.zeros_like(z[:, 0])
        for j in range(k):
            neighbour = c + j - (k - 1) // 2
            if 0 <= neighbour < C:                                # beyond both ends there is nothing
                u = u + taps[j] * z[:, neighbour]
        gates.append(sigmoid(u))
    s = torch.stack(gates, dim=1)
    return {"channel": s}, torch.einsum("bc,bchw->bchw", s, x)


def nearest_odd(channel: int, gamma: Fraction, b: Fraction) -> int:
    """The smallest odd k with (log2 C + b) / gamma < k + 1, in whole numbers: C^q 2^(bq) < 2^(gamma (k + 1) q)."""
    q = math.lcm(gamma.denominator, b.denominator)
    k = 1
    while channel ** q * 2 ** int(b * q) >= 2 ** int(gamma * (k + 1) * q):
        k += 2
    return k


@settings(max_examples=25, deadline=None)
@given(batch=st.integers(1, 3), channel=st.integers(1, 9), k=st.sampled_from([1, 3, 5, 7, 9]),
       height=st.integers(1, 4), width=st.integers(1, 4), training=st.booleans(), seed=st.integers(0, 2**16))
def test_forward_and_gradients_are_the_papers(batch, channel, k, height, width, training, seed):
    eca = randomise(ECAAttention(channel, k), seed).train(training)
    assert_same(eca, reference, torch.randn(batch, channel, height, width, dtype=DOUBLE))


@pytest.mark.parametrize(("channel", "k"), [(5, 3), (2, 5), (4, 1)])
def test_gradcheck(channel, k):
    assert_differentiable(randomise(ECAAttention(channel, k), 0), torch.randn(2, channel, 3, 2, dtype=DOUBLE))


def test_kernel_sizes_of_the_usual_widths():
    sizes = {1: 1, 7: 1, 8: 3, 64: 3, 127: 3, 128: 5, 256: 5, 512: 5, 1024: 5, 2047: 5, 2048: 7}
    assert {channel: adaptive_kernel_size(channel) for channel in sizes} == sizes


@pytest.mark.parametrize(("gamma", "b"), [(2, 1), (1, 0), (1, 3), (3, 1), (0.5, 1), (1.5, 0.5), (2, 0), (8, 0.25)])
def test_kernel_size_is_the_nearest_odd_number_and_a_tie_goes_up(gamma, b):
    exact = [nearest_odd(channel, Fraction(gamma), Fraction(b)) for channel in range(1, 4097)]
    assert [adaptive_kernel_size(channel, gamma, b) for channel in range(1, 4097)] == exact


@settings(max_examples=25, deadline=None)
@given(channel=st.integers(1, 4096), gamma=st.integers(1, 8), b=st.integers(0, 8))
def test_kernel_size_with_other_constants(channel, gamma, b):
    assert adaptive_kernel_size(channel, gamma, b) == nearest_odd(channel, Fraction(gamma), Fraction(b))


def test_parameters_are_the_k_weights_of_one_kernel():
    for channel in (4, 64, 512, 2048):
        (kernel,) = ECAAttention(channel).parameters()
        assert kernel.numel() == adaptive_kernel_size(channel)
    assert sum(p.numel() for p in ECAAttention(512, kernel_size=9).parameters()) == 9      # above the formula
    assert sum(p.numel() for p in ECAAttention(kernel_size=3).parameters()) == 3
    blocks = {256: 3, 512: 4, 1024: 6, 2048: 3}                   # of ResNet-50, a stage each
    assert sum(n * p.numel() for c, n in blocks.items() for p in ECAAttention(c).parameters()) == 86
    by_the_authors = zip(blocks.values(), (3, 5, 5, 7), strict=True)
    assert sum(n * p.numel() for n, k in by_the_authors for p in ECAAttention(kernel_size=k).parameters()) == 80


def test_without_channel_the_map_may_have_any_number_of_channels():
    eca = ECAAttention(kernel_size=5)
    for channel in (1, 3, 64):
        assert eca(torch.randn(2, channel, 3, 3)).shape == (2, channel, 3, 3)


@settings(max_examples=25, deadline=None)
@given(scale=st.floats(1e-3, 10), seed=st.integers(0, 2**16))
def test_gates_lie_strictly_between_zero_and_one(scale, seed):
    eca = randomise(ECAAttention(8), seed)
    gates = eca.attention(scale * torch.randn(3, 8, 4, 4, dtype=DOUBLE))["channel"]
    assert gates.shape == (3, 8)
    assert ((gates > 0) & (gates < 1)).all()


def test_forward_applies_exactly_the_gates_that_attention_returns():
    torch.manual_seed(0)
    eca, x = ECAAttention(16), torch.randn(2, 16, 5, 3)
    assert torch.equal(eca(x), x * eca.attention(x)["channel"][:, :, None, None])


def test_neutral_gates():
    torch.manual_seed(0)
    eca, x = ECAAttention(kernel_size=3).double(), 0.1 + torch.rand(2, 8, 3, 3, dtype=DOUBLE)
    nn.init.zeros_(eca.conv.weight)
    torch.testing.assert_close(eca(x), x / 2, rtol=0, atol=0)        # sigmoid(0)
    nn.init.constant_(eca.conv.weight, 1e4)                          # no bias: a positive map opens every gate
    torch.testing.assert_close(eca(x), x, rtol=0, atol=1e-15)
    nn.init.constant_(eca.conv.weight, -1e4)
    torch.testing.assert_close(eca(x), torch.zeros_like(x), rtol=0, atol=1e-15)


@pytest.mark.parametrize("k", [1, 3, 5, 9])
def test_a_gate_sees_its_own_channel_and_k_minus_1_neighbours(k):
    eca, x = randomise(ECAAttention(kernel_size=k), 0), torch.randn(1, 12, 3, 3, dtype=DOUBLE)
    reach = torch.autograd.functional.jacobian(lambda x: eca.attention(x)["channel"][0], x)[:, 0].abs().sum((2, 3)) > 0
    c = torch.arange(12)
    assert torch.equal(reach, (c[:, None] - c).abs() <= k // 2)


def test_places_may_be_shuffled_and_channels_only_with_k_1():
    x = torch.randn(2, 8, 4, 5, dtype=DOUBLE, generator=torch.Generator().manual_seed(0))
    wide, alone = randomise(ECAAttention(kernel_size=3), 0), randomise(ECAAttention(kernel_size=1), 0)
    places, channels = torch.randperm(20), torch.tensor([3, 0, 7, 1, 6, 2, 5, 4])
    for eca in (wide, alone):
        torch.testing.assert_close(eca(shuffle_places(x, places)), shuffle_places(eca(x), places), rtol=0, atol=1e-12)
    torch.testing.assert_close(alone(x[:, channels]), alone(x)[:, channels], rtol=0, atol=1e-12)
    assert not torch.allclose(wide(x[:, channels]), wide(x)[:, channels], atol=1e-3)


def test_each_image_of_a_batch_is_on_its_own_and_eval_is_deterministic():
    eca, x = randomise(ECAAttention(8), 0).eval(), torch.randn(3, 8, 4, 4, dtype=DOUBLE)
    y = eca(x)
    assert torch.equal(eca(x), y)
    for i in range(3):
        torch.testing.assert_close(y[i:i + 1], eca(x[i:i + 1]), rtol=0, atol=1e-12)


@pytest.mark.parametrize("bad", [math.nan, math.inf, -math.inf])
def test_what_is_not_finite_stays_visible_in_its_own_image_only(bad):
    eca, x = randomise(ECAAttention(8), 0), torch.randn(2, 8, 4, 4, dtype=DOUBLE)
    good = eca(x)
    x[0, 3, 1, 2] = bad
    y = eca(x)
    assert not torch.isfinite(y[0, 3, 1, 2])
    if math.isnan(bad):
        assert torch.isnan(y[0, 2:5]).all()                       # and in every gate that sees it: k = 3
    torch.testing.assert_close(y[1], good[1], rtol=0, atol=1e-12)
