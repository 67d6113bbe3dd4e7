"""Regions drawn by hand: the file, and how polygons are laid onto patches."""

import itertools
import json

import numpy as np
import pytest
import torch
from skimage.draw import polygon2mask

from attention_lite.lab import __main__ as lab_command
from attention_lite.lab import photographs, regions

GRID = 16
ALL = [(photograph, name) for photograph in regions.drawn() for name in regions.regions(photograph)]
EVERY_REGION = pytest.mark.parametrize(("photograph", "name"), ALL, ids=lambda value: value)


def fine_mask(polygon: regions.Polygon, side: int = 640) -> np.ndarray:
    """By scikit-image, which tests the middle of each pixel: another way than ours."""
    return polygon2mask((side, side), np.array([(y * side - 0.5, x * side - 0.5) for x, y in polygon]))


def crosses(polygon: regions.Polygon) -> bool:
    """Whether two sides of a polygon cross."""
    def turn(a, b, c):
        return (b[0] - a[0]) * (c[1] - a[1]) - (b[1] - a[1]) * (c[0] - a[0])

    sides = list(zip(polygon, polygon[1:] + polygon[:1], strict=True))
    return any(turn(a, b, c) * turn(a, b, d) < 0 and turn(c, d, a) * turn(c, d, b) < 0
               for (a, b), (c, d) in itertools.combinations(sides, 2))


def test_at_least_eight_photographs_of_the_books_own_have_regions():
    assert len(regions.drawn()) >= 8
    assert set(regions.drawn()) <= set(photographs.PHOTOGRAPHS)


def test_no_name_stands_twice_in_the_file():
    def unique(pairs):
        names = [name for name, _ in pairs]
        assert len(set(names)) == len(names), f"doubled: {names}"
        return dict(pairs)

    json.loads(regions.FILE.read_text(encoding="utf-8"), object_pairs_hook=unique)


@EVERY_REGION
def test_each_region_is_a_simple_polygon_inside_the_picture(photograph, name):
    polygon = regions.region(photograph, name)
    assert len(polygon) >= 3
    assert polygon[0] != polygon[-1]                      # closed by rule, not by a doubled corner
    assert all(0 <= v <= 1 for corner in polygon for v in corner)
    assert not crosses(polygon)
    assert regions.area(polygon) * GRID ** 2 >= 0.5       # at least half a patch


@pytest.mark.parametrize("photograph", regions.drawn())
def test_two_regions_lie_apart_or_one_within_the_other(photograph):
    masks = {name: fine_mask(polygon) for name, polygon in regions.regions(photograph).items()}
    for (a, mask_a), (b, mask_b) in itertools.combinations(masks.items(), 2):
        shared = (mask_a & mask_b).sum() / min(mask_a.sum(), mask_b.sum())
        assert shared < 0.03 or shared > 0.97, f"{a} and {b} share {shared:.2f} of the smaller"


@pytest.mark.parametrize("photograph", regions.drawn())
def test_the_main_object_is_made_of_regions_that_lie_apart(photograph):
    main = regions.main_object(photograph)
    assert main
    assert set(main) <= set(regions.regions(photograph))
    parts = torch.stack([regions.coverage(regions.region(photograph, name), GRID) for name in main])
    assert parts.sum(0).max() <= 1 + 1e-5


@EVERY_REGION
def test_coverage_agrees_with_another_way_of_filling_polygons(photograph, name):
    polygon = regions.region(photograph, name)
    shares = regions.coverage(polygon, GRID)
    other = fine_mask(polygon).reshape(GRID, 40, GRID, 40).mean((1, 3))
    assert np.abs(shares.numpy() - other).max() < 0.05
    assert shares.mean().item() == pytest.approx(regions.area(polygon), abs=1e-6)


def test_coverage_of_shapes_whose_answer_is_known():
    quarter = [[0, 0], [0.5, 0], [0.5, 0.5], [0, 0.5]]
    assert regions.coverage(quarter, 2).tolist() == [[1, 0], [0, 0]]
    assert regions.coverage(quarter, 1).item() == pytest.approx(0.25)
    triangle = [[0, 0], [1, 0], [0, 1]]
    assert regions.coverage(triangle, 2).flatten().tolist() == pytest.approx([1, 0.5, 0.5, 0])
    assert regions.coverage(triangle[::-1], 2).flatten().tolist() == pytest.approx([1, 0.5, 0.5, 0])
    two_teeth = [[0, 0], [1, 0], [1, 1], [0.75, 0.5], [0.5, 1], [0.25, 0.5], [0, 1]]      # not convex
    assert regions.coverage(two_teeth, 1).item() == pytest.approx(0.75)
    assert regions.coverage(two_teeth, 2).flatten().tolist() == pytest.approx([1, 1, 0.5, 0.5])
    wide = [[0.5, 0.25], [1, 0.25], [1, 0.5], [0.5, 0.5]]       # x runs to the right, y down
    assert regions.coverage(wide, 4).nonzero().tolist() == [[1, 2], [1, 3]]


def test_covered_adds_up_regions():
    together = regions.covered("chelsea", ["left eye", "right eye"], GRID)
    apart = [regions.coverage(regions.region("chelsea", eye), GRID) for eye in ("left eye", "right eye")]
    assert torch.allclose(together, apart[0] + apart[1])
    assert together[6, 5] == 1                   # the left pupil's patch
    assert together[0, 0] == 0


@pytest.mark.parametrize(("call", "sentence"), [
    (lambda: regions.regions("brick"), "photograph must be one with regions, astronaut, .*; got 'brick'"),
    (lambda: regions.main_object(["chelsea"]), r"got \['chelsea'\]"),
    (lambda: regions.region("chelsea", "tail"), "chelsea has no region 'tail'; it has face, left eye"),
    (lambda: regions.coverage([[0, 0], [1, 0], [1, 1]], 0), "grid must be a positive integer, got 0"),
])
def test_bad_input(call, sentence):
    with pytest.raises(ValueError, match=sentence):
        call()


@pytest.fixture
def copied_file(tmp_path, monkeypatch):
    copy = tmp_path / "regions.json"
    copy.write_bytes(regions.FILE.read_bytes())
    monkeypatch.setattr(regions, "FILE", copy)
    return copy


def test_the_file_is_as_the_tool_writes_it(copied_file):
    before = copied_file.read_bytes()
    regions.store("chelsea", "nose", regions.region("chelsea", "nose"))
    assert copied_file.read_bytes() == before


def test_a_region_that_is_clicked_is_stored(copied_file, monkeypatch):
    import matplotlib
    import matplotlib.pyplot as plt

    matplotlib.use("Agg")
    monkeypatch.setattr(plt, "ginput", lambda **_: [(0.1, 0.2), (0.30004, 0.2), (1.02, 0.4)])
    assert lab_command.main(["regions", "brick", "--draw", "a brick"]) == 0
    assert regions.region("brick", "a brick") == [[0.1, 0.2], [0.3, 0.2], [1, 0.4]]
    assert regions.main_object("brick") == ("a brick",)
    monkeypatch.setattr(plt, "ginput", lambda **_: [(0.1, 0.2)])
    assert lab_command.main(["regions", "brick", "--draw", "half a brick"]) == 2
    assert "half a brick" not in regions.regions("brick")


def test_the_command_writes_a_picture(tmp_path, capsys):
    picture = tmp_path / "cat.png"
    assert lab_command.main(["regions", "chelsea", "--picture", str(picture)]) == 0
    assert picture.stat().st_size > 10_000
    assert str(picture) in capsys.readouterr().out
    assert lab_command.main(["regions", "lena", "--picture", str(picture)]) == 2
    assert "name must be one of" in capsys.readouterr().err
