"""Every exercise: its solution passes, its blank fails, and each mistake that people make gets its own sentence."""

import importlib
import random
import re
import time
from collections.abc import Iterator
from decimal import Decimal
from fractions import Fraction
from itertools import combinations
from pathlib import Path

import blind_answers_1
import blind_answers_2
import blind_answers_3
import nbformat
import numpy as np
import pytest
import torch
from bs4 import BeautifulSoup
from nbclient import NotebookClient
from nbformat import NotebookNode
from playwright.sync_api import expect

from attention_lite.exercises import _CHECKS, FORMULAS, Wrong, number, numbers, running, tensor, verdict
from attention_lite.exercises.answers import letter
from conftest import jupyter

CHAPTERS = sorted((Path(__file__).parents[1] / "book" / "chapters").glob("[0-9][0-9]-*.ipynb"))
PLANNED = [importlib.import_module(f"mistakes_{chapter.name[:2]}") for chapter in CHAPTERS]
MISTAKES = {name: mistakes for module in PLANNED for name, mistakes in module.MISTAKES.items()}
BLIND = blind_answers_1.ANSWERS | blind_answers_2.ANSWERS | blind_answers_3.ANSWERS
RIGHT = [(name, answer) for module in PLANNED for name, answers in getattr(module, "RIGHT", {}).items()
         for answer in answers]


def tagged(chapter: Path, kind: str) -> dict[str, list[NotebookNode]]:
    """The cells tagged `kind:<exercise>`, by exercise."""
    found: dict[str, list[NotebookNode]] = {}
    for cell in nbformat.read(chapter, as_version=4).cells:
        for tag in cell.metadata.get("tags", []):
            if tag.startswith(f"{kind}:"):
                found.setdefault(tag.removeprefix(f"{kind}:"), []).append(cell)
    return found


def printed(cells: list[NotebookNode]) -> list[str]:
    """The lines that cells have printed."""
    return "".join(o.text for c in cells for o in c.outputs if o.output_type == "stream").splitlines()


@pytest.mark.parametrize("chapter", CHAPTERS, ids=lambda p: p.stem)
def test_solutions_pass_and_blanks_fail(chapter):
    # The chapter's stored outputs, which nbval compares with those of a fresh run.
    blanks, solutions = tagged(chapter, "exercise"), tagged(chapter, "solution")
    assert 3 <= len(blanks) <= 5
    assert blanks.keys() == solutions.keys()
    for name, cells in blanks.items():
        assert f'check("{name}"' in "".join(cell.source for cell in cells)
        assert any(line.startswith("Not yet: ") for line in printed(cells)), f"blank of {name} passes"
        said = printed(solutions[name])
        assert "The book's solution is correct. Yours is judged above." in said, f"solution of {name} fails"
        # To run all answers nothing for the reader; and the solution is folded, in Jupyter and on Colab.
        assert "Correct." not in [*printed(cells), *said]
        for cell in solutions[name]:
            assert cell.metadata.jupyter.source_hidden
            assert cell.metadata.cellView == "form"


def prose_of_solutions(chapter: Path) -> list[str]:
    """What a chapter's solutions say in Markdown, piece by piece."""
    found, inside = [], False
    for cell in nbformat.read(chapter, as_version=4).cells:
        if cell.cell_type == "markdown":
            for piece in re.split(r"^(```\{solution-(?:start|end)\}[^`]*```)$", cell.source, flags=re.MULTILINE):
                if piece.startswith("```{solution-"):
                    inside = "-start}" in piece
                elif inside and piece.strip():
                    found.append(piece.strip())
    return found


@pytest.mark.parametrize("chapter", CHAPTERS, ids=lambda p: p.stem)
def test_what_a_solution_says_is_folded_in_jupyter_and_colab(chapter):
    # Both show <details> closed; Markdown inside of it needs the empty lines.
    pieces = prose_of_solutions(chapter)
    assert pieces
    for piece in pieces:
        assert re.fullmatch(r"<details><summary>Solution</summary>\n\n[^<].*\n\n</details>", piece, re.DOTALL), piece
        assert piece.count("</details>") == 1


@pytest.mark.parametrize("chapter", CHAPTERS, ids=lambda p: p.stem)
def test_in_the_page_a_solution_has_one_fold(chapter, book_html):
    html = (book_html / "book" / "chapters" / f"{chapter.stem}.html").read_text(encoding="utf-8")
    solutions = BeautifulSoup(html, "html.parser").select("div.solution.dropdown")
    assert len(solutions) == len(tagged(chapter, "solution"))
    for solution in solutions:
        assert solution.select("details") == []


@pytest.fixture(scope="module")
def folded(tmp_path_factory) -> Iterator[str]:
    """The solutions of all chapters in one notebook, on a server of JupyterLab and Notebook: the server's address."""
    cells = [nbformat.v4.new_markdown_cell(piece) for chapter in CHAPTERS for piece in prose_of_solutions(chapter)]
    cells += [nbformat.v4.new_code_cell(cell.source, metadata=cell.metadata) for chapter in CHAPTERS
              for solutions in tagged(chapter, "solution").values() for cell in solutions]
    folder = tmp_path_factory.mktemp("folded")
    kernel = nbformat.read(CHAPTERS[0], as_version=4).metadata
    nbformat.write(nbformat.v4.new_notebook(cells=cells, metadata=kernel), folder / "solutions.ipynb")
    with jupyter(folder) as url:
        yield url


@pytest.mark.thorough
@pytest.mark.parametrize("application", ["lab/tree", "notebooks"])
def test_jupyter_shows_no_solution_until_it_is_asked_to(application, folded, page):
    page.set_default_timeout(60_000)
    page.goto(f"{folded}/{application}/solutions.ipynb")
    count = sum(len(prose_of_solutions(chapter)) for chapter in CHAPTERS)
    folds = page.locator(".jp-RenderedMarkdown details")
    expect(folds).to_have_count(count, timeout=60_000)
    assert folds.evaluate_all("all => all.filter(one => one.open).length") == 0
    expect(page.locator(".jp-RenderedMarkdown p:visible")).to_have_count(0)
    # Of a solution's code stands a placeholder there.
    code = page.locator(".jp-CodeCell")
    expect(code.locator(".jp-InputPlaceholder")).to_have_count(code.count())
    expect(code.locator(".jp-InputArea-editor:visible")).to_have_count(0)
    folds.first.locator("summary").click()
    expect(folds.first.locator("p")).to_contain_text("With")
    expect(folds.first.locator("p mjx-container").first).to_be_visible()


def test_every_check_belongs_to_an_exercise_and_has_mistakes():
    exercises = {name for chapter in CHAPTERS for name in tagged(chapter, "exercise")}
    assert exercises == set(_CHECKS)
    assert exercises == MISTAKES.keys()
    for name, mistakes in MISTAKES.items():
        assert len({sentence for _, sentence in mistakes}) >= 3, f"{name}: too few mistakes told apart"


@pytest.mark.parametrize(("name", "answer", "sentence"),
                         [(n, a, s) for n, mistakes in MISTAKES.items() for a, s in mistakes])
def test_mistake_is_named(name, answer, sentence):
    correct, said = verdict(name, answer)
    assert not correct
    assert sentence in said
    others = [s for _, s in MISTAKES[name] if s != sentence]
    assert not any(other in said for other in others), f"the sentence fits another mistake too: {said}"


@pytest.mark.parametrize("nothing", [None, ...])
def test_no_answer_yet(nothing):
    assert verdict("se-gates", nothing) == (False, "there is no answer here yet.")


def test_unknown_exercise():
    with pytest.raises(ValueError, match=r"name must be one of .*se-gates.*got 'se-gate'"):
        verdict("se-gate", 1)


@pytest.mark.parametrize(("name", "answer"), RIGHT)
def test_unusual_right_answer_is_accepted(name, answer):
    assert verdict(name, answer) == (True, "")


# Answers by one who had seen the statements only

@pytest.mark.parametrize(("name", "mistake", "pattern", "answer"),
                         [(name, *wrong) for name, answers in BLIND.items() for wrong in answers["wrong"]])
def test_blind_mistake_is_named(name, mistake, pattern, answer):
    correct, said = verdict(name, answer)
    assert not correct, mistake
    assert re.search(pattern, said), f"{mistake}: {said}"


@pytest.mark.parametrize(("name", "kind", "answer"),
                         [(name, *right) for name, answers in BLIND.items() for right in answers["right"]])
def test_blind_right_answer_is_accepted(name, kind, answer):
    assert verdict(name, answer) == (True, ""), kind


# What a reader's code can do to the notebook

RIGHT_WINDOW = "bam-window", lambda n, d: 2 * n * d + 1


def forever(n, d):
    while True:
        pass


def forever_in_spite_of_all(n, d):
    while True:
        try:
            time.sleep(0.01)
        except BaseException as stop:
            if not isinstance(stop, SystemExit):
                raise


@pytest.mark.parametrize("endless", [forever, forever_in_spite_of_all])
def test_an_endless_answer_is_stopped_after_a_time_that_the_message_names(endless, monkeypatch):
    monkeypatch.setattr(running, "LIMIT", 0.3)
    began = time.perf_counter()
    correct, said = verdict("bam-window", endless)
    assert not correct
    assert "stopped after 0.3 seconds" in said
    assert time.perf_counter() - began < 5


class Unreadable(Exception):
    def __str__(self):
        raise RuntimeError("no message either")


def raising(error):
    def answer(*arguments):
        raise error

    return answer


@pytest.mark.parametrize(("error", "sentence"), [
    (SystemExit(), "asks Python to exit"), (Unreadable(), "stopped with Unreadable: its message cannot be read"),
    (ValueError("seven"), "stopped with ValueError: seven"), (GeneratorExit(), "stopped with GeneratorExit")])
def test_what_stops_the_code_does_not_end_the_cell(error, sentence):
    correct, said = verdict("bam-window", raising(error))
    assert not correct
    assert sentence in said


def test_exit_in_a_notebook_does_not_end_the_kernel():
    lines = ("from attention_lite.exercises import check\ncheck('bam-window', lambda n, d: exit())",
             "import time; time.sleep(0.3); print('still here')")
    book = nbformat.v4.new_notebook(cells=[nbformat.v4.new_code_cell(line) for line in lines])
    NotebookClient(book, kernel_name="python3", timeout=60).execute()
    assert printed(book.cells) == ["Not yet: your code asks Python to exit. Return the result instead.", "still here"]


def disturbing(n, d):
    torch.manual_seed(n)
    np.random.seed(n)                                     # noqa: NPY002 (what readers write)
    random.seed(n)
    torch.set_default_dtype(torch.float64)
    torch.set_grad_enabled(False)
    return 2 * n * d + 1


@pytest.mark.parametrize("answer", [disturbing, lambda n, d: disturbing(n, d) / 0])
def test_random_numbers_dtype_and_gradient_mode_are_as_before(answer):
    def state():
        return (torch.get_rng_state().tolist(), random.getstate(), np.random.get_state()[1].tolist(),  # noqa: NPY002
                torch.get_default_dtype(), torch.is_grad_enabled())

    before = state()
    verdict("bam-window", answer)
    assert state() == before


@pytest.fixture(params=["no gradients", "inference", "64 bits", "meta device"])
def odd_mode(request):
    """A state of torch that a notebook may be in."""
    with {"no gradients": torch.no_grad, "inference": torch.inference_mode, "64 bits": torch.enable_grad,
          "meta device": lambda: torch.device("meta")}[request.param]():
        if request.param == "64 bits":
            torch.set_default_dtype(torch.float64)
        try:
            yield
        finally:
            torch.set_default_dtype(torch.float32)


def test_right_answers_are_accepted_in_any_mode_of_torch(odd_mode):
    for name, answer in RIGHT:
        assert verdict(name, answer) == (True, ""), name


# How answers are read

def test_letters():
    for said in ("b", "B", " b ", "(b)", "b)", "b.", "B.", "**b**", "(b) Nothing.", ["b"]):
        assert letter(said, "abc") == "b"
    for said in ("d", "ab", "because", "a network", "", 2, None, True, ["a", "b"]):
        with pytest.raises(Wrong, match="choose one of the letters a, b, c; got "):
            letter(said, "abc")


@pytest.mark.parametrize("seven", [
    7, 7.0, np.int64(7), np.float32(7), np.array(7), np.array([7]), torch.tensor(7), torch.tensor([[7.0]]),
    torch.tensor(7.0, requires_grad=True), Fraction(7), Decimal(7), [7], (7,)])
def test_numbers_of_any_type(seven):
    assert number(seven) == 7
    assert type(number(seven)) is int


@pytest.mark.parametrize(("answer", "words"), [
    ("7", "Leave the quotes out"), (True, "expected a number, got bool True"), (np.True_, "expected a number"),
    (10**400, "too large"), (7j, "expected a number, got complex"), (float("nan"), "expected a number, got nan"),
    (torch.ones(2), "Tensor of shape (2,)"), ([7, 8], "expected a number, got list"), ({}, "got dict")])
def test_what_is_no_number(answer, words):
    with pytest.raises(Wrong, match=re.escape(words)):
        number(answer)


@pytest.mark.parametrize("pair", [(3, 4), [3, 4], np.array([3, 4]), torch.tensor([3, 4]), torch.empty(3, 4).shape,
                                  [np.int64(3), torch.tensor(4)], {3: 0, 4: 0}.keys()])
def test_pairs_of_any_type(pair):
    assert numbers(pair, "rows, columns") == (3, 4)


@pytest.mark.parametrize("answer", [7, "34", {3, 4}, (3,), (3, 4, 5), torch.tensor(3), {3: 4, 4: 5}])
def test_what_is_no_pair(answer):
    with pytest.raises(Wrong, match=re.escape("expected 2 numbers (rows, columns), got ")):
        numbers(answer, "rows, columns")


def test_tensors_of_any_type():
    right = torch.tensor([[1.0, 2.0], [3.0, 4.0]])
    for answer in (right, right.numpy(), right.numpy()[::-1][::-1], right.tolist(), list(right), tuple(right.numpy()),
                   right.clone().requires_grad_(), right.to_sparse(), [[Fraction(1), 2], [np.float32(3), 4.0]]):
        assert torch.equal(tensor(answer).float(), right)
    for answer, words in (("12", "got str"), ({}, "got dict"), ((right, None), "got NoneType"),
                          ([right, right[0]], "a list of 2, of shapes (2, 2), (2,)")):
        with pytest.raises(Wrong, match=re.escape(words)):
            tensor(answer)


def test_a_function_that_changes_its_input():
    assert "changes its input" in verdict("average-softmax", lambda scores: scores.sub_(scores.max()).softmax(-1))[1]


def test_a_result_in_place_of_the_function():
    assert "without calling it" in verdict("average-softmax", torch.ones(2, 3))[1]


def test_a_fault_of_the_check_is_not_blamed_on_the_answer(monkeypatch):
    def broken(answer):
        raise TypeError("of its own")

    monkeypatch.setitem(_CHECKS, "bam-window", broken)
    assert "by its own fault (TypeError: of its own)" in verdict(*RIGHT_WINDOW)[1]


# Formulas

def parts_of(values):
    return [value is not None for value in values[0]]


@pytest.mark.parametrize("name", FORMULAS)
def test_no_two_formulas_meet(name):
    # In all cases together: a sentence is given only to answers that are its formula's throughout.
    formula = FORMULAS[name]
    table = {"right": formula.values(formula.right)} | {s: formula.values(f) for s, f in formula.slips.items()}
    for (one, a), (other, b) in combinations(table.items(), 2):
        apart = any(abs(x - y) > 1e-3 * max(abs(x), abs(y)) for values in zip(a, b, strict=True)
                    for x, y in zip(*values, strict=True) if x is not None and y is not None)
        assert apart or parts_of(a) != parts_of(b), f"{one!r} and {other!r}"


@pytest.mark.parametrize(("name", "sentence"), [(n, s) for n, formula in FORMULAS.items() for s in formula.slips])
def test_each_slip_gets_its_sentence(name, sentence):
    formula = FORMULAS[name]

    def answer(*case):
        given, right = (f if isinstance(f, tuple) else (f,) for f in (formula.slips[sentence](*case),
                                                                     formula.right(*case)))
        whole = tuple(r if g is None else g for g, r in zip(given, right, strict=True))
        return whole if formula.parts else whole[0]

    correct, said = verdict(name, answer)
    assert not correct
    assert said.endswith(f": {sentence}")
