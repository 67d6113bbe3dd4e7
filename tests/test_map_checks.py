"""The check of maps: a sentence for each wrong way to draw one, and none for the right way."""

import numpy as np
import pytest
import torch

from attention_lite.lab.map_checks import CANNOT_BE_FOUND, is_transposed, what_is_wrong

GRID, H = (3, 4), 2
N = 1 + 12


@pytest.fixture
def A() -> torch.Tensor:
    return torch.randn(H, N, N, generator=torch.Generator().manual_seed(0)).softmax(-1)


@pytest.fixture
def V() -> torch.Tensor:
    return torch.randn(H, N, 5, generator=torch.Generator().manual_seed(1))


def test_the_right_way_has_nothing_wrong(A, V):
    for weights in (A, A.half(), A.bfloat16(), A[0], A.mean(0), A.numpy()):
        assert what_is_wrong(weights, GRID) == []
    assert what_is_wrong(A, GRID, values=V) == []
    assert what_is_wrong(A[:, 1:, 1:] / A[:, 1:, 1:].sum(-1, keepdim=True), GRID, extra=0) == []


@pytest.mark.parametrize(("wrong", "sentence"), [
    (lambda A: A[..., 1:], "the map has 12 keys, where 3 × 4 patches and 1 more are 13: 1 too few"),
    (lambda A: torch.cat([A, A[..., :2]], -1), "has 15 keys, where 3 × 4 patches and 1 more are 13: 2 too many"),
    (lambda A: A[..., 1:], "rows sum to"),
    (lambda A: A.mT, "rows sum to"),
    (lambda A: A - 0.1, "the smallest entry is -"),
    (lambda A: (A - A.min()) / (A.max() - A.min()), "stretched to its own range"),
    (lambda A: None, "there is no map"),
    (lambda A: {}, "there is no map"),
    (lambda A: [], "a fused kernel"),
])
def test_each_wrong_way_has_its_sentence(wrong, sentence, A):
    assert any(sentence in found for found in what_is_wrong(wrong(A), GRID))


def test_the_output_times_its_values_is_no_map(A, V):
    found = what_is_wrong(A @ V @ V.mT, GRID, values=V)
    assert "(AV)Vᵀ" in found[-1]


def test_a_transposed_grid_goes_down_where_its_picture_goes_right():
    photograph = np.random.default_rng(0).random((32, 32, 3))

    def right(picture: np.ndarray) -> np.ndarray:
        return picture.mean(2).reshape(4, 8, 4, 8).mean((1, 3))

    assert not is_transposed(right, photograph, 8)
    assert is_transposed(lambda picture: right(picture).T, photograph, 8)


def test_what_cannot_be_found_is_said_and_a_vector_is_refused(A):
    assert any("mean over heads" in what for what in CANNOT_BE_FOUND)
    assert any("picked by hand" in what for what in CANNOT_BE_FOUND)
    with pytest.raises(ValueError, match=r"weights must have the shape \(…, N_q, N_k\), got \(13,\)"):
        what_is_wrong(A[0, 0], GRID)
