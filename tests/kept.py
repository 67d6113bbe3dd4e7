"""nbval's kernel for a chapter that the build has just executed: it answers with what that execution gave.

The build runs every chapter in a fresh kernel, cell by cell, exactly as nbval would; running it again would only cost
minutes. nbval compares as ever: each output with the one that the repository stores. A chapter of which no outputs
are kept, or which has changed since (its cells, the package, the requirements), is executed by nbval itself, and
under `make test FRESH=1` all of them are.
"""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from pathlib import Path

from nbval.plugin import IPyNbFile

from execution import CACHE, Execution, kept_execution, package_digest


class KeptKernel:
    """What nbval asks of a running kernel (`nbval.kernel.RunningKernel`), answered from an execution of the build."""

    def __init__(self, execution: Execution) -> None:
        self.outputs = iter(execution.outputs)
        self.messages: Iterator[dict] = iter(())
        self.alive = True

    def execute_cell_input(self, cell_input: str, allow_stdin: bool | None = None) -> str:
        """Take the next cell: its messages are its kept outputs, then the word that the kernel is idle."""
        outputs = next(self.outputs) if cell_input.strip() else []
        idle = {"output_type": "status", "execution_state": "idle"}
        self.messages = ({"msg_type": content["output_type"], "content": content, "parent_header": {"msg_id": "kept"}}
                         for content in [*outputs, idle])
        return "kept"

    def get_message(self, stream: str, timeout: float | None = None) -> dict:
        return next(self.messages)

    def await_reply(self, msg_id: str, timeout: float | None = None) -> None:
        """The reply is there already."""

    def await_idle(self, msg_id: str, timeout: float) -> None:
        """It is idle already."""

    def is_alive(self) -> bool:
        return self.alive

    def stop(self) -> None:
        self.alive = False


_start_a_kernel = IPyNbFile.setup


def setup(notebook: IPyNbFile) -> None:
    """Give a chapter the kept kernel if the build has executed it as it stands, or else a real one."""
    kept = None if os.environ.get("FRESH") else kept_execution(Path(notebook.path), package_digest())
    if kept is None:
        _start_a_kernel(notebook)
    else:
        notebook.kernel = KeptKernel(kept)
        notebook.setup_sanitize_files()


def use_kept_executions() -> None:
    """Have nbval compare the build's executions with the repository, where they are of the same code."""
    IPyNbFile.setup = setup


def kept_seconds() -> float:
    """The seconds that the kept executions took by the clock, all together."""
    return sum(json.loads(path.read_text(encoding="utf-8"))["seconds"] for path in CACHE.glob("*.json"))
