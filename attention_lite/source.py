"""Show the package's own source in a chapter, so that no chapter holds a copy that grows stale."""

import inspect
import textwrap
from collections.abc import Callable
from typing import TYPE_CHECKING

from attention_lite.extras import extra

if TYPE_CHECKING:
    from IPython.display import Markdown


def source_of(*functions: Callable) -> "Markdown":
    """The source of functions or methods as a code listing, each docstring cut to its first line."""
    with extra("book"):
        from IPython.display import Markdown

    listings = []
    for function in functions:
        whole, docstring = inspect.getsource(function), function.__doc__
        if docstring and "\n" in docstring:
            whole = whole.replace(docstring, docstring.splitlines()[0])
        listings.append(textwrap.dedent(whole))
    return Markdown("```python\n" + "\n".join(listings) + "```")
