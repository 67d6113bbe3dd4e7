"""Checks of the exercises of chapter 02, efficient channel attention."""

import math
from collections.abc import Callable

import torch
import torch.nn.functional as F
from torch import Tensor

from attention_lite.eca import adaptive_kernel_size
from attention_lite.exercises import Wrong, call, choose, exercise, expect_shape, formula, same, slip

Stages = list[tuple[int, int]]             # (blocks, channels) of each stage
_FLIP = {
    "a": "every channel keeps its two neighbours, but they change sides: what stood before it now stands after it. "
         "Which weight does each of them meet?",
    "b": "think of a kernel such as (1, 2, 1). Does it notice from which side it is read?",
}
_CRITICISE = {
    "a": "a wider kernel would reach further along the same line of numbers. What is the line itself worth?",
    "c": "without a sigmoid each number would still come from the same k channels. The claim is about which ones.",
    "d": "true of every squeeze, SE's too, and it says nothing about which channels are neighbours.",
}


@exercise("eca-flip")
def check_flip(answer) -> None:
    """A letter: when reversing all channels leaves a network with ECA as it was."""
    choose(answer, "c", _FLIP)


@exercise("eca-criticise")
def check_criticise(answer) -> None:
    """A letter: what is wrong with calling ECA's neighbours similar."""
    choose(answer, "b", _CRITICISE)


@exercise("eca-gates")
def check_gates(gates) -> None:
    """gates(x, w): (B, C, H, W), (k,) -> (B, C), the gates of a batch."""
    for b, c, k, h, w in ((2, 8, 3, 5, 7), (3, 7, 5, 4, 4), (1, 4, 1, 1, 9)):
        x, kernel = torch.randn(b, c, h, w) + 0.5, torch.randn(k)
        s = call(gates, x, kernel)
        if tuple(s.shape) in ((b, c, 1, 1), (b, 1, c)):
            s = s.reshape(b, c)
        if k > 1 and tuple(s.shape) in ((b, c - k + 1), (b, 1, c - k + 1)):
            raise Wrong(f"from C = {c} channels and k = {k} weights you get {c - k + 1} gates. Each channel needs one: "
                        "pad z with zeros at both ends.")
        expect_shape(s, (b, c), "(B, C)")
        right = torch.sigmoid(_along(x.mean((2, 3)), kernel))
        if not same(s, right):
            raise Wrong(_what_is_wrong(s, x, kernel, right))


def _along(z: Tensor, kernel: Tensor, mode: str = "constant") -> Tensor:
    """The kernel's k weights on each channel of z, (B, C), and its neighbours; `mode` pads the ends."""
    p = len(kernel) // 2
    return F.conv1d(F.pad(z[:, None], (p, p), mode=mode), kernel[None, None])[:, 0]


def _what_is_wrong(s: Tensor, x: Tensor, kernel: Tensor, right: Tensor) -> str:
    """The sentence for wrong gates: recognise the usual slips by the numbers they give."""
    z, sigmoid = x.mean((2, 3)), torch.sigmoid
    scores = _along(z, kernel)
    squeeze = "your squeeze takes {} of each channel; ECA takes the mean over the places, picture by picture.".format
    return slip(s, {
        squeeze("the sum"): sigmoid(_along(x.sum((2, 3)), kernel)),
        squeeze("the largest value"): sigmoid(_along(x.amax((2, 3)), kernel)),
        squeeze("the mean over the whole batch"): sigmoid(_along(z.mean(0, keepdim=True).expand_as(z), kernel)),
        "the sigmoid is missing: your gates are the raw sums, and some lie outside (0, 1).": scores,
        "your gates sum to 1 over the channels: that is a softmax. ECA's gates are sigmoids, each on its own.":
            scores.softmax(1),
        "you read the kernel from its far end, as a mathematician's convolution does: its first weight belongs to the "
        "channel with the smallest number.": sigmoid(_along(z, kernel.flip(0))),
        "your channels form a ring: the last is a neighbour of the first. ECA pads with zeros.":
            sigmoid(_along(z, kernel, "circular")),
        "you repeat the channels at the ends. ECA pads with zeros.": sigmoid(_along(z, kernel, "replicate")),
        "your kernel runs along the pictures of the batch. It runs along the channels of each.":
            sigmoid(_along(z.T, kernel).T),
        "there is a ReLU too many: between the kernel and the sigmoid there is nothing.": sigmoid(scores.relu()),
        "these are no gates yet: you return x's means through a sigmoid, and w has no say.": sigmoid(z),
    }) or f"your gates differ from the sigmoid of the sums over k neighbours by up to {(s - right).abs().max():.2f}."


def _t(C: int) -> float:
    return (math.log2(C) + 1) / 2


def _odd(t: float) -> int:
    """The odd number nearest to t, at a tie the larger."""
    return 2 * math.floor(t / 2) + 1


formula(
    "eca-kernel", "C", [(c,) for c in (48, 64, 128, 200, 256, 512, 1024, 2048, 2500, 4, 40000, 300000)],
    adaptive_kernel_size, {
        "a kernel must be odd: you round to the nearest whole number, odd or even.": lambda C: round(_t(C)),
        "a kernel must be odd: you cut t off to a whole number.": lambda C: int(_t(C)),
        "a kernel is a whole, odd number: that is t itself.": _t,
        "is the logarithm to the base 2?": lambda C: _odd((math.log(C) + 1) / 2),
        "is the logarithm to the base 2? Yours is to the base 10.": lambda C: _odd((math.log10(C) + 1) / 2),
        "did you add b before you divided by γ? Or round to a whole number first, and an even one down?":
            lambda C: _odd(math.log2(C) / 2),
        "did you divide b by γ, too? Or round to a whole number first, and an even one up? The odd number nearest to t "
        "itself is asked for.": lambda C: _odd(math.log2(C) / 2 + 1),
        "you do not divide by γ.": lambda C: _odd(math.log2(C) + 1),
        "you always round down. The nearest odd number may lie above.": lambda C: 2 * math.floor((_t(C) - 1) / 2) + 1,
        "you always round up. The nearest odd number may lie below.": lambda C: 2 * math.ceil((_t(C) - 1) / 2) + 1,
        "at a tie the larger odd number is taken.": lambda C: 2 * math.ceil(_t(C) / 2) - 1,
        "Python's round takes a tie to the even side, once up and once down; here a tie goes up.":
            lambda C: 2 * round((_t(C) - 1) / 2) + 1,
        "the formula has no smallest size: narrow layers get a kernel of 1.": lambda C: max(3, _odd(_t(C))),
        "the formula has no largest size: very wide layers get more than 7.": lambda C: min(7, _odd(_t(C))),
        "that size is right for some widths only. It grows with C.": lambda C: 3,
    }, "Work out t = (log₂ C + b) / γ first, by hand: which odd number is nearest?")


def _summed(term: Callable[[int, int, int], int]) -> Callable[[Stages], int]:
    """A count: the sum over the stages of term(blocks, channels, size of the kernel)."""
    return lambda stages: sum(term(n, C, adaptive_kernel_size(C)) for n, C in stages)


formula(
    "eca-parameters", "stages", [([(3, 256), (4, 512), (6, 1024), (3, 2048)],), ([(1, 64)],), ([(2, 512)],),
                                 ([(2, 64), (2, 2048)],), ([(2, 64), (3, 64), (5, 128)],)],
    _summed(lambda n, C, k: n * k), {
        "each of a stage's n blocks has a kernel of its own.": _summed(lambda n, C, k: k),
        "all channels share one kernel.": _summed(lambda n, C, k: n * k * C),
        "all channels share one kernel, and each of a stage's n blocks has one.": _summed(lambda n, C, k: k * C),
        "you count biases. The convolution has none.": _summed(lambda n, C, k: n * (k + 1)),
        "those are SE's two matrices.": _summed(lambda n, C, k: n * 2 * C * C // 16),
        "you read the pairs as (C, n). They are (n, C).": _summed(lambda n, C, k: C * adaptive_kernel_size(n)),
        "you square k. The kernel runs along one line, the channels'.": _summed(lambda n, C, k: n * k * k),
        "you square k. The kernel runs along one line, the channels'; and each of a stage's n blocks has one.":
            _summed(lambda n, C, k: k * k),
        "those are the kernels 3, 5, 5, 7 that the authors pass by hand. Use the formula.":
            _summed(lambda n, C, k: n * (3 if C == 256 else k)),
        "that is a kernel of 3 everywhere. Its size grows with C.": _summed(lambda n, C, k: 3 * n),
        "two stages may be equally wide. You count one of them.": lambda stages: sum(
            n * adaptive_kernel_size(C) for C, n in {C: n for n, C in stages}.items()),
        "that is the last stage alone. Add them all.": lambda stages: _summed(lambda n, C, k: n * k)(stages[-1:]),
        "that is the first stage alone. Add them all.": lambda stages: _summed(lambda n, C, k: n * k)(stages[:1]),
    }, "Add n times the kernel's size over the stages.")
