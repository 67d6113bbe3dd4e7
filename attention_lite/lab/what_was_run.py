"""What was trained and measured behind the book, counted from the checkpoints' records and the files of results."""

from collections.abc import Iterable
from pathlib import Path

from attention_lite.lab import checkpoints, comparison, experiments
from attention_lite.lab.files import read_results
from attention_lite.lab.recipes import RECIPES
from attention_lite.lab.runs import figure_of, learned


def shipped() -> dict[str, list[dict]]:
    """The records of all checkpoints that the book ships, task by task."""
    return {task: [checkpoints.load_checkpoint(task, model, seed)[1] for model in recipe.models
                   for seed in recipe.seeds_of(model)] for task, recipe in RECIPES.items()}


def trained_in_rows() -> dict[str, list[dict]]:
    """The rows of the ablations, which are trainings too and ship no checkpoint, task by task."""
    found: dict[str, list[dict]] = {}
    for name, part in experiments.load().items():
        if experiments.EXPERIMENTS[name].network is None:
            for row in part["rows"]:
                found.setdefault(row["task"], []).append(row)
    return found


def trainings() -> list[dict]:
    """A line for each task: how many trainings, how many learned, the processor's seconds, versions and machines."""
    return [{"task": task, "trainings": len(records),
             "learned": sum(learned(task, record[f"test_{figure_of(task)[0]}"]) for record in records),
             "seconds": sum(record.get("cpu_seconds", record["seconds"]) for record in records)} | _made_by(records)
            for task, records in (shipped() | trained_in_rows()).items()]


def measurements(path: Path = comparison.FILE) -> list[dict]:
    """A line for each experiment on networks that are trained already, and for the closing chapter's costs."""
    lines = [{"experiment": name, "rows": len(part["rows"]), "seconds": part["cpu_seconds"]}
             | _made_by([part["made_with"] | row for row in part["rows"]])
             for name, part in experiments.load().items() if experiments.EXPERIMENTS[name].network is not None]
    costs = read_results(path, comparison.COMMAND)["costs"]
    return [*lines, {"experiment": "costs", "rows": len(costs)} | _made_by(costs)]


def _made_by(rows: Iterable[dict]) -> dict:
    """The versions of torch and the machines that are noted, each once; "not noted" for older records."""
    def once(values: Iterable[str]) -> str:
        return ", ".join(sorted(set(values)))

    rows = list(rows)
    machines = [row["device"] if row.get("device", "cpu") != "cpu" else row.get("processor", "not noted")
                for row in rows]
    return {"torch": once(row["torch"].split("+")[0] for row in rows), "machine": once(machines)}
