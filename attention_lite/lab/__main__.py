"""The lab's command line: python -m attention_lite.lab train se --seed 0."""

import argparse
import platform
import sys
import time
from pathlib import Path

import torch

from attention_lite.lab import checkpoints, scoring
from attention_lite.lab.recipes import RECIPES, check_run, home_task
from attention_lite.lab.training import train

SCENES = 2000            # scenes, on each side, behind a checkpoint's figures
VALIDATION_SEED, TEST_SEED = 1, 2


def main(arguments: list[str] | None = None) -> int:
    """Run the command line; returns the exit status."""
    parser = argparse.ArgumentParser(prog="python -m attention_lite.lab", description=__doc__)
    commands = parser.add_subparsers(dest="command", required=True)
    training = commands.add_parser("train", help="train one model and write its checkpoint")
    training.add_argument("model", help="; ".join(f"{name}: {', '.join(r.models)}" for name, r in RECIPES.items()))
    training.add_argument("--task", help="default: the first task that has the model")
    training.add_argument("--seed", type=int, nargs="+", default=[0], help="one or more")
    training.add_argument("--folder", type=Path, default=checkpoints.FOLDER, help="default: the package's own")
    commands.add_parser("list", help="list the checkpoints and their figures")
    options = parser.parse_args(arguments)
    try:
        return _list() if options.command == "list" else _train(options)
    except ValueError as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    except OSError as error:
        print(f"error: {error}; nothing was written", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        print("\nstopped: nothing was written for the run in progress", file=sys.stderr)
        return 130


def _train(options: argparse.Namespace) -> int:
    task = home_task(options.model) if options.task is None else options.task
    for seed in options.seed:
        check_run(task, options.model, seed)
    options.folder.mkdir(parents=True, exist_ok=True)     # refuses before the training, not after it
    torch.set_num_threads(1)     # nets this small train slower on two threads, and sums differ in the last bit
    for seed in options.seed:
        start, cpu_start = time.perf_counter(), time.process_time()
        net, losses = train(task, options.model, seed)
        record = describe(task, options.model, seed, checkpoints.round_to_half(net), losses)
        record["seconds"] = round(time.perf_counter() - start)
        record["cpu_seconds"] = round(time.process_time() - cpu_start)     # what the run cost, whatever else ran beside
        path = checkpoints.path_of(task, options.model, seed, options.folder)
        checkpoints.save_checkpoint(net, record, path)
        print(f"validation {record['validation_accuracy']:.3f}  test {record['test_accuracy']:.3f}  -> {path}")
    return 0


def describe(task: str, model: str, seed: int, net: torch.nn.Module, losses: list[float]) -> dict:
    """What a checkpoint records: how it was made, and the figures that it reached."""
    side = {split: RECIPES[task].task(split) for split in ("validation", "test")}
    return {
        "command": checkpoints.command(task, model, seed), "steps": len(losses),
        "task": task, "model": model, "seed": seed,
        "python": platform.python_version(), "torch": torch.__version__,
        "parameters": sum(p.numel() for p in net.parameters()),
        "losses": [round(sum(losses[i:i + 50]) / len(losses[i:i + 50]), 3) for i in range(0, len(losses), 50)],
        "validation_accuracy": scoring.accuracy(net, side["validation"].sample(SCENES, VALIDATION_SEED)),
        "test_accuracy": scoring.accuracy(net, side["test"].sample(SCENES, TEST_SEED)),
        "scenes": SCENES,
    }


def _list() -> int:
    for task, recipe in RECIPES.items():
        for model in recipe.models:
            for seed in recipe.seeds:
                _, record = checkpoints.load_checkpoint(task, model, seed)
                print(f"{task:20}{model:20}seed {seed}  parameters {record['parameters']:6}  "
                      f"validation {record['validation_accuracy']:.3f}  test {record['test_accuracy']:.3f}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
