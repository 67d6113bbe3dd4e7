"""The live explorer: the page's network answers as torch does, by pointer and by keys, from disk, with no network."""

from __future__ import annotations

import json
import re
import shutil
from collections.abc import Callable
from pathlib import Path
from urllib.parse import quote, unquote

import explorers as extension
import numpy as np
import pytest
import torch
from playwright.sync_api import Locator, Page, expect

from attention_lite import force_gates
from attention_lite.explorers import LiveExplorer
from attention_lite.lab import TASKS, ask_for, load_checkpoint, pictures, untrained
from attention_lite.lab.checkpoints import round_to_half
from attention_lite.lab.live import Stage, stage
from conftest import Watch, drawn, until, violations

CAUSES = ["frame", "gates", "scene", "seed", "control", "training", "drag", "gate"]
VIEWS = ["answer", "squeeze", "hidden", "gates", "strip", "count"]
STATES = {"green gates": {"gates": "frame:green"}, "half, seed 1": {"gates": "half", "seed": 1}}
TOLERANCE = 1e-4


@pytest.fixture(scope="module")
def se() -> Stage:
    return stage("context-gating", "se", seeds=(0, 1), controls=("none",), before_training=True)


@pytest.fixture(scope="module")
def shown(se: Stage):
    test = TASKS["context-gating"]("test").sample(200, seed=2)
    first = [test.photographs.index(name) for name in ("chelsea", "china", "coffee")]
    return test, test[first]


def make(se: Stage, **changes: object) -> LiveExplorer:
    return LiveExplorer(se, **{"name": "se", "causes": CAUSES, "views": VIEWS, "states": STATES, **changes})


@pytest.fixture(scope="module")
def site(se: Stage, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return written(make(se), tmp_path_factory.mktemp("live"))


def written(explorer: LiveExplorer, folder: Path) -> Path:
    """A page with the explorer, and its scripts, on disk: the folder."""
    widget = extension.saved(explorer)
    scripts = folder / "_static" / "explorers"
    scripts.mkdir(parents=True)
    for file, text in extension.scripts(widget).items():
        (scripts / file).write_text(text)
    body = extension.style(widget) + extension.division(widget)
    (folder / "page.html").write_text(
        '<!doctype html><html lang="en"><head><meta charset="utf-8"><title>Live</title>'
        '<meta name="viewport" content="width=device-width, initial-scale=1">'
        "<style>@media (prefers-color-scheme: dark) { body { background: #121212; color: #ddd } a { color: #8cf } }"
        "</style></head>"
        f'<body><main><h1>Live</h1><p><a class="ax-try" href="#try=se:green gates">try</a></p>{body}</main>'
        f"<script>{extension.module(widget)}</script></body></html>", encoding="utf-8")
    return folder


def open_page(page: Page, site: Path, address: str = "") -> Locator:
    page.goto((site / "page.html").as_uri() + address)
    root = page.locator(".attention-explorer")
    root.get_by_role("status").filter(has_text="The network reads").wait_for()
    return root


def settled(page: Page, *pieces: str) -> None:
    """Wait until what is shown is the state that holds these pieces."""
    page.wait_for_function("(pieces) => pieces.every((piece) => "
                           "document.querySelector('.attention-explorer').dataset.state?.includes(piece))",
                           arg=list(pieces))


def placed(page: Page) -> dict[str, list[float]]:
    """Where the address says that things were dragged to: y, x."""
    return json.loads(unquote(page.evaluate("location.hash")).partition("places=")[2].split(";")[0] or "{}")


def address(state: str) -> str:
    """The address of a state as `settled` and the strip write it: seed=1;pulled=5:0,7:1;places=0:30_20."""
    def value(text: str, trait: str) -> str:
        if trait not in ("pulled", "places"):
            return text
        numbers = {key: [float(v) for v in one.split("_")] for key, one in
                   (part.split(":") for part in text.split(","))}
        return json.dumps({key: v if trait == "places" else v[0] for key, v in numbers.items()})
    pairs = [piece.split("=") for piece in state.split(";") if piece]
    return "#try=se:" + ";".join(f"{trait}={quote(value(text, trait))}" for trait, text in pairs) if pairs else ""


ANSWERS = "Array.from(document.querySelectorAll('.ax-answer i'), (bar) => parseFloat(bar.style.height) / 100)"


def answer(page: Page) -> Callable[[], torch.Tensor]:
    """What reads the bars of the answer."""
    return lambda: torch.tensor(page.evaluate(ANSWERS))


@torch.no_grad()
def torchs(scenes, seed: int = 0, gates=None, model: str = "se", trained: bool = True) -> torch.Tensor:
    net = (load_checkpoint("context-gating", model, seed)[0] if trained
           else round_to_half(untrained("context-gating", model, seed)))
    with force_gates(net, {} if gates is None else {"block": gates}):
        return net(pictures(scenes)).softmax(1)


@torch.no_grad()
def own_gates(scenes, seed: int = 0) -> torch.Tensor:
    net = load_checkpoint("context-gating", "se", seed)[0]
    return net.block.attention(net.stem(pictures(scenes)))["channel"]


def close(read: Callable[[], torch.Tensor], expected: torch.Tensor) -> None:
    """What is read comes to what is expected, in the end."""
    found = until(read, lambda found: torch.allclose(found, expected, rtol=0, atol=TOLERANCE))
    torch.testing.assert_close(found, expected, rtol=0, atol=TOLERANCE)


# What the page answers ----------------------------------------------------------------------------------------


@pytest.mark.thorough
def test_every_state_answers_as_torch_does(page: Page, watch: Watch, site: Path, shown, se: Stage) -> None:
    _, scenes = shown
    pulled = own_gates(scenes[:1])
    pulled[:, [5, 20]] = torch.tensor([0.0, 1.0])
    green = own_gates(ask_for(scenes[:1], 1))
    both = green.clone()
    both[:, 7] = 0.25
    moved = scenes[:1].replace(y=torch.tensor([[30.0, 20.0, 44.0]]), x=torch.tensor([[20.0, 40.0, 30.0]]))
    expected = {
        "": torchs(scenes[:1]),
        "scene=1": torchs(scenes[1:2]),
        "frame=blue": torchs(ask_for(scenes[:1], 2)),
        "seed=1": torchs(scenes[:1], seed=1),
        "model=none": torchs(scenes[:1], model="none"),
        "trained=false;seed=1": torchs(scenes[:1], seed=1, trained=False),
        "gates=half": torchs(scenes[:1], gates=0.5),
        "gates=open": torchs(scenes[:1], gates=1.0),
        "gates=even": torchs(scenes[:1], gates=own_gates(scenes[:1]).mean(1, keepdim=True).expand(1, 48)),
        "gates=mean": torchs(scenes[:1], gates=torch.from_numpy(se.means["se 0"]["block"]["channel"])),
        "gates=frame:green": torchs(scenes[:1], gates=green),
        "gates=scene:2": torchs(scenes[:1], gates=own_gates(scenes[2:3])),
        "pulled=5:0,20:1": torchs(scenes[:1], gates=pulled),
        "gates=frame:green;pulled=7:0.25": torchs(scenes[:1], gates=both),
        "places=0:30_20,1:20_40,2:44_30": torchs(moved),
    }
    for state, probabilities in expected.items():
        page.goto("about:blank")
        root = open_page(page, site, address(state))
        settled(page, *state.split(";"))
        assert root.locator(".ax-alert:not([hidden])").count() == 0, state
        close(answer(page), probabilities[0])
    assert not watch.foreign
    assert not watch.errors


def test_the_means_are_those_of_the_counted_scenes(se: Stage, shown) -> None:
    np.testing.assert_allclose(se.means["se 1"]["block"]["channel"], own_gates(shown[0], 1).mean(0).numpy(), atol=1e-5)
    assert se.means["none 0"] == {}


# By keys, by pointer ------------------------------------------------------------------------------------------


# Both before the network runs again: the second goes on from where the first pulled to.
TWO_KEYS = """chart => ["PageUp", "ArrowDown"].forEach(key =>
    chart.dispatchEvent(new KeyboardEvent("keydown", { key, bubbles: true, cancelable: true })))"""


def test_a_gate_is_pulled_by_keys_and_given_back(page: Page, watch: Watch, site: Path, shown) -> None:
    root = open_page(page, site)
    before, own = answer(page)(), own_gates(shown[1][:1])
    chart = root.get_by_role("slider", name=re.compile("^Gates"))
    chart.press("Home")
    for _ in range(5):
        chart.press("ArrowRight")
    chart.evaluate(TWO_KEYS)
    own[0, 5] = 0.9
    close(answer(page), torchs(shown[1][:1], gates=own)[0])
    expect(chart).to_have_attribute("aria-valuenow", "0.90")
    expect(root.get_by_role("status")).to_contain_text("Channel 5: gate 0.90; its own is")
    chart.press("Delete")
    close(answer(page), before)
    assert not watch.errors


def test_a_gate_is_pulled_by_pointer(page: Page, site: Path, shown) -> None:
    root = open_page(page, site)
    box = root.locator(".ax-pull").bounding_box()
    x = box["x"] + 40 + (box["width"] - 40) * 10.5 / 48
    page.mouse.move(x, box["y"] + box["height"] - 12)
    page.mouse.down()
    page.mouse.move(x, box["y"] + box["height"] / 2)
    page.mouse.move(x, box["y"] + 2)
    page.mouse.up()
    gates = own_gates(shown[1][:1])
    gates[0, 10] = 1.0
    close(answer(page), torchs(shown[1][:1], gates=gates)[0])
    page.wait_for_function("decodeURIComponent(location.hash) === '#try=se:pulled={\"10\":1};channel=10'")
    root.get_by_role("button", name="let all go").click()
    close(answer(page), torchs(shown[1][:1])[0])


def test_a_digit_is_dragged_by_pointer_and_by_keys(page: Page, site: Path, shown) -> None:
    root = open_page(page, site)
    scene = shown[1][:1]
    stage_box = root.locator(".ax-stage").bounding_box()
    unit = stage_box["width"] / 64
    y, x = scene.y[0, 0].item(), scene.x[0, 0].item()
    page.mouse.move(stage_box["x"] + x * unit, stage_box["y"] + y * unit)
    page.mouse.down()
    page.mouse.move(stage_box["x"] + (x - 5) * unit, stage_box["y"] + (y + 3) * unit, steps=4)
    page.mouse.up()
    there = pytest.approx([y + 3, x - 5], abs=0.2)
    found = until(lambda: placed(page).get("0"), lambda at: at == there)
    assert found == there
    moved = scene.replace(y=scene.y.clone(), x=scene.x.clone())
    moved.y[0, 0], moved.x[0, 0] = found
    close(answer(page), torchs(moved)[0])

    root.locator(".ax-stage").press("ArrowLeft")
    root.locator(".ax-stage").press("Shift+ArrowDown")
    moved.y[0, 0] += 5
    moved.x[0, 0] -= 1
    close(answer(page), torchs(moved)[0])
    root.locator(".ax-stage").press("Escape")
    close(answer(page), torchs(scene)[0])


def test_a_link_puts_it_into_a_state_and_the_way_back_out_of_it(page: Page, site: Path, shown) -> None:
    root = open_page(page, site)
    page.get_by_role("link", name="try").click()
    green = torchs(shown[1][:1], gates=own_gates(ask_for(shown[1][:1], 1)))[0]
    settled(page, "gates=frame:green")
    close(answer(page), green)
    page.go_back()
    settled(page, "as it began")
    close(answer(page), torchs(shown[1][:1])[0])
    page.evaluate("location.hash = '#try=se:nonsense'")
    root.get_by_role("alert").filter(has_text="The address asks for nonsense").wait_for()
    page.evaluate("location.hash = '#try=se:seed=9'")
    root.get_by_role("alert").filter(has_text="The address asks for seed = 9, which").wait_for()
    close(answer(page), torchs(shown[1][:1])[0])


# Counting -----------------------------------------------------------------------------------------------------


@pytest.mark.thorough
@pytest.mark.parametrize("state", ["", "gates=half", "gates=frame:green", "frame=red", "pulled=11:0,12:0,13:0"])
def test_the_count_is_torchs(page: Page, site: Path, shown, state: str) -> None:
    test, _ = shown
    root = open_page(page, site, address(state))
    settled(page, state)
    root.get_by_role("button", name="count over 200 scenes").click()
    page.wait_for_function("document.querySelector('.ax-count').textContent", timeout=60_000)
    words = root.locator(".ax-count").inner_text()
    own = torchs(test).argmax(1)
    if not state:
        right = int((own == test.answer).sum())
        assert words == f"With nothing forced the network reads {right} of 200 ({right / 2:.0f} %) right."
        return
    gates, scenes, keep, cue = None, test, torch.ones(200, dtype=torch.bool), None
    if state == "gates=half":
        gates = 0.5
    elif state.startswith("pulled"):
        gates = own_gates(test)
        gates[:, 11:14] = 0
    else:
        cue = ("red", "green").index(re.search("red|green", state)[0])
        keep = test.target != cue
        if state.startswith("gates"):
            gates = own_gates(ask_for(test, cue))
        else:
            scenes = ask_for(test, cue)
    after = torchs(scenes, gates=gates).argmax(1)
    assert f"another answer in {int((after != own)[keep].sum())} of {int(keep.sum())} (" in words
    assert f"{int((own == test.answer)[keep].sum())} of {int(keep.sum())}" in words.split("Right")[1]
    assert f"{int((after == test.answer)[keep].sum())} of {int(keep.sum())}" in words.split("before,")[1]
    if cue is not None:
        asked = int((after == test.label[:, cue])[keep].sum())
        assert f"It reads the {('red', 'green')[cue]} digit in {asked} of" in words


# The page -----------------------------------------------------------------------------------------------------


def spoil(site: Path, part: str, folder: Path, how: str) -> Path:
    """A copy of the site in which the script with the weights of `part` is missing, or not what it should be."""
    shutil.copytree(site, folder, dirs_exist_ok=True)
    spec = json.loads(re.search(r'<script type="application/json">(.*?)</script>',
                                (site / "page.html").read_text(encoding="utf-8"), re.DOTALL)[1])["spec"]
    script = folder / spec["scripts"][part]
    if how == "missing":
        script.unlink()
    elif how == "no script":
        script.write_text("<!doctype html>")
    else:
        text = script.read_text()
        start, end = text.index('="') + 2, text.rindex('"')
        kept = text[start:end][:40_000] if how == "cut" else "A" * (end - start)
        script.write_text(text[:start] + kept + text[end:])
    return folder


@pytest.mark.parametrize("how", ["missing", "no script", "cut", "zeros"])
def test_the_still_picture_stays_where_weights_do_not_load(page: Page, site: Path, tmp_path: Path, how: str) -> None:
    page.goto((spoil(site, "se 0", tmp_path, how) / "page.html").as_uri())
    root = page.locator(".attention-explorer")
    root.get_by_role("alert").filter(has_text="The network's weights did not load").wait_for()
    assert root.locator("img").is_visible()


def test_another_network_s_weights_that_do_not_load_leave_the_first(page: Page, site: Path, tmp_path: Path,
                                                                    shown) -> None:
    root = open_page(page, spoil(site, "se 1", tmp_path, "cut"))
    seeds = root.get_by_role("group", name="Training").get_by_role("radio")
    seeds.nth(1).check(force=True)
    alert = root.get_by_role("alert").filter(has_text="These weights did not load")
    alert.wait_for()
    close(answer(page), torchs(shown[1][:1])[0])
    seeds.nth(0).check(force=True)
    alert.wait_for(state="hidden")
    root.get_by_role("radio", name="blue").check(force=True)
    settled(page, "frame=blue")
    close(answer(page), torchs(ask_for(shown[1][:1], 2))[0])


def test_no_network_is_loaded_or_run_before_the_reader_comes_near(page: Page, site: Path, tmp_path: Path) -> None:
    folder = shutil.copytree(site, tmp_path / "far")
    file = folder / "page.html"
    file.write_text(file.read_text(encoding="utf-8").replace("<h1>Live</h1>", '<h1 style="height: 5000px">Live</h1>'),
                    encoding="utf-8")
    asked: list[str] = []
    page.on("request", lambda request: asked.append(request.url))
    page.goto(file.as_uri())
    root = page.locator(".attention-explorer")
    drawn(page)
    page.wait_for_timeout(300)                       # longer than a network that began at once would take to come
    assert not [url for url in asked if "/explorers/" in url]
    assert root.locator("canvas").count() == 0
    root.scroll_into_view_if_needed()
    root.get_by_role("status").filter(has_text="The network reads").wait_for()
    assert [url for url in asked if "/explorers/" in url]


def test_a_browser_that_cannot_start_it_keeps_the_picture_and_is_told(page: Page, site: Path) -> None:
    page.add_init_script("delete window.IntersectionObserver")
    page.goto((site / "page.html").as_uri())
    root = page.locator(".attention-explorer")
    root.get_by_role("alert").filter(has_text="This explorer could not start: IntersectionObserver").wait_for()
    assert root.locator("img").is_visible()


@pytest.mark.thorough
@pytest.mark.parametrize("lacking", ["WebAssembly", "DecompressionStream", "Worker"])
def test_what_a_browser_lacks_costs_the_count_at_most(page: Page, watch: Watch, site: Path, shown,
                                                      lacking: str) -> None:
    page.add_init_script(f"delete window.{lacking}")
    root = open_page(page, site)
    close(answer(page), torchs(shown[1][:1])[0])
    root.get_by_role("button", name="count over 200 scenes").click()
    expected = "right." if lacking == "WebAssembly" else "did not start, so nothing was counted."
    root.locator(".ax-count").filter(has_text=expected).wait_for(timeout=60_000)
    assert not watch.errors


@pytest.mark.parametrize(("state", "asked"), [("nonsense", "nonsense"), ("seed=9", "seed = 9"),
                                              ("gates=ajar", 'gates = "ajar"'), ("scene=7", "scene = 7"),
                                              ('pulled={"99":1}', "pulled = "), ('pulled={"9":2}', "pulled = "),
                                              ('places={"0":[9]}', "places = "), ('places={"7":[9,9]}', "places = ")])
def test_an_unknown_state_in_the_address_is_told_and_changes_nothing(page: Page, site: Path, shown, state: str,
                                                                     asked: str) -> None:
    root = open_page(page, site, f"#try=se:{state}")
    root.get_by_role("alert").filter(has_text=f"The address asks for {asked}").wait_for()
    close(answer(page), torchs(shown[1][:1])[0])


def test_everything_is_reached_and_done_by_keys(page: Page, site: Path, shown) -> None:
    open_page(page, site)
    page.locator("a.ax-try").focus()
    reached = []
    for _ in range(20):
        page.keyboard.press("Tab")
        what = page.evaluate("""() => {
            const node = document.activeElement, label = node.labels?.[0]?.textContent.trim();
            const edge = getComputedStyle(node.type === "radio" ? node.nextElementSibling : node);
            const group = node.closest("fieldset")?.querySelector("legend").textContent;
            return { name: group ?? label ?? node.getAttribute("aria-label") ?? node.textContent,
                     seen: edge.outlineStyle !== "none" || edge.boxShadow !== "none" };
        }""")
        assert what["seen"], f"the focus on {what['name']} is seen"
        reached.append(what["name"])
        if what["name"].startswith("Values as a table"):
            break
    names = ["Frame", "Gates in place", "Handwritten digits", "Gates: left and right", "Gate of channel",
             "Channel before", "Next channel", "Picture", "Training", "Its weights", "Block", "count over 200 scenes",
             "Values as a table"]
    assert [name for name in names if not any(one.startswith(name) for one in reached)] == []

    page.locator("a.ax-try").focus()
    for key in ("Tab", "ArrowRight", "Tab", "h"):       # a green frame; of the gates the choice that begins with a
        page.keyboard.press(key)
    settled(page, "frame=green")


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_it_has_no_accessibility_violation(page: Page, site: Path, scheme: str) -> None:
    page.emulate_media(color_scheme=scheme)
    root = open_page(page, site)
    root.get_by_role("slider", name=re.compile("^Gates")).press("ArrowRight")
    root.get_by_text("Values as a table").click()
    assert violations(page) == []


def test_on_a_phone_cause_picture_and_answer_are_seen_together(page: Page, site: Path) -> None:
    page.set_viewport_size({"width": 390, "height": 844})
    root = open_page(page, site)
    assert page.evaluate("document.documentElement.scrollWidth") <= 390
    top = root.get_by_role("group", name="Frame").bounding_box()["y"]
    answers = root.locator(".ax-answers").bounding_box()
    assert answers["y"] + answers["height"] - top < 844
    root.locator(".ax-pull").scroll_into_view_if_needed()
    for part in (".ax-stage", ".ax-answers", ".ax-pull"):
        box = root.locator(part).bounding_box()
        assert box["y"] >= 0, part
        assert box["y"] + box["height"] <= 845, part


@pytest.mark.thorough
def test_memory_does_not_grow_over_500_changes(page: Page, site: Path) -> None:
    open_page(page, site)
    client = page.context.new_cdp_session(page)

    def heap() -> float:
        client.send("HeapProfiler.collectGarbage")
        return client.send("Runtime.getHeapUsage")["usedSize"] / 1e6

    change = """(times) => new Promise(async (done) => {
        const chart = document.querySelector('.ax-pull');
        for (let i = 0; i < times; i++) {
            const key = ['ArrowRight', 'PageUp', 'Delete'][i % 3];
            chart.dispatchEvent(new KeyboardEvent('keydown', { key, bubbles: true }));
            await new Promise(requestAnimationFrame);
        }
        done();
    })"""
    page.evaluate(change, 60)
    before = heap()
    page.evaluate(change, 500)
    assert heap() < before + 2


# In Python ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("changes", "words"), [
    ({"causes": ["disc"]}, "causes may hold 'disc' only with scenes with a disc"),
    ({"causes": ["sun"]}, "causes must be one of"),
    ({"views": ["gates", "moon"]}, "views must be one of"),
    ({"states": {"a": {"gates": "ajar"}}}, "gates must be one of"),
    ({"states": {"a": {"colour": 1}}}, "states must set .* alone, 'a' sets 'colour'"),
    ({"colour": 1}, "start must set traits of the explorer, got 'colour'"),
    ({"seed": 7}, "seed must be one of"),
    ({"pulled": {60: 1}}, "pulled must be an integer in 0 … 47, got 60"),
    ({"pulled": {6: 2}}, r"pulled must lie in \[0, 1\]"),
    ({"name": ""}, "name must be a word"),
])
def test_bad_input_is_refused_by_name(se: Stage, changes: dict, words: str) -> None:
    with pytest.raises(ValueError, match=words):
        make(se, **changes)


def test_traits_are_checked_as_they_are_set(se: Stage) -> None:
    explorer = make(se, gates="half")
    explorer.pulled = {3: torch.tensor(0.5)}
    assert explorer.pulled == {"3": 0.5}
    with pytest.raises(ValueError, match="frame must be one of"):
        explorer.frame = "pink"
    assert repr(explorer) == "LiveExplorer(8 networks, 4 scenes)"


def test_the_page_before_anything_is_asked_for_is_small(se: Stage, site: Path) -> None:
    assert (site / "page.html").stat().st_size < 500_000
    assert all(len(weights) < 160_000 for part, weights in make(se).maps.items() if part != "counted")


def test_a_stage_refuses_what_the_lab_does_not_have() -> None:
    with pytest.raises(ValueError, match="seed must be one of"):
        stage("context-gating", "se", seeds=(9,))
    with pytest.raises(ValueError, match="seeds must hold one seed at least"):
        stage("context-gating", "se", seeds=())
    with pytest.raises(ValueError, match="scenes must be 64 pixels wide"):
        stage("context-gating", "se", scenes=TASKS["cued-search"]("test").sample(1, 0))
