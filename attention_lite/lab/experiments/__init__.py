"""Experiments on trained networks, others' and the lab's own: what is measured, and the one file of results.

`make` adds the rows that the file lacks, and `load` reads it, refusing one that is not whole.
"""

import json
import platform
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from tqdm import tqdm

from attention_lite.lab import page_transformer, truth
from attention_lite.lab.experiments import (
    ablations,
    binding,
    coarse_keys,
    cues,
    deletion,
    denoising,
    eight_bits,
    frame_gates,
    gates,
    grounds,
    kernels,
    keys,
    likeness,
    lines,
    loudness,
    neighbours,
    own,
    painted_over,
    shares,
    slots,
    sums,
    switched_off,
    two_more,
)
from attention_lite.lab.files import read_results, write_whole
from attention_lite.lab.measuring import processor
from attention_lite.lab.weights import WEIGHTS

FILE = Path(__file__).parent.parent / "experiments.json"
COMMAND = "python -m attention_lite.lab experiments"
DIGITS = 4
LAB = "lab"              # in the place of a pretrained network's name: the checkpoints that the runs name


@dataclass(frozen=True)
class Experiment:
    """What is measured: `measure(**run)` gives a row for each run, with these settings.

    network: the pretrained one that all rows look at; or LAB, and each run names a checkpoint, if it looks at one; or
        None: each row trains its own.
    """

    runs: list[dict]
    measure: Callable[..., dict]
    network: str | None
    settings: dict


EXPERIMENTS: dict[str, Experiment] = {
    "slots": Experiment(slots.RUNS, slots.measure, "vision-transformer", {
        "slots": slots.SLOTS, "left_out": [list(names) for names in slots.LEFT_OUT], "crops": slots.CROPS,
        "smallest_crop": slots.SMALLEST_CROP, "steps": slots.STEPS, "batch": slots.BATCH, "rate": slots.RATE,
        "least_area": slots.LEAST_AREA}),
    "keys": Experiment(keys.RUNS, keys.measure, "vision-transformer", {
        "draws": keys.DRAWS, "layers": {name: list(layers) for name, layers in keys.LAYERS.items()}}),
    "gates": Experiment(gates.RUNS, gates.measure, "text-detector", {
        "photographs": list(gates.NAMES), "stopped_on": gates.STOPPED_ON, "left_out": gates.LEFT_OUT,
        "crops": gates.CROPS, "smallest_crop": gates.SMALLEST_CROP, "pixels": gates.SIDE, "steps": gates.STEPS,
        "every": gates.EVERY, "batch": gates.BATCH, "rate": gates.RATE}),
    "likeness": Experiment(likeness.RUNS, likeness.measure, "vision-transformer", {
        "temperatures": list(likeness.TEMPERATURES),
        "halves": {half: list(names) for half, names in truth.HALVES.items()}}),
    "deletion": Experiment(deletion.RUNS, deletion.measure, "vision-transformer", {"away": deletion.AWAY}),
    "eight-bits": Experiment(eight_bits.RUNS, eight_bits.measure, "vision-transformer", {
        "group": page_transformer.GROUP, "pixel_group": page_transformer.PIXEL_GROUP}),
    "denoising": Experiment(denoising.RUNS, denoising.measure, LAB, {
        "noise": denoising.NOISE, "side": denoising.SIDE, "source": denoising.SOURCE,
        "tuning": list(denoising.TUNING), "tried": {name: list(tried) for name, tried in denoising.SETTINGS.items()}}),
    "frame-gates": Experiment(frame_gates.RUNS, frame_gates.measure, LAB, own.SETTINGS | {"shut": frame_gates.SHUT}),
    "neighbours": Experiment(neighbours.RUNS, neighbours.measure, LAB, own.SETTINGS | {"orders": neighbours.ORDERS}),
    "painted-over": Experiment(painted_over.RUNS, painted_over.paint, LAB, own.SETTINGS | {
        "block": painted_over.BLOCK, "lowest": painted_over.LOWEST, "highest": painted_over.HIGHEST}),
    "exchanged-maps": Experiment(painted_over.EXCHANGED, painted_over.exchange, LAB, own.SETTINGS),
    "exchanged-lines": Experiment(lines.RUNS, lines.measure, LAB, own.SETTINGS),
    "size-and-ink": Experiment(kernels.CURVES, kernels.curves, LAB, own.SETTINGS | {
        "tried_afterwards": [list(pair) for pair in kernels.TRIED_AFTERWARDS]}),
    "forced-shares": Experiment(shares.RUNS, shares.measure, LAB, own.SETTINGS),
    "hidden-units": Experiment(kernels.HIDDEN, kernels.hidden_units, LAB, own.SETTINGS),
    "fresh-gates": Experiment(kernels.FRESH, kernels.fresh_gates, LAB, {}),
    "strengths": Experiment(switched_off.STRENGTHS, switched_off.strengths, LAB, own.SETTINGS),
    "outputs": Experiment(switched_off.OUTPUTS, switched_off.outputs, LAB, own.SETTINGS),
    "sums": Experiment(sums.RUNS, sums.measure, LAB, own.SETTINGS),
    "loudness": Experiment(loudness.RUNS, loudness.measure, LAB, own.SETTINGS),
    "cues": Experiment(cues.RUNS, cues.measure, LAB, own.SETTINGS | {
        "scales": cues.SCALES, "forbidden": list(cues.FORBIDDEN)}),
    "coarse-keys": Experiment(coarse_keys.RUNS, coarse_keys.measure, LAB, own.SETTINGS | {"known": coarse_keys.KNOWN}),
    "one-map": Experiment(two_more.ONE_MAP, two_more.one_map, LAB, own.SETTINGS),
    "no-weights": Experiment(two_more.NO_WEIGHTS, two_more.no_weights, LAB, own.SETTINGS),
    "grounds": Experiment(grounds.RUNS, grounds.measure, LAB, own.SETTINGS),
    "other-gates": Experiment(ablations.GATES, ablations.measure, None, own.SETTINGS),
    "one-rate": Experiment(ablations.ONE_RATE, ablations.measure, None, own.SETTINGS),
    "other-starts": Experiment(ablations.STARTS, ablations.measure, None, own.SETTINGS),
    "other-mixes": Experiment(ablations.MIXES, ablations.measure, None, own.SETTINGS),
    "one-softmax": Experiment(ablations.ONE_SOFTMAX, ablations.measure, None, own.SETTINGS),
    "binding": Experiment(binding.RUNS, binding.measure, None, own.SETTINGS),
    "gated-segmentation": Experiment(ablations.GATED, ablations.measure, None, own.SETTINGS),
}


class Results(dict):
    """Experiments by their names; one that the file does not hold is refused when it is asked for."""

    def __missing__(self, name: str) -> dict:
        raise ValueError(f"no rows of {name}; make them with: {COMMAND} {name}")


def load(path: Path = FILE) -> Results:
    """Read the file: for each experiment that it holds {"settings", "made_with", "cpu_seconds", "rows"}, a row a run.

    Raises:
        ValueError: if the file is missing or not JSON, or the rows are not those of the experiments; names the row.
    """
    results = _read(path)
    for name in results:
        experiment, rows = EXPERIMENTS[name], results[name]["rows"]
        for run in experiment.runs:
            times = sum(_is(row, run) for row in rows)
            if times != 1:
                raise ValueError(f"{path.name}: {name} must hold one row {run}, got {times}; "
                                 f"make it with: {COMMAND} {name}")
        if len(rows) > len(experiment.runs):
            raise ValueError(f"{path.name}: {name} must hold {len(experiment.runs)} rows, got {len(rows)}")
    return Results(results)


def rows_of(name: str, model: str) -> list[dict]:
    """The rows of an experiment that look at one model, in the order of their seeds."""
    return [row for row in load()[name]["rows"] if row["model"] == model]


def reached(name: str, model: str) -> list[float]:
    """The accuracy, or IoU, on the test scenes of each training of `model` in an experiment that trains its own."""
    return [row["test_iou" if "test_iou" in row else "test_accuracy"] for row in rows_of(name, model)]


def make(names: list[str], path: Path = FILE, stop: Callable[[], bool] = lambda: False) -> bool:
    """Measure the rows that the file lacks, and write it after each; rows of other settings or versions are made anew.

    Returns whether all these experiments are whole; not so when `stop`, asked before each row, said so.

    Raises:
        ValueError: if a name is unknown, the file is damaged, or a network's weights are missing.
        OSError: if the file cannot be written.
    """
    for name in names:
        if name not in tuple(EXPERIMENTS):
            raise ValueError(f"name must be one of {', '.join(EXPERIMENTS)}; got {name!r}")
    results = _read(path) if path.exists() else {}
    _write(path, results)                      # a folder that cannot be written is refused before the work
    for name in names:
        experiment = EXPERIMENTS[name]
        part = _begun(experiment, results.get(name, {}))
        results[name] = part
        left = [run for run in experiment.runs if not any(_is(row, run) for row in part["rows"])]
        for run in tqdm(left, desc=name, unit="row", disable=not left):
            if stop():
                return False
            start, cpu_start = time.perf_counter(), time.process_time()
            row = run | _mark(experiment, run) | _rounded(experiment.measure(**run))
            row |= {"seconds": round(time.perf_counter() - start, 1), "processor": processor()}
            part["rows"].append(row)
            part["cpu_seconds"] = round(part["cpu_seconds"] + time.process_time() - cpu_start, 1)
            part["rows"].sort(key=lambda row: next(i for i, run in enumerate(experiment.runs) if _is(row, run)))
            _write(path, results)
    return True


def _begun(experiment: Experiment, part: dict) -> dict:
    """What the file has of an experiment, as far as it was made as it would be now; else nothing yet."""
    made_with = {"torch": torch.__version__, "python": platform.python_version()}
    if experiment.network not in (LAB, None):
        weights = WEIGHTS[experiment.network]
        made_with = {"weights": weights.requirement, "sha256": weights.sha256} | made_with
    made = {"settings": experiment.settings, "made_with": made_with}
    if any(part.get(key) != value for key, value in made.items()):
        return made | {"cpu_seconds": 0.0, "rows": []}
    current = [run | _mark(experiment, run) for run in experiment.runs]
    return part | {"rows": [row for row in part["rows"] if any(_is(row, run) for run in current)]}


def _mark(experiment: Experiment, run: dict) -> dict:
    """What a row notes of the checkpoint that it looks at: a row of one that was trained anew is made anew."""
    return {"checkpoint": own.mark(run)} if experiment.network == LAB and "model" in run else {}


def _is(row: dict, run: dict) -> bool:
    return all(row.get(key) == value for key, value in run.items())


def _rounded(value: Any) -> Any:
    """The same with its numbers rounded, for a file."""
    if isinstance(value, float):
        return round(value, DIGITS)
    if isinstance(value, dict):
        return {key: _rounded(inner) for key, inner in value.items()}
    return [_rounded(inner) for inner in value] if isinstance(value, list) else value


# The file


def _read(path: Path) -> dict[str, dict]:
    results = read_results(path, COMMAND)
    known = {name: results[name] for name in EXPERIMENTS if name in results}
    for name, part in known.items():
        if not isinstance(part, dict) or not isinstance(part.get("rows"), list):
            raise ValueError(f"{path.name}: {name} must hold a list of rows; make it anew with: {COMMAND}")
    return known


def _write(path: Path, results: dict[str, dict]) -> None:
    """One row a line: differences between versions stay readable."""
    parts = [f'"command": {json.dumps(COMMAND)}']
    for name, part in results.items():
        head = "".join(f'{json.dumps(key)}: {json.dumps(value)},\n' for key, value in part.items() if key != "rows")
        rows = ",\n".join(json.dumps(row, ensure_ascii=False) for row in part["rows"])
        parts.append(f'{json.dumps(name)}: {{\n{head}"rows": [\n{rows}\n]}}')
    write_whole(path, ("{\n" + ",\n".join(parts) + "\n}\n").encode())
