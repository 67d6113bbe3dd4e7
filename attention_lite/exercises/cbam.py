"""Checks of the exercises of chapter 03, CBAM."""

import torch
import torch.nn.functional as F
from torch import Tensor

from attention_lite.exercises import Wrong, call, choose, exercise, expect_shape, formula, same, slip

_MAX_ALONE = {
    "a": "that takes a mean. How many places are as bright as the brightest does not change the maximum.",
    "c": "a gate that sees the maximum alone knows nothing of the other places, so nothing can stand out from them.",
}
_CRITICISE = {
    "a": "true, but no objection: gates are sigmoids, and a map need not sum to one to be bright in the right place.",
    "b": "an untrained map is about 0.5 everywhere, so it does not point at the digit. The control is passed.",
    "d": "the kernel's 7 places are smaller than the map, and the peak does lie on the digit in most pictures.",
}


@exercise("cbam-max-alone")
def check_max_alone(answer) -> None:
    """A letter: what a gate with the maximum alone says of one bright place and of many."""
    choose(answer, "b", _MAX_ALONE)


@exercise("cbam-criticise")
def check_criticise(answer) -> None:
    """A letter: what is wrong with a claim about a map."""
    choose(answer, "c", _CRITICISE)


@exercise("cbam-places")
def check_places(gates) -> None:
    """gates(x, kernel): (B, C, H, W), (1, 2, k, k) -> (B, H, W), the gates of places; kernel: mean, then maximum."""
    for b, c, h, w, k in ((2, 5, 8, 9, 3), (1, 4, 9, 7, 7), (3, 2, 5, 5, 5)):
        x, kernel = torch.randn(b, c, h, w) + 0.3, torch.randn(1, 2, k, k) / k
        g = call(gates, x, kernel)
        if g.dim() == 4 and g.shape[1] == 1:
            g = g[:, 0]
        if g.shape == (b, h - k + 1, w - k + 1):
            raise Wrong(f"your map has shrunk to {tuple(g.shape[1:])}: pad with (k - 1) / 2 zeros on each side, "
                        "so that each place keeps its gate.")
        expect_shape(g, (b, h, w), "(B, H, W)")
        right = torch.sigmoid(_scores(x.mean(1), x.amax(1), kernel))
        if not same(g, right):
            raise Wrong(_what_is_wrong(g, x, kernel, right))


def _scores(first: Tensor, second: Tensor, kernel: Tensor) -> Tensor:
    """The convolution's scores (B, H, W) of two maps (B, H, W)."""
    return F.conv2d(torch.stack([first, second], 1), kernel, padding=kernel.shape[-1] // 2)[:, 0]


def _what_is_wrong(g: Tensor, x: Tensor, kernel: Tensor, right: Tensor) -> str:
    """The sentence for wrong gates of places: recognise the usual slips by the numbers they give."""
    mean, top, sigmoid = x.mean(1), x.amax(1), torch.sigmoid
    scores = _scores(mean, top, kernel)
    return slip(g, {
        "you pool the maximum first and the mean second; this kernel's first plane is for the mean.":
            sigmoid(_scores(top, mean, kernel)),
        "both your maps are the mean over the channels; the second is the maximum.":
            sigmoid(_scores(mean, mean, kernel)),
        "both your maps are the maximum over the channels; the first is the mean.": sigmoid(_scores(top, top, kernel)),
        "your first map is the sum over the channels; it is the mean.": sigmoid(_scores(x.sum(1), top, kernel)),
        "your second map is the smallest value over the channels; it is the largest.":
            sigmoid(_scores(mean, x.amin(1), kernel)),
        "the sigmoid is missing: your gates are raw scores, and some lie outside (0, 1).": scores,
        "your gates sum to 1 over the places: that is a softmax. CBAM's gates are sigmoids, each on its own.":
            scores.flatten(1).softmax(1).view_as(scores),
        "your kernel is turned by 180°. What networks call a convolution does not turn it.":
            sigmoid(_scores(mean, top, kernel.flip((2, 3)))),
        "there is a ReLU too many: between the convolution and the sigmoid there is nothing.": sigmoid(scores.relu()),
        "the mean's plane alone is used. The maximum has one, too.": sigmoid(_scores(mean, 0 * top, kernel)),
        "the maximum's plane alone is used. The mean has one, too.": sigmoid(_scores(0 * mean, top, kernel)),
    }) or f"your gates differ from σ(u) by up to {(g - right).abs().max().item():.2f}."


@exercise("cbam-relabel")
def check_relabel(relabel) -> None:
    """relabel(kernel): the kernel (1, 2, k, k) that does with [max, mean] what `kernel` does with [mean, max]."""
    for k in (7, 3):
        kernel = torch.randn(1, 2, k, k)
        theirs = call(relabel, kernel)
        expect_shape(theirs, (1, 2, k, k), "(1, 2, k, k)")
        if same(theirs, kernel.flip(1)):
            continue
        sentence = slip(theirs, {
            "that is the kernel as it came: its first plane would now meet the maximum.": kernel,
            "you turn each plane by 180° and leave the two planes where they are.": kernel.flip((2, 3)),
            "the planes have changed places, but each is turned by 180° too.": kernel.flip((1, 2, 3)),
            "you turn the rows round. It is the two planes, axis 1, that change places.": kernel.flip(2),
            "you turn the columns round. It is the two planes, axis 1, that change places.": kernel.flip(3),
            "you exchange rows and columns. It is the two planes, axis 1, that change places.": kernel.transpose(2, 3),
            "the planes have changed places, but rows and columns, too.": kernel.flip(1).transpose(2, 3),
            "you change the sign. It is the two planes, axis 1, that change places.": -kernel,
            "both your planes are that of the mean.": kernel[:, [0, 0]],
            "both your planes are that of the maximum.": kernel[:, [1, 1]],
        })
        if sentence:
            raise Wrong(sentence)
        if (theirs.sum() - kernel.sum()).abs() > 1e-3 * k * k:
            raise Wrong("the numbers themselves have changed; they need only change places.")
        raise Wrong("a block with your kernel gives other gates than before.")


def _matrices(C: int, r: int) -> float:
    return 2 * C * C / r


formula(
    "cbam-parameters", "C r k", [(32, 4, 7), (512, 16, 7), (64, 8, 3), (10, 1, 5)],
    lambda C, r, k: _matrices(C, r) + 2 * k * k, {
        "the kernel has two planes, one for each map.": lambda C, r, k: _matrices(C, r) + k * k,
        "both pools share one pair of matrices; you count two pairs.": lambda C, r, k: 2 * _matrices(C, r) + 2 * k * k,
        "that is the channel gate alone. The gate of places has a kernel.": lambda C, r, k: _matrices(C, r),
        "that is the gate of places alone. The channel gate has two matrices.": lambda C, r, k: 2 * k * k,
        "you count a bias of the convolution. It has none here.": lambda C, r, k: _matrices(C, r) + 2 * k * k + 1,
        "you count biases of the matrices. They have none here.":
            lambda C, r, k: _matrices(C, r) + C / r + C + 2 * k * k,
        "you count biases, of the matrices and of the convolution. There are none here.":
            lambda C, r, k: _matrices(C, r) + C / r + C + 2 * k * k + 1,
        "the convolution reads two maps, not C channels twice.": lambda C, r, k: _matrices(C, r) + 2 * C * k * k,
        "the convolution reads two maps, not all C channels.": lambda C, r, k: _matrices(C, r) + C * k * k,
        "a k × k kernel has k² weights a plane.": lambda C, r, k: _matrices(C, r) + 2 * k,
        "a k × k kernel has k² weights a plane, and there are two planes.": lambda C, r, k: _matrices(C, r) + k,
        "you count one of the two matrices.": lambda C, r, k: _matrices(C, r) / 2 + 2 * k * k,
        "you count one of the two matrices, and one of the kernel's two planes.":
            lambda C, r, k: _matrices(C, r) / 2 + k * k,
        "you forget the reduction: the matrices join C channels to C / r units.": lambda C, r, k: 2 * C * C + 2 * k * k,
        "each matrix joins C channels to C / r units, so it has C · C / r weights, not (C / r)².":
            lambda C, r, k: 2 * (C / r) ** 2 + 2 * k * k,
    }, "Count the two matrices, which both pools share, and the kernel with its two planes.")
