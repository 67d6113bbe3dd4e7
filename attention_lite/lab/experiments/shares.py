"""SK's and PSA's weights exchanged in trained networks: does it matter that each picture has its own?

In all blocks at once. Fixed weights are means over validation scenes.
"""

from functools import partial

import torch
from torch import Tensor, nn

from attention_lite.lab.experiments import own
from attention_lite.lab.experiments.kernels import TASK
from attention_lite.lab.tasks import enlarge
from attention_lite.lab.training import pictures

RUNS = own.runs(TASK, "sk", "sk-even", "psa", "psa-open", "psa-even")
ENDS = (9, 28)                           # sides of the digit, between them the task's
MIXED = "all sizes"
QUANTILES = (0.0, 0.1, 0.5, 0.9, 1.0)
LOWEST, HIGHEST = 1 / (1 + 3 * torch.e), torch.e / (torch.e + 3)         # of a weight of PSA: a softmax of sigmoids
ANOTHER = "another picture's"            # in the order of the scenes, the one before
EXTREMES = tuple(f"{side} px" for side in ENDS)
TILTED = (0, 3)                          # which branch gets the most that it can: the smallest kernel, the largest


def blocks_of(net: nn.Module) -> list[nn.Module]:
    """The three selective or pyramid blocks of a `ScaleNet`."""
    return [block.middle[0] if isinstance(block.middle, nn.Sequential) else block.middle for block in net.blocks]


@torch.no_grad()
def run(net: nn.Module, images: Tensor, forced: Tensor | None = None) -> tuple[Tensor, Tensor]:
    """The digits that are read, (n,), and the weights that the blocks used, (3, n, M, C).

    forced: weights in place of the blocks' own, (3, M, C), or (3, n, M, C) with each picture's.
    """
    blocks, read = blocks_of(net), []
    used: list[list[Tensor]] = [[] for _ in blocks]

    def weigh(block: nn.Module, features: list[Tensor]) -> Tensor:
        i = blocks.index(block)
        given = type(block)._weigh(block, features) if forced is None else (
            forced[i] if forced.dim() == 3 else forced[i, start:start + len(features[0])])
        used[i].append(given.expand(len(features[0]), -1, -1))
        return used[i][-1]

    try:
        for block in blocks:
            block._weigh = partial(weigh, block)            # the instance's own comes before the class's method
        for start in range(0, len(images), own.CHUNK):
            read.append(net(images[start:start + own.CHUNK]).argmax(1))
    finally:
        for block in blocks:
            vars(block).pop("_weigh", None)
    return torch.cat(read), torch.stack([torch.cat(of_block) for of_block in used])


def tilts(shape: tuple[int, int, int]) -> dict[str, Tensor]:
    """For each branch the weights that give it the most that a softmax of sigmoids can, and the others the rest."""
    found = {f"tilted to {m}": torch.full(shape, (1 - HIGHEST) / 3) for m in TILTED}
    for m, forced in zip(TILTED, found.values(), strict=True):
        forced[:, m] = HIGHEST
    return found


def fixed_weights(net: nn.Module, branches: int) -> dict[str, Tensor]:
    """Weights that are the same for every picture, (3, M, C), by the names that a row has for them."""
    validation = own.validation_scenes(TASK)
    mean = run(net, pictures(validation))[1].mean(1)
    found = {"mean": mean, "even": torch.full_like(mean, 1 / branches)}
    if branches == 4:
        return found | tilts(tuple(mean.shape))
    return found | {f"those of {side} px": run(net, pictures(enlarge(validation, side)))[1].mean(1) for side in ENDS}


def places(other: str, model: str) -> tuple[str, ...]:
    """On which scenes weights are forced, by the name that a row has for them."""
    if other.startswith("those of"):
        return EXTREMES
    return (MIXED, *EXTREMES) if model == "sk" and other != ANOTHER else (MIXED,)


def outcome(right: Tensor, before: Tensor) -> dict:
    """The accuracy, and how many scenes are misread that were read before, and the other way round."""
    return {"right": own.share(right), "lost": int((before & ~right).sum()), "won": int((right & ~before).sum())}


def measure(task: str, model: str, seed: int) -> dict:
    """One row: the accuracy with the own weights for each size, and with others; and how far the own weights move."""
    net, mixed = own.load(task, model, seed), own.test_scenes(task)
    chooses = not model.endswith("even")
    fixed = fixed_weights(net, 2 if model == "sk" else 4) if chooses else {}
    row: dict = {"scenes": len(mixed), "its own": {}}
    for name, scenes in ({MIXED: mixed} | {f"{side} px": enlarge(mixed, side) for side in ENDS}).items():
        images = pictures(scenes)
        read, given = run(net, images)
        before = read == scenes.answer
        row["its own"][name] = own.share(before)
        if not chooses:
            continue
        row.setdefault("mean weight", {})[name] = given.mean((1, 3)).tolist()
        if name == MIXED:
            row["varies by"] = given.std(1).mean().item()
            row["quantiles"] = torch.quantile(given, torch.tensor(QUANTILES), dim=1).flatten(1).tolist()
        for other, forced in (fixed | {ANOTHER: given.roll(1, 1)}).items():
            if name in places(other, model):
                right = run(net, images, forced)[0] == scenes.answer
                row.setdefault(other, {})[name] = outcome(right, before)
    return row
