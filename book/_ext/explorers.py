"""Explorers in the static pages: a chapter's widget becomes a picture, its data, and the same ES module.

An executed chapter holds each explorer's state, module and style among them. Where MyST-NB left the mark of a
widget view, this extension writes a division with a photograph (all that a reader without JavaScript sees) and
the state; the style stands before the page's first explorer. The module is a script under _static/explorers, which
pages with the same kinds of explorers share: a plain one, since a page on disk may load no module. A transformer's
queries and keys are a script for each photograph, which that one inserts when it is asked for; so are pieces of its
weights, for a photograph of the reader's own. The directive `transformer` makes such an explorer for a page that no
kernel runs.
"""

from __future__ import annotations

import base64
import functools
import hashlib
import io
import itertools
import json
import re
import shutil
from collections.abc import Iterable
from html import escape
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar

from docutils import nodes
from PIL import Image
from sphinx.util.docutils import SphinxDirective

if TYPE_CHECKING:
    from sphinx.application import Sphinx

VIEW_TYPE = "application/vnd.jupyter.widget-view+json"
VIEW = re.compile(rf'<script type="{re.escape(VIEW_TYPE)}">(.*?)</script>', re.DOTALL)
FILE = re.compile(r"^/\* ([\w-]+): \w+\.js \*/\n", re.MULTILINE)
EXPORT = re.compile(r"^export (?:default .*\n)?", re.MULTILINE)
FOLDER = "explorers"     # under _static, and beside the pages
PIECE = 2_800_000        # bytes of a network's weights in a script: the page tells its progress after each
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
    if "maps" in state:
        state["maps"] = dict(state["maps"])
    for buffer in widget.get("buffers", []):
        *way, name = buffer["path"]
        (state[way[0]] if way else state)[name] = buffer["data"]
    return state


def saved(explorer: Any) -> dict[str, Any]:
    """Return a live explorer's state in the form in which an executed notebook holds it: with its keys sorted."""
    state = explorer.get_state()
    packed = [([name], state.pop(name)) for name in list(state) if isinstance(state[name], bytes)]
    packed += [(["maps", part], content) for part, content in state.pop("maps", {}).items()]
    buffers = [{"path": path, "encoding": "base64", "data": base64.b64encode(content).decode()}
               for path, content in packed]
    return {"state": json.loads(json.dumps({**state, "maps": {}}, sort_keys=True)), "buffers": buffers}


def script_file(content: str) -> str:
    """The name of the script that holds a photograph's maps: equal ones are one file, whichever pages show them."""
    return f"{hashlib.sha256(content.encode()).hexdigest()[:16]}.js"


def scripts(widget: dict[str, Any]) -> dict[str, str]:
    """Return the scripts that a transformer's explorer asks for, {file: its text}; other explorers have none."""
    return as_scripts(traits(widget).get("maps", {}).values())


def as_scripts(contents: Iterable[str]) -> dict[str, str]:
    """{file: the text of a script that hands over a content}."""
    files = {script_file(content): content for content in contents}
    return {file: f'(globalThis.attentionMaps ??= {{}})["{file}"]="{content}";\n' for file, content in files.items()}


@functools.cache
def weights() -> dict[str, list[str]]:
    """What pages load for a reader's own photograph, by network: its weights, or what of them no kernel draws.

    In base64, cut into pieces. ValueError if the trained network's weights are missing: says how to get them.
    """
    from attention_lite.lab import page_transformer, seen

    networks = {name: build() for name, build in seen.NETWORKS.items()}
    packed = {"trained": page_transformer.pack(networks["trained"]),
              "untrained": page_transformer.places(networks["untrained"])}
    return {name: [base64.b64encode(content[at:at + PIECE]).decode() for at in range(0, len(content), PIECE)]
            for name, content in packed.items()}


def engine(pieces: dict[str, list[str]], root: str = "") -> tuple[dict[str, Any], dict[str, str]]:
    """What an explorer needs to run the networks: an entry of its spec, and the scripts, {file: its text}."""
    from attention_lite.lab import experiments, seen
    from attention_lite.lab.experiments import eight_bits

    networks = {name: {"pieces": [address(content, root) for content in contents],
                       "bytes": sum(len(base64.b64decode(content)) for content in contents)}
                for name, contents in pieces.items()}
    networks["untrained"]["seed"] = seen.UNTRAINED_SEED
    error = eight_bits.summary(experiments.load()["eight-bits"]["rows"])
    return {"networks": networks, "error": error}, as_scripts(itertools.chain(*pieces.values()))


def address(content: str, root: str) -> str:
    """Where a page finds the script of a content; `root` leads to the book's first folder."""
    return f"{root}_static/{FOLDER}/{script_file(content)}"


def fallback(state: dict[str, Any]) -> str:
    """Return what a reader without JavaScript sees: the photograph shown at the start, with alt text; or the table."""
    spec = state["spec"]
    if state["kind"] == "table":
        return plain_table(spec)
    shown = state.get("image", state.get("scene"))
    images = spec["arrays"].get("stills", spec["arrays"]["images"])
    variants = images["shape"][1] if len(images["shape"]) == 5 else 1
    file = images["files"][shown * variants + state.get("variant", 0)]
    start = file["offset"]
    content = io.BytesIO(base64.b64decode(state["data"])[start : start + file["bytes"]])
    picture = Image.open(content).convert("RGB")
    picture.thumbnail((FALLBACK_SIDE, FALLBACK_SIDE))
    small = io.BytesIO()
    picture.save(small, "JPEG", quality=80)
    alt = spec["alt"][shown] or f"Photograph {spec['imageNames'][shown]}"
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


def division(widget: dict[str, Any], root: str = "", engine: dict[str, Any] | None = None) -> str:
    """Return the HTML of one explorer; the module mounts itself there. `root` leads to the book's first folder."""
    state = traits(widget)
    if maps := state.pop("maps", {}):
        addresses = {part: address(content, root) for part, content in maps.items()}
        state["spec"] = {**state["spec"], "scripts": addresses, "engine": engine}
    data = json.dumps(state, ensure_ascii=False, separators=(",", ":")).replace("</", "<\\/")
    name = f' data-name="{escape(state["name"])}"' if state.get("name") else ""
    return (
        f'<div class="attention-explorer" data-kind="{escape(state["kind"])}"{name}>{fallback(state)}'
        f'<script type="application/json">{data}</script></div>'
    )


def style(widget: dict[str, Any]) -> str:
    """Return the explorers' style, once a page."""
    return f"<style>{widget['state']['_css']}</style>"


def module(*widgets: dict[str, Any]) -> str:
    """The explorers' module as a plain script, to stand after all that it mounts: what they share, and their kinds'."""
    _, *parts = FILE.split(widgets[-1]["state"]["_esm"])
    kinds = {"shared", *(widget["state"]["kind"] for widget in widgets)}
    code = "".join(text for kind, text in zip(parts[::2], parts[1::2], strict=True) if kind in kinds)
    return f'(() => {{\n"use strict";\n{EXPORT.sub("", code)}\nmountAll();\n}})();\n'


def is_explorer(widget: dict[str, Any]) -> bool:
    """Tell whether a widget's saved state is that of an explorer of this book."""
    return str(widget.get("state", {}).get("_anywidget_id", "")).startswith("attention_lite.explorers.")


def placed(app: Sphinx, widget: dict[str, Any]) -> nodes.raw:
    """Return an explorer for the page that is being read."""
    from sphinx.util import logging

    files, run = scripts(widget), None
    if widget["state"]["kind"] == "transformer":
        try:
            run, more = engine(weights(), to_top(app))
            files |= more
        except ValueError as error:
            logging.getLogger(__name__).info(f"{app.env.docname} runs no network on a reader's photograph: {error}")
    keep(app, files)
    return nodes.raw("", division(widget, to_top(app), run), format="html")


def to_top(app: Sphinx) -> str:
    """What leads from the page that is being read to the book's first folder."""
    return "../" * app.env.docname.count("/")


def keep(app: Sphinx, files: dict[str, str]) -> None:
    """Keep scripts of the page that is being read beside the pages, where a build that reads no page again finds
    them, and note that the page names them."""
    kept = Path(app.outdir).parent / FOLDER
    kept.mkdir(parents=True, exist_ok=True)
    for file, text in files.items():
        if not (kept / file).exists():
            (kept / file).write_text(text, encoding="utf-8")
    app.env.explorer_scripts.setdefault(app.env.docname, set()).update(files)


def place_explorers(app: Sphinx, doctree: nodes.document) -> None:
    """Replace the widget views of a chapter by explorers that need no kernel; warn of any other widget."""
    from sphinx.util import logging

    views = [(node, match) for node in doctree.findall(nodes.raw) if (match := VIEW.search(node.astext()))]
    attached = getattr(app.env, "nb_metadata", {}).get(app.env.docname, {}).get("js_files", {})
    # Taken out: kept there, megabytes of it would be read with Sphinx's notes at the start of every build.
    saved_states = json.loads(attached.pop("ipywidgets_state", (None, {"body": "{}"}))[1]["body"]).get("state", {})
    shown = app.env.temp_data.pop("explorers", [])
    for node, match in views:
        widget = saved_states.get(json.loads(match[1]).get("model_id"), {})
        if not is_explorer(widget):
            logging.getLogger(__name__).warning(
                "a widget without a saved explorer's state cannot work in a static page", location=node
            )
            continue
        node.parent.replace(node, placed(app, widget))
        shown.append(widget)
    if shown:
        first = next(n for n in doctree.findall(nodes.raw) if 'class="attention-explorer"' in n.astext())
        first.parent.insert(first.parent.index(first), nodes.raw("", style(shown[0]), format="html"))
        code = module(*shown)
        file = f"module-{script_file(code)}"          # by what is in it: a browser that has it never has an old one
        keep(app, {file: code})
        tag = f'<script defer src="{to_top(app)}_static/{FOLDER}/{file}"></script>'
        doctree.append(nodes.raw("", tag, format="html"))


# An explorer of a transformer on a page that no kernel runs ----------------------------------------------------


class Transformer(SphinxDirective):
    """The explorer on photographs of the book, the first of them asked from one of its regions.

    Its content is what stands there in a build that has no weights.
    """

    required_arguments = 1
    final_argument_whitespace = True
    option_spec: ClassVar = {"query": str}
    has_content = True

    def run(self) -> list[nodes.Node]:
        from sphinx.util import logging

        from attention_lite.explorers import TransformerExplorer
        from attention_lite.lab import photographs, seen

        names = self.arguments[0].split()
        for name in names:
            photographs.load(name)      # a slip of the pen fails the build; weights that are missing do not
        start = {"query": seen.patch_of(names[0], self.options["query"]), **seen.named_head(names[0]),
                 "states": seen.states(names), "temperature": seen.temperature()}
        try:
            networks = seen.both_on(names)
        except ValueError as error:
            logging.getLogger(__name__).info(f"{self.env.docname} shows a stored picture: {error}")
            self.env.temp_data.setdefault("stored_pictures", set()).add("transformer")
            return self.parse_content_to_nodes()
        widget = saved(TransformerExplorer(networks, **start))
        self.env.temp_data.setdefault("explorers", []).append(widget)
        return [placed(self.env.app, widget)]


def copy_scripts(app: Sphinx, error: Exception | None) -> None:
    """Put the scripts that pages name into the book, and take those away that no page names any more."""
    if error is not None or app.builder.format != "html":
        return
    named = set().union(*app.env.explorer_scripts.values())
    kept, target = Path(app.outdir).parent / FOLDER, Path(app.outdir) / "_static" / FOLDER
    target.mkdir(parents=True, exist_ok=True)
    for folder in (kept, target):
        for file in folder.glob("*.js"):
            if file.name not in named:
                file.unlink()
    for file in named:
        if not (target / file).exists():
            shutil.copyfile(kept / file, target / file)


def prepare(app: Sphinx) -> None:
    if not hasattr(app.env, "explorer_scripts"):
        app.env.explorer_scripts = {}


def forget(app: Sphinx, env: Any, docname: str) -> None:
    env.explorer_scripts.pop(docname, None)


def setup(app: Sphinx) -> dict[str, bool]:
    app.add_directive("transformer", Transformer)
    app.connect("builder-inited", prepare)
    app.connect("env-purge-doc", forget)
    app.connect("doctree-read", place_explorers)
    app.connect("build-finished", copy_scripts)
    return {"parallel_read_safe": False, "parallel_write_safe": True}
