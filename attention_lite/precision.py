"""In float32, whatever the block computes in: what float16, whose largest number is 65504, cannot hold."""

from contextlib import AbstractContextManager, nullcontext

import torch
from torch import Tensor, nn


@torch.fx.wrap                               # torch.fx has no dtypes while it traces: its graph calls this
def product(a: Tensor, b: Tensor) -> Tensor:
    """Return a @ b in float32 or more, under autocast too: the scores of two vectors are their sizes multiplied."""
    with _outside_autocast(a.device):
        return widened(a) @ widened(b)


@torch.fx.wrap
def widened(x: Tensor) -> Tensor:
    """Return x, in float32 if it is of half precision."""
    return x.float() if x.dtype in (torch.float16, torch.bfloat16) else x


@torch.fx.wrap
def applied(layer: nn.Module, x: Tensor) -> Tensor:
    """Return layer(x) for an x of float32 or more, with the layer's weights in x's dtype, under autocast too."""
    with _outside_autocast(x.device):
        if getattr(getattr(layer, "weight", None), "dtype", None) == x.dtype:      # most often: without a search
            return layer(x)
        weights = {name: p.to(x.dtype) for name, p in layer.named_parameters()}
        return torch.func.functional_call(layer, weights, (x,))


def _outside_autocast(device: torch.device) -> AbstractContextManager:
    """Autocast switched off where it is on (on "meta" torch does not even know the question)."""
    if device.type != "meta" and torch.is_autocast_enabled(device.type):
        return torch.autocast(device.type, enabled=False)
    return nullcontext()
