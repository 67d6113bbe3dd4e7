"""Pages that ask no other host for anything, and whose pictures all say in words what they show.

Jupyter Book's stock pages load require.js, the widgets' manager and thebe from other hosts. This extension takes them
away, lets no script of the theme hold up a page, and mends in its HTML what axe-core finds wrong there. Where the book
is served, a browser can install it: that takes a manifest, and a worker that keeps what was read (worker.js).
"""

from __future__ import annotations

import hashlib
import json
import re
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


# What is wrong in the theme's HTML, most of it found by axe-core, and what stands there instead.
REPAIRS = (
    # The sidebar was in no landmark.
    (
        '<div id="pst-primary-sidebar" class=',
        '<div id="pst-primary-sidebar" role="complementary" aria-label="Contents of the book" class=',
    ),
    # The items of a list, in a role that ARIA has given up.
    (' role="doc-biblioentry"', ' role="listitem"'),
    # Neither light nor dark until the last script has run: then the whole page was laid out a second time.
    ('localStorage.getItem("theme") || "auto"',
     'localStorage.getItem("theme") || (matchMedia("(prefers-color-scheme: dark)").matches ? "dark" : "light")'),
)


# The theme measures every block of code on the page, once, and again whenever an explorer has written a word: the
# browser has to lay out all that nobody has come near. book.js watches what comes into view instead.
MEASURING = re.compile(r'"complete"===document\.readyState\?(\w+)\(\):window\.addEventListener\("load",\1\)')


# Scripts of which a page makes no use: all icons as drawings (the theme's style has them as a font), and the index for
# a search while one types, which this book does not have. The page of the search itself needs the index.
ICONS = re.compile(r'<script[^>]*/fontawesome\.js[^>]*></script>\s*')
INDEX = re.compile(r'<script[^>]*\b(?:searchtools|language_data|searchindex)\.js[^>]*></script>\s*')
# A script that the page waits for; all but the first, whose settings come at once after it, can wait for the page.
AWAITED = re.compile(r'<script (?=[^>]*\bsrc=)(?![^>]*\b(?:defer|async|documentation_options)\b)')


def mend(app: Sphinx, error: Exception | None) -> None:
    """Mend the written pages and the theme's script; what was mended before is left as it is."""
    if error is not None or app.builder.format != "html":
        return
    for path in Path(app.outdir).rglob("*.html"):
        page = path.read_text(encoding="utf-8")
        mended = ICONS.sub("", page)
        if path.stem != "search":
            mended = INDEX.sub("", mended)
        mended = AWAITED.sub("<script defer ", mended)
        if "bd-sidebar-secondary" not in page:
            mended = mended.replace('<div class="bd-content">', '<div class="bd-content without-contents">')
        for wrong, right in REPAIRS:
            mended = mended.replace(wrong, right)
        if mended != page:
            path.write_text(mended, encoding="utf-8")
    script = Path(app.outdir) / "_static" / "scripts" / "pydata-sphinx-theme.js"
    script.write_text(MEASURING.sub("0", script.read_text(encoding="utf-8")), encoding="utf-8")


FIRST_PAGE = """<!doctype html>
<html lang="{language}">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta http-equiv="refresh" content="0; url={first}">
<title>{title}</title>
<link rel="icon" href="_static/{icon}">
</head>
<body>
<main><h1>{title}</h1><p><a href="{first}">Begin to read</a></p></main>
</body>
</html>
"""


def lead_to_the_first_page(app: Sphinx, error: Exception | None) -> None:
    """Write the folder's index.html; Jupyter Book's own, which it writes where there is none, has a single tag."""
    if error is not None or app.builder.format != "html":
        return
    page = FIRST_PAGE.format(language=app.config.language, first=f"{app.config.root_doc}.html",
                             title=app.config.html_title, icon=Path(app.config.html_favicon).name)
    (Path(app.outdir) / "index.html").write_text(page, encoding="utf-8")


def make_installable(app: Sphinx, error: Exception | None) -> None:
    """Write the manifest, and the worker with this build's hash, the files that all pages share, and the pages."""
    if error is not None or app.builder.format != "html":
        return
    out = Path(app.outdir)
    manifest = {
        "name": app.config.html_title, "short_name": "Attention", "lang": app.config.language,
        "start_url": f"{app.config.root_doc}.html", "scope": ".", "display": "minimal-ui",
        "background_color": "#ffffff", "theme_color": "#1d3d4f",
        "icons": [{"src": f"_static/{Path(app.config.html_favicon).name}", "sizes": "any", "type": "image/svg+xml"}],
    }
    (out / "book.webmanifest").write_text(json.dumps(manifest, indent=1) + "\n", encoding="utf-8")
    files = sorted(path for path in out.rglob("*") if path.is_file() and path.name not in ("worker.js", ".buildinfo"))
    digest = hashlib.sha256()
    for path in files:
        digest.update(path.relative_to(out).as_posix().encode() + b"\0" + path.read_bytes() + b"\0")
    pages = [path for path in files if path.suffix == ".html" and "_static" not in path.parts]
    named = r'<(?:script|link)[^>]* (?:src|href)="(?:\.\./)*((?:_static/|searchindex)[^"?]+)'
    shared = {name for page in pages for name in re.findall(named, page.read_text(encoding="utf-8"))}
    worker = (Path(__file__).parent / "worker.js").read_text(encoding="utf-8")
    for word, value in (("BUILD", digest.hexdigest()[:16]), ("SHARED", sorted(shared)),
                        ("PAGES", [page.relative_to(out).as_posix() for page in pages])):
        worker = worker.replace(f'"{word}"', json.dumps(value))
    (out / "worker.js").write_text(worker, encoding="utf-8")


def ask_for_the_name(app: Sphinx, uri: str) -> str | None:
    """Let the check of links ask whether a DOI is registered: many a publisher's page turns programs away."""
    return uri.replace("https://doi.org/", "https://doi.org/api/handles/") if "://doi.org/" in uri else None


def setup(app: Sphinx) -> dict[str, bool]:
    app.connect("doctree-read", demand_alt_text)
    # After every other extension has had its say.
    app.connect("html-page-context", drop_foreign_scripts, priority=900)
    app.connect("config-inited", silence_thebe)
    app.connect("build-finished", remove_old_pages)
    app.connect("build-finished", mend)
    app.connect("build-finished", lead_to_the_first_page)
    # After every other extension has written its files.
    app.connect("build-finished", make_installable, priority=900)
    app.connect("linkcheck-process-uri", ask_for_the_name)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
