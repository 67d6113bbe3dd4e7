"""Places of a photograph and their descriptions."""

import pytest
import torch

from attention_lite.lab import patches, photographs


def test_window_is_cut_from_the_middle_and_resized():
    whole = torch.from_numpy(photographs.load("coffee") / 255).float()
    middle = patches.window("coffee", (40, 60), source=(40, 60))
    assert torch.allclose(middle, whole[180:220, 270:330], atol=1e-6)
    top = patches.window("coffee", (40, 60), source=(40, 60), top=0)
    assert torch.allclose(top, whole[:40, 270:330], atol=1e-6)
    half = patches.window("coffee", (200, 300))
    assert half.shape == (200, 300, 3)
    assert half.dtype == torch.float32
    assert torch.allclose(half.mean((0, 1)), whole.mean((0, 1)), atol=0.01)


@pytest.mark.parametrize(
    ("shape", "source", "top"), [((0, 5), None, None), ((4, 4), (9999, 4), None), ((4, 4), (4, 4), 398)])
def test_window_refuses_what_does_not_fit(shape, source, top):
    with pytest.raises(ValueError, match="must"):
        patches.window("coffee", shape, source, top)


def test_neighbourhoods_are_the_flattened_squares():
    image = torch.rand(5, 7, 3)
    q = patches.neighbourhoods(image, 3)
    assert q.shape == (35, 27)
    assert torch.equal(q[2 * 7 + 4], image[1:4, 3:6].flatten())
    assert torch.equal(q[0, :3], image[1, 1])                     # mirrored beyond the corner
    assert torch.equal(patches.neighbourhoods(image, 1), image.reshape(35, 3))


@pytest.mark.parametrize("size", [2, 0, 11, True])
def test_neighbourhoods_refuse_other_sizes(size):
    with pytest.raises(ValueError, match="size"):
        patches.neighbourhoods(torch.rand(5, 7, 3), size)


def test_descriptions_of_flat_and_striped_places():
    image = torch.zeros(4, 8, 3)
    image[:, :4] = 1.0                                            # left place: white, L = 100
    image[:2, 4:] = 1.0                                           # right place: white above black
    left, right = patches.describe(image, (1, 2))
    assert torch.allclose(left[:3], torch.tensor([10.0, 0.0, 0.0]), atol=1e-3)
    assert torch.allclose(left[3:7], torch.zeros(4), atol=1e-3)
    assert right[0] == pytest.approx(5.0, abs=1e-3)
    assert right[3] == pytest.approx(5.0, abs=1e-3)
    assert right[6] == pytest.approx(2.5, abs=1e-3)               # one step of L in four, downwards
    assert right[7] == pytest.approx(0.0, abs=1e-3)
    assert left[7] == pytest.approx(1.25, abs=1e-3)               # half its rows step into black at the right


def test_mean_colours_are_row_by_row():
    image = torch.rand(6, 9, 3)
    means = patches.mean_colours(image, (2, 3))
    assert torch.allclose(means[1 * 3 + 2], image[3:6, 6:9].mean((0, 1)), atol=1e-6)


@pytest.mark.parametrize("function", [patches.describe, patches.mean_colours])
def test_grids_that_do_not_divide_the_picture_are_refused(function):
    with pytest.raises(ValueError, match="grid columns must divide"):
        function(torch.rand(6, 9, 3), (2, 4))
    with pytest.raises(ValueError, match="image"):
        function(torch.rand(6, 9), (2, 3))
