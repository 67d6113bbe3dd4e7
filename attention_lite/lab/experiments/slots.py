"""External attention's shared memory on the pretrained transformer's last tokens: is each slot a part of things?

`ExternalAttention` with twelve slots (chapter 10) is trained, without labels, to give back the standardised tokens of
photographs and of crops of them. Every patch belongs to the slot that it looks at most. These twelve groups are held
against the regions drawn by hand, on photographs that were trained on and on two that were left out.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path

import torch
import torch.nn.functional as F
from safetensors import SafetensorError
from safetensors.torch import load_file, save
from torch import Tensor

from attention_lite.external import ExternalAttention
from attention_lite.lab import patches, regions
from attention_lite.lab.experiments.crops import GRID, WIDTH, Crop, crops, middle, pixels, tokens
from attention_lite.lab.files import write_whole
from attention_lite.lab.precision import float32
from attention_lite.networks.ablations import PlainSoftmax

FOLDER = Path(__file__).parent.parent / "memories"               # one memory a fold, of seed 0
COMMAND = "python -m attention_lite.lab experiments slots"
SLOTS = 12
PHOTOGRAPHS = regions.drawn()
# Two photographs each, at a distance in the alphabet's order: a rule that looks at no picture.
LEFT_OUT = [tuple(sorted(PHOTOGRAPHS)[fold::5]) for fold in range(5)]
CROPS, SMALLEST_CROP = 6, 0.5    # of each photograph, beside its middle
STEPS, BATCH, RATE = 400, 8, 3e-3
LEAST_AREA = 1 / 64              # of the picture: a region smaller than four patches is left out
SHARED = ("main", "sky")         # names of regions that several photographs have
KINDS = ("external attention", "plain softmax", "untrained", "k-means", "k-means of colour and texture",
         "k-means of places")
RUNS = [{"kind": kind, "fold": fold, "seed": seed} for kind in KINDS for fold in range(5) for seed in range(3)]

Describe = Callable[[Crop], Tensor]


def views(photograph: str) -> list[Crop]:
    """What of a photograph is trained on: its middle, and crops."""
    return [middle(photograph), *crops(photograph, CROPS, SMALLEST_CROP, seed=0)]


def trained_on(fold: int) -> list[str]:
    """The photographs of a fold that are not left out."""
    return [name for name in PHOTOGRAPHS if name not in LEFT_OUT[fold]]


@dataclass(frozen=True)
class Standard:
    """Features with mean 0 and standard deviation 1 in each channel, over all views of some photographs."""

    mean: Tensor                 # (channels,)
    std: Tensor
    describe: Describe

    @classmethod
    def over(cls, names: Sequence[str], describe: Describe) -> "Standard":
        """Take mean and standard deviation over these photographs."""
        found = torch.stack([describe(view) for name in names for view in views(name)])
        return cls(found.mean((0, 1)), found.std((0, 1)), describe)

    def __call__(self, names: Sequence[str]) -> Tensor:
        """The features of all views of some photographs: (views, 256, channels)."""
        return torch.stack([self.of(view) for name in names for view in views(name)])

    def of(self, crop: Crop) -> Tensor:
        """The features of one crop: (256, channels)."""
        return (self.describe(crop) - self.mean) / self.std


# Twelve groups of patches: by the slots of a memory, or by the middles that k-means finds


def train(cls: type[ExternalAttention], x: Tensor, seed: int, steps: int = STEPS) -> ExternalAttention:
    """Train a memory to give back tokens x (views, 256, d): the squared error, by AdamW."""
    generator = torch.Generator().manual_seed(seed)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        memory = cls(x.shape[2], S=SLOTS)
    optimiser = torch.optim.AdamW(memory.parameters(), lr=RATE)
    for _ in range(steps):
        batch = x[torch.randint(len(x), (BATCH,), generator=generator)]
        loss = (memory(batch) - batch).square().mean()
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
    return memory.eval().requires_grad_(False)


class KMeans:
    """The middles of as many groups of features as a memory has slots; each patch belongs to the nearest."""

    def __init__(self, x: Tensor, seed: int) -> None:
        from sklearn.cluster import KMeans

        found = KMeans(SLOTS, n_init=1, random_state=seed).fit(x.flatten(0, 1).numpy())
        self.middles = torch.from_numpy(found.cluster_centers_)

    def groups(self, x: Tensor) -> Tensor:
        """Which middle is nearest: (views, N, d) -> (views, N)."""
        return torch.cdist(x, self.middles).argmin(2)

    def __call__(self, x: Tensor) -> Tensor:
        """Each patch replaced by the middle of its group."""
        return self.middles[self.groups(x)]


def groups(model: ExternalAttention | KMeans, x: Tensor) -> Tensor:
    """The number of each patch's slot or middle: (views, N, d) -> (views, N)."""
    return model.groups(x) if isinstance(model, KMeans) else model.attention(x)["slot"][:, 0].argmax(2)


@float32()
def fit(kind: str, fold: int, seed: int) -> tuple[ExternalAttention | KMeans, Standard]:
    """A memory, or its control, and the features that it was trained on."""
    describe = {"k-means of colour and texture": colour_and_texture, "k-means of places": places}.get(kind, tokens)
    standard = Standard.over(trained_on(fold), describe)
    x = standard(trained_on(fold))
    if kind.startswith("k-means"):
        return KMeans(x, seed), standard
    steps = 0 if kind == "untrained" else STEPS
    return train(PlainSoftmax if kind == "plain softmax" else ExternalAttention, x, seed, steps), standard


def memory_of(photograph: str) -> int:
    """The fold whose memory has not seen a photograph.

    Raises:
        ValueError: if none has: the photograph has no regions.
    """
    for fold, names in enumerate(LEFT_OUT):
        if photograph in names:
            return fold
    raise ValueError(f"photograph must be one of {', '.join(PHOTOGRAPHS)}; got {photograph!r}")


def load_memory(fold: int, folder: Path = FOLDER) -> tuple[ExternalAttention, Standard]:
    """The memory of a fold, trained with seed 0, and the features that it takes: `memory(standard.of(crop)[None])`.

    Raises:
        ValueError: if there is no such fold, or its file is missing or damaged; says how to make it.
    """
    if fold not in range(len(LEFT_OUT)):
        raise ValueError(f"fold must be one of 0 to {len(LEFT_OUT) - 1}, got {fold!r}")
    path = _path(fold, folder)
    if not path.is_file():
        raise ValueError(f"no memory {path}; make it with: {COMMAND}")
    with float32():
        memory = ExternalAttention(WIDTH, S=SLOTS)
    try:
        stored = {name: tensor.float() for name, tensor in load_file(path).items()}
        standard = Standard(stored.pop("mean"), stored.pop("std"), tokens)
        memory.load_state_dict(stored)
    except (SafetensorError, KeyError, RuntimeError) as error:
        why, remedy = " ".join(str(error).split()), f"delete it and make it anew with: {COMMAND}"
        raise ValueError(f"{path.name} is not such a memory ({why}); {remedy}") from error
    return memory.eval().requires_grad_(False), standard


@float32()
def shares(kind: str, photograph: str) -> Tensor:
    """How much each patch of a photograph's middle takes from each slot of a memory that has not seen it: (256, S).

    "external attention" is read from its file. Its controls are made anew, with seed 0: "untrained", and "k-means" of
    the middles of the photographs trained on, by which a patch takes all from one.

    Raises:
        ValueError: if the photograph has no regions, the kind is another, or the memory's file is missing.
    """
    if kind not in (known := ("external attention", "untrained", "k-means")):
        raise ValueError(f"kind must be one of {', '.join(known)}; got {kind!r}")
    fold = memory_of(photograph)
    memory, standard = load_memory(fold)
    x = standard.of(middle(photograph))[None]
    if kind == "k-means":
        seen = torch.stack([standard.of(middle(name)) for name in trained_on(fold)])
        return F.one_hot(KMeans(seen, seed=0).groups(x)[0], SLOTS).float()
    if kind == "untrained":
        memory = train(ExternalAttention, x, seed=0, steps=0)
    return memory.attention(x)["slot"][0, 0]


def store_memories(folder: Path = FOLDER) -> None:
    """Train the memories whose files are missing, and write them in half precision.

    Raises:
        OSError: if the folder cannot be written.
    """
    for fold in range(len(LEFT_OUT)):
        if not _path(fold, folder).exists():
            memory, standard = fit("external attention", fold, 0)
            weights = memory.state_dict() | {"mean": standard.mean, "std": standard.std}
            made = {"command": COMMAND, "left_out": ", ".join(LEFT_OUT[fold]), "torch": torch.__version__}
            write_whole(_path(fold, folder), save({name: tensor.half() for name, tensor in weights.items()}, made))


def _path(fold: int, folder: Path) -> Path:
    return folder / f"fold-{fold}.safetensors"


def places(crop: Crop) -> Tensor:
    """Row and column of each patch, whatever the picture: (256, 2)."""
    return torch.cartesian_prod(torch.arange(float(GRID)), torch.arange(float(GRID)))


@cache
def colour_and_texture(crop: Crop) -> Tensor:
    """Chapter 00's eight numbers of each patch: (256, 8)."""
    return patches.describe(pixels(crop)[0].permute(1, 2, 0), (GRID, GRID))


# Scores


def truth(photograph: str) -> dict[str, Tensor]:
    """The share of each patch that each region covers, (256,): the main object first, under the name "main"."""
    shares = {"main": regions.covered(photograph, regions.main_object(photograph), GRID).flatten()}
    for name in regions.regions(photograph):
        share = regions.covered(photograph, (name,), GRID).flatten()
        if name not in regions.main_object(photograph) and share.mean() >= LEAST_AREA:
            shares[name] = share
    return shares


def overlaps(group: Tensor, share: Tensor) -> Tensor:
    """Intersection over union of each group's patches with a region: numbers (N,), shares (N,) -> (SLOTS,)."""
    masks = F.one_hot(group, SLOTS).float()                      # (N, SLOTS)
    both, either = torch.minimum(masks, share[:, None]), torch.maximum(masks, share[:, None])
    return both.sum(0) / either.sum(0)


@float32()
def measure(kind: str, fold: int, seed: int) -> dict:
    """One row: errors, and overlaps with the regions, of photographs trained on and left out.

    "error": squared, of this kind's own features; "error_of_mean": of giving back the mean over the photographs trained
    on, and nothing else.
    "best": of the twelve groups the one that overlaps a region most, chosen on this very picture. "named": the group
    that does best on the regions of that name ("main", "sky") on the photographs trained on, scored on one left out.
    """
    model, standard = fit(kind, fold, seed)
    found = {name: groups(model, standard.of(middle(name))[None])[0] for name in PHOTOGRAPHS}
    table = {name: {region: overlaps(found[name], share) for region, share in truth(name).items()}
             for name in PHOTOGRAPHS}
    seen = trained_on(fold)
    row: dict = {"left_out": list(LEFT_OUT[fold])}
    for side, names in (("trained_on", seen), ("left_out", LEFT_OUT[fold])):
        x = standard(names)
        row[f"error_{side}"] = (model(x) - x).square().mean().item()
        row[f"error_of_mean_{side}"] = x.square().mean().item()
    used = torch.cat(list(found.values())).bincount(minlength=SLOTS)
    row["used"] = int((used > 0.01 * used.sum()).sum())
    row["best"] = {name: {region: values.max().item() for region, values in of.items()} for name, of in table.items()}
    row["named"] = {name: {region: values[_named(region, [table[n] for n in seen])].item()
                           for region, values in table[name].items() if region in SHARED} for name in LEFT_OUT[fold]}
    return row


def _named(region: str, tables: list[dict[str, Tensor]]) -> int:
    """The group with the largest mean overlap with the regions of this name."""
    return int(torch.stack([table[region] for table in tables if region in table]).mean(0).argmax())
