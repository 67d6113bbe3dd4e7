"""The commands that set version and address, tried on a copy of the repository."""

from __future__ import annotations

import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from conftest import ROOT
from publish import SITES, UNRELEASED, texts, version
from test_repository import OWNER_AND_NAME, TRACKED

OTHER = "someone/a.book"
CURRENT = version(texts())


@pytest.fixture
def copy(tmp_path: Path) -> Path:
    """The tracked files in a repository of their own, between two releases."""
    for path in TRACKED:
        target = tmp_path / path.relative_to(ROOT)
        target.parent.mkdir(parents=True, exist_ok=True)
        if path.suffix != ".safetensors":
            shutil.copy(path, target)
    for command in (["init", "--quiet"], ["add", "--all"]):
        subprocess.run(["git", *command], cwd=tmp_path, check=True)
    if UNRELEASED not in (tmp_path / "CHANGELOG.md").read_text(encoding="utf-8"):
        assert publish(tmp_path, "unreleased").returncode == 0
    changelog = tmp_path / "CHANGELOG.md"
    changelog.write_text(changelog.read_text(encoding="utf-8").replace(UNRELEASED, f"{UNRELEASED}\n\n- A line."))
    return tmp_path


def publish(folder: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "scripts/publish.py", *arguments]
    return subprocess.run(command, cwd=folder, capture_output=True, text=True, check=False)


def contents(folder: Path) -> dict[Path, bytes]:
    return {path: path.read_bytes() for path in folder.rglob("*") if path.is_file() and ".git" not in path.parts}


def found(folder: Path, pattern: str) -> dict[str, set[str]]:
    """What a pattern's group matches in each text of a folder, where it matches."""
    hits = {}
    for path, content in contents(folder).items():
        if here := set(re.findall(pattern, content.decode("utf-8", errors="ignore"))):
            hits[path.relative_to(folder).as_posix()] = here
    return hits


def pins(folder: Path, repository: str = OWNER_AND_NAME) -> dict[str, set[str]]:
    return found(folder, re.escape(repository) + r"@([\w.]*\w)")


def test_another_address_stands_everywhere(copy: Path) -> None:
    mentions = found(copy, rf"((?:{'|'.join(SITES)}){re.escape(OWNER_AND_NAME)})")
    done = publish(copy, "address", f"https://github.com/{OTHER}")
    assert done.returncode == 0, done.stderr
    assert found(copy, rf"((?:{'|'.join(SITES)}){re.escape(OWNER_AND_NAME)})") == {}
    moved = found(copy, rf"((?:{'|'.join(SITES)}){re.escape(OTHER)})\b")
    assert moved.keys() >= mentions.keys() - {"tests/test_publishing.py"}
    assert {"pyproject.toml", "_config.yml", "CITATION.cff", "README.md"} <= moved.keys()
    assert len([name for name in pins(copy, OTHER) if name.endswith(".ipynb")]) >= 14
    assert "push main there" in done.stdout
    # And back: nothing else was touched.
    assert publish(copy, "address", f"https://github.com/{OWNER_AND_NAME}").returncode == 0
    assert found(copy, rf"((?:{'|'.join(SITES)}){re.escape(OWNER_AND_NAME)})") == mentions


def test_release_sets_version_heading_and_pin_together(copy: Path) -> None:
    assert set.union(*pins(copy).values()) == {"main"}
    done = publish(copy, "release", "98.7.6")
    assert done.returncode == 0, done.stderr
    assert set.union(*pins(copy).values()) == {"v98.7.6"}
    for name, line in (
        ("pyproject.toml", 'version = "98.7.6"'),
        ("attention_lite/__init__.py", '__version__ = "98.7.6"'),
        ("CITATION.cff", "version: 98.7.6"),
        ("CHANGELOG.md", "## 98.7.6"),
    ):
        assert line in (copy / name).read_text(encoding="utf-8").splitlines()
    assert UNRELEASED not in (copy / "CHANGELOG.md").read_text(encoding="utf-8")
    assert "git tag v98.7.6" in done.stdout
    assert publish(copy, "unreleased").returncode == 0
    assert set.union(*pins(copy).values()) == {"main"}
    headings = re.findall(r"^## .*", (copy / "CHANGELOG.md").read_text(encoding="utf-8"), re.MULTILINE)
    assert headings[:2] == [UNRELEASED, "## 98.7.6"]


@pytest.mark.parametrize(("arguments", "sentence"), [
    (("release", CURRENT), f"come after {CURRENT}; got '{CURRENT}'"),
    (("release", "98.7"), "must be three numbers"),
    (("release", "v98.7.6"), "must be three numbers"),
    (("address", "github.com/someone/book"), "https://github.com/owner/name; got 'github.com/someone/book'"),
    (("address", "https://github.com/someone"), "URL must be"),
    (("unreleased",), "has '## Unreleased' already"),
])
def test_bad_input_changes_nothing(copy: Path, arguments: tuple[str, ...], sentence: str) -> None:
    before = contents(copy)
    done = publish(copy, *arguments)
    assert done.returncode == 1
    assert sentence in done.stderr
    assert contents(copy) == before


def test_an_empty_release_is_refused(copy: Path) -> None:
    changelog = copy / "CHANGELOG.md"
    text = changelog.read_text(encoding="utf-8")
    changelog.write_text(text[: text.index(UNRELEASED)] + f"{UNRELEASED}\n\n## {CURRENT}\n", encoding="utf-8")
    done = publish(copy, "release", "98.7.6")
    assert done.returncode == 1
    assert "nothing to release" in done.stderr
