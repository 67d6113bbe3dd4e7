"""Checks of the exercises of chapter 09, efficient multi-head self-attention."""

import torch
import torch.nn.functional as F
from torch import Tensor

from attention_lite.exercises import Wrong, call, choose, exercise, expect_shape, same


@exercise("emsa-size")
def check_size(shrunken) -> None:
    """shrunken(H, W, s): rows and columns of the map of keys, for kernel s + 1, stride s and padding s // 2."""
    if not callable(shrunken):
        raise Wrong(f"expected a function, got {type(shrunken).__name__}.")
    for H, W, s in ((12, 12, 2), (12, 8, 4), (56, 56, 8), (14, 13, 2), (7, 10, 4), (12, 9, 3), (11, 10, 3), (9, 5, 1)):
        got, right = shrunken(H, W, s), (_shrunken(H, s), _shrunken(W, s))
        if got is None or got is ...:
            raise Wrong("your function returns nothing yet.")
        if not isinstance(got, (tuple, list)) or len(got) != 2:
            raise Wrong(f"two numbers are asked for, rows and columns; you returned {got!r}.")
        if tuple(got) != right:
            raise Wrong(_wrong_size((H, W), s, tuple(got), right))


def _shrunken(side: int, s: int) -> int:
    return (side + 2 * (s // 2) - (s + 1)) // s + 1


def _wrong_size(size: tuple[int, int], s: int, got: tuple, right: tuple[int, int]) -> str:
    """The sentence for a wrong size: recognise the usual slips by the numbers they give."""
    case = f"for {size[0]} × {size[1]} places and s = {s} you give {got[0]} × {got[1]}"
    known = {
        "windows of s + 1 places; without padding the last ones have no room. Add s // 2 places at each end.":
            tuple((side - s - 1) // s + 1 for side in size),
        "a map of 13 columns keeps 7 of them at s = 2: the padding gives the last window room. Write out where the "
        "windows begin.": tuple(side // s for side in size),
        "right for an even s, but an odd one is padded by less: s // 2 at each end, and the kernel has s + 1 places.":
            tuple(-(-side // s) for side in size),
        "the stride is missing: that is how many places a window could begin at, of which only each s-th is used.":
            tuple(side + 2 * (s // 2) - s for side in size),
        "sizes are whole numbers: a window either fits or does not.": tuple(side / s for side in size),
    }
    for sentence, numbers in known.items():
        if got == numbers and (s == 1 or all(type(a) is type(b) for a, b in zip(got, numbers, strict=True))):
            return f"{case}: {sentence}"
    return f"{case}; it is {right[0]} × {right[1]}."


@exercise("emsa-reduce")
def check_reduce(reduce) -> None:
    """reduce(x, size, w, b, s): tokens (B, H·W, C), kernels (C, 1, s + 1, s + 1) -> (B, N', C), normalised."""
    for batch, C, size, s in ((2, 5, (6, 4), 2), (1, 7, (8, 8), 4), (3, 4, (5, 7), 2)):      # C and N' differ
        x = torch.randn(batch, size[0] * size[1], C) + 0.5
        w, b = torch.randn(C, 1, s + 1, s + 1), torch.randn(C)
        rows, columns = (_shrunken(side, s) for side in size)
        result = call(reduce, x, size, w, b, s)
        if tuple(result.shape) in ((batch, C, rows, columns), (batch, C, rows * columns)):
            raise Wrong(f"your result has shape {tuple(result.shape)}: the channels come second, as in a map. "
                        "Tokens have them last: flatten the places, then transpose.")
        expect_shape(result, (batch, rows * columns, C), "(B, N', C)")
        right = _reduce(x, size, w, b, s)
        if not same(result, right):
            raise Wrong(_wrong_reduction(result, x, size, w, b, s))


def _as_map(x: Tensor, size: tuple[int, int]) -> Tensor:
    return x.transpose(1, 2).unflatten(2, size)


def _conv(map_: Tensor, w: Tensor, b: Tensor | None, s: int) -> Tensor:
    """Depth-wise convolution, and back to tokens: (B, C, H, W) -> (B, N', C)."""
    return F.conv2d(map_, w, b, stride=s, padding=s // 2, groups=len(w)).flatten(2).transpose(1, 2)


def _reduce(x: Tensor, size: tuple[int, int], w: Tensor, b: Tensor, s: int) -> Tensor:
    y = _conv(_as_map(x, size), w, b, s)
    return F.layer_norm(y, y.shape[-1:])


def _wrong_reduction(result: Tensor, x: Tensor, size: tuple[int, int], w: Tensor, b: Tensor, s: int) -> str:
    """The sentence for wrong tokens: recognise the usual slips by the numbers they give."""
    C = x.shape[-1]
    y = _conv(_as_map(x, size), w, b, s)
    viewed = _conv(x.reshape(len(x), C, *size), w, b, s)
    known = {
        "these are the shrunken tokens, not yet normalised: the layer norm over the channels is still to come.": y,
        "you reshape (B, N, C) to (B, C, H, W) without moving a number, which mixes tokens and channels up. Transpose "
        "first, then unflatten the places.": F.layer_norm(viewed, (C,)),
        "you normalise before the convolution. Its output is what needs it: the norm comes last.":
            _conv(_as_map(F.layer_norm(x, (C,)), size), w, b, s),
        "you normalise each channel over the places. A layer norm normalises each token over its channels.":
            (y - y.mean(1, keepdim=True)) / (y.var(1, unbiased=False, keepdim=True) + 1e-5).sqrt(),
        "the bias b of the convolution is missing.": F.layer_norm(_conv(_as_map(x, size), w, None, s), (C,)),
        "your kernels are turned by half a turn. What deep learning calls a convolution does not turn them.":
            F.layer_norm(_conv(_as_map(x, size), w.flip(2, 3), b, s), (C,)),
        "rows and columns are swapped: the tokens stand row by row.":
            F.layer_norm(_conv(_as_map(x, size).transpose(2, 3), w, b, s), (C,)),
    }
    for sentence, numbers in known.items():
        if numbers.shape == result.shape and same(result, numbers):
            return sentence
    off = (result - F.layer_norm(y, (C,))).abs().max().item()
    return f"your tokens differ from LN(DWConv(x)) by up to {off:.2f}."


@exercise("emsa-transform")
def check_transform(transform) -> None:
    """transform(S, T): scaled scores (B, h, N, N'), matrix (h, h) -> IN(softmax(mixed)), of the scores' shape."""
    for shape in ((2, 3, 5, 4), (1, 2, 9, 6), (2, 4, 3, 7)):
        S, T = 2 * torch.randn(shape), torch.randn(shape[1], shape[1])
        result = call(transform, S, T)
        expect_shape(result, shape, "(B, h, N, N')")
        mixed = torch.einsum("mg,bgij->bmij", T, S)
        if not same(result, _norm(mixed.softmax(-1), (2, 3)), 1e-3):
            raise Wrong(_wrong_transform(result, S, T))


def _norm(A: Tensor, axes: tuple[int, ...]) -> Tensor:
    """Subtract the mean and divide by the spread, both over `axes`."""
    var = A.var(axes, unbiased=False, keepdim=True)
    return (A - A.mean(axes, keepdim=True)) / (var + 1e-5).sqrt()


def _wrong_transform(result: Tensor, S: Tensor, T: Tensor) -> str:
    """The sentence for wrong weights: recognise the usual slips by the numbers they give."""
    mixed = torch.einsum("mg,bgij->bmij", T, S)
    turned = torch.einsum("gm,bgij->bmij", T, S)
    A = mixed.softmax(-1)
    known = {
        "each of your rows still sums to 1: the instance norm is missing.": A,
        "you mix the weights, after the softmax. It is the scores that are mixed.":
            _norm(torch.einsum("mg,bgij->bmij", T, S.softmax(-1)), (2, 3)),
        "your matrix is transposed: head m gets the sum of T[m, g] times the scores of head g.":
            _norm(turned.softmax(-1), (2, 3)),
        "your softmax runs over the queries. Each query's weights over the keys come out of it.":
            _norm(mixed.softmax(-2), (2, 3)),
        "you normalise each row on its own. The spread is that of a head's whole map, all queries together.":
            _norm(A, (3,)),
        "you normalise all heads together. Each head's map has its own spread.": _norm(A, (1, 2, 3)),
        "you normalise over the batch as well: another picture would change this one's map.": _norm(A, (0, 2, 3)),
        "the heads are not mixed.": _norm(S.softmax(-1), (2, 3)),
        "you normalise the scores and take the softmax afterwards. The norm comes last.":
            _norm(mixed, (2, 3)).softmax(-1),
    }
    for sentence, numbers in known.items():
        if same(result, numbers, 1e-3):
            return sentence
    sums = result.sum(-1).abs().max().item()
    if sums > 1e-2:
        return f"after the instance norm every row should sum to 0; one of yours sums to {sums:.2f} away from it."
    return (f"your rows sum to 0, but the weights differ by up to "
            f"{(result - _norm(A, (2, 3))).abs().max().item():.2f}. Is it the variance over all N·N'?")


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


_BUDGETS = ((56, 56, 8, 100), (56, 56, 8, 20), (107, 160, 1, 20), (28, 28, 2, 50), (30, 50, 4, 9), (28, 28, 8, 4),
            (64, 64, 4, 4 * 4 * 4096 * 1024 / 1e6),       # full to the byte at s = 2
            (12, 12, 1, 0.08))                            # too little for 144 keys, enough for 11 × 11


@exercise("emsa-ratio")
def check_ratio(least_ratio) -> None:
    """least_ratio(H, W, h, megabytes): the first s of 1, 2, 4, 8, … whose h maps, 4 bytes a weight, fit."""
    if not callable(least_ratio):
        raise Wrong(f"expected a function, got {type(least_ratio).__name__}.")
    given, right = [least_ratio(*case) for case in _BUDGETS], [_least_ratio(*case) for case in _BUDGETS]
    if any(got is None or got is ... for got in given):
        raise Wrong("your function returns nothing yet.")
    if given != right:
        raise Wrong(_wrong_ratio(given, right))


def _least_ratio(H: int, W: int, h: int, megabytes: float, bytes_: int = 4, both: bool = False,
                 linear: bool = False, always: bool = False) -> int:
    """The right answer, or that of a usual slip: fewer bytes a weight, shrunken queries too, N / s for N / s², or a
    convolution at s = 1, where the block has none."""
    s = 1
    while s < 1024:
        keys = _shrunken(H, s) * _shrunken(W, s) if always or (s > 1 and not linear) else H * W / s
        if h * (keys if both else H * W) * keys * bytes_ <= megabytes * 1e6:
            break
        s *= 2
    return s


def _wrong_ratio(given: list, right: list[int]) -> str:
    """The sentence for wrong ratios: recognise the usual slips by the numbers they give in all cases."""
    i = next(i for i, (got, r) in enumerate(zip(given, right, strict=True)) if got != r)
    H, W, h, megabytes = _BUDGETS[i]
    said = f"for a map of {H} × {W}, {h} head{'s' if h > 1 else ''} and {megabytes:.3g} MB you give {given[i]!r}"
    known = {
        "each head has a map of its own.": [_least_ratio(H, W, 1, size) for H, W, _, size in _BUDGETS],
        "a weight takes 4 bytes, not one.": [_least_ratio(*case, bytes_=1) for case in _BUDGETS],
        "the queries are not shrunken: a map has N rows and N' columns.":
            [_least_ratio(*case, both=True) for case in _BUDGETS],
        "shrinking both sides by s divides the number of keys by about s², not by s.":
            [_least_ratio(*case, linear=True) for case in _BUDGETS],
        "at s = 1 the block has no convolution, and keeps all H · W keys.":
            [_least_ratio(*case, always=True) for case in _BUDGETS],
    }
    for sentence, numbers in known.items():
        if given == numbers:
            return f"{said}: {sentence}"
    return f"{said}; it is {right[i]}."
