"""The direction classifier under other gates: its own, those of other words, and constants.

`python -m attention_lite.lab text-gates` stores what it answers; a test answers a sample of it anew.
"""

import io
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from attention_lite import force_gates, record_attention
from attention_lite.lab import pretrained, printed
from attention_lite.lab.files import write_whole
from attention_lite.lab.text_gates import Gates
from attention_lite.networks import TextDirection

FILE = Path(__file__).parent / "direction_gates.npz"
LINES = 1000             # that are asked about; as many others give the mean gates and another word's
BATCH = 100
SEED, OTHERS = 1, 2


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


def answers(count: int = LINES) -> dict[str, np.ndarray]:
    """What the classifier takes for turned among lines of text, bool (count,), under each source of gates.

    Under "turned" stands the truth.
    """
    net = pretrained.text_direction()
    (x, turned), (others, _) = lines(count, SEED), lines(count, OTHERS)
    mean = _mean(net, others)
    found: dict[str, list[Tensor]] = {}
    for part, other in zip(x.split(BATCH), others.split(BATCH), strict=True):
        (_, own), (_, foreign) = ask(net, part), ask(net, other)
        for name, forced in sources(own, foreign, mean).items():
            found.setdefault(name, []).append(ask(net, part, forced)[0])
    return {"turned": turned.numpy(), **{name: torch.cat(answer).numpy() for name, answer in found.items()}}


def sources(own: Gates, foreign: Gates, mean: Gates) -> dict[str, Gates]:
    """The gates of each source, (n, C) or (C,): from a line's own, another's, and the mean of many others."""
    rng = torch.Generator().manual_seed(0)
    orders = {name: torch.rand(s.shape, generator=rng).argsort(1) for name, s in own.items()}
    return {
        "its own": own,
        "mean of others": mean,
        "another word's": foreign,
        "own, one a block": {name: s.mean(1, keepdim=True).expand_as(s) for name, s in own.items()},
        "own, shuffled": {name: s.gather(1, orders[name]) for name, s in own.items()},
        "all ½": {name: torch.full_like(s, 0.5) for name, s in own.items()},
        "all 1": {name: torch.ones_like(s) for name, s in own.items()},
    }


def difference(a: np.ndarray, b: np.ndarray) -> tuple[float, float, float]:
    """The mean of a − b over the same lines, bool (n,), and its 95 % interval: paired, so each line is its own control.

    The interval is the mean ± 1.96 standard errors of the differences, which are −1, 0 or 1.
    """
    d = a.astype(float) - b.astype(float)
    half = 1.96 * d.std(ddof=1) / len(d) ** 0.5
    return d.mean(), d.mean() - half, d.mean() + half


def save(found: dict[str, np.ndarray], file: Path = FILE) -> None:
    """Write the answers, whole or not at all."""
    buffer = io.BytesIO()
    np.savez_compressed(buffer, names=list(found), answers=np.stack(list(found.values())))
    write_whole(file, buffer.getvalue())


def stored(file: Path = FILE) -> dict[str, np.ndarray]:
    """What `answers` found, without running the network.

    Raises:
        ValueError: if there is no such file.
    """
    if not file.is_file():
        raise ValueError(f"{file} is missing; make it with: python -m attention_lite.lab text-gates")
    with np.load(file) as kept:
        return dict(zip(kept["names"].tolist(), kept["answers"], strict=True))


def _mean(net: TextDirection, x: Tensor) -> Gates:
    seen: Iterator[Gates] = (ask(net, part)[1] for part in x.split(BATCH))
    sums: dict[str, list[Tensor]] = {}
    for gates in seen:
        for name, s in gates.items():
            sums.setdefault(name, []).append(s)
    return {name: torch.cat(parts).mean(0) for name, parts in sums.items()}
