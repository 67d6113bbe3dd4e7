"""The one way in for arrays: explorers, figures and scores read what they are given through `as_array`."""

from typing import Any

from attention_lite.extras import extra

with extra("lab"):
    import numpy as np


def as_array(name: str, value: Any) -> np.ndarray:
    """Return numbers as a numpy array: those of a torch tensor on any device, with or without gradient, or of a list.

    Floats of less than 32 bits become float32, which holds all their values: numpy has no bfloat16.

    Raises:
        ValueError: if numpy cannot read `value` (rows of different lengths, a tensor on the meta device).
    """
    try:
        return _read(value)
    except (TypeError, ValueError, RuntimeError) as error:
        why = " ".join(str(error).split())
        raise ValueError(f"{name} must be an array, got a {type(value).__name__} that is none: {why}") from error


def _read(value: Any) -> np.ndarray:
    if isinstance(value, (list, tuple)):
        return np.asarray([_read(part) for part in value])
    if not hasattr(value, "detach"):                 # a torch.Tensor has it; explorers get by without torch
        return np.asarray(value)
    small = value.is_floating_point() and value.itemsize < 4
    return (value.float() if small else value).numpy(force=True)     # force: detached, and copied to the CPU
