"""Checks of the exercises of chapter 12, a transformer that has seen the world."""

import copy

import torch
from torch import Tensor, nn

from attention_lite.exercises import Wrong, call, choose, exercise, expect_shape, same
from attention_lite.networks.vision_transformer import VisionTransformer


@exercise("transformer-pixel")
def check_pixel(map_of_pixel) -> None:
    """map_of_pixel(A, height, width, y, x): (h, 1 + N, 1 + N) -> (h, height / 14, width / 14), of the pixel's patch."""
    for h, rows, columns, y, x in ((2, 3, 5, 20, 60), (3, 6, 2, 40, 20), (1, 4, 4, 0, 55)):
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
    if tuple(found.shape) == (h, columns, rows) != shape:
        raise Wrong("your map is lying on its side: it has as many rows as the photograph has columns of patches.")


def _what_map(found: Tensor, A: Tensor, patch: int, grid: tuple[int, int], pixel: tuple[int, int]) -> str:
    """Of what the reader's map is a map."""
    rows, columns = grid
    swapped = pixel[1] // 14 * rows + pixel[0] // 14
    upright = (A[:, 1 + patch, 1:].unflatten(1, (columns, rows)).transpose(1, 2), "you lay the patches out column by "
               "column. The tokens stand row by row.")
    candidates = [
        (A[:, patch, :-1], "row and column 0 belong to the class token. You do not leave it out, neither among the "
         "queries nor among the keys."),
        (A[:, patch, 1:], "your query is the token before: row 0 is the class token's."),
        (A[:, 1 + patch, :-1], "your weights are one place off: column 0 is the class token's."),
        (A[:, 1:, 1 + patch], "that is how much the others look at this patch. Its own weights are a row."),
        (A[:, min(1 + swapped, rows * columns), 1:], "you number the patches column by column. The tokens stand row by "
         "row."),
    ]
    named = [upright, *((t.unflatten(1, grid), words) for t, words in candidates)]
    near = next((words for t, words in named if same(found, t)), None)
    return near or (f"for pixel {pixel} your map differs from the weights of patch {patch}, counted row by row from 0 "
                    "in a grid of patches of 14 × 14 pixels.")


@exercise("transformer-distance")
def check_distance(mean_distance) -> None:
    """mean_distance(A, side): how far patches look on average, in patches, the class token left out."""
    for side in (3, 4, 5):
        A = (3 * torch.randn(1 + side ** 2, 1 + side ** 2)).softmax(-1)
        found = call(mean_distance, A, side)
        expect_shape(found, (), "one number: shape ()")
        expected = _distances(A, side)
        if not same(found, expected["right"]):
            named = [words for words, value in expected.items() if words != "right" and same(found, value)]
            raise Wrong(named[0] if named else f"for a grid of {side} × {side} you give {found:.3f}, expected "
                        f"{expected['right']:.3f}. Each weight times the length of its step, summed over the keys, "
                        "averaged over the queries.")


def _distances(A: Tensor, side: int) -> dict[str, Tensor]:
    """The right number, and those of mistakes."""
    places = torch.tensor([(i, j) for i in range(side) for j in range(side)], dtype=torch.float32)
    apart, steps = torch.cdist(places, places), torch.cdist(places, places, p=1)
    among = A[1:, 1:]
    W = among / among.sum(1, keepdim=True)
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
    }


@exercise("transformer-places")
def check_places(without_places) -> None:
    """without_places(net): a network that cannot tell how its patches are laid out, and is otherwise the same."""
    net = _small_network()
    before = copy.deepcopy(net.state_dict())
    changed = without_places(net)
    if changed is None or changed is ...:
        raise Wrong("your function returns nothing yet.")
    if not isinstance(changed, nn.Module):
        raise Wrong(f"return a network; yours is {type(changed).__name__}.")
    if any(not torch.equal(value, before[name]) for name, value in net.state_dict().items()):
        raise Wrong("the network that you were given has changed. Change a copy: copy.deepcopy(net).")
    other = [name for name, value in changed.state_dict().items()
             if name != "positions" and not torch.equal(value, before[name])]
    if other:
        raise Wrong(f"you changed {other[0]}, too. Only places are to go.")
    photograph = torch.rand(1, 3, 16, 16)
    shuffled = _shuffled(photograph, torch.randperm(16))
    with torch.no_grad():
        moved = (changed(photograph)[0, 0] - changed(shuffled)[0, 0]).norm() / changed(photograph)[0, 0].norm()
    if moved > 1e-3:
        raise Wrong(f"the order of the patches still matters: shuffled, they move the class token by {moved:.2f} of "
                    "its length. All patches must get the same position, all zeros or any other.")


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
