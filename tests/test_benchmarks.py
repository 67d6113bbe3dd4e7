"""The benchmarks compare equals, write complete results, and the committed results say what the project claims."""

import copy
import importlib
import json
import os
import subprocess
import sys
from collections.abc import Callable

import pytest
import torch

from attention_lite.lab import measuring
from benchmarks import __main__ as command_line
from benchmarks import others, scaling
from benchmarks.cases import ARTICLE, BLOCKS, CONTESTANTS, MODES, SHAPES, SMALLEST, TorchAttention, build
from benchmarks.gate import CHECKS, PRICE, behind
from benchmarks.plain import Plain
from benchmarks.stand_ins import stand_ins
from benchmarks.table import markdown
from conftest import ROOT

RESULTS = ROOT / "benchmarks" / "results.json"
SELF_ATTENTION = ("ScaledDotProductAttention", "ScaledDotProductAttention, d_k = 64")


def same(ours: torch.nn.Module, theirs: torch.nn.Module, x: torch.Tensor, weights: list[tuple]) -> None:
    """Assert that outputs and gradients of two modules agree; `weights` pairs theirs with ours."""
    inputs = [x.clone().requires_grad_() for _ in range(2)]
    outputs = [module(i) for module, i in zip((ours, theirs), inputs, strict=True)]
    torch.testing.assert_close(*outputs, rtol=0, atol=1e-10)
    upstream = torch.randn_like(outputs[0])
    for output in outputs:
        output.backward(upstream)
    for a, b in [(inputs[0].grad, inputs[1].grad), *((p.grad, q.grad) for p, q in weights)]:
        torch.testing.assert_close(a, b, rtol=1e-10, atol=1e-10)


def double(name: str) -> tuple[torch.nn.Module, torch.Tensor]:
    """A block of the benchmarks and an input of two images, in float64."""
    block, x = build(name, SMALLEST if BLOCKS[name].stage else ARTICLE)
    return block.double(), torch.randn(2, *x.shape[1:], dtype=torch.float64)


@pytest.mark.parametrize("training", [False, True])
@pytest.mark.parametrize("name", BLOCKS)
def test_plain_form_is_the_block(name, training):
    block, x = double(name)
    twin = copy.deepcopy(block)
    same(block.train(training), Plain(twin).train(training), x,
         list(zip(block.parameters(), twin.parameters(), strict=True)))


@pytest.mark.parametrize("name", SELF_ATTENTION)
def test_torchs_module_is_the_block(name):
    block, x = double(name)
    theirs = TorchAttention(block)
    same(block, theirs, x, [(block.W_O.weight, theirs.mha.out_proj.weight)])


def test_the_memory_measure_sees_the_peak_and_no_more():
    def call() -> None:
        a = torch.ones(2**20)                     # 4 MiB
        b = a + 1                                 # 8 MiB at a time
        del a
        c = b * 2                                 # again 8, never 12
        del b, c
    call()
    assert 0 <= measuring.peak_memory(call) - 8 * 2**20 < 64           # the constants 1 and 2 are tensors too


def test_every_round_gives_each_its_turn():
    turns: list[str] = []
    calls: dict[str, Callable[[], None]] = {name: lambda name=name: turns.append(name) for name in "abc"}
    measuring.LEAST_SAMPLE, kept = 0, measuring.LEAST_SAMPLE           # one call a sample
    try:
        times = measuring.interleaved(calls, 0)
    finally:
        measuring.LEAST_SAMPLE = kept
    assert "".join(turns[-9:]) == "abc" "bca" "cab"
    assert all(t["rounds"] == 3 and 0 < t["q1"] <= t["median"] <= t["q3"] for t in times.values())


def test_what_does_not_fit_is_not_tried(monkeypatch):
    monkeypatch.setattr(measuring, "free_memory", lambda: 2**20)
    assert measuring.does_not_fit(2**18, "forward") is None
    assert measuring.does_not_fit(2**18, "step") == "does not fit: about 0.0 GiB of 0.0 GiB"
    rows = command_line.measure("PositionAttentionModule", "14×14, batch 32", "step", compiled=False, seconds=0)
    found = {r["contestant"]: r for r in rows}
    assert found["plain"]["skipped"].startswith("does not fit")
    assert found["ours"]["median"] > 0
    assert "ratio" not in found["ours"]


def assert_complete(results: dict, shapes: list[str], sides: tuple[int, ...],
                    contestants: tuple[str, ...] = CONTESTANTS) -> None:
    """Every block × shape × mode × contestant once, each with its figures or the reason why there are none."""
    expected = [(block, shape, mode, who) for block in BLOCKS for shape in shapes for mode in MODES
                for who in contestants if BLOCKS[block].stage or shape == ARTICLE]
    assert [(r["block"], r["shape"], r["mode"], r["contestant"]) for r in results["rows"]] == expected
    assert [(r["mechanism"], r["N"]) for r in results["scaling"]] == [
        (name, side**2) for side in sides for name in scaling.MECHANISMS]
    for row in results["rows"] + results["scaling"]:
        if "skipped" in row:
            assert row["skipped"]
        else:
            assert 0 < row["q1"] <= row["median"] <= row["q3"]
            assert row["rounds"] >= measuring.LEAST_ROUNDS
            assert all(row[key] > 0 for key in row if key.endswith("bytes"))
    assert {"cpu", "cores", "threads", "torch", "python"} <= set(results["machine"])
    assert {"date", "seconds", "quick", "compile"} <= set(results["run"])
    assert set(results["exponents"]) == set(scaling.MECHANISMS)
    assert [s["ratio"] for s in results["emsa_savings"]] == list(scaling.RATIOS)


@pytest.mark.thorough
def test_quick_run_writes_complete_results(tmp_path):
    run = subprocess.run([sys.executable, "-m", "benchmarks", "--quick", "--folder", str(tmp_path)], cwd=ROOT,
                         capture_output=True, text=True)
    assert run.returncode == 0, run.stderr
    assert str(tmp_path / "results.md") in run.stdout.splitlines()[-1]
    assert sorted(p.name for p in tmp_path.iterdir()) == ["results.json", "results.md"]
    results = json.loads((tmp_path / "results.json").read_text(encoding="utf-8"))
    assert results["run"]["quick"]
    assert_complete(results, [SMALLEST], scaling.SIDES[:2])
    assert (tmp_path / "results.md").read_text(encoding="utf-8") == markdown(results)
    assert "USDT" not in run.stderr                                    # the profiler keeps quiet


@pytest.mark.parametrize(("arguments", "message"), [
    (["--blocks", "SE"], "invalid choice: 'SE' (choose from 'SEAttention', 'ECAAttention'"),
    (["--compile", "some"], "invalid choice: 'some' (choose from 'none', 'article', 'all')"),
    (["--threads", "0"], "argument --threads: invalid positive value: '0'"),
    (["--threads", "two"], "argument --threads: invalid positive value: 'two'"),
    (["--seconds", "nan"], "argument --seconds: invalid positive value: 'nan'"),
    (["--seconds", "inf"], "argument --seconds: invalid positive value: 'inf'"),
    (["--slow"], "unrecognized arguments: --slow"),
])
def test_bad_options_are_refused_in_words(arguments, message, capsys):
    with pytest.raises(SystemExit) as refused:
        command_line.main(arguments)
    assert refused.value.code == 2
    # Python from 3.12 on lists the choices without quotes.
    assert message.replace("'", "") in capsys.readouterr().err.replace("'", "")


def test_a_folder_that_cannot_be_is_refused_before_the_measuring(tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(command_line, "run", lambda options: pytest.fail("it measured"))
    (tmp_path / "file").write_text("")
    assert command_line.main(["--folder", str(tmp_path / "file" / "deeper")]) == 1
    assert "nothing was written" in capsys.readouterr().err


def test_a_part_of_the_blocks_leaves_the_full_results_alone():
    assert command_line.parse(["--blocks", "PSA"]).folder == ROOT / "_build" / "benchmarks"
    assert command_line.parse(["--quick"]).folder == ROOT / "_build" / "benchmarks"
    assert command_line.parse([]).folder == ROOT / "benchmarks"


def test_a_stopped_run_leaves_the_old_results(tmp_path, monkeypatch, capsys):
    def stop(*_: object) -> None:
        raise KeyboardInterrupt

    old = tmp_path / "results.json"
    old.write_text("old")
    monkeypatch.setattr(command_line, "run", stop)
    assert command_line.main(["--folder", str(tmp_path)]) == 130
    assert "stopped" in capsys.readouterr().err
    monkeypatch.setattr(os, "replace", stop)                           # at the last moment
    with pytest.raises(KeyboardInterrupt):
        command_line.write(old, "new")
    assert [p.name for p in tmp_path.iterdir()] == ["results.json"]
    assert old.read_text() == "old"


def test_an_update_replaces_the_rows_of_its_blocks_only_and_keeps_the_columns(tmp_path, monkeypatch):
    row = {"shape": "S", "mode": "forward", "contestant": "ours"}
    old = {"rows": [row | {"block": "SEAttention", "median": 1}, row | {"block": "PSA", "median": 2}],
           "run": {"date": "then"}, "machine": {}, "exponents": {"kept": 1}}
    (tmp_path / "results.json").write_text(json.dumps(old))
    measured = row | {"block": "SEAttention", "median": 3}
    new = {"rows": [measured, measured | {"contestant": "timm"}], "run": {"date": "now"}, "machine": {"cores": 2}}
    monkeypatch.setattr(command_line, "run", lambda _: new)
    monkeypatch.setattr(command_line, "markdown", lambda results: "")
    assert command_line.main(["--update", "--blocks", "SEAttention", "--folder", str(tmp_path)]) == 0
    found = json.loads((tmp_path / "results.json").read_text())
    assert [(r["block"], r["contestant"], r["median"]) for r in found["rows"]] == [
        ("SEAttention", "ours", 3), ("PSA", "ours", 2)]
    assert found["exponents"] == {"kept": 1}
    assert found["updates"] == [{"date": "now", "blocks": ["SEAttention"], "machine": {"cores": 2}}]


PACKAGE = {"stranger/__init__.py": "from absent.deep.down import Base, Mode\nclass Kind(Base):\n    mode = Mode.FAST",
           "fightingcv_attention/attention/SEAttention.py": """
import torch
class SEAttention(torch.nn.Module):
    def __init__(self, channel, reduction):
        super().__init__()
        self.sizes, self.drop = (channel, reduction), torch.nn.Dropout(0.1)
    def forward(self, x):
        raise RuntimeError("no such shape\\nand more")
""",
           "timm/layers/__init__.py": """
import torch
from torchvision.ops.misc import FrozenBatchNorm2d
class SEModule(torch.nn.Module):
    def __init__(self, channels, rd_channels, bias):
        super().__init__()
        self.sizes, self.frozen = (channels, rd_channels, bias), isinstance(self, FrozenBatchNorm2d)
    def forward(self, x):
        return x + 1
""",
           "timm/layers/cbam.py": "", "timm/__init__.py": ""}


@pytest.fixture
def packages(tmp_path, monkeypatch):
    """Made-up packages of the others' names, which can be imported during a test."""
    def forget() -> dict:
        names = [n for n in sys.modules if n.partition(".")[0] in ("stranger", "fightingcv_attention", "timm")]
        return {name: sys.modules.pop(name) for name in names}

    real = forget()
    for name, text in PACKAGE.items():
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text(text)
    monkeypatch.syspath_prepend(tmp_path)
    importlib.invalidate_caches()
    yield
    forget()
    sys.modules.update(real)


def test_stand_ins_answer_for_a_package_that_is_not_here_and_are_gone_afterwards(packages):
    with pytest.raises(ModuleNotFoundError, match="absent"):
        importlib.import_module("stranger")
    with stand_ins("absent"), stand_ins("json"):
        stranger = importlib.import_module("stranger")
        assert importlib.import_module("json") is json                         # what is installed is not replaced
    assert isinstance(stranger.Kind(), stranger.Base)
    assert not isinstance(1, stranger.Mode.FAST)
    assert not [name for name in sys.modules if name.startswith("absent")]
    with pytest.raises(ModuleNotFoundError, match="absent"):
        importlib.import_module("absent")


def test_other_packages_get_the_blocks_sizes_and_drop_nothing(packages):
    block, x = build("SEAttention", ARTICLE)
    collection, timm = (others.other(column, block, x) for column in ("collection", "timm"))
    assert (collection.sizes, collection.drop.p) == ((512, 8), 0)
    assert (timm.sizes, timm.frozen) == ((512, 64, False), False)
    block, x = build("ChannelAttentionModule", ARTICLE)
    assert [others.other(column, block, x) for column in others.PACKAGES] == ["has no such module"] * 2


def test_other_packages_are_measured_and_their_errors_stand_in_the_table(packages):
    rows = command_line.measure("SEAttention", SMALLEST, "step", compiled=False, seconds=0)
    found = {r["contestant"]: r for r in rows}
    assert found["timm"]["median"] > 0
    assert found["collection"]["skipped"] == "SEAttention fails: no such shape"


def test_a_missing_package_is_named_with_the_command_that_brings_it(tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(others, "find_spec", lambda name: None)
    monkeypatch.setattr(command_line, "run", lambda options: {"rows": []})
    monkeypatch.setattr(command_line, "markdown", lambda results: "")
    assert command_line.main(["--folder", str(tmp_path)]) == 0
    said = capsys.readouterr().out
    for column, package in others.PACKAGES.items():
        assert f"no column {column}: {package} is not installed: pip install --no-deps {package}\n" in said
    rows = command_line.measure("SEAttention", SMALLEST, "forward", compiled=False, seconds=0)
    assert rows[-1]["skipped"] == "timm is not installed: pip install --no-deps timm"


def made_up(contestant: str, median: float, **kwargs: object) -> dict:
    quartiles = {"q1": 0.98 * median, "median": median, "q3": 1.02 * median}
    return {"block": "B", "shape": "S", "mode": "step", "contestant": contestant} | quartiles | kwargs


def test_the_gate_finds_where_ours_is_behind_the_best():
    plain, timm = made_up("plain", 1.1), made_up("timm", 1.0)
    assert behind([made_up("ours", 1.09), plain, timm]) == []
    assert behind([made_up("ours", 1.12), plain, timm]) == ["B, S, step: 1.12 of timm"]
    assert behind([made_up("ours", 1.2), plain]) == []                          # 1.09 of the only one
    assert behind([made_up("ours", 1.12, q1=1.01), plain, timm]) == []          # the quartiles overlap
    assert behind([made_up("ours", 1.12), made_up("compiled", 0.5)]) == []      # the compiled block is ours, too
    absent = {k: v for k, v in timm.items() if k not in ("q1", "median", "q3")} | {"skipped": "is not installed"}
    assert behind([made_up("ours", 1.2), plain, absent]) == []
    priced = [made_up("ours", 1.3, block="ExternalAttention"), made_up("plain", 1.0, block="ExternalAttention")]
    assert behind(priced) == []
    assert behind([priced[0] | {"median": 1.5}, priced[1]]) == ["ExternalAttention, S, step: 1.50 of plain"]
    assert behind([made_up("ours", 1.2e-5), made_up("plain", 1e-5)]) == []      # the checks of a call are allowed


def test_the_command_ends_with_what_is_behind(tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(command_line, "markdown", lambda results: "")
    for median, status, line in ((1.5, 3, "    B, S, step: 1.50 of plain"),
                                 (1.0, 0, "==> No block is behind the best of its row by more than 1.10")):
        rows = [made_up("ours", median), made_up("plain", 1.0)]
        monkeypatch.setattr(command_line, "run", lambda _, rows=rows: {"rows": rows})
        assert command_line.main(["--folder", str(tmp_path)]) == status
        assert capsys.readouterr().out.splitlines()[-1] == line
        assert command_line.main(["--quick", "--folder", str(tmp_path)]) == 0   # too short for a verdict


# What the committed results say. They come from a full run on a quiet machine, not from the machine of the tests.

@pytest.fixture(scope="module")
def committed() -> dict:
    return json.loads(RESULTS.read_text(encoding="utf-8"))


def test_committed_results_are_complete(committed):
    assert not committed["run"]["quick"]
    present = tuple(dict.fromkeys(row["contestant"] for row in committed["rows"]))
    assert present in (CONTESTANTS, CONTESTANTS[:-len(others.PACKAGES)])               # a run may be older than those
    assert_complete(committed, list(SHAPES), scaling.SIDES, present)
    assert not [r for r in committed["rows"] if r["contestant"] in ("ours", "plain") and "skipped" in r]
    compiled = [r for r in committed["rows"] if r["contestant"] == "compiled" and r["shape"] == ARTICLE]
    assert not [r for r in compiled if "skipped" in r]
    assert RESULTS.with_name("results.md").read_text(encoding="utf-8") == markdown(committed)


def slower(rows: list[dict]) -> list[str]:
    """The cells where a block's median, less CHECKS, is over 5 % above its plain form's, with quartiles apart."""
    cells = {(r["block"], r["shape"], r["mode"], r["contestant"]): r for r in rows}
    found = []
    for block, shape, mode in dict.fromkeys(key[:3] for key in cells):
        ours, plain = cells[block, shape, mode, "ours"], cells[block, shape, mode, "plain"]
        if ours["median"] - CHECKS > 1.05 * plain["median"] and ours["q1"] - CHECKS > plain["q3"]:
            found.append(f"{block}, {shape}, {mode}: {ours['median'] / plain['median']:.2f}")
    return found


def test_no_block_is_slower_than_its_plain_form(committed):
    found = [cell for cell in slower(committed["rows"])
             if float(cell.rpartition(" ")[2]) > PRICE.get(cell.partition(",")[0], 0)]
    assert found == []


def test_times_and_memory_grow_as_the_mechanisms_say(committed):
    exponents = committed["exponents"]
    assert exponents == scaling.exponents(committed["scaling"])
    for name, power in {"self-attention": 2, "position attention": 2, "external attention": 1}.items():
        assert abs(exponents[name]["median"] - power) < 0.25, name
    assert exponents["self-attention, plain"]["median"] > 1.9           # more than 2 where its maps leave the caches
    whole = [f"EMSA, ratio {s}" for s in scaling.RATIOS]
    for name in ("self-attention", "position attention", "external attention", *whole):
        assert 0.7 < exponents[name]["forward_bytes"] < 1.1, name        # below 1 while a fixed part still counts
        assert 0.7 < exponents[name]["step_bytes"] < 1.1, name
    assert exponents["self-attention, plain"]["forward_bytes"] > 1.8
    assert exponents["self-attention, plain"]["step_bytes"] > 1.8


def test_emsas_ratio_saves_its_square(committed):
    assert committed["emsa_savings"] == scaling.savings(committed["scaling"])
    for saving in committed["emsa_savings"]:
        s = saving["ratio"]
        assert saving["flops"] == pytest.approx(s**2)
        assert 0.7 * s**2 < saving["attention_time"] < 1.4 * s**2
    whole = [saving["whole_time"] for saving in committed["emsa_savings"]]
    assert whole == sorted(whole)


def test_slower_finds_what_is_slower():
    row = {"block": "B", "shape": "S", "mode": "forward", "q1": 1.0, "median": 1.1, "q3": 1.2}
    plain = row | {"contestant": "plain"}
    assert slower([row | {"contestant": "ours"}, plain]) == []
    far = row | {"contestant": "ours", "q1": 1.21, "median": 1.3, "q3": 1.4}
    assert slower([far, plain]) == ["B, S, forward: 1.18"]
    assert slower([far | {"q1": 1.19}, plain]) == []                   # the quartiles overlap


def test_the_shortest_seconds_grow_with_the_work_and_leave_the_threads_alone() -> None:
    threads = torch.get_num_threads()
    inputs = [torch.randn(side, side) for side in (128, 512)]
    seconds = measuring.shortest_seconds({"product": lambda x: x @ x, "sum": torch.sum}, inputs)
    assert seconds["product"][1] > 4 * seconds["product"][0]
    assert seconds["product"][1] > seconds["sum"][1]
    assert torch.get_num_threads() == threads


def test_kept_bytes_counts_each_tensor_once() -> None:
    weight = torch.nn.Parameter(torch.ones(4, 4))
    assert measuring.kept_bytes(lambda x: (x @ weight) * (x @ weight), torch.ones(2, 4)) == 4 * (2 * 4 + 2 * (2 * 4))
    assert measuring.kept_bytes(lambda x: x + 1, torch.ones(2, 4)) == 0


def test_exponent_of_a_power() -> None:
    assert measuring.exponent([1, 2, 4, 8], [3, 12, 48, 192]) == pytest.approx(2)
