"""Mistakes that people make in the exercises of chapter 12, and a part of the sentence that each must get."""

import copy

import torch


def _places(side):
    return torch.tensor([(i, j) for i in range(side) for j in range(side)], dtype=torch.float32)


def _mean(power=1, p=2.0, own=True, root=False, reduce=torch.Tensor.mean):
    def mean_distance(A, side):
        W = A[1:, 1:]
        W = W / W.sum(1, keepdim=True) if own else W
        apart = torch.cdist(_places(side), _places(side), p=p) ** power
        found = reduce((W * apart).sum(1))
        return found.sqrt() if root else found

    return mean_distance


def _map(query, key, layout="rows"):
    """map_of_pixel with a class token's offset of `query` and `key`."""
    def map_of_pixel(A, height, width, y, x):
        rows, columns = height // 14, width // 14
        row = A[:, query + y // 14 * columns + x // 14, key:key + rows * columns]
        if layout == "columns":
            return row.unflatten(1, (columns, rows)).transpose(1, 2)
        return row.unflatten(1, (columns, rows) if layout == "sideways" else (rows, columns))

    return map_of_pixel


def _zeroed(*names, copied=True):
    def without_places(net):
        changed = copy.deepcopy(net) if copied else net
        with torch.no_grad():
            for name, parameter in changed.named_parameters():
                if name in names:
                    parameter.zero_()
        return changed

    return without_places


def _class_token_alone(net):
    changed = copy.deepcopy(net)
    with torch.no_grad():
        changed.positions[:, 0] = 0
    return changed


MISTAKES = {
    "transformer-pixel": [
        (_map(0, 0), "neither among the queries nor"),
        (_map(0, 1), "the token before"),
        (_map(1, 0), "one place off"),
        (_map(1, 1, "columns"), "lay the patches out column by column"),
        (_map(1, 1, "sideways"), "lying on its side"),
        (lambda A, H, W, y, x: _map(1, 1)(A, H, W, y, x).mean(0), "you return one map"),
        (lambda A, H, W, y, x: _map(1, 1)(A.transpose(1, 2), H, W, y, x), "Its own weights are a row"),
        (lambda A, H, W, y, x: A[:, min(1 + x // 14 * (H // 14) + y // 14, A.shape[1] - 1), 1:].unflatten(
            1, (H // 14, W // 14)), "you number the patches column by column"),
        (lambda A, H, W, y, x: torch.zeros(len(A), H // 14, W // 14), "differs from the weights of patch"),
        (lambda A, H, W, y, x: _map(1, 1)(A, H, W, x, y), "x and y have changed places"),
        (lambda A, H, W, y, x: _map(1, 1)(A, H, W, 14 * (y // 16), 14 * (x // 16)), "not 16 × 16"),
        (lambda A, H, W, y, x: None, "returns nothing yet"),
    ],
    "transformer-distance": [
        (_mean(own=False), "no longer sum to one"),
        (_mean(power=2), "squares of the distances"),
        (_mean(power=2, root=True), "root after averaging"),
        (_mean(p=1.0), "along rows and columns"),
        (_mean(reduce=torch.Tensor.sum), "add up over the queries"),
        (lambda A, side: _mean()(A, side) / side ** 2, "average over the keys, too"),
        (lambda A, side: (A[1:, 1:] * torch.cdist(_places(side), _places(side))).sum() / A[1:, 1:].sum(),
         "sum of all weights"),
        (lambda A, side: torch.tensor(0.5), "Each weight times the length"),
        (lambda A, side: torch.zeros(side), "expected a number"),
    ],
    "transformer-places": [
        (_zeroed("positions", copied=False), "Change a copy"),
        (_zeroed("patches.weight"), "you changed patches.weight, too"),
        (_zeroed("positions", "class_token"), "you changed class_token, too"),
        (_class_token_alone, "the order of the patches still matters"),
        (lambda net: net.positions, "expected a network"),
        (lambda net: None, "returns nothing yet"),
    ],
    "transformer-criticise": [("a", "more patches"), ("b", "a matter of taste"), ("d", "How many weights"),
                              ("x", "choose one of the letters")],
}

RIGHT = {"transformer-criticise": ["(c)", "c)", "C."],
         "transformer-distance": [lambda A, side: _mean()(A, side).item()]}
