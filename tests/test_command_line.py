"""The lab's command line on machines that lack something, and the words for a package that is missing."""

import subprocess
import sys

import pytest
import torch

from attention_lite.extras import extra
from attention_lite.lab.__main__ import main

AT_IMPORT = [
    ("safetensors", "lab", "attention_lite.lab"),
    ("numpy", "lab", "attention_lite.lab.training"),
    ("anywidget", "book", "attention_lite.explorers"),
    ("numpy", "book", "attention_lite.explorers.table"),
    ("matplotlib", "book", "attention_lite.figures"),
    ("matplotlib", "book", "attention_lite.diagrams"),
]
# In one process, which imports nothing of these before.
IN_USE = [
    ("skimage.transform", "lab", "patches.window('china', (2, 3))"),
    ("skimage.transform", "lab", "photographs.picture(np.zeros((4, 4, 3), np.uint8))"),
    ("skimage.color", "lab", "patches.describe(torch.zeros(4, 4, 3), (2, 2))"),
    ("skimage.data", "lab", "photographs.load('coins')"),
    ("sklearn", "lab", "photographs.load('flower')"),
    ("sklearn", "lab", "OneDigit('test').sample(1, 0)"),
    ("PIL", "lab", "open_photograph('x.png')"),
    ("onnx", "lab", "pretrained.tensors(None)"),
    ("matplotlib.pyplot", "book", "regions.save_overlay('chelsea', 'x.png')"),
    ("matplotlib.pyplot", "book", "regions.draw_by_hand('chelsea', 'eye')"),
    ("PIL", "book", "packing.encode_image(np.zeros((4, 4, 3), np.uint8))"),
    ("IPython.display", "book", "source_of(print)"),
    ("onnxruntime", "test", "equalities.Oracle('dinov2', [])"),
    ("transformers", "test", "equalities.as_dinov2(None)"),
]
USING = """
import sys, numpy as np, torch
from unittest.mock import patch
from attention_lite.explorers import packing
from attention_lite.lab import *
from attention_lite.lab import equalities, patches
from attention_lite.source import source_of
photographs.load("china")
for missing, use in {uses}:
    try:
        with patch.dict(sys.modules, {{missing: None}}):                     # None: import fails
            eval(use)
    except ModuleNotFoundError as error:
        print(error)
"""


def says(words: str, missing: str, name: str) -> bool:
    """Whether an error names the package that is missing and the extra that brings it."""
    package = words.removeprefix("the package ").partition(" ")[0].partition(".")[0]
    end = f" is missing; it comes with: python -m pip install 'attention-lite[{name}]'"
    return package == missing.partition(".")[0] and words.endswith(end)


@pytest.mark.thorough
@pytest.mark.parametrize(("missing", "name", "module"), AT_IMPORT)
def test_a_missing_package_is_named_with_its_extra(missing, name, module):
    script = f"import sys; sys.modules[{missing!r}] = None; import attention_lite; import {module}"
    run = subprocess.run([sys.executable, "-c", script], stderr=subprocess.PIPE, text=True, check=False)
    assert run.returncode == 1
    assert says(run.stderr.splitlines()[-1].removeprefix("ModuleNotFoundError: "), missing, name)


def test_so_it_is_where_it_is_needed_only_later():
    script = USING.format(uses=[(missing, use) for missing, _, use in IN_USE])
    run = subprocess.run([sys.executable, "-c", script], stdout=subprocess.PIPE, text=True, check=True)
    for words, (missing, name, use) in zip(run.stdout.splitlines(), IN_USE, strict=True):
        assert says(words, missing, name), f"{use}: {words}"


def test_faults_of_our_own_keep_their_words():
    with pytest.raises(ModuleNotFoundError, match=r"^No module named 'attention_lite\.nowhere'$"), extra("lab"):
        import attention_lite.nowhere  # noqa: F401


def test_training_on_a_gpu_that_is_not_there(monkeypatch, capsys, tmp_path):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    folder = tmp_path / "new"
    assert main(["train", "se", "--device", "cuda", "--folder", str(folder)]) == 2
    printed = capsys.readouterr()
    assert printed.err == "error: device must be cpu on this machine, got cuda: torch finds no GPU that it can use\n"
    assert printed.out == ""
    assert not folder.exists()


def test_a_reader_who_leaves_early_ends_the_list_without_a_word():
    listing = subprocess.Popen([sys.executable, "-m", "attention_lite.lab", "list"], stdout=subprocess.PIPE,
                               stderr=subprocess.PIPE, text=True)
    assert listing.stdout.readline().startswith("context-gating")
    listing.stdout.close()
    assert listing.stderr.read() == ""
    assert listing.wait() == 141
