"""What is wrong with an attention map: what the numbers themselves can show, and a list of what they cannot."""

from collections.abc import Callable

import numpy as np
from numpy.typing import ArrayLike

from attention_lite.as_array import as_array

# No map tells of these by itself: they must be said beside it.
CANNOT_BE_FOUND = ("a mean over heads, whose rows sum to one as each head's do",
                   "a head, layer or photograph picked by hand from many",
                   "weights that the output does not depend on")


def what_is_wrong(weights: ArrayLike | None, grid: tuple[int, int], extra: int = 1,
                  values: ArrayLike | None = None) -> list[str]:
    """Return a sentence for each fault of a map that is said to be softmax weights; none found, an empty list.

    Args:
        weights: (…, N_q, N_k), or None, an empty dict or an empty list, as of a hook that got no weights.
        grid: rows and columns of the patches.
        extra: how many tokens are no patch, such as a class token.
        values: V (…, N_k, d_v) of the same heads, if they are at hand, with d_v < N_k: they give (AV)Vᵀ away.

    Raises:
        ValueError: if `weights` has fewer than two axes.
    """
    if weights is None or (isinstance(weights, (dict, list)) and not weights):
        return ["there is no map: a fused kernel that computes the output gives a hook None, or calls none"]
    A = as_array("weights", weights).astype(float)
    if A.ndim < 2:
        raise ValueError(f"weights must have the shape (…, N_q, N_k), got {A.shape}")
    found, tokens = [], grid[0] * grid[1] + extra
    if A.shape[-1] != tokens:
        found.append(f"the map has {A.shape[-1]} keys, where {grid[0]} × {grid[1]} patches and {extra} more are "
                     f"{tokens}: {abs(A.shape[-1] - tokens)} too {'many' if A.shape[-1] > tokens else 'few'}")
    if A.min() < 0:
        found.append(f"the smallest entry is {A.min():.3g}: no softmax goes below zero")
    sums = A.sum(-1)
    if np.abs(sums - 1).max() > 0.01:                                      # half precision keeps three digits
        found.append(f"rows sum to {sums.min():.3g} to {sums.max():.3g}, not to one")
    if A.min() == 0 and A.max() == 1:
        found.append("the smallest entry is 0 and the largest 1: the map is stretched to its own range")
    if values is not None and _lies_in(A, as_array("values", values).astype(float)):
        found.append("every row is a sum of the values' columns, as in (AV)Vᵀ: this is the output, not the weights")
    return found


def _lies_in(A: np.ndarray, V: np.ndarray) -> bool:
    """Whether the rows of A, (…, N_q, N_k), lie in the span of V's columns, (…, N_k, d_v)."""
    if V.shape[-2] != A.shape[-1] or V.shape[-1] >= V.shape[-2]:
        return False
    rest = A - A @ V @ np.linalg.pinv(V)
    return bool(np.abs(rest).max() < 1e-3 * np.abs(A).max())


def is_transposed(map_of: Callable[[np.ndarray], ArrayLike], photograph: np.ndarray, patch: int) -> bool:
    """Whether a map, (rows, columns), goes down when its picture goes to the right.

    Args:
        map_of: makes the map of a photograph, say the class token's weights as a grid.
        photograph: (H, W, 3). It is shifted by one patch to the right, round the edge.
        patch: the side of a patch in pixels.
    """
    before = as_array("map", map_of(photograph)).astype(float)
    after = as_array("map", map_of(np.roll(photograph, patch, axis=1))).astype(float)
    right, down = (np.abs(after - np.roll(before, 1, axis)).mean() for axis in (1, 0))
    return bool(down < right)
