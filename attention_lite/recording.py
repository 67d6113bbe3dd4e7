"""See the attention maps inside any model, without touching the model."""

import sys
from collections import Counter
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext

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
        model: any module. Its blocks are found by their class, `AttentionBlock`, under their `named_modules`
            names; a model that is itself a block is named "". What torch.compile has compiled runs uncompiled
            while it is recorded (from torch 2.6 on; before, what ran compiled already records nothing).

    Yields:
        The dict that fills up while the model runs. A new forward pass of `model` starts it anew. A block
        that runs more than once in a pass is recorded as "name", "name:2", "name:3", in order.

    Raises:
        ValueError: if `model` is not a module or holds no attention block.
    """
    if not isinstance(model, nn.Module):
        raise ValueError(f"model must be a torch.nn.Module, got {type(model).__name__}")
    blocks = {name: module for name, module in model.named_modules() if isinstance(module, AttentionBlock)}
    if not blocks:
        raise ValueError("model must hold at least one attention block of attention_lite, "
                         f"got {type(model).__name__}, which holds none")

    recorder = _Recorder(blocks)
    # The clearing hook is registered first, so that a model that is itself a block clears before it records.
    handles = [model.register_forward_pre_hook(recorder.clear)]
    handles += [b.register_forward_pre_hook(recorder.record, with_kwargs=True) for b in blocks.values()]
    try:
        with _uncompiled():
            yield recorder.maps
    finally:
        for handle in handles:
            handle.remove()


class _Recorder:
    """The forward pre-hooks, and what they have recorded of the pass in progress."""

    def __init__(self, blocks: dict[str, AttentionBlock]) -> None:
        self.names = {block: name for name, block in blocks.items()}
        self.maps: Maps = {}
        self.calls: Counter[str] = Counter()
        self.asking = False      # whether a block is being asked for its maps, which may run blocks inside it

    def clear(self, *_: object) -> None:
        if not self.asking:
            self.maps.clear()
            self.calls.clear()

    def record(self, block: AttentionBlock, args: tuple, kwargs: dict) -> None:
        if self.asking:
            return
        self.asking = True
        try:
            found = _attention_without_traces(block, args, kwargs)
        finally:
            self.asking = False
        name = self.names[block]
        self.calls[name] += 1
        self.maps[name if self.calls[name] == 1 else f"{name}:{self.calls[name]}"] = found


def _uncompiled() -> AbstractContextManager:
    """Run compiled code as plain Python meanwhile: compiled without the hooks, it would not call them."""
    if "torch._dynamo" in sys.modules and hasattr(torch.compiler, "set_stance"):  # else nothing is compiled
        return torch.compiler.set_stance("force_eager")
    return nullcontext()


def _attention_without_traces(block: AttentionBlock, args: tuple, kwargs: dict) -> dict[str, Tensor]:
    """Call `attention` and put back what a layer in training mode may change: buffers and random numbers."""
    buffers = {key: value.clone() for key, value in block.named_buffers()}
    with torch.no_grad(), torch.random.fork_rng():
        maps = block.attention(*args, **kwargs)
        for key, value in block.named_buffers():
            if not torch.equal(value, buffers[key]):     # autograd may have saved it: write only what changed
                value.copy_(buffers[key])
    return {key: value.detach().clone() for key, value in maps.items()}
