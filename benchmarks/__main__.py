"""Measure every block beside its plain form: python -m benchmarks. Writes results.json and results.md."""

import argparse
import json
import os
import platform
import sys
import time
from collections.abc import Callable
from datetime import date
from pathlib import Path

import torch
from torch import Tensor, nn
from tqdm import tqdm

from attention_lite.lab.measuring import caller, does_not_fit, interleaved, peak_memory
from benchmarks import scaling
from benchmarks.cases import (
    ARTICLE,
    BLOCKS,
    CONTESTANTS,
    SHAPES,
    SMALLEST,
    build,
    cells,
    contestant,
    map_bytes,
)
from benchmarks.gate import verdict
from benchmarks.others import PACKAGES, missing
from benchmarks.table import markdown

FOLDER = Path(__file__).parent
COMPILED = {"none": [], "article": [ARTICLE], "all": list(SHAPES)}


def main(arguments: list[str] | None = None) -> int:
    """Run the command line; returns the exit status: 1 for an error, 3 where a block is behind (README.md)."""
    options = parse(arguments)
    for column in PACKAGES:
        if sentence := missing(column):
            print(f"no column {column}: {sentence}")
    torch.set_num_threads(options.threads)
    try:
        options.folder.mkdir(parents=True, exist_ok=True)        # refuses before the measuring, not after it
        results = run(options)
        if options.update:
            old = json.loads((options.folder / "results.json").read_text(encoding="utf-8"))
            results = merged(old, results, options)
        for name, text in (("results.json", json.dumps(results, indent=1, ensure_ascii=False) + "\n"),
                           ("results.md", markdown(results))):
            write(options.folder / name, text)
    except OSError as error:
        print(f"error: {error}; nothing was written", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        print("\nstopped: nothing was written", file=sys.stderr)
        return 130
    print(f"==> Done. Read {options.folder / 'results.md'}; all figures are in {options.folder / 'results.json'}")
    return 0 if options.quick else verdict(results["rows"])


def parse(arguments: list[str] | None) -> argparse.Namespace:
    """The options; a bad one ends the program with a sentence that lists what there is."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description=__doc__)
    parser.add_argument("--quick", action="store_true",
                        help="the smallest shapes, few rounds, nothing compiled, no verdict")
    parser.add_argument("--blocks", nargs="+", choices=list(BLOCKS), metavar="BLOCK", default=list(BLOCKS),
                        help="default: all of " + "; ".join(BLOCKS))
    parser.add_argument("--update", action="store_true", help="measure --blocks anew, for the results "
                                                              "that are there; the growth curves stay")
    parser.add_argument("--compile", choices=list(COMPILED), default="all",
                        help="at which shapes torch.compile takes part; it compiles for seconds at each")
    parser.add_argument("--threads", type=_positive(int), default=1, help="torch's threads; default: 1")
    parser.add_argument("--seconds", type=_positive(float), default=0.5, help="measuring time of a cell; default: 0.5")
    parser.add_argument("--folder", type=Path, help="where the results go; default: benchmarks/ for all blocks, "
                                                    "_build/benchmarks/ for some of them and for a quick run")
    options = parser.parse_args(arguments)
    if options.folder is None:           # a partial run leaves the full results alone
        partial = options.quick or (set(options.blocks) != set(BLOCKS) and not options.update)
        options.folder = FOLDER.parent / "_build" / "benchmarks" if partial else FOLDER
    if options.quick:
        options.compile, options.seconds = "none", 0.02
    return options


def _positive(kind: type):
    def positive(text: str):
        value = kind(text)
        if not 0 < value < float("inf"):
            raise ValueError
        return value
    return positive


def run(options: argparse.Namespace) -> dict:
    """Measure everything; returns what results.json holds."""
    start = time.perf_counter()
    shapes = [SMALLEST] if options.quick else list(SHAPES)
    todo = cells(options.blocks, shapes)
    sides = () if options.update else scaling.SIDES[:2] if options.quick else scaling.SIDES
    rows, curve = [], []
    with tqdm(total=len(todo) + len(sides), unit="cell") as bar:
        for block, shape, mode in todo:
            bar.set_description(f"{block}, {shape}, {mode}")
            rows += measure(block, shape, mode, shape in COMPILED[options.compile], options.seconds)
            bar.update()
        for side in sides:
            bar.set_description(f"scaling, N = {side * side}")
            curve += scaling.measure(side, options.seconds)
            bar.update()
    return {
        "machine": {"cpu": cpu(), "cores": os.cpu_count(), "threads": torch.get_num_threads(),
                    "system": platform.system(), "python": platform.python_version(), "torch": torch.__version__},
        "run": {"date": date.today().isoformat(), "seconds": round(time.perf_counter() - start),
                "quick": options.quick, "compile": options.compile, "seconds_a_cell": options.seconds},
        "rows": rows, "scaling": curve,
    } | ({} if options.update else {"exponents": scaling.exponents(curve), "emsa_savings": scaling.savings(curve)})


def merged(old: dict, new: dict, options: argparse.Namespace) -> dict:
    """The old results, with the rows of the blocks that were measured anew, and a note of when and how.

    They keep the columns that they have: those of packages that the full run lacked would stand in the new rows alone.
    """
    columns = {row["contestant"] for row in old["rows"]}
    rows = [row for row in old["rows"] if row["block"] not in options.blocks]
    rows += [row for row in new["rows"] if row["contestant"] in columns]
    rows.sort(key=lambda row: list(BLOCKS).index(row["block"]))
    note = new["run"] | {"blocks": options.blocks, "machine": new["machine"]}
    return old | {"rows": rows, "updates": [*old.get("updates", []), note]}


def measure(block: str, shape: str, mode: str, compiled: bool, seconds: float) -> list[dict]:
    """One row a contestant: seconds, their ratio to the plain form's, and peak bytes; or why there are none."""
    torch._dynamo.reset()                 # else torch gives up compiling a class after some shapes, without a word
    module, x = build(block, shape)
    rows = [{"block": block, "shape": shape, "mode": mode, "contestant": name} for name in CONTESTANTS]
    calls = {}
    for row in rows:
        name = row["contestant"]
        found = "not compiled in this run" if name == "compiled" and not compiled else contestant(name, module, x)
        if name in ("plain", "collection") and not isinstance(found, str):                # both store whole maps
            found = does_not_fit(map_bytes(module, x), mode) or found
        if not isinstance(found, str):
            found = attempt(found, x, mode) if name in PACKAGES else caller(found, x, mode)
        if isinstance(found, str):
            row["skipped"] = found
        else:
            calls[name] = found
    times = interleaved(calls, seconds)
    for row in rows:
        if (name := row["contestant"]) in calls:
            row |= times[name]
            if "plain" in times:
                row["ratio"] = times[name]["median"] / times["plain"]["median"]
            row["peak_bytes"] = peak_memory(calls[name])
    return rows


def attempt(module: nn.Module, x: Tensor, mode: str) -> Callable[[], None] | str:
    """A call of another package's module, or its error in words: not all take every shape."""
    try:
        call = caller(module, x, mode)
        call()
        return call
    except (RuntimeError, ValueError) as error:
        return f"{type(module).__name__} fails: {str(error).splitlines()[0]}"


def cpu() -> str:
    """The processor's name."""
    info = Path("/proc/cpuinfo")
    if info.exists() and "model name" in (text := info.read_text()):
        return text.split("model name")[1].split(":")[1].split("\n")[0].strip()
    return platform.processor() or platform.machine()


def write(path: Path, text: str) -> None:
    """Write a file as a whole or not at all."""
    beside = path.with_name(path.name + ".part")
    try:
        beside.write_text(text, encoding="utf-8")
        os.replace(beside, path)
    finally:
        beside.unlink(missing_ok=True)


if __name__ == "__main__":
    sys.exit(main())
