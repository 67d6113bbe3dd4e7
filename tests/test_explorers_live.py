"""The explorers in a real JupyterLab with a kernel: what the reader does arrives in Python, and the other way round."""

from __future__ import annotations

import re
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import nbformat
import numpy as np
import pytest
import torch
from PIL import Image
from playwright.sync_api import Locator, Page, expect
from skimage import data

from attention_lite.lab import ContextGating, ask_for, load_checkpoint, pictures, text_answers
from conftest import jupyter

pytestmark = pytest.mark.thorough

GRID = (6, 8)

POSITIONS = """
import numpy as np
from pathlib import Path
from skimage import data
from attention_lite.explorers import PositionsExplorer
picture = data.chelsea()[:288, :432]
colours = picture[24::48, 27::54].reshape(48, 3) / 64
explorer = PositionsExplorer(picture, grid=(6, 8), queries=colours, similarity="distance", alt="A cat")
seen = Path("seen.txt")
explorer.observe(lambda change: seen.open("a").write(f"{change['name']} {change['new']}\\n"), ["query", "temperature"])
explorer
"""

GATES = """
from attention_lite.explorers import GatesExplorer
channels = np.moveaxis(colours.reshape(6, 8, 3), -1, 0)[None, None]
gates = GatesExplorer(picture[None, None], channels.mean((3, 4)) / 4, channels, alt="A cat")
gates.observe(lambda change: seen.open("a").write(f"{change['name']} {change['new']}\\n"), ["channel"])
gates
"""

TRANSFORMER = """
from pathlib import Path
from attention_lite.explorers import TransformerExplorer
from attention_lite.lab import seen
explorer = TransformerExplorer(seen.both_on(["chelsea"]), look=seen.both, query=101, layer=8, head=3)
note = Path("seen.txt")
write = lambda change: note.open("a").write(f"{change['name']} {change['new']}\\n")
explorer.observe(write, ["query", "layer", "image"])
explorer
"""

LIVE = """
from pathlib import Path
from attention_lite.explorers import LiveExplorer
from attention_lite.lab import live
explorer = LiveExplorer(live.stage("context-gating", "se"), causes=["frame", "gate"], views=["answer", "gates"])
note = Path("seen.txt")
write = lambda change: note.open("a").write(f"{change['name']} {change['new']}\\n")
explorer.observe(write, ["pulled", "answer"])
explorer
"""

FORCED_GATES = """
from pathlib import Path
note = Path("seen.txt")
write = lambda change: note.open("a").write(f"{change['name']} {change['new']}\\n")
explorer.observe(write, ["source", "image"])
"""

FROM_PYTHON = "explorer.query = 14; explorer.temperature = 2.0; gates.channel = 2"


@pytest.fixture(scope="module")
def lab(root: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[str, Path]]:
    """A JupyterLab server on a folder with three notebooks; killed, kernels and all, when the tests are over."""
    folder = tmp_path_factory.mktemp("lab")
    kernel = {"kernelspec": {"name": "python3", "display_name": "Python 3", "language": "python"}}
    notebooks = {"live": (POSITIONS, GATES, FROM_PYTHON), "transformer": (TRANSFORMER,),
                 "network": (LIVE, 'explorer.pulled = {}; explorer.frame = "blue"'),
                 "forced": (explorer_of(root, "13-text-gates"), FORCED_GATES)}
    for name, sources in notebooks.items():
        cells = [nbformat.v4.new_code_cell(source) for source in sources]
        nbformat.write(nbformat.v4.new_notebook(cells=cells, metadata=kernel), folder / f"{name}.ipynb")
    with jupyter(folder) as url:
        yield url, folder


def explorer_of(root: Path, chapter: str) -> str:
    """The cell that makes a chapter's explorer, as the reader runs it."""
    cells = nbformat.read(root / "book" / "chapters" / f"{chapter}.ipynb", as_version=4).cells
    return next(cell.source for cell in cells if cell.cell_type == "code" and cell.source.endswith("\nexplorer"))


def wait_until(done: Callable[[], bool], seconds: float, explain: Callable[[], str]) -> None:
    end = time.monotonic() + seconds
    while not done():
        assert time.monotonic() < end, f"not within {seconds} s: {explain()}"
        time.sleep(0.2)


def open_notebook(page: Page, lab: tuple[str, Path], name: str, cells: int) -> Path:
    """Open a notebook in JupyterLab, wait for its kernel, and return the folder in which it runs."""
    url, folder = lab
    (folder / "seen.txt").write_text("")
    page.set_default_timeout(90_000)
    page.set_viewport_size({"width": 1280, "height": 2900})
    page.goto(f"{url}/lab/tree/{name}?reset")
    page.wait_for_function(
        """(cells) => {
            const lab = window.jupyterapp?.shell?.currentWidget;
            return lab?.content?.widgets?.length === cells && lab.sessionContext.session?.kernel?.status === 'idle';
        }""",
        arg=cells,
    )
    return folder


@pytest.fixture
def notebook(page: Page, lab: tuple[str, Path]) -> tuple[Page, Path]:
    """The notebook opened in JupyterLab, its first two cells executed, both explorers painted."""
    folder = open_notebook(page, lab, "live.ipynb", 3)
    for cell in range(2):
        run_cell(page, cell)
    page.locator(".attention-explorer [role=status]").nth(1).filter(has_text=re.compile(r"\w")).wait_for()
    return page, folder


def run_cell(page: Page, number: int) -> None:
    page.evaluate(f"jupyterapp.shell.currentWidget.content.activeCellIndex = {number}")
    page.evaluate("jupyterapp.commands.execute('notebook:run-cell')")


def status(root: Locator) -> str:
    return re.sub(r"\s+", " ", root.get_by_role("status").inner_text())


def strongest(query: int, temperature: float) -> float:
    colours = data.chelsea()[:288, :432][24::48, 27::54].reshape(48, 3) / 64
    e = np.exp(-((colours - colours[query]) ** 2).sum(-1) / temperature)
    return (e / e.sum()).max()


def test_pointer_and_python_move_the_same_explorer(notebook: tuple[Page, Path]) -> None:
    page, folder = notebook
    positions = page.locator('.attention-explorer[data-kind="positions"]')
    gates = page.locator('.attention-explorer[data-kind="gates"]')

    stage = positions.locator(".ax-stage")
    stage.scroll_into_view_if_needed()
    box = stage.bounding_box()
    page.mouse.move(box["x"] + 5.5 / 8 * box["width"], box["y"] + 2.5 / 6 * box["height"])
    seen = folder / "seen.txt"
    wait_until(lambda: "query 21\n" in seen.read_text(), 30, seen.read_text)
    assert float(re.search(r"strongest weight ([\d.]+)", status(positions))[1]) == pytest.approx(
        strongest(21, 1.0), rel=6e-3
    )
    shows = positions.get_by_role("group", name="Show").get_by_role("radio")
    assert [radio.is_checked() for radio in shows.all()] == [False, True, False], (
        "each explorer has its own radio names"
    )

    stage.focus()
    active = page.evaluate("jupyterapp.shell.currentWidget.content.activeCellIndex")
    stage.press("ArrowUp")
    wait_until(lambda: "query 13\n" in seen.read_text(), 30, seen.read_text)
    assert page.evaluate("jupyterapp.shell.currentWidget.content.activeCellIndex") == active, (
        "the arrows are ours"
    )

    positions.get_by_role("slider", name="Temperature").press("End")
    wait_until(lambda: "temperature 20.0\n" in seen.read_text(), 30, seen.read_text)
    gates.get_by_role("slider", name="Channel").press("End")
    wait_until(lambda: re.search(r"channel [0-2]\n", seen.read_text()) is not None, 30, seen.read_text)

    page.mouse.move(1, 1)
    run_cell(page, 2)
    positions.get_by_role("status").filter(has_text="Query row 1, column 6").wait_for()
    gates.get_by_role("status").filter(has_text="Channel 2: gate").wait_for()
    assert float(re.search(r"strongest weight ([\d.]+)", status(positions))[1]) == pytest.approx(
        strongest(14, 2.0), rel=6e-3
    )


def test_jupyterlab_s_dark_theme_is_followed(notebook: tuple[Page, Path]) -> None:
    page, _ = notebook
    root = page.locator(".attention-explorer").first
    assert root.get_attribute("data-theme") == "light"
    page.evaluate("jupyterapp.commands.execute('apputils:change-theme', { theme: 'JupyterLab Dark' })")
    page.locator('.attention-explorer[data-theme="dark"]').first.wait_for()


def test_the_transformer_s_maps_come_from_the_kernel_also_those_of_the_readers_own_photograph(
    page: Page, lab: tuple[str, Path]
) -> None:
    folder = open_notebook(page, lab, "transformer.ipynb", 1)
    run_cell(page, 0)
    root = page.locator(".attention-explorer")
    root.get_by_role("status").filter(has_text="Layer 8, head 3, from left eye (row 6, column 5)").wait_for()
    assert re.search(r"Of its weight:.*?right eye 0\.4\d", status(root))
    note = folder / "seen.txt"
    root.locator(".ax-stage").press("ArrowRight")
    wait_until(lambda: "query 102\n" in note.read_text(), 30, note.read_text)
    root.locator(".ax-maps").press("ArrowLeft")
    wait_until(lambda: "layer 7\n" in note.read_text(), 30, note.read_text)

    Image.fromarray(data.rocket()).save(folder / "mine.jpg")
    (folder / "none.jpg").write_bytes(b"no picture")
    root.get_by_label("Your own photograph").set_input_files(folder / "none.jpg")
    root.get_by_role("alert").filter(has_text="photograph must be a whole picture").wait_for()
    root.get_by_label("Your own photograph").set_input_files(folder / "mine.jpg")
    wait_until(lambda: "image 1\n" in note.read_text(), 60, note.read_text)
    root.get_by_role("radio", name="your own").wait_for()
    expect(root.get_by_role("radio", name="your own")).to_be_checked()
    root.get_by_role("status").filter(has_text="from row 6, column 6").wait_for()
    expect(root.get_by_role("alert")).to_have_text("")


def test_a_cell_sets_a_cause_and_reads_the_answer_back(page: Page, lab: tuple[str, Path]) -> None:
    folder = open_notebook(page, lab, "network.ipynb", 2)
    run_cell(page, 0)
    root = page.locator(".attention-explorer")
    root.get_by_role("status").filter(has_text="The network reads").wait_for()
    note = folder / "seen.txt"
    chart = root.get_by_role("slider", name=re.compile("^Gates"))
    chart.press("Home")
    chart.press("PageUp")
    wait_until(lambda: re.search(r"pulled {'0': 1(\.0)?}", note.read_text()) is not None, 30, note.read_text)
    run_cell(page, 1)

    scene = ContextGating("test").sample(200, seed=2)
    scene = ask_for(scene[scene.photographs.index("chelsea")], 2)
    with torch.no_grad():
        expected = load_checkpoint("context-gating", "se", 0)[0](pictures(scene)).softmax(1)[0].tolist()

    def last() -> list[float]:
        answers = re.findall(r"answer \[(.*)\]", note.read_text())
        return [float(v) for v in answers[-1].split(",")] if answers else []

    wait_until(lambda: last() == pytest.approx(expected, abs=1e-4), 30, note.read_text)
    expect(root.get_by_role("radio", name="blue")).to_be_checked()


def test_the_detector_answers_on_the_readers_own_photograph_under_every_others_gates(
    page: Page, lab: tuple[str, Path]
) -> None:
    folder = open_notebook(page, lab, "forced.ipynb", 2)
    run_cell(page, 0)
    run_cell(page, 1)
    root = page.locator(".attention-explorer")
    root.get_by_role("status").filter(has_text="81 of 81 words are found under its own gates").wait_for()
    root.get_by_role("button", name="Give it the gates of cat").click()
    root.get_by_role("status").filter(has_text="7 of 81 words are found under the gates of cat").wait_for()
    note = folder / "seen.txt"
    wait_until(lambda: "source 1\n" in note.read_text(), 30, note.read_text)

    field, alert = root.get_by_label("Your own photograph"), root.get_by_role("alert")
    (folder / "none.jpg").write_bytes(b"no picture")
    field.set_input_files(folder / "none.jpg")
    alert.filter(has_text="photograph must be a whole picture").wait_for()
    (folder / "cat.heic").write_bytes(b"\0\0\0\x18ftypheic\0\0\0\0mif1heic" + bytes(100))
    field.set_input_files(folder / "cat.heic")
    alert.filter(has_text="which is HEIC, as telephones store it: export it as JPEG first").wait_for()
    Image.fromarray(data.rocket()).save(folder / "mine.webp", lossless=True)
    field.set_input_files(folder / "mine.webp")
    wait_until(lambda: "image 9\n" in note.read_text(), 120, note.read_text)
    expect(alert).to_have_text("")
    photographs = root.get_by_role("group", name="Photograph", exact=True)
    expect(photographs.get_by_role("radio", name="your own")).to_be_checked()

    found = text_answers.with_own(folder / "mine.webp")
    share = (found.map(text_answers.OWN) > 0.3).mean()
    says = root.get_by_role("status").filter
    says(has_text=f"{100 * share:.1f} % of the places count as text under its own").wait_for()
    root.get_by_role("group", name="Whose gates").get_by_role("radio", name="page", exact=True).check(force=True)
    share = (found.map(text_answers.OWN, "page") > 0.3).mean()
    says(has_text=f"{100 * share:.1f} % of the places count as text, under").wait_for()
    photographs.get_by_role("radio", name="page", exact=True).check(force=True)
    root.get_by_role("group", name="Whose gates").get_by_role("radio", name="your own").check(force=True)
    words, all_words = found.words("page", text_answers.OWN)
    says(has_text=f"{words} of {all_words} words are found under the gates of your own").wait_for()
