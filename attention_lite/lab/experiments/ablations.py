"""Networks that lack one thing, trained anew, a row each: does the task need it?

`runs.learned` says of a row's test figure whether its training counts as one that has learned.
"""

from attention_lite.lab import checkpoints
from attention_lite.lab.recipes import ABLATIONS, recipe_of
from attention_lite.lab.runs import describe
from attention_lite.lab.training import Training, run


def runs(task: str, *models: str) -> list[dict]:
    """A run for each seed of these ablations."""
    return [{"task": task, "model": model, "seed": seed} for model in models
            for seed in ABLATIONS[task].seeds_of(model)]


GATES = runs("context-gating-ablations", "se-full", "se-no-squeeze", "eca-1")
ONE_RATE = runs("context-gating-one-rate", "se", "eca")
STARTS = [*runs("cued-search-ablations", "attention-fresh-keys", "attention-open-output", "attention-fresh"),
          *runs("cued-search-at-once", "self-attention", "attention-fresh")]
MIXES = runs("cued-search-ablations", "emsa-mix", "emsa-norm", "emsa-identity")
ONE_SOFTMAX = runs("cued-search-ablations", "external-slots")
GATED = runs("cued-segmentation-ablations", "gate")


def trained(task: str, model: str, seed: int) -> Training:
    """A training that is done; its network is in eval mode and as a checkpoint would hold it."""
    training = Training(task, model, seed, recipe_of(task).steps)
    run(training, f"{task} {model} seed {seed}", progress=False)
    checkpoints.round_to_half(training.net.eval())
    return training


def measure(task: str, model: str, seed: int) -> dict:
    """One row: the training's record, as a checkpoint would hold it."""
    training = trained(task, model, seed)
    return describe(task, model, seed, training.net, training)
