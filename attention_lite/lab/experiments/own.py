"""What the experiments on the lab's own networks share: the same test scenes, each network, its checkpoint's mark."""

from collections.abc import Callable, Iterator
from functools import cache

import torch
from torch import Tensor, nn

from attention_lite.lab import checkpoints
from attention_lite.lab.recipes import RECIPES, recipe_of
from attention_lite.lab.runs import SCENES, TEST_SEED, VALIDATION_SEED
from attention_lite.lab.scenes import Scenes
from attention_lite.lab.training import pictures

SETTINGS = {"scenes": SCENES, "test_seed": TEST_SEED, "validation_seed": VALIDATION_SEED}
CHUNK = 250              # scenes at a time


def runs(task: str, *models: str) -> list[dict]:
    """A run for each seed of these models that the book ships."""
    return [{"task": task, "model": model, "seed": seed} for model in models for seed in RECIPES[task].seeds_of(model)]


def mark(run: dict) -> str:
    """That of the checkpoint that a run looks at."""
    return checkpoints.mark(run["task"], run["model"], run["seed"])


def load(task: str, model: str, seed: int) -> nn.Module:
    """The trained network."""
    return checkpoints.load_checkpoint(task, model, seed)[0]


def recoloured(scenes: Scenes) -> Scenes:
    """The same scenes with the disc in the next digit's colour, so that this one is asked for."""
    asked = (scenes.target + 1) % 3
    return scenes.replace(disc_colour=scenes.colour[torch.arange(len(scenes)), asked], target=asked)


@cache
def test_scenes(task: str) -> Scenes:
    """The scenes that every figure of a checkpoint is taken on."""
    return recipe_of(task).task("test").sample(SCENES, TEST_SEED)


@cache
def validation_scenes(task: str) -> Scenes:
    """As many of the validation side: means that replace a picture's own weights are taken here."""
    return recipe_of(task).task("validation").sample(SCENES, VALIDATION_SEED)


def parts(scenes: Scenes) -> Iterator[tuple[Tensor, Scenes]]:
    """The pictures and their scenes, CHUNK at a time."""
    for start in range(0, len(scenes), CHUNK):
        part = scenes[start:start + CHUNK]
        yield pictures(part), part


@torch.no_grad()
def gathered(scenes: Scenes, look: Callable[[Tensor], Tensor]) -> Tensor:
    """What `look` sees in the pictures, side by side: (n, …)."""
    return torch.cat([look(images) for images, _ in parts(scenes)])


def share(right: Tensor) -> float:
    """The share of True."""
    return right.float().mean().item()
