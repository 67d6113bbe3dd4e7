"""Running a stranger's notebook: a fresh kernel, a time, a memory and an amount of output that it may use.

This guards a grading run against mistakes, not a computer against malice: the kernel can do whatever the account can
that runs it. book/teaching.md says what to do about that.
"""

from __future__ import annotations

import json
import os
import tempfile
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

import psutil
from nbclient import NotebookClient
from nbclient.exceptions import CellTimeoutError, DeadKernelError
from nbformat import NotebookNode

EXPLORER = "explorer"      # the tag of cells that only show something, and are not run for a grade


@dataclass(frozen=True)
class Limits:
    """What one submission may use."""

    seconds: float = 60
    """A cell of the student's, or a test; what the assignment sets up has the time of the whole."""
    whole: float = 300
    """Seconds of all cells together."""
    gigabytes: float = 3
    output: int = 1_000_000
    """Characters that a cell may print; more is thrown away."""


class _Client(NotebookClient):
    """A client that throws away what a cell prints beyond its limit."""

    limit = 0
    printed: dict[int, int]

    def output(self, outs: list, msg: dict, display_id: str, cell_index: int) -> NotebookNode | None:
        self.printed[cell_index] = self.printed.get(cell_index, 0) + len(json.dumps(msg["content"]))
        # An answer is no stream, and may be larger.
        if self.printed[cell_index] > (self.limit if msg["msg_type"] == "stream" else 20 * self.limit):
            return None
        return super().output(outs, msg, display_id, cell_index)


def run(notebook: NotebookNode, limits: Limits, environment: dict[str, str]) -> dict[int, str]:
    """Run every cell in place; a cell that ends or blocks the kernel is left out, and the rest is run in a new one.

    Returns:
        What went wrong that is no error of Python's, by the cell's index.
    """
    wrong: dict[int, str] = {}
    printed: dict[int, int] = {}
    end = time.monotonic() + limits.whole
    while not _run_without(notebook, set(wrong), wrong, printed, limits, end, environment):
        if time.monotonic() > end:
            last = max(wrong)
            wrong |= dict.fromkeys(range(last + 1, len(notebook.cells)), f"the {limits.whole:.0f} seconds of the "
                                   "whole notebook were used up before this cell.")
            break
    for i, characters in printed.items():
        if characters > limits.output:
            wrong.setdefault(i, f"it prints {characters / 1e6:.0f} MB; what came after the first "
                                f"{limits.output / 1e6:.0f} MB was thrown away.")
    return wrong


def _run_without(notebook: NotebookNode, left_out: set[int], wrong: dict[int, str], printed: dict[int, int],
                 limits: Limits, end: float, environment: dict[str, str]) -> bool:
    """Run all cells but some in a fresh kernel; False if one has stopped it, which is then in `wrong`."""
    with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as folder:
        client = _Client(notebook, kernel_name="python3", allow_errors=True, store_widget_state=False,
                         resources={"metadata": {"path": folder}}, iopub_timeout=60,
                         extra_arguments=["--HistoryManager.enabled=False", "--log-level=ERROR"])
        client.limit, client.printed = limits.output, printed
        with client.setup_kernel(env={**os.environ, **environment}), \
                _watched(client.km.provisioner.pid, limits.gigabytes) as too_large:
            for i, cell in enumerate(notebook.cells):
                if cell.cell_type != "code" or i in left_out or EXPLORER in cell.metadata.get("tags", []):
                    continue
                printed.pop(i, None)
                set_up = cell.metadata.get("nbgrader", {}).get("locked") and not cell.metadata.nbgrader.get("grade")
                client.timeout = max(1, int(min(limits.whole if set_up else limits.seconds, end - time.monotonic())))
                try:
                    client.execute_cell(cell, i)
                except CellTimeoutError:
                    wrong[i] = f"it was stopped after {client.timeout} seconds. Is there a loop that never ends?"
                    return False
                except (DeadKernelError, RuntimeError):
                    wrong[i] = (f"it was stopped at {limits.gigabytes:g} GB of memory." if too_large.is_set()
                                else "it ends Python itself.")
                    return False
    return True


@contextmanager
def _watched(pid: int, gigabytes: float) -> Iterator[threading.Event]:
    """Kill a process and its children once they hold more memory than this, and in the end in any case."""
    kernel, too_large, done = psutil.Process(pid), threading.Event(), threading.Event()

    def family() -> list[psutil.Process]:
        try:
            return [*kernel.children(recursive=True), kernel]
        except psutil.NoSuchProcess:
            return []

    def held(process: psutil.Process) -> int:
        try:
            return process.memory_info().rss
        except psutil.NoSuchProcess:
            return 0

    def kill() -> None:
        for process in family():
            try:
                process.kill()
            except psutil.NoSuchProcess:
                continue

    def watch() -> None:
        while not done.wait(0.2):
            if sum(map(held, family())) > gigabytes * 1e9:
                too_large.set()
                kill()

    watcher = threading.Thread(target=watch, daemon=True)
    watcher.start()
    try:
        yield too_large
    finally:
        done.set()
        watcher.join()
        kill()
