"""The same rows on many machines: a Dask cluster in the place of the process pool. Needs the extra "cluster"."""

from collections.abc import Callable, Iterator
from concurrent.futures import FIRST_COMPLETED, wait
from pathlib import Path
from tempfile import TemporaryDirectory

import torch

from attention_lite.extras import extra
from attention_lite.lab import checkpoints, comparison, pool
from attention_lite.lab.files import write_whole
from attention_lite.lab.runs import finish


def rows(left: list[pool.Run], folder: Path, address: str, stop: Callable[[], bool]) -> Iterator[dict]:
    """The rows of the runs that are left, as they come, until `stop` says so; their checkpoints go to `folder`.

    A run whose worker is lost begins anew on another one. Raises ValueError if a worker has several threads.
    """
    with extra("cluster"):
        from dask.distributed import Client
    with Client(address) as client:
        if threads := {n for n in client.nthreads().values() if n != 1}:
            raise ValueError(f"each worker must have 1 thread, got {threads.pop()}: start it with --nthreads 1")
        under_way = {client.get_executor(pure=False).submit(_row, *run) for run in left}
        while under_way and not stop():
            done, under_way = wait(under_way, timeout=0.5, return_when=FIRST_COMPLETED)
            for row, checkpoint in (future.result() for future in done):
                write_whole(checkpoints.path_of(row["task"], row["model"], row["seed"], folder), checkpoint)
                yield row


def _row(*run: str | int) -> tuple[dict, bytes]:
    """In a worker: train, and judge what came out; the row and the checkpoint."""
    torch.set_num_threads(1)     # as in the process pool: a row is the same to the last bit
    with TemporaryDirectory() as name:
        finish(*run, Path(name), progress=False)
        return comparison.row(*run, Path(name)), checkpoints.path_of(*run, Path(name)).read_bytes()
