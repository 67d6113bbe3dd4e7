"""Each mechanism as one writes it on the board: whole tensors, every map in full, no fused kernel, no checks.

Each function takes a block, for its weights, and the block's input. tests/test_benchmarks.py shows that it computes
what the block computes.
"""

import math

import torch
from torch import Tensor, nn

from attention_lite import (
    EMSA,
    PSA,
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
)


class Plain(nn.Module):
    """A plain form as a module: called as a block is called, with the block's own weights."""

    def __init__(self, block: nn.Module) -> None:
        super().__init__()
        self.block, self.form = block, FORMS[type(block)]

    def forward(self, x: Tensor) -> Tensor:
        return self.form(self.block, x)


def se(block: SEAttention, x: Tensor) -> Tensor:
    z = x.mean(dim=(2, 3))
    s = torch.sigmoid(block.W2(torch.relu(block.W1(z))))
    return x * s[:, :, None, None]


def eca(block: ECAAttention, x: Tensor) -> Tensor:
    z = x.mean(dim=(2, 3))
    s = torch.sigmoid(block.conv(z[:, None]))[:, 0]
    return x * s[:, :, None, None]


def cbam(block: CBAMBlock, x: Tensor) -> Tensor:
    def mlp(pooled: Tensor) -> Tensor:
        return block.W1(torch.relu(block.W0(pooled)))

    M_c = torch.sigmoid(mlp(x.mean(dim=(2, 3))) + mlp(x.amax(dim=(2, 3))))
    x = x * M_c[:, :, None, None]
    M_s = torch.sigmoid(block.conv(torch.cat([x.mean(1, keepdim=True), x.amax(1, keepdim=True)], dim=1)))
    return x * M_s


def bam(block: BAMBlock, x: Tensor) -> Tensor:
    M_c = block.channel_branch(x.mean(dim=(2, 3)))[:, :, None, None]
    M_s = block.spatial_branch(x)
    return x + x * torch.sigmoid(M_c + M_s)


def coordinate(block: CoordinateAttention, x: Tensor) -> Tensor:
    rows, columns = x.mean(dim=3, keepdim=True), x.mean(dim=2, keepdim=True).mT                # (B, C, H or W, 1)
    z = torch.cat([rows, columns], dim=2)[..., 0]
    f = nn.functional.hardswish(block.norm(block.F1(z)))
    f_h, f_w = f.split([x.shape[2], x.shape[3]], dim=2)
    return x * torch.sigmoid(block.F_h(f_h))[..., None] * torch.sigmoid(block.F_w(f_w))[:, :, None]


def sk(block: SKAttention, x: Tensor) -> Tensor:
    U = torch.stack([branch(x) for branch in block.branches], dim=1)               # (B, M, C, H, W)
    s = U.sum(dim=1).mean(dim=(2, 3))
    a = block.select(block.compact(s)).unflatten(1, (U.shape[1], -1)).softmax(dim=1)
    return (U * a[..., None, None]).sum(dim=1)


def psa(block: PSA, x: Tensor) -> Tensor:
    F = [conv(x) for conv in block.convs]
    Z = torch.stack([weight(f) for weight, f in zip(block.weights, F, strict=True)], dim=1)
    att = Z.softmax(dim=1)[..., None, None]                                        # (B, S, C/S, 1, 1)
    return (torch.stack(F, dim=1) * att).flatten(1, 2)


def self_attention(block: ScaledDotProductAttention, x: Tensor) -> Tensor:
    Q, K, V = (_heads(W(x), block.h) for W in (block.W_Q, block.W_K, block.W_V))
    A = (Q @ K.transpose(-2, -1) / math.sqrt(Q.shape[-1])).softmax(dim=-1)         # (B, h, N, N)
    return block.W_O(_concatenated(A @ V))


def position(block: PositionAttentionModule, x: Tensor) -> Tensor:
    A = x.flatten(2).transpose(1, 2)                                               # (B, N, C)
    S = (block.C(A) @ block.B(A).transpose(1, 2)).softmax(dim=-1)                  # (B, N, N)
    return block.alpha * (S @ block.D(A)).transpose(1, 2).reshape(x.shape) + x


def channel(block: ChannelAttentionModule, x: Tensor) -> Tensor:
    A = x.flatten(2)                                                               # (B, C, N)
    X = (A @ A.transpose(1, 2)).softmax(dim=-1)                                    # (B, C, C)
    return block.beta * (X @ A).view_as(x) + x


def dual(block: DAModule, x: Tensor) -> Tensor:
    by_position = position(block.position, block.before_position(x))
    by_channel = channel(block.channel, block.before_channel(x))
    return block.after_position(by_position) + block.after_channel(by_channel)


def emsa(block: EMSA, x: Tensor) -> Tensor:
    reduced = x
    if block.ratio > 1:
        side = math.isqrt(x.shape[1])
        map_ = x.transpose(1, 2).unflatten(2, (side, side))
        reduced = block.norm(block.shrink(map_).flatten(2).transpose(1, 2))
    Q, K, V = (_heads(W(t), block.h) for W, t in ((block.W_Q, x), (block.W_K, reduced), (block.W_V, reduced)))
    scores = Q @ K.transpose(-2, -1) / math.sqrt(Q.shape[-1])                      # (B, h, N, N / s²)
    if block.mix is None:
        A = scores.softmax(dim=-1)
    else:
        A = block.mix(scores).softmax(dim=-1)
        A = (A - A.mean((2, 3), keepdim=True)) / (A.var((2, 3), correction=0, keepdim=True) + 1e-5).sqrt()
    return block.W_O(_concatenated(A @ V))


def global_context(block: GlobalContextBlock, x: Tensor) -> Tensor:
    places = x.flatten(2)                                                          # (B, C, N)
    a = block.W_k(x).flatten(2).softmax(dim=-1)                                    # (B, 1, N)
    context = (places @ a.transpose(1, 2))[..., 0]
    return x + block.W_v2(torch.relu(block.norm(block.W_v1(context))))[:, :, None, None]


def simam(block: SimAM, x: Tensor) -> Tensor:
    d = (x - x.mean(dim=(2, 3), keepdim=True)) ** 2
    return x * torch.sigmoid(d / (4 * (d.mean(dim=(2, 3), keepdim=True) + block.lam)) + 0.5)


def external(block: ExternalAttention, x: Tensor) -> Tensor:
    heads = _heads(x, block.h)
    A = block.M_k(heads).softmax(dim=2)                                            # over the tokens
    A = A / A.sum(dim=3, keepdim=True)                                             # over the slots
    return block.W_O(_concatenated(block.M_v(A)))


def _heads(x: Tensor, h: int) -> Tensor:
    """(B, N, h·d) -> (B, h, N, d)."""
    return x.unflatten(-1, (h, -1)).transpose(1, 2)


def _concatenated(heads: Tensor) -> Tensor:
    """(B, h, N, d) -> (B, N, h·d)."""
    return heads.transpose(1, 2).flatten(2)


FORMS = {SEAttention: se, ECAAttention: eca, CBAMBlock: cbam, BAMBlock: bam, CoordinateAttention: coordinate,
         SKAttention: sk, PSA: psa, ScaledDotProductAttention: self_attention, PositionAttentionModule: position,
         ChannelAttentionModule: channel, DAModule: dual, EMSA: emsa, ExternalAttention: external,
         GlobalContextBlock: global_context, SimAM: simam}
