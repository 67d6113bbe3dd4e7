"""One stylesheet for all pages, with the rules alone that a page can use.

The theme, Sphinx and their extensions bring eleven files, and most of their rules are for what this book does not have.
A browser asks for each file, reads all rules and tries them on every element before it shows the first word.
"""

from __future__ import annotations

import hashlib
import itertools
import os
import re
from collections.abc import Iterable, Iterator
from pathlib import Path

import tinycss2
from sphinx.application import Sphinx
from tinycss2.ast import Node

from execution import files_digest

JOINED = "all.css"
LINK = re.compile(r'<link (?=[^>]*\brel="stylesheet")[^>]*\bhref="(?:\.\./)*_static/([^"?]+)[^>]*>\s*')
IMPORT = re.compile(r'@import "([^"]+)";')
ADDRESS = re.compile(r"url\(['\"]?(?!data:|#|https?:)([^)'\"]+)['\"]?\)")
CLASSES = re.compile(r'\b(?:class|id)="([^"]*)"')
DATA = re.compile(r"[0-9a-f]{16}")            # the name of a file with an explorer's data, which names no class


def join(app: Sphinx, error: Exception | None) -> None:
    """Write the one stylesheet and let every page link to it."""
    if error is not None or app.builder.format != "html":
        return
    static = Path(app.outdir) / "_static"
    pages = {path: path.read_text(encoding="utf-8") for path in sorted(Path(app.outdir).rglob("*.html"))
             if static not in path.parents}
    names = sources(static, pages.values())
    words = {word for page in pages.values() for found in CLASSES.findall(page) for word in found.split()}
    words |= {word for path in static.rglob("*.js") if not DATA.fullmatch(path.stem)
              for word in re.findall(r"[\w-]+", path.read_text(encoding="utf-8"))}
    whole = "\n".join(file(static, static / name) for name in names)
    css = f"/* {' '.join(names)} */\n{usable(parsed(whole), words)}\n"
    (static / JOINED).write_text(css, encoding="utf-8")
    version = hashlib.sha256(css.encode()).hexdigest()[:8]
    for path, page in pages.items():
        link = f'<link rel="stylesheet" href="{os.path.relpath(static / JOINED, path.parent)}?v={version}" />\n'
        if (linked := with_one_link(page, link)) != page:
            path.write_text(linked, encoding="utf-8")


def sources(static: Path, pages: Iterable[str]) -> list[str]:
    """The stylesheets that the pages ask for, in order; where none is new, those that were joined before."""
    asked = dict.fromkeys(name for page in pages for name in LINK.findall(page) if name != JOINED)
    return list(asked) or (static / JOINED).read_text(encoding="utf-8").splitlines()[0].split()[1:-1]


def with_one_link(page: str, link: str) -> str:
    """The page with `link` in place of its first stylesheet, and without the others."""
    found = LINK.search(page)
    return LINK.sub("", page[:found.start()]) + link + LINK.sub("", page[found.end():]) if found else page


def file(static: Path, path: Path) -> str:
    """A stylesheet with what it imports in it, and its addresses as seen from the folder of static files."""
    def seen_from_there(found: re.Match) -> str:
        return f'url("{os.path.relpath(path.parent / found[1], static)}")'

    css = ADDRESS.sub(seen_from_there, path.read_text(encoding="utf-8"))
    return IMPORT.sub(lambda found: file(static, path.parent / found[1]), css)


def parsed(css: str | list[Node]) -> list[Node]:
    """The rules of a stylesheet, or of what stands between the braces of a media query."""
    return tinycss2.parse_rule_list(css, skip_comments=True, skip_whitespace=True)


def usable(rules: list[Node], words: set[str]) -> str:
    """Those of the rules whose classes and ids are all among the words, as CSS."""
    kept = []
    for rule in rules:
        inside = tinycss2.serialize(rule.content or []).strip()
        if rule.type == "qualified-rule":
            if could := [tinycss2.serialize(each).strip() for each in selectors(rule) if matches(each, words)]:
                kept.append(f"{','.join(could)}{{{inside}}}")
        elif rule.type == "at-rule" and rule.lower_at_keyword in ("media", "supports"):
            if inside := usable(parsed(rule.content), words):
                kept.append(f"@{rule.at_keyword}{tinycss2.serialize(rule.prelude)}{{\n{inside}\n}}")
        else:
            kept.append(rule.serialize())
    return "\n".join(kept)


def selectors(rule: Node) -> Iterator[list[Node]]:
    """What stands between the commas before a rule's braces."""
    part = []
    for token in rule.prelude:
        if token == ",":
            yield part
            part = []
        else:
            part.append(token)
    yield part


def matches(selector: list[Node], words: set[str]) -> bool:
    """Whether an element could match. What stands in brackets, as in :not(.wide), is not looked at."""
    classes = [after.value for dot, after in itertools.pairwise(selector) if dot == "." and after.type == "ident"]
    return words.issuperset(classes + [token.value for token in selector if token.type == "hash"])


def note_own_files(app: Sphinx, config: object) -> None:
    """Have Sphinx write the pages anew when a style or a script of the book's own has changed: it asks pages alone."""
    own = Path(app.srcdir) / "book" / "_static"
    config.own_files = files_digest([path for path in own.rglob("*") if path.is_file()])


def setup(app: Sphinx) -> dict[str, bool]:
    app.add_config_value("own_files", "", "html")
    app.connect("config-inited", note_own_files)
    # After every page is written and mended, and before offline.py lists the files that all pages share.
    app.connect("build-finished", join, priority=800)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
