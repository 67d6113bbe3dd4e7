"""Whatever people hold, an array or any kind of tensor, goes into explorers, figures and scores; none is guessed at."""

import re
from collections.abc import Callable

import matplotlib as mpl
import matplotlib.pyplot as plt
import numpy as np
import pytest
import torch
from skimage import data
from torch import Tensor

from attention_lite import figures
from attention_lite.as_array import as_array
from attention_lite.explorers import Column, GatesExplorer, PositionsExplorer, TableExplorer
from attention_lite.lab import draw, evidence, load_checkpoint, measuring, patches, pictures, scoring
from attention_lite.lab.tasks import TASKS, ask_for
from attention_lite.lab.training import untrained

KINDS: dict[str, Callable[[Tensor], Tensor]] = {
    "with gradient": lambda t: t.clone().requires_grad_() * 1,
    "bfloat16": lambda t: t.bfloat16(),
    "bfloat16 with gradient": lambda t: t.bfloat16().requires_grad_() * 1,
    "float16": lambda t: t.half(),
    "negated view": lambda t: torch.complex(t, -t).conj().imag,
}
GRID = (2, 3)


@pytest.fixture(params=KINDS)
def kind(request: pytest.FixtureRequest) -> Callable[[Tensor], Tensor]:
    """What makes a tensor of one of the kinds from a float32 tensor."""
    return KINDS[request.param]


def eighths(*shape: int) -> Tensor:
    """Numbers in [0, 1] that every float holds."""
    return torch.randint(9, shape, generator=torch.Generator().manual_seed(sum(shape))) / 8


def uniform(*shape: int, axis: int = -1) -> Tensor:
    """Weights that sum to one on `axis`, whose length must be a power of two."""
    return torch.full(shape, 1 / shape[axis])


def photograph() -> Tensor:
    return torch.from_numpy(data.chelsea()[60:100, 100:160].copy())


def test_as_array_reads_tensors_and_lists_of_them(kind):
    t = eighths(3, 4)
    first, *rest = t
    for given in (kind(t), [kind(row) for row in t], [[kind(x) for x in row] for row in t],
                  (kind(first), *(row.numpy() for row in rest))):
        found = as_array("x", given)
        assert found.dtype == np.float32
        assert np.array_equal(found, t.numpy())


@pytest.mark.parametrize("dtype", [torch.float64, torch.int64, torch.uint8, torch.bool])
def test_as_array_leaves_other_types_alone(dtype):
    t = eighths(3, 4).to(dtype)
    for given in (t, t.numpy()):
        assert as_array("x", given).dtype == t.numpy().dtype
    assert as_array("x", t.tolist()).tolist() == t.tolist()


@pytest.mark.parametrize(("value", "got"), [
    (torch.empty(2, device="meta"), "got a Tensor that is none: Cannot copy out of meta tensor"),
    (torch.eye(2).to_sparse(), "got a Tensor that is none: can't convert Sparse"),
    ([[1, 2], [3]], "got a list that is none: setting an array element"),
    ([torch.ones(2), torch.ones(3)], "got a list that is none: setting an array element"),
])
def test_what_is_no_array_is_refused_in_words(value, got):
    with pytest.raises(ValueError, match=re.escape(f"x must be an array, {got}")):
        as_array("x", value)


@pytest.mark.cuda
def test_tensors_on_cuda_will_do():
    t = eighths(3, 4)
    assert np.array_equal(as_array("x", t.cuda().requires_grad_() * 1), t.numpy())
    assert scoring.mass_on(t.cuda(), torch.ones(3, 4, dtype=torch.bool)).item() == t.sum()


# Explorers

def test_positions(kind):
    shared = {"grid": GRID, "outlines": torch.ones(1, 1, 40, 60, dtype=torch.bool)}
    for name, value, changes in (("queries", eighths(2, 6, 8), {"values": eighths(6, 3)}),
                                 ("scores", eighths(6, 6), {"similarity": "dot"}),
                                 ("weights", torch.eye(6), {"similarity": "dot"})):
        given = {name: value} | {k: v for k, v in changes.items() if k == "values"}
        rest = shared | {k: v for k, v in changes.items() if k != "values"}
        expected = PositionsExplorer(photograph().numpy(), **{k: v.numpy() for k, v in given.items()}, **rest)
        found = PositionsExplorer([photograph()], **{k: kind(v) for k, v in given.items()}, **rest)
        assert found.data == expected.data
        assert found.spec == expected.spec
    q, k = eighths(2, 6, 8), eighths(2, 6, 8) / 2
    assert (PositionsExplorer(photograph(), grid=GRID, queries=kind(q), keys=kind(k)).data
            == PositionsExplorer(photograph(), grid=GRID, queries=q.numpy(), keys=k.numpy()).data)


def test_gates(kind):
    pair = torch.stack([photograph()] * 2)[None]
    arguments = {"gates": eighths(1, 2, 4), "features": eighths(1, 2, 4, *GRID), "forced": eighths(3, 4),
                 "answers": uniform(1, 2, 4, 4)}
    whole = {"truth": torch.tensor([[0, 1]]), "candidates": torch.tensor([[0, 2, 3]])}
    expected = GatesExplorer(pair.numpy(), **{k: v.numpy() for k, v in (arguments | whole).items()})
    found = GatesExplorer(pair, **{k: kind(v) for k, v in arguments.items()}, **whole)
    assert found.data == expected.data
    assert found.spec == expected.spec


def test_table(kind):
    arguments = {name: eighths(3, 2) for name in ("values", "low", "high")} | {"points": eighths(3, 2, 4)}
    columns = [Column("a", "one"), Column("b", "two")]
    expected = TableExplorer(list("xyz"), columns, **{k: v.numpy() for k, v in arguments.items()})
    assert TableExplorer(list("xyz"), columns, **{k: kind(v) for k, v in arguments.items()}).spec == expected.spec


def test_an_explorer_names_the_argument_that_is_no_array():
    for name in ("queries", "scores", "weights"):
        with pytest.raises(ValueError, match=f"{name} must be an array, got a Tensor that is none: Cannot copy"):
            PositionsExplorer(photograph(), grid=GRID, **{name: torch.empty(6, 6, device="meta")}, similarity="dot")


# Figures

@pytest.fixture
def ax():
    """The axes of a figure in the book's style, whatever the settings were before."""
    with mpl.rc_context():
        figures.use_style()
        figure, axes = figures.panels(1, 1)
        yield axes[0, 0]
        plt.close(figure)


def test_figures(kind, ax):
    weights = eighths(4, 5)
    shown = figures.heat(ax, kind(weights), (0, kind(weights).max()))
    assert np.array_equal(shown.get_array(), weights.numpy())
    assert shown.get_clim() == (0, weights.max())
    figures.picture(ax, kind(eighths(4, 5, 3)))
    assert np.array_equal(ax.images[-1].get_array(), eighths(4, 5, 3).numpy())
    figures.outline(ax, kind(torch.eye(8)), (4, 5))
    found = ax.collections[-1].get_paths()[0].vertices
    figures.outline(ax, torch.eye(8, dtype=torch.bool), (4, 5))
    assert np.array_equal(found, ax.collections[-1].get_paths()[0].vertices)
    ax.figure.canvas.draw()


def test_the_style_leaves_nothing_to_the_readers_settings():
    with mpl.rc_context():
        mpl.rcdefaults()
        figures.use_style()
        style = dict(mpl.rcParams)
    with mpl.rc_context():
        plt.style.use("dark_background")
        mpl.rcParams.update({"image.origin": "lower", "image.cmap": "jet", "image.aspect": "auto", "axes.grid": True,
                             "figure.figsize": (1, 1), "contour.corner_mask": False, "legend.fontsize": 30})
        backend = mpl.rcParams["backend"]
        figures.use_style()
        assert dict(mpl.rcParams) == style | {"backend": backend}
        figure, axes = figures.panels(1, 1)
        shown = figures.heat(axes[0, 0], np.eye(2), (0, 1))
        assert shown.origin == "upper"
        plt.close(figure)


# Scores

def test_scores(kind):
    weights, where = uniform(2, 3, 16, 16).unflatten(-1, (4, 4))[:, :, 0], torch.zeros(2, 1, 4, 4, dtype=torch.bool)
    where[:, :, 1:3, :3] = True
    for region in (where, where.numpy()):
        assert torch.equal(scoring.mass_on(kind(weights), region), torch.full((2, 3), 6 / 16))
        assert torch.equal(scoring.peak_on(kind(weights), region), torch.full((2, 3), 6 / 16))
    pairs, queries = torch.eye(16).expand(2, 3, 16, 16), where[:, 0]
    expected = scoring.query_maps(pairs, queries, (4, 4))
    assert torch.equal(scoring.query_maps(kind(pairs), queries, (4, 4)), expected)
    assert torch.equal(scoring.query_maps(pairs.double(), queries.numpy(), (4, 4)).float(), expected)
    assert torch.equal(scoring.on_grid(kind(where.float()), (2, 2)), scoring.on_grid(where, (2, 2)))
    gates, group = eighths(6, 5), torch.tensor([0, 0, 0, 1, 1, 1])
    assert scoring.explained_variance(kind(gates), group.numpy()) == scoring.explained_variance(gates, group)
    assert scoring.overlap(where.numpy(), where).tolist() == [[1.0], [1.0]]


def test_a_peak_that_places_share_is_shared():
    where = torch.tensor([[True, False], [False, False]])
    peaks = {(3.0, 1, 1, 1): 1, (1.0, 3, 1, 1): 0, (3.0, 3, 1, 1): 1 / 2, (3.0, 3, 3, 1): 1 / 3, (0.0, 3, 3, 1): 0,
             (0.0, 0, 0, 0): 1 / 4}
    maps = torch.tensor(list(peaks)).unflatten(1, (2, 2))
    torch.testing.assert_close(scoring.peak_on(maps, where), torch.tensor([float(p) for p in peaks.values()]))
    saturated = torch.sigmoid(torch.tensor([[99.0, 1], [100, 1]]))       # two logits, one gate
    assert scoring.peak_on(saturated, where) == 1 / 2


NAN = torch.tensor([[0.5, float("nan")], [0.5, float("nan")]])


@pytest.mark.parametrize(("name", "score"), [
    ("weights", lambda: scoring.peak_on(NAN, NAN > 0)),
    ("weights", lambda: scoring.mass_on(NAN, NAN > 0)),
    ("weights", lambda: scoring.query_maps(NAN.expand(1, 1, 2, 2), torch.ones(1, 1, 2) > 0, (1, 2))),
    ("gates", lambda: scoring.explained_variance(NAN, torch.tensor([0, 1]))),
    ("mask", lambda: scoring.on_grid(NAN, (1, 1))),
])
def test_a_nan_is_refused(name, score):
    with pytest.raises(ValueError, match=rf"{name} must hold no NaN, got 2 of 4 numbers"):
        score()


def test_gates_that_are_constant_explain_nothing():
    group = torch.tensor([0, 0, 1, 1, 2, 2, 2])
    for dtype in (torch.float64, torch.float32, torch.bfloat16):
        assert scoring.explained_variance(torch.full((7, 3), 0.1, dtype=dtype), group) == 0
        assert scoring.explained_variance(torch.full((1, 3), 0.1, dtype=dtype), group[:1]) == 0
    with pytest.raises(ValueError, match=r"shapes \(n, C\) and \(n,\), got \(0, 3\) and \(0,\)"):
        scoring.explained_variance(torch.empty(0, 3), torch.empty(0))


# The rest of the lab

def test_patches(kind):
    image = eighths(8, 12, 3)
    expected = patches.describe(image, GRID)
    assert expected.dtype == torch.float32
    assert torch.equal(patches.describe(kind(image), GRID), expected)
    assert torch.equal(patches.mean_colours(kind(image), (8, 12)).float(), patches.mean_colours(image, (8, 12)))
    assert torch.equal(patches.neighbourhoods(kind(image), 3).float(), patches.neighbourhoods(image, 3))


@pytest.mark.parametrize("mode", ["forward", "step"])
def test_measuring(kind, mode):
    x, seen = kind(eighths(2, 4)), []
    layer = torch.nn.Linear(4, 4).to(x.dtype)
    call = measuring.caller(layer, x, mode)
    layer.register_forward_hook(lambda _, args, out: seen.append((args[0].is_leaf, out.requires_grad)))
    call()
    assert seen == [(True, True)] if mode == "step" else [(x.is_leaf, False)]


@pytest.fixture
def in_float64():
    """Float64 as torch's default dtype."""
    torch.set_default_dtype(torch.float64)
    yield
    torch.set_default_dtype(torch.float32)


def of_the_lab() -> list[Tensor]:
    """Weights, scenes, pictures and a score, all of which the lab promises to be the same from run to run."""
    net, _ = load_checkpoint("context-gating", "se", 0)
    scenes = {name: TASKS[name]("test").sample(4, 0) for name in TASKS}
    asked = ask_for(scenes["context-gating"], 1)
    with torch.no_grad():
        answers = net(pictures(asked))
    found = [*net.state_dict().values(), *untrained("one-digit", "self-attention", 3).state_dict().values(), answers]
    found += [draw(s) for s in (*scenes.values(), asked)]
    found += [torch.tensor(list(evidence.deletion("context-gating", net, asked, 0).values()), dtype=torch.float32)]
    return [t for t in found if t.is_floating_point()]


@pytest.fixture(scope="module")
def as_ever() -> list[Tensor]:
    return of_the_lab()


def test_the_lab_is_the_same_under_another_default_dtype(as_ever, in_float64):
    found = of_the_lab()
    assert {t.dtype for t in found} == {torch.float32}
    assert all(torch.equal(a, b) for a, b in zip(found, as_ever, strict=True))
    assert torch.get_default_dtype() == torch.float64
