"""Of the page with two more mechanisms: where a global context block looks, and what SimAM's gates find.

`one_map`: how much of the one map's weight lies on the frame, and what the answers lose when the map is made even, so
that the context is a plain mean. `no_weights`: how often the highest gate of SimAM lies on the digit, on the features
of a network that was trained without any gate, beside the size of these features.
"""

import copy

import torch
from torch import Tensor, nn

from attention_lite import SimAM
from attention_lite.lab import scoring
from attention_lite.lab.experiments import own
from attention_lite.lab.experiments.painted_over import gated
from attention_lite.lab.scenes import frame_mask, masks
from attention_lite.lab.tasks import PRIMARIES, ask_for

ONE_MAP = own.runs("context-gating", "global-context")
NO_WEIGHTS = own.runs("one-digit-residual", "none")


@torch.no_grad()
def one_map(task: str, model: str, seed: int) -> dict:
    """One row of a ContextNet with a global context block."""
    net, scenes = own.load(task, model, seed), own.test_scenes(task)
    x = own.gathered(scenes, net.stem)
    frame = scoring.on_grid(frame_mask(scenes.size), tuple(x.shape[2:]))

    def on_frame(features: Tensor) -> float:
        return scoring.mass_on(net.block.attention(features)["context"], frame).mean().item()

    even = copy.deepcopy(net.block)
    nn.init.zeros_(even.W_k.weight)
    right = {name: own.share(torch.cat([net.head(net.tail(block(part)).amax((2, 3))).argmax(1)
                                        for part in x.split(own.CHUNK)]) == scenes.answer)
             for name, block in {"own map": net.block, "even map": even}.items()}
    return {"scenes": len(scenes), "even share": own.share(frame), "on the frame": on_frame(x),
            "on a recoloured frame": {colour: on_frame(own.gathered(ask_for(scenes, which), net.stem))
                                      for which, colour in enumerate(PRIMARIES)}, **right}


@torch.no_grad()
def no_weights(task: str, model: str, seed: int) -> dict:
    """One row of a ResidualNet without gates: maps of its last block's features, the mean of all channels."""
    net, scenes = own.load(task, model, seed), own.test_scenes(task)
    x = own.gathered(scenes, lambda images: gated(net, images, 2)[1])
    on = scoring.on_grid(masks(scenes)[:, 0], tuple(x.shape[2:]))
    gates = SimAM().attention(x)["channel_and_place"].mean(1)
    return {"scenes": len(scenes), "chance": own.share(on), "peak on the digit": {
        name: own.share(scoring.peak_on(map_, on))
        for name, map_ in {"SimAM's gates": gates, "size of the features": x.abs().mean(1)}.items()}}
