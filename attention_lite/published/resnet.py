"""ResNet, and each image block where its paper puts it."""

from collections import OrderedDict
from typing import Any

import torch
from torch import Tensor, nn

from attention_lite import checks
from attention_lite.published.blocks import ATTENTION, BEHIND, FOR_THE_3X3, ON_THE_BRANCH, by_stage

# Blocks in each stage, and the width of a block's output over that of its 3×3 convolutions (He et al. 2016, Table 1).
DEPTHS = {18: ((2, 2, 2, 2), 1), 34: ((3, 4, 6, 3), 1), 50: ((3, 4, 6, 3), 4), 101: ((3, 4, 23, 3), 4),
          152: ((3, 8, 36, 3), 4)}


class Residual(nn.Module):
    """relu(shortcut(x) + attention(branch(x))): (B, C_in, H, W) -> (B, C_out, H / stride, W / stride)."""

    def __init__(self, branch: nn.Module, attention: nn.Module, c_in: int, c_out: int, stride: int) -> None:
        super().__init__()
        self.branch, self.attention = branch, attention
        self.shortcut = nn.Identity() if c_in == c_out and stride == 1 else conv_bn(c_in, c_out, 1, stride)

    def forward(self, x: Tensor) -> Tensor:
        """(B, C_in, H, W) -> (B, C_out, H / stride, W / stride)."""
        return torch.relu(self.shortcut(x) + self.attention(self.branch(x)))


class ResNet(nn.Module):
    """ResNet of He et al. (2016), *Deep Residual Learning for Image Recognition* (Table 1), with attention blocks.

    Args:
        depth: 18, 34 (two 3×3 convolutions a block), 50, 101 or 152 (bottlenecks: 1×1, 3×3, 1×1).
        attention: "none"; or "se", "eca", "cbam" at the end of each residual branch; "sk", "psa" for the 3×3
            convolution of each bottleneck; "bam" after stages 1, 2 and 3; "danet" after the last stage, on a quarter
            of its channels. DANet itself segments images, on a ResNet that keeps a map of 1 / 8 of the image's size.
        published: whether the blocks are those of their authors' published networks, as each block's
            `published` says; SE then has biases, and ECA the kernels of `ECA_KERNELS`. SK knows no such
            variant.
        width: channels of the first stage's 3×3 convolutions, which double from stage to stage. The output of a
            stage stays as wide as it is.
        stride_first: whether a bottleneck shrinks the map in its first 1×1 convolution, as in the paper, and not in
            its 3×3 convolution, as torchvision and most code since.
        classes: number of scores.
        cardinality: groups of a bottleneck's 3×3 convolution. 32, with width 128, make the ResNeXt (32×4d) of Xie et
            al. (2017), *Aggregated Residual Transformations for Deep Neural Networks*.
        own: other arguments of the attention block, as its class has them: `reduction=8` for SE, `kernel_size=5` for
            ECA, or one for each stage, `kernel_size=(3, 3, 5, 7)`.

    Raises:
        ValueError: if `depth` or `attention` is none of these, "sk" or "psa" meets depth 18 or 34, `cardinality` meets
            one of these four or does not divide `width`, a switch is not a boolean, a size is not a positive integer,
            or a block cannot be built on `width` channels.
    """

    def __init__(self, depth: int = 50, attention: str = "none", published: bool = False, width: int = 64,
                 stride_first: bool = False, classes: int = 1000, cardinality: int = 1, **own: Any) -> None:
        super().__init__()
        depth, published, width, stride_first, classes, cardinality = _checked(
            depth, attention, published, width, stride_first, classes, cardinality)
        counts, expansion = DEPTHS[depth]
        owns = by_stage(attention, depth, published, own)

        def branch(stage: int, c_in: int, c_out: int, stride: int) -> nn.Module:
            inner = width * 2**stage
            if expansion == 1:
                return nn.Sequential(conv_bn_relu(c_in, inner, 3, stride), conv_bn(inner, c_out, 3))
            first, second = (stride, 1) if stride_first else (1, stride)
            spatial = (FOR_THE_3X3[attention](inner, second, published, **owns[stage]) if attention in FOR_THE_3X3
                       else conv_bn_relu(inner, inner, 3, second, cardinality))
            return nn.Sequential(OrderedDict(
                reduce=conv_bn_relu(c_in, inner, 1, first), spatial=spatial, expand=conv_bn(inner, c_out, 1)))

        self.stem = nn.Sequential(conv_bn_relu(3, 64, 7, 2), nn.MaxPool2d(3, 2, padding=1))
        self.stages = nn.Sequential()
        c_in = 64
        for stage, count in enumerate(counts):
            blocks = nn.Sequential()
            c_out = 64 * 2**stage * expansion
            for i in range(count):
                stride = 2 if stage > 0 and i == 0 else 1
                gate = (ON_THE_BRANCH[attention](c_out, published, **owns[stage]) if attention in ON_THE_BRANCH
                        else nn.Identity())
                blocks.append(Residual(branch(stage, c_in, c_out, stride), gate, c_in, c_out, stride))
                c_in = c_out
            if attention == "bam" and stage < 3:
                blocks.add_module("bam", BEHIND["bam"](c_out, published, **owns[stage]))
            if attention == "danet" and stage == 3:
                blocks.add_module("reduce", conv_bn_relu(c_out, c_out // 4, 1))
                blocks.add_module("danet", BEHIND["danet"](c_out // 4, published, **owns[stage]))
            self.stages.append(blocks)
        self.head = nn.Linear(c_in // 4 if attention == "danet" else c_in, classes)

    def forward(self, x: Tensor) -> Tensor:
        """Class scores of images: (B, 3, H, W) -> (B, classes)."""
        return self.head(self.stages(self.stem(x)).mean(dim=(2, 3)))


def sknet50() -> ResNet:
    """SKNet-50 of Li et al. (2019), *Selective Kernel Networks* (Table 1): SK[2, 32, 16], and twice ResNet's width."""
    return ResNet(50, "sk", width=128)


def epsanet50() -> ResNet:
    """EPSANet-50 (small) of Zhang et al. (2021), *EPSANet*, as its authors published it."""
    return ResNet(50, "psa", published=True)


def epsanet_large(depth: int = 50) -> ResNet:
    """EPSANet (large) of Zhang et al. (2021), 50 or 101 deep: twice the width, and each kernel in 32 groups.

    Its code is not published. With the paper's kernels, 3, 5, 7, 9, it would have 30.1 million parameters, 53.7 with
    depth 101. The printed ones, 27.90 and 49.59, belong to kernels whose squares sum to 108, as those of 3, 5, 5, 7 do.
    """
    return ResNet(depth, "psa", published=True, width=128, kernels=(3, 5, 5, 7), groups=(32,) * 4)


def conv_bn(c_in: int, c_out: int, kernel: int, stride: int = 1, groups: int = 1) -> nn.Sequential:
    """Convolution without bias and batch norm; pads so that stride 1 keeps the size."""
    return nn.Sequential(nn.Conv2d(c_in, c_out, kernel, stride, kernel // 2, groups=groups, bias=False),
                         nn.BatchNorm2d(c_out))


def conv_bn_relu(c_in: int, c_out: int, kernel: int, stride: int = 1, groups: int = 1) -> nn.Sequential:
    """`conv_bn`, then ReLU."""
    return conv_bn(c_in, c_out, kernel, stride, groups).append(nn.ReLU(inplace=True))


def _checked(depth: int, attention: str, published: bool, width: int, stride_first: bool,
             classes: int, cardinality: int) -> tuple[int, bool, int, bool, int, int]:
    depth = checks.plain(depth)
    if depth not in tuple(DEPTHS):
        raise ValueError(f"depth must be one of {', '.join(map(str, DEPTHS))}; got {depth!r}")
    if attention not in ATTENTION:
        raise ValueError(f"attention must be one of {', '.join(ATTENTION)}; got {attention!r}")
    if attention in FOR_THE_3X3 and DEPTHS[depth][1] == 1:
        raise ValueError(f"attention {attention!r} stands in bottlenecks, so depth must be 50, 101 or 152, got {depth}")
    width, cardinality = checks.positive_int("width", width), checks.positive_int("cardinality", cardinality)
    checks.divides("cardinality", cardinality, "width", width)
    if cardinality > 1 and (attention in FOR_THE_3X3 or DEPTHS[depth][1] == 1):
        raise ValueError(f"cardinality is that of a bottleneck's plain 3×3 convolution, which depth {depth} with "
                         f"attention {attention!r} does not have; it must be 1, got {cardinality}")
    return (depth, checks.boolean("published", published), width, checks.boolean("stride_first", stride_first),
            checks.positive_int("classes", classes), cardinality)
