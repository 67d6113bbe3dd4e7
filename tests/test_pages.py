"""The pages beside the chapters: the gallery, where others' users find their way, the package's docstrings, search."""

from __future__ import annotations

import base64
import io
import json
import re

import numpy as np
import pytest
from PIL import Image

import attention_lite
from attention_lite.lab import gallery
from conftest import HTML, ROOT
from test_book import parsed

COMING = (ROOT / "book" / "coming-from.md").read_text(encoding="utf-8")
ROWS = [[cell.strip(" `") for cell in line.strip("| \n").split(" | ")]
        for line in COMING.splitlines() if line.startswith("| `")]
INDEX = json.loads((HTML / "searchindex.js").read_text(encoding="utf-8").removeprefix("Search.setIndex(").rstrip(")"))
CHAPTERS = {"se": "01-se", "eca": "02-eca", "cbam": "03-cbam", "bam": "04-bam", "sk": "05-sk", "psa": "06-psa",
            "self-attention": "07-self-attention", "danet": "08-danet", "emsa": "09-emsa", "external": "10-external",
            "transformer": "12-transformer", "text": "13-text-gates", "coordinate": "14-coordinate-attention",
            "global context": "and-then", "simam": "and-then"}
BLOCKS = [name for name in attention_lite.__all__ if name[0].isupper()]


def test_the_table_has_every_mechanism() -> None:
    named = {row[1].partition("(")[0] for row in ROWS} - {"–"}
    assert len(ROWS) == 20
    assert named == set(BLOCKS) - {"AttentionBlock", "PositionAttentionModule", "ChannelAttentionModule"}


@pytest.mark.parametrize("row", ROWS, ids=[row[0] for row in ROWS])
def test_what_the_table_names_here_can_be_built(row: list[str]) -> None:
    assert len(row) == 3
    if row[1] != "–":
        block = eval(row[1], vars(attention_lite).copy())
        assert isinstance(block, attention_lite.AttentionBlock)


@pytest.mark.parametrize("name", CHAPTERS)
def test_the_gallery_shows_what_the_trained_network_does(name: str) -> None:
    cards = [card for card in parsed("book/gallery.html").select(".sd-card")
             if card.select_one(f'a[href^="chapters/{CHAPTERS[name]}.html"]')]
    same = [other for other in CHAPTERS if CHAPTERS[other] == CHAPTERS[name]]       # on one page, in this order
    assert len(cards) == len(same)
    image = cards[same.index(name)].select_one("img.thumbnail")
    shown = Image.open(io.BytesIO(base64.b64decode(image["src"].partition(",")[2]))).convert("RGB")
    made = gallery.thumbnail(name)
    twice = name in gallery.GATES + gallery.READERS                   # asked for one digit, and for another
    assert made.shape == (gallery.SIDE, 2 * gallery.SIDE + gallery.GAP if twice else gallery.SIDE, 3)
    assert abs(np.asarray(shown, dtype=float) - made).mean() < 7      # WebP's loss, at lines most
    assert len(image["alt"].split()) > 5


def test_no_two_pictures_of_the_gallery_are_the_same() -> None:
    sources = {image["src"] for image in parsed("book/gallery.html").select("img.thumbnail")}
    assert len(sources) == len(CHAPTERS)


def test_a_thumbnail_of_nothing_is_refused() -> None:
    with pytest.raises(ValueError, match=r"name must be one of se, .* got 'senet'"):
        gallery.thumbnail("senet")


def pages_with(words: str) -> set[str]:
    """The pages that a search for all these words finds, by the index that the browser reads."""
    from sphinx.search.en import SearchEnglish

    stem = SearchEnglish({}).stem
    found = []
    for word in re.findall(r"\w+", words.lower()):
        here: set[int] = set()
        for table in ("terms", "titleterms"):
            hits = INDEX[table].get(stem(word), [])
            here |= {hits} if isinstance(hits, int) else set(hits)
        if word not in SearchEnglish.stopwords:
            found.append(here)
    return {INDEX["docnames"][page] for page in set.intersection(*found)}


@pytest.mark.parametrize("words", [
    "squeeze and excitation", "SENet", "ECA-Net", "CBAM", "channel attention", "spatial attention",
    "bottleneck attention", "selective kernel", "SKNet", "pyramid split attention", "EPSANet", "non-local",
    "multi-head attention", "dual attention", "ResT", "external attention", "vision transformer", "DINOv2",
    "text detection", "coordinate attention", "CoordAtt", "global context", "GCNet", "SimAM", "parameter-free",
])
def test_search_finds_a_mechanism_by_its_usual_names(words: str) -> None:
    assert "book/gallery" in pages_with(words)


def test_search_finds_nothing_for_a_word_that_is_nowhere() -> None:
    assert pages_with("xylophone") == set()


@pytest.mark.parametrize("name", attention_lite.__all__)
def test_the_package_is_on_its_page(name: str) -> None:
    entry = parsed("book/api.html").find(id=f"attention_lite.{name}")
    assert entry
    first = re.split(r"[*`]", getattr(attention_lite, name).__doc__.strip().splitlines()[0])[0]
    assert first.strip() in entry.parent.get_text()


def test_readers_find_the_changelog() -> None:
    headings = re.findall(r"^## (.+)", (ROOT / "CHANGELOG.md").read_text(encoding="utf-8"), re.MULTILINE)
    shown = [heading.find(string=True) for heading in parsed("book/changes.html").select("section > h2")]
    assert shown == headings
