"""Time and memory against the number of tokens N, and the exponents of their growth."""

import math
from collections.abc import Callable

import torch
from torch import Tensor, nn
from torch.utils.flop_counter import FlopCounterMode

from attention_lite import EMSA, ExternalAttention, PositionAttentionModule, ScaledDotProductAttention
from attention_lite.fused import fused_attention
from attention_lite.lab.measuring import caller, does_not_fit, interleaved, peak_memory
from benchmarks.plain import Plain

SIDES = (7, 14, 28, 56, 112, 128)        # N = 49, 196, 784, 3136, 12544, 16384
RATIOS = (1, 2, 4, 8)
D = 64                                   # features of a token; one image, one head
LARGEST = 4                              # the exponents are fitted to so many of the largest N


class AttentionPart(nn.Module):
    """The attention of EMSA alone: queries of all N tokens, keys and values of the N / s² that are left."""

    def __init__(self, ratio: int) -> None:
        super().__init__()
        self.ratio = ratio

    def forward(self, x: Tensor) -> Tensor:
        Q = x[:, None]
        K = Q[:, :, :max(1, x.shape[1] // self.ratio**2)]
        return fused_attention(Q, K, K, scale=1 / math.sqrt(D))[:, 0]


def _emsa(ratio: int) -> Callable[[], nn.Module]:
    return lambda: EMSA(D, h=1, ratio=ratio, apply_transform=False)


MECHANISMS: dict[str, Callable[[], nn.Module]] = {
    "self-attention": lambda: ScaledDotProductAttention(D, h=1),
    "self-attention, plain": lambda: Plain(ScaledDotProductAttention(D, h=1)),
    "position attention": lambda: PositionAttentionModule(D),
    "external attention": lambda: ExternalAttention(D),
    **{f"EMSA, ratio {s}": _emsa(s) for s in RATIOS},
    **{f"EMSA's attention part, ratio {s}": lambda s=s: AttentionPart(s) for s in RATIOS},
}


def measure(side: int, seconds: float) -> list[dict]:
    """One row a mechanism, for N = side²: seconds and peak bytes of a forward pass, peak bytes of a training step."""
    n = side * side
    rows, modules, inputs = [], {}, {}
    for name, make in MECHANISMS.items():
        torch.manual_seed(0)
        row = {"mechanism": name, "N": n}
        rows.append(row)
        if name == "self-attention, plain" and (reason := does_not_fit(4 * n * n, "step")):
            row["skipped"] = reason
            continue
        modules[name] = make()
        inputs[name] = torch.randn(1, D, side, side) if name == "position attention" else torch.randn(1, n, D)
    times = interleaved({name: caller(m, inputs[name], "forward") for name, m in modules.items()}, seconds)
    for row in rows:
        if (name := row["mechanism"]) in modules:
            row |= times[name]
            for mode in ("forward", "step"):
                row[f"{mode}_bytes"] = peak_memory(caller(modules[name], inputs[name], mode))
    return rows


def exponents(rows: list[dict]) -> dict[str, dict[str, float]]:
    """The slope of log(what) over log(N), by least squares over the largest N, for each mechanism."""
    fits = {}
    for name in MECHANISMS:
        found = [r for r in rows if r["mechanism"] == name and "skipped" not in r]
        found = sorted(found, key=lambda r: r["N"])[-LARGEST:]
        fits[name] = {what: _slope([r["N"] for r in found], [r[what] for r in found])
                      for what in ("median", "forward_bytes", "step_bytes")}
    return fits


def _slope(xs: list[float], ys: list[float]) -> float:
    logs = [(math.log(x), math.log(y)) for x, y in zip(xs, ys, strict=True)]
    mean_x, mean_y = (sum(column) / len(logs) for column in zip(*logs, strict=True))
    return sum((x - mean_x) * (y - mean_y) for x, y in logs) / sum((x - mean_x) ** 2 for x, _ in logs)


def savings(rows: list[dict]) -> list[dict]:
    """What EMSA's ratio s saves of the attention part at the largest N: in FLOPs, and in time."""
    n = max(r["N"] for r in rows)
    seconds = {r["mechanism"]: r["median"] for r in rows if r["N"] == n and "skipped" not in r}
    part = "EMSA's attention part, ratio "
    return [{"ratio": s, "N": n, "flops": attention_flops(n, 1) / attention_flops(n, s),
             "attention_time": seconds[f"{part}1"] / seconds[f"{part}{s}"],
             "whole_time": seconds["EMSA, ratio 1"] / seconds[f"EMSA, ratio {s}"]} for s in RATIOS]


def attention_flops(n: int, ratio: int) -> int:
    """FLOPs of softmax(Q K^T) V as torch counts them, on tensors without contents."""
    Q, K = torch.empty(n, D, device="meta"), torch.empty(max(1, n // ratio**2), D, device="meta")
    with FlopCounterMode(display=False) as counter:
        (Q @ K.T).softmax(dim=-1) @ K
    return counter.get_total_flops()
