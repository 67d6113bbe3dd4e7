"""The results as Markdown tables."""

from benchmarks.cases import CONTESTANTS

HEAD = """# Measured speed

{cpu}, {threads} of {cores} cores, torch {torch}, Python {python}; {date}, {seconds} s in all. Written by `make bench`;
[README.md](README.md) says how to read it. Times are medians in milliseconds; in brackets the ratio to the plain form
(under 1 is faster); then the peak memory in MiB beyond weights and input.
"""


def markdown(results: dict) -> str:
    """results.md for the contents of results.json."""
    parts = [HEAD.format(**results["machine"], **results["run"])]
    for mode, title in (("forward", "Forward pass (evaluation)"), ("step", "Training step (forward and backward)")):
        parts += [f"## {title}\n", _blocks([r for r in results["rows"] if r["mode"] == mode])]
    parts += ["## Growth with the number of tokens N\n", _scaling(results["scaling"], results["exponents"]),
              "## What EMSA's ratio s saves\n", _savings(results["emsa_savings"])]
    return "\n".join(parts)


def _blocks(rows: list[dict]) -> str:
    cells = {(r["block"], r["shape"], r["contestant"]): r for r in rows}
    present = [c for c in CONTESTANTS if any(r["contestant"] == c for r in rows)]       # an older run may have fewer
    lines = [[block, shape, *(_cell(cells.get((block, shape, c), {"skipped": ""})) for c in present)]
             for block, shape in dict.fromkeys((r["block"], r["shape"]) for r in rows)]
    notes = dict.fromkeys(f"{r['contestant']}: {r['skipped']}" for r in rows if "skipped" in r)
    return _table(["block", "shape", *present], lines) + "\nA dash: " + "; ".join(notes) + ".\n"


def _cell(row: dict) -> str:
    if "skipped" in row:
        return "–"
    ratio = f" ({row['ratio']:.2f})" if "ratio" in row else ""
    return f"{1e3 * row['median']:.3g}{ratio} · {row['peak_bytes'] / 2**20:.3g}"


def _scaling(rows: list[dict], exponents: dict) -> str:
    ns = sorted({r["N"] for r in rows})
    cells = {(r["mechanism"], r["N"]): r for r in rows}
    time = [[name, *(_milliseconds(cells[name, n]) for n in ns), f"{fit['median']:.2f}"]
            for name, fit in exponents.items()]
    memory = [[name, *(_mebibytes(cells[name, n]) for n in ns),
               f"{fit['forward_bytes']:.2f}", f"{fit['step_bytes']:.2f}"]
              for name, fit in exponents.items()]
    heads = [f"N = {n}" for n in ns]
    return (_table(["forward, ms", *heads, "exponent"], time) + "\n"
            + _table(["forward / step, MiB", *heads, "exponent", "of the step"], memory))


def _milliseconds(row: dict) -> str:
    return "–" if "skipped" in row else f"{1e3 * row['median']:.3g}"


def _mebibytes(row: dict) -> str:
    return "–" if "skipped" in row else " / ".join(f"{row[k] / 2**20:.3g}" for k in ("forward_bytes", "step_bytes"))


def _savings(rows: list[dict]) -> str:
    return f"At N = {rows[0]['N']}, how many times less than at ratio 1:\n\n" + _table(
        ["ratio s", "FLOPs of the attention part", "its time", "time of the whole block"],
        [[f"{r['ratio']}", f"{r['flops']:.3g}", f"{r['attention_time']:.3g}", f"{r['whole_time']:.3g}"] for r in rows])


def _table(head: list[str], lines: list[list[str]]) -> str:
    return "\n".join("| " + " | ".join(line) + " |" for line in [head, ["---"] * len(head), *lines]) + "\n"
