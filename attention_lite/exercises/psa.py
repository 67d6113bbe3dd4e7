"""Checks of the exercises of chapter 06, pyramid split attention."""

import math
from collections.abc import Callable

import torch
from torch import Tensor, nn
from torch.nn.functional import conv2d

from attention_lite.exercises import (
    Wrong,
    ask,
    choose,
    exercise,
    expect_shape,
    formula,
    module,
    run,
    same,
)

_CRITICISE = {
    "a": "that 0.27 is not the maximum says nothing about the digit: nor would a weight of 0.4.",
    "b": "single channels do differ from their mean. But were all of them 0.27, would it tell you the size?",
    "d": "an even share is 0.25, not one half: four splits compete. And a larger share would not speak of size either.",
}
_TILT = {
    "b": "a batch norm does not ask which kernel a channel comes from. What does it do with a factor?",
    "c": "what is turned down is not gone. What does a batch norm do with a channel of a fifth of its strength?",
    "d": "the pictures are of the kind that it was trained on. Which numbers does the rest of the network expect?",
}


@exercise("psa-criticise")
def check_criticise(answer) -> None:
    """A letter: what is wrong with a claim about a weight."""
    choose(answer, "c", _CRITICISE)


@exercise("psa-tilt")
def check_tilt(answer) -> None:
    """A letter: what comes back of a tilt's cost once the batch norms have measured anew."""
    choose(answer, "a", _TILT)


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
