"""Real photographs that ship inside scikit-image and scikit-learn, with their licences and credits.

Nothing is downloaded. Photographs whose licence is not stated (moon, stereo_motorcycle, lfw_subset) are left out.
"""

from dataclasses import dataclass
from functools import cache

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from attention_lite import checks
from attention_lite.extras import extra, file_in

CC0 = "CC0 1.0"
PUBLIC_DOMAIN = "public domain"
NO_KNOWN_RESTRICTION = "no known copyright restrictions"
CC_BY_2 = "CC BY 2.0"


@dataclass(frozen=True)
class Photograph:
    """Where a photograph comes from and how it may be used."""

    title: str
    credit: str
    licence: str
    source: str
    shipped_in: str = "scikit-image"


PHOTOGRAPHS: dict[str, Photograph] = {
    "astronaut": Photograph("Eileen Collins, astronaut", "NASA", PUBLIC_DOMAIN, "https://flic.kr/p/r9qvLn"),
    "brick": Photograph("Brick wall", "CC0Textures, Bricks25", CC0, "https://cc0textures.com/view.php?tex=Bricks25"),
    "camera": Photograph("Camera operator", "Lav Varshney", CC0, "https://github.com/scikit-image/scikit-image/issues/3927"),
    "chelsea": Photograph("Chelsea the cat", "Stéfan van der Walt", CC0, "https://scikit-image.org/docs/stable/api/skimage.data.html"),
    "china": Photograph("Temple in China", "danielbuechele", CC_BY_2,
                        "https://www.flickr.com/photos/danielbuechele/6061409035/", "scikit-learn"),
    "coffee": Photograph("Coffee cup", "Rachel Michetti, courtesy of Pikolo Espresso Bar", CC0,
                         "https://scikit-image.org/docs/stable/api/skimage.data.html"),
    "coins": Photograph("Greek coins from Pompeii", "Brooklyn Museum", NO_KNOWN_RESTRICTION,
                        "https://www.brooklynmuseum.org/opencollection/archives/image/51611"),
    # scikit-learn's README names danielbuechele for this one too, and links to vultilion's page: both are credited.
    "flower": Photograph("Flower", "vultilion (scikit-learn's README says danielbuechele)", CC_BY_2,
                         "https://www.flickr.com/photos/vultilion/6056698931/", "scikit-learn"),
    "grass": Photograph("Grass", "linolafett", CC0, "https://www.deviantart.com/linolafett/art/Grass-01-434853879"),
    "gravel": Photograph("Gravel", "CC0Textures, Gravel04", CC0, "https://cc0textures.com/view.php?tex=Gravel04"),
    "hubble_deep_field": Photograph("Hubble eXtreme Deep Field", "NASA", PUBLIC_DOMAIN,
                                    "http://hubblesite.org/newscenter/archive/releases/2012/37/image/a/"),
    "immunohistochemistry": Photograph("Colonic glands, immunohistochemical staining",
                                       "Center for Microscopy and Molecular Imaging", NO_KNOWN_RESTRICTION,
                                       "https://scikit-image.org/docs/stable/api/skimage.data.html"),
    "retina": Photograph("Human retina", "Mikael Häggström", CC0,
                         "https://commons.wikimedia.org/wiki/File:Fundus_photograph_of_normal_left_eye.jpg"),
    "rocket": Photograph("Launch of DSCOVR", "SpaceX", PUBLIC_DOMAIN,
                         "https://www.flickr.com/photos/spacexphotos/16511594820/"),
}

# The sides of every experiment. No photograph stands on two of them.
SPLITS: dict[str, tuple[str, ...]] = {
    "train": ("astronaut", "brick", "camera", "coins", "flower", "gravel", "hubble_deep_field", "immunohistochemistry"),
    "validation": ("grass", "retina", "rocket"),
    "test": ("chelsea", "china", "coffee"),
}


def load(name: str) -> np.ndarray:
    """Return a photograph as a read-only uint8 array (H, W, 3); grey photographs have three equal channels.

    Raises:
        ValueError: if `name` is not one of `PHOTOGRAPHS`.
    """
    if name not in tuple(PHOTOGRAPHS):
        raise ValueError(f"name must be one of {', '.join(sorted(PHOTOGRAPHS))}; got {name!r}")
    return _read(name)


def picture(photograph: np.ndarray, side: int = 224, stretched: bool = False) -> Tensor:
    """Return a photograph as a network takes it: (1, 3, side, side), RGB in [0, 1].

    Args:
        photograph: uint8, (H, W, 3).
        side: in pixels.
        stretched: whether all of it is squeezed into the square; else the largest square around its middle is taken.

    Raises:
        ValueError: if `photograph` has another shape or dtype (`open_photograph` reads what else there is), or `side`
            is not a positive integer.
    """
    checks.positive_int("side", side)
    _check(photograph)
    if not stretched:
        height, width = photograph.shape[:2]
        short = min(height, width)
        top, left = (height - short) // 2, (width - short) // 2
        photograph = photograph[top:top + short, left:left + short]
    return _resized(photograph, side, side)


def line_of_text(photograph: np.ndarray, height: int = 48, width: int = 192) -> Tensor:
    """Return a photograph of one line of text as the direction classifier takes it: (1, 3, height, width), in [0, 1].

    It is scaled to the height; what is then too long is squeezed, what is too short is filled up with grey at its
    right, as PP-OCR does it.

    Args:
        photograph: uint8, (H, W, 3).

    Raises:
        ValueError: if `photograph` has another shape or dtype, or `height` or `width` is not a positive integer.
    """
    height, width = checks.positive_int("height", height), checks.positive_int("width", width)
    _check(photograph)
    long = min(width, max(1, round(height * photograph.shape[1] / photograph.shape[0])))
    return F.pad(_resized(photograph, height, long), (0, width - long), value=0.5)


def _check(photograph: np.ndarray) -> None:
    if not isinstance(photograph, np.ndarray) or photograph.dtype != np.uint8 or photograph.shape[2:] != (3,):
        got = f"{getattr(photograph, 'dtype', type(photograph).__name__)} {getattr(photograph, 'shape', '')}".rstrip()
        raise ValueError(f"photograph must be a uint8 array (H, W, 3), got {got}; open_photograph makes one")


def _resized(photograph: np.ndarray, height: int, width: int) -> Tensor:
    with extra("lab"):
        from skimage.transform import resize

    resized = resize(photograph, (height, width), anti_aliasing=True)
    return torch.tensor(resized.transpose(2, 0, 1)[None], dtype=torch.float32)


@cache
def _read(name: str) -> np.ndarray:
    if PHOTOGRAPHS[name].shipped_in == "scikit-learn":
        with extra("lab"):
            from PIL import Image

            file = file_in("sklearn", f"datasets/images/{name}.jpg")
        image = np.asarray(Image.open(file))
    else:
        with extra("lab"):
            import skimage.data

        image = getattr(skimage.data, name)()
    if image.ndim == 2:
        image = np.repeat(image[..., None], 3, axis=2)
    image = np.ascontiguousarray(image)
    image.flags.writeable = False
    return image
