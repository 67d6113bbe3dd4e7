"""The live explorer keeps up with the hand: processor time from a change of a cause to the drawn answer.

On an idle machine a change is to be answered within a frame, 16 ms, and a pulled gate within 8. Other work on a machine
makes processor time grow as well, if less than time by the clock: so each limit is wider, and beside them stands a
count that load does not touch.
"""

from __future__ import annotations

import statistics
from pathlib import Path

from playwright.sync_api import Page
from test_live_explorer import open_page, se, settled, site, written  # noqa: F401  (fixtures, too)

from attention_lite.explorers import LiveExplorer
from attention_lite.lab.live import Stage, stage
from conftest import drawn, thread_ms

FRAME, PULL, WIDER = 16, 8, 2.0                          # ms, ms, times
MOVES, FIRST = 50, 10                                    # counted, and before them until the code is compiled
STEM = "{ image, features: this.network.stem(at, image) }"      # where the engine runs the layers before the block

# Moves a pointer that holds the first digit, or a bar of the gates, once a frame.
MOVE = """
async ([selector, atX, atY, dx, dy, times]) => {
  const node = document.querySelector(selector), box = node.getBoundingClientRect();
  const [x, y] = [box.left + atX * box.width, box.top + atY * box.height];
  const send = (type, x, y) =>
    node.dispatchEvent(new PointerEvent(type, { bubbles: true, clientX: x, clientY: y, buttons: 1, pointerId: 1 }));
  send("pointerdown", x, y);
  for (let i = 0; i < times; i++) {
    await new Promise(requestAnimationFrame);
    await new Promise((done) => setTimeout(done));
    send("pointermove", x + dx * Math.sin(i), y + dy * Math.cos(i));
  }
  send("pointerup", x, y);
}
"""


def processor_ms(page: Page, selector: str, at: tuple[float, float], by: tuple[int, int]) -> float:
    """The median processor time of the page's thread for one move, drawing on the canvases and words included."""
    moves = thread_ms(page, lambda: page.evaluate(MOVE, [selector, *at, *by, FIRST + MOVES]), "pointermove")
    assert len(moves) >= MOVES
    return statistics.median(moves[-MOVES:])


def first_digit(stage: Stage) -> tuple[float, float]:
    """Where it lies, in shares of the picture: x, y."""
    scene = stage.scenes[0]
    return scene["x"][0] / stage.size, scene["y"][0] / stage.size


def test_se_answers_within_a_frame_and_a_pulled_gate_sooner(page: Page, site: Path,  # noqa: F811
                                                            se: Stage) -> None:  # noqa: F811
    open_page(page, site)
    drag = processor_ms(page, ".ax-stage", first_digit(se), (9, 9))
    settled(page, "places=0:")
    pull = processor_ms(page, ".ax-pull", (0.5, 0.5), (0, 30))
    settled(page, "places=0:", "pulled=")
    assert drag <= WIDER * FRAME
    assert pull <= WIDER * PULL


def test_a_pulled_gate_costs_the_layers_behind_it_alone(page: Page, tmp_path: Path, se: Stage) -> None:  # noqa: F811
    explorer = LiveExplorer(se, name="se", causes=["drag", "gates"], views=["answer", "gates"])
    file = written(explorer, tmp_path) / "page.html"
    code = file.read_text(encoding="utf-8")
    assert code.count(STEM) == 1
    file.write_text(code.replace(STEM, f"(globalThis.stems = (globalThis.stems ?? 0) + 1, {STEM})"), encoding="utf-8")
    open_page(page, tmp_path)
    before = drawn(page).evaluate("stems")
    page.evaluate(MOVE, [".ax-pull", 0.5, 0.5, 0, 30, 10])
    settled(page, "pulled=")
    assert drawn(page).evaluate("stems") == before
    page.evaluate(MOVE, [".ax-stage", *first_digit(se), 9, 9, 10])
    settled(page, "places=0:")
    assert drawn(page).evaluate("stems") >= before + 10


def test_self_attention_answers_within_a_frame(page: Page, tmp_path: Path) -> None:
    cued = stage("cued-search", "self-attention")
    explorer = LiveExplorer(cued, name="se", causes=["disc", "drag"], views=["answer"])
    open_page(page, written(explorer, tmp_path))
    assert processor_ms(page, ".ax-stage", first_digit(cued), (9, 9)) <= WIDER * FRAME
