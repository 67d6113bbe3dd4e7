"""Photographs cut into places, and what each place looks like, in numbers that nobody had to learn."""

import torch
import torch.nn.functional as F
from torch import Tensor

from attention_lite import checks
from attention_lite.as_array import as_array
from attention_lite.extras import extra
from attention_lite.lab import photographs

LAB_UNIT = 10.0    # ten units of CIELAB make one unit of a description: a distance of 1 is just a small one


def window(name: str, shape: tuple[int, int], source: tuple[int, int] | None = None,
           top: int | None = None) -> Tensor:
    """Return the middle of a photograph, resized.

    Args:
        name: as in `photographs.PHOTOGRAPHS`.
        shape: (height, width) of the result in pixels.
        source: (height, width) of the window in the photograph's own pixels; default, the largest
            with the proportions of `shape`.
        top: first row of the window in the photograph; default, such that the window is centred.

    Returns:
        (height, width, 3), float32, RGB in [0, 1].

    Raises:
        ValueError: if `name` is unknown, a size is not positive, or the window leaves the photograph.
    """
    with extra("lab"):
        from skimage.transform import resize

    image = photographs.load(name)
    shape, source = (tuple(checks.positive_int("shape and source", side) for side in sides)
                     for sides in (shape, source or ()))
    full_height, full_width = image.shape[:2]
    zoom = min(full_height / shape[0], full_width / shape[1])
    height, width = source or (int(shape[0] * zoom), int(shape[1] * zoom))
    y = (full_height - height) // 2 if top is None else top
    x = (full_width - width) // 2
    if y < 0 or x < 0 or y + height > full_height:
        raise ValueError(f"the window must lie inside {name}, {full_height} × {full_width} pixels; "
                         f"got {height} × {width} from row {y}, column {x}")
    return torch.from_numpy(resize(image[y:y + height, x:x + width] / 255, shape, anti_aliasing=True)).float()


def neighbourhoods(image: Tensor, size: int) -> Tensor:
    """Return the colours around every pixel; beyond the border the picture is mirrored.

    Args:
        image: (H, W, c), floating point.
        size: odd side of the square neighbourhood, in pixels.

    Returns:
        (H·W, size²·c): one row a pixel, in reading order; each row is the square as `flatten` writes it.

    Raises:
        ValueError: if `image` has another shape, or `size` is even or does not fit into it.
    """
    _check_image(image)
    size = checks.positive_int("size", size)
    reach = size // 2
    if size % 2 == 0 or reach >= min(image.shape[:2]):
        raise ValueError("size must be odd and less than twice the picture's sides, "
                         f"got {size} for a picture of shape {tuple(image.shape)}")
    padded = F.pad(image.permute(2, 0, 1)[None], (reach,) * 4, mode="reflect")
    columns = F.unfold(padded, size)[0]                                      # (c·size², H·W)
    return columns.unflatten(0, (image.shape[2], -1)).permute(2, 1, 0).flatten(1)


def describe(image: Tensor, grid: tuple[int, int]) -> Tensor:
    """Return eight numbers for each place of a grid laid over a picture: its mean colour and its texture.

    In order: the means of L, a and b (CIELAB: lightness, green to red, blue to yellow), their standard
    deviations within the place, and the mean size of the steps of L from one pixel to the next, downwards and
    to the right.

    Args:
        image: (H, W, 3), RGB in [0, 1].
        grid: (rows, columns) of places; they must divide H and W.

    Returns:
        (rows·columns, 8), float32, in tens of CIELAB units, row by row.

    Raises:
        ValueError: if `image` is not such a picture, or `grid` does not divide it.
    """
    with extra("lab"):
        from skimage.color import rgb2lab

    _check_image(image)
    lab = torch.from_numpy(rgb2lab(as_array("image", image))).float()
    lightness = lab[..., :1]
    down = lightness.diff(dim=0, append=lightness[-1:]).abs()
    right = lightness.diff(dim=1, append=lightness[:, -1:]).abs()
    colour, steps = _places(lab, grid), _places(torch.cat([down, right], 2), grid)
    return torch.cat([colour.mean(1), colour.std(1, correction=0), steps.mean(1)], 1) / LAB_UNIT


def mean_colours(image: Tensor, grid: tuple[int, int]) -> Tensor:
    """Return the mean RGB of each place, (rows·columns, 3), row by row; see `describe` for the rest."""
    _check_image(image)
    return _places(image, grid).mean(1)


def _places(image: Tensor, grid: tuple[int, int]) -> Tensor:
    """Cut (H, W, c) into places: (rows·columns, pixels of a place, c)."""
    (height, width), (rows, columns) = image.shape[:2], grid
    rows, columns = checks.positive_int("grid rows", rows), checks.positive_int("grid columns", columns)
    checks.divides("grid rows", rows, "height", height)
    checks.divides("grid columns", columns, "width", width)
    blocks = image.reshape(rows, height // rows, columns, width // columns, -1)
    return blocks.transpose(1, 2).flatten(0, 1).flatten(1, 2)


def _check_image(image: Tensor) -> None:
    if not isinstance(image, Tensor) or not image.is_floating_point() or image.dim() != 3:
        tensor = isinstance(image, Tensor)
        got = f"{image.dtype} of shape {tuple(image.shape)}" if tensor else type(image).__name__
        raise ValueError(f"image must be a floating-point tensor (H, W, channels), got {got}")
