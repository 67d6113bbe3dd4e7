"""The reader's own digit and photograph in the live explorer: torch answers alike to the same pixels."""

from __future__ import annotations

import io
import re
from pathlib import Path

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from PIL import Image
from playwright.sync_api import FilePayload, Locator, Page, expect
from test_live_explorer import answer, close, open_page, settled, torchs, written

from attention_lite.explorers import LiveExplorer
from attention_lite.lab import TASKS, Scenes, ask_for, for_readers, load_checkpoint, pictures
from attention_lite.lab import scenes as lab_scenes
from attention_lite.lab.live import Stage, stage
from attention_lite.lab.photographs import load
from conftest import Watch, drawn, violations

DRAW, PUT = "Draw the digit that is asked for", "Put your own photograph behind it"
SEVEN = [[(35, 30), (90, 30), (55, 100)]]                     # the strokes of a 7 on the pad, in pixels


@pytest.fixture(scope="module")
def se() -> Stage:
    return stage("context-gating", "se", seeds=(0,))


def make(se: Stage, **start: object) -> LiveExplorer:
    return LiveExplorer(se, name="se", causes=["frame", "ink", "ground", "scene", "drag"],
                        views=["answer", "strip", "count"], **start)


@pytest.fixture(scope="module")
def site(se: Stage, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return written(make(se), tmp_path_factory.mktemp("own"))


@pytest.fixture(scope="module")
def counted() -> Scenes:
    return TASKS["context-gating"]("test").sample(200, seed=2)


@pytest.fixture(scope="module")
def scene(counted: Scenes) -> Scenes:
    return counted[counted.photographs.index("chelsea")]


def stored(digit: int) -> int:
    """The number of the first test digit of this class."""
    return lab_scenes.digits("test")[1].tolist().index(digit)


def with_digit(scenes: Scenes, glyph: int) -> Scenes:
    """The digit that is asked for is another one of the side."""
    return scenes.replace(glyph=scenes.glyph.scatter(1, scenes.target[:, None], glyph))


def draw(page: Page, strokes: list[list[tuple[int, int]]]) -> str:
    """Draw on the pad, and return what the explorer made of it: 64 letters."""
    box = page.locator(".ax-pad").bounding_box()
    for (x, y), *others in strokes:
        page.mouse.move(box["x"] + x, box["y"] + y)
        page.mouse.down()
        for x_, y_ in others:
            page.mouse.move(box["x"] + x_, box["y"] + y_, steps=5)
        page.mouse.up()
    settled(page, "inks=0:")
    letters = drawn(page).locator(".attention-explorer").get_attribute("data-state").split("inks=0:")[1].split(";")[0]
    page.wait_for_function("(letters) => location.hash.includes(letters)", arg=letters)   # written a moment later
    return letters


def opened(page: Page, site: Path) -> Locator:
    root = open_page(page, site)
    root.get_by_text(DRAW).click()
    root.get_by_text(PUT).click()
    return root


# A digit ------------------------------------------------------------------------------------------------------


def test_a_stored_digit_is_chosen_by_keys(page: Page, watch: Watch, site: Path, scene: Scenes) -> None:
    root = opened(page, site)
    root.get_by_label("The digit that is asked for", exact=True).select_option(label="a stored 5")
    five = with_digit(scene, stored(5))
    close(answer(page), torchs(five)[0])
    expect(root.get_by_role("status")).to_contain_text("The frame asks for")
    root.get_by_role("radio", name="green").check()
    close(answer(page), torchs(ask_for(five, 1))[0])            # the red digit is the 5 still
    root.get_by_label("The digit that is asked for", exact=True).select_option(label="the scene's own")
    close(answer(page), torchs(ask_for(scene, 1))[0])
    assert not watch.errors


def test_a_drawn_digit_is_seen_as_the_lab_would_draw_it(page: Page, watch: Watch, site: Path, scene: Scenes,
                                                        monkeypatch: pytest.MonkeyPatch) -> None:
    root = opened(page, site)
    letters = draw(page, SEVEN)
    levels = torch.tensor([ord(letter) - 97 for letter in letters]).view(1, 1, 8, 8) / 16
    assert levels[0, 0, 0].mean() > 0.5                         # its bar fills the upper row
    assert levels[0, 0, 7].max() > 0.3                          # and its foot reaches the last one
    assert levels[0, 0, 3:, :2].max() < 0.3                     # nothing at the lower left
    glyphs, labels = lab_scenes.digits("test")
    mine = ((F.interpolate(levels, size=32, mode="bicubic", align_corners=False) - 0.15) * 1.8).clamp(0, 1)
    monkeypatch.setattr(lab_scenes, "digits", lambda split: (torch.cat([glyphs, mine]), labels))
    expected = torchs(with_digit(scene, len(glyphs)))[0]
    close(answer(page), expected)
    assert int(expected.argmax()) == 7
    expect(root.get_by_role("status")).to_contain_text("reads 7, which your drawing alone can be")
    expect(root.get_by_role("status")).to_contain_text("The frame asks for your drawing.")
    root.get_by_role("button", name="wipe the pad").click()
    close(answer(page), torchs(scene)[0])
    assert not watch.errors


def test_a_shared_address_brings_the_drawing(page: Page, site: Path) -> None:
    opened(page, site)
    draw(page, SEVEN)
    before, there = answer(page)(), page.url
    page.goto("about:blank")
    page.goto(there)
    settled(page, "inks=0:")
    close(answer(page), before)


@pytest.mark.parametrize("ink", ['{"0":"abc"}', '{"7":"' + "a" * 64 + '"}', '{"0":"' + "z" * 64 + '"}'])
def test_a_digit_that_is_none_is_refused(page: Page, site: Path, scene: Scenes, ink: str) -> None:
    root = open_page(page, site, f"#try=se:inks={ink}")
    root.get_by_role("alert").filter(has_text="The address asks for inks").wait_for()
    close(answer(page), torchs(scene)[0])


@pytest.mark.thorough
def test_the_count_puts_the_digit_into_every_scene(page: Page, site: Path, counted: Scenes) -> None:
    root = opened(page, site)
    root.get_by_label("The digit that is asked for", exact=True).select_option(label="a stored 4")
    root.get_by_role("button", name="count over 200 scenes").click()
    page.wait_for_function("document.querySelector('.ax-count').textContent", timeout=60_000)
    fours = int((torchs(with_digit(counted, stored(4))).argmax(1) == 4).sum())
    assert f"reads it as 4 in {fours} of 200 (" in root.locator(".ax-count").inner_text()


# A photograph -------------------------------------------------------------------------------------------------


def photograph(height: int = 64, width: int = 64) -> np.ndarray:
    return load("rocket")[100:100 + height, 200:200 + width].copy()


def as_file(pixels: np.ndarray, kind: str = "PNG", **how: object) -> FilePayload:
    file = io.BytesIO()
    Image.fromarray(pixels).save(file, kind, **how)
    return {"name": f"mine.{kind.lower()}", "mimeType": f"image/{kind.lower()}", "buffer": file.getvalue()}


@torch.no_grad()
def on(scene: Scenes, pixels: np.ndarray) -> torch.Tensor:
    return load_checkpoint("context-gating", "se", 0)[0](pictures(scene, photograph=pixels)).softmax(1)[0]


def test_the_network_sees_the_readers_photograph(page: Page, watch: Watch, site: Path, scene: Scenes) -> None:
    """By its pixels, where nothing must be resized; the frame recolours it as before; it is in no address."""
    root, mine = opened(page, site), photograph()
    page.get_by_label("A file of yours").set_input_files(as_file(mine))
    settled(page, "ground=own photograph")
    close(answer(page), on(scene, mine))
    assert (on(scene, mine) - torchs(scene)[0]).abs().max() > 1e-3
    root.get_by_role("radio", name="blue").check()
    close(answer(page), on(ask_for(scene, 2), mine))
    page.wait_for_timeout(600)
    assert "ground" not in page.url
    root.get_by_role("button", name="the scene's own").click()
    close(answer(page), torchs(ask_for(scene, 2))[0])
    assert not watch.errors
    assert not watch.foreign


def test_a_large_photograph_is_cut_to_its_middle_square(page: Page, site: Path, scene: Scenes) -> None:
    """Browsers resize otherwise than torch: the answer comes near. What is seen is bright, and not the scene's own."""
    opened(page, site)
    mine = photograph(256, 384)
    page.get_by_label("A file of yours").set_input_files(as_file(mine))
    settled(page, "ground=own photograph")
    assert (answer(page)() - on(scene, mine)).abs().max() < 0.1
    shown = page.evaluate("""() => {
        const stage = document.querySelector(".ax-stage");
        return Array.from(stage.getContext("2d").getImageData(stage.width / 8, stage.height / 8, 9, 9).data);
    }""")
    square = torch.tensor(mine[:, 64:320]).permute(2, 0, 1) / 255
    at = square[:, 32:40, 32:40].mean((1, 2))
    mean = square.mean((1, 2))
    expected = ((mean + scene.contrast * (at - mean)) * scene.light) ** 0.65
    seen = torch.tensor(shown).view(-1, 4)[:, :3].float().mean(0) / 255
    torch.testing.assert_close(seen, expected, rtol=0, atol=0.08)
    assert (seen - for_readers(scene)[0][32:40, 32:40].mean((0, 1))).abs().max() > 0.1


def test_a_photograph_that_lies_on_its_side_is_turned(page: Page, site: Path, scene: Scenes) -> None:
    exif = Image.Exif()
    exif[0x0112] = 6                                           # it is to be turned by a quarter, clockwise
    mine = photograph()
    opened(page, site)
    page.get_by_label("A file of yours").set_input_files(
        as_file(np.rot90(mine).copy(), "JPEG", quality=100, subsampling=0, exif=exif))
    settled(page, "ground=own photograph")
    upright, lying = on(scene, mine), on(scene, np.rot90(mine).copy())
    assert (answer(page)() - upright).abs().max() < 0.2 * (lying - upright).abs().max()


@pytest.mark.parametrize("content", [b"no picture at all", b"\x89PNG\r\n\x1a\nand then nothing", b""])
def test_what_is_no_picture_is_refused_in_words(page: Page, site: Path, scene: Scenes, content: bytes) -> None:
    root = opened(page, site)
    field = page.get_by_label("A file of yours")
    field.set_input_files({"name": "mine.png", "mimeType": "image/png", "buffer": content})
    root.get_by_role("alert").filter(has_text=re.compile("^mine.png is (no picture|empty)")).wait_for()
    close(answer(page), torchs(scene)[0])
    field.set_input_files(as_file(photograph()))
    settled(page, "ground=own photograph")
    close(answer(page), on(scene, photograph()))
    assert root.get_by_role("alert").filter(has_text="mine.png").count() == 0


def test_a_link_to_a_state_takes_the_photograph_away(page: Page, site: Path, scene: Scenes) -> None:
    opened(page, site)
    page.get_by_label("A file of yours").set_input_files(as_file(photograph()))
    settled(page, "ground=own photograph")
    page.evaluate("location.hash = '#try=se:frame=green'")
    settled(page, "frame=green")
    close(answer(page), torchs(ask_for(scene, 1))[0])


def test_a_cell_sets_both(page: Page, tmp_path: Path, se: Stage, scene: Scenes) -> None:
    mine = photograph()
    explorer = make(se, inks={0: se.inks[5]})
    explorer.ground = np.ascontiguousarray(mine.transpose(2, 0, 1))
    assert explorer.inks == {"0": se.inks[5]}
    open_page(page, written(explorer, tmp_path))
    close(answer(page), on(with_digit(scene, stored(5)), mine))
    with pytest.raises(ValueError, match="ground must be uint8"):
        explorer.ground = mine[:10]


@pytest.mark.thorough
@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_no_accessibility_violation(page: Page, site: Path, scheme: str) -> None:
    page.emulate_media(color_scheme=scheme)
    opened(page, site)
    assert violations(page) == []
