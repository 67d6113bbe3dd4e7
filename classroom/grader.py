"""Grade a folder of submissions, without nbgrader: python -m classroom.grader gates submissions

A submission is a notebook, or the file of its last cell, named after the student (`ada.ipynb`, `ada.gates.json`); or a
folder named after the student with one such file in it. Each is run in a fresh kernel with limits of time and memory,
and judged outside of it. The report is a table, grades.csv, and a page for each student. Ctrl-C stops; the same command
goes on.
"""

from __future__ import annotations

import argparse
import csv
import hashlib
import json
import os
import signal
import sys
import time
from concurrent.futures import ProcessPoolExecutor, as_completed
from html import escape
from multiprocessing import get_context
from pathlib import Path

from tqdm import tqdm

from classroom.cells import Question, Refused, about, assignments, questions, read, source_of
from classroom.judging import NO_ANSWER, grade
from classroom.running import Limits

LARGE = 10_000_000        # bytes of a file, from which on the report says so


def submissions(folder: Path) -> dict[str, list[Path]]:
    """The files of each student in a folder; more than one is for the report to complain of.

    Raises:
        ValueError: if there are none.
    """
    found: dict[str, list[Path]] = {}
    for path in sorted(folder.iterdir()) if folder.is_dir() else []:
        if path.name.startswith("."):
            continue
        if path.is_dir():
            inside = [p for p in sorted(path.rglob("*")) if p.is_file()
                      and not any(part.startswith(".") for part in p.relative_to(path).parts)]
            found[path.name] = [p for p in inside if p.suffix in (".ipynb", ".json")] or inside
        else:
            found.setdefault(path.name.split(".")[0], []).append(path)
    if not found:
        raise ValueError(f"the folder of submissions must hold files or folders named after students; got {folder}")
    return found


def graded(student: str, files: list[Path], assignment: str, limits: Limits) -> dict:
    """One student's row of the report. What cannot be graded is said in its note, and never raises."""
    began = time.monotonic()
    source = source_of(assignment)
    row: dict = {"student": student, "points": {}, "sentences": {}, "texts": {}, "note": "", "minutes": ""}
    notes = []
    try:
        if len(files) != 1:
            raise Refused("there is no file." if not files else f"there are {len(files)} files; which one counts?")
        notebook = read(files[0], source, assignment)
        if files[0].stat().st_size > LARGE:
            notes.append(f"the file has {files[0].stat().st_size / 1e6:.0f} MB; the outputs in it were not read.")
        if missing := notebook.metadata["missing"]:
            notes.append(f"cells were renamed or deleted: {', '.join(missing)}.")
        row["minutes"] = _minutes(files[0])
        verdicts = grade(notebook, limits)
        row["points"] = {name: verdict.points for name, verdict in verdicts.items()}
        row["sentences"] = {name: verdict.sentence for name, verdict in verdicts.items()}
        row["texts"] = {about(cell)["grade_id"]: cell.source for cell in notebook.cells
                        if about(cell).get("grade") and about(cell)["solution"]}
    except Refused as refused:
        notes.append(str(refused))
    except Exception as error:                # of the grader itself: the run goes on, and this one is tried again
        notes.append(f"could not be graded, by no fault of the student's ({type(error).__name__}: {error}).")
        row["again"] = True
    return row | {"note": " ".join(notes), "seconds": round(time.monotonic() - began, 1)}


def _minutes(path: Path) -> str:
    """How long the student worked, by the word of a hand-in file; not to be trusted."""
    if path.suffix != ".json":
        return ""
    try:
        said = json.loads(path.read_text(encoding="utf-8"))["questions"].values()
        return str(round(max(question["seconds"] for question in said) / 60))
    except (KeyError, TypeError, ValueError, AttributeError):
        return ""


def graded_and_kept(student: str, files: list[Path], assignment: str, limits: Limits, kept: Path) -> dict:
    """`graded`, unless exactly these files have been graded before; what is new is kept at once."""
    digest = hashlib.sha256(f"{limits} {json.dumps(source_of(assignment))}".encode())
    for path in files:
        digest.update(path.read_bytes())
    if kept.exists():
        row = json.loads(kept.read_text(encoding="utf-8"))
        if row["digest"] == digest.hexdigest():
            return row
    row = graded(student, files, assignment, limits) | {"digest": digest.hexdigest()}
    if not row.pop("again", False):
        partial = kept.with_suffix(".partial")
        partial.write_text(json.dumps(row), encoding="utf-8")
        partial.replace(kept)
    return row


# The report


def table(rows: list[dict], asked: list[Question], path: Path) -> Path:
    """Write a row a student; where the file is locked, as by a spreadsheet, write another beside it."""
    head = ["student", *(f"{q.name} ({'by hand, ' if q.by_hand else ''}of {q.points:g})" for q in asked),
            f"total (of {sum(q.points for q in asked if not q.by_hand):g}, without what is marked by hand)",
            "minutes, by the file's own word", "note"]
    lines = [[row["student"], *("" if q.by_hand else f"{row['points'].get(q.name, 0):g}" for q in asked),
              f"{sum(row['points'].values()):g}", row["minutes"], row["note"]] for row in rows]
    for turn in range(1, 100):
        free = path if turn == 1 else path.with_stem(f"{path.stem}-{turn}")
        try:
            with free.open("w", newline="", encoding="utf-8-sig") as file:       # spreadsheets take it for UTF-8
                csv.writer(file).writerows([head, *map(_harmless, lines)])
            return free
        except PermissionError:
            print(f"{free} is locked, perhaps by a spreadsheet. Writing beside it.", file=sys.stderr)
    raise PermissionError(f"{path} and its like are all locked")


def _harmless(line: list[str]) -> list[str]:
    """Cells that a spreadsheet does not take for formulas, whatever a student has called a file."""
    return [f"'{cell}" if cell[:1] in tuple("=+-@\t") else cell for cell in line]


def page(row: dict, asked: list[Question], assignment: str) -> str:
    """One student's page: points, and the sentences that are meant for the student. Nothing of a test."""
    lines = []
    for q in asked:
        if q.by_hand:
            lines.append(f"<h2>{escape(q.name)}: marked by your teacher, of {q.points:g}</h2>"
                         f"<pre>{escape(row['texts'].get(q.name, ''))}</pre>")
            continue
        points, said = row["points"].get(q.name, 0), row["sentences"].get(q.name, NO_ANSWER)
        said = said or ("Right." if points else NO_ANSWER)
        said = escape(said[:1].upper() + said[1:])
        lines.append(f"<h2>{escape(q.name)}: {points:g} of {q.points:g}</h2><p>{said}</p>")
    note = f"<p><strong>{escape(row['note'])}</strong></p>" if row["note"] else ""
    return ("<!doctype html><html lang=en><meta charset=utf-8><meta name=viewport content='width=device-width'>"
            "<style>:root{color-scheme:light dark}body{font:1rem/1.5 sans-serif;max-width:40rem;margin:2rem auto;"
            "padding:0 1rem}pre{white-space:pre-wrap}</style>"
            f"<title>{escape(row['student'])}, {escape(assignment)}</title>"
            f"<h1>{escape(row['student'])}, {escape(assignment)}</h1>{note}{''.join(lines)}</html>\n")


# The command


def run_all(assignment: str, folder: Path, report: Path, limits: Limits, workers: int) -> list[dict]:
    """Grade every submission of a folder and write the report; after Ctrl-C, of those that are done.

    Raises:
        ValueError: if there is no such assignment, or no submission.
    """
    asked, found = questions(source_of(assignment)), submissions(folder)
    for inner in ("done", "pages"):
        (report / inner).mkdir(parents=True, exist_ok=True)
    rows, stopped = [], False
    pool = ProcessPoolExecutor(workers, mp_context=get_context("spawn"), initializer=_deaf_to_ctrl_c)
    try:
        futures = [pool.submit(graded_and_kept, student, files, assignment, limits, report / "done" / f"{student}.json")
                   for student, files in found.items()]
        for future in tqdm(as_completed(futures), total=len(futures), unit=" students", disable=None):
            rows.append(future.result())
    except KeyboardInterrupt:
        stopped = True
        print("\nStopping, once those that are running are done. The same command goes on.", file=sys.stderr)
    finally:
        pool.shutdown(cancel_futures=True)
    rows.sort(key=lambda row: row["student"])
    for row in rows:
        (report / "pages" / f"{row['student']}.html").write_text(page(row, asked, Path(assignment).stem),
                                                                 encoding="utf-8")
    where = table(rows, asked, report / "grades.csv")
    print(f"{len(rows)} of {len(found)} students. The table: {where}. A page a student: {report / 'pages'}")
    for row in rows:
        if row["note"]:
            print(f"  {row['student']}: {row['note']}")
    if stopped:
        raise SystemExit(130)
    return rows


def _deaf_to_ctrl_c() -> None:
    """A worker ends with what it has begun; the command itself hears Ctrl-C."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)


def main(arguments: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="python -m classroom.grader", description=__doc__.splitlines()[0],
                                     epilog="Submissions are programs by strangers. Run this where they can do no "
                                            "harm: see the book's page for teachers.")
    parser.add_argument("assignment", help=f"one of {', '.join(assignments())}, or a source of your own")
    parser.add_argument("folder", type=Path, help="the submissions, named after the students")
    parser.add_argument("--report", type=Path, help="where to write (default: FOLDER-graded)")
    parser.add_argument("--seconds", type=float, default=Limits.seconds, help="that a cell may take (%(default)s)")
    parser.add_argument("--gigabytes", type=float, default=Limits.gigabytes, help="of memory a student (%(default)s)")
    parser.add_argument("--workers", type=int, default=os.cpu_count() or 1, help="students at a time (%(default)s)")
    given = parser.parse_args(arguments)
    report = given.report or given.folder.with_name(f"{given.folder.resolve().name}-graded")
    try:
        limits = Limits(given.seconds, max(Limits.whole, 5 * given.seconds), given.gigabytes)
        run_all(given.assignment, given.folder, report, limits, given.workers)
    except ValueError as error:
        print(f"{error}. Nothing was graded.", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
