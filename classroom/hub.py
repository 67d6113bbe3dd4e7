"""Try a class on a real JupyterHub, on this machine alone: python -m classroom.hub gates --students 10

So many simulated students log in at once, get a server each, fetch the lab through nbgrader's exchange, run every cell
in a kernel of their own, answer, run all again and submit; then their teacher collects and grades. It fails where
anything of anyone's is lost, and prints how long students wait and how much memory one takes. It needs Linux and, in
the teacher's environment, what no other part of the book needs:

    .venv/bin/python -m pip install -r classroom/requirements-hub.txt

Everything listens on 127.0.0.1 alone, behind a password drawn anew. It lies in a folder that is deleted in the end, and
is stopped in the end, also after Ctrl-C.
"""

from __future__ import annotations

import argparse
import json
import os
import secrets
import shutil
import signal
import socket
import statistics
import subprocess
import sys
import tempfile
import threading
import time
import uuid
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing, contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import nbformat
import psutil
import requests
import websocket
from nbformat import NotebookNode
from nbgrader.api import Gradebook

from classroom import editions
from classroom.cells import SOURCES, about, assignments, questions, source_of

MARK = "CLASSROOM_HUB"          # in the environment of every process that the hub starts
PATIENCE = 600                  # seconds that anything may take: all students share this machine


class Lost(Exception):
    """What of a student's did not arrive, or did not come back as it should; its text says whose."""


# The hub


@dataclass
class Hub:
    """A hub that runs."""

    url: str
    password: str
    mark: str


@contextmanager
def running(folder: Path, exchange: Path) -> Iterator[Hub]:
    """A hub, its proxy and its students' servers, homes and all in `folder`; nothing of it is left running."""
    public, api, inner = free_ports(3)
    hub = Hub(f"http://127.0.0.1:{public}", secrets.token_urlsafe(24), secrets.token_hex(8))
    settings = folder / "students"                       # as /etc/jupyter on a server for a class
    settings.mkdir()
    (settings / "nbgrader_config.py").write_text(
        f"import os\n\n{editions.STUDENTS_SETTINGS}c.Exchange.root = {str(exchange)!r}\n"
        "c.CourseDirectory.student_id = os.environ['JUPYTERHUB_USER']      # all share one account here\n")
    own = {"JUPYTER_CONFIG_PATH": os.pathsep.join(filter(None, [str(settings), os.environ.get("JUPYTER_CONFIG_PATH")])),
           "OMP_NUM_THREADS": "1", "PYTHONPATH": str(editions.ROOT), MARK: hub.mark}
    config = {
        "JupyterHub": {"bind_url": hub.url, "hub_bind_url": f"http://127.0.0.1:{inner}",
                       "authenticator_class": "dummy", "spawner_class": "simple",
                       "db_url": f"sqlite:///{folder}/hub.sqlite", "cookie_secret_file": f"{folder}/cookie_secret"},
        "ConfigurableHTTPProxy": {"api_url": f"http://127.0.0.1:{api}", "pid_file": f"{folder}/proxy.pid"},
        "Authenticator": {"allow_all": True},
        "DummyAuthenticator": {"password": hub.password},
        "SimpleLocalProcessSpawner": {"home_dir_template": f"{folder}/home/{{username}}"},
        # Of its own accord a hub waits half a minute for a server: too short where a class comes at once.
        "Spawner": {"ip": "127.0.0.1", "start_timeout": PATIENCE, "http_timeout": PATIENCE, "environment": own,
                    "args": ["--allow-root"] if os.geteuid() == 0 else []},
    }
    (folder / "hub.json").write_text(json.dumps(config), encoding="utf-8")
    with (folder / "hub.log").open("w") as log:
        process = subprocess.Popen(
            [sys.executable, "-m", "jupyterhub", "-f", str(folder / "hub.json")], cwd=folder, stdout=log,
            stderr=subprocess.STDOUT, start_new_session=True, env=environment() | {MARK: hub.mark})
    try:
        wait_until(lambda: answers(f"{hub.url}/hub/api/"), lambda: process.poll() is None, "the hub")
        yield hub
    except Exception:
        print(*(folder / "hub.log").read_text().splitlines()[-15:], sep="\n", file=sys.stderr)
        raise
    finally:
        process.terminate()                              # it stops its servers and its proxy
        try:
            process.wait(60)
        finally:
            for left in marked(hub.mark):
                left.kill()


def environment() -> dict[str, str]:
    """This process's environment, in which the commands beside Python are found by their names."""
    return os.environ | {"PATH": os.pathsep.join([str(Path(sys.executable).parent), os.environ["PATH"]])}


def free_ports(number: int) -> list[int]:
    """Ports of 127.0.0.1 that nobody listens on."""
    sockets = [socket.create_server(("127.0.0.1", 0)) for _ in range(number)]
    ports = [each.getsockname()[1] for each in sockets]
    for each in sockets:
        each.close()
    return ports


def marked(mark: str, **more: str) -> list[psutil.Process]:
    """The processes that a hub has started, all or those with more in their environment."""
    wanted, found = {MARK: mark, **more}, []
    for process in psutil.process_iter():
        try:
            if wanted.items() <= process.environ().items():
                found.append(process)
        except psutil.Error:
            continue
    return found


def answers(url: str) -> bool:
    try:
        return requests.get(url, timeout=10).ok
    except requests.RequestException:
        return False


def wait_until(done: Callable[[], bool], alive: Callable[[], bool], what: str) -> None:
    end = time.monotonic() + PATIENCE
    while not done():
        if not alive() or time.monotonic() > end:
            raise Lost(f"{what} did not start")
        time.sleep(0.2)


# A student


@dataclass
class Student:
    """A student at work: what a browser would send, and how long each thing took."""

    name: str
    hub: Hub
    began: float = 0
    took: dict[str, float] = field(default_factory=dict)
    token: str = ""

    def log_in(self) -> None:
        """By the form of the hub's page, and then by a token for what follows."""
        self.began = time.monotonic()
        with requests.Session() as browser:
            browser.get(f"{self.hub.url}/hub/login", timeout=PATIENCE).raise_for_status()
            xsrf = {"_xsrf": browser.cookies["_xsrf"]}
            form = {"username": self.name, "password": self.hub.password} | xsrf
            browser.post(f"{self.hub.url}/hub/login", data=form, params=xsrf, timeout=PATIENCE,
                         allow_redirects=False).raise_for_status()
            xsrf = {"_xsrf": browser.cookies["_xsrf"]}                     # a new one for who has logged in
            made = browser.post(f"{self.hub.url}/hub/api/users/{self.name}/tokens", params=xsrf, json={},
                                timeout=PATIENCE)
            made.raise_for_status()
            self.token = made.json()["token"]

    def ask(self, method: str, path: str, **given: object) -> requests.Response:
        """Ask the hub, or the student's own server through the hub's proxy."""
        answer = requests.request(method, f"{self.hub.url}{path}", timeout=PATIENCE,
                                  headers={"Authorization": f"token {self.token}"}, **given)
        if not answer.ok:
            raise Lost(f"{self.name}: {method} {path} was answered {answer.status_code} {answer.text[:300]}")
        return answer

    def start_server(self) -> None:
        """Ask for a server, and wait until it is there."""
        me = f"/hub/api/users/{self.name}"
        self.ask("POST", f"{me}/server")
        wait_until(lambda: self.ask("GET", me).json()["servers"].get("", {}).get("ready"), lambda: True,
                   f"the server of {self.name}")
        self.took["server"] = time.monotonic() - self.began

    def exchange(self, action: str, assignment: str) -> None:
        """What the buttons Fetch and Submit of nbgrader's list do."""
        given = {"course_id": editions.COURSE, "assignment_id": assignment}
        listed = self.ask("POST", f"/user/{self.name}/assignments/{action}", data=given).json()
        wanted = {"fetch": "fetched", "submit": "submitted"}[action]
        if not listed["success"] or wanted not in [a["status"] for a in listed["value"]]:
            raise Lost(f"{self.name} could not {action} {assignment}: {listed}")

    def work(self, assignment: str, run: threading.Barrier, all_run: threading.Barrier) -> None:
        """The whole lesson."""
        run.wait(PATIENCE)
        self.log_in()
        self.start_server()
        self.exchange("fetch", assignment)
        lab = f"/user/{self.name}/api/contents/{assignment}/{assignment}.ipynb"
        notebook = nbformat.from_dict(self.ask("GET", lab).json()["content"])
        with closing(Kernel(self, f"{assignment}/{assignment}.ipynb")) as kernel:
            kernel.run(notebook)
            self.took["all cells"] = time.monotonic() - self.began
            solve(notebook, source_of(assignment))
            kernel.run(notebook)
            self.ask("PUT", lab, json={"type": "notebook", "format": "json", "content": notebook})
            all_run.wait(PATIENCE)
        before = time.monotonic()
        self.exchange("submit", assignment)
        self.took["submit"] = time.monotonic() - before


class Kernel:
    """A kernel of a student's server, through the proxy, as a notebook that stands open has it."""

    def __init__(self, student: Student, path: str) -> None:
        self.student, self.session = student, uuid.uuid4().hex
        made = student.ask("POST", f"/user/{student.name}/api/sessions", json={
            "path": path, "name": path, "type": "notebook", "kernel": {"name": "python3"}}).json()
        address = f"ws{student.hub.url.removeprefix('http')}/user/{student.name}/api/kernels/{made['kernel']['id']}"
        self.socket = connected(f"{address}/channels?session_id={self.session}", student)
        self.close = self.socket.close

    def run(self, notebook: NotebookNode) -> None:
        """Run all cells in place.

        Raises:
            Lost: if a cell stops with an error.
        """
        for count, cell in enumerate((c for c in notebook.cells if c.cell_type == "code"), 1):
            cell.outputs, cell.execution_count = self.outputs(cell.source), count
            for output in cell.outputs:
                self.student.took.setdefault("first output", time.monotonic() - self.student.began)
                if output.output_type == "error":
                    raise Lost(f"{self.student.name}: a cell stopped with {output.ename}: {output.evalue}")

    def outputs(self, code: str) -> list[NotebookNode]:
        """What a cell gives when it is run."""
        header = {"msg_id": uuid.uuid4().hex, "msg_type": "execute_request", "session": self.session,
                  "username": self.student.name, "version": "5.3", "date": ""}
        self.socket.send(json.dumps({
            "channel": "shell", "header": header, "parent_header": {}, "metadata": {}, "buffers": [],
            "content": {"code": code, "silent": False, "store_history": True, "user_expressions": {},
                        "allow_stdin": False, "stop_on_error": False}}))
        found = []
        while True:
            received = self.socket.recv()
            if isinstance(received, bytes):                     # the data of an explorer, which no cell waits for
                continue
            message = json.loads(received)
            kind = message["header"]["msg_type"]
            if message["parent_header"].get("msg_id") != header["msg_id"]:
                continue
            if kind == "status" and message["content"]["execution_state"] == "idle":
                return found
            if kind in ("stream", "display_data", "execute_result", "error"):
                found.append(nbformat.v4.output_from_msg(nbformat.from_dict(message)))


def connected(address: str, student: Student) -> websocket.WebSocket:
    """The channel to a kernel, asked for again where it is refused: ten kernels that start at once keep a server
    waiting longer than its proxy does, and a browser asks again too."""
    end = time.monotonic() + PATIENCE
    while True:
        try:
            return websocket.create_connection(address, timeout=PATIENCE,
                                               header=[f"Authorization: token {student.token}"])
        except (websocket.WebSocketException, OSError) as error:
            if time.monotonic() > end:
                raise Lost(f"{student.name}: no channel to the kernel ({error})") from error
            time.sleep(1)


def solve(notebook: NotebookNode, source: NotebookNode) -> None:
    """Answer every question as the teacher's edition does."""
    solutions = {about(cell)["grade_id"]: cell.source for cell in source.cells if about(cell).get("solution")}
    for cell in notebook.cells:
        if about(cell).get("grade_id") in solutions:
            cell.source = solutions[about(cell)["grade_id"]]


def used(mark: str, **whose: str) -> dict[str, float]:
    """Megabytes of servers and kernels, of a page shared by n processes 1/n each; and their processor seconds."""
    found = {"server": 0.0, "kernel": 0.0, "processor": 0.0}
    for process in marked(mark, **whose):
        found["kernel" if "ipykernel_launcher" in process.cmdline() else "server"] += (
            process.memory_full_info().pss / 1e6)
        found["processor"] += sum(process.cpu_times()[:2])
    return found | {"both": found["server"] + found["kernel"]}


# The teacher


def nbgrader(course: Path, *command: str) -> float:
    """Run one of nbgrader's commands in the course; the seconds that it took."""
    began = time.monotonic()
    done = subprocess.run([sys.executable, "-m", "nbgrader", *command], cwd=course, capture_output=True, text=True,
                          check=False, env=environment() | {"OMP_NUM_THREADS": "1"})
    if done.returncode:
        raise Lost(f"nbgrader {' '.join(command)} failed:\n{done.stdout}{done.stderr}")
    return time.monotonic() - began


def released(folder: Path, assignment: str) -> tuple[Path, Path]:
    """A course with one assignment, released to the exchange; the folders of both."""
    course, exchange = folder / "course", folder / "exchange"
    shutil.copytree(SOURCES / assignment, course / "source" / assignment)
    (course / "nbgrader_config.py").write_text(
        f"{editions.config()}c.Exchange.root = {str(exchange)!r}\n"
        "c.ExchangeCollect.check_owner = False        # all students share one account here\n", encoding="utf-8")
    nbgrader(course, "generate_assignment", assignment)
    nbgrader(course, "release_assignment", assignment)
    return course, exchange


def compare(course: Path, assignment: str, names: list[str]) -> float:
    """The points that every one of these students has, who all answered everything.

    Raises:
        Lost: if a submission was not collected, or has not all the points that a test gives.
    """
    full = sum(q.points for q in questions(source_of(assignment)) if not q.by_hand)
    collected = {path.name for path in (course / "submitted").iterdir()}
    with Gradebook(f"sqlite:///{course}/gradebook.db") as gradebook:
        points = {given.student.id: given.score for given in gradebook.assignment_submissions(assignment)}
    if collected != set(names) or points != dict.fromkeys(names, full):
        said = {name: refusals(course / "autograded" / name / assignment / f"{assignment}.ipynb")
                for name in points if points[name] != full}
        raise Lost(f"of {names} were collected {sorted(collected)}, and have points, of {full:g}: {points}; {said}")
    return full


def refusals(graded: Path) -> list[str]:
    """What the tests of a graded notebook said where they gave no points."""
    if not graded.exists():
        return ["it was not graded"]
    cells = nbformat.read(graded, as_version=4).cells
    return [f"{about(cell)['grade_id']}: {output.evalue}" for cell in cells if about(cell).get("grade")
            for output in cell.get("outputs", []) if output.output_type == "error"]


# All of it


def lesson(assignment: str, number: int, folder: Path) -> str:
    """A class's lesson from login to grades; what it took, as a table.

    Raises:
        Lost: if anything was.
    """
    course, exchange = released(folder, assignment)
    names = [f"student-{i:02d}" for i in range(1, number + 1)]
    each: list[dict[str, float]] = []
    everything: dict[str, float] = {}
    print(f"==> {number} students at once, {assignment}, on {os.cpu_count()} cores")
    with running(folder, exchange) as hub:
        students = [Student(name, hub) for name in names]
        start = threading.Barrier(number)

        def measure() -> None:
            each.extend(used(hub.mark, JUPYTERHUB_USER=name) for name in names)
            everything.update(used(hub.mark))

        all_run = threading.Barrier(number, action=measure)
        at_once(lambda student: student.work(assignment, start, all_run), students, [start, all_run])
        print("==> All have submitted")
    collecting = nbgrader(course, "collect", assignment)
    grading = nbgrader(course, "autograde", assignment)
    full = compare(course, assignment, names)
    rows = {
        "seconds from login to a server": [s.took["server"] for s in students],
        "seconds from login to the first output of a cell": [s.took["first output"] for s in students],
        "seconds from login to the end of the last cell": [s.took["all cells"] for s in students],
        "seconds of submitting": [s.took["submit"] for s in students],
        "processor seconds of a student, all cells run twice": [one["processor"] for one in each],
        "megabytes of a student's server": [one["server"] for one in each],
        "megabytes of a student's kernel": [one["kernel"] for one in each],
        "megabytes of a student": [one["both"] for one in each],
        "megabytes of the hub and its proxy": [everything["both"] - sum(one["both"] for one in each)],
        "seconds of collecting all": [collecting],
        "seconds of grading all": [grading],
    }
    return "\n".join([
        f"{'':52} median  worst",
        *(f"{name:52} {statistics.median(values):6.1f} {max(values):6.1f}" for name, values in rows.items()),
        f"==> {number} of {number} collected, each with {full:g} of {full:g} points"])


def at_once(act: Callable[[Student], None], students: list[Student], barriers: list[threading.Barrier]) -> None:
    """Let every student do this beside the others; where one fails, none waits for that one.

    Raises:
        Lost: if one failed.
    """
    def tried(student: Student) -> None:
        try:
            act(student)
        except BaseException:
            for barrier in barriers:
                barrier.abort()
            raise

    with ThreadPoolExecutor(len(students)) as pool:
        done = [pool.submit(tried, student) for student in students]
    errors = [(student.name, error) for student, each in zip(students, done, strict=True)
              if (error := each.exception()) and not isinstance(error, threading.BrokenBarrierError)]
    for name, error in errors:
        raise Lost(f"{name}, one of {len(errors)}: {type(error).__name__}: {error}") from error


def main(arguments: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="python -m classroom.hub", description=__doc__.splitlines()[0])
    parser.add_argument("assignment", nargs="?", default="gates", choices=assignments())
    parser.add_argument("--students", type=int, default=10, help="how many come at once (%(default)s)")
    given = parser.parse_args(arguments)
    missing = [name for name in ("jupyterhub", "configurable-http-proxy") if not shutil.which(
        name, path=environment()["PATH"])]
    if missing:
        print(f"not found: {', '.join(missing)}. Install them with: {sys.executable} -m pip install -r "
              "classroom/requirements-hub.txt", file=sys.stderr)
        return 1
    if given.students < 1:
        parser.error(f"--students must be 1 or more; got {given.students}")
    signal.signal(signal.SIGTERM, signal.default_int_handler)            # to be ended is as Ctrl-C
    with tempfile.TemporaryDirectory(prefix="hub-", ignore_cleanup_errors=True) as folder:
        try:
            print(lesson(given.assignment, given.students, Path(folder)))
        except Lost as lost:
            print(lost, file=sys.stderr)
            return 1
        except KeyboardInterrupt:
            print("Stopped.", file=sys.stderr)
            return 130
    return 0


if __name__ == "__main__":
    sys.exit(main())
