"""Checks of the exercises of chapter 05, selective kernels."""

from collections.abc import Callable
from functools import cache

import torch
from torch import Tensor

from attention_lite.exercises import Wrong, ask, choose, close, exercise, number, shown

SEED = 1                 # of the network that the chapter takes apart
SIDE, ALIKE = 24, 12     # pixels: the digit that is faded, and the strong one whose weight it is to get
NEAR = 0.1               # of the difference between the weights of these two at full opacity

_TWINS = {
    "a": "the weights come from z through A and B. Those two still differ, so their scores differ too.",
    "b": "the weights sum to one, so they make a mean of the branches, not their sum.",
    "d": "mix a thing with itself in any proportion: what comes out?",
}
_CRITICISE = {
    "a": "that would make the difference smaller than it could be, and so the claim too weak, not wrong.",
    "b": "with two thousand scenes a few hundredths are no chance. The trouble is what is compared, not how often.",
    "c": "the two can still be mixed in a bad proportion. A sum of one does not say which.",
}


@exercise("sk-twins")
def check_twins(answer) -> None:
    """A letter: what equal branches do to weights and output."""
    choose(answer, "c", _TWINS)


@exercise("sk-criticise")
def check_criticise(answer) -> None:
    """A letter: what is wrong with a claim about a trained network's weights."""
    choose(answer, "d", _CRITICISE)


def _scores(z: Tensor, rows: Tensor) -> Tensor:
    """The scores of select: (B, d), (M, C, d) -> (B, M, C)."""
    return torch.einsum("bd,mcd->bmc", z, rows)


@exercise("sk-match")
def check_match(opacity) -> None:
    """A number: the opacity at which a digit of SIDE pixels gets the weight of a strong one of ALIKE."""
    o = number(opacity)
    if not 0 <= o <= 1:
        why = (" The larger digit must be the fainter one, so divide the other way round." if 1 < o < 5 else
               " Did you mean per cent? Divide by 100." if 5 <= o <= 100 else "")
        raise Wrong(f"an opacity lies between 0 and 1, got {shown(o)}.{why}")
    target, full, found = _weight(ALIKE, 1.0), _weight(SIDE, 1.0), _weight(SIDE, round(o, 4))
    if abs(found - target) <= NEAR * (full - target):
        return
    compared = f"at {o:g} the mean weight is {found:.3f}, and the strong digit of {ALIKE} pixels has {target:.3f}."
    if abs(o - (ALIKE / SIDE) ** 2) < 0.02:
        raise Wrong(f"{compared} You have made the ink the same. It is not the ink that counts.")
    if close(o, target, 0.02):
        raise Wrong(f"{compared} You give the weight itself; the opacity that brings it about is asked for.")
    if close(o, (ALIKE / SIDE) ** 0.5, 0.02):
        raise Wrong(f"{compared} You take the root of {ALIKE} / {SIDE}, and that is too much.")
    if o == 0:
        raise Wrong(f"{compared} At opacity 0 there is no digit left to see.")
    if o == 1:
        raise Wrong(f"{compared} At full opacity only the size is left, and the larger digit has the larger weight.")
    raise Wrong(f"{compared} Your digit is too {'strong' if found > target else 'faint'}.")


@cache
@torch.no_grad()
def _weight(side: int, opacity: float) -> float:
    """The mean weight of the wider kernel in block 1, over 200 test scenes with such a digit."""
    from attention_lite.lab import AnySize, enlarge, load_checkpoint, pictures

    net = load_checkpoint("any-size", "sk", SEED)[0]
    scenes = enlarge(AnySize("test").sample(200, seed=2), side)
    images = pictures(scenes.replace(opacity=torch.full_like(scenes.opacity, opacity)))
    block = net.blocks[0]
    return block.middle.attention(block.reduce(net.stem(images)))["kernel"][:, 1].mean().item()


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
