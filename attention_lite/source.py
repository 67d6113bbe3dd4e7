"""Show the package's own source in a chapter, so that no chapter holds a copy that grows stale."""

import ast
import inspect
import textwrap
from collections.abc import Callable
from typing import TYPE_CHECKING

from attention_lite.extras import extra

if TYPE_CHECKING:
    from IPython.display import Markdown


def source_of(*parts: type | Callable) -> "Markdown":
    """The source of classes, functions or methods as one code listing, each docstring cut to its first line."""
    with extra("book"):
        from IPython.display import Markdown

    return Markdown("```python\n" + "\n".join(shortened(inspect.getsource(part)) for part in parts) + "```")


def shortened(source: str) -> str:
    """The source without its outer indent, each docstring in it cut to its first line."""
    source = textwrap.dedent(source)
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, (ast.ClassDef, ast.FunctionDef)) and (docstring := ast.get_docstring(node, clean=False)):
            source = source.replace(docstring, docstring.splitlines()[0])
    return source
