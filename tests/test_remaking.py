"""The one command that remakes what the book rests on: what it trains anew, and that it goes on where it stopped."""

import dataclasses
import json
import shutil
from pathlib import Path

import pytest
import torch
from safetensors import safe_open
from safetensors.torch import load_file, save

from attention_lite.lab import RECIPES, checkpoints, comparison, experiments, measuring, pool, remaking, runs
from attention_lite.lab.__main__ import main
from attention_lite.lab.recipes import shipped

OLD = ("cued-search", "none", 1)


def as_if_made_by(version: str, path: Path) -> None:
    with safe_open(path, framework="pt") as file:
        record = json.loads(file.metadata()["record"])
    path.write_bytes(save(load_file(path), metadata={"record": json.dumps(record | {"torch": version})}))


@pytest.fixture(scope="module")
def copies(tmp_path_factory) -> Path:
    """The shipped checkpoints, all as if this torch had made them."""
    folder = tmp_path_factory.mktemp("checkpoints")
    for run in shipped():
        path = checkpoints.path_of(*run, folder)
        shutil.copy(checkpoints.path_of(*run), path)
        as_if_made_by(torch.__version__, path)
    return folder


@pytest.mark.thorough
def test_what_is_missing_or_of_another_torch_is_outdated(copies):
    assert remaking.outdated(copies) == []
    missing, old = shipped()[0], OLD
    path, kept = checkpoints.path_of(*missing, copies), checkpoints.path_of(*missing, copies).read_bytes()
    path.unlink()
    as_if_made_by("2.4.0", checkpoints.path_of(*old, copies))
    try:
        assert remaking.outdated(copies) == [missing, old]
    finally:
        path.write_bytes(kept)
        as_if_made_by(torch.__version__, checkpoints.path_of(*old, copies))


@pytest.mark.thorough
def test_trainings_come_first_then_the_comparison_then_the_experiments(copies, monkeypatch):
    as_if_made_by("2.4.0", checkpoints.path_of(*OLD, copies))
    asked = []

    def results(work, left, folder, processes, stop):
        asked.append(("train", work, left, processes))
        if not stop():
            as_if_made_by(torch.__version__, checkpoints.path_of(*OLD, copies))
        return iter(())

    monkeypatch.setattr(pool, "results", results)
    monkeypatch.setattr(comparison, "compare", lambda *_: asked.append("compare") or True)
    monkeypatch.setattr(experiments, "make", lambda names, *_: asked.append(names) or True)
    assert not remaking.remake(copies, processes=3, stop=lambda: True)
    assert asked == [("train", remaking._train, [OLD], 3)]           # stopped: nothing is judged before all is trained
    asked.clear()
    assert remaking.remake(copies)
    assert asked == [("train", remaking._train, [OLD], 2), "compare", list(experiments.EXPERIMENTS)]


def test_a_training_that_is_remade_takes_the_old_ones_place_when_it_is_whole(tmp_path, monkeypatch):
    monkeypatch.setitem(RECIPES, "one-digit", dataclasses.replace(RECIPES["one-digit"], steps=3, batch=4))
    monkeypatch.setattr(runs, "SCENES", 20)
    run = ("one-digit", "none", 0)
    path = checkpoints.path_of(*run, tmp_path)
    path.write_bytes(b"the old one")
    assert remaking._train(*run, tmp_path, lambda: True) is None
    assert path.read_bytes() == b"the old one"
    record = remaking._train(*run, tmp_path, lambda: False)
    assert record["torch"] == torch.__version__
    assert record["processor"] == measuring.processor()
    assert checkpoints.load_checkpoint(*run, tmp_path)[1] == record
    assert list(tmp_path.iterdir()) == [path]              # the stopped training's state is gone


def test_the_command_says_whether_all_was_made(monkeypatch, capsys):
    whole = iter([False, True])
    monkeypatch.setattr(remaking, "remake", lambda **_: next(whole))
    assert main(["remake"]) == 130
    assert "the same command goes on from there" in capsys.readouterr().err
    assert main(["remake"]) == 0
    assert capsys.readouterr().out == "all trainings and rows are of this version of torch\n"
    assert main(["remake", "--processes", "0"]) == 2
