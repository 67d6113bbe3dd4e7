"""The built book in one file, for a stick, a lecture room or a release: make zip

The same pages give the same bytes: names are sorted, and nothing of the machine's clock and rights goes in.
"""

from __future__ import annotations

import re
import sys
import zipfile
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
NAME = "attention-you-can-see"
NOTICES = ("LICENSE", "LICENSE-book", "NOTICE.md", "LICENSES")
EARLIEST = (1980, 1, 1, 0, 0, 0)        # that a zip can tell


def files(root: Path) -> dict[str, Path]:
    """What goes in, by the name that it has there: the pages, and the licences of book, code and what they use."""
    html = root / "_build" / "html"
    found = {path.relative_to(html).as_posix(): path for path in html.rglob("*")}
    for notice in NOTICES:
        found |= {path.relative_to(root).as_posix(): path for path in [root / notice, *(root / notice).glob("*")]}
    return {name: path for name, path in sorted(found.items()) if path.is_file() and path.name != ".buildinfo"}


def pack(root: Path, target: Path) -> None:
    """Write the archive, in which everything lies in one folder."""
    with zipfile.ZipFile(target, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, path in files(root).items():
            entry = zipfile.ZipInfo(f"{NAME}/{name}", EARLIEST)
            entry.external_attr = 0o100644 << 16
            archive.writestr(entry, path.read_bytes(), zipfile.ZIP_DEFLATED)


def main() -> int:
    if not (ROOT / "_build" / "html" / "index.html").is_file():
        print("There is no built book to pack. Run `make book` first.", file=sys.stderr)
        return 1
    version = re.search(r'^version = "(.+)"', (ROOT / "pyproject.toml").read_text(encoding="utf-8"), re.MULTILINE)[1]
    target = ROOT / "_build" / f"{NAME}-{version}.zip"
    pack(ROOT, target)
    print(f"==> Done: {target.relative_to(ROOT)}, {target.stat().st_size / 1e6:.0f} MB. Unpack it, open index.html")
    return 0


if __name__ == "__main__":
    sys.exit(main())
