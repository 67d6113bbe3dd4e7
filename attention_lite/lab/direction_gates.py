"""The direction classifier under other gates: its own, those of other words, and constants."""

import torch
from torch import Tensor

from attention_lite import force_gates, record_attention
from attention_lite.lab import pretrained, printed
from attention_lite.lab.text_gates import Gates
from attention_lite.networks import TextDirection


def lines(count: int, seed: int) -> tuple[Tensor, Tensor]:
    """Lines of text as the classifier takes them, (count, 3, 48, 192), and whether each is turned, bool (count,)."""
    pictures, turned = printed.lines_of_text(count, seed)
    return torch.from_numpy(pictures).permute(0, 3, 1, 2) / 255, torch.from_numpy(turned)


@torch.no_grad()
def ask(net: TextDirection, x: Tensor, forced: Gates | None = None) -> tuple[Tensor, Gates]:
    """Which of the lines are taken for turned, bool (n,), and each block's gates (n, C)."""
    with force_gates(net, forced or {}), record_attention(net) as maps:
        turned = net(x).argmax(1) == 1
    return turned, {name: recorded["channel"] for name, recorded in maps.items()}


def answers(x: Tensor, others: Tensor) -> dict[str, Tensor]:
    """What the classifier takes for turned among n lines, bool (n,), under each source of gates.

    Args:
        x: the lines, (n, 3, 48, 192).
        others: other lines, as many, which give the mean gates and another word's.
    """
    net = pretrained.text_direction()
    (_, own), (_, other) = ask(net, x), ask(net, others)
    rng = torch.Generator().manual_seed(0)
    orders = {name: torch.rand(s.shape, generator=rng).argsort(1) for name, s in own.items()}
    sources = {
        "its own": own,
        "mean of others": {name: s.mean(0) for name, s in other.items()},
        "another word's": other,
        "constant a block": {name: s.mean(1, keepdim=True).expand_as(s) for name, s in own.items()},
        "own, shuffled": {name: s.gather(1, orders[name]) for name, s in own.items()},
        "all ½": {name: torch.full_like(s, 0.5) for name, s in own.items()},
        "all 1": {name: torch.ones_like(s) for name, s in own.items()},
    }
    return {name: ask(net, x, forced)[0] for name, forced in sources.items()}
