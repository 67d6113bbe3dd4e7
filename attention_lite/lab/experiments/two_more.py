"""Of the page with two more mechanisms: where a global context block looks, and what SimAM's gates find.

`one_map`: how much of the one map's weight lies on the frame; and what is read under the map of another frame's colour,
and under an even one, with which the context is a plain mean. `no_weights`: how often the highest gate of SimAM lies on
the digit, on the features of a network that was trained without any gate, beside the size of these features.
"""

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
    """One row of a ContextNet with a global context block: each scene in a red, a green and a blue frame."""
    net, scenes = own.load(task, model, seed), own.test_scenes(task)
    framed = [ask_for(scenes, which) for which in range(len(PRIMARIES))]
    x = [own.gathered(some, net.stem) for some in framed]
    maps = [net.block.attention(features)["context"] for features in x]
    even = torch.full_like(maps[0], 1 / maps[0][0].numel())
    frame = scoring.on_grid(frame_mask(scenes.size), tuple(even.shape[1:]))

    def right(which: int, map_: Tensor) -> float:
        return own.share(read_under(net, x[which], map_) == framed[which].answer)

    named = list(enumerate(PRIMARIES))
    return {"scenes": len(scenes), "even share": own.share(frame),
            "on the frame": {colour: scoring.mass_on(maps[i], frame).mean().item() for i, colour in named},
            "right under the map of": {colour: {other: right(i, maps[j]) for j, other in named}
                                       for i, colour in named},
            "right under an even map": {colour: right(i, even) for i, colour in named}}


@torch.no_grad()
def read_under(net: nn.Module, features: Tensor, map_: Tensor) -> Tensor:
    """The digits that a ContextNet reads from features (n, C, h, w) if its global context block has these maps."""
    block, found = net.block, []
    for x, a in zip(features.split(own.CHUNK), map_.split(own.CHUNK), strict=True):
        context = torch.einsum("nchw,nhw->nc", x, a)
        brought = block.W_v2(torch.relu(block.norm(block.W_v1(context))))
        found.append(net.head(net.tail(x + brought[:, :, None, None]).amax((2, 3))).argmax(1))
    return torch.cat(found)


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
