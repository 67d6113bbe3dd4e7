"""Read the one digit in a picture with a small residual network: host of CBAM, BAM and coordinate attention."""

from collections.abc import Callable

import torch
from torch import Tensor, nn

from attention_lite.bam import BAMBlock
from attention_lite.cbam import CBAMBlock
from attention_lite.coordinate import CoordinateAttention
from attention_lite.networks.layers import build, conv_bn_relu

Make = Callable[[int], nn.Module]      # from a number of channels to a block, or to nn.Identity


class BasicBlock(nn.Module):
    """relu(skip(x) + gate(F(x))), F two 3 × 3 convolutions: a residual block with a gate where CBAM has it.

    With `residual` False there is no skip: relu(gate(F(x))).
    """

    def __init__(self, c_in: int, c_out: int, stride: int, gate: Make, residual: bool) -> None:
        super().__init__()
        self.convs = nn.Sequential(conv_bn_relu(c_in, c_out, 3, stride),
                                   nn.Conv2d(c_out, c_out, 3, padding=1, bias=False), nn.BatchNorm2d(c_out))
        self.gate = gate(c_out)
        self.residual = residual
        self.skip = nn.Identity()
        if residual and (c_in, stride) != (c_out, 1):
            self.skip = nn.Sequential(nn.Conv2d(c_in, c_out, 1, stride, bias=False), nn.BatchNorm2d(c_out))

    def forward(self, x: Tensor) -> Tensor:
        """(B, c_in, H, W) -> (B, c_out, H / stride, W / stride)."""
        y = self.gate(self.convs(x))
        return torch.relu(self.skip(x) + y if self.residual else y)


class ResidualNet(nn.Module):
    """Three residual blocks, with room for a gate inside each and for a bottleneck gate after each.

    (B, 3, 48, 48) -> 24 channels, stride 2 -> 24 on 24 × 24 places -> 32, stride 2 -> 32 on 12 × 12 places -> global
    max -> 10 classes.

    Args:
        gate: what stands at the end of each F, as in CBAM.
        after: the numbers, from 1, of the blocks after which `bottleneck` stands, as in BAM.
        residual: whether the blocks have their skips.
    """

    widths = (24, 24, 32, 32)

    def __init__(self, gate: Make = nn.Identity, bottleneck: Make = nn.Identity, after: tuple[int, ...] = (),
                 residual: bool = True) -> None:
        super().__init__()
        w = self.widths
        self.stem = conv_bn_relu(3, w[0], 5, 2)
        self.blocks = nn.ModuleList(BasicBlock(w[i], w[i + 1], 2 if i == 1 else 1, gate, residual) for i in range(3))
        self.bottlenecks = nn.ModuleList(bottleneck(w[i]) if i in after else nn.Identity() for i in (1, 2, 3))
        self.head = nn.Linear(w[3], 10)

    def forward(self, x: Tensor) -> Tensor:
        """Class scores: (B, 3, H, W) -> (B, 10)."""
        x = self.stem(x)
        for block, bottleneck in zip(self.blocks, self.bottlenecks, strict=True):
            x = bottleneck(block(x))
        return self.head(x.amax((2, 3)))


class CBAMAblation(CBAMBlock):
    """CBAM with a part taken away or moved, as in its paper's ablations.

    Args:
        channel, reduction, kernel_size: as in CBAMBlock.
        pools: which pools both gates look at: ("mean", "amax"), or one of the two.
        order: "channel first", "spatial first", or "parallel": both gates computed from the input itself.
    """

    def __init__(self, channel: int, reduction: int, kernel_size: int = 7, pools: tuple[str, ...] = ("mean", "amax"),
                 order: str = "channel first") -> None:
        super().__init__(channel, reduction, kernel_size)
        self.pools, self.order = pools, order
        self.conv = nn.Conv2d(len(pools), 1, kernel_size, padding=kernel_size // 2, bias=False)

    def _gate(self, x: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        if self.order == "spatial first":
            M_s = self._spatial(x)
            M_c = self._channel(x * M_s)
        else:
            M_c = self._channel(x)
            M_s = self._spatial(x if self.order == "parallel" else x * M_c[..., None, None])
        return M_c, M_s, x * M_c[..., None, None]

    def _channel(self, x: Tensor) -> Tensor:
        return torch.sigmoid(sum(self._mlp(getattr(x, pool)((2, 3))) for pool in self.pools))

    def _spatial(self, x: Tensor) -> Tensor:
        return torch.sigmoid(self.conv(torch.cat([getattr(x, pool)(1, keepdim=True) for pool in self.pools], 1)))


def bam_product(channel: int, reduction: int) -> BAMBlock:
    """BAM whose branches are multiplied where the paper adds them, and nothing else changed."""
    block = BAMBlock(channel, reduction)
    block.combine = torch.mul
    return block


def residual_net(model: str) -> ResidualNet:
    """ResidualNet with the blocks called `model`: "cbam", "bam", or an ablation or control.

    "none" has no gates. "cbam-average" and "cbam-max" have one pool, "cbam-3x3" a smaller kernel, "cbam-spatial-first"
    and "cbam-parallel" another order, "cbam-plain" no skips. "bam" stands after blocks 1 and 2, "bam-product" too;
    "bam-first" and "bam-last" stand after block 1 or 3 alone. "coordinate-plain" has coordinate attention
    in the place of CBAM, and no skips.

    Raises:
        ValueError: for any other name.
    """
    def cbam(**changes: object) -> Callable[[], ResidualNet]:
        return lambda: ResidualNet(gate=lambda c: CBAMAblation(c, reduction=4, **changes))

    def bam(*after: int, make: Callable[..., BAMBlock] = BAMBlock) -> Callable[[], ResidualNet]:
        return lambda: ResidualNet(bottleneck=lambda c: make(c, reduction=4), after=after)

    return build(model, {
        "cbam": lambda: ResidualNet(gate=lambda c: CBAMBlock(c, reduction=4)), "none": ResidualNet,
        "cbam-average": cbam(pools=("mean",)), "cbam-max": cbam(pools=("amax",)), "cbam-3x3": cbam(kernel_size=3),
        "cbam-spatial-first": cbam(order="spatial first"), "cbam-parallel": cbam(order="parallel"),
        "cbam-plain": lambda: ResidualNet(gate=lambda c: CBAMBlock(c, reduction=4), residual=False),
        "bam": bam(1, 2), "bam-product": bam(1, 2, make=bam_product), "bam-first": bam(1), "bam-last": bam(3),
        "coordinate-plain": lambda: ResidualNet(gate=lambda c: CoordinateAttention(c, reduction=4), residual=False)})
