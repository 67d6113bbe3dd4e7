"""What the repository's files say of each other: one address, one version, licences, nothing of a single machine."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest
import yaml

from conftest import HTML, ROOT
from publish import SITES, UNRELEASED

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib

import attention_lite

PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
REPOSITORY: str = PROJECT["urls"]["Repository"]
OWNER_AND_NAME = REPOSITORY.removeprefix("https://github.com/")
OWNER, NAME = OWNER_AND_NAME.split("/")

TRACKED = [
    ROOT / name
    for name in subprocess.run(
        ["git", "ls-files", "-z"], cwd=ROOT, check=True, capture_output=True, text=True
    ).stdout.split("\0")
    if name and (ROOT / name).is_file()
]


def text_of(path: Path) -> str | None:
    """A tracked file's text, or None for what is not text."""
    try:
        return path.read_text(encoding="utf-8")
    except UnicodeDecodeError:
        return None


TEXTS = {path.relative_to(ROOT).as_posix(): text for path in TRACKED if (text := text_of(path)) is not None}

# Repositories of others that the book and the workflows may name: as owner, or owner/name.
OTHERS = {"actions", "features", "site"}


def addresses(text: str) -> set[str]:
    """Every owner/name that a text names on a site that shows repositories."""
    found = set()
    for site in SITES:
        found |= {match.removesuffix(".git") for match in re.findall(site + r"([\w.-]+/[\w.-]*\w)", text)}
    return found


def ours(address: str) -> bool:
    """Whether an address means this repository, be it by its owner or by its name."""
    owner, name = address.split("/")
    return owner == OWNER or name == NAME or "attention" in owner


@pytest.mark.parametrize("name", ["_config.yml", "CITATION.cff", "README.md"])
def test_file_names_the_one_address(name: str) -> None:
    assert OWNER_AND_NAME in addresses(TEXTS[name])


def test_every_mention_of_the_repository_agrees() -> None:
    wrong = {
        name: different
        for name, text in TEXTS.items()
        if (different := {a for a in addresses(text) if ours(a)} - {OWNER_AND_NAME})
    }
    assert wrong == {}


def test_configuration_and_citation_name_exactly_the_address() -> None:
    assert yaml.safe_load(TEXTS["_config.yml"])["repository"]["url"] == REPOSITORY
    assert yaml.safe_load(TEXTS["CITATION.cff"])["repository-code"] == REPOSITORY


def test_readme_and_pages_launch_this_repository() -> None:
    readme = TEXTS["README.md"]
    assert f"https://mybinder.org/v2/gh/{OWNER_AND_NAME}/" in readme
    assert f"https://colab.research.google.com/github/{OWNER_AND_NAME}/" in readme
    for page in sorted((HTML / "book" / "chapters").glob("*.html")):
        html = page.read_text(encoding="utf-8")
        chapter = f"book/chapters/{page.stem}.ipynb"
        assert f"https://colab.research.google.com/github/{OWNER_AND_NAME}/blob/main/{chapter}" in html
        assert f"https://mybinder.org/v2/gh/{OWNER_AND_NAME}/main?urlpath=lab/tree/{chapter}" in html


def test_links_to_chapters_and_files_of_the_repository_exist() -> None:
    pattern = re.escape(OWNER_AND_NAME) + r"/(?:blob|tree|raw)/main/([\w./-]*\w)"
    for name, text in TEXTS.items():
        for path in re.findall(pattern, text):
            assert (ROOT / path).exists(), f"{name} links to {path}"


def test_version_is_the_same_everywhere() -> None:
    version = PROJECT["version"]
    assert attention_lite.__version__ == version
    assert yaml.safe_load(TEXTS["CITATION.cff"])["version"] == version
    headings = re.findall(r"^## (\S+)", TEXTS["CHANGELOG.md"], re.MULTILINE)
    assert version in headings[:2]


def test_chapters_install_the_package_that_they_were_written_for() -> None:
    # Between releases main's chapters need main's package; `make unreleased` and `make release` set this.
    pattern = re.escape(OWNER_AND_NAME) + r"(?:\.git)?@([\w.]*\w)"
    pins = {pin for text in TEXTS.values() for pin in re.findall(pattern, text)}
    assert pins == {"main" if UNRELEASED in TEXTS["CHANGELOG.md"] else f"v{PROJECT['version']}"}


def test_licences() -> None:
    assert PROJECT["license"] == "MIT"
    assert TEXTS["LICENSE"].startswith("MIT License")
    assert "The Attention You Can See authors" in TEXTS["LICENSE"]
    assert "https://creativecommons.org/licenses/by/4.0/legalcode" in TEXTS["LICENSE-book"]
    assert yaml.safe_load(TEXTS["CITATION.cff"])["license"] == "MIT"


def test_notices_name_every_file_of_weights_and_the_book_has_them():
    from attention_lite.lab.weights import WEIGHTS

    rows = [line for line in TEXTS["NOTICE.md"].splitlines() if line.startswith("| `")]
    assert [row.split(" | ")[:2] for row in rows] == [
        [f"| `{file.name}`", "`{}` {}".format(*file.requirement.split("=="))] for file in WEIGHTS.values()]
    licence = TEXTS["LICENSES/Apache-2.0.txt"]
    assert "Apache License" in licence
    assert "END OF TERMS AND CONDITIONS" in licence
    page = (HTML / "book" / "weights.html").read_text(encoding="utf-8")
    for words in ("was tuned further is unknown", "copyright Baidu", *(row.split("`")[1] for row in rows)):
        assert words in page
    shipped = re.search(r'href="\.\./(_downloads/\w+/Apache-2\.0\.txt)"', page)
    assert shipped
    assert (HTML / shipped[1]).read_text(encoding="utf-8") == licence


def test_package_needs_torch_alone() -> None:
    assert [re.split(r"[<>=!~ ]", need)[0] for need in PROJECT["dependencies"]] == ["torch"]
    program = "import sys, torch; before = set(sys.modules); import attention_lite; print(*(set(sys.modules) - before))"
    added = subprocess.run(
        [sys.executable, "-c", program], check=True, capture_output=True, text=True, cwd=ROOT
    ).stdout.split()
    heavy = {"matplotlib", "ipywidgets", "anywidget", "skimage", "sklearn", "safetensors", "IPython", "scipy"}
    assert "attention_lite" in added
    assert heavy & {name.split(".")[0] for name in added} == set()


def test_every_requirement_is_pinned_and_no_index_is_named() -> None:
    lines = [line for line in TEXTS["requirements.txt"].splitlines() if line and not line.startswith("#")]
    assert [line for line in lines if not re.match(r"[\w.-]+==[\w.]+( ;|$)", line)] == []
    assert "torch==2.13.0" in lines
    assert "://" not in TEXTS["requirements.txt"]
    for name, text in TEXTS.items():
        if not name.startswith("binder/"):
            assert (
                not re.search(r"--(extra-)?index-url|--find-links", text)
                or name == "tests/test_repository.py"
            ), name


def test_nothing_tells_of_the_machine_that_made_it() -> None:
    home = str(Path.home())
    folders = {str(ROOT), os.path.realpath(ROOT)} | ({home} if home != "/" else set())
    telling = re.compile(
        "|".join(
            [re.escape(folder) + r"(?=/|\W|$)" for folder in sorted(folders)] + [r"/(?:home|Users)/[a-z]\w*/"]
        )
    )
    pages = {path.name: path.read_text(encoding="utf-8") for path in HTML.rglob("*.html")}
    assert pages
    found = {name: hit.group() for name, text in {**TEXTS, **pages}.items() if (hit := telling.search(text))}
    assert found == {}


def test_workflows_call_the_same_targets_as_the_reader() -> None:
    workflows = [text for name, text in TEXTS.items() if name.startswith(".github/workflows/")]
    runs = [
        step["run"]
        for text in workflows
        for job in yaml.safe_load(text)["jobs"].values()
        for step in job["steps"]
        if "run" in step
    ]
    assert any("make book" in run for run in runs)
    assert "make test THOROUGH=1" in runs, "nothing is published before every test has passed"
    assert TEXTS[".ci/run"].splitlines()[-1] == "make test THOROUGH=1"
    assert os.access(ROOT / ".ci" / "run", os.X_OK)
    assert not [run for run in runs if re.search(r"\b(pytest|jupyter-book|pip)\b", run)]


def test_code_keeps_the_house_style() -> None:
    done = subprocess.run(
        [sys.executable, "-m", "ruff", "check", "--output-format=concise", "."],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr


def test_notebooks_are_plain_json_of_format_4() -> None:
    for name, text in TEXTS.items():
        if name.endswith(".ipynb"):
            assert json.loads(text)["nbformat"] == 4


def test_every_photograph_is_credited_in_the_book():
    from attention_lite.lab.photographs import PHOTOGRAPHS, SPLITS

    rows = [line for line in (ROOT / "book" / "photographs.md").read_text(encoding="utf-8").splitlines()
            if line.startswith("| `")]
    side = {name: split for split, names in SPLITS.items() for name in names}
    assert rows == [f"| `{name}` | [{p.title}]({p.source}) | {p.credit} | {p.licence} | {side[name]} | {p.shipped_in} |"
                    for name, p in PHOTOGRAPHS.items()]
