"""A detector of text in photographs: a small convolutional network with thirteen squeeze-and-excitation blocks."""

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from attention_lite import checks
from attention_lite.networks.layers import Normalise
from attention_lite.se import SEAttention


def steep_sigmoid(x: Tensor) -> Tensor:
    """The hard sigmoid with slope 1/5, min(max(x / 5 + 1/2, 0), 1); F.hardsigmoid's is 1/6."""
    return (x / 5 + 0.5).clamp(0, 1)


class MixerBlock(nn.Module):
    """Neighbours first, channel by channel, then channels, place by place; SE, where there is one, between the two."""

    def __init__(self, c_in: int, c_out: int, stride: int = 1, gated: bool = False) -> None:
        super().__init__()
        self.neighbours = nn.Conv2d(c_in, c_in, 3, stride, padding=1, groups=c_in)
        self.se = SEAttention(c_in, 4, bias=True, sigmoid=F.hardsigmoid) if gated else nn.Identity()
        self.channels = nn.Sequential(nn.Conv2d(c_in, 2 * c_in, 1), nn.GELU(), nn.Conv2d(2 * c_in, c_out, 1))
        self.residual = c_in == c_out and stride == 1

    def forward(self, x: Tensor) -> Tensor:
        """(B, c_in, H, W) -> (B, c_out, H / stride, W / stride)."""
        x = self.se(self.neighbours(x))
        return x + self.channels(x) if self.residual else self.channels(x)


class GatedConv(nn.Module):
    """x + SE(x), x being a convolution of the input: gates of 0 to 1 multiply it by 1 to 2."""

    def __init__(self, conv: nn.Module, channel: int) -> None:
        super().__init__()
        self.conv = conv
        self.se = SEAttention(channel, 4, bias=True, sigmoid=steep_sigmoid)

    def forward(self, x: Tensor) -> Tensor:
        """(B, C, H, W) -> (B, channel, H, W)."""
        x = self.conv(x)
        return x + self.se(x)


class Stem(nn.Module):
    """A quarter of the height and width: what two small convolutions make of the first, beside its maxima."""

    def __init__(self, middle: int, out: int) -> None:
        super().__init__()
        self.first = nn.Conv2d(3, middle, 3, stride=2, padding=1)
        self.small1 = nn.Conv2d(middle, middle // 2, 2)
        self.small2 = nn.Conv2d(middle // 2, middle, 2)
        self.third = nn.Conv2d(2 * middle, middle, 3, stride=2, padding=1)
        self.last = nn.Conv2d(middle, out, 1)

    def forward(self, x: Tensor) -> Tensor:
        """(B, 3, H, W) -> (B, out, H / 4, W / 4)."""
        x = torch.relu(self.first(x))
        small = torch.relu(self.small1(_one_more(x)))
        small = torch.relu(self.small2(_one_more(small)))
        x = torch.cat([F.max_pool2d(_one_more(x), 2, stride=1), small], 1)
        return torch.relu(self.last(torch.relu(self.third(x))))


class TextDetector(nn.Module):
    """The probability that a pixel belongs to text, after the DB detector of Liao et al. (2020).

    PP-OCRv6's small detection network as its file has it, in which the parallel branches and batch norms of training
    are merged into single convolutions. Five SE blocks stand in the stages; in the neck, where coarse stages are added
    to finer ones, eight more, of which each adds what it gates to what it got.

    `record_attention` names the gates stages.0.0.se, stages.1.1.se, stages.2.1.se, stages.2.3.se, stages.3.1.se,
    laterals.0.se … laterals.3.se and smooths.0.se … smooths.3.se, the coarsest first: 48, 96, 192, 192, 384, four
    times 96 and four times 24 channels.
    """

    widths = (48, 96, 192, 384)
    pairs = (1, 1, 2, 1)         # of one block with SE and one without, in each stage

    def __init__(self) -> None:
        super().__init__()
        self.normalise = Normalise((0.5, 0.5, 0.5), (0.5, 0.5, 0.5))
        self.stem = Stem(24, self.widths[0])
        self.stages = nn.ModuleList(_stage(before, width, pairs) for before, width, pairs in
                                    zip((48, *self.widths), self.widths, self.pairs, strict=False))
        self.laterals = nn.ModuleList(GatedConv(nn.Conv2d(width, 96, 1, bias=False), 96) for width in self.widths[::-1])
        self.smooths = nn.ModuleList(GatedConv(nn.Sequential(
            nn.Conv2d(96, 96, 7, padding=3, groups=96), nn.Conv2d(96, 24, 1, bias=False)), 24) for _ in self.widths)
        self.head = nn.Sequential(
            nn.Conv2d(96, 24, 3, padding=1), nn.ReLU(), nn.ConvTranspose2d(24, 24, 2, stride=2), nn.ReLU(),
            nn.ConvTranspose2d(24, 1, 2, stride=2), nn.Sigmoid())

    def forward(self, x: Tensor) -> Tensor:
        """Photographs (B, 3, H, W), RGB in [0, 1], to maps (B, H, W), each value in (0, 1).

        The network was stored to see blue first, and values from -1 to 1, as the configuration of the package that
        ships it says; both are seen to in here.

        Raises:
            ValueError: if `x` has another shape or dtype, or 32 does not divide H and W.
        """
        checks.feature_map("x", x, 3, self.stem.first.weight)
        checks.sides("x", x, 32)
        x = self.stem(self.normalise(x).flip(1))
        levels = []
        for stage in self.stages:
            x = stage(x)
            levels.append(x)                                       # H/4, H/8, H/16, H/32
        sums: list[Tensor] = []
        for lateral, level in zip(self.laterals, reversed(levels), strict=True):
            sums.append(lateral(level) + _enlarged(sums[-1], level) if sums else lateral(level))
        maps = [_enlarged(smooth(x), levels[0]) for smooth, x in zip(self.smooths, sums, strict=True)]
        return self.head(torch.cat(maps, 1))[:, 0]                 # four times 24 channels at H/4


def _stage(c_in: int, width: int, pairs: int) -> nn.Sequential:
    first = [] if c_in == width else [MixerBlock(c_in, width, stride=2)]
    return nn.Sequential(*first, *(MixerBlock(width, width, gated=gated) for gated in (True, False) * pairs))


def _enlarged(x: Tensor, like: Tensor) -> Tensor:
    return F.interpolate(x, size=like.shape[2:], mode="nearest")


def _one_more(x: Tensor) -> Tensor:
    """A row of zeros below and a column at the right, so that a 2 × 2 window keeps the size."""
    return F.pad(x, (0, 1, 0, 1))
