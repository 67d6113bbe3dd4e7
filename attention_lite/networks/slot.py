"""What may stand in the slot of a small network: the ten mechanisms, each as its paper places it, and two controls."""

from collections.abc import Callable

import torch
from torch import Tensor, nn

from attention_lite.bam import BAMBlock
from attention_lite.block import AttentionBlock
from attention_lite.cbam import CBAMBlock
from attention_lite.danet import DAModule
from attention_lite.eca import ECAAttention
from attention_lite.emsa import EMSA
from attention_lite.external import ExternalAttention
from attention_lite.networks.layers import conv_bn_relu
from attention_lite.psa import PSA
from attention_lite.se import SEAttention
from attention_lite.self_attention import ScaledDotProductAttention
from attention_lite.sk import SKAttention

HEADS, WIDTH = 4, 16      # of self-attention and EMSA; WIDTH is that of one head


class TokenMixer(nn.Module):
    """A block of tokens on the places of a feature map, with layer norm before and the input added after.

    x + block(LN(x)), where the places become tokens: (B, C, H, W) -> (B, H·W, C) and back. The block's W_O starts at
    zero, so that all starts as the identity and the convolutions learn first. Where the block has queries and keys,
    they start equal, so that the first maps are plain self-similarity.

    Args:
        channel: C.
        block: a block of tokens (B, N, C) with a last projection W_O.
    """

    def __init__(self, channel: int, block: AttentionBlock) -> None:
        super().__init__()
        self.norm = nn.LayerNorm(channel)
        self.block = block
        with torch.no_grad():
            if hasattr(block, "W_K"):
                block.W_K.weight.copy_(block.W_Q.weight)
            block.W_O.weight.zero_()

    def forward(self, x: Tensor) -> Tensor:
        """(B, C, H, W) -> (B, C, H, W)."""
        tokens = self.norm(x.flatten(2).transpose(1, 2))
        return x + self.block(tokens).transpose(1, 2).unflatten(2, x.shape[2:])


class Skip(nn.Module):
    """x + layer(x): the skip of the residual block in which a paper places its layer."""

    def __init__(self, layer: nn.Module) -> None:
        super().__init__()
        self.layer = layer

    def forward(self, x: Tensor) -> Tensor:
        """(B, C, H, W) -> (B, C, H, W)."""
        return x + self.layer(x)


class LocalMixer(nn.Module):
    """Control for whatever mixes places: a residual 3×3 convolution that sees neighbours only.

    It starts as the identity, as TokenMixer does: its last batch norm starts at zero.
    """

    def __init__(self, channel: int, hidden: int) -> None:
        super().__init__()
        self.mix = nn.Sequential(conv_bn_relu(channel, hidden, 1), conv_bn_relu(hidden, hidden),
                                 nn.Conv2d(hidden, channel, 1, bias=False), nn.BatchNorm2d(channel))
        nn.init.zeros_(self.mix[-1].weight)

    def forward(self, x: Tensor) -> Tensor:
        """(B, C, H, W) -> (B, C, H, W)."""
        return torch.relu(x + self.mix(x))


def emsa(channel: int, ratio: int = 2, apply_transform: bool = True) -> TokenMixer:
    """EMSA, with the heads of self-attention, in its TokenMixer."""
    return TokenMixer(channel, EMSA(channel, WIDTH, WIDTH, HEADS, ratio=ratio, apply_transform=apply_transform))


def slot_blocks(channel: int) -> dict[str, Callable[[], nn.Module]]:
    """How to build each mechanism for a slot of `channel` channels, by the name of its model, and the two controls.

    SE, ECA and CBAM multiply what passes, BAM multiplies and adds it, SK and PSA have a Skip, DANet stands with 1 × 1
    convolutions around its branches, and the blocks of tokens stand in a TokenMixer. "none" is the identity;
    "conv" is a LocalMixer of about as many parameters as self-attention.
    """
    c = channel
    return {
        "none": nn.Identity,
        "conv": lambda: LocalMixer(c, hidden=32),
        "se": lambda: SEAttention(c, reduction=4),
        "eca": lambda: ECAAttention(c),
        "cbam": lambda: CBAMBlock(c, reduction=4),
        "bam": lambda: BAMBlock(c, reduction=4),
        "sk": lambda: Skip(SKAttention(c, reduction=2, group=4, L=16)),
        "psa": lambda: Skip(nn.Sequential(PSA(c, reduction=2, groups=(2, 4, 6, 12)), nn.BatchNorm2d(c), nn.ReLU())),
        "self-attention": lambda: TokenMixer(c, ScaledDotProductAttention(c, WIDTH, WIDTH, HEADS)),
        "danet": lambda: DAModule(c, kernel_size=1),
        "emsa": lambda: emsa(c),
        "external": lambda: TokenMixer(c, ExternalAttention(c, S=32, h=HEADS)),
    }
