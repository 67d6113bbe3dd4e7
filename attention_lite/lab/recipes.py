"""What the lab trains: for each task and network its models, and settings chosen without the test side."""

from collections.abc import Callable
from dataclasses import dataclass, replace

from torch import nn

from attention_lite import checks
from attention_lite.lab.tasks import (
    BINDINGS,
    AnySize,
    ContextGating,
    CuedSearch,
    CuedSegmentation,
    OneDigit,
    Task,
)
from attention_lite.networks import (
    context_net,
    residual_net,
    scale_net,
    search_net,
    segment_net,
    wide_search_net,
)
from attention_lite.networks.ablations import context_ablation, search_ablation, segment_ablation

# The ten mechanisms and their two controls: what the closing chapter trains, in the slot of one network a task.
COMPARED = ("none", "conv", "se", "eca", "cbam", "bam", "sk", "psa", "self-attention", "danet", "emsa", "external")
FIVE_SEEDS, THREE_SEEDS = (0, 1, 2, 3, 4), (0, 1, 2)


@dataclass(frozen=True)
class Recipe:
    """How the networks of one task are trained.

    models: what may stand in the network's slot.
    lr: highest learning rate of the one-cycle schedule; in the models of `fast`, the block's own parameters learn
        `block_lr` times as fast.
    hidden, shown: the curriculum, as fractions of the training: digits that are not to be read stay hidden until
        `hidden` and are all shown from `shown` on.
    full_contrast: the photographs' contrast rises from 0 to 1 until this fraction of the training; 0: it is whole at
        once.
    five_seeds: the models whose five seeds the book ships and reports, all of them; the others have those of
        `seeds`.
    """

    task: type[Task]
    build: Callable[[str], nn.Module]
    models: tuple[str, ...]
    steps: int
    lr: float
    hidden: float
    shown: float
    full_contrast: float
    five_seeds: tuple[str, ...] = ()
    fast: tuple[str, ...] = ()
    block_lr: float = 1.0
    warm_up: float = 0.2
    batch: int = 64
    weight_decay: float = 1e-3
    seeds: tuple[int, ...] = THREE_SEEDS

    def seeds_of(self, model: str) -> tuple[int, ...]:
        """The seeds of `model` that the book ships."""
        return FIVE_SEEDS if model in self.five_seeds else self.seeds

    def hide(self, progress: float) -> float:
        """The probability that a digit which is not to be read is hidden, at `progress` in [0, 1] of the training."""
        if self.shown == 0:
            return 0.0
        return min(1.0, max(0.0, (self.shown - progress) / (self.shown - self.hidden)))

    def contrast(self, progress: float) -> float:
        """The photographs' contrast at `progress` in [0, 1] of the training."""
        return min(1.0, progress / self.full_contrast) if self.full_contrast else 1.0


GATE_CONTROLS = ("local-gate", "added-context", "eca-shuffled")
PARTS_OF_DANET = ("danet", "none", "conv", "danet-position", "danet-channel", "danet-channel-published")

RECIPES: dict[str, Recipe] = {
    "context-gating": Recipe(ContextGating, context_net, (*COMPARED, *GATE_CONTROLS, "global-context"), steps=1000,
                             lr=2e-3, hidden=0.25, shown=0.55, full_contrast=0.3, five_seeds=COMPARED,
                             fast=("se", "eca", *GATE_CONTROLS, "global-context"), block_lr=5.0),
    "cued-search": Recipe(CuedSearch, search_net, (*COMPARED, "emsa-1", "emsa-4", "emsa-plain"), steps=1500,
                          lr=1.5e-3, warm_up=0.15, hidden=0.2, shown=0.4, full_contrast=0.25, five_seeds=COMPARED),
    "cued-segmentation": Recipe(CuedSegmentation, segment_net, PARTS_OF_DANET, steps=1500, lr=1.5e-3, warm_up=0.15,
                                hidden=0.2, shown=0.4, full_contrast=0.25),
    "one-digit": Recipe(OneDigit, search_net, COMPARED, steps=500, lr=2e-3, hidden=0.0, shown=0.0, full_contrast=0.3,
                        five_seeds=COMPARED),
    "one-digit-residual": Recipe(OneDigit, residual_net, (
        "cbam", "none", "cbam-average", "cbam-max", "cbam-3x3", "cbam-spatial-first", "cbam-parallel", "cbam-plain",
        "bam", "bam-product", "bam-first", "bam-last", "coordinate-plain"), steps=600, lr=2e-3, hidden=0.0, shown=0.0,
        full_contrast=0.3),
    "any-size": Recipe(AnySize, scale_net, ("sk", "sk-even", "psa", "psa-open", "psa-even"), steps=1000, lr=3e-3,
                       hidden=0.0, shown=0.0, full_contrast=0.35),
}

# Networks that lack one thing, each with its original's recipe; `learned` judges them. "one-rate": gates learn as fast
# as the rest. "at-once" has no curriculum.
_OF_SELF_ATTENTION = ("attention-fresh-keys", "attention-open-output", "attention-fresh")
_SEARCH_ABLATIONS = (*_OF_SELF_ATTENTION, "emsa-mix", "emsa-norm", "emsa-identity", "external-slots")
_AT_ONCE = ("self-attention", "attention-fresh")


def _ablation(task: str, build: Callable[[str], nn.Module], models: tuple[str, ...], **changes: object) -> Recipe:
    return replace(RECIPES[task], build=build, models=models, five_seeds=models, **changes)


ABLATIONS: dict[str, Recipe] = {
    "context-gating-ablations": _ablation("context-gating", context_ablation, ("se-full", "se-no-squeeze", "eca-1"),
                                          fast=("se-full", "se-no-squeeze", "eca-1")),
    "context-gating-one-rate": _ablation("context-gating", context_net, ("se", "eca"), fast=()),
    "cued-search-ablations": _ablation("cued-search", search_ablation, _SEARCH_ABLATIONS),
    "cued-search-at-once": _ablation("cued-search", search_ablation, _AT_ONCE, hidden=0.0, shown=0.0,
                                     full_contrast=0.0),
    "cued-segmentation-ablations": _ablation("cued-segmentation", segment_ablation, ("gate",)),
}

# Flags whose parts must be bound: the ten mechanisms and their two controls at one part and at two; at three and four
# those that learned two. Fixed before the trainings began: the steps and the rate of cued search. "wide" has twice the
# channels and "longer" twice the steps: for the two gates that learned two parts in a trial of 3,000 steps, and, at
# three parts, for self-attention. Each row trains its network; checkpoints are shipped of `SHOWN` alone.
GATES = ("se", "eca", "cbam", "bam", "sk", "psa")
BINDERS, NEARLY = ("self-attention", "emsa"), ("eca", "bam")


def _binding(parts: int, models: tuple[str, ...], seeds: tuple[int, ...] = (0,), **changes: object) -> Recipe:
    recipe = Recipe(BINDINGS[parts - 1], search_net, models, steps=1500, lr=1.5e-3, warm_up=0.15, hidden=0.15,
                    shown=0.4, full_contrast=0.25, seeds=seeds)
    return replace(recipe, **changes)


BINDING: dict[str, Recipe] = {
    "binding-1": _binding(1, COMPARED),
    "binding-2": _binding(2, COMPARED, FIVE_SEEDS),
    "binding-3": _binding(3, BINDERS, FIVE_SEEDS),
    "binding-4": _binding(4, BINDERS),
    "binding-2-longer": _binding(2, NEARLY, steps=3000),
    "binding-3-longer": _binding(3, ("self-attention",), steps=3000),
    "binding-2-wide": _binding(2, (*NEARLY, "self-attention"), build=wide_search_net),
}
SHOWN = (("binding-2", "self-attention", 0), ("binding-2", "bam", 0))


def every_recipe() -> dict[str, Recipe]:
    """All recipes by their names."""
    return RECIPES | ABLATIONS | BINDING


def shipped() -> list[tuple[str, str, int]]:
    """Task, model and seed of each checkpoint that the book ships."""
    return [*((task, model, seed) for task, recipe in RECIPES.items() for model in recipe.models
              for seed in recipe.seeds_of(model)), *SHOWN]


# The task that a mechanism is trained on by default: the one that its chapter uses.
HOME = {"cbam": "one-digit-residual", "bam": "one-digit-residual", "sk": "any-size", "psa": "any-size",
        "self-attention": "cued-search", "danet": "cued-segmentation", "emsa": "cued-search", "external": "one-digit"}


def home_task(model: str) -> str:
    """The task of the chapter on `model`: the default of the training command.

    Raises:
        ValueError: if no task knows `model`.
    """
    recipes = every_recipe()
    for name, recipe in recipes.items():
        if model in recipe.models:
            return HOME.get(model, name)
    known = sorted({m for recipe in recipes.values() for m in recipe.models})
    raise ValueError(f"model must be one of {', '.join(known)}; got {model!r}")


def check_model(task: str, model: str) -> None:
    """Raise ValueError, with the list of those that exist, for an unknown task or model."""
    if task not in tuple(every_recipe()):
        raise ValueError(f"task must be one of {', '.join(every_recipe())}; got {task!r}")
    models = recipe_of(task).models
    if model not in models:
        raise ValueError(f"model must be one of {', '.join(models)} in the task {task}; got {model!r}")


def recipe_of(task: str) -> Recipe:
    """The recipe of that name, of `every_recipe`."""
    return every_recipe()[task]


def check_run(task: str, model: str, seed: int) -> int:
    """Return `seed`; ValueError, with a list of what there is, for an unknown task or model or a seed not shipped."""
    check_model(task, model)
    seed = checks.integer("seed", seed)
    seeds = recipe_of(task).seeds_of(model)
    if seed not in seeds:
        known = ", ".join(map(str, seeds))
        raise ValueError(f"seed must be one of {known} for {model} in the task {task}; got {seed!r}")
    return seed
