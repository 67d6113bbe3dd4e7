"""See the attention maps inside any model, without touching the model."""

import sys
import warnings
from collections import Counter
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager

import torch
from torch import Tensor, nn
from torch._functorch.pyfunctorch import temporarily_clear_interpreter_stack
from torch.nn.modules.module import register_module_forward_hook, register_module_forward_pre_hook
from torch.nn.utils import parametrize

from attention_lite.block import AttentionBlock, recorders, untouched

Maps = dict[str, dict[str, Tensor]]


@contextmanager
def record_attention(model: nn.Module) -> Iterator[Maps]:
    """Record the attention maps of every block inside `model` during its forward pass.

    Use it as `with record_attention(model) as maps: model(x)`. Afterwards `maps["layer.name"]` is what that
    block's `attention` returned for the input it received: a dict of detached tensors. The model's outputs,
    gradients, buffers and random numbers are those of an unrecorded pass, and nothing of the recording is in
    the model: a copy made meanwhile (deepcopy, torch.save, a replica of data parallelism) is not recorded.
    It costs one more `attention` of every block, and 0.1 to 0.3 ms a block on one core.

    Args:
        model: any module. Its blocks are found by their class, `AttentionBlock`, under their `named_modules`
            names; a model that is itself a block is named "". What torch.compile has compiled runs uncompiled
            while it is recorded (from torch 2.6 on; before, what ran compiled already records nothing).

    Yields:
        The dict that fills up while the model runs. A pass is a call of `model`: it starts the dict anew, and a
        block that runs more than once in it is recorded as "name", "name:2", "name:3", in order. Where a part of
        the model is called by itself, as in `model.forward_features(x)`, each block has its newest maps alone.
        What a backward pass computes again, as checkpointing does, is not recorded. Inside torch.func.vmap the
        hidden axis comes first.

    Raises:
        ValueError: if `model` is not a module or holds no attention block.
    """
    if not isinstance(model, nn.Module):
        raise ValueError(f"model must be a torch.nn.Module, got {type(model).__name__}")
    blocks = {name: module for name, module in model.named_modules() if isinstance(module, AttentionBlock)}
    if not blocks:
        raise ValueError("model must hold at least one attention block of attention_lite, "
                         f"got {type(model).__name__}, which holds none")

    recorder = _Recorder(model, blocks)
    # Hooks of the model's own would go with every copy of it; those of torch see all modules, and copy with none.
    handles = [register_module_forward_pre_hook(recorder.begin),
               register_module_forward_hook(recorder.end, always_call=True)]
    recorders.append(recorder)
    try:
        with _uncompiled():
            yield recorder.maps
    finally:
        recorders.remove(recorder)
        for handle in handles:
            handle.remove()


class _Recorder:
    """What is called before and after modules run, and what it has recorded of the pass in progress."""

    def __init__(self, model: nn.Module, blocks: dict[str, AttentionBlock]) -> None:
        self.model, self.names = model, {block: name for name, block in blocks.items()}
        self.maps: Maps = {}
        self.calls: Counter[str] = Counter()
        self.inside = 0          # how many calls of the model are under way
        self.asking = False      # whether a block is being asked for its maps, which may run blocks inside it

    def begin(self, module: nn.Module, *_: object) -> None:
        if module is self.model and not self._blind():
            if not self.inside:
                self.maps.clear()
                self.calls.clear()
            self.inside += 1

    def end(self, module: nn.Module, *_: object) -> None:
        if module is self.model and not self._blind():
            self.inside -= 1

    def record(self, block: AttentionBlock, args: tuple, kwargs: dict) -> None:
        if self._blind():
            return
        self.asking = True
        try:
            found = _attention_without_traces(block, args, kwargs)
        finally:
            self.asking = False
        name = self.names[block]
        if not self.inside:
            self._forget(name)
        self.calls[name] += 1
        self.maps[_numbered(name, self.calls[name])] = found

    def _blind(self) -> bool:
        return self.asking or torch._C._current_graph_task_id() != -1         # -1: no backward pass is under way

    def _forget(self, name: str) -> None:
        for i in range(1, self.calls.pop(name, 0) + 1):
            self.maps.pop(_numbered(name, i), None)


def _numbered(name: str, call: int) -> str:
    return name if call == 1 else f"{name}:{call}"


@contextmanager
def _uncompiled() -> Iterator[None]:
    """Run compiled code as plain Python meanwhile: compiled without the hooks, it would not call them."""
    if "torch._dynamo" not in sys.modules or not hasattr(torch.compiler, "set_stance"):  # nothing is compiled
        yield
        return
    with torch.compiler.set_stance("force_eager"), warnings.catch_warnings():
        warnings.filterwarnings("ignore", message=".*when there are global hooks on modules")    # as there are: ours
        yield


def _attention_without_traces(block: AttentionBlock, args: tuple, kwargs: dict) -> dict[str, Tensor]:
    """Call `attention` and leave buffers, random numbers and torch's caches as they were."""
    held = [t for t in (*args, *kwargs.values(), *block.parameters()) if isinstance(t, Tensor)]
    with torch.no_grad(), _same_random_numbers({t.device for t in held}), _same_cache(), untouched(block):
        maps = block.attention(*args, **kwargs)
        held += [t for t in vars(block).values() if isinstance(t, Tensor)]
        return {key: _readable(value.detach(), held) for key, value in maps.items()}


def _same_random_numbers(devices: set[torch.device]) -> AbstractContextManager:
    """Put back the state of the generators of the CPU and of `devices`."""
    others = [d for d in devices if d.type not in ("cpu", "meta")]
    return torch.random.fork_rng([d.index or 0 for d in others], device_type=others[0].type if others else "cuda")


@contextmanager
def _same_cache() -> Iterator[None]:
    """Keep weights computed here, without gradients, out of what `parametrize.cached` gives to the model."""
    before = dict(parametrize._cache)
    try:
        yield
    finally:
        parametrize._cache.clear()
        parametrize._cache.update(before)


def _readable(map_: Tensor, held: list[Tensor]) -> Tensor:
    """A map that stays as it is: a copy of what the model holds, and plain where torch.func has wrapped it.

    The axes that vmap hides come first.
    """
    functorch, hidden = torch._C._functorch, []
    while functorch.is_functorch_wrapped_tensor(map_):
        hidden.append(functorch.maybe_get_bdim(map_))                      # -1 in a transform that is no vmap
        map_ = functorch.get_unwrapped(map_)
    with temporarily_clear_interpreter_stack():
        for front, axis in enumerate(axis for axis in reversed(hidden) if axis >= 0):
            map_ = map_.movedim(front + axis, front)                       # counted behind those in front already
        shared = hidden or any(torch._C._is_alias_of(map_, t) for t in held)
        return map_.clone() if shared else map_
