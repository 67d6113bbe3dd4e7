"""ResNet, and each image block where its paper puts it."""

from collections import OrderedDict
from collections.abc import Callable

import torch
from torch import Tensor, nn

from attention_lite import checks
from attention_lite.bam import BAMBlock
from attention_lite.cbam import CBAMBlock
from attention_lite.danet import DAModule
from attention_lite.eca import ECAAttention
from attention_lite.psa import PSA
from attention_lite.se import SEAttention
from attention_lite.sk import SKAttention

# Blocks in each stage, and the width of a block's output over that of its 3×3 convolutions (He et al. 2016, Table 1).
DEPTHS = {18: ((2, 2, 2, 2), 1), 34: ((3, 4, 6, 3), 1), 50: ((3, 4, 6, 3), 4), 101: ((3, 4, 23, 3), 4)}

# At the end of each residual branch, before the addition: (channels, stage from 0, published).
ON_THE_BRANCH: dict[str, Callable[[int, int, bool], nn.Module]] = {
    "se": lambda c, stage, published: SEAttention(c, bias=published),
    "eca": lambda c, stage, published: ECAAttention(c, kernel_size=(3, 5, 5, 7)[stage] if published else None),
    "cbam": lambda c, stage, published: CBAMBlock(c, published=published),
}
# In the place of a bottleneck's 3×3 convolution: (channels, stride, published). SK brings its own norms and ReLUs.
FOR_THE_3X3: dict[str, Callable[[int, int, bool], nn.Module]] = {
    "sk": lambda c, stride, published: SKAttention(c, stride=stride),
    "psa": lambda c, stride, published: nn.Sequential(
        PSA(c, stride=stride, published=published), nn.BatchNorm2d(c), nn.ReLU(inplace=True)),
}
ATTENTION = ("none", *ON_THE_BRANCH, *FOR_THE_3X3, "bam", "danet")


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
        depth: 18, 34 (two 3×3 convolutions a block), 50 or 101 (bottlenecks: 1×1, 3×3, 1×1).
        attention: "none"; or "se", "eca", "cbam" at the end of each residual branch; "sk", "psa" for the 3×3
            convolution of each bottleneck; "bam" after stages 1, 2 and 3; "danet" after the last stage, on a quarter
            of its channels. DANet itself segments images, on a ResNet that keeps a map of 1 / 8 of the image's size.
        published: whether the blocks are those of their authors' published networks, as each block's
            `published` says; SE then has biases, and ECA kernels of 3, 5, 5, 7 in the four stages. SK knows no such
            variant.
        width: channels of the first stage's 3×3 convolutions, which double from stage to stage. The output of a
            stage stays as wide as it is.
        stride_first: whether a bottleneck shrinks the map in its first 1×1 convolution, as in the paper, and not in
            its 3×3 convolution, as torchvision and most code since.
        classes: number of scores.

    Raises:
        ValueError: if `depth` or `attention` is none of these, "sk" or "psa" meets depth 18 or 34, a switch is not a
            boolean, a size is not a positive integer, or a block cannot be built on `width` channels.
    """

    def __init__(self, depth: int = 50, attention: str = "none", published: bool = False, width: int = 64,
                 stride_first: bool = False, classes: int = 1000) -> None:
        super().__init__()
        depth, published, width, stride_first, classes = _checked(
            depth, attention, published, width, stride_first, classes)
        counts, expansion = DEPTHS[depth]

        def branch(c_in: int, inner: int, c_out: int, stride: int) -> nn.Module:
            if expansion == 1:
                return nn.Sequential(conv_bn_relu(c_in, inner, 3, stride), conv_bn(inner, c_out, 3))
            first, second = (stride, 1) if stride_first else (1, stride)
            spatial = (FOR_THE_3X3[attention](inner, second, published) if attention in FOR_THE_3X3
                       else conv_bn_relu(inner, inner, 3, second))
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
                gate = ON_THE_BRANCH.get(attention, lambda *_: nn.Identity())(c_out, stage, published)
                blocks.append(Residual(branch(c_in, width * 2**stage, c_out, stride), gate, c_in, c_out, stride))
                c_in = c_out
            for name, module in _after_stage(attention, stage, c_out, published).items():
                blocks.add_module(name, module)
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


def conv_bn(c_in: int, c_out: int, kernel: int, stride: int = 1) -> nn.Sequential:
    """Convolution without bias and batch norm; pads so that stride 1 keeps the size."""
    return nn.Sequential(nn.Conv2d(c_in, c_out, kernel, stride, kernel // 2, bias=False), nn.BatchNorm2d(c_out))


def conv_bn_relu(c_in: int, c_out: int, kernel: int, stride: int = 1) -> nn.Sequential:
    """`conv_bn`, then ReLU."""
    return conv_bn(c_in, c_out, kernel, stride).append(nn.ReLU(inplace=True))


def _after_stage(attention: str, stage: int, c: int, published: bool) -> dict[str, nn.Module]:
    """What stands between a stage of c channels and the next, by name."""
    if attention == "bam" and stage < 3:
        return {"bam": BAMBlock(c, published=published)}
    if attention == "danet" and stage == 3:
        return {"reduce": conv_bn_relu(c, c // 4, 1), "danet": DAModule(c // 4, published=published)}
    return {}


def _checked(depth: int, attention: str, published: bool, width: int, stride_first: bool,
             classes: int) -> tuple[int, bool, int, bool, int]:
    depth = checks.plain(depth)
    if depth not in tuple(DEPTHS):
        raise ValueError(f"depth must be one of {', '.join(map(str, DEPTHS))}; got {depth!r}")
    if attention not in ATTENTION:
        raise ValueError(f"attention must be one of {', '.join(ATTENTION)}; got {attention!r}")
    if attention in FOR_THE_3X3 and DEPTHS[depth][1] == 1:
        raise ValueError(f"attention {attention!r} stands in bottlenecks, so depth must be 50 or 101, got {depth}")
    return (depth, checks.boolean("published", published), checks.positive_int("width", width),
            checks.boolean("stride_first", stride_first), checks.positive_int("classes", classes))
