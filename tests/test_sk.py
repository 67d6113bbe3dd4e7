"""SKAttention against Li et al. (2019), in loops: split, fuse, select."""

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
    softmax,
)
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from torch import Tensor, nn

from attention_lite import SKAttention


def reference(x: Tensor, weights: Weights, M: int, G: int, stride: int,
              training: bool) -> tuple[dict[str, Tensor], Tensor]:
    """Equations 1 to 6, with the k × k kernels as 3 × 3 ones dilated 1, 2, … M times."""
    U = []
    for m in range(M):
        y = conv2d(x, **part(weights, f"branches.{m}.0"), stride=stride, padding=m + 1, dilation=m + 1, groups=G)
        U.append(relu(batch_norm(y, **part(weights, f"branches.{m}.1"), training=training)))
    s = mean_over_places(sum(U))                                                       # Eq. 1, 2
    z = relu(pooled_batch_norm(linear(s, **part(weights, "compact.0")), **part(weights, "compact.1"),
                               training=training))                                     # Eq. 3
    rows = weights["select.weight"].unflatten(0, (M, -1))                              # A, B, …: (M, C, d)
    a = softmax(torch.einsum("bd,mcd->bmc", z, rows), axis=1)                          # Eq. 5
    return {"kernel": a}, sum(torch.einsum("bc,bchw->bchw", a[:, m], U[m]) for m in range(M))      # Eq. 6


@settings(max_examples=25, deadline=None)
@given(batch=st.integers(1, 3), group=st.integers(1, 3), width=st.integers(1, 3), r=st.sampled_from([1, 2, 3]),
       M=st.integers(1, 3), L=st.integers(1, 4), stride=st.integers(1, 3), H=st.integers(1, 6), W=st.integers(1, 6),
       training=st.booleans(), seed=st.integers(0, 2**16))
def test_forward_and_gradients_are_the_papers(batch, group, width, r, M, L, stride, H, W, training, seed):
    C = group * width * r
    places = math.ceil(H / stride) * math.ceil(W / stride)
    assume(not (training and batch * places == 1))                # the branches' batch norms need two numbers
    sk = randomise(SKAttention(C, r, M, group, L, stride), seed).train(training)
    assert_same(sk, lambda x, w: reference(x, w, M, group, stride, training),
                torch.randn(batch, C, H, W, dtype=DOUBLE))


@pytest.mark.parametrize("training", [False, True])
def test_gradcheck(training):
    sk = randomise(SKAttention(4, 2, 2, group=2, L=3), 0).train(training)
    assert_differentiable(sk, torch.randn(3, 4, 3, 4, dtype=DOUBLE))


@pytest.mark.parametrize(("C", "r", "M", "G", "L"), [(512, 16, 2, 32, 32), (512, 8, 2, 32, 32), (64, 16, 3, 8, 32),
                                                     (6, 2, 1, 3, 1)])
def test_parameter_counts(C, r, M, G, L):
    d = max(C // r, L)
    count = sum(p.numel() for p in SKAttention(C, r, M, G, L).parameters())
    assert count == M * (9 * C**2 // G + 2 * C) + C * d + 2 * d + M * C * d


def test_sknet_50_has_the_parameters_that_were_counted():
    total = 3 * 64 * 7**2 + 2 * 64 + 2048 * 1000 + 1000           # ResNet-50's first convolution and its classifier
    before = 64
    for width, blocks in [(128, 3), (256, 4), (512, 6), (1024, 3)]:
        total += before * 2 * width + 2 * 2 * width               # the shortcut of a stage's first block
        for _ in range(blocks):
            sk = sum(p.numel() for p in SKAttention(width).parameters())
            total += before * width + 2 * width + sk + width * 2 * width + 2 * 2 * width
            before = 2 * width
    assert total == 27_479_784                                    # 27.5 M in the paper


def test_defaults_are_the_papers():
    sk = SKAttention()
    assert sum(p.numel() for p in sk.parameters()) == 198_720     # the 0.2 M at C = 512
    assert [branch[0].dilation for branch in sk.branches] == [(1, 1), (2, 2)]
    assert {branch[0].groups for branch in sk.branches} == {32}
    assert sk.compact[0].out_features == 32


@settings(max_examples=25, deadline=None)
@given(scale=st.floats(1e-3, 3), M=st.integers(2, 4), training=st.booleans(), seed=st.integers(0, 2**16))
def test_weights_sum_to_one_over_the_branches(scale, M, training, seed):
    torch.manual_seed(seed)
    sk = SKAttention(8, 2, M, group=2, L=4).double().train(training)      # as built: no softmax rounds to 1
    a = sk.attention(scale * torch.randn(3, 8, 4, 5, dtype=DOUBLE))["kernel"]
    assert a.shape == (3, M, 8)
    assert ((a > 0) & (a < 1)).all()
    torch.testing.assert_close(a.sum(1), torch.ones(3, 8, dtype=DOUBLE), rtol=0, atol=1e-12)


@pytest.mark.parametrize("M", [1, 2, 3])
@pytest.mark.parametrize("training", [False, True])
def test_forward_applies_exactly_the_weights_that_attention_returns(M, training):
    sk, x = randomise(SKAttention(8, 2, M, group=2, L=4), 0).train(training), torch.randn(2, 8, 5, 3, dtype=DOUBLE)
    a, U = sk.attention(x)["kernel"], torch.stack([branch(x) for branch in sk.branches], dim=1)
    torch.testing.assert_close(sk(x), (a[..., None, None] * U).sum(1), rtol=0, atol=1e-14)


@pytest.mark.parametrize("M", [1, 2, 4])
def test_equal_rows_to_select_with_mean_equal_shares(M):
    sk, x = randomise(SKAttention(8, 2, M, group=2, L=4), 0), torch.randn(2, 8, 4, 4, dtype=DOUBLE)
    with torch.no_grad():
        sk.select.weight.copy_(sk.select.weight[:8].repeat(M, 1))
    a = sk.attention(x)["kernel"]
    torch.testing.assert_close(a, torch.full_like(a, 1 / M), rtol=0, atol=1e-15)
    mean = torch.stack([branch(x) for branch in sk.branches]).mean(0)
    torch.testing.assert_close(sk(x), mean, rtol=0, atol=1e-14)


def test_among_equal_branches_the_choice_does_not_matter():
    sk, x = randomise(SKAttention(8, 2, 3, group=2, L=4), 0).eval(), torch.randn(2, 8, 4, 4, dtype=DOUBLE)
    for branch in sk.branches:
        branch.load_state_dict(sk.branches[0].state_dict())
        branch[0].dilation = branch[0].padding = (1, 1)
    assert (sk.attention(x)["kernel"] - 1 / 3).abs().max() > 0.01
    torch.testing.assert_close(sk(x), sk.branches[0](x), rtol=0, atol=1e-14)


def test_a_channel_can_take_all_from_one_branch():
    sk, x = randomise(SKAttention(8, 2, 2, group=2, L=4), 0).eval(), torch.randn(2, 8, 4, 4, dtype=DOUBLE)
    nn.init.constant_(sk.compact[1].bias, 10.0)                   # z is positive
    with torch.no_grad():
        sk.select.weight.zero_()
        sk.select.weight[3] = 100                                 # A's row of channel 3
        sk.select.weight[8 + 5] = 100                             # B's row of channel 5
    small, large = (branch(x) for branch in sk.branches)
    y = sk(x)
    torch.testing.assert_close(y[:, 3], small[:, 3], rtol=0, atol=1e-14)
    torch.testing.assert_close(y[:, 5], large[:, 5], rtol=0, atol=1e-14)
    others = [0, 1, 2, 4, 6, 7]
    torch.testing.assert_close(y[:, others], (small + large)[:, others] / 2, rtol=0, atol=1e-14)


def test_branch_m_sees_9_places_on_a_grid_2_m_plus_1_wide():
    sk = randomise(SKAttention(4, 2, 3, group=1, L=4), 0).eval()
    for m, branch in enumerate(sk.branches, start=1):
        x = torch.rand(1, 4, 9, 9, dtype=DOUBLE, requires_grad=True)
        branch[0](x)[0, 0, 4, 4].backward()
        seen = {tuple(place) for place in torch.nonzero(x.grad[0].abs().sum(0)).tolist()}
        assert seen == {(4 + i, 4 + j) for i in (-m, 0, m) for j in (-m, 0, m)}


@pytest.mark.parametrize("stride", [1, 2, 3])
@pytest.mark.parametrize("size", [(1, 1), (4, 7), (5, 2)])
def test_stride_shrinks_the_map_by_the_ceiling(stride, size):
    y = SKAttention(8, 2, 3, group=2, stride=stride).eval()(torch.randn(2, 8, *size))
    assert y.shape == (2, 8, *(math.ceil(s / stride) for s in size))


def test_one_image_alone_can_be_trained_on():
    """Its pooled vector has no spread: z uses its running statistics, and keeps them."""
    sk = randomise(SKAttention(8, 2, 2, group=2, L=4), 0).train()
    before = {name: s.clone() for name, s in sk.named_buffers()}
    x = torch.randn(1, 8, 4, 4, dtype=DOUBLE, requires_grad=True)
    sk(x).square().sum().backward()
    assert all(torch.isfinite(p.grad).all() for p in [x, *sk.parameters()])
    for name, s in sk.named_buffers():
        assert torch.equal(s, before[name]) == name.startswith("compact"), name
    sk(torch.randn(2, 8, 4, 4, dtype=DOUBLE))
    moved = [not torch.equal(s, before[name]) for name, s in sk.named_buffers()]
    assert all(moved)                                             # two images move every statistic


def test_each_image_of_a_batch_is_on_its_own_and_eval_is_deterministic():
    sk, x = randomise(SKAttention(8, 2, 2, group=2, L=4), 0).eval(), torch.randn(3, 8, 4, 5, dtype=DOUBLE)
    y = sk(x)
    assert torch.equal(sk(x), y)
    for i in range(3):
        torch.testing.assert_close(y[i:i + 1], sk(x[i:i + 1]), rtol=0, atol=1e-12)


@pytest.mark.parametrize("bad", [math.nan, math.inf, -math.inf])
def test_what_is_not_finite_stays_visible_in_its_own_image_only(bad):
    sk, x = randomise(SKAttention(8, 2, 2, group=2, L=4), 0).eval(), torch.randn(2, 8, 4, 4, dtype=DOUBLE)
    good = sk(x)
    x[0, 3, 1, 2] = bad
    y = sk(x)
    assert not torch.isfinite(y[0]).all()
    if math.isnan(bad):
        assert torch.isnan(y[0]).all()                            # and in every gate
    torch.testing.assert_close(y[1], good[1], rtol=0, atol=1e-12)
