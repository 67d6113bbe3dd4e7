"""Checks of the exercises of chapter 12, a transformer that has seen the world."""

import copy

import torch
from torch import Tensor, nn

from attention_lite.exercises import (
    Wrong,
    ask,
    call,
    choose,
    close,
    exercise,
    expect_shape,
    module,
    number,
    run,
    same,
    slip,
)
from attention_lite.networks.vision_transformer import VisionTransformer


@exercise("transformer-pixel")
def check_pixel(map_of_pixel) -> None:
    """map_of_pixel(A, height, width, y, x): (h, 1 + N, 1 + N) -> (h, height / 14, width / 14), of the pixel's patch."""
    for h, rows, columns, y, x in ((2, 6, 5, 56, 27), (3, 3, 5, 28, 41), (3, 6, 2, 40, 20), (1, 4, 4, 0, 55)):
        A = torch.randn(h, 1 + rows * columns, 1 + rows * columns).softmax(-1)
        found = call(map_of_pixel, A, 14 * rows, 14 * columns, y, x)
        _expect_upright_maps(found, (h, rows, columns))
        expect_shape(found, (h, rows, columns), "(h, height / 14, width / 14)")
        patch = y // 14 * columns + x // 14
        if not same(found, A[:, 1 + patch, 1:].unflatten(1, (rows, columns))):
            raise Wrong(_what_map(found, A, patch, (rows, columns), (y, x)))


def _expect_upright_maps(found: Tensor, shape: tuple[int, int, int]) -> None:
    h, rows, columns = shape
    if tuple(found.shape) == (rows, columns):
        raise Wrong("you return one map. There is one for each head, and their mean is another thing.")
    if tuple(found.shape) == (h, rows * columns):
        raise Wrong("your weights of the patches still stand in a line. Lay them out in rows and columns.")
    if tuple(found.shape) == (h, columns, rows) != shape:
        raise Wrong("your map is lying on its side: it has as many rows as the photograph has columns of patches.")


def _what_map(found: Tensor, A: Tensor, patch: int, grid: tuple[int, int], pixel: tuple[int, int]) -> str:
    """Of what the reader's map is a map."""
    (rows, columns), (y, x) = grid, pixel
    row = A[:, 1 + patch]

    def laid_out(weights: Tensor) -> Tensor:
        return weights.unflatten(1, grid)

    def of_patch(number: int) -> Tensor:
        """The map of a patch of another number, or none."""
        return laid_out(A[:, 1 + number, 1:]) if 0 <= number < rows * columns else torch.full_like(found, torch.nan)

    return slip(found, {
        "you lay the patches out column by column. The tokens stand row by row.":
            row[:, 1:].unflatten(1, (columns, rows)).transpose(1, 2),
        "row and column 0 belong to the class token. You do not leave it out, neither among the queries nor among the "
        "keys.": laid_out(A[:, patch, :-1]),
        "your query is the token before: row 0 is the class token's.": laid_out(A[:, patch, 1:]),
        "your weights are one place off: column 0 is the class token's.": laid_out(row[:, :-1]),
        "that is how much the others look at this patch. Its own weights are a row.": laid_out(A[:, 1:, 1 + patch]),
        "you number the patches column by column. The tokens stand row by row.": of_patch(x // 14 * rows + y // 14),
        "x and y have changed places: y is the row.": of_patch(x // 14 * columns + y // 14),
        "a row of patches has as many as the photograph has columns, not rows.": of_patch(y // 14 * rows + x // 14),
        "you round y / 14 and x / 14 to the nearest. A pixel belongs to the patch that it lies in: round down.":
            of_patch(round(y / 14) * columns + round(x / 14)),
        "a patch has 14 × 14 pixels, not 16 × 16.": of_patch(y // 16 * columns + x // 16),
        "you divide by the sum. The weights are asked for as they are: the class token has a share.":
            laid_out(row[:, 1:] / row[:, 1:].sum(1, keepdim=True)),
        "that is the class token's map. The patch under the tap has a row of its own.": laid_out(A[:, 0, 1:]),
        "your map is upside down.": laid_out(row[:, 1:]).flip(1),
        "all of your maps are the mean over the heads. Each head has its own.":
            laid_out(row[:, 1:]).mean(0, keepdim=True).expand(len(A), -1, -1),
    }) or (f"for pixel {pixel} your map differs from the weights of patch {patch}, counted row by row from 0 in a grid "
           "of patches of 14 × 14 pixels.")


@exercise("transformer-distance")
def check_distance(mean_distance) -> None:
    """mean_distance(A, side): how far patches look on average, in patches, the class token left out."""
    for side in (3, 4, 5):
        A = (3 * torch.randn(1 + side ** 2, 1 + side ** 2)).softmax(-1)
        found = number(ask(mean_distance, A, side))
        expected = {words: value.item() for words, value in _distances(A, side).items()}
        if not close(found, expected["right"], 1e-3):
            named = [words for words, value in expected.items() if words != "right" and close(found, value, 1e-3)]
            raise Wrong(named[0] if named else f"for a grid of {side} × {side} you give {found:.3f}, expected "
                        f"{expected['right']:.3f}. Each weight times the length of its step, summed over the keys, "
                        "averaged over the queries.")


def _distances(A: Tensor, side: int) -> dict[str, Tensor]:
    """The right number, and those of mistakes."""
    places = torch.tensor([(i, j) for i in range(side) for j in range(side)], dtype=torch.float32)
    apart, steps = torch.cdist(places, places), torch.cdist(places, places, p=1)
    among = A[1:, 1:]
    W = among / among.sum(1, keepdim=True)
    across, along = (places[:, None] - places).abs().unbind(-1)
    to_most = apart.gather(1, W.argmax(1, keepdim=True))
    return {
        "right": (W * apart).sum(1).mean(),
        "the rows no longer sum to one where the class token is left out: divide by their sum.":
            (among * apart).sum(1).mean(),
        "you divide by the sum of all weights. Each query's row is an average of its own.":
            (among * apart).sum() / among.sum(),
        "you average the squares of the distances. Take the root before you average.": (W * apart ** 2).sum(1).mean(),
        "you take the root after averaging. Take it of each distance.": (W * apart ** 2).sum(1).mean().sqrt(),
        "you count steps along rows and columns. The distance is the straight line's.": (W * steps).sum(1).mean(),
        "you average over the keys, too. Over the keys it is a sum, for the weights are an average's.":
            (W * apart).mean(),
        "you add up over the queries. Average over them.": (W * apart).sum(),
        "that is in pixels. In patches it is a fourteenth of it.": 14 * (W * apart).sum(1).mean(),
        "you take the larger of the steps along rows and columns. The distance is the straight line's.":
            (W * torch.maximum(across, along)).sum(1).mean(),
        "that is the mean distance of all places, as if all weights were alike. Weigh it with the attention.":
            apart.mean(),
        "you look at each patch's largest weight alone. All weights have a say.": to_most.mean(),
        "you make the columns sum to one. It is a query's weights, a row, that do.":
            (among / among.sum(0) * apart).sum(1).mean(),
        "you leave the class token out among the queries or the keys, not on both sides, and so shift the places.":
            (A[:-1, 1:] / A[:-1, 1:].sum(1, keepdim=True) * apart).sum(1).mean(),
        "the class token is the first row and column, not the last.":
            (A[:-1, :-1] / A[:-1, :-1].sum(1, keepdim=True) * apart).sum(1).mean(),
        "you average over 1 + N queries. The class token is left out: divide by N.":
            (W * apart).sum() / (1 + side ** 2),
    }


@exercise("transformer-places")
def check_places(without_places) -> None:
    """without_places(net): a network that cannot tell how its patches are laid out, and is otherwise the same."""
    net = _small_network()
    before = copy.deepcopy(net.state_dict())
    changed = module(ask(without_places, net), "a network")
    if changed is net or any(not torch.equal(value, before[name]) for name, value in net.state_dict().items()):
        raise Wrong("the network that you were given has changed. Change a copy: copy.deepcopy(net).")
    other = [name for name, value in changed.state_dict().items()
             if name != "positions" and name in before and not torch.equal(value, before[name])]
    if other:
        raise Wrong(f"you changed {other[0]}, too. Only places are to go.")
    own = {p.data_ptr() for p in net.parameters()}
    shared = [name for name, p in changed.named_parameters() if p.data_ptr() in own]
    if shared:
        raise Wrong(f"your network shares {shared[0]} with the one that you were given: who trains one changes the "
                    "other. Copy it, with copy.deepcopy.")
    photograph = torch.rand(1, 3, 16, 16)
    shuffled = _shuffled(photograph, torch.arange(16).roll(5))
    with torch.no_grad():
        seen, otherwise = (run(changed, x)[0, 0].detach() for x in (photograph, shuffled))
    moved = (seen - otherwise).norm() / seen.norm()
    if moved > 1e-3:
        raise Wrong(f"the order of the patches still matters: shuffled, they move the class token by {moved:.2g} of "
                    "its length. All patches must get the same position, all zeros or any other; it is "
                    "`positions` that holds them.")


def _small_network() -> VisionTransformer:
    net = VisionTransformer(d_model=12, depth=2, h=2, patch=4, grid=4).eval()
    with torch.no_grad():
        for parameter in net.parameters():
            parameter.add_(0.3 * torch.randn_like(parameter))
    return net


def _shuffled(photograph: Tensor, order: Tensor, patch: int = 4) -> Tensor:
    """The photograph (1, 3, S, S) with its patches in another order."""
    side = photograph.shape[-1]
    pieces = nn.functional.unfold(photograph, patch, stride=patch)[..., order]
    return nn.functional.fold(pieces, (side, side), patch, stride=patch)


@exercise("transformer-criticise")
def check_criticise(answer) -> None:
    """Which objection to a figure is right."""
    choose(answer, "c", {
        "a": "a larger photograph has more patches, but the claim is about this map, and fails for it.",
        "b": "that is a matter of taste. The outline would be as wrong beside the photograph.",
        "d": "a picture's brightness need not sum to one. How many weights does the map have?",
    })
