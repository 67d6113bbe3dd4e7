"""Explorers in the static pages: a chapter's widget becomes a picture, its data, and the same ES module.

An executed chapter holds each explorer's state, module and style among them. Where MyST-NB left the mark of a
widget view, this extension writes a division with a photograph (all that a reader without JavaScript sees) and
the state; the style stands before the page's first explorer, the module at the page's end, each once. Nothing
is loaded: the module is inline, and runs from a file on disk with no network.
"""

from __future__ import annotations

import base64
import io
import json
import re
from html import escape
from typing import TYPE_CHECKING, Any

from docutils import nodes
from PIL import Image

if TYPE_CHECKING:
    from sphinx.application import Sphinx

VIEW_TYPE = "application/vnd.jupyter.widget-view+json"
VIEW = re.compile(rf'<script type="{re.escape(VIEW_TYPE)}">(.*?)</script>', re.DOTALL)
FALLBACK_SIDE = 432  # pixels: the whole picture travels in the data besides
# What the module reads; the rest of a widget's state concerns Jupyter alone.
JUPYTER_ONLY = {"layout", "tabbable", "tooltip"}


def traits(widget: dict[str, Any]) -> dict[str, Any]:
    """Return what the module needs of a widget's saved state: its traits, `data` in base64."""
    state = {
        name: value
        for name, value in widget["state"].items()
        if not name.startswith("_") and name not in JUPYTER_ONLY
    }
    for buffer in widget.get("buffers", []):
        state[buffer["path"][0]] = buffer["data"]
    return state


def fallback(state: dict[str, Any]) -> str:
    """Return what a reader without JavaScript sees: the photograph shown at the start, with alt text; or the table."""
    spec = state["spec"]
    if state["kind"] == "table":
        return plain_table(spec)
    images = spec["arrays"]["images"]
    variants = images["shape"][1] if len(images["shape"]) == 5 else 1
    file = images["files"][state["image"] * variants + state.get("variant", 0)]
    start = file["offset"]
    content = io.BytesIO(base64.b64decode(state["data"])[start : start + file["bytes"]])
    picture = Image.open(content).convert("RGB")
    picture.thumbnail((FALLBACK_SIDE, FALLBACK_SIDE))
    small = io.BytesIO()
    picture.save(small, "JPEG", quality=80)
    alt = spec["alt"][state["image"]] or f"Photograph {spec['imageNames'][state['image']]}"
    jpeg = base64.b64encode(small.getvalue()).decode()
    return (
        f'<img class="dark-light" src="data:image/jpeg;base64,{jpeg}" alt="{escape(alt)}">'
        "<p>With JavaScript switched on, you can point at this photograph and see the attention move.</p>"
    )


def plain_table(spec: dict[str, Any]) -> str:
    """Return a table explorer's numbers as a plain table."""
    head = "".join(f'<th scope="col">{escape(c["name"])}</th>' for c in [{"name": "row"}, *spec["columns"]])
    body = "".join(
        f'<tr><th scope="row">{escape(name)}</th>'
        + "".join(f"<td>{escape(cell.get('text', '–'))}</td>" for cell in cells)
        + "</tr>"
        for name, cells in zip(spec["rows"], spec["cells"], strict=True)
    )
    return (
        f'<div class="ax-scroll"><table><caption>{escape(spec["caption"])}</caption><thead><tr>{head}</tr></thead>'
        f"<tbody>{body}</tbody></table></div><p>With JavaScript switched on, you can sort and filter this table.</p>"
    )


def division(widget: dict[str, Any]) -> str:
    """Return the HTML of one explorer; the module mounts itself there."""
    state = traits(widget)
    data = json.dumps(state, ensure_ascii=False, separators=(",", ":")).replace("</", "<\\/")
    return (
        f'<div class="attention-explorer" data-kind="{escape(state["kind"])}">{fallback(state)}'
        f'<script type="application/json">{data}</script></div>'
    )


def style(widget: dict[str, Any]) -> str:
    """Return the explorers' style, once a page."""
    return f"<style>{widget['state']['_css']}</style>"


def module(widget: dict[str, Any]) -> str:
    """Return the explorers' module, once a page, after all that it mounts."""
    code = widget["state"]["_esm"].replace("</script", "<\\/script")
    return f'<script type="module">{code}\nmountAll();</script>'


def is_explorer(widget: dict[str, Any]) -> bool:
    """Tell whether a widget's saved state is that of an explorer of this book."""
    return str(widget.get("state", {}).get("_anywidget_id", "")).startswith("attention_lite.explorers.")


def place_explorers(app: Sphinx, doctree: nodes.document) -> None:
    """Replace the widget views of a chapter by explorers that need no kernel; warn of any other widget."""
    from sphinx.util import logging

    views = [(node, match) for node in doctree.findall(nodes.raw) if (match := VIEW.search(node.astext()))]
    if not views:
        return
    scripts = getattr(app.env, "nb_metadata", {}).get(app.env.docname, {}).get("js_files", {})
    saved = json.loads(scripts.get("ipywidgets_state", (None, {"body": "{}"}))[1]["body"]).get("state", {})
    shown = []
    for node, match in views:
        widget = saved.get(json.loads(match[1]).get("model_id"), {})
        if not is_explorer(widget):
            logging.getLogger(__name__).warning(
                "a widget without a saved explorer's state cannot work in a static page", location=node
            )
            continue
        node.parent.replace(node, nodes.raw("", division(widget), format="html"))
        shown.append((node, widget))
    if shown:
        first = next(n for n in doctree.findall(nodes.raw) if 'class="attention-explorer"' in n.astext())
        first.parent.insert(first.parent.index(first), nodes.raw("", style(shown[0][1]), format="html"))
        doctree.append(nodes.raw("", module(shown[-1][1]), format="html"))


def setup(app: Sphinx) -> dict[str, bool]:
    app.connect("doctree-read", place_explorers)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
