"""What the maps of a vision transformer are like, and what the network loses without the patches they point at.

Maps are those of `truth.network_maps`, (…, 1 + N, 1 + N) for N = side² patches in reading order: a row a query, and
place 0 is the class token.
"""

import math
from collections.abc import Collection, Mapping

import torch
from torch import Tensor, nn

from attention_lite.lab import patches
from attention_lite.lab.truth import SIDE
from attention_lite.networks.vision_transformer import VisionTransformer
from attention_lite.self_attention import ScaledDotProductAttention

NEIGHBOURS: dict[str, tuple[int, int]] = {"above": (-1, 0), "below": (1, 0), "left": (0, -1), "right": (0, 1)}


# What the maps are like


def among_patches(maps: Tensor) -> Tensor:
    """The weights of patches on patches, divided by their sum: (…, 1 + N, 1 + N) -> (…, N, N).

    Raises:
        ValueError: if the last two axes are not 1 + a square.
    """
    _side(maps)
    weights = maps[..., 1:, 1:]
    return weights / weights.sum(-1, keepdim=True)


def mean_distance(maps: Tensor) -> Tensor:
    """How far patches look on average, in patches: (…, 1 + N, 1 + N) -> (…); the class token is left out."""
    lines = torch.arange(float(_side(maps)))
    centres = torch.cartesian_prod(lines, lines)
    return (among_patches(maps) * torch.cdist(centres, centres)).sum(-1).mean(-1)


def neighbour_weight(maps: Tensor, step: tuple[int, int]) -> Tensor:
    """The weight on the patch that lies `step` (rows, columns) away, mean of all that have one: -> (…)."""
    side, (down, right) = _side(maps), step
    row, column = torch.meshgrid(torch.arange(side), torch.arange(side), indexing="ij")
    inside = (row + down >= 0) & (row + down < side) & (column + right >= 0) & (column + right < side)
    query = (1 + row * side + column)[inside]
    return maps[..., query, query + down * side + right].mean(-1)


def named_for_neighbours(
    maps: Mapping[str, Tensor], photographs: Collection[str]
) -> dict[str, tuple[int, int, Tensor]]:
    """The head with most weight on each neighbour, named on some photographs and asked on the others.

    Args:
        maps: photograph -> (layers, heads, 1 + N, 1 + N).
        photographs: those that name.

    Returns a neighbour -> layer, head, and this head's weight on the neighbour on each of the other photographs.
    """
    names = torch.tensor([name in photographs for name in maps])
    found = {}
    for neighbour, step in NEIGHBOURS.items():
        weights = torch.stack([neighbour_weight(m, step) for m in maps.values()])            # (photographs, L, h)
        layer, head = divmod(int(weights[names].mean(0).argmax()), weights.shape[2])
        found[neighbour] = layer, head, weights[~names, layer, head]
    return found


def rollout(maps: Tensor) -> Tensor:
    """Attention rollout of Abnar and Zuidema (2020): (layers, heads, N, N) -> (N, N), each row sums to one.

    The product of (mean over heads + identity) / 2 over the layers: what reaches each token if attention mixed
    tokens as they are, with residual connections that count as much, and nothing else happened.
    """
    flow = torch.eye(maps.shape[-1])
    for layer in maps.mean(1):
        flow = (layer + torch.eye(len(layer))) / 2 @ flow
    return flow


def _side(maps: Tensor) -> int:
    side = math.isqrt(max(maps.shape[-1] - 1, 0))
    if maps.dim() < 2 or maps.shape[-1] != maps.shape[-2] or side < 1 or side ** 2 + 1 != maps.shape[-1]:
        raise ValueError(f"maps must have shape (…, 1 + side², 1 + side²), got {tuple(maps.shape)}")
    return side


# What the network does


def image(photograph: str) -> Tensor:
    """A photograph's middle square as the network takes it: (1, 3, 224, 224)."""
    return patches.window(photograph, (SIDE, SIDE)).permute(2, 0, 1)[None]


@torch.no_grad()
def heads_of(net: VisionTransformer, x: Tensor, layer: int) -> tuple[Tensor, Tensor, Tensor]:
    """Queries, keys and values of one layer on one photograph (1, 3, H, W), each (heads, 1 + N, d_k)."""
    tokens, block = net.embed(x), net.layers[layer].attention
    for earlier in net.layers[:layer]:
        tokens = earlier(tokens)
    tokens = net.layers[layer].norm1(tokens)
    return tuple(W(tokens)[0].unflatten(-1, (block.h, -1)).transpose(0, 1) for W in (block.W_Q, block.W_K, block.W_V))


@torch.no_grad()
def change_without(net: VisionTransformer, x: Tensor, orders: Tensor, counts: tuple[int, ...]) -> Tensor:
    """How far the class token moves when patches are taken away, 1 − cosine: (K, len(counts)).

    The tokens of the first patches of each of the K `orders`, (K, N), are left out before the first layer. Nothing is
    painted over.
    """
    tokens = net.embed(x)[0]

    def class_tokens(kept: Tensor) -> Tensor:
        left = torch.cat([tokens[:1].expand(len(kept), 1, -1), tokens[1 + kept]], 1)
        for layer in net.layers:
            left = layer(left)
        return net.norm(left[:, 0])

    whole = class_tokens(orders[:1])
    return torch.stack([1 - torch.cosine_similarity(class_tokens(orders[:, n:]), whole) for n in counts], 1)


@torch.no_grad()
def as_torchs_own(block: ScaledDotProductAttention) -> nn.MultiheadAttention:
    """torch's own module with the weights of a block that has biases, in eval mode."""
    own = nn.MultiheadAttention(block.d_model, block.h, batch_first=True).eval()
    own.in_proj_weight.copy_(torch.cat([block.W_Q.weight, block.W_K.weight, block.W_V.weight]))
    own.in_proj_bias.copy_(torch.cat([block.W_Q.bias, block.W_K.bias, block.W_V.bias]))
    own.out_proj.load_state_dict(block.W_O.state_dict())
    return own


def rankings(own: Tensor, other: Tensor, seed: int) -> dict[str, Tensor]:
    """What might say which patches matter to the class token, (N,) each: the larger, the more.

    `own` are a photograph's maps, `other` those of another photograph, both (layers, heads, 1 + N, 1 + N).
    """
    side = _side(own)
    lines = torch.arange(side) - (side - 1) / 2
    generator = torch.Generator().manual_seed(seed)
    return {
        "its map, last layer": own[-1].mean(0)[0, 1:],
        "its maps, all layers": own.mean((0, 1))[0, 1:],
        "rollout": rollout(own)[0, 1:],
        "the middle": -torch.cartesian_prod(lines, lines).norm(dim=1),
        "another photograph's map": other[-1].mean(0)[0, 1:],
        "random": torch.rand(side ** 2, generator=generator),
    }
