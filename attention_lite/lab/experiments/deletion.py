"""Chapter 12's question: does the transformer's class token need the patches that a map ranks highest?

A quarter of the patches is not fed in: the quarter that its own map ranks highest, and those that others would choose.
"""

import torch

from attention_lite.lab import transformer_maps as tm
from attention_lite.lab import truth
from attention_lite.lab.experiments.crops import transformer
from attention_lite.lab.precision import float32
from attention_lite.lab.truth import PHOTOGRAPHS

AWAY = 64                # patches of 256
RUNS = [{"photograph": name} for name in PHOTOGRAPHS]


@float32()
def measure(photograph: str) -> dict:
    """One row: how far the class token moves, 1 − cosine, for each kind of `transformer_maps.rankings`.

    Another photograph's map is that of the next one in the alphabet.
    """
    net, number = transformer(), PHOTOGRAPHS.index(photograph)
    another = PHOTOGRAPHS[(number + 1) % len(PHOTOGRAPHS)]
    ranks = tm.rankings(truth.network_maps(net, photograph), truth.network_maps(net, another), seed=number)
    orders = torch.stack(list(ranks.values())).argsort(descending=True)
    moved = tm.change_without(net, tm.image(photograph), orders, (AWAY,))[:, 0]
    return {"moved": dict(zip(ranks, truth.rounded(moved), strict=True))}
