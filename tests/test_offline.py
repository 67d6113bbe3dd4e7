"""The book without a network: unpacked from `make zip`'s file, and kept by the browser where it is served."""

from __future__ import annotations

import json
import os
import re
import zipfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest
from playwright.sync_api import Browser, Error, Page, expect

from archive import NAME, NOTICES, pack
from conftest import HTML, ROOT, Watch, serving
from test_book import PAGES, settle

CHAPTER = "book/chapters/03-cbam.html"


@pytest.fixture(scope="module")
def archive(book_html: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    target = tmp_path_factory.mktemp("archive") / "book.zip"
    pack(ROOT, target)
    return target


@pytest.fixture(scope="module")
def unpacked(archive: Path) -> Path:
    with zipfile.ZipFile(archive) as packed:
        packed.extractall(archive.parent)
    return archive.parent / NAME


def test_the_archive_is_whole_and_names_its_licences(unpacked: Path) -> None:
    there = {path.relative_to(unpacked).as_posix() for path in unpacked.rglob("*") if path.is_file()}
    built = {path.relative_to(HTML).as_posix() for path in HTML.rglob("*") if path.is_file()} - {".buildinfo"}
    assert built < there
    assert {path.split("/")[0] for path in there - built} == set(NOTICES)
    assert set(PAGES) < there


def test_the_same_pages_give_the_same_archive(tmp_path: Path) -> None:
    archives = []
    for name, mode, order in (("first", 0o644, ("a", "b")), ("second", 0o600, ("b", "a"))):
        folder = tmp_path / name / "_build" / "html"
        folder.mkdir(parents=True)
        for page in order:
            (folder / f"{page}.html").write_text(f"page {page}", encoding="utf-8")
            (folder / f"{page}.html").chmod(mode)
            os.utime(folder / f"{page}.html", (mode * 10**6, mode * 10**6))
        pack(tmp_path / name, tmp_path / f"{name}.zip")
        archives.append((tmp_path / f"{name}.zip").read_bytes())
    assert archives[0] == archives[1]
    assert len(zipfile.ZipFile(tmp_path / "first.zip").namelist()) == 2


def test_equations_explorers_and_search_work_in_the_unpacked_folder(unpacked: Path, page: Page, watch: Watch) -> None:
    page.context.set_offline(True)
    page.goto((unpacked / CHAPTER).as_uri())
    settle(page)
    assert page.locator("main mjx-container svg").count() > 3
    root = page.locator(".attention-explorer").first
    expect(root.get_by_role("status").first).to_contain_text(re.compile(r"\w"))
    before = root.get_by_role("status").first.inner_text()
    root.get_by_role("radio").nth(1).check()
    expect(root.get_by_role("status").first).not_to_have_text(before)
    page.goto(f"{(unpacked / 'search.html').as_uri()}?q=softmax")
    expect(page.locator("#search-results li").first).to_be_visible()
    assert page.evaluate("() => navigator.serviceWorker?.controller ?? null") is None
    assert watch.foreign == []
    assert watch.errors == []


@dataclass
class Installed:
    """A profile in which the served book's worker is at work, and one chapter was read."""

    page: Page
    url: str
    go_offline: Callable[[], None]
    """Ends the server."""


def explorer_speaks(page: Page) -> None:
    page.locator(".attention-explorer [role=status]").filter(has_text=re.compile(r"\w")).first.wait_for()


@pytest.fixture
def installed(browser: Browser, book_html: Path) -> Iterator[Installed]:
    with serving(book_html) as (url, stop):
        context = browser.new_context()
        page = context.new_page()
        page.goto(f"{url}/{CHAPTER}")
        page.wait_for_function("() => navigator.serviceWorker.controller")
        page.reload()
        settle(page)
        explorer_speaks(page)                # its network came after the page
        yield Installed(page, url, stop)
        context.close()


def test_a_chapter_that_was_read_is_there_without_a_network(installed: Installed) -> None:
    page = installed.page
    installed.go_offline()
    page.goto(f"{installed.url}/{CHAPTER}#exercises")
    settle(page)
    assert page.locator("main mjx-container svg").count() > 3
    explorer_speaks(page)
    with pytest.raises(Error, match="ERR_"):        # and the server is really gone
        page.goto(f"{installed.url}/book/glossary.html")


# Waits until the browser keeps as many pages.
KEPT = """async (count) => {
    const [name] = await caches.keys();
    const cache = await caches.open(name);
    const pages = async () => (await cache.keys()).filter(request => request.url.endsWith(".html")).length;
    while (await pages() < count) await new Promise(done => setTimeout(done, 50));
}"""


def test_an_installed_book_is_there_whole(installed: Installed) -> None:
    page = installed.page
    page.evaluate("() => dispatchEvent(new Event('appinstalled'))")
    page.evaluate(KEPT, len(PAGES))
    installed.go_offline()
    page.goto(f"{installed.url}/book/glossary.html")
    assert "Glossary" in page.title()
    page.goto(f"{installed.url}/search.html?q=softmax")
    expect(page.locator("#search-results li").first).to_be_visible()


def test_the_worker_belongs_to_its_build_and_its_folder(installed: Installed) -> None:
    page, url = installed.page, installed.url
    build = re.search(r'NAME \+ "([0-9a-f]{16})"', (HTML / "worker.js").read_text(encoding="utf-8"))[1]
    assert page.evaluate("() => caches.keys()") == [f"attention-you-can-see {build}"]
    assert page.evaluate("async () => (await navigator.serviceWorker.ready).scope") == f"{url}/"
    assert page.evaluate("() => document.querySelector('link[rel=manifest]').href") == f"{url}/book.webmanifest"
    manifest = json.loads((HTML / "book.webmanifest").read_text(encoding="utf-8"))
    assert (HTML / manifest["start_url"]).is_file()
    assert all((HTML / icon["src"]).is_file() for icon in manifest["icons"])
    assert manifest["scope"] == "."
