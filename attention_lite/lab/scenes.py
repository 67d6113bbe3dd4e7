"""Scenes: digits, a frame, a disc or flags, on a crop of a photograph, drawn from one description at any scale.

The digits are the UCI handwritten digits of scikit-learn (8 × 8 grey levels). Train, validation and test sides share
neither digits nor photographs.
"""

import dataclasses
import operator
from dataclasses import dataclass
from functools import cache

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from attention_lite import checks
from attention_lite.extras import extra, file_in
from attention_lite.lab import photographs
from attention_lite.lab.precision import float32

FRAME_WIDTH = 3          # pixels, at scale 1
DISC_DIAMETER = 11       # pixels, at scale 1
DOT, RIM = 5.0, 7.0      # diameters of a flag's dot and of the white rim around it, in pixels at scale 1
# The rectangles of a flag of 1 to 4 parts: top, left, bottom, right, as shares of its side.
FLAG_PARTS = {1: ((0, 0, 1, 1),), 2: ((0, 0, 1, 0.5), (0, 0.5, 1, 1)),
              3: ((0, 0, 1, 0.5), (0, 0.5, 0.5, 1), (0.5, 0.5, 1, 1)),
              4: ((0, 0, 0.5, 0.5), (0.5, 0, 1, 0.5), (0, 0.5, 0.5, 1), (0.5, 0.5, 1, 1))}
CROPS = 1500             # crops of photographs on each side
READER_SCALE = 4         # readers see a pixel of the networks' picture as 4 × 4, cut afresh from the photograph
READER_GAMMA = 0.65      # and every value v in [0, 1] as v ** 0.65: a dim photograph can still be seen
GLYPH = 32               # digits are smoothed from 8 × 8 to this many pixels before they are drawn
DIGITS = {"train": (0, 1200), "validation": (1200, 1500), "test": (1500, 1797)}


@dataclass(frozen=True)
class Scenes:
    """The description of n scenes with K digits or flags each; lengths in pixels at scale 1, colours in [0, 1].

    split: "train", "validation" or "test";  size: side of the square picture.
    photo, light, contrast: (n,) which crop of the split's photographs, and the factors on its brightness and on its
        differences from its mean colour.
    glyph, label: (n, K) which digit of the split, and its class 0…9.
    y, x, side, angle, opacity: (n, K) centre, size, rotation in radians, opacity of each digit. A flag is not turned.
    colour: (n, K, 3) of each digit, or of each flag's dot.
    target: (n,) which of the K is to be read.
    frame: (n, 3) colour of the frame, or None.
    disc_yx, disc_colour: (n, 2) centre and (n, 3) colour of the disc, or None.
    flags: (n, K, parts, 3) the colours of the flags' parts; None: there are digits. A flag's label is the class of its
        dot's colour, and its glyph is 0.
    grounds: the side whose photographs lie behind; default, that of the digits.
    """

    split: str
    size: int
    photo: Tensor
    light: Tensor
    contrast: Tensor
    glyph: Tensor
    label: Tensor
    y: Tensor
    x: Tensor
    side: Tensor
    angle: Tensor
    opacity: Tensor
    colour: Tensor
    target: Tensor
    frame: Tensor | None = None
    disc_yx: Tensor | None = None
    disc_colour: Tensor | None = None
    flags: Tensor | None = None
    grounds: str | None = None

    def __len__(self) -> int:
        return len(self.photo)

    def __getitem__(self, index: int | slice | list[int] | Tensor) -> "Scenes":
        """A selection of the scenes; an integer selects a batch of one."""
        index = [operator.index(index)] if hasattr(index, "__index__") and np.ndim(index) == 0 else index
        tensors = {f.name: getattr(self, f.name) for f in dataclasses.fields(self)}
        return Scenes(**{k: v[index] if isinstance(v, Tensor) else v for k, v in tensors.items()})

    def replace(self, **changes: Tensor) -> "Scenes":
        """The same scenes with some fields changed, as `scenes.replace(frame=...)`."""
        return dataclasses.replace(self, **changes)

    @property
    def photographs(self) -> list[str]:
        """The name of the photograph behind each scene."""
        return [_boxes(self.grounds or self.split, self.size)[i][0] for i in self.photo.tolist()]

    @property
    def answer(self) -> Tensor:
        """(n,) the class of the digit that is to be read."""
        return self.label.gather(1, self.target[:, None])[:, 0]


@cache
def _digits(split: str) -> tuple[np.ndarray, np.ndarray]:
    """Grey levels uint8 (n, 8, 8) from 0 to 16 and labels (n,) of one side."""
    with extra("lab"):
        file = file_in("sklearn", "datasets/data/digits.csv.gz")     # 64 grey levels and the label a row

    rows = np.loadtxt(file, delimiter=",", dtype=np.int64)
    first, last = DIGITS[split]
    chosen = rows[np.random.default_rng(0).permutation(len(rows))[first:last]]
    return chosen[:, :-1].reshape(-1, 8, 8).astype(np.uint8), chosen[:, -1]


def levels(split: str) -> np.ndarray:
    """The digits of one side as they come, in the order of `digits`: grey levels uint8 (n, 8, 8) from 0 to 16."""
    return _digits(split)[0]


@cache
def digits(split: str) -> tuple[Tensor, Tensor]:
    """The glyphs (n, 1, GLYPH, GLYPH) in [0, 1] and labels (n,) of one side."""
    grey, labels = _digits(split)
    glyphs = torch.from_numpy(grey / 16).float()[:, None]
    smooth = F.interpolate(glyphs, size=GLYPH, mode="bicubic", align_corners=False)
    return ((smooth - 0.15) * 1.8).clamp(0, 1), torch.from_numpy(labels).long()


@cache
def _boxes(split: str, size: int) -> tuple[tuple[str, int, int, int, bool], ...]:
    """The crops of one side: photograph, top, left, side of the square, and whether it is mirrored."""
    rng = np.random.default_rng(sorted(photographs.SPLITS).index(split))
    boxes = []
    for i in range(CROPS):
        name = photographs.SPLITS[split][i % len(photographs.SPLITS[split])]
        height, width = photographs.load(name).shape[:2]
        side = min(int(size * rng.uniform(1, 3)), height, width)
        top, left = rng.integers(0, height - side + 1), rng.integers(0, width - side + 1)
        boxes.append((name, int(top), int(left), side, bool(rng.random() < 0.5)))
    return tuple(boxes)


def _crop(split: str, size: int, index: int, scale: int) -> Tensor:
    """One crop (3, S, S) in [0, 1], S = size · scale, taken from the photograph itself: a larger scale is crisper."""
    name, top, left, side, mirrored = _boxes(split, size)[index]
    crop = torch.from_numpy(photographs.load(name)[top:top + side, left:left + side].copy())
    crop = crop.permute(2, 0, 1)[None].float() / 255
    crop = F.interpolate(crop, size=size * scale, mode="bilinear", antialias=True, align_corners=False)[0]
    return crop.flip(-1) if mirrored else crop


@cache
def _all_crops(split: str, size: int) -> Tensor:
    """Every crop of one side at scale 1, as bytes: training draws from them millions of times."""
    return torch.stack([(_crop(split, size, i, 1) * 255).round().byte() for i in range(CROPS)])


def _paste(stamp: Tensor, y: Tensor, x: Tensor, side: Tensor, angle: Tensor, size: int, scale: int) -> Tensor:
    """Stamps (m, 1, h, h) on empty canvases (m, S, S): centre (y, x), width `side`, turned by `angle`."""
    zoom, ty, tx = size / side, 2 * y / size - 1, 2 * x / size - 1
    c, s = zoom * angle.cos(), zoom * angle.sin()
    rows = torch.stack([torch.stack([c, s, -(c * tx + s * ty)], -1), torch.stack([-s, c, s * tx - c * ty], -1)], 1)
    grid = F.affine_grid(rows, [len(stamp), 1, size * scale, size * scale], align_corners=False)
    return F.grid_sample(stamp, grid, align_corners=False)[:, 0]


def masks(scenes: Scenes, scale: int = 1) -> Tensor:
    """How much of each pixel each digit or flag covers: (n, K, S, S) in [0, 1], S = size · scale.

    Raises:
        ValueError: if `scale` is not a positive integer.
    """
    scale = checks.positive_int("scale", scale)
    if scenes.flags is not None:
        rows, columns = _rectangles(scenes, FLAG_PARTS[1], scale)
        return rows[:, :, 0, :, None] * columns[:, :, 0, None, :]
    glyphs = digits(scenes.split)[0][scenes.glyph.flatten()]
    flat = [t.flatten() for t in (scenes.y, scenes.x, scenes.side, scenes.angle)]
    return _paste(glyphs, *flat, scenes.size, scale).unflatten(0, scenes.label.shape)


def target_mask(scenes: Scenes, scale: int = 1) -> Tensor:
    """How much of each pixel the digit or flag covers that is to be read: (n, S, S) in [0, 1], S = size · scale.

    Raises:
        ValueError: if `scale` is not a positive integer.
    """
    return masks(scenes, scale)[torch.arange(len(scenes)), scenes.target]


@float32()
def disc_mask(scenes: Scenes, scale: int = 1) -> Tensor:
    """How much of each pixel the disc covers: (n, S, S) in [0, 1].

    Raises:
        ValueError: if the scenes have no disc, or `scale` is not a positive integer.
    """
    scale = checks.positive_int("scale", scale)
    if scenes.disc_yx is None:
        raise ValueError("scenes must have a disc (disc_yx is None): only cued search draws one")
    return _circles(*scenes.disc_yx.unbind(1), DISC_DIAMETER, scenes.size, scale)


def _centres(size: int, scale: int) -> Tensor:
    """Where the pixels of a picture lie along one side, in pixels at scale 1: (S,)."""
    return torch.arange(size * scale, dtype=torch.float32).add(0.5).div(scale)


def _circles(y: Tensor, x: Tensor, diameter: float, size: int, scale: int) -> Tensor:
    """How much of each pixel circles with these centres, (…), cover: (…, S, S). Their edge is one drawn pixel wide."""
    centre = _centres(size, scale)
    dy, dx = centre - y[..., None], centre - x[..., None]
    distance = (dy[..., :, None] ** 2 + dx[..., None, :] ** 2).sqrt()
    return ((diameter / 2 - distance) * scale + 0.5).clamp(0, 1)


def _rectangles(scenes: Scenes, parts: tuple[tuple[float, ...], ...], scale: int) -> tuple[Tensor, Tensor]:
    """How much these rectangles of each flag cover of each row and of each column: (n, K, parts, S) twice."""
    top, left, bottom, right = torch.tensor(parts, dtype=torch.float32).sub(0.5).unbind(1)
    centre, side = _centres(scenes.size, scale), scenes.side[..., None]

    def cover(middle: Tensor, low: Tensor, high: Tensor) -> Tensor:
        first, last = (middle[..., None] + side * edge for edge in (low, high))
        after, before = centre - first[..., None], last[..., None] - centre
        return (after * scale + 0.5).clamp(0, 1) * (before * scale + 0.5).clamp(0, 1)

    return cover(scenes.y, top, bottom), cover(scenes.x, left, right)


def _with_flags(image: Tensor, scenes: Scenes, scale: int) -> Tensor:
    """The pictures (n, 3, S, S) with flags on them: their parts, white rims and dots. No flag lies on another."""
    rows, columns = _rectangles(scenes, FLAG_PARTS[scenes.flags.shape[2]], scale)
    rows = rows * scenes.opacity[:, :, None, None]
    paint = torch.cat([scenes.flags, torch.ones_like(scenes.flags[..., :1])], -1)       # colours, and the cover itself
    painted = torch.einsum("nkpy,nkpc,nkpx->ncyx", rows, paint, columns)
    image = image * (1 - painted[:, 3:]) + painted[:, :3]
    for width, colour in ((RIM, torch.ones_like(scenes.colour)), (DOT, scenes.colour)):
        cover = _circles(scenes.y, scenes.x, width, scenes.size, scale) * scenes.opacity[:, :, None, None]
        image = image * (1 - cover.sum(1, keepdim=True)) + torch.einsum("nkyx,nkc->ncyx", cover, colour)
    return image


@float32()
def frame_mask(size: int, scale: int = 1) -> Tensor:
    """1 on the frame, 0 inside: (S, S), S = size · scale.

    Raises:
        ValueError: if `size` or `scale` is not a positive integer.
    """
    size = checks.positive_int("size", size)
    scale = checks.positive_int("scale", scale)
    mask = torch.ones(size * scale, size * scale)
    edge = FRAME_WIDTH * scale
    mask[edge:-edge, edge:-edge] = 0
    return mask


def draw(scenes: Scenes, scale: int = 1, photograph: np.ndarray | None = None) -> Tensor:
    """Draw the scenes as RGB pictures (n, 3, S, S) in [0, 1], S = size · scale.

    The networks see scale 1; what readers see is `for_readers`. A `photograph` of the reader's own,
    uint8 (H, W, 3) as `open_photograph` returns it, stands behind all scenes in place of theirs: its middle square.

    Raises:
        ValueError: if `scale` is not a positive integer, or `photograph` is none.
    """
    scale = checks.positive_int("scale", scale)
    side = scenes.grounds or scenes.split
    if photograph is not None:
        image = photographs.picture(photograph, scenes.size * scale).expand(len(scenes), -1, -1, -1)
    elif scale == 1:
        image = _all_crops(side, scenes.size)[scenes.photo].float() / 255
    else:
        image = torch.stack([_crop(side, scenes.size, i, scale) for i in scenes.photo.tolist()])
    mean = image.mean((2, 3), keepdim=True)
    image = torch.lerp(mean, image, scenes.contrast[:, None, None, None]) * scenes.light[:, None, None, None]
    if scenes.flags is not None:
        return _with_flags(image, scenes, scale).clamp(0, 1)
    cover = masks(scenes, scale) * scenes.opacity[:, :, None, None]
    layers = [(cover[:, k], scenes.colour[:, k]) for k in range(cover.shape[1])]
    if scenes.disc_yx is not None:
        layers.append((disc_mask(scenes, scale), scenes.disc_colour))
    if scenes.frame is not None:
        layers.append((frame_mask(scenes.size, scale).expand(len(scenes), -1, -1), scenes.frame))
    for mask, colour in layers:
        image = torch.lerp(image, colour[:, :, None, None], mask[:, None])
    return image.clamp(0, 1)


def brightened(picture: Tensor) -> Tensor:
    """A picture in [0, 1] as readers see it: one fixed curve for all scenes. No network ever sees it."""
    return picture ** READER_GAMMA


def for_readers(scenes: Scenes) -> Tensor:
    """The scenes as readers see them: (n, S, S, 3) in [0, 1], S = size · READER_SCALE, brightened."""
    return brightened(draw(scenes, READER_SCALE)).permute(0, 2, 3, 1)
