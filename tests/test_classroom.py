"""A class: its assignments, their editions, and both ways to grade, with a correct, a half-right, a blank, a crashing,
a never-ending and a cheating submission."""

from __future__ import annotations

import copy
import csv
import json
import os
import re
import subprocess
import sys
from datetime import datetime, timezone
from pathlib import Path

import nbformat
import pytest
import submissions
from nbclient import NotebookClient
from nbgrader.api import Gradebook
from nbgrader.server_extensions.assignment_list.handlers import AssignmentList

from attention_lite.exercises import Wrong
from attention_lite.handing_in import FORM, LUCK, MOST, draw, hand_in, plain, write_answers
from classroom import editions, grader
from classroom.cells import TEACHER, TEST, about, assignments, hidden, is_test, questions, source_of, visible
from classroom.judging import judge
from classroom.running import EXPLORER, Limits, run

pytestmark = pytest.mark.thorough

UNREADABLE = b"\x89PNG is no notebook"
QUICK = Limits(seconds=8, whole=240, gigabytes=1, output=100_000)
TESTED = [(name, q.name) for name in assignments() for q in questions(source_of(name)) if not q.by_hand]


# The assignments


def in_one(notebooks: list[nbformat.NotebookNode]) -> nbformat.NotebookNode:
    """Notebooks one after the other, each in a namespace of its own."""
    cells = [cell for notebook in notebooks for cell in (nbformat.v4.new_code_cell("%reset -f"), *notebook.cells)]
    return nbformat.v4.new_notebook(cells=cells)


@pytest.fixture(scope="module")
def runs() -> dict[tuple[str, str, str], nbformat.NotebookNode]:
    """Every test's cell as it ran under the stub and under the solution, explorers and all, in one kernel."""
    notebooks, found = [], {}
    for name in assignments():
        source, stubs = source_of(name), editions.student(source_of(name))
        stub = {about(cell)["grade_id"]: cell for cell in stubs.cells if about(cell)}
        notebook = nbformat.v4.new_notebook()
        for cell in source.cells:
            cell.metadata.pop("tags", None)                             # explorers are to run, too
            if is_test(cell):
                question = about(cell)["grade_id"].removesuffix(TEST)
                answer = next(c for c in source.cells if about(c).get("grade_id") == question)
                for kind, code in (("stub", stub[question].source), ("solution", answer.source)):
                    test = copy.deepcopy(cell)
                    test.source, test["id"] = visible(cell.source), f"{cell.id}-{kind}"
                    found[name, question, kind] = test
                    notebook.cells += [nbformat.v4.new_code_cell(code), test]
            elif not about(cell).get("solution"):
                notebook.cells.append(copy.deepcopy(cell))
        notebooks.append(notebook)
    whole = in_one(notebooks)
    assert run(whole, Limits(seconds=240, whole=900), {"MPLBACKEND": "agg"}) == {}
    assert [o for cell in whole.cells for o in cell.get("outputs", []) if o.output_type == "error"] == []
    return found


@pytest.mark.parametrize(("name", "question"), TESTED)
def test_a_solution_gets_its_points_and_a_stub_none_and_both_run(name, question, runs):
    test = next(c.source for c in source_of(name).cells if about(c).get("grade_id") == question + TEST)
    given = {kind: [o["data"][FORM] for o in runs[name, question, kind].outputs if FORM in o.get("data", {})]
             for kind in ("stub", "solution")}
    assert [g["sentence"] for g in given["solution"]] == [""]
    assert judge(test, given["solution"][0]["answer"], "") == (True, "")
    assert [g["answer"] for g in given["stub"]] == [None]
    assert not judge(test, given["stub"][0]["answer"], "")[0]
    assert not judge(test, "something else", "")[0]


@pytest.mark.parametrize("name", assignments())
def test_a_solution_gets_its_points_whatever_numbers_the_grader_draws(name, monkeypatch):
    # A slip may give the right numbers where few are drawn: it must not be blamed on who has no slip.
    source, known = source_of(name), {}
    cells = {about(cell).get("grade_id"): cell.source for cell in source.cells}
    drawn = [q.name for q in questions(source) if not q.by_hand and not re.search(
        r"sample\(|pretrained", cells[q.name + TEST])]                       # not what runs a network: seconds each
    assert drawn
    exec(cells["setup"], known)
    for question in drawn:
        exec(cells[question], known)
    for luck in map(str, range(60)):
        monkeypatch.setenv(LUCK, luck)
        for question in drawn:
            exec(visible(cells[question + TEST]), known)
            assert judge(cells[question + TEST], plain(known["answer"]), luck) == (True, ""), (question, luck)


@pytest.mark.parametrize("name", assignments())
def test_an_assignment_is_a_two_hour_lab_whose_students_edition_tells_nothing(name):
    source = source_of(name)
    notes = [cell.source for cell in source.cells if TEACHER in cell.metadata.get("tags", [])]
    minutes = [int(m) for note in notes for m in re.findall(r"^\*\*(\d+) minutes\.\*\*", note, re.MULTILINE)]
    assert 90 <= sum(minutes) <= 120
    assert f"{sum(q.points for q in questions(source)):g} points" in notes[0]
    assert sum("*Listen for:*" in note for note in notes) >= 5
    assert sum("*Ask" in note for note in notes) >= 5
    assert any("*Rubric" in note for note in notes)
    release = editions.student(source)
    nbformat.validate(release)
    told = "\n".join(cell.source for cell in release.cells)
    for secret in ("HIDDEN", "SOLUTION", "Rubric", "Listen for", *(
            line.strip() for cell in source.cells if is_test(cell) for line in hidden(cell.source).splitlines()
            if "raise Wrong" in line)):
        assert secret not in told
    locked = [cell for cell in release.cells if about(cell).get("locked")]
    assert [cell.metadata.editable for cell in locked] == [False] * len(locked)
    assert "Rubric" in "\n".join(cell.source for cell in editions.teacher(source).cells)
    assert any(EXPLORER in cell.metadata.get("tags", []) for cell in source.cells)


@pytest.mark.parametrize("path", editions.CHAPTERS, ids=lambda path: path.stem)
def test_a_chapters_editions(path):
    chapter = nbformat.read(path, as_version=4)
    kinds = [tag for cell in chapter.cells for tag in cell.metadata.get("tags", []) if tag.startswith("solution:")]
    solutions = [cell.source for cell in chapter.cells if set(cell.metadata.get("tags", [])) & set(kinds)]
    for_students, for_teachers = editions.chapter_for_students(chapter), editions.chapter_for_teachers(chapter)
    for edition in (for_students, for_teachers):
        nbformat.validate(edition)
        text = "\n".join(cell.source for cell in edition.cells)
        assert not re.search(r"\{(solution|exercise)-(start|end)\}|<summary>Solution", text)
    kept = [cell.source for cell in for_students.cells]
    assert not set(solutions) & set(kept)
    assert "Solution." not in "\n".join(kept)
    assert set(solutions) <= {cell.source for cell in for_teachers.cells}
    assert sum("### Exercise: " in text for text in kept) == len(kinds)
    # What is neither a solution nor a directive stays.
    assert len(kept) >= sum(cell.cell_type == "code" for cell in chapter.cells) - len(kinds)
    assert "## Summary" in "\n".join(kept)


# Answers


def test_answers_become_plain():
    assert plain([1, True, "b", 2.5, None, (3,), {2, 1}]) == [1, True, "b", 2.5, None, [3], [1, 2]]
    assert plain(draw("x", 2, 3)) == {"shape": [2, 3], "values": draw("x", 2, 3).double().flatten().tolist()}
    for answer in (object(), {"a": 1}, lambda: 1, [object()]):
        with pytest.raises(Wrong, match="expected numbers, text, tensors"):
            plain(answer)
    with pytest.raises(Wrong, match=f"at most {MOST:,}"):
        plain(draw("x", MOST + 1))


def test_draw_gives_the_grader_other_numbers(monkeypatch):
    first = draw("x", 4)
    assert first.equal(draw("x", 4))
    assert not first.equal(draw("y", 4))
    monkeypatch.setenv("ATTENTION_LITE_LUCK", "7")
    assert not first.equal(draw("x", 4))


def test_a_first_look_is_said_at_once(capsys):
    assert hand_in("q", ...) is None
    assert hand_in("q", lambda x: x / 0, [(1,)]) is None
    hand_in("q", 3, look=lambda a: "too large." if a > 2 else None)
    hand_in("q", 1, look=lambda a: a.shape)
    hand_in("q", 1)
    said = capsys.readouterr().out.splitlines()
    for line, words in zip(said, ("no answer here yet", "ZeroDivisionError", "Not yet: too large.",
                                  "has not the form", "Handed in."), strict=True):
        assert words in line


def test_write_answers_wants_a_name(tmp_path):
    with pytest.raises(ValueError, match="student must be your name; got ' '"):
        write_answers("gates", " ", tmp_path)


# The small grader


@pytest.fixture(scope="module")
def course(tmp_path_factory) -> Path:
    """A folder with the small assignment's source and six submissions, and everything else that may lie there."""
    folder = tmp_path_factory.mktemp("course")
    source = submissions.source()
    nbformat.write(source, folder / "tiny.ipynb")
    inbox = folder / "inbox"
    inbox.mkdir()
    release = editions.student(source)
    right = submissions.six(release)["correct"]
    for student in ("half", "cheating"):
        nbformat.write(submissions.six(release)[student], inbox / f"{student}.ipynb")
    (inbox / "binary.ipynb").write_bytes(bytes(range(256)) * 40)
    (inbox / "essay.ipynb").write_text("Dear teacher, my answers are below.", encoding="utf-8")
    (inbox / "list.ipynb").write_text("[1, 2]", encoding="utf-8")
    nbformat.write(editions.student(source_of("gates")), inbox / "other.ipynb")
    (inbox / "empty").mkdir()
    hungry = submissions.answered(right, letter="# Answer: letter\nx = torch.ones(2**28)\nx + x")
    hungry.cells = [cell for cell in hungry.cells if about(cell).get("grade_id") != "essay"]
    nbformat.write(hungry, inbox / "hungry.ipynb")
    loud = submissions.answered(right, letter='# Answer: letter\nletter = "b"\nprint("x" * 50_000_000)')
    for cell in loud.cells:
        if about(cell):
            cell.metadata.nbgrader.grade_id = f"my-{about(cell)['grade_id']}"
    loud.cells[0].outputs = [nbformat.v4.new_output("stream", text="x" * 50_000_000)]
    (inbox / "loud").mkdir()
    nbformat.write(loud, inbox / "loud" / "work.ipynb")
    return folder


@pytest.fixture(scope="module")
def report(course) -> dict[str, dict]:
    rows = grader.run_all(str(course / "tiny.ipynb"), course / "inbox", course / "report", QUICK, 2)
    return {row["student"]: row for row in rows}


@pytest.mark.parametrize("student", ["half", "cheating"])
def test_the_grader_gives_points_as_nbgrader_does(student, report):
    given = report[student]["points"]
    assert (given["rows"], given["letter"]) == submissions.POINTS[student]


@pytest.mark.parametrize(("student", "where", "sentence"), [
    ("half", "rows", "your columns sum to one."), ("hungry", "letter", "stopped at 1 GB of memory"),
    ("loud", "letter", "it prints 50 MB"), ("loud", "note", "the file has 50 MB"),
    ("loud", "note", "cells were renamed or deleted: essay."),
    ("hungry", "note", "cells were renamed or deleted: essay."),
    ("binary", "note", "the file is no notebook"), ("essay", "note", "the file is no notebook"),
    ("list", "note", "the file is no notebook"), ("other", "note", "no cell of this assignment"),
    ("empty", "note", "there is no file.")])
def test_what_is_wrong_is_a_sentence_in_the_report(student, where, sentence, report):
    row = report[student]
    assert sentence in (row["note"] if where == "note" else row["sentences"][where])


def test_a_bad_submission_costs_its_author_that_question_alone(report):
    assert report["loud"]["points"] == {"rows": 4, "letter": 2}
    assert report["hungry"]["points"] == {"rows": 4, "letter": 0}


def test_the_table_and_the_pages_tell_points_and_nothing_of_the_tests(course, report):
    with (course / "report" / "grades.csv").open(encoding="utf-8-sig") as file:
        table = list(csv.reader(file))
    assert table[0][:4] == ["student", "rows (of 4)", "letter (of 2)", "essay (by hand, of 3)"]
    assert {row[0]: row[4] for row in table[1:]}["loud"] == "6"
    assert len(table) == 1 + len(report)
    for student in report:
        html = (course / "report" / "pages" / f"{student}.html").read_text(encoding="utf-8")
        assert "raise Wrong" not in html
        assert "softmax(" not in html
    html = (course / "report" / "pages" / "half.html").read_text(encoding="utf-8")
    assert "rows: 0 of 4" in html
    assert "Your columns sum to one." in html
    assert "marked by your teacher, of 3" in html


def test_what_is_graded_is_not_graded_again_and_what_changed_is(course, report, tmp_path, monkeypatch):
    graded_now = []
    monkeypatch.setattr(grader, "graded", lambda student, *a: graded_now.append(student) or dict(report[student]))
    kept = course / "report" / "done" / "half.json"
    files = [course / "inbox" / "half.ipynb"]
    row = grader.graded_and_kept("half", files, str(course / "tiny.ipynb"), QUICK, kept)
    assert graded_now == []
    assert row["points"] == report["half"]["points"]
    changed = tmp_path / "half.ipynb"
    changed.write_text(files[0].read_text(encoding="utf-8") + "\n", encoding="utf-8")
    copied = tmp_path / "half.json"
    copied.write_bytes(kept.read_bytes())
    grader.graded_and_kept("half", [changed], str(course / "tiny.ipynb"), QUICK, copied)
    assert graded_now == ["half"]


def test_a_locked_table_is_written_beside(tmp_path, monkeypatch, capsys):
    locked, write = tmp_path / "grades.csv", Path.open

    def refuse(path, *args, **kwargs):
        if path == locked:
            raise PermissionError
        return write(path, *args, **kwargs)

    monkeypatch.setattr(Path, "open", refuse)
    assert grader.table([], [], locked) == tmp_path / "grades-2.csv"
    assert "is locked, perhaps by a spreadsheet" in capsys.readouterr().err


def test_a_table_holds_no_formula_of_a_students(tmp_path):
    row = {"student": '=HYPERLINK("x")', "points": {}, "note": "", "minutes": ""}
    assert '"\'=HYPERLINK' in grader.table([row], [], tmp_path / "grades.csv").read_text(encoding="utf-8-sig")


def test_the_command_says_what_it_wanted(tmp_path, capsys):
    assert grader.main(["gate", str(tmp_path)]) == 1
    assert "assignment must be one of cheaper, gates" in capsys.readouterr().err
    assert grader.main(["gates", str(tmp_path)]) == 1
    assert "must hold files or folders named after students" in capsys.readouterr().err


def test_a_hand_in_file_is_run_again_and_not_believed(course, tmp_path):
    # In a notebook, as on Colab: run all, then the last cell.
    right = submissions.six(editions.student(submissions.source()))["half"]
    right.cells.append(nbformat.v4.new_code_cell(
        f"from attention_lite.handing_in import write_answers\nwrite_answers('tiny', 'Ada L.', {str(tmp_path)!r})"))
    NotebookClient(right, kernel_name="python3", timeout=60).execute()
    path = tmp_path / "Ada-L..tiny.json"
    handed_in = json.loads(path.read_text(encoding="utf-8"))
    assert handed_in["questions"]["letter"].items() >= {"answer": "b", "verdict": ""}.items()
    assert 0 <= handed_in["questions"]["letter"]["seconds"] < 600
    handed_in["questions"]["rows"]["answer"] = "forged"
    handed_in["questions"]["rows"]["verdict"] = ""
    path.write_text(json.dumps(handed_in), encoding="utf-8")
    row = grader.graded("Ada", [path], str(course / "tiny.ipynb"), QUICK)
    assert row["points"] == {"rows": 0, "letter": 2}
    assert row["sentences"]["rows"] == "your columns sum to one."
    path.write_text(json.dumps(handed_in | {"assignment": "gates"}), encoding="utf-8")
    row = grader.graded("Ada", [path], str(course / "tiny.ipynb"), QUICK)
    assert "answers to 'gates', not to 'tiny'" in row["note"]


# nbgrader


def nbgrader(course: Path, *command: str, code: int = 0) -> str:
    """Run one of nbgrader's commands in a course, which is to end with this code; what it says."""
    path = os.pathsep.join([str(Path(sys.executable).parent), os.environ["PATH"]])    # it calls alembic by its name
    done = subprocess.run([sys.executable, "-m", "nbgrader", *command], cwd=course, capture_output=True, text=True,
                          check=False, env=os.environ | {"PATH": path})
    said = done.stdout + done.stderr
    assert done.returncode == code, said
    return said


def course_of_the_small_assignment(folder: Path, settings: str = "") -> Path:
    """A course with the small assignment, generated."""
    course = folder / "course"
    (course / "source" / "tiny").mkdir(parents=True)
    nbformat.write(submissions.source(), course / "source" / "tiny" / "tiny.ipynb")
    (course / "nbgrader_config.py").write_text(
        f"{editions.config()}c.JudgedElsewhere.seconds = 8\n{settings}", encoding="utf-8")
    nbgrader(course, "generate_assignment", "tiny")
    return course


@pytest.fixture(scope="module")
def nbgraders_course(tmp_path_factory) -> Path:
    """The small assignment generated, handed in by six, collected, graded and answered by a real nbgrader."""
    course = course_of_the_small_assignment(tmp_path_factory.mktemp("nbgrader"))
    release = nbformat.read(course / "release" / "tiny" / "tiny.ipynb", as_version=4)
    archive = course / "downloaded" / "tiny" / "archive"
    archive.mkdir(parents=True)
    for student, notebook in submissions.six(release).items():
        nbformat.write(notebook, archive / f"{student}.tiny.ipynb")
    nbgrader(course, "zip_collect", "tiny")
    nbgrader(course, "autograde", "tiny")
    nbgrader(course, "generate_feedback", "tiny")
    return course


@pytest.mark.parametrize("student", submissions.POINTS)
def test_nbgrader_gives_each_of_six_its_points(student, nbgraders_course):
    with Gradebook(f"sqlite:///{nbgraders_course}/gradebook.db") as gradebook:
        grades = gradebook.find_submission("tiny", student).notebooks[0].grades
        scores = {grade.name: grade.auto_score for grade in grades}
    assert (scores["rows-test"], scores["letter-test"]) == submissions.POINTS[student]
    feedback = (nbgraders_course / "feedback" / student / "tiny" / "tiny.html").read_text(encoding="utf-8")
    assert "raise Wrong" not in feedback
    assert "HIDDEN" not in feedback
    if student == "half":
        assert "your columns sum to one." in feedback


def test_nbgraders_release_is_the_students_edition(nbgraders_course):
    release = nbformat.read(nbgraders_course / "release" / "tiny" / "tiny.ipynb", as_version=4)
    ours = editions.student(submissions.source())
    assert [cell.source for cell in release.cells] == [cell.source for cell in ours.cells]


# nbgrader's exchange


class AtTheServer:
    """A student's account on a server for the class, with what the buttons of nbgrader's list do there."""

    def __init__(self, name: str, folder: Path) -> None:
        self.home = folder / "home" / name
        self.home.mkdir(parents=True)
        # The tests have one account: the settings say who it is, and where.
        (self.home / "nbgrader_config.py").write_text(
            f"{editions.STUDENTS_SETTINGS}c.CourseDirectory.student_id = {name!r}\n"
            f"c.Exchange.root = {str(folder / 'exchange')!r}\nc.Exchange.cache = {str(self.home / '.cache')!r}\n",
            encoding="utf-8")
        self.notebook = self.home / "tiny" / "tiny.ipynb"

    def press(self, button: str) -> dict:
        """Press fetch_assignment, submit_assignment or fetch_feedback; what the server answers."""
        listed = AssignmentList()
        listed.root_dir = str(self.home)
        with pytest.MonkeyPatch.context() as patch:
            patch.chdir(self.home)
            return getattr(listed, button)("attention", "tiny")

    def submit(self, content: nbformat.NotebookNode | bytes) -> None:
        """Save a notebook and submit it."""
        self.notebook.write_bytes(content if isinstance(content, bytes) else nbformat.writes(content).encode())
        said = self.press("submit_assignment")
        assert said["success"], said


@pytest.fixture(scope="module")
def exchanged(tmp_path_factory) -> dict:
    """The small assignment out to four students and back through the exchange of a real nbgrader, and graded.

    Ada hands in twice, bo after the deadline, cy a file that is no notebook. Dee gives her notebook another name first.
    """
    folder = tmp_path_factory.mktemp("exchange")
    course = course_of_the_small_assignment(folder, "c.ExchangeCollect.check_owner = False\n"
                                                    f"c.Exchange.root = {str(folder / 'exchange')!r}\n")
    nbgrader(course, "release_assignment", "tiny")
    ada, bo, cy, dee = (AtTheServer(name, folder) for name in ("ada", "bo", "cy", "dee"))
    said = {student.home.name: student.press("fetch_assignment") for student in (ada, bo, cy, dee)}
    assert [answer["success"] for answer in said.values()] == [True] * 4, said
    handed_in = submissions.six(nbformat.read(ada.notebook, as_version=4))
    ada.submit(handed_in["half"])
    cy.submit(UNREADABLE)
    dee.notebook.rename(dee.notebook.with_name("dees.ipynb"))
    refused = dee.press("submit_assignment")
    nbgrader(course, "collect", "tiny")
    ada.submit(handed_in["correct"])
    dee.submit(handed_in["correct"])
    with Gradebook(f"sqlite:///{course}/gradebook.db") as gradebook:
        gradebook.find_assignment("tiny").duedate = datetime.now(timezone.utc).replace(tzinfo=None)
        gradebook.db.commit()
    bo.submit(handed_in["correct"])
    nbgrader(course, "collect", "tiny", "--update")
    graded = nbgrader(course, "autograde", "tiny", code=1)
    nbgrader(course, "generate_feedback", "tiny")
    nbgrader(course, "release_feedback", "tiny")
    bo.press("fetch_feedback")
    with Gradebook(f"sqlite:///{course}/gradebook.db") as gradebook:
        given = {s.student.id: (s.score, s.total_seconds_late > 0) for s in gradebook.assignment_submissions("tiny")
                 if s.student.id != "cy"}
    return {"folder": folder, "given": given, "refused": refused, "said": graded}


def test_every_submission_comes_through_the_exchange(exchanged):
    folder = exchanged["folder"]
    assert sorted(p.name for p in (folder / "course" / "submitted").iterdir()) == ["ada", "bo", "cy", "dee"]
    inbound = sorted(path.name.split("+")[0] for path in (folder / "exchange" / "attention" / "inbound").iterdir())
    assert inbound == ["ada", "ada", "bo", "cy", "dee"]                    # the first of two is not overwritten


def test_the_last_of_two_submissions_counts_and_a_late_one_is_graded_and_known_as_late(exchanged):
    full = sum(submissions.POINTS["correct"])
    assert exchanged["given"] == {"ada": (full, False), "bo": (full, True), "dee": (full, False)}


def test_an_unreadable_submission_is_named_and_kept(exchanged):
    assert "error processing assignment 'tiny' for student 'cy'" in exchanged["said"]
    assert not re.search("for student '(ada|bo|dee)'", exchanged["said"])
    kept = exchanged["folder"] / "course" / "submitted" / "cy" / "tiny" / "tiny.ipynb"
    assert kept.read_bytes() == UNREADABLE


def test_a_notebook_with_another_name_is_refused_while_its_author_can_mend_it(exchanged):
    assert not exchanged["refused"]["success"]
    assert "missing notebooks" in exchanged["refused"]["value"]


def test_feedback_comes_back_through_the_exchange(exchanged):
    [page] = (exchanged["folder"] / "home" / "bo" / "tiny" / "feedback").rglob("tiny.html")
    assert "raise Wrong" not in page.read_text(encoding="utf-8")
