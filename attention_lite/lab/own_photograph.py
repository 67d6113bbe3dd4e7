"""A photograph of the reader's own, from a file or an array, as the lab's are: upright, RGB, uint8."""

import warnings
from pathlib import Path

import numpy as np
from numpy.typing import ArrayLike

from attention_lite.as_array import as_array
from attention_lite.extras import extra

SHORTEST_SIDE = 32               # pixels
HEIC = tuple(b"ftyp" + brand for brand in (b"heic", b"heix", b"hevc", b"heim", b"heis", b"mif1", b"msf1"))
MOST_PIXELS = 60_000_000         # a decoded photograph takes three bytes for each


def open_photograph(photograph: str | Path | ArrayLike) -> np.ndarray:
    """Return a photograph as uint8 (H, W, 3): turned upright as its EXIF data says, transparency laid on white.

    Args:
        photograph: a file in any format that Pillow reads, of which the first picture counts; or an array (H, W),
            (H, W, 3) or (H, W, 4), uint8, uint16, or floating point from 0 to 1. Grey becomes three equal channels.

    Raises:
        ValueError: if the file is missing, is no picture or is cut short, the array has another shape, dtype or range,
            or the photograph is smaller than 32 pixels on a side or has more than 60 megapixels.
    """
    image = _read(Path(photograph)) if isinstance(photograph, (str, Path)) else as_array("photograph", photograph)
    return _on_white(_to_uint8(_three_or_four(image)))


def _read(path: Path) -> np.ndarray:
    """The picture in a file: its size is checked before it is decoded."""
    with extra("lab"):
        from PIL import Image, ImageOps

    if not path.is_file():
        raise ValueError(f"photograph must be a file or an array, got {str(path)!r}, where there is no file")
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", Image.DecompressionBombWarning)      # _check_size says it in words
            with Image.open(path) as picture:
                _check_size(*picture.size)
                upright = ImageOps.exif_transpose(picture)
                if upright.mode.startswith(("I", "F")):            # 16 bits and more: converted, they would be cut off
                    deep = np.asarray(upright)
                    return deep.astype(np.uint16) if deep.min() >= 0 and 1 < deep.max() < 2**16 else deep
                clear = upright.mode in ("RGBA", "LA", "PA") or "transparency" in upright.info
                return np.asarray(upright.convert("RGBA" if clear else "RGB"))
    except Image.DecompressionBombError as error:
        raise ValueError(f"photograph must have at most {MOST_PIXELS:,} pixels, {path.name} has far more") from error
    except (Image.UnidentifiedImageError, OSError, SyntaxError) as error:
        if path.read_bytes()[4:12] in HEIC:
            raise ValueError(f"photograph must be a JPEG, PNG or WebP, got {path.name}, which is HEIC, as telephones "
                             "store it: export it as JPEG first") from error
        raise ValueError(f"photograph must be a whole picture in a format that Pillow reads, as JPEG or PNG, got "
                         f"{path.name}: {error}") from error


def _check_size(width: int, height: int) -> None:
    if min(width, height) < SHORTEST_SIDE:
        raise ValueError(f"photograph must be at least {SHORTEST_SIDE} pixels wide and high, got {width} × {height}")
    if width * height > MOST_PIXELS:
        raise ValueError(f"photograph must have at most {MOST_PIXELS:,} pixels, got {width} × {height}; "
                         f"make it smaller first")


def _three_or_four(image: np.ndarray) -> np.ndarray:
    """(H, W), (H, W, 3) or (H, W, 4) to one of the last two."""
    if image.ndim not in (2, 3) or (image.ndim == 3 and image.shape[2] not in (3, 4)):
        raise ValueError(f"photograph must have the shape (H, W), (H, W, 3) or (H, W, 4), got {image.shape}")
    _check_size(image.shape[1], image.shape[0])
    return np.repeat(image[..., None], 3, axis=2) if image.ndim == 2 else image


def _to_uint8(image: np.ndarray) -> np.ndarray:
    if image.dtype == np.uint8:
        return image
    if image.dtype == np.uint16:
        return np.round(image / 257).astype(np.uint8)
    if not np.issubdtype(image.dtype, np.floating):
        raise ValueError(f"photograph must be uint8, uint16 or floating point, got {image.dtype}")
    if not (image.min() >= 0 and image.max() <= 1):                # not a number fails, too
        raise ValueError(f"a photograph in floating point must lie from 0 to 1, got {image.min()} to {image.max()}")
    return np.round(image * 255).astype(np.uint8)


def _on_white(image: np.ndarray) -> np.ndarray:
    if image.shape[2] == 4:
        opacity = image[..., 3:] / 255
        image = np.round(opacity * image[..., :3] + (1 - opacity) * 255).astype(np.uint8)
    return np.ascontiguousarray(image)
