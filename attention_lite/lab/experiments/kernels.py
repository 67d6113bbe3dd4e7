"""What moves SK's weights: the digit's size, its ink, or its contrast? And PSA's hidden units: do they ever fire?"""

from functools import cache

import torch
from torch import Tensor, nn

from attention_lite.lab.experiments import own
from attention_lite.lab.scenes import Scenes
from attention_lite.lab.tasks import enlarge
from attention_lite.lab.training import untrained
from attention_lite.networks.layers import conv_bn_relu
from attention_lite.psa import PSA
from attention_lite.recording import record_attention

TASK = "any-size"
CURVES = own.runs(TASK, "sk")
SIDES = (9, 12, 16, 20, 24, 28)
FAINT = (0.17, 0.316, 0.5, 0.64)                   # opacities of a digit of 16 pixels; 0.316 has the ink of 9 pixels
SAME_INK = {20: 0.64, 24: 0.444, 28: 0.327}        # opacity at which a digit of this side has the ink of 16 pixels
# Tried once the rows of those had suggested that side × opacity is what counts.
TRIED_AFTERWARDS = ((12, 0.75), (16, 0.8), (20, 0.4), (20, 0.9), (24, 0.25), (24, 0.7), (28, 0.5), (28, 0.8))
HALF_INK = "16 px, opacity 0.5"
NINE_INK = "16 px, opacity 0.316"
BLOCKS = 3


def name_of(side: int, opacity: float) -> str:
    """How a row calls digits of this side and opacity."""
    return f"{side} px" if opacity == 1 else f"{side} px, opacity {opacity:g}"


def variants() -> dict[str, Scenes]:
    """The same test scenes with the digit in other sizes and opacities, and without it."""
    scenes = enlarge(own.test_scenes(TASK), 16)
    kinds = [*((side, 1.0) for side in SIDES), *((16, opacity) for opacity in FAINT), *SAME_INK.items(),
             *TRIED_AFTERWARDS]
    found = {name_of(side, opacity): enlarge(scenes, side).replace(opacity=torch.full_like(scenes.opacity, opacity))
             for side, opacity in kinds}
    return found | {"no digit": scenes.replace(opacity=torch.zeros_like(scenes.opacity))}


def weights(net: nn.Module, scenes: Scenes) -> Tensor:
    """Of the wider kernel, block by block: (n, BLOCKS, C)."""
    def look(images: Tensor) -> Tensor:
        with record_attention(net) as maps:
            net(images)
        return torch.stack([m["kernel"][:, 1] for m in maps.values()], 1)

    return own.gathered(scenes, look)


def told_apart(one: Tensor, other: Tensor) -> float:
    """How often a linear probe, fitted on the first half of both groups (n, C), tells them apart on the second."""
    x = torch.stack([one, other], 1).double()                       # (n, 2, C): the pictures in pairs
    x = torch.cat([x, torch.ones_like(x[..., :1])], 2)
    y = torch.tensor([1.0, -1.0], dtype=torch.float64).expand(len(x), 2)
    half = len(x) // 2
    fitted = torch.linalg.lstsq(x[:half].flatten(0, 1), y[:half].flatten()).solution
    return own.share((x[half:] @ fitted > 0) == (y[half:] > 0))


def curves(task: str, model: str, seed: int) -> dict:
    """One row: the mean weight under each variant, block by block; and whether shrinking and fading move alike.

    "shrink and fade": the correlation over the channels of the move from 16 to 9 pixels with that to half opacity.
    "told apart": a digit of 9 pixels from a faint one of 16, by all the weights of a block; 0.5 is chance.
    """
    net = own.load(task, model, seed)
    found = {name: weights(net, scenes) for name, scenes in variants().items()}
    row: dict = {"scenes": len(found["16 px"]), "mean weight": {
        name: w.mean((0, 2)).tolist() for name, w in found.items()}}
    channels = {name: w.mean(0) for name, w in found.items()}                              # (BLOCKS, C)
    shrink, fade = channels["9 px"] - channels["16 px"], channels[HALF_INK] - channels["16 px"]
    row["shrink and fade"] = [torch.corrcoef(torch.stack([shrink[b], fade[b]]))[0, 1].item() for b in range(BLOCKS)]
    same = channels[name_of(28, SAME_INK[28])] - channels["16 px"]
    row["moves in block 1"] = {"shrink": shrink[0].tolist(), "fade": fade[0].tolist(),
                               "grow, same ink": same[0].tolist()}
    row["told apart"] = {name: [told_apart(found["9 px"][:, b], found[name][:, b]) for b in range(BLOCKS)]
                         for name in (HALF_INK, NINE_INK, "16 px")}
    return row


# PSA's hidden units

DRAWS, CHANNEL, REDUCTION = 50, 64, 16             # fresh blocks whose gates have one hidden unit each
HIDDEN = [{"task": TASK, "model": model, "seed": run["seed"], "trained": trained}
          for model in ("psa", "psa-open") for run in own.runs(TASK, model) for trained in (False, True)]
FRESH = [{"draws": DRAWS, "channel": CHANNEL, "reduction": REDUCTION}]


def fired(block: PSA, x: Tensor) -> Tensor:
    """How often each hidden unit fires, over a batch: (S, hidden units of a gate)."""
    firing = [(weight.W0(f.mean((2, 3))) > 0).float().mean(0)
              for weight, f in zip(block.weights, block._split(x), strict=True)]
    return torch.stack(firing)


def hidden_units(task: str, model: str, seed: int, trained: bool) -> dict:
    """One row: for each block the hidden units that fire in no scene, and the gates none of whose units fires."""
    net = own.load(task, model, seed) if trained else untrained(task, model, seed)
    scenes = own.test_scenes(task)
    blocks = [block.middle[0] for block in net.blocks]
    inputs: list[list[Tensor]] = [[] for _ in blocks]
    handles = [block.register_forward_pre_hook(lambda psa, args, kept=kept: kept.append(fired(psa, args[0])))
               for block, kept in zip(blocks, inputs, strict=True)]
    own.gathered(scenes, net)
    for handle in handles:
        handle.remove()
    often = [torch.stack(kept).mean(0) for kept in inputs]                     # each (S, hidden)
    return {"scenes": len(scenes), "units": sum(o.numel() for o in often),
            "silent units": [int((o == 0).sum()) for o in often],
            "silent gates": [int((o == 0).all(1).sum()) for o in often]}


@cache
def photographs_features() -> Tensor:
    """Features of 64 test scenes behind a fresh convolution with batch norm and ReLU: (64, CHANNEL, 24, 24)."""
    with torch.random.fork_rng(devices=[]), torch.no_grad():
        torch.manual_seed(0)
        images, _ = next(own.parts(own.test_scenes(TASK)[:64]))
        return conv_bn_relu(3, CHANNEL, 5, 2)(images)


@torch.no_grad()
def fresh_gates(draws: int, channel: int, reduction: int) -> dict:
    """One row: of fresh gates with one hidden unit each, those whose unit fires in no picture of the batch."""
    silent = 0
    with torch.random.fork_rng(devices=[]):
        for seed in range(draws):
            torch.manual_seed(seed)
            silent += int((fired(PSA(channel, reduction), photographs_features()) == 0).all(1).sum())
    return {"pictures": 64, "gates": 4 * draws, "silent gates": silent}
