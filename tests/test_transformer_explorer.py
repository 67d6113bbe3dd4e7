"""The transformer's explorer: what Python refuses, and the static page, from disk, against the network's own maps."""

from __future__ import annotations

import base64
import importlib.util
import json
import re
from collections.abc import Callable, Iterator
from pathlib import Path
from types import ModuleType, SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch
from matplotlib import colormaps
from PIL import Image
from playwright.sync_api import Browser, BrowserContext, Locator, Page

from attention_lite.explorers import TransformerExplorer
from attention_lite.lab import patches, pretrained, seen, truth, truth_results
from conftest import Watch, canvas_pixels, violations

ROOT = Path(__file__).resolve().parent.parent
NAMES = ("chelsea", "coffee")
EYE = 6 * 16 + 5


@pytest.fixture(scope="module")
def extension() -> ModuleType:
    spec = importlib.util.spec_from_file_location("explorers_extension", ROOT / "book" / "_ext" / "explorers.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.fixture(scope="module")
def networks() -> dict[str, list[seen.Seen]]:
    return seen.both_on(NAMES)


@pytest.fixture(scope="module")
def maps() -> dict[str, np.ndarray]:
    """(12, 6, 257, 257) for each photograph: what torch says."""
    net = pretrained.vision_transformer()
    return {name: truth.network_maps(net, name).numpy() for name in NAMES}


# Python -------------------------------------------------------------------------------------------------------


def small(**changes: Any) -> SimpleNamespace:
    """A photograph as a transformer of 2 layers, 3 heads, 4 × 4 patches saw it."""
    random = np.random.default_rng(0)
    one = {"name": "noise", "alt": "Coloured noise", "image": random.integers(0, 256, (40, 40, 3), np.uint8),
           "queries": random.normal(size=(2, 3, 17, 5)), "keys": random.normal(size=(2, 3, 17, 5)),
           "features": random.normal(size=(17, 7)), "described": random.normal(size=(16, 8)), "pairs": [],
           "regions": {"left": [[0, 0], [0.5, 0], [0.5, 1], [0, 1]]},
           "covers": np.tile([1.0, 1, 0, 0], 4)[None]}
    return SimpleNamespace(**one | changes)


def make(*, networks: Any = None, **arguments: Any) -> TransformerExplorer:
    """An explorer of one network that saw one small photograph, changed in `one` or given otherwise."""
    one = arguments.pop("one", {})
    return TransformerExplorer({"a": [small(**one)]} if networks is None else networks, **arguments)


WRONG = {
    "no network": ({"networks": {}}, "networks must be {name: [photograph, …]}"),
    "a list": ({"networks": [small()]}, "networks must be {name: [photograph, …]}"),
    "no photograph": ({"networks": {"a": []}}, "one of each at least"),
    "other counts": ({"networks": {"a": [small()], "b": [small(), small()]}}, "same photographs, got {'a': 1, 'b': 2}"),
    "not square": ({"one": {"image": np.zeros((40, 48, 3), np.uint8)}},
                   "image must be square, 4 pixels at least, got 40 × 48"),
    "16 tokens": ({"one": {"queries": np.zeros((2, 3, 16, 5))}}, "class token and a square of patches, got 16 tokens"),
    "other keys": ({"one": {"keys": np.zeros((2, 3, 17, 4))}}, "keys must have shape (2, 3, 17, 5), got (2, 3, 17, 4)"),
    "not finite": ({"one": {"features": np.full((17, 7), np.nan)}}, "features must be finite"),
    "covers": ({"one": {"covers": np.zeros((2, 16))}}, "covers must have shape (1, 16), got (2, 16)"),
    "query": ({"query": 16}, "query must be an integer in -1 … 15, got 16"),
    "layer": ({"layer": 2}, "layer must be an integer in 0 … 1, got 2"),
    "head": ({"head": -1}, "head must be an integer in 0 … 2, got -1"),
    "network": ({"network": "b"}, "network must be one of ['a', 'likeness of colour'], got 'b'"),
    "limit": ({"limit": 0}, "limit must be a positive number, got 0"),
    "temperature": ({"temperature": -1}, "temperature must be a positive number, got -1"),
    "described": ({"one": {"described": np.zeros((9, 8))}}, "described must have shape (16, c), got (9, 8)"),
}


@pytest.mark.parametrize(("arguments", "words"), WRONG.values(), ids=WRONG)
def test_bad_input_is_named(arguments: dict[str, Any], words: str) -> None:
    with pytest.raises(ValueError, match=re.escape(words)):
        make(**arguments)


def test_see_says_what_it_needs() -> None:
    with pytest.raises(ValueError, match=re.escape("see needs an explorer made with look=")):
        make().see("cat.jpg")
    with pytest.raises(ValueError, match="look must give a, got b"):
        make(look=lambda _: {"b": small()}).see("cat.jpg")


def test_a_trait_is_checked_when_it_is_set() -> None:
    explorer = TransformerExplorer({"a": [small(), small()]}, query=(1, 2))
    assert explorer.query == 6
    explorer.query = -1
    for name, value in (("query", -2), ("layer", 9), ("other", 2), ("network", "b")):
        with pytest.raises(ValueError, match=f"{name} must be"):
            setattr(explorer, name, value)


def test_a_photograph_of_the_readers_own_is_added_and_shown() -> None:
    explorer = TransformerExplorer({"a": [small()], "b": [small()]}, look=lambda given: {
        "a": small(name=given), "b": small()})
    explorer.see("garden")
    assert explorer.image == 1
    assert explorer.spec["imageNames"] == ["noise", "garden"]
    assert set(explorer.maps) == {"a 0", "a 1", "b 0", "b 1"}


def test_a_file_that_the_reader_chose_is_shown_or_refused_in_words(tmp_path: Path) -> None:
    def look(path: Path) -> dict[str, SimpleNamespace]:
        if path.read_bytes() == b"no picture":
            raise ValueError("photograph must be a whole picture")
        return {"a": small(name=Image.open(path).format)}

    explorer = make(look=look)
    Image.fromarray(small().image).save(tmp_path / "x.png")
    explorer.own = (tmp_path / "x.png").read_bytes()
    assert explorer.spec["imageNames"] == ["noise", "PNG"]
    explorer.own = b"no picture"
    assert explorer.refused == "photograph must be a whole picture"
    explorer.own = (tmp_path / "x.png").read_bytes()
    assert explorer.refused == ""


# The lab ------------------------------------------------------------------------------------------------------


def test_queries_and_keys_give_the_networks_own_maps(
    networks: dict[str, list[seen.Seen]], maps: dict[str, np.ndarray]
) -> None:
    for one, name in zip(networks["trained"], NAMES, strict=True):
        weights = torch.softmax(one.queries @ one.keys.transpose(2, 3) / 8, -1).numpy()
        assert np.abs(weights - maps[name]).max() < 1e-6


def test_an_own_photograph_is_seen_as_the_book_would(networks: dict[str, list[seen.Seen]], tmp_path: Path) -> None:
    file = tmp_path / "cat.png"
    Image.fromarray((patches.window("chelsea", (300, 300)).numpy() * 255).round().astype(np.uint8)).save(file)
    own = seen.see(pretrained.vision_transformer(), file)
    assert own.name == "your own"
    assert own.image.shape == (300, 300, 3)
    assert (own.queries - networks["trained"][0].queries).abs().mean() < 0.05


def test_the_head_shown_was_named_without_this_photograph() -> None:
    choice = {row["chosen_on"]: row for row in truth_results.load()["choice"]}
    row = next(row for row in choice.values() if "chelsea" not in row["photographs"])
    assert seen.named_head("chelsea") == {"layer": row["layer"], "head": row["head"]}
    with pytest.raises(ValueError, match="photograph must be one of astronaut"):
        seen.named_head("brick")


def test_the_front_page_opens_on_the_clearest_question() -> None:
    """By the rule that it states; half of the patch's weight lies on the other badge, by colour hardly any."""
    row = truth_results.clearest(truth_results.load())[0]
    assert (row["photograph"], row["query"], row["partner"]) == ("astronaut", ["name badge"], ["round badge"])
    maps = truth.network_maps(pretrained.vision_transformer(), "astronaut")
    head, patch = seen.named_head("astronaut"), seen.patch_of("astronaut", "name badge")
    badge = seen.regions.covered("astronaut", ["round badge"], 16).flatten()
    assert 0.48 < (maps[head["layer"], head["head"], 1 + patch, 1:] * badge).sum() < 0.53


def test_the_cats_eyes_find_one_another(maps: dict[str, np.ndarray]) -> None:
    """The patch in the middle of the left eye, in the head that is shown: most of its weight lies on the two eyes."""
    head = seen.named_head("chelsea")
    row = maps["chelsea"][head["layer"], head["head"], 1 + EYE, 1:]
    assert seen.patch_of("chelsea", "left eye") == EYE
    on = {name: (seen.regions.covered("chelsea", [name], 16).flatten().numpy() * row).sum()
          for name in ("left eye", "right eye")}
    assert min(on.values()) > 0.3
    assert sum(on.values()) > 0.7


# The page -----------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def site(extension: ModuleType, networks: dict[str, list[seen.Seen]], tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A page on disk, with its scripts beside it, as the book has them."""
    folder = tmp_path_factory.mktemp("site")
    explorer = TransformerExplorer(networks, query=EYE, **seen.named_head("chelsea"), states=seen.states(NAMES),
                                   temperature=seen.temperature())
    widget = extension.saved(explorer)
    scripts = folder / "_static" / "explorers"
    scripts.mkdir(parents=True)
    for file, text in extension.scripts(widget).items():
        (scripts / file).write_text(text, encoding="ascii")
    (folder / "page.html").write_text(
        "<!doctype html><html lang='en'><head><meta charset='utf-8'><title>Explorer</title>"
        "<meta name='viewport' content='width=device-width'><style>body { margin: 8px auto; max-width: 736px } "
        "html[data-theme=dark] body { background: #12161b; color: #e0e4ea } html[data-theme=dark] a { color: #8cc5ec }"
        "</style></head><body><main><h1>Explorer</h1>"
        "<p>Ask <a class='ax-try' href='#try=transformer:cup-rim-left'>the rim</a>, by "
        "<a class='ax-try' href='#try=transformer:colour'>colour</a>.</p>"
        + extension.style(widget) + extension.division(widget) + f"</main><script>{extension.module(widget)}</script>"
        + "</body></html>",
        encoding="utf-8",
    )
    return folder


@pytest.fixture
def page(context: BrowserContext, watch: Watch) -> Iterator[Page]:
    """A page that may ask no other host for anything, and meet no error."""
    yield context.new_page()
    assert watch.foreign == []
    assert watch.errors == []


def open_page(page: Page, site: Path) -> Locator:
    """Open the page, wait for the first photograph's maps, and return the explorer."""
    page.goto((site / "page.html").as_uri())
    root = page.locator(".attention-explorer")
    root.get_by_role("status").filter(has_text="strongest weight").wait_for()
    return root


def status(root: Locator) -> str:
    root.page.evaluate("() => new Promise(requestAnimationFrame)")
    return re.sub(r"\s+", " ", root.get_by_role("status").inner_text())


def colours(root: Locator, selector: str) -> Callable[[float, float], np.ndarray]:
    """The colour of a canvas at (x, y) in CSS pixels, as it is now."""
    canvas = root.locator(selector)
    pixels = canvas_pixels(canvas).astype(float)
    ratio = pixels.shape[1] / canvas.evaluate("canvas => canvas.clientWidth")
    return lambda x, y: pixels[int(y * ratio), int(x * ratio)]


def point(root: Locator, patch: int, *, click: bool = False) -> None:
    stage = root.locator(".ax-stage")
    x, y = ((v + 0.5) / 16 * stage.bounding_box()["width"] for v in (patch % 16, patch // 16))
    (stage.click if click else stage.hover)(position={"x": x, "y": y})


def table(root: Locator) -> list[list[str]]:
    root.page.wait_for_timeout(250)      # it is filled a moment after the last change
    return [row.split("\t") for row in root.locator("tbody").inner_text().splitlines()]


# As the module is in the page, its classes are out of reach: this runs the same code by the class's own methods.
EVERY_MAP = """async ([module, address, spec]) => {
    const code = new Blob([module + '\\nexport { Transformer };'], { type: 'text/javascript' });
    const { Transformer } = await import(URL.createObjectURL(code));
    const script = Object.assign(document.createElement('script'), { src: address });
    await new Promise((done) => { script.onload = done; document.head.append(script); });
    const text = globalThis.attentionMaps[address.split('/').pop()];
    const it = Object.create(Transformer.prototype);
    Object.assign(it, spec, { spec, tokens: 257, weights: new Float32Array(72 * 257) });
    const part = it.unpack(Uint8Array.from(atob(text), (c) => c.charCodeAt(0)));
    const rows = [];
    for (let token = 0; token < 257; token += 8) { it.attend(part, token); rows.push(...it.weights); }
    return btoa(Array.from(new Uint8Array(new Float32Array(rows).buffer), (b) => String.fromCharCode(b)).join(''));
}"""


def test_all_maps_in_the_page_are_torchs(page: Page, site: Path, maps: dict[str, np.ndarray]) -> None:
    """Total variation between the page's rows, from 8 bits, and torch's: at most .01 in the mean, .03 for any head."""
    open_page(page, site)
    html = (site / "page.html").read_text(encoding="utf-8")
    spec = json.loads(re.search(r'"application/json">(.*?)</script>', html)[1])["spec"]
    for part, name in zip(spec["parts"]["trained"], NAMES, strict=True):
        content = page.evaluate(EVERY_MAP, [TransformerExplorer._esm, spec["scripts"][part], spec])
        rows = np.frombuffer(base64.b64decode(content), np.float32).reshape(-1, 12, 6, 257)
        variation = np.abs(rows.transpose(1, 2, 0, 3) - maps[name][:, :, ::8]).sum(-1).mean(-1) / 2
        print(f"{name}: mean {variation.mean():.4f}, worst head {variation.max():.4f}")
        assert np.abs(rows.sum(-1) - 1).max() < 1e-5
        assert variation.mean() < 0.01
        assert variation.max() < 0.03


def test_pointing_reads_torchs_weights(page: Page, site: Path, maps: dict[str, np.ndarray]) -> None:
    root = open_page(page, site)
    for patch in (EYE, 20, 200):
        point(root, patch)
        row = maps["chelsea"][8, 3, 1 + patch, 1:]
        text = status(root)
        assert f"row {patch // 16}, column {patch % 16}" in text.split(":")[0]
        weight, r, c = re.search(r"strongest weight (\S+) at .*?row (\d+), column (\d+)", text).groups()
        assert abs(float(weight) - row.max()) < 0.06 * row.max()
        assert row[16 * int(r) + int(c)] > 0.9 * row.max()
    point(root, EYE, click=True)
    page.mouse.move(2, 2)
    said = float(re.search(r"Of its weight:.*?right eye (\d\.\d+)", status(root))[1])
    row = torch.from_numpy(maps["chelsea"][8, 3, 1 + EYE, 1:])
    assert abs(said - (seen.regions.covered("chelsea", ["right eye"], 16).flatten() * row).sum().item()) < 0.02


def test_the_class_token_asks_too(page: Page, site: Path, maps: dict[str, np.ndarray]) -> None:
    root = open_page(page, site)
    button = root.get_by_role("button", name="class token")
    button.click()
    assert "from the class token" in status(root)
    assert button.get_attribute("aria-pressed") == "true"
    row = maps["chelsea"][8, 3, 0]
    weight, own = re.search(r"strongest weight (\S+) at .*class token (\d\.\d+)", status(root)).groups()
    assert abs(float(weight) - row[1:].max()) < 0.05 * row[1:].max()
    assert abs(float(own) - row[0]) < 0.02
    root.locator(".ax-stage").press("c")
    assert "from left eye (row 6, column 5)" in status(root)


def test_small_maps_are_upright_on_one_fixed_scale_and_choose(
    page: Page, site: Path, maps: dict[str, np.ndarray]
) -> None:
    root = open_page(page, site)
    width = root.locator(".ax-maps").evaluate("(canvas) => canvas.clientWidth")
    cell = (width - 18) / 12                                              # layers run across
    at = colours(root, ".ax-maps")
    for layer, head in ((0, 3), (5, 1), (8, 3), (11, 5)):
        row = maps["chelsea"][layer, head, 1 + EYE, 1:]
        for patch in (int(row.argmax()), 3, 250):
            x = 18 + cell * (layer + (patch % 16 + 0.5) / 17)
            y = 18 + cell * (head + (patch // 16 + 0.5) / 17)
            low, high = (np.array(colormaps["magma"](min(1.0, row[patch] * f / 0.05))[:3]) * 255 for f in (0.85, 1.15))
            got = at(x, y)
            assert (got >= np.minimum(low, high) - 12).all(), (layer, head, patch)
            assert (got <= np.maximum(low, high) + 12).all(), (layer, head, patch)
    root.locator(".ax-maps").scroll_into_view_if_needed()
    box = root.locator(".ax-maps").bounding_box()
    page.mouse.click(box["x"] + 18 + 10.5 * cell, box["y"] + 18 + 2.5 * cell)
    page.mouse.move(2, 2)
    assert status(root).startswith("Layer 10, head 2, from left eye")
    assert "≥ 0.05" in root.locator(".ax-ticks").inner_text()


def test_the_photograph_stays_in_view_and_light_is_the_weight(
    page: Page, site: Path, maps: dict[str, np.ndarray]
) -> None:
    root = open_page(page, site)
    side = root.locator(".ax-stage").evaluate("(canvas) => canvas.clientWidth")
    point(root, 167, click=True)                     # it belongs to no pair: no outline lies over the light
    row = maps["chelsea"][8, 3, 1 + 167, 1:]
    shown = Image.fromarray(seen.see(pretrained.vision_transformer(), "chelsea").image)
    picture = np.asarray(shown.resize((side, side)), float)
    muted = (picture + picture @ [[0.2126], [0.7152], [0.0722]]) / 2
    between = np.flatnonzero((row > 0.1 * 0.05) & (row < 0.7 * 0.05))
    assert len(between) > 4
    at = colours(root, ".ax-stage")
    for patch in (*between, 40, 12 * 16 + 8, int(row.argmax())):
        x, y = ((v + 0.5) / 16 * side for v in (patch % 16, patch // 16))
        near = muted[int(y) - 3:int(y) + 4, int(x) - 3:int(x) + 4].mean((0, 1))
        got = np.mean([at(x + dx, y + dy) for dx in (-3, -1, 1, 3) for dy in (-3, -1, 1, 3)], 0)
        light = 0.8 * min(1, row[patch] / 0.05)
        assert np.abs(got - ((1 - light) * 0.72 * near + light * np.array([255, 214, 64]))).max() < 16, patch


def test_a_dark_pupil_that_is_read_is_bright(page: Page, site: Path, maps: dict[str, np.ndarray]) -> None:
    """At full weight it is brighter than anything pale without weight."""
    root = open_page(page, site)
    side = root.locator(".ax-stage").evaluate("(canvas) => canvas.clientWidth")
    row = maps["chelsea"][8, 3, 1 + EYE, 1:]
    lit = next(int(patch) for patch in row.argsort()[::-1] if patch != EYE)
    assert row[lit] > 0.05
    x, y = ((v + 0.5) / 16 * side for v in (lit % 16, lit // 16))
    assert min(colours(root, ".ax-stage")(x, y)[:2]) > 160


def test_a_pairs_share_is_the_chapters(page: Page, site: Path, maps: dict[str, np.ndarray]) -> None:
    """By the network and by colour: this patch's share, and the mean of all that ask, of which the lift is made."""
    root = open_page(page, site)
    question = next(q for q in truth.QUESTIONS if q.query == ("left eye",))
    cover = truth.target(question)
    by = {"trained": torch.from_numpy(maps["chelsea"][8, 3, 1:, 1:]), "likeness of colour": truth.likeness_maps(
        "chelsea")[truth.TEMPERATURES.index(seen.temperature())]}
    for name, weights in by.items():
        root.get_by_role("radio", name=name, exact=True).check()
        here, patches_asking, mean = re.search(
            r"Among other patches: right eye (\d\.\d+); from all (\d+) of left eye (\d\.\d+)\.", status(root)).groups()
        shares = truth.to_others(weights, truth.queries(question)) @ cover
        assert int(patches_asking) == len(shares)
        assert abs(float(mean) - shares.mean().item()) < 0.02
        assert abs(float(here) - (truth.to_others(weights, torch.tensor([EYE])) @ cover).item()) < 0.02
    point(root, 250, click=True)
    assert "Among other" not in status(root)


def test_the_panel_stands_still_when_its_words_change(page: Page, site: Path) -> None:
    root = open_page(page, site)
    heights = set()
    for name in ("trained", "untrained", "likeness of colour"):
        root.get_by_role("radio", name=name, exact=True).check()
        for patch in (EYE, 0, 250, 125):
            point(root, patch, click=True)
            status(root)
            heights.add(root.locator(".ax-status").bounding_box()["height"])
    assert len(heights) == 1


def test_everything_is_reached_by_keys(page: Page, site: Path) -> None:
    root = open_page(page, site)
    root.locator(".ax-stage").press("ArrowRight")
    assert "row 6, column 6" in status(root)
    root.locator(".ax-stage").press("Shift+ArrowDown")
    assert "row 11, column 6" in status(root)
    root.locator(".ax-maps").press("ArrowLeft")
    assert status(root).startswith("Layer 7, head 3")
    root.locator(".ax-maps").press("ArrowDown")
    assert status(root).startswith("Layer 7, head 4")
    assert "Now layer 7, head 4" in root.locator(".ax-maps").get_attribute("aria-label")
    root.locator(".ax-stage").focus()
    reached = []
    for _ in range(9):
        page.keyboard.press("Tab")
        reached.append(page.evaluate("() => document.activeElement.className || document.activeElement.tagName"))
    assert {"ax-maps", "BUTTON", "INPUT", "SELECT"} <= set(reached)


def test_a_finger_moves_the_query(browser: Browser, site: Path) -> None:
    context = browser.new_context(viewport={"width": 390, "height": 844}, has_touch=True, is_mobile=True)
    page = context.new_page()
    root = open_page(page, site)
    box = root.locator(".ax-stage").bounding_box()
    page.touchscreen.tap(box["x"] + box["width"] * 12.5 / 16, box["y"] + box["height"] * 3.5 / 16)
    assert "row 3, column 12" in status(root)
    maps_box = root.locator(".ax-maps").bounding_box()
    cell = (maps_box["width"] - 18) / 12
    page.touchscreen.tap(maps_box["x"] + 18 + 4.5 * cell, maps_box["y"] + 18 + 1.5 * cell)
    assert status(root).startswith("Layer 4, head 1")
    assert page.evaluate("() => document.documentElement.scrollWidth") == 390
    assert maps_box["y"] + maps_box["height"] < 844, "picture and small maps stand on one screen"
    context.close()


def test_photographs_load_when_they_are_asked_for(
    page: Page, site: Path, maps: dict[str, np.ndarray]
) -> None:
    asked: list[str] = []
    page.on("request", lambda request: asked.append(request.url) if "_static/explorers" in request.url else None)
    root = open_page(page, site)
    assert len(asked) == 1
    root.get_by_role("radio", name="cup").check()
    root.get_by_role("status").filter(has_text="strongest weight", has_not_text="left eye").wait_for()
    assert len(asked) == 2
    row = maps["coffee"][8, 3, 1 + EYE, 1:]
    assert abs(float(re.search(r"strongest weight (\S+)", status(root))[1]) - row.max()) < 0.06 * row.max()
    root.get_by_role("radio", name="cat").check()
    assert "left eye" in status(root)
    assert len(asked) == 2
    assert page.evaluate("() => Object.keys(globalThis.attentionMaps).length") == 0


def test_the_page_is_light_before_the_maps(extension: ModuleType, site: Path) -> None:
    """Its module holds no other kind that has a file of its own."""
    html = (site / "page.html").read_text(encoding="utf-8")
    assert len(html.encode()) < 400_000
    assert "class Transformer" in html
    assert "class ForcedGates" not in html


def test_controls_are_one_click_away(
    page: Page, site: Path, networks: dict[str, list[seen.Seen]]
) -> None:
    root = open_page(page, site)
    root.get_by_role("radio", name="untrained").check()
    root.get_by_role("status").filter(has_text="untrained").wait_for()
    fresh = networks["untrained"][0]
    row = torch.softmax(fresh.queries[8, 3, 1 + EYE] @ fresh.keys[8, 3].T / 8, -1)[1:]
    assert abs(float(re.search(r"strongest weight (\S+)", status(root))[1]) - row.max()) < 0.06 * row.max()
    root.get_by_role("radio", name="likeness of colour").check()
    scores = np.exp(-((fresh.described - fresh.described[EYE]) ** 2).sum(1).numpy() / seen.temperature())
    scores[EYE] = 0
    root.get_by_text("Values as a table").click()
    shown = table(root)
    assert status(root).startswith("Likeness of colour (τ = 1), from left eye")
    for r, c, weight, *_ in shown:
        assert abs(float(weight) - (scores / scores.sum())[16 * int(r) + int(c)]) < 2e-3 * float(weight) + 1e-4


def test_nearest_tokens_in_a_second_photograph(
    page: Page, site: Path, networks: dict[str, list[seen.Seen]]
) -> None:
    root = open_page(page, site)
    root.get_by_label("Nearest tokens in").select_option(label="cup")
    root.get_by_text("the token most like it").wait_for()
    ours, theirs = (torch.nn.functional.normalize(one.features, dim=-1) for one in networks["trained"])
    for patch in (EYE, 30, 140, 250):
        point(root, patch, click=True)
        status(root)
        said = root.locator(".ax-other").inner_text()
        r, c, cosine = re.search(r"row (\d+), column (\d+)\)?: cosine (\S+)\.", said).groups()
        cosines = theirs[1:] @ ours[1 + patch]
        assert abs(float(cosine) - cosines.max()) < 0.01
        assert cosines[16 * int(r) + int(c)] > cosines.max() - 0.005


def test_regions_are_outlined_on_request(page: Page, site: Path) -> None:
    root = open_page(page, site)
    before = root.locator(".ax-stage").evaluate("(canvas) => canvas.toDataURL()")
    root.get_by_role("checkbox").check()
    page.evaluate("() => new Promise(requestAnimationFrame)")
    assert root.locator(".ax-stage").evaluate("(canvas) => canvas.toDataURL()") != before


def test_a_missing_script_is_said(page: Page, watch: Watch, site: Path, tmp_path: Path) -> None:
    (tmp_path / "page.html").write_text((site / "page.html").read_text(encoding="utf-8"), encoding="utf-8")
    page.goto((tmp_path / "page.html").as_uri())
    page.get_by_text("The maps of this photograph are missing.").wait_for()
    assert watch.errors == ["console: Failed to load resource: net::ERR_FILE_NOT_FOUND"]
    watch.errors.clear()


def test_a_pointer_move_is_answered_within_a_frame(page: Page, site: Path) -> None:
    """All 72 maps, computed and painted, in the pointer's own event: the median of 60 moves."""
    root = open_page(page, site)
    times = root.locator(".ax-stage").evaluate("""(stage) => {
        const box = stage.getBoundingClientRect();
        return Array.from({ length: 60 }, (_, i) => {
            const [x, y] = [7 * i, 5 * i].map((v) => ((v % 16) + 0.5) / 16 * box.width);
            const at = { clientX: box.left + x, clientY: box.top + y };
            const before = performance.now();
            stage.dispatchEvent(new PointerEvent('pointermove', { ...at, pointerType: 'mouse' }));
            return performance.now() - before;
        });
    }""")
    print(f"a move: median {np.median(times):.1f} ms, fastest {min(times):.1f} ms")
    assert min(times) < 16


@pytest.mark.thorough
@pytest.mark.parametrize("width", [1280, 390])
@pytest.mark.parametrize("theme", ["light", "dark"])
def test_axe_finds_no_violation(page: Page, site: Path, width: int, theme: str) -> None:
    page.set_viewport_size({"width": width, "height": 844})
    root = open_page(page, site)
    page.evaluate("(theme) => (document.documentElement.dataset.theme = theme)", theme)
    root.get_by_label("Nearest tokens in").select_option(label="cup")
    root.get_by_text("Values as a table").click()
    root.get_by_text("the token most like it").wait_for()
    page.wait_for_timeout(300)
    assert violations(page) == []
    assert page.evaluate("() => document.documentElement.scrollWidth") <= width


# The address --------------------------------------------------------------------------------------------------


def hash_of(page: Page) -> str:
    page.wait_for_timeout(450)           # written a moment after the last change
    return page.evaluate("() => location.hash")


def test_a_link_puts_the_explorer_into_a_state_that_has_a_name(page: Page, site: Path) -> None:
    root = open_page(page, site)
    assert root.get_attribute("data-name") == "transformer"
    page.get_by_role("link", name="the rim").click()
    root.get_by_role("status").filter(has_text="Layer 8, head 3, from rim, left").wait_for()
    page.get_by_role("link", name="colour").click()
    assert status(root).startswith("Likeness of colour (τ = 1), from rim, left"), "what a state does not name stays"
    point(root, 20, click=True)
    page.get_by_role("link", name="the rim").click()
    root.get_by_role("status").filter(has_text="Layer 8, head 3, from rim, left").wait_for()


def test_a_link_works_again_after_a_change(page: Page, site: Path) -> None:
    root = open_page(page, site)
    page.get_by_role("link", name="colour").click()
    root.get_by_role("radio", name="untrained").check()
    page.get_by_role("link", name="colour").click()
    assert status(root).startswith("Likeness of colour")


def test_what_the_reader_does_stands_in_the_address_and_comes_back(page: Page, site: Path) -> None:
    root = open_page(page, site)
    assert hash_of(page) == ""
    point(root, 20)
    assert hash_of(page) == "", "a pointer that hovers looks; nothing is kept"
    point(root, 20, click=True)
    root.locator(".ax-maps").press("ArrowDown")
    root.get_by_role("radio", name="untrained").check()
    address = hash_of(page)
    assert address == "#try=transformer:query=20;head=4;network=untrained"
    page.goto("about:blank")
    page.goto((site / "page.html").as_uri() + address)
    root.get_by_role("status").filter(has_text="strongest weight").wait_for()
    assert status(root).startswith("Layer 8, head 4, untrained, from ")
    assert "row 1, column 4" in status(root)
    page.goto((site / "page.html").as_uri() + "#try=transformer:cup-rim-left")
    root.get_by_role("status").filter(has_text="from rim, left").wait_for()


@pytest.mark.parametrize("wrong", ["query=256", "layer=12", "head=1.5", "network=other", "spec=1", "dog-left-ear",
                                   "outlined=1"])
def test_an_address_that_asks_for_what_is_not_there_is_refused_in_words(page: Page, site: Path, wrong: str) -> None:
    page.goto((site / "page.html").as_uri() + f"#try=transformer:{wrong}")
    root = page.locator(".attention-explorer")
    root.get_by_role("alert").filter(has_text=f"asks for {wrong.split('=')[0]}").wait_for()
    root.get_by_role("status").filter(has_text="Layer 8, head 3, from left eye (row 6, column 5)").wait_for()


def test_an_address_for_another_explorer_is_left_alone(page: Page, site: Path) -> None:
    page.goto((site / "page.html").as_uri() + "#try=gates:query=20")
    root = page.locator(".attention-explorer")
    root.get_by_role("status").filter(has_text="from left eye (row 6, column 5)").wait_for()
    assert root.get_by_role("alert").count() == 0


def test_states_that_do_not_fit_are_named() -> None:
    with pytest.raises(ValueError, match="layer must be an integer in 0 … 1, got 2"):
        make(states={"deep": {"layer": 2}})
    with pytest.raises(ValueError, match=r"states must set image, query, .* alone, 'deep' sets 'depth'"):
        make(states={"deep": {"depth": 2}})
    assert make(states={"deep": {"layer": np.int64(1)}}).states == {"deep": {"layer": 1}}


def test_each_question_has_a_state_that_links_name() -> None:
    states = seen.states(truth.PHOTOGRAPHS)
    assert len(states) == 3 + 3 * len({(q.photograph, q.query) for q in truth.QUESTIONS})
    assert states["cat-left-eye"] == {
        "image": 2, "query": EYE, **seen.named_head("chelsea"), "network": "trained", "other": -1}
    assert states["cat-left-eye-by-colour"] == states["cat-left-eye"] | {"network": "likeness of colour"}
    assert states["rocket-left-tower"]["layer"] == seen.named_head("rocket")["layer"]
    assert "cat-left-eye" not in seen.states(["coffee"])


# The extension ------------------------------------------------------------------------------------------------

PAGE = """# A page

````{transformer} chelsea
:query: left eye

```{image} cat.png
:alt: A stored picture
```
````
"""


def build(folder: Path, pages: dict[str, str]) -> str:
    """Build these pages, beside an index, as the book is built; returns the warnings."""
    from sphinx.cmd.build import main

    source = folder / "source"
    (source / "deep").mkdir(parents=True, exist_ok=True)
    for old in source.rglob("*.md"):
        old.unlink()
    for name, text in pages.items():
        (source / f"{name}.md").write_text(text, encoding="utf-8")
    listed = "\n".join(pages)
    (source / "index.md").write_text(f"# Index\n\n```{{toctree}}\n{listed}\n```\n", encoding="utf-8")
    Image.fromarray(small().image).save(source / "cat.png")
    Image.fromarray(small().image).save(source / "deep" / "cat.png")
    (source / "conf.py").write_text(
        f"import sys; sys.path.insert(0, {str(ROOT / 'book' / '_ext')!r})\n"
        "extensions = ['myst_nb', 'explorers', 'try_role']\n"
        "html_theme = 'basic'\nsuppress_warnings = ['config.cache', 'toc.circular', 'toc.empty_glob']",
        encoding="utf-8",
    )
    assert main(["-q", "-w", str(folder / "warnings"), str(source), str(folder / "html")]) == 0
    return (folder / "warnings").read_text(encoding="utf-8")


def test_the_directive_makes_an_explorer_and_its_scripts(page: Page, extension: ModuleType, tmp_path: Path) -> None:
    assert build(tmp_path, {"deep/page": PAGE, "page": PAGE}) == ""
    scripts = tmp_path / "html" / "_static" / "explorers"
    count = 3 + sum(map(len, extension.weights().values()))
    assert len(list(scripts.glob("*.js"))) == count, "the module, two networks' maps, weights; both pages share them"
    page.goto((tmp_path / "html" / "deep" / "page.html").as_uri())
    page.get_by_role("status").filter(has_text="Layer 8, head 3, from left eye (row 6, column 5)").wait_for()
    assert "A stored picture" not in (tmp_path / "html" / "page.html").read_text(encoding="utf-8")

    for script in scripts.glob("*.js"):
        script.unlink()
    assert build(tmp_path, {"page": PAGE}) == ""
    assert len(list(scripts.glob("*.js"))) == count, "they are put back, though no page was read"
    assert build(tmp_path, {}) == ""
    assert list(scripts.glob("*.js")) == [], "no page names them any more"


def test_without_weights_the_stored_picture_stands_there(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def missing() -> None:
        raise ValueError("the weights are missing")

    monkeypatch.setitem(seen.NETWORKS, "trained", missing)
    assert build(tmp_path, {"page": PAGE}) == ""
    html = (tmp_path / "html" / "page.html").read_text(encoding="utf-8")
    assert "A stored picture" in html
    assert "attention-explorer" not in html


def test_a_slip_of_the_pen_is_no_missing_weights(tmp_path: Path) -> None:
    with pytest.raises(AssertionError):
        build(tmp_path, {"page": PAGE.replace("chelsea", "chelsa")})
    with pytest.raises(AssertionError):
        build(tmp_path, {"page": PAGE.replace("left eye", "left ey")})


TRY = "\n{try}`the other eye <transformer:cat-right-eye>`, {try}`row 1 <transformer:query=16;layer=2>`\n"


def test_the_role_try_is_a_link_into_a_state(page: Page, tmp_path: Path) -> None:
    assert build(tmp_path, {"page": PAGE + TRY}) == ""
    page.goto((tmp_path / "html" / "page.html").as_uri())
    state = page.get_by_role("status").filter(has_text="strongest weight")
    state.wait_for()
    page.get_by_role("link", name="the other eye").click()
    state.filter(has_text="Layer 8, head 3, from right eye").wait_for()
    page.get_by_role("link", name="row 1").click()
    state.filter(has_text="Layer 2, head 3, from face (row 1, column 0)").wait_for()


@pytest.mark.parametrize(("target", "words"), [
    ("gates:own", "got gates:own"),
    ("transformer:dog-left-ear", "got transformer:dog-left-ear"),
    ("transformer:depth=2", "got transformer:depth=2"),
])
def test_a_link_into_no_state_is_warned_of(tmp_path: Path, target: str, words: str) -> None:
    assert words in build(tmp_path, {"page": PAGE + f"\n{{try}}`there <{target}>`\n"})


def test_without_weights_a_link_is_its_words(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(seen.NETWORKS, "trained", lambda: (_ for _ in ()).throw(ValueError("the weights are missing")))
    assert build(tmp_path, {"page": PAGE + TRY}) == ""
    html = (tmp_path / "html" / "page.html").read_text(encoding="utf-8")
    assert "the other eye, row 1" in html
    assert "ax-try" not in html


# The book's first page ----------------------------------------------------------------------------------------


@pytest.mark.parametrize(("width", "height"), [(1280, 900), (390, 844)])
def test_the_first_page_opens_with_the_explorer(page: Page, book_html: Path, width: int, height: int) -> None:
    """Title, sentence, photograph, small maps and the beginning of what they say stand on the first screen."""
    page.set_viewport_size({"width": width, "height": height})
    page.goto((book_html / "book" / "index.html").as_uri())
    root = page.locator(".attention-explorer")
    root.get_by_role("status").filter(has_text="Layer 8, head 3, from name badge").wait_for()
    for part in (".ax-stage", ".ax-maps"):
        box = root.locator(part).bounding_box()
        assert box["y"] + box["height"] < height
    assert root.get_by_role("status").bounding_box()["y"] < height - 20
    assert page.evaluate("() => document.documentElement.scrollWidth") <= width


def test_the_first_page_asks_for_one_photographs_maps_alone(page: Page, book_html: Path) -> None:
    """And is light before them; the theme's own files are every page's."""
    asked: list[str] = []
    maps = re.compile(r"_static/explorers/(?!module-)")
    page.on("request", lambda request: asked.append(request.url) if maps.search(request.url) else None)
    page.goto((book_html / "book" / "index.html").as_uri())
    page.get_by_role("status").filter(has_text="strongest weight").wait_for()
    page.wait_for_timeout(500)
    assert len(asked) == 1
    assert (book_html / "book" / "index.html").stat().st_size < 1_500_000
