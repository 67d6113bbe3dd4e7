"""ScaledDotProductAttention against Vaswani et al. (2017), in loops, and what its mask and dropout must stand."""

import math

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor, nn

from attention_lite import ScaledDotProductAttention

DOUBLE = torch.float64


def reference(queries: Tensor, keys: Tensor, values: Tensor, weights: dict[str, Tensor], h: int,
              mask: Tensor | None = None) -> tuple[Tensor, Tensor]:
    """Equation 1 and Section 3.2.2, a query and a key at a time: A (B, h, N_q, N_k), output (B, N_q, D).

    `weights` holds W_Q, W_K, W_V, W_O as (out, in) matrices, head after head along `out` (`in` for W_O), and
    the biases b_Q, b_K, b_V, b_O, if any. `mask` is (B, h, N_q, N_k), True where a query may see a key.
    """
    def project(name: str, x: Tensor) -> Tensor:
        y = torch.einsum("...i,oi->...o", x, weights[f"W_{name}"])
        return y + weights[f"b_{name}"] if f"b_{name}" in weights else y

    Q, K, V = project("Q", queries), project("K", keys), project("V", values)
    d_k, d_v = Q.shape[-1] // h, V.shape[-1] // h
    maps, outputs = [], []
    for b in range(len(Q)):
        rows, concatenated = [], []
        for i in range(h):
            for n in range(Q.shape[1]):
                q = Q[b, n, i * d_k:(i + 1) * d_k]
                terms, total, head = [], 0, Q.new_zeros(d_v)
                for m in range(K.shape[1]):
                    seen = mask is None or bool(mask[b, i, n, m])
                    k = K[b, m, i * d_k:(i + 1) * d_k]
                    terms.append(torch.exp((q * k).sum() / d_k ** 0.5) if seen else Q.new_zeros(()))
                    total = total + terms[-1]
                row = [t / total if total > 0 else t for t in terms]
                for m, a in enumerate(row):
                    head = head + a * V[b, m, i * d_v:(i + 1) * d_v]
                rows.append(torch.stack(row))
                concatenated.append(head)
        maps.append(torch.stack(rows).reshape(h, Q.shape[1], K.shape[1]))
        outputs.append(torch.stack(concatenated).reshape(h, Q.shape[1], d_v).transpose(0, 1).flatten(1))
    return torch.stack(maps), project("O", torch.stack(outputs))


def weights_of(sa: ScaledDotProductAttention) -> dict[str, Tensor]:
    """A block's weights under the names that `reference` uses."""
    return {f"{'W' if name.endswith('weight') else 'b'}_{name[2]}": p for name, p in sa.named_parameters()}


def copies(sa: ScaledDotProductAttention) -> dict[str, Tensor]:
    """Leaf copies of them."""
    return {name: p.detach().clone().requires_grad_() for name, p in weights_of(sa).items()}


@settings(max_examples=25, deadline=None)
@given(batch=st.integers(1, 2), h=st.integers(1, 3), d_model=st.integers(1, 5), d_k=st.integers(1, 4),
       d_v=st.integers(1, 4), n_q=st.integers(1, 4), n_k=st.integers(1, 4), bias=st.booleans(),
       masked=st.booleans(), seed=st.integers(0, 2**16))
def test_forward_and_gradients_are_the_papers(batch, h, d_model, d_k, d_v, n_q, n_k, bias, masked, seed):
    torch.manual_seed(seed)
    sa = ScaledDotProductAttention(d_model, d_k, d_v, h, bias=bias).double()
    weights = copies(sa)
    ours = [torch.randn(batch, n, d_model, dtype=DOUBLE, requires_grad=True) for n in (n_q, n_k, n_k)]
    theirs = [t.detach().clone().requires_grad_() for t in ours]
    mask = torch.rand(batch, h, n_q, n_k) > 0.4 if masked else None        # leaves some rows without any key
    maps, expected = reference(*theirs, weights, h, mask)

    y = sa(*ours, mask=mask)
    A = sa.attention(*ours, mask=mask)["position"]
    torch.testing.assert_close(y, expected, rtol=0, atol=1e-10)
    torch.testing.assert_close(A, maps, rtol=0, atol=1e-10)

    up, up_maps = torch.randn_like(y), torch.randn_like(A)
    ((y * up).sum() + (A * up_maps).sum()).backward()                # through the fused kernel and the map
    ((expected * up).sum() + (maps * up_maps).sum()).backward()
    pairs = [*zip(ours, theirs, strict=True), *((w, weights[name]) for name, w in weights_of(sa).items())]
    for a, b in pairs:
        expected = torch.zeros_like(b) if b.grad is None else b.grad     # None where every key of every row is masked
        torch.testing.assert_close(a.grad, expected, rtol=0, atol=1e-10)


def test_defaults_are_the_papers():
    sa = ScaledDotProductAttention()
    assert (sa.d_k, sa.d_v, sa.h) == (64, 64, 8)                         # d_model / h, Section 3.2.2
    assert sum(p.numel() for p in sa.parameters()) == 4 * 512**2
    assert set(sa.state_dict()) == {"W_Q.weight", "W_K.weight", "W_V.weight", "W_O.weight"}
    x = torch.randn(2, 3, 512)
    assert torch.equal(sa(x), sa(x, x, x))
    assert torch.equal(sa(x), sa(x, x))
    wide = ScaledDotProductAttention(d_model=512, d_k=512, d_v=512, h=8)
    assert wide.W_Q.weight.shape == (8 * 512, 512)                         # d_k counts for one head


def test_same_as_torchs_multihead_attention():
    torch.manual_seed(0)
    sa = ScaledDotProductAttention(12, h=3, bias=True).double()
    theirs = nn.MultiheadAttention(12, 3, batch_first=True, dtype=DOUBLE)
    with torch.no_grad():
        theirs.in_proj_weight.copy_(torch.cat([sa.W_Q.weight, sa.W_K.weight, sa.W_V.weight]))
        theirs.in_proj_bias.copy_(torch.cat([sa.W_Q.bias, sa.W_K.bias, sa.W_V.bias]))
        theirs.out_proj.load_state_dict(sa.W_O.state_dict())
    x, mask = torch.randn(2, 5, 12, dtype=DOUBLE), torch.ones(5, 5, dtype=torch.bool).tril()
    y, A = theirs(x, x, x, attn_mask=~mask, average_attn_weights=False)  # its mask says where not to look
    torch.testing.assert_close(sa(x, mask=mask), y, rtol=0, atol=1e-12)
    torch.testing.assert_close(sa.attention(x, mask=mask)["position"], A, rtol=0, atol=1e-12)


@pytest.mark.parametrize("masked", [False, True])
def test_gradcheck(masked):
    torch.manual_seed(0)
    sa = ScaledDotProductAttention(4, 3, 2, h=2, bias=True).double()
    x = [torch.randn(2, n, 4, dtype=DOUBLE, requires_grad=True) for n in (2, 3, 3)]
    mask = torch.tensor([[True, False, True], [False, False, False]]) if masked else None
    assert torch.autograd.gradcheck(lambda *a: sa(*a, mask=mask), x)
    names, weights = zip(*sa.named_parameters(), strict=True)
    fixed = tuple(t.detach() for t in x)

    def of_weights(*w: Tensor) -> Tensor:
        return torch.func.functional_call(sa, dict(zip(names, w, strict=True)), fixed, {"mask": mask})

    assert torch.autograd.gradcheck(of_weights, weights)


@settings(max_examples=25, deadline=None)
@given(h=st.integers(1, 4), n_q=st.integers(1, 6), n_k=st.integers(1, 6), scale=st.floats(0.01, 30),
       seed=st.integers(0, 2**16))
def test_rows_are_distributions_and_forward_applies_them(h, n_q, n_k, scale, seed):
    torch.manual_seed(seed)
    sa = ScaledDotProductAttention(6, 4, 4, h).double()
    queries, keys = (scale * torch.randn(2, n, 6, dtype=DOUBLE) for n in (n_q, n_k))
    A = sa.attention(queries, keys)["position"]
    assert A.shape == (2, h, n_q, n_k)
    assert ((A >= 0) & (A <= 1)).all()
    torch.testing.assert_close(A.sum(-1), torch.ones(2, h, n_q, dtype=DOUBLE), rtol=0, atol=1e-12)
    V = sa.W_V(keys).unflatten(-1, (h, 4)).transpose(1, 2)
    expected = sa.W_O((A @ V).transpose(1, 2).flatten(2))
    torch.testing.assert_close(sa(queries, keys), expected, rtol=1e-11, atol=1e-11)


def test_zero_queries_take_the_plain_average():
    sa = ScaledDotProductAttention(8, h=2).double()
    nn.init.zeros_(sa.W_Q.weight)
    x = torch.randn(2, 5, 8, dtype=DOUBLE)
    torch.testing.assert_close(sa.attention(x)["position"], torch.full((2, 2, 5, 5), 0.2, dtype=DOUBLE))
    torch.testing.assert_close(sa(x), sa.W_O(sa.W_V(x)).mean(1, keepdim=True).expand(-1, 5, -1))


@settings(max_examples=20, deadline=None)
@given(n=st.integers(2, 7), h=st.integers(1, 3), seed=st.integers(0, 2**16))
def test_shuffled_tokens_give_shuffled_outputs(n, h, seed):
    torch.manual_seed(seed)
    sa, x = ScaledDotProductAttention(6, 2, 3, h).double(), torch.randn(2, n, 6, dtype=DOUBLE)
    order = torch.randperm(n)
    torch.testing.assert_close(sa(x[:, order]), sa(x)[:, order], rtol=0, atol=1e-12)
    A, shuffled = sa.attention(x)["position"], sa.attention(x[:, order])["position"]
    torch.testing.assert_close(shuffled, A[:, :, order][:, :, :, order], rtol=0, atol=1e-12)


def test_with_a_causal_mask_order_matters():
    torch.manual_seed(0)
    sa, x = ScaledDotProductAttention(6, 2, 3, h=2).double(), torch.randn(2, 5, 6, dtype=DOUBLE)
    order, causal = torch.tensor([1, 2, 3, 4, 0]), torch.ones(5, 5, dtype=torch.bool).tril()
    assert not torch.allclose(sa(x[:, order], mask=causal), sa(x, mask=causal)[:, order], atol=1e-3)


@pytest.mark.parametrize(
    "shape", [(), (1,), (5,), (1, 5), (4, 1), (4, 5), (1, 2, 4, 5), (3, 1, 1, 5), (3, 2, 4, 5), (3, 1, 4, 1)])
def test_masks_broadcast(shape):
    torch.manual_seed(0)
    sa = ScaledDotProductAttention(6, 2, 3, h=2).double()
    queries, keys = torch.randn(3, 4, 6, dtype=DOUBLE), torch.randn(3, 5, 6, dtype=DOUBLE)
    mask = torch.rand(shape) > 0.4
    full = mask.expand(3, 2, 4, 5)
    A, expected = reference(queries, keys, keys, copies(sa), 2, full)
    torch.testing.assert_close(sa(queries, keys, mask=mask), expected, rtol=0, atol=1e-10)
    found = sa.attention(queries, keys, mask=mask)["position"]
    torch.testing.assert_close(found, A, rtol=0, atol=1e-10)
    assert (found[~full] == 0).all()


@pytest.mark.parametrize("masked", [False, True])
def test_a_key_mask_is_of_samples_even_where_all_sizes_are_equal(masked):
    """Four samples, four heads, four queries, four keys: a guess by the shape would take another axis."""
    torch.manual_seed(0)
    sa, x = ScaledDotProductAttention(8, h=4).double(), torch.randn(4, 4, 8, dtype=DOUBLE)
    there = torch.arange(4) < torch.tensor([4, 1, 3, 2])[:, None]                  # as the docstring says
    mask = torch.rand(4, 4) > 0.3 if masked else None
    full = there[:, None, None].expand(4, 4, 4, 4)
    A, expected = reference(x, x, x, copies(sa), 4, full if mask is None else full & mask)
    torch.testing.assert_close(sa(x, mask=mask, key_mask=there), expected, rtol=0, atol=1e-10)
    torch.testing.assert_close(sa.attention(x, mask=mask, key_mask=there)["position"], A, rtol=0, atol=1e-10)
    padded = x.masked_fill(~there[..., None], 7.0)
    torch.testing.assert_close(sa(padded, mask=mask, key_mask=there)[there], expected[there], rtol=0, atol=1e-10)


@pytest.mark.parametrize("bias", [False, True])
def test_a_query_without_any_key_gets_zeros_not_nan(bias):
    torch.manual_seed(0)
    sa, x = ScaledDotProductAttention(6, h=2, bias=bias), torch.randn(2, 4, 6, requires_grad=True)
    mask = torch.ones(4, 4, dtype=torch.bool)
    mask[1] = False
    A, y = sa.attention(x, mask=mask)["position"], sa(x, mask=mask)
    assert (A[:, :, 1] == 0).all()
    assert torch.allclose(A[:, :, [0, 2, 3]].sum(-1), torch.ones(1))
    torch.testing.assert_close(y[:, 1], (sa.W_O.bias if bias else torch.zeros(6)).expand(2, 6))
    (y.sum() + A.square().sum()).backward()
    assert torch.isfinite(x.grad).all()
    assert all(torch.isfinite(p.grad).all() for p in sa.parameters())


@pytest.mark.parametrize("bad", [math.nan, math.inf, -math.inf])
def test_what_is_not_finite_stays_visible_in_its_own_sample_only(bad):
    torch.manual_seed(0)
    sa, x = ScaledDotProductAttention(8, h=2), torch.randn(2, 5, 8)
    x[0, 3, 2] = bad
    y, A = sa(x), sa.attention(x)["position"]
    assert not torch.isfinite(y[0, 3]).any()
    assert not torch.isfinite(A[0, :, 3]).any()
    assert torch.isfinite(y[1]).all()
    assert torch.isfinite(A[1]).all()


def test_dropout_only_in_training():
    torch.manual_seed(0)
    sa, x = ScaledDotProductAttention(8, h=2, dropout=0.5), torch.randn(2, 6, 8)
    plain = ScaledDotProductAttention(8, h=2)
    plain.load_state_dict(sa.state_dict())
    assert not torch.equal(sa(x), sa(x))
    torch.testing.assert_close(sa.attention(x)["position"].sum(-1), torch.ones(2, 2, 6))   # undropped
    sa.eval()
    assert torch.equal(sa(x), sa(x))
    torch.testing.assert_close(sa(x), plain(x))


def test_dropout_keeps_the_mean():
    torch.manual_seed(0)
    sa, x = ScaledDotProductAttention(4, h=1, dropout=0.3).double(), torch.randn(1, 3, 4, dtype=DOUBLE)
    trained = sa(x.expand(20_000, -1, -1)).mean(0)
    torch.testing.assert_close(trained, sa.eval()(x)[0], rtol=0, atol=0.01)


def test_one_token_reads_itself():
    x = torch.randn(2, 1, 8)
    torch.testing.assert_close(ScaledDotProductAttention(8, h=2).attention(x)["position"], torch.ones(2, 2, 1, 1))


def test_the_mask_is_left_alone():
    sa, mask = ScaledDotProductAttention(8, h=2), torch.rand(4, 5) > 0.5
    inputs, before = [torch.randn(2, n, 8) for n in (4, 5, 5)], mask.clone()
    sa(*inputs, mask)
    sa.attention(*inputs, mask)
    assert torch.equal(mask, before)


def test_a_non_contiguous_mask():
    sa, feature_map = ScaledDotProductAttention(8, h=2).double(), torch.randn(2, 8, 3, 4, dtype=DOUBLE)
    tokens, mask = feature_map.flatten(2).transpose(1, 2), (torch.rand(12, 12) > 0.5).T
    assert not tokens.is_contiguous()
    torch.testing.assert_close(sa(tokens, mask=mask), sa(tokens.contiguous(), mask=mask.contiguous()))


def test_autocast_to_bfloat16_with_a_mask():
    torch.manual_seed(0)
    sa, x = ScaledDotProductAttention(16, h=4), torch.randn(2, 6, 16)
    mask = torch.rand(6, 6) > 0.3
    with torch.autocast("cpu", torch.bfloat16):
        low, A = sa(x, mask=mask), sa.attention(x, mask=mask)["position"]
    assert low.dtype == torch.bfloat16
    torch.testing.assert_close(low.float(), sa(x, mask=mask), rtol=0.05, atol=0.02)
    torch.testing.assert_close(A.float(), sa.attention(x, mask=mask)["position"], rtol=0.05, atol=0.02)
    low.sum().backward()
    assert all(torch.isfinite(p.grad).all() for p in sa.parameters())


def test_compiles_without_a_break_with_a_mask():
    torch.manual_seed(0)
    sa, x = ScaledDotProductAttention(16, h=4), torch.randn(2, 6, 16, requires_grad=True)
    mask = torch.rand(6) > 0.3
    # "aot_eager" traces and differentiates the whole graph and needs no C++ compiler on the machine.
    compiled = torch.compile(sa, fullgraph=True, backend="aot_eager")
    torch.testing.assert_close(compiled(x, mask=mask), sa(x, mask=mask))
    gradients = [torch.autograd.grad(f(x, mask=mask).square().sum(), x)[0] for f in (compiled, sa)]
    torch.testing.assert_close(*gradients)


def test_exports_with_any_batch_and_length_of_a_mask():
    torch.manual_seed(0)
    sa = ScaledDotProductAttention(16, h=4).eval()
    batch, n = torch.export.Dim("batch", min=1), torch.export.Dim("n", min=2)
    example = (torch.randn(3, 6, 16), None, None, torch.ones(6, 6, dtype=torch.bool))
    program = torch.export.export(sa, example, dynamic_shapes=({0: batch, 1: n}, None, None, {0: n, 1: n}))
    for b, length in [(3, 6), (2, 9)]:
        x, mask = torch.randn(b, length, 16), torch.rand(length, length) > 0.3
        torch.testing.assert_close(program.module()(x, None, None, mask), sa(x, mask=mask))
