"""Where a vision transformer looks, held against regions drawn by hand, beside controls that know nothing.

A *question* takes the patches of one region as queries (a cat's left eye) and asks how much of their weight lies on
another region far away (her right eye). What a patch gives to itself and to the class token is left out, for the
network and for every control alike. The score is the *lift*, weight over share of the places: 1 for uniform weights,
and nearness cannot win it. Heads are named on one half of the photographs and scored on the other; `truth_results`
does that and writes the file.
"""

from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from attention_lite import record_attention
from attention_lite.lab import patches, regions
from attention_lite.networks.vision_transformer import VisionTransformer

GRID, SIDE = 16, 224               # patches, pixels: what the transformer sees of a photograph
QUERY_SHARE = 0.3                  # a patch asks for a region that covers at least so much of it
UNTRAINED_SEEDS = tuple(range(5))
WIDTHS = (0.5, 1.0, 1.5, 2.0, 3.0, 4.0, 6.0, 8.0, 12.0)                        # of nearness, in patches
TEMPERATURES = (0.01, 0.03, 0.1, 0.3, 1.0, 3.0, 10.0, 30.0)                    # of likeness, as in chapter 00
RANDOM_BLUR, RANDOM_PEAK = 2.0, 3.0         # of random maps: in patches; the logarithm's standard deviation
RANDOM_DRAWS = 200                 # sets of random maps, each of as many as heads were searched
LEAST_LIFT = 0.01                  # what a geometric mean takes for less
RESAMPLES = 2000                   # of a bootstrap's 95 % interval


@dataclass(frozen=True)
class Question:
    """How much weight do the patches of `query` put on `partner`? Both are names of regions."""

    photograph: str
    query: tuple[str, ...]
    partner: tuple[str, ...]


def _both_ways(photograph: str, one: tuple[str, ...], other: tuple[str, ...]) -> tuple[Question, Question]:
    return Question(photograph, one, other), Question(photograph, other, one)


# Thirteen pairs, two ways each; but the spoon's tip, less than two patches, only answers.
QUESTIONS: tuple[Question, ...] = (
    *_both_ways("astronaut", ("round badge",), ("name badge",)),
    *_both_ways("camera", ("left skyline",), ("right skyline",)),
    *_both_ways("chelsea", ("left eye",), ("right eye",)),
    *_both_ways("china", ("top roof",), ("lowest roof",)),
    *_both_ways("china", ("left tree",), ("right tree",)),
    *_both_ways("coffee", ("rim, left",), ("rim, right",)),
    Question("coffee", ("spoon, bowl",), ("spoon, tip",)),
    *_both_ways("coins", ("row 1, coin 2",), tuple(f"row 4, coin {i}" for i in (2, 3, 4, 5))),
    *_both_ways("flower", ("upper petals",), ("small flower",)),
    *_both_ways("hubble_deep_field", ("yellow, right", "yellow, bottom right"), ("yellow, bottom", "yellow, middle")),
    *_both_ways("retina", ("upper vessels",), ("lower vessels",)),
    *_both_ways("rocket", ("left tower",), ("right tower",)),
    *_both_ways("rocket", ("left lights",), ("right light",)),
)
PHOTOGRAPHS = tuple(sorted({question.photograph for question in QUESTIONS}))
# Every second name in the alphabet's order: a rule that looks at no picture.
HALVES: dict[str, tuple[str, ...]] = {"first": PHOTOGRAPHS[::2], "second": PHOTOGRAPHS[1::2]}


# Scores


def lift(weights: Tensor, target: Tensor) -> Tensor:
    """Weight on a region over the region's share of all places: 1 where the weights are uniform.

    Args:
        weights: (…, N), each row a distribution over N places.
        target: (N,), the share of each place that the region covers.

    Raises:
        ValueError: if the shapes do not agree, or the region covers nothing.
    """
    if target.dim() != 1 or weights.shape[-1:] != target.shape:
        got = f"{tuple(weights.shape)} and {tuple(target.shape)}"
        raise ValueError(f"weights and target must have shapes (…, N) and (N,), got {got}")
    if target.sum() <= 0:
        raise ValueError("target must cover some place, got none")
    return (weights * target).sum(-1) / target.mean()


def bystanders(question: Question) -> Tensor:
    """The patches of neither of a question's regions: indices."""
    outside = target(question) == 0
    outside[queries(question)] = False
    return torch.nonzero(outside)[:, 0]


def queries(question: Question) -> Tensor:
    """The patches that ask: their numbers, row by row, (n,)."""
    share = regions.covered(question.photograph, question.query, GRID).flatten()
    return (share >= QUERY_SHARE).nonzero()[:, 0]


def target(question: Question) -> Tensor:
    """The share of each patch that the partner covers: (256,)."""
    return regions.covered(question.photograph, question.partner, GRID).flatten()


def main_object(photograph: str) -> Tensor:
    """The share of each patch that the photograph's main object covers: (256,)."""
    return regions.covered(photograph, regions.main_object(photograph), GRID).flatten()


def distance(question: Question) -> float:
    """How far the middles of a question's two regions are apart, in patches."""
    shares = torch.stack([regions.covered(question.photograph, names, GRID).flatten()
                          for names in (question.query, question.partner)])
    one, other = shares @ _centres() / shares.sum(1, keepdim=True)
    return (one - other).norm().item()


def lifts(maps: Tensor, question: Question, asking: Tensor | None = None) -> Tensor:
    """The lift of every query of a question in every map: maps (…, N, N) -> (…, queries).

    N is the number of patches, or one more: then the first place is the class token. Of the weights counts what goes to
    the other patches, as a share of that. `asking`: other patches that ask in the queries' place.

    Raises:
        ValueError: if the maps have another size.
    """
    extra = maps.shape[-1] - GRID ** 2
    if maps.dim() < 2 or maps.shape[-2] != maps.shape[-1] or extra not in (0, 1):
        raise ValueError(f"maps must have shape (…, 256, 256) or (…, 257, 257), got {tuple(maps.shape)}")
    return lift(to_others(maps[..., extra:, extra:], queries(question) if asking is None else asking), target(question))


def to_others(maps: Tensor, asking: Tensor) -> Tensor:
    """What each asking patch gives to the other patches, over its sum: maps (…, N, N), asking (n,) -> (…, n, N)."""
    weights = maps[..., asking, :].clone()
    weights[..., torch.arange(len(asking)), asking] = 0
    return weights / weights.sum(-1, keepdim=True).clamp(min=1e-12)          # a row of nothing stays nothing


def geometric_mean(values: Tensor, dim: int = 0) -> Tensor:
    """The geometric mean of lifts along an axis; what is below LEAST_LIFT counts as that."""
    return values.clamp(min=LEAST_LIFT).log().mean(dim).exp()


def by_photograph(table: Tensor, photographs: tuple[str, ...]) -> Tensor:
    """The geometric mean of each photograph's questions: (questions, …) -> (photographs, …)."""
    rows = [[i for i, question in enumerate(QUESTIONS) if question.photograph == name] for name in photographs]
    return torch.stack([geometric_mean(table[own]) for own in rows])


def best_option(table: Tensor, half: str) -> int:
    """Of the lifts (questions, options): the option whose geometric mean over a half's photographs is largest."""
    return int(geometric_mean(by_photograph(table, HALVES[half])).argmax())


def best_knowing_all(table: Tensor) -> int:
    """The option that is best over all photographs: what a control may have, to whose advantage it is."""
    return int(geometric_mean(by_photograph(table, PHOTOGRAPHS)).argmax())


def interval(values: Tensor, mean: Callable[[Tensor, int], Tensor]) -> list[float]:
    """The 95 % interval of a mean of values (n,), by drawing them anew, with repeats, RESAMPLES times."""
    generator = torch.Generator().manual_seed(0)
    drawn = values[torch.randint(len(values), (RESAMPLES, len(values)), generator=generator)]
    return rounded(torch.quantile(mean(drawn, 1), torch.tensor([0.025, 0.975])))


def rounded(values: Tensor, digits: int = 4) -> list:
    """Numbers for a file: a (nested) list, rounded."""
    if values.dim() > 1:
        return [rounded(row, digits) for row in values]
    return [round(value, digits) for value in values.tolist()]


# What is scored: the network, and the controls


@torch.no_grad()
def network_maps(net: nn.Module, photograph: str) -> Tensor:
    """All maps of a vision transformer on a photograph's middle square: (layers, heads, 257, 257)."""
    image = patches.window(photograph, (SIDE, SIDE)).permute(2, 0, 1)[None]
    with record_attention(net) as maps:
        net(image)
    return torch.stack([kinds["position"][0] for kinds in maps.values()])


def class_token_maps(maps: Tensor) -> Tensor:
    """Where the class token looks among the patches, in the last layer: (layers, heads, 257, 257) -> (heads, 256)."""
    among_patches = maps[-1, :, 0, 1:]
    return among_patches / among_patches.sum(1, keepdim=True)


def untrained(seed: int) -> nn.Module:
    """The transformer as it is before any training."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        return VisionTransformer().eval()


def nearness_maps() -> Tensor:
    """Weights that fall with the distance as a Gaussian, one map a width: (widths, 256, 256)."""
    squared = torch.cdist(_centres(), _centres()) ** 2
    return torch.stack([torch.softmax(-squared / (2 * width ** 2), 1) for width in WIDTHS])


def likeness_maps(photograph: str) -> Tensor:
    """Chapter 00's weights, likeness of colour and texture among *other* patches: (temperatures, 256, 256)."""
    described = patches.describe(patches.window(photograph, (SIDE, SIDE)), (GRID, GRID))
    scores = -torch.cdist(described, described) ** 2
    scores.fill_diagonal_(-torch.inf)
    return torch.stack([torch.softmax(scores / temperature, 1) for temperature in TEMPERATURES])


def random_maps(count: int, generator: torch.Generator) -> Tensor:
    """Smooth maps with a few peaks, of nothing: exp of blurred noise, normalised: (count, 256)."""
    lines = torch.arange(float(GRID))
    blur = torch.exp(-(lines[:, None] - lines) ** 2 / (2 * RANDOM_BLUR ** 2))
    smooth = (blur @ torch.randn(count, GRID, GRID, generator=generator) @ blur.T).flatten(1)
    return torch.softmax(RANDOM_PEAK * smooth / smooth.std(1, keepdim=True), 1)


def random_lifts(where: Tensor, options: int, seed: int) -> Tensor:
    """The lifts of RANDOM_DRAWS sets of so many random maps on a region (256,): (draws, options)."""
    maps = random_maps(RANDOM_DRAWS * options, torch.Generator().manual_seed(seed))
    return lift(maps, where).unflatten(0, (RANDOM_DRAWS, options))


def centred_maps() -> Tensor:
    """Gaussians around the picture's middle, one a width: (widths, 256)."""
    squared = ((_centres() - (GRID - 1) / 2) ** 2).sum(1)
    return torch.stack([torch.softmax(-squared / (2 * width ** 2), 0) for width in WIDTHS])


def _centres() -> Tensor:
    return torch.cartesian_prod(torch.arange(float(GRID)), torch.arange(float(GRID)))
