"""The trainings behind the closing chapter: ten mechanisms and two controls, three tasks, five seeds, in one file.

`compare` makes what is missing of the file, and `load` reads it, refusing one that is not whole.
"""

import json
import math
import platform
import time
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import torch

from attention_lite.lab import checkpoints, evidence, measuring, pool, scoring
from attention_lite.lab.files import read_results, write_whole
from attention_lite.lab.recipes import COMPARED, FIVE_SEEDS, RECIPES
from attention_lite.lab.runs import TEST_SEED, VALIDATION_SEED, finish
from attention_lite.lab.training import pictures, untrained
from attention_lite.published import macs

FILE = Path(__file__).parent / "comparison.json"
COMMAND = "python -m attention_lite.lab compare"
TASKS = ("context-gating", "cued-search", "one-digit")
# One row each; the seeds come last, so that a file half made has whole columns of the first seeds.
RUNS = [(task, model, seed) for seed in FIVE_SEEDS for task in TASKS for model in COMPARED
        if seed in RECIPES[task].seeds_of(model)]
MAP_SCENES = 400         # on each side, behind a map's score and the deletions
COST_TASK = "cued-search"         # the network whose time and memory are measured
COST_SECONDS = 8         # of measuring for one seed's twelve networks, forward and step each


def load(path: Path = FILE) -> dict[str, list[dict]]:
    """Read the file of results: {"rows": [...], "costs": [...]}, one row a run, one cost a model and seed.

    Raises:
        ValueError: if the file is missing or not JSON, or a row is missing, doubled, unknown or without a number
            that every row has; names the row.
    """
    results = _read(path)
    wanted = {"rows": RUNS, "costs": [(COST_TASK, model, seed) for seed in FIVE_SEEDS for model in COMPARED]}
    for part, runs in wanted.items():
        seen = Counter(_run_of(row, part, path) for row in results[part])
        for run, times in seen.items():
            if run not in runs:
                raise ValueError(f"{path.name}: {part} hold {_name(run)}, which is none of the comparison")
            if times > 1:
                raise ValueError(f"{path.name}: {part} hold {_name(run)} {times} times; delete all but one")
        for run in runs:
            if run not in seen:
                raise ValueError(f"{path.name}: {part} lack {_name(run)}; make it with: {COMMAND}")
    for part, keys in (("rows", ("accuracy", "parameters", "macs")), ("costs", ("forward", "step", "peak_bytes"))):
        for row in results[part]:
            for key in keys:
                value = row.get(key)
                if isinstance(value, bool) or not isinstance(value, (int, float)) or not math.isfinite(value):
                    run = _name(_run_of(row, part, path))
                    raise ValueError(f"{path.name}: {part}, {run}: {key} must be a finite number, got {value!r}")
    return results


def _read(path: Path) -> dict[str, list[dict]]:
    results = read_results(path, COMMAND)
    if any(not isinstance(results.get(k), list) for k in ("rows", "costs")):
        raise ValueError(f"{path.name} must hold two lists, rows and costs; make it anew with: {COMMAND}")
    return results


def _run_of(row: Any, part: str, path: Path) -> pool.Run:
    try:
        return row["task"], row["model"], row["seed"]
    except (TypeError, KeyError) as error:
        raise ValueError(f"{path.name}: {part} hold a row without task, model and seed: {str(row)[:80]}") from error


def _name(run: pool.Run) -> str:
    return f"the row {run[0]}, {run[1]}, seed {run[2]}"


# Making the file


def compare(path: Path = FILE, folder: Path = checkpoints.FOLDER, processes: int = 2,
            stop: Callable[[], bool] = lambda: False, cluster: str | None = None) -> bool:
    """Make every row that the file lacks, several trainings side by side, and then the costs.

    With the address of a Dask cluster, the trainings whose checkpoints are missing run there and not in processes here.
    A checkpoint that lies in `folder` is judged and not trained again; rows of another checkpoint or number of scenes
    are made anew. When `stop` says so, the trainings under way leave their state in `folder`, and the next call goes
    on from there.

    Returns whether the file is whole.

    Raises:
        ValueError: if the file or a stopped training's state is damaged.
        OSError: if the file or the folder cannot be written.
    """
    results = _read(path) if path.exists() else {"rows": [], "costs": []}
    results = {"command": COMMAND, "rows": results["rows"], "costs": results["costs"]}
    results["rows"] = [row for row in results["rows"] if _is_current(row, _run_of(row, "rows", path), folder)]
    known = {_run_of(row, "rows", path) for row in results["rows"]}
    left = [run for run in RUNS if run not in known]
    _write(path, results)                      # a folder that cannot be written is refused before the training
    far = [] if cluster is None else [run for run in left if not checkpoints.path_of(*run, folder).exists()]
    for row in _everywhere(left, far, folder, processes, stop, cluster):
        results["rows"].append(row)
        results["rows"].sort(key=lambda row: RUNS.index(_run_of(row, "rows", path)))
        _write(path, results)
    if len(results["rows"]) < len(RUNS):
        return False
    costed = {row["seed"] for row in results["costs"]}
    for seed in (s for s in FIVE_SEEDS if s not in costed):
        if stop():
            return False
        results["costs"] += costs(seed)
        _write(path, results)
    return True


def _is_current(row: dict, run: pool.Run, folder: Path) -> bool:
    """Whether a row is of as many scenes as it would be now and, if its checkpoint is there, of that checkpoint."""
    if checkpoints.path_of(*run, folder).exists() and row.get("checkpoint") != checkpoints.mark(*run, folder):
        return False
    return row.get("map_scenes") == MAP_SCENES


def _write(path: Path, results: dict) -> None:
    """One row a line: differences between versions stay readable."""
    parts = [f'"command": {json.dumps(results["command"])}']
    for part in ("rows", "costs"):
        rows = ",\n".join(json.dumps(row, ensure_ascii=False) for row in results[part])
        parts.append(f'"{part}": [\n{rows}\n]' if rows else f'"{part}": []')
    write_whole(path, ("{\n" + ",\n".join(parts) + "\n}\n").encode())


def _everywhere(left: list[pool.Run], far: list[pool.Run], folder: Path, processes: int, stop: Callable[[], bool],
                cluster: str | None) -> Iterator[dict]:
    """The rows of the runs that are left: those of `far` made on a cluster, the others here."""
    if far:
        from attention_lite.lab import cluster as machines  # it knows this module

        yield from machines.rows(far, folder, cluster, stop)
    yield from pool.results(_row, [run for run in left if run not in far], folder, processes, stop)


def _row(task: str, model: str, seed: int, folder: Path, stop: Callable[[], bool]) -> dict | None:
    """In a worker: train unless that is done, and judge; None if told to stop before the row was whole."""
    trained = checkpoints.path_of(task, model, seed, folder).exists()
    if not trained and finish(task, model, seed, folder, progress=False, stop=stop) is None:
        return None
    return None if stop() else row(task, model, seed, folder)


def row(task: str, model: str, seed: int, folder: Path = checkpoints.FOLDER) -> dict:
    """Judge a checkpoint: its row in the file."""
    net, record = checkpoints.load_checkpoint(task, model, seed, folder)
    side = RECIPES[task].task
    validation = side("validation").sample(MAP_SCENES, VALIDATION_SEED)
    test = side("test").sample(MAP_SCENES, TEST_SEED)
    found = {
        "task": task, "model": model, "seed": seed, "accuracy": record["test_accuracy"],
        "validation_accuracy": record["validation_accuracy"], "parameters": record["parameters"],
        "macs": macs(net, side.size), "scenes": record["scenes"], "map_scenes": MAP_SCENES,
        "steps": record["steps"], "seconds": record["seconds"], "cpu_seconds": record["cpu_seconds"],
        "torch": record["torch"], "python": record["python"], "device": record.get("device", "cpu"),
        "checkpoint": checkpoints.mark(task, model, seed, folder),
    }
    score = evidence.map_score(task, net, validation, test)
    if score is not None:
        chosen, found["map_score"] = score
        found["map_score_untrained"] = evidence.map_score(task, untrained(task, model, seed), validation, test)[1]
        found["map_chance"] = evidence.chance(task, test, getattr(net, "grid", (1, 1)))
        deleted = evidence.deletion(task, net, test, chosen)
        if deleted is not None:
            found["deletion"] = deleted | {"nothing": scoring.accuracy(net, test)}
    return found


def costs(seed: int) -> list[dict]:
    """Time and memory of the twelve networks of one seed, measured side by side in this process on one thread.

    forward: seconds for one picture without gradients.  step: seconds for a forward and a backward pass of 64
    pictures.  peak_bytes: the most that such a step holds at a time beyond the network and its input.
    """
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        nets = {model: untrained(COST_TASK, model, seed) for model in COMPARED}
        scenes = RECIPES[COST_TASK].task("train").sample(RECIPES[COST_TASK].batch, seed)
        images = pictures(scenes)
        forward = {model: measuring.caller(net, images[:1], "forward") for model, net in nets.items()}
        seconds = measuring.interleaved(forward, COST_SECONDS)
        step = {model: measuring.caller(net, images, "step") for model, net in nets.items()}
        step_seconds = measuring.interleaved(step, COST_SECONDS)
        memory = {model: measuring.peak_memory(call) for model, call in step.items()}
    finally:
        torch.set_num_threads(threads)
    made = {"torch": torch.__version__, "python": platform.python_version(), "processor": measuring.processor(),
            "made": time.strftime("%Y-%m-%d")}
    return [{"task": COST_TASK, "model": model, "seed": seed, "forward": seconds[model]["median"],
             "step": step_seconds[model]["median"], "peak_bytes": memory[model], **made} for model in COMPARED]
