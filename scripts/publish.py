"""Publishing: the repository's address and the version are each set by one command, wherever they stand.

    make address URL=https://github.com/owner/name
    make release VERSION=0.2.0
    make unreleased

PUBLISHING.md says when each is wanted. Every command reads and checks all before it writes anything, and ends by
saying what is left to do by hand.
"""

from __future__ import annotations

import argparse
import re
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]

# How each site that shows a repository names it, with what stands before owner/name.
SITES = (
    r"github\.com/(?:repos/)?",
    r"raw\.githubusercontent\.com/",
    r"colab\.research\.google\.com/github/",
    r"mybinder\.org/v2/gh/",
    r"img\.shields\.io/github/[a-z/]+/",
)
ADDRESS = re.compile(r"https://github\.com/([\w-]+/[\w.-]*\w)")
VERSION = re.compile(r"\d+\.\d+\.\d+")
UNRELEASED = "## Unreleased"


def texts() -> dict[Path, str]:
    """The text of every tracked file that is text."""
    names = subprocess.run(["git", "ls-files", "-z"], cwd=ROOT, check=True, capture_output=True, text=True).stdout
    found = {}
    for path in (ROOT / name for name in names.split("\0") if name):
        try:
            found[path] = path.read_text(encoding="utf-8")
        except (UnicodeDecodeError, FileNotFoundError):
            continue
    return found


def substituted(before: dict[Path, str], pattern: str, new: str, *names: str) -> dict[Path, str]:
    """The texts (or those of `names` alone) in which `pattern` occurs, with `new` in its place."""
    chosen = {ROOT / name: before[ROOT / name] for name in names} if names else before
    after = {path: re.sub(pattern, new, text, flags=re.MULTILINE) for path, text in chosen.items()}
    return {path: text for path, text in after.items() if text != before[path]}


def repository(before: dict[Path, str]) -> str:
    """The owner/name that pyproject.toml, the address's one home, holds."""
    return re.search(rf'^Repository = "{ADDRESS.pattern}"$', before[ROOT / "pyproject.toml"], re.MULTILINE)[1]


def version(before: dict[Path, str]) -> str:
    """The version that pyproject.toml holds."""
    return re.search(rf'^version = "({VERSION.pattern})"$', before[ROOT / "pyproject.toml"], re.MULTILINE)[1]


def pinned(before: dict[Path, str], reference: str) -> dict[Path, str]:
    """The texts that install the package from the repository, changed to do so at `reference`, a tag or a branch."""
    return substituted(before, rf"({re.escape(repository(before))}(?:\.git)?)@[\w.]*\w", rf"\g<1>@{reference}")


def address(url: str) -> tuple[dict[Path, str], list[str]]:
    """What changes where the repository moves to `url`, and what is left by hand."""
    found = ADDRESS.fullmatch(url)
    if not found:
        raise ValueError(f"URL must be https://github.com/owner/name; got {url!r}")
    before = texts()
    old, new = repository(before), found[1]
    after = substituted(before, rf"({'|'.join(SITES)}){re.escape(old)}(?![\w-])", rf"\g<1>{new}")
    return after, [
        "make test THOROUGH=1, then commit",
        f"create {url}, push main there, and in its settings choose GitHub Actions as the source of Pages",
        f"push the release's tag, which its chapters install from: git push origin v{version(before)}",
        "the authors' names in CITATION.cff, pyproject.toml, LICENSE and LICENSE-book, if they change too",
    ]


def release(new: str) -> tuple[dict[Path, str], list[str]]:
    """What changes where main becomes version `new`, and what is left by hand."""
    before = texts()
    old = version(before)
    if not VERSION.fullmatch(new) or [*map(int, new.split("."))] <= [*map(int, old.split("."))]:
        raise ValueError(f"VERSION must be three numbers, such as 1.2.3, and come after {old}; got {new!r}")
    changes = before[ROOT / "CHANGELOG.md"].partition(f"{UNRELEASED}\n")[2].partition("\n## ")[0]
    if not changes.strip():
        raise ValueError(f"CHANGELOG.md has nothing under '{UNRELEASED}', so there is nothing to release")
    after = pinned(before, f"v{new}")
    for name, pattern, line in (
        ("pyproject.toml", r'^version = ".*"$', f'version = "{new}"'),
        ("attention_lite/__init__.py", r'^__version__ = ".*"$', f'__version__ = "{new}"'),
        ("CITATION.cff", r"^version: .*$", f"version: {new}"),
        ("CHANGELOG.md", rf"^{UNRELEASED}$", f"## {new}"),
    ):
        after |= substituted(before | after, pattern, line, name)
    return after, ["make test THOROUGH=1, then commit", f"git tag v{new} && git push origin main v{new}"]


def unreleased() -> tuple[dict[Path, str], list[str]]:
    """What changes where main goes on after a release: chapters opened from main install main's package."""
    before = texts()
    if UNRELEASED in before[ROOT / "CHANGELOG.md"]:
        raise ValueError(f"CHANGELOG.md has '{UNRELEASED}' already")
    after = pinned(before, "main")
    return after | substituted(before, rf"\A((?:.*\n)*?)(## {re.escape(version(before))})$",
                               rf"\g<1>{UNRELEASED}\n\n\g<2>", "CHANGELOG.md"), [
        f"write what changed under '{UNRELEASED}' in CHANGELOG.md, and commit",
    ]


def main(arguments: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    commands = parser.add_subparsers(dest="command", required=True)
    commands.add_parser("address").add_argument("url")
    commands.add_parser("release").add_argument("version")
    commands.add_parser("unreleased")
    given = vars(parser.parse_args(arguments))
    command = {"address": address, "release": release, "unreleased": unreleased}[given.pop("command")]
    try:
        after, by_hand = command(*given.values())
    except ValueError as error:
        print(f"{error}. Nothing was changed.", file=sys.stderr)
        return 1
    for path, text in sorted(after.items()):
        path.write_text(text, encoding="utf-8")
        print(f"changed {path.relative_to(ROOT)}")
    print("==> Left to do by hand:", *(f"  - {step}" for step in by_hand), sep="\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
