"""A package that is missing is named together with the extra of attention-lite that brings it."""

from collections.abc import Iterator
from contextlib import contextmanager


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
