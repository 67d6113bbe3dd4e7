"""Parts of the lab's trained networks set to zero: does the network use what its block reads?

DANet adds what its branches read times alpha and beta, and blocks of tokens add it through W_O. With the number or the
matrix at zero the block hands on its input, and all else is as it was trained.
"""

import copy

import torch
from torch import nn

from attention_lite.danet import ChannelAttentionModule
from attention_lite.lab import scoring
from attention_lite.lab.experiments import own
from attention_lite.lab.runs import figure_of

PARTS_OF_DANET = ("danet", "danet-position", "danet-channel", "danet-channel-published")
READERS = ("self-attention", "emsa", "external")
STRENGTHS = own.runs("cued-segmentation", *PARTS_OF_DANET)
OUTPUTS = [run for task in ("one-digit", "cued-search") for run in own.runs(task, *READERS)]
SHARPER = {"scores x 4": 4.0, "scores x 16": 16.0, "scores / N": 1 / 144}


def without(net: nn.Module, *names: str) -> nn.Module:
    """A copy of the network whose parameters of these last names are zero.

    Raises:
        ValueError: if the network has no parameter of a name.
    """
    cut = copy.deepcopy(net)
    found = {name: [p for full, p in cut.named_parameters() if full.removesuffix(".weight").split(".")[-1] == name]
             for name in names}
    for name, parameters in found.items():
        if not parameters:
            raise ValueError(f"names must be of the network's parameters, got {name!r}")
        for parameter in parameters:
            nn.init.zeros_(parameter)
    return cut


def sharpened(net: nn.Module, factor: float) -> nn.Module:
    """A copy of the network whose scores between channels are `factor` times as large."""
    changed = copy.deepcopy(net)
    for module in changed.modules():
        if isinstance(module, ChannelAttentionModule):         # scores are products of two features
            module.attention = lambda x, own=module.attention: own(x * factor ** 0.5)
    return changed


def strengths(task: str, model: str, seed: int) -> dict:
    """One row: alpha and beta at the end, and the IoU with each at zero, or with other scores between channels."""
    net, scenes = own.load(task, model, seed), own.test_scenes(task)
    ends = {name.split(".")[-1]: p.item() for name, p in net.named_parameters() if p.dim() == 0}
    row = ends | {"scenes": len(scenes), "as trained": scoring.iou(net, scenes)}
    for name in ends:
        row[f"{name} = 0"] = scoring.iou(without(net, name), scenes)
    if len(ends) == 2:
        row["both = 0"] = scoring.iou(without(net, *ends), scenes)
    if "beta" in ends:
        row |= {name: scoring.iou(sharpened(net, factor), scenes) for name, factor in SHARPER.items()}
    return row


def outputs(task: str, model: str, seed: int) -> dict:
    """One row: the accuracy as trained, and with W_O at zero."""
    net, scenes = own.load(task, model, seed), own.test_scenes(task)
    _, measure = figure_of(task)
    size = torch.linalg.vector_norm(net.block.block.W_O.weight).item()
    return {"scenes": len(scenes), "as trained": measure(net, scenes), "W_O = 0": measure(without(net, "W_O"), scenes),
            "norm of W_O": size}
