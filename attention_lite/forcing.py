"""Put given gates in place of those that a model's squeeze-and-excitation blocks compute."""

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager

import torch
from torch import Tensor, nn

from attention_lite.checks import plain
from attention_lite.se import SEAttention


@contextmanager
def force_gates(model: nn.Module, gates: Mapping[str, Tensor | float]) -> Iterator[None]:
    """Let blocks of `model` use the given gates, whatever they see: `with force_gates(model, {"se": 0.5}): model(x)`.

    `record_attention` shows the forced gates meanwhile; those it recorded of one input may be forced on another. On
    leaving, every block computes its own again.

    Args:
        model: any module that holds SEAttention blocks.
        gates: for each block to be forced, by the name that `record_attention` gives it, one gate for every channel,
            (C,), or for every sample and channel, (B, C), or a number for all. Any finite values.

    Raises:
        ValueError: if `model` is not a module, `gates` is not a dict, a name is not that of one of the model's
            SEAttention blocks, or gates have the wrong number of channels or are not finite floating-point numbers.
    """
    if not isinstance(model, nn.Module):
        raise ValueError(f"model must be a torch.nn.Module, got {type(model).__name__}")
    if not isinstance(gates, Mapping):
        raise ValueError(f"gates must be a dict from blocks' names to their gates, got {type(gates).__name__}")
    blocks = {name: block for name, block in model.named_modules() if isinstance(block, SEAttention)}
    forced = [(_block(blocks, name), _gates(blocks, name, values)) for name, values in gates.items()]
    before = [vars(block).get("attention") for block, _ in forced]
    try:
        for block, s in forced:
            block.attention = _always(s)         # the instance's own comes before the class's method
        yield
    finally:
        for (block, _), own in zip(forced, before, strict=True):
            del block.attention
            if own is not None:                  # forced by a context outside this one
                block.attention = own


def _block(blocks: dict[str, SEAttention], name: str) -> SEAttention:
    if name not in tuple(blocks):
        known = ", ".join(blocks) or "it has none"
        raise ValueError(f"gates must name SEAttention blocks of model ({known}), got {name!r}")
    return blocks[name]


def _gates(blocks: dict[str, SEAttention], name: str, values: Tensor | float) -> Tensor:
    """The gates as a tensor that broadcasts to (B, C)."""
    channel, values = blocks[name].channel, plain(values)
    if isinstance(values, (int, float)) and not isinstance(values, bool):
        values = torch.full((channel,), float(values))
    if not isinstance(values, Tensor) or not values.is_floating_point():
        got = values.dtype if isinstance(values, Tensor) else type(values).__name__
        raise ValueError(f"gates[{name!r}] must be a number or a tensor of floating-point numbers, got {got}")
    if values.dim() not in (1, 2) or values.shape[-1] != channel:
        raise ValueError(f"gates[{name!r}] must hold one gate for each of the block's {channel} channels, "
                         f"got shape {tuple(values.shape)}")
    if not torch.isfinite(values).all():
        raise ValueError(f"gates[{name!r}] must be finite, got {values[~torch.isfinite(values)][0].item()}")
    return values


def _always(s: Tensor) -> Callable[[Tensor], dict[str, Tensor]]:
    def attention(x: Tensor) -> dict[str, Tensor]:
        if s.dim() == 2 and len(s) not in (1, len(x)):
            raise ValueError(f"gates forced on a batch of {len(x)} must be (C,) or (1, C) or ({len(x)}, C), "
                             f"got shape {tuple(s.shape)}")
        return {"channel": s.to(x.device).expand(len(x), -1)}

    return attention
