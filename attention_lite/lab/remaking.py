"""Everything that the book's tables and figures rest on, made anew by one command where another torch made it."""

from collections.abc import Callable
from pathlib import Path

import torch

from attention_lite.lab import checkpoints, comparison, experiments, pool
from attention_lite.lab.recipes import shipped
from attention_lite.lab.runs import finish


def outdated(folder: Path = checkpoints.FOLDER) -> list[pool.Run]:
    """The trainings that the book ships whose checkpoint is missing, or of another version of torch than this one."""
    return [run for run in shipped() if not checkpoints.path_of(*run, folder).exists()
            or checkpoints.load_checkpoint(*run, folder)[1]["torch"] != torch.__version__]


def remake(folder: Path = checkpoints.FOLDER, comparison_file: Path = comparison.FILE,
           experiments_file: Path = experiments.FILE, processes: int = 2,
           stop: Callable[[], bool] = lambda: False) -> bool:
    """Train what is outdated, then make the rows that are missing or of other checkpoints.

    Returns whether all is whole; not so when `stop` said so. The next call goes on from there.

    Raises:
        ValueError: if a file, a checkpoint or a stopped training's state is damaged.
        OSError: if something cannot be written.
    """
    for _ in pool.results(_train, outdated(folder), folder, processes, stop):
        pass
    return (not outdated(folder) and comparison.compare(comparison_file, folder, processes, stop)
            and experiments.make(list(experiments.EXPERIMENTS), experiments_file, stop))


def _train(task: str, model: str, seed: int, folder: Path, stop: Callable[[], bool]) -> dict | None:
    """In a worker: the record of the new checkpoint, which takes the old one's place when it is whole."""
    return finish(task, model, seed, folder, progress=False, stop=stop)
