"""A package that is missing is named together with the extra of attention-lite that brings it."""

from collections.abc import Iterator
from contextlib import contextmanager
from importlib.util import find_spec
from pathlib import Path


@contextmanager
def extra(name: str) -> Iterator[None]:
    """Word the error of a missing package: `with extra("lab"): import safetensors`.

    Raises:
        ModuleNotFoundError: if an import inside fails, with the command that installs the extra.
    """
    try:
        yield
    except ModuleNotFoundError as error:
        if (error.name or "").startswith("attention_lite"):      # a fault of ours, which no extra mends
            raise
        raise ModuleNotFoundError(f"the package {error.name} is missing; it comes with: "
                                  f"python -m pip install 'attention-lite[{name}]'", name=error.name) from error


def file_in(package: str, file: str) -> Path:
    """A file that a package ships, found without importing the package, which for some takes seconds.

    Raises:
        ModuleNotFoundError: if the package is missing.
    """
    spec = find_spec(package)
    if spec is None:
        raise ModuleNotFoundError(f"No module named {package!r}", name=package)
    return Path(spec.submodule_search_locations[0]) / file
