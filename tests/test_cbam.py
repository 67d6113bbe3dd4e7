"""CBAMBlock against Woo et al. (2018), in loops: both gates, their order, and what the published code changes."""

import math

import pytest
import torch
from by_hand import (
    DOUBLE,
    Weights,
    assert_differentiable,
    assert_same,
    batch_norm,
    conv2d,
    largest,
    linear,
    mean_over_places,
    part,
    randomise,
    relu,
    shuffle_places,
    sigmoid,
)
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from torch import Tensor, nn

from attention_lite import CBAMBlock


def reference(x: Tensor, weights: Weights, published: bool, training: bool) -> tuple[dict[str, Tensor], Tensor]:
    """Equations 1 to 3; `published` adds what the authors' code adds."""
    C, k = x.shape[1], weights["conv.weight"].shape[-1]

    def mlp(pooled: Tensor) -> Tensor:
        return linear(relu(linear(pooled, **part(weights, "W0"))), **part(weights, "W1"))

    over_places = largest([x[:, :, i, j] for i in range(x.shape[2]) for j in range(x.shape[3])])
    M_c = sigmoid(mlp(mean_over_places(x)) + mlp(over_places))                       # Eq. 2
    F1 = torch.einsum("bc,bchw->bchw", M_c, x)                                       # Eq. 1, first half
    mean, top = sum(F1[:, c] for c in range(C)) / C, largest([F1[:, c] for c in range(C)])
    stacked = torch.stack([top, mean] if published else [mean, top], dim=1)
    logits = conv2d(stacked, weights["conv.weight"], padding=(k - 1) // 2)
    if published:
        logits = batch_norm(logits, **part(weights, "norm"), training=training)
    M_s = sigmoid(logits[:, 0])                                                      # Eq. 3
    return {"channel": M_c, "spatial": M_s}, torch.einsum("bhw,bchw->bchw", M_s, F1)    # Eq. 1, second half


@settings(max_examples=25, deadline=None)
@given(batch=st.integers(1, 3), hidden=st.integers(1, 3), reduction=st.integers(1, 3), k=st.sampled_from([1, 3, 5, 7]),
       height=st.integers(1, 6), width=st.integers(1, 6), published=st.booleans(), training=st.booleans(),
       seed=st.integers(0, 2**16))
def test_forward_and_gradients_are_the_papers(batch, hidden, reduction, k, height, width, published, training, seed):
    assume(not (published and training and batch * height * width == 1))     # a batch norm needs two numbers
    cbam = randomise(CBAMBlock(hidden * reduction, reduction, k, published), seed).train(training)
    assert_same(cbam, lambda x, w: reference(x, w, published, training),
                torch.randn(batch, hidden * reduction, height, width, dtype=DOUBLE))


@pytest.mark.parametrize("published", [False, True])
@pytest.mark.parametrize("training", [False, True])
def test_gradcheck(published, training):
    cbam = randomise(CBAMBlock(4, 2, 3, published), 1).train(training)
    assert_differentiable(cbam, torch.randn(2, 4, 3, 2, dtype=DOUBLE))


@pytest.mark.parametrize(("channel", "reduction", "k"), [(512, 16, 7), (64, 8, 3), (6, 1, 1)])
def test_parameter_counts(channel, reduction, k):
    def count(published: bool) -> int:
        return sum(p.numel() for p in CBAMBlock(channel, reduction, k, published).parameters())

    assert count(False) == 2 * channel**2 // reduction + 2 * k**2
    assert count(True) == count(False) + channel // reduction + channel + 2      # biases, and the batch norm's two


def test_cbam_resnet_50_has_the_parameters_that_were_counted():
    total = 25_557_032                                            # ResNet-50; then a block in each of its blocks
    for C, blocks in [(256, 3), (512, 4), (1024, 6), (2048, 3)]:
        total += blocks * sum(p.numel() for p in CBAMBlock(C, published=True).parameters())
    assert total == 28_089_624                                    # 28.09 M in the paper


def test_defaults_are_the_papers():
    cbam = CBAMBlock()
    assert [tuple(p.shape) for p in cbam.parameters()] == [(32, 512), (512, 32), (1, 2, 7, 7)]


@settings(max_examples=25, deadline=None)
@given(scale=st.floats(1e-3, 5), published=st.booleans(), seed=st.integers(0, 2**16))
def test_gates_lie_strictly_between_zero_and_one(scale, published, seed):
    torch.manual_seed(seed)
    cbam = CBAMBlock(8, 2, 3, published).double()                 # as built: no sigmoid rounds to 1
    maps = cbam.attention(scale * torch.randn(3, 8, 4, 5, dtype=DOUBLE))
    assert {name: tuple(m.shape) for name, m in maps.items()} == {"channel": (3, 8), "spatial": (3, 4, 5)}
    for m in maps.values():
        assert ((m > 0) & (m < 1)).all()


@pytest.mark.parametrize("published", [False, True])
def test_forward_applies_exactly_the_gates_that_attention_returns(published):
    torch.manual_seed(0)
    cbam, x = CBAMBlock(16, 4, published=published), torch.randn(2, 16, 5, 3)
    maps = cbam.attention(x)
    assert torch.equal(cbam(x), x * maps["channel"][:, :, None, None] * maps["spatial"][:, None])


def test_neutral_gates():
    x = torch.randn(2, 8, 3, 4, dtype=DOUBLE, generator=torch.Generator().manual_seed(0))
    half, one = CBAMBlock(8, 2).double(), CBAMBlock(8, 2, published=True).double()
    for p in [*half.parameters(), *one.parameters()]:
        nn.init.zeros_(p)
    torch.testing.assert_close(half(x), x / 4, rtol=0, atol=0)       # sigmoid(0), twice
    nn.init.constant_(one.W1.bias, 50.0)
    nn.init.constant_(one.norm.bias, 50.0)
    torch.testing.assert_close(one(x), x, rtol=0, atol=1e-15)        # open gates change nothing: no residual inside


def test_the_max_pools_are_max_pools():
    """A single bright pixel moves the gates by more than its share in the mean."""
    cbam, x = CBAMBlock(4, 1, 1).double(), torch.zeros(1, 4, 8, 8, dtype=DOUBLE)
    with torch.no_grad():
        cbam.W0.weight.copy_(torch.eye(4))
        cbam.W1.weight.copy_(torch.eye(4))
        cbam.conv.weight.copy_(torch.tensor([0.0, 1.0]).reshape(1, 2, 1, 1))      # the plane of the max
    x[0, 2, 3, 5] = 6.4
    maps = cbam.attention(x)
    M_c = 1 / (1 + math.exp(-(6.4 / 64 + 6.4)))
    assert maps["channel"][0].tolist() == pytest.approx([0.5, 0.5, M_c, 0.5])
    assert maps["spatial"][0, 3, 5].item() == pytest.approx(1 / (1 + math.exp(-6.4 * M_c)))
    assert maps["spatial"][0, 0, 0].item() == 0.5


def test_the_order_of_the_pools_only_names_the_planes_of_the_convolution():
    ours, theirs = randomise(CBAMBlock(8, 2, 3), 0), CBAMBlock(8, 2, 3, published=True).double().eval()
    x = torch.randn(2, 8, 5, 6, dtype=DOUBLE)
    with torch.no_grad():
        for layer in ("W0", "W1"):
            getattr(theirs, layer).weight.copy_(getattr(ours, layer).weight)
            getattr(theirs, layer).bias.zero_()
        theirs.norm.running_var.fill_(1 - theirs.norm.eps)        # a batch norm that changes nothing
        theirs.conv.weight.copy_(ours.conv.weight)
        assert not torch.allclose(theirs(x), ours(x), atol=1e-3)
        theirs.conv.weight.copy_(ours.conv.weight.flip(1))
    torch.testing.assert_close(theirs(x), ours(x), rtol=0, atol=1e-12)


@pytest.mark.parametrize("published", [False, True])
def test_places_may_be_shuffled_only_with_kernel_size_1(published):
    wide = randomise(CBAMBlock(8, 2, 3, published), 0).eval()
    alone = randomise(CBAMBlock(8, 2, 1, published), 0).eval()
    x, places = torch.randn(2, 8, 4, 5, dtype=DOUBLE), torch.arange(20).roll(7)
    torch.testing.assert_close(alone(shuffle_places(x, places)), shuffle_places(alone(x), places), rtol=0, atol=1e-12)
    assert not torch.allclose(wide(shuffle_places(x, places)), shuffle_places(wide(x), places), atol=1e-3)


def test_a_thing_may_move_over_an_empty_ground_and_a_full_map_may_not():
    cbam = randomise(CBAMBlock(8, 2, 5), 0)
    thing, full = torch.zeros(1, 8, 12, 12, dtype=DOUBLE), torch.randn(1, 8, 12, 12, dtype=DOUBLE)
    thing[:, :, 3:6, 2:6] = torch.randn(1, 8, 3, 4, dtype=DOUBLE)

    def moved(t: Tensor) -> Tensor:
        return t.roll((2, 4), dims=(2, 3))

    torch.testing.assert_close(cbam(moved(thing)), moved(cbam(thing)), rtol=0, atol=1e-12)
    assert not torch.allclose(cbam(moved(full)), moved(cbam(full)), atol=1e-3)       # the zeros around it do not roll


@pytest.mark.parametrize("published", [False, True])
def test_each_image_of_a_batch_is_on_its_own_and_eval_is_deterministic(published):
    cbam, x = randomise(CBAMBlock(8, 2, 3, published), 0).eval(), torch.randn(3, 8, 4, 5, dtype=DOUBLE)
    y = cbam(x)
    assert torch.equal(cbam(x), y)
    for i in range(3):
        torch.testing.assert_close(y[i:i + 1], cbam(x[i:i + 1]), rtol=0, atol=1e-12)


@pytest.mark.parametrize("published", [False, True])
@pytest.mark.parametrize("bad", [math.nan, math.inf, -math.inf])
def test_what_is_not_finite_stays_visible_in_its_own_image_only(bad, published):
    cbam, x = randomise(CBAMBlock(8, 2, 3, published), 0).eval(), torch.randn(2, 8, 4, 4, dtype=DOUBLE)
    good = cbam(x)
    x[0, 3, 1, 2] = bad
    y = cbam(x)
    assert not torch.isfinite(y[0, 3, 1, 2])
    if math.isnan(bad):
        assert torch.isnan(y[0]).all()                            # and in every gate
    torch.testing.assert_close(y[1], good[1], rtol=0, atol=1e-12)
