"""An explorer of a table: sort it, filter it, and lay any two of its columns against each other."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import traitlets

from attention_lite.as_array import as_array
from attention_lite.explorers import arrays
from attention_lite.explorers.base import Explorer, Number, Switch, Whole

BETTER = ("higher", "lower", "")
MOST_GROUPS = 4           # as many as have a shape and a colour


@dataclass(frozen=True)
class Column:
    """One column of numbers.

    name: its heading, short.  unit: what the numbers are, in words, for the axis and the read-out.
    form: how a number is written, as in f"{number:{form}}".
    better: "higher", "lower", or "" where neither is; the filter keeps the better side.
    log: whether its axis is logarithmic; all numbers must then be above 0.
    missing: why a row has no number here.
    """

    name: str
    unit: str
    form: str = ".2f"
    better: str = ""
    log: bool = False
    missing: str = "not measured"


class TableExplorer(Explorer):
    """Sort and filter a table of R rows and K columns, and lay any two columns against each other.

    Arguments:
        rows: R names.
        columns: K `Column`s, two at least.
        values: (R, K) numbers; NaN where a row has none.
        low, high: (R, K) ends of an interval around each value; NaN where there is none.
        points: (R, K, S) the single numbers behind each value, S at most (one a seed, say); NaN where there are fewer.
        groups: R words, four different ones at most; the reader can hide a group.
        links: R addresses, relative to the page, or "" for none.
        interval_name, points_name: what the intervals and the points are, in words.
        caption: what the table shows, in a sentence.
        x, y: the columns of the plot's axes at the start.  sort: the column to sort by, −1 for the given order.

    Traits `x`, `y`, `sort`, `descending`, `row`, `hidden` (group names), `filter` (a column, −1 for none) and `bound`
    (the number that the filter's column must reach) are synchronised both ways.

    Raises ValueError, naming the argument, on anything that does not fit the above.
    """

    x = Whole(0).tag(sync=True)
    y = Whole(1).tag(sync=True)
    sort = Whole(-1).tag(sync=True)
    descending = Switch(True).tag(sync=True)
    row = Whole(-1).tag(sync=True)
    hidden = traitlets.List(traitlets.Unicode()).tag(sync=True)
    filter = Whole(-1).tag(sync=True)
    bound = Number(0.0).tag(sync=True)

    def __init__(
        self,
        rows: Sequence[str],
        columns: Sequence[Column],
        values: Any,
        *,
        low: Any = None,
        high: Any = None,
        points: Any = None,
        groups: Sequence[str] | None = None,
        links: Sequence[str] | None = None,
        interval_name: str = "95 % interval",
        points_name: str = "seeds",
        caption: str = "",
        x: int = 0,
        y: int = 1,
        sort: int = -1,
    ) -> None:
        names = arrays.names("rows", rows, len(rows), "{}")
        columns = _columns(columns)
        table = _table("values", values, (len(names), len(columns)))
        if (low is None) != (high is None):
            raise ValueError("low and high must be given together or not at all")
        ends = [_table(n, v, table.shape) for n, v in (("low", low), ("high", high)) if v is not None]
        if ends and ((ends[0] > table + 1e-9) | (ends[1] < table - 1e-9)).any():
            raise ValueError("low and high must lie below and above values, and do not")
        single = None if points is None else _table("points", points, (*table.shape, "S"))
        _all_positive_on_log_axes(columns, table)
        group = ["row"] * len(names) if groups is None else arrays.names("groups", groups, len(names), "")
        kinds = list(dict.fromkeys(group))
        if len(kinds) > MOST_GROUPS:
            raise ValueError(f"groups must be at most {MOST_GROUPS} different ones, got {', '.join(kinds)}")
        self._limits = {"x": len(columns), "y": len(columns), "sort": len(columns), "filter": len(columns),
                        "row": len(names)}
        self._groups = kinds
        start = {name: self._check(name, value) for name, value in {"x": x, "y": y, "sort": sort}.items()}
        spec = {
            "arrays": {},
            "rows": names,
            "groups": group,
            "kinds": kinds,
            "links": arrays.names("links", links, len(names), ""),
            "columns": [column.__dict__ for column in columns],
            "cells": [[_cell(column, table[r, k], *(end[r, k] for end in ends), single=single, at=(r, k))
                       for k, column in enumerate(columns)] for r in range(len(names))],
            "intervalName": interval_name,
            "pointsName": points_name,
            "caption": caption,
        }
        self._summary = f"{len(names)} rows, {len(columns)} columns"
        super().__init__(kind="table", spec=spec, data=b"", **start)

    def _check(self, name: str, value: Any) -> Any:
        return arrays.index(name, value, self._limits[name], low=0 if name in ("x", "y") else -1)

    @traitlets.validate("x", "y", "sort", "row", "filter")
    def _valid(self, proposal: Any) -> Any:
        return self._check(proposal["trait"].name, proposal["value"])

    @traitlets.validate("hidden")
    def _valid_hidden(self, proposal: Any) -> Any:
        unknown = [name for name in proposal["value"] if name not in self._groups]
        if unknown:
            raise ValueError(f"hidden must hold groups, {', '.join(self._groups)}; got {', '.join(unknown)}")
        return proposal["value"]


def _columns(columns: Any) -> list[Column]:
    if not isinstance(columns, (list, tuple)) or len(columns) < 2:
        raise ValueError(f"columns must be a list of two Columns or more, got {columns!r}")
    for i, column in enumerate(columns):
        if not isinstance(column, Column):
            raise ValueError(f"columns[{i}] must be a Column, got {type(column).__name__}")
        if column.better not in BETTER:
            known = ", ".join(map(repr, BETTER))
            raise ValueError(f"columns[{i}].better must be one of {known}, got {column.better!r}")
    return list(columns)


def _table(name: str, value: Any, shape: tuple[int | str, ...]) -> np.ndarray:
    """Return numbers of `shape`, NaN allowed."""
    array = np.asarray(as_array(name, value), dtype=float)
    known = np.where(np.isnan(array), 0.0, array)
    arrays.numbers(name, known, shape)
    return array


def _all_positive_on_log_axes(columns: list[Column], table: np.ndarray) -> None:
    for k, column in enumerate(columns):
        if column.log and (table[:, k] <= 0).any():
            raise ValueError(f"values of the column {column.name} must be above 0, since its axis is logarithmic")
        if np.isnan(table[:, k]).all():
            raise ValueError(f"values of the column {column.name} must hold a number, got none")


def _cell(column: Column, value: float, *ends: float, single: np.ndarray | None, at: tuple[int, int]) -> dict[str, Any]:
    """One cell for the browser: the number, its text, and what stands behind it. Missing: only its reason."""
    if np.isnan(value):
        return {"why": column.missing}
    cell: dict[str, Any] = {"value": float(value), "text": format(value, column.form)}
    if ends and not np.isnan(ends).any():
        cell["low"], cell["high"] = (float(end) for end in ends)
        cell["ends"] = [format(end, column.form) for end in ends]
    known = [] if single is None else single[at][~np.isnan(single[at])].tolist()
    if known:
        cell["points"] = known
        cell["each"] = [format(point, column.form) for point in known]
    return cell
