"""The lab draws and builds in float32, also where a reader has set another default dtype."""

from collections.abc import Iterator
from contextlib import contextmanager

import torch


@contextmanager
def float32() -> Iterator[None]:
    """Set torch's default dtype to float32 inside: other dtypes draw other numbers from the same seed."""
    before = torch.get_default_dtype()
    torch.set_default_dtype(torch.float32)
    try:
        yield
    finally:
        torch.set_default_dtype(before)
