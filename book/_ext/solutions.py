"""The prose of a solution, which Jupyter and Colab fold by <details> in the chapter's Markdown.

In the page the whole solution, code and all, stands in a dropdown of sphinx-exercise; a second fold inside it would
only be another click, so it is taken out. CONTRIBUTING.md shows how a solution is written.
"""

from __future__ import annotations

from docutils import nodes
from sphinx.application import Sphinx
from sphinx_exercise.nodes import solution_node

OPENING, CLOSING = "<details><summary>Solution</summary>", "</details>"


def unfold(app: Sphinx, doctree: nodes.document) -> None:
    """Take the folds out of the page, and leave what stands in them."""
    folds = [raw for solution in doctree.findall(solution_node) for raw in solution.findall(nodes.raw)
             if raw.astext().strip() in (OPENING, CLOSING)]
    for raw in folds:
        raw.parent.remove(raw)


def setup(app: Sphinx) -> dict[str, bool]:
    app.connect("doctree-read", unfold)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
