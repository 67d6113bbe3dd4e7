"""The directive `thumbnail`: the picture of a mechanism or a real network that the lab makes while the page is read.

    ```{thumbnail} se
    What the picture shows, in words.
    ```

A build without a real network's weights leaves its picture out.
"""

from __future__ import annotations

import base64
import io
from html import escape

from docutils import nodes
from PIL import Image
from sphinx.application import Sphinx
from sphinx.util import logging
from sphinx.util.docutils import SphinxDirective


class Thumbnail(SphinxDirective):
    """A picture in the page, whose words are the directive's content."""

    required_arguments = 1
    final_argument_whitespace = True      # "global context"
    has_content = True

    def run(self) -> list[nodes.Node]:
        from attention_lite.lab import gallery

        name, words = self.arguments[0], " ".join(self.content).strip()
        if not words:
            logging.getLogger(__name__).warning("thumbnail %s needs words", name, location=self.get_location())
        try:
            picture = Image.fromarray(gallery.thumbnail(name))
        except ValueError as error:
            if name not in gallery.REAL:
                raise self.error(str(error)) from None
            logging.getLogger(__name__).info(f"{self.env.docname} leaves a picture out: {error}")
            return []
        file = io.BytesIO()
        picture.save(file, "webp", quality=85, method=6)
        data = base64.b64encode(file.getvalue()).decode()
        image = (f'<img class="thumbnail dark-light" src="data:image/webp;base64,{data}" alt="{escape(words)}" '
                 f'width="{picture.width}" height="{picture.height}">')
        return [nodes.raw("", image, format="html")]


def setup(app: Sphinx) -> dict[str, bool]:
    app.add_directive("thumbnail", Thumbnail)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
