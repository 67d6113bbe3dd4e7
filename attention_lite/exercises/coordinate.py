"""Checks of the exercises of chapter 14, coordinate attention."""

from functools import cache

import torch
from torch import Tensor

from attention_lite.exercises import Wrong, choose, exercise, formula, indices

FEW = 3                  # shut lines that are enough
SIDE = 12                # rows of the last block, and columns

_REACH = {
    "a": "a product of a row's gate and a column's can be large in one place alone, and is in many scenes.",
    "c": "each gate is a number for one line of one channel, so a map of their products is easily drawn.",
    "d": "more trainings would say how often the map points, not what a gate can see.",
}


@exercise("coordinate-reach")
def check_reach(answer) -> None:
    """A letter: what is wrong with saying that a row's gate answers to the whole picture."""
    choose(answer, "b", _REACH)


@exercise("coordinate-blind")
def check_blind(lines) -> None:
    """Numbers of lines: shut in the last block without a shortcut, they make the network misread the 7."""
    chosen = indices(lines, 2 * SIDE, "lines", "row i of the explorer has the number i − 1, column j has 11 + j")
    read, share = _read_with_shut(tuple(chosen))
    if read == 7:
        raise Wrong(f"with {len(chosen)} lines shut the network still reads the 7, probability {share:.2f}."
                    + _why_still_read(chosen))
    if len(chosen) > FEW:
        raise Wrong(f"with {len(chosen)} lines shut it reads a {read}. {FEW} will do: which of yours can be spared?")


def _why_still_read(chosen: list[int]) -> str:
    """What is wrong with lines that leave the 7: how they were counted, or where they lie."""
    counted = {
        " Rows and columns have changed places: the rows have the numbers 0 to 11.": [(n + SIDE) % 24 for n in chosen],
        " The explorer counts rows and columns from 1: subtract 1 from each.": [n - 1 for n in chosen],
    }
    for sentence, meant in counted.items():
        if min(meant, default=-1) >= 0 and _read_with_shut(tuple(meant))[0] != 7:
            return sentence
    crossing = [n for n in chosen if _scene()[1][n]]
    if chosen and not crossing:
        return " None of them crosses the digit."
    return ""


@torch.no_grad()
def _read_with_shut(chosen: tuple[int, ...]) -> tuple[int, float]:
    """What the network reads, and the probability of the 7, when these lines of its last block are shut."""
    y = _scene()[2].clone()
    y[:, :, [n for n in chosen if n < SIDE]] = 0
    y[..., [n - SIDE for n in chosen if n >= SIDE]] = 0
    scores = _scene()[0].head(torch.relu(y).amax((2, 3))).softmax(1)[0]
    return int(scores.argmax()), float(scores[7])


@cache
@torch.no_grad()
def _scene() -> tuple[torch.nn.Module, list[bool], Tensor]:
    """The network without shortcuts, which lines cross the 7, and what its last gates let pass of the first saucer."""
    from attention_lite.lab import OneDigit, load_checkpoint, masks, pictures, scoring
    from attention_lite.lab.experiments import lines

    net = load_checkpoint("one-digit-residual", "coordinate-plain", 0)[0].requires_grad_(False)
    test = OneDigit("test").sample(200, seed=2)
    scene = test[[test.photographs.index("coffee")]]
    _, given, features = lines.run(net, pictures(scene), lambda i, gates: gates)
    rows, columns = given[-1]
    on = scoring.on_grid(masks(scene)[0, 0], (SIDE, SIDE))
    return net, [*on.any(1).tolist(), *on.any(0).tolist()], features * rows[..., None] * columns[..., None, :]


def _hidden(C: int, r: int) -> int:
    return max(8, C // r)


formula(
    "coordinate-parameters", "C r", [(512, 32), (64, 32), (1000, 30), (96, 4)],
    lambda C, r: 3 * C * _hidden(C, r) + 3 * _hidden(C, r) + 2 * C, {
        "you let the hidden layer have fewer than 8 units.": lambda C, r: 3 * C * (C // r) + 3 * (C // r) + 2 * C,
        "C / r is rounded down.": lambda C, r: 3 * C * max(8, C / r) + 3 * max(8, C / r) + 2 * C,
        "rows and columns share one first layer; you count two.":
            lambda C, r: 4 * C * _hidden(C, r) + 4 * _hidden(C, r) + 2 * C,
        "rows and columns share the first layer, but not the second: F_h and F_w are two.":
            lambda C, r: 2 * C * _hidden(C, r) + 3 * _hidden(C, r) + C,
        "the three layers have biases, too.": lambda C, r: 3 * C * _hidden(C, r) + 2 * _hidden(C, r),
        "the three layers have biases, and the batch norm has two numbers a hidden unit.":
            lambda C, r: 3 * C * _hidden(C, r),
        "the batch norm behind the first layer has two numbers a hidden unit.":
            lambda C, r: 3 * C * _hidden(C, r) + _hidden(C, r) + 2 * C,
        "a batch norm learns two numbers a unit. Its running mean and variance are not learned.":
            lambda C, r: 3 * C * _hidden(C, r) + 5 * _hidden(C, r) + 2 * C,
        "you count one of the batch norm's two numbers a hidden unit.":
            lambda C, r: 3 * C * _hidden(C, r) + 2 * _hidden(C, r) + 2 * C,
    }, "Count three layers with biases, and a batch norm's two numbers for each hidden unit.")
