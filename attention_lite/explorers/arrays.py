"""Checks of what an explorer is given: each error names the argument, what it got and what was expected."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from attention_lite.as_array import as_array
from attention_lite.checks import plain

SUM_TOLERANCE = 1e-3


def images(value: Any, leading: tuple[str, ...]) -> np.ndarray:
    """Return photographs as uint8, shape (*leading, H, W, 3); ValueError on anything else."""
    image = as_array("images", value)
    wanted = f"uint8 ({', '.join((*leading, 'H', 'W', '3'))})"
    if image.ndim == 3 + len(leading) and image.shape[-1] == 4:
        raise ValueError(
            f"images must have 3 colour channels, got 4: drop the alpha channel: image[..., :3] "
            f"(shape {image.shape}, expected {wanted})"
        )
    if image.ndim != 3 + len(leading) or image.shape[-1] != 3:
        raise ValueError(f"images must be {wanted}, got shape {image.shape}")
    if image.dtype != np.uint8:
        raise ValueError(f"images must be {wanted}, 0 to 255, got dtype {image.dtype}")
    if 0 in image.shape:
        raise ValueError(f"images must hold at least one photograph, got shape {image.shape}")
    if min(image.shape[-3:-1]) < 2:
        raise ValueError(f"images must be at least 2 × 2 pixels, got {image.shape[-3]} × {image.shape[-2]}")
    return image


def numbers(name: str, value: Any, shape: tuple[int | str, ...], *, minus_inf: bool = False) -> np.ndarray:
    """Return `value` as a float array of `shape` (a string stands for any length ≥ 1) of finite numbers."""
    array = as_array(name, value)
    wanted = f"({', '.join(map(str, shape))})"
    fits = array.ndim == len(shape) and all(
        got >= 1 if isinstance(want, str) else got == want
        for got, want in zip(array.shape, shape, strict=True)
    )
    if not fits:
        raise ValueError(f"{name} must have shape {wanted}, got {array.shape}")
    if array.dtype == bool or not np.issubdtype(array.dtype, np.number) or np.iscomplexobj(array):
        raise ValueError(f"{name} must hold real numbers, got dtype {array.dtype}")
    array = array.astype(np.float64 if array.dtype == np.float64 else np.float32, copy=False)
    bad = np.isnan(array) | np.isposinf(array) if minus_inf else ~np.isfinite(array)
    if bad.any():
        place = tuple(int(i) for i in np.argwhere(bad)[0])
        raise ValueError(
            f"{name} must be finite, got {array[place]} at index {place}, {int(bad.sum())} in all"
        )
    return array


def within(name: str, array: np.ndarray, low: float, high: float) -> np.ndarray:
    """Return `array` if low ≤ array ≤ high everywhere (and clip the last float error away)."""
    outside = (array < low - 1e-6) | (array > high + 1e-6)
    if outside.any():
        place = tuple(int(i) for i in np.argwhere(outside)[0])
        raise ValueError(f"{name} must lie in [{low:g}, {high:g}], got {array[place]:g} at index {place}")
    return np.clip(array, low, high)


def distributions(name: str, array: np.ndarray, axis: int = -1) -> np.ndarray:
    """Return `array` if it is non-negative and sums to one on one axis, by default the last."""
    within(name, array, 0, 1)
    total = array.sum(axis)
    off = np.abs(total - 1) > SUM_TOLERANCE
    if off.any():
        place = tuple(int(i) for i in np.argwhere(off)[0])
        which = "the last axis" if axis == -1 else f"axis {axis}"
        raise ValueError(f"{name} must sum to 1 on {which}, got {total[place]:.4g} at index {place}")
    return array


def grid(value: Any, image_shape: tuple[int, int]) -> tuple[int, int]:
    """Return (rows, columns) of the places laid over a photograph of `image_shape` pixels."""
    try:
        rows, columns = (int(v) for v in value)
        whole = (rows, columns) == tuple(value)
    except (TypeError, ValueError):
        whole = False
    if not whole or rows < 1 or columns < 1:
        raise ValueError(f"grid must be two positive integers (rows, columns), got {value!r}")
    if rows > image_shape[0] or columns > image_shape[1]:
        raise ValueError(
            f"grid must not have more places than the photograph has pixels, "
            f"got {rows} × {columns} places on {image_shape[0]} × {image_shape[1]} pixels"
        )
    return rows, columns


def names(name: str, value: Sequence[str] | None, count: int, default: str) -> list[str]:
    """Return `count` names: those given, or `default` formatted with 0, 1, …"""
    if value is None:
        return [default.format(i) for i in range(count)]
    if isinstance(value, str) or not all(isinstance(v, str) for v in value):
        raise ValueError(f"{name} must be a list of strings, got {value!r}")
    if len(value) != count:
        raise ValueError(f"{name} must have {count} names, got {len(value)}: {list(value)}")
    return list(value)


def classes(name: str, value: Any, shape: tuple[int, ...], count: int) -> np.ndarray:
    """Return integer class numbers 0 … count − 1 of the given shape."""
    array = as_array(name, value)
    if array.shape != shape:
        raise ValueError(f"{name} must have shape {shape}, got {array.shape}")
    if not np.issubdtype(array.dtype, np.integer):
        raise ValueError(f"{name} must hold integer class numbers, got dtype {array.dtype}")
    if array.min() < 0 or array.max() >= count:
        raise ValueError(f"{name} must lie in 0 … {count - 1}, got {array.min()} … {array.max()}")
    return array


def positive(name: str, value: Any) -> float:
    """Return `value` as a finite float above zero."""
    number = plain(value)
    if isinstance(number, bool) or not isinstance(number, (int, float, np.number)) or not 0 < number < np.inf:
        raise ValueError(f"{name} must be a positive number, got {value!r}")
    return float(number)


def word(name: str, value: Any) -> str:
    """Return `value` as a string of at least one letter."""
    if not isinstance(value, str) or not value.strip():
        raise ValueError(f"{name} must be a word, got {value!r}")
    return value


def choice(name: str, value: Any, allowed: Sequence[str]) -> str:
    """Return `value` if it is one of `allowed`."""
    if value not in allowed:
        raise ValueError(f"{name} must be one of {list(allowed)}, got {value!r}")
    return value


def index(name: str, value: Any, count: int, *, low: int = 0) -> int:
    """Return `value` as an integer with low ≤ value < count."""
    number = plain(value)
    if isinstance(number, bool) or not isinstance(number, int) or not low <= number < count:
        raise ValueError(f"{name} must be an integer in {low} … {count - 1}, got {value!r}")
    return number


def place(name: str, value: Any, grid: tuple[int, int], *, low: int = 0) -> int:
    """Return the number of a place, given as that number or as (row, column), both counted from 0."""
    if isinstance(value, (tuple, list)):
        if len(value) != 2:
            raise ValueError(f"{name} must be a place number or (row, column), got {value!r}")
        return index(f"{name} row", value[0], grid[0]) * grid[1] + index(f"{name} column", value[1], grid[1])
    return index(name, value, grid[0] * grid[1], low=low)


def alts(alt: Any, count: int) -> list[str]:
    """Return what each of `count` photographs shows, in words: those given, or one sentence for all."""
    return names("alt", [alt] * count if isinstance(alt, str) else alt, count, "")
