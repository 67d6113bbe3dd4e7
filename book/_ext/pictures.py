"""Figures for the pages: vector, in the page's own colours, and stacked for a phone where their labels need it.

Two halves. As an IPython extension it runs in the kernels that execute the chapters, and gives every figure that is
shown two drawings (`load_ipython_extension`). In the build, `element` makes of them what the page holds. A reader who
runs a chapter has matplotlib's own pictures.
"""

from __future__ import annotations

import base64
import hashlib
import io
import itertools
import math
import re
from collections.abc import Callable, Iterator
from functools import cache
from html import escape
from typing import TYPE_CHECKING, Any
from unittest import mock

if TYPE_CHECKING:
    from matplotlib.artist import Artist
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

FORM = "attention/figure"   # the key in an output's metadata
PHONE = 358                 # pixels that a phone of 390 has for a figure
LABEL = 10.1                # pixels that a label needs there
NAMED = {"#0072b2": "blue", "#d55e00": "red", "#009e73": "green", "#e69f00": "yellow", "#56b4e9": "sky",
         "#cc79a7": "pink"}  # figures.CYCLE, which book.css has for light and dark pages

BAR = 0.8                   # inches that a colour bar takes
MAP = 6000                  # bytes up to which an image stays as exact as it is
COLOURS = 1024              # that a map has at most: packing a photograph without loss takes long, and is never smaller

numbers = itertools.count()


# In the kernel -------------------------------------------------------------------------------------------------


def load_ipython_extension(shell: Any) -> None:
    shell.config.InlineBackend.figure_formats = set()
    shell.display_formatter.mimebundle_formatter.for_type_by_name("matplotlib.figure", "Figure", drawings)


def drawings(figure: Figure, **_: object) -> tuple[dict, dict]:
    """Of a figure that is shown: no further form, and its drawings beside its data."""
    keep_what_lies_on_images(figure)
    panels = panels_of(figure)
    if all(axes.images and one_cell(axes) for axes in panels) and figure.get_layout_engine() is not None:
        figure.set_layout_engine("compressed")              # photographs are not square, their panels are
    both, size = {"wide": drawing(figure)}, figure.get_size_inches()
    if upright := getattr(figure, "upright", None):      # a diagram is laid out anew by hand
        both["narrow"] = drawing(upright)
    elif inches(both["wide"])[0] > phone_inches(figure):
        stack(figure)
        for _ in range(4):                              # narrower, while words that stand beside the panels reach out
            both["narrow"] = drawing(figure)
            if (over := inches(both["narrow"])[0] / phone_inches(figure)) <= 1:
                break
            figure.set_figwidth(0.99 * figure.get_figwidth() / over)
    figure.set_size_inches(size)                        # which its words name, the same with and without the drawings
    return {}, {FORM: both}


def drawing(figure: Figure) -> str:
    """The figure as SVG, without a ground; plain words stay text, formulas are outlines."""
    import matplotlib as mpl
    from matplotlib.backends.backend_svg import RendererSVG

    whole = RendererSVG.draw_text

    def draw_text(self: RendererSVG, gc: Any, x: float, y: float, s: str, prop: Any, angle: float, **how: Any) -> None:
        with mpl.rc_context({"svg.fonttype": "path" if how.get("ismath") else "none"}):
            whole(self, gc, x, y, s, prop, angle, **how)

    for axes in figure.axes:
        if axes.patch.get_facecolor()[:3] == (1, 1, 1):
            axes.patch.set_alpha(0)
        for image in axes.images:
            if image.get_interpolation() in ("nearest", "auto", "antialiased"):
                image.set_interpolation("none")         # its own pixels, which the page enlarges
    text = io.StringIO()
    with mock.patch.object(RendererSVG, "draw_text", draw_text), mpl.rc_context(
            {"svg.hashsalt": f"figure {next(numbers)}", "image.composite_image": False}):
        figure.savefig(text, format="svg", facecolor="none", bbox_inches="tight",
                       metadata=dict.fromkeys(("Creator", "Date", "Format", "Type")))
    return slim(text.getvalue())


def panels_of(figure: Figure) -> list[Axes]:
    """The axes that stand in a grid, colour bars apart."""
    return [axes for axes in figure.axes if axes.get_subplotspec() is not None and not hasattr(axes, "_colorbar")]


def one_cell(axes: Axes) -> bool:
    """Whether a panel takes one cell of its grid: the compressed layout collapses where one spans several."""
    place = axes.get_subplotspec()
    return len(place.rowspan) == len(place.colspan) == 1


def texts(figure: Figure) -> Iterator[Any]:
    from matplotlib.text import Text

    return (text for text in figure.findobj(Text) if text.get_visible() and text.get_text().strip())


def phone_inches(figure: Figure) -> float:
    """How wide a figure may be for its smallest label to be large enough on a phone."""
    points = min((text.get_fontsize() for text in texts(figure)), default=72)
    return points * PHONE / LABEL / 72


def keep_what_lies_on_images(figure: Figure) -> None:
    """Turn the greys drawn on photographs and maps by a hair's breadth into colours, which the page leaves alone."""
    shown = [axes for axes in figure.axes if axes.images or hasattr(axes, "_colorbar")]
    if any(axes.texts for axes in shown):
        figure.draw_without_rendering()                 # words lie where the layout puts them
    for axes in shown:
        for artist in (*axes.lines, *axes.patches, *axes.collections, *axes.artists):
            keep(artist)
        for text in axes.texts:
            box = text.get_window_extent()
            if axes.bbox.contains((box.x0 + box.x1) / 2, (box.y0 + box.y1) / 2):
                keep(text)
        if hasattr(axes, "_colorbar"):
            keep(axes.patch)


def keep(artist: Artist) -> None:
    from matplotlib.collections import Collection
    from matplotlib.colors import to_rgba_array

    for name in ("color", "facecolor", "edgecolor", "markerfacecolor", "markeredgecolor"):
        if not hasattr(artist, f"get_{name}") or not hasattr(artist, f"set_{name}"):
            continue
        colours = to_rgba_array(getattr(artist, f"get_{name}")()).copy()
        grey = (colours[:, 0] == colours[:, 1]) & (colours[:, 1] == colours[:, 2])
        if grey.any():
            colours[grey, 2] = abs(colours[grey, 2] - 1 / 255)
            getattr(artist, f"set_{name}")(colours if isinstance(artist, Collection) else colours[0])


def stack(figure: Figure) -> None:
    """Arrange the panels of a figure anew, as few to a row as a phone can show with labels large enough."""
    from matplotlib.gridspec import GridSpec

    panels = panels_of(figure)
    places = [axes.get_subplotspec() for axes in panels]
    rows, columns = max((place.get_gridspec().get_geometry() for place in places), default=(1, 1))
    panel, height = figure.get_figwidth() / columns, figure.get_figheight() / rows
    width, plots = phone_inches(figure), not all(axes.images for axes in panels)
    across = columns_on_a_phone(figure, columns, width, plots)
    deep = math.ceil(columns / across)                   # rows that become of one
    across = math.ceil(columns / deep)
    new = width if plots and across == 1 < columns else min(panel, width / across)
    if not plots and not any(axes.get_aspect() == "auto" for axes in panels):
        height = max(height - 0.8 * (panel - new), height * new / panel)
    targets = [(place.rowspan.start * deep + place.colspan.start // across, place.colspan.start % across)
               for place in places]
    filled = sorted({row for row, _ in targets})         # a panel that spans several columns leaves a row empty
    figure.set_size_inches(across * new, max(len(filled), 1) * height)
    if across == columns:
        return
    grid = GridSpec(len(filled), across, figure=figure)
    for axes, (row, column) in zip(panels, targets, strict=True):
        axes.set_subplotspec(grid[filled.index(row), column])


def columns_on_a_phone(figure: Figure, columns: int, width: float, plots: bool) -> int:
    """How many of the panels in a row stand beside each other; plots that would leave a gap stand one by one."""
    bars = sum(hasattr(axes, "_colorbar") for axes in figure.axes)
    beside = BAR * min(bars, 1 if plots else columns)
    across = min(columns, max(1, int((width - beside) / max(map(needed, panels_of(figure)), default=1))))
    return 1 if plots and columns % across else across


def needed(axes: Axes) -> float:
    """The inches that a panel needs for its title, and to be seen; rows of maps under each other may be small."""
    title = axes.title.get_window_extent().width / axes.figure.dpi if axes.get_title() else 0
    bare = axes.images and not (axes.axison and len(axes.get_xticks()))
    one_row = axes.get_subplotspec().get_gridspec().nrows == 1
    return max(title + 0.1, 2.4 if not bare or (one_row and axes.texts) else 1.5 if one_row else 0.85)


# What an SVG of matplotlib's holds, and what the page needs of it ----------------------------------------------


def slim(svg: str) -> str:
    """An SVG as part of a page: no prologue, no style or name that would meet another figure's, and lighter."""
    svg = svg[svg.index("<svg"):]
    svg = re.sub(r"<metadata>.*?</metadata>|<style[^>]*>.*?</style>|<!--.*?-->|<defs>\s*</defs>", "", svg, flags=re.S)
    named = {name for pair in re.findall(r'url\(#([^)]+)\)|href="#([^"]+)"', svg) for name in pair}
    svg = re.sub(r' id="([^"]*)"', lambda found: found[0] if found[1] in named else "", svg)
    svg = re.sub(r' transform="rotate\(-0 [^"]*"| font-family: [^;"]*;?', "", svg)
    svg = re.sub(r"data:image/png;base64,([^\"]*)", lambda found: lighter(found[1]), svg)
    svg = re.sub(r"-?\d+\.\d{3,}", lambda found: f"{float(found[0]):.5g}", svg)
    return re.sub(r"\s*\n\s*", "\n", svg)


@cache
def lighter(png: str) -> str:
    """An image as data, in the smaller of the forms that show it as it is: a palette for a map, else WebP."""
    from PIL import Image

    image = Image.open(io.BytesIO(base64.b64decode("".join(png.split()))))
    palette, webp = io.BytesIO(), io.BytesIO()
    image.save(webp, "webp", quality=90, method=6)
    if small := image.width * image.height < MAP or image.getcolors(COLOURS) is not None:   # a photograph never is
        image.save(palette, "png", optimize=True)
        small = len(palette.getvalue()) < max(MAP, len(webp.getvalue()))
    form, data = ("png", palette) if small else ("webp", webp)
    return f"data:image/{form};base64," + base64.b64encode(data.getvalue()).decode()


def inches(svg: str) -> tuple[float, float]:
    """Width and height of an SVG of matplotlib's, whose units are points."""
    width, height = re.search(r'viewBox="0 0 ([\d.]+) ([\d.]+)"', svg).groups()
    return float(width) / 72, float(height) / 72


# In the build --------------------------------------------------------------------------------------------------


def place(notebook: Any, missing_words: Callable[[str], None]) -> None:
    """Give the page the drawings in place of each figure that a chapter's cells have shown."""
    page = Pictures()
    for cell in notebook.cells:
        words = cell.metadata.get("mystnb", {}).get("image", {}).get("alt", "").strip()
        for output in cell.get("outputs", []):
            if both := output.get("metadata", {}).pop(FORM, None):
                output.data = {"text/html": page.element(both, words)}
                if not words:
                    missing_words(cell.source[-60:])


STYLE = r'style="[^"]*"'


class Pictures:
    """The figures of one page, which share their photographs and the outlines of their letters."""

    def __init__(self) -> None:
        self.seen: set[str] = set()

    def element(self, both: dict[str, str], words: str) -> str:
        """What the page holds of a figure; `words` are for those who cannot see it."""
        svgs = "".join(self.shared(themed(svg, layout if "narrow" in both else "")) for layout, svg in both.items())
        room = "; ".join(f"--{layout}-width: {96 * width:.0f}px; --{layout}-ratio: {width:g} / {height:g}"
                         for layout, (width, height) in ((layout, inches(svg)) for layout, svg in both.items()))
        return f'<div class="picture" role="img" aria-label="{escape(words)}" style="{room}">{svgs}</div>'

    def shared(self, svg: str) -> str:
        svg = re.sub(r'<path id="(DejaVu[^"]*)"[^>]*>', lambda found: self.once(found[1], found[0]), svg)
        return re.sub(r'<image xlink:href="([^"]*)" width="(\d+)" height="(\d+)"([^>]*)/>', self.image, svg)

    def image(self, found: re.Match) -> str:
        data, width, height, rest = found.groups()
        name = "image-" + hashlib.sha256(data.encode()).hexdigest()[:12]
        style = re.search(STYLE, rest)
        whole = f'<image id="{name}" href="{data}" width="{width}" height="{height}"{" " + style[0] if style else ""}/>'
        return self.once(name, f"<defs>{whole}</defs>") + f'<use href="#{name}"{re.sub(STYLE, "", rest)}/>'

    def once(self, name: str, element: str) -> str:
        first = name not in self.seen
        self.seen.add(name)
        return element if first else ""


def themed(svg: str, layout: str) -> str:
    """An SVG whose greys follow the page's text, white its ground, and the named colours its palette.

    What lies on a photograph is not white, by a hair's breadth, and stays as it is.
    """
    def coloured(found: re.Match) -> str:
        what, colour = found.groups()
        if colour == "#ffffff":
            return f"{what}: var(--pst-color-background, {colour})"
        if name := NAMED.get(colour):
            return f"{what}: var(--book-{name}, {colour})"
        level = int(colour[1:3], 16) / 255
        if colour[1:3] == colour[3:5] == colour[5:7] and level < 0.9:
            strength = f"; {what}-opacity: {1 - level:.2f}" if level else ""
            return f"{what}: currentColor{strength}"
        return found[0]

    svg = re.sub(r"(fill|stroke): (#[0-9a-f]{6})", coloured, svg)
    width, height = inches(svg)
    return re.sub("<svg[^>]*>", f'<svg class="{layout}" viewBox="0 0 {72 * width:g} {72 * height:g}" '
                  f'width="{96 * width:.0f}" height="{96 * height:.0f}" aria-hidden="true">', svg, count=1)
