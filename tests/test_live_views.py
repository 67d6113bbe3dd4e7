"""The live explorer in each chapter: its experiment, done by pointer and by keys, is answered as torch answers it."""

from __future__ import annotations

import colorsys
import re
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from urllib.parse import quote

import explorers as extension
import numpy as np
import pytest
import torch
import torch.nn.functional as F
from playwright.sync_api import Locator, Page, expect
from test_live_explorer import placed
from torch import Tensor, nn

from attention_lite import BAMBlock, CBAMBlock, record_attention
from attention_lite.explorers import LiveExplorer
from attention_lite.explorers.live import _shuffled
from attention_lite.lab import (
    TASKS,
    Scenes,
    ask_for,
    disc_mask,
    enlarge,
    load_checkpoint,
    masks,
    pictures,
    scoring,
)
from attention_lite.lab.experiments import coarse_keys, lines
from attention_lite.lab.live import Stage, stage
from conftest import Watch, canvas_pixels, drawn, until, violations

TOLERANCE = 1e-3
COMMON = ("answer", "map", "heads", "pair", "strip", "count")
EXPLORERS = {
    "attention": lambda: LiveExplorer(
        stage("cued-search", "self-attention", seeds=(0, 1), controls=("none",), before_training=True),
        name="attention", maps=["weights"], off=["W_O"], head=1, first=1, views=COMMON,
        causes=["disc", "scene", "forbid", "off", "drag", "seed", "training", "control"]),
    "cbam": lambda: LiveExplorer(
        stage("one-digit-residual", "cbam", seeds=(0, 1), controls=("cbam-average", "none")),
        name="cbam", block="blocks.2.gate", maps=["gates"], views=["answer", "map", "gates", "strip", "count"],
        causes=["map", "block", "gates", "scene", "drag", "paint", "seed", "control", "gate"]),
    "bam": lambda: LiveExplorer(
        stage("one-digit-residual", "bam", seeds=(2, 0)), name="bam", block="bottlenecks.0", maps=["gates"],
        off=["channel branch", "spatial branch"], views=["answer", "seeds", "map", "strip", "count"],
        causes=["map", "seed", "off", "scene", "drag", "gates", "block"]),
    "coordinate": lambda: LiveExplorer(
        stage("one-digit-residual", "coordinate-plain", seeds=(0, 1), before_training=True), name="coordinate",
        block="blocks.2.gate", maps=["gates"], views=["answer", "map", "channels", "seeds", "strip", "count"],
        causes=["rows", "columns", "scene", "seed", "block", "training", "drag"]),
    "context": lambda: LiveExplorer(
        stage("context-gating", "global-context", seeds=(2, 0)), name="context", maps=["context"],
        views=["answer", "map", "seeds", "count"], causes=["frame", "map", "scene", "seed"]),
    "danet": lambda: LiveExplorer(
        stage("cued-segmentation", "danet", seeds=(0, 1)), name="danet", off=["alpha", "beta"],
        maps=["weights", "paint"], views=["answer", "map", "pair", "strip", "count"],
        causes=["off", "seed", "disc", "scene", "forbid", "drag", "position", "channel_to_channel", "ink", "ground"]),
    "external": lambda: LiveExplorer(
        stage("cued-search", "external", seeds=(0, 1)), name="external", off=["W_O"], maps=["slot"],
        views=["answer", "map", "heads", "sums", "slots", "strip", "count"],
        causes=["disc", "sums", "sum", "off", "scene", "seed"]),
    "emsa": lambda: LiveExplorer(
        stage("cued-search", "emsa", seeds=(1,), controls=("emsa-4", "emsa-plain")), name="emsa", head=3,
        maps=["before", "weights"], views=COMMON, causes=["control", "disc", "scene"]),
    "sk": lambda: LiveExplorer(
        stage("any-size", "sk", seeds=(1, 0)), name="sk", block="blocks.0.middle",
        views=["answer", "shares", "strip", "count"], causes=["size", "opacity", "scene", "block", "seed", "drag"]),
    "psa": lambda: LiveExplorer(
        stage("any-size", "psa", seeds=(1,)), name="psa", block="blocks.1.middle.0",
        views=["answer", "shares", "strip", "count"], causes=["size", "opacity", "scene", "block", "drag"]),
    "binding": lambda: LiveExplorer(
        stage("binding-2", "self-attention", controls=("bam",)), name="binding", head=2, first=1, maps=["weights"],
        views=["answer", "map", "heads", "strip", "count"], causes=["company", "scene", "control", "drag", "gates"]),
    "gates": lambda: LiveExplorer(
        stage("context-gating", "se", controls=("bam", ("psa", 3), "none")), name="gates", maps=["change"], first=2,
        causes=["control", "frame", "scene", "drag", "gate"], views=["answer", "map", "gates"]),
    "readers": lambda: LiveExplorer(
        stage("cued-search", "self-attention", controls=(("danet", 3), "bam")), name="readers", first=2,
        maps=["change", "weights", "slot"], views=["answer", "map", "heads"],
        causes=["control", "disc", "scene", "drag"]),
    "eca": lambda: LiveExplorer(
        stage("context-gating", "eca", seeds=(0, 1), controls=("eca-shuffled",)), name="eca",
        views=["answer", "squeeze", "gates", "strip", "count"],
        causes=["frame", "shuffle", "kernel", "gates", "scene", "seed", "drag", "control", "gate"]),
}


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A page for each explorer, made when it is asked for."""
    return tmp_path_factory.mktemp("views")


def open_page(page: Page, site: Path, name: str, state: dict[str, str] | None = None) -> Locator:
    file = site / f"{name}.html"
    if not file.exists():
        widget = extension.saved(EXPLORERS[name]())
        scripts = site / "_static" / "explorers"
        scripts.mkdir(parents=True, exist_ok=True)
        for script, text in extension.scripts(widget).items():
            (scripts / script).write_text(text)
        file.write_text(
            f'<!doctype html><html lang="en"><head><meta charset="utf-8"><title>{name}</title>'
            '<meta name="viewport" content="width=device-width, initial-scale=1">'
            "<style>@media (prefers-color-scheme: dark) { body { background: #121212; color: #ddd } }</style></head>"
            f"<body><main><h1>Live</h1>{extension.style(widget)}{extension.division(widget)}</main>"
            f"<script>{extension.module(widget)}</script></body></html>", encoding="utf-8")
    page.goto("about:blank")
    pairs = ";".join(f"{trait}={quote(value)}" for trait, value in (state or {}).items())
    page.goto(file.as_uri() + (f"#try={name}:{pairs}" if state else ""))
    root = page.locator(".attention-explorer")
    root.get_by_role("status").filter(has_text="The network").wait_for()
    page.wait_for_timeout(400)
    assert root.get_by_role("alert").filter(has_text="not to be had").count() == 0
    return root


def answer(page: Page) -> Callable[[], Tensor]:
    """What reads the bars of the answer."""
    def read() -> Tensor:
        heights = page.evaluate("Array.from(document.querySelectorAll('.ax-answer i'), (bar) => bar.style.height)")
        return torch.tensor([float(height.rstrip("%")) / 100 for height in heights])
    return read


def close(read: Callable[[], Tensor], expected: Tensor) -> None:
    """What is read comes to what is expected, in the end."""
    found = until(read, lambda found: torch.allclose(found, expected, rtol=0, atol=TOLERANCE))
    torch.testing.assert_close(found, expected, rtol=0, atol=TOLERANCE)


def scenes_of(task: str, n: int = 200) -> Scenes:
    return TASKS[task]("test").sample(n, seed=2)


def first_of(task: str) -> Scenes:
    """The scene that the explorer shows first."""
    scenes = scenes_of(task)
    return scenes[scenes.photographs.index("chelsea")]


@torch.no_grad()
def ask(net: nn.Module, scenes: Scenes) -> Tensor:
    return net(pictures(scenes)).softmax(1)


@pytest.fixture(scope="module")
def cued_stage() -> Stage:
    return stage("cued-search", "self-attention")


@pytest.fixture(scope="module")
def palette(cued_stage: Stage) -> dict[str, list[float]]:
    return cued_stage.palette


def named(colour: Tensor, palette: dict[str, list[float]]) -> str:
    """The palette's colour nearest in hue."""
    def hue(rgb: list[float]) -> float:
        return colorsys.rgb_to_hsv(*rgb)[0]
    return min(palette, key=lambda name: abs((hue(palette[name]) - hue(colour.tolist()) + 0.5) % 1 - 0.5))


def palette_names(scene: Scenes, palette: dict[str, list[float]]) -> list[str]:
    return [named(colour, palette) for colour in scene.colour[0]]


# Self-attention: recolour the disc, drag, forbid -----------------------------------------------------------------


def cued(seed: int = 0) -> nn.Module:
    return load_checkpoint("cued-search", "self-attention", seed)[0]


def without_disc(net: nn.Module, scenes: Scenes, head: int | None = None) -> Tensor:
    """Answers if no query, or none of one head, may read the disc or the places that touch it."""
    disc = scoring.on_grid(disc_mask(scenes), (12, 12))
    around = F.max_pool2d(disc.float()[:, None], 3, stride=1, padding=1)[:, 0].bool()
    mask = ~around.flatten(1)[:, None, None].repeat(1, 4, 1, 1)
    if head is not None:
        mask[:, [h for h in range(4) if h != head]] = True
    handle = net.block.block.register_forward_pre_hook(lambda block, inputs: (inputs[0], None, None, mask))
    answers = ask(net, scenes)
    handle.remove()
    return answers


@torch.no_grad()
def on_the_disc(net: nn.Module, scenes: Scenes, query: int, head: int) -> float:
    """How much of the query's weight lies on the disc."""
    with record_attention(net) as maps:
        net(pictures(scenes))
    weights = maps["block.block"]["position"][0, head, query]
    return float(weights[scoring.on_grid(disc_mask(scenes), (12, 12))[0].flatten()].sum())


def middle(scenes: Scenes, digit: int) -> int:
    """The place in the middle of a digit."""
    return int(scenes.y[0, digit] / 4) * 12 + int(scenes.x[0, digit] / 4)


def test_a_recoloured_disc_asks_for_another_digit(page: Page, watch: Watch, site: Path, palette: dict) -> None:
    """By pointer: the answer, and the map of the digit that is asked for now, are torch's."""
    root, scene = open_page(page, site, "attention"), first_of("cued-search")
    close(answer(page), ask(cued(), scene)[0])
    root.get_by_role("radio", name="yellow").check()
    asked = scene.replace(disc_colour=torch.tensor([palette["yellow"]]))
    close(answer(page), ask(cued(), asked)[0])
    yellow = palette_names(scene, palette).index("yellow")
    on = on_the_disc(cued(), asked, middle(asked, yellow), 1)
    expect(root.get_by_role("status")).to_contain_text("the yellow digit (probability")
    expect(root.get_by_role("status")).to_contain_text(f"{on:.2f} of the weight lies on the disc")
    assert not watch.errors
    assert not watch.foreign


def test_forbidding_the_disc_by_keys_takes_the_answer_away(page: Page, site: Path) -> None:
    root, scene = open_page(page, site, "attention"), first_of("cued-search")
    box = root.get_by_role("checkbox", name="the disc")
    box.press("Space")
    close(answer(page), without_disc(cued(), scene)[0])
    box.press("Space")
    root.get_by_role("checkbox", name="W_O").press("Space")
    net = cued()
    nn.init.zeros_(net.block.block.W_O.weight)
    close(answer(page), ask(net, scene)[0])
    root.get_by_role("button", name="start again").click()
    close(answer(page), ask(cued(), scene)[0])


def test_one_head_alone_is_forbidden_the_disc(page: Page, watch: Watch, site: Path) -> None:
    root, scene = open_page(page, site, "attention"), first_of("cued-search")
    root.get_by_role("checkbox", name="the disc").press("Space")
    for head in (1, 3):
        root.get_by_label("Forbidden to").select_option(label=f"head {head} alone")
        close(answer(page), without_disc(cued(), scene, head)[0])
    assert (without_disc(cued(), scene, 1) - without_disc(cued(), scene)).abs().max() > 0.01
    root.get_by_label("Forbidden to").select_option(label="all heads")
    close(answer(page), without_disc(cued(), scene)[0])
    assert not watch.errors


def test_the_asking_place_moves_by_keys_and_by_pointer(page: Page, site: Path) -> None:
    root, scene = open_page(page, site, "attention"), first_of("cued-search")
    stage_, start = root.locator(".ax-stage"), middle(scene, int(scene.target[0]))
    stage_.press("ArrowDown")
    stage_.press("ArrowRight")
    words, there = expect(root.get_by_role("status")), start + 13
    words.to_contain_text(f"The place at row {there // 12 + 1}, column {there % 12 + 1} asks, head 1")
    words.to_contain_text(f"{on_the_disc(cued(), scene, there, 1):.2f} of the weight lies on the disc")
    box = stage_.bounding_box()
    page.mouse.click(box["x"] + box["width"] * 8.5 / 12, box["y"] + box["height"] * 4.5 / 12)
    root.get_by_role("radio", name="head 2").check()
    words.to_contain_text("The place at row 5, column 9 asks, head 2")
    words.to_contain_text(f"{on_the_disc(cued(), scene, 4 * 12 + 8, 2):.2f} of the weight lies on the disc")
    close(answer(page), ask(cued(), scene)[0])          # looking changes no answer


def test_the_disc_is_dragged_by_pointer(page: Page, site: Path) -> None:
    root, scene = open_page(page, site, "attention"), first_of("cued-search")
    box = root.locator(".ax-stage").bounding_box()
    unit, (y, x) = box["width"] / 48, scene.disc_yx[0].tolist()
    asks = re.search(r"The place at row \d+, column \d+ asks", root.get_by_role("status").inner_text())[0]
    page.mouse.move(box["x"] + x * unit, box["y"] + y * unit)
    page.mouse.down()
    page.mouse.move(box["x"] + (x + 6) * unit, box["y"] + (y - 10) * unit, steps=5)
    page.mouse.up()
    there = pytest.approx([y - 10, x + 6], abs=0.2)
    found = until(lambda: placed(page).get("disc"), lambda at: at == there)
    assert found == there
    close(answer(page), ask(cued(), scene.replace(disc_yx=torch.tensor([found])))[0])
    expect(root.get_by_role("status"), "the place that asks is not dragged along").to_contain_text(asks)
    page.mouse.click(box["x"] + (x + 6) * unit, box["y"] + (y - 10) * unit)                 # a press on the disc asks
    root.get_by_role("status").filter(has_not_text=asks).wait_for()


def test_the_pair_is_torchs(page: Page, site: Path) -> None:
    root, scene = open_page(page, site, "attention"), first_of("cued-search")
    net, query = cued(), middle(scene, int(scene.target[0]))
    with torch.no_grad():
        tokens = net.block.norm(net.stem(pictures(scene)).flatten(2).transpose(1, 2))
        q, k = (layer(tokens)[0].unflatten(-1, (4, -1))[:, 1] for layer in (net.block.block.W_Q, net.block.block.W_K))
        scores = q[query] @ k.T
        weights = (scores / k.shape[1] ** 0.5).softmax(0)
    titles = root.locator(".ax-one-pair .ax-title").all_inner_texts()
    key = int(weights.argmax())
    said = [float(part.replace("\u2212", "-")) for part in re.findall(r"[−\d.]+(?=,| ?$|$)", titles[0])]
    assert said[0] == pytest.approx(float(scores[key]), rel=0.01)
    assert said[1] == pytest.approx(float(scores[key]) / k.shape[1] ** 0.5, rel=0.01)
    assert float(titles[1].split("weight ")[1]) == pytest.approx(float(weights[key]), rel=0.01)


@pytest.mark.thorough
@pytest.mark.parametrize("state", ["forbid", "head", "disc"])
def test_the_count_of_cued_search_is_torchs(page: Page, site: Path, palette: dict, state: str) -> None:
    scenes = scenes_of("cued-search")
    own = ask(cued(), scenes).argmax(1)
    if state == "forbid":
        root = open_page(page, site, "attention", {"forbid": '["disc"]'})
        after, keep = without_disc(cued(), scenes).argmax(1), torch.ones(200, dtype=torch.bool)
    elif state == "head":
        root = open_page(page, site, "attention", {"forbid": '["disc"]', "forbid_head": "1"})
        after, keep = without_disc(cued(), scenes, 1).argmax(1), torch.ones(200, dtype=torch.bool)
    else:
        root = open_page(page, site, "attention", {"disc": "green"})
        digits = [palette_names(scenes[i], palette) for i in range(200)]
        cues = [named(scenes.disc_colour[i], palette) for i in range(200)]
        keep = torch.tensor(["green" in names and cue != "green" for names, cue in zip(digits, cues, strict=True)])
        after = ask(cued(), scenes.replace(disc_colour=torch.tensor(palette["green"]).expand(200, 3))).argmax(1)
    root.get_by_role("button", name="count over 200 scenes").click()
    page.wait_for_function("document.querySelector('.ax-count').textContent", timeout=90_000)
    words, n = root.locator(".ax-count").inner_text(), int(keep.sum())
    assert f"another answer in {int((after != own)[keep].sum())} of {n} (" in words
    assert f"{int((after == scenes.answer)[keep].sum())} of {n}" in words.split("before,")[1]
    if state == "disc":
        green = torch.tensor([scenes.label[i, names.index("green")] if "green" in names else -1
                              for i, names in enumerate(digits)])
        assert f"It reads the green digit in {int((after == green)[keep].sum())} of {n}" in words


# Flags: pass the right halves on, ask for the twin -----------------------------------------------------------------


def flags_net(model: str = "self-attention") -> nn.Module:
    return load_checkpoint("binding-2", model, 0)[0]


def passed_on(scenes: Scenes, by: int) -> Scenes:
    """Each dotted flag has the right half of the one `by` further on; what has a twin now is asked for."""
    flags = scenes.flags.clone()
    flags[:, :3, 1] = scenes.flags[:, :3, 1].roll(-by, 1)
    gap = (flags[:, :3, None] - flags[:, None, 3:]).abs().sum((-1, -2)).amin(2)
    assert (gap.sort(1).values[:, 0] < 0.5).all()               # just one has a twin
    assert (gap.sort(1).values[:, 1] > 0.5).all()
    return scenes.replace(flags=flags, target=gap.argmin(1))


SIX = ("red", "yellow", "green", "cyan", "blue", "magenta")


@pytest.mark.parametrize("model", ["self-attention", "bam"])
def test_right_halves_passed_on_by_keys_move_the_twin(page: Page, watch: Watch, site: Path, model: str) -> None:
    root, scene = open_page(page, site, "binding", {"model": model}), first_of("binding-2")
    close(answer(page), ask(flags_net(model), scene)[0, :6])
    for by, words in ((1, "passed on"), (2, "passed on twice")):
        root.get_by_role("radio", name=words, exact=True).check()
        now = passed_on(scene, by)
        close(answer(page), ask(flags_net(model), now)[0, :6])
        assert now.target != scene.target
        expect(root.get_by_role("status")).to_contain_text(f"The flag with a twin has a {SIX[now.answer]} dot")
    root.get_by_role("button", name="start again").click()
    expect(root.get_by_role("status")).to_contain_text(f"The flag with a twin has a {SIX[scene.answer]} dot")
    assert not watch.errors
    assert not watch.foreign


@torch.no_grad()
def test_the_weight_on_the_twin_is_torchs(page: Page, site: Path) -> None:
    """Asked from the flag with the twin, and from a black one without: the words, and what they count."""
    root, scene = open_page(page, site, "binding"), first_of("binding-2")
    net = flags_net()
    with record_attention(net) as maps:
        net(pictures(scene))
    on = scoring.on_grid(masks(scene)[0], (12, 12)).flatten(1).float()
    for asking in (int(scene.target), 4):
        y, x = scene.y[0, asking].item(), scene.x[0, asking].item()
        box = root.locator(".ax-stage").bounding_box()
        page.mouse.click(box["x"] + x / 48 * box["width"], box["y"] + y / 48 * box["height"])
        share = on @ maps["block.block"]["position"][0, 2, int(y / 4) * 12 + int(x / 4)]
        words = f"{share[asking]:.2f} of the weight lies on its own flag, "
        if asking == 4:
            words += f"which has no twin, {share.sum() - share[4]:.2f} on the five others"
        else:
            words += f"{share[3]:.2f} on its twin, {share.sum() - share[3] - share[asking]:.2f} on the four others"
        expect(root.get_by_role("status")).to_contain_text(words)


@pytest.mark.thorough
def test_the_count_of_flags_is_torchs(page: Page, site: Path) -> None:
    scenes = scenes_of("binding-2")
    root = open_page(page, site, "binding", {"company": "1"})
    root.get_by_role("button", name="count over 200 scenes").click()
    page.wait_for_function("document.querySelector('.ax-count').textContent", timeout=90_000)
    now = passed_on(scenes, 1)
    own, after = (ask(flags_net(), some).argmax(1) for some in (scenes, now))
    words = root.locator(".ax-count").inner_text()
    for said, count in (("has the twin now in", (after == now.answer).sum()),
                        ("whose flag had it in", (after == scenes.answer).sum()),
                        ("is right in", (own == scenes.answer).sum())):
        assert f"{said} {int(count)} of 200 (" in words


# The picture as readers see it -----------------------------------------------------------------------------------

def seen(page: Page) -> Tensor:
    """What the stage shows, (3, 48, 48) in [0, 1]: the mean over each pixel of the network's picture."""
    pixels = torch.tensor(canvas_pixels(page.locator(".ax-stage")), dtype=torch.float32) / 255
    return F.adaptive_avg_pool2d(pixels.permute(2, 0, 1), (48, 48))


def test_the_picture_is_as_bright_as_the_lab_shows_it(page: Page, site: Path, cued_stage: Stage) -> None:
    open_page(page, site, "attention", {"over": "", "query": "143"})              # the square lies in a corner
    expected = F.avg_pool2d(torch.tensor(cued_stage.stills[0]).permute(2, 0, 1) / 255, 4)
    apart = (seen(page) - expected).abs()[:, :43, :43]
    assert apart.mean() < 0.02
    assert apart.flatten().quantile(0.99) < 0.12                                  # edges are drawn by the browser


def test_a_map_takes_colour_and_no_light(page: Page, site: Path) -> None:
    """Places without weight are paler and no darker; those of the most weight are as they are without the map."""
    open_page(page, site, "attention", {"over": "", "query": "143", "head": "1"})
    bare, net, scene = seen(page), cued(), first_of("cued-search")
    open_page(page, site, "attention", {"query": "143", "head": "1"})
    with torch.no_grad(), record_attention(net) as maps:
        net(pictures(scene))
    weights = maps["block.block"]["position"][0, 1, 143].view(12, 12)
    middles = (slice(None), slice(1, None, 4), slice(1, None, 4))                 # of each place, without its lines
    under, over = bare[middles], seen(page)[middles]
    full, none = weights >= 0.05, weights < 0.001
    full[11, 11] = none[11, 11] = False
    full[weights.argmax() // 12, weights.argmax() % 12] = False                   # the ring
    assert none.sum() > 30
    luminance = torch.tensor([0.3, 0.59, 0.11])
    assert (torch.einsum("c,cyx->yx", luminance, over - under)[none] > -0.02).all()
    spread = lambda colours: colours.amax(0) - colours.amin(0)  # noqa: E731
    assert (spread(over)[none] < 0.4 * spread(under)[none] + 0.03).all()
    assert full.sum() >= 1
    assert (over - under).abs()[:, full].max() < 0.03


# CBAM and BAM: exchange the map, paint it, see it in every training ----------------------------------------------

Exchange = Callable[[str, str, Tensor], Tensor]


@contextmanager
def exchanged(net: nn.Module, change: Exchange) -> Iterator[None]:
    """Let each CBAM or BAM of `net` use change(block, map's name, its own map), of channels and places, for its own."""
    def cbam(block: CBAMBlock, name: str) -> Callable[..., tuple]:
        def gate(x: Tensor) -> tuple[Tensor, Tensor, Tensor]:
            s = change(name, "channel", type(block)._gate(block, x)[0])
            refined = x * s[..., None, None]
            both = [refined.mean(1), refined.amax(1)][:block.conv.in_channels]
            pools = torch.stack(both, 1)
            return s, change(name, "spatial", block.conv(pools).sigmoid()[:, 0])[:, None], refined
        return gate

    def bam(block: BAMBlock, name: str) -> Callable[..., tuple]:
        def gate(x: Tensor) -> tuple[Tensor, Tensor, Tensor]:
            _, c, s = type(block)._gate(block, x)
            c, s = change(name, "channel_logits", c), change(name, "spatial_logits", s[:, 0])[:, None]
            return torch.sigmoid(block.combine(c[..., None, None], s)), c, s
        return gate

    blocks = [(block, name) for name, block in net.named_modules() if isinstance(block, (CBAMBlock, BAMBlock))]
    for block, name in blocks:
        block._gate = (cbam if isinstance(block, CBAMBlock) else bam)(block, name)
    yield
    for block, _ in blocks:
        del block._gate


def residual(model: str, scenes: Scenes, change: Exchange, seed: int = 0) -> Tensor:
    net = load_checkpoint("one-digit-residual", model, seed)[0]
    with exchanged(net, change):
        return ask(net, scenes)


@torch.no_grad()
def gates_of(model: str, scenes: Scenes, seed: int = 0) -> dict[str, dict[str, Tensor]]:
    net = load_checkpoint("one-digit-residual", model, seed)[0]
    with record_attention(net) as maps:
        net(pictures(scenes))
    return maps


def test_the_map_of_another_picture_is_exchanged_by_keys(page: Page, watch: Watch, site: Path) -> None:
    root, scene = open_page(page, site, "cbam"), first_of("one-digit")
    close(answer(page), residual("cbam", scene, lambda block, name, own: own)[0])
    menu = root.get_by_label("Map in place")
    menu.select_option(label="all at the mean of its own")
    even = lambda block, name, own: (  # noqa: E731
        own.mean((1, 2), keepdim=True).expand_as(own) if (block, name) == ("blocks.2.gate", "spatial") else own)
    close(answer(page), residual("cbam", scene, even)[0])
    root.get_by_role("radio", name="all", exact=True).check()
    menu.select_option(index=menu.locator("option").count() - 1)
    scenes = scenes_of("one-digit")
    other = scenes[scenes_shown("one-digit", "cbam")[-1]]
    theirs = gates_of("cbam", other)
    answers = residual("cbam", scene, lambda block, name, own: theirs[block][name] if name == "spatial" else own)
    close(answer(page), answers[0])
    assert not watch.errors


@torch.no_grad()
def test_rows_and_columns_are_exchanged_each_without_the_other(page: Page, watch: Watch, site: Path) -> None:
    root, scene = open_page(page, site, "coordinate"), first_of("one-digit")
    net = load_checkpoint("one-digit-residual", "coordinate-plain", 0)[0]

    def exchanged(change: Callable[[int, lines.Lines], lines.Lines]) -> tuple[Tensor, Tensor]:
        """The answer, and the gates of the places of the last block."""
        used: list[lines.Lines] = []

        def noted(block: int, own: lines.Lines) -> lines.Lines:
            used.append(change(block, own))
            return used[-1]
        scores = lines.run(net, pictures(scene), noted)[0]
        return scores.softmax(1)[0], lines.crossed(used[-1])[0]

    def expect_of(change: Callable[[int, lines.Lines], lines.Lines]) -> None:
        """The answer, and the mean gate that the page says, are torch's."""
        answers, places = exchanged(change)
        close(answer(page), answers)
        on = scoring.on_grid(masks(scene)[0, 0], (12, 12))
        expect(root.get_by_role("status")).to_contain_text(f"Mean gate {places[on].mean():.2f} on the digit, "
                                                           f"{places[~on].mean():.2f} off it.")

    expect_of(lambda block, own: own)
    rows, columns = root.get_by_label("Gates of rows in place"), root.get_by_label("Gates of columns in place")
    columns.select_option(label="all at the mean of its own")
    expect_of(lambda block, own: (own[0], lines.level(own)[1]) if block == 2 else own)
    root.get_by_role("radio", name="all", exact=True).check()
    rows.select_option(label="all at the mean of its own")
    expect_of(lambda block, own: lines.level(own))
    scenes = scenes_of("one-digit")
    theirs = lines.run(net, pictures(scenes[scenes.photographs.index("china")]), lambda block, own: own)[1]
    rows.select_option(label="the network's own")
    columns.select_option(label="those of china 2")
    expect_of(lambda block, own: (own[0], theirs[block][1]))
    assert not watch.errors


@torch.no_grad()
def test_each_channel_has_its_own_cross(page: Page, watch: Watch, site: Path) -> None:
    root, scene = open_page(page, site, "coordinate", {"channel": "30"}), first_of("one-digit")
    net = load_checkpoint("one-digit-residual", "coordinate-plain", 0)[0]
    rows, columns = lines.run(net, pictures(scene), lambda block, own: own)[1][-1]
    crosses = rows[0][:, :, None] * columns[0][:, None]                    # (32, 12, 12)
    on = scoring.on_grid(masks(scene)[0, 0], (12, 12))

    def words(channel: int) -> str:
        return (f"Channel {channel}: mean gate {crosses[channel][on].mean():.2f} on the digit, "
                f"{crosses[channel][~on].mean():.2f} off it.")

    status = root.get_by_role("status")
    expect(status).to_contain_text(words(30))
    channels = root.get_by_role("group", name="Channel", exact=True)
    assert channels.get_by_role("radio").count() == 33
    small = channels.locator("canvas").nth(1 + 30).evaluate(
        "canvas => [...canvas.getContext('2d').getImageData(0, 0, 12, 12).data]")
    shown = (238 - torch.tensor(small).view(12, 12, 4)[..., 0]) / (238 - 23)      # of paintSmall's red, from 0 to 1
    torch.testing.assert_close(shown, crosses[30], rtol=0, atol=0.01)
    channels.get_by_role("radio", name="7", exact=True).check()
    expect(status).to_contain_text(words(7))
    channels.get_by_role("radio", name="30", exact=True).check()
    root.get_by_role("radio", name="block 1").check()                     # which has 24 channels
    expect(status).to_contain_text("Mean gate")
    assert channels.get_by_role("radio").count() == 1 + 24
    root.get_by_role("radio", name="block 3").check()
    expect(status).to_contain_text(words(30))
    assert not watch.errors


@torch.no_grad()
def test_the_one_map_is_exchanged_for_that_of_another_frame(page: Page, watch: Watch, site: Path) -> None:
    root, scene = open_page(page, site, "context", {"frame": '"blue"'}), ask_for(first_of("context-gating"), 2)
    net = load_checkpoint("context-gating", "global-context", 2)[0]
    x = net.stem(pictures(scene))

    def expect_under(map_: Tensor) -> None:
        brought = net.block.W_v2(torch.relu(net.block.norm(net.block.W_v1(torch.einsum("nchw,nhw->nc", x, map_)))))
        close(answer(page), net.head(net.tail(x + brought[:, :, None, None]).amax((2, 3))).softmax(1)[0])

    expect_under(net.block.attention(x)["context"])
    menu = root.get_by_label("Map in place")
    assert menu.locator("option").all_inner_texts()[:2] == ["the network's own", "all at the mean of its own"]
    menu.select_option(label="all at the mean of its own")
    expect_under(torch.full((1, 16, 16), 1 / 256))
    menu.select_option(label="those of a green frame")
    expect_under(net.block.attention(net.stem(pictures(ask_for(scene, 1))))["context"])
    assert not watch.errors


def scenes_shown(task: str, model: str) -> list[int]:
    """The scenes that a stage shows by itself: the first on each photograph, the first that is misread."""
    scenes = scenes_of(task)
    first = [scenes.photographs.index(name) for name in ("chelsea", "china", "coffee")]
    wrong = (scoring.predictions(load_checkpoint("one-digit-residual", model, 0)[0], scenes) != scenes.answer)
    return first + [i for i in wrong.nonzero().flatten().tolist() if i not in first][:1]


def test_places_are_painted_by_pointer_and_by_keys(page: Page, site: Path) -> None:
    root, scene = open_page(page, site, "cbam"), first_of("one-digit")
    root.get_by_role("radio", name="shuts the place").check()
    box = root.locator(".ax-stage").bounding_box()
    page.mouse.move(box["x"] + box["width"] * 2.5 / 12, box["y"] + box["height"] * 7.5 / 12)
    page.mouse.down()
    for column in range(3, 12):
        page.mouse.move(box["x"] + box["width"] * (column + 0.5) / 12, box["y"] + box["height"] * 7.5 / 12)
    page.mouse.up()
    root.locator(".ax-stage").press("ArrowDown")
    root.locator(".ax-stage").press("Enter")
    shut = [*(7 * 12 + column for column in range(2, 12)), 8 * 12 + 11]

    def paint(block: str, name: str, own: Tensor) -> Tensor:
        if (block, name) != ("blocks.2.gate", "spatial"):
            return own
        own = own.clone()
        own.flatten(1)[:, shut] = 0
        return own
    close(answer(page), residual("cbam", scene, paint)[0])
    root.get_by_role("button", name="wipe").click()
    close(answer(page), residual("cbam", scene, lambda block, name, own: own)[0])


def test_every_training_is_seen_side_by_side(page: Page, watch: Watch, site: Path) -> None:
    """What each reads, and its map, under the same cause; a press chooses one."""
    root, scenes = open_page(page, site, "bam", {"map": "scene:1", "block": ""}), scenes_of("one-digit")
    for number, photograph in ((0, "chelsea"), (2, "coffee")):
        root.get_by_role("group", name="Picture").get_by_role("radio").nth(number).check(force=True)
        scene = scenes[scenes.photographs.index(photograph)]
        for seed in (0, 2):
            other = gates_of("bam", scenes[scenes.photographs.index("china")], seed)
            digit = residual("bam", scene, lambda block, name, own, other=other: (
                other[block][name] if name == "spatial_logits" else own), seed).argmax()
            root.get_by_role("radio", name=f"training {seed}: {digit}").wait_for()
    maps = root.locator(".ax-heads canvas").evaluate_all("(all) => all.map((canvas) => canvas.toDataURL())")
    assert maps[0] != maps[1]
    root.get_by_role("radio", name="training 0").check(force=True)
    page.wait_for_function("document.querySelector('.attention-explorer').dataset.state.includes('seed=0')")
    assert not watch.errors


@pytest.mark.parametrize("state", [{"map": "mean", "block": ""}, {"off": '["channel branch"]'}])
def test_bams_numbers_are_taken_away(page: Page, site: Path, state: dict[str, str]) -> None:
    open_page(page, site, "bam", state)
    scene = first_of("one-digit")
    if "map" in state:
        theirs = gates_of("bam", scenes_of("one-digit"), seed=2)
        change = lambda block, name, own: (  # noqa: E731
            theirs[block][name].mean(0, keepdim=True) if name == "spatial_logits" else own)
    else:
        change = lambda block, name, own: 0 * own if name == "channel_logits" else own  # noqa: E731
    close(answer(page), residual("bam", scene, change, seed=2)[0])


@pytest.mark.thorough
def test_the_count_of_another_pictures_map_is_torchs(page: Page, site: Path) -> None:
    scenes = scenes_of("one-digit")
    root = open_page(page, site, "cbam", {"map": "scene:1", "block": "", "model": "cbam-average"})
    theirs = gates_of("cbam-average", scenes[scenes.photographs.index("china")])
    own = residual("cbam-average", scenes, lambda block, name, own: own).argmax(1)
    after = residual("cbam-average", scenes, lambda block, name, own: (
        theirs[block][name].expand_as(own) if name == "spatial" else own)).argmax(1)
    root.get_by_role("button", name="count over 200 scenes").click()
    page.wait_for_function("document.querySelector('.ax-count').textContent", timeout=90_000)
    words = root.locator(".ax-count").inner_text()
    assert f"another answer in {int((after != own).sum())} of 200" in words
    assert f"Right: {int((own == scenes.answer).sum())} of 200" in words
    assert f"{int((after == scenes.answer).sum())} of 200" in words.split("before,")[1]


# DANet: α and β, and what is painted -----------------------------------------------------------------------------


@torch.no_grad()
def painted(scenes: Scenes, off: str = "", seed: int = 0) -> Tensor:
    """The overlap of what is painted with each digit of its scene: (n, 3)."""
    net = load_checkpoint("cued-segmentation", "danet", seed)[0]
    if off:
        nn.init.zeros_({"alpha": net.block.position.alpha, "beta": net.block.channel.beta}[off])
    region = scoring.painted(net, scenes)
    return torch.stack([scoring.overlap(region, masks(scenes)[:, k] > 0.5) for k in range(3)], 1)


def test_alpha_and_beta_are_switched_off_by_keys(page: Page, watch: Watch, site: Path) -> None:
    root, scene = open_page(page, site, "danet"), first_of("cued-segmentation")
    close(answer(page), painted(scene)[0])
    for name, part in (("α: places", "alpha"), ("β: channels", "beta")):
        box = root.get_by_role("checkbox", name=name)
        box.press("Space")
        close(answer(page), painted(scene, part)[0])
        box.press("Space")
    root.get_by_role("radio", name="1", exact=True).check()
    root.get_by_role("checkbox", name="β: channels").press("Space")
    page.wait_for_function("document.querySelector('.ax-status').innerText.includes('The network paints no digit')")
    close(answer(page), painted(scene, "beta", seed=1)[0])
    assert not watch.errors


Tables = dict[str, Tensor]


@torch.no_grad()
def tables(scenes: Scenes) -> Tables:
    """A of the places and R of the channels."""
    net = load_checkpoint("cued-segmentation", "danet", 0)[0]
    with record_attention(net) as maps:
        net(pictures(scenes))
    return {name: of[name] for of in maps.values() for name in ("position", "channel_to_channel") if name in of}


@torch.no_grad()
def painted_with(scenes: Scenes, theirs: Tables) -> Tensor:
    """The overlap of what is painted with each digit of the one scene, if these are the block's A and R."""
    net = load_checkpoint("cued-segmentation", "danet", 0)[0]
    for name, branch in (("position", net.block.position), ("channel_to_channel", net.block.channel)):
        if name in theirs:
            branch.register_forward_hook(lambda module, inputs, output, name=name: with_table(
                module, inputs[0], theirs[name]))
    region = scoring.painted(net, scenes)
    return torch.stack([scoring.overlap(region, masks(scenes)[:, k] > 0.5)[0] for k in range(3)])


def with_table(branch: nn.Module, x: Tensor, table: Tensor) -> Tensor:
    """The branch's output if this is its map: A of the places (n, h, N, N), or R of the channels (n, C, C)."""
    if hasattr(branch, "beta"):
        return x + branch.beta * torch.einsum("ncd,ndhw->nchw", table, x)
    values = branch.D(x.flatten(2).transpose(1, 2))
    read = torch.einsum("nij,njc->nic", table.flatten(0, 1), values)
    return x + branch.alpha * read.transpose(1, 2).reshape(x.shape)


def test_a_and_r_are_those_of_another_picture(page: Page, watch: Watch, site: Path, palette: dict) -> None:
    root, scenes = open_page(page, site, "danet"), scenes_of("cued-segmentation")
    scene, other = first_of("cued-segmentation"), scenes[scenes.photographs.index("china")]
    green = tables(scene.replace(disc_colour=torch.tensor([palette["green"]])))
    close(answer(page), painted_with(scene, tables(scene)))
    menus = {"position": root.get_by_label("A in place"), "channel_to_channel": root.get_by_label("R in place")}
    for name, menu in menus.items():
        menu.select_option(label="those of a green disc")
        close(answer(page), painted_with(scene, {name: green[name]}))
        menu.select_option(label="those of china 2")
        close(answer(page), painted_with(scene, {name: tables(other)[name]}))
        menu.select_option(label="the network's own")
    assert (painted_with(scene, {"channel_to_channel": green["channel_to_channel"]})
            - painted_with(scene, {})).abs().max() > 0.01
    assert not watch.errors


@pytest.mark.thorough
def test_the_count_of_what_is_painted_is_torchs(page: Page, site: Path) -> None:
    scenes = scenes_of("cued-segmentation")
    root = open_page(page, site, "danet", {"off": '["beta"]'})
    answers = [painted(scenes, off) for off in ("", "beta")]
    own, after = (torch.where(a.amax(1) > 0, a.argmax(1), -1) for a in answers)
    root.get_by_role("button", name="count over 200 scenes").click()
    page.wait_for_function("document.querySelector('.ax-count').textContent", timeout=120_000)
    words = root.locator(".ax-count").inner_text()
    assert f"another answer in {int((after != own).sum())} of 200" in words
    assert f"{int((after == scenes.target).sum())} of 200" in words.split("before,")[1]


# External attention: the sums of the picture as it was -----------------------------------------------------------


def slot_scores(block: nn.Module, tokens: Tensor) -> Tensor:
    return block.M_k(tokens.unflatten(-1, (block.h, -1)).transpose(1, 2))


@torch.no_grad()
def log_sums(scenes: Scenes) -> Tensor:
    """The logarithm of each slot's sum over the places: (n, h, 1, S)."""
    net = load_checkpoint("cued-search", "external", 0)[0]
    tokens = net.block.norm(net.stem(pictures(scenes)).flatten(2).transpose(1, 2))
    return slot_scores(net.block.block, tokens).logsumexp(2, keepdim=True)


@torch.no_grad()
def with_sums_of(scenes: Scenes, others: Scenes, pulled: dict[int, float] | None = None) -> Tensor:
    """What the network answers to `scenes` with the slots' sums of `others`, some of them pulled."""
    net = load_checkpoint("cued-search", "external", 0)[0]
    block, sums = net.block.block, log_sums(others)
    for number, value in (pulled or {}).items():
        sums[:, number // 32, :, number % 32] = value
    handle = block.register_forward_hook(lambda block, inputs, output: block.W_O(
        block.M_v((slot_scores(block, inputs[0]) - sums).softmax(3)).transpose(1, 2).flatten(2)))
    answers = ask(net, scenes)
    handle.remove()
    return answers


def test_a_recoloured_disc_is_heard_through_the_sums(page: Page, watch: Watch, site: Path, palette: dict) -> None:
    root, scene = open_page(page, site, "external"), first_of("cued-search")
    root.get_by_role("radio", name="yellow").check()
    now = scene.replace(disc_colour=torch.tensor([palette["yellow"]]))
    close(answer(page), with_sums_of(now, now)[0])
    root.get_by_label("Sums in place").select_option(label="those of the picture as it was")
    close(answer(page), with_sums_of(now, scene)[0])
    assert not watch.errors


def test_another_training_may_come_late(page: Page, watch: Watch, site: Path) -> None:
    """Until its weights are there, what was shown stays, with all that its controls say."""
    root, scene = open_page(page, site, "external"), first_of("cued-search")
    root.get_by_role("group", name="Training").get_by_role("radio", name="1").check()
    close(answer(page), ask(load_checkpoint("cued-search", "external", 1)[0], scene)[0])
    assert not watch.errors


def test_one_sum_is_pulled_by_pointer_and_by_keys(page: Page, watch: Watch, site: Path, palette: dict) -> None:
    """Its bar leads from the sum of the picture as it was to the present one, and further where it is pulled."""
    root, scene = open_page(page, site, "external"), first_of("cued-search")
    root.get_by_role("radio", name="yellow").check()
    now = scene.replace(disc_colour=torch.tensor([palette["yellow"]]))
    chart = root.get_by_role("slider", name=re.compile("^Sums"))
    root.get_by_role("radio", name="head 0").check()                       # slots 5 and 9 of which are heard
    chart.press("Home")
    for _ in range(5):
        chart.press("ArrowRight")
    chart.press("PageUp")
    chart.press("PageUp")
    chart.press("ArrowUp")
    drawn(page)
    value = float(chart.get_attribute("aria-valuenow"))
    one = with_sums_of(now, now, {5: value})
    assert (one - with_sums_of(now, now)).abs().max() > 0.1
    close(answer(page), one[0])
    expect(root.get_by_role("status")).to_contain_text(f"{log_sums(scene)[0, 0, 0, 5]:.2f} in the picture as it was")
    box = chart.bounding_box()
    x = box["x"] + 40 + (box["width"] - 40) * 9.5 / 32
    page.mouse.move(x, box["y"] + box["height"] / 2)
    page.mouse.down()
    page.mouse.move(x, box["y"] + 20, steps=3)
    page.mouse.up()
    drawn(page)
    other = float(chart.get_attribute("aria-valuenow"))
    both = with_sums_of(now, now, {5: value, 9: other})
    assert (both - one).abs().max() > 0.01
    close(answer(page), both[0])
    root.get_by_role("button", name="let all go").click()
    close(answer(page), with_sums_of(now, now)[0])
    assert not watch.errors


def test_a_slots_weight_is_torchs(page: Page, site: Path) -> None:
    root, scene = open_page(page, site, "external"), first_of("cued-search")
    net, query = load_checkpoint("cued-search", "external", 0)[0], middle(scene, int(scene.target[0]))
    with torch.no_grad(), record_attention(net) as maps:
        net(pictures(scene))
    weights = maps["block.block"]["slot"][0, 2, query]
    root.get_by_role("radio", name="head 2").check()
    slot = int(weights.argmax())
    words = f"head 2, takes {weights[slot]:.2} of what it reads from slot {slot}"
    root.get_by_role("status").filter(has_text=words).wait_for()


# EMSA: another ratio, before and after the norm ------------------------------------------------------------------


@pytest.mark.parametrize("model", ["emsa", "emsa-4", "emsa-plain"])
def test_emsas_ratios_answer_as_torch_does(page: Page, site: Path, model: str) -> None:
    root, scene = open_page(page, site, "emsa"), first_of("cued-search")
    if model != "emsa":
        root.get_by_role("radio", name={"emsa-4": "ratio 4", "emsa-plain": "ratio 2, no mix"}[model]).check()
        page.wait_for_timeout(400)
    close(answer(page), ask(load_checkpoint("cued-search", model, 1)[0], scene)[0])
    root.get_by_role("radio", name="weights", exact=True).check()
    scale = " (an even share: 0.028)" if model == "emsa-plain" else ", normed: mean 0, deviation 1"
    expect(root.locator(".ax-map-view")).to_contain_text(f"weight of each key for the place that asks{scale}")


def test_a_key_s_weight_lies_where_the_convolution_looked(page: Page, site: Path) -> None:
    """Nine keys for 144 places, each shown at the places that are nearest to its window's middle, and so counted."""
    root, scene = open_page(page, site, "emsa"), first_of("cued-search")
    root.get_by_role("radio", name="ratio 4").check()
    page.wait_for_timeout(400)
    net, query = load_checkpoint("cued-search", "emsa-4", 1)[0], middle(scene, int(scene.target[0]))
    status = root.get_by_role("status")
    expect(status).to_contain_text("before the norm, lies on the disc")
    head = int(re.search(r"asks, head (\d)", status.inner_text())[1])
    line = coarse_keys.softmaxed(net, pictures(scene))[0, head, query]
    on = float((scoring.spread(line, 144) * coarse_keys.disc_places(scene)[0].flatten()).sum())
    expect(status).to_contain_text(f"{on:.2f} of the weight, before the norm, lies on the disc")
    small = canvas_pixels(root.locator(".ax-head").nth(head))[..., 0].astype(int)
    assert small.shape == (12, 12)
    keys = scoring.key_of(12, 3).unflatten(0, (12, 12))
    assert keys[:, 0].tolist() == [0, 0, 0, 3, 3, 3, 3, 6, 6, 6, 6, 6]
    for key in range(9):
        assert len(set(small[keys == key].tolist())) == 1
    assert small[keys == int(line.argmax())].max() == small.min()           # the strongest is the darkest


# SK and PSA: size, opacity, forced branches ----------------------------------------------------------------------


@torch.no_grad()
def any_size(model: str, scenes: Scenes, shares: list[float] | None = None, only: int | None = None) -> Tensor:
    """Answers if in every block, or in one, all channels divide themselves so among the branches."""
    net, wanted = load_checkpoint("any-size", model, 1)[0], shares and torch.tensor(shares)
    for i, bottleneck in enumerate(net.blocks):
        if shares is None or only not in (None, i):
            continue
        if model == "sk":
            bottleneck.middle.select.register_forward_hook(lambda module, inputs, output: (
                wanted.log()[:, None].expand(2, output.shape[1] // 2).flatten().expand_as(output)))
        else:
            psa = bottleneck.middle[0]
            for gate, share in zip(psa.weights, wanted, strict=True):
                gate.register_forward_hook(lambda module, inputs, output, share=share: share.log().expand_as(output))
    return ask(net, scenes)


def test_the_digit_shrinks_and_fades_by_keys(page: Page, watch: Watch, site: Path) -> None:
    root, scene = open_page(page, site, "sk"), first_of("any-size")
    close(answer(page), any_size("sk", scene)[0])
    root.get_by_label("Size of the digit").press("End")
    large = enlarge(scene, 36)
    close(answer(page), any_size("sk", large)[0])
    root.get_by_label("Opacity of the digit").press("Home")
    close(answer(page), any_size("sk", large.replace(opacity=torch.zeros(1, 1)))[0])
    assert not watch.errors


def test_branches_are_forced_by_pointer_and_by_keys(page: Page, site: Path) -> None:
    root, scene = open_page(page, site, "sk"), first_of("any-size")
    root.get_by_role("button", name="even").click()
    close(answer(page), any_size("sk", scene, [0.5, 0.5], only=0)[0])
    root.get_by_label("Weight of 3 × 3").press("End")
    root.get_by_label("Weight of 3 × 3").press("PageDown")
    share = int(root.get_by_label("Weight of 3 × 3").input_value()) / 100
    assert 0.5 < share < 1
    close(answer(page), any_size("sk", scene, [share, 1 - share], only=0)[0])
    root.get_by_role("radio", name="all", exact=True).check()
    close(answer(page), any_size("sk", scene, [share, 1 - share])[0])


def test_psas_quarters_are_forced(page: Page, site: Path) -> None:
    root, scene = open_page(page, site, "psa", {"shares": "[0.1,0.2,0.3,0.4]", "block": ""}), first_of("any-size")
    close(answer(page), any_size("psa", scene, [0.1, 0.2, 0.3, 0.4])[0])
    root.get_by_role("button", name="even").click()
    close(answer(page), any_size("psa", scene, [0.25] * 4)[0])


# What a block changes ---------------------------------------------------------------------------------------------


@torch.no_grad()
def gains(net: nn.Module, asked: list[Scenes], shown: Scenes) -> Tensor:
    """What each of the three digits gains, a place, in the scene that is shown, over its mean in those that ask."""
    x = torch.cat([net.stem(pictures(scene)) for scene in (*asked, shown)])
    stays = (x == x[:1]).all(0).all(0)
    y = net.block(x).sum(1)
    change = (y[3] - y[:3].mean(0)).where(stays, torch.nan)
    on = scoring.on_grid(masks(shown), tuple(change.shape))[0]
    return change.where(on, torch.nan).nanmean((1, 2))


def gained(text: str) -> Tensor:
    numbers = re.findall(r" digit (?:gets )?([+−]\d+\.\d\d)", text)
    return torch.tensor([float(number.replace("−", "-")) for number in numbers])


@pytest.mark.parametrize(("name", "model", "seed", "colour"), [
    ("gates", "se", 0, "green"), ("gates", "bam", 0, "blue"), ("gates", "psa", 3, "red"), ("gates", "none", 0, "green"),
    ("readers", "self-attention", 0, "yellow"), ("readers", "danet", 3, "green"), ("readers", "bam", 0, "blue"),
])
def test_what_a_block_changes_is_torchs(
    page: Page, watch: Watch, site: Path, name: str, model: str, seed: int, colour: str
) -> None:
    task, cue = {"gates": ("context-gating", "frame"), "readers": ("cued-search", "disc")}[name]
    root, scene, own = open_page(page, site, name, {"model": model}), first_of(task), EXPLORERS[name]()._stage
    field = {"frame": "frame", "disc": "disc_colour"}[cue]
    asks = {c: scene.replace(**{field: torch.tensor([own.palette[c]])}) for c in own.palette}
    blocks = {"gates": ["SE", "BAM", "PSA", "no block"], "readers": ["self-attention", "DANet", "BAM"]}[name]
    assert root.get_by_role("group", name="Block").get_by_role("radio").evaluate_all(
        "all => all.map(input => input.parentNode.innerText)") == blocks          # in the order that Python gives
    root.get_by_role("radio", name=colour).check()
    net = load_checkpoint(task, model, seed)[0]
    shown = scene if colour == own.scenes[0]["cue"] else asks[colour]         # its own shade stands under its name
    expected = gains(net, [asks[c] for c in own.scenes[0]["digits"]], shown)
    found = until(lambda: gained(root.get_by_role("status").inner_text()),
                  lambda found: torch.allclose(found, expected, rtol=0, atol=0.02))
    torch.testing.assert_close(found, expected, rtol=0, atol=0.02)
    assert model == "none" or found.abs().max() > 0.5
    close(answer(page), ask(net, shown)[0])
    assert not watch.errors


def test_a_map_that_the_block_lacks_shows_nothing(page: Page, watch: Watch, site: Path) -> None:
    root = open_page(page, site, "readers", {"over": "weights"})
    shown = canvas_pixels(root.locator(".ax-stage"))
    expect(root.locator(".ax-heads")).to_be_visible()
    root.get_by_role("radio", name="the slot").check()
    expect(root.locator(".ax-heads")).to_be_hidden()
    expect(root.locator(".ax-bar")).to_have_class(re.compile("ax-hidden"))
    without = canvas_pixels(root.locator(".ax-stage"))
    root.get_by_role("radio", name="nothing").check()
    assert not np.array_equal(without, shown)
    np.testing.assert_array_equal(without, canvas_pixels(drawn(page).locator(".ax-stage")))
    assert not watch.errors


# ECA: three weights, another order -------------------------------------------------------------------------------


@torch.no_grad()
def eca(scenes: Scenes, kernel: list[float] | None = None, order: list[int] | None = None) -> Tensor:
    net = load_checkpoint("context-gating", "eca", 0)[0]
    if kernel:
        net.block.conv.weight.copy_(torch.tensor(kernel).view(1, 1, 3))
    if order:
        own, back = net.block, torch.tensor(order).argsort()
        net.block = nn.Module()
        net.block.forward = lambda x: own(x[:, order])[:, back]
    return ask(net, scenes)


def test_the_kernel_and_the_order_are_changed_by_keys(page: Page, watch: Watch, site: Path) -> None:
    root, scene = open_page(page, site, "eca"), first_of("context-gating")
    kernel = load_checkpoint("context-gating", "eca", 0)[0].block.conv.weight.flatten().tolist()
    close(answer(page), eca(scene)[0])
    root.get_by_label("Weight of the channel itself").press("End")
    close(answer(page), eca(scene, [round(kernel[0], 4), 4.0, round(kernel[2], 4)])[0])
    root.get_by_role("button", name="as trained").click()
    root.get_by_role("radio", name="shuffled", exact=True).check()
    close(answer(page), eca(scene, order=_shuffled(48))[0])
    assert not watch.errors


# Every explorer --------------------------------------------------------------------------------------------------


@pytest.mark.thorough
@pytest.mark.parametrize("name", EXPLORERS)
@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_no_accessibility_violation(page: Page, site: Path, name: str, scheme: str) -> None:
    page.emulate_media(color_scheme=scheme)
    root = open_page(page, site, name)
    root.locator(".ax-stage").focus()
    root.get_by_text("Values as a table").click()
    assert violations(page) == []


@pytest.mark.thorough
@pytest.mark.parametrize("name", EXPLORERS)
def test_on_a_phone_cause_picture_and_answer_are_seen_together(page: Page, site: Path, name: str) -> None:
    page.set_viewport_size({"width": 390, "height": 844})
    root = open_page(page, site, name)
    assert page.evaluate("document.documentElement.scrollWidth") <= 390
    first = root.locator(".ax-top").bounding_box()["y"]
    for part in (".ax-stage", ".ax-answers"):
        box = root.locator(part).bounding_box()
        assert box["y"] + box["height"] - first < 844, part


# In Python -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("changes", "words"), [
    ({"forbid": ["sun"]}, "forbid must be one of"),
    ({"forbid": [144]}, "forbid must be an integer in 0 … 143"),
    ({"off": ["W_V"]}, "off must be one of"),
    ({"maps": ["heat"]}, "maps must be one of"),
    ({"views": ["gates"]}, "views may hold 'gates' only with a block with one gate a channel"),
    ({"causes": ["off"], "off": []}, "causes may hold 'off' only with parts to switch off"),
    ({"query": 144}, "query must be an integer in -1 … 143"),
    ({"forbid_head": 4}, "forbid_head must be an integer in -1 … 3"),
    ({"position": "mean"}, "position must be one of"),
    ({"causes": ["channel_to_channel"]}, "may hold 'channel_to_channel' only with a block in which channels read"),
    ({"views": ["seeds"]}, "views may hold 'seeds' only with two seeds or more"),
    ({"views": ["sums"]}, "views may hold 'sums' only with a block with slots"),
    ({"pulled_sums": {0: 1.0}}, "pulled_sums must be an integer in 0"),
    ({"inks": {0: "abc"}}, "inks must hold 64 letters from a to q"),
    ({"inks": {3: "a" * 64}}, "inks must be one of"),
    ({"ground": b"abc"}, r"ground must be uint8 \(3, 48, 48\), or empty for none, got 3 bytes"),
    ({"ground": torch.zeros(3, 48, 48)}, "ground must be uint8, 0 to 255, got dtype float32"),
    ({"shares": [0.5]}, "shares must have shape"),
    ({"over": "gates"}, "over must be one of"),
])
def test_bad_input_is_refused_by_name(cued_stage: Stage, changes: dict, words: str) -> None:
    with pytest.raises(ValueError, match=words):
        LiveExplorer(cued_stage, **{"causes": ["disc"], "views": ["answer"], "maps": ["weights"], **changes})


def test_trainings_are_chosen_only_where_every_block_has_them() -> None:
    mixed = stage("cued-search", "self-attention", controls=(("danet", 3),))
    with pytest.raises(ValueError, match="causes may hold 'seed' only with two seeds or more, the same of every block"):
        LiveExplorer(mixed, causes=["seed"], views=["answer"])


def test_what_changes_with_the_cue_needs_one() -> None:
    digits = TASKS["one-digit"]("test").sample(2, seed=0)
    with pytest.raises(ValueError, match="maps may hold 'change' only with scenes with a frame or a disc"):
        LiveExplorer(stage("one-digit", "none", scenes=digits, counted=digits), causes=["drag"], views=["answer"],
                     maps=["change"])
