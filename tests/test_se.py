"""SEAttention against Hu et al. (2018), in plain loops."""

import math

import pytest
import torch
import torch.nn.functional as F
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor, nn

from attention_lite import SEAttention
from attention_lite.networks.text_detector import steep_sigmoid

DOUBLE = torch.float64


def reference(x: Tensor, W1: Tensor, W2: Tensor, b1: Tensor | None = None,
              b2: Tensor | None = None) -> tuple[Tensor, Tensor]:
    """Equations 2 to 4 of the paper, number by number: gates (B, C) and output (B, C, H, W)."""
    B, C, H, W = x.shape
    hidden = W1.shape[0]
    gates, images = [], []
    for b in range(B):
        z = []
        for c in range(C):                                        # Eq. 2: u_c averaged over H × W
            total = x.new_zeros(())
            for i in range(H):
                for j in range(W):
                    total = total + x[b, c, i, j]
            z.append(total / (H * W))
        delta = []
        for k in range(hidden):                                   # Eq. 3: W1, then ReLU
            u = sum(W1[k, c] * z[c] for c in range(C)) + (0 if b1 is None else b1[k])
            delta.append(u if u > 0 else u * 0)
        s = []
        for c in range(C):                                        # Eq. 3: W2, then the logistic function
            u = sum(W2[c, k] * delta[k] for k in range(hidden)) + (0 if b2 is None else b2[c])
            s.append(1 / (1 + torch.exp(-u)))
        gates.append(torch.stack(s))
        images.append(torch.stack([s[c] * x[b, c] for c in range(C)]))      # Eq. 4
    return torch.stack(gates), torch.stack(images)


def with_copies(channel: int, reduction: int, bias: bool, seed: int) -> tuple[SEAttention, list[Tensor]]:
    """A block in float64, and leaf copies of its weights in the order that `reference` takes them."""
    torch.manual_seed(seed)
    se = SEAttention(channel, reduction, bias).double()
    weights = [se.W1.weight, se.W2.weight] + ([se.W1.bias, se.W2.bias] if bias else [])
    return se, [w.detach().clone().requires_grad_() for w in weights]


@settings(max_examples=25, deadline=None)
@given(batch=st.integers(1, 3), hidden=st.integers(1, 3), reduction=st.integers(1, 4),
       height=st.integers(1, 4), width=st.integers(1, 4), bias=st.booleans(), seed=st.integers(0, 2**16))
def test_forward_and_gradients_are_the_papers(batch, hidden, reduction, height, width, bias, seed):
    se, copies = with_copies(hidden * reduction, reduction, bias, seed)
    x = torch.randn(batch, hidden * reduction, height, width, dtype=DOUBLE, requires_grad=True)
    x_copy = x.detach().clone().requires_grad_()
    upstream = torch.randn(x.shape, dtype=DOUBLE)

    gates, expected = reference(x_copy, *copies)
    y = se(x)
    torch.testing.assert_close(y, expected, rtol=0, atol=1e-10)
    torch.testing.assert_close(se.attention(x)["channel"], gates, rtol=0, atol=1e-10)

    (y * upstream).sum().backward()
    (expected * upstream).sum().backward()
    weights = [se.W1.weight, se.W2.weight] + ([se.W1.bias, se.W2.bias] if bias else [])
    for ours, theirs in zip([x, *weights], [x_copy, *copies], strict=True):
        torch.testing.assert_close(ours.grad, theirs.grad, rtol=0, atol=1e-10)


@pytest.mark.parametrize("bias", [False, True])
def test_gradcheck(bias):
    torch.manual_seed(0)
    se = SEAttention(4, 2, bias).double()
    x = torch.randn(2, 4, 3, 2, dtype=DOUBLE, requires_grad=True)
    assert torch.autograd.gradcheck(se, (x,))
    names, weights = zip(*se.named_parameters(), strict=True)
    assert torch.autograd.gradcheck(
        lambda *w: torch.func.functional_call(se, dict(zip(names, w, strict=True)), (x,)), weights)


@pytest.mark.parametrize("slope", [1 / 6, 1 / 5])
def test_another_sigmoid_gives_the_same_gates_through_it(slope):
    def hard(t: Tensor) -> Tensor:
        return torch.stack([min(max(slope * value + 0.5, t.new_zeros(())), t.new_ones(())) for value in t.flatten()]
                           ).view(t.shape)

    torch.manual_seed(0)
    se = SEAttention(8, 2, bias=True, sigmoid=F.hardsigmoid if slope == 1 / 6 else steep_sigmoid).double()
    x = 20 * torch.randn(50, 8, 2, 2, dtype=DOUBLE)
    logits = torch.logit(reference(x, se.W1.weight, se.W2.weight, se.W1.bias, se.W2.bias)[0])
    gates = se.attention(x)["channel"]
    torch.testing.assert_close(gates, hard(logits), rtol=0, atol=1e-9)
    assert (gates == 0).any()
    assert (gates == 1).any()
    assert torch.equal(se(x), x * gates[:, :, None, None])


def test_parameters_are_the_papers_two_matrices():
    assert [tuple(p.shape) for p in SEAttention(64).parameters()] == [(4, 64), (64, 4)]   # r = 16, no biases
    with_biases = sum(p.numel() for p in SEAttention(512, 8, bias=True).parameters())
    assert set(SEAttention(8, 2, bias=True).state_dict()) == {"W1.weight", "W1.bias", "W2.weight", "W2.bias"}
    assert with_biases == 2 * 512**2 // 8 + 512 // 8 + 512


@settings(max_examples=25, deadline=None)
@given(scale=st.floats(1e-3, 10), seed=st.integers(0, 2**16))
def test_gates_lie_strictly_between_zero_and_one(scale, seed):
    torch.manual_seed(seed)
    gates = SEAttention(8, 2).double().attention(scale * torch.randn(3, 8, 4, 4, dtype=DOUBLE))["channel"]
    assert gates.shape == (3, 8)
    assert ((gates > 0) & (gates < 1)).all()


def test_forward_applies_exactly_the_gates_that_attention_returns():
    se, x = SEAttention(16, 4), torch.randn(2, 16, 5, 3)
    assert torch.equal(se(x), x * se.attention(x)["channel"][:, :, None, None])


def test_neutral_gates():
    x = torch.randn(2, 8, 3, 3, dtype=DOUBLE)
    half, one = SEAttention(8, 2).double(), SEAttention(8, 2, bias=True).double()
    for p in [*half.parameters(), *one.parameters()]:
        nn.init.zeros_(p)
    torch.testing.assert_close(half(x), x / 2, rtol=0, atol=0)       # sigmoid(0)
    nn.init.constant_(one.W2.bias, 50.0)
    torch.testing.assert_close(one(x), x, rtol=0, atol=1e-15)        # an open gate changes nothing


def test_places_may_be_shuffled_and_channels_may_not():
    torch.manual_seed(0)
    se, x = SEAttention(8, 2).double(), torch.randn(2, 8, 4, 4, dtype=DOUBLE)
    places, channels = torch.randperm(16), torch.randperm(8)

    def shuffled(t: Tensor) -> Tensor:
        return t.flatten(2)[:, :, places].unflatten(2, (4, 4))

    torch.testing.assert_close(se(shuffled(x)), shuffled(se(x)), rtol=0, atol=1e-12)
    assert not torch.allclose(se(x[:, channels]), se(x)[:, channels], atol=1e-3)


def test_each_image_of_a_batch_is_on_its_own():
    se, x = SEAttention(8, 2).double(), torch.randn(3, 8, 4, 4, dtype=DOUBLE)
    for i in range(3):
        torch.testing.assert_close(se(x)[i:i + 1], se(x[i:i + 1]), rtol=0, atol=1e-12)


@pytest.mark.parametrize("shape", [(1, 8, 1, 1), (1, 8, 7, 3)])
def test_maps_of_any_size(shape):
    se, x = SEAttention(8, 2), torch.randn(shape)
    assert se(x).shape == shape
    assert se.attention(x)["channel"].shape == shape[:2]


def test_under_autocast_the_matrices_run_in_low_precision_and_the_output_has_the_inputs():
    se, x = SEAttention(16, 4), torch.randn(2, 16, 6, 6)
    with torch.autocast("cpu", torch.bfloat16):
        assert se.attention(x)["channel"].dtype == torch.bfloat16
        assert se(x).dtype == torch.float32
        assert se(x.half()).dtype == torch.float16


@pytest.mark.parametrize("bad", [math.nan, math.inf, -math.inf])
def test_what_is_not_finite_stays_visible_in_its_own_image_only(bad):
    torch.manual_seed(0)
    se, x = SEAttention(8, 2), torch.randn(2, 8, 4, 4)
    x[0, 3, 1, 2] = bad
    y = se(x)
    assert not torch.isfinite(y[0, 3, 1, 2])
    assert torch.isfinite(y[1]).all()
