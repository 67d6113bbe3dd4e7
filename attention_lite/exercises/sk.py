"""Checks of the exercises of chapter 05, selective kernels."""

from collections.abc import Callable

import torch
from torch import Tensor

from attention_lite.exercises import Wrong, call, choose, exercise, expect_shape, same

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
    total = f"your weights of one channel sum to {a.sum(1).flatten()[0].item():.2f} over the branches"
    if same(a, scores):
        return "these are the raw scores: the softmax is missing."
    if same(a, scores.softmax(0)):
        return f"{total}; they should sum to 1. Did you normalise over the batch?"
    if same(a, scores.softmax(2)):
        return f"{total}; they should sum to 1. Did you normalise over the channels?"
    if same(a, scores.flatten(1).softmax(1).view_as(scores)):
        return f"{total}; they should sum to 1 for each channel, and yours do so over branches and channels together."
    if same(a, torch.sigmoid(scores)):
        return f"{total}; they should sum to 1. A sigmoid of each score is SE's way: here the branches compete."
    if same(a, (-scores).softmax(1)):
        return "the sign is wrong: the highest score gets the smallest weight."
    if same(a, scores / scores.sum(1, keepdim=True)):
        return "you divide the scores by their sum. A softmax takes exponentials first; some of yours are negative."
    return f"your weights differ from the softmax by up to {(a - scores.softmax(1)).abs().max().item():.2f}. {total}."


@exercise("sk-span")
def check_span(span) -> None:
    """span(k, d): how many places a k × k kernel with dilation d spans."""
    if not callable(span):
        raise Wrong(f"expected a function of k and d, got {type(span).__name__}.")
    for k, d in ((5, 4), (3, 1), (3, 2), (5, 2), (7, 3), (1, 6)):
        n = span(k, d)
        if n is None or n is ...:
            raise Wrong("your function returns nothing yet.")
        if n == d * (k - 1) + 1:
            continue
        wrong = {
            k * d: "the last tap needs no gap after it. There are k taps, but fewer steps between them.",
            d * (k - 1): "you count the steps from the first tap to the last. Count the places: one more.",
            2 * d + 1: "that is right for k = 3 only.",
            k + d - 1: "you widen one gap. Every step between two taps is d places long.",
            k + 2 * (d - 1): "you widen two gaps. Between k taps there are more of them, unless k = 3.",
            k: "dilation does widen the kernel: it moves the taps apart.",
        }
        raise Wrong(f"for k = {k} and d = {d} you say {n}: {wrong.get(n, f'it spans {d * (k - 1) + 1} places.')}")


def _batch_shifted(z: Tensor, rows: Tensor) -> Tensor:
    return _scores(z - z.mean(0), rows).softmax(1)


def _last_alone(z: Tensor, rows: Tensor) -> Tensor:
    """Correct but for the batch's last picture, which leans on the first."""
    scores = _scores(z, rows)
    scores[-1] = scores[-1] + scores[0]
    return scores.softmax(1) if len(z) > 1 else _scores(z, rows).softmax(1)


@exercise("sk-leak")
def check_leak(leaks) -> None:
    """leaks(select, z, rows): whether select's weights of one picture depend on the others in the batch."""
    if not callable(leaks):
        raise Wrong(f"expected a function, got {type(leaks).__name__}.")
    suspects: list[tuple[Callable, bool, str]] = [
        (lambda z, rows: _scores(z, rows).softmax(1), False,
         "you accuse the correct one, a softmax over the branches. Differences of 0.0000001 are rounding."),
        (lambda z, rows: _scores(z, rows).softmax(0), True, "a softmax over the batch gets through your test."),
        (lambda z, rows: _scores(z, rows).softmax(2), False,
         "you accuse a softmax over the channels. Its axis is wrong, but each picture still has its own weights: "
         "compare with what the picture gets alone, not with a sum."),
        (_batch_shifted, True,
         "one that subtracts the batch's mean from z gets through. Its weights sum to 1 over the branches as they "
         "should, but change with the company."),
        (_last_alone, True, "one in which only the last picture leans on the first gets through. Test every picture."),
    ]
    for select, guilty, sentence in suspects:
        z, rows = torch.rand(4, 5), torch.randn(2, 6, 5)
        found = leaks(select, z, rows)
        if found is None or found is ...:
            raise Wrong("your function returns nothing yet.")
        if isinstance(found, Tensor) and found.numel() != 1:
            raise Wrong(f"return one True or False, not a tensor of shape {tuple(found.shape)}.")
        if bool(found) != guilty:
            raise Wrong(sentence)
