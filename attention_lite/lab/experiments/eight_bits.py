"""How far the transformer's maps move by weights of 8 bits, as the pages carry them for a reader's own photograph."""

from functools import cache

import torch

from attention_lite.lab import page_transformer, truth
from attention_lite.lab.experiments.crops import transformer
from attention_lite.networks.vision_transformer import VisionTransformer

RUNS = [{"photograph": name} for name in truth.PHOTOGRAPHS]


@cache
def packed() -> VisionTransformer:
    """The transformer with the weights that the pages carry."""
    return page_transformer.as_packed(transformer())


@torch.no_grad()
def measure(photograph: str) -> dict:
    """Total variation between the maps of both networks, a head's mean over all 257 queries: (layers, heads)."""
    full, ours = (truth.network_maps(net, photograph) for net in (transformer(), packed()))
    return {"variation": ((full - ours).abs().sum(-1).mean(-1) / 2).tolist()}


def summary(rows: list[dict]) -> dict[str, float]:
    """The mean over all heads and photographs, the worst head's mean over them, and how many there are."""
    heads = torch.tensor([row["variation"] for row in rows]).mean(0)
    return {"mean": heads.mean().item(), "worst": heads.max().item(), "photographs": len(rows)}
