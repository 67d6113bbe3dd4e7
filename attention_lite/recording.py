"""See the attention maps inside any model, without touching the model."""

from collections.abc import Iterator
from contextlib import contextmanager

import torch
from torch import Tensor, nn

from attention_lite.block import AttentionBlock

Maps = dict[str, dict[str, Tensor]]


@contextmanager
def record_attention(model: nn.Module) -> Iterator[Maps]:
    """Record the attention maps of every block inside `model` during its forward pass.

    Use it as `with record_attention(model) as maps: model(x)`. Afterwards `maps["layer.name"]` is what that
    block's `attention` returned for the input it received: a dict of detached tensors. The model's outputs,
    gradients, buffers and random numbers are those of an unrecorded pass, and its hooks are gone on leaving.

    Args:
        model: any module. Its blocks are found by their class, `AttentionBlock`, under their `named_modules` names;
            a model that is itself a block is named "".

    Yields:
        The dict that fills up while the model runs. A new forward pass of `model` starts it anew. A block that
        runs more than once in a pass is recorded as "name", "name:2", "name:3", in order.

    Raises:
        ValueError: if `model` is not a module or holds no attention block.
    """
    if not isinstance(model, nn.Module):
        raise ValueError(f"model must be a torch.nn.Module, got {type(model).__name__}")
    blocks = {name: module for name, module in model.named_modules() if isinstance(module, AttentionBlock)}
    if not blocks:
        raise ValueError(f"model must hold at least one attention block of attention_lite, {type(model).__name__} holds none")

    maps: Maps = {}
    # The clearing hook is registered first, so that a model that is itself a block clears before it records.
    handles = [model.register_forward_pre_hook(lambda *_: maps.clear())]
    for name, block in blocks.items():
        handles.append(block.register_forward_pre_hook(_recorder(name, maps), with_kwargs=True))
    try:
        yield maps
    finally:
        for handle in handles:
            handle.remove()


def _recorder(name: str, maps: Maps):
    """A forward pre-hook that records what `attention` says of the block's arguments."""

    def record(block: AttentionBlock, args: tuple, kwargs: dict) -> None:
        found = _attention_without_traces(block, args, kwargs)
        calls = sum(key == name or key.rpartition(":")[0] == name for key in maps) + 1
        maps[name if calls == 1 else f"{name}:{calls}"] = found

    return record


def _attention_without_traces(block: AttentionBlock, args: tuple, kwargs: dict) -> dict[str, Tensor]:
    """Call `attention` and put back what a layer in training mode may change: buffers and random numbers."""
    buffers = {key: value.clone() for key, value in block.named_buffers()}
    with torch.no_grad(), torch.random.fork_rng():
        maps = block.attention(*args, **kwargs)
        for key, value in block.named_buffers():
            if not torch.equal(value, buffers[key]):              # writing what autograd may have saved would break backward
                value.copy_(buffers[key])
    return {key: value.detach().clone() for key, value in maps.items()}
