"""The vision transformer as the pages run it on a reader's own photograph: weights of 8 bits for a kernel in C.

`explorers/transformer_kernel.c` says how they are laid out; what is linear beside a matrix is folded into it.
"""

import copy
from collections.abc import Iterator

import torch
from torch import Tensor, nn

from attention_lite.lab.truth import GRID
from attention_lite.networks.vision_transformer import TransformerLayer, VisionTransformer

LANES = 8                            # columns of a panel
GROUP, PIXEL_GROUP = 64, 49          # rows that share a scale: of a layer's matrices, of that of the patches
TOP = 127


def pack(net: VisionTransformer) -> bytes:
    """Return the weights of a transformer of the default size as the kernel's `Network`.

    Raises:
        ValueError: if a weight is too large for 16 bits, as none of a network in use is.
    """
    parts = []
    for name, matrix, bias in folded(net):
        codes, scales = in_8_bits(matrix, _group(name))
        parts += [_panels(codes), _panels(scales), bias]
    return places(net) + b"".join(_bytes(part) for part in (*parts, net.norm.weight, net.norm.bias))


@torch.no_grad()
def places(net: VisionTransformer) -> bytes:
    """Its beginning: what each token has of its own. The kernel draws the rest where nothing was trained."""
    return _bytes(_places(net))


def _places(net: VisionTransformer) -> Tensor:
    positions = net.resized_positions(GRID, GRID)[0]
    return torch.cat([positions[:1] + net.class_token[0], positions[1:]])


def as_packed(net: VisionTransformer) -> VisionTransformer:
    """The same network as its packed weights have it, for torch: what the kernel computes, but for its sums' order."""
    packed = copy.deepcopy(net).requires_grad_(False)
    stored = {name: (_from_8_bits(matrix, name), bias.half().float()) for name, matrix, bias in folded(net)}
    _fill(packed.patches, *stored["patches"])
    nn.init.zeros_(packed.class_token)
    packed.positions = nn.Parameter(_places(net).half().float()[None], requires_grad=False)
    for i, layer in enumerate(packed.layers):
        attention, (up, _, down) = layer.attention, layer.mlp
        for scale in (layer.norm1.weight, layer.norm2.weight, layer.scale1, layer.scale2):
            nn.init.ones_(scale)
        for shift in (layer.norm1.bias, layer.norm2.bias):
            nn.init.zeros_(shift)
        matrix, bias = stored[f"layers.{i}.qkv"]
        parts = zip(matrix.chunk(3, 1), bias.chunk(3), (attention.W_Q, attention.W_K, attention.W_V), strict=True)
        for matrix, bias, linear in parts:
            factor = (attention.d_model // attention.h) ** 0.5 if linear is attention.W_Q else 1
            _fill(linear, matrix * factor, bias * factor)
        for name, linear in (("out", attention.W_O), ("up", up), ("down", down)):
            _fill(linear, *stored[f"layers.{i}.{name}"])
    return packed


def _from_8_bits(matrix: Tensor, name: str) -> Tensor:
    codes, scales = in_8_bits(matrix, _group(name))
    return codes * scales.float().repeat_interleave(_group(name), 0)


def _group(name: str) -> int:
    return PIXEL_GROUP if name == "patches" else GROUP


def _fill(linear: nn.Module, matrix: Tensor, bias: Tensor) -> None:
    linear.weight.copy_(matrix.T.reshape(linear.weight.shape))
    linear.bias.copy_(bias)


def folded(net: VisionTransformer) -> Iterator[tuple[str, Tensor, Tensor]]:
    """The matrices in the kernel's order: (name, (in, out), biases (out,)).

    They hold what else a layer learned: LayerNorm's scale and shift stand in the matrix after it, layer scale in the
    one before it, and 1/√d of the scores in the queries'.
    """
    yield "patches", net.patches.weight.detach().flatten(1).T, net.patches.bias.detach()
    for i, layer in enumerate(net.layers):
        for name, matrix, bias in _layer(layer):
            yield f"layers.{i}.{name}", matrix, bias


@torch.no_grad()
def _layer(layer: TransformerLayer) -> Iterator[tuple[str, Tensor, Tensor]]:
    attention, (up, _, down) = layer.attention, layer.mlp
    parts = [_after(layer.norm1, linear) for linear in (attention.W_Q, attention.W_K, attention.W_V)]
    d = attention.d_model // attention.h
    parts[0] = tuple(part / d ** 0.5 for part in parts[0])
    yield "qkv", torch.cat([matrix for matrix, _ in parts], 1), torch.cat([bias for _, bias in parts])
    yield "out", attention.W_O.weight.T * layer.scale1, attention.W_O.bias * layer.scale1
    yield "up", *_after(layer.norm2, up)
    yield "down", down.weight.T * layer.scale2, down.bias * layer.scale2


def _after(norm: nn.LayerNorm, linear: nn.Linear) -> tuple[Tensor, Tensor]:
    """A matrix (in, out) and its bias that make of normalised tokens what norm and linear layer make of them."""
    return linear.weight.T * norm.weight[:, None], linear.bias + linear.weight @ norm.bias


def in_8_bits(matrix: Tensor, group: int) -> tuple[Tensor, Tensor]:
    """Codes (in, out) from −127 to 127, and scales (in / group, out) of 16 bits: matrix = codes · its group's scale."""
    rows = matrix.unflatten(0, (-1, group))
    scales = (rows.abs().amax(1) / TOP).clamp(min=2 ** -24).half()
    codes = (rows / scales.float()[:, None]).round().clamp(-TOP, TOP)
    return codes.flatten(0, 1).to(torch.int8), scales


def _panels(matrix: Tensor) -> Tensor:
    """(rows, columns) -> (columns / 8, rows, 8)."""
    return matrix.unflatten(1, (-1, LANES)).transpose(0, 1)


def _bytes(part: Tensor) -> bytes:
    part = part.detach() if part.dtype == torch.int8 else part.detach().half()
    if not part.float().isfinite().all():
        raise ValueError("weights must be finite and below 65,504, as 16 bits hold them")
    return part.contiguous().numpy().tobytes()
