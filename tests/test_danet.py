"""The dual attention of Fu et al. (2019), both its parts and the whole head, in loops and sums."""

import math

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor, nn

from attention_lite import ChannelAttentionModule, DAModule, PositionAttentionModule

DOUBLE = torch.float64
Weights = dict[str, Tensor]


def position_reference(A: Tensor, w: Weights) -> tuple[Tensor, Tensor]:
    """Equations 1 and 2, a pair of places at a time: S (B, N, N) and E (B, C, H, W)."""
    height, width = A.shape[2:]
    A = A.flatten(2)
    B, C, D = (torch.einsum("oc,bcn->bon", w[f"{name}.weight"], A) + w[f"{name}.bias"][:, None]
               for name in "BCD")
    maps, outputs = [], []
    for b in range(len(A)):
        rows, places = [], []
        for j in range(height * width):
            terms = [torch.exp((B[b, :, i] * C[b, :, j]).sum()) for i in range(height * width)]
            row = [t / sum(terms) for t in terms]
            places.append(w["alpha"] * sum(s * D[b, :, i] for i, s in enumerate(row)) + A[b, :, j])
            rows.append(torch.stack(row))
        maps.append(torch.stack(rows))
        outputs.append(torch.stack(places, dim=1).reshape(-1, height, width))
    return torch.stack(maps), torch.stack(outputs)


def channel_reference(A: Tensor, beta: Tensor, published: bool) -> tuple[Tensor, Tensor]:
    """Equations 3 and 4, a pair of channels at a time: X (B, C, C) and E (B, C, H, W).

    With `published` the logits are max_i(A_i · A_j) - A_i · A_j, as the authors' code has them.
    """
    maps, outputs = [], []
    for image in A:
        rows, channels = [], []
        for own in image:
            energy = torch.stack([(own * other).sum() for other in image])
            terms = torch.exp(energy.max() - energy if published else energy)
            row = terms / terms.sum()
            channels.append(beta * sum(x * other for x, other in zip(row, image, strict=True)) + own)
            rows.append(row)
        maps.append(torch.stack(rows))
        outputs.append(torch.stack(channels))
    return torch.stack(maps), torch.stack(outputs)


def conv_norm_relu(x: Tensor, w: Weights, name: str, training: bool) -> Tensor:
    """Convolution without bias, batch norm with its own two buffers, ReLU: (B, C, H, W) -> (B, C, H, W)."""
    kernel, (height, width) = w[f"{name}.0.weight"], x.shape[2:]
    k, y = kernel.shape[-1], torch.zeros_like(x)
    padded = x.new_zeros(*x.shape[:2], height + k - 1, width + k - 1)
    padded[:, :, k // 2:k // 2 + height, k // 2:k // 2 + width] = x
    for i in range(k):
        for j in range(k):
            y = y + torch.einsum("oc,bchw->bohw", kernel[:, :, i, j], padded[:, :, i:i + height, j:j + width])
    mean, var = w[f"{name}.1.running_mean"], w[f"{name}.1.running_var"]
    if training:
        mean = y.mean((0, 2, 3))
        var = ((y - mean[:, None, None]) ** 2).mean((0, 2, 3))
    y = (y - mean[:, None, None]) / torch.sqrt(var[:, None, None] + 1e-5)
    y = y * w[f"{name}.1.weight"][:, None, None] + w[f"{name}.1.bias"][:, None, None]
    return torch.where(y > 0, y, 0 * y)


def head_reference(x: Tensor, w: Weights, published: bool, training: bool) -> tuple[Tensor, Tensor, Tensor]:
    """Figure 2: both maps, and the sum of both branches."""
    part = {name.removeprefix("position."): t for name, t in w.items()}
    S, by_position = position_reference(conv_norm_relu(x, w, "before_position", training), part)
    before = conv_norm_relu(x, w, "before_channel", training)
    X, by_channel = channel_reference(before, w["channel.beta"], published)
    y = conv_norm_relu(by_position, w, "after_position", training)
    return S, X, y + conv_norm_relu(by_channel, w, "after_channel", training)


def stirred(block: nn.Module) -> nn.Module:
    """The block in float64 with no weight at a neutral value: not alpha and beta, not the norms'."""
    block.double()
    with torch.no_grad():
        for name, t in [*block.named_parameters(), *block.named_buffers()]:
            if t.dim() < 2 and t.is_floating_point():
                t.copy_(torch.rand_like(t) + 0.5 if "var" in name else torch.randn_like(t))
    return block


def leaf_copies(block: nn.Module) -> Weights:
    """Leaf copies of all weights and buffers, under their own names."""
    floats = {name: t.detach().clone() for name, t in block.state_dict().items() if t.is_floating_point()}
    trained = dict(block.named_parameters())
    return {name: t.requires_grad_(name in trained) for name, t in floats.items()}


def assert_equal(ours: Tensor, theirs: Tensor) -> None:
    torch.testing.assert_close(ours, theirs, rtol=1e-10, atol=1e-10)


def compare(block: nn.Module, x: Tensor, w: Weights, x_copy: Tensor, found: list[Tensor],
            expected: list[Tensor]) -> None:
    """Results, and the gradients of a random sum of them all, of input and every weight."""
    for a, b in zip(found, expected, strict=True):
        assert_equal(a, b)
    up = [torch.randn_like(t) for t in found]
    sum((a * u).sum() for a, u in zip(found, up, strict=True)).backward()
    sum((a * u).sum() for a, u in zip(expected, up, strict=True)).backward()
    assert_equal(x.grad, x_copy.grad)
    for name, p in block.named_parameters():
        assert_equal(p.grad, w[name].grad)


def leaves(*shape: int, scale: float = 1.0) -> tuple[Tensor, Tensor]:
    """A random input that takes gradients, and its twin."""
    x = (scale * torch.randn(shape, dtype=DOUBLE)).requires_grad_()
    return x, x.detach().clone().requires_grad_()


@settings(max_examples=20, deadline=None)
@given(batch=st.integers(1, 2), eighths=st.integers(1, 2), channel=st.integers(1, 5), height=st.integers(1, 3),
       width=st.integers(1, 4), published=st.booleans(), seed=st.integers(0, 2**16))
def test_the_position_part_is_the_papers(batch, eighths, channel, height, width, published, seed):
    torch.manual_seed(seed)
    channel = 8 * eighths if published else channel
    block = stirred(PositionAttentionModule(channel, published))
    (x, x_copy), w = leaves(batch, channel, height, width), leaf_copies(block)
    assert block.B.weight.shape[0] == (eighths if published else channel)
    S, E = position_reference(x_copy, w)
    compare(block, x, w, x_copy, [block.attention(x)["position"][:, 0], block(x)], [S, E])


@settings(max_examples=20, deadline=None)
@given(batch=st.integers(1, 2), channel=st.integers(1, 5), height=st.integers(1, 3), width=st.integers(1, 4),
       published=st.booleans(), seed=st.integers(0, 2**16))
def test_the_channel_part_is_the_papers(batch, channel, height, width, published, seed):
    torch.manual_seed(seed)
    block = stirred(ChannelAttentionModule(published))
    (x, x_copy), w = leaves(batch, channel, height, width), leaf_copies(block)
    X, E = channel_reference(x_copy, w["beta"], published)
    compare(block, x, w, x_copy, [block.attention(x)["channel_to_channel"], block(x)], [X, E])


@settings(max_examples=15, deadline=None)
@given(batch=st.integers(1, 2), channel=st.integers(1, 4), kernel=st.sampled_from([1, 3, 5]),
       height=st.integers(2, 3), width=st.integers(1, 4), published=st.booleans(), training=st.booleans(),
       seed=st.integers(0, 2**16))
def test_the_head_is_the_papers(batch, channel, kernel, height, width, published, training, seed):
    torch.manual_seed(seed)
    channel = 8 if published else channel
    block = stirred(DAModule(channel, kernel, published=published)).train(training)
    (x, x_copy), w = leaves(batch, channel, height, width, scale=0.5), leaf_copies(block)
    S, X, y = head_reference(x_copy, w, published, training)
    maps = block.attention(x)
    compare(block, x, w, x_copy, [maps["position"][:, 0], maps["channel_to_channel"], block(x)], [S, X, y])


BLOCKS = {
    "position": lambda published: PositionAttentionModule(8, published),
    "channel": ChannelAttentionModule,
    "head": lambda published: DAModule(8, 3, published=published),
}


@pytest.mark.parametrize("published", [False, True])
@pytest.mark.parametrize("name", BLOCKS)
def test_gradcheck(name, published):
    torch.manual_seed(0)
    block = stirred(BLOCKS[name](published)).eval()
    x = (0.3 * torch.randn(1, 8, 2, 2, dtype=DOUBLE)).requires_grad_()
    names, weights = zip(*block.named_parameters(), strict=True)

    def output(x: Tensor, *w: Tensor) -> Tensor:
        return torch.func.functional_call(block, dict(zip(names, w, strict=True)), (x,))

    assert torch.autograd.gradcheck(output, (x, *weights), fast_mode=name == "head")


def test_parameters_are_the_papers():
    def count(block: nn.Module) -> int:
        return sum(p.numel() for p in block.parameters())

    assert count(PositionAttentionModule(512, published=True)) == 328_321
    assert count(PositionAttentionModule(512)) == 3 * (512 * 512 + 512) + 1
    assert [count(ChannelAttentionModule(published)) for published in (False, True)] == [1, 1]
    convs = 4 * (512 * 512 * 9 + 2 * 512)
    assert count(DAModule(512, published=True)) == convs + 328_321 + 1


@pytest.mark.parametrize("published", [False, True])
@pytest.mark.parametrize("name", ["position", "channel"])
def test_alpha_and_beta_start_at_zero_where_nothing_is_added(name, published):
    torch.manual_seed(0)
    block, x = BLOCKS[name](published), torch.randn(2, 8, 3, 4)
    assert torch.equal(block(x), x)
    nn.init.constant_(block.alpha if name == "position" else block.beta, 0.5)
    assert not torch.allclose(block(x), x, atol=1e-2)


@settings(max_examples=20, deadline=None)
@given(scale=st.floats(0.01, 30), published=st.booleans(), height=st.integers(1, 4), width=st.integers(1, 4),
       seed=st.integers(0, 2**16))
def test_rows_are_distributions_and_forward_applies_them(scale, published, height, width, seed):
    torch.manual_seed(seed)
    position = stirred(PositionAttentionModule(8, published))
    channel = stirred(ChannelAttentionModule(published))
    x = scale * torch.randn(2, 8, height, width, dtype=DOUBLE)
    S, X = position.attention(x)["position"], channel.attention(x)["channel_to_channel"]
    assert S.shape == (2, 1, height * width, height * width)
    assert X.shape == (2, 8, 8)
    for A in (S, X):
        assert ((A >= 0) & (A <= 1)).all()
        torch.testing.assert_close(A.sum(-1), torch.ones_like(A[..., 0]), rtol=0, atol=1e-12)
    read = torch.einsum("bji,bic->bcj", S[:, 0], position.D(x.flatten(2).transpose(1, 2))).reshape(x.shape)
    torch.testing.assert_close(position(x), position.alpha * read + x, rtol=1e-10, atol=1e-9)
    read = torch.einsum("bji,bin->bjn", X, x.flatten(2)).reshape(x.shape)
    torch.testing.assert_close(channel(x), channel.beta * read + x, rtol=1e-10, atol=1e-9)


def test_which_place_reads_from_which():
    """One place is bright: all places read from it, and its number is row · W + column."""
    block = PositionAttentionModule(1).double()
    for layer in (block.B, block.C, block.D):
        nn.init.ones_(layer.weight)
        nn.init.zeros_(layer.bias)
    nn.init.ones_(block.C.bias)                            # every place asks: where is it bright?
    x = torch.zeros(1, 1, 2, 3, dtype=DOUBLE)
    x[0, 0, 1, 0] = 20
    S = block.attention(x)["position"][0, 0]
    assert (S.argmax(-1) == 1 * 3 + 0).all()
    assert not torch.allclose(S, S.T)
    nn.init.ones_(block.alpha)
    torch.testing.assert_close(block(x), x + 20, rtol=0, atol=1e-6)


def test_no_division_by_the_root_of_the_width():
    torch.manual_seed(0)
    block, x = PositionAttentionModule(16).double(), torch.randn(1, 16, 2, 2, dtype=DOUBLE)
    tokens = x.flatten(2).transpose(1, 2)
    logits = block.C(tokens) @ block.B(tokens).transpose(1, 2)
    assert_equal(block.attention(x)["position"][:, 0], logits.softmax(-1))
    assert not torch.allclose(block.attention(x)["position"][:, 0], (logits / 4).softmax(-1), atol=1e-3)


def test_the_papers_sign_reads_from_the_most_like_and_the_published_from_the_least():
    torch.manual_seed(0)
    x = torch.randn(1, 6, 8, 8, dtype=DOUBLE)
    own = torch.arange(6)
    like = ChannelAttentionModule().double().attention(x)["channel_to_channel"][0]
    unlike = ChannelAttentionModule(published=True).double().attention(x)["channel_to_channel"][0]
    energy = x[0].flatten(1) @ x[0].flatten(1).T
    assert torch.equal(like.argmax(-1), own)               # random channels: each is most like itself
    assert torch.equal(unlike.argmax(-1), energy.argmin(-1))
    assert (unlike.argmax(-1) != own).all()
    # The flipped sign is no stabilisation: taking the maximum off changes no softmax, the sign changes it wholly.
    assert_equal(unlike, (energy.max(-1, keepdim=True).values - energy).softmax(-1))
    assert_equal(unlike, (-energy).softmax(-1))
    assert unlike.diagonal().max() < 1e-6
    assert like.diagonal().min() > 1 - 1e-6


def shuffled(t: Tensor, order: Tensor) -> Tensor:
    """A feature map with its places in another order."""
    return t.flatten(2)[:, :, order].unflatten(2, t.shape[2:])


@pytest.mark.parametrize("published", [False, True])
def test_shuffled_places(published):
    torch.manual_seed(0)
    x, order = torch.randn(2, 8, 3, 4, dtype=DOUBLE), torch.randperm(12)
    position = stirred(BLOCKS["position"](published))
    S = position.attention(x)["position"]
    assert_equal(position(shuffled(x, order)), shuffled(position(x), order))
    assert_equal(position.attention(shuffled(x, order))["position"], S[:, :, order][..., order])
    channel = stirred(BLOCKS["channel"](published))
    assert_equal(channel(shuffled(x, order)), shuffled(channel(x), order))
    key = "channel_to_channel"                             # which channel is like which does not depend on places
    assert_equal(channel.attention(shuffled(x, order))[key], channel.attention(x)[key])


def test_the_head_knows_places_only_by_its_convolutions():
    torch.manual_seed(0)
    x, order = torch.randn(2, 4, 3, 4, dtype=DOUBLE), torch.randperm(12)
    pointwise, wide = stirred(DAModule(4, 1)).eval(), stirred(DAModule(4, 3)).eval()
    assert_equal(pointwise(shuffled(x, order)), shuffled(pointwise(x), order))
    assert not torch.allclose(wide(shuffled(x, order)), shuffled(wide(x), order), atol=1e-2)


@pytest.mark.parametrize("published", [False, True])
def test_shuffled_channels(published):
    torch.manual_seed(0)
    x, order = torch.randn(2, 8, 3, 4, dtype=DOUBLE), torch.randperm(8)
    channel = stirred(BLOCKS["channel"](published))
    X = channel.attention(x)["channel_to_channel"]
    assert_equal(channel(x[:, order]), channel(x)[:, order])
    assert_equal(channel.attention(x[:, order])["channel_to_channel"], X[:, order][..., order])
    position = stirred(BLOCKS["position"](published))
    assert not torch.allclose(position(x[:, order]), position(x)[:, order], atol=1e-2)


@pytest.mark.parametrize("name", BLOCKS)
@pytest.mark.parametrize("bad", [math.nan, math.inf, -math.inf])
def test_what_is_not_finite_stays_visible_in_its_own_image_only(name, bad):
    torch.manual_seed(0)
    block = stirred(BLOCKS[name](False)).eval()            # in training, batch norm mixes the images of a batch
    x = torch.randn(2, 8, 3, 3, dtype=DOUBLE)
    x[0, 3, 1, 2] = bad
    y = block(x)
    assert not torch.isfinite(y[0, :, 1, 2]).all()
    assert torch.isfinite(y[1]).all()
    assert_equal(y[1:], block(x[1:]))


def test_the_sizes_of_the_head_are_checked_when_given_and_not_needed():
    torch.manual_seed(0)
    free, fixed = DAModule(4).eval(), DAModule(4, H=3, W=5).eval()
    fixed.load_state_dict(free.state_dict())
    x = torch.randn(1, 4, 3, 5)
    assert torch.equal(free(x), fixed(x))
    assert free(torch.randn(1, 4, 6, 2)).shape == (1, 4, 6, 2)
