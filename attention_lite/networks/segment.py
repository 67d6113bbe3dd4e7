"""Paint a digit that another place points out: the network of cued segmentation, and DANet's branches alone."""

import torch
from torch import Tensor, nn

from attention_lite.danet import ChannelAttentionModule, DAModule, PositionAttentionModule
from attention_lite.networks.layers import build, conv_bn_relu
from attention_lite.networks.slot import LocalMixer


class SegmentNet(nn.Module):
    """Paint a digit that another place in the picture points out: the network of the task cued segmentation.

    (B, 3, 48, 48) -> 16 channels, stride 2 -> 32, stride 2 -> 48 on 12 × 12 places -> `block` -> 48 -> 8 on 48 × 48
    pixels, joined with the picture -> 16 -> one logit a pixel. What stands behind the block sees too little of the
    picture to know which digit is meant: the block has to say it.
    """

    width = 48
    grid = (12, 12)      # places that the block sees, for 48 × 48 pixels

    def __init__(self, block: nn.Module) -> None:
        super().__init__()
        self.stem = nn.Sequential(conv_bn_relu(3, 16, 5, 2), conv_bn_relu(16, 32, 3, 2), conv_bn_relu(32, self.width))
        self.block = block
        self.tail = conv_bn_relu(self.width, self.width)
        self.enlarge = nn.Sequential(nn.Conv2d(self.width, 8 * 16, 1), nn.PixelShuffle(4))
        self.head = nn.Sequential(conv_bn_relu(8 + 3, 16), nn.Conv2d(16, 1, 1))

    def forward(self, x: Tensor) -> Tensor:
        """The logit of each pixel: (B, 3, H, W) -> (B, H, W)."""
        coarse = self.enlarge(self.tail(self.block(self.stem(x))))            # (B, 8, H, W)
        return self.head(torch.cat([coarse, x], 1))[:, 0]


def segment_net(model: str) -> SegmentNet:
    """SegmentNet with the block called `model`: "danet" or a part or control of it.

    "danet-position" and "danet-channel" have one branch, "danet-channel-published" the channel branch with the sign
    of the authors' code; "none" is a branch with nothing between its two convolutions, "conv" one with a LocalMixer,
    and about as many parameters as "danet". All convolutions of the branches are 1 × 1: but for "conv", only the
    attention lets places look at each other.

    Raises:
        ValueError: for any other name.
    """
    c = SegmentNet.width

    def branch(middle: nn.Module) -> nn.Sequential:
        return nn.Sequential(conv_bn_relu(c, c, 1), middle, conv_bn_relu(c, c, 1))

    return SegmentNet(build(model, {
        "danet": lambda: DAModule(c, kernel_size=1),
        "danet-position": lambda: branch(PositionAttentionModule(c)),
        "danet-channel": lambda: branch(ChannelAttentionModule()),
        "danet-channel-published": lambda: branch(ChannelAttentionModule(published=True)),
        "none": lambda: branch(nn.Identity()), "conv": lambda: branch(LocalMixer(c, hidden=31))}))
