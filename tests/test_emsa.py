"""EMSA against Zhang & Yang (2021), *ResT*, in loops and sums."""

import math

import pytest
import torch
import torch.nn.functional as F
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor, nn

from attention_lite import EMSA, ScaledDotProductAttention
from attention_lite.lab.measuring import peak_memory

DOUBLE = torch.float64
Weights = dict[str, Tensor]


def reduced(tokens: Tensor, w: Weights, height: int, width: int, s: int) -> Tensor:
    """LN(DWConv(x)), number by number along the places: (B, H · W, D) -> (B, N', D)."""
    if s == 1:
        return tokens
    pad, kernel = s // 2, w["shrink.weight"]               # (D, 1, s + 1, s + 1)
    padded = tokens.new_zeros(len(tokens), height + 2 * pad, width + 2 * pad, tokens.shape[2])
    padded[:, pad:pad + height, pad:pad + width] = tokens.reshape(len(tokens), height, width, -1)
    places = []
    for row in range(0, height + 2 * pad - s, s):
        for column in range(0, width + 2 * pad - s, s):
            y = w["shrink.bias"]
            for i in range(s + 1):
                for j in range(s + 1):
                    y = y + kernel[:, 0, i, j] * padded[:, row + i, column + j]
            mean = y.mean(-1, keepdim=True)
            var = ((y - mean) ** 2).mean(-1, keepdim=True)
            places.append((y - mean) / torch.sqrt(var + 1e-5) * w["norm.weight"] + w["norm.bias"])
    return torch.stack(places, dim=1)


def reference(queries: Tensor, keys: Tensor, values: Tensor, w: Weights, h: int, size: tuple[int, int], ratio: int,
              transform: bool) -> tuple[Tensor, Tensor]:
    """The paper's EMSA, one sample and one head at a time: the map (B, h, N_q, N') and the output (B, N_q, D)."""
    def project(name: str, x: Tensor) -> Tensor:
        return torch.einsum("bni,oi->bno", x, w[f"{name}.weight"]) + w.get(f"{name}.bias", 0)

    Q = project("W_Q", queries)
    K = project("W_K", reduced(keys, w, *size, ratio))
    V = project("W_V", reduced(values, w, *size, ratio))
    d_k, d_v = Q.shape[-1] // h, V.shape[-1] // h
    maps, outputs = [], []
    for q, k, v in zip(Q, K, V, strict=True):
        scores = [torch.einsum("qd,kd->qk", q[:, i * d_k:(i + 1) * d_k], k[:, i * d_k:(i + 1) * d_k]) / d_k**0.5
                  for i in range(h)]
        heads = []
        for i in range(h):
            logits = scores[i]
            if transform and h > 1:                        # Conv 1 × 1: head i is a mixture of all heads
                logits = sum(w["mix.weight"][i, g, 0, 0] * scores[g] for g in range(h))
                logits = logits + (w["mix.bias"][i] if "mix.bias" in w else 0)
            A = torch.exp(logits) / torch.exp(logits).sum(-1, keepdim=True)
            if transform and h > 1:                        # IN: one mean and one variance for the head's whole map
                A = (A - A.mean()) / torch.sqrt(((A - A.mean()) ** 2).mean() + 1e-5)
            heads.append(A)
        maps.append(torch.stack(heads))
        outputs.append(torch.cat([A @ v[:, i * d_v:(i + 1) * d_v] for i, A in enumerate(heads)], dim=-1))
    return torch.stack(maps), project("W_O", torch.stack(outputs))


def leaf_copies(block: nn.Module) -> Weights:
    """Leaf copies of all weights, under their own names."""
    return {name: p.detach().clone().requires_grad_() for name, p in block.named_parameters()}


def assert_equal(ours: Tensor, theirs: Tensor) -> None:
    torch.testing.assert_close(ours, theirs, rtol=1e-10, atol=1e-10)


def built(*args: object, seed: int, **kwargs: object) -> EMSA:
    """A block in float64 whose norm is not neutral."""
    torch.manual_seed(seed)
    block = EMSA(*args, **kwargs).double()
    if block.norm is not None:
        nn.init.normal_(block.norm.weight)
        nn.init.normal_(block.norm.bias)
    return block


@settings(max_examples=50, deadline=None)
@given(batch=st.integers(1, 2), h=st.integers(1, 3), d_model=st.integers(2, 5), d_k=st.integers(1, 4),
       d_v=st.integers(1, 4), height=st.integers(2, 5), width=st.integers(2, 5), ratio=st.integers(1, 4),
       n_q=st.integers(0, 5), transform=st.booleans(), bias=st.booleans(), seed=st.integers(0, 2**16))
def test_forward_and_gradients_are_the_papers(batch, h, d_model, d_k, d_v, height, width, ratio, n_q, transform,
                                              bias, seed):
    """n_q = 0 stands for self-attention; or else queries, keys and values are three different things."""
    block = built(d_model, d_k, d_v, h, height, width, ratio, transform, bias, seed=seed)
    lengths = (height * width,) if n_q == 0 else (n_q + 1, height * width, height * width)
    ours = [torch.randn(batch, n, d_model, dtype=DOUBLE, requires_grad=True) for n in lengths]
    theirs, w = [t.detach().clone().requires_grad_() for t in ours], leaf_copies(block)
    A, expected = reference(*(theirs if n_q else theirs * 3), w, h, (height, width), ratio, transform)

    y, found = block(*ours), block.attention(*ours)["position"]
    assert_equal(y, expected)
    assert_equal(found, A)
    up, up_map = torch.randn_like(y), torch.randn_like(A)
    ((y * up).sum() + (found * up_map).sum()).backward()
    ((expected * up).sum() + (A * up_map).sum()).backward()
    for a, b in zip(ours, theirs, strict=True):
        torch.testing.assert_close(a.grad, b.grad, rtol=1e-9, atol=1e-10)
    for name, p in block.named_parameters():
        torch.testing.assert_close(p.grad, w[name].grad, rtol=1e-9, atol=1e-10, msg=lambda m, n=name: f"{n}: {m}")


@pytest.mark.parametrize("transform", [False, True])
@pytest.mark.parametrize("ratio", [1, 2])
def test_gradcheck(ratio, transform):
    block = built(4, 2, 3, 2, 2, 3, ratio, transform, bias=True, seed=0)
    inputs = [torch.randn(1, n, 4, dtype=DOUBLE, requires_grad=True) for n in (3, 6, 6)]
    names, weights = zip(*block.named_parameters(), strict=True)

    def output(*all_: Tensor) -> Tensor:
        return torch.func.functional_call(block, dict(zip(names, all_[3:], strict=True)), all_[:3])

    assert torch.autograd.gradcheck(output, (*inputs, *weights))


def test_defaults_and_parameters_are_the_papers():
    def count(*args: object, **kwargs: object) -> int:
        return sum(p.numel() for p in EMSA(*args, **kwargs).parameters())

    assert (EMSA().d_k, EMSA().h) == (64, 8)               # d_model / h
    assert count() == 4 * 512**2 + 8 * 8
    assert count(64, h=2, ratio=4, bias=True) == 4 * (64 * 64 + 64) + (2 * 2 + 2) + 64 * (5 * 5 + 1) + 2 * 64
    assert count(64, h=1, ratio=8) == 4 * 64 * 64 + 64 * (9 * 9 + 1) + 2 * 64      # one head: nothing to mix
    assert count(64, h=4, apply_transform=False) == 4 * 64 * 64
    assert EMSA(d_model=512, d_k=512, d_v=512, h=8).W_Q.weight.shape == (8 * 512, 512)    # d_k counts for one head
    torch.manual_seed(0)
    block, x = EMSA(8, h=2, ratio=2), torch.randn(2, 9, 8)
    assert torch.equal(block(x), block(x, x, x))
    assert torch.equal(block(x), block(x, x))


@pytest.mark.parametrize("bias", [False, True])
def test_without_ratio_and_transform_it_is_self_attention(bias):
    torch.manual_seed(0)
    block = EMSA(12, h=3, ratio=1, apply_transform=False, bias=bias)
    plain = ScaledDotProductAttention(12, h=3, bias=bias)
    plain.load_state_dict(block.state_dict())              # strict: the very same names and shapes
    inputs = [torch.randn(2, n, 12) for n in (5, 9, 9)]
    assert torch.equal(block(*inputs), plain(*inputs))
    assert torch.equal(block.attention(*inputs)["position"], plain.attention(*inputs)["position"])


@settings(max_examples=25, deadline=None)
@given(h=st.integers(1, 3), ratio=st.integers(1, 3), scale=st.floats(0.01, 10), seed=st.integers(0, 2**16))
def test_without_transform_rows_are_distributions_and_forward_applies_them(h, ratio, scale, seed):
    block = built(6, 4, 3, h, 4, 3, ratio, False, seed=seed)
    x = scale * torch.randn(2, 12, 6, dtype=DOUBLE)
    A = block.attention(x)["position"]
    assert ((A >= 0) & (A <= 1)).all()
    torch.testing.assert_close(A.sum(-1), torch.ones(2, h, 12, dtype=DOUBLE), rtol=0, atol=1e-12)
    small = reduced(x, dict(block.named_parameters()), 4, 3, ratio)
    V = block.W_V(small).unflatten(-1, (h, 3)).transpose(1, 2)
    assert_equal(block(x), block.W_O((A @ V).transpose(1, 2).flatten(2)))


@settings(max_examples=25, deadline=None)
@given(h=st.integers(2, 4), ratio=st.integers(1, 2), n_q=st.integers(1, 6), scale=st.floats(0.3, 10),
       seed=st.integers(0, 2**16))
def test_with_transform_rows_sum_to_zero(h, ratio, n_q, scale, seed):
    """All rows of a softmax have the same mean, 1 / N', so taking the map's mean off takes off each row's."""
    block = built(6, 4, 3, h, 4, 4, ratio, True, seed=seed)
    queries, keys = (scale * torch.randn(2, n, 6, dtype=DOUBLE) for n in (n_q, 16))
    A = block.attention(queries, keys)["position"]
    torch.testing.assert_close(A.sum(-1), torch.zeros(2, h, n_q, dtype=DOUBLE), rtol=0, atol=1e-9)
    assert (A.amin((-2, -1)) < 0).all()
    assert (A.amax((-2, -1)) > 0).all()
    # The variance is one, less what the 1e-5 inside the root takes off where the softmax is nearly flat.
    small = reduced(keys, dict(block.named_parameters()), 4, 4, ratio)
    scores = torch.einsum("bqhd,bkhd->bhqk", block.W_Q(queries).unflatten(-1, (h, 4)),
                          block.W_K(small).unflatten(-1, (h, 4))) / 2
    mixed = torch.einsum("ig,bgqk->biqk", block.mix.weight[:, :, 0, 0], scores).softmax(-1)
    var = mixed.var((-2, -1), unbiased=False)
    assert_equal(A.var((-2, -1), unbiased=False), var / (var + 1e-5))


@pytest.mark.parametrize(("height", "width", "ratio", "places"), [
    (8, 8, 2, 16), (7, 7, 2, 16), (7, 5, 2, 12), (56, 56, 8, 49), (28, 28, 4, 49), (14, 14, 2, 49), (7, 7, 1, 49),
    (9, 3, 3, 3), (10, 5, 3, 6), (1, 5, 2, 3)])
def test_places_of_the_shrunken_map(height, width, ratio, places):
    block = EMSA(4, h=2, H=height, W=width, ratio=ratio)
    maps = block.attention(torch.zeros(1, 2, 4), torch.zeros(1, height * width, 4))["position"]
    assert maps.shape == (1, 2, 2, places)


def test_the_tokens_are_the_maps_places_row_by_row():
    block = built(4, h=2, H=2, W=6, ratio=2, apply_transform=False, seed=0)
    turned = EMSA(4, h=2, H=6, W=2, ratio=2, apply_transform=False).double()
    turned.load_state_dict(block.state_dict())
    with torch.no_grad():
        turned.shrink.weight.copy_(block.shrink.weight.transpose(2, 3))
    x = torch.randn(2, 12, 4, dtype=DOUBLE)
    transposed = x.unflatten(1, (2, 6)).transpose(1, 2).flatten(1, 2)
    assert_equal(turned(x, transposed), block(x))
    assert not torch.allclose(turned(x, x), block(x), atol=1e-3)
    square = EMSA(4, h=2, ratio=2, apply_transform=False).double()       # without H and W the map is a square
    named = EMSA(4, h=2, H=3, W=3, ratio=2, apply_transform=False).double()
    named.load_state_dict(square.state_dict())
    assert torch.equal(square(x[:, :9]), named(x[:, :9]))


def test_keys_and_values_of_their_own_are_used_whatever_the_ratio():
    block = built(4, h=2, ratio=2, seed=0)
    q, k, v = (torch.randn(1, 16, 4, dtype=DOUBLE) for _ in range(3))
    assert not torch.allclose(block(q, k, v), block(q, q, v), atol=1e-3)
    assert not torch.allclose(block(q, k, v), block(q, k, k), atol=1e-3)
    assert torch.equal(block.attention(q, k, v)["position"], block.attention(q, k)["position"])


@pytest.mark.parametrize("transform", [False, True])
def test_shuffled_tokens(transform):
    torch.manual_seed(1)
    x, order = torch.randn(2, 16, 6, dtype=DOUBLE), torch.randperm(16)
    block = built(6, 2, 3, 2, ratio=1, apply_transform=transform, seed=0)
    A = block.attention(x)["position"]
    assert_equal(block(x[:, order]), block(x)[:, order])
    assert_equal(block.attention(x[:, order])["position"], A[:, :, order][..., order])
    block = built(6, 2, 3, 2, ratio=2, apply_transform=transform, seed=0)          # the convolution knows places
    assert not torch.allclose(block(x[:, order]), block(x)[:, order], atol=1e-2)
    assert_equal(block(x[:, order], x), block(x)[:, order])                        # queries may be shuffled alone


@pytest.mark.parametrize("name", ["mix.bias", "W_K.bias", "W_V.bias", "norm.bias"])
def test_four_biases_of_the_published_networks_change_nothing(name):
    """The first two add one number to all logits of a query, which no softmax sees. The others add one vector to all
    values, which rows that sum to zero take off again; norm.bias does both."""
    block = built(6, h=2, ratio=2, bias=True, seed=0)
    x = torch.randn(2, 16, 6, dtype=DOUBLE)
    before, A, bias = block(x), block.attention(x)["position"], block.get_parameter(name)
    before.square().sum().backward()
    torch.testing.assert_close(bias.grad, torch.zeros_like(bias), rtol=0, atol=1e-10)
    assert block.mix.weight.grad.abs().max() > 1e-3
    nn.init.normal_(bias, std=5)
    assert_equal(block(x), before)
    assert_equal(block.attention(x)["position"], A)


def test_without_transform_the_bias_of_the_values_counts():
    block = built(6, h=2, ratio=2, apply_transform=False, bias=True, seed=0)
    x = torch.randn(2, 16, 6, dtype=DOUBLE)
    before = block(x)
    nn.init.normal_(block.W_V.bias, std=5)
    assert not torch.allclose(block(x), before, atol=0.1)


@pytest.mark.parametrize("transform", [False, True])
@pytest.mark.parametrize("ratio", [1, 2])
@pytest.mark.parametrize("bad", [math.nan, math.inf, -math.inf])
def test_what_is_not_finite_stays_visible_in_its_own_sample_only(bad, ratio, transform):
    block = built(8, h=2, ratio=ratio, apply_transform=transform, seed=0)
    x = torch.randn(2, 16, 8, dtype=DOUBLE)
    x[0, 3, 2] = bad
    y, A = block(x), block.attention(x)["position"]
    assert not torch.isfinite(y[0, 3]).any()
    assert not torch.isfinite(A[0, :, 3]).any()
    assert torch.isfinite(y[1]).all()
    assert torch.isfinite(A[1]).all()


def test_a_forward_pass_holds_two_maps_at_a_time():
    block, x = EMSA(64, h=2, ratio=2).eval(), torch.randn(32, 28 * 28, 64)
    one_map = 4 * 32 * 2 * 28**2 * 14**2

    @torch.no_grad()
    def forward() -> None:
        block(x)

    forward()
    assert peak_memory(forward) < 3 * one_map


def test_the_mix_is_a_convolution_and_can_be_watched():
    block, x = EMSA(32, h=4, ratio=2, bias=True), torch.randn(2, 36, 32)
    seen = []
    block.mix.register_forward_hook(lambda layer, inputs, output: seen.append((inputs[0], output)))
    block(x)
    (scores, mixed), = seen
    torch.testing.assert_close(mixed, F.conv2d(scores, block.mix.weight, block.mix.bias))
