"""`import attention_lite` needs torch alone and costs next to nothing on top of it."""

import json
import os
import statistics
import subprocess
import sys

import pytest

import attention_lite

MEASURE = """
import json, sys, time
import torch
before = set(sys.modules)
start = time.process_time()
import attention_lite
print(json.dumps([time.process_time() - start, sorted(set(sys.modules) - before), sorted(sys.modules)]))
"""


@pytest.fixture(scope="module")
def imports() -> list[tuple[float, set[str], set[str]]]:
    """Of three fresh interpreters: processor seconds for the import, modules that it added to torch's, all modules.

    An interpreter before them compiles the package, as its installation does.
    """
    keeping = os.environ | {"PYTHONDONTWRITEBYTECODE": ""}
    subprocess.run([sys.executable, "-c", "import attention_lite"], env=keeping, check=True)
    runs = []
    for _ in range(3):
        run = subprocess.run([sys.executable, "-c", MEASURE], env=keeping, capture_output=True, text=True, check=True)
        seconds, added, loaded = json.loads(run.stdout)
        runs.append((seconds, set(added), set(loaded)))
    return runs


@pytest.mark.thorough
def test_import_adds_under_50_ms_to_torchs(imports):
    assert statistics.median(seconds for seconds, _, _ in imports) < 0.050


@pytest.mark.thorough
def test_import_adds_nobody_elses_modules(imports):
    for _, added, loaded in imports:
        assert "attention_lite.se" in added
        assert {name.partition(".")[0] for name in added} - {"attention_lite"} <= set(sys.stdlib_module_names)
        assert not loaded & {"matplotlib", "ipywidgets", "anywidget", "skimage", "sklearn", "safetensors",
                             "attention_lite.lab", "attention_lite.explorers", "attention_lite.exercises",
                             "attention_lite.networks", "attention_lite.published"}


def test_public_names():
    assert set(attention_lite.__all__) == {
        "AttentionBlock", "force_gates", "record_attention",
        "SEAttention", "ECAAttention", "CBAMBlock", "BAMBlock", "SKAttention",
        "PSA", "ScaledDotProductAttention", "DAModule", "PositionAttentionModule", "ChannelAttentionModule", "EMSA",
        "ExternalAttention", "CoordinateAttention", "GlobalContextBlock", "SimAM"}
    assert all(hasattr(attention_lite, name) for name in attention_lite.__all__)
