"""What each chapter may hold, and what it holds: `python tests/chapter_budget.py` prints the table."""

from __future__ import annotations

import math
import re
from pathlib import Path

import nbformat
from nbformat import NotebookNode

CHAPTERS = sorted((Path(__file__).resolve().parent.parent / "book" / "chapters").glob("[01]*.ipynb"))

AT_MOST = {"minutes": 35, "prose": 2000, "words": 3200, "cells": 12, "lines": 15, "columns": 79, "folded": 150}
# A student's minutes, exercises aside: words at this pace, each picture, each explorer with its experiment.
WORDS_A_MINUTE, PICTURE, EXPERIMENT = 200, 2, 3
AT_LEAST = {"pictures": 8}
FOLDED = {"hide-input", "hide-cell", "remove-input", "remove-cell"}


def words(text: str) -> int:
    """Words of Markdown: code, formulas and directives count as they are read, an address and a fold do not."""
    text = re.sub(r"\]\([^)]*\)|^```\{.*$|^:\w+:.*$|^<details><summary>Solution<.*$|^</details>$", "", text, flags=re.M)
    return len(re.findall(r"[\w’'-]*[^\W\d_][\w’'-]*", text))


def prose(cells: list[NotebookNode]) -> str:
    """The text up to the exercises, without its formulas and tables."""
    text = "\n".join(cell.source for cell in cells if cell.cell_type == "markdown").split("\n## Exercises")[0]
    return re.sub(r"^\|.*$", "", re.sub(r"\$\$.*?\$\$", "", text, flags=re.S), flags=re.M)


def said(cell: NotebookNode) -> str:
    """All that a cell gives to read besides code and output: its text, or its picture's words and caption."""
    if cell.cell_type == "markdown":
        return cell.source
    mystnb = cell.metadata.get("mystnb", {})
    return " ".join([mystnb.get("image", {}).get("alt", ""), mystnb.get("figure", {}).get("caption", "")])


def held(path: Path) -> dict[str, int]:
    """What a chapter holds, by the names of `AT_MOST` and `AT_LEAST`."""
    cells = nbformat.read(path, as_version=4).cells
    code = [cell for cell in cells if cell.cell_type == "code" and cell.source.strip()]
    tasks = ("exercise:", "solution:")
    own = [cell for cell in code if not any(tag.startswith(tasks) for tag in cell.metadata.get("tags", []))]
    folded = [cell for cell in own if FOLDED & set(cell.metadata.get("tags", []))]
    seen = [cell for cell in own if cell not in folded]
    shown = " ".join(output.get("data", {}).get("text/plain", "") for cell in code for output in cell.outputs)
    pictures, explorers = sum("image" in cell.metadata.get("mystnb", {}) for cell in code), shown.count("Explorer(")
    return {
        "minutes": math.ceil(words(prose(cells)) / WORDS_A_MINUTE + PICTURE * pictures + EXPERIMENT * explorers),
        "prose": words(prose(cells)),
        "words": sum(words(said(cell)) for cell in cells),
        "cells": len(seen),
        "lines": max((len(cell.source.splitlines()) for cell in seen), default=0),
        "columns": max((len(line) for cell in seen for line in cell.source.splitlines()), default=0),
        "folded": sum(len(cell.source.splitlines()) for cell in folded if "colab" not in cell.metadata["tags"]),
        "pictures": pictures + explorers,
    }


def over(path: Path) -> list[str]:
    """What of a chapter is beyond its budget, in words."""
    has = held(path)
    return [f"{name}: {has[name]}, at most {limit}" for name, limit in AT_MOST.items() if has[name] > limit] + [
        f"{name}: {has[name]}, at least {limit}" for name, limit in AT_LEAST.items() if has[name] < limit]


def table() -> str:
    """A row a chapter; what is beyond the budget has a star."""
    limits = AT_MOST | AT_LEAST
    rows = [f"{'':20}" + "".join(f"{name:>10}" for name in limits), f"{'limit':20}" + "".join(
        f"{limit:>10}" for limit in limits.values())]
    for path in CHAPTERS:
        beyond = {line.split(":")[0] for line in over(path)}
        rows.append(f"{path.stem:20}" + "".join(
            f"{str(value) + '*' * (name in beyond):>10}" for name, value in held(path).items()))
    return "\n".join(rows)


if __name__ == "__main__":
    print(table())
