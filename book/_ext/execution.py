"""Executing the chapters: for the built pages (as a Sphinx extension) and in place (`make notebooks`).

The pages never show an output that the present code did not make. A chapter's outputs are kept under
`_build/executed`, and used again only while nothing that they depend on has changed: the chapter's code cells,
every file of the package, the pinned requirements, and this file. (MyST-NB's own cache looks at the cells alone
and shows stale outputs after a change in the package, so MyST-NB's execution is off.)
"""

from __future__ import annotations

import hashlib
import json
import sys
import time
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import nbformat
import psutil
from nbclient import NotebookClient
from nbclient.exceptions import CellExecutionError
from nbformat import NotebookNode

if TYPE_CHECKING:
    from sphinx.application import Sphinx

ROOT = Path(__file__).resolve().parents[2]
CACHE = ROOT / "_build" / "executed"

# What a chapter may cost. The build fails past twice these: in memory, or in seconds both by the clock and of processor
# time, since a machine that is busy with something else makes the clock run on.
BUDGET_SECONDS = 40.0
BUDGET_GIGABYTES = 1.2
CELL_TIMEOUT_SECONDS = 120

# Of an output's forms, those that a committed notebook keeps. Pictures and explorers are made anew by every build.
COMMITTED_FORMS = ("text/plain", "text/markdown", "text/latex")


@dataclass
class Execution:
    """What one run of a chapter gave, and what it cost."""

    outputs: list[list[dict]]
    """The outputs of each code cell, in order."""
    widgets: dict
    """The notebook's widget state, empty where the chapter has no widget."""
    seconds: float
    """By the clock."""
    processor_seconds: float
    """The kernel's time on all processor cores together."""
    gigabytes: float
    """The largest resident set of the kernel."""

    def cost(self) -> str:
        """The cost in words, against the budget."""
        return (
            f"{self.seconds:.1f} s of {BUDGET_SECONDS:.0f} s ({self.processor_seconds:.1f} s of processor time), "
            f"{self.gigabytes:.2f} GB of {BUDGET_GIGABYTES:.1f} GB"
        )

    def exceeds_twice_the_budget(self) -> bool:
        seconds = min(self.seconds, self.processor_seconds)
        return seconds > 2 * BUDGET_SECONDS or self.gigabytes > 2 * BUDGET_GIGABYTES


def code_cells(notebook: NotebookNode) -> list[NotebookNode]:
    """The cells of a notebook that a kernel executes."""
    return [cell for cell in notebook.cells if cell.cell_type == "code" and cell.source.strip()]


def peak_gigabytes(pid: int) -> float:
    """The largest resident set so far of a process (where the system does not keep it: the present one)."""
    status = Path(f"/proc/{pid}/status")
    if status.exists():
        line = next(line for line in status.read_text().splitlines() if line.startswith("VmHWM:"))
        return int(line.split()[1]) * 1024 / 1e9
    return psutil.Process(pid).memory_info().rss / 1e9


def execute(notebook: NotebookNode, folder: Path) -> Execution:
    """Run every code cell in a fresh kernel started in `folder`; raises CellExecutionError where a cell fails."""
    processor_seconds = peak = 0.0

    def note_cost(**_: object) -> None:
        nonlocal processor_seconds, peak
        kernel = client.km.provisioner.pid
        times = psutil.Process(kernel).cpu_times()
        processor_seconds = times.user + times.system
        peak = max(peak, peak_gigabytes(kernel))

    notebook.metadata.pop("widgets", None)
    client = NotebookClient(
        notebook,
        timeout=CELL_TIMEOUT_SECONDS,
        kernel_name="python3",
        resources={"metadata": {"path": str(folder)}},
        on_cell_executed=note_cost,
        coalesce_streams=True,
        extra_arguments=["--log-level=ERROR"],
    )
    start = time.perf_counter()
    client.execute()
    seconds = time.perf_counter() - start
    return Execution(
        [cell.outputs for cell in code_cells(notebook)],
        notebook.metadata.get("widgets", {}),
        seconds,
        processor_seconds,
        peak,
    )


def insert(execution: Execution, notebook: NotebookNode) -> None:
    """Put the outputs of an execution into the notebook, whose code cells are those that were executed."""
    for count, (cell, outputs) in enumerate(zip(code_cells(notebook), execution.outputs, strict=True), 1):
        cell.execution_count = count
        cell.outputs = [nbformat.from_dict(output) for output in outputs]
    if execution.widgets:
        notebook.metadata["widgets"] = nbformat.from_dict(execution.widgets)


# In place ------------------------------------------------------------------------------------------------------


def prepare_for_commit(notebook: NotebookNode) -> None:
    """Keep what the tests compare and a reader of the repository can use; drop pictures and what varies by run."""
    for volatile in ("widgets", "jupytext"):
        notebook.metadata.pop(volatile, None)
    notebook.metadata["kernelspec"] = {"display_name": "Python 3", "language": "python", "name": "python3"}
    notebook.metadata["language_info"] = {"name": "python"}
    for cell in notebook.cells:
        cell.metadata.pop("execution", None)
        if cell.cell_type != "code":
            continue
        if not cell.source.strip():
            cell.outputs, cell.execution_count = [], None
        for output in cell.outputs:
            if "data" in output:
                output.data = {form: output.data[form] for form in COMMITTED_FORMS if form in output.data}
                output.metadata = {}


def execute_in_place(path: Path) -> Execution:
    """Execute a notebook's file in a fresh kernel and store its comparable outputs."""
    notebook = nbformat.read(path, as_version=4)
    execution = execute(notebook, path.parent)
    insert(execution, notebook)
    prepare_for_commit(notebook)
    nbformat.validate(notebook)
    path.write_text(nbformat.writes(notebook) + "\n", encoding="utf-8")
    return execution


def main(paths: list[str]) -> int:
    for path in map(Path, paths):
        print(f"{path}: executing", flush=True)
        try:
            execution = execute_in_place(path)
        except CellExecutionError as error:
            print(f"{path}: a cell failed, the file is as it was\n{error}", file=sys.stderr)
            return 1
        print(f"{path}: {execution.cost()}, {path.stat().st_size / 1000:.0f} kB", flush=True)
    return 0


# In the build --------------------------------------------------------------------------------------------------


def files_digest(paths: list[Path]) -> str:
    """One hash over the names and contents of files."""
    digest = hashlib.sha256()
    for path in sorted(paths):
        digest.update(path.relative_to(ROOT).as_posix().encode() + b"\0" + path.read_bytes() + b"\0")
    return digest.hexdigest()


def package_digest() -> str:
    """A hash of all that a chapter's outputs depend on besides its own cells."""
    package = [
        path
        for path in (ROOT / "attention_lite").rglob("*")
        if path.is_file() and "__pycache__" not in path.parts
    ]
    return files_digest([*package, ROOT / "requirements.txt", Path(__file__).resolve()])


def cached_execution(
    docname: str, notebook: NotebookNode, folder: Path, digest: str
) -> tuple[Execution, bool]:
    """The chapter's outputs and whether they had to be made: kept ones if nothing they depend on has changed."""
    cells = json.dumps([cell.source for cell in code_cells(notebook)])
    key = hashlib.sha256(f"{digest}\n{docname}\n{cells}".encode()).hexdigest()[:16]
    name = docname.replace("/", "-")
    kept = CACHE / f"{name}.{key}.json"
    if kept.exists():
        return Execution(**json.loads(kept.read_text(encoding="utf-8"))), False
    execution = execute(notebook, folder)
    CACHE.mkdir(parents=True, exist_ok=True)
    for stale in CACHE.glob(f"{name}.*.json"):
        stale.unlink()
    partial = kept.with_suffix(".partial")
    partial.write_text(json.dumps(asdict(execution)), encoding="utf-8")
    partial.replace(kept)
    return execution, True


def insert_outputs(app: Sphinx, docname: str, source: list[str]) -> None:
    """Give MyST-NB the chapter with its outputs; the build fails where a cell fails or costs too much."""
    from sphinx.errors import ExtensionError
    from sphinx.util import logging

    path = Path(app.env.doc2path(docname))
    if path.suffix != ".ipynb":
        return
    notebook = nbformat.reads(source[0], as_version=4)
    try:
        execution, made = cached_execution(docname, notebook, path.parent, app.config.package_digest)
    except CellExecutionError as error:
        raise ExtensionError(f"{docname}: a cell failed\n{error}") from None
    if execution.exceeds_twice_the_budget():
        logging.getLogger(__name__).warning(
            "%s costs more than twice its budget: %s", docname, execution.cost()
        )
    app.env.metadata[docname]["execution_cost"] = f"{execution.cost()}{'' if made else ' when last executed'}"
    insert(execution, notebook)
    source[0] = nbformat.writes(notebook)


def print_costs(app: Sphinx, error: Exception | None) -> None:
    """Say what each chapter cost (plainly printed, since a quiet build hides Sphinx's own messages)."""
    if error is not None:
        return
    for docname in sorted(app.env.found_docs):
        cost = app.env.metadata.get(docname, {}).get("execution_cost")
        if cost:
            print(f"{docname}: {cost}")


def set_digests(app: Sphinx, config: object) -> None:
    """Have Sphinx read every page again when the package or the book's own extensions have changed."""
    app.config.package_digest = package_digest()
    app.config.extensions_digest = files_digest(list(Path(__file__).resolve().parent.glob("*.py")))


def setup(app: Sphinx) -> dict[str, bool]:
    app.add_config_value("package_digest", "", "env")
    app.add_config_value("extensions_digest", "", "env")
    app.connect("config-inited", set_digests)
    app.connect("source-read", insert_outputs)
    app.connect("build-finished", print_costs)
    return {"parallel_read_safe": False, "parallel_write_safe": True}


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
