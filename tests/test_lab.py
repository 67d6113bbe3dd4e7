"""The lab: fair splits, scenes that are what they say, trainings that learn, checkpoints that are whole."""

import dataclasses
import errno
import io
import itertools
import json
import os
import re
import signal
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from torch import Tensor

from attention_lite.lab import (
    RECIPES,
    TASKS,
    AnySize,
    CuedSearch,
    CuedSegmentation,
    OneDigit,
    Scenes,
    ask_for,
    checkpoints,
    disc_mask,
    draw,
    enlarge,
    for_readers,
    frame_mask,
    load_checkpoint,
    masks,
    photographs,
    pictures,
    reached,
    scoring,
    target_mask,
    train,
    untrained,
)
from attention_lite.lab.__main__ import main
from attention_lite.lab.recipes import HOME, every_recipe, home_task, recipe_of, shipped
from attention_lite.lab.runs import (
    SCENES,
    TEST_SEED,
    describe,
    figure_of,
    finish,
    learned,
    state_of,
    stop_on_ctrl_c,
)
from attention_lite.lab.scenes import DIGITS, digits, levels
from attention_lite.lab.tasks import Binding
from attention_lite.lab.training import EVERY, Training, run

SPLITS = ("train", "validation", "test")
# The tasks whose things are digits; flags have tests of their own, in test_binding.py.
OF_DIGITS = [task for task, side in TASKS.items() if not issubclass(side, Binding)]
RUNS = shipped()
TRAINED = sorted({model for recipe in every_recipe().values() for model in recipe.models})


def same(a: Scenes, b: Scenes) -> bool:
    pairs = [(getattr(a, f.name), getattr(b, f.name)) for f in dataclasses.fields(Scenes)]
    return all(torch.equal(x, y) if isinstance(x, Tensor) else x == y for x, y in pairs)


# Splits


def test_digits_and_photographs_are_those_that_the_library_loads():
    """They are read from its files, since importing it takes seconds."""
    from sklearn.datasets import load_digits, load_sample_image

    grey, labels = load_digits(return_X_y=True)
    chosen = np.random.default_rng(0).permutation(len(labels))[slice(*DIGITS["validation"])]
    assert np.array_equal(levels("validation").reshape(-1, 64), grey[chosen])
    assert torch.equal(digits("validation")[1], torch.from_numpy(labels[chosen]))
    assert np.array_equal(photographs.load("china"), load_sample_image("china.jpg"))


def test_no_digit_stands_on_two_sides():
    """By the pixels: each glyph of a side differs from each of the others (the data set itself has no doubles)."""
    seen = {split: {glyph.numpy().tobytes() for glyph in digits(split)[0]} for split in SPLITS}
    assert [len(seen[s]) for s in SPLITS] == [last - first for first, last in DIGITS.values()] == [1200, 300, 297]
    assert sum(map(len, seen.values())) == len(set().union(*seen.values())) == 1797
    for split in SPLITS:
        assert set(digits(split)[1].tolist()) == set(range(10))


def test_no_photograph_stands_on_two_sides():
    """By the pixels too: no name twice, no two names for one photograph, and the crops come from their own side."""
    names = [name for split in SPLITS for name in photographs.SPLITS[split]]
    assert sorted(names) == sorted(photographs.PHOTOGRAPHS)
    assert len({photographs.load(name).tobytes() for name in names}) == len(names)
    crop = 24                                             # and no patch of one lies anywhere in another side's
    for split in SPLITS:
        others = [photographs.load(n)[..., 1] for s in SPLITS if s != split for n in photographs.SPLITS[s]]
        for name in photographs.SPLITS[split]:
            image = photographs.load(name)[..., 1]
            y, x = (size // 3 for size in image.shape)
            patch = image[y:y + crop, x:x + crop]
            assert patch.std() > 1
            for other in others:
                starts = np.argwhere(other[:-crop, :-crop] == patch[0, 0])
                assert not any(np.array_equal(other[i:i + crop, j:j + crop], patch) for i, j in starts)


@pytest.mark.parametrize("task", OF_DIGITS)
def test_scenes_are_drawn_from_their_own_side(task, monkeypatch):
    """Every photograph that is opened while a side's scenes are drawn is one of that side's, and every digit too."""
    opened, real = set(), photographs.load
    monkeypatch.setattr(photographs, "load", lambda name: opened.add(name) or real(name))
    for split in SPLITS:
        opened.clear()
        scenes = TASKS[task](split).sample(60, 0)
        draw(scenes, 2)                                   # scale 2 opens the photographs, scale 1 a store of crops
        assert opened == set(photographs.SPLITS[split])
        assert scenes.split == split
        assert torch.equal(digits(split)[1][scenes.glyph], scenes.label)


def test_photographs_are_credited_and_read_only():
    for name, entry in photographs.PHOTOGRAPHS.items():
        image = photographs.load(name)
        assert image.dtype == np.uint8
        assert image.ndim == 3
        assert image.shape[2] == 3
        assert not image.flags.writeable
        assert all([entry.title, entry.credit, entry.licence])
        assert entry.source.startswith("http")
        assert entry.shipped_in in {"scikit-image", "scikit-learn"}


# Scenes


@pytest.mark.parametrize("task", TASKS)
def test_samples_are_deterministic(task):
    side = TASKS[task]("test")
    assert same(side.sample(20, 3), side.sample(20, 3))
    assert not same(side.sample(20, 3), side.sample(20, 4))
    generator = torch.Generator().manual_seed(3)
    first, second = side.sample(20, generator), side.sample(20, generator)
    assert same(first, side.sample(20, 3))
    assert not same(first, second)                        # a generator goes on from where it is
    before = torch.get_rng_state()
    draw(side.sample(20, 5))
    assert torch.equal(torch.get_rng_state(), before)     # and the global one is left alone
    assert torch.equal(draw(first), draw(side.sample(20, 3)))


@pytest.mark.parametrize("task", OF_DIGITS)
def test_the_answer_is_the_class_of_the_digit_that_the_colour_points_to(task):
    scenes = TASKS[task]("test").sample(300, 0)
    n, k = scenes.label.shape
    assert torch.equal(scenes.answer, scenes.label[torch.arange(n), scenes.target])
    assert set(scenes.answer.tolist()) == set(range(10))
    assert all(len(set(row)) == k for row in scenes.label.tolist())        # no class twice in a scene
    cue = scenes.frame if task == "context-gating" else scenes.disc_colour
    if cue is None:
        assert k == 1
        return
    hue = torch.stack([_hue(scenes.colour[:, i]) for i in range(k)], 1)
    distance = (hue - _hue(cue)[:, None] + 0.5).remainder(1).sub(0.5).abs()
    assert torch.equal(distance.argmin(1), scenes.target)
    assert torch.bincount(scenes.target).min() > n / k / 1.4               # each place is asked for about equally


def _hue(rgb: Tensor) -> Tensor:
    """Hue in [0, 1) of vivid colours (n, 3), by the hexagon formula."""
    high, low = rgb.amax(-1), rgb.amin(-1)
    r, g, b = rgb.unbind(-1)
    sector = torch.stack([(g - b) / (high - low), 2 + (b - r) / (high - low), 4 + (r - g) / (high - low)], -1)
    return sector.gather(-1, rgb.argmax(-1, keepdim=True))[..., 0].div(6).remainder(1)


@pytest.mark.parametrize("task", TASKS)
def test_large_drawings_are_the_small_ones_in_more_detail(task):
    scenes = TASKS[task]("test").sample(12, 0)
    small, large = draw(scenes), draw(scenes, 4)
    size = scenes.size
    assert small.shape == (12, 3, size, size)
    assert large.shape == (12, 3, 4 * size, 4 * size)
    for image in (small, large):
        assert image.min() >= 0
        assert image.max() <= 1
    averaged = F.avg_pool2d(large, 4)
    assert (averaged - small).abs().mean() < 0.01                        # other scenes differ by 0.2 and more
    assert (small - small.roll(1, 0)).abs().mean() > 0.2
    # Crisper, not merely larger: finer detail than any enlargement of the small picture.
    blown_up = F.interpolate(small, scale_factor=4, mode="bilinear")
    assert large.diff(dim=-1).abs().mean() > 1.1 * blown_up.diff(dim=-1).abs().mean()
    assert (F.avg_pool2d(masks(scenes, 4), 4) - masks(scenes)).abs().mean() < 0.005


def test_readers_see_every_scene_by_one_fixed_curve():
    """Brighter everywhere between black and white, and never out of order; what the networks see stays as it is."""
    scenes = TASKS["cued-search"]("test").sample(6, 0)
    seen, drawn = for_readers(scenes), draw(scenes, 4).permute(0, 2, 3, 1)
    assert seen.shape == (6, 192, 192, 3)
    torch.testing.assert_close(seen, drawn ** 0.65)
    inner = (drawn > 0.02) & (drawn < 0.98)
    assert (seen[inner] > drawn[inner]).all()
    assert torch.equal(for_readers(scenes[2])[0], seen[2])                # not by what else is shown


@pytest.mark.parametrize("task", OF_DIGITS)
def test_masks_cover_the_digits_and_nothing_else(task):
    scenes = TASKS[task]("test").sample(40, 0)
    bare = scenes.replace(opacity=torch.zeros_like(scenes.opacity))
    ink = masks(scenes)
    assert ((ink >= 0) & (ink <= 1)).all()
    over = ink.amax(1)
    if scenes.disc_yx is not None:
        over = torch.maximum(over, disc_mask(scenes))
    if scenes.frame is not None:
        over = torch.maximum(over, frame_mask(scenes.size).expand_as(over))
    changed = (draw(scenes) - draw(bare)).abs().amax(1)
    assert (changed[over == 0] == 0).all()                # digits change the picture only inside their masks
    solid = scenes.replace(opacity=torch.ones_like(scenes.opacity))
    for k in range(ink.shape[1]):
        inside = ink[:, k] > 0.999
        if scenes.frame is not None:
            inside &= frame_mask(scenes.size) == 0
        inside &= torch.cat([ink[:, k + 1:], ink[:, :1] * 0], 1).amax(1) == 0       # no later digit on top
        if scenes.disc_yx is not None:
            inside &= disc_mask(scenes) == 0
        assert inside.sum() > 300
        colours = draw(solid).permute(0, 2, 3, 1)[inside]
        expected = scenes.colour[:, k][:, None, None].expand(-1, scenes.size, scenes.size, -1)[inside]
        torch.testing.assert_close(colours, expected, rtol=0, atol=0.002)           # full ink has the digit's colour
    rows = torch.arange(scenes.size) + 0.5
    for axis, centre in ((2, scenes.y), (1, scenes.x)):
        found = (ink.sum(axis + 1 if axis == 2 else 2) * rows).sum(-1) / ink.sum((2, 3))
        assert (found - centre).abs().mean() < 2           # the ink lies about its stated centre
        assert (found - centre).abs().max() < 5


def test_frame_and_disc_have_their_colours_and_sizes():
    framed = TASKS["context-gating"]("test").sample(20, 0)
    edge = draw(framed).permute(0, 2, 3, 1)[:, frame_mask(64) == 1]
    torch.testing.assert_close(edge, framed.frame[:, None].expand_as(edge), rtol=0, atol=1e-6)
    assert frame_mask(64).sum() == 64**2 - 58**2
    assert frame_mask(64, 4).sum() == 16 * (64**2 - 58**2)
    assert (framed.frame.argmax(1) == framed.target).all()            # red asks for digit 0, green 1, blue 2

    discs = TASKS["cued-search"]("test").sample(20, 0)
    cover = disc_mask(discs)
    torch.testing.assert_close(cover.sum((1, 2)), torch.full((20,), torch.pi * 5.5**2), rtol=0.02, atol=0)
    image = draw(discs).permute(0, 2, 3, 1)
    for i in range(20):
        seen = image[i][cover[i] == 1]
        torch.testing.assert_close(seen, discs.disc_colour[i].expand_as(seen), rtol=0, atol=1e-6)
    centre = (cover.sum(2) * (torch.arange(48) + 0.5)).sum(1) / cover.sum((1, 2))
    torch.testing.assert_close(centre, discs.disc_yx[:, 0], rtol=0, atol=0.05)


def test_asking_for_another_digit_changes_the_frame_and_the_answer_only():
    scenes = TASKS["context-gating"]("test").sample(30, 0)
    before = draw(scenes)
    for which in range(3):
        asked = ask_for(scenes, which)
        assert torch.equal(asked.answer, scenes.label[:, which])
        inside = frame_mask(64) == 0
        assert torch.equal(draw(asked)[:, :, inside], before[:, :, inside])
        assert (draw(asked)[:, :, ~inside].mean(2).argmax(1) == which).all()
    assert torch.equal(draw(scenes), before)


@pytest.mark.parametrize("task", ["context-gating", "cued-search"])
def test_hide_hides_the_other_digits_that_often(task):
    side = TASKS[task]("train")
    for hide in (0.0, 0.3, 1.0):
        scenes = side.sample(1000, 0, hide=hide)
        asked = torch.zeros_like(scenes.opacity, dtype=torch.bool).scatter(1, scenes.target[:, None], True)
        assert (scenes.opacity[asked] >= 0.85).all()      # what is to be read is never hidden
        others = scenes.opacity[~asked]
        assert abs((others == 0).float().mean() - hide) < 0.05
        assert ((others == 0) | (others >= 0.85)).all()
    shown, hidden = side.sample(5, 0), side.sample(5, 0, hide=1.0)
    assert same(shown.replace(opacity=hidden.opacity), hidden)         # nothing else differs


def test_contrast_fades_the_photograph_only():
    grey, full = (OneDigit("train").sample(20, 0, contrast=c) for c in (0.0, 1.0))
    empty = masks(full)[:, 0] == 0
    for i in range(20):
        flat = draw(grey)[i][:, empty[i]]
        assert (flat.amax(1) - flat.amin(1)).max() < 1e-5
        ink = masks(full)[i, 0] > 0.999
        torch.testing.assert_close(draw(grey.replace(opacity=torch.ones(20, 1)))[i][:, ink],
                                   draw(full.replace(opacity=torch.ones(20, 1)))[i][:, ink], rtol=0, atol=0.002)
    torch.testing.assert_close(draw(grey).mean(), draw(full).mean(), rtol=0, atol=0.02)


@pytest.mark.parametrize("task", RECIPES)
def test_the_curriculum_runs_from_easy_to_the_task_itself(task):
    recipe = RECIPES[task]
    course = [(recipe.hide(i / 100), recipe.contrast(i / 100)) for i in range(101)]
    assert all(0 <= hide <= 1 and 0 <= contrast <= 1 for hide, contrast in course)
    assert all(a[0] >= b[0] and a[1] <= b[1] for a, b in itertools.pairwise(course))
    assert course[0][1] == 0
    assert all(step == (0, 1) for step in course[60:])    # the last two fifths are the task as it is tested
    others = task in ("context-gating", "cued-search", "cued-segmentation")           # that can be hidden
    assert course[0][0] == (1 if others else 0)


def test_enlarging_changes_the_size_and_keeps_the_digit_inside():
    scenes = AnySize("test").sample(60, 0)
    for side in (9, 20.5, 48):
        larger = enlarge(scenes, side)
        assert (larger.side == side).all()
        assert torch.equal(larger.glyph, scenes.glyph)
        assert torch.equal(larger.photo, scenes.photo)
        for centre in (larger.y, larger.x):
            assert (centre >= side / 2).all()
            assert (centre <= 48 - side / 2).all()
    inside = (scenes.y > 14) & (scenes.y < 34) & (scenes.x > 14) & (scenes.x < 34)
    moved = enlarge(scenes, 28)
    assert torch.equal(moved.y[inside], scenes.y[inside])            # where it fits, it stays where it is
    ink = [masks(enlarge(scenes, side)).sum((1, 2, 3)).mean() for side in (10.0, 20.0)]
    assert ink[1] / ink[0] == pytest.approx(4, rel=0.1)


def test_any_size_draws_every_size():
    side = AnySize("train").sample(2000, 0).side
    assert side.min() < 9.5
    assert side.max() > 27.5
    assert side.mean() == pytest.approx(18.5, abs=0.5)


def test_selecting_scenes():
    scenes = CuedSearch("test").sample(6, 0)
    assert len(scenes[2:5]) == 3
    assert torch.equal(draw(scenes[[4, 1]]), draw(scenes)[[4, 1]])
    assert torch.equal(draw(scenes[-1]), draw(scenes)[-1:])
    assert torch.equal(draw(scenes[scenes.target == 1]), draw(scenes)[scenes.target == 1])


@pytest.mark.parametrize("task", TASKS)
def test_the_target_mask_is_that_of_the_digit_to_read(task):
    scenes = TASKS[task]("test").sample(20, 0)
    for scale in (1, 3):
        truth = target_mask(scenes, scale)
        assert truth.shape == (20, scale * scenes.size, scale * scenes.size)
        for i in range(20):
            assert torch.equal(truth[i], masks(scenes, scale)[i, scenes.target[i]])
    if scenes.label.shape[1] > 1:
        assert len(set(scenes.target.tolist())) == 3           # it did have to choose
        other = scenes.replace(target=(scenes.target + 1) % 3)
        assert (target_mask(other) - target_mask(scenes)).abs().sum((1, 2)).min() > 10


# Scores


def test_scores_on_maps_that_can_be_done_in_the_head():
    weights = torch.tensor([[[0.5, 0.25], [0.25, 0.0]]])
    where = torch.tensor([[[False, True], [True, True]]])
    assert scoring.mass_on(weights, where).tolist() == [0.5]
    assert scoring.peak_on(weights, where).tolist() == [False]
    assert scoring.peak_on(weights, ~where).tolist() == [True]
    uniform = torch.full((3, 2, 4, 4), 1 / 16)
    corner = torch.zeros(4, 4, dtype=torch.bool)
    corner[:2, :3] = True
    assert torch.equal(scoring.mass_on(uniform, corner), torch.full((3, 2), 6 / 16))
    assert scoring.on_grid(torch.ones(2, 8, 8), (4, 4)).shape == (2, 4, 4)
    cover = torch.zeros(1, 8, 8)
    cover[0, :2, :2], cover[0, 6, 6] = 1, 0.5             # a full place, and one covered by an eighth
    assert scoring.on_grid(cover, (4, 4)).nonzero().tolist() == [[0, 0, 0]]

    A = torch.rand(2, 3, 4, 4).softmax(-1)
    queries = torch.tensor([[[True, False], [True, False]], [[False, False], [False, False]]])
    found = scoring.query_maps(A, queries, (2, 2))
    torch.testing.assert_close(found[0], ((A[0, :, 0] + A[0, :, 2]) / 2).unflatten(-1, (2, 2)))
    assert (found[1] == 0).all()

    group = torch.tensor([0, 0, 1, 1])
    assert scoring.explained_variance(torch.tensor([[0.0], [0.0], [1.0], [1.0]]), group) == 1
    assert scoring.explained_variance(torch.tensor([[0.0], [1.0], [0.0], [1.0]]), group) == 0
    half = scoring.explained_variance(torch.tensor([[0.0], [1.0], [1.0], [2.0]]), group)
    assert half == pytest.approx(0.5)


def test_accuracy_counts_right_answers():
    scenes = OneDigit("test").sample(300, 0)

    class Constant(torch.nn.Module):
        def forward(self, x: Tensor) -> Tensor:
            return torch.eye(10)[3].expand(len(x), 10)

    assert scoring.accuracy(Constant(), scenes) == pytest.approx((scenes.answer == 3).float().mean().item())


def rectangles(*sides: tuple[int, int]) -> Tensor:
    """Boolean 8 × 8 pictures, each with a rectangle of that height and width in the upper left corner."""
    region = torch.zeros(len(sides), 8, 8, dtype=torch.bool)
    for picture, (height, width) in zip(region, sides, strict=True):
        picture[:height, :width] = True
    return region


def test_overlap_in_the_head():
    truth = rectangles((4, 4), (4, 4), (4, 4), (2, 6), (0, 0), (0, 0))
    region = rectangles((4, 4), (4, 2), (0, 0), (6, 2), (0, 0), (1, 1))
    expected = [1, 1 / 2, 0, 4 / 20, 1, 0]                 # half; nothing painted; a cross; two empty; all too much
    assert scoring.overlap(region, truth).tolist() == pytest.approx(expected)
    assert scoring.overlap(truth, region).tolist() == pytest.approx(expected)
    stacked = scoring.overlap(region.unflatten(0, (2, 3)), truth.unflatten(0, (2, 3)))
    assert stacked.flatten().tolist() == pytest.approx(expected)


class Painter(torch.nn.Module):
    """Paints the masks that it was given, whatever it sees, in the order of the pictures."""

    def __init__(self, logits: Tensor) -> None:
        super().__init__()
        self.logits, self.at = logits, 0

    def forward(self, x: Tensor) -> Tensor:
        self.at += len(x)
        return self.logits[self.at - len(x):self.at]


@pytest.mark.parametrize("ratio", [1, 2, 4])
def test_a_place_has_the_key_whose_window_is_nearest(ratio):
    """Of the windows of a convolution as EMSA's, by its gradient: a place lies in its own key's, none is nearer."""
    side, keys = 12, 12 // ratio
    shrink = torch.nn.Conv1d(1, 1, ratio + 1 if ratio > 1 else 1, ratio, padding=ratio // 2 if ratio > 1 else 0)
    row = torch.zeros(1, 1, side, requires_grad=True)
    reads = torch.stack([torch.autograd.grad(shrink(row)[0, 0, j], row)[0][0, 0] != 0 for j in range(keys)])
    middles = torch.arange(keys) * ratio
    key = scoring.key_of(side, keys)
    for place, chosen in enumerate(key[:side].tolist()):
        distance = (middles - place).abs()
        assert distance[chosen] == distance.min()
        assert reads[chosen, place] or not reads[:, place].any()          # the last rows of ratio 4 are read by none
    assert torch.equal(key.unflatten(0, (side, side)), key[:side] + keys * key[:side, None])
    shared = scoring.spread(torch.eye(keys ** 2), side * side)
    torch.testing.assert_close(shared.sum(1), torch.ones(keys ** 2))
    assert torch.equal(shared > 0, key == torch.arange(keys ** 2)[:, None])


def test_iou_is_the_mean_overlap_with_the_digit_to_read():
    scenes = CuedSegmentation("test").sample(7, 0)
    truth = target_mask(scenes) > 0.5
    right = torch.where(truth, 0.1, -0.1)
    assert scoring.iou(Painter(right), scenes) == 1
    assert scoring.iou(Painter(-right), scenes) == 0
    assert torch.equal(scoring.painted(Painter(right), scenes, batch=3), truth)
    everything = torch.ones_like(right)
    assert scoring.iou(Painter(everything), scenes) == pytest.approx(truth.float().mean((1, 2)).mean().item())
    assert scoring.iou(Painter(0 * right), scenes) == 0    # a logit of 0 is not painted
    half = torch.where(torch.arange(7)[:, None, None] < 3, right, -right)
    assert scoring.iou(Painter(half), scenes) == pytest.approx(3 / 7)      # the mean over scenes, not over pixels
    distractor = masks(scenes)[torch.arange(7), (scenes.target + 1) % 3] > 0.5
    assert scoring.iou(Painter(torch.where(distractor, 1.0, -1.0)), scenes) < 0.05


@pytest.mark.parametrize(("task", "enough"), [("context-gating", 2 / 3), ("cued-search", 2 / 3),
                                              ("cued-segmentation", 2 / 3), ("one-digit", 0.2), ("any-size", 0.2)])
def test_a_training_has_learned_that_ends_at_twice_a_blind_choice(task, enough):
    assert learned(task, enough)
    assert not learned(task, enough - 0.001)


@pytest.mark.parametrize("task", TASKS)
def test_a_blind_choice_is_what_chance_gives(task):
    """Reading, or painting, any digit of the scene, or naming any dot, not the one that is meant."""
    scenes = TASKS[task]("test").sample(300, 0)
    if task == "cued-segmentation":
        all_digits = (masks(scenes) > 0.5).any(1)
        found = scoring.overlap(all_digits, target_mask(scenes) > 0.5).mean().item()
    elif scenes.label.shape[1] == 1:
        found = (scenes.answer == scenes.answer.roll(1)).float().mean().item()
    else:
        found = (scenes.label[:, 0] == scenes.answer).float().mean().item()
    assert found == pytest.approx(TASKS[task].blind, abs=0.06)


# Training


def test_the_segmentation_loss_by_hand():
    scenes = CuedSegmentation("train").sample(2, 0)
    truth = target_mask(scenes)
    flat = CuedSegmentation("train").loss(torch.zeros(2, 48, 48), scenes)
    dice = [2 * 0.5 * t.sum() / (0.5 * 48 * 48 + t.sum()) for t in truth]              # each pixel painted by half
    expected = torch.log(torch.tensor(2.0)) + 1 - sum(dice) / 2
    torch.testing.assert_close(flat, expected)
    logits = torch.randn(2, 48, 48, generator=torch.Generator().manual_seed(0))
    p = 1 / (1 + (-logits).exp())
    cross_entropy = -(truth * p.log() + (1 - truth) * (1 - p).log()).mean()
    dice = [2 * (p[i] * truth[i]).sum() / (p[i].sum() + truth[i].sum()) for i in range(2)]
    torch.testing.assert_close(CuedSegmentation("train").loss(logits, scenes), cross_entropy + 1 - sum(dice) / 2)
    sure = torch.where(truth > 0.5, 20.0, -20.0)
    assert CuedSegmentation("train").loss(sure, scenes) < 2                           # the soft edge costs something
    hard = [CuedSegmentation("train").loss(side * sure, scenes) for side in (1, -1)]
    assert hard[0] < 0.1 * hard[1]


@pytest.mark.parametrize("task", ["context-gating", "one-digit"])
def test_the_loss_of_the_other_tasks_is_cross_entropy(task):
    side = TASKS[task]("train")
    scenes, scores = side.sample(5, 0), torch.randn(5, 10)
    expected = -torch.stack([scores[i].log_softmax(0)[scenes.answer[i]] for i in range(5)]).mean()
    torch.testing.assert_close(side.loss(scores, scenes), expected)


class LargeDigit(OneDigit):
    """One white digit in the middle of a photograph, twice as wide as the task's: learnt in seconds."""

    def _sample(self, n: int, generator: torch.Generator, hide: float) -> Scenes:
        middle, white = torch.full((n, 1), 24.0), torch.ones(n, 1, 3)
        return super()._sample(n, generator, hide).replace(
            y=middle, x=middle, side=middle + 6, colour=white, opacity=white[..., 0])


@pytest.mark.thorough
def test_a_short_training_learns(monkeypatch):
    """With the recipe's own optimiser and curriculum: far above chance, 0.1, on digits and photographs not seen."""
    monkeypatch.setitem(RECIPES, "one-digit", dataclasses.replace(RECIPES["one-digit"], task=LargeDigit))
    before = untrained("one-digit", "self-attention", 0)
    net, losses = train("one-digit", "self-attention", 0, steps=60, progress=False)
    assert len(losses) == 60
    assert not net.training
    assert sum(losses[-6:]) < 0.5 * sum(losses[:6])
    unseen = LargeDigit("validation").sample(400, 0)
    assert scoring.accuracy(net, unseen) > 0.7            # 0.95 when measured, with any of several seeds
    assert scoring.accuracy(before, unseen) < 0.3
    moved = [not torch.equal(a, b) for a, b in zip(before.parameters(), net.parameters(), strict=True)]
    assert all(moved)


@pytest.mark.parametrize(("task", "model"), [("context-gating", "se"), ("cued-search", "self-attention")])
def test_training_is_deterministic(task, model, monkeypatch):
    small(monkeypatch, task)
    (net, losses), (again, losses_again), (other, _) = (
        train(task, model, seed, steps=5, progress=False) for seed in (0, 0, 1))
    assert losses == losses_again
    for name, tensor in net.state_dict().items():
        assert torch.equal(tensor, again.state_dict()[name]), name
    assert not all(torch.equal(a, b) for a, b in zip(net.parameters(), other.parameters(), strict=True))


def test_the_blocks_own_parameters_learn_at_their_own_rate():
    """AdamW's first step moves every parameter by about its learning rate, whatever the gradient."""
    recipe = RECIPES["context-gating"]
    start, (net, _) = untrained("context-gating", "se", 0), train("context-gating", "se", 0, steps=3, progress=False)
    steps = {name: (p - q).detach().abs().median().item() for (name, p), q in
             zip(net.named_parameters(), start.parameters(), strict=True)}
    ratio = steps["block.W2.weight"] / steps["tail.0.0.weight"]
    assert recipe.block_lr == 5
    assert ratio == pytest.approx(recipe.block_lr, rel=0.4)


def small(monkeypatch: pytest.MonkeyPatch, task: str, **changes: int) -> None:
    """Eight scenes a step: enough where a test is about the machinery and not about what is learnt."""
    monkeypatch.setitem(RECIPES, task, dataclasses.replace(RECIPES[task], batch=8, **changes))


def same_training(a: Training, b: Training) -> None:
    """Bit for bit: weights and buffers, losses and noted numbers, and the scenes that would come next."""
    assert a.losses == b.losses
    assert a.scalars == b.scalars
    for (name, tensor), other in zip(a.net.state_dict().items(), b.net.state_dict().values(), strict=True):
        assert torch.equal(tensor, other), name
    assert same(a.side.sample(3, a.generator), b.side.sample(3, b.generator))


@pytest.mark.parametrize(("task", "model", "at"), [
    ("context-gating", "se", 5), ("context-gating", "eca-shuffled", 1), ("cued-search", "emsa", 3),
    ("cued-search", "external", 3), ("cued-segmentation", "danet", 4), ("any-size", "psa", 7),
    ("one-digit-residual", "bam", 2), ("one-digit", "none", 0)])
def test_a_stopped_training_goes_on_to_the_same_end(task, model, at, tmp_path, monkeypatch):
    """Through two files, in fresh objects, with noise in between; notes fall before, at and after the stops."""
    small(monkeypatch, task)
    monkeypatch.setattr("attention_lite.lab.training.EVERY", 2)
    whole = Training(task, model, 1, 8)
    assert run(whole, "whole", progress=False)
    state = tmp_path / "one.stopped"
    first = Training(task, model, 1, 8)
    asked = itertools.count()
    assert not run(first, "first", progress=False, stop=lambda: next(asked) == at)
    assert len(first.losses) == at
    first.save(state)
    torch.manual_seed(99)
    torch.rand(5)                                          # the global generator is somewhere else
    second = Training(task, model, 1, 8)
    second.load(state)
    assert (second.seconds, second.cpu_seconds) == (first.seconds, first.cpu_seconds)
    asked = itertools.count()
    run(second, "second", progress=False, stop=lambda: next(asked) == 1)
    second.save(state)
    third = Training(task, model, 1, 8)
    third.load(state)
    assert len(third.losses) == at + 1
    assert run(third, "third", progress=False)
    assert third.cpu_seconds > first.cpu_seconds
    same_training(third, whole)


def test_single_numbers_are_noted_every_so_many_steps(monkeypatch):
    assert EVERY == 50
    small(monkeypatch, "cued-segmentation")
    monkeypatch.setattr("attention_lite.lab.training.EVERY", 3)
    training = Training("cued-segmentation", "danet", 0, 7)
    seen: dict[str, list[float]] = {"alpha": [], "beta": []}
    for step in range(8):
        if step % 3 == 0:
            for name, parameter in (("alpha", training.net.block.position.alpha),
                                    ("beta", training.net.block.channel.beta)):
                seen[name].append(round(parameter.item(), 5))
        if step < 7:
            training.step()
    assert training.scalars == seen
    assert all(values[0] == 0 and len(set(values)) == 3 for values in seen.values())
    alone = [Training("cued-segmentation", f"danet-{branch}", 0, 3).scalars for branch in ("position", "channel")]
    alone.append(Training("cued-segmentation", "none", 0, 3).scalars)
    assert alone == [{"alpha": [0.0]}, {"beta": [0.0]}, {}]


def test_training_goes_on_only_with_its_own_state(tmp_path, monkeypatch):
    small(monkeypatch, "cued-search")
    state = tmp_path / "a.stopped"
    training = Training("cued-search", "self-attention", 0, 6)
    training.step()
    training.save(state)
    kept = state.read_bytes()
    strangers = {"6 steps, not 7": Training("cued-search", "self-attention", 0, 7),
                 "Error|Missing": Training("cued-search", "conv", 0, 6),
                 "size mismatch|Missing": Training("cued-segmentation", "danet", 0, 6)}
    for why, other in strangers.items():
        with pytest.raises(ValueError, match=rf"the stopped training .*a\.stopped cannot go on \(.*({why}).*\); delete "
                                             "it to begin anew"):
            other.load(state)
    checkpoint = checkpoints.path_of("one-digit", "none", 0).read_bytes()
    for data in (b"", b"not a state", kept[:-500], kept[:200], checkpoint):
        state.write_bytes(data)
        with pytest.raises(ValueError, match=r"cannot go on \(.*\); delete it to begin anew"):
            Training("cued-search", "self-attention", 0, 6).load(state)


def test_a_state_that_cannot_be_read_is_not_overwritten(tmp_path, monkeypatch):
    small(monkeypatch, "one-digit", steps=4)
    monkeypatch.setattr("attention_lite.lab.runs.SCENES", 20)
    state = state_of("one-digit", "none", 0, tmp_path)
    state.write_bytes(b"somebody else's")
    with pytest.raises(ValueError, match="delete it to begin anew"):
        finish("one-digit", "none", 0, tmp_path, progress=False)
    assert [(path.name, path.read_bytes()) for path in tmp_path.iterdir()] == [(state.name, b"somebody else's")]
    state.unlink()
    assert finish("one-digit", "none", 0, tmp_path, progress=False)["steps"] == 4


def test_finish_stops_goes_on_and_cleans_up(tmp_path, monkeypatch):
    small(monkeypatch, "cued-segmentation", steps=6)
    monkeypatch.setattr("attention_lite.lab.runs.SCENES", 20)
    run_ = ("cued-segmentation", "danet", 2)
    whole = finish(*run_, tmp_path / "whole", progress=False)
    asked = itertools.count()
    parts = tmp_path / "parts"
    assert finish(*run_, parts, progress=False, stop=lambda: next(asked) == 2) is None
    assert [path.name for path in parts.iterdir()] == ["cued-segmentation--danet--2.stopped"]
    assert finish(*run_, parts, progress=False, stop=lambda: next(asked) == 5) is None         # 3: two steps more
    record = finish(*run_, parts, progress=False)
    assert [path.name for path in parts.iterdir()] == ["cued-segmentation--danet--2.safetensors"]
    timed = {"seconds", "cpu_seconds"}
    assert {k: v for k, v in record.items() if k not in timed} == {k: v for k, v in whole.items() if k not in timed}
    assert record["device"] == "cpu"
    (net, found), (other, _) = (load_checkpoint(*run_, folder) for folder in (parts, tmp_path / "whole"))
    assert found == record
    assert all(torch.equal(a, b) for a, b in zip(net.state_dict().values(), other.state_dict().values(), strict=True))


def test_the_progress_bar(capsys):
    train("one-digit", "none", 0, steps=3)
    assert "one-digit none seed 0: 100%" in capsys.readouterr().err
    train("one-digit", "none", 0, steps=3, progress=False)
    assert capsys.readouterr().err == ""


# Checkpoints


@pytest.fixture(scope="module")
def trained() -> tuple[torch.nn.Module, dict]:
    net, losses = train("one-digit", "self-attention", 0, steps=3, progress=False)
    return net, {"steps": len(losses), "note": "ä"}


def test_checkpoints_round_trip(tmp_path, trained):
    net, record = trained
    path = checkpoints.path_of("one-digit", "self-attention", 0, tmp_path / "new" / "folder")
    checkpoints.save_checkpoint(net, record, path)
    loaded, found = load_checkpoint("one-digit", "self-attention", 0, path.parent)
    assert found == record
    assert not loaded.training
    assert path.stat().st_size < checkpoints.LARGEST
    assert os.listdir(path.parent) == [path.name]
    for name, tensor in net.state_dict().items():
        assert torch.equal(loaded.state_dict()[name], tensor.half().float() if tensor.is_floating_point() else tensor)
        assert loaded.state_dict()[name].dtype == tensor.dtype
    rounded = checkpoints.round_to_half(net)
    x = pictures(OneDigit("test").sample(8, 0))
    assert torch.equal(rounded(x), loaded(x))             # the figures are taken of what is saved


def test_a_checkpoint_that_is_too_large_is_refused(tmp_path, monkeypatch, trained):
    monkeypatch.setattr(checkpoints, "LARGEST", 1000)
    with pytest.raises(ValueError, match="net must take at most 1000 bytes as a checkpoint, got"):
        checkpoints.save_checkpoint(*trained, tmp_path / "a.safetensors")
    assert os.listdir(tmp_path) == []


@pytest.mark.parametrize("moment", ["write", "fsync", "replace", "interrupt"])
def test_a_full_disk_leaves_nothing_and_keeps_the_older_checkpoint(tmp_path, monkeypatch, trained, moment):
    old, new = tmp_path / "old.safetensors", tmp_path / "new.safetensors"
    checkpoints.save_checkpoint(*trained, old)
    kept = old.read_bytes()

    def refuse(*args: object) -> None:
        raise KeyboardInterrupt if moment == "interrupt" else OSError(errno.ENOSPC, "No space left on device")

    class FullDisk(io.FileIO):
        def write(self, data: bytes) -> int:
            super().write(data[:100])                     # some of it arrives, as on a real disk
            refuse()

    if moment == "write":
        monkeypatch.setattr(os, "fdopen", lambda handle, mode: FullDisk(handle, mode))
    else:
        monkeypatch.setattr(os, "fsync" if moment == "interrupt" else moment, refuse)
    for path in (old, new):
        with pytest.raises(KeyboardInterrupt if moment == "interrupt" else OSError):
            checkpoints.save_checkpoint(trained[0], {"another": "record"}, path)
    assert os.listdir(tmp_path) == ["old.safetensors"]
    assert old.read_bytes() == kept


@pytest.mark.parametrize("damage", ["truncated", "empty", "text", "no record", "other network"])
def test_damaged_checkpoints_are_said_to_be_so(tmp_path, trained, damage):
    from safetensors.torch import save_file

    path = checkpoints.path_of("one-digit", "self-attention", 0, tmp_path)
    checkpoints.save_checkpoint(*trained, path)
    if damage == "no record":
        save_file({k: v.contiguous() for k, v in trained[0].state_dict().items()}, path)
    elif damage == "other network":
        checkpoints.save_checkpoint(untrained("one-digit", "none", 0), {}, path)
    else:
        whole = path.read_bytes()
        path.write_bytes({"truncated": whole[:-1000], "empty": b"", "text": b"not a checkpoint at all"}[damage])
    message = r"does not fit the network self-attention \(.*\); make it anew with: python -m attention_lite\.lab train"
    with pytest.raises(ValueError, match=message):
        load_checkpoint("one-digit", "self-attention", 0, tmp_path)


def test_a_missing_checkpoint_says_how_to_make_it(tmp_path):
    command = "python -m attention_lite.lab train self-attention --task one-digit --seed 1"
    name = "one-digit--self-attention--1.safetensors"
    with pytest.raises(ValueError, match=f"no checkpoint {name} in .*; make it with: {command}"):
        load_checkpoint("one-digit", "self-attention", 1, tmp_path)


def test_every_checkpoint_is_shipped_and_no_other():
    expected = {checkpoints.path_of(*run).name for run in RUNS}
    assert expected == {path.name for path in checkpoints.FOLDER.iterdir()}


FIRST = 100              # of a record's 2000 scenes, read again for every checkpoint


@pytest.mark.thorough
@pytest.mark.parametrize("run", RUNS, ids=lambda run: "--".join(map(str, run)))
def test_shipped_checkpoints_are_what_their_records_say(run):
    task, model, seed = run
    assert checkpoints.path_of(*run).stat().st_size < 1_000_000
    net, record = load_checkpoint(*run)
    recipe, (figure, _) = recipe_of(task), figure_of(task)
    assert (record["task"], record["model"], record["seed"]) == run
    device = record.get("device", "cpu")
    elsewhere = "" if device == "cpu" else " --device cuda"
    assert record["command"] == f"python -m attention_lite.lab train {model} --task {task} --seed {seed}{elsewhere}"
    assert record["steps"] == recipe.steps
    assert record["scenes"] == SCENES
    assert SCENES >= 1000
    assert record["parameters"] == sum(p.numel() for p in net.parameters())
    assert len(record["losses"]) == recipe.steps // EVERY
    assert {"torch", "python", "seconds"} <= set(record)
    assert 0 <= record[f"validation_{figure}"] <= 1
    assert set(record.get("scalars", {})) == {n.rsplit(".")[-1] for n, p in net.named_parameters() if p.dim() == 0}
    for name, values in record.get("scalars", {}).items():
        last = next(p for n, p in net.named_parameters() if n.endswith(name)).item()
        assert len(values) == 1 + recipe.steps // EVERY
        assert (values[0], values[-1]) == (0, pytest.approx(last, abs=1e-3))           # half precision rounds it
    # The first scenes of the record: a share of them strays from that of all by so many times its spread at most.
    each = _figures(net, task)[:FIRST]
    spread = max(each.std().item(), 0.1) * (1 / FIRST - 1 / SCENES) ** 0.5
    assert each.mean().item() == pytest.approx(record[f"test_{figure}"], abs=4 * spread)
    # Another seed's weights may be as good. But weights stay near where their own seed began.
    own, *others = (_likeness(net, untrained(task, model, s)) for s in (seed, *(s for s in range(5) if s != seed)))
    assert own > 0.4                                      # 0.6 and more when measured, and 0.03 at most of another seed
    assert max(others) < 0.2


# One seed of each chapter's mechanism, on the very scenes of its record, all of them.
WHOLE = [(home_task(model), model, 0) for model in ("se", "eca", *HOME)]


@pytest.mark.thorough
@pytest.mark.parametrize("run", WHOLE, ids=lambda run: "--".join(map(str, run)))
def test_shipped_checkpoints_reach_the_figure_of_their_record(run):
    net, record = load_checkpoint(*run)
    found = _figures(net, run[0], SCENES).mean().item()
    # Another processor may round a few scenes to the other side.
    assert found == pytest.approx(record[f"test_{figure_of(run[0])[0]}"], abs=0.005)


_sides: dict[tuple[str, int], tuple[Scenes, Tensor]] = {}


def _figures(net: torch.nn.Module, task: str, count: int = FIRST) -> Tensor:
    """What a net scores on each of the first recorded test scenes, which are drawn once for all models of a task."""
    if (task, count) not in _sides:
        _sides.clear()
        scenes = recipe_of(task).task("test").sample(SCENES, TEST_SEED)[:count]
        _sides[task, count] = scenes, pictures(scenes)
    scenes, images = _sides[task, count]
    with torch.no_grad():
        output = torch.cat([net(part) for part in images.split(250)])
    if task == "cued-segmentation":
        return scoring.overlap(output > 0, target_mask(scenes) > 0.5)
    return (output.argmax(1) == scenes.answer).float()


def _likeness(net: torch.nn.Module, other: torch.nn.Module) -> float:
    """The cosine between the weights of two networks, without their biases and norms, which all begin alike."""
    flat = [torch.cat([p.detach().flatten() for p in n.parameters() if p.dim() > 1]) for n in (net, other)]
    return torch.cosine_similarity(*flat, dim=0).item()


def test_every_mechanism_has_a_whole_run_and_a_chapters_task():
    assert len(WHOLE) == len(set(WHOLE)) == 10
    assert all(model in RECIPES[task].models for task, model, _ in WHOLE)
    assert home_task("emsa-4") == "cued-search"
    assert home_task("danet-channel") == "cued-segmentation"
    assert set(RUNS) >= set(WHOLE)


def test_describe_measures_both_sides(monkeypatch):
    monkeypatch.setattr("attention_lite.lab.runs.SCENES", 40)
    training = Training("one-digit", "self-attention", 0, 75)
    training.losses, training.seconds, training.cpu_seconds = [2.0] * 75, 3.4, 2.6
    net = untrained("one-digit", "self-attention", 0)
    record = describe("one-digit", "self-attention", 0, net, training)
    assert record["losses"] == [2.0, 2.0]
    assert record["scenes"] == 40
    assert (record["steps"], record["seconds"], record["cpu_seconds"], record["device"]) == (75, 3, 3, "cpu")
    assert record["command"] == "python -m attention_lite.lab train self-attention --task one-digit --seed 0"
    assert "scalars" not in record
    for split, seed in (("validation", 1), ("test", 2)):
        measured = scoring.accuracy(net, OneDigit(split).sample(40, seed))
        assert record[f"{split}_accuracy"] == measured
    json.dumps(record)

    training = Training("cued-segmentation", "danet", 1, 75)
    training.losses = [1.0]
    record = describe("cued-segmentation", "danet", 1, training.net.eval(), training)
    assert record["scalars"] == {"alpha": [0.0], "beta": [0.0]}
    assert record["test_iou"] == scoring.iou(training.net, CuedSegmentation("test").sample(40, 2))
    assert not any("accuracy" in key for key in record)


def test_a_training_elsewhere_says_so(monkeypatch):
    assert checkpoints.command("one-digit", "none", 1, "cuda").endswith(" --seed 1 --device cuda")
    monkeypatch.setattr("attention_lite.lab.runs.SCENES", 5)
    monkeypatch.setattr(torch.cuda, "get_device_name", lambda device: f"a card for {device}")
    training = Training("one-digit", "none", 0, 5)
    training.losses, training.device = [1.0], "cuda"
    record = describe("one-digit", "none", 0, training.net.eval(), training)
    assert record["device"] == "a card for cuda"
    assert record["command"].endswith(" --device cuda")


# Command line


@pytest.mark.parametrize(("arguments", "message"), [
    (["train", "vit"], f"error: model must be one of {', '.join(TRAINED)}; got 'vit'"),
    (["train", "se", "--task", "reading"],
     f"error: task must be one of {', '.join(every_recipe())}; got 'reading'"),
    (["train", "emsa-4", "--task", "one-digit"],
     f"error: model must be one of {', '.join(RECIPES['one-digit'].models)} in the task one-digit; got 'emsa-4'"),
    (["train", "se", "--seed", "0", "7"], "error: seed must be one of 0, 1, 2, 3, 4 for se in the task "
                                          "context-gating; got 7"),
    (["train", "emsa-4", "--seed", "3"], "error: seed must be one of 0, 1, 2 for emsa-4 in the task cued-search; "
                                         "got 3"),
])
def test_the_command_refuses_what_it_does_not_know_and_lists_what_it_does(arguments, message, capsys, tmp_path):
    assert main([*arguments, "--folder", str(tmp_path)]) == 2
    assert capsys.readouterr().err.strip() == message
    assert os.listdir(tmp_path) == []


def test_the_command_trains_and_writes(capsys, tmp_path, monkeypatch):
    monkeypatch.setitem(RECIPES, "one-digit", dataclasses.replace(RECIPES["one-digit"], steps=3))
    monkeypatch.setattr("attention_lite.lab.runs.SCENES", 50)
    threads = torch.get_num_threads()
    try:
        folder = str(tmp_path / "new")
        assert main(["train", "none", "--task", "one-digit", "--seed", "0", "2", "--folder", folder]) == 0
    finally:
        torch.set_num_threads(threads)
    names = ["one-digit--none--0.safetensors", "one-digit--none--2.safetensors"]
    assert sorted(os.listdir(tmp_path / "new")) == names
    printed = capsys.readouterr()
    assert all(name in printed.out for name in names)
    assert "100%" in printed.err
    net, record = load_checkpoint("one-digit", "none", 2, tmp_path / "new")
    scenes = OneDigit("test").sample(50, TEST_SEED)
    assert scoring.accuracy(net, scenes) == record["test_accuracy"]


def test_a_folder_that_cannot_be_written_is_refused_before_the_training(capsys, tmp_path):
    (tmp_path / "file").write_text("")
    assert main(["train", "se", "--folder", str(tmp_path / "file")]) == 1
    printed = capsys.readouterr().err
    assert "error: " in printed
    assert "nothing was written" in printed
    assert "%" not in printed                             # no progress bar: no training was begun


def test_a_full_disk_ends_the_command_in_one_line(capsys, tmp_path, monkeypatch):
    monkeypatch.setitem(RECIPES, "one-digit", dataclasses.replace(RECIPES["one-digit"], steps=3))
    monkeypatch.setattr("attention_lite.lab.runs.SCENES", 10)

    def refuse(handle: int) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(os, "fsync", refuse)
    assert main(["train", "none", "--task", "one-digit", "--folder", str(tmp_path)]) == 1
    assert "error: [Errno 28] No space left on device; nothing was written" in capsys.readouterr().err
    assert os.listdir(tmp_path) == []


@pytest.mark.thorough
def test_the_command_lists_the_checkpoints(capsys):
    assert main(["list"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert len(lines) == len(RUNS)
    for (task, model, seed), line in zip(RUNS, lines, strict=True):
        assert line.split()[:4] == [task, model, "seed", str(seed)]
        figure, record = figure_of(task)[0], load_checkpoint(task, model, seed)[1]
        assert line.endswith(f"{figure:8}  validation {record[f'validation_{figure}']:.3f}  "
                             f"test {record[f'test_{figure}']:.3f}")
        assert str(record["parameters"]) in line.split()
        assert (figure == "iou") == (task == "cued-segmentation")


STEPS = """
import dataclasses, os, sys, time
from attention_lite.lab import RECIPES, runs, training
from attention_lite.lab.__main__ import main
runs.SCENES = 50
RECIPES["one-digit"] = dataclasses.replace(RECIPES["one-digit"], steps={steps}, batch=8)
def step(self, real=training.Training.step):
    real(self)
    time.sleep(0.05 if "SLOW" in os.environ else 0)       # so that a signal comes in the middle
training.Training.step = step
sys.exit(main({arguments}))
"""


def start(arguments: list[str], steps: int, **environment: str) -> subprocess.Popen:
    """The command in a process of its own, with a shorter training."""
    return subprocess.Popen(
        [sys.executable, "-c", STEPS.format(steps=steps, arguments=arguments)],
        cwd=Path(__file__).parent.parent, stderr=subprocess.PIPE, stdout=subprocess.PIPE, env=os.environ | environment,
        # A shell's background job starts with SIGINT ignored, and its children inherit that.
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL))


def wait_for(pattern: bytes, process: subprocess.Popen) -> None:
    """Read the progress bar until it shows `pattern`."""
    seen = b""
    while not re.search(pattern, seen):
        part = process.stderr.read1()
        assert part, seen.decode()                        # it ended by itself
        seen += part


@pytest.mark.thorough
def test_ctrl_c_in_a_training_saves_its_state_and_the_same_command_goes_on(tmp_path, monkeypatch):
    """A real process and a real signal, sent when the progress bar shows that the training is under way."""
    older = tmp_path / "one-digit--none--1.safetensors"
    older.write_bytes(b"an older checkpoint")
    command = ["train", "none", "--task", "one-digit", "--seed", "1", "--folder", str(tmp_path)]
    process = start(command, 100, SLOW="yes")
    wait_for(rb"\| [1-9]\d*/100 ", process)
    process.send_signal(signal.SIGINT)
    out, rest = process.communicate(timeout=60)
    assert process.returncode == 130
    state = state_of("one-digit", "none", 1, tmp_path)
    assert f"stopped; its state lies in {state}: the same command goes on from there" in rest.decode()
    assert b"Traceback" not in rest
    assert out == b""
    assert sorted(os.listdir(tmp_path)) == [older.name, state.name]
    assert older.read_bytes() == b"an older checkpoint"   # until there is a better one
    begun = Training("one-digit", "none", 1, 100)
    begun.load(state)
    assert 1 <= len(begun.losses) < 100

    process = start(command, 100)
    out, rest = process.communicate(timeout=120)
    assert process.returncode == 0, rest.decode()
    assert f"| {len(begun.losses)}/100 " in rest.decode().split("\r")[1]           # it went on from there
    assert os.listdir(tmp_path) == [older.name]
    net, record = load_checkpoint("one-digit", "none", 1, tmp_path)
    small(monkeypatch, "one-digit")
    straight, losses = train("one-digit", "none", 1, steps=100, progress=False)
    for name, tensor in checkpoints.round_to_half(straight).state_dict().items():
        assert torch.equal(net.state_dict()[name], tensor), name
    assert record["losses"] == [round(sum(losses[i:i + EVERY]) / EVERY, 3) for i in (0, 50)]


def test_a_second_ctrl_c_interrupts_at_once():
    """The first one sets a flag, for those who look at it; the second is an ordinary Ctrl-C again."""
    before = signal.getsignal(signal.SIGINT)
    signal.signal(signal.SIGINT, signal.default_int_handler)
    try:
        with stop_on_ctrl_c() as stop:
            assert not stop()
            os.kill(os.getpid(), signal.SIGINT)
            assert stop()
            with pytest.raises(KeyboardInterrupt):
                os.kill(os.getpid(), signal.SIGINT)
        assert signal.getsignal(signal.SIGINT) is signal.default_int_handler
    finally:
        signal.signal(signal.SIGINT, before)


@pytest.mark.parametrize(("task", "model", "figure"), [("context-gating", "se", "test_accuracy"),
                                                       ("cued-segmentation", "danet", "test_iou")])
def test_what_the_trained_networks_reached_is_what_their_records_say(task, model, figure):
    seeds = recipe_of(task).seeds_of(model)
    assert reached(task, model) == [load_checkpoint(task, model, seed)[1][figure] for seed in seeds]
    with pytest.raises(ValueError, match="model must be one of"):
        reached(task, "no such")
