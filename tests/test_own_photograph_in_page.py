"""The transformer in the page, on a photograph of the reader's own: its numbers are torch's, its refusals words."""

from __future__ import annotations

import base64
import importlib.metadata
import io
import json
import re
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from types import ModuleType
from typing import Any

import firefox
import kernel
import numpy as np
import pytest
import torch
from PIL import Image
from playwright.sync_api import Browser, BrowserContext, Locator, Page, expect
from test_transformer_explorer import EYE, extension, point, status  # noqa: F401  (a fixture, too)

from attention_lite.explorers import TransformerExplorer
from attention_lite.lab import page_transformer, patches, photographs, pretrained, seen, truth
from attention_lite.lab.map_checks import is_transposed, what_is_wrong
from conftest import Watch, until, violations

pytestmark = pytest.mark.thorough

NAMES = ("coffee",)
OWN = ("chelsea", "hubble_deep_field")
Make = Callable[[str], Path]


@pytest.fixture(scope="module")
def site(extension: ModuleType, tmp_path_factory: pytest.TempPathFactory) -> Path:  # noqa: F811
    """A page on disk with the explorer of one photograph, and its scripts beside it."""
    folder = tmp_path_factory.mktemp("site")
    widget = extension.saved(TransformerExplorer(seen.both_on(NAMES), layer=8, head=3, query=EYE,
                                                 temperature=seen.temperature()))
    engine, scripts = extension.engine(extension.weights())
    (folder / "_static" / "explorers").mkdir(parents=True)
    for file, text in (scripts | extension.scripts(widget)).items():
        (folder / "_static" / "explorers" / file).write_text(text, encoding="ascii")
    (folder / "page.html").write_text(
        "<!doctype html><html lang='en'><head><meta charset='utf-8'><title>Explorer</title>"
        "<meta name='viewport' content='width=device-width'><style>body { margin: 8px auto; max-width: 736px }</style>"
        "</head><body><main><h1>Explorer</h1>" + extension.style(widget) + extension.division(widget, engine=engine)
        + "</main>" + f"<script>{extension.module(widget)}</script></body></html>", encoding="utf-8")
    return folder


@pytest.fixture(scope="module")
def pixels() -> dict[str, np.ndarray]:
    """Photographs of the book, 224 × 224: no canvas has to resize them."""
    return {name: (patches.window(name, (224, 224)).numpy() * 255).round().astype(np.uint8) for name in OWN}


@pytest.fixture(scope="module")
def torchs(pixels: dict[str, np.ndarray]) -> dict[str, torch.Tensor]:
    """What torch makes of them, without rounding: (12, 6, 257, 257)."""
    net = pretrained.vision_transformer()
    return {name: maps(net, image) for name, image in pixels.items()}


@pytest.fixture(scope="module")
def own(pixels: dict[str, np.ndarray], tmp_path_factory: pytest.TempPathFactory) -> Make:
    """The same as files."""
    folder = tmp_path_factory.mktemp("own")
    for name, image in pixels.items():
        Image.fromarray(image).save(folder / f"{name}.png")
    return lambda name: folder / f"{name}.png"


@pytest.fixture
def page(context: BrowserContext, watch: Watch) -> Iterator[Page]:
    """A page that may ask no other host for anything, and meet no error."""
    yield context.new_page()
    assert watch.foreign == []
    assert watch.errors == []


def opened(page: Page, site: Path) -> Locator:
    page.goto((site / "page.html").as_uri())
    root = page.locator(".attention-explorer")
    root.get_by_role("status").filter(has_text="strongest weight").wait_for()
    return root


def choose(root: Locator, file: Path) -> str:
    """Choose a file, wait for what is said of it in the end, and return that."""
    root.locator("input[type=file]").set_input_files(file)
    root.locator(".ax-own progress").wait_for(state="hidden")
    return root.locator(".ax-own p").first.inner_text()


def maps(net: torch.nn.Module, image: np.ndarray) -> torch.Tensor:
    """(12, 6, 257, 257): what torch makes of a photograph's pixels."""
    tokens = seen._tokens(net, torch.from_numpy(image).permute(2, 0, 1)[None] / 255)
    return torch.softmax(tokens["queries"] @ tokens["keys"].transpose(2, 3) / 8, -1)


# The kernel ---------------------------------------------------------------------------------------------------


def test_the_kernel_is_what_its_source_compiles_to() -> None:
    """The mark of the source is always compared; the bytes, where the compiler that made them is installed."""
    stored = kernel.MODULE.read_text(encoding="ascii")
    module = base64.b64decode(re.search(r'"(.*)"', stored)[1])
    assert kernel.written(module) == stored, "the source has changed: run python scripts/kernel.py"
    assert len(module) < 10_000
    try:
        there = importlib.metadata.version("ziglang") == kernel.VERSION
    except importlib.metadata.PackageNotFoundError:
        there = False
    assert not there or kernel.compiled() == module


# Numbers ------------------------------------------------------------------------------------------------------

# As the module is in the page, its classes are out of reach: this runs the same code. A map of every eighth token.
RUN = """async ([module, spec, network, file]) => {
    const names = ["Transformer", "TransformerEngine", "readPhotograph", "describePatches"];
    const code = new Blob([`${module}\\nexport { ${names.join()} };`], { type: "text/javascript" });
    const { Transformer, TransformerEngine, readPhotograph, describePatches } = await import(URL.createObjectURL(code));
    const encoded = (numbers) => {
      const bytes = new Uint8Array(numbers.buffer);
      let text = "";
      for (let i = 0; i < bytes.length; i += 32768) text += String.fromCharCode(...bytes.subarray(i, i + 32768));
      return btoa(text);
    };
    const { rgba } = await readPhotograph(new File([Uint8Array.from(atob(file), (c) => c.charCodeAt(0))], "own"));
    const answer = { rgba: encoded(rgba), described: encoded(describePatches(rgba, 224, 16)) };
    if (!network) return answer;
    const engine = new TransformerEngine(spec.engine.networks[network]);
    await engine.load(() => {});
    const { queries, keys } = await engine.run(rgba, () => {});
    engine.close();
    const it = Object.create(Transformer.prototype);
    Object.assign(it, spec, { spec, tokens: 257, weights: new Float32Array(72 * 257) });
    const part = { queries, keys, scale: new Float32Array(72 * 64).fill(1) };
    const rows = new Float32Array(33 * 72 * 257);
    for (let i = 0; i < 33; i++) { it.attend(part, 8 * i); rows.set(it.weights, i * 72 * 257); }
    return { ...answer, rows: encoded(rows) };
}"""


def run(page: Page, site: Path, file: bytes, network: str | None = None) -> dict[str, np.ndarray]:
    """Read a file in the page, and run a network on it: rgba, described, and rows (12, 6, 33, 257)."""
    if page.url == "about:blank":
        opened(page, site)
    spec = json.loads(re.search(r'"application/json">(.*?)</script>',
                                (site / "page.html").read_text(encoding="utf-8"))[1])["spec"]
    told = page.evaluate(RUN, [TransformerExplorer._esm, spec, network, base64.b64encode(file).decode()])
    read = {name: np.frombuffer(base64.b64decode(content), np.uint8 if name == "rgba" else np.float32)
            for name, content in told.items()}
    return {"rgb": read["rgba"].reshape(224, 224, 4)[..., :3], "described": read["described"].reshape(256, 8)} | (
        {"rows": torch.from_numpy(read["rows"].copy()).view(33, 12, 6, 257).permute(1, 2, 0, 3)} if network else {})


def variation(rows: torch.Tensor, expected: torch.Tensor) -> torch.Tensor:
    """Total variation, the mean of a head's rows: (12, 6)."""
    return (rows - expected[:, :, ::8]).abs().sum(-1).mean(-1) / 2


def test_all_maps_are_torchs(page: Page, site: Path, own: Make, pixels: dict[str, np.ndarray],
                             torchs: dict[str, torch.Tensor]) -> None:
    """To .01 in the mean by 8 bits; to 1e-4 torch's with the same 8 bits, so that nothing else is lost."""
    packed, apart = page_transformer.as_packed(pretrained.vision_transformer()), []
    for name in OWN:
        found = run(page, site, own(name).read_bytes(), "trained")
        assert np.array_equal(found["rgb"], pixels[name])
        described = patches.describe(torch.from_numpy(pixels[name] / 255).float(), (16, 16)).numpy()
        assert np.abs(found["described"] - described).max() < 2e-3
        assert (found["rows"].sum(-1) - 1).abs().max() < 1e-5
        assert what_is_wrong(found["rows"], (16, 16)) == []
        near = variation(found["rows"], maps(packed, pixels[name])).max()
        apart.append(variation(found["rows"], torchs[name]))
        print(f"{name}: mean {apart[-1].mean():.4f}, worst head {apart[-1].max():.4f}; with 8 bits in torch {near:.0e}")
        assert near < 1e-4
    assert torch.stack(apart).mean() < 0.01
    assert torch.stack(apart).max() < 0.02


def test_no_map_is_transposed(page: Page, site: Path, pixels: dict[str, np.ndarray]) -> None:
    """Where the photograph moves to the right by a patch, so do the maps of the class token."""
    def class_tokens(photograph: np.ndarray) -> np.ndarray:
        file = as_file(Image.fromarray(photograph), "PNG")
        return run(page, site, file, "trained")["rows"][:, :, 0, 1:].mean((0, 1)).view(16, 16).numpy()

    assert not is_transposed(class_tokens, pixels["chelsea"], 14)


def test_the_untrained_network_is_drawn_as_torch_draws_it(
    page: Page, site: Path, own: Make, pixels: dict[str, np.ndarray]
) -> None:
    found = run(page, site, own("chelsea").read_bytes(), "untrained")
    apart = variation(found["rows"], maps(page_transformer.as_packed(truth.untrained(0)), pixels["chelsea"]))
    print(f"worst head {apart.max():.0e}")
    assert apart.max() < 1e-4
    assert variation(found["rows"], torch.full((12, 6, 257, 257), 1 / 257)).min() > 0.01, "it is not all one"


# Reading ------------------------------------------------------------------------------------------------------


def as_file(image: Image.Image, kind: str, **options: Any) -> bytes:
    held = io.BytesIO()
    image.save(held, kind, **options)
    return held.getvalue()


def test_the_middle_square_is_read_upright_and_on_white(page: Page, site: Path) -> None:
    cat = photographs.load("chelsea")
    expected = (photographs.picture(cat)[0].permute(1, 2, 0) * 255).numpy()
    apart = {}
    for orientation, stored in {1: cat, 6: np.rot90(cat)}.items():
        exif = Image.Exif()
        exif[0x0112] = orientation
        jpeg = as_file(Image.fromarray(np.ascontiguousarray(stored)), "JPEG", quality=95, exif=exif)
        apart[orientation] = np.abs(run(page, site, jpeg)["rgb"] - expected).mean()
    print(apart)
    assert max(apart.values()) < 3               # of 255: the browser resizes by another filter
    clear = Image.fromarray(np.dstack([cat, np.zeros_like(cat[..., :1])]))
    assert (run(page, site, as_file(clear, "PNG"))["rgb"] == 255).all()


@pytest.fixture(scope="module")
def no_photographs(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """Files that are none, by a part of the sentence that each must get."""
    folder = tmp_path_factory.mktemp("none")
    content = {
        "notes.txt is no picture that this browser can read": ("notes.txt", b"Eyes: two."),
        "empty.jpg is empty": ("empty.jpg", b""),
        "cat.heic is HEIC, as telephones store it": ("cat.heic", b"\0\0\0\x18ftypheic\0\0\0\0mif1heic" + bytes(100)),
        "small.png has 31 × 40 pixels": ("small.png", as_file(Image.new("RGB", (31, 40)), "PNG")),
        "has 10000 × 10000 pixels, more than 60 million": ("huge.png", as_file(Image.new("1", (10_000,) * 2), "PNG")),
        "long.jpg has 61 MB, more than 60": ("long.jpg", bytes(61_000_000)),
    }
    for name, data in content.values():
        (folder / name).write_bytes(data)
    return {words: folder / name for words, (name, _) in content.items()}


def test_what_is_no_photograph_is_refused_in_words(
    page: Page, site: Path, no_photographs: dict[str, Path]
) -> None:
    asked: list[str] = []
    root = opened(page, site)
    page.on("request", lambda request: asked.append(request.url) if "_static" in request.url else None)
    for words, file in no_photographs.items():
        assert words in choose(root, file)
    assert asked == [], "nothing is loaded for a file that cannot be shown"
    point(root, 20)
    assert "from row 1, column 4" in status(root)


# The page -----------------------------------------------------------------------------------------------------


def test_a_photograph_is_shown_as_the_books_are(
    page: Page, site: Path, own: Make, pixels: dict[str, np.ndarray], torchs: dict[str, torch.Tensor], tmp_path: Path
) -> None:
    asked: list[str] = []
    page.on("request", lambda request: asked.append(request.url) if "_static" in request.url else None)
    root = opened(page, site)
    assert len(asked) == 1, "the book's photograph"
    root.locator("button:enabled").filter(has_text="save picture").wait_for()        # no pointer has moved yet
    button = root.locator(".ax-own button")
    megabytes = sum((site / "_static" / "explorers" / name).stat().st_size for name in named(site, "trained")) / 1e6
    assert megabytes < 32
    assert button.inner_text() == f"Use a photograph of yours: loads {megabytes:.0f} MB once; it stays on your machine"
    with page.expect_file_chooser():
        button.press("Enter")
    said = choose(root, own("chelsea"))
    assert re.fullmatch(r"12 layers in [\d.]+ s, on your machine\. If this head .* Another photograph .*", said)
    assert len(asked) == 1 + len(named(site, "trained"))
    assert page.evaluate("() => Object.keys(globalThis.attentionMaps).length") == 0

    head = torchs["chelsea"][8, 3]
    for patch in (EYE, 20, 200):
        point(root, patch, click=True)
        strongest(root, head[1 + patch])
    root.get_by_role("button", name="class token").click()
    strongest(root, head[0])
    root.get_by_role("button", name="class token").click()

    root.get_by_label("Nearest tokens in").select_option(label="cup")
    said = root.get_by_text("the token most like it").inner_text()
    r, c, cosine = re.search(r"row (\d+), column (\d+)\)?: cosine (\S+)\.", said).groups()
    cat, cup = (seen.see(pretrained.vision_transformer(), one).features for one in (own("chelsea"), "coffee"))
    cosines = torch.cosine_similarity(cup[1:], cat[1 + 200], dim=1)
    assert abs(float(cosine) - cosines.max()) < 0.015
    assert cosines[16 * int(r) + int(c)] > cosines.max() - 0.01

    point(root, EYE, click=True)
    with page.expect_download() as download:
        root.get_by_role("button", name="save picture").click()
    assert download.value.suggested_filename == f"your-own-trained-layer-8-head-3-patch-{EYE}.png"
    download.value.save_as(tmp_path / "saved.png")
    assert_picture(np.asarray(Image.open(tmp_path / "saved.png").convert("RGB"), float), head[1 + EYE, 1:])

    root.get_by_role("radio", name="likeness of colour").check()
    described = patches.describe(torch.from_numpy(pixels["chelsea"] / 255).float(), (16, 16))
    scores = -((described - described[EYE]) ** 2).sum(1) / seen.temperature()
    scores[EYE] = -torch.inf
    strongest(root, torch.cat([torch.zeros(1), scores.softmax(0)]))
    root.get_by_role("radio", name="untrained").check()
    root.get_by_role("status").filter(has_text=", untrained,").wait_for()
    strongest(root, maps(truth.untrained(0), pixels["chelsea"])[8, 3, 1 + EYE])
    assert violations(page) == []

    before = len(asked)
    choose(root, own("hubble_deep_field"))
    expect(root.get_by_role("radio", name="trained", exact=True), "the trained network sees it").to_be_checked()
    strongest(root, torchs["hubble_deep_field"][8, 3, 1 + EYE])
    assert len(asked) == before, "the weights were loaded once"
    assert root.get_by_text("your own", exact=True).count() == 2, "as photograph and as second: it took the place"


def named(site: Path, network: str) -> list[str]:
    """The scripts that carry a network."""
    html = (site / "page.html").read_text(encoding="utf-8")
    spec = json.loads(re.search(r'"application/json">(.*?)</script>', html)[1])["spec"]
    return [Path(address).name for address in spec["engine"]["networks"][network]["pieces"]]


def strongest(root: Locator, row: torch.Tensor) -> None:
    """The page names the patch with the largest weight of a row of torch's, and the weight."""
    def read() -> tuple[float, float]:
        weight, r, c = re.search(r"strongest weight (\S+) at row (\d+), column (\d+)", status(root)).groups()
        return float(weight), float(row[1 + 16 * int(r) + int(c)])

    most = float(row[1:].max())
    there = pytest.approx((most, most), rel=0.05)
    assert until(read, lambda found: found == there) == there


def assert_picture(saved: np.ndarray, weights: torch.Tensor) -> None:
    """White around, the photograph 800 pixels wide, bright by its weights; the scale below ends in full light."""
    assert saved.shape[1] == 848
    assert (saved[5, 5] == 255).all()
    bright = torch.tensor([saved[24 + 50 * (i // 16) + 12:24 + 50 * (i // 16) + 38,
                                 24 + 50 * (i % 16) + 12:24 + 50 * (i % 16) + 38, :2].mean() for i in range(256)])
    lit, dark = weights > 0.05, weights < 0.002
    assert bright[lit].min() > bright[dark].max()
    assert np.abs(saved[849, 815] - [222, 190, 70]).max() < 6
    assert np.abs(saved[849, 30] - 92).max() < 6


def test_missing_weights_are_said_and_the_rest_goes_on(
    context: BrowserContext, site: Path, own: Make, tmp_path: Path
) -> None:
    lacking = tmp_path / "site"
    shutil.copytree(site, lacking)
    (lacking / "_static" / "explorers" / named(site, "trained")[2]).unlink()
    page = context.new_page()
    root = opened(page, lacking)
    assert "weights were not found, or are damaged" in choose(root, own("chelsea"))
    point(root, 20)
    assert "from row 1, column 4" in status(root)
    for name in named(site, "trained"):
        shutil.copy(site / "_static" / "explorers" / name, lacking / "_static" / "explorers")
    assert "12 layers" in choose(root, own("chelsea")), "once they are there, the same button goes on"


def test_without_webassembly_a_sentence_stands_there(page: Page, site: Path, own: Make) -> None:
    page.add_init_script("delete globalThis.WebAssembly")
    root = opened(page, site)
    assert "cannot run the network: it has no WebAssembly" in choose(root, own("chelsea"))
    point(root, 20)
    assert "from row 1, column 4" in status(root)


def test_a_slow_phone_answers_and_tells_how_far_it_is(browser: Browser, site: Path, own: Make) -> None:
    context = browser.new_context(viewport={"width": 390, "height": 844}, has_touch=True, is_mobile=True)
    page = context.new_page()
    root = opened(page, site)
    context.new_cdp_session(page).send("Emulation.setCPUThrottlingRate", {"rate": 6})
    page.evaluate("""() => { globalThis.told = new Set();
        const words = document.querySelector(".ax-own p");
        new MutationObserver(() => told.add(words.textContent)).observe(words, { childList: true }); }""")
    choose(root, own("chelsea"))
    told = page.evaluate("() => [...told]")
    assert sum(text.startswith("Loading the network: ") for text in told) > 4
    assert sum(text.startswith("Layer ") for text in told) > 6
    box = root.locator(".ax-stage").bounding_box()
    assert box["y"] >= 0, "the photograph has come into view"
    page.touchscreen.tap(box["x"] + box["width"] * 12.5 / 16, box["y"] + box["height"] * 3.5 / 16)
    assert "from row 3, column 12" in status(root)
    assert page.evaluate("() => document.documentElement.scrollWidth") == 390
    context.close()


# Firefox ------------------------------------------------------------------------------------------------------

JUDGE = """
const judge = `http://127.0.0.1:${location.search.slice(1)}`;
const post = (what) => fetch(judge, { method: "POST", mode: "no-cors", body: JSON.stringify(what) });
addEventListener("error", (event) => post({ error: event.message }));
addEventListener("unhandledrejection", (event) => post({ error: String(event.reason) }));
const until = async (found) => {
  while (!found()) await new Promise((done) => setTimeout(done, 50));
};
const status = () => document.querySelector("[role=status]")?.innerText ?? "";
addEventListener("load", async () => {
  await until(() => status().includes("strongest weight"));
  const [input, files] = [document.querySelector("input[type=file]"), new DataTransfer()];
  files.items.add(new File([Uint8Array.from(atob(CAT), (c) => c.charCodeAt(0))], "cat.png"));
  input.files = files.files;
  input.dispatchEvent(new Event("change"));
  const said = document.querySelector(".ax-own p");
  await until(() => document.querySelector(".ax-own progress").hidden && said.textContent);
  await until(() => document.querySelectorAll(".ax-thumb input")[1]?.checked || !said.textContent.includes("layers"));
  await new Promise((done) => setTimeout(done, 300));
  post({ said: said.textContent, status: status() });
});
"""


def test_firefox_runs_it_from_disk(site: Path, own: Make, torchs: dict[str, torch.Tensor], tmp_path: Path) -> None:
    cat = base64.b64encode(own("chelsea").read_bytes()).decode()
    page = site / "firefox.html"
    page.write_text((site / "page.html").read_text(encoding="utf-8").replace(
        "</body>", f'<script>const CAT = "{cat}";{JUDGE}</script></body>'), encoding="utf-8")
    told = firefox.verdict(page, tmp_path, 120)
    assert "error" not in told, told
    assert "12 layers in" in told["said"]
    row = torchs["chelsea"][8, 3, 1 + EYE, 1:]
    weight, r, c = re.search(r"strongest weight (\S+) at row (\d+), column (\d+)", told["status"]).groups()
    assert abs(float(weight) - row.max()) < 0.05 * row.max()
    assert row[16 * int(r) + int(c)] > 0.95 * row.max()
