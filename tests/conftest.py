"""Shared fixtures: the built book, a server for it, and a headless Chromium that cannot leave this machine."""

from __future__ import annotations

import base64
import functools
import io
import json
import os
import socket
import subprocess
import sys
import threading
import time
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import TypeVar
from urllib.parse import urlsplit

import numpy as np
import pytest
from axe_playwright_python.sync_playwright import Axe
from PIL import Image
from playwright.sync_api import Browser, BrowserContext, Error, Locator, Page, Route, sync_playwright

from browser import BY_HAND, launch
from budget import Budget
from kept import kept_seconds, use_kept_executions

T = TypeVar("T")
ROOT = Path(__file__).resolve().parent.parent
HTML = ROOT / "_build" / "html"


def pytest_configure(config: pytest.Config) -> None:
    """Let nbval use the build's executions; the process that has the report tells how long each part took."""
    use_kept_executions()
    if not hasattr(config, "workerinput"):
        config.pluginmanager.register(Budget(getattr(config.option, "numprocesses", None) or 1, kept_seconds))


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Deselect what needs a CUDA device where there is none."""
    on_cuda = [item for item in items if item.get_closest_marker("cuda")]
    if not on_cuda:
        return
    import torch

    if not torch.cuda.is_available():
        config.hook.pytest_deselected(items=on_cuda)
        items[:] = [item for item in items if not item.get_closest_marker("cuda")]


@pytest.fixture(autouse=True)
def forget_what_was_compiled() -> Iterator[None]:
    """torch.compile gives a function up after eight recompilations, and tests share the blocks' functions."""
    yield
    if "torch._dynamo" in sys.modules:
        sys.modules["torch._dynamo"].reset()


@pytest.fixture(scope="session")
def root() -> Path:
    """The root of the repository."""
    return ROOT


@pytest.fixture(scope="session")
def book_html() -> Path:
    """The folder of the built pages; `make book` writes it and `make test` sees that it is fresh."""
    if not (HTML / "index.html").is_file():
        pytest.fail(f"{HTML} holds no built book. Run `make book` first.", pytrace=False)
    return HTML


class _QuietHandler(SimpleHTTPRequestHandler):
    def log_message(self, *args: object) -> None:
        """Keep the server's request log out of the test report."""


@contextmanager
def serving(folder: Path) -> Iterator[tuple[str, Callable[[], None]]]:
    """A server for a folder on this machine: its address (no trailing slash), and what ends it before its time."""
    server = ThreadingHTTPServer(("127.0.0.1", 0), functools.partial(_QuietHandler, directory=str(folder)))
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()

    def stop() -> None:
        server.shutdown()
        server.server_close()
        thread.join()

    yield f"http://127.0.0.1:{server.server_address[1]}", stop
    if thread.is_alive():
        stop()


@pytest.fixture(scope="session")
def book_url(book_html: Path) -> Iterator[str]:
    """The address (no trailing slash) at which the built book is served while the tests run."""
    with serving(book_html) as (url, _):
        yield url


# JupyterLab would take out of the page what is out of sight, and ask whether to fetch news.
SETTINGS = {
    "@jupyterlab/notebook-extension/tracker.jupyterlab-settings": '{"windowingMode": "none"}',
    "@jupyterlab/apputils-extension/notification.jupyterlab-settings": '{"fetchNews": "false"}',
}


@contextmanager
def jupyter(folder: Path) -> Iterator[str]:
    """A server of JupyterLab and Notebook on a folder: its address. It is killed in the end, kernels and all."""
    for name, content in SETTINGS.items():
        (folder / "settings" / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / "settings" / name).write_text(content)
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        url = f"http://127.0.0.1:{free.getsockname()[1]}"
    home = {f"JUPYTER_{name}_DIR": str(folder / name.lower()) for name in ("CONFIG", "RUNTIME")}
    log = folder / "server.log"
    server = subprocess.Popen(
        [
            *(sys.executable, "-m", "jupyter", "lab", "--no-browser", "--allow-root", "--ip=127.0.0.1"),
            *(f"--ServerApp.port={urlsplit(url).port}", "--ServerApp.port_retries=0", "--IdentityProvider.token="),
            *(f"--ServerApp.root_dir={folder}", "--LabApp.expose_app_in_browser=True"),
            *("--ServerApp.terminals_enabled=False", "--ServerApp.log_level=WARN"),
        ],
        env={**os.environ, **home, "JUPYTERLAB_SETTINGS_DIR": str(folder / "settings"), "PYTHONPATH": str(ROOT)},
        stdout=log.open("w"),
        stderr=subprocess.STDOUT,
        start_new_session=True,
    )

    def answers() -> bool:
        try:
            return urllib.request.urlopen(f"{url}/api/status", timeout=2).status == 200
        except OSError:
            return False

    try:
        assert until(answers, bool, 90), log.read_text()
        yield url
    finally:
        server.terminate()  # it shuts its kernels down
        try:
            server.wait(20)
        except subprocess.TimeoutExpired:
            server.kill()
            server.wait()


@pytest.fixture(scope="session")
def browser() -> Iterator[Browser]:
    """One headless Chromium for the session."""
    with sync_playwright() as playwright:
        try:
            chromium = launch(playwright)
        except Error as error:
            failure = error
        else:
            failure = None
        if failure:  # outside `except`, so that the report begins with our words
            pytest.fail(f"{BY_HAND}\n\n{failure}", pytrace=False)
        yield chromium
        chromium.close()


@dataclass
class Watch:
    """What a page did that a page of this book must not do."""

    foreign: list[str] = field(default_factory=list)
    """Addresses on other hosts that the page asked for (every one was refused)."""
    errors: list[str] = field(default_factory=list)
    """Uncaught exceptions, console errors, and requests to this machine that failed."""


def watch_context(context: BrowserContext) -> Watch:
    """Refuse every request that leaves this machine, and note it together with all errors."""
    watch = Watch()

    def stay_here(route: Route) -> None:
        address = urlsplit(route.request.url)
        if address.scheme in {"file", "data", "blob"} or address.hostname in {"127.0.0.1", "localhost"}:
            route.continue_()
        else:
            watch.foreign.append(route.request.url)
            route.abort()

    context.route("**/*", stay_here)
    context.on("console", lambda m: watch.errors.append(f"console: {m.text}") if m.type == "error" else None)
    context.on("weberror", lambda e: watch.errors.append(f"exception: {e.error}"))
    context.on("response", lambda r: watch.errors.append(f"{r.status} {r.url}") if r.status >= 400 else None)
    return watch


def until(read: Callable[[], T], holds: Callable[[T], bool], seconds: float = 20) -> T:
    """What is read, as soon as it holds, and at the latest after so long: the machine may be busy."""
    end = time.monotonic() + seconds
    while not holds(found := read()) and time.monotonic() < end:
        time.sleep(0.1)
    return found


def drawn(page: Page) -> Page:
    """The page, when it has drawn what was last asked of it: explorers draw in the next frame."""
    page.evaluate("() => new Promise(done => requestAnimationFrame(() => requestAnimationFrame(done)))")
    return page


def canvas_pixels(canvas: Locator) -> np.ndarray:
    """What a canvas shows, (height, width, 3) from 0 to 255 in its own pixels, once what was last asked for is drawn.

    It travels as a picture: as a list of numbers it would take seconds.
    """
    drawn(canvas.page)
    packed = canvas.evaluate("canvas => canvas.toDataURL('image/png').split(',')[1]")
    return np.asarray(Image.open(io.BytesIO(base64.b64decode(packed))).convert("RGB"))


def violations(page: Page, within: str | None = None, **options: object) -> list[str]:
    """What axe-core finds, and where. (It names no element that is in order, which takes longer than to find those.)"""
    found = Axe().run(page, context=within, options={"resultTypes": ["violations"], **options}).response["violations"]
    return [f"{violation['id']}: {node['html'][:160]} | {node['failureSummary'][:300]}"
            for violation in found for node in violation["nodes"][:4]]


def thread_ms(page: Page, act: Callable[[], object], *events: str) -> list[float]:
    """Processor milliseconds of the page's thread for each of its `events` while `act` runs: "pointermove", "frame".

    Time by the clock would count what else the machine does.
    """
    browser = page.context.browser
    browser.start_tracing(page=page, categories=["devtools.timeline"])
    act()
    traced = json.loads(browser.stop_tracing())["traceEvents"]
    named = [("frame" if event["name"] == "FireAnimationFrame" else event["args"]["data"]["type"], event["tdur"] / 1000)
             for event in traced if event["name"] in ("EventDispatch", "FireAnimationFrame") and "tdur" in event]
    return [duration for name, duration in named if name in events]


@pytest.fixture
def context(browser: Browser) -> Iterator[BrowserContext]:
    """A fresh browser profile, 1280 × 900, light mode, without the served book's worker."""
    fresh = browser.new_context(viewport={"width": 1280, "height": 900}, color_scheme="light", service_workers="block")
    fresh.set_default_timeout(20_000)
    yield fresh
    fresh.close()


@pytest.fixture
def watch(context: BrowserContext) -> Watch:
    """The record of `page`: requests to other hosts (refused) and errors, filled while the page runs."""
    return watch_context(context)


@pytest.fixture
def page(context: BrowserContext, watch: Watch) -> Page:
    """A blank page in a fresh profile, watched by `watch`."""
    return context.new_page()
