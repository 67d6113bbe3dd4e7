"""ResT: the transformer that efficient multi-head self-attention (EMSA) was made for."""

from itertools import pairwise

from torch import Tensor, nn

from attention_lite import checks
from attention_lite.emsa import EMSA
from attention_lite.published.resnet import conv_bn_relu

# Channels of the first stage, doubled from stage to stage; and blocks in each stage.
SIZES = {"lite": (64, (2, 2, 2, 2)), "small": (64, (2, 2, 6, 2)),
         "base": (96, (2, 2, 6, 2)), "large": (96, (2, 2, 18, 2))}
HEADS = (1, 2, 4, 8)
RATIOS = (8, 4, 2, 1)                   # EMSA's s in each stage: keys and values come from a 7 × 7 map in all of them


class PixelAttention(nn.Module):
    """ResT's positional encoding: x * sigmoid(depth-wise 3×3 convolution of x), (B, C, H, W) -> (B, C, H, W)."""

    def __init__(self, channel: int) -> None:
        super().__init__()
        self.conv = nn.Conv2d(channel, channel, 3, padding=1, groups=channel)

    def forward(self, x: Tensor) -> Tensor:
        """(B, C, H, W) -> (B, C, H, W)."""
        return x * self.conv(x).sigmoid()


class Block(nn.Module):
    """x + EMSA(LN(x)), then x + MLP(LN(x)), the MLP four times as wide inside: (B, N, C) -> (B, N, C)."""

    def __init__(self, width: int, h: int, ratio: int) -> None:
        super().__init__()
        self.norm1, self.norm2 = nn.LayerNorm(width), nn.LayerNorm(width)
        self.attention = EMSA(width, h=h, ratio=ratio, bias=True)
        self.mlp = nn.Sequential(nn.Linear(width, 4 * width), nn.GELU(), nn.Linear(4 * width, width))

    def forward(self, x: Tensor) -> Tensor:
        """(B, N, C) -> (B, N, C)."""
        x = x + self.attention(self.norm1(x))
        return x + self.mlp(self.norm2(x))


class ResT(nn.Module):
    """ResT of Zhang & Yang (2021), *ResT: An Efficient Transformer for Visual Recognition*, as in their published code.

    A stem of three convolutions shrinks the image to a quarter; each later stage begins with a 3×3 convolution that
    halves the map and doubles its channels. Pixel attention follows both. A stage is a row of transformer blocks
    on the map's places as tokens.

    Args:
        size: "lite" and "small" (64 channels in the first stage), "base" and "large" (96). The third stage has 2 blocks
            in "lite", 18 in "large", and 6 in the others.
        classes: number of scores.

    Raises:
        ValueError: if `size` is none of these, or `classes` is not a positive integer.

    The stochastic depth of the training is left out: it has no parameters and does nothing in evaluation.
    """

    def __init__(self, size: str = "small", classes: int = 1000) -> None:
        super().__init__()
        if size not in tuple(SIZES):
            raise ValueError(f"size must be one of {', '.join(SIZES)}; got {size!r}")
        classes = checks.positive_int("classes", classes)
        width, depths = SIZES[size]
        widths = [width * 2**stage for stage in range(4)]
        half = widths[0] // 2
        embeddings = [nn.Sequential(conv_bn_relu(3, half, 3, 2), conv_bn_relu(half, half, 3),
                                    nn.Conv2d(half, widths[0], 3, 2, padding=1, bias=False))]
        for c_in, c_out in pairwise(widths):
            embeddings.append(nn.Sequential(nn.Conv2d(c_in, c_out, 3, 2, padding=1), nn.BatchNorm2d(c_out)))
        self.embeddings = nn.ModuleList(
            embedding.append(PixelAttention(width)) for embedding, width in zip(embeddings, widths, strict=True))
        self.stages = nn.ModuleList(
            nn.Sequential(*(Block(width, h, ratio) for _ in range(depth)))
            for width, depth, h, ratio in zip(widths, depths, HEADS, RATIOS, strict=True))
        self.norm = nn.LayerNorm(widths[-1])
        self.head = nn.Linear(widths[-1], classes)

    def forward(self, x: Tensor) -> Tensor:
        """Class scores of square images: (B, 3, H, H) -> (B, classes).

        Raises:
            ValueError: if `x` is not a (B, 3, H, H) tensor with H > 32.
        """
        if not checks.traced(x) and (
                x.dim() != 4 or x.shape[1] != 3 or x.shape[2] != x.shape[3] or x.shape[2] <= 32):
            raise ValueError(f"x must be square images (B, 3, H, H) with H > 32, got shape {tuple(x.shape)}")
        for embed, stage in zip(self.embeddings, self.stages, strict=True):
            map_ = embed(x)
            tokens = stage(map_.flatten(2).transpose(1, 2))                   # (B, C, H, W) -> (B, N, C)
            x = tokens.transpose(1, 2).unflatten(2, map_.shape[2:])
        return self.head(self.norm(tokens).mean(dim=1))
