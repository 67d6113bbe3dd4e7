"""Checks of the exercises of chapter 09, efficient multi-head self-attention."""

from collections.abc import Callable

import torch
import torch.nn.functional as F
from torch import Tensor

from attention_lite.exercises import Wrong, call, choose, exercise, expect_shape, formula, same, slip


def _shrunken(side: int, s: int) -> int:
    return (side + 2 * (s // 2) - (s + 1)) // s + 1


def _sides(side_of: Callable[[int, int], float]) -> Callable[[int, int, int], tuple[float, float]]:
    """Rows and columns, from a function of one side and s."""
    return lambda H, W, s: (side_of(H, s), side_of(W, s))


formula(
    "emsa-size", "H W s", [(12, 12, 2), (12, 8, 4), (56, 56, 8), (14, 13, 2), (7, 10, 4), (12, 9, 3), (11, 10, 3),
                           (9, 5, 1), (31, 18, 5)],
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


@exercise("emsa-reduce")
def check_reduce(reduce) -> None:
    """reduce(x, size, w, b, s): tokens (B, H·W, C), kernels (C, 1, s + 1, s + 1) -> (B, N', C), normalised."""
    for batch, C, size, s in ((2, 5, (6, 4), 2), (1, 7, (8, 8), 4), (3, 4, (5, 7), 2), (2, 7, (8, 5), 3)):
        x = torch.randn(batch, size[0] * size[1], C) + 0.5
        w, b = torch.randn(C, 1, s + 1, s + 1), torch.randn(C)
        rows, columns = (_shrunken(side, s) for side in size)
        result = call(reduce, x, size, w, b, s)
        if tuple(result.shape) in ((batch, C, rows, columns), (batch, C, rows * columns)):
            raise Wrong(f"your result has shape {tuple(result.shape)}: the channels come second, as in a map. "
                        "Tokens have them last: flatten the places, then transpose.")
        if tuple(result.shape) != (batch, rows * columns, C):
            _refuse_padding(result, size, s)
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
    padded = F.conv2d(_as_map(x, size), w, b, stride=s, padding=(s + 1) // 2, groups=C).flatten(2).transpose(1, 2)
    spread = (y - y.mean(2, keepdim=True)) / (y.std(2, keepdim=True) + 1e-5)
    return slip(result, {
        "these are the shrunken tokens, not yet normalised: the layer norm over the channels is still to come.": y,
        "you reshape (B, N, C) to (B, C, H, W) without moving a number, which mixes tokens and channels up. Transpose "
        "first, then unflatten the places.": F.layer_norm(viewed, (C,)),
        "you reshape (B, N, C) to (B, C, H, W) without moving a number, and the layer norm is missing, too.": viewed,
        "you normalise before the convolution. Its output is what needs it: the norm comes last.":
            _conv(_as_map(F.layer_norm(x, (C,)), size), w, b, s),
        "you normalise each channel over the places. A layer norm normalises each token over its channels.":
            (y - y.mean(1, keepdim=True)) / (y.var(1, unbiased=False, keepdim=True) + 1e-5).sqrt(),
        "you normalise all tokens together. A layer norm normalises each token over its channels.":
            F.layer_norm(y, y.shape[1:]),
        "the bias b of the convolution is missing.": F.layer_norm(_conv(_as_map(x, size), w, None, s), (C,)),
        "your kernels are turned by half a turn. What deep learning calls a convolution does not turn them.":
            F.layer_norm(_conv(_as_map(x, size), w.flip(2, 3), b, s), (C,)),
        "rows and columns are swapped: the tokens stand row by row.":
            F.layer_norm(_conv(_as_map(x, size).transpose(2, 3), w, b, s), (C,)),
        "the padding is s // 2. Half the kernel, (s + 1) // 2, is another number when s is odd.":
            F.layer_norm(padded, (C,)),
        "a layer norm divides by the root of the mean square, Σ / C. Yours divides by Σ / (C − 1), as torch.std does.":
            spread,
        "you take the mean away, but do not divide by the spread.": y - y.mean(2, keepdim=True),
        "what comes out of the convolution is the result; a ReLU is not asked for.": F.layer_norm(y.relu(), (C,)),
    }) or f"your tokens differ from LN(DWConv(x)) by up to {(result - F.layer_norm(y, (C,))).abs().max().item():.2f}."


def _refuse_padding(result: Tensor, size: tuple[int, int], s: int) -> None:
    """Refuse a result that has as many tokens as a convolution with another padding would leave."""
    for padding, words in ((0, "there is no padding in your convolution"),
                           ((s + 1) // 2, "you pad by half the kernel, (s + 1) // 2")):
        rows, columns = ((side + 2 * padding - s - 1) // s + 1 for side in size)
        if result.dim() == 3 and result.shape[1] == rows * columns:
            raise Wrong(f"from {size[0]} × {size[1]} places at s = {s} you get {rows * columns} tokens: {words}. It is "
                        f"s // 2 = {s // 2}. The result should have "
                        f"(B, N', C) with N' = {_shrunken(size[0], s) * _shrunken(size[1], s)}.")


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
        "your softmax runs over the heads. Each query's weights over the keys come out of it.":
            _norm(mixed.softmax(1), (2, 3)),
        "you take the mean away, but do not divide by the spread.": A - A.mean((2, 3), keepdim=True),
        "you normalise each column on its own. The spread is that of a head's whole map.": _norm(A, (2,)),
        "you divide by the spread, but do not take the mean away.":
            A / (A.var((2, 3), unbiased=False, keepdim=True) + 1e-5).sqrt(),
        "you divide the scores by the root of the number of heads. They are divided already.":
            _norm((mixed / len(T) ** 0.5).softmax(-1), (2, 3)),
        "your matrix is put through a softmax. It is used as it is.":
            _norm(torch.einsum("mg,bgij->bmij", T.softmax(-1), S).softmax(-1), (2, 3)),
        "the softmax is missing: these are the mixed scores, normalised.": _norm(mixed, (2, 3)),
        "your matrix is transposed, and the instance norm is missing.": turned.softmax(-1),
        "you mix the weights, after the softmax, and the instance norm is missing.":
            torch.einsum("mg,bgij->bmij", T, S.softmax(-1)),
        "the heads are not mixed.": _norm(S.softmax(-1), (2, 3)),
        "you normalise the scores and take the softmax afterwards. The norm comes last.":
            _norm(mixed, (2, 3)).softmax(-1),
    }
    sentence = slip(result, known, 1e-3)
    if sentence:
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
