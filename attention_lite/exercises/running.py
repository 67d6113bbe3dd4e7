"""The reader's code, run so that it can neither hang nor end the notebook, nor disturb what is run after it."""

import contextvars
import ctypes
import random
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from itertools import islice
from threading import Thread
from typing import Any

import torch

LIMIT = 10.0             # seconds that one call of the reader's code may take
MANY = 10_000            # so many values of a generator are read at most


class Wrong(Exception):
    """Raised inside a check, with the sentence that the reader is to see."""


def run(function: Callable, *arguments: Any) -> Any:
    """What `function` returns, called in a thread of its own.

    Raises:
        Wrong: if it is no function, stops with an error, asks Python to exit, or has not returned after LIMIT seconds.
    """
    if not callable(function):
        raise Wrong(f"expected a function, got {type(function).__name__}. Hand over the function itself: its name "
                    "alone, without calling it.")
    result: list[Any] = []
    error: list[BaseException] = []

    def work() -> None:
        try:
            value = function(*arguments)
            result.append(list(islice(value, MANY)) if isinstance(value, Iterator) else value)
        except BaseException as stopped:      # exit() too: the reader's code may raise anything
            error.append(stopped)

    thread = Thread(target=contextvars.copy_context().run, args=(work,), daemon=True)
    with undisturbed(), _exit_raises():
        thread.start()
        try:
            thread.join(LIMIT)
        finally:
            late = thread.is_alive()
            if late:
                _stop(thread)
    if late:
        raise Wrong(f"your code was stopped after {LIMIT:g} seconds. Is there a loop that never ends?")
    if error:
        raise Wrong(_what_stopped(error[0]))
    return result[0]


@contextmanager
def undisturbed() -> Iterator[None]:
    """Afterwards the random numbers of torch, NumPy and Python and torch's default dtype are as they were."""
    numpy = sys.modules.get("numpy")
    ours, plain, dtype = torch.get_rng_state(), random.getstate(), torch.get_default_dtype()
    theirs = numpy.random.get_state() if numpy else None
    try:
        yield
    finally:
        torch.set_rng_state(ours)
        random.setstate(plain)
        torch.set_default_dtype(dtype)
        if numpy:
            numpy.random.set_state(theirs)


@contextmanager
def _exit_raises() -> Iterator[None]:
    """In a notebook exit() and quit() end the kernel, wherever they are called; here they raise SystemExit."""
    shell = sys.modules["IPython"].get_ipython() if "IPython" in sys.modules else None
    if shell is None:
        yield
        return
    ask_exit, shell.ask_exit = shell.ask_exit, sys.exit
    try:
        yield
    finally:
        shell.ask_exit = ask_exit


def _stop(thread: Thread) -> None:
    """Raise SystemExit in a thread, again while it catches it. A single call into C is only left once it returns."""
    for _ in range(5):
        ctypes.pythonapi.PyThreadState_SetAsyncExc(ctypes.c_ulong(thread.ident), ctypes.py_object(SystemExit))
        thread.join(0.1)
        if not thread.is_alive():
            return


def _what_stopped(error: BaseException) -> str:
    if isinstance(error, SystemExit):
        return "your code asks Python to exit. Return the result instead."
    try:
        words = str(error)
    except BaseException:                      # a message may be broken itself
        words = "its message cannot be read."
    return f"your code stopped with {type(error).__name__}: {words}"
