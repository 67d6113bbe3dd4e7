"""The book as an EPUB 3: articles as XHTML, with MathML and SVG, packed by name and without the machine's clock."""

from __future__ import annotations

import base64
import hashlib
import re
import zipfile
from collections.abc import Iterable
from dataclasses import dataclass
from html import escape
from pathlib import Path
from uuid import NAMESPACE_URL, uuid5

COVER = "cover.jpeg"
EARLIEST = (1980, 1, 1, 0, 0, 0)        # that a zip can tell
KINDS = {".css": "text/css", ".jpeg": "image/jpeg", ".jpg": "image/jpeg", ".png": "image/png",
         ".webp": "image/webp", ".xhtml": "application/xhtml+xml"}
EMBEDDED = re.compile(r'data:image/(jpeg|png|webp);base64,([A-Za-z0-9+/=\s]+)')

CONTAINER = """<?xml version="1.0" encoding="utf-8"?>
<container version="1.0" xmlns="urn:oasis:names:tc:opendocument:xmlns:container"><rootfiles>
<rootfile full-path="EPUB/package.opf" media-type="application/oebps-package+xml"/></rootfiles></container>
"""


@dataclass(frozen=True)
class Entry:
    """A line of the contents: its words, its place (none for a part), and the lines below it."""

    title: str
    target: str
    below: tuple[Entry, ...] = ()


def page(title: str, body: str) -> str:
    """A file of the book."""
    return f"""<?xml version="1.0" encoding="utf-8"?>
<!DOCTYPE html>
<html xmlns="http://www.w3.org/1999/xhtml" xmlns:epub="http://www.idpf.org/2007/ops"
 lang="en" xml:lang="en" data-theme="light">
<head><title>{escape(title)}</title><link rel="stylesheet" href="book.css"/></head>
<body>
{body}
</body></html>
"""


def outline(entries: Iterable[Entry]) -> str:
    """A list of the contents, with the lists below each line."""
    lines = (f'<li><a href="{entry.target}">{escape(entry.title)}</a>' if entry.target else
             f"<li><span>{escape(entry.title)}</span>" for entry in entries)
    return "<ol>" + "".join(f"{line}{outline(entry.below) if entry.below else ''}</li>"
                            for line, entry in zip(lines, entries, strict=True)) + "</ol>"


def with_files(xhtml: str, files: dict[str, bytes]) -> str:
    """The text with each picture that it carries in a file of its own, which many an e-reader wants."""

    def moved(found: re.Match) -> str:
        picture = base64.b64decode(found[2])
        name = f"images/{hashlib.sha256(picture).hexdigest()[:16]}.{found[1]}"
        files[name] = picture
        return name

    return EMBEDDED.sub(moved, xhtml)


def item(name: str, content: bytes) -> str:
    """A file's line in the manifest, which has to say what is in it besides text."""
    properties = [word for word, sign in (("svg", b"<svg"), ("mathml", b"<math"))
                  if name.endswith(".xhtml") and sign in content]
    properties += {"nav.xhtml": ["nav"], COVER: ["cover-image"]}.get(name, [])
    said = f' properties="{" ".join(properties)}"' if properties else ""
    return f'<item id="{identifier(name)}" href="{name}" media-type="{KINDS[Path(name).suffix]}"{said}/>'


def identifier(name: str) -> str:
    return "f-" + re.sub(r"[^\w.-]", "-", name)


def package(title: str, author: str, address: str, modified: str, files: dict[str, bytes], spine: list[str]) -> str:
    """What the book is, which files it has, and in which order they are read."""
    items = "\n".join(item(name, files[name]) for name in sorted(files))
    order = "\n".join(f'<itemref idref="{identifier(name)}"/>' for name in spine)
    return f"""<?xml version="1.0" encoding="utf-8"?>
<package xmlns="http://www.idpf.org/2007/opf" version="3.0" unique-identifier="id" xml:lang="en">
<metadata xmlns:dc="http://purl.org/dc/elements/1.1/">
<dc:identifier id="id">urn:uuid:{uuid5(NAMESPACE_URL, address)}</dc:identifier>
<dc:title>{escape(title)}</dc:title><dc:creator>{escape(author)}</dc:creator><dc:language>en-GB</dc:language>
<dc:source>{address}</dc:source><dc:rights>CC BY 4.0</dc:rights>
<meta name="cover" content="{identifier(COVER)}"/>
<meta property="dcterms:modified">{modified}</meta>
<meta property="schema:accessMode">textual</meta><meta property="schema:accessMode">visual</meta>
<meta property="schema:accessModeSufficient">textual</meta>
<meta property="schema:accessibilityFeature">alternativeText</meta>
<meta property="schema:accessibilityFeature">MathML</meta>
<meta property="schema:accessibilityFeature">tableOfContents</meta>
<meta property="schema:accessibilityHazard">none</meta>
</metadata>
<manifest>
{items}
</manifest>
<spine>
{order}
</spine>
</package>
"""


def pack(target: Path, package_file: str, files: dict[str, bytes]) -> None:
    """Write the archive; its first file, unpacked, says what it is."""
    rest = {"META-INF/container.xml": CONTAINER.encode(), "EPUB/package.opf": package_file.encode(),
            **{f"EPUB/{name}": files[name] for name in sorted(files)}}
    with zipfile.ZipFile(target, "w") as archive:
        archive.writestr(zipfile.ZipInfo("mimetype", EARLIEST), "application/epub+zip", zipfile.ZIP_STORED)
        for name, content in rest.items():
            archive.writestr(zipfile.ZipInfo(name, EARLIEST), content, zipfile.ZIP_DEFLATED)
