"""What is measured: every block at the shapes of the article and of the stages of a ResNet."""

import os
import shutil
from collections.abc import Callable
from dataclasses import dataclass

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
from benchmarks.others import PACKAGES, other
from benchmarks.plain import Plain

CONTESTANTS = ("ours", "plain", "compiled", "torch", *PACKAGES)
MODES = ("forward", "step")
ARTICLE = "article"
# Batch, channels, height = width. EMSA's map in the article is 8 × 8.
SHAPES = {ARTICLE: (50, 512, 7)} | {
    f"{side}×{side}, batch {batch}": (batch, channel, side)
    for channel, side in ((64, 56), (128, 28), (256, 14)) for batch in (1, 32)}
SMALLEST = "14×14, batch 1"


@dataclass(frozen=True)
class Block:
    """A block as the article constructs it, and for a stage of C channels."""

    article: Callable[[], nn.Module]
    stage: Callable[[int], nn.Module] | None = None           # None: at the article's shape only
    tokens: bool = False                                      # whether the input is (B, N, C), not (B, C, H, W)
    side: int = 7                                             # of the article's map


# Self-attention has 64 features a head; EMSA has 32, so that at 64 channels there are two heads to mix.
BLOCKS = {
    "SEAttention": Block(lambda: SEAttention(512, 8), SEAttention),
    "ECAAttention": Block(lambda: ECAAttention(kernel_size=3), ECAAttention),
    "CBAMBlock": Block(lambda: CBAMBlock(512, 16, 7), CBAMBlock),
    "BAMBlock": Block(lambda: BAMBlock(512, 16, 2), BAMBlock),
    "SKAttention": Block(lambda: SKAttention(512, 8), SKAttention),
    "PSA": Block(lambda: PSA(512, 8), PSA),
    "ScaledDotProductAttention": Block(lambda: ScaledDotProductAttention(512, 512, 512, 8),
                                       lambda c: ScaledDotProductAttention(c, h=c // 64), tokens=True),
    "ScaledDotProductAttention, d_k = 64": Block(ScaledDotProductAttention, tokens=True),
    "PositionAttentionModule": Block(lambda: PositionAttentionModule(512), PositionAttentionModule),
    "ChannelAttentionModule": Block(ChannelAttentionModule, lambda c: ChannelAttentionModule()),
    "DAModule": Block(lambda: DAModule(512, 3, 7, 7), DAModule),
    "EMSA": Block(lambda: EMSA(512, 512, 512, 8, 8, 8, ratio=2), lambda c: EMSA(c, h=c // 32, ratio=2),
                  tokens=True, side=8),
    "EMSA without transform": Block(lambda: EMSA(512, 512, 512, 8, 8, 8, ratio=2, apply_transform=False),
                                    lambda c: EMSA(c, h=c // 32, ratio=2, apply_transform=False),
                                    tokens=True, side=8),
    "CoordinateAttention": Block(lambda: CoordinateAttention(512), CoordinateAttention),
    "GlobalContextBlock": Block(GlobalContextBlock, GlobalContextBlock),
    "SimAM": Block(SimAM, lambda c: SimAM()),
    "ExternalAttention": Block(lambda: ExternalAttention(512, 8), ExternalAttention, tokens=True),
}


def cells(blocks: list[str], shapes: list[str]) -> list[tuple[str, str, str]]:
    """Every (block, shape, mode) to measure."""
    return [(block, shape, mode) for block in blocks for shape in shapes for mode in MODES
            if shape == ARTICLE or BLOCKS[block].stage]


def build(name: str, shape: str) -> tuple[nn.Module, Tensor]:
    """The block with random weights, and a random input for it."""
    torch.manual_seed(0)
    block, (batch, channel, side) = BLOCKS[name], SHAPES[shape]
    if shape == ARTICLE:
        module, side = block.article(), block.side
    else:
        module = block.stage(channel)
    for p in module.parameters():
        if p.dim() == 0:                      # alpha and beta start at 0, where nothing that is read would show
            torch.nn.init.constant_(p, 0.5)
    size = (batch, side * side, channel) if block.tokens else (batch, channel, side, side)
    return module, torch.randn(size)


def map_bytes(module: nn.Module, x: Tensor) -> int:
    """Bytes of one attention map over all places, as the plain form stores it; 0 where there is none."""
    batch, n = len(x), x.shape[1] if x.dim() == 3 else x.shape[2] * x.shape[3]
    if isinstance(module, (ScaledDotProductAttention, EMSA)):
        return 4 * batch * module.h * n * n // getattr(module, "ratio", 1) ** 2
    return 4 * batch * n * n if isinstance(module, (PositionAttentionModule, DAModule)) else 0


class TorchAttention(nn.Module):
    """nn.MultiheadAttention with a block's weights, where the block has its sizes (d_k = d_v = d_model / h)."""

    def __init__(self, block: ScaledDotProductAttention) -> None:
        super().__init__()
        self.mha = nn.MultiheadAttention(block.d_model, block.h, bias=False, batch_first=True)
        self.mha = self.mha.to(block.W_Q.weight)
        with torch.no_grad():
            self.mha.in_proj_weight.copy_(torch.cat([block.W_Q.weight, block.W_K.weight, block.W_V.weight]))
            self.mha.out_proj.weight.copy_(block.W_O.weight)

    def forward(self, x: Tensor) -> Tensor:
        return self.mha(x, x, x, need_weights=False)[0]


def contestant(name: str, block: nn.Module, x: Tensor) -> nn.Module | str:
    """A module that takes `x` as `block` does, or a sentence that says why there is none."""
    if name in PACKAGES:
        return other(name, block, x)
    if name == "plain":
        return Plain(block)
    if name == "compiled":
        return torch.compile(block, fullgraph=True, dynamic=False) if compiler() else "no C++ compiler on this machine"
    if name == "torch":
        if not isinstance(block, ScaledDotProductAttention):
            return "torch has no such module"
        if {block.d_k, block.d_v} != {block.d_model // block.h}:
            return "nn.MultiheadAttention has d_k = d_model / h only"
        return TorchAttention(block)
    return block


def compiler() -> str | None:
    """The C++ compiler that torch.compile would use."""
    return shutil.which(os.environ.get("CXX", "g++")) or shutil.which("clang++")
