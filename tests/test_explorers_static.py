"""The explorers in a static page, opened from disk with the network blocked, in headless Chromium.

Every number read from a page is computed again here, from the arrays that the explorer was made of.
"""

from __future__ import annotations

import base64
import importlib.util
import itertools
import json
import re
import zlib
from collections.abc import Callable
from pathlib import Path
from types import ModuleType
from urllib.parse import urlsplit

import nbformat
import numpy as np
import pytest
import torch
from matplotlib import colormaps
from nbclient import NotebookClient
from playwright.sync_api import Browser, BrowserContext, Locator, Page, expect
from skimage import color, data

from attention_lite.explorers import GatesExplorer, PositionsExplorer, SlotsExplorer
from attention_lite.lab import scoring
from conftest import Watch, thread_ms, violations

Explorer = PositionsExplorer | GatesExplorer | SlotsExplorer
EXTENSION = Path(__file__).resolve().parent.parent / "book" / "_ext" / "explorers.py"
GRID = (12, 18)
FINE = (48, 72)
SIMILARITIES = ["dot", "scaled dot", "cosine", "distance"]
LABELS = {"dot": "q·k", "scaled dot": "q·k / √d", "cosine": "cosine", "distance": "−‖q − k‖²"}


@pytest.fixture(scope="module")
def extension() -> ModuleType:
    spec = importlib.util.spec_from_file_location("explorers_extension", EXTENSION)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


# The explorers under test -------------------------------------------------------------------------------------


def photograph(name: str) -> np.ndarray:
    return getattr(data, name)()[:288, :432]


def patches(image: np.ndarray, grid: tuple[int, int]) -> np.ndarray:
    """(N, pixels, 3): the Lab colours of each patch."""
    h, w = image.shape[0] // grid[0], image.shape[1] // grid[1]
    lab = color.rgb2lab(image).reshape(grid[0], h, grid[1], w, 3)
    return lab.transpose(0, 2, 1, 3, 4).reshape(grid[0] * grid[1], h * w, 3)


def patch_features(image: np.ndarray, grid: tuple[int, int]) -> np.ndarray:
    """(N, 6): mean and standard deviation of the Lab colours of each patch, in steps that matter to the eye."""
    p = patches(image, grid)
    return np.concatenate([p.mean(1), p.std(1)], -1) / 10


class PositionsCase:
    """A positions explorer over two photographs, with two 'heads': colour, and texture."""

    def __init__(self, grid: tuple[int, int]) -> None:
        self.grid = grid
        self.images = np.stack([photograph("chelsea"), photograph("coffee")])
        both = np.stack([patch_features(image, grid) for image in self.images])
        self.queries = np.stack([both[..., :3], both[..., 3:]], 1)
        h, w = self.images.shape[1] // grid[0], self.images.shape[2] // grid[1]
        tiles = self.images.reshape(2, grid[0], h, grid[1], w, 3) / 255
        self.values = tiles.mean((2, 4)).reshape(2, -1, 3)
        y, x = np.mgrid[:288, :432]
        disc = (y - 150) ** 2 + (x - 260) ** 2 < 50**2
        self.outlines = np.stack([[disc], [np.roll(disc, 60, 1)]])
        self.explorer = PositionsExplorer(
            self.images,
            grid=grid,
            queries=self.queries,
            similarity="distance",
            similarities=SIMILARITIES,
            values=self.values,
            outlines=self.outlines,
            outline_names=["disc"],
            image_names=["cat", "cup"],
            head_names=["colour", "texture"],
            alt=["A cat's face", "A cup of coffee"],
            query=(3, 5),
        )

    def weights(
        self, query: int, image: int = 0, head: int = 0, similarity: str = "distance", t: float = 1.0
    ) -> np.ndarray:
        q, k = self.queries[image, head, query], self.queries[image, head]
        scores = {
            "dot": k @ q,
            "scaled dot": k @ q / np.sqrt(len(q)),
            "cosine": k @ q / np.linalg.norm(k, axis=-1) / np.linalg.norm(q),
            "distance": -((k - q) ** 2).sum(-1),
        }[similarity]
        e = np.exp((scores - scores.max()) / t)
        return e / e.sum()


class GatesCase:
    """A squeeze-and-excitation gate without weights on real colour features; the classes are four hues.

    Channels: how red, yellow, green, blue each patch is, and two of lightness. The gate is the sigmoid of the
    channel's mean; the answer is the softmax of the gated channels' largest values. Forcing a gate that opens one
    hue alone makes that hue the answer.
    """

    grid = (9, 12)

    def __init__(self) -> None:
        pictures = np.stack([photograph("chelsea"), photograph("coffee"), photograph("astronaut")])
        self.images = np.stack([pictures, pictures[..., ::-1]], 1)  # variant 1: red and blue exchanged
        lab = np.stack([[patches(v, self.grid).mean(1) for v in p] for p in self.images]).swapaxes(-1, -2)
        light, a, b = lab[:, :, 0], lab[:, :, 1], lab[:, :, 2]
        channels = np.maximum(0, np.stack([a, b, -a, -b, light - 50, 50 - light], 2)) / 10
        self.features = channels.reshape(*channels.shape[:3], *self.grid)
        self.gates = 1 / (1 + np.exp(2 - self.features.mean((3, 4))))
        self.forced = np.full((4, 6), 0.02) + 0.96 * np.eye(4, 6)
        table = np.concatenate([self.gates[:, :, None], np.broadcast_to(self.forced, (3, 2, 4, 6))], 2)
        score = (table[..., None, None] * self.features[:, :, None]).max((4, 5))[..., :4]
        self.answers = np.exp(score) / np.exp(score).sum(-1, keepdims=True)
        self.truth = np.array([[1, 0]] * 3)
        self.names = ["red", "yellow", "green", "blue"]
        self.explorer = GatesExplorer(
            self.images,
            self.gates,
            self.features,
            forced=self.forced,
            answers=self.answers,
            truth=self.truth,
            candidates=np.array([[0, 1, 3]] * 3),
            candidate_names=["warm hue", "sunny hue", "cold hue"],
            class_names=self.names,
            image_names=["cat", "cup", "astronaut"],
            variant_label="Colours",
            variant_names=["as taken", "exchanged"],
            variant_colours=["#d62728", "#1f77b4"],
            forced_names=[f"{name} alone" for name in self.names],
            alt="A photograph",
        )


class SlotsCase:
    """Two memories of five colours and textures each, over two photographs; a region with soft edges."""

    def __init__(self) -> None:
        self.images = np.stack([photograph("chelsea"), photograph("coffee")])
        features = np.stack([patch_features(image, GRID) for image in self.images])
        middles = features[0, [20, 60, 100, 140, 180]]
        scores = np.stack([-((features[:, :, None] - m) ** 2).sum(-1) / temperature
                           for m, temperature in ((middles, 2), (middles[::-1], 9))], 1)
        e = np.exp(scores - scores.max(-1, keepdims=True))
        self.weights = np.rint(255 * e / e.sum(-1, keepdims=True)) / 255       # as the page has them
        y, x = np.mgrid[:GRID[0], :GRID[1]]
        self.region = np.rint(255 * np.clip(4 - np.hypot(y - 5, x - 9), 0, 1)).reshape(1, -1).repeat(2, 0) / 255
        self.explorer = SlotsExplorer(
            self.images, grid=GRID, weights=e / e.sum(-1, keepdims=True), memory_names=["sharp", "even"],
            region=self.region, region_name="disc", image_names=["cat", "cup"], alt=["A cat's face", "A cup of coffee"],
            name="memory", query=(3, 5), states={"cup": {"image": 1, "memory": 1, "query": (0, 0), "slot": 2}})

    def overlap(self, slot: int, image: int = 0, memory: int = 0) -> tuple[int, float]:
        """How many places take most from a slot, and their intersection over union with the region."""
        group = (self.weights[image, memory].argmax(-1) == slot).astype(float)
        share = self.region[image]
        return int(group.sum()), float(np.minimum(group, share).sum() / np.maximum(group, share).sum())


def saved(explorer: Explorer) -> dict:
    """The explorer's state as an executed notebook holds it."""
    state = explorer.get_state()
    buffer = {"path": ["data"], "encoding": "base64", "data": base64.b64encode(state.pop("data")).decode()}
    return {"state": state, "buffers": [buffer]}


@pytest.fixture(scope="module")
def write_page(extension: ModuleType, tmp_path_factory: pytest.TempPathFactory) -> Callable[..., str]:
    """A function that writes explorers into a page on disk, as the book does, and returns its address."""

    def write(*explorers: Explorer) -> str:
        widgets = [saved(explorer) for explorer in explorers]
        path = tmp_path_factory.mktemp("page") / "page.html"
        path.write_text(
            "<!doctype html><html lang='en'><head><meta charset='utf-8'><title>Explorers</title>"
            "<meta name='viewport' content='width=device-width'><style>body { margin: 8px auto; max-width: 860px }"
            "html[data-theme=dark] body { background: #12161b; color: #e0e4ea }</style></head>"
            "<body><main><h1>Explorers</h1>"
            + extension.style(widgets[0])
            + "<p>Between.</p>".join(map(extension.division, widgets))
            + "</main>"
            + f"<script>{extension.module(*widgets)}</script>"
            + "</body></html>",
            encoding="utf-8",
        )
        return path.as_uri()

    return write


@pytest.fixture(scope="module")
def positions() -> PositionsCase:
    return PositionsCase(GRID)


@pytest.fixture(scope="module")
def gates() -> GatesCase:
    return GatesCase()


@pytest.fixture(scope="module")
def positions_url(write_page: Callable[..., str], positions: PositionsCase) -> str:
    return write_page(positions.explorer)


@pytest.fixture(scope="module")
def gates_url(write_page: Callable[..., str], gates: GatesCase) -> str:
    return write_page(gates.explorer)


@pytest.fixture(scope="module")
def slots() -> SlotsCase:
    return SlotsCase()


@pytest.fixture(scope="module")
def slots_url(write_page: Callable[..., str], slots: SlotsCase) -> str:
    return write_page(slots.explorer)


@pytest.fixture(scope="module")
def urls(positions_url: str, gates_url: str, slots_url: str) -> dict[str, str]:
    return {"positions": positions_url, "gates": gates_url, "slots": slots_url}


@pytest.fixture(autouse=True)
def nothing_foreign(watch: Watch) -> None:
    """No page of this file may ask another host for anything, or meet an error."""
    yield
    assert watch.foreign == []
    assert watch.errors == []


# Reading a page -----------------------------------------------------------------------------------------------


def open_page(page: Page, url: str) -> Locator:
    """Open a page and return its first explorer, painted."""
    page.goto(url)
    root = page.locator(".attention-explorer").first
    root.locator("[role=status]").filter(has_text=re.compile(r"\w")).wait_for()
    page.wait_for_function(
        """() => [...document.querySelectorAll('.ax-stage')].every((canvas) =>
            canvas.getContext('2d').getImageData(canvas.width / 2, canvas.height / 2, 1, 1).data[3] === 255)"""
    )
    return root


def status(root: Locator) -> str:
    root.page.evaluate("() => new Promise(requestAnimationFrame)")
    return re.sub(r"\s+", " ", root.get_by_role("status").inner_text()).strip().replace("−", "-")


def point(root: Locator, place: int, grid: tuple[int, int], *, click: bool = False) -> None:
    """Playwright waits until the stage stands still: a page may lay out what comes into view and move it."""
    stage = root.locator(".ax-stage")
    box = stage.bounding_box()
    x, y = ((v + 0.5) / n * size for v, n, size in zip(
        (place % grid[1], place // grid[1]), (grid[1], grid[0]), (box["width"], box["height"]), strict=True))
    (stage.click if click else stage.hover)(position={"x": x, "y": y})


def choose(root: Locator, group: str, option: str) -> None:
    root.get_by_role("group", name=group).get_by_role("radio", name=option, exact=True).check()


def reading(root: Locator) -> tuple[int, int, float]:
    """(row, column, strongest weight) of a positions explorer."""
    row, column, weight = re.search(
        r"Query row (\d+), column (\d+)[^:]*: strongest weight (\S+)", status(root)
    ).groups()
    return int(row), int(column), float(weight)


def agrees(text: str | float, number: float) -> bool:
    """Whether a number read to three digits is `number`, packing errors included."""
    return abs(float(text) - number) <= 6e-3 * abs(number) + 1e-9


# Positions ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("similarity", SIMILARITIES)
def test_pointing_reads_the_weights_that_numpy_computes(
    page: Page, positions: PositionsCase, positions_url: str, similarity: str
) -> None:
    root = open_page(page, positions_url)
    choose(root, "Similarity", LABELS[similarity])
    for place in (0, 40, 77, 130, 215):
        point(root, place, GRID)
        w = positions.weights(place, similarity=similarity)
        row, column, weight = reading(root)
        assert (row, column) == divmod(place, GRID[1])
        assert agrees(weight, w.max())
        text = status(root)
        order = np.argsort(w)[::-1]
        if order[0] == place:
            then, r, c = re.search(
                r"at the query itself, then (\S+) at row (\d+), column (\d+)", text
            ).groups()
            assert agrees(then, w[order[1]])
            assert agrees(w[int(r) * GRID[1] + int(c)], w[order[1]])
        else:
            r, c = re.search(r"strongest weight \S+ at row (\d+), column (\d+)", text).groups()
            assert agrees(w[int(r) * GRID[1] + int(c)], w.max())
        assert f"uniform would be {1 / 216:.2g}" in text
        effective = np.exp(-(w[w > 0] * np.log(w[w > 0])).sum())
        spread = float(re.search(r"about (\S+) of 216 places", text)[1])
        assert abs(spread - effective) <= max(0.51 if effective >= 10 else 0.051, 0.005 * effective)


def test_head_and_photograph_are_those_chosen(
    page: Page, positions: PositionsCase, positions_url: str
) -> None:
    root = open_page(page, positions_url)
    choose(root, "Photograph", "cup")
    choose(root, "Head", "texture")
    point(root, 100, GRID)
    assert agrees(reading(root)[2], positions.weights(100, image=1, head=1).max())
    assert not agrees(reading(root)[2], positions.weights(100).max()), "the test must tell them apart"
    assert root.get_by_role("application").get_attribute("aria-label").startswith("A cup of coffee.")


def test_a_mouse_looks_and_a_click_keeps(page: Page, positions_url: str) -> None:
    root = open_page(page, positions_url)
    assert reading(root)[:2] == (3, 5), "the place given to Python"
    point(root, 100, GRID)
    assert reading(root)[:2] == divmod(100, GRID[1])
    page.mouse.move(2, 2)
    assert reading(root)[:2] == (3, 5)
    point(root, 100, GRID, click=True)
    point(root, 180, GRID)
    page.mouse.move(2, 2)
    assert reading(root)[:2] == divmod(100, GRID[1])


def test_everything_is_reached_and_moved_by_keys_alone(
    page: Page, positions: PositionsCase, positions_url: str
) -> None:
    root = open_page(page, positions_url)
    reached = []
    for _ in range(14):
        page.keyboard.press("Tab")
        focus = "document.activeElement"
        reached.append(page.evaluate(f"{focus}.type || {focus}.getAttribute('role') || {focus}.tagName"))
        outline = page.evaluate(
            f"[{focus}, {focus}.nextElementSibling].some((n) => n && getComputedStyle(n).outlineStyle !== 'none')"
        )
        assert outline or reached[-1] == "BODY", f"no visible focus on {reached[-1]}"
    assert reached[:4] == ["radio", "radio", "radio", "application"]
    assert {"range", "checkbox", "SUMMARY"} <= set(reached)
    root.locator(".ax-stage").focus()
    keys = {
        "ArrowDown": (4, 5),
        "ArrowRight": (4, 6),
        "Shift+ArrowRight": (4, 11),
        "ArrowUp": (3, 11),
        "ArrowLeft": (3, 10),
    }
    for key, place in {
        **keys,
        "Home": (3, 0),
        "End": (3, 17),
        "PageDown": (11, 17),
        "ArrowDown ": (11, 17),
    }.items():
        page.keyboard.press(key.strip())
        row, column, weight = reading(root)
        assert (row, column) == place
        assert agrees(weight, positions.weights(row * GRID[1] + column).max())


def test_temperature_renormalises_the_softmax(
    page: Page, positions: PositionsCase, positions_url: str
) -> None:
    root = open_page(page, positions_url)
    point(root, 100, GRID, click=True)
    slider = root.get_by_role("slider", name="Temperature")
    seen = []
    for key in ("Home", "PageUp", "PageUp", "ArrowRight", "End"):
        slider.press(key)
        t = float(slider.get_attribute("aria-valuetext"))
        seen.append(t)
        assert agrees(reading(root)[2], positions.weights(100, t=t).max())
    assert (seen[0], seen[-1]) == (0.05, 20)
    assert seen == sorted(set(seen))
    root.get_by_role("button", name="back to 1").click()
    assert agrees(reading(root)[2], positions.weights(100).max())


def stage_colour(root: Locator, place: int, grid: tuple[int, int]) -> np.ndarray:
    """The colour painted off the centre of a place (marks stand at the centre), once what was asked for is drawn."""
    root.page.evaluate("() => new Promise(requestAnimationFrame)")
    at = [(place % grid[1] + 0.2) / grid[1], (place // grid[1] + 0.2) / grid[0]]
    return np.array(
        root.locator(".ax-stage").evaluate(
            """(canvas, [x, y]) => [...canvas.getContext('2d')
                .getImageData(x * canvas.width, y * canvas.height, 1, 1).data].slice(0, 3)""",
            at,
        )
    )


def test_the_map_is_painted_upright_on_fixed_limits(
    page: Page, positions: PositionsCase, positions_url: str
) -> None:
    root = open_page(page, positions_url)
    choose(root, "Show", "map")
    root.get_by_role("checkbox").uncheck()
    limit = positions.explorer.spec["limit"]
    ticks = root.locator(".ax-ticks").inner_text()
    for place in (20, 100):
        for t in (1.0, 20.0):
            page.mouse.move(2, 2)
            point(root, place, GRID, click=True)
            root.get_by_role("slider", name="Temperature").press("End") if t > 1 else None
            w = positions.weights(place, t=t)
            for j in (5, 70, 150, 210, int(np.argsort(w)[-4])):
                expected = np.array(colormaps["magma"](min(1, w[j] / limit))[:3]) * 255
                assert np.abs(stage_colour(root, j, GRID) - expected).max() <= 5
        assert root.locator(".ax-ticks").inner_text() == ticks
        root.get_by_role("button", name="back to 1").click()
    choose(root, "Colour scale", "logarithmic")
    w = positions.weights(100)
    decades = max(2, np.ceil(np.log10(limit * 2 * 216)))
    for j in (70, 150, int(np.argsort(w)[-4])):
        expected = np.array(colormaps["magma"](np.clip(1 + np.log10(w[j] / limit) / decades, 0, 1))[:3]) * 255
        assert np.abs(stage_colour(root, j, GRID) - expected).max() <= 5


def test_the_weighted_average_is_shown_in_numbers_and_as_a_photograph(
    page: Page, positions: PositionsCase, positions_url: str
) -> None:
    root = open_page(page, positions_url)
    point(root, 100, GRID, click=True)
    shown = root.locator(".ax-swatches .ax-pair")
    own, mean = (np.array(re.findall(r"\d\.\d\d", shown.nth(i).inner_text()), float) for i in (0, 1))
    assert np.abs(own - positions.values[0, 100]).max() <= 0.0051
    assert np.abs(mean - positions.weights(100) @ positions.values[0]).max() <= 0.0051
    choose(root, "Show", "average")
    root.get_by_role("checkbox").uncheck()
    page.wait_for_timeout(300)
    for place in (7, 66, 207):
        expected = 255 * (positions.weights(place) @ positions.values[0])
        assert np.abs(stage_colour(root, place, GRID) - expected).max() <= 2


def test_the_weight_inside_known_truth(page: Page, positions: PositionsCase, positions_url: str) -> None:
    root = open_page(page, positions_url)
    mask = positions.outlines[0, 0]
    share = mask.reshape(12, 24, 18, 24).mean((1, 3)).ravel()
    inside = int(np.argmax(share))
    point(root, inside, GRID)
    text = status(root)
    assert f"column {inside % 18} (disc):" in text
    weight, area = re.search(r"Weight on it \(and share of the places\): disc (\S+) \((\S+)\)\.", text).groups()
    lies_on = scoring.on_grid(torch.from_numpy(mask).float(), GRID).numpy().ravel()    # as the chapters' scores have it
    assert abs(float(weight) - lies_on @ positions.weights(inside)) <= 0.01 * float(weight) + 0.002
    assert abs(float(area) - lies_on.mean()) <= 0.01 * lies_on.mean() + 0.002
    assert lies_on.mean() > 1.2 * mask.mean()
    point(root, 0, GRID)
    assert "(disc)" not in status(root)


def test_the_table_says_the_same(page: Page, positions: PositionsCase, positions_url: str) -> None:
    root = open_page(page, positions_url)
    point(root, 100, GRID, click=True)
    root.get_by_text("Values as a table").click()
    rows = root.locator("tbody tr")
    rows.nth(11).wait_for()
    w = positions.weights(100)
    for i, expected in enumerate(np.sort(w)[::-1][:12]):
        r, c, weight, times = rows.nth(i).locator("td").all_inner_texts()
        assert agrees(weight, expected)
        assert agrees(times, expected * 216)
        assert agrees(w[int(r) * 18 + int(c)], expected)


@pytest.mark.parametrize("source", ["weights", "scores"])
def test_given_maps_read_as_given(
    page: Page, positions: PositionsCase, write_page: Callable[..., str], source: str
) -> None:
    table = np.stack([positions.weights(i) for i in range(216)])
    table[:, :3] = 0
    table /= table.sum(-1, keepdims=True)
    with np.errstate(divide="ignore"):
        given = table if source == "weights" else np.log(table) * 2 + 5
    explorer = PositionsExplorer(
        positions.images[0], grid=GRID, **{source: given}, temperature_range=(0.5, 2.0)
    )
    root = open_page(page, write_page(explorer))
    slider = root.get_by_role("slider", name="Temperature")
    slider.press("End")
    for place in (40, 130):
        point(root, place, GRID, click=True)
        w = table[place] if source == "scores" else table[place] ** 0.5 / (table[place] ** 0.5).sum()
        assert agrees(reading(root)[2], w.max())


def test_a_finger_moves_the_query_and_the_page_still_scrolls(browser: Browser, positions_url: str) -> None:
    context = browser.new_context(viewport={"width": 390, "height": 844}, has_touch=True, is_mobile=True)
    page = context.new_page()
    root = open_page(page, positions_url)
    stage = root.locator(".ax-stage")
    stage.scroll_into_view_if_needed()
    box = stage.bounding_box()

    def centre(place: int) -> tuple[float, float]:
        return (
            box["x"] + (place % 18 + 0.5) / 18 * box["width"],
            box["y"] + (place // 18 + 0.5) / 12 * box["height"],
        )

    page.touchscreen.tap(*centre(100))
    assert reading(root)[:2] == divmod(100, 18)

    fingers = context.new_cdp_session(page)

    def drag(start: tuple[float, float], end: tuple[float, float]) -> None:
        for kind, share in (("touchStart", 0), *(("touchMove", s / 8) for s in range(1, 9))):
            at = {"x": start[0] + share * (end[0] - start[0]), "y": start[1] + share * (end[1] - start[1])}
            fingers.send("Input.dispatchTouchEvent", {"type": kind, "touchPoints": [at]})
        fingers.send("Input.dispatchTouchEvent", {"type": "touchEnd", "touchPoints": []})
        page.wait_for_timeout(100)

    before = page.evaluate("scrollY")
    drag(centre(20), centre(200))
    assert reading(root)[:2] == divmod(200, 18), "a drag downwards on the photograph moves the query"
    assert page.evaluate("scrollY") == before
    reader = root.get_by_role("status").bounding_box()
    middle = (reader["x"] + reader["width"] / 2, reader["y"] + 10)
    drag(middle, (middle[0], middle[1] - 200))
    assert page.evaluate("scrollY") > before + 100, "a drag beside it scrolls"
    context.close()


def milliseconds(root: Locator, moves: int = 60) -> float:
    """Processor time in which an explorer hears one move of the pointer and draws its answer."""
    stage, page = root.locator(".ax-stage"), root.page
    stage.scroll_into_view_if_needed()
    box = stage.bounding_box()

    def move() -> None:
        for i in range(moves):
            page.mouse.move(box["x"] + (37 * i) % box["width"], box["y"] + (23 * i) % box["height"])
            page.evaluate("() => new Promise(requestAnimationFrame)")     # each move has a frame of its own

    spent = thread_ms(page, move, "pointermove", "frame")
    assert len(spent) >= moves
    return sum(spent) / moves


def test_3456_positions_answer_within_a_frame(page: Page, write_page: Callable[..., str]) -> None:
    case = PositionsCase(FINE)
    root = open_page(page, write_page(case.explorer))
    assert milliseconds(root) < 16
    point(root, 2000, FINE)
    assert agrees(reading(root)[2], case.weights(2000).max())


# Gates --------------------------------------------------------------------------------------------------------


def answer(root: Locator) -> str:
    return re.search(r"The net reads (\w+)", status(root))[1]


def test_the_answer_switches_with_the_variant_and_with_a_forced_gate(
    page: Page, gates: GatesCase, gates_url: str
) -> None:
    root = open_page(page, gates_url)
    choose(root, "Photograph", "astronaut")
    answers = set()
    for variant, name in enumerate(["as taken", "exchanged"]):
        choose(root, "Colours", name)
        reads = int(np.argmax(gates.answers[2, variant, 0]))
        asked = gates.truth[2, variant]
        assert answer(root) == gates.names[reads]
        verdict = "right" if reads == asked else "wrong"
        assert re.search(rf"\({name}\) asks for {gates.names[asked]}[^:]*: {verdict}\.", status(root))
        answers.add(reads)
    assert len(answers) == 2, "the variants must be read differently"
    for i, name in enumerate(gates.names):
        choose(root, "Gates in place", f"{name} alone")
        p = gates.answers[2, 1, 1 + i]
        assert answer(root) == gates.names[int(np.argmax(p))]
        assert agrees(re.search(r"\(probability ([\d.]+)\)", status(root))[1], round(p.max(), 2))
        assert f"Gates in place: {name} alone." in status(root)
        page.wait_for_timeout(350)
        heights = root.locator(".ax-track i").evaluate_all(
            "bars => bars.map((b) => b.offsetHeight / b.parentElement.offsetHeight)"
        )
        assert np.abs(np.array(heights) - p).max() < 0.02
    assert [int(np.argmax(p)) for p in gates.answers[2, 1]] == [3, 0, 1, 2, 3], (
        "each forced gate reads its own hue"
    )


def test_places_and_channels_read_the_features_before_and_after(
    page: Page, gates: GatesCase, gates_url: str
) -> None:
    root = open_page(page, gates_url)
    choose(root, "Photograph", "cup")
    for place in (13, 50, 100):
        point(root, place, gates.grid, click=True)
        x = gates.features[1, 0].reshape(6, -1)[:, place]
        c, before, d, after = re.search(
            r"channel (\d) is strongest before the gate, ([\d.]+); channel (\d) after it, ([\d.]+)\.",
            status(root),
        ).groups()
        y = x * gates.gates[1, 0]
        assert agrees(x[int(c)], x.max())
        assert agrees(y[int(d)], y.max())
        assert abs(float(before) - x.max()) <= 0.01 * x.max()
        assert abs(float(after) - y.max()) <= 0.01 * y.max()
    bars = root.get_by_role("slider", name="Channel")
    choose(root, "Order of the bars", "channel number")
    bars.press("Home")
    for c in range(6):
        gate, before, after = re.search(
            rf"Channel {c}: gate ([\d.e-]+)\. At row 8, column 4: ([\d.e-]+) before, ([\d.e-]+) after\.",
            status(root),
        ).groups()
        assert agrees(gate, gates.gates[1, 0, c])
        half_step = gates.features[:, :, c].max() / 255
        assert abs(float(before) - x[c]) <= half_step
        assert abs(float(after) - y[c]) <= half_step
        bars.press("ArrowRight")
    bars.press("Escape")
    assert "is strongest before the gate" in status(root)


def test_pointing_at_a_bar_paints_its_channel(page: Page, gates: GatesCase, gates_url: str) -> None:
    root = open_page(page, gates_url)
    choose(root, "Order of the bars", "channel number")
    choose(root, "Show", "map")
    limit = gates.explorer.spec["limit"]
    bars = root.locator(".ax-chart").first
    box = bars.bounding_box()
    for channel in (0, 4):
        page.mouse.click(box["x"] + 40 + (channel + 0.5) / 6 * (box["width"] - 40), box["y"] + 50)
        assert f"Channel {channel}: gate" in status(root)
        for stage, factor in (("before the gate", 1), ("after the gate", gates.gates[0, 0, channel])):
            choose(root, "Features", stage)
            x = factor * gates.features[0, 0, channel].ravel()
            for j in (20, 60, 99):
                expected = np.array(colormaps["magma"](min(1, x[j] / limit))[:3]) * 255
                assert np.abs(stage_colour(root, j, gates.grid) - expected).max() <= 6
        assert root.locator(".ax-bar").inner_text().startswith(f"Channel {channel}: features after the gate")


def test_comparing_shows_the_difference_of_the_gates(page: Page, gates: GatesCase, gates_url: str) -> None:
    root = open_page(page, gates_url)
    compare = root.get_by_label("Compare the gates with")
    bars = root.get_by_role("slider", name="Channel")
    choose(root, "Order of the bars", "channel number")
    bars.press("Home")
    references = {
        "the mean over all photographs": gates.gates.mean((0, 1)),
        "photograph astronaut": gates.gates[2, 0],
        "this photograph, colours exchanged": gates.gates[0, 1],
        "blue alone": gates.forced[3],
    }
    for name, reference in references.items():
        compare.select_option(label=name)
        difference = gates.gates[0, 0, 0] - reference[0]
        size, side = re.search(r"gate [\d.]+, ([\d.e-]+) (above|below) the other", status(root)).groups()
        assert agrees(size, abs(difference))
        assert side == ("above" if difference > 0 else "below")
    assert root.locator(".ax-ticks").inner_text().startswith("≤ −"), (
        "differences have a scale with both signs"
    )
    root.get_by_text("Values as a table").click()
    root.locator("tbody tr").nth(5).wait_for()
    for c in range(6):
        cells = root.locator("tbody tr").nth(c).locator("td").all_inner_texts()
        assert agrees(cells[1], gates.gates[0, 0, c])
        assert agrees(cells[2].replace("−", "-"), gates.gates[0, 0, c] - gates.forced[3, c])


def test_bars_grouped_by_variant_and_by_gate(page: Page, gates: GatesCase, gates_url: str) -> None:
    root = open_page(page, gates_url)
    bars = root.get_by_role("slider", name="Channel")

    def walk() -> list[int]:
        bars.press("Home")
        order = []
        for _ in range(6):
            order.append(int(re.search(r"Channel (\d):", status(root))[1]))
            bars.press("ArrowRight")
        return order

    means = gates.gates.mean(0)
    group = means.argmax(0)
    assert [group[c] for c in walk()] == sorted(group)
    choose(root, "Order of the bars", "gate")
    assert walk() == list(np.argsort(-gates.gates[0, 0], kind="stable"))


def test_bars_move_unless_the_reader_wants_no_motion(page: Page, gates_url: str) -> None:
    picture = "document.querySelector('.ax-chart').toDataURL()"
    change = f"""async () => {{
        document.querySelectorAll('.ax-top fieldset:last-child input')[2].click();
        await new Promise(requestAnimationFrame);
        await new Promise(requestAnimationFrame);
        const early = {picture};
        await new Promise((done) => setTimeout(done, 500));
        return early === {picture};
    }}"""
    open_page(page, gates_url)
    assert page.evaluate(change) is False
    page.emulate_media(reduced_motion="reduce")
    open_page(page, gates_url)
    assert page.evaluate(change) is True


def test_gates_answer_within_a_frame(page: Page, gates: GatesCase, gates_url: str) -> None:
    root = open_page(page, gates_url)
    assert milliseconds(root) < 16


# Slots --------------------------------------------------------------------------------------------------------


def says(root: Locator) -> tuple[int, int, int, float, int, float]:
    """(slot, row, column, what the place takes, places that take most, overlap) of a slots explorer."""
    found = re.search(r"Slot (\d+): the place at row (\d+), column (\d+) takes (\S+) from it.*?(\d+) of \d+ places "
                      r"take most from it\. Overlap \(IoU\) with the disc: (\d\.\d+)", status(root))
    return tuple(int(part) if part.isdigit() else float(part) for part in found.groups())


def test_a_place_shows_the_slot_that_it_takes_most_from(page: Page, slots: SlotsCase, slots_url: str) -> None:
    root = open_page(page, slots_url)
    for memory, name in enumerate(("sharp", "even")):
        choose(root, "Memory", name)
        for place in (0, 40, 77, 130, 215):
            point(root, place, GRID)
            taken = slots.weights[0, memory, place]
            count, overlap = slots.overlap(int(taken.argmax()), memory=memory)
            slot, row, column, takes, places, told = says(root)
            assert (slot, row, column, places) == (taken.argmax(), *divmod(place, GRID[1]), count)
            assert takes == pytest.approx(taken.max(), abs=0.006)
            assert told == pytest.approx(overlap, abs=0.006)


def test_a_bar_keeps_its_slot_until_a_place_is_pressed(page: Page, slots: SlotsCase, slots_url: str) -> None:
    root = open_page(page, slots_url)
    bars = root.get_by_role("slider", name="Slot")
    own, other = slots.weights[0, 0, 77].argmax(), 3
    point(root, 77, GRID, click=True)
    assert says(root)[0] == own != other
    box = bars.bounding_box()
    bars.click(position={"x": 40 + (box["width"] - 40) * (other + 0.5) / 5, "y": 50})
    assert says(root)[0] == other
    most, of = re.search(r", most \((\S+)\) from slot (\d)", status(root)).groups()
    assert int(of) == own
    assert float(most) == pytest.approx(slots.weights[0, 0, 77, own], abs=0.006)
    point(root, 130, GRID)                              # looking at another place keeps the slot
    assert says(root)[:3] == (other, *divmod(130, GRID[1]))
    point(root, 130, GRID, click=True)
    assert says(root)[0] == slots.weights[0, 0, 130].argmax()
    bars.press("Home")
    assert says(root)[0] == 0
    bars.press("Escape")
    assert says(root)[0] == slots.weights[0, 0, 130].argmax()
    stage = root.locator(".ax-stage")
    stage.press("ArrowLeft")
    assert says(root)[1:3] == divmod(129, GRID[1])


def test_light_is_what_a_place_takes_and_colours_are_slots(page: Page, slots: SlotsCase, slots_url: str) -> None:
    root = open_page(page, slots_url)
    root.locator(".ax-stage").press("Home")
    page.mouse.move(0, 0)
    pixel = """(stage, [row, column, rows, columns]) => {
        const at = (i, n, size) => Math.round((i + 0.85) * size / n);
        const context = stage.getContext("2d");
        return [...context.getImageData(at(column, columns, stage.width), at(row, rows, stage.height), 1, 1).data];
    }"""
    stage = root.locator(".ax-stage")
    places = [20, 61, 100, 141, 182]

    def pixels(show: str) -> np.ndarray:
        choose(root, "Show", show)
        status(root)
        return np.array([stage.evaluate(pixel, [*divmod(p, GRID[1]), *GRID])[:3] for p in places], float)

    plain, lit = pixels("photograph"), pixels("both")
    slot = says(root)[0]
    expected = plain * (1 - 0.88 * (1 - slots.weights[0, 0, places, slot]))[:, None]
    assert np.abs(lit - expected).max() < 4
    coloured = pixels("all slots")
    group = slots.weights[0, 0, places].argmax(-1)
    tint = coloured - (1 - 0.72) * plain                # what is laid over, the photograph taken away
    for i, j in itertools.combinations(range(len(places)), 2):
        alike = np.abs(tint[i] - tint[j]).max() < 6
        assert alike == (group[i] == group[j])
    assert 1 < len(set(group)) <= len(places)


def test_the_table_holds_every_slot_and_a_state_has_an_address(page: Page, slots: SlotsCase, slots_url: str) -> None:
    root = open_page(page, f"{slots_url}#try=memory:cup")
    assert says(root)[:3] == (2, 0, 0)
    root.get_by_text("Values as a table").click()
    root.locator("tbody tr").first.wait_for()
    rows = [row.split("\t") for row in root.locator("tbody").inner_text().splitlines()]
    assert [int(row[0]) for row in rows] == list(range(5))
    for slot, (_, taken, places, overlap) in enumerate(rows):
        count, expected = slots.overlap(slot, 1, 1)
        assert int(places) == count
        assert float(overlap) == pytest.approx(expected, abs=0.006)
        assert float(taken) == pytest.approx(slots.weights[1, 1, 0, slot], abs=0.006)
    for wrong in ("slot=5", "query=999", "memory=2", "show=result"):
        page.evaluate("(wrong) => (location.hash = `#try=memory:${wrong}`)", wrong)
        root.get_by_role("alert").filter(has_text=f"The address asks for {wrong.split('=')[0]}").wait_for()
        assert says(root)[:3] == (2, 0, 0)


def test_on_a_phone_a_link_leads_to_the_photograph(browser: Browser, slots_url: str) -> None:
    page = browser.new_page(viewport={"width": 390, "height": 600}, reduced_motion="reduce")
    root = open_page(page, slots_url)
    assert root.bounding_box()["height"] > 600
    page.evaluate("document.body.insertAdjacentHTML('beforeend', '<p style=\"height: 3000px\"></p>')")
    for away in (400, 2500):
        page.evaluate("(y) => { location.hash = ''; scrollTo(0, y); }", away)
        assert root.locator(".ax-stage").bounding_box()["y"] < 0
        page.evaluate("location.hash = '#try=memory:cup'")
        page.wait_for_function("() => scrollY < 200")
        box = root.locator(".ax-stage").bounding_box()
        assert 0 <= box["y"] < box["y"] + box["height"] <= 600
    page.close()


# All ----------------------------------------------------------------------------------------------------------


@pytest.mark.thorough
@pytest.mark.parametrize("theme", ["light", "dark"])
@pytest.mark.parametrize("kind", ["positions", "gates", "slots"])
def test_axe_finds_nothing(page: Page, kind: str, theme: str, urls: dict[str, str]) -> None:
    root = open_page(page, urls[kind])
    page.evaluate(f"document.documentElement.dataset.theme = '{theme}'")
    page.wait_for_function(f"document.querySelector('.attention-explorer').dataset.theme === '{theme}'")
    root.get_by_text("Values as a table").click()
    root.locator("tbody tr").first.wait_for()
    assert violations(page) == []
    assert root.locator("[role=status]").count() == 1
    assert root.get_attribute("data-kind") == kind


@pytest.mark.parametrize("kind", ["positions", "gates", "slots"])
def test_a_phone_shows_it_whole_with_targets_a_finger_can_hit(
    browser: Browser, kind: str, urls: dict[str, str]
) -> None:
    context = browser.new_context(viewport={"width": 390, "height": 844}, has_touch=True, is_mobile=True)
    page = context.new_page()
    root = open_page(page, urls[kind])
    assert page.evaluate("document.documentElement.scrollWidth") <= 390
    targets = root.locator(
        "label:has(input[type=radio]), label.ax-check, button, select, summary, input[type=range]"
    )
    assert targets.count() >= 8
    for i in range(targets.count()):
        box = targets.nth(i).bounding_box()
        assert box["height"] >= 36, targets.nth(i).inner_text()
        assert box["width"] >= 36, targets.nth(i).inner_text()
    context.close()


def test_positions_go_into_a_state_by_its_name_and_by_their_traits(page: Page, write_page: Callable[..., str],
                                                                   positions: PositionsCase) -> None:
    explorer = PositionsExplorer(positions.images, grid=GRID, queries=positions.queries, name="places",
                                 states={"corner": {"query": (1, 2), "temperature": 2.0}}, alt=["A cat", "A cup"])
    url = write_page(explorer)
    root = open_page(page, f"{url}#try=places:corner")
    assert reading(root)[:2] == (1, 2)
    assert root.get_by_role("slider", name="Temperature").get_attribute("aria-valuetext") == "2"
    page.evaluate("location.hash = '#try=places:query=40;show=map'")
    row, column = divmod(40, GRID[1])
    root.get_by_role("status").filter(has_text=f"Query row {row}, column {column}:").wait_for()
    assert root.get_by_role("radio", name="map", exact=True).is_checked()
    assert root.get_by_role("slider", name="Temperature").get_attribute("aria-valuetext") == "2", "it stays"
    for wrong in ("query=99999", "query=1.5", "show=moon", "temperature=-1", "elsewhere"):
        page.evaluate("(wrong) => (location.hash = `#try=places:${wrong}`)", wrong)
        root.get_by_role("alert").filter(has_text=f"The address asks for {wrong.split('=')[0]}").wait_for()
        assert reading(root)[:2] == divmod(40, GRID[1])
    point(root, 7, GRID, click=True)                 # the pointer has set it before the press keeps it
    page.wait_for_function("location.hash.includes('query=7')")


def test_a_read_out_is_announced_once_it_has_settled(page: Page, positions_url: str) -> None:
    root = open_page(page, positions_url)
    region = root.get_by_role("status")
    assert region.get_attribute("aria-live") == "polite"
    point(root, 30, GRID)
    point(root, 31, GRID)
    assert region.get_attribute("aria-busy") == "true"
    page.wait_for_timeout(600)
    assert region.get_attribute("aria-busy") is None


def test_explorers_of_one_page_keep_to_themselves(
    page: Page, write_page: Callable[..., str], positions: PositionsCase, gates: GatesCase
) -> None:
    open_page(page, write_page(positions.explorer, gates.explorer, positions.explorer))
    first, second, third = page.locator(".attention-explorer").all()
    point(first, 100, GRID, click=True)
    assert reading(first)[:2] == divmod(100, 18)
    assert reading(third)[:2] == (3, 5)
    assert answer(second)
    ids = page.evaluate("[...document.querySelectorAll('[id]')].map((n) => n.id)")
    assert len(ids) == len(set(ids))
    assert page.locator("script:not([type])").count() == 1


def test_without_javascript_the_photograph_is_there(browser: Browser, positions_url: str) -> None:
    context: BrowserContext = browser.new_context(java_script_enabled=False)
    page = context.new_page()
    page.goto(positions_url)
    picture = page.get_by_role("img", name="A cat's face")
    assert picture.is_visible()
    assert picture.bounding_box()["width"] == 432
    context.close()


def test_one_explorer_is_small(
    positions: PositionsCase, gates: GatesCase, extension: ModuleType
) -> None:
    for case in (positions, gates, PositionsCase(FINE)):
        html = extension.division(saved(case.explorer)).encode()
        assert len(html) < 700_000
    assert len(extension.module(saved(positions.explorer)).encode()) < 100_000


# The extension ------------------------------------------------------------------------------------------------

CELL = """
import numpy as np
from skimage import data
from attention_lite.explorers import PositionsExplorer
picture = data.coffee()[:200, :300]
PositionsExplorer(picture, grid=(4, 6), queries=picture[25::50, 25::50].reshape(24, 3) / 255, alt="A cup")
"""


@pytest.fixture(scope="module")
def executed(root: Path) -> nbformat.NotebookNode:
    cells = [
        nbformat.v4.new_markdown_cell("# A chapter"),
        nbformat.v4.new_code_cell(CELL),
        nbformat.v4.new_code_cell("_"),
    ]
    notebook = nbformat.v4.new_notebook(cells=cells)
    NotebookClient(notebook, kernel_name="python3", resources={"metadata": {"path": str(root)}}).execute()
    return notebook


def build(notebook: nbformat.NotebookNode, folder: Path) -> tuple[str, str]:
    """Build a book of one chapter as the extension is loaded there; return the page and the warnings."""
    from sphinx.cmd.build import main

    source, html, warnings = folder / "source", folder / "html", folder / "warnings"
    source.mkdir(parents=True)
    nbformat.write(notebook, source / "index.ipynb")
    (source / "conf.py").write_text(
        f"import sys; sys.path.insert(0, {str(EXTENSION.parent)!r})\nextensions = ['myst_nb', 'explorers']\n"
        "nb_execution_mode = 'off'\nnb_ipywidgets_js = {}\nhtml_theme = 'basic'\nsuppress_warnings = ['config.cache']"
    )
    assert main(["-q", "-w", str(warnings), str(source), str(html)]) == 0
    return (html / "index.html").read_text(encoding="utf-8"), warnings.read_text()


def test_a_chapter_s_widget_becomes_an_explorer(
    page: Page, executed: nbformat.NotebookNode, tmp_path: Path
) -> None:
    html, warnings = build(executed, tmp_path)
    assert warnings == ""
    assert html.count('class="attention-explorer"') == 2
    (script,) = re.findall(r'<script defer src="(_static/explorers/module-\w+\.js)"></script>', html)
    assert (tmp_path / "html" / script).exists()
    assert html.count("<style>.attention") + html.count("<style>/*") == 1
    assert "widget-view+json" not in html
    assert "widget-state+json" not in html, "its data stands in the page once"
    root = open_page(page, (tmp_path / "html" / "index.html").as_uri())
    point(root, 9, (4, 6))
    picture = data.coffee()[:200, :300]
    q = picture[25::50, 25::50].reshape(24, 3) / 255
    w = np.exp(q @ q[9] / np.sqrt(3))
    assert agrees(reading(root)[2], (w / w.sum()).max())


def test_a_widget_without_state_is_a_warning(executed: nbformat.NotebookNode, tmp_path: Path) -> None:
    bare = executed.copy()
    bare.metadata = nbformat.from_dict({k: v for k, v in executed.metadata.items() if k != "widgets"})
    html, warnings = build(bare, tmp_path)
    assert "a widget without a saved explorer's state cannot work in a static page" in warnings
    assert "attention-explorer" not in html


# The book's own pages -----------------------------------------------------------------------------------------

# The closing chapter shows tables: its blocks have their explorers in their own chapters.
CHAPTERS = sorted(
    path.stem
    for path in (EXTENSION.parents[1] / "chapters").glob("[0-9][0-9]-*.ipynb")
    if not path.stem.startswith("11")
)


class Embedded:
    """An explorer's arrays, read back from a built page without the module."""

    def __init__(self, root: Locator, source: str) -> None:
        self.state = json.loads(source)
        self.spec, self.root = self.state["spec"], root
        self.content = base64.b64decode(self.state["data"])

    def array(self, name: str) -> np.ndarray:
        entry = self.spec["arrays"][name]
        if "deflated" in entry:
            packed = self.content[entry["offset"] : entry["offset"] + entry["deflated"]]
            return np.frombuffer(zlib.decompress(packed), np.uint8).reshape(entry["shape"])
        array = np.frombuffer(self.content, entry["dtype"], int(np.prod(entry["shape"])), entry["offset"])
        array = array.reshape(entry["shape"]).astype(float)
        return (
            np.where(array > 0, ((array - 1) / 65534 - 1) * entry["span"], -np.inf)
            if "span" in entry
            else array
        )

    def weights(self, place: int) -> np.ndarray:
        image, head = self.state["image"], self.state["head"]
        if "scores" in self.spec["arrays"]:
            scores = self.array("scores")[image, head, place]
        else:
            q, k = self.array("queries")[image, head, place], self.array("keys")[image, head]
            scores = {
                "dot": lambda: k @ q,
                "scaled dot": lambda: k @ q / np.sqrt(len(q)),
                "cosine": lambda: k @ q / np.linalg.norm(k, axis=-1) / np.linalg.norm(q),
                "distance": lambda: -((k - q) ** 2).sum(-1),
            }[self.state["similarity"]]()
        e = np.exp((scores - scores.max()) / self.state["temperature"])
        return e / e.sum()

    def part(self, name: str) -> bytes:
        """What the page loads when it is asked for, from the script that holds it."""
        script = self.spec["scripts"][name]
        address = urlsplit(self.root.page.evaluate("(script) => new URL(script, location).href", script)).path
        return base64.b64decode(re.search(r'="(.*)"', Path(address).read_text(encoding="ascii"))[1])

    def drive(self) -> None:
        getattr(self, f"drive_{self.state['kind'].replace('-', '_')}")()

    def drive_positions(self) -> None:
        grid = tuple(self.spec["grid"])
        for place in np.linspace(0, grid[0] * grid[1] - 1, 5).astype(int):
            point(self.root, int(place), grid)
            row, column, weight = reading(self.root)
            assert (row, column) == divmod(int(place), grid[1])
            assert agrees(weight, self.weights(int(place)).max())

    def drive_gates(self) -> None:
        spec, image = self.spec, self.state["image"]
        if "answers" in spec["arrays"]:
            answers = self.array("answers")[image]
            for variant, name in enumerate(spec["variantNames"]):
                if len(answers) > 1:
                    choose(self.root, spec["variantLabel"], name)
                for force, forced_name in enumerate(["the net's own", *spec["forcedNames"]]):
                    if spec["forcedNames"]:
                        choose(self.root, "Gates in place", forced_name)
                    assert answer(self.root) == spec["classNames"][int(answers[variant, force].argmax())]
            if spec["forcedNames"]:
                choose(self.root, "Gates in place", "the net's own")
        bars = self.root.get_by_role("slider", name="Channel")
        bars.press("End")
        channel, gate = re.search(r"Channel (\d+): gate ([\d.e-]+?)\.? ", status(self.root) + " ").groups()
        assert agrees(gate, self.array("gates")[image, len(spec["variantNames"]) - 1, int(channel)])

    def drive_forced_gates(self) -> None:
        spec, image = self.spec, self.state["image"]
        sources, (height, width) = spec["sources"], spec["grid"]
        content = zlib.decompress(self.part(spec["parts"][f"answers {image}"]))
        gates = sources * sum(spec["blockSizes"])                           # which come first
        maps = np.frombuffer(content, np.uint8, sources * height * width, gates).reshape(sources, height, width)
        text = maps > 255 * spec["threshold"]
        names = [*spec["imageNames"], *spec["sourceNames"]]
        for source in set(range(len(names))) - {image}:
            either = (text[source] | text[image]).sum()
            if either:
                if source < len(spec["imageNames"]):
                    choose(self.root, "Whose gates it gets", names[source])
                else:
                    self.root.get_by_label("Or gates that were made").select_option(names[source])
                overlap = (text[source] & text[image]).sum() / either
                expect(self.root.get_by_role("status")).to_contain_text(f"IoU with its own map: {overlap:.2f}.")

    def drive_live(self) -> None:
        # What it answers is compared with torch in test_live_explorer and test_live_views.
        expect(self.root.get_by_role("status")).to_contain_text("The network ")

    def drive_slots(self) -> None:
        weights = self.array("weights") / 255
        for place in np.linspace(0, weights.shape[2] - 1, 5).astype(int):
            point(self.root, int(place), tuple(self.spec["grid"]))
            taken = weights[self.state["image"], self.state["memory"], place]
            expect(self.root.get_by_role("status")).to_contain_text(f"Slot {taken.argmax()}: ")
            said = re.search(r"takes (\S+) from it", status(self.root))[1]
            assert float(said) == pytest.approx(taken.max(), abs=0.006)

    def drive_transformer(self) -> None:
        spec, image = self.spec, self.state["image"]
        content = self.part(spec["parts"][self.state["network"]][image])
        shape = (spec["layers"], spec["heads"], self.spec["grid"][0] ** 2 + 1, spec["width"])
        size = int(np.prod(shape))
        q, k = np.frombuffer(content, np.int8, 2 * size).reshape(2, *shape).astype(float)
        at = 2 * size + shape[2] * spec["featureWidth"]
        scale = np.frombuffer(content[at:], "<f4", shape[0] * shape[1] * shape[3]).reshape(shape[0], shape[1], 1, -1)
        layer, head, token = self.state["layer"], self.state["head"], self.state["query"] + 1
        scores = k[layer, head] @ (q * scale)[layer, head, token]
        weights = np.exp(scores - scores.max())
        expect(self.root.get_by_role("status")).to_contain_text(f"Layer {layer}, head {head}, from ")
        said = re.search(r"strongest weight (\S+)", status(self.root))[1]
        assert agrees(said, (weights / weights.sum())[1:].max())


@pytest.mark.thorough
@pytest.mark.parametrize("chapter", CHAPTERS)
def test_the_explorers_of_a_chapter_read_what_their_data_say(
    page: Page, book_html: Path, chapter: str
) -> None:
    path = book_html / "book" / "chapters" / f"{chapter}.html"
    sources = re.findall(
        r'<div class="attention-explorer"[^>]*>.*?<script type="application/json">(.*?)</script>',
        path.read_text(encoding="utf-8"),
        re.DOTALL,
    )
    assert sources, "every chapter shows its result in an explorer"
    open_page(page, path.as_uri())
    roots = page.locator(".attention-explorer").all()
    assert len(roots) == len(sources)
    for root, source in zip(roots, sources, strict=True):
        Embedded(root, source).drive()
        assert milliseconds(root) < 16
