"""Pictures with text that this book has set itself: printed pages, words on photographs, and lines of words.

All are drawn by Pillow in matplotlib's fonts, the same at each call. Sizes are in pixels, pictures uint8 (H, W, 3).
"""

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from attention_lite import checks
from attention_lite.extras import extra
from attention_lite.lab import photographs

if TYPE_CHECKING:
    from PIL import ImageFont

SIDE = 640
PAGES = (
    """A page of print

You are reading this with your eyes.
A network reads it with gates. It looks
at the whole page, and then decides
how much of each pattern may pass.

Take the gates of a cat, and put them
on this page. The strokes are all still
there. The picture has not changed, not
by a single pixel. Only some numbers
have been exchanged.

Will it still find the words? Guess
first, and only then try it out.""",
    """Notes from a harbour

The morning ferry was late again, and
the gulls had the quay to themselves.
Somebody had painted the railings blue.

Near noon the fog went out to sea. You
could count the islands then: three to
the north, one to the west, and a fifth
that is only there at low water.

In the evening the lamps were lit one
after another, and the water kept all
of them until the wind came back.""")
PAPERS = ((247, 240, 222), (232, 236, 238))
FACES = ("DejaVuSerif", "DejaVuSans", "DejaVuSansMono", "DejaVuSans-Bold")
PAGE_NAMES = ("page", "page two")                                  # of the pictures in `words_of`
SIGN_NAMES = {"cup sign": "coffee", "rocket sign": "rocket"}
WORDS = ("attention", "channel", "gate", "squeeze", "network", "photograph", "reader", "river", "mountain", "window",
         "letter", "paper", "orange", "bridge", "seven", "music", "garden", "doctor", "sugar", "train")


@dataclass(frozen=True)
class Words:
    """Words on a photograph: where their middle is, as fractions of width and height, how high, in which colour."""

    text: str
    x: float
    y: float
    height: int
    colour: str


SIGNS: dict[str, tuple[str, tuple[Words, ...]]] = {
    "coffee": ("coffee", (Words("FRESH COFFEE", 0.5, 0.1, 64, "white"),
                          Words("two cups a day", 0.5, 0.92, 44, "white"))),
    "rocket": ("rocket", (Words("Launch at dawn", 0.5, 0.07, 56, "white"),
                          Words("weather: clear", 0.75, 0.6, 32, "gold"))),
}


def printed_page(number: int = 0) -> np.ndarray:
    """A page of this book's own prose, (640, 640, 3), lit from the upper left as a scanned page may be.

    Args:
        number: which of `PAGES`; each has a paper and a typeface of its own.

    Raises:
        ValueError: if there is no page of that number.
    """
    if number not in range(len(PAGES)):
        raise ValueError(f"number must be one of 0 … {len(PAGES) - 1}, got {number!r}")
    with extra("lab"):
        from PIL import Image, ImageDraw

    page = Image.new("RGB", (SIDE, SIDE), PAPERS[number])
    pen = ImageDraw.Draw(page)
    for i, line in enumerate(PAGES[number].splitlines()):
        pen.text((48, 48 + 39 * i), line, fill=(34, 34, 34), font=_page_font(number, i))
    y, x = np.mgrid[:SIDE, :SIDE] / SIDE
    light = 1 - 0.25 * ((x - 0.2) ** 2 + (y - 0.1) ** 2)
    return np.round(np.asarray(page) * light[..., None]).astype(np.uint8)


def with_words(name: str) -> np.ndarray:
    """A photograph of the book with words on it, (640, 640, 3): one of `SIGNS`.

    Raises:
        ValueError: if there are no words for that name.
    """
    if name not in tuple(SIGNS):
        raise ValueError(f"name must be one of {', '.join(SIGNS)}; got {name!r}")
    with extra("lab"):
        from PIL import Image, ImageDraw

    photograph, signs = SIGNS[name]
    square = photographs.picture(photographs.load(photograph), SIDE)[0].permute(1, 2, 0).numpy()
    image = Image.fromarray(np.round(square * 255).astype(np.uint8))
    pen = ImageDraw.Draw(image)
    for sign in signs:
        pen.text((sign.x * SIDE, sign.y * SIDE), sign.text, fill=sign.colour, anchor="mm",
                 font=_font("DejaVuSans-Bold", sign.height), stroke_width=2, stroke_fill="black")
    return np.array(image)


def words_of(name: str) -> np.ndarray:
    """Where each word of "page", "page two", "cup sign" or "rocket sign" was drawn: left, top, right and bottom.

    Returns:
        (n, 4), as fractions of the picture's width and height: the boxes that `printed_page` and `with_words` fill.

    Raises:
        ValueError: if there is no such picture.
    """
    if name not in (*PAGE_NAMES, *SIGN_NAMES):
        raise ValueError(f"name must be one of {', '.join((*PAGE_NAMES, *SIGN_NAMES))}; got {name!r}")
    boxes = []
    if name in PAGE_NAMES:
        number = PAGE_NAMES.index(name)
        for i, line in enumerate(PAGES[number].splitlines()):
            boxes += _boxes(line, _page_font(number, i), 48, 48 + 39 * i, "la")
    else:
        for sign in SIGNS[SIGN_NAMES[name]][1]:
            font = _font("DejaVuSans-Bold", sign.height)
            left = sign.x * SIDE - font.getlength(sign.text) / 2
            boxes += _boxes(sign.text, font, left, sign.y * SIDE, "lm")
    return np.array(boxes) / SIDE


def lines_of_text(count: int, seed: int) -> tuple[np.ndarray, np.ndarray]:
    """Words in random fonts, sizes and colours on pieces of photographs, half of them turned upside down.

    Returns:
        Pictures (count, 48, 192, 3), and for each whether it is upside down, bool (count,).

    Raises:
        ValueError: if `count` is not a positive integer.
    """
    checks.positive_int("count", count)
    with extra("lab"):
        from PIL import Image, ImageDraw

    rng = np.random.default_rng(seed)
    grounds = [photographs.load(name) for name in ("astronaut", "chelsea", "coffee", "rocket")]
    pictures, turned = [], rng.random(count) < 0.5
    for upside_down in turned:
        ground = grounds[rng.integers(len(grounds))]
        top, left = rng.integers(ground.shape[0] - 48), rng.integers(ground.shape[1] - 192)
        image = Image.fromarray(ground[top:top + 48, left:left + 192])
        word = WORDS[rng.integers(len(WORDS))]
        colour = tuple(int(v) for v in rng.integers(256, size=3))
        edge = (255, 255, 255) if sum(colour) < 380 else (0, 0, 0)
        ImageDraw.Draw(image).text(
            rng.integers((20, 10)), word if rng.random() < 0.5 else word.upper(), fill=colour,
            font=_font(FACES[rng.integers(len(FACES))], int(rng.integers(18, 34))),
            stroke_width=int(rng.integers(2)), stroke_fill=edge)
        pictures.append(np.asarray(image.rotate(180) if upside_down else image))
    return np.stack(pictures), turned


def _page_font(number: int, line: int) -> "ImageFont.FreeTypeFont":
    return _font(FACES[number], 27 if line else 38)


def _boxes(line: str, font: "ImageFont.FreeTypeFont", left: float, y: float, anchor: str) -> list[tuple[float, ...]]:
    """The ink of each word of a line that begins at `left`, in pixels."""
    boxes, at = [], 0
    for word in line.split():
        at = line.index(word, at)
        x0, top, x1, bottom = font.getbbox(word, anchor=anchor)
        x = left + font.getlength(line[:at])
        boxes.append((x + x0, y + top, x + x1, y + bottom))
        at += len(word)
    return boxes


def _font(face: str, size: int) -> "ImageFont.FreeTypeFont":
    """One of the fonts that matplotlib ships."""
    with extra("book"):
        import matplotlib
        from PIL import ImageFont

    return ImageFont.truetype(Path(matplotlib.get_data_path()) / "fonts" / "ttf" / f"{face}.ttf", size)
