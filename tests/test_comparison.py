"""The file behind the closing chapter: how it is made, stopped and gone on with, refused, and what it says."""

import copy
import dataclasses
import json
import math
import os
import re
import signal
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from dask.distributed import LocalCluster
from safetensors.torch import load_file

from attention_lite.lab import RECIPES, checkpoints, cluster, comparison, load_checkpoint, pool
from attention_lite.lab.__main__ import main
from attention_lite.lab.recipes import COMPARED, FIVE_SEEDS
from attention_lite.lab.runs import SCENES, state_of
from attention_lite.published import macs
from conftest import ROOT

# Reading

SOME = ("cued-search", "emsa", 1)


def made_up() -> dict[str, list[dict]]:
    """A whole file of numbers that nobody measured."""
    rows = [{"task": t, "model": m, "seed": s, "accuracy": 0.5, "parameters": 9, "macs": 9,
             "map_scenes": comparison.MAP_SCENES}
            for t, m, s in comparison.RUNS]
    costs = [{"task": comparison.COST_TASK, "model": m, "seed": s, "forward": 0.1, "step": 0.2, "peak_bytes": 3}
             for s in FIVE_SEEDS for m in COMPARED]
    return {"rows": rows, "costs": costs}


def find(rows: list[dict], run: tuple[str, str, int] = SOME) -> dict:
    return next(row for row in rows if (row["task"], row["model"], row["seed"]) == run)


def test_a_whole_file_is_read(tmp_path):
    path = tmp_path / "a.json"
    path.write_text(json.dumps(made_up()))
    assert comparison.load(path) == made_up()


NAMED = "the row cued-search, emsa, seed 1"
DAMAGE: dict[str, tuple[Callable[[dict], object], str]] = {
    "a row less": (lambda f: f["rows"].remove(find(f["rows"])),
                   f"a.json: rows lack {NAMED}; make it with: python -m attention_lite.lab compare"),
    "a cost less": (lambda f: f["costs"].remove(find(f["costs"])), f"a.json: costs lack {NAMED}; make it with"),
    "no rows": (lambda f: f["rows"].clear(), "a.json: rows lack the row context-gating, none, seed 0"),
    "a row twice": (lambda f: f["rows"].append(copy.deepcopy(find(f["rows"]))),
                    f"a.json: rows hold {NAMED} 2 times; delete all but one"),
    "a cost three times": (lambda f: f["costs"].extend([find(f["costs"])] * 2),
                           f"a.json: costs hold {NAMED} 3 times; delete all but one"),
    "another model": (lambda f: f["rows"].append(find(f["rows"]) | {"model": "vit"}),
                      "a.json: rows hold the row cued-search, vit, seed 1, which is none of the comparison"),
    "another seed": (lambda f: find(f["rows"]).update(seed=7), "the row cued-search, emsa, seed 7, which is none"),
    "another task": (lambda f: find(f["costs"]).update(task="one-digit"),
                     "a.json: costs hold the row one-digit, emsa, seed 1, which is none of the comparison"),
    "NaN": (lambda f: find(f["rows"]).update(accuracy=math.nan),
            f"a.json: rows, {NAMED}: accuracy must be a finite number, got nan"),
    "infinite": (lambda f: find(f["costs"]).update(step=math.inf),
                 f"a.json: costs, {NAMED}: step must be a finite number, got inf"),
    "text": (lambda f: find(f["rows"]).update(macs="9"), f"{NAMED}: macs must be a finite number, got '9'"),
    "true": (lambda f: find(f["rows"]).update(parameters=True), f"{NAMED}: parameters must be a finite number, got"),
    "null": (lambda f: find(f["costs"]).update(forward=None), f"{NAMED}: forward must be a finite number, got None"),
    "no accuracy": (lambda f: find(f["rows"]).pop("accuracy"), f"{NAMED}: accuracy must be a finite number, got None"),
    "no memory": (lambda f: find(f["costs"]).pop("peak_bytes"), f"{NAMED}: peak_bytes must be a finite number"),
    "no seed": (lambda f: find(f["rows"]).pop("seed"), "a.json: rows hold a row without task, model and seed: {'task'"),
    "a list for a row": (lambda f: f["rows"].append([1]), "a.json: rows hold a row without task, model and seed: [1]"),
    "no list": (lambda f: f.update(costs={}), "a.json must hold two lists, rows and costs; make it anew with"),
    "one list": (lambda f: f.pop("rows"), "a.json must hold two lists, rows and costs; make it anew with"),
}


@pytest.mark.parametrize("damage", DAMAGE)
def test_a_damaged_file_is_refused_and_the_row_is_named(damage, tmp_path):
    hurt, message = DAMAGE[damage]
    path, contents = tmp_path / "a.json", made_up()
    hurt(contents)
    path.write_text(json.dumps(contents))
    with pytest.raises(ValueError, match=re.escape(message)):
        comparison.load(path)


@pytest.mark.parametrize("text", ["", "{", '{"rows": [', "no JSON", "\0"])
def test_what_is_no_json_is_refused_and_left_as_it_is(text, tmp_path, capsys):
    path = tmp_path / "a.json"
    path.write_text(text)
    with pytest.raises(ValueError, match=r"a\.json is not JSON \(.*\); make it anew with: python -m attention_lite"):
        comparison.load(path)
    assert main(["compare", "--file", str(path), "--folder", str(tmp_path)]) == 2
    assert "error: a.json is not JSON" in capsys.readouterr().err
    assert path.read_text() == text
    path.write_text("[1, 2]")
    with pytest.raises(ValueError, match=r"a\.json must hold an object, got list; make it anew"):
        comparison.load(path)


def test_a_missing_file_says_how_to_make_it(tmp_path):
    with pytest.raises(ValueError, match=r"no results .*a\.json; make them with: python -m attention_lite\.lab c"):
        comparison.load(tmp_path / "a.json")


def test_the_file_has_a_row_a_line_and_survives_a_round_trip(tmp_path):
    path, contents = tmp_path / "deeper" / "a.json", made_up()
    comparison._write(path, contents | {"command": comparison.COMMAND})
    assert comparison.load(path) == contents | {"command": comparison.COMMAND}
    lines = path.read_text(encoding="utf-8").splitlines()
    assert sum(line.startswith('{"task"') for line in lines) == len(contents["rows"]) + len(contents["costs"])
    comparison._write(path, {"command": "c", "rows": [], "costs": []})
    assert json.loads(path.read_text()) == {"command": "c", "rows": [], "costs": []}


def test_every_mechanism_of_every_task_is_compared_with_all_seeds_that_the_book_ships():
    expected = {(task, model, seed) for task in comparison.TASKS for model in COMPARED
                for seed in RECIPES[task].seeds_of(model)}
    assert set(comparison.RUNS) == expected
    assert len(comparison.RUNS) == len(expected)
    assert len(COMPARED) == 12


# Making

@pytest.mark.parametrize(("arguments", "message"), [
    (["--processes", "0"], "error: processes must be a positive integer, got 0"),
    (["--processes", "-2"], "error: processes must be a positive integer, got -2"),
])
def test_bad_numbers_of_processes_are_refused(arguments, message, tmp_path, capsys):
    path = tmp_path / "a.json"
    assert main(["compare", "--file", str(path), *arguments]) == 2
    assert capsys.readouterr().err.strip() == message
    assert not path.exists()


def test_a_file_that_cannot_be_written_is_refused_before_the_training(tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(pool, "results", lambda *_: pytest.fail("it trained"))
    (tmp_path / "file").write_text("")
    assert main(["compare", "--file", str(tmp_path / "file" / "a.json"), "--folder", str(tmp_path)]) == 1
    assert "nothing was written" in capsys.readouterr().err


def test_what_is_done_already_is_kept_and_only_the_rest_is_made(tmp_path, monkeypatch):
    """In this process, with rows and costs that are made up on demand."""
    asked: list[list] = []
    whole = made_up()

    def rows(work, left, folder, processes, stop):
        asked.append(left)
        yield from (find(whole["rows"], run) for run in left[::-1])           # they come in any order

    monkeypatch.setattr(pool, "results", rows)
    monkeypatch.setattr(comparison, "costs", lambda seed: asked.append(seed) or [
        row for row in whole["costs"] if row["seed"] == seed])
    path, kept = tmp_path / "a.json", find(whole["rows"]) | {"accuracy": 0.25}
    begun = {"rows": [kept], "costs": [row for row in whole["costs"] if row["seed"] in (0, 3)]}
    path.write_text(json.dumps(begun))
    assert not comparison.compare(path, tmp_path, stop=lambda: True)          # told so before the costs
    assert comparison.compare(path, tmp_path)
    assert asked == [[run for run in comparison.RUNS if run != SOME], [], 1, 2, 4]
    found = comparison.load(path)
    assert [(row["task"], row["model"], row["seed"]) for row in found["rows"]] == comparison.RUNS
    assert find(found["rows"]) == kept
    written = path.read_bytes()
    assert comparison.compare(path, tmp_path)
    assert path.read_bytes() == written
    assert asked[5:] == [[]]


def test_rows_of_another_checkpoint_or_number_of_scenes_are_made_anew(tmp_path, monkeypatch):
    rows, asked = made_up()["rows"][:3], []
    monkeypatch.setattr(comparison, "RUNS", comparison.RUNS[:3])
    monkeypatch.setattr(pool, "results", lambda work, left, *_: asked.extend(left) or iter(()))
    first, second, _ = comparison.RUNS
    checkpoints.path_of(*first, tmp_path).write_bytes(b"as it was")
    rows[0]["checkpoint"] = checkpoints.mark(*first, tmp_path)
    path = tmp_path / "a.json"
    path.write_text(json.dumps({"rows": rows, "costs": []}))
    comparison.compare(path, tmp_path, stop=lambda: True)
    assert asked == []                                    # that of no checkpoint here is kept as well
    rows[1]["map_scenes"] = 7
    checkpoints.path_of(*first, tmp_path).write_bytes(b"trained anew")
    path.write_text(json.dumps({"rows": rows, "costs": []}))
    assert not comparison.compare(path, tmp_path)
    assert asked == [first, second]
    assert json.loads(path.read_text())["rows"] == [rows[2]]


# A small comparison, as a file of its own: its worker processes read it too, and so train as little.
SMALL = '''
import dataclasses, os, sys, time
from attention_lite.lab import RECIPES, comparison, runs, training
from attention_lite.lab.__main__ import main

LOG, SLOW = {log!r}, "SLOW" in os.environ
comparison.RUNS = [("context-gating", "se", 0), ("cued-search", "none", 0), ("one-digit", "cbam", 0)]
comparison.COMPARED, comparison.FIVE_SEEDS, comparison.COST_SECONDS = ("none", "se"), (0,), 0
comparison.MAP_SCENES = runs.SCENES = 20
for task in comparison.TASKS:
    RECIPES[task] = dataclasses.replace(RECIPES[task], steps=60, batch=4)

def step(self, real=training.Training.step):
    """As ever, and in a log; slow enough, if asked, that a signal comes in the middle of two trainings."""
    real(self)
    with open(LOG, "a") as log:
        log.write(f"{{os.getpid()}} {{self.side.name}} {{len(self.losses)}}\\n")
    while SLOW and len({{line.split()[0] for line in open(LOG)}}) < 2:
        time.sleep(0.05)                      # for the other worker
    time.sleep(0.08 if SLOW else 0)

training.Training.step = step
if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
'''


@pytest.mark.thorough
def test_ctrl_c_in_the_middle_loses_nothing_and_does_nothing_twice(tmp_path):
    """A real signal to all processes, as a terminal sends it, while two trainings are under way."""
    script, log, path, folder = (tmp_path / name for name in ("small.py", "log", "a.json", "folder"))
    script.write_text(SMALL.format(log=str(log)))
    command = [sys.executable, str(script), "compare", "--file", str(path), "--folder", str(folder)]

    def start(**environment: str) -> subprocess.Popen:
        return subprocess.Popen(
            command, cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, start_new_session=True,
            env=os.environ | {"PYTHONPATH": str(ROOT)} | environment,
            # A shell's background job starts with SIGINT ignored, and its children inherit that.
            preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL))

    def steps() -> list[list[str]]:
        """One [process, task, number] for each step that was taken."""
        return [line.split() for line in log.read_text().splitlines()] if log.exists() else []

    process = start(SLOW="yes")
    while len(steps()) < 6:
        assert process.poll() is None, process.communicate()[1]
        time.sleep(0.05)
    os.killpg(process.pid, signal.SIGINT)
    out, err = process.communicate(timeout=120)
    assert process.returncode == 130, err
    assert "stopped; what is done is kept: the same command goes on from there" in err
    assert "Traceback" not in err
    assert out == ""
    taken = Counter(task for _, task, _ in steps())
    assert 6 <= taken.total() < 180
    states = {task: f"{task}--{model}--0" for task, model in
              (("context-gating", "se"), ("cued-search", "none"), ("one-digit", "cbam"))}
    assert {name.removesuffix(".stopped") for name in os.listdir(folder)} == {
        states[task] for task, n in taken.items() if n < 60}
    assert json.loads(path.read_text())["rows"] == []

    process = start()
    out, err = process.communicate(timeout=300)
    assert process.returncode == 0, err
    assert out == f"3 rows -> {path}\n"
    # Each step of each training once, over both calls, whatever process took it.
    assert Counter((task, int(number)) for _, task, number in steps()) == {
        (task, number): 1 for task in states for number in range(1, 61)}
    assert sorted(os.listdir(folder)) == sorted(f"{name}.safetensors" for name in states.values())
    found = json.loads(path.read_text())
    assert [row["task"] for row in found["rows"]] == ["context-gating", "cued-search", "one-digit"]
    assert ["deletion" in row for row in found["rows"]] == [True, False, True]
    assert [row["model"] for row in found["costs"]] == ["none", "se"]


# The same on a cluster of this machine's processes: `main` is told the scheduler's address.
ON_A_CLUSTER = SMALL.replace("sys.exit(main(sys.argv[1:]))", '''
    from dask.distributed import LocalCluster
    with LocalCluster(n_workers=2, threads_per_worker=1, dashboard_address=None) as machines:
        status = main([*sys.argv[1:], "--cluster", machines.scheduler_address])
    sys.exit(status)''')


@pytest.mark.thorough
def test_a_worker_that_is_killed_in_the_middle_loses_no_row_and_no_row_is_made_twice(tmp_path):
    def steps() -> list[list[str]]:
        log = tmp_path / "log"
        return [line.split() for line in log.read_text().splitlines()] if log.exists() else []

    script, path, folder = (tmp_path / name for name in ("small.py", "a.json", "folder"))
    script.write_text(ON_A_CLUSTER.format(log=str(tmp_path / "log")))
    process = subprocess.Popen(
        [sys.executable, str(script), "compare", "--file", str(path), "--folder", str(folder)], cwd=ROOT, text=True,
        stdout=subprocess.PIPE, stderr=subprocess.PIPE, env=os.environ | {"PYTHONPATH": str(ROOT), "SLOW": "yes"})
    while len(steps()) < 6:
        assert process.poll() is None, process.communicate()[1]
        time.sleep(0.05)
    killed, task, _ = steps()[-1]
    os.kill(int(killed), signal.SIGKILL)
    out, err = process.communicate(timeout=600)
    assert process.returncode == 0, err
    assert out == f"3 rows -> {path}\n"
    found = json.loads(path.read_text())
    assert [row["task"] for row in found["rows"]] == ["context-gating", "cued-search", "one-digit"]
    assert len(os.listdir(folder)) == 3
    times = Counter((task, int(number)) for _, task, number in steps())
    again = {task for (task, number), n in times.items() if n > 1}
    assert again == {task}                                 # the lost training alone, and only what was lost of it
    assert {times[name, 60] for name in comparison.TASKS} == {1}
    assert all(n == 1 for (name, _), n in times.items() if name != task)
    assert not any(pid == killed for pid, name, number in steps() if int(number) == 60)


@pytest.fixture
def machines():
    """A cluster inside this process: one worker, which has several threads where a test asks for them."""
    made = []

    def start(threads: int) -> str:
        made.append(LocalCluster(n_workers=1, threads_per_worker=threads, processes=False, dashboard_address=None))
        return made[0].scheduler_address

    yield start
    made[0].close()


def test_workers_with_several_threads_are_refused(tmp_path, machines):
    with pytest.raises(ValueError, match="each worker must have 1 thread, got 2: start it with --nthreads 1"):
        next(cluster.rows([SOME], tmp_path, machines(2), lambda: False))


def test_a_stop_on_a_cluster_leaves_the_rest_for_the_next_call(tmp_path, machines, monkeypatch):
    monkeypatch.setattr(cluster, "_row", lambda *run: (dict(zip(("task", "model", "seed"), run, strict=True)), b"net"))
    found = cluster.rows(comparison.RUNS[:3], tmp_path, machines(1), lambda: bool(os.listdir(tmp_path)))
    first = next(found)
    assert (first["task"], first["model"], first["seed"]) in comparison.RUNS[:3]
    assert len([*found]) < 3
    assert checkpoints.path_of(*first.values(), tmp_path).read_bytes() == b"net"


@pytest.mark.thorough
def test_a_damaged_state_stops_the_comparison_and_stays(tmp_path, monkeypatch):
    run = ("one-digit", "none", 0)
    monkeypatch.setattr(comparison, "RUNS", [run])
    state = state_of(*run, tmp_path)
    state.write_bytes(b"somebody else's")
    with pytest.raises(ValueError, match=r"the stopped training .*\.stopped cannot go on .*; delete it to begin anew"):
        comparison.compare(tmp_path / "a.json", tmp_path, processes=1)
    assert state.read_bytes() == b"somebody else's"
    assert json.loads((tmp_path / "a.json").read_text())["rows"] == []


REPEATED = '''
import dataclasses, json, sys
from pathlib import Path
import torch
from attention_lite.lab import RECIPES, comparison, runs

torch.set_num_threads(1)
run, folder = ("one-digit", "self-attention", 0), Path(sys.argv[1])
RECIPES["one-digit"] = dataclasses.replace(RECIPES["one-digit"], steps=60)
comparison.MAP_SCENES = runs.SCENES = 200
runs.finish(*run, folder, progress=False)
print(json.dumps(comparison.row(*run, folder)))
'''


@pytest.mark.thorough
def test_a_row_that_is_trained_and_judged_again_is_the_same_to_the_last_bit(tmp_path):
    """In two fresh processes, from the first weights to the last deletion; in fewer steps than usual."""
    rows = []
    for name in ("once", "again"):
        done = subprocess.run([sys.executable, "-c", REPEATED, str(tmp_path / name)], cwd=ROOT, capture_output=True,
                              text=True, check=True, env=os.environ | {"PYTHONPATH": str(ROOT)})
        rows.append(json.loads(done.stdout))
    for row in rows:
        assert row["map_score"] != row["map_score_untrained"]
        for timed in ("seconds", "cpu_seconds", "checkpoint"):
            row.pop(timed)                                 # a checkpoint's record holds its seconds
    assert rows[0] == rows[1]
    weights = [load_file(next((tmp_path / name).iterdir())) for name in ("once", "again")]
    assert weights[0].keys() == weights[1].keys()
    assert all(torch.equal(weights[0][key], weights[1][key]) for key in weights[0])


@pytest.mark.thorough
def test_costs_are_measured_of_each_network_in_turn(monkeypatch):
    monkeypatch.setattr(comparison, "COMPARED", ("none", "self-attention"))
    monkeypatch.setattr(comparison, "COST_SECONDS", 0)
    monkeypatch.setitem(RECIPES, "cued-search", dataclasses.replace(RECIPES["cued-search"], batch=4))
    threads = torch.get_num_threads()
    found = comparison.costs(2)
    assert torch.get_num_threads() == threads
    assert [(row["task"], row["model"], row["seed"]) for row in found] == [
        ("cued-search", "none", 2), ("cued-search", "self-attention", 2)]
    none, attention = found
    assert all(row["forward"] > 0 and row["step"] > 0 for row in found)
    assert 4 * 48 * 144 * 4 < none["peak_bytes"] < attention["peak_bytes"]


# The file that is shipped


@pytest.fixture(scope="module")
def shipped() -> dict[str, list[dict]]:
    return comparison.load()


def test_the_shipped_rows_are_what_their_checkpoints_say(shipped):
    counted: dict[tuple[str, str], int] = {}
    for row in shipped["rows"]:
        task, model, seed = row["task"], row["model"], row["seed"]
        net, record = load_checkpoint(task, model, seed)
        assert row["accuracy"] == record["test_accuracy"], row
        assert row["validation_accuracy"] == record["validation_accuracy"], row
        assert row["parameters"] == sum(p.numel() for p in net.parameters()), row
        if (task, model) not in counted:
            counted[task, model] = macs(net, RECIPES[task].task.size)
        assert row["macs"] == counted[task, model], row
        assert (row["steps"], row["scenes"], row["map_scenes"]) == (
            RECIPES[task].steps, SCENES, comparison.MAP_SCENES)
        assert all(row[key] == record[key] for key in ("torch", "python", "seconds", "cpu_seconds"))
        assert row["device"] == record.get("device", "cpu")


def test_rows_have_scores_where_the_mechanism_has_such_weights(shipped):
    """Which is a matter of the task and the mechanism, not of the seed."""
    scored = {(row["task"], row["model"]) for row in shipped["rows"] if "map_score" in row}
    assert {task: {m for t, m in scored if t == task} for task in comparison.TASKS} == {
        "context-gating": {"se", "eca", "cbam", "bam", "sk", "psa", "danet"},
        "cued-search": {"self-attention", "danet", "emsa"},
        "one-digit": {"cbam", "bam", "self-attention", "danet", "emsa", "external"}}
    for row in shipped["rows"]:
        if (row["task"], row["model"]) not in scored:
            assert not {"map_score", "map_score_untrained", "map_chance", "deletion"} & set(row), row
            continue
        assert 0 <= row["map_score"] <= 1, row
        assert 0 <= row["map_score_untrained"] <= 1, row
        assert (row["map_chance"] == 0) == (row["task"] == "context-gating"), row
        names = {"one-digit": {"largest", "features", "random", "nothing"}, "cued-search": set(),
                 "context-gating": {"largest", "smallest", "random", "nothing"}}[row["task"]]
        if row["task"] == "context-gating" and row["model"] in ("sk", "danet"):
            names = set()                                  # which do not have one number for each channel
        assert set(row.get("deletion", {})) == names, row
        if names:
            assert all(0 <= value <= 1 for value in row["deletion"].values()), row
            spread = 4 * (0.25 / comparison.MAP_SCENES) ** 0.5                # these are the first scenes of the record
            assert row["deletion"]["nothing"] == pytest.approx(row["accuracy"], abs=spread), row


# Of each question one: a gate of channels, a map of pairs with weights below zero, slots to choose from.
AGAIN = [("context-gating", "eca", 0), ("cued-search", "emsa", 1), ("one-digit", "external", 2)]


@pytest.mark.thorough
@pytest.mark.parametrize("run", AGAIN, ids=lambda run: "--".join(map(str, run)))
def test_a_row_measured_again_is_the_row(shipped, run):
    found, kept = comparison.row(*run), find(shipped["rows"], run)
    assert found.keys() == kept.keys() | {"checkpoint"}
    for key, value in kept.items():
        if key == "deletion":
            assert found[key].keys() == value.keys()
            assert found[key] == {name: pytest.approx(x, abs=0.01) for name, x in value.items()}
        elif isinstance(value, float):
            assert found[key] == pytest.approx(value, abs=0.01), key
        else:
            assert found[key] == value, key


def test_the_shipped_costs_are_of_one_machine(shipped):
    assert len({(row["torch"], row["python"], row["processor"]) for row in shipped["costs"]}) == 1
    for row in shipped["costs"]:
        assert 0 < row["forward"] < row["step"] < 60, row
        assert row["peak_bytes"] > 64 * 48 * 144 * 4, row  # the features of a batch, at least


def test_the_checkpoints_folder_is_the_packages_own():
    assert comparison.FILE.parent == checkpoints.FOLDER.parent == Path(comparison.__file__).parent
