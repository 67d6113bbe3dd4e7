"""Every argument of the package, the networks and the lab refuses what it cannot use, and says so in words.

Each row is a call that must raise ValueError, and its message: the argument, what was expected, what it got.
"""

import inspect
import math
import re
from collections.abc import Callable
from functools import partial

import numpy as np
import pytest
import torch
from torch import nn

from attention_lite import (
    EMSA,
    PSA,
    AttentionBlock,
    BAMBlock,
    CBAMBlock,
    ChannelAttentionModule,
    CoordinateAttention,
    DAModule,
    ECAAttention,
    ExternalAttention,
    GlobalContextBlock,
    PositionAttentionModule,
    ScaledDotProductAttention,
    SEAttention,
    SimAM,
    SKAttention,
    force_gates,
    record_attention,
)
from attention_lite.eca import adaptive_kernel_size
from attention_lite.exercises import check
from attention_lite.lab import (
    RECIPES,
    TASKS,
    ContextGating,
    CuedSearch,
    OneDigit,
    ask_for,
    disc_mask,
    draw,
    enlarge,
    frame_mask,
    load_checkpoint,
    masks,
    photographs,
    scoring,
    target_mask,
    train,
    untrained,
)
from attention_lite.lab.recipes import COMPARED, every_recipe
from attention_lite.networks import (
    AddedContext,
    LocalGate,
    context_net,
    residual_net,
    scale_net,
    search_net,
    segment_net,
)

SE = SEAttention(8, 2)
SA = ScaledDotProductAttention(8, h=2)
GATE = LocalGate(8, 2)
ADDED = AddedContext(8, 2)
X = torch.zeros(2, 8, 3, 3)
T = torch.zeros(2, 5, 8)
MAPS = torch.full((2, 3, 4, 4), 1 / 16)
LONG = torch.zeros(2, 3, 16, 16)


def sa(*, to: str = "forward", **changes: object) -> Callable[[], object]:
    """A call of SA with some of its arguments changed."""
    arguments = {"queries": T, "keys": T, "values": T, "mask": None} | changes
    return lambda: getattr(SA, to)(**arguments)


def record(model: object) -> None:
    with record_attention(model):
        pass


def force(model: object, gates: object) -> None:
    with force_gates(model, gates):
        SE(X)


def scenes(task: str = "context-gating"):
    return TASKS[task]("test").sample(2, 0)


CALLS: dict[str, tuple[Callable[[], object], str]] = {
    # SEAttention: constructor
    "SE channel 0": (lambda: SEAttention(0), "channel must be a positive integer, got 0"),
    "SE channel -8": (lambda: SEAttention(-8), "channel must be a positive integer, got -8"),
    "SE channel 8.0": (lambda: SEAttention(8.0), "channel must be a positive integer, got 8.0"),
    "SE channel True": (lambda: SEAttention(True), "channel must be a positive integer, got True"),
    "SE channel text": (lambda: SEAttention("8"), "channel must be a positive integer, got '8'"),
    "SE reduction 0": (lambda: SEAttention(8, 0), "reduction must be a positive integer, got 0"),
    "SE reduction None": (lambda: SEAttention(8, None), "reduction must be a positive integer, got None"),
    "SE reduction 3 of 8": (lambda: SEAttention(8, 3),
                            "reduction must divide channel, got reduction=3 and channel=8"),
    "SE reduction above channel": (lambda: SEAttention(8),
                                   "reduction must divide channel, got reduction=16 and channel=8"),
    "SE bias text": (lambda: SEAttention(8, 2, "False"), "bias must be True or False, got 'False'"),
    "SE sigmoid None": (lambda: SEAttention(8, 2, sigmoid=None), "sigmoid must be a function of a tensor, got None"),
    "SE sigmoid text": (lambda: SEAttention(8, 2, sigmoid="hard"),
                        "sigmoid must be a function of a tensor, got 'hard'"),
    # SEAttention: input
    "SE numpy": (lambda: SE(X.numpy()), "x must be a torch.Tensor, got ndarray"),
    "SE None": (lambda: SE(None), "x must be a torch.Tensor, got NoneType"),
    "SE integers": (lambda: SE(X.long()), "x must hold floating-point numbers, got dtype torch.int64"),
    "SE complex": (lambda: SE(X.cfloat()), "x must hold floating-point numbers, got dtype torch.complex64"),
    "SE float64": (lambda: SE(X.double()),
                   "x must have the dtype of the block's weights, torch.float32, got torch.float64"),
    "SE bfloat16": (lambda: SE(X.bfloat16()),
                    "x must have the dtype of the block's weights, torch.float32, got torch.bfloat16"),
    "SE three dimensions": (lambda: SE(X[0]),
                            "x must have 4 dimensions (B, C, H, W), got 3: shape (8, 3, 3)"),
    "SE five dimensions": (lambda: SE(X[None]),
                           "x must have 4 dimensions (B, C, H, W), got 5: shape (1, 2, 8, 3, 3)"),
    "SE channels": (lambda: SE(X[:, :7]), "x must have 8 channels on axis 1, got 7: shape (2, 7, 3, 3)"),
    "SE channels last": (lambda: SE(X.permute(0, 2, 3, 1)),
                         "x must have 8 channels on axis 1, got 3: shape (2, 3, 3, 8)"),
    "SE no rows": (lambda: SE(X[:, :, :0]),
                   "x must have at least one channel, one row and one column, got shape (2, 8, 0, 3)"),
    "SE no columns": (lambda: SE(X[..., :0]),
                      "x must have at least one channel, one row and one column, got shape (2, 8, 3, 0)"),
    "SE attention": (lambda: SE.attention(X[0]),
                     "x must have 4 dimensions (B, C, H, W), got 3: shape (8, 3, 3)"),
    # ScaledDotProductAttention: constructor
    "SA d_model 0": (lambda: ScaledDotProductAttention(0), "d_model must be a positive integer, got 0"),
    "SA d_model 8.0": (lambda: ScaledDotProductAttention(8.0), "d_model must be a positive integer, got 8.0"),
    "SA h 0": (lambda: ScaledDotProductAttention(8, h=0), "h must be a positive integer, got 0"),
    "SA h True": (lambda: ScaledDotProductAttention(8, h=True), "h must be a positive integer, got True"),
    "SA h 3 of 8": (lambda: ScaledDotProductAttention(8, h=3),
                    "h must divide d_model, got h=3 and d_model=8"),
    "SA h 3, no d_v": (lambda: ScaledDotProductAttention(8, d_k=4, h=3),
                       "h must divide d_model, got h=3 and d_model=8"),
    "SA d_k 0": (lambda: ScaledDotProductAttention(8, d_k=0), "d_k must be a positive integer, got 0"),
    "SA d_k 2.5": (lambda: ScaledDotProductAttention(8, d_k=2.5), "d_k must be a positive integer, got 2.5"),
    "SA d_v -1": (lambda: ScaledDotProductAttention(8, d_v=-1), "d_v must be a positive integer, got -1"),
    "SA dropout 1": (lambda: ScaledDotProductAttention(8, dropout=1),
                     "dropout must be at least 0 and less than 1, got 1"),
    "SA dropout -0.1": (lambda: ScaledDotProductAttention(8, dropout=-0.1),
                        "dropout must be at least 0 and less than 1, got -0.1"),
    "SA dropout NaN": (lambda: ScaledDotProductAttention(8, dropout=math.nan),
                       "dropout must be at least 0 and less than 1, got nan"),
    "SA dropout None": (lambda: ScaledDotProductAttention(8, dropout=None),
                        "dropout must be at least 0 and less than 1, got None"),
    "SA bias 1": (lambda: ScaledDotProductAttention(8, bias=1), "bias must be True or False, got 1"),
    # ScaledDotProductAttention: inputs
    "SA queries list": (sa(queries=[[1.0]]), "queries must be a torch.Tensor, got list"),
    "SA queries integers": (sa(queries=T.int()),
                            "queries must hold floating-point numbers, got dtype torch.int32"),
    "SA queries float64": (sa(queries=T.double()),
                           "queries must have the dtype of the block's weights, torch.float32, got torch.float64"),
    "SA queries feature map": (sa(queries=X),
                               "queries must have 3 dimensions (B, N, d_model), got 4: shape (2, 8, 3, 3)"),
    "SA queries one token": (sa(queries=T[:, 0]),
                             "queries must have 3 dimensions (B, N, d_model), got 2: shape (2, 8)"),
    "SA queries width": (sa(queries=T[..., :7]), "queries must have width d_model=8, got 7: shape (2, 5, 7)"),
    "SA queries empty": (sa(queries=T[:, :0]), "queries must hold at least one token, got shape (2, 0, 8)"),
    "SA keys numpy": (sa(keys=T.numpy()), "keys must be a torch.Tensor, got ndarray"),
    "SA keys width": (sa(keys=T[..., :4]), "keys must have width d_model=8, got 4: shape (2, 5, 4)"),
    "SA keys empty": (sa(keys=T[:, :0]), "keys must hold at least one token, got shape (2, 0, 8)"),
    "SA keys float16": (sa(keys=T.half()),
                        "keys must have the dtype of the block's weights, torch.float32, got torch.float16"),
    "SA keys batch": (sa(keys=T[:1]), "keys must have the batch size of queries, 2, got 1"),
    "SA values dimensions": (sa(values=T[0]),
                             "values must have 3 dimensions (B, N, d_model), got 2: shape (5, 8)"),
    "SA values length": (sa(values=T[:, :4]), "values must have the shape of keys, (2, 5, 8), got (2, 4, 8)"),
    "SA values batch": (sa(values=T[:1]), "values must have the shape of keys, (2, 5, 8), got (1, 5, 8)"),
    "SA values in attention": (sa(to="attention", values=T[:, :4]),
                               "values must have the shape of keys, (2, 5, 8), got (2, 4, 8)"),
    "SA mask numbers": (sa(mask=torch.ones(5, 5)),
                        "mask must be a boolean tensor (True where a query may see a key), got torch.float32"),
    "SA mask list": (sa(mask=[True]),
                     "mask must be a boolean tensor (True where a query may see a key), got list"),
    "SA mask size": (sa(mask=torch.ones(4, 5, dtype=torch.bool)),
                     "mask must broadcast to (B, h, N_q, N_k) = (2, 2, 5, 5), got shape (4, 5)"),
    "SA mask heads": (sa(mask=torch.ones(2, 3, 5, 5, dtype=torch.bool)),
                      "mask must broadcast to (B, h, N_q, N_k) = (2, 2, 5, 5), got shape (2, 3, 5, 5)"),
    "SA mask dimensions": (sa(mask=torch.ones(1, 2, 2, 5, 5, dtype=torch.bool)),
                           "mask must broadcast to (B, h, N_q, N_k) = (2, 2, 5, 5), got shape (1, 2, 2, 5, 5)"),
    "SA mask of the keys": (sa(mask=torch.ones(2, 5, dtype=torch.bool)),
                            "got shape (2, 5); what hides keys of a sample, (B, N_k), is key_mask"),
    "SA mask of B or h": (sa(mask=torch.ones(2, 5, 5, dtype=torch.bool)),
                          "mask must have four dimensions (B, h, N_q, N_k), or at most two, (N_q, N_k), got three: "
                          "shape (2, 5, 5); give it mask[:, None] if the first is B, mask[None] if it is h"),
    "SA key_mask numbers": (sa(key_mask=torch.ones(2, 5)),
                            "key_mask must be a boolean tensor (True where a query may see a key), got torch.float32"),
    "SA key_mask of one sample": (sa(key_mask=torch.ones(5, dtype=torch.bool)),
                                  "key_mask must have the shape (B, N_k) = (2, 5), got (5,)"),
    "SA key_mask in attention": (sa(to="attention", key_mask=torch.ones(2, 4, dtype=torch.bool)),
                                 "key_mask must have the shape (B, N_k) = (2, 5), got (2, 4)"),
    "SA mask in attention": (sa(to="attention", mask=torch.ones(3, dtype=torch.bool)),
                             "mask must broadcast to (B, h, N_q, N_k) = (2, 2, 5, 5), got shape (3,)"),
    # record_attention
    "record None": (lambda: record(None), "model must be a torch.nn.Module, got NoneType"),
    "record class": (lambda: record(SEAttention), "model must be a torch.nn.Module, got type"),
    "record no block": (lambda: record(nn.Linear(2, 2)), "model must hold at least one attention block of "
                                                         "attention_lite, got Linear, which holds none"),
    "record block's input": (lambda: [SE(X[:, :4]) for _ in [record(SE)]],
                             "x must have 8 channels on axis 1, got 4"),
    # force_gates
    "force None": (lambda: force(None, {"": 0.5}), "model must be a torch.nn.Module, got NoneType"),
    "force a tensor": (lambda: force(SE, X[0, :, 0, 0]), "gates must be a dict from blocks' names to their gates, got "
                                                         "Tensor"),
    "force no block": (lambda: force(nn.Linear(2, 2), {"se": 0.5}),
                       "gates must name SEAttention blocks of model (it has none), got 'se'"),
    "force other name": (lambda: force(nn.Sequential(SE, SE, SEAttention(4, 2)), {"1": 0.5}),
                         "gates must name SEAttention blocks of model (0, 2), got '1'"),
    "force other block": (lambda: force(nn.Sequential(SE, SA), {"1": 0.5}),
                          "gates must name SEAttention blocks of model (0), got '1'"),
    "force length": (lambda: force(SE, {"": torch.zeros(7)}),
                     "gates[''] must hold one gate for each of the block's 8 channels, got shape (7,)"),
    "force map": (lambda: force(SE, {"": torch.zeros(1, 8, 1, 1)}),
                  "gates[''] must hold one gate for each of the block's 8 channels, got shape (1, 8, 1, 1)"),
    "force text": (lambda: force(SE, {"": "open"}),
                   "gates[''] must be a number or a tensor of floating-point numbers, got str"),
    "force booleans": (lambda: force(SE, {"": torch.ones(8, dtype=torch.bool)}),
                       "gates[''] must be a number or a tensor of floating-point numbers, got torch.bool"),
    "force nan": (lambda: force(SE, {"": torch.tensor([0.0] * 7 + [math.nan])}), "gates[''] must be finite, got nan"),
    "force infinity": (lambda: force(SE, {"": math.inf}), "gates[''] must be finite, got inf"),
    "force batch": (lambda: force(SE, {"": torch.ones(3, 8)}),
                    "gates forced on a batch of 2 must be (C,) or (1, C) or (2, C), got shape (3, 8)"),
    # networks
    "context_net name": (lambda: context_net("emsa-4"),
                         f"model must be one of {', '.join((*COMPARED, 'local-gate', 'added-context'))}, eca-shuffled, "
                         "global-context; got 'emsa-4'"),
    "residual_net name": (lambda: residual_net("se"), "model must be one of cbam, none, cbam-average, cbam-max, "
                          "cbam-3x3, cbam-spatial-first, cbam-parallel, cbam-plain, bam, bam-product, bam-first, "
                          "bam-last, coordinate-plain; got 'se'"),
    "scale_net name": (lambda: scale_net("SK"),
                       "model must be one of sk, sk-even, psa, psa-open, psa-even; got 'SK'"),
    "search_net name": (lambda: search_net(None),
                        f"model must be one of {', '.join(COMPARED)}, emsa-1, emsa-4, emsa-plain; got None"),
    "segment_net name": (lambda: segment_net("se"),
                         "model must be one of danet, danet-position, danet-channel, danet-channel-published, none, "
                         "conv; got 'se'"),
    "LocalGate reduction": (lambda: LocalGate(10, 3),
                            "reduction must divide channel, got reduction=3 and channel=10"),
    "LocalGate channel": (lambda: LocalGate(0, 1), "channel must be a positive integer, got 0"),
    "LocalGate input": (lambda: GATE(X[:, :4]),
                        "x must have 8 channels on axis 1, got 4: shape (2, 4, 3, 3)"),
    "AddedContext reduction": (lambda: AddedContext(8, 0), "reduction must be a positive integer, got 0"),
    "AddedContext input": (lambda: ADDED(X[0]),
                           "x must have 4 dimensions (B, C, H, W), got 3: shape (8, 3, 3)"),
    # lab: photographs and tasks
    "photograph name": (lambda: photographs.load("lena"), "name must be one of astronaut, brick, camera"),
    "photograph list": (lambda: photographs.load(["china"]), "; got ['china']"),
    "split name": (lambda: ContextGating("dev"), "split must be one of train, validation, test; got 'dev'"),
    "split list": (lambda: OneDigit(["test"]), "split must be one of train, validation, test; got ['test']"),
    "n 0": (lambda: OneDigit("test").sample(0, 0), "n must be a positive integer, got 0"),
    "n 2.0": (lambda: OneDigit("test").sample(2.0, 0), "n must be a positive integer, got 2.0"),
    "seed text": (lambda: OneDigit("test").sample(1, "a"), "seed must be an integer, got 'a'"),
    "seed None": (lambda: OneDigit("test").sample(1, None), "seed must be an integer, got None"),
    "hide 1.1": (lambda: OneDigit("test").sample(1, 0, hide=1.1), "hide must be in [0, 1], got 1.1"),
    "hide NaN": (lambda: OneDigit("test").sample(1, 0, hide=math.nan), "hide must be in [0, 1], got nan"),
    "hide text": (lambda: OneDigit("test").sample(1, 0, hide="all"), "hide must be in [0, 1], got 'all'"),
    "contrast -1": (lambda: OneDigit("test").sample(1, 0, contrast=-1), "contrast must be in [0, 1], got -1"),
    "enlarge 0": (lambda: enlarge(OneDigit("test").sample(1, 0), 0), "side must be a positive number, got 0"),
    "enlarge too far": (lambda: enlarge(OneDigit("test").sample(1, 0), 49),
                        "side must be at most the picture's, 48 pixels, got 49"),
    "enlarge three": (lambda: enlarge(CuedSearch("test").sample(1, 0), 9), "scenes must have one digit each, got 3"),
    "draw scale 0": (lambda: draw(scenes(), 0), "scale must be a positive integer, got 0"),
    "draw scale 1.5": (lambda: draw(scenes(), 1.5), "scale must be a positive integer, got 1.5"),
    "target scale": (lambda: target_mask(scenes(), 1.5), "scale must be a positive integer, got 1.5"),
    "masks scale": (lambda: masks(scenes(), -1), "scale must be a positive integer, got -1"),
    "disc scale": (lambda: disc_mask(scenes("cued-search"), 0), "scale must be a positive integer, got 0"),
    "disc without disc": (lambda: disc_mask(scenes()),
                          "scenes must have a disc (disc_yx is None): only cued search draws one"),
    "frame size": (lambda: frame_mask(0), "size must be a positive integer, got 0"),
    "frame scale": (lambda: frame_mask(64, 2.0), "scale must be a positive integer, got 2.0"),
    "ask for 3": (lambda: ask_for(scenes(), 3), "which must be 0 (red), 1 (green) or 2 (blue), got 3"),
    "ask for red": (lambda: ask_for(scenes(), "red"),
                    "which must be 0 (red), 1 (green) or 2 (blue), got 'red'"),
    "ask without frame": (lambda: ask_for(OneDigit("test").sample(1, 0), 0),
                          "scenes must have a frame or a disc (both are None)"),
    # lab: training and checkpoints
    "train task": (lambda: train("reading", "se", 0),
                   f"task must be one of {', '.join(every_recipe())}; got 'reading'"),
    "train model": (lambda: train("context-gating", "vit", 0),
                    f"model must be one of {', '.join(RECIPES['context-gating'].models)} in the task context-gating; "
                    "got 'vit'"),
    "train seed": (lambda: train("context-gating", "se", 0.5), "seed must be an integer, got 0.5"),
    "train steps 0": (lambda: train("context-gating", "se", 0, steps=0), "steps must be at least 3, got 0"),
    "train steps 9.5": (lambda: train("context-gating", "se", 0, steps=9.5),
                        "steps must be an integer, got 9.5"),
    "untrained task": (lambda: untrained(None, "se", 0),
                       f"task must be one of {', '.join(every_recipe())}; got None"),
    "untrained model": (lambda: untrained("one-digit", "SE", 0), "in the task one-digit; got 'SE'"),
    "untrained seed": (lambda: untrained("one-digit", "none", True), "seed must be an integer, got True"),
    "load task": (lambda: load_checkpoint("gating", "se", 0),
                  "task must be one of context-gating, cued-search"),
    "load model": (lambda: load_checkpoint("context-gating", "emsa-4", 0),
                   "in the task context-gating; got 'emsa-4'"),
    "load seed": (lambda: load_checkpoint("context-gating", "se", 99),
                  "seed must be one of 0, 1, 2, 3, 4 for se in the task context-gating; got 99"),
    "load seed of three": (lambda: load_checkpoint("cued-search", "emsa-4", 3),
                           "seed must be one of 0, 1, 2 for emsa-4 in the task cued-search; got 3"),
    "load seed True": (lambda: load_checkpoint("context-gating", "se", True), "seed must be an integer, got True"),
    # lab: scores
    "mass grid": (lambda: scoring.mass_on(MAPS, torch.ones(3, 3, dtype=torch.bool)),
                  "where must broadcast to the maps (2, 3, 4, 4), got (3, 3)"),
    "peak grid": (lambda: scoring.peak_on(MAPS, torch.ones(2, 4, 4, dtype=torch.bool)),
                  "where must broadcast to the maps (2, 3, 4, 4), got (2, 4, 4)"),
    "query maps grid": (lambda: scoring.query_maps(LONG, torch.ones(2, 3, 3, dtype=torch.bool), (3, 3)),
                        "weights must have shape (n, h, 9, 9) for the grid (3, 3), got (2, 3, 16, 16)"),
    "query maps queries": (lambda: scoring.query_maps(LONG, torch.ones(1, 4, 4, dtype=torch.bool), (4, 4)),
                           "queries must have shape (2, 4, 4), got (1, 4, 4)"),
    "variance group": (lambda: scoring.explained_variance(torch.ones(4, 2), torch.zeros(3)),
                       "gates and group must have shapes (n, C) and (n,), got (4, 2) and (3,)"),
    "overlap shapes": (lambda: scoring.overlap(MAPS > 0, MAPS[0] > 0),
                       "region and truth must be boolean and of one shape, got torch.bool (2, 3, 4, 4) and "
                       "torch.bool (3, 4, 4)"),
    "overlap region": (lambda: scoring.overlap(MAPS, MAPS > 0), "region and truth must be boolean and of one shape"),
    "overlap truth": (lambda: scoring.overlap(MAPS > 0, MAPS), "region and truth must be boolean and of one shape"),
    # exercises
    "exercise name": (lambda: check("se-sqeeze", None), "; got 'se-sqeeze'"),
}


# What is no positive integer, no odd size, no switch: each argument of that kind refuses each of them.
SIZES = (0, -8, 8.0, True, "8", None)
ODD = {**dict.fromkeys(SIZES, "must be a positive integer"), 4: "must be odd"}
NEEDED = {**dict.fromkeys(SIZES, "must be a positive integer")}
OPTIONAL = {**dict.fromkeys(SIZES[:-1], "must be a positive integer")}     # None is the default
SWITCH = dict.fromkeys((1, "False", None), "must be True or False")
POSITIVE = dict.fromkeys((0, -1.0, math.nan, math.inf, True, "1", None), "must be a positive number")

# block -> arguments that build it, and for each argument what it must refuse
ARGUMENTS: dict[type, tuple[dict[str, object], dict[str, dict[object, str]]]] = {
    ECAAttention: ({"channel": 8}, {"channel": OPTIONAL, "kernel_size": {**OPTIONAL, 4: "must be odd"}}),
    CBAMBlock: ({"channel": 8, "reduction": 2}, {
        "channel": NEEDED, "reduction": NEEDED, "kernel_size": ODD, "published": SWITCH}),
    BAMBlock: ({"channel": 8, "reduction": 2}, {
        "channel": NEEDED, "reduction": NEEDED, "dia_val": NEEDED, "published": SWITCH}),
    CoordinateAttention: ({"channel": 8}, {"channel": NEEDED, "reduction": NEEDED}),
    GlobalContextBlock: ({"channel": 8, "reduction": 2}, {"channel": NEEDED, "reduction": NEEDED}),
    SimAM: ({}, {"lam": POSITIVE, "published": SWITCH}),
    SKAttention: ({"channel": 8, "reduction": 2, "group": 4}, dict.fromkeys(
        ("channel", "reduction", "M", "group", "L", "stride"), NEEDED)),
    PSA: ({"channel": 32, "reduction": 2, "kernels": (3, 5)}, {
        "channel": NEEDED, "reduction": NEEDED, "stride": NEEDED, "published": SWITCH}),
    PositionAttentionModule: ({"channel": 8}, {"channel": NEEDED, "published": SWITCH}),
    ChannelAttentionModule: ({}, {"published": SWITCH}),
    DAModule: ({"d_model": 8}, {
        "d_model": NEEDED, "kernel_size": ODD, "H": OPTIONAL, "W": OPTIONAL, "published": SWITCH}),
    EMSA: ({"d_model": 8, "h": 2, "H": 3, "W": 3}, {
        "d_model": NEEDED, "d_k": OPTIONAL, "d_v": OPTIONAL, "h": NEEDED, "H": OPTIONAL, "W": OPTIONAL,
        "ratio": NEEDED, "apply_transform": SWITCH, "bias": SWITCH}),
    ExternalAttention: ({"d_model": 8}, {"d_model": NEEDED, "S": NEEDED, "h": NEEDED}),
}
for block, (right, refused) in ARGUMENTS.items():
    for argument, values in refused.items():
        for value, words in values.items():
            got = value if words == "must be odd" else repr(value)
            CALLS[f"{block.__name__} {argument} {value!r}"] = (
                partial(block, **right | {argument: value}), f"{argument} {words}, got {got}")

CALLS |= {
    # arguments that do not fit together
    "ECA neither": (ECAAttention, "channel or kernel_size must be given, got neither"),
    "CBAM reduction 3": (lambda: CBAMBlock(8, 3), "reduction must divide channel, got reduction=3 and channel=8"),
    "BAM reduction 3": (lambda: BAMBlock(8, 3), "reduction must divide channel, got reduction=3 and channel=8"),
    "global context reduction 3": (lambda: GlobalContextBlock(8, 3),
                                   "reduction must divide channel, got reduction=3 and channel=8"),
    "SimAM one place": (lambda: SimAM(published=True)(X[:, :, :1, :1]),
                        "x must have two places or more if published is True, got shape (2, 8, 1, 1)"),
    "SK reduction 3": (lambda: SKAttention(8, 3, group=4),
                       "reduction must divide channel, got reduction=3 and channel=8"),
    "SK group 3": (lambda: SKAttention(8, 2, group=3), "group must divide channel, got group=3 and channel=8"),
    "PSA splits": (lambda: PSA(30, 2), "the number of kernels must divide channel, got the number of kernels=4"),
    "PSA reduction 3": (lambda: PSA(8, 3, (3, 5), (1, 1)), "reduction must divide channel / S, got reduction=3"),
    "PSA groups 3": (lambda: PSA(8, 2, (3, 5), (1, 3)), "groups[1] must divide channel / S, got groups[1]=3"),
    "PSA groups 0": (lambda: PSA(8, 2, (3, 5), (1, 0)), "groups[1] must be a positive integer, got 0"),
    "PSA groups text": (lambda: PSA(8, 2, (3, 5), "12"),
                        "groups must be a list or tuple with at least one entry, got '12'"),
    "PSA groups too few": (lambda: PSA(8, 2, (3, 5), (1,)), "groups must have one entry a kernel, 2, got 1"),
    "PSA kernels even": (lambda: PSA(8, 2, (3, 4)), "kernels[1] must be odd, got 4"),
    "PSA kernels number": (lambda: PSA(8, 2, 3), "kernels must be a list or tuple with at least one entry, got 3"),
    "PSA kernels none": (lambda: PSA(8, 2, ()), "kernels must be a list or tuple with at least one entry, got ()"),
    "position eighth": (lambda: PositionAttentionModule(12, True),
                        "channel must be a multiple of 8 if published is True, got 12"),
    "DANet eighth": (lambda: DAModule(12, published=True),
                     "d_model must be a multiple of 8 if published is True, got 12"),
    "EMSA h 3": (lambda: EMSA(8, h=3), "h must divide d_model, got h=3 and d_model=8"),
    "EMSA H alone": (lambda: EMSA(8, h=2, H=3), "H and W must be given together or not at all, got H=3 and W=None"),
    "EMSA W alone": (lambda: EMSA(8, h=2, W=3), "H and W must be given together or not at all, got H=None and W=3"),
    "external h 3": (lambda: ExternalAttention(8, h=3), "h must divide d_model, got h=3 and d_model=8"),
    "adaptive channel 0": (lambda: adaptive_kernel_size(0), "channel must be a positive integer, got 0"),
    "adaptive channel 8.0": (lambda: adaptive_kernel_size(8.0), "channel must be a positive integer, got 8.0"),
    "adaptive gamma 0": (lambda: adaptive_kernel_size(8, 0), "gamma must be a positive number, got 0"),
    "adaptive gamma NaN": (lambda: adaptive_kernel_size(8, math.nan), "gamma must be a positive number, got nan"),
    "adaptive gamma text": (lambda: adaptive_kernel_size(8, "2"), "gamma must be a positive number, got '2'"),
    "adaptive b -1": (lambda: adaptive_kernel_size(8, 2, -1), "b must be a number of at least 0, got -1"),
    "adaptive b infinite": (lambda: adaptive_kernel_size(8, 2, math.inf), "b must be a number of at least 0, got inf"),
    "adaptive b None": (lambda: adaptive_kernel_size(8, 2, None), "b must be a number of at least 0, got None"),
}

IMAGE_BLOCKS: tuple[AttentionBlock, ...] = (
    ECAAttention(8), CBAMBlock(8, 2), BAMBlock(8, 2), SKAttention(8, 2, group=4), PSA(8, 2, (3, 5), (1, 1)),
    PositionAttentionModule(8), ChannelAttentionModule(), DAModule(8), CoordinateAttention(8),
    GlobalContextBlock(8, 2), SimAM())
DTYPE = "must have the dtype of the block's weights, torch.float32, got torch.float64"
BAD_IMAGES: dict[str, tuple[object, str]] = {
    "numpy": (X.numpy(), "x must be a torch.Tensor, got ndarray"),
    "integers": (X.long(), "x must hold floating-point numbers, got dtype torch.int64"),
    "float64": (X.double(), f"x {DTYPE}"),
    "three dimensions": (X[0], "x must have 4 dimensions (B, C, H, W), got 3: shape (8, 3, 3)"),
    "channels": (X[:, :7], "x must have 8 channels on axis 1, got 7: shape (2, 7, 3, 3)"),
    "no rows": (X[:, :, :0], "x must have at least one channel, one row and one column, got shape (2, 8, 0, 3)"),
}
BAD_TOKENS: dict[str, tuple[object, str]] = {
    "list": ([[1.0]], "must be a torch.Tensor, got list"),
    "integers": (T.int(), "must hold floating-point numbers, got dtype torch.int32"),
    "float64": (T.double(), DTYPE),
    "feature map": (X, "must have 3 dimensions (B, N, d_model), got 4: shape (2, 8, 3, 3)"),
    "width": (T[..., :7], "must have width d_model=8, got 7: shape (2, 5, 7)"),
    "empty": (T[:, :0], "must hold at least one token, got shape (2, 0, 8)"),
}
EXTERNAL, REDUCED, NINE = ExternalAttention(8, 4), EMSA(8, h=2, H=3, W=3, ratio=2), torch.zeros(2, 9, 8)
for way in ("forward", "attention"):
    for block in IMAGE_BLOCKS:
        for what, (x, message) in BAD_IMAGES.items():
            # These take any number of channels, and one that has no weights any dtype.
            if (type(block), what) not in {(ChannelAttentionModule, "channels"), (SimAM, "channels"),
                                           (SimAM, "float64")}:
                CALLS[f"{type(block).__name__} {way} {what}"] = (partial(getattr(block, way), x), message)
    for what, (x, message) in BAD_TOKENS.items():
        CALLS[f"external {way} {what}"] = (partial(getattr(EXTERNAL, way), x), f"x {message}")
        for name in ("queries", "keys", "values"):
            right = {"queries": T, "keys": NINE, "values": NINE}
            CALLS[f"EMSA {way} {name} {what}"] = (
                partial(getattr(REDUCED, way), **right | {name: x}), f"{name} {message}")
    for what, (given, message) in {
        "keys batch": ((T, NINE[:1]), "keys must have the batch size of queries, 2, got 1"),
        "values length": ((T, NINE, T), "values must have the shape of keys, (2, 9, 8), got (2, 5, 8)"),
        "keys length": ((T,), "keys must hold H · W = 3 · 3 = 9 tokens, got 5"),
    }.items():
        CALLS[f"EMSA {way} {what}"] = (partial(getattr(REDUCED, way), *given), message)
CALLS |= {
    "no square": (lambda: EMSA(8, h=2)(T),
                       "keys must hold a square number of tokens unless H and W are given, got 5"),
    "one weight": (lambda: EMSA(8, h=2)(T[:, :1]), "queries and keys must give a map of two weights or more"),
    "odd ratio": (lambda: EMSA(8, h=2, H=1, W=5, ratio=3)(T),
                          "keys must form a map of 2 × 2 places or more for the odd ratio 3, got 1 × 5"),
    "DANet H": (lambda: DAModule(8, H=4)(X), "x must have H=4, as given to the constructor, got 3: shape (2, 8, 3, 3)"),
    "DANet W": (lambda: DAModule(8, W=4).attention(X),
                "x must have W=4, as given to the constructor, got 3: shape (2, 8, 3, 3)"),
    "channels none": (lambda: ChannelAttentionModule()(X[:, :0]), "x must have at least one channel"),
}


@pytest.mark.parametrize("name", CALLS)
def test_bad_call(name):
    call, message = CALLS[name]
    with pytest.raises(ValueError, match=re.escape(message)):
        call()


def test_there_are_enough_of_them():
    assert len(CALLS) >= 400
    for block, (_, refused) in ARGUMENTS.items():          # every argument of every constructor has its rows
        assert refused.keys() | {"kernels", "groups"} >= inspect.signature(block).parameters.keys()


def test_nothing_is_built_or_drawn_before_the_refusal(monkeypatch):
    """The check comes first: a bad call costs nothing and moves no random number."""
    def work(*args: object, **kwargs: object) -> None:
        raise AssertionError("work was begun")

    torch.manual_seed(0)
    state = torch.get_rng_state()
    for layer in (nn.Linear, nn.Conv1d, nn.Conv2d):
        monkeypatch.setattr(layer, "__init__", work)
        monkeypatch.setattr(layer, "forward", work)
    blocks = tuple(f"{block.__name__} " for block in ARGUMENTS)
    for name in [n for n in CALLS if n.startswith(("SE", "SA", "train", "untrained", "load", "external", *blocks))]:
        call, message = CALLS[name]
        with pytest.raises(ValueError, match=re.escape(message)):
            call()
    assert torch.equal(torch.get_rng_state(), state)


def test_what_is_unusual_but_right_is_taken():
    """The other side of the table: none of these may be refused."""
    assert SEAttention(8, 8)(X).shape == X.shape
    assert ScaledDotProductAttention(7, d_k=2, d_v=3, h=3)(torch.zeros(1, 1, 7)).shape == (1, 1, 7)
    assert ScaledDotProductAttention(8, h=8, dropout=0)(T).shape == T.shape
    with torch.autocast("cpu", torch.bfloat16):
        assert SE(X.bfloat16()).shape == X.shape
        assert SA(T.bfloat16(), T, T.bfloat16()).shape == T.shape
    assert len(scenes()[np.int64(1)]) == 1
    assert len(scenes()[torch.tensor(-1)]) == 1
    assert OneDigit("test").sample(1, torch.Generator().manual_seed(0), hide=1, contrast=0).size == 48
    assert scoring.mass_on(MAPS, torch.ones(4, 4, dtype=torch.bool)).shape == (2, 3)
