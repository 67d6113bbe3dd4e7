"""Chapter 00's weights, a softmax of likeness, on the transformer's features: do like places lie on like things?

Two places are alike where the angle between their tokens is small, instead of where their colours are. Scored by
`truth`'s questions (the other eye, the far rim), which nearness cannot win. The temperature is named on one half of
the photographs and scored on the other, for all kinds of features alike.
"""

from functools import cache

import torch
import torch.nn.functional as F
from torch import Tensor

from attention_lite.lab import truth, truth_results
from attention_lite.lab.experiments.crops import middle, pixels, transformer
from attention_lite.lab.precision import float32
from attention_lite.lab.truth import HALVES, PHOTOGRAPHS, QUESTIONS

TEMPERATURES = (0.003, 0.01, 0.03, 0.1, 0.3, 1.0, 3.0)           # of squared distances between tokens of length 1
LAYERS = (2, 4, 6, 8, 10, 12)    # after so many of the twelve
CONTROLLED = (6, 12)             # the layers that have controls
# "elsewhere": the same weights on the photographs that the question is not about. Untrained networks have three seeds.
RUNS = [
    *({"features": "trained", "layer": layer, "centred": True, "seed": 0} for layer in LAYERS),
    *({"features": "trained", "layer": layer, "centred": False, "seed": 0} for layer in CONTROLLED),
    *({"features": "trained, elsewhere", "layer": layer, "centred": True, "seed": 0} for layer in CONTROLLED),
    *({"features": "untrained", "layer": layer, "centred": True, "seed": seed} for layer in CONTROLLED
      for seed in range(3)),
    *({"features": features, "layer": 0, "centred": False, "seed": 0}
      for features in ("colour and texture", "nearness")),
]


def weights(tokens: Tensor, centred: bool) -> Tensor:
    """A softmax of likeness among the *other* places, over the last axis: (256, d) -> (temperatures, 256, 256).

    Args:
        tokens: of one photograph's patches.
        centred: whether their mean, what all places share, is taken off first.
    """
    features = F.normalize(tokens - tokens.mean(0) if centred else tokens, dim=1)
    scores = 2 * features @ features.T - 2                       # minus the squared distance
    scores.fill_diagonal_(-torch.inf)
    return torch.stack([torch.softmax(scores / temperature, 1) for temperature in TEMPERATURES])


@cache
def tokens_of(photograph: str, trained: bool, seed: int) -> list[Tensor]:
    """The patches' tokens after each layer of the trained transformer, or of an untrained one: twelve of (256, 384)."""
    net = transformer() if trained else truth.untrained(seed)
    found: list[Tensor] = []
    handles = [layer.register_forward_hook(lambda _, args, y: found.append(y[0, 1:])) for layer in net.layers]
    with torch.no_grad():
        net(pixels(middle(photograph)))
    for handle in handles:
        handle.remove()
    return found


def maps(photograph: str, features: str, layer: int, centred: bool, seed: int) -> Tensor:
    """A photograph's weights, an option a temperature or a width: (options, 256, 256)."""
    if features == "nearness":
        return truth.nearness_maps()
    if features == "colour and texture":
        return truth.likeness_maps(photograph)
    return weights(tokens_of(photograph, features != "untrained", seed)[layer - 1], centred)


def lifts(features: str, layer: int, centred: bool, seed: int) -> Tensor:
    """The lift of each question's partner, a mean over its queries: (questions, options)."""
    found = {name: maps(name, features, layer, centred, seed) for name in PHOTOGRAPHS}
    elsewhere = features.endswith("elsewhere")
    return torch.stack([torch.stack([
        truth.lifts(found[name], question).mean(1) for name in PHOTOGRAPHS
        if (name != question.photograph) == elsewhere]).mean(0) for question in QUESTIONS])


@float32()
def measure(features: str, layer: int, centred: bool, seed: int) -> dict:
    """One row: the option that each half of the photographs names, and what it reaches on the other half.

    "lifts": of each question, in `truth.QUESTIONS`' order, with the option that the other half names.
    """
    table = lifts(features, layer, centred, seed)
    named = {half: truth.best_option(table, half) for half in HALVES}
    other = [named["second" if question.photograph in HALVES["first"] else "first"] for question in QUESTIONS]
    return {"named_on": named, "scored_on_other": {half: truth_results.held_out(table, half) for half in HALVES},
            "lifts": truth.rounded(table[torch.arange(len(QUESTIONS)), torch.tensor(other)])}
