"""Train one network of the lab, deterministically, from its recipe and a seed; stop at any step, go on later."""

import json
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import torch
from safetensors import safe_open
from safetensors.torch import save
from torch import Tensor, nn
from tqdm import tqdm

from attention_lite import checks
from attention_lite.lab.files import write_whole
from attention_lite.lab.precision import float32
from attention_lite.lab.recipes import Recipe, check_model, recipe_of
from attention_lite.lab.scenes import Scenes, draw

MEAN, STD = 0.45, 0.27   # of the photographs' grey levels, about; fixed, so that every network sees the same numbers
EVERY = 50               # steps between two notes of the loss and of the network's single numbers


def pictures(scenes: Scenes, photograph: np.ndarray | None = None) -> Tensor:
    """What the networks see: the scenes at scale 1, normalised, (n, 3, S, S); on the reader's own photograph, if any.

    Raises:
        ValueError: if `photograph` is not as `open_photograph` returns it.
    """
    return ((draw(scenes, photograph=photograph) - MEAN) / STD).contiguous(memory_format=torch.channels_last)


@float32()
def untrained(task: str, model: str, seed: int) -> nn.Module:
    """The network of `train` before its first step: the control for every map. In eval mode.

    Raises:
        ValueError: if `task` or `model` is unknown or `seed` is not an integer.
    """
    check_model(task, model)
    seed = checks.integer("seed", seed)
    torch.manual_seed(seed)
    return recipe_of(task).build(model).to(memory_format=torch.channels_last).eval()


class Training:
    """A training under way: `step` takes one step; `save` and `load` let another process go on, to the same end.

    net: the network, in training mode.  losses: one number a step.
    seconds, cpu_seconds: the time that the steps took, on the clock and of the processor.
    scalars: the network's parameters that are single numbers, such as DANet's alpha and beta: their values before
        the first step and after every EVERY steps.
    """

    def __init__(self, task: str, model: str, seed: int, steps: int, device: str = "cpu") -> None:
        self.recipe, self.steps, self.device = recipe_of(task), steps, device
        self.net = untrained(task, model, seed).to(device).train()
        self.side = self.recipe.task("train")
        self.generator = torch.Generator().manual_seed(100 + seed)
        self.optimiser, self.schedule = _optimiser(self.net, self.recipe, model, steps)
        self.seconds = self.cpu_seconds = 0.0
        self.losses: list[float] = []
        self.scalars: dict[str, list[float]] = {}
        self._note_scalars()

    @property
    def done(self) -> bool:
        return len(self.losses) >= self.steps

    def step(self) -> None:
        """Draw a batch, and take one step of the optimiser."""
        start, cpu_start = time.perf_counter(), time.process_time()
        progress = len(self.losses) / self.steps
        scenes = self.side.sample(self.recipe.batch, self.generator, self.recipe.hide(progress),
                                  self.recipe.contrast(progress))
        output = self.net(pictures(scenes).to(self.device))
        loss = self.side.loss(output, scenes)
        self.optimiser.zero_grad()
        loss.backward()
        nn.utils.clip_grad_norm_(self.net.parameters(), 2.0)
        self.optimiser.step()
        self.schedule.step()
        self.losses.append(loss.item())
        if len(self.losses) % EVERY == 0:
            self._note_scalars()
        self.seconds += time.perf_counter() - start
        self.cpu_seconds += time.process_time() - cpu_start

    def _note_scalars(self) -> None:
        for name, parameter in self.net.named_parameters():
            if parameter.dim() == 0:
                self.scalars.setdefault(name.rsplit(".")[-1], []).append(round(parameter.item(), 5))

    def save(self, path: Path) -> None:
        """Write all that the training is made of, whole or not at all."""
        state = self.optimiser.state_dict()
        tensors = {f"net.{name}": t.contiguous() for name, t in self.net.state_dict().items()}
        tensors |= {f"optimiser.{i}.{name}": t.contiguous() for i, s in state["state"].items() for name, t in s.items()}
        tensors["generator"] = self.generator.get_state()
        numbers = {"losses": self.losses, "scalars": self.scalars, "steps": self.steps, "seconds": self.seconds,
                   "cpu_seconds": self.cpu_seconds, "groups": state["param_groups"],
                   "schedule": self.schedule.state_dict()}
        write_whole(path, save(tensors, metadata={"numbers": json.dumps(numbers)}))

    def load(self, path: Path) -> None:
        """Go on where another training of the same task, model, seed and number of steps was saved.

        Raises:
            ValueError: if the file is damaged, or of another training.
        """
        try:
            with safe_open(path, framework="pt") as file:
                numbers = json.loads(file.metadata()["numbers"])
                tensors = {key: file.get_tensor(key) for key in file.keys()}   # noqa: SIM118  (not iterable)
            if numbers["steps"] != self.steps:
                raise ValueError(f"it has {numbers['steps']} steps, not {self.steps}")
            self.net.load_state_dict({k.removeprefix("net."): t for k, t in tensors.items() if k.startswith("net.")})
            state: dict[int, dict[str, Tensor]] = {}
            for key in (k for k in tensors if k.startswith("optimiser.")):
                _, number, name = key.split(".")
                state.setdefault(int(number), {})[name] = tensors[key]
            self.optimiser.load_state_dict({"state": state, "param_groups": numbers["groups"]})
            self.schedule.load_state_dict(numbers["schedule"])
            self.generator.set_state(tensors["generator"])
            self.losses, self.scalars = numbers["losses"], numbers["scalars"]
            self.seconds, self.cpu_seconds = numbers["seconds"], numbers["cpu_seconds"]
        except Exception as error:
            why = " ".join(str(error).split())
            raise ValueError(f"the stopped training {path} cannot go on ({why}); delete it to begin anew") from error


def train(task: str, model: str, seed: int, steps: int | None = None,
          progress: bool = True) -> tuple[nn.Module, list[float]]:
    """Train `model` on the training side of `task`.

    Args:
        task, model: as in `RECIPES` or `ABLATIONS`.
        seed: sets the initial weights and the scenes.
        steps: at least 3; default, the recipe's.
        progress: whether to show a progress bar.

    Returns:
        The network in eval mode, and the loss of every step.

    Raises:
        ValueError: if `task` or `model` is unknown, `seed` is not an integer, or `steps` not one of at least 3.
    """
    check_model(task, model)
    steps = recipe_of(task).steps if steps is None else steps
    steps = checks.integer("steps", steps)
    if steps < 3:
        raise ValueError(f"steps must be at least 3, got {steps}")
    seed = checks.integer("seed", seed)
    training = Training(task, model, seed, steps)
    run(training, f"{task} {model} seed {seed}", progress)
    return training.net.eval(), training.losses


def run(training: Training, name: str, progress: bool = True, stop: Callable[[], bool] = lambda: False) -> bool:
    """Take the steps that are left, with a progress bar called `name`; between two steps, heed `stop`.

    Returns whether the training is done.
    """
    with tqdm(total=training.steps, initial=len(training.losses), desc=name, disable=not progress, unit="step") as bar:
        while not training.done and not stop():
            training.step()
            bar.update()
            if len(training.losses) % EVERY == 1:
                last = training.losses[-EVERY:]
                bar.set_postfix(loss=f"{sum(last) / len(last):.3f}", refresh=False)
    return training.done


def _optimiser(net: nn.Module, recipe: Recipe, model: str, steps: int):
    """AdamW with a one-cycle schedule; the parameters of a gate may learn faster than the rest."""
    fast = recipe.block_lr != 1 and model in recipe.fast
    block = list(net.block.parameters()) if fast else []
    rest = [p for p in net.parameters() if all(p is not b for b in block)]
    rates = [recipe.lr, recipe.lr * recipe.block_lr][:1 + bool(block)]
    groups = [{"params": p, "lr": lr} for p, lr in zip((rest, block), rates, strict=False)]
    optimiser = torch.optim.AdamW(groups, weight_decay=recipe.weight_decay)
    warm_up = max(recipe.warm_up, 2 / steps)     # torch's schedule divides by zero when the warm-up is one step
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimiser, rates, total_steps=steps, pct_start=warm_up)
    return optimiser, schedule
