"""The chapters' budgets: all keep them, and the count counts."""

import nbformat
import pytest
from nbformat.v4 import new_code_cell, new_markdown_cell, new_notebook

from chapter_budget import AT_LEAST, AT_MOST, CHAPTERS, held, over, words

LONG = "\n".join(f"line_{n} = {n}" for n in range(16))


def test_chapters_keep_their_budgets():
    assert len(CHAPTERS) == 15
    assert {path.stem: beyond for path in CHAPTERS if (beyond := over(path))} == {}


def test_every_chapter_is_counted_by_each_limit():
    for path in CHAPTERS:
        assert set(held(path)) == {*AT_MOST, *AT_LEAST}
        assert held(path)["words"] > held(path)["prose"] > 100


@pytest.mark.parametrize(("cells", "beyond"), [
    ([new_markdown_cell("word " * 3801)], ["minutes", "prose", "words"]),
    ([new_markdown_cell("word " * 2001)], ["prose"]),
    ([new_markdown_cell("## Exercises\n" + "word " * 3200)], ["words"]),
    ([new_code_cell("x = 1") for _ in range(13)], ["cells"]),
    ([new_code_cell(LONG)], ["lines"]),
    ([new_code_cell("x = " + "1" * 76)], ["columns"]),
    ([new_code_cell("x = 1\n" * 151, metadata={"tags": ["hide-input"]})], ["folded"]),
])
def test_each_limit_can_be_broken(tmp_path, cells, beyond):
    metadata = {"mystnb": {"image": {"alt": "a"}}, "tags": ["hide-input"]}
    pictures = [new_code_cell("p", metadata=metadata) for _ in range(8)]
    nbformat.write(new_notebook(cells=[new_markdown_cell(""), *cells, *pictures]), tmp_path / "00.ipynb")
    assert [line.split(":")[0] for line in over(tmp_path / "00.ipynb")] == beyond


def test_a_chapter_without_pictures_is_found_out(tmp_path):
    nbformat.write(new_notebook(cells=[new_markdown_cell("no picture")]), tmp_path / "00.ipynb")
    assert over(tmp_path / "00.ipynb") == ["pictures: 0, at least 8"]


def test_prose_after_a_table_counts(tmp_path):
    text = new_markdown_cell("one\n\n| a | b |\n|---|---|\n\ntwo three")
    nbformat.write(new_notebook(cells=[text]), tmp_path / "00.ipynb")
    assert held(tmp_path / "00.ipynb")["prose"] == 3


def test_an_address_is_no_word():
    assert words("See [chapter one](chapters/01-se.ipynb), and $x$.") == 5
