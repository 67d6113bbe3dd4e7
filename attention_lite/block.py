"""What the mechanisms of this package have in common: their class, and a look at them that leaves no trace."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor, nn

recorders: list[Any] = []      # of the `record_attention` that are under way; empty at all other times


class AttentionBlock(nn.Module):
    """A module whose forward pass applies the very weights that `attention` returns.

    `record_attention` looks for this class: that is how it tells an attention block from a module that
    merely has something called `attention` inside.
    """

    def attention(self, *args: Tensor, **kwargs: Tensor) -> dict[str, Tensor]:
        """Return the attention weights for the arguments that `forward` takes, as a dict of named tensors.

        Asking moves no running statistics, not even in training: those are moved by `forward` alone.
        """
        raise NotImplementedError(f"{type(self).__name__} does not define attention()")

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        """Run `forward` with all hooks, and the recorders that know this very module, not a copy of it, as the last."""
        if not recorders:
            return super().__call__(*args, **kwargs)
        handles = [self.register_forward_pre_hook(recorder.record, with_kwargs=True)
                   for recorder in recorders if self in recorder.names]
        try:
            return super().__call__(*args, **kwargs)
        finally:
            for handle in handles:
                handle.remove()


@contextmanager
def untouched(module: nn.Module) -> Iterator[None]:
    """Lend `module` copies of its buffers, such as running statistics, and give back its own at the end.

    Nothing is written into the buffers themselves: autograd may have saved them for another pass.
    """
    own = [(part, part._buffers) for part in module.modules()]
    with torch.no_grad():
        copies = {buffer: buffer.clone() for _, buffers in own for buffer in buffers.values() if buffer is not None}
    try:
        for part, buffers in own:
            part._buffers = {name: copies.get(buffer) for name, buffer in buffers.items()}
        yield
    finally:
        for part, buffers in own:
            part._buffers = buffers
