"""Checks of the exercises of chapter 02, efficient channel attention."""

import math

import torch
import torch.nn.functional as F
from torch import Tensor

from attention_lite.eca import adaptive_kernel_size
from attention_lite.exercises import Wrong, call, choose, exercise, expect_shape, same

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
        if k > 1 and s.shape[-1] == c - k + 1:
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
    z = x.mean((2, 3))
    scores = _along(z, kernel)
    squeezed = {
        "the sum": x.sum((2, 3)), "the largest value": x.amax((2, 3)),
        "the mean over the whole batch": z.mean(0, keepdim=True).expand_as(z),
    }
    for name, wrong in squeezed.items():
        if same(s, torch.sigmoid(_along(wrong, kernel))):
            return f"your squeeze takes {name} of each channel; ECA takes the mean over the places, picture by picture."
    if same(s, scores):
        return "the sigmoid is missing: your gates are the raw sums, and some lie outside (0, 1)."
    if same(s, scores.softmax(1)):
        return "your gates sum to 1 over the channels: that is a softmax. ECA's gates are sigmoids, each on its own."
    if same(s, torch.sigmoid(_along(z, kernel.flip(0)))):
        return "you read the kernel from its far end: its first weight belongs to the channel with the smallest number."
    if same(s, torch.sigmoid(_along(z, kernel, "circular"))):
        return "your channels form a ring: the last is a neighbour of the first. ECA pads with zeros."
    if same(s, torch.sigmoid(_along(z, kernel, "replicate"))):
        return "you repeat the channels at the ends. ECA pads with zeros."
    worst = (s - right).abs().max().item()
    return f"your gates differ from the sigmoid of the sums over k neighbours by up to {worst:.2f}."


@exercise("eca-kernel")
def check_kernel(kernel) -> None:
    """kernel(C): the formula's odd number of weights, for gamma = 2 and b = 1."""
    if not callable(kernel):
        raise Wrong(f"expected a function of C, got {type(kernel).__name__}.")
    widths = (48, 64, 128, 200, 256, 512, 1024, 2048, 2500)
    sizes = [kernel(c) for c in widths]
    if any(k is None or k is ... for k in sizes):
        raise Wrong("your function returns nothing yet.")
    right = [adaptive_kernel_size(c) for c in widths]
    for c, k, expected in zip(widths, sizes, right, strict=True):
        if k != expected:
            raise Wrong(f"for C = {c} you get {k}; the nearest odd number is {expected}. {_why(widths, sizes)}")


def _why(widths: tuple[int, ...], sizes: list) -> str:
    """Why the kernel sizes of these widths are wrong."""
    def odd(t: float) -> int:
        return int(t) if int(t) % 2 else int(t) + 1

    exact = [(math.log2(c) + 1) / 2 for c in widths]
    if any(k % 2 != 1 for k in sizes):
        return "A kernel must be odd and whole: an even one has no middle for the channel itself."
    slips = {
        "Is the logarithm to the base 2?": [odd((math.log(c) + 1) / 2) for c in widths],
        "Did you add b before you divided by γ?": [odd(math.log2(c) / 2) for c in widths],
        "You divide b by nothing: it is (log₂ C + b) / γ.": [odd(math.log2(c) / 2 + 1) for c in widths],
        "You always round down. The nearest odd number may lie above.": [int((t - 1) // 2) * 2 + 1 for t in exact],
        "You always round up. The nearest odd number may lie below.": [math.ceil((t - 1) / 2) * 2 + 1 for t in exact],
        "At a tie the larger odd number is taken.": [math.ceil((t - 2) / 2) * 2 + 1 for t in exact],
        "Python's round takes a tie to the even side, once up and once down; here a tie goes up.":
            [2 * round((t - 1) / 2) + 1 for t in exact],
    }
    return next((why for why, wrong in slips.items() if wrong == sizes), "Work out t first, by hand.")


@exercise("eca-parameters")
def check_parameters(count) -> None:
    """count(stages): the parameters of n blocks of C channels for each (n, C), kernels by the formula."""
    if not callable(count):
        raise Wrong(f"expected a function of a list of pairs (n, C), got {type(count).__name__}.")
    for stages in ([(1, 64)], [(2, 512)], [(2, 64), (2, 2048)], [(3, 256), (4, 512), (6, 1024), (3, 2048)]):
        n = count(list(stages))
        if n is None or n is ...:
            raise Wrong("your function returns nothing yet.")
        kernels = [(blocks, c, adaptive_kernel_size(c)) for blocks, c in stages]
        right = sum(blocks * k for blocks, _, k in kernels)
        if n == right:
            continue
        wrong = {
            sum(k for _, _, k in kernels): "each of a stage's n blocks has a kernel of its own.",
            sum(blocks * k * c for blocks, c, k in kernels): "all channels share one kernel.",
            sum(blocks * (k + 1) for blocks, _, k in kernels): "you count biases. The convolution has none.",
            sum(blocks * (2 * c * c // 16) for blocks, c, _ in kernels): "those are SE's two matrices.",
            80: "those are the kernels 3, 5, 5, 7 that the authors pass by hand. Use the formula.",
        }
        raise Wrong(f"for the stages {stages} you count {n}: {wrong.get(n, f'the blocks hold {right} weights.')}")
