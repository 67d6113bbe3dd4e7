"""Pyramid split attention: four kernel sizes side by side, weighed against each other."""

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from attention_lite import checks
from attention_lite.block import AttentionBlock


class SEWeight(nn.Module):
    """The gates of a squeeze-and-excitation block, not yet applied: (B, C, H, W) -> (B, C), each in (0, 1)."""

    def __init__(self, channel: int, reduction: int, bias: bool) -> None:
        super().__init__()
        self.W0 = nn.Linear(channel, channel // reduction, bias=bias)
        self.W1 = nn.Linear(channel // reduction, channel, bias=bias)

    def forward(self, x: Tensor) -> Tensor:
        return torch.sigmoid(self.W1(torch.relu(self.W0(x.mean(dim=(2, 3))))))


def _by_places(conv: nn.Module, x: Tensor) -> Tensor:
    """conv(x), with the channels of each place side by side in memory meanwhile, (B, H, W, C).

    The processor's convolutions in narrow groups are several times faster so; the numbers differ by rounding alone.
    """
    return conv(x.movedim(1, -1).contiguous().movedim(-1, 1)).contiguous()


class PSA(AttentionBlock):
    """Pyramid split attention module of Zhang et al. (2021), *EPSANet*.

    F_i = Conv(k_i × k_i, G_i)(X), from all of X to C / S channels, i = 0 … S - 1;  Z_i = SEWeight(F_i);
    att = softmax of the Z_i over the S splits, for each channel;  output = Cat(att_0 * F_0, …, att_{S-1} * F_{S-1}).

    Args:
        channel: C, the number of channels of input and output; the S splits must divide it evenly.
        reduction: r of SEWeight, which must divide C / S. The paper's default is 16.
        kernels: the S kernel sizes, odd. The paper's default is 3, 5, 7, 9.
        groups: the S numbers of groups, each of which must divide C / S. Default: the paper's formula,
            G = 2^((k - 1) / 2), which gives 2, 4, 8, 16.
        stride: stride of the convolutions, for a network that shrinks its map here.
        published: whether to build the variant of the authors' published code: groups default to 1, 4, 8, 16, all
            splits share one SEWeight, which has biases, and the splits are concatenated in reverse order.

    Raises:
        ValueError: if a size is not a positive integer, a kernel is even, `kernels` and `groups` differ in length,
            a division leaves a remainder, or `published` is not a boolean.

    att is a softmax of S sigmoids. With S = 4 a weight cannot leave [1/(1 + 3e), e/(e + 3)] = [0.109, 0.475].
    """

    def __init__(self, channel: int = 512, reduction: int = 16, kernels: Sequence[int] = (3, 5, 7, 9),
                 groups: Sequence[int] | None = None, stride: int = 1, published: bool = False) -> None:
        super().__init__()
        channel = checks.positive_int("channel", channel)
        reduction = checks.positive_int("reduction", reduction)
        stride = checks.positive_int("stride", stride)
        published = checks.boolean("published", published)
        kernels = checks.sequence_of("kernels", kernels, checks.odd)
        if groups is None:
            groups = [1 if published and k == 3 else 2 ** ((k - 1) // 2) for k in kernels]
        groups = checks.sequence_of("groups", groups, checks.positive_int)
        if len(groups) != len(kernels):
            raise ValueError(f"groups must have one entry a kernel, {len(kernels)}, got {len(groups)}")
        checks.divides("the number of kernels", len(kernels), "channel", channel)
        width = channel // len(kernels)
        checks.divides("reduction", reduction, "channel / S", width)
        for i, g in enumerate(groups):
            checks.divides(f"groups[{i}]", g, "channel / S", width)

        self.channel, self.published = channel, published
        self.narrow = [width // g < 4 for g in groups]            # whether a group makes fewer than 4 channels
        self.convs = nn.ModuleList(nn.Conv2d(channel, width, k, stride, padding=k // 2, groups=g, bias=False)
                                   for k, g in zip(kernels, groups, strict=True))
        self.weights = nn.ModuleList(SEWeight(width, reduction, bias=published)
                                     for _ in range(1 if published else len(kernels)))

    def attention(self, x: Tensor) -> dict[str, Tensor]:
        """Return the weights of the splits.

        Args:
            x: feature map, (B, C, H, W), floating point.

        Returns:
            {"split": att}: att has shape (B, S, C / S), each value in (0, 1); axis 1, over the splits, sums to one.

        Raises:
            ValueError: if `x` is not a (B, C, H, W) tensor with C = `channel` and the dtype of the weights.
        """
        return {"split": self._weigh(self._split(x))}

    def forward(self, x: Tensor) -> Tensor:
        """Return the weighed splits side by side: (B, C, H, W) -> (B, C, H', W'), H' = ceil(H / stride).

        Args and errors are those of `attention`.
        """
        F = self._split(x)
        att = self._weigh(F).to(F[0].dtype)[..., None, None]      # (B, S, C/S, 1, 1)
        weighed = [f * att[:, i] for i, f in enumerate(F)]
        return torch.cat(weighed[::-1] if self.published else weighed, dim=1)

    def _split(self, x: Tensor) -> list[Tensor]:
        """The splits: S maps (B, C/S, H', W')."""
        checks.feature_map("x", x, self.channel, self.convs[0])
        return [_by_places(conv, x) if narrow else conv(x)
                for conv, narrow in zip(self.convs, self.narrow, strict=True)]

    def _weigh(self, F: list[Tensor]) -> Tensor:
        """The gates of the splits, made to compete: (B, S, C/S)."""
        shared = len(self.weights) == 1
        Z = torch.stack([self.weights[0 if shared else i](f) for i, f in enumerate(F)], dim=1)
        return Z.softmax(dim=1)
