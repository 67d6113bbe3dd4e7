"""The reader's own photograph: upright, RGB, on white; and a sentence for each file and array that is none."""

from __future__ import annotations

import re
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from attention_lite.lab import TASKS, draw, pictures, pretrained, printed
from attention_lite.lab.own_photograph import open_photograph
from attention_lite.lab.photographs import line_of_text, load, picture

RGB = load("chelsea")[:100, :140]
GREY = RGB[..., 1]


def save(image: Image.Image, path: Path, **options: object) -> Path:
    image.save(path, **options)
    return path


def test_a_file_gives_its_pixels_and_an_array_too(tmp_path: Path):
    path = save(Image.fromarray(RGB), tmp_path / "cat.png")
    for photograph in (path, str(path), RGB, torch.from_numpy(RGB.copy()), RGB / 255, RGB.astype(np.uint16) * 257):
        opened = open_photograph(photograph)
        assert opened.dtype == np.uint8
        assert np.array_equal(opened, RGB)


@pytest.mark.parametrize(("orientation", "stored"), [
    (1, RGB), (3, RGB[::-1, ::-1]), (6, np.rot90(RGB)), (8, np.rot90(RGB, -1)), (2, RGB[:, ::-1]),
])
def test_exif_turns_a_photograph_upright(orientation: int, stored: np.ndarray, tmp_path: Path):
    exif = Image.Exif()
    exif[0x0112] = orientation
    path = save(Image.fromarray(np.ascontiguousarray(stored)), tmp_path / "turned.png", exif=exif)
    assert np.array_equal(open_photograph(path), RGB)


def test_transparency_is_laid_on_white(tmp_path: Path):
    alpha = np.full_like(GREY, 255)
    alpha[:50], alpha[50:60] = 0, 128
    rgba = np.dstack([RGB, alpha])
    for photograph in (rgba, save(Image.fromarray(rgba), tmp_path / "cat.png")):
        opened = open_photograph(photograph)
        assert (opened[:50] == 255).all()
        assert np.array_equal(opened[60:], RGB[60:])
        assert np.abs(opened[50:60] - (RGB[50:60] / 2 + 127.5)).max() < 2
    grey = save(Image.fromarray(np.dstack([GREY, alpha]), mode="LA"), tmp_path / "grey.png")
    assert (open_photograph(grey)[:50] == 255).all()
    palette = Image.fromarray(RGB).quantize(16)
    corner = palette.getpixel((0, 0))
    opened = open_photograph(save(palette, tmp_path / "palette.png", transparency=corner))
    assert (opened[0, 0] == 255).all()


def test_grey_has_three_equal_channels(tmp_path: Path):
    grey = np.repeat(GREY[..., None], 3, 2)
    deep = save(Image.fromarray(GREY.astype(np.uint16) * 257), tmp_path / "deep.png")
    for photograph in (GREY, save(Image.fromarray(GREY), tmp_path / "grey.png"), deep):
        assert np.array_equal(open_photograph(photograph), grey)


def test_other_ways_to_store_colour_become_rgb(tmp_path: Path):
    rgb, grey = Image.fromarray(RGB), Image.fromarray(GREY)
    for name, image in {"cmyk.jpg": rgb.convert("CMYK"), "one-bit.png": grey.convert("1"), "first.gif": rgb}.items():
        opened = open_photograph(save(image, tmp_path / name))
        assert opened.shape == RGB.shape
        assert np.abs(opened.mean() - RGB.mean()) < 20


@pytest.mark.parametrize(("photograph", "message"), [
    (RGB[:1, :1], "at least 32 pixels wide and high, got 1 × 1"),
    (RGB[:, :31], "at least 32 pixels wide and high, got 31 × 100"),
    (np.broadcast_to(np.uint8(0), (10_000, 10_000, 3)), "at most 60,000,000 pixels, got 10000 × 10000"),
    (RGB.transpose(2, 0, 1), "the shape (H, W), (H, W, 3) or (H, W, 4), got (3, 100, 140)"),
    (RGB[None], "the shape (H, W), (H, W, 3) or (H, W, 4), got (1, 100, 140, 3)"),
    (RGB.astype(np.int64), "photograph must be uint8, uint16 or floating point, got int64"),
    (RGB > 100, "photograph must be uint8, uint16 or floating point, got bool"),
    (RGB.astype(float), "must lie from 0 to 1, got"),
    (np.where(RGB > 100, np.nan, 0.5), "must lie from 0 to 1, got nan"),
    (RGB - 0.5, "must lie from 0 to 1, got"),
    (None, "the shape (H, W), (H, W, 3) or (H, W, 4), got ()"),
])
def test_arrays_that_are_no_photograph(photograph: object, message: str):
    with pytest.raises(ValueError, match=re.escape(message)):
        open_photograph(photograph)


def test_heic_is_refused_in_words_and_webp_is_read(tmp_path: Path):
    telephone = tmp_path / "cat.heic"
    telephone.write_bytes(b"\0\0\0\x18ftypheic\0\0\0\0mif1heic" + bytes(100))
    with pytest.raises(ValueError, match=r"got cat.heic, which is HEIC, .*: export it as JPEG first"):
        open_photograph(telephone)
    webp = save(Image.fromarray(RGB), tmp_path / "cat.webp", lossless=True)
    assert np.array_equal(open_photograph(webp), RGB)


def test_files_that_are_no_photograph(tmp_path: Path):
    notes = tmp_path / "notes.jpg"
    notes.write_text("Eyes: two. Whiskers: many.")
    short = save(Image.fromarray(RGB), tmp_path / "short.jpg")
    short.write_bytes(short.read_bytes()[:1500])
    short_png = save(Image.fromarray(RGB), tmp_path / "short.png")
    short_png.write_bytes(short_png.read_bytes()[:1500])
    (tmp_path / "empty.png").touch()
    for path in (notes, short, short_png, tmp_path / "empty.png"):
        with pytest.raises(ValueError, match=f"must be a whole picture in a format .* got {path.name}"):
            open_photograph(path)
    for path in (tmp_path, tmp_path / "nowhere.jpg"):
        with pytest.raises(ValueError, match=r"must be a file or an array, got .*, where there is no file"):
            open_photograph(path)


@pytest.mark.filterwarnings("error")
@pytest.mark.parametrize(("width", "height", "message"), [
    (10_000, 10_000, "at most 60,000,000 pixels, got"),
    (20_000, 10_000, "at most 60,000,000 pixels, large.png has far more"),
    (1, 1, "at least 32 pixels wide and high, got 1 × 1"),
])
def test_a_files_size_is_checked_before_it_is_decoded(width: int, height: int, message: str, tmp_path: Path):
    path = save(Image.new("1", (width, height)), tmp_path / "large.png")
    path.write_bytes(path.read_bytes()[:60])               # the header alone: decoding would say that it is cut short
    with pytest.raises(ValueError, match=re.escape(message)):
        open_photograph(path)


@pytest.mark.parametrize(("photograph", "got"), [
    (GREY, "uint8 (100, 140)"), (RGB / 255, "float64 (100, 140, 3)"), ("cat.png", "str"),
])
def test_a_picture_is_made_of_what_open_photograph_returns(photograph: object, got: str):
    scenes = TASKS["one-digit"]("test").sample(1, 0)
    for make in (picture, line_of_text, lambda wrong: draw(scenes, 1, wrong), lambda wrong: pictures(scenes, wrong)):
        with pytest.raises(ValueError, match=re.escape(f"uint8 array (H, W, 3), got {got}; open_photograph makes one")):
            make(photograph)
    with pytest.raises(ValueError, match="side must be a positive integer, got 0"):
        picture(RGB, 0)


# On the networks that take a photograph


def test_a_line_of_text_keeps_its_shape_or_is_squeezed():
    short = line_of_text(np.full((24, 48, 3), 255, np.uint8))              # twice as high: 96 pixels long
    assert short.shape == (1, 3, 48, 192)
    assert (short[..., :96] == 1).all()
    assert (short[..., 96:] == 0.5).all()
    assert (line_of_text(np.full((24, 480, 3), 255, np.uint8)) == 1).all()
    for wrong in (0, 1.5):
        with pytest.raises(ValueError, match=f"width must be a positive integer, got {wrong}"):
            line_of_text(RGB, width=wrong)


def test_the_direction_classifier_reads_a_photographed_line():
    """At any size, and once more upside down."""
    lines, turned = printed.lines_of_text(12, seed=3)
    net, right = pretrained.text_direction(), 0
    for line, upside_down in zip(lines, turned, strict=True):
        large = np.asarray(Image.fromarray(line).resize((768, 192)))
        said = [net(line_of_text(one)).argmax().item() for one in (large, np.ascontiguousarray(large[::-1, ::-1]))]
        right += said == [int(upside_down), int(not upside_down)]
    assert right > 6


@pytest.mark.parametrize("task", TASKS)
def test_an_own_photograph_stands_behind_the_scenes(task: str):
    scenes = TASKS[task]("test").sample(2, seed=0)
    bare = scenes.replace(opacity=torch.zeros_like(scenes.opacity), light=torch.ones(2))
    own = load("rocket")
    for scale in (1, 4):
        seen = draw(bare, scale, own)
        middle = (slice(None), slice(4 * scale, 10 * scale), slice(4 * scale, 10 * scale))   # inside of a frame
        expected = picture(own, scenes.size * scale)[0]
        for one in seen:
            covered = (one - expected).abs().amax(0) > 1e-4                # by a disc or a frame, where there is one
            assert covered.float().mean() < 0.25
        assert task != "one-digit" or torch.allclose(seen[0][middle], expected[middle], atol=1e-6)
    assert not torch.equal(draw(scenes, 1, own), draw(scenes))
    assert torch.equal(pictures(scenes, own), pictures(scenes.replace(photo=scenes.photo * 0), own))
