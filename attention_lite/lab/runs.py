"""One run: train, or go on training, and write the checkpoint with the figures that it reached."""

import platform
import signal
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import torch
from torch import nn

from attention_lite.lab import checkpoints, measuring, scoring
from attention_lite.lab.recipes import recipe_of
from attention_lite.lab.training import EVERY, Training, run

SCENES = 2000            # scenes, on each side, behind a checkpoint's figures
VALIDATION_SEED, TEST_SEED = 1, 2
LEARNED = 2              # times what a network reaches that does not know which digit is meant
# The figure of a task whose answer is not a class.
FIGURES = {"cued-segmentation": ("iou", scoring.iou)}


def figure_of(task: str) -> tuple[str, Callable]:
    """The name of the figure that a task is judged by, and the function of network and scenes that gives it."""
    return FIGURES.get(recipe_of(task).task.name, ("accuracy", scoring.accuracy))


def learned(task: str, reached: float) -> bool:
    """Whether a training that ended at `reached`, on the test side, counts as one that has learned its task.

    It has if it reached twice what a blind choice does: two thirds where one digit of three is meant. The rule was
    fixed before the trainings of the ablations began. Trainings that stick end far below, so that a mean over both
    kinds, and an interval for bell-shaped scatter, say little: count them instead.
    """
    return reached >= LEARNED * recipe_of(task).task.blind


def finish(task: str, model: str, seed: int, folder: Path, progress: bool = True,
           stop: Callable[[], bool] = lambda: False, device: str = "cpu") -> dict | None:
    """Train a model to the end and write its checkpoint, or, if `stop` says so between two steps, its state so far.

    A state that an earlier call left in `folder` is taken up, and gone once the checkpoint is there: the result is
    that of a training which never stopped.

    Returns:
        The checkpoint's record, or None if the training was stopped.

    Raises:
        ValueError: if the state that lies in `folder` is damaged.
        OSError: if the folder cannot be written.
    """
    training = Training(task, model, seed, recipe_of(task).steps, device)
    state = state_of(task, model, seed, folder)
    if state.exists():
        training.load(state)
    if not run(training, f"{task} {model} seed {seed}", progress, stop):
        training.save(state)
        return None
    record = describe(task, model, seed, checkpoints.round_to_half(training.net.eval().cpu()), training)
    checkpoints.save_checkpoint(training.net, record, checkpoints.path_of(task, model, seed, folder))
    state.unlink(missing_ok=True)
    return record


def state_of(task: str, model: str, seed: int, folder: Path) -> Path:
    """Where the state of a stopped training lies."""
    return checkpoints.path_of(task, model, seed, folder).with_suffix(".stopped")


def describe(task: str, model: str, seed: int, net: nn.Module, training: Training) -> dict:
    """What a checkpoint records: how it was made, and the figures that `net` reached."""
    losses = training.losses
    figure, measure = figure_of(task)
    record = {
        "command": checkpoints.command(task, model, seed, training.device), "steps": len(losses),
        "task": task, "model": model, "seed": seed,
        "python": platform.python_version(), "torch": torch.__version__, "device": _name_of(training.device),
        "processor": measuring.processor(),
        "seconds": round(training.seconds), "cpu_seconds": round(training.cpu_seconds),
        "parameters": sum(p.numel() for p in net.parameters()),
        "losses": [round(sum(losses[i:i + EVERY]) / len(losses[i:i + EVERY]), 3) for i in range(0, len(losses), EVERY)],
        "scenes": SCENES,
    }
    if training.scalars:
        record["scalars"] = training.scalars
    for split, scenes_seed in (("validation", VALIDATION_SEED), ("test", TEST_SEED)):
        record[f"{split}_{figure}"] = measure(net, recipe_of(task).task(split).sample(SCENES, scenes_seed))
    return record


def _name_of(device: str) -> str:
    return device if device == "cpu" else torch.cuda.get_device_name(device)


@contextmanager
def stop_on_ctrl_c() -> Iterator[Callable[[], bool]]:
    """Let the first Ctrl-C set a flag, which the yielded function reads; a second one interrupts at once."""
    stopped = threading.Event()

    def first(number: int, frame: object) -> None:
        stopped.set()
        signal.signal(signal.SIGINT, before)

    before = signal.signal(signal.SIGINT, first)
    try:
        yield stopped.is_set
    finally:
        signal.signal(signal.SIGINT, before)
