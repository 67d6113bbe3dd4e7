"""Binder's image, rendered without Docker: the files in binder/ are read as meant."""

from __future__ import annotations

import re

import pytest
from repo2docker.app import Repo2Docker
from repo2docker.buildpacks import PythonBuildPack

from conftest import ROOT


@pytest.fixture
def dockerfile(monkeypatch: pytest.MonkeyPatch) -> str:
    """The Dockerfile that repo2docker makes of this repository."""
    monkeypatch.chdir(ROOT)
    binder = Repo2Docker()
    pack = next(pack for make in binder.buildpacks if (pack := make(binder.base_image)).detect())
    assert type(pack) is PythonBuildPack
    assert pack.binder_dir == "binder"
    assert pack.python_version.startswith("3.11")
    pack.platform = "linux/amd64"
    return pack.render(build_args={})


def test_the_image_installs_binders_requirements_from_the_root(dockerfile: str) -> None:
    install = re.search(r"pip install .*-r \"?(\S+?)\"?$", dockerfile, re.MULTILINE)
    assert install
    assert install.group(1) == "binder/requirements.txt"
    # `-e .` needs the whole repository in place first.
    assert dockerfile.index("COPY --chown=1000:1000 src/ ") < install.start()


def test_torch_is_the_cpu_build_of_the_pinned_version() -> None:
    lines = (ROOT / "binder" / "requirements.txt").read_text().splitlines()
    pinned = next(
        line for line in (ROOT / "requirements.txt").read_text().splitlines() if line.startswith("torch==")
    )
    assert f"{pinned}+cpu" in lines
    assert "-e .[lab]" in lines
    assert "--constraint ../requirements.txt" in lines
