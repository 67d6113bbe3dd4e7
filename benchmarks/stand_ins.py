"""Import a package that asks for another one which is not here, and of which it uses nothing that matters."""

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from importlib.abc import Loader, MetaPathFinder
from importlib.machinery import ModuleSpec
from types import ModuleType


class _Anything(type):
    """A class with every attribute one asks for: each is another such class."""

    def __getattr__(cls, name: str) -> type:
        return _anything(name)


def _anything(name: str) -> type:
    if name.startswith("__"):                          # Python's own questions keep their answers
        raise AttributeError(name)
    return _Anything(name, (), {})


class _StandIns(MetaPathFinder, Loader):
    def __init__(self, package: str) -> None:
        self.package = package

    def find_spec(self, name: str, path: object = None, target: object = None) -> ModuleSpec | None:
        return ModuleSpec(name, self, is_package=True) if self.answers(name) else None

    def exec_module(self, module: ModuleType) -> None:
        module.__getattr__ = _anything                 # type: ignore[method-assign]

    def answers(self, name: str) -> bool:
        return name.partition(".")[0] == self.package


@contextmanager
def stand_ins(package: str) -> Iterator[None]:
    """While this lasts, `package` and all its modules can be imported, and hold an empty class under every name.

    Where the package is installed, the real one is taken. The stand-ins are gone afterwards: only what was imported
    meanwhile keeps those that it took.
    """
    finder = _StandIns(package)
    sys.meta_path.append(finder)                       # the last to be asked
    try:
        yield
    finally:
        sys.meta_path.remove(finder)
        for name, module in list(sys.modules.items()):
            if getattr(getattr(module, "__spec__", None), "loader", None) is finder:
                del sys.modules[name]
