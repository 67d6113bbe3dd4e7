"""What a place hears of the others through external attention: the slots' sums, exchanged between pictures.

The first softmax runs over the places: each slot's scores are divided by their sum over the picture. That is all
that one place learns of another, one number a slot and head. A disc is recoloured, so that it asks for another digit,
and the block gets the sums of this picture, or others.
"""

import torch
from torch import Tensor, nn

from attention_lite.lab import scoring
from attention_lite.lab.experiments import own
from attention_lite.lab.scenes import Scenes, disc_mask
from attention_lite.lab.training import pictures, untrained

TASK = "cued-search"
RUNS = own.runs(TASK, "external")
SOURCES = ("its own", "the old picture's", "another picture's", "the mean")
FEW = (1, 2, 4, 8)       # of the sums, those that the disc moves most


def tokens(net: nn.Module, features: Tensor) -> Tensor:
    """What the block compares with its slots: the stem's features (n, C, H, W) -> (n, N, C), normalised."""
    return net.block.norm(features.flatten(2).transpose(1, 2))


def scores(net: nn.Module, features: Tensor) -> Tensor:
    """L of each head: (n, h, N, S)."""
    x, block = tokens(net, features), net.block.block
    return block.M_k(x.unflatten(-1, (block.h, -1)).transpose(1, 2))


def log_sums(net: nn.Module, features: Tensor) -> Tensor:
    """The logarithm of each slot's sum over the places: (n, h, S)."""
    return scores(net, features).logsumexp(2)


def passed(net: nn.Module, features: Tensor, log_Z: Tensor) -> Tensor:
    """What the block hands on if these are its log-sums (n, h, S): (n, C, H, W)."""
    block = net.block.block
    A = (scores(net, features) - log_Z[:, :, None]).softmax(3)
    y = block.W_O(block.M_v(A).transpose(1, 2).flatten(2))
    return features + y.transpose(1, 2).unflatten(2, features.shape[2:])


def answers(net: nn.Module, handed_on: Tensor) -> Tensor:
    """The digits that the rest of the network reads: (n,)."""
    return net.head(net.tail(handed_on).amax((2, 3))).argmax(1)


def nearest_disc(scenes: Scenes) -> Tensor:
    """For each scene the number of the other one whose disc is nearest in colour: (n,)."""
    return torch.cdist(scenes.disc_colour, scenes.disc_colour).fill_diagonal_(torch.inf).argmin(1)


def moved_most(net: nn.Module, scenes: Scenes) -> Tensor:
    """The numbers of the sums, head by head, from the one that a recoloured disc moves most on average: (h S,)."""
    old, new = (own.gathered(part, lambda images: log_sums(net, net.stem(images)))
                for part in (scenes, own.recoloured(scenes)))
    return (new - old).abs().mean(0).flatten().argsort(descending=True)


def exchanged(log_Z: Tensor, others: Tensor, numbers: Tensor) -> Tensor:
    """The log-sums (n, h, S), those of these numbers taken from others."""
    given = log_Z.flatten(1).clone()
    given[:, numbers] = others.flatten(1)[:, numbers]
    return given.view_as(log_Z)


def at_the_disc(net: nn.Module, scenes: Scenes) -> Tensor:
    """How often each slot's largest weight lies on the disc: (h S,)."""
    def look(images: Tensor) -> Tensor:
        maps = net.block.block.attention(tokens(net, net.stem(images)))["slot"]         # (n, h, N, S)
        return maps.transpose(2, 3).flatten(1, 2).unflatten(2, net.grid)

    where = scoring.on_grid(disc_mask(scenes), net.grid)
    found = [scoring.peak_on(look(images), where[start:start + own.CHUNK, None])
             for start, (images, _) in zip(range(0, len(scenes), own.CHUNK), own.parts(scenes), strict=True)]
    return torch.cat(found).mean(0)


@torch.no_grad()
def measure(task: str, model: str, seed: int) -> dict:
    """One row: what is read under a recoloured disc, by whose sums, and how often a slot's peak lies on the disc.

    "asked": the digit that the disc asks for now; "old": the one that it asked for before; "any": one of the three.
    "2 old": its own sums, but the two that the disc moves most (on validation scenes) are the old picture's; "2 new":
    the old picture's, but for these two.
    "points": of all slots the one that does best on validation scenes, by the network and before its training.
    """
    net, scenes = own.load(task, model, seed), own.test_scenes(task)
    known, now = own.validation_scenes(task), own.recoloured(scenes)
    old = own.gathered(scenes, lambda images: log_sums(net, net.stem(images)))
    new = own.gathered(now, lambda images: log_sums(net, net.stem(images)))
    mean = own.gathered(known, lambda images: log_sums(net, net.stem(images))).mean(0)
    given = dict(zip(SOURCES, (new, old, new[nearest_disc(now)], mean.expand_as(new)), strict=True))
    order = moved_most(net, known)
    for count in FEW:
        given[f"{count} old"] = exchanged(new, old, order[:count])
        given[f"{count} new"] = exchanged(old, new, order[:count])
    read: dict[str, list[Tensor]] = {source: [] for source in given}
    for start in range(0, len(now), own.CHUNK):
        part = slice(start, start + own.CHUNK)
        features = net.stem(pictures(now[part]))
        for source, log_Z in given.items():
            read[source].append(answers(net, passed(net, features, log_Z[part])))
    row: dict = {"scenes": len(scenes)}
    for source, digits in read.items():
        said = torch.cat(digits)
        row[source] = {"asked": own.share(said == now.answer), "old": own.share(said == scenes.answer),
                       "any": own.share((said[:, None] == scenes.label).any(1))}
    for name, one in (("points", net), ("points before training", untrained(task, model, seed).eval())):
        row[name] = at_the_disc(one, scenes)[at_the_disc(one, known).argmax()].item()
    row["chance"] = scoring.on_grid(disc_mask(scenes), net.grid).float().mean().item()
    return row
