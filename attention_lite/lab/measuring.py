"""Time and memory of calls that are compared: all of them in one run, one after the other, round after round."""

import gc
import json
import platform
import statistics
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import torch
from torch import Tensor, nn

LEAST_SAMPLE = 2e-3      # seconds: calls shorter than this are repeated until they fill it
LEAST_ROUNDS, MOST_ROUNDS = 3, 200
ROUNDS = 5


def caller(module: nn.Module, x: Tensor, mode: str) -> Callable[[], None]:
    """One forward pass in evaluation without gradients, or one forward and backward pass in training.

    Gradients reach the weights and the input, as they do for a block inside a network.
    """
    module.train(mode == "step")
    if mode == "forward":
        def forward() -> None:
            with torch.no_grad():
                module(x)
        return forward

    x = x.detach().clone().requires_grad_()
    upstream = torch.randn_like(module(x))
    leaves = [x, *module.parameters()]

    def step() -> None:
        module(x).backward(upstream)
        for leaf in leaves:
            leaf.grad = None
    return step


def interleaved(calls: dict[str, Callable[[], None]], seconds: float) -> dict[str, dict]:
    """Quartiles of the seconds that each call takes, over rounds in which every call has its turn.

    Each round begins with another call, so that none always follows the same one. Rounds go on for about
    `seconds`, and there are at least LEAST_ROUNDS.
    """
    repeats = {name: _repeats(call) for name, call in calls.items()}
    samples: dict[str, list[float]] = {name: [] for name in calls}
    names, end = list(calls), time.perf_counter() + seconds
    gc.collect()
    gc.disable()
    try:
        for turn in range(MOST_ROUNDS):
            if turn >= LEAST_ROUNDS and time.perf_counter() > end:
                break
            first = turn % len(names)
            for name in names[first:] + names[:first]:
                samples[name].append(_timed(calls[name], repeats[name]))
    finally:
        gc.enable()
    return {name: _summary(values) for name, values in samples.items()}


def _repeats(call: Callable[[], None]) -> int:
    """Warm `call` up, and return how many calls fill a sample."""
    once = _timed(call, 1)
    if once < 0.1:
        once = _timed(call, 3)
    return max(1, round(LEAST_SAMPLE / once))


def _timed(call: Callable[[], None], repeats: int) -> float:
    start = time.perf_counter()
    for _ in range(repeats):
        call()
    return (time.perf_counter() - start) / repeats


def _summary(values: list[float]) -> dict:
    q1, median, q3 = statistics.quantiles(values, n=4, method="inclusive")
    return {"median": median, "q1": q1, "q3": q3, "rounds": len(values)}


def shortest_seconds(calls: dict[str, Callable[[Tensor], object]], inputs: list[Tensor]) -> dict[str, list[float]]:
    """The processor's seconds for each call on each input, on one thread and without gradients.

    The shortest of ROUNDS rounds, in each of which all calls have their turn: a moment in which the machine is
    busy with something else falls on none of them alone.
    """
    samples: dict[str, list[list[float]]] = {name: [[] for _ in inputs] for name in calls}
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        with torch.no_grad():
            for _ in range(ROUNDS):
                for name, call in calls.items():
                    for x, taken in zip(inputs, samples[name], strict=True):
                        taken.append(_processor_seconds(call, x))
    finally:
        torch.set_num_threads(threads)
    return {name: [min(taken) for taken in rows] for name, rows in samples.items()}


def _processor_seconds(call: Callable[[Tensor], object], x: Tensor) -> float:
    start, count = time.process_time(), 0
    while count == 0 or time.process_time() - start < LEAST_SAMPLE:
        call(x)
        count += 1
    return (time.process_time() - start) / count


def kept_bytes(call: Callable[[Tensor], object], x: Tensor) -> int:
    """The bytes that autograd keeps of `call(x)` for the backward pass, each tensor counted once."""
    kept: dict[int, Tensor] = {}
    with torch.autograd.graph.saved_tensors_hooks(lambda t: kept.setdefault(t.data_ptr(), t), lambda t: t):
        call(x)
    return sum(t.numel() * t.element_size() for t in kept.values())


def exponent(x: list[float], y: list[float]) -> float:
    """The p of y = c xᵖ: the slope of a straight line through log y against log x, by least squares."""
    return float(np.polyfit(np.log(x), np.log(y), 1)[0])


def peak_memory(call: Callable[[], None]) -> int:
    """The most bytes that `call`, already warm, holds at a time in torch's allocator, beyond what was there before.

    Every tensor and every buffer that a kernel asks torch for is counted, to the byte; what a library
    keeps to itself (oneDNN's scratch) is not.
    """
    with torch.profiler.profile(activities=[torch.profiler.ProfilerActivity.CPU], profile_memory=True) as profile:
        call()
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, "trace.json")
        profile.export_chrome_trace(str(path))
        events = json.loads(path.read_text(encoding="utf-8"))["traceEvents"]
    held = peak = 0
    for event in sorted((e for e in events if e["name"] == "[memory]"), key=lambda e: e["ts"]):
        held += event["args"]["Bytes"]
        peak = max(peak, held)
    return peak


def does_not_fit(map_bytes: int, mode: str) -> str | None:
    """A sentence if plain attention, with maps of that size, needs more memory than the machine has free."""
    # Plain attention holds the scores and their softmax, in a training step also the gradients of both.
    need, free = map_bytes * (4 if mode == "step" else 2), free_memory()
    return f"does not fit: about {need / 2**30:.1f} GiB of {free / 2**30:.1f} GiB" if need > 0.9 * free else None


def free_memory() -> float:
    """Bytes that this machine can still give; infinite where it does not say (other than on Linux)."""
    info = Path("/proc/meminfo")
    if not info.exists():
        return float("inf")
    return int(info.read_text().split("MemAvailable:")[1].split()[0]) * 1024


def processor() -> str:
    """The processor's name, where Linux tells it."""
    info = Path("/proc/cpuinfo")
    names = [line for line in info.read_text().splitlines() if line.startswith("model name")] if info.exists() else []
    return names[0].split(":", 1)[1].strip() if names else platform.processor()
