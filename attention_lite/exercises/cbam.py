"""Checks of the exercises of chapter 03, CBAM."""

from functools import cache

import torch
from torch import Tensor

from attention_lite.exercises import Wrong, call, choose, exercise, expect_shape, formula, indices, same, slip

FEW = 12                 # shut places that are enough

_LEVEL = {
    "a": "the shortcuts let much pass, but the accuracy did fall: something can be concluded. The question is what.",
    "c": "all three fall. Whatever is said of it must explain that, and more trainings would not.",
    "d": "gates of 0 take the digit away with the message: that control is worse.",
}


@exercise("cbam-level")
def check_level(answer) -> None:
    """A letter: what is wrong with setting all gates to 1 as a control."""
    choose(answer, "b", _LEVEL)


@exercise("cbam-blind")
def check_blind(places) -> None:
    """Numbers of places: shut in the last block without a shortcut, they make the network misread the 7."""
    chosen = indices(places, 144, "places", "row i, column j of the explorer has the number 12 (i − 1) + (j − 1)")
    read, share = _read_with_shut(tuple(chosen))
    if read == 7:
        raise Wrong(f"with {len(chosen)} places shut the network still reads the 7, probability {share:.2f}."
                    + _why_still_read(chosen))
    if len(chosen) > FEW:
        raise Wrong(f"with {len(chosen)} places shut it reads a {read}. {FEW} will do: which of yours can be spared?")


def _why_still_read(chosen: list[int]) -> str:
    """What is wrong with places that leave the 7: how they were counted, or where they lie."""
    counted = {
        " Its rows and columns have changed places: the row is multiplied by 12.":
            [12 * (n % 12) + n // 12 for n in chosen],
        " The explorer counts rows and columns from 1: subtract 1 from each, as the rule says.":
            [n - 13 for n in chosen],
        " The explorer counts columns from 1, too: subtract 1 from each.": [n - 1 for n in chosen],
        " The explorer counts rows from 1, too: subtract 1 from each.": [n - 12 for n in chosen],
    }
    for sentence, meant in counted.items():
        if min(meant, default=-1) >= 0 and _read_with_shut(tuple(meant))[0] != 7:
            return sentence
    near = _scene()[2]
    on = sum(bool(near[place]) for place in chosen)
    if 2 * on < len(chosen):
        return " Most of them lie beside the digit: shut those that it covers."
    if chosen and on == len(chosen):
        return " They are on the digit, but their neighbours have seen it, too: each place's features look around it."
    return ""


@torch.no_grad()
def _read_with_shut(chosen: tuple[int, ...]) -> tuple[int, float]:
    """What the network reads, and the probability of the 7, when these places of its last block are shut."""
    net, y, _ = _scene()
    y = y.clone().flatten(2)
    y[:, :, list(chosen)] = 0
    scores = net.head(torch.relu(y).amax(2)).softmax(1)[0]
    return int(scores.argmax()), float(scores[7])


@cache
@torch.no_grad()
def _scene() -> tuple[torch.nn.Module, Tensor, Tensor]:
    """The network without shortcuts, what its last gates let pass of the first saucer, and which places are near."""
    from attention_lite.lab import OneDigit, load_checkpoint, pictures
    from attention_lite.lab.experiments.painted_over import gated, near_the_digit

    net = load_checkpoint("one-digit-residual", "cbam-plain", 0)[0].requires_grad_(False)
    test = OneDigit("test").sample(200, seed=2)
    scene = test[[test.photographs.index("coffee")]]
    gate, features = gated(net, pictures(scene), 2)
    return net, gate(features), near_the_digit(scene, (12, 12)).flatten()


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
