"""Train one network of the lab, deterministically, from its recipe and a seed."""

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from tqdm import tqdm

from attention_lite import checks
from attention_lite.lab.recipes import RECIPES, Recipe, check_model
from attention_lite.lab.scenes import Scenes, draw

MEAN, STD = 0.45, 0.27   # of the photographs' grey levels, about; fixed, so that every network sees the same numbers


def pictures(scenes: Scenes) -> Tensor:
    """What the networks see: the scenes at scale 1, normalised, (n, 3, S, S)."""
    return ((draw(scenes) - MEAN) / STD).contiguous(memory_format=torch.channels_last)


def untrained(task: str, model: str, seed: int) -> nn.Module:
    """The network of `train` before its first step: the control for every map. In eval mode.

    Raises:
        ValueError: if `task` or `model` is unknown or `seed` is not an integer.
    """
    check_model(task, model)
    checks.integer("seed", seed)
    torch.manual_seed(seed)
    return RECIPES[task].build(model).to(memory_format=torch.channels_last).eval()


def train(task: str, model: str, seed: int, steps: int | None = None,
          progress: bool = True) -> tuple[nn.Module, list[float]]:
    """Train `model` on the training side of `task`.

    Args:
        task, model: as in `RECIPES`.
        seed: sets the initial weights and the scenes.
        steps: at least 3; default, the recipe's.
        progress: whether to show a progress bar.

    Returns:
        The network in eval mode, and the loss of every step.

    Raises:
        ValueError: if `task` or `model` is unknown, `seed` is not an integer, or `steps` not one of at least 3.
    """
    check_model(task, model)
    recipe = RECIPES[task]
    steps = recipe.steps if steps is None else steps
    checks.integer("steps", steps)
    if steps < 3:
        raise ValueError(f"steps must be at least 3, got {steps}")
    net = untrained(task, model, seed).train()
    side = recipe.task("train")
    generator = torch.Generator().manual_seed(100 + seed)
    optimiser, schedule = _optimiser(net, recipe, steps)
    losses = []
    bar = tqdm(range(steps), desc=f"{task} {model} seed {seed}", disable=not progress, unit="step")
    for step in bar:
        scenes = side.sample(recipe.batch, generator, recipe.hide(step / steps), recipe.contrast(step / steps))
        loss = F.cross_entropy(net(pictures(scenes)), scenes.answer)
        optimiser.zero_grad()
        loss.backward()
        nn.utils.clip_grad_norm_(net.parameters(), 2.0)
        optimiser.step()
        schedule.step()
        losses.append(loss.item())
        if step % 50 == 0:
            bar.set_postfix(loss=f"{sum(losses[-50:]) / len(losses[-50:]):.3f}")
    return net.eval(), losses


def _optimiser(net: nn.Module, recipe: Recipe, steps: int):
    """AdamW with a one-cycle schedule; the block's parameters may learn faster than the rest."""
    block = [] if recipe.block_lr == 1 else list(net.block.parameters())
    rest = [p for p in net.parameters() if all(p is not b for b in block)]
    rates = [recipe.lr, recipe.lr * recipe.block_lr][:1 + bool(block)]
    groups = [{"params": p, "lr": lr} for p, lr in zip((rest, block), rates, strict=False)]
    optimiser = torch.optim.AdamW(groups, weight_decay=recipe.weight_decay)
    warm_up = max(recipe.warm_up, 2 / steps)     # torch's schedule divides by zero when the warm-up is one step
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimiser, rates, total_steps=steps, pct_start=warm_up)
    return optimiser, schedule
