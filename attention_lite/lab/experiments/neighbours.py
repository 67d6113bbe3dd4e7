"""Context gating with ECA: what if its channels stand in another line, hear no neighbour, or get another frame's gates?

"shuffled" networks met their channels in another order from the first step on; for them that is the order that is
changed. Their gates go back to their channels before they multiply.
"""

import copy
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from attention_lite import ECAAttention
from attention_lite.lab.experiments import frame_gates, own

TASK = "context-gating"
RUNS = own.runs(TASK, "eca", "eca-shuffled")
ORDERS = 8               # random ones
LOUD = 1.4               # times the larger outer weight: a kernel whose middle weight is so large hears itself most


def line_of(block: nn.Module) -> tuple[ECAAttention, Tensor]:
    """The block with the kernel, and the order in which it meets its 48 channels."""
    return (block, torch.arange(48)) if isinstance(block, ECAAttention) else (block.block, block.order)


def gates_in(block: ECAAttention, z: Tensor, order: Tensor) -> Tensor:
    """The gates of channels with means z, (n, C), that stand in this order, (C,): each gate at its own channel."""
    return block.attention(z[:, order, None, None])["channel"][:, order.argsort()]


def hears(block: ECAAttention, itself: bool) -> ECAAttention:
    """A copy whose gates hear their own channel alone, or all but it."""
    cut = copy.deepcopy(block)
    kernel = cut.conv.weight.data[0, 0]
    kernel[torch.arange(len(kernel)) != len(kernel) // 2 if itself else len(kernel) // 2] = 0
    return cut


def orders() -> dict[str, Tensor]:
    """Places in the line: each channel one further, or turned round."""
    return {"shifted by one": torch.arange(48).roll(1), "reversed": torch.arange(48).flip(0)}


def random_orders() -> list[Tensor]:
    """As many as ORDERS, the same for all networks."""
    generator = torch.Generator().manual_seed(0)
    return [torch.randperm(48, generator=generator) for _ in range(ORDERS)]


@torch.no_grad()
def measure(task: str, model: str, seed: int) -> dict:
    """One row: the share of digits read, asked for by the frame, or by the next frame where its gates are forced."""
    net, scenes = own.load(task, model, seed), own.test_scenes(task)
    block, line = line_of(net.block)
    x = own.gathered(scenes, net.stem)
    z = x.mean((2, 3))
    by_frame = frame_gates.means_by_frame(net, own.validation_scenes(task))
    of_next = scenes.label.gather(1, ((scenes.target + 1) % 3)[:, None])[:, 0]

    def read(gates: Tensor) -> Tensor:
        return frame_gates.answers(net, x * gates.expand(len(x), -1)[:, :, None, None])

    def right(gates: Tensor) -> float:
        return own.share(read(gates) == scenes.answer)

    row = {"scenes": len(scenes), "kernel": block.conv.weight.flatten().tolist(),
           "as trained": right(gates_in(block, z, line))}
    row |= {name: right(gates_in(block, z, line[order])) for name, order in orders().items()}
    row["random orders"] = [right(gates_in(block, z, line[order])) for order in random_orders()]
    row |= {"itself alone": right(gates_in(hears(block, True), z, line)),
            "neighbours alone": right(gates_in(hears(block, False), z, line)),
            "the mean gates": right(by_frame.mean(0)), "all gates 1": right(torch.ones(48))}
    now, then = by_frame[scenes.target], by_frame[(scenes.target + 1) % 3]
    for name, forced in (("all", then), ("those that open", now.maximum(then)), ("those that shut", now.minimum(then))):
        row[f"another frame's, {name}"] = own.share(read(forced) == of_next)
    return row


def by_kernel(rows: Sequence[Mapping[str, Any]]) -> dict[str, list[Mapping[str, Any]]]:
    """The rows of networks whose middle weight is LOUD times the larger outer one or more, and the others."""
    groups: dict[str, list[Mapping[str, Any]]] = {"hears itself most": [], "hears a neighbour as much": []}
    for row in rows:
        left, itself, right = map(abs, row["kernel"])
        groups["hears itself most" if itself >= LOUD * max(left, right) else "hears a neighbour as much"].append(row)
    return groups


def shares(groups: Mapping[str, Sequence[Mapping[str, Any]]], kinds: Mapping[str, str],
           ) -> dict[str, dict[str, list[float]]]:
    """Groups of rows as a plot takes them: {label: {group: a share for each row}}; `kinds` {field: label}."""
    return {label: {name: [float(np.mean(row[kind])) for row in rows] for name, rows in groups.items()}
            for kind, label in kinds.items()}
