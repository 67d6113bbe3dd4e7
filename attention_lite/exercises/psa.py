"""Checks of the exercises of chapter 06, pyramid split attention."""

import math
from collections.abc import Callable

import torch
from torch import Tensor, nn
from torch.nn.functional import conv2d

from attention_lite.exercises import (
    Wrong,
    ask,
    call,
    choose,
    exercise,
    expect_shape,
    formula,
    module,
    run,
    same,
    slip,
)

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
    sums = att.sum(1)
    worst = sums.flatten()[(sums - 1).abs().argmax()].item()
    over_splits = f"your weights sum to {worst:.2f} over the splits; they should sum to 1."
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
        "these are raw scores: the sigmoid and the softmax are still to come.": scores,
        f"{over_splits} You divide over splits and channels together. Each channel has a softmax of its own.":
            gates.flatten(1).softmax(1).view_as(gates),
        "you divide the gates by their sum. A softmax divides exponentials.": gates / gates.sum(1, keepdim=True),
        "you take the sigmoid twice.": gates.sigmoid().softmax(1),
        "there is a ReLU too many: after W₂ comes the sigmoid.": scores.relu().sigmoid().softmax(1),
        "the ReLU between the two matrices is missing.":
            torch.sigmoid(torch.einsum("bsk,sck->bsc", torch.einsum("bsc,skc->bsk", z, W1), W2)).softmax(1),
        "your squeeze takes the sum of each channel; it should take the mean over the places.":
            _gates(F.sum((3, 4)), W1, W2).softmax(1),
        "your squeeze takes the largest value of each channel; it should take the mean over the places.":
            _gates(F.amax((3, 4)), W1, W2).softmax(1),
    }
    return slip(att, known) or ("your weights differ from softmax(σ(W₂ δ(W₁ z))) by up to "
                                f"{(att - right).abs().max().item():.2f}.")


def _bounds(low: float, high: float) -> Callable[[int], tuple[float, float]]:
    """The bounds of a softmax over S scores, each between `low` and `high`."""
    a, b = math.exp(low), math.exp(high)
    return lambda S: (a / (a + (S - 1) * b), b / (b + (S - 1) * a))


E = math.e
_RIGHT = _bounds(0, 1)
formula(
    "psa-bounds", "S", [(4,), (2,), (8,), (3,)], _RIGHT, {
        "your two bounds stand the wrong way round.": lambda S: _RIGHT(S)[::-1],
        "a split has S − 1 rivals, not S.": lambda S: (1 / (1 + S * E), E / (E + S)),
        "that is a softmax of any scores. The scores here are sigmoids, between 0 and 1.": lambda S: (0, 1),
        "these are the bounds for four splits. S may differ.": lambda S: _RIGHT(4),
        "these are the bounds for two splits. S may differ.": lambda S: _RIGHT(2),
        "for the lower bound the rivals' gates are at 1, so their exponentials at e.":
            lambda S: (1 / (S - 1 + E), None),
        "sigmoids do not get below 0: the scores lie between 0 and 1, not −1 and 1.": _bounds(-1, 1),
        "the gates lie between 0 and 1. You take them from ½ to 1.": _bounds(0.5, 1),
        "these are the scores' bounds, over S. The softmax takes their exponentials.": lambda S: (0, 1 / S),
        "an even share is where all gates are alike. How far can one get from it?": lambda S: (1 / S, 1 / S),
        "an even share is where all gates are alike. The lower bound lies below it.": lambda S: (1 / S, None),
        "an even share is where all gates are alike. For the upper bound the rivals' gates are at 0, so their "
        "exponentials at 1.": lambda S: (None, 1 / S),
        "a weight of 0 would need a score of −∞. The gates do not get below 0.": lambda S: (0, None),
        "a weight of 1 would need rivals with scores of −∞. The gates do not get below 0.": lambda S: (None, 1),
    }, "Put one gate at the end of its range, and its rivals at the other end.", "the lower bound, the upper bound")


def _summed(term: Callable[[int, int, float, int], float]) -> Callable[..., float]:
    """A count: the sum over the splits of term(k, G, C, S)."""
    return lambda C, kernels, groups: sum(term(k, g, C, len(kernels)) for k, g in zip(kernels, groups, strict=True))


formula(
    "psa-parameters", "C kernels groups", [
        (64, [3, 5, 7, 9], [2, 4, 8, 16]), (64, [3, 5, 7, 9], [1, 4, 8, 16]), (48, [3, 5], [1, 8]),
        (96, [1, 3, 5], [1, 2, 4]), (48, [3, 3, 5], [1, 2, 4])],
    _summed(lambda k, g, C, S: k * k * C * C / S / g), {
        "you forget the groups: a filter sees C / G channels.": _summed(lambda k, g, C, S: k * k * C * C / S),
        "each kernel makes C / S channels, not C.": _summed(lambda k, g, C, S: k * k * C * C / g),
        "each kernel makes C / S channels, and sees C / G, not C.": _summed(lambda k, g, C, S: k * k * C * C),
        "each kernel sees the whole map, not its own part.": _summed(lambda k, g, C, S: k * k * (C / S) ** 2 / g),
        "each kernel sees the whole map, not its own part, in groups.":
            _summed(lambda k, g, C, S: k * k * (C / S) ** 2),
        "you divide by G twice. The outputs of all groups together are C / S.":
            _summed(lambda k, g, C, S: k * k * C * C / S / g**2),
        "you multiply with G. A filter sees C / G channels: groups make it smaller.":
            _summed(lambda k, g, C, S: k * k * C * C / S * g),
        "a k × k kernel has k² weights for each channel it sees.": _summed(lambda k, g, C, S: k * C * C / S / g),
        "you count biases too. These convolutions have none.":
            _summed(lambda k, g, C, S: k * k * C * C / S / g + C / S),
        "that is one filter of each split. There are C / S.": _summed(lambda k, g, C, S: k * k * C / g),
        "all filters of a split count, and each sees C / G channels. That is k² C / S.":
            _summed(lambda k, g, C, S: k * k * C / S),
        "two splits may have kernels of one size. You count one of them.": lambda C, kernels, groups: sum(
            k * k * C * C / len(kernels) / g for k, g in dict(zip(kernels, groups, strict=True)).items()),
    }, "A filter sees k² places of C / G channels, and a split has C / S filters.")


@exercise("psa-list")
def check_list(block) -> None:
    """A class block(channel, kernels) whose output is the splits side by side, trainable, its input left alone."""
    if not (isinstance(block, type) and issubclass(block, nn.Module)):
        raise Wrong(f"expected the class, derived from torch.nn.Module, got {block!r}.")
    for channel, kernels in ((8, (3, 5)), (12, (1, 3, 5)), (12, (5, 3, 3))):
        net = module(ask(block, channel, list(kernels)), "a class derived from torch.nn.Module")
        _check_pyramid(net, channel, kernels)


def _check_pyramid(net: nn.Module, channel: int, kernels: tuple[int, ...]) -> None:
    if not list(net.parameters()):
        raise Wrong("your block has no parameters: PyTorch does not look for layers inside a plain list. An optimiser "
                    "would get nothing to learn, and .double() or .to(device) leaves the layers behind.")
    convs = [m for m in net.modules() if isinstance(m, nn.Conv2d)]
    if sorted(m.kernel_size[0] for m in convs) != sorted(kernels):
        raise Wrong(f"for the kernels {kernels} your block registers convolutions of "
                    f"{[m.kernel_size[0] for m in convs]}.")
    if any(m.in_channels != channel for m in convs):
        raise Wrong("each kernel should see all the channels of the map, not a part of them.")
    ordered = [convs.pop(next(i for i, m in enumerate(convs) if m.kernel_size[0] == k)) for k in kernels]
    net = net.double()
    x = torch.randn(2, channel, 6, 5, dtype=torch.float64)
    y = _forward_leaving_input(net, x)
    width = channel // len(kernels)
    expect_shape(y, (2, channel, 6, 5), "(B, C, H, W)")
    right = torch.cat([conv2d(x, m.weight, m.bias, padding=m.kernel_size[0] // 2) for m in ordered], 1).detach()
    if not same(y, right):
        if same(y[:, :width], right[:, :width]):
            raise Wrong("the first split is right, the later ones are not. Do the later kernels see what the earlier "
                        "ones have written?")
        raise Wrong("your output is not the splits side by side, in the order of the kernels.")
    trained = run(net, x)
    if not trained.requires_grad:
        raise Wrong("your output is cut off from the parameters: no gradient comes back. Was it detached?")
    trained.square().sum().backward()
    if any(p.grad is None or not p.grad.any() for p in net.parameters()):
        raise Wrong("not every parameter of your block gets a gradient.")


def _forward_leaving_input(net: Callable[[Tensor], Tensor], x: Tensor) -> Tensor:
    """What the net makes of x; refused if x has changed, in the pass or on the way to torch's own complaint."""
    given = x.clone()
    try:
        y = run(torch.no_grad()(net.forward), given)    # with gradients, torch itself refuses to write into a chunk
    except Wrong:
        if torch.equal(given, x):
            raise
        y = given
    if not torch.equal(given, x):
        raise Wrong("your block writes into the map that it was given. Whoever gave it still needs it: a skip "
                    "connection, or the backward pass. Make a new one, with torch.cat.")
    if not isinstance(y, Tensor):
        raise Wrong("your forward returns nothing yet.")
    return y.detach()
