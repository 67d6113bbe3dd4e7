"""The book on paper and for e-readers: of a chapter, an overview and the references what `make paper` makes of all."""

from __future__ import annotations

import io
import posixpath
import re
import zipfile
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from urllib.parse import unquote, urldefrag
from xml.etree import ElementTree

import pytest
from bs4 import BeautifulSoup
from pikepdf import Array, Dictionary, Name, Pdf, Stream
from PIL import Image
from playwright.sync_api import Browser

import paper
from conftest import HTML

pytestmark = pytest.mark.thorough

CHAPTER = "book/chapters/07-self-attention"
PAGES = (CHAPTER, "book/chapters/gates-on-one-page", "book/references")
TO_PRESS = "script, button, input, select, textarea, canvas, details, summary"
DRAWN = "mjx-container"         # an equation as the pages have it, outlines and all
XHTML = "{http://www.w3.org/1999/xhtml}"
MATHML = "{http://www.w3.org/1998/Math/MathML}"
PACKAGE = "{http://www.idpf.org/2007/opf}"


@dataclass
class Made:
    """What was made of the pages, and the pages themselves."""

    pdf: Pdf
    epub: Path
    document: BeautifulSoup
    """The one document that was printed."""
    pages: dict[str, BeautifulSoup]
    """The built pages' articles, before any script has run."""


def book_of(*pages: str) -> paper.Book:
    return replace(paper.the_book(), parts=(("", pages),))


@pytest.fixture(scope="module")
def made(browser: Browser, book_html: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Made]:
    out = tmp_path_factory.mktemp("paper")
    pdf, epub = paper.make(browser, book_of(*PAGES), book_html, out)
    pages = {page: BeautifulSoup((book_html / f"{page}.html").read_text(encoding="utf-8"), "html.parser")
             .select_one("article.bd-article") for page in PAGES}
    for sign in (sign for page in pages.values() for sign in page.select(".headerlink")):
        sign.decompose()
    document = BeautifulSoup((out / "book.xhtml").read_text(encoding="utf-8"), "html.parser")
    with Pdf.open(pdf) as opened:
        yield Made(opened, epub, document, pages)


def words(node: BeautifulSoup) -> str:
    return " ".join(node.get_text().split())


def headings(made: Made, *names: str) -> list[str]:
    """Headings of the pages."""
    return [words(heading) for page in made.pages.values()
            for heading in page.find_all(names)]


def outline(pdf: Pdf) -> list[tuple[str, int]]:
    """The outline's lines, of every level, and the page to which each leads."""
    order = {page.objgen: number for number, page in enumerate(pdf.pages, 1)}
    found = []

    def walk(node: Dictionary | None) -> None:
        while node is not None:
            target = node.Dest if "/Dest" in node else node.A.D
            target = target if isinstance(target, Array) else pdf.Root.Dests[str(target)]
            found.append((str(node.Title), order[target[0].objgen]))
            walk(node.get("/First"))
            node = node.get("/Next")

    walk(pdf.Root.Outlines.First)
    return found


@pytest.mark.thorough
def test_the_outline_has_every_heading_and_the_contents_its_page(made: Made) -> None:
    lines = outline(made.pdf)
    assert not Counter(headings(made, "h1", "h2", "h3")) - Counter(title for title, _ in lines)
    contents = {words(line.a): int(line.select_one(".page").string)
                for line in made.document.select(".book-contents p:has(a)")}
    assert contents == {title: page for title, page in lines if title in headings(made, "h1")}
    assert len(set(contents.values())) == len(PAGES)


def test_every_picture_of_the_pages_is_there_with_its_words(made: Made) -> None:
    said = {str(node.Alt) for node in made.pdf.objects if isinstance(node, Dictionary) and "/Alt" in node}
    pictures = [node for page in made.pages.values() for node in page.select("[role=img][aria-label], img[alt]")
                if not node.find_parent(class_="attention-explorer")]
    assert len(pictures) > 15
    assert not [node for node in pictures if (node.get("aria-label") or node["alt"]) not in said]
    for drawing in made.document.select(".picture img"):
        svg = unquote(drawing["src"].partition(",")[2])
        assert set(re.findall(r'(?:href="|url\()#([^")]+)', svg)) <= set(re.findall(r'\sid="([^"]+)"', svg))
    figures = {figure["id"] for page in made.pages.values() for figure in page.select("figure[id]")}
    printed = {figure["id"].partition("--")[2] for figure in made.document.select("figure[id]")}
    assert figures
    assert figures <= printed


def test_an_explorer_is_a_picture_and_an_address(made: Made) -> None:
    explorers = [page for page, article in made.pages.items() for _ in article.select(".attention-explorer")]
    stills = made.document.select("figure.still")
    assert len(stills) == len(explorers) > 0
    for page, still in zip(explorers, stills, strict=True):
        assert still.a["href"] == still.a.string == f"{paper.the_book().site}{page}.html"
        assert "The network reads " in still.img["alt"]
    assert any(str(image.get("/Filter")) == "/DCTDecode" and image.Width > 1200 for image in made.pdf.objects
               if isinstance(image, Stream) and image.get("/Subtype") == "/Image")


def test_nothing_is_to_be_pressed_and_nothing_of_the_text_is_lost(made: Made) -> None:
    assert made.document.select(TO_PRESS) == []
    printed = words(made.document)
    for page, article in made.pages.items():
        blocks = [words(block) for block in article.select("pre, figcaption p, .admonition p:not(.admonition-title)")
                  if not block.select(".math") and not block.find_parent(class_="attention-explorer")]
        assert blocks or page.endswith("references")
        assert not [block for block in blocks if block not in printed]


def test_what_is_folded_stands_once_at_the_end_and_is_named_in_its_place(made: Made) -> None:
    folded = made.pages[CHAPTER].select("details, .solution.dropdown")
    chapter = made.document.select_one('[id="07-self-attention"]')
    assert len(chapter.select(".folds .folded")) == len(folded) > 15
    for part in chapter.select(".folds .folded"):
        place = chapter.find(id=part.select_one(".folded-title a")["href"][1:])
        assert place.a["href"] == f"#{part['id']}"
        assert not place.find_parent(class_="folds")
        assert int(place.select_one(".page").string) >= int(part.select_one(".folded-title .page").string)
    assert [words(heading) for heading in chapter.select(".folds > h2")][1] == "Solutions"


def test_every_link_leads_somewhere(made: Made) -> None:
    places = set(made.pdf.Root.Dests.keys())
    actions = [link for page in made.pdf.pages for link in page.get("/Annots", []) if link.Subtype == Name.Link]
    inner = [str(link.Dest) for link in actions if "/Dest" in link]
    outer = [str(link.A.URI) for link in actions if "/A" in link and "/URI" in link.A]
    assert len(inner) > 50
    assert set(inner) <= places
    site = paper.the_book().site
    own = [urldefrag(address).url.removeprefix(site) for address in outer if address.startswith(site)]
    assert own
    assert not [name for name in own if name and not (HTML / unquote(name)).is_file()]
    assert not [address for address in outer if not address.startswith("https://")]


def test_a_pdf_says_what_it_is_and_not_when_it_was_made(made: Made) -> None:
    assert str(made.pdf.docinfo["/Title"]) == "Attention You Can See"
    assert "/CreationDate" not in made.pdf.docinfo
    assert made.pdf.Root.MarkInfo.Marked
    assert str(made.pdf.Root.Lang).startswith("en")


ODD = """<html xmlns="http://www.w3.org/1999/xhtml"><head><title>Odd</title></head>
<body><article id="odd"><pre style="white-space: pre">{}</pre></article></body></html>"""


def test_what_would_be_cut_stops_the_print(browser: Browser, tmp_path: Path) -> None:
    file = tmp_path / "odd.xhtml"
    file.write_text(ODD.format("word " * 10), encoding="utf-8")
    assert paper.printed(browser, file).startswith(b"%PDF")
    file.write_text(ODD.format(f"<code>{'word ' * 100}</code>"), encoding="utf-8")
    with pytest.raises(ValueError, match="wider than the page:\nodd: <code>"):
        paper.printed(browser, file)


def test_a_lost_link_and_an_id_that_stands_twice_stop_it() -> None:
    assert paper.checked('<p id="a"/><a href="#a"/>')
    with pytest.raises(ValueError, match=r"lead nowhere: \['b'\]"):
        paper.checked('<p id="a"/><a href="#b"/>')
    with pytest.raises(ValueError, match=r"twice: \['a'\]"):
        paper.checked('<p id="a"/><p id="a"/>')


@pytest.fixture(scope="module")
def unpacked(made: Made) -> dict[str, bytes]:
    with zipfile.ZipFile(made.epub) as archive:
        first = archive.infolist()[0]
        assert (first.filename, first.compress_type) == ("mimetype", zipfile.ZIP_STORED)
        return {name: archive.read(name) for name in archive.namelist()}


def texts(unpacked: dict[str, bytes]) -> dict[str, ElementTree.Element]:
    """The EPUB's texts, parsed as XML: one that is not well-formed raises."""
    return {name: ElementTree.fromstring(content) for name, content in unpacked.items() if name.endswith(".xhtml")}


def test_the_epub_lists_all_that_it_holds(unpacked: dict[str, bytes]) -> None:
    package = ElementTree.fromstring(unpacked["EPUB/package.opf"])
    listed = {item.get("id"): item for item in package.iter(f"{PACKAGE}item")}
    assert {f"EPUB/{item.get('href')}" for item in listed.values()} | {
        "mimetype", "META-INF/container.xml", "EPUB/package.opf"} == set(unpacked)
    order = [listed[line.get("idref")].get("href") for line in package.iter(f"{PACKAGE}itemref")]
    assert order == ["title.xhtml", "nav.xhtml", *(f"{paper.name_of(page)}.xhtml" for page in PAGES)]
    for item in listed.values():
        content, said = unpacked[f"EPUB/{item.get('href')}"], (item.get("properties") or "").split()
        if item.get("href").endswith(".xhtml"):
            assert ("svg" in said, "mathml" in said) == (b"<svg" in content, b"<math" in content)
        if item.get("href") == "cover.jpeg":
            assert said == ["cover-image"]
            assert Image.open(io.BytesIO(content)).size == (1200, 1800)
            meta = next(node for node in package.iter() if node.get("name") == "cover")
            assert listed[meta.get("content")] is item
        if item.get("media-type") == "image/png":
            assert content.startswith(b"\x89PNG")


def test_the_epubs_links_and_pictures_are_in_it(unpacked: dict[str, bytes]) -> None:
    pages = texts(unpacked)
    ids = {name: [node.get("id") for node in page.iter() if node.get("id")] for name, page in pages.items()}
    assert not [name for name, found in ids.items() if len(found) != len(set(found))]
    inner = 0
    for name, page in pages.items():
        for node in page.iter():
            for key in ("href", "src", "{http://www.w3.org/1999/xlink}href"):
                target, fragment = urldefrag(node.get(key, "https:"))
                if not target.startswith("https:"):
                    inner += 1
                    file = posixpath.join("EPUB", target) if target else name
                    assert file in unpacked, (name, node.get(key))
                    assert not fragment or fragment in ids[file], (name, node.get(key))
    assert inner > 100


def test_the_epub_has_every_equation_picture_and_line_of_code(made: Made, unpacked: dict[str, bytes]) -> None:
    pages = texts(unpacked)
    for page, article in made.pages.items():
        text = pages[f"EPUB/{paper.name_of(page)}.xhtml"]
        assert len(list(text.iter(f"{MATHML}math"))) == len(article.select("span.math, div.math"))
        assert not [node.tag for node in text.iter() if node.tag.removeprefix(XHTML) in (*TO_PRESS.split(", "), DRAWN)]
        assert not [image for image in text.iter(f"{XHTML}img") if " " not in image.get("alt", "")]
        said = {node.get("aria-label") for node in text.iter()}
        assert {picture["aria-label"] for picture in article.select(".picture")} <= said
        code = {"".join(node.itertext()).strip() for node in text.iter(f"{XHTML}pre")}
        assert {pre.get_text().strip() for pre in article.select("pre")} <= code


@pytest.mark.thorough
def test_the_same_pages_give_the_same_files(browser: Browser, book_html: Path, tmp_path: Path) -> None:
    first, second = (paper.make(browser, book_of("book/glossary"), book_html, tmp_path / name) for name in "ab")
    assert [path.read_bytes() for path in first] == [path.read_bytes() for path in second]


def test_the_command_says_what_it_wants(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str],
                                        tmp_path: Path) -> None:
    monkeypatch.setattr("sys.argv", ["paper.py", "--html", str(tmp_path)])
    assert paper.main() == 1
    assert "Run `make book` first" in capsys.readouterr().err
