"""ExternalAttention against Guo et al. (2021), number by number."""

import math

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor, nn

from attention_lite import ExternalAttention

DOUBLE = torch.float64


def reference(F: Tensor, M_k: Tensor, M_v: Tensor, h: int, W_O: Tensor | None) -> tuple[Tensor, Tensor]:
    """The paper's double normalisation, one head at a time: A (B, h, N, S) and F_out (B, N, d).

    The memories are (S, d / h) matrices, the same for all heads and samples; W_O is (d, d) as (out, in).
    """
    maps, outputs = [], []
    for sample in F:
        heads, rows = [], []
        for part in sample.chunk(h, dim=-1):
            logits = torch.einsum("nd,sd->ns", part, M_k)
            over_tokens = torch.stack([torch.exp(slot) / torch.exp(slot).sum() for slot in logits.T], dim=1)
            A = torch.stack([token / token.sum() for token in over_tokens])
            rows.append(A)
            heads.append(sum(A[:, s, None] * M_v[s] for s in range(len(M_v))))
        maps.append(torch.stack(rows))
        y = torch.cat(heads, dim=-1)
        outputs.append(y if W_O is None else torch.einsum("ni,oi->no", y, W_O))
    return torch.stack(maps), torch.stack(outputs)


def weights_of(block: ExternalAttention) -> list[Tensor]:
    """M_k, M_v transposed, and W_O if there is one."""
    return list(block.parameters())


def built(*args: int, seed: int = 0) -> ExternalAttention:
    torch.manual_seed(seed)
    return ExternalAttention(*args).double()


def assert_equal(ours: Tensor, theirs: Tensor) -> None:
    torch.testing.assert_close(ours, theirs, rtol=1e-10, atol=1e-10)


@settings(max_examples=30, deadline=None)
@given(batch=st.integers(1, 3), n=st.integers(1, 6), width=st.integers(1, 4), S=st.integers(1, 5),
       h=st.integers(1, 3), seed=st.integers(0, 2**16))
def test_forward_and_gradients_are_the_papers(batch, n, width, S, h, seed):
    block = built(h * width, S, h, seed=seed)
    copies = [w.detach().clone().requires_grad_() for w in weights_of(block)]
    x = torch.randn(batch, n, h * width, dtype=DOUBLE, requires_grad=True)
    x_copy = x.detach().clone().requires_grad_()
    A, expected = reference(x_copy, copies[0], copies[1].T, h, copies[2] if h > 1 else None)

    y, found = block(x), block.attention(x)["slot"]
    assert_equal(y, expected)
    assert_equal(found, A)
    up, up_map = torch.randn_like(y), torch.randn_like(A)
    ((y * up).sum() + (found * up_map).sum()).backward()
    ((expected * up).sum() + (A * up_map).sum()).backward()
    for ours, theirs in zip([x, *weights_of(block)], [x_copy, *copies], strict=True):
        assert_equal(ours.grad, theirs.grad)


@pytest.mark.parametrize("h", [1, 2])
def test_gradcheck(h):
    block = built(4, 3, h)
    x = torch.randn(2, 5, 4, dtype=DOUBLE, requires_grad=True)
    names, weights = zip(*block.named_parameters(), strict=True)

    def output(x: Tensor, *w: Tensor) -> Tensor:
        return torch.func.functional_call(block, dict(zip(names, w, strict=True)), (x,))

    assert torch.autograd.gradcheck(output, (x, *weights))


@pytest.mark.parametrize(("d", "S"), [(512, 8), (512, 64), (48, 5)])
def test_parameters_are_the_two_memories(d, S):
    one = ExternalAttention(d, S)
    assert sum(p.numel() for p in one.parameters()) == 2 * d * S
    assert set(one.state_dict()) == {"M_k.weight", "M_v.weight"}         # a single head has no projection
    four = ExternalAttention(d, S, h=4)                                   # memories a quarter as wide, shared
    assert sum(p.numel() for p in four.parameters()) == 2 * (d // 4) * S + d * d
    assert ExternalAttention().M_k.weight.shape == (64, 512)


@settings(max_examples=25, deadline=None)
@given(h=st.integers(1, 3), n=st.integers(1, 7), S=st.integers(1, 6), scale=st.floats(0.01, 100),
       seed=st.integers(0, 2**16))
def test_rows_are_distributions_over_the_slots_and_forward_applies_them(h, n, S, scale, seed):
    block = built(4 * h, S, h, seed=seed)
    x = scale * torch.randn(2, n, 4 * h, dtype=DOUBLE)
    A = block.attention(x)["slot"]
    assert A.shape == (2, h, n, S)
    assert ((A >= 0) & (A <= 1)).all()
    torch.testing.assert_close(A.sum(-1), torch.ones(2, h, n, dtype=DOUBLE), rtol=0, atol=1e-12)
    read = torch.einsum("bhns,ds->bnhd", A, block.M_v.weight).flatten(2)
    assert_equal(block(x), read if h == 1 else read @ block.W_O.weight.T)


def test_the_softmax_is_over_the_tokens():
    """A slot that all tokens like alike loses by it: adding to its logits changes nothing. A plain softmax sees it."""
    block = built(3, 4)
    x = torch.cat([torch.randn(2, 5, 2, dtype=DOUBLE), torch.ones(2, 5, 1, dtype=DOUBLE)], dim=2)
    before, logits = block.attention(x)["slot"], block.M_k(x)
    with torch.no_grad():
        block.M_k.weight[1, 2] += 3                        # the last feature is 1: slot 1's logits grow by 3
    shift = torch.tensor([0., 3, 0, 0], dtype=DOUBLE)
    assert_equal(block.M_k(x), logits + shift)
    assert_equal(block.attention(x)["slot"], before)
    assert not torch.allclose((logits + shift).softmax(-1), logits.softmax(-1), atol=1e-2)


def test_the_division_is_over_the_slots():
    """A token ten times as long wins or loses every slot; after the division its row sums to one like the others."""
    block = built(6, 4)
    x = torch.randn(1, 5, 6, dtype=DOUBLE)
    x[0, 2] *= 10
    over_tokens = block.M_k(x).softmax(1)
    assert over_tokens.sum(-1).max() / over_tokens.sum(-1).min() > 3
    assert_equal(block.attention(x)["slot"][:, 0], over_tokens / over_tokens.sum(-1, keepdim=True))


def test_one_token_reads_the_plain_average_of_the_memory():
    block = built(6, 4)
    x = torch.randn(2, 1, 6, dtype=DOUBLE)                 # one token: the softmax over tokens is 1 for every slot
    assert_equal(block.attention(x)["slot"], torch.full((2, 1, 1, 4), 0.25, dtype=DOUBLE))
    assert_equal(block(x), block.M_v.weight.mean(1).expand(2, 1, 6))


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_logits_of_ten_thousand_stay_finite(dtype):
    torch.manual_seed(0)
    block, x = ExternalAttention(8, 4, h=2).to(dtype), torch.randn(2, 9, 8, dtype=dtype)
    with torch.no_grad():
        block.M_k.weight *= 1e4
    x.requires_grad_()
    logits = block.M_k(x.unflatten(-1, (2, 4)).transpose(1, 2))
    assert logits.abs().max() > 5e3
    y, A = block(x), block.attention(x)["slot"]
    torch.testing.assert_close(A.sum(-1), torch.ones(2, 2, 9, dtype=dtype))
    (y.square().sum() + A.square().sum()).backward()
    assert all(torch.isfinite(t).all() for t in (y, A, x.grad, *(p.grad for p in block.parameters())))
    naive = logits.softmax(2)                              # some token loses in every slot: 0 / 0
    assert torch.isnan(naive / naive.sum(3, keepdim=True)).any()


def test_heads_share_the_memories():
    """With equal parts, all heads read the same; and each is what one head alone would read."""
    block, alone = built(8, 4, 2), built(4, 4)
    alone.load_state_dict({name: block.state_dict()[name] for name in ("M_k.weight", "M_v.weight")})
    left, right = torch.randn(2, 2, 5, 4, dtype=DOUBLE)
    A = block.attention(torch.cat([left, left], dim=2))["slot"]
    assert torch.equal(A[:, 0], A[:, 1])
    nn.init.eye_(block.W_O.weight)
    assert_equal(block(torch.cat([left, right], dim=2)), torch.cat([alone(left), alone(right)], dim=2))


@pytest.mark.parametrize("h", [1, 2])
def test_shuffled_tokens_and_shuffled_slots(h):
    block = built(8, 5, h)
    x, order, slots = torch.randn(2, 7, 8, dtype=DOUBLE), torch.randperm(7), torch.randperm(5)
    y, A = block(x), block.attention(x)["slot"]
    assert_equal(block(x[:, order]), y[:, order])
    assert_equal(block.attention(x[:, order])["slot"], A[:, :, order])
    with torch.no_grad():                                  # the slots have no order of their own
        block.M_k.weight.copy_(block.M_k.weight[slots])
        block.M_v.weight.copy_(block.M_v.weight[:, slots])
    assert_equal(block(x), y)
    assert_equal(block.attention(x)["slot"], A[..., slots])
    features = torch.randperm(8)
    assert not torch.allclose(block(x[..., features]), y[..., features], atol=1e-3)


def test_tokens_of_a_sample_depend_on_each_other_and_samples_do_not():
    block = built(6, 4)
    x = torch.randn(3, 5, 6, dtype=DOUBLE)
    y = block(x)
    for i in range(3):
        assert_equal(block(x[i:i + 1]), y[i:i + 1])
    x[0, 4] += 1
    assert not torch.allclose(block(x)[0, :4], y[0, :4], atol=1e-4)      # the softmax runs over the tokens
    assert_equal(block(x)[1:], y[1:])


@pytest.mark.parametrize("h", [1, 2])
@pytest.mark.parametrize("bad", [math.nan, math.inf, -math.inf])
def test_what_is_not_finite_stays_visible_in_its_own_sample_only(bad, h):
    block = built(8, 4, h)
    x = torch.randn(2, 5, 8, dtype=DOUBLE)
    x[0, 3, 2] = bad
    y, A = block(x), block.attention(x)["slot"]
    assert not torch.isfinite(y[0, 3]).all()
    assert not torch.isfinite(A[0, 0, 3]).any()
    assert torch.isfinite(y[1]).all()
    assert torch.isfinite(A[1]).all()
