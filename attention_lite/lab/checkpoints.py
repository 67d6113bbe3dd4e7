"""Trained weights on disk: safetensors in half precision, with the figures that they reached and how they were made."""

import hashlib
import json
from pathlib import Path

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save
from torch import nn

from attention_lite.lab.files import write_whole
from attention_lite.lab.precision import float32
from attention_lite.lab.recipes import check_model, check_run, recipe_of

FOLDER = Path(__file__).parent / "checkpoints"
LARGEST = 1_000_000      # bytes


def path_of(task: str, model: str, seed: int, folder: Path = FOLDER) -> Path:
    """Where a checkpoint lies."""
    return folder / f"{task}--{model}--{seed}.safetensors"


def mark(task: str, model: str, seed: int, folder: Path = FOLDER) -> str:
    """What tells a checkpoint from one that was trained anew: the start of its file's SHA-256."""
    return hashlib.sha256(path_of(task, model, seed, folder).read_bytes()).hexdigest()[:16]


def round_to_half(net: nn.Module) -> nn.Module:
    """Round the weights to what half precision can hold, in place: figures are taken of what is saved."""
    with torch.no_grad():
        for tensor in net.state_dict().values():
            if tensor.is_floating_point():
                tensor.copy_(tensor.half())
    return net


def save_checkpoint(net: nn.Module, record: dict, path: Path) -> None:
    """Write weights and record, or nothing: the file appears under its name only when it is whole.

    Raises:
        ValueError: if the checkpoint would be larger than `LARGEST`.
        OSError: if the disk refuses; no half-written file stays.
    """
    weights = {k: v.half().contiguous() if v.is_floating_point() else v for k, v in net.state_dict().items()}
    data = save(weights, metadata={"record": json.dumps(record, sort_keys=True)})
    if len(data) > LARGEST:
        raise ValueError(f"net must take at most {LARGEST} bytes as a checkpoint, got {len(data)}")
    write_whole(path, data)


@float32()
def load_checkpoint(task: str, model: str, seed: int, folder: Path = FOLDER) -> tuple[nn.Module, dict]:
    """Return the trained network, in eval mode and float32, and the record of how it was made and what it reached.

    Raises:
        ValueError: if the task, model or seed is unknown, or the checkpoint is missing or damaged or of another
            version of the network; says how to make it.
    """
    seed = check_run(task, model, seed)
    path = path_of(task, model, seed, folder)
    if not path.is_file():
        raise ValueError(f"no checkpoint {path.name} in {path.parent}; make it with: {command(task, model, seed)}")
    net = recipe_of(task).build(model)
    try:
        with safe_open(path, framework="pt") as file:
            record = json.loads(file.metadata()["record"])
            net.load_state_dict({key: file.get_tensor(key) for key in file.keys()})    # noqa: SIM118  (not iterable)
    except (SafetensorError, TypeError, KeyError, ValueError, RuntimeError) as error:
        why, remedy = " ".join(str(error).split()), f"make it anew with: {command(task, model, seed)}"
        raise ValueError(f"checkpoint {path} does not fit the network {model} ({why}); {remedy}") from error
    return net.to(memory_format=torch.channels_last).eval(), record


def reached(task: str, model: str) -> list[float]:
    """The accuracy of each trained network of `model` on the task's test scenes, or its IoU where it paints, by seed.

    Raises:
        ValueError: those of `load_checkpoint`.
    """
    check_model(task, model)
    records = [load_checkpoint(task, model, seed)[1] for seed in recipe_of(task).seeds_of(model)]
    return [record.get("test_accuracy", record.get("test_iou")) for record in records]


def command(task: str, model: str, seed: int, device: str = "cpu") -> str:
    """The command that makes a checkpoint."""
    elsewhere = "" if device == "cpu" else f" --device {device}"
    return f"python -m attention_lite.lab train {model} --task {task} --seed {seed}{elsewhere}"
