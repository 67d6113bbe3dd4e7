"""Checks of the exercises of chapter 09, efficient multi-head self-attention."""

from collections.abc import Callable

import torch
from torch import Tensor

from attention_lite.exercises import Wrong, call, choose, close, exercise, expect_shape, formula, same, slip


def _shrunken(side: int, s: int) -> int:
    return (side + 2 * (s // 2) - (s + 1)) // s + 1


def _sides(side_of: Callable[[int, int], float]) -> Callable[[int, int, int], tuple[float, float]]:
    """Rows and columns, from a function of one side and s."""
    return lambda H, W, s: (side_of(H, s), side_of(W, s))


formula(
    "emsa-size", "H W s", [(12, 12, 2), (12, 8, 4), (56, 56, 8), (14, 13, 2), (7, 10, 4), (12, 9, 3), (11, 10, 3),
                           (31, 18, 5)],
    _sides(_shrunken), {
        "windows of s + 1 places; without padding the last ones have no room. Add s // 2 places at each end.":
            _sides(lambda side, s: (side - s - 1) // s + 1),
        "a map of 13 columns keeps 7 of them at s = 2: the padding gives the last window room, so it is not side // s. "
        "Write out where the windows begin.": _sides(lambda side, s: side // s),
        "right for an even s, but an odd one is padded by less: s // 2 at each end, and the kernel has s + 1 places. "
        "It is not side / s rounded up.": _sides(lambda side, s: -(-side // s)),
        "the stride is missing: that is how many places a window could begin at, of which only each s-th is used.":
            _sides(lambda side, s: side + 2 * (s // 2) - s),
        "sizes are whole numbers: a window either fits or does not.": _sides(lambda side, s: side / s),
        "sizes are whole numbers: (side + 2 (s // 2) − s − 1) / s is to be rounded down before the 1 is added.":
            _sides(lambda side, s: (side + 2 * (s // 2) - (s + 1)) / s + 1),
        "rows and columns have changed places.": lambda H, W, s: (_shrunken(W, s), _shrunken(H, s)),
        "the first window counts, too: add 1.": _sides(lambda side, s: (side + 2 * (s // 2) - (s + 1)) // s),
        "the kernel has s + 1 places, not s.": _sides(lambda side, s: (side + 2 * (s // 2) - s) // s + 1),
        "there are s // 2 places of padding at each end, not at one.":
            _sides(lambda side, s: (side + s // 2 - (s + 1)) // s + 1),
        "you shrink the rows alone.": lambda H, W, s: (_shrunken(H, s), W),
        "you divide by s². Each side is divided by about s.": _sides(lambda side, s: side // s**2),
    }, "Write out where the windows of s + 1 places begin.", "rows, columns")


@exercise("emsa-fold")
def check_fold(folded) -> None:
    """folded(W_O, sigma): (C, h·d_v), (h,) -> the matrix that does for A - 1/N' what W_O does for the normed map."""
    for C, h, d_v in ((5, 3, 4), (7, 2, 5), (6, 4, 4)):
        W_O, sigma = torch.randn(C, h * d_v), 0.02 + torch.rand(h)
        try:
            result = call(folded, W_O.clone(), sigma.clone())
        except Wrong as stopped:
            raise Wrong(f"{stopped}{_why_unfit(folded, h, d_v)}") from None
        expect_shape(result, (C, h * d_v), "(C, h·d_v)")
        right = W_O / sigma.repeat_interleave(d_v)
        if not same(result, right, 1e-4):
            raise Wrong(_wrong_fold(result, W_O, sigma, d_v))


def _why_unfit(folded: Callable, h: int, d_v: int) -> str:
    """What to say of a function that stops: what it takes for the columns of W_O shows on a matrix that fits it."""
    W_O, sigma = torch.randn(h * d_v, h * d_v), 0.02 + torch.rand(h)
    if _gives(folded, W_O, sigma, W_O / sigma.repeat_interleave(d_v)[:, None]):
        return ". You divide the rows of W_O. It is its columns that meet the outputs of the heads."
    if _gives(folded, W_O[:, :h], sigma, W_O[:, :h] / sigma):
        return f". W_O has d_v columns for each head, here {d_v}, and all of them need that head's factor."
    if _gives(folded, W_O[:h], sigma, W_O[:h] / sigma[:, None]):
        return ". You divide the rows of W_O. It is its columns that meet the outputs of the heads, d_v a head."
    return ""


def _gives(folded: Callable, W_O: Tensor, sigma: Tensor, expected: Tensor) -> bool:
    try:
        return same(call(folded, W_O.clone(), sigma.clone()), expected)
    except Wrong:
        return False


def _per_head(factor: Tensor, own: Tensor) -> str | None:
    """The sentence for a matrix whose every column is multiplied by a number that is the same over a head's columns."""
    column = factor.median(0).values
    wrong = [k for k in range(len(own)) if not close(float(column[k] * own[k]), 1, 1e-3)]
    if not same(factor, column.expand_as(factor), 1e-3) or not wrong or not column.all():
        return None
    if same(column, column[:1].expand_as(column), 1e-3):
        return "one factor for all heads will not do: each head has its own sigma."
    k = wrong[0]
    return f"you divide column {k} by {1 / float(column[k]):.3g}; the sigma of its head is {own[k]:.3g}."


def _wrong_fold(result: Tensor, W_O: Tensor, sigma: Tensor, d_v: int) -> str:
    """The sentence for a wrong matrix: recognise the usual slips by the numbers they give."""
    own, inside = sigma.repeat_interleave(d_v), W_O.unflatten(1, (len(sigma), d_v))
    return slip(result, {
        "you multiply by sigma. The norm divides by it, so W_O must, too.": W_O * own,
        "your factors take turns column by column. The columns of W_O come head by head: d_v of head 0, then d_v of "
        "head 1.": W_O / sigma.repeat(d_v),
        "this is W_O as it was: nothing is folded in.": W_O,
        "you subtract sigma. The norm divides by it.": W_O - own,
        "you divide by the variance. The norm divides by its root, which sigma is already.": W_O / own.square(),
        "sigma is the root already: do not take it again.": W_O / own.sqrt(),
        "the heads stand in the other order: head 0 has the first d_v columns.":
            (inside / sigma.flip(0)[:, None]).flatten(1),
    }, 1e-4) or _per_head(result / W_O, own) or (
        f"your matrix is off by up to {(result - W_O / own).abs().max().item():.2f}. Which columns of W_O meet the "
        "output of head m, and what was it divided by?")


_SHIFT = {
    "a": "that is so without the instance norm, where each row sums to 1. What does a row sum to now?",
    "c": "write the output as the sum of a weight times (v + c), and take the constant out of the sum. What is left "
         "of it?",
    "d": "the weights are made from queries and keys. No value has a say in them.",
}


@exercise("emsa-shift")
def check_shift(choice) -> None:
    """What adding one vector to every value does to the output of EMSA with its transform: a letter."""
    choose(choice, "b", _SHIFT)


_FEWER = {
    "a": "both rows were counted on the same 2,000 scenes, and a third and all are far apart.",
    "b": "that may be so on another task. But the sentence is about this one.",
    "d": "a block that uses its keys badly would still be a block to which many keys are a burden.",
}


@exercise("emsa-fewer")
def check_fewer(choice) -> None:
    """What speaks most against "many keys make this task hard": a letter."""
    choose(choice, "c", _FEWER)


def _keys(H: int, W: int, s: int) -> int:
    """How many keys the block keeps: at s = 1 it has no convolution."""
    return H * W if s == 1 else _shrunken(H, s) * _shrunken(W, s)


def _least(size: Callable[[int, int, int, int], float], powers: bool = True) -> Callable[..., int]:
    """The first s for which size(H, W, h, s), in bytes, fits into the megabytes."""
    def least_ratio(H: int, W: int, h: int, megabytes: float) -> int:
        s = 1
        while s < 1024 and size(H, W, h, s) > megabytes * 1e6:
            s = 2 * s if powers else s + 1
        return s

    return least_ratio


def _maps(keys: Callable[[int, int, int], float] = _keys, bytes_: float = 4) -> Callable[..., int]:
    """The answer if a map has that many keys, of so many bytes a weight."""
    return _least(lambda H, W, h, s: h * H * W * keys(H, W, s) * bytes_)


formula(
    "emsa-ratio", "H W h megabytes", [
        (56, 56, 8, 100), (56, 56, 8, 20), (107, 160, 1, 20), (28, 28, 2, 50), (30, 50, 4, 9), (28, 28, 8, 4),
        (64, 64, 4, 4 * 4 * 4096 * 1024 / 1e6),       # full to the byte at s = 2
        (12, 12, 1, 0.08),                            # too little for 144 keys, enough for 11 × 11
        (107, 160, 1, 18.7), (107, 160, 1, 18.1),     # the photograph: 14 × 20 keys at s = 8 take 19.2 MB
        (107, 160, 1, 74.1), (200, 100, 3, 40), (100, 200, 2, 400), (107, 160, 2, 37)],
    _maps(), {
        "each head has a map of its own.": lambda H, W, h, megabytes: _maps()(H, W, 1, megabytes),
        "a weight takes 4 bytes, not one.": _maps(bytes_=1), "a weight takes 4 bytes, not two.": _maps(bytes_=2),
        "a weight takes 4 bytes, not eight.": _maps(bytes_=8),
        "the queries are not shrunken: a map has N rows and N' columns.":
            _least(lambda H, W, h, s: 4 * h * _keys(H, W, s) ** 2),
        "a map has a row for each of the N queries, and N' columns. You count its columns alone.":
            _least(lambda H, W, h, s: 4 * h * _keys(H, W, s)),
        "shrinking both sides by s divides the number of keys by about s², not by s.":
            _maps(lambda H, W, s: H * W / s),
        "at s = 1 the block has no convolution, and keeps all H · W keys.":
            _maps(lambda H, W, s: _shrunken(H, s) * _shrunken(W, s)),
        "the number of keys is not H W / s²: the sides are whole numbers, and rounded up.":
            _maps(lambda H, W, s: H * W / s**2),
        "the number of keys is not that of H // s times W // s: the padding gives the last window room.":
            _maps(lambda H, W, s: (H // s) * (W // s)),
        "the map's sides differ: it has H · W places, not H².": lambda H, W, h, megabytes: _maps()(
            H, H, h, megabytes),
        "the map's sides differ: it has H · W places, not W².": lambda H, W, h, megabytes: _maps()(
            W, W, h, megabytes),
        "a megabyte is 10^6 bytes here, not 2^20.": lambda H, W, h, megabytes: _maps()(H, W, h, megabytes * 1.048576),
        "a map that fills the megabytes to the last byte fits.": lambda H, W, h, megabytes: _maps()(
            H, W, h, megabytes * (1 - 1e-12)),
        "only 1, 2, 4, 8, … are asked for.": _least(lambda H, W, h, s: 4 * h * H * W * _keys(H, W, s), powers=False),
    }, "The h maps have H · W rows and as many columns as keys are left; a weight takes 4 bytes.")
