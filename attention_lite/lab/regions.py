"""Regions drawn by hand on photographs: what is an eye, what a tower, as polygons; and how much of a patch each covers.

All coordinates are those of the largest square in the photograph's middle, which is what the vision transformer sees:
x to the right and y down, both from 0 to 1. `python -m attention_lite.lab regions chelsea` shows them, and with
--draw takes a new one by clicks.
"""

import json
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING

import torch
from torch import Tensor

from attention_lite import checks
from attention_lite.extras import extra
from attention_lite.lab import patches, photographs
from attention_lite.lab.files import write_whole

if TYPE_CHECKING:
    from matplotlib.axes import Axes

FILE = Path(__file__).parent / "regions.json"
SHOWN = 768              # pixels: the side of the square on which outlines are shown and drawn

Polygon = list[list[float]]      # corners (x, y) in order; the last is joined to the first


def drawn() -> tuple[str, ...]:
    """The photographs that have regions."""
    return tuple(_read(FILE))


def regions(photograph: str) -> dict[str, Polygon]:
    """The polygons on a photograph's middle square, by name.

    Raises:
        ValueError: if nothing is drawn on it.
    """
    return {name: [list(corner) for corner in polygon]
            for name, polygon in _entry(photograph)["regions"].items()}


def region(photograph: str, name: str) -> Polygon:
    """One polygon.

    Raises:
        ValueError: if the photograph has no such region; lists those that it has.
    """
    known = regions(photograph)
    if name not in known:
        raise ValueError(f"{photograph} has no region {name!r}; it has {', '.join(known)}")
    return known[name]


def main_object(photograph: str) -> tuple[str, ...]:
    """The regions that make up what the photograph is a picture of; there are several only where no one stands out."""
    return tuple(_entry(photograph)["main"])


def coverage(polygon: Polygon, grid: int) -> Tensor:
    """The share of each patch of a grid that a polygon covers, exactly: (grid, grid), in [0, 1], row by row.

    Each patch is cut out of the polygon by its four edges (Sutherland and Hodgman, 1974); what is left has the
    area that the shoelace formula gives.
    """
    grid = checks.positive_int("grid", grid)
    shares = torch.zeros(grid, grid)
    scaled = [(x * grid, y * grid) for x, y in polygon]
    for row in range(grid):
        strip = _clip(_clip(scaled, axis=1, edge=row, keep=1), axis=1, edge=row + 1, keep=-1)
        for column in range(grid if strip else 0):
            shares[row, column] = area(_clip(_clip(strip, 0, column, 1), 0, column + 1, -1))
    return shares.clamp(max=1)


def covered(photograph: str, names: tuple[str, ...] | list[str], grid: int) -> Tensor:
    """The share of each patch that the regions of these names cover together; they must lie apart: (grid, grid)."""
    return torch.stack([coverage(region(photograph, name), grid) for name in names]).sum(0).clamp(max=1)


def area(polygon: Polygon | list[tuple[float, float]]) -> float:
    """The area inside a polygon, by the shoelace formula; 0 for one without corners."""
    following = polygon[1:] + polygon[:1]
    return abs(sum(x * v - u * y for (x, y), (u, v) in zip(polygon, following, strict=True))) / 2


def _clip(polygon: list[tuple[float, float]], axis: int, edge: float, keep: int) -> list[tuple[float, float]]:
    """What of a polygon lies on one side of a line across `axis`: above `edge` for keep = 1, below it for −1."""
    left = []
    for a, b in zip(polygon, polygon[1:] + polygon[:1], strict=True):
        inside_a, inside_b = keep * (a[axis] - edge) >= 0, keep * (b[axis] - edge) >= 0
        if inside_a:
            left.append(a)
        if inside_a != inside_b:
            t = (edge - a[axis]) / (b[axis] - a[axis])
            left.append((a[0] + t * (b[0] - a[0]), a[1] + t * (b[1] - a[1])))
    return left


# The file


@cache
def _read(path: Path) -> dict[str, dict]:
    return json.loads(path.read_text(encoding="utf-8"))


def _entry(photograph: str) -> dict:
    known = _read(FILE)
    if photograph not in tuple(known):
        raise ValueError(f"photograph must be one with regions, {', '.join(known)}; got {photograph!r}")
    return known[photograph]


def store(photograph: str, name: str, polygon: Polygon) -> None:
    """Write one region into the file, in place of an older one of that name; corners are rounded to a thousandth."""
    known = json.loads(FILE.read_text(encoding="utf-8"))
    entry = known.setdefault(photograph, {"main": [name], "regions": {}})
    entry["regions"][name] = [[round(float(v), 3) for v in corner] for corner in polygon]
    blocks = []
    for one, of in known.items():        # one region a line: differences between versions stay readable
        lines = ",\n".join(f"  {json.dumps(n)}: {json.dumps(p)}" for n, p in of["regions"].items())
        blocks.append(f'{json.dumps(one)}: {{"main": {json.dumps(of["main"])}, "regions": {{\n{lines}}}}}')
    write_whole(FILE, ("{\n" + ",\n".join(blocks) + "\n}\n").encode())
    _read.cache_clear()


# Looking and drawing


def show(ax: "Axes", photograph: str, grid: bool = False) -> None:
    """Draw a photograph's middle square and the outlines of its regions, numbered in the file's order, into axes."""
    from attention_lite.figures import CYCLE

    ax.imshow(patches.window(photograph, (SHOWN, SHOWN)).numpy(), extent=(0, 1, 1, 0))
    for number, polygon in enumerate(_drawn_on(photograph).values()):
        colour = CYCLE[number % len(CYCLE)]
        x, y = zip(*polygon, polygon[0], strict=True)
        ax.plot(x, y, color="white", linewidth=2.4)
        ax.plot(x, y, color=colour, linewidth=1.2)
        corner, side = _corner_for_number(polygon)
        ax.annotate(str(number + 1), corner, (0, 8 * side), textcoords="offset points", ha="center", va="center",
                    color="white", fontsize=9, bbox={"facecolor": colour, "edgecolor": "none", "pad": 1})
    ax.set(xlim=(0, 1), ylim=(1, 0))
    if grid:
        ticks = [tick / 20 for tick in range(21)]
        ax.set(xticks=ticks, yticks=ticks)
        ax.grid(color="white", alpha=0.35, linewidth=0.5)
    else:
        ax.set_axis_off()


def _corner_for_number(polygon: Polygon) -> tuple[list[float], int]:
    """Where a region's number hides nothing of it: above its highest corner (1); below its lowest (−1) if it is large,
    since what lies in it has its own number there, or if it begins at the picture's edge."""
    highest = min(polygon, key=lambda corner: corner[1])
    lowest = max(polygon, key=lambda corner: corner[::-1])
    return (lowest, -1) if highest[1] < 0.06 or area(polygon) > 0.2 else (highest, 1)


def _drawn_on(photograph: str) -> dict[str, Polygon]:
    """Its regions, or none as yet."""
    return regions(photograph) if photograph in drawn() else {}


def save_overlay(photograph: str, path: Path) -> None:
    """Write the picture of a photograph with its regions over a grid of coordinates.

    Raises:
        ValueError: if the photograph is unknown.
        OSError: if the file cannot be written.
    """
    with extra("book"):
        import matplotlib.pyplot as plt

    photographs.load(photograph)
    figure, ax = plt.subplots(figsize=(11, 11), layout="constrained")
    show(ax, photograph, grid=True)
    figure.savefig(path, dpi=90)
    plt.close(figure)


def draw_by_hand(photograph: str, name: str) -> None:
    """Open a window, take a polygon's corners by clicks until Enter (a right click takes one back), and store it.

    Raises:
        ValueError: if fewer than three corners were clicked.
    """
    with extra("book"):
        import matplotlib.pyplot as plt

    _, ax = plt.subplots(figsize=(11, 11), layout="constrained")
    show(ax, photograph, grid=True)
    ax.set_title(f"{name}: click its corners in order, then press Enter")
    corners = plt.ginput(n=-1, timeout=0)
    if len(corners) < 3:
        raise ValueError(f"a region needs three corners, got {len(corners)}; nothing was stored")
    store(photograph, name, [[min(max(v, 0), 1) for v in corner] for corner in corners])
