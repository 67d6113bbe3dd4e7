"""Executing the chapters side by side: for the built pages (as a Sphinx extension) and in place (`make notebooks`).

The pages never show an output that the present code did not make. A chapter's outputs are kept under
`_build/executed`, and used again only while nothing that they depend on has changed: the chapter's code cells,
every file of the package, the pinned requirements, this file and the one that draws figures. (MyST-NB's own cache
looks at the cells alone and shows stale outputs after a change in the package, so MyST-NB's execution is off.) The
tests read them too: nbval compares the outputs that the build has just made with those that the repository stores
(tests/kept.py).
"""

from __future__ import annotations

import hashlib
import json
import multiprocessing
import os
import sys
import tempfile
import time
from concurrent.futures import Future, ProcessPoolExecutor
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import nbformat
import psutil
from nbclient import NotebookClient
from nbformat import NotebookNode

import pictures
from kernels import ForkingManager

if TYPE_CHECKING:
    from sphinx.application import Sphinx

ROOT = Path(__file__).resolve().parents[2]
EXTENSIONS = Path(__file__).resolve().parent
CACHE = ROOT / "_build" / "executed"

# What a chapter may cost. Past twice the memory the build fails; seconds are printed, since the same chapter takes four
# times as long where the machine is old or its host is busy, and a reader's build must not fail for that.
BUDGET_SECONDS = 40.0
BUDGET_GIGABYTES = 1.2
CELL_TIMEOUT_SECONDS = 600  # by the clock: the machine may be busy with something else

# Chapters that run beside each other: one a core, and within 4 GB.
WORKERS = min(os.cpu_count() or 1, int(4 / BUDGET_GIGABYTES))

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

    def exceeds_twice_the_memory(self) -> bool:
        return self.gigabytes > 2 * BUDGET_GIGABYTES


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


def execute(notebook: NotebookNode) -> Execution:
    """Run every code cell in a fresh kernel (kernels.py); raises CellExecutionError where one fails.

    The kernel starts in an empty folder, as on Colab: a chapter that needs a file of the repository fails here.
    """
    processor_seconds = peak = 0.0

    def note_cost(**_: object) -> None:
        nonlocal processor_seconds, peak
        kernel = client.km.provisioner.pid
        times = psutil.Process(kernel).cpu_times()
        processor_seconds = times.user + times.system
        peak = max(peak, peak_gigabytes(kernel))

    notebook.metadata.pop("widgets", None)
    with tempfile.TemporaryDirectory() as folder:
        client = NotebookClient(
            notebook,
            timeout=CELL_TIMEOUT_SECONDS,
            kernel_name="python3",
            kernel_manager_class=ForkingManager,
            resources={"metadata": {"path": folder}},
            on_cell_executed=note_cost,
            coalesce_streams=True,
            extra_arguments=["--log-level=ERROR", "--ext=pictures"],
        )
        start = time.perf_counter()
        path = [os.environ.get("PYTHONPATH", ""), str(EXTENSIONS)]
        client.execute(env={**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, path))})
        seconds = time.perf_counter() - start
    raise_on_warnings(notebook)
    return Execution(
        [cell.outputs for cell in code_cells(notebook)],
        notebook.metadata.get("widgets", {}),
        seconds,
        processor_seconds,
        peak,
    )


def raise_on_warnings(notebook: NotebookNode) -> None:
    """Raise RuntimeError where a cell has written to stderr: a warning, or an error that IPython itself survived."""
    for cell in code_cells(notebook):
        if said := "".join(output.text for output in cell.outputs if output.get("name") == "stderr"):
            raise RuntimeError(f"a cell wrote to stderr:\n{cell.source}\n{said}")


def insert(execution: Execution, notebook: NotebookNode) -> None:
    """Put the outputs of an execution into the notebook, whose code cells are those that were executed."""
    for count, (cell, outputs) in enumerate(zip(code_cells(notebook), execution.outputs, strict=True), 1):
        cell.execution_count = count
        cell.outputs = [nbformat.from_dict(output) for output in outputs]
    if execution.widgets:
        notebook.metadata["widgets"] = nbformat.from_dict(execution.widgets)


# Kept outputs --------------------------------------------------------------------------------------------------


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
    makers = [Path(__file__).resolve(), EXTENSIONS / "pictures.py", EXTENSIONS / "kernels.py"]
    return files_digest([*package, *ROOT.glob("requirements*.txt"), *makers])


def kept_path(path: Path, digest: str) -> Path:
    """Where the outputs of a chapter as it stands are kept, once they have been made."""
    cells = [cell.source for cell in code_cells(nbformat.read(path, as_version=4))]
    key = hashlib.sha256(f"{digest}\n{path.stem}\n{json.dumps(cells)}".encode()).hexdigest()[:16]
    return CACHE / f"{path.stem}.{key}.json"


def kept_execution(path: Path, digest: str) -> Execution | None:
    """A chapter's outputs, unless something that they depend on has changed since they were made."""
    kept = kept_path(path, digest)
    return Execution(**json.loads(kept.read_text(encoding="utf-8"))) if kept.exists() else None


def execute_and_keep(path: Path, digest: str, place: str) -> Execution:
    """Execute a chapter, say so, and keep its outputs in place of older ones."""
    print(f"[{place}] {path.stem}: executing", flush=True)
    kept = kept_path(path, digest)
    execution = execute(nbformat.read(path, as_version=4))
    print(f"[{place}] {path.stem}: {execution.cost()}", flush=True)
    CACHE.mkdir(parents=True, exist_ok=True)
    for stale in CACHE.glob(f"{path.stem}.*.json"):
        stale.unlink()
    partial = kept.with_suffix(".partial")
    partial.write_text(json.dumps(asdict(execution)), encoding="utf-8")
    partial.replace(kept)
    return execution


class Executions:
    """Chapters under execution, each in a fresh kernel, side by side as far as cores and memory reach."""

    def __init__(self, paths: list[Path], digest: str) -> None:
        self.kept = {path: execution for path in paths if (execution := kept_execution(path, digest))}
        stale = [path for path in paths if path not in self.kept]
        # Spawned rather than forked: the build's process holds threads and locks of its own.
        self.pool = ProcessPoolExecutor(WORKERS, mp_context=multiprocessing.get_context("spawn"))
        self.running: dict[Path, Future[Execution]] = {
            path: self.pool.submit(execute_and_keep, path, digest, f"{turn}/{len(stale)}")
            for turn, path in enumerate(stale, 1)
        }

    def result(self, path: Path) -> Execution:
        """Wait for a chapter; where it fails, start no further one and raise RuntimeError with the report."""
        if path in self.kept:
            return self.kept[path]
        try:
            return self.running[path].result()
        except Exception as error:
            self.pool.shutdown(wait=False, cancel_futures=True)
            raise RuntimeError(f"{path.stem} could not be executed\n{error}") from None

    def close(self) -> None:
        """End the workers, which is not left to the interpreter's own end: that closes their pipes under them."""
        self.pool.shutdown()


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


def store_outputs(path: Path, execution: Execution) -> None:
    """Write the comparable outputs of an execution into the notebook's file."""
    notebook = nbformat.read(path, as_version=4)
    insert(execution, notebook)
    prepare_for_commit(notebook)
    nbformat.validate(notebook)
    path.write_text(nbformat.writes(notebook) + "\n", encoding="utf-8")


def main(names: list[str]) -> int:
    paths = [Path(name).resolve() for name in names]
    executions = Executions(paths, package_digest())
    for path in paths:
        try:
            store_outputs(path, executions.result(path))
        except RuntimeError as error:
            print(f"{error}\nThe file is as it was.", file=sys.stderr)
            return 1
        print(f"{path.stem}: stored, {path.stat().st_size / 1000:.0f} kB", flush=True)
    executions.close()
    return 0


# In the build --------------------------------------------------------------------------------------------------


def start(app: Sphinx, env: object, docnames: list[str]) -> None:
    """Begin to execute the chapters that Sphinx is about to read; it reads on while they run."""
    paths = [Path(app.env.doc2path(name)) for name in docnames]
    app.executions = Executions([path for path in paths if path.suffix == ".ipynb"], app.config.package_digest)


def insert_outputs(app: Sphinx, docname: str, source: list[str]) -> None:
    """Give MyST-NB the chapter with its outputs; the build fails where a cell fails or costs too much."""
    from sphinx.errors import ExtensionError
    from sphinx.util import logging

    logger = logging.getLogger(__name__)
    path = Path(app.env.doc2path(docname))
    if path.suffix != ".ipynb":
        return
    try:
        execution = app.executions.result(path)
    except RuntimeError as error:
        raise ExtensionError(str(error)) from None
    if execution.exceeds_twice_the_memory():
        logger.warning(
            "%s takes more than twice its memory: %s", docname, execution.cost()
        )
    notebook = nbformat.reads(source[0], as_version=4)
    insert(execution, notebook)
    pictures.place(notebook, lambda code: logger.warning(
        "a figure has no alt text; set the cell's metadata mystnb.image.alt: … %s", code, location=docname))
    source[0] = nbformat.writes(notebook)


def finish(app: Sphinx, error: Exception | None) -> None:
    """End the workers when the pages are built, or when they cannot be."""
    if hasattr(app, "executions"):
        app.executions.close()


def set_digests(app: Sphinx, config: object) -> None:
    """Have Sphinx read every page again when the package or the book's own extensions have changed."""
    app.config.package_digest = package_digest()
    app.config.extensions_digest = files_digest(list(EXTENSIONS.glob("*.py")))


def setup(app: Sphinx) -> dict[str, bool]:
    app.add_config_value("package_digest", "", "env")
    app.add_config_value("extensions_digest", "", "env")
    app.connect("config-inited", set_digests)
    app.connect("env-before-read-docs", start)
    app.connect("source-read", insert_outputs)
    app.connect("build-finished", finish)
    return {"parallel_read_safe": False, "parallel_write_safe": True}


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
