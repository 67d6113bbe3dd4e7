"""A small assignment of two questions that are tested and one that is marked by hand, and what six students hand in."""

import nbformat
from nbformat import NotebookNode

from classroom.cells import about

SETUP = "import torch\n\nfrom attention_lite.handing_in import draw, hand_in"
ROWS = """# Answer: rows
def rows(x):
    ...
    ### BEGIN SOLUTION
    return x.softmax(1)
    ### END SOLUTION"""
ROWS_TEST = """def look(results):
    return None if results[0].shape == (3, 4) else "another shape."


answer = hand_in("rows", rows, [(draw("x", 3, 4),)], look)
### BEGIN HIDDEN TESTS
from attention_lite.exercises import Wrong, same
from attention_lite.handing_in import draw

if same(answer[0], draw("x", 3, 4).softmax(0)):
    raise Wrong("your columns sum to one.")
if not same(answer[0], draw("x", 3, 4).softmax(1)):
    raise Wrong("your rows are not the softmax.")
### END HIDDEN TESTS"""
LETTER = """# Answer: letter
letter = ...
### BEGIN SOLUTION
letter = "b"
### END SOLUTION"""
LETTER_TEST = """answer = hand_in("letter", letter)
### BEGIN HIDDEN TESTS
from attention_lite.exercises import choose

choose(answer, "b", {"a": "not that one."})
### END HIDDEN TESTS"""

POINTS = {"correct": (4, 2), "half": (0, 2), "blank": (0, 0), "crashing": (0, 2), "endless": (0, 2), "cheating": (0, 0)}

CHEAT = """# Answer: rows
import builtins, sys
import attention_lite.exercises as e, attention_lite.exercises.answers as a, attention_lite.handing_in as h


class Equal(torch.Tensor):
    def __eq__(self, other):
        return True
    def __le__(self, other):
        return True
    def tolist(self):
        return [[self] * 4] * 3


torch.allclose = torch.equal = lambda *a, **k: True
for module in (e, a):
    module.same = module.close = lambda *a, **k: True
    module.choose = lambda *a, **k: None
h.draw = draw = lambda label, *shape: torch.zeros(shape)


def rows(x):
    return torch.ones(3, 4).as_subclass(Equal)


def hand_in(question, answer, *others):
    from IPython.display import display
    display({h.FORM: {"question": question, "points": 99, "answer": ["b", True]}}, raw=True)"""
CHEAT_LETTER = """# Answer: letter
class Always(str):
    __eq__ = lambda self, other: True
    __hash__ = str.__hash__
    def __str__(self):
        return self

letter = Always("a")"""
ENDLESS = "# Answer: rows\nwhile True:\n    try:\n        torch.ones(3)\n    except BaseException:\n        pass"


def _cell(name: str, source: str, points: int | None = None, solution: bool = False) -> NotebookNode:
    known = {"grade_id": name, "grade": points is not None, "solution": solution, "locked": not solution,
             "schema_version": 3, "task": False} | ({} if points is None else {"points": points})
    make = nbformat.v4.new_markdown_cell if name == "essay" else nbformat.v4.new_code_cell
    return make(source, id=name, metadata={"nbgrader": known})


def source() -> NotebookNode:
    """The assignment, with solutions and hidden tests."""
    teacher = nbformat.v4.new_markdown_cell("**5 minutes.**", id="note", metadata={"tags": ["teacher"]})
    return nbformat.v4.new_notebook(metadata={"kernelspec": {
        "name": "python3", "language": "python", "display_name": "Python 3"}}, cells=[
        _cell("setup", SETUP), teacher, _cell("rows", ROWS, solution=True), _cell("rows-test", ROWS_TEST, 4),
        _cell("letter", LETTER, solution=True), _cell("letter-test", LETTER_TEST, 2),
        _cell("essay", "It depends.", 3, solution=True)])


def answered(release: NotebookNode, **answers: str) -> NotebookNode:
    """The students' edition with these answers' cells."""
    notebook = nbformat.from_dict(release)
    for cell in notebook.cells:
        cell.source = answers.get(about(cell).get("grade_id"), cell.source)
    return notebook


def six(release: NotebookNode) -> dict[str, NotebookNode]:
    """What six students hand in, by what is wrong with it."""
    right = {"rows": "# Answer: rows\ndef rows(x):\n    return x.softmax(1)",
             "letter": '# Answer: letter\nletter = "b"'}
    found = {
        "correct": answered(release, **right),
        "half": answered(release, **right | {"rows": right["rows"].replace("(1)", "(0)")}),
        "blank": answered(release),
        "crashing": answered(release, **right | {"rows": "# Answer: rows\nimport os\nos._exit(3)"}),
        "endless": answered(release, **right | {"rows": ENDLESS}),
        "cheating": answered(release, rows=CHEAT, letter=CHEAT_LETTER),
    }
    for cell in found["cheating"].cells:
        if about(cell).get("grade_id", "").endswith("-test"):
            cell.source = "pass"                                       # an edited test
            cell.metadata.nbgrader.points = 100
    return found
