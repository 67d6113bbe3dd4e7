"""What a trained network's weights are worth: held against the known truth of its task, and against taking things away.

Each task has its own question to the weights, and a mechanism answers where it has such weights at all:
context gating: do the weights of the whole picture follow the frame? cued search: does the digit to read look at the
disc? one digit: does the map of places point at the digit?
"""

from collections.abc import Iterator

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from attention_lite.block import AttentionBlock
from attention_lite.lab.precision import float32
from attention_lite.lab.scenes import Scenes, disc_mask, target_mask
from attention_lite.lab.scoring import explained_variance, mass_on, on_grid, peak_on, query_maps, spread
from attention_lite.lab.training import pictures
from attention_lite.recording import record_attention

CHUNK = 100              # scenes at a time: a map of all pairs of places is large
DELETED = 0.1            # the share of places or channels that a deletion takes away
DRAWS = 3                # random deletions, of which the mean is taken
CELL = 4                 # pixels of a place

# Of the whole picture: one number a channel, or a channel and branch, or a pair of channels.
PICTURE_WEIGHTS = ("channel", "channel_and_place", "kernel", "split", "channel_to_channel")


def weights_of(net: nn.Module, images: Tensor) -> dict[str, Tensor]:
    """What the outermost attention block in the network's slot returns for these pictures; empty without a block."""
    if not any(isinstance(module, AttentionBlock) for module in net.modules()):
        return {}
    with record_attention(net) as maps, torch.no_grad():
        net(images)
    return maps[min(maps, key=len)]


def picture_weights(weights: dict[str, Tensor]) -> Tensor | None:
    """The weights that are the same for all places, in a row: (n, D); None if there are none."""
    for key in PICTURE_WEIGHTS:
        if key in weights:
            found = weights[key].mean((2, 3)) if key == "channel_and_place" else weights[key]
            return found.flatten(1)
    return None


def pair_maps(weights: dict[str, Tensor], places: int) -> Tensor | None:
    """Where each place reads from, head by head: (n, heads, N, N), rows that sum to one; None without such maps.

    Keys of a shrunken map stand for several places, which share their weight. Of weights that may be negative
    (EMSA's, after its instance norm) only the positive ones are kept, and their rows made to sum to one.
    """
    if "position" not in weights:
        return None
    A = spread(weights["position"].clamp(min=0), places)
    return A / A.sum(-1, keepdim=True).clamp(min=1e-9)


def place_maps(weights: dict[str, Tensor], grid: tuple[int, int]) -> Tensor | None:
    """Maps of the picture's places, (n, M, *grid), M of them to choose from; None if there are none.

    A gate of places is one map. Of pairs of places, each head has the mean over all queries: how much a place is
    read. Of a memory, each slot of each head has its map.
    """
    if "spatial" in weights:
        return weights["spatial"][:, None]
    if "channel_and_place" in weights:
        return weights["channel_and_place"].mean(1, keepdim=True)
    if "slot" in weights:
        return weights["slot"].transpose(2, 3).flatten(1, 2).unflatten(-1, grid)
    pairs = pair_maps(weights, grid[0] * grid[1])
    return None if pairs is None else pairs.mean(2).unflatten(-1, grid)


# How well the weights answer their task's question


def cue_in_weights(net: nn.Module, scenes: Scenes) -> float | None:
    """Context gating: the share of the weights' variance that the cue explains, from 0 to 1."""
    found = [picture_weights(weights_of(net, images)) for images, _ in _parts(scenes)]
    return None if found[0] is None else explained_variance(torch.cat(found), scenes.target)


def mass_on_disc(net: nn.Module, scenes: Scenes) -> Tensor | None:
    """Cued search: the mean weight on the disc of queries on the digit to read, for each head: (heads,)."""
    found = []
    for images, part in _parts(scenes):
        grid = net.grid
        pairs = pair_maps(weights_of(net, images), grid[0] * grid[1])
        if pairs is None:
            return None
        maps = query_maps(pairs, on_grid(target_mask(part), grid), grid)
        found.append(mass_on(maps, on_grid(disc_mask(part), grid)[:, None]))
    return torch.cat(found).mean(0)


def points_at_digit(net: nn.Module, scenes: Scenes) -> Tensor | None:
    """One digit: how often each map's largest weight lies on the digit: (M,)."""
    found = []
    for images, part in _parts(scenes):
        maps = place_maps(weights_of(net, images), net.grid)
        if maps is None:
            return None
        found.append(peak_on(maps, on_grid(target_mask(part), net.grid)[:, None]))
    return torch.cat(found).mean(0)


def chance(task: str, scenes: Scenes, grid: tuple[int, int]) -> float:
    """What the same question gives for weights that say nothing: the share of the places, or 0."""
    if task == "context-gating":
        return 0.0
    where = disc_mask(scenes) if task == "cued-search" else target_mask(scenes)
    return on_grid(where, grid).float().mean().item()


QUESTIONS = {"context-gating": cue_in_weights, "cued-search": mass_on_disc, "one-digit": points_at_digit}


def map_score(task: str, net: nn.Module, validation: Scenes, test: Scenes) -> tuple[int, float] | None:
    """The answer to the task's question on the test side, and which map gave it; None without such weights.

    Where a mechanism has several maps, the one that does best on the validation side is taken.
    """
    question = QUESTIONS[task]
    on_validation = question(net, validation)
    if on_validation is None:
        return None
    if isinstance(on_validation, float):
        return 0, question(net, test)
    chosen = int(on_validation.argmax())
    return chosen, question(net, test)[chosen].item()


# Does it matter what the weights call important?


@float32()
def deletion(task: str, net: nn.Module, scenes: Scenes, chosen: int) -> dict[str, float] | None:
    """The accuracy after a tenth of the places or channels is taken away: those with the largest weights, or random.

    One digit: pixels of the places, replaced by the picture's mean colour; map number `chosen` ranks them.
        "features" ranks the places by the length of their features before the block.
    Context gating: channels behind the block, set to zero, for gates of channels; "smallest" takes the least ones.
    None where the mechanism ranks neither.
    """
    if task == "one-digit":
        return _delete_places(net, scenes, chosen)
    return _delete_channels(net, scenes) if task == "context-gating" else None


def _delete_places(net: nn.Module, scenes: Scenes, chosen: int) -> dict[str, float] | None:
    generator = torch.Generator().manual_seed(0)
    right: dict[str, list[Tensor]] = {}
    for images, part in _parts(scenes):
        maps = place_maps(weights_of(net, images), net.grid)
        if maps is None:
            return None
        with torch.no_grad():
            length = net.stem(images).norm(dim=1)
        ranks = {"largest": [maps[:, chosen]], "features": [length],
                 "random": [torch.rand(length.shape, generator=generator) for _ in range(DRAWS)]}
        for name, orders in ranks.items():
            for order in orders:
                answers = _answers(net, _without_places(images, order))
                right.setdefault(name, []).append(answers == part.answer)
    return {name: torch.cat(parts).float().mean().item() for name, parts in right.items()}


def _without_places(images: Tensor, order: Tensor) -> Tensor:
    """The pictures with the first tenth of their places, by `order` (n, h, w), in the picture's mean colour."""
    gone = _largest(order.flatten(1)).unflatten(1, order.shape[1:]).float()[:, None]
    gone = F.interpolate(gone, scale_factor=CELL, mode="nearest")
    return torch.lerp(images, images.mean((2, 3), keepdim=True), gone)


def _delete_channels(net: nn.Module, scenes: Scenes) -> dict[str, float] | None:
    generator = torch.Generator().manual_seed(0)
    right: dict[str, list[Tensor]] = {}
    for images, part in _parts(scenes):
        gates = picture_weights(weights_of(net, images))
        if gates is None or gates.shape[1] != net.width:          # only one number a channel ranks the channels
            return None
        ranks = {"largest": [gates], "smallest": [-gates],
                 "random": [torch.rand(gates.shape, generator=generator) for _ in range(DRAWS)]}
        for name, orders in ranks.items():
            for order in orders:
                kept = (~_largest(order)).float()[:, :, None, None]
                handle = net.block.register_forward_hook(lambda block, x, y, kept=kept: y * kept)
                right.setdefault(name, []).append(_answers(net, images) == part.answer)
                handle.remove()
    return {name: torch.cat(parts).float().mean().item() for name, parts in right.items()}


def _largest(order: Tensor) -> Tensor:
    """Which tenth of each row of (n, D) is largest: bool (n, D)."""
    count = max(1, round(DELETED * order.shape[1]))
    return torch.zeros_like(order, dtype=torch.bool).scatter(1, order.topk(count, dim=1).indices, True)


@torch.no_grad()
def _answers(net: nn.Module, images: Tensor) -> Tensor:
    return net(images).argmax(1)


def _parts(scenes: Scenes) -> Iterator[tuple[Tensor, Scenes]]:
    """The pictures and scenes, CHUNK at a time."""
    for start in range(0, len(scenes), CHUNK):
        part = scenes[start:start + CHUNK]
        yield pictures(part), part
