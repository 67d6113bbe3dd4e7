"""PSA against Zhang et al. (2021), in loops: the splits, their weights, and what the published code changes."""

import math

import pytest
import torch
from by_hand import (
    DOUBLE,
    Weights,
    assert_differentiable,
    assert_same,
    conv2d,
    linear,
    mean_over_places,
    part,
    randomise,
    relu,
    sigmoid,
    softmax,
)
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor, nn

from attention_lite import PSA

E = math.e


def reference(x: Tensor, weights: Weights, kernels: list[int], groups: list[int], stride: int,
              published: bool) -> tuple[dict[str, Tensor], Tensor]:
    """Section 3 of the paper; `published` shares one SEWeight and turns the order of the splits around."""
    F, Z = [], []
    for i, (k, g) in enumerate(zip(kernels, groups, strict=True)):
        F.append(conv2d(x, weights[f"convs.{i}.weight"], stride=stride, padding=(k - 1) // 2, groups=g))
        se = part(weights, f"weights.{0 if published else i}")
        hidden = relu(linear(mean_over_places(F[i]), **part(se, "W0")))
        Z.append(sigmoid(linear(hidden, **part(se, "W1"))))
    att = softmax(torch.stack(Z, dim=1), axis=1)
    splits = [torch.einsum("bc,bchw->bchw", att[:, i], F[i]) for i in range(len(F))]
    return {"split": att}, torch.cat(list(reversed(splits)) if published else splits, dim=1)


def small(published: bool = False, channel: int = 8, kernels: tuple[int, ...] = (1, 3, 5, 7)) -> PSA:
    """A quick block with S splits, random weights and no groups."""
    return randomise(PSA(channel, 1, kernels, [1] * len(kernels), published=published), 0).eval()


@settings(max_examples=25, deadline=None)
@given(batch=st.integers(1, 3), kernels=st.lists(st.sampled_from([1, 3, 5, 7]), min_size=1, max_size=4),
       powers=st.lists(st.integers(0, 2), min_size=4, max_size=4), r=st.sampled_from([1, 2, 4]),
       stride=st.integers(1, 3), H=st.integers(1, 6), W=st.integers(1, 6), published=st.booleans(),
       training=st.booleans(), seed=st.integers(0, 2**16))
def test_forward_and_gradients_are_the_papers(batch, kernels, powers, r, stride, H, W, published, training, seed):
    channel, groups = 4 * len(kernels), [2 ** p for p in powers[:len(kernels)]]
    psa = randomise(PSA(channel, r, kernels, groups, stride, published), seed).train(training)
    assert_same(psa, lambda x, w: reference(x, w, kernels, groups, stride, published),
                torch.randn(batch, channel, H, W, dtype=DOUBLE))


@pytest.mark.parametrize(("published", "groups"), [(False, [2, 4, 8, 16]), (True, [1, 4, 8, 16])])
def test_the_defaults_have_the_kernels_and_groups_of_the_equations(published, groups):
    psa = randomise(PSA(64, published=published), 0)
    assert [conv.groups for conv in psa.convs] == groups
    assert_same(psa, lambda x, w: reference(x, w, [3, 5, 7, 9], groups, 1, published),
                torch.randn(1, 64, 5, 4, dtype=DOUBLE))


@pytest.mark.parametrize("published", [False, True])
def test_gradcheck(published):
    psa = randomise(PSA(8, 2, (3, 5), (2, 4), published=published), 0)
    assert_differentiable(psa, torch.randn(2, 8, 3, 2, dtype=DOUBLE))


@pytest.mark.parametrize(("C", "r"), [(512, 16), (512, 8), (64, 4)])
def test_parameter_counts(C, r):
    def count(published: bool) -> int:
        return sum(p.numel() for p in PSA(C, r, published=published).parameters())

    w = C // 4
    convs = [C * w * k**2 // g for k, g in zip((3, 5, 7, 9), (2, 4, 8, 16), strict=True)]
    assert count(False) == sum(convs) + 4 * 2 * w**2 // r
    assert count(True) == sum(convs) + convs[0] + 2 * w**2 // r + w // r + w      # one group at k = 3, one SEWeight


def test_epsanet_50_has_the_parameters_that_were_counted():
    total = 25_557_032                                            # ResNet-50, whose 3 × 3 convolutions PSA replaces
    for C, blocks in [(64, 3), (128, 4), (256, 6), (512, 3)]:
        total += blocks * (sum(p.numel() for p in PSA(C, published=True).parameters()) - 9 * C**2)
    assert total == 22_561_715                                    # 22.56 M in the paper


@settings(max_examples=25, deadline=None)
@given(log_scale=st.floats(-3, 8), S=st.integers(1, 5), published=st.booleans(), seed=st.integers(0, 2**16))
def test_weights_sum_to_one_over_the_splits_and_keep_within_their_bounds(log_scale, S, published, seed):
    """Gates from 0 to 1 have exponentials from 1 to e; so the least weight is 1 against S - 1 times e."""
    psa = randomise(PSA(4 * S, 2, [1] * S, [1] * S, published=published), seed)
    att = psa.attention(10 ** log_scale * torch.randn(3, 4 * S, 3, 2, dtype=DOUBLE))["split"]
    assert att.shape == (3, S, 4)
    torch.testing.assert_close(att.sum(1), torch.ones(3, 4, dtype=DOUBLE), rtol=0, atol=1e-12)
    assert att.min() >= 1 / (1 + (S - 1) * E) - 1e-12
    assert att.max() <= E / (E + S - 1) + 1e-12


def test_the_bounds_are_reached_in_the_limit():
    """With S = 4: [1 / (1 + 3e), e / (e + 3)]."""
    psa = small()
    with torch.no_grad():
        for p in psa.parameters():
            p.abs_()                                              # on a positive map, hidden layers are positive
        for i in range(4):
            psa.weights[i].W1.weight.mul_(1 if i == 0 else -1)
    x, widths = torch.rand(1, 8, 4, 4, dtype=DOUBLE), []
    for scale in (1, 100, 10_000):
        att = psa.attention(scale * x)["split"]
        widths.append((E / (E + 3) - att[:, 0]).abs().max().item())
    assert widths[0] > 1e-3
    assert widths[0] > widths[1] >= widths[2]
    torch.testing.assert_close(att[:, 0], torch.full((1, 2), 0.475367, dtype=DOUBLE), rtol=0, atol=1e-6)
    with torch.no_grad():
        for se in psa.weights:
            se.W1.weight.neg_()                                   # now split 0 says no and the others yes
    low = psa.attention(10_000 * x)["split"][:, 0]
    torch.testing.assert_close(low, torch.full((1, 2), 1 / (1 + 3 * E), dtype=DOUBLE), rtol=0, atol=1e-9)
    torch.testing.assert_close(low, torch.full((1, 2), 0.109232, dtype=DOUBLE), rtol=0, atol=1e-6)


@pytest.mark.parametrize("published", [False, True])
@pytest.mark.parametrize("kernels", [(3,), (1, 3, 5), (1, 3, 5, 7)])
def test_equal_gates_give_each_split_its_equal_share(kernels, published):
    S = len(kernels)
    psa, x = small(published, 4 * S, kernels), torch.randn(2, 4 * S, 4, 5, dtype=DOUBLE)
    for se in psa.weights:
        nn.init.zeros_(se.W1.weight)
        if published:
            nn.init.constant_(se.W1.bias, 0.3)                    # one gate for all, and no matter which
    att = psa.attention(x)["split"]
    torch.testing.assert_close(att, torch.full_like(att, 1 / S), rtol=0, atol=1e-15)
    splits = [conv(x) / S for conv in psa.convs]
    torch.testing.assert_close(psa(x), torch.cat(splits[::-1] if published else splits, dim=1), rtol=0, atol=1e-14)


@pytest.mark.parametrize("published", [False, True])
def test_forward_applies_exactly_the_weights_that_attention_returns(published):
    psa, x = small(published), torch.randn(2, 8, 5, 3, dtype=DOUBLE)
    att = psa.attention(x)["split"][..., None, None]
    for i, conv in enumerate(psa.convs):
        place = 3 - i if published else i
        torch.testing.assert_close(psa(x)[:, 2 * place:2 * place + 2], conv(x) * att[:, i], rtol=0, atol=1e-14)


@pytest.mark.parametrize("narrow", [True, False])
def test_narrow_groups_change_the_memory_of_no_output(narrow):
    psa = PSA(64, 4, groups=(8, 8, 8, 8) if narrow else (4, 4, 4, 4)).double()
    x = torch.randn(2, 64, 6, 5, dtype=DOUBLE)
    assert psa.narrow == [narrow] * 4
    assert psa(x).is_contiguous()
    gates = psa.attention(x)["split"][..., None, None]
    plain = torch.cat([conv(x) * gates[:, i] for i, conv in enumerate(psa.convs)], dim=1)
    torch.testing.assert_close(psa(x), plain, rtol=0, atol=1e-14)
    torch.testing.assert_close(torch.func.vmap(psa)(x[:, None])[:, 0], plain, rtol=0, atol=1e-14)


def test_the_published_order_is_ours_turned_around():
    """Equal gates throughout, so that only the order differs: the maps agree, the outputs lie in reverse."""
    ours, theirs, x = small(), small(published=True), torch.randn(2, 8, 4, 4, dtype=DOUBLE)
    theirs.convs.load_state_dict(ours.convs.state_dict())
    with torch.no_grad():
        for layer in ("W0", "W1"):
            shared = getattr(theirs.weights[0], layer)
            shared.bias.zero_()
            for se in ours.weights:
                getattr(se, layer).weight.copy_(shared.weight)
    torch.testing.assert_close(theirs.attention(x)["split"], ours.attention(x)["split"], rtol=0, atol=1e-14)
    reversed_splits = torch.cat(ours(x).chunk(4, dim=1)[::-1], dim=1)
    torch.testing.assert_close(theirs(x), reversed_splits, rtol=0, atol=1e-14)
    assert not torch.allclose(theirs(x), ours(x), atol=1e-3)


def test_each_split_sees_the_whole_map_and_as_far_as_its_kernel():
    psa = small()
    for i, k in enumerate((1, 3, 5, 7)):
        x = torch.rand(1, 8, 9, 9, dtype=DOUBLE, requires_grad=True)
        psa.convs[i](x)[0, 0, 4, 4].backward()
        channels, rows, columns = torch.nonzero(x.grad[0], as_tuple=True)
        assert set(channels.tolist()) == set(range(8))            # all of X, not the i-th part of it
        assert rows.max() - rows.min() + 1 == columns.max() - columns.min() + 1 == k


@pytest.mark.parametrize("stride", [1, 2, 3])
@pytest.mark.parametrize("size", [(1, 1), (4, 7), (5, 2)])
def test_stride_shrinks_the_map_by_the_ceiling(stride, size):
    y = PSA(64, 4, stride=stride)(torch.randn(2, 64, *size))
    assert y.shape == (2, 64, *(math.ceil(s / stride) for s in size))


@pytest.mark.parametrize("published", [False, True])
def test_each_image_of_a_batch_is_on_its_own_and_eval_is_deterministic(published):
    psa, x = small(published), torch.randn(3, 8, 4, 5, dtype=DOUBLE)
    y = psa(x)
    assert torch.equal(psa(x), y)
    for i in range(3):
        torch.testing.assert_close(y[i:i + 1], psa(x[i:i + 1]), rtol=0, atol=1e-12)


@pytest.mark.parametrize("published", [False, True])
@pytest.mark.parametrize("bad", [math.nan, math.inf, -math.inf])
def test_what_is_not_finite_stays_visible_in_its_own_image_only(bad, published):
    psa, x = small(published), torch.randn(2, 8, 4, 4, dtype=DOUBLE)
    good = psa(x)
    x[0, 3, 1, 2] = bad
    y = psa(x)
    assert not torch.isfinite(y[0, :, 1, 2]).any()                # every split sees the place itself
    if math.isnan(bad):
        assert torch.isnan(y[0]).all()                            # and in every gate
    torch.testing.assert_close(y[1], good[1], rtol=0, atol=1e-12)
