"""SimAM against Yang et al. (2021), in loops."""

import math

import pytest
import torch
from by_hand import DOUBLE, Weights, assert_differentiable, assert_same, sigmoid
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from attention_lite import SimAM


def reference(x: Tensor, weights: Weights, lam: float, fewer: int) -> tuple[dict[str, Tensor], Tensor]:
    """Equations 5 and 6, a place at a time. fewer: by how much the variance's divisor is less than the places."""
    assert not weights
    _, _, H, W = x.shape
    places = [(i, j) for i in range(H) for j in range(W)]
    m = sum(x[:, :, i, j] for i, j in places) / len(places)
    s2 = sum((x[:, :, i, j] - m) ** 2 for i, j in places) / (len(places) - fewer)
    energies = [4 * (s2 + lam) / ((x[:, :, i, j] - m) ** 2 + 2 * s2 + 2 * lam) for i, j in places]         # Eq. 5
    gates = torch.stack([sigmoid(1 / e) for e in energies], dim=2).unflatten(2, (H, W))                    # Eq. 6
    return {"channel_and_place": gates}, gates * x


@settings(max_examples=25, deadline=None)
@given(batch=st.integers(1, 3), channel=st.integers(1, 6), height=st.integers(1, 6), width=st.integers(2, 6),
       lam=st.sampled_from([1e-4, 0.1, 2.0]), published=st.booleans(), seed=st.integers(0, 2**16))
def test_forward_and_gradients_are_the_papers(batch, channel, height, width, lam, published, seed):
    torch.manual_seed(seed)
    x = torch.randn(batch, channel, height, width, dtype=DOUBLE)
    assert_same(SimAM(lam, published), lambda x, w: reference(x, w, lam, int(published)), x)


@pytest.mark.parametrize("published", [False, True])
def test_gradcheck(published):
    assert_differentiable(SimAM(published=published), torch.randn(2, 3, 3, 2, dtype=DOUBLE))


def test_nothing_is_learned_and_the_default_is_the_papers():
    assert not list(SimAM().parameters())
    assert SimAM().lam == 1e-4


def test_a_gate_is_that_of_its_distance_from_the_mean_to_either_side():
    x = torch.tensor([-3.0, -1.0, 1.0, 3.0], dtype=DOUBLE).reshape(1, 1, 2, 2)       # mean 0, variance 5
    gates = SimAM(1e-9).attention(x)["channel_and_place"].flatten()
    expected = [1 / (1 + math.exp(-(v * v / 20 + 0.5))) for v in (-3, -1, 1, 3)]
    torch.testing.assert_close(gates, torch.tensor(expected, dtype=DOUBLE), rtol=1e-8, atol=0)
    assert gates[0] == gates[3] > gates[1] == gates[2]


def test_a_constant_channel_has_the_smallest_gate_everywhere():
    gates = SimAM().attention(torch.full((1, 2, 4, 4), 7.0))["channel_and_place"]
    torch.testing.assert_close(gates, torch.full_like(gates, 1 / (1 + math.exp(-0.5))))


def test_channels_and_pictures_do_not_see_each_other_and_places_carry_no_order():
    x = torch.randn(2, 3, 4, 4, dtype=DOUBLE)
    changed = x.clone()
    changed[0, 1] += torch.randn(4, 4, dtype=DOUBLE)
    before, after = (SimAM().attention(t)["channel_and_place"] for t in (x, changed))
    same = torch.ones(2, 3, dtype=torch.bool)
    same[0, 1] = False
    assert torch.equal(before[same], after[same])
    assert not torch.allclose(before[0, 1], after[0, 1])
    order = torch.randperm(16)
    shuffled = SimAM().attention(x.flatten(2)[:, :, order].unflatten(2, (4, 4)))["channel_and_place"]
    torch.testing.assert_close(shuffled.flatten(2), before.flatten(2)[:, :, order])


def test_brighter_and_higher_contrast_pictures_get_the_same_gates():
    """But for lam: the distance is counted in standard deviations."""
    x = torch.randn(1, 2, 5, 5, dtype=DOUBLE)
    gates = SimAM(1e-12).attention(x)["channel_and_place"]
    torch.testing.assert_close(SimAM(1e-12).attention(3 * x + 2)["channel_and_place"], gates, rtol=1e-9, atol=0)
