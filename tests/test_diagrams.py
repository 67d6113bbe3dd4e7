"""The diagrams of all mechanisms and of two networks: nothing in them runs into anything else, as drawn."""

import inspect
from itertools import combinations, pairwise

import matplotlib.pyplot as plt
import nbformat
import numpy as np
import pytest
from matplotlib.transforms import Bbox

from attention_lite import (
    EMSA,
    PSA,
    BAMBlock,
    CBAMBlock,
    CoordinateAttention,
    ExternalAttention,
    ScaledDotProductAttention,
    SEAttention,
    SKAttention,
    diagrams,
)
from attention_lite.coordinate import NARROWEST
from attention_lite.diagrams import DEFAULTS, DIAGRAMS, PHONE, WIDTH, Drawn, draw, draw_upright
from attention_lite.eca import adaptive_kernel_size
from attention_lite.networks import TextDetector, VisionTransformer
from conftest import ROOT

PAGES = {"00-weighted-average": ["weighted average"], "gates-on-one-page": ["SE", "ECA", "CBAM", "BAM", "SK", "PSA"],
         "positions-on-one-page": ["self-attention", "DANet", "EMSA", "external"],
         "01-se": ["SE", "SE in a ResNet"], "12-transformer": ["transformer", "transformer layer"],
         "13-text-gates": ["text detector"], "14-coordinate-attention": ["coordinate"]}
MADE_BY = {                                              # what makes the weights, if not a sigmoid
    "weighted average": {"softmax\nover places"},
    "SE in a ResNet": {"SE"}, "SK": {"softmax"}, "PSA": {r"$\sigma$", "softmax"},
    "self-attention": {"softmax\nover keys"},
    "DANet": {"softmax\nover keys", "softmax\nover channels"}, "EMSA": {"softmax\nover keys", "IN"},
    "external": {"softmax\nover places", "$\\div$ sum over\nslots"},
    "transformer": {"layer 0", "layer 1", "layer 11"}, "transformer layer": {"softmax\nover keys"},
    "text detector": {"48 at 1/4\nSE", "96 at 1/8\nSE", "192 at 1/16\nSE, SE", "384 at 1/32\nSE",
                      r"$1\times 1$" "\n+ SE", r"$7\times 7$" "\n+ SE"}}
SMALLEST = 8             # points
TOUCH = 0.01             # inches
PHONE_PIXELS = 358       # that a phone of 390 has for a figure


@pytest.fixture(scope="module", params=[(draw, WIDTH), (draw_upright, PHONE)], ids=["wide", "upright"])
def way(request):
    """How a diagram is drawn, and how many inches wide."""
    return request.param


@pytest.fixture(scope="module", params=DIAGRAMS)
def drawn(request, way):
    """Each diagram in turn, drawn."""
    diagram = way[0](request.param)
    yield diagram
    plt.close(diagram.figure)


def inches(figure, artist) -> Bbox:
    """What an artist covers, as the renderer has it."""
    return artist.get_window_extent(figure.canvas.get_renderer()).transformed(figure.dpi_scale_trans.inverted())


def labels(drawn: Drawn) -> list:
    return [text for _, texts in drawn.arrows for text in texts]


def inside(inner: Bbox, outer: Bbox) -> bool:
    return outer.x0 < inner.x0 and inner.x1 < outer.x1 and outer.y0 < inner.y0 and inner.y1 < outer.y1


def along(patch) -> np.ndarray:
    """Points on an arrow's line, 0.01 inches apart, from its start to its tip."""
    corners = patch._path_original.vertices
    return np.concatenate([np.linspace(a, b, int(np.hypot(*(b - a)) / 0.01) + 2) for a, b in pairwise(corners)])


def problems(drawn: Drawn) -> list[str]:
    """What runs into what."""
    figure = drawn.figure
    boxes = [(text.get_text(), inches(figure, patch), inches(figure, text)) for patch, text in drawn.boxes]
    free = [(text.get_text(), inches(figure, text)) for text in labels(drawn)]
    page = Bbox.from_bounds(0, 0, *figure.get_size_inches())
    found = [f"{name} leaves its box" for name, box, text in boxes if not inside(text, box)]
    found += [f"{name} leaves the page" for name, extent in [(n, b) for n, b, _ in boxes] + free
              if not inside(extent, page)]
    solid = [(name, box) for name, box, _ in boxes] + free
    found += [f"{a} overlaps {b}" for (a, one), (b, other) in combinations(solid, 2)
              if one.padded(TOUCH).overlaps(other)]
    for patch, _ in drawn.arrows:
        points = along(patch)
        for name, extent in solid:
            within = extent.padded(-2 * TOUCH)
            if within.width > 0 and within.height > 0 and any(within.contains(*p) for p in points):
                found.append(f"an arrow runs through {name}")
        ends = [box.padded(TOUCH) for _, box, _ in boxes]
        if not any(end.contains(*points[-1]) for end in ends):
            found.append(f"an arrow points at nothing, at {points[-1]}")
        others = np.concatenate([along(other) for other, _ in drawn.arrows if other is not patch])
        leaves = np.hypot(*(others - points[0]).T).min() < TOUCH
        if not leaves and not any(end.contains(*points[0]) for end in ends):
            found.append(f"an arrow comes from nothing, at {points[0]}")
    return found


def test_nothing_runs_into_anything(drawn):
    assert problems(drawn) == []


def test_text_is_large_enough_in_print_and_on_a_phone(drawn, way):
    texts = [text for _, text in drawn.boxes] + labels(drawn) + drawn.figure.axes[0].texts
    assert texts
    assert all(text.get_fontsize() >= SMALLEST for text in texts)
    assert not any("frac" in text.get_text() for text in texts)          # mathtext would make it smaller
    assert drawn.figure.get_size_inches()[0] == way[1] <= 5.6
    if way[0] is draw_upright:
        assert min(text.get_fontsize() for text in texts) / 72 * PHONE_PIXELS / way[1] >= 10


def test_a_diagram_says_what_the_block_has_by_default(drawn):
    words = [text for text in drawn.figure.axes[0].texts if text.get_text().startswith("by default ")]
    assert len(words) == 1
    page = Bbox.from_bounds(0, 0, *drawn.figure.get_size_inches())
    assert inside(inches(drawn.figure, words[0]), page)
    others = [inches(drawn.figure, patch) for patch, _ in drawn.boxes]
    assert not any(inches(drawn.figure, words[0]).overlaps(other) for other in others)


def test_the_defaults_are_the_package_s():
    """Each number that a drawing names is the constructor's own."""
    def default(block, name):
        return inspect.signature(block).parameters[name].default

    said = {
        "SE": f"$r = {default(SEAttention, 'reduction')}$, no biases",
        "CBAM": f"$r = {default(CBAMBlock, 'reduction')}$, $k = {default(CBAMBlock, 'kernel_size')}$",
        "BAM": f"$r = {default(BAMBlock, 'reduction')}$, $d = {default(BAMBlock, 'dia_val')}$",
        "SK": f"two branches, $r = {default(SKAttention, 'reduction')}$, {default(SKAttention, 'group')} groups, "
              f"$L = {default(SKAttention, 'L')}$",
        "PSA": f"$S = {len(default(PSA, 'kernels'))}$, $r = {default(PSA, 'reduction')}$",
        "EMSA": f"$h = {default(EMSA, 'h')}$, $s = {default(EMSA, 'ratio')}$",
        "coordinate": f"$r = {default(CoordinateAttention, 'reduction')}$, but {NARROWEST} hidden units or more",
        "external": f"$S = {default(ExternalAttention, 'S')}$, $h = {default(ExternalAttention, 'h')}$",
    }
    assert {name: DEFAULTS[name] for name in said} == said
    assert default(SKAttention, "M") == 2
    assert default(SEAttention, "bias") is False
    assert f"$h = {default(ScaledDotProductAttention, 'h')}$" in DEFAULTS["self-attention"]
    assert [adaptive_kernel_size(channel) for channel in (32, 64, 512)] == [3, 3, 5]
    assert set(DEFAULTS) == set(DIAGRAMS)


def test_the_networks_are_drawn_as_they_are():
    """Twelve layers; a stage of the detector for each width, with its gates, and two gates a level in the neck."""
    net = VisionTransformer()
    attention = net.layers[0].attention
    assert DEFAULTS["transformer"] == (
        f"{len(net.layers)} layers, $h = {attention.h}$, $C = {attention.d_model}$, $N = 256$")
    assert f"layer {len(net.layers) - 1}" in MADE_BY["transformer"]          # counted from 0
    detector = TextDetector()
    gated = [box.label for box in DIAGRAMS["text detector"].boxes if "SE" in box.label]
    gates = {name: block for name, block in detector.named_modules() if isinstance(block, SEAttention)}
    assert sum(label.count("SE") for label in gated) == len(gates) == 13
    assert [label.split()[0] for label in gated[:4]] == [str(width) for width in detector.widths]
    for level, label in enumerate(gated[:4]):
        assert label.count("SE") == sum(name.startswith(f"stages.{level}.") for name in gates)


@pytest.mark.parametrize(("change", "problem"), [
    (lambda d: d.boxes[0]._replace(label="the feature map"), "the feature map leaves its box"),
    (lambda d: d.boxes[0]._replace(x=d.boxes[1].x, y=d.boxes[1].y), "$x$ overlaps mean over\nplaces"),
    (lambda d: d.boxes[0]._replace(x=0.0), "$x$ leaves the page"),
    (lambda d: d.boxes[0]._replace(x=1.0), "an arrow runs through $x$"),
    (lambda d: d.boxes[0]._replace(y=1.0), "an arrow comes from nothing"),
])
def test_a_clumsy_diagram_is_found_out(monkeypatch, change, problem):
    good = DIAGRAMS["SE"]
    monkeypatch.setitem(DIAGRAMS, "SE", good._replace(boxes=(change(good), *good.boxes[1:])))
    drawn = draw("SE")
    assert any(found.startswith(problem) for found in problems(drawn))
    plt.close(drawn.figure)


def test_where_the_kinds_stand():
    """Every mechanism starts and ends in a map, learns something (but chapter 00's), and makes its weights by what its
    paper says."""
    for name, diagram in DIAGRAMS.items():
        kinds = [box.kind for box in diagram.boxes]
        assert kinds.count("map") == 2, name
        assert ("learned" in kinds) == (name != "weighted average"), name
        made = {box.label.replace("-\n", "") for box in diagram.boxes if box.kind == "weights"}
        assert made == MADE_BY.get(name, {r"$\sigma$"})


def test_what_is_learned_makes_no_values_in_external_attention_alone():
    """Self-attention, DANet and EMSA take values from the picture, external attention from its memory."""
    for name in PAGES["positions-on-one-page"]:
        learned = {box.label for box in DIAGRAMS[name].boxes if box.kind == "learned"}
        assert ("$W_V$" in learned) == (name != "external") == ("$M_v$" not in learned), name


def test_kinds_are_told_apart_without_colour():
    outlines = {(line, rounding) for _, _, line, rounding in diagrams.KINDS.values()}
    assert len(outlines) == len(diagrams.KINDS)


@pytest.mark.parametrize(("page", "names"), PAGES.items())
def test_the_pages_draw_each_mechanism_with_words(page, names):
    cells = nbformat.read(ROOT / "book" / "chapters" / f"{page}.ipynb", as_version=4).cells
    drawing = {cell.source: cell.metadata for cell in cells
               if cell.cell_type == "code" and "diagrams.draw(" in cell.source}
    assert [source.split('"')[1] for source in drawing] == names
    for metadata in drawing.values():
        assert len(metadata["mystnb"]["image"]["alt"].split()) > 15


def test_the_pages_draw_every_diagram():
    assert list(dict.fromkeys(name for names in PAGES.values() for name in names)) == list(DIAGRAMS)


CHAPTERS = {"00-weighted-average": "weighted average", "01-se": "SE", "02-eca": "ECA", "03-cbam": "CBAM",
            "04-bam": "BAM", "05-sk": "SK", "06-psa": "PSA",
            "07-self-attention": "self-attention", "08-danet": "DANet", "09-emsa": "EMSA", "10-external": "external",
            "14-coordinate-attention": "coordinate"}


@pytest.mark.parametrize(("chapter", "name"), CHAPTERS.items())
def test_a_chapter_opens_with_its_experiment_and_then_its_drawing(chapter, name):
    """The title and the idea in a sentence or three; what to do, and where; before the first heading the drawing."""
    cells = nbformat.read(ROOT / "book" / "chapters" / f"{chapter}.ipynb", as_version=4).cells
    title, idea = cells[0].source.split("\n\n")
    assert title.startswith("# ")
    assert 10 < len(idea.split()) < 60
    shown = [cell for cell in cells[1:] if not {"remove-cell", "hide-cell"} & set(cell.metadata.get("tags", []))]
    at = next(i for i, cell in enumerate(shown) if cell.source.endswith(f'diagrams.draw("{name}")\nplt.show()'))
    *before, drawing = shown[:at + 1]
    assert len(before) in (3, 6), "one experiment, or two: what to look at, the explorer, what to do"
    for words, explorer, task in zip(*[iter(before)] * 3, strict=True):
        assert "explorer(" in explorer.source.lower()
        for text in (words, task):
            assert text.cell_type == "markdown"
            assert "\n## " not in f"\n{text.source}"
    assert drawing.metadata["tags"] == ["remove-input"]
    assert len(drawing.metadata["mystnb"]["image"]["alt"].split()) > 15


def test_an_unknown_name_is_refused():
    with pytest.raises(ValueError, match=r"name must be one of weighted average, SE, .*; got 'se'"):
        draw("se")
