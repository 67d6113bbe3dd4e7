"""The book on paper and for e-readers: make paper

The built pages are opened in the Chromium that the tests use, and what they show becomes one long document, which it
prints, and an EPUB (epub.py). Equations and pictures are those of the pages; an explorer is a picture of itself as it
begins, with the address at which it moves; what a page folds away stands at its end. The same pages give the same bytes.
"""

from __future__ import annotations

import argparse
import io
import re
import sys
from collections import Counter
from dataclasses import dataclass
from html import escape
from pathlib import Path

import yaml
from playwright.sync_api import Browser, Page, sync_playwright
from pypdf import PdfReader, PdfWriter

ROOT = Path(__file__).resolve().parent.parent
sys.path[:0] = [str(ROOT / "scripts"), str(ROOT / "tests")]

import epub  # noqa: E402
from browser import launch  # noqa: E402
from publish import repository, texts, version  # noqa: E402

NAME = "attention-you-can-see"
SCRIPT, STYLE = (Path(__file__).with_suffix(suffix) for suffix in (".js", ".css"))
WIDTH = 1120                # of the window, in which an article is as wide as a printed page
SCALE = 0.8                 # of print: seventeen pixels of text become ten points
TIMEOUT = 600_000           # milliseconds: a whole book is long to print
QUALITY = 88                # of an explorer's picture


@dataclass(frozen=True)
class Book:
    """What stands in the contents: parts, each with the names of its pages; and where and what the book is."""

    title: str
    authors: str
    version: str
    site: str
    parts: tuple[tuple[str, tuple[str, ...]], ...]

    @property
    def pages(self) -> list[str]:
        return [page for _, pages in self.parts for page in pages]


@dataclass(frozen=True)
class Article:
    """One page's text, as XHTML whose ids begin with its name, and its sections: of each the id and the heading."""

    name: str
    title: str
    sections: list[list[str]]
    xhtml: str


def the_book(root: Path = ROOT) -> Book:
    """What the repository says of the book. Its published pages are those of the address that `make address` sets."""
    config = yaml.safe_load((root / "_config.yml").read_text(encoding="utf-8"))
    toc = yaml.safe_load((root / "_toc.yml").read_text(encoding="utf-8"))
    found = texts()
    owner, _, name = repository(found).partition("/")
    parts = (("", (toc["root"],)), *((part["caption"], tuple(chapter["file"] for chapter in part["chapters"]))
                                     for part in toc["parts"]))
    return Book(config["title"], config["author"], version(found), f"https://{owner}.github.io/{name}/", parts)


def name_of(page: str) -> str:
    """A page's name in the one document, in which there are no folders."""
    return page.rpartition("/")[2]


def opened(browser: Browser, html: Path, page: str) -> Page:
    """A page of the built book, in light mode, when its scripts, equations, explorers and fonts are done."""
    tab = browser.new_page(viewport={"width": WIDTH, "height": 900}, device_scale_factor=2, color_scheme="light",
                           reduced_motion="reduce")
    tab.set_default_timeout(TIMEOUT)
    tab.goto((html / f"{page}.html").as_uri())
    tab.evaluate("() => window.MathJax?.startup?.promise")
    tab.evaluate("() => document.fonts.ready")
    for explorer in tab.locator(".attention-explorer").all():
        explorer.get_by_role("status").filter(has_text=re.compile(r"\w")).first.wait_for()
    tab.wait_for_load_state("networkidle")
    return tab


def stills(tab: Page, name: str, images: Path) -> list[dict[str, str]]:
    """Photograph each explorer of an open page: the pictures' files, beside the document, and words for each."""
    tab.add_style_tag(content=CONTROLS)
    found = []
    for number, explorer in enumerate(tab.locator(".attention-explorer").all(), 1):
        file = images / f"{name}-{number}.jpg"
        explorer.screenshot(path=file, type="jpeg", quality=QUALITY)
        says = explorer.get_by_role("status").filter(has_text=re.compile(r"\w")).first.inner_text()
        found.append({"file": f"{images.name}/{file.name}", "alt": f"The explorer as it begins. {' '.join(says.split())}"})
    return found


def articles(browser: Browser, book: Book, html: Path, out: Path) -> tuple[list[Article], list[Article], list[str]]:
    """Every page's article, once for paper and once for an e-reader, and the styles that the pages have."""
    images = out / "images"
    images.mkdir(parents=True, exist_ok=True)
    script = SCRIPT.read_text(encoding="utf-8")
    names = {f"{page}.html": name_of(page) for page in book.pages}
    on_paper, on_readers, styles = [], [], {}
    for page in book.pages:
        name = name_of(page)
        tab = opened(browser, html, page)
        given = {"name": name, "folder": page.removesuffix(name), "site": book.site, "pages": names,
                 "stills": stills(tab, name, images)}
        for found, way in ((on_paper, {"apart": False, "drawing": "wide", "mathml": False}),
                           (on_readers, {"apart": True, "drawing": "narrow", "mathml": True})):
            found.append(Article(name, **tab.evaluate(script, given | way)))
        styles |= dict.fromkeys(tab.evaluate(STYLES))
        tab.close()
    return on_paper, on_readers, list(styles)


# What there is to press below an explorer's picture, its memory of past states, and tables that scroll.
CONTROLS = """.attention-explorer :is(.ax-painting, .ax-memory, .ax-values, .ax-hint, .ax-scroll, button:not([role])) {
    display: none !important;
}"""

# A page's styles: those that it links, and what scripts have added to its head.
STYLES = """() => [...document.querySelectorAll("link[rel=stylesheet], head style")].map(node =>
    node.href ? `@import url("${node.href.split("?")[0]}");` : node.textContent)"""


def contents(book: Book, titles: dict[str, str]) -> str:
    """The contents, each line with room for its page."""
    lines = []
    for part, pages in book.parts:
        lines += [f"<h2>{escape(part)}</h2>"] if part else []
        lines += [f'<p><a href="#{name}">{escape(titles[name])}</a><span class="page" data-to="{name}">000</span></p>'
                  for name in map(name_of, pages)]
    return "\n".join(lines)


def running_heads(found: list[Article]) -> str:
    """Each page's title, on top of its printed pages but the first."""
    return "\n".join(
        f'article[id="{article.name}"] {{ page: p{number}; }}\n'
        f'@page p{number} {{ @top-center {{ content: "{article.title.translate(QUOTED)}"; }} }}\n'
        f'@page p{number}:first {{ @top-center {{ content: none; }} }}'
        for number, article in enumerate(found)
    )


QUOTED = str.maketrans({'"': r"\"", "\\": r"\\"})


def document(book: Book, found: list[Article], styles: list[str]) -> str:
    """The one long document: a title page, the contents, and every article."""
    titles = {article.name: article.title for article in found}
    imports = sorted(styles, key=lambda style: not style.startswith("@import"))      # those must come first
    style = "\n".join([*imports, STYLE.read_text(encoding="utf-8"), running_heads(found)])
    return f"""<?xml version="1.0" encoding="utf-8"?>
<html xmlns="http://www.w3.org/1999/xhtml" lang="en" data-theme="light" data-mode="light">
<head><title>{escape(book.title)}</title>
<style>{escape(style, quote=False)}</style></head>
<body>
<header class="title-page"><p class="title">{escape(book.title)}</p>
<p>{escape(book.authors)}</p><p>Version {book.version}</p>
<p>The same book on the web, where its explorers move and answer: <a href="{book.site}">{book.site}</a></p>
<p>The text and the figures are under CC BY 4.0, the code under the MIT License; the page on the photographs names theirs.</p>
</header>
<nav class="book-contents"><h1>Contents</h1>
{contents(book, titles)}
</nav>
{"".join(article.xhtml for article in found)}
</body></html>
"""


def checked(text: str) -> str:
    """The document, if every link within it leads somewhere and no id stands twice; a ValueError if not."""
    ids = Counter(re.findall(r'\sid="([^"]+)"', text))
    lost = {target for target in re.findall(r'\shref="#([^"]+)"', text) if target not in ids}
    twice = sorted(name for name, times in ids.items() if times > 1)
    if lost or twice:
        raise ValueError(f"links lead nowhere: {sorted(lost)}; ids stand twice: {twice}")
    return text


PAGE = re.compile(r'(<span(?: xmlns="[^"]*")? class="page" data-to="([^"]+)">)(\d+)(</span>)')

# What is wider than the page, or than its own box.
TOO_WIDE = """() => [...document.querySelectorAll("body *:not(svg *, mjx-container *)")].filter(node => {
    const box = node.getBoundingClientRect();
    return box.right > innerWidth + 1 && box.width > 1;
}).slice(0, 8).map(node => `${node.closest("article")?.id}: ${node.outerHTML.replace(/ xmlns="[^"]*"/g, "").slice(0, 140)}`)"""


def printed(browser: Browser, file: Path) -> bytes:
    """The document as a PDF, with an outline and tags."""
    tab = browser.new_page(color_scheme="light", reduced_motion="reduce")
    tab.set_default_timeout(TIMEOUT)
    tab.goto(file.as_uri(), wait_until="load")
    tab.evaluate("() => document.fonts.ready")
    pdf = tab.pdf(prefer_css_page_size=True, scale=SCALE, outline=True, tagged=True, print_background=True)
    tab.close()
    return pdf


def numbers(pdf: bytes) -> dict[str, int]:
    """On which page each id that is linked stands."""
    reader = PdfReader(io.BytesIO(pdf))
    places = {page.indirect_reference.idnum: number for number, page in enumerate(reader.pages, 1)}
    return {name.lstrip("/"): places[target.raw_get("/Page").idnum] if "/Page" in target else 0
            for name, target in reader.named_destinations.items()}


def with_pages(text: str, places: dict[str, int]) -> str:
    """The document with the number of a page wherever it names one."""
    return PAGE.sub(lambda found: f"{found[1]}{places[found[2]]}{found[4]}", text)


def write_pdf(browser: Browser, book: Book, text: str, target: Path, out: Path) -> int:
    """Print twice, since only the first print tells what stands on which page; the number of pages."""
    file = out / "book.xhtml"
    file.write_text(text, encoding="utf-8")
    places = numbers(printed(browser, file))
    file.write_text(with_pages(text, places), encoding="utf-8")
    pdf = printed(browser, file)
    if numbers(pdf) != places:
        raise ValueError("the numbers of pages moved the pages: the second print differs from the first")
    writer = PdfWriter(clone_from=io.BytesIO(pdf))
    writer.metadata = {"/Title": book.title, "/Author": book.authors}       # and no time of day
    writer.write(target)
    return len(writer.pages)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--html", type=Path, default=ROOT / "_build" / "html", help="where the built pages are")
    parser.add_argument("--out", type=Path, default=ROOT / "_build" / "paper", help="where the two files go")
    given = parser.parse_args()
    if not (given.html / "index.html").is_file():
        print("There is no built book to print. Run `make book` first.", file=sys.stderr)
        return 1
    book = the_book()
    pdf, reader = (given.out / f"{NAME}-{book.version}.{kind}" for kind in ("pdf", "epub"))
    with sync_playwright() as playwright:
        browser = launch(playwright)
        on_paper, on_readers, styles = articles(browser, book, given.html.resolve(), given.out.resolve())
        pages = write_pdf(browser, book, checked(document(book, on_paper, styles)), pdf, given.out.resolve())
    print(f"==> {pdf}: {pages} pages, {pdf.stat().st_size / 1e6:.1f} MB")
    return 0


if __name__ == "__main__":
    sys.exit(main())
