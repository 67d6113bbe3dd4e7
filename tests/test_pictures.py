"""What the pages make of a chapter's figures: their labels on a phone, their colours in the dark, their weight."""

import re

import matplotlib.pyplot as plt
import numpy as np
import pytest

import pictures
from attention_lite import figures
from pictures import FORM, PHONE, Pictures, drawings, inches

SMALLEST = 10            # pixels
NOISE = np.random.default_rng(0)


@pytest.fixture(autouse=True)
def style():
    figures.use_style()
    yield
    plt.close("all")


def maps(rows=1, columns=4, label="a map", size=2.6):
    figure, axes = figures.panels(rows, columns, size, size)
    for ax in axes.flat:
        shown = figures.heat(ax, NOISE.random((8, 8)), (0, 1), label)
    figures.colour_bar(figure, shown, axes, "weight")
    return figure


def drawn(figure) -> dict[str, str]:
    data, beside = drawings(figure)
    assert data == {}
    return beside[FORM]


def label_pixels(svg: str) -> float:
    """The smallest label as a phone shows it."""
    points = [float(size) for size in re.findall(r"font-size: ([\d.]+)px", svg)]
    return min(points) / 72 * PHONE / inches(svg)[0]


@pytest.mark.parametrize(
    "figure",
    [maps, lambda: maps(2, 3), lambda: maps(1, 2, "a title that is as long as a line", 3), lambda: maps(1, 1, size=7)],
    ids=["a row", "two rows", "long titles", "one panel"])
def test_labels_can_be_read_on_a_phone(figure):
    both = drawn(figure())
    assert label_pixels(both["wide"]) < SMALLEST <= label_pixels(both["narrow"])


def test_a_figure_that_a_phone_can_show_is_drawn_once():
    figure, ax = plt.subplots(figsize=(4, 3))
    ax.plot([0, 1], label="a line")
    assert list(drawn(figure)) == ["wide"]


def test_panels_keep_their_order_when_they_are_stacked():
    figure, axes = figures.panels(1, 4, 2.6, 2.6)
    for place, ax in enumerate(axes.flat):
        figures.heat(ax, NOISE.random((8, 8)), (0, 1), f"panel {place}")
    pictures.stack(figure)
    figure.canvas.draw()
    corners = {ax.get_title(): ax.get_window_extent().corners()[1] for ax in axes.flat}
    assert len({round(x) for x, _ in corners.values()}) == 2
    assert sorted(corners, key=lambda title: (-round(corners[title][1]), corners[title][0])) == list(corners)


def plots(columns):
    figure, axes = plt.subplots(1, columns, figsize=(2.2 * columns, 2), layout="constrained")
    for ax in axes:
        ax.plot([9, 12, 16, 20, 28])
    figure.canvas.draw()                    # now the numbers along the axes are there
    return figure


def test_three_plots_stand_one_by_one_as_wide_as_the_phone():
    figure = plots(3)
    pictures.stack(figure)
    assert {ax.get_subplotspec().get_gridspec().get_geometry() for ax in figure.axes} == {(3, 1)}
    assert figure.get_figwidth() == pictures.phone_inches(figure)
    four = plots(4)
    pictures.stack(four)
    assert {ax.get_subplotspec().get_gridspec().get_geometry() for ax in four.axes} == {(2, 2)}


def test_strips_stay_as_high_as_they_are():
    figure, axes = figures.panels(3, 1, 7.5, 0.8)
    for ax in axes.flat:
        ax.imshow(NOISE.random((3, 48)), aspect="auto")
    pictures.stack(figure)
    assert figure.get_figheight() == pytest.approx(2.4)


def test_each_colour_bar_has_its_room():
    figure, axes = figures.panels(1, 3, 2.6, 2.6)
    for ax in axes.flat:
        figures.colour_bar(figure, figures.heat(ax, NOISE.random((8, 8)), (0, 1), "a map"), ax, "weight")
    assert pictures.columns_on_a_phone(figure, 3, 4.9, plots=False) == 1
    assert pictures.columns_on_a_phone(maps(1, 3), 3, 4.9, plots=False) == 2


def test_rows_of_maps_stay_rows():
    figure, axes = figures.panels(3, 4, 2.6, 2.6)
    for ax in axes.flat:
        figures.heat(ax, NOISE.random((8, 8)), (0, 1))
    pictures.stack(figure)
    assert {ax.get_subplotspec().get_gridspec().get_geometry() for ax in axes.flat} == {(3, 4)}


def mosaic():
    figure, axes = plt.subplot_mosaic([["whole", "whole"], ["left", "right"]], figsize=(6.4, 5), layout="constrained")
    for name, ax in axes.items():
        shown = figures.heat(ax, NOISE.random((8, 8)), (0, 1), f"the map on the {name}")
        figures.colour_bar(figure, shown, ax, "weight")
    return figure


def flat_strips():
    figure, axes = figures.panels(1, 3, 4, 0.9)
    for ax in axes.flat:
        figures.heat(ax, NOISE.random((4, 48)), (0, 1), "48 gates")
    return figure


@pytest.mark.filterwarnings("error")
@pytest.mark.parametrize("figure", [mosaic, flat_strips])
def test_no_panel_collapses_when_it_is_stacked(figure):
    figure = figure()
    size = tuple(figure.get_size_inches())
    assert label_pixels(drawn(figure)["narrow"]) >= SMALLEST
    assert all(ax.get_window_extent().width > 50 for ax in figure.axes[:3])
    assert tuple(figure.get_size_inches()) == size


def test_a_figure_hardly_wider_than_a_phone_has_large_labels_too():
    figure = maps(1, 1, size=5.2)
    both = drawn(figure)
    assert min(label_pixels(svg) for svg in list(both.values())[-1:]) >= SMALLEST


def test_words_beside_the_panels_leave_labels_large_enough():
    figure = maps(2, 4)
    figure.axes[0].text(-0.1, 0.5, "a row of four maps", ha="right", transform=figure.axes[0].transAxes)
    assert label_pixels(drawn(figure)["narrow"]) >= SMALLEST


def test_greys_follow_the_page_but_on_a_map_they_stay():
    figure, axes = figures.panels(1, 2)
    figures.heat(axes[0, 0], NOISE.random((8, 8)), (0, 1))
    axes[0, 0].text(3, 3, "on the map", color="black")
    axes[0, 1].text(0.5, 0.5, "on the page", color="0.4")
    axes[0, 1].plot([0, 1], color=figures.CYCLE[0])
    page = Pictures().element(drawn(figure), "words")
    style = {words: found for found, words in re.findall(r'<text style="([^"]*)"[^>]*>([^<]*)</text>', page)}
    assert "fill: #000001" in style["on the map"]
    assert "fill: currentColor; fill-opacity: 0.60" in style["on the page"]
    assert "stroke: var(--book-blue, #0072b2)" in page
    assert "#ffffff" not in page


def test_a_page_holds_a_photograph_once_and_says_every_picture_in_words():
    photograph = NOISE.random((200, 200, 3))
    page = Pictures()
    elements = []
    for words in ("a & b", "c"):
        figure, axes = figures.panels(1, 3)
        for ax in axes.flat:
            figures.picture(ax, photograph, "the photograph")
        elements.append(page.element(drawn(figure), words))
    assert "".join(elements).count("base64") == 1
    assert "".join(elements).count("<use href=") >= 12
    assert 'role="img" aria-label="a &amp; b"' in elements[0]


def test_no_name_of_one_figure_is_that_of_another():
    page = Pictures()
    both = [page.element(drawn(maps()), "words") for _ in range(2)]
    names = re.findall(r' id="([^"]*)"', "".join(both))
    assert names
    assert len(names) == len(set(names))


def test_the_palette_of_pages_is_that_of_figures():
    assert list(pictures.NAMED) == [colour.lower() for colour in figures.CYCLE]


def test_what_is_white_is_the_pages_ground_and_on_a_photograph_stays_white():
    figure, (plot, photograph) = plt.subplots(1, 2, figsize=(7, 3.5))
    plot.text(0.5, 0.5, "a label", bbox={"facecolor": "white", "edgecolor": "none"})
    plot.plot(0.2, 0.2, "o", markerfacecolor="white")
    photograph.imshow(NOISE.random((8, 8, 3)))
    photograph.plot([1, 6], [1, 6], color="white")
    wide = Pictures().element(drawn(figure), "words").split("</svg>")[0]
    assert wide.count("fill: var(--pst-color-background, #ffffff)") >= 2
    assert "#ffffff" not in wide.replace("var(--pst-color-background, #ffffff)", "")
    assert "stroke: #fffffe" in wide
