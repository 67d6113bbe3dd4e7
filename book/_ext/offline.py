"""Pages that ask no other host for anything, and whose pictures all say in words what they show.

Jupyter Book's stock pages load MathJax, require.js, the widgets' manager and thebe from other hosts. This extension
ships MathJax with the book, takes the rest away, and mends in the theme's HTML what axe-core finds wrong there.
"""

from __future__ import annotations

import importlib.util
import re
import shutil
from pathlib import Path

from docutils import nodes
from sphinx.application import Sphinx
from sphinx.util import logging

logger = logging.getLogger(__name__)


def drop_foreign_scripts(
    app: Sphinx, pagename: str, templatename: str, context: dict, doctree: nodes.document | None
) -> None:
    """Keep this book's scripts and styles: no other host's, no style of thebe (its scripts are gone: `silence_thebe`),
    and no widget state (explorers carry their data)."""

    def ours(asset: object) -> bool:
        address = str(getattr(asset, "filename", "") or "")
        kind = str(getattr(asset, "attributes", {}).get("type") or "")
        return "://" not in address and "widget-state" not in kind and "thebe" not in address

    for kind in ("script_files", "css_files"):
        if kind in context:
            context[kind] = [asset for asset in context[kind] if ours(asset)]


def silence_thebe(app: Sphinx, config: object) -> None:
    """Disconnect sphinx_thebe, which Jupyter Book always loads and whose scripts break pages even when it is off."""
    for listeners in app.events.listeners.values():
        listeners[:] = [
            listener for listener in listeners if not listener.handler.__module__.startswith("sphinx_thebe")
        ]


def demand_alt_text(app: Sphinx, doctree: nodes.document) -> None:
    """Warn (and a build of this book fails on warnings) of every picture without words for those who cannot see it."""
    for image in doctree.findall(nodes.image):
        words = image.get("alt", "").strip()
        # MyST-NB's default is a file name.
        if not words or re.fullmatch(r"\S+\.(png|svg|jpe?g|gif|webp)", words):
            logger.warning(
                "picture %s has no alt text; in a notebook, set the cell's metadata mystnb.image.alt",
                image["uri"],
                location=image,
            )


def remove_old_pages(app: Sphinx, error: Exception | None) -> None:
    """Remove pages that an earlier build wrote and whose source is gone; Sphinx leaves them."""
    if error is not None or app.builder.format != "html":
        return
    out = Path(app.outdir)
    written = {*app.env.found_docs, "index", "search"}
    for path in out.rglob("*.html"):
        name = path.relative_to(out).with_suffix("").as_posix()
        if not name.startswith("_") and name not in written:
            path.unlink()


# What axe-core finds wrong in the theme's HTML, and what stands there instead.
REPAIRS = (
    # The sidebar was in no landmark.
    (
        '<div id="pst-primary-sidebar" class=',
        '<div id="pst-primary-sidebar" role="complementary" aria-label="Contents of the book" class=',
    ),
    # The items of a list, in a role that ARIA has given up.
    (' role="doc-biblioentry"', ' role="listitem"'),
)


def repair_accessibility(app: Sphinx, error: Exception | None) -> None:
    """Mend the written pages; a page mended before is left as it is."""
    if error is not None or app.builder.format != "html":
        return
    for path in Path(app.outdir).rglob("*.html"):
        page = path.read_text(encoding="utf-8")
        mended = page
        for wrong, right in REPAIRS:
            mended = mended.replace(wrong, right)
        if mended != page:
            path.write_text(mended, encoding="utf-8")


def ship_mathjax(app: Sphinx, error: Exception | None) -> None:
    """Copy the one MathJax file that the pages use out of the PyPI package that carries all of MathJax."""
    if error is not None or app.builder.format != "html":
        return
    package = importlib.util.find_spec("sphinx-mathjax-offline")
    source = Path(package.submodule_search_locations[0]) / "static" / app.config.mathjax_path
    target = Path(app.outdir) / "_static" / app.config.mathjax_path
    target.parent.mkdir(parents=True, exist_ok=True)
    shutil.copyfile(source, target)


def setup(app: Sphinx) -> dict[str, bool]:
    app.connect("doctree-read", demand_alt_text)
    # After every other extension has had its say.
    app.connect("html-page-context", drop_foreign_scripts, priority=900)
    app.connect("config-inited", silence_thebe)
    app.connect("build-finished", remove_old_pages)
    app.connect("build-finished", ship_mathjax)
    app.connect("build-finished", repair_accessibility)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
