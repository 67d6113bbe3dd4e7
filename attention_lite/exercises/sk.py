"""Checks of the exercises of chapter 05, selective kernels."""

from collections.abc import Callable

import torch
from torch import Tensor

from attention_lite.exercises import Wrong, ask, call, choose, exercise, expect_shape, formula, same, slip

_TWINS = {
    "a": "the weights come from z through A and B. Those two still differ, so their scores differ too.",
    "c": "mix a thing with itself in any proportion: what comes out?",
    "d": "the weights sum to one, so they make a mean of the branches, not their sum.",
}
_CRITICISE = {
    "a": "that is how a softmax works, and no objection: which of the two rises could still depend on the size.",
    "c": "small changes can matter; how much they do is a question for an experiment with forced weights. "
         "It is no objection to what is measured.",
    "d": "the levels differ, but the first and the third block rise in every training, and an untrained one "
         "stays flat.",
}


@exercise("sk-twins")
def check_twins(answer) -> None:
    """A letter: what equal branches do to weights and output."""
    choose(answer, "b", _TWINS)


@exercise("sk-criticise")
def check_criticise(answer) -> None:
    """A letter: what is wrong with a claim about selection and size."""
    choose(answer, "b", _CRITICISE)


def _scores(z: Tensor, rows: Tensor) -> Tensor:
    """The scores of select: (B, d), (M, C, d) -> (B, M, C)."""
    return torch.einsum("bd,mcd->bmc", z, rows)


@exercise("sk-select")
def check_select(select) -> None:
    """select(z, rows): (B, d), (M, C, d) -> (B, M, C), the weights of the branches."""
    for b, m, c, d in ((3, 2, 5, 4), (1, 2, 6, 3), (2, 3, 4, 5), (4, 4, 4, 4)):
        z, rows = torch.rand(b, d), torch.randn(m, c, d)
        a = call(select, z, rows)
        if tuple(a.shape) == (b, m, c, 1, 1):
            a = a[..., 0, 0]
        expect_shape(a, (b, m, c), "(B, M, C)")
        if not same(a, _scores(z, rows).softmax(1)):
            raise Wrong(_what_is_wrong(a, _scores(z, rows)))


def _what_is_wrong(a: Tensor, scores: Tensor) -> str:
    """The sentence for wrong weights: recognise the usual slips by the numbers they give."""
    sums = a.sum(1)
    worst = sums.flatten()[(sums - 1).abs().argmax()].item()
    total = f"your weights of a channel sum to {worst:.2f} over the branches; they should sum to 1"
    return slip(a, {
        "these are the raw scores: the softmax is missing.": scores,
        f"{total}. Did you normalise over the batch?": scores.softmax(0),
        f"{total}. Did you normalise over the channels?": scores.softmax(2),
        f"{total} for each channel, and yours do so over branches and channels together.":
            scores.flatten(1).softmax(1).view_as(scores),
        f"{total}. A sigmoid of each score is SE's way: here the branches compete.": torch.sigmoid(scores),
        f"{total}. The exponentials are there; divide them by their sum over the branches.": scores.exp(),
        "the sign is wrong: the highest score gets the smallest weight.": (-scores).softmax(1),
        "you divide the scores by their sum. A softmax takes exponentials first; some of yours are negative.":
            scores / scores.sum(1, keepdim=True),
        "you take sigmoids before the softmax, as chapter 06 will. SK takes the scores as they are.":
            scores.sigmoid().softmax(1),
        "you divide sigmoids by their sum. A softmax divides exponentials.":
            scores.sigmoid() / scores.sigmoid().sum(1, keepdim=True),
        "you take a ReLU of the scores. z has been through one; the scores go into the softmax as they are.":
            scores.relu().softmax(1),
        "you take the softmax twice.": scores.softmax(1).softmax(1),
    }) or f"your weights differ from the softmax by up to {(a - scores.softmax(1)).abs().max().item():.2f}. " + (
        f"{total}." if abs(worst - 1) > 1e-3 else "They do sum to 1 over the branches.")


formula(
    "sk-span", "k d", [(5, 4), (3, 1), (3, 2), (5, 2), (7, 3), (1, 6), (9, 5)],
    lambda k, d: d * (k - 1) + 1, {
        "the last tap needs no gap after it. There are k taps, but fewer steps between them.": lambda k, d: k * d,
        "you count the steps from the first tap to the last. Count the places: one more.": lambda k, d: d * (k - 1),
        "that is right for k = 3 only.": lambda k, d: 2 * d + 1,
        "you widen one gap. Every step between two taps is d places long.": lambda k, d: k + d - 1,
        "you widen one gap, and by a place too many. Every step between two taps is d places long.":
            lambda k, d: k + d,
        "you widen two gaps. Between k taps there are more of them, unless k = 3.": lambda k, d: k + 2 * (d - 1),
        "dilation does widen the kernel: it moves the taps apart.": lambda k, d: k,
        "d is the step from tap to tap. There are d − 1 places in the gap, not d.": lambda k, d: k + d * (k - 1),
        "you count every place of a k d × k d window. How wide is it?": lambda k, d: (k * d) ** 2,
        "the first tap has a place, too, and there are k − 1 steps, not k.": lambda k, d: k * d + 1,
    }, "Draw the taps of one row with their gaps, and count the places from the first to the last.")


def _batch_shifted(z: Tensor, rows: Tensor) -> Tensor:
    return _scores(z - z.mean(0), rows).softmax(1)


def _leaning(who: int, on: int) -> Callable[[Tensor, Tensor], Tensor]:
    """A select that is correct but for one picture, whose scores take up another's."""
    def select(z: Tensor, rows: Tensor) -> Tensor:
        scores = _scores(z, rows)
        if len(z) > 1:
            scores[who % len(z)] = scores[who % len(z)] + _scores(z, rows)[on % len(z)]
        return scores.softmax(1)

    return select


def _rounded_otherwise(z: Tensor, rows: Tensor) -> Tensor:
    """A correct select that adds a picture's products in another order when it is alone."""
    products = z[:, None, None] * rows
    return (products.flip(-1) if len(z) == 1 else products).sum(-1).softmax(1)


_SUSPECTS: list[tuple[Callable[[Tensor, Tensor], Tensor], bool, str]] = [
    (lambda z, rows: _scores(z, rows).softmax(1), False, "you accuse the correct one, a softmax over the branches."),
    (lambda z, rows: _scores(z, rows).softmax(0), True, "a softmax over the batch gets through your test."),
    (lambda z, rows: _scores(z, rows).softmax(2), False,
     "you accuse a softmax over the channels. Its axis is wrong, but each picture still has its own weights: "
     "compare with what the picture gets alone, not with a sum."),
    (_batch_shifted, True,
     "one that subtracts the batch's mean from z gets through. Its weights sum to 1 over the branches as they "
     "should, but change with the company."),
    (_leaning(-1, 0), True, "one in which only the last picture leans on the first gets through. Test every picture."),
    (_leaning(0, -1), True, "one in which only the first picture leans on the last gets through. Test every picture."),
    (_leaning(1, 2), True, "one in which only the second picture leans on the third gets through. Test every picture."),
    (_rounded_otherwise, False,
     "you accuse a correct one for differences of 0.0000001, which are rounding. Compare with a tolerance."),
]


@exercise("sk-leak")
def check_leak(leaks) -> None:
    """leaks(select, z, rows): whether select's weights of one picture depend on the others in the batch."""
    found = []
    for select, _, _ in _SUSPECTS:
        answer = ask(leaks, select, torch.rand(4, 5), torch.randn(2, 6, 5))
        if getattr(answer, "shape", ()) != () and answer.shape.numel() != 1:
            raise Wrong(f"return one True or False, not a tensor of shape {tuple(answer.shape)}.")
        if isinstance(answer, (str, list, tuple, dict)):
            raise Wrong(f"return True or False, got {answer!r}.")
        found.append(bool(answer))
    if all(found):
        raise Wrong("your test always says True: it accuses the correct one, too.")
    if not any(found):
        raise Wrong("your test always says False: even a softmax over the batch gets through.")
    if found[0] and not found[1]:
        raise Wrong("your test says the opposite: it accuses the correct one and lets a softmax over the batch "
                    "through. True means that the pictures do depend on one another.")
    for answer, (_, expected, sentence) in zip(found, _SUSPECTS, strict=True):
        if answer != expected:
            raise Wrong(sentence)
