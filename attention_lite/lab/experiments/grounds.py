"""The test scenes on other photographs: how much do figures depend on the three that lie behind them?

Digits stay those of the test side. "train" photographs were behind the scenes of the training, "validation" ones behind
those by which settings were chosen; only "test" ones are new to a network in every way.
"""

import torch

from attention_lite.lab import scoring
from attention_lite.lab.experiments import own
from attention_lite.lab.photographs import SPLITS
from attention_lite.lab.scenes import target_mask

ASKED = {"context-gating": ("se",), "cued-search": ("self-attention",), "one-digit": ("none",),
         "cued-segmentation": ("danet",), "any-size": ("sk",), "one-digit-residual": ("cbam", "bam")}
RUNS = [run for task, models in ASKED.items() for run in own.runs(task, *models)]


def measure(task: str, model: str, seed: int) -> dict:
    """One row: the accuracy, or the IoU, on each side's photographs, and on each photograph alone."""
    net, scenes = own.load(task, model, seed), own.test_scenes(task)
    row: dict = {"scenes": len(scenes), "sides": {}, "photographs": {}}
    for side in SPLITS:
        moved = scenes.replace(grounds=side)
        if task == "cued-segmentation":
            reached = scoring.overlap(scoring.painted(net, moved), target_mask(moved) > 0.5)
        else:
            reached = (scoring.predictions(net, moved) == moved.answer).float()
        row["sides"][side] = reached.mean().item()
        names = moved.photographs
        for name in SPLITS[side]:
            behind = torch.tensor([n == name for n in names])
            row["photographs"][name] = reached[behind].mean().item()
    return row
