"""Parts of the lab's trained networks set to zero: does the network use what its block reads?

DANet adds what its branches read times alpha and beta, and blocks of tokens add it through W_O. With the number or the
matrix at zero the block hands on its input, and all else is as it was trained. DANet's weights between channels are
also exchanged for those of the same scene with another disc: do they alone carry what the disc asks for?
"""

import copy

import torch
from torch import nn

from attention_lite.danet import ChannelAttentionModule
from attention_lite.lab import scoring
from attention_lite.lab.experiments import own
from attention_lite.lab.runs import figure_of
from attention_lite.lab.scenes import Scenes, disc_mask, masks, target_mask
from attention_lite.lab.training import pictures
from attention_lite.recording import record_attention

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


@torch.no_grad()
def exchanged(net: nn.Module, scenes: Scenes, others: Scenes) -> torch.Tensor:
    """What `net` paints of `scenes`, its weights between channels those of `others`: bool (n, S, S)."""
    changed, regions = copy.deepcopy(net), []
    (module,) = (m for m in changed.modules() if isinstance(m, ChannelAttentionModule))
    find, kept = module.attention, {}
    module.attention = lambda x: kept.setdefault("of the others", find(x))
    for i in range(0, len(scenes), 250):
        changed(pictures(others[i:i + 250]))
        regions.append(changed(pictures(scenes[i:i + 250])) > 0)
        kept.clear()
    return torch.cat(regions)


@torch.no_grad()
def weight_on_the_disc(net: nn.Module, scenes: Scenes) -> float:
    """The mean weight on the disc of the places on the digit that is asked for."""
    weights = []
    for i in range(0, len(scenes), 250):
        part = scenes[i:i + 250]
        with record_attention(net) as maps:
            net(pictures(part))
        found = next(m["position"] for name, m in maps.items() if name != "block" and "position" in m)
        grid = (round(found.shape[-1] ** 0.5),) * 2
        asked = scoring.on_grid(masks(part)[torch.arange(len(part)), part.target], grid)
        weights.append(scoring.mass_on(scoring.query_maps(found, asked, grid),
                                       scoring.on_grid(disc_mask(part), grid)[:, None]))
    return torch.cat(weights).mean().item()


def strengths(task: str, model: str, seed: int) -> dict:
    """One row: alpha and beta at the end, and the IoU with each at zero, or with other scores between channels; the
    weight on the disc; and the IoU with the next digit and the one before, where the disc asks for the next."""
    net, scenes = own.load(task, model, seed), own.test_scenes(task)
    ends = {name.split(".")[-1]: p.item() for name, p in net.named_parameters() if p.dim() == 0}
    row = ends | {"scenes": len(scenes), "as trained": scoring.iou(net, scenes)}
    for name in ends:
        row[f"{name} = 0"] = scoring.iou(without(net, name), scenes)
    if len(ends) == 2:
        row["both = 0"] = scoring.iou(without(net, *ends), scenes)
    if "alpha" in ends:
        row["weight on the disc"] = weight_on_the_disc(net, scenes)
    asks_next = own.recoloured(scenes)
    digits = {"next": target_mask(asks_next) > 0.5, "before": target_mask(scenes) > 0.5}
    painted = {"recoloured": scoring.painted(net, asks_next)}
    if "beta" in ends:
        painted["weights of the recoloured"] = exchanged(net, scenes, asks_next)
        row |= {name: scoring.iou(sharpened(net, factor), scenes) for name, factor in SHARPER.items()}
    return row | {name: {digit: scoring.overlap(region, truth).mean().item() for digit, truth in digits.items()}
                  for name, region in painted.items()}


def outputs(task: str, model: str, seed: int) -> dict:
    """One row: the accuracy as trained, and with W_O at zero."""
    net, scenes = own.load(task, model, seed), own.test_scenes(task)
    _, measure = figure_of(task)
    size = torch.linalg.vector_norm(net.block.block.W_O.weight).item()
    return {"scenes": len(scenes), "as trained": measure(net, scenes), "W_O = 0": measure(without(net, "W_O"), scenes),
            "norm of W_O": size}
