"""The networks that run in the page: pictures, maps and scores are torch's, for every network that the lab trains."""

from __future__ import annotations

import base64
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from playwright.sync_api import Browser, Page
from torch import Tensor, nn

from attention_lite import AttentionBlock, explorers, force_gates, record_attention
from attention_lite.lab import RECIPES, TASKS, Scenes, draw, load_checkpoint, pictures
from attention_lite.lab.page_weights import pack
from attention_lite.lab.scenes import _all_crops, _crop, levels

NETWORKS = [(task, model) for task, recipe in RECIPES.items() for model in recipe.models]
FOLDER = Path(explorers.__file__).parent
SCENES, TOLERANCE = 20, 1e-4
# What the tests ask of a page: numbers travel as base64 of float32.
ASK = """
const decoded = (text) => Uint8Array.from(atob(text), (c) => c.charCodeAt(0));
const encoded = (numbers) => {
  const bytes = new Uint8Array(Float32Array.from(numbers).buffer);
  let text = "";
  for (let i = 0; i < bytes.length; i += 32768) text += String.fromCharCode(...bytes.subarray(i, i + 32768));
  return btoa(text);
};
const drawing = Drawing(), engine = Engine();
const opened = (scene) => ({
  ...scene, crop: decoded(scene.crop), glyphs: scene.levels.map((levels) => drawing.glyph(decoded(levels))),
});
const each = (object, f) => Object.fromEntries(Object.entries(object).map(([key, value]) => [key, f(value)]));
const seen = (run) => ({
  scores: encoded(run.scores),
  maps: each(run.blocks, ({ maps }) => each(maps, ({ shape, data }) => ({ shape, data: encoded(data) }))),
});
let net, scenes;
"""


@pytest.fixture(scope="module")
def room(browser: Browser) -> Iterator[Page]:
    """A page with the engine and the drawing, and nothing else."""
    page = browser.new_page()
    page.add_script_tag(content="\n".join((FOLDER / f"{name}.js").read_text(encoding="utf-8")
                                          for name in ("tensors", "mechanisms", "engine", "draw")) + ASK)
    yield page
    page.close()


def close(got: Tensor, expected: Tensor, tolerance: float = TOLERANCE) -> None:
    """Differences up to the tolerance, times the number itself where that is larger than 1."""
    torch.testing.assert_close(got / expected.abs().clamp(min=1), expected / expected.abs().clamp(min=1),
                               rtol=0, atol=tolerance)


def text(array: np.ndarray | Tensor) -> str:
    return base64.b64encode(np.ascontiguousarray(array).tobytes()).decode()


def numbers(encoded: str) -> Tensor:
    return torch.frombuffer(bytearray(base64.b64decode(encoded)), dtype=torch.float32)


@cache
def scenes_of(task: str, n: int = SCENES) -> Scenes:
    return TASKS[RECIPES[task].task.name]("test").sample(n, seed=1905)


def described(scenes: Scenes, i: int, scale: int = 1) -> dict[str, Any]:
    """Scene i as the page reads it; arrays in base64."""
    photo = scenes.photo[i].item()
    crop = (_all_crops(scenes.split, scenes.size)[photo] if scale == 1
            else (_crop(scenes.split, scenes.size, photo, scale) * 255).round().byte())
    fields = ("light", "contrast", "y", "x", "side", "angle", "opacity", "colour", "frame", "disc_yx", "disc_colour")
    values = {name: getattr(scenes, name) for name in fields}
    return {"size": scenes.size, "crop": text(crop), "levels": [text(levels(scenes.split)[g]) for g in scenes.glyph[i]],
            **{name: None if value is None else value[i].tolist() for name, value in values.items()}}


def show(room: Page, scenes: Scenes) -> None:
    room.evaluate("(list) => { scenes = list.map(opened); }", [described(scenes, i) for i in range(len(scenes))])


def run(room: Page, causes: dict[str, Any] | None = None) -> list[dict[str, Any]]:
    """What the network of the room makes of each of its scenes."""
    return room.evaluate("(causes) => scenes.map((scene) => seen(net.forward(drawing.pictures(scene), causes)))",
                         causes or {})


def opened(room: Page, task: str, model: str, seed: int = 0, trained: bool = True) -> nn.Module:
    """Load a network into the room, and return it."""
    packed = text(np.frombuffer(pack(task, model, seed, trained), np.uint8))
    room.evaluate("(text) => { net = engine.load(decoded(text)); }", packed)
    return load_checkpoint(task, model, seed)[0]


@torch.no_grad()
def recorded(net: nn.Module, x: Tensor) -> tuple[Tensor, dict[str, dict[str, Tensor]]]:
    """Scores, and the maps of the network's attention blocks, if it has any."""
    if not any(isinstance(module, AttentionBlock) for module in net.modules()):
        return net(x), {}
    with record_attention(net) as maps:
        return net(x), maps


def compare(found: list[dict[str, Any]], scores: Tensor, maps: dict[str, dict[str, Tensor]] | None = None) -> None:
    """Hold scores and maps of the page against torch's (n, …)."""
    for i, one in enumerate(found):
        assert maps is None or set(one["maps"]) == set(maps)
        close(numbers(one["scores"]), scores[i].flatten())
        for block, of_block in (maps or {}).items():
            for name, expected in of_block.items():
                got = one["maps"][block][name]
                assert got["shape"] == list(expected.shape[1:])
                close(numbers(got["data"]).reshape(got["shape"]), expected[i])


@pytest.mark.parametrize("task", RECIPES)
def test_the_page_draws_the_scenes_and_sees_the_pictures_that_the_lab_does(room: Page, task: str) -> None:
    scenes = scenes_of(task)
    show(room, scenes)
    drawn, seen = room.evaluate("() => [drawing.draw, (s) => drawing.pictures(s).data].map((f) => scenes.map((s) => "
                                "encoded(f(s))))")
    for i in range(SCENES):
        for got, expected in ((drawn, draw(scenes)), (seen, pictures(scenes))):
            close(numbers(got[i]), expected[i].flatten())


@pytest.mark.parametrize("task", TASKS)
def test_the_page_draws_crisper_for_readers(room: Page, task: str) -> None:
    scenes = TASKS[task]("test").sample(2, seed=3).replace(contrast=torch.tensor([0.5, 1.0]))
    got = room.evaluate("(list) => list.map((s) => encoded(drawing.draw(opened(s), 4)))",
                        [described(scenes, i, 4) for i in range(2)])
    for i in range(2):      # the crop is rounded to bytes here
        close(numbers(got[i]), draw(scenes, 4)[i].flatten(), 0.51 / 255 * 1.1 + TOLERANCE)


@pytest.mark.parametrize(("task", "model"), NETWORKS)
def test_maps_and_scores_are_those_of_torch(room: Page, task: str, model: str) -> None:
    show(room, scenes_of(task))
    net = opened(room, task, model)
    scores, maps = recorded(net, pictures(scenes_of(task)))
    compare(run(room), scores, maps)


@torch.no_grad()
def test_forced_gates_are_those_of_force_gates(room: Page) -> None:
    net = opened(room, "context-gating", "se")
    scenes = scenes_of("context-gating")[:5]
    show(room, scenes)
    x = pictures(scenes)
    own = net.block.attention(net.stem(x))["channel"]
    pulled, other = own.clone(), own[3].expand(5, -1)
    pulled[:, [7, 12]] = torch.tensor([1.0, 0.0])
    for gates, wanted in ((pulled, {"7": 1, "12": 0}), (other, other[0].tolist()), (0.5, 0.5),
                          (own.mean(1, keepdim=True).expand(-1, 48), "even")):
        with force_gates(net, {"block": gates}):
            scores = net(x)
        compare(run(room, {"set": {"channel": wanted}}), scores)
        compare(run(room, {"set": {"channel": wanted}, "only": "block"}), scores)
