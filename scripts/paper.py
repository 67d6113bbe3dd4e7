"""The book on paper and for e-readers: make paper

The built pages are opened in the Chromium that the tests use, and what they show becomes one long document, which it
prints, and an EPUB (epub.py). Equations and pictures are those of the pages; an explorer is a picture of itself as it
begins, with the address at which it moves; what a page folds away stands at its end. The same pages give the
same bytes.
"""

from __future__ import annotations

import argparse
import base64
import io
import os
import re
import subprocess
import sys
from collections import Counter
from dataclasses import dataclass
from html import escape
from pathlib import Path

import yaml
from pikepdf import ObjectStreamMode, OutlineItem, Pdf
from PIL import Image
from playwright.sync_api import Browser, Page, sync_playwright

ROOT = Path(__file__).resolve().parent.parent
sys.path[:0] = [str(ROOT / "scripts"), str(ROOT / "tests")]

import epub  # noqa: E402
from browser import launch  # noqa: E402
from publish import repository, texts, version  # noqa: E402

NAME = "attention-you-can-see"
SCRIPT, STYLE = (Path(__file__).with_suffix(suffix) for suffix in (".js", ".css"))
WIDTH = 1120                # of the window, in which an article is as wide as a printed page
PRINTS = 5                  # at most
SCALE = 0.8                 # of print: seventeen pixels of text become ten points
TIMEOUT = 600_000           # milliseconds: a whole book is long to print
QUALITY = 88                # of an explorer's picture


@dataclass(frozen=True)
class Book:
    """What stands in the contents: parts, each with the names of its pages; and where and what the book is."""

    title: str
    authors: str
    version: str
    changed: str
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
    headings: list[str]
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
    site = f"https://{owner}.github.io/{name}/"
    return Book(config["title"], config["author"], version(found), changed(root), site, parts)


def changed(root: Path) -> str:
    """When the last commit was made: an EPUB has to say when it was changed, and the clock would make each another."""
    command = ["git", "log", "-1", "--date=format-local:%Y-%m-%dT%H:%M:%SZ", "--format=%cd"]
    return subprocess.run(command, cwd=root, env=os.environ | {"TZ": "UTC"}, check=True, capture_output=True,
                          text=True).stdout.strip()


def name_of(page: str) -> str:
    """A page's name in the one document, in which there are no folders."""
    return page.rpartition("/")[2]


def opened(browser: Browser, html: Path, page: str) -> Page:
    """A page of the built book, in light mode, when its scripts, equations, explorers and fonts are done."""
    tab = browser.new_page(viewport={"width": WIDTH, "height": 900}, device_scale_factor=2, color_scheme="light",
                           reduced_motion="reduce")
    tab.set_default_timeout(TIMEOUT)
    tab.goto((html / f"{page}.html").as_uri())
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
        alt = f"The explorer as it begins. {' '.join(says.split())}"
        found.append({"file": f"{images.name}/{file.name}", "alt": alt})
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
        for found, apart in ((on_paper, False), (on_readers, True)):
            found.append(Article(name, **tab.evaluate(script, given | {"apart": apart})))
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


def title_page(book: Book) -> str:
    return f"""<p class="title">{escape(book.title)}</p>
<p>{escape(book.authors)}</p><p>Version {book.version}</p>
<p>On the web its explorers move and answer: <a href="{book.site}">{book.site}</a></p>
<p>Text and figures are under CC BY 4.0, the code under the MIT License; photographs under those that a page at the
back names.</p>"""


def contents(book: Book, titles: dict[str, str]) -> str:
    """The contents, each line with room for its page."""
    lines = []
    for part, pages in book.parts:
        lines += [f'<p class="part">{escape(part)}</p>'] if part else []
        lines += [f'<p><a href="#{name}">{escape(titles[name])}</a><span class="page" data-to="{name}">000</span></p>'
                  for name in map(name_of, pages)]
    return "\n".join(lines)


def running_heads(found: list[Article]) -> str:
    """Each page's title, on top of its printed pages."""
    return "\n".join(
        f'article[id="{article.name}"] {{ page: p{number}; }}\n'
        f'@page p{number} {{ @top-center {{ content: "{article.title.translate(QUOTED)}"; }} }}'
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
<header class="title-page">{title_page(book)}</header>
<nav class="book-contents"><p class="title">Contents</p>
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


PAGE = re.compile(r'(<span(?: xmlns="[^"]*")? class="page" data-to="([^"]+)">)\d+')
# An article's width on a printed page, at which is seen what would not fit.
COLUMN = {"width": round((210 - 2 * 18) / 25.4 * 96 / SCALE), "height": 1200}
TOO_WIDE = """() => [...document.querySelectorAll("article *:not(svg *, mjx-container *)")].filter(node => {
    const { right, width } = node.getBoundingClientRect();
    return width > 1 && right > innerWidth + 1;
}).map(node => {
    const words = node.outerHTML.replace(/ (xmlns|style)="[^"]*"/g, "");
    return `${node.closest("article").id}: ${words.slice(0, 120)}`;
})"""


def printed(browser: Browser, file: Path) -> bytes:
    """The document as a PDF, with an outline and tags; a ValueError if anything is wider than the page."""
    tab = browser.new_page(viewport=COLUMN, color_scheme="light", reduced_motion="reduce")
    tab.set_default_timeout(TIMEOUT)
    tab.emulate_media(media="print")
    tab.goto(file.as_uri())
    tab.evaluate("() => document.fonts.ready")
    if cut := tab.evaluate(TOO_WIDE):
        raise ValueError("these are wider than the page:\n" + "\n".join(cut))
    pdf = tab.pdf(prefer_css_page_size=True, scale=SCALE, outline=True, tagged=True, print_background=True)
    tab.close()
    return pdf


def numbers(pdf: Pdf) -> dict[str, int]:
    """On which page each place stands that a link leads to."""
    order = {page.objgen: number for number, page in enumerate(pdf.pages, 1)}
    return {name.removeprefix("/"): order[place[0].objgen] for name, place in pdf.Root.Dests.items()}


def with_pages(text: str, places: dict[str, int]) -> str:
    """The document with its number wherever a page is named."""
    return PAGE.sub(lambda found: f"{found[1]}{places[found[2]]}", text)


def name_outline(pdf: Pdf, headings: list[str]) -> None:
    """Give the outline's lines their headings' words: Chromium leaves out the blank where a heading is broken."""
    whole = {re.sub(r"\s", "", heading): heading for heading in headings}

    def name(items: list[OutlineItem]) -> None:
        for item in items:
            item.title = whole[re.sub(r"\s", "", item.title)]
            name(item.children)

    with pdf.open_outline() as outline:
        name(outline.root)


def write_pdf(browser: Browser, book: Book, text: str, headings: list[str], target: Path) -> int:
    """Print until the numbers of pages in the text, which only a print tells, are those of the print; their number."""
    file = target.with_name("book.xhtml")
    places: dict[str, int] = {}
    for _ in range(PRINTS):
        file.write_text(with_pages(text, places) if places else text, encoding="utf-8")
        before, pdf = places, Pdf.open(io.BytesIO(printed(browser, file)))
        if (places := numbers(pdf)) == before:
            break
    else:
        raise ValueError(f"the numbers of pages still move the pages after {PRINTS} prints")
    name_outline(pdf, headings)
    del pdf.trailer["/Info"]                            # which says when it was printed
    pdf.docinfo["/Title"], pdf.docinfo["/Author"] = book.title, book.authors
    pdf.save(target, object_stream_mode=ObjectStreamMode.generate, deterministic_id=True)
    return len(pdf.pages)


def cover(browser: Browser, book: Book) -> bytes:
    """What an e-reader shows on its shelf: the title under the cat that SimAM lights, as JPEG."""
    from attention_lite.lab import gallery

    file = io.BytesIO()
    Image.fromarray((255 * gallery.cat(300)).round().astype("uint8")).save(file, "png")
    tab = browser.new_page(viewport={"width": 600, "height": 900}, device_scale_factor=2)
    tab.set_content(f"""<html lang="en"><title>{escape(book.title)}</title><style>{COVER}</style><body>
<img src="data:image/png;base64,{base64.b64encode(file.getvalue()).decode()}" alt="">
<h1>{escape(book.title)}</h1><p>{escape(book.authors)}</p></body></html>""")
    picture = tab.screenshot(type="jpeg", quality=QUALITY)
    tab.close()
    return picture


COVER = """body { margin: 0; background: #1d3d4f; color: #fff; font-family: "DejaVu Serif", Georgia, serif; }
img { display: block; width: 600px; height: 600px; }
h1 { margin: 48px 44px 0; font-size: 58px; line-height: 1.15; }
p { position: fixed; bottom: 26px; margin: 0 44px; font: 20px "DejaVu Sans", sans-serif; }"""


def write_epub(book: Book, found: list[Article], html: Path, images: Path, cover_: bytes, target: Path) -> None:
    """Pack the articles with their pictures, a cover, a title page, the contents and the style."""
    style = "\n".join(path.read_text(encoding="utf-8")
                      for path in (html / "_static" / "pygments.css", Path(epub.__file__).with_suffix(".css")))
    files = {"book.css": style.encode(), epub.COVER: cover_}
    files |= {f"{images.name}/{path.name}": path.read_bytes() for path in images.glob("*.jpg")}
    nav = epub.outline(entries(book, {article.name: article for article in found}))
    pages = {"title": epub.page(book.title, f'<header class="title-page">{title_page(book)}</header>'),
             "nav": epub.page("Contents", f'<nav epub:type="toc"><h1>Contents</h1>{nav}</nav>'),
             **{article.name: epub.page(article.title, epub.with_files(article.xhtml, files)) for article in found}}
    files |= {f"{name}.xhtml": page.encode() for name, page in pages.items()}
    address, spine = f"{book.site}{book.version}", [f"{name}.xhtml" for name in pages]
    epub.pack(target, epub.package(book.title, book.authors, address, book.changed, files, spine), files)


def entries(book: Book, articles: dict[str, Article]) -> list[epub.Entry]:
    """The contents for an e-reader: parts, pages and their sections."""

    def entry(name: str) -> epub.Entry:
        below = tuple(epub.Entry(title, f"{name}.xhtml#{place}") for place, title in articles[name].sections)
        return epub.Entry(articles[name].title, f"{name}.xhtml", below)

    first, *parts = (tuple(entry(name_of(page)) for page in pages) for _, pages in book.parts)
    return [*first, *(epub.Entry(caption, "", below) for (caption, _), below in zip(book.parts[1:], parts, strict=True)
                      if below)]


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--html", type=Path, default=ROOT / "_build" / "html", help="where the built pages are")
    parser.add_argument("--out", type=Path, default=ROOT / "_build" / "paper", help="where the two files go")
    given = parser.parse_args()
    if not (given.html / "index.html").is_file():
        print("There is no built book to print. Run `make book` first.", file=sys.stderr)
        return 1
    with sync_playwright() as playwright:
        make(launch(playwright), the_book(), given.html.resolve(), given.out.resolve())
    return 0


def make(browser: Browser, book: Book, html: Path, out: Path) -> tuple[Path, Path]:
    """Write the PDF and the EPUB of a book that is built."""
    pdf, reader = (out / f"{NAME}-{book.version}.{kind}" for kind in ("pdf", "epub"))
    on_paper, on_readers, styles = articles(browser, book, html, out)
    headings = [heading for article in on_paper for heading in article.headings]
    pages = write_pdf(browser, book, checked(document(book, on_paper, styles)), headings, pdf)
    write_epub(book, on_readers, html, out / "images", cover(browser, book), reader)
    print(f"==> Done: {pdf}, {pages} pages, {pdf.stat().st_size / 1e6:.0f} MB")
    print(f"          {reader}, {reader.stat().st_size / 1e6:.0f} MB")
    return pdf, reader


if __name__ == "__main__":
    sys.exit(main())
