"""Arrays and photographs packed for the browser: one string of bytes, and where in it each array lies."""

from __future__ import annotations

import io
import zlib
from typing import Any

import numpy as np

from attention_lite.extras import extra

FLOAT32_BUDGET = 200_000  # bytes up to which an array travels as float32; above it, in two bytes a number
PAYLOAD_LIMIT = 8_000_000
LONGEST_SIDE = 960  # pixels; a larger photograph is reduced, no page shows it larger
JPEG_QUALITY = 88
COLOURS = 1024  # of a picture that PNG may make smaller; for a photograph it never does, and takes long to find out


class Packer:
    """Collects named arrays; `data` and `spec` are what the ES module reads."""

    def __init__(self) -> None:
        self.chunks: list[bytes] = []
        self.spec: dict[str, dict[str, Any]] = {}
        self.size = 0

    def add(self, name: str, array: np.ndarray, **extra: Any) -> None:
        """Append `array` under `name`; equal bytes are stored once."""
        array = np.ascontiguousarray(array)
        little = array.astype(array.dtype.newbyteorder("<"), copy=False).tobytes()
        entry = {"dtype": array.dtype.name, "shape": list(array.shape), **extra}
        self.spec[name] = {**entry, "offset": self._append(little)}

    def add_deflated(self, name: str, array: np.ndarray) -> None:
        """Append a uint8 array in [0, 255] compressed; the module reads it some milliseconds later."""
        content = zlib.compress(np.ascontiguousarray(array).tobytes(), 9)
        entry = {"dtype": "uint8", "shape": list(array.shape), "deflated": len(content)}
        self.spec[name] = {**entry, "offset": self._append(content)}

    def add_images(self, name: str, images: np.ndarray) -> None:
        """Append photographs (..., H, W, 3) as JPEG or PNG, whichever is smaller."""
        files = [self._file(image) for image in images.reshape(-1, *images.shape[-3:])]
        self.spec[name] = {"shape": list(images.shape), "files": files}

    def add_pictures(self, name: str, pictures: list[np.ndarray]) -> None:
        """Append photographs (H, W, 3) of one shape or several; the shape told is the first one's."""
        files = [self._file(picture) for picture in pictures]
        self.spec[name] = {"shape": [len(pictures), *pictures[0].shape], "files": files}

    def add_scores(self, name: str, scores: np.ndarray) -> None:
        """Append scores (..., N) known up to a constant a row: float32, or steps below the row's largest.

        Code 0 is −inf. The step is the largest finite range of a row over 65,534, so that a weight exp(score)
        comes back with a relative error of half a step.
        """
        below = scores - scores.max(-1, keepdims=True)
        finite = np.isfinite(below)
        span = max(1e-6, float(-below[finite].min()))
        if scores.size * 4 <= FLOAT32_BUDGET:
            self.add(name, np.where(finite, below, -np.inf).astype(np.float32))
            return
        codes = np.where(finite, 1 + np.rint((np.where(finite, below, 0) / span + 1) * 65534), 0)
        self.add(name, codes.astype(np.uint16), span=span)

    def add_vectors(self, name: str, vectors: np.ndarray) -> None:
        """Append queries or keys: float32 while they are small, else float16 if they fit its range."""
        small = vectors.size * 4 <= FLOAT32_BUDGET
        fits = np.abs(vectors).max() < np.finfo(np.float16).max
        self.add(name, vectors.astype(np.float32 if small or not fits else np.float16))

    def add_features(self, name: str, features: np.ndarray) -> None:
        """Append features (P, V, C, h, w) in 8 bits: value = code × scale of its channel."""
        peak = np.abs(features).max(axis=(0, 1, 3, 4))
        signed = bool((features < 0).any())
        scale = np.where(peak > 0, peak, 1) / (127 if signed else 255)
        codes = np.rint(features / scale[:, None, None]).astype(np.int8 if signed else np.uint8)
        self.add(name, codes, scale=[float(s) for s in scale.astype(np.float32)])

    @property
    def data(self) -> bytes:
        """All bytes; ValueError if a page could not carry them."""
        if self.size > PAYLOAD_LIMIT:
            raise ValueError(
                f"an explorer must stay below {PAYLOAD_LIMIT / 1e6:.0f} MB, got {self.size / 1e6:.1f} MB: "
                f"give fewer photographs, a coarser grid, or queries and keys in place of scores or weights"
            )
        return b"".join(self.chunks)

    def _file(self, image: np.ndarray) -> dict[str, Any]:
        mime, content = encode_image(image)
        return {"mime": mime, "offset": self._append(content), "bytes": len(content)}

    def _append(self, content: bytes) -> int:
        """Return the offset of `content`, padded to 8 bytes so that typed arrays can view it in place."""
        offset = 0
        for chunk in self.chunks:
            if chunk[: len(content)] == content and len(chunk) - len(content) < 8:
                return offset
            offset += len(chunk)
        padded = content + b"\0" * (-len(content) % 8)
        self.chunks.append(padded)
        self.size += len(padded)
        return offset


def encode_image(image: np.ndarray) -> tuple[str, bytes]:
    """Return (MIME type, file) of a uint8 (H, W, 3) photograph: JPEG or PNG, whichever is smaller."""
    with extra("book"):
        from PIL import Image

    picture = Image.fromarray(image)
    if max(picture.size) > LONGEST_SIDE:
        picture.thumbnail((LONGEST_SIDE, LONGEST_SIDE), Image.Resampling.LANCZOS)
    jpeg, png = io.BytesIO(), io.BytesIO()
    # subsampling=0 keeps the edges of small coloured things, on which the chapters' tasks turn
    picture.save(jpeg, "JPEG", quality=JPEG_QUALITY, subsampling=0, optimize=True)
    if picture.getcolors(COLOURS) is None:
        return "image/jpeg", jpeg.getvalue()
    picture.save(png, "PNG", optimize=True)
    if png.tell() <= jpeg.tell():
        return "image/png", png.getvalue()
    return "image/jpeg", jpeg.getvalue()


def outline(mask: np.ndarray) -> np.ndarray:
    """Return the edges of a boolean mask (H, W) as int16 segments (S, 4): x0, y0, x1, y1 in pixels."""
    padded = np.pad(mask, 1)
    across = padded[1:, 1:-1] != padded[:-1, 1:-1]  # (H + 1, W): edges that run along x, above row y
    along = padded[1:-1, 1:] != padded[1:-1, :-1]  # (H, W + 1): edges that run along y, left of column x
    horizontal = [(start, y, stop, y) for y, start, stop in _runs(across)]
    vertical = [(x, start, x, stop) for x, start, stop in _runs(along.T)]
    return np.array(horizontal + vertical, dtype=np.int16).reshape(-1, 4)


def _runs(rows: np.ndarray) -> list[tuple[int, int, int]]:
    """Return (row, start, stop) of each run of True in a boolean array."""
    steps = np.diff(np.pad(rows.astype(np.int8), ((0, 0), (1, 1))), axis=1)
    starts, stops = np.argwhere(steps == 1), np.argwhere(steps == -1)
    return [(int(row), int(start), int(stop)) for (row, start), (_, stop) in zip(starts, stops, strict=True)]


def cover(mask: np.ndarray, grid: tuple[int, int]) -> np.ndarray:
    """Return the fraction of each place (rows × columns) that the boolean mask (H, W) covers."""
    height, width = mask.shape
    rows = np.arange(height) * grid[0] // height
    columns = np.arange(width) * grid[1] // width
    place = (rows[:, None] * grid[1] + columns).ravel()
    count = np.bincount(place, minlength=grid[0] * grid[1])
    return np.bincount(place, weights=mask.ravel(), minlength=grid[0] * grid[1]) / np.maximum(count, 1)


def nice_above(value: float) -> float:
    """Return the smallest of 1, 1.5, 2, 2.5, 3, 4, 5, 6, 8 × 10^k that is not below `value`."""
    power = 10.0 ** np.floor(np.log10(value))
    step = next(s for s in (1, 1.5, 2, 2.5, 3, 4, 5, 6, 8, 10) if s * power >= value * (1 - 1e-9))
    return float(f"{step * power:.6g}")
