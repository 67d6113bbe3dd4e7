"""BAMBlock against Park et al. (2018), in loops: the sum of the paper and the product of its published code."""

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
    linear,
    mean_over_places,
    part,
    pooled_batch_norm,
    randomise,
    relu,
    sigmoid,
)
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from torch import Tensor, nn

from attention_lite import BAMBlock


def reference(x: Tensor, weights: Weights, d: int, published: bool, training: bool) -> tuple[dict[str, Tensor], Tensor]:
    """Equations 1 to 4, a ReLU after each hidden layer; `published` moves the batch norms and multiplies."""
    def channel(i: int) -> Weights:
        return part(weights, f"channel_branch.{i}")

    def spatial(i: int) -> Weights:
        return part(weights, f"spatial_branch.{i}")

    def hidden(y: Tensor, norm: Weights) -> Tensor:
        bn = batch_norm if y.dim() == 4 else pooled_batch_norm
        return relu(bn(y, **norm, training=training) if published else y)

    M_c = linear(hidden(linear(mean_over_places(x), **channel(0)), channel(1)), **channel(3))           # Eq. 3
    y = hidden(conv2d(x, **spatial(0)), spatial(1))                                                    # Eq. 4: f1x1
    y = hidden(conv2d(y, **spatial(3), padding=d, dilation=d), spatial(4))                             # f3x3
    y = hidden(conv2d(y, **spatial(6), padding=d, dilation=d), spatial(7))                             # f3x3
    M_s = conv2d(y, **spatial(9))                                                                      # f1x1
    if not published:
        M_c = pooled_batch_norm(M_c, **channel(4), training=training)
        M_s = batch_norm(M_s, **spatial(10), training=training)
    M_s = M_s[:, 0]
    both = torch.einsum("bc,bhw->bchw", M_c, M_s) if published else M_c[:, :, None, None] + M_s[:, None]
    M = sigmoid(both)                                                                                  # Eq. 2
    return {"channel_and_place": M, "channel_logits": M_c, "spatial_logits": M_s}, x + x * M           # Eq. 1


def with_logits(channel: float, place: float, published: bool) -> BAMBlock:
    """A block of 8 channels, in eval mode, whose branches answer with the same two numbers to any map."""
    bam = BAMBlock(8, 2, 1, published).double().eval()
    for p in bam.parameters():
        nn.init.zeros_(p)
    nn.init.constant_(bam.channel_branch[3 if published else 4].bias, channel)
    nn.init.constant_(bam.spatial_branch[9 if published else 10].bias, place)
    return bam


@settings(max_examples=25, deadline=None)
@given(batch=st.integers(1, 3), hidden=st.integers(1, 3), reduction=st.integers(1, 3), d=st.integers(1, 4),
       height=st.integers(1, 6), width=st.integers(1, 6), published=st.booleans(), training=st.booleans(),
       seed=st.integers(0, 2**16))
def test_forward_and_gradients_are_the_papers(batch, hidden, reduction, d, height, width, published, training, seed):
    assume(not (training and batch * height * width == 1))        # the spatial batch norms need two numbers
    bam = randomise(BAMBlock(hidden * reduction, reduction, d, published), seed).train(training)
    # A bias under a batch norm has gradient 0; where its few numbers spread little, 1.1e-10 of rounding was seen.
    assert_same(bam, lambda x, w: reference(x, w, d, published, training),
                torch.randn(batch, hidden * reduction, height, width, dtype=DOUBLE), tolerance=1e-9)


@pytest.mark.parametrize("published", [False, True])
@pytest.mark.parametrize("training", [False, True])
def test_gradcheck(published, training):
    bam = randomise(BAMBlock(4, 2, 2, published), 0).train(training)
    assert_differentiable(bam, torch.randn(3, 4, 3, 4, dtype=DOUBLE))


@pytest.mark.parametrize(("channel", "reduction"), [(512, 16), (64, 4), (6, 1)])
def test_parameter_counts(channel, reduction):
    def count(published: bool) -> int:
        return sum(p.numel() for p in BAMBlock(channel, reduction, published=published).parameters())

    C, h = channel, channel // reduction
    mlp = C * h + h + h * C + C
    convs = C * h + h + 2 * (9 * h**2 + h) + h + 1
    assert count(False) == mlp + convs + 2 * C + 2                # a batch norm at the end of each branch
    assert count(True) == mlp + convs + 2 * h + 3 * 2 * h         # and after each hidden layer


def test_bam_resnet_50_has_the_parameters_that_were_counted():
    total = 25_557_032                                            # ResNet-50; then a block after each of three stages
    for C in (256, 512, 1024):
        total += sum(p.numel() for p in BAMBlock(C, published=True).parameters())
    assert total == 25_915_099                                    # 25.92 M in the paper


def test_defaults_are_the_papers():
    bam = BAMBlock()
    assert bam.channel_branch[0].weight.shape == (32, 512)        # r = 16
    assert bam.spatial_branch[3].dilation == bam.spatial_branch[6].dilation == (4, 4)


@settings(max_examples=25, deadline=None)
@given(scale=st.floats(1e-3, 2), published=st.booleans(), seed=st.integers(0, 2**16))
def test_gates_lie_strictly_between_zero_and_one(scale, published, seed):
    torch.manual_seed(seed)
    bam = BAMBlock(8, 2, 2, published).double().eval()            # as built: no sigmoid rounds to 1
    maps = bam.attention(scale * torch.randn(3, 8, 4, 5, dtype=DOUBLE))
    shapes = {"channel_and_place": (3, 8, 4, 5), "channel_logits": (3, 8), "spatial_logits": (3, 4, 5)}
    assert {name: tuple(m.shape) for name, m in maps.items()} == shapes
    M = maps["channel_and_place"]
    assert ((M > 0) & (M < 1)).all()


@pytest.mark.parametrize("published", [False, True])
@pytest.mark.parametrize("training", [False, True])
def test_forward_applies_exactly_the_gates_that_attention_returns(published, training):
    bam, x = randomise(BAMBlock(8, 2, 2, published), 0).train(training), torch.randn(2, 8, 5, 3, dtype=DOUBLE)
    torch.testing.assert_close(bam(x), x * (1 + bam.attention(x)["channel_and_place"]), rtol=1e-15, atol=1e-15)


@pytest.mark.parametrize("published", [False, True])
def test_neutral_gates(published):
    x = torch.randn(2, 8, 3, 4, dtype=DOUBLE, generator=torch.Generator().manual_seed(0))
    large = (8.0, -8.0) if published else (-32.0, -32.0)          # product and sum of -64
    closed, half = with_logits(*large, published), with_logits(0, 0, published)
    opened = with_logits(*map(abs, large), published)
    torch.testing.assert_close(closed(x), x, rtol=0, atol=1e-15)  # a closed gate leaves the residual
    torch.testing.assert_close(half(x), 1.5 * x, rtol=0, atol=0)  # sigmoid(0)
    torch.testing.assert_close(opened(x), 2 * x, rtol=0, atol=1e-15)


@settings(max_examples=25, deadline=None)
@given(channel=st.floats(-5, 5), place=st.floats(-5, 5))
def test_the_paper_adds_the_branches_and_its_code_multiplies_them(channel, place):
    x = torch.ones(1, 8, 2, 2, dtype=DOUBLE)
    for published, both in [(False, channel + place), (True, channel * place)]:
        M = with_logits(channel, place, published).attention(x)["channel_and_place"]
        torch.testing.assert_close(M, torch.full_like(M, 1 / (1 + math.exp(-both))), rtol=0, atol=1e-12)


def test_two_branches_that_say_no_close_the_sum_and_open_the_product():
    x = torch.ones(1, 8, 2, 2, dtype=DOUBLE)
    assert with_logits(-3, -3, published=False).attention(x)["channel_and_place"].max() < 0.01
    assert with_logits(-3, -3, published=True).attention(x)["channel_and_place"].min() > 0.99


@pytest.mark.parametrize("d", [1, 2, 4])
@pytest.mark.parametrize("published", [False, True])
def test_a_place_sees_25_places_on_a_grid_4_d_plus_1_wide(d, published):
    bam = randomise(BAMBlock(4, 2, d, published), 0).eval()
    with torch.no_grad():
        for p in bam.spatial_branch.parameters():
            p.abs_()                                              # nothing dies in a ReLU, nothing cancels
    size = 4 * d + 5
    x = torch.rand(1, 4, size, size, dtype=DOUBLE, requires_grad=True)
    for layer in bam.spatial_branch:
        if isinstance(layer, nn.BatchNorm2d):
            layer.running_mean.fill_(-1)
    bam.attention(x)["spatial_logits"][0, size // 2, size // 2].backward()
    rows, columns = torch.nonzero(x.grad[0].abs().sum(0), as_tuple=True)
    assert rows.max() - rows.min() + 1 == columns.max() - columns.min() + 1 == 2 * 2 * d + 1
    grid = {size // 2 + d * step for step in range(-2, 3)}
    assert set(zip(rows.tolist(), columns.tolist(), strict=True)) == {(i, j) for i in grid for j in grid}


def test_the_map_may_be_smaller_than_the_dilation_and_of_any_shape():
    bam = randomise(BAMBlock(8, 2, 4), 0).eval()
    for shape in [(1, 8, 1, 1), (2, 8, 2, 7), (1, 8, 8, 8), (1, 8, 14, 13)]:
        x = torch.randn(shape, dtype=DOUBLE)
        maps = bam.attention(x)
        assert bam(x).shape == maps["channel_and_place"].shape == shape
        assert maps["spatial_logits"].shape == (shape[0], *shape[2:])


@pytest.mark.parametrize("published", [False, True])
def test_one_image_alone_can_be_trained_on(published):
    """Its pooled vector has no spread: the channel branch uses its running statistics, and keeps them."""
    bam = randomise(BAMBlock(8, 2, 1, published), 0).train()
    before = {name: s.clone() for name, s in bam.named_buffers()}
    x = torch.randn(1, 8, 4, 4, dtype=DOUBLE, requires_grad=True)
    bam(x).square().sum().backward()
    assert all(torch.isfinite(p.grad).all() for p in [x, *bam.parameters()])
    for name, s in bam.named_buffers():
        assert torch.equal(s, before[name]) == name.startswith("channel_branch"), name
    in_training = bam.attention(x)["channel_logits"]
    torch.testing.assert_close(in_training, bam.eval().attention(x)["channel_logits"], rtol=0, atol=1e-12)
    bam.train()(torch.randn(2, 8, 4, 4, dtype=DOUBLE))
    moved = [not torch.equal(s, before[name]) for name, s in bam.named_buffers()]
    assert all(moved)                                             # two images move every statistic


@pytest.mark.parametrize("published", [False, True])
def test_each_image_of_a_batch_is_on_its_own_and_eval_is_deterministic(published):
    bam, x = randomise(BAMBlock(8, 2, 2, published), 0).eval(), torch.randn(3, 8, 4, 5, dtype=DOUBLE)
    y = bam(x)
    assert torch.equal(bam(x), y)
    for i in range(3):
        torch.testing.assert_close(y[i:i + 1], bam(x[i:i + 1]), rtol=0, atol=1e-12)


@pytest.mark.parametrize("published", [False, True])
@pytest.mark.parametrize("bad", [math.nan, math.inf, -math.inf])
def test_what_is_not_finite_stays_visible_in_its_own_image_only(bad, published):
    bam, x = randomise(BAMBlock(8, 2, 1, published), 0).eval(), torch.randn(2, 8, 4, 4, dtype=DOUBLE)
    good = bam(x)
    x[0, 3, 1, 2] = bad
    y = bam(x)
    assert not torch.isfinite(y[0, 3, 1, 2])
    if math.isnan(bad):
        assert torch.isnan(y[0]).all()                            # and in every gate
    torch.testing.assert_close(y[1], good[1], rtol=0, atol=1e-12)
