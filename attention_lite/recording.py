"""See the attention maps inside any model, without touching the model."""

import sys
import warnings
from collections import Counter
from collections.abc import Iterator
from contextlib import AbstractContextManager, ExitStack, contextmanager
from typing import Any

import torch
from torch import Tensor, nn
from torch._functorch.pyfunctorch import temporarily_clear_interpreter_stack
from torch.nn.modules.module import register_module_forward_hook, register_module_forward_pre_hook
from torch.nn.utils import parametrize
from torch.utils._python_dispatch import TorchDispatchMode, _get_current_dispatch_mode_stack

from attention_lite import foreign
from attention_lite.block import AttentionBlock, recorders, untouched

Maps = dict[str, dict[str, Tensor]]
_shared = ExitStack()      # what the first recording enters and the last one leaves: they may end in any order


@contextmanager
def record_attention(model: nn.Module) -> Iterator[Maps]:
    """Record the attention maps of every block inside `model`, ours and those of others, during its forward pass.

    Use it as `with record_attention(model) as maps: model(x)`. Afterwards `maps["layer.name"]` is what that
    block's `attention` returned for the input it received: a dict of detached tensors. The model's outputs,
    gradients, buffers and random numbers are those of an unrecorded pass, and nothing of the recording is in
    the model: a copy made meanwhile (deepcopy, torch.save, a replica of data parallelism) is not recorded.
    It costs one more `attention` of every block of this package, and 0.02 ms an operation on one core.

    Args:
        model: any module. Its blocks are found by their class, `AttentionBlock`, under their `named_modules`
            names; a model that is itself a block is named "". What torch.compile has compiled runs uncompiled
            while it is recorded (from torch 2.6 on; before, what ran compiled already records nothing).
            Attention modules of torch, timm, transformers and torchvision are found by the names of their classes
            (`attention_lite.foreign.KNOWN`), and their weights taken out of the operations that they run, fused
            or not, before any dropout: {"position": (B, h, N_q, N_k)}, {"channel": (B, C)} or {"spatial":
            (B, H, W)}. A warning names what cannot be read: other modules that are called attention in their
            class's name, and such as take the softmax of a square of tokens.

    Yields:
        The dict that fills up while the model runs. A pass is a call of `model`: it starts the dict anew, and a
        block that runs more than once in it is recorded as "name", "name:2", "name:3", in order. Where a part of
        the model is called by itself, as in `model.forward_features(x)`, each block has its newest maps alone.
        What a backward pass computes again, as checkpointing does, is not recorded. Inside torch.func.vmap the
        hidden axis comes first.

    Raises:
        ValueError: if `model` is not a module or holds nothing that is called attention.
    """
    if not isinstance(model, nn.Module):
        raise ValueError(f"model must be a torch.nn.Module, got {type(model).__name__}")
    names = {module: name for name, module in model.named_modules()}
    if not any(isinstance(m, AttentionBlock) or foreign.kind(m) or foreign.called_attention(m) for m in names):
        raise ValueError("model must hold at least one attention block of attention_lite, "
                         f"got {type(model).__name__}, which holds none")

    recorder = _Recorder(model, names)
    # Hooks of the model's own would go with every copy of it; those of torch see all modules, and copy with none.
    handles = [register_module_forward_pre_hook(recorder.begin),
               register_module_forward_hook(recorder.end, always_call=True)]
    recorders.append(recorder)
    if len(recorders) == 1:
        _shared.enter_context(_uncompiled())
    try:
        with _watching(recorder):
            yield recorder.maps
    finally:
        recorders.remove(recorder)
        if not recorders:
            _shared.close()
        for handle in handles:
            handle.remove()


class _Recorder:
    """What is called before and after modules and operations run, and what it has recorded of the pass in progress."""

    def __init__(self, model: nn.Module, names: dict[nn.Module, str]) -> None:
        self.model, self.names = model, names
        self.maps: Maps = {}
        self.calls: Counter[str] = Counter()
        self.inside = 0          # how many calls of the model are under way
        self.asking = False      # whether a block is being asked for its maps, which may run blocks inside it
        self.under_way: list[_Call] = []
        self.unread: dict[str, list[str]] = {}           # the names of modules that could not be read, by their class
        self.told: set[str] = set()                      # the classes that a warning has named

    def begin(self, module: nn.Module, args: tuple) -> None:
        if module in self.names:
            self.under_way.append(_Call(module, args[0] if args else None))
        if module is self.model and not self._blind():
            if not self.inside:
                self.maps.clear()
                self.calls.clear()
            self.inside += 1

    def end(self, module: nn.Module, _: tuple, output: object) -> None:
        if module in self.names:
            call = self.under_way.pop()
            if not self._blind() and output is not None:                   # None comes of a pass that has failed
                self._read(call)
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
        self._keep(self.names[block], found)

    def see(self, op: Any, args: tuple, kwargs: dict, out: Any) -> None:
        """Take the weights out of an operation that a module of another package has run."""
        if not self.under_way or self._blind():
            return
        call = self.under_way[-1]
        if call.on in ("channel", "spatial"):
            call.found += foreign.gates(op, args, call.x)
        shape = foreign.scores_shape(op, args, kwargs, out)
        if shape is None or any(isinstance(c.module, AttentionBlock) for c in self.under_way):
            return
        reads = next((c for c in reversed(self.under_way) if c.on == "position"), None)
        if reads:
            reads.found.append(foreign.weights(op, args, kwargs, out))
        elif isinstance(call.module, nn.TransformerEncoderLayer):          # all in one operation: its heads do not run
            heads = call.module.self_attn
            self._keep(self.names[heads], foreign.as_map(heads, foreign.weights(op, args, kwargs, out)))
        elif shape[-1] == shape[-2] > 1:
            owner = next((c for c in reversed(self.under_way) if not isinstance(c.module, nn.Softmax)), call)
            self._cannot_read(owner.module)

    def _read(self, call: "_Call") -> None:
        """What a module has shown by the end of its call."""
        name = self.names[call.module]
        found = foreign.as_map(call.module, call.found[0]) if len(call.found) == 1 else None
        if found:
            self._keep(name, found)
        elif isinstance(call.module, AttentionBlock):
            pass                                                           # it was asked when it was called
        elif (call.on or foreign.called_attention(call.module)) and not self._is_told_of(name):
            self._cannot_read(call.module)
        if not self.under_way:
            self._warn()

    def _is_told_of(self, name: str) -> bool:
        """Whether a map or a warning tells of a module inside this one, or will of one around it."""
        inside = f"{name}." if name else ""
        return (any(other.startswith(inside) for names in (self.calls, *self.unread.values()) for other in names)
                or any(c.on or isinstance(c.module, AttentionBlock) for c in self.under_way))

    def _keep(self, name: str, found: dict[str, Tensor]) -> None:
        if not self.inside:
            self._forget(name)
        self.calls[name] += 1
        self.maps[_numbered(name, self.calls[name])] = found

    def _cannot_read(self, module: nn.Module) -> None:
        names = self.unread.setdefault(type(module).__name__, [])
        if self.names[module] not in names:
            names.append(self.names[module])

    def _warn(self) -> None:
        """Name what was left out, once a class."""
        left_out = [f"{kind} ({', '.join(map(repr, names[:3]))}{', …' if len(names) > 3 else ''})"
                    for kind, names in self.unread.items() if kind not in self.told]
        self.told |= self.unread.keys()
        self.unread.clear()
        if left_out:
            warnings.warn(f"record_attention has no maps of {'; '.join(left_out)}: it does not know how to read them",
                          stacklevel=2)

    def _blind(self) -> bool:
        return self.asking or torch._C._current_graph_task_id() != -1         # -1: no backward pass is under way

    def _forget(self, name: str) -> None:
        for i in range(1, self.calls.pop(name, 0) + 1):
            self.maps.pop(_numbered(name, i), None)


class _Call:
    """A call of a module that is under way: its first argument, and the weights that its operations have shown."""

    def __init__(self, module: nn.Module, x: object) -> None:
        self.module, self.on, self.x = module, foreign.kind(module), x
        self.found: list[Tensor] = []


class _Watch(TorchDispatchMode):
    """Lets every operation run as it is, and shows it to a recorder."""

    def __init__(self, recorder: _Recorder) -> None:
        super().__init__()
        self.recorder = recorder

    @classmethod
    def _should_skip_dynamo(cls) -> bool:
        return False             # or the first operation would load torch's compiler, which takes seconds

    def __torch_dispatch__(self, op: Any, types: Any, args: tuple = (), kwargs: dict | None = None) -> Any:
        out = op(*args, **(kwargs or {}))
        with torch.no_grad():
            self.recorder.see(op, args, kwargs or {}, out)
        return out


@contextmanager
def _watching(recorder: _Recorder) -> Iterator[None]:
    """Show operations to the recorder. Recordings may end in any order; torch can only take away the newest mode."""
    _Watch(recorder).__enter__()
    try:
        yield
    finally:
        watches = [mode for mode in _get_current_dispatch_mode_stack() if isinstance(mode, _Watch)]
        ended = next(watch for watch in watches if watch.recorder is recorder)
        ended.recorder = watches[-1].recorder
        watches[-1].__exit__(None, None, None)


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
