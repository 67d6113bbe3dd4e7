"""Checks of the exercises of chapter 06, pyramid split attention."""

import math
from collections.abc import Callable

import torch
from torch import Tensor, nn
from torch.nn.functional import conv2d

from attention_lite.exercises import Wrong, call, choose, exercise, expect_shape, same

_CRITICISE = {
    "a": "no weight of this block comes near 0.475 in our networks; that 0.27 is not the maximum says nothing about "
         "the digit.",
    "c": "an even share is 0.25, not one half: four splits compete. And a larger share would not speak of size either.",
    "d": "single channels do differ from their mean. But were all of them 0.27, would it tell you the size?",
}


@exercise("psa-criticise")
def check_criticise(answer) -> None:
    """A letter: what is wrong with a claim about a weight."""
    choose(answer, "b", _CRITICISE)


@exercise("psa-weights")
def check_weights(weights) -> None:
    """weights(F, W1, W2): (B, S, C', H, W), (S, C'/r, C'), (S, C', C'/r) -> (B, S, C'), the splits' weights."""
    for b, s, c, r, h, w in ((2, 4, 6, 2, 5, 3), (3, 3, 4, 2, 4, 4), (2, 2, 8, 4, 1, 7)):
        F = torch.randn(b, s, c, h, w) + 0.5
        W1, W2 = 2 * torch.randn(s, c // r, c), 2 * torch.randn(s, c, c // r)
        att = call(weights, F, W1, W2)
        if tuple(att.shape) == (b, s, c, 1, 1):
            att = att[..., 0, 0]
        expect_shape(att, (b, s, c), "(B, S, C/S)")
        right = _gates(F.mean((3, 4)), W1, W2).softmax(1)
        if not same(att, right):
            raise Wrong(_what_is_wrong(att, F, W1, W2, right))


def _scores(z: Tensor, W1: Tensor, W2: Tensor) -> Tensor:
    return torch.einsum("bsk,sck->bsc", torch.relu(torch.einsum("bsc,skc->bsk", z, W1)), W2)


def _gates(z: Tensor, W1: Tensor, W2: Tensor) -> Tensor:
    return torch.sigmoid(_scores(z, W1, W2))


def _what_is_wrong(att: Tensor, F: Tensor, W1: Tensor, W2: Tensor, right: Tensor) -> str:
    """The sentence for wrong weights: recognise the usual slips by the numbers they give."""
    z = F.mean((3, 4))
    gates, scores = _gates(z, W1, W2), _scores(z, W1, W2)
    over_splits = f"your weights sum to {att[0].sum(0).mean():.2f} over the splits; they should sum to 1."
    known = {
        f"{over_splits} Did you normalise over the channels of a split?": gates.softmax(2),
        f"{over_splits} Did you normalise over the batch?": gates.softmax(0),
        "these are the gates, each on its own; the softmax is still to come.": gates,
        "the sigmoid before the softmax is missing. Your weights may go from 0 to 1: that is the open variant.":
            scores.softmax(1),
        "you take the softmax first and the sigmoid after it. Your weights do not sum to 1.":
            torch.sigmoid(scores.softmax(1)),
        "you use the matrices of the first split for all of them. The paper's splits each have their own.":
            _gates(z, W1[:1].expand_as(W1), W2[:1].expand_as(W2)).softmax(1),
        "the ReLU between the two matrices is missing.":
            torch.sigmoid(torch.einsum("bsk,sck->bsc", torch.einsum("bsc,skc->bsk", z, W1), W2)).softmax(1),
        "your squeeze takes the sum of each channel; it should take the mean over the places.":
            _gates(F.sum((3, 4)), W1, W2).softmax(1),
        "your squeeze takes the largest value of each channel; it should take the mean over the places.":
            _gates(F.amax((3, 4)), W1, W2).softmax(1),
    }
    for sentence, wrong in known.items():
        if same(att, wrong):
            return sentence
    return f"your weights differ from softmax(σ(W₂ δ(W₁ z))) by up to {(att - right).abs().max().item():.2f}."


@exercise("psa-bounds")
def check_bounds(bounds) -> None:
    """bounds(S): the pair that no weight of S splits can leave."""
    if not callable(bounds):
        raise Wrong(f"expected a function of S, got {type(bounds).__name__}.")
    e = math.e
    for S in (4, 2, 8, 3):
        answer = bounds(S)
        if answer is None or answer is ...:
            raise Wrong("your function returns nothing yet.")
        try:
            low, high = (float(v) for v in answer)
        except (TypeError, ValueError):
            raise Wrong(f"expected two numbers, the lower bound and the upper, got {answer!r}.") from None
        right = (1 / (1 + (S - 1) * e), e / (e + S - 1))
        if _close((low, high), right):
            continue
        wrong = {
            right[::-1]: "your two bounds stand the wrong way round.",
            (1 / (1 + S * e), e / (e + S)): "a split has S − 1 rivals, not S.",
            (0.0, 1.0): "that is a softmax of any scores. The scores here are sigmoids, between 0 and 1.",
            (1 / (1 + 3 * e), e / (e + 3)): "these are the bounds for four splits. S may differ.",
            (1 / (S - 1 + e), e / (e + S - 1)): "for the lower bound the rivals' gates are at 1, so "
                                                "their exponentials at e.",
        }
        hint = next((said for pair, said in wrong.items() if _close((low, high), pair)),
                    "put one gate at the end of its range, and its rivals at the other end.")
        raise Wrong(f"for S = {S} you give {low:.3f} and {high:.3f}: {hint}")


def _close(one: tuple[float, float], other: tuple[float, float]) -> bool:
    return all(abs(a - b) < 1e-3 for a, b in zip(one, other, strict=True))


@exercise("psa-parameters")
def check_parameters(count) -> None:
    """count(C, kernels, groups): how many weights the block's convolutions hold."""
    if not callable(count):
        raise Wrong(f"expected a function of C, kernels and groups, got {type(count).__name__}.")
    for C, kernels, groups in ((64, (3, 5, 7, 9), (2, 4, 8, 16)), (64, (3, 5, 7, 9), (1, 4, 8, 16)),
                               (48, (3, 5), (1, 8)), (96, (1, 3, 5), (1, 2, 4))):
        n = count(C, kernels, groups)
        if n is None or n is ...:
            raise Wrong("your function returns nothing yet.")
        S, pairs = len(kernels), list(zip(kernels, groups, strict=True))
        right = sum(k * k * C * (C // S) // g for k, g in pairs)
        if n == right:
            continue
        wrong = {
            sum(k * k * C * (C // S) for k in kernels): "you forget the groups: a filter sees C / G channels.",
            sum(k * k * C * C // g for k, g in pairs): "each kernel makes C / S channels, not C.",
            sum(k * k * (C // S) ** 2 // g for k, g in pairs): "each kernel sees the whole map, not its own part.",
            sum(k * k * C * (C // S) // g**2 for k, g in pairs): "you divide by G twice. The outputs of all groups "
                                                                   "together are C / S.",
            sum(k * C * (C // S) // g for k, g in pairs): "a k × k kernel has k² weights for each channel it sees.",
            right + C: "you count biases too. These convolutions have none.",
        }
        hint = wrong.get(n, f"the convolutions hold {right} weights.")
        raise Wrong(f"for C = {C}, kernels {kernels} and groups {groups} you count {n}: {hint}")


@exercise("psa-list")
def check_list(block) -> None:
    """A class block(channel, kernels) whose output is the splits side by side, trainable, its input left alone."""
    if not (isinstance(block, type) and issubclass(block, nn.Module)):
        raise Wrong(f"expected a class derived from torch.nn.Module, got {block!r}.")
    for channel, kernels in ((8, (3, 5)), (12, (1, 3, 5))):
        _check_pyramid(block(channel, kernels), channel, kernels)


def _check_pyramid(net: nn.Module, channel: int, kernels: tuple[int, ...]) -> None:
    found = sum(p.numel() for p in net.parameters())
    if found == 0:
        raise Wrong("your block has no parameters: PyTorch does not look for layers inside a plain list. An optimiser "
                    "would get nothing to learn, and .double() or .to(device) leaves the layers behind.")
    convs = {m.kernel_size[0]: m for m in net.modules() if isinstance(m, nn.Conv2d)}
    if sorted(convs) != sorted(kernels):
        raise Wrong(f"for the kernels {kernels} your block registers convolutions of {sorted(convs)}.")
    if any(m.in_channels != channel for m in convs.values()):
        raise Wrong("each kernel should see all the channels of the map, not a part of them.")
    net = net.double()
    x = torch.randn(2, channel, 6, 5, dtype=torch.float64)
    y = _forward_leaving_input(net, x)
    width = channel // len(kernels)
    expect_shape(y, (2, channel, 6, 5), "(B, C, H, W)")
    right = torch.cat([conv2d(x, convs[k].weight, convs[k].bias, padding=k // 2) for k in kernels], 1)
    if not same(y, right.detach()):
        if same(y[:, :width], right[:, :width].detach()):
            raise Wrong("the first split is right, the later ones are not. Do the later kernels see what the earlier "
                        "ones have written?")
        raise Wrong("your output is not the splits side by side, in the order of the kernels.")
    net(x).square().sum().backward()
    if any(p.grad is None or not p.grad.any() for p in net.parameters()):
        raise Wrong("not every parameter of your block gets a gradient.")


def _forward_leaving_input(net: Callable[[Tensor], Tensor], x: Tensor) -> Tensor:
    given = x.clone()
    with torch.no_grad():                       # with gradients, torch itself refuses to write into a chunk
        y = net(given)
    if not torch.equal(given, x):
        raise Wrong("your block writes into the map that it was given. Whoever gave it still needs it: a skip "
                    "connection, or the backward pass.")
    if not isinstance(y, Tensor):
        raise Wrong("your forward returns nothing yet.")
    return y
