"""Trainings side by side in processes of this machine, with one progress bar, which stop together."""

import multiprocessing
import signal
from collections.abc import Callable, Iterator
from concurrent.futures import FIRST_COMPLETED, Future, ProcessPoolExecutor, wait
from multiprocessing.synchronize import Event
from pathlib import Path
from typing import Any

import torch
from tqdm import tqdm

from attention_lite.lab.recipes import recipe_of

Run = tuple[str, str, int]               # task, model, seed
Work = Callable[[str, str, int, Path, Callable[[], bool]], dict | None]


def results(work: Work, left: list[Run], folder: Path, processes: int, stop: Callable[[], bool]) -> Iterator[dict]:
    """What `work(task, model, seed, folder, stop)` gives for the runs that are left, as it comes; without the Nones.

    work: a function of a module; it asks its `stop` before each step of a training, and returns None if told to stop.
    """
    context = multiprocessing.get_context("spawn")
    counter, stopping = context.Value("q", 0), context.Event()
    total = sum(recipe_of(task).steps for task, _, _ in left)
    with tqdm(total=total, desc=f"{len(left)} runs", unit="step", disable=not left) as bar, \
            ProcessPoolExecutor(processes, context, _begin, (counter, stopping)) as pool:
        under_way: set[Future] = set()
        waiting = list(left)
        try:
            while waiting or under_way:
                if stop():
                    stopping.set()
                    waiting.clear()
                while waiting and len(under_way) < processes:
                    under_way.add(pool.submit(_counted, work, *waiting.pop(0), folder))
                done, under_way = wait(under_way, timeout=0.5, return_when=FIRST_COMPLETED)
                bar.update(counter.value - bar.n)
                for found in (future.result() for future in done):
                    if found is not None:
                        bar.set_postfix_str(f"{found['task']} {found['model']} {found['seed']}")
                        yield found
        finally:
            stopping.set()       # whatever ends this: the others save their state before the pool lets go


_counter: Any = None         # in a worker: the steps of all workers, and whether to stop
_stopping: Event | None = None


def _begin(counter: Any, stopping: Event) -> None:
    """Set a worker up: one thread, and deaf to Ctrl-C, of which its parent tells it."""
    global _counter, _stopping
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    torch.set_num_threads(1)     # nets this small train slower on two threads, and sums differ in the last bit
    _counter, _stopping = counter, stopping


def _counted(work: Work, task: str, model: str, seed: int, folder: Path) -> dict | None:
    """In a worker: do the work, and count the steps for the bar."""
    counted, steps = 0, recipe_of(task).steps

    def count(more: int) -> None:
        nonlocal counted
        counted += more
        with _counter.get_lock():
            _counter.value += more

    def stop() -> bool:
        count(1)                 # asked once before each step
        return _stopping.is_set()

    found = work(task, model, seed, folder, stop)
    if found is not None:
        count(steps - counted)   # those of an earlier call
    return found
