"""Efficient channel attention: one gate for each channel, from the channel and its few neighbours."""

import math

import torch
from torch import Tensor, nn

from attention_lite import checks
from attention_lite.block import AttentionBlock


def adaptive_kernel_size(channel: int, gamma: float = 2, b: float = 1) -> int:
    """Return k = |log2(C) / gamma + b / gamma|_odd, the odd number nearest to it (Wang et al. 2020, Sec. 3.2.3).

    Args:
        channel: C, the number of channels.
        gamma, b: the constants of the paper's formula; gamma is positive, b is not negative.

    Returns:
        k, odd and at least 1. A tie between two odd numbers goes to the larger, as in the paper's listing.

    Raises:
        ValueError: if `channel` is not a positive integer, or gamma or b is not such a number.

    64 channels give 3, 128 to 1024 give 5, 2048 give 7. timm never takes less than 3; the formula gives 1 below
    8 channels, and so does this function.
    """
    channel = checks.positive_int("channel", channel)
    gamma = checks.positive_number("gamma", gamma)
    b = checks.non_negative_number("b", b)
    t = int((math.log2(channel) + b) / gamma)     # the integer below; an even one lies nearest to the odd above it
    return t if t % 2 else t + 1


class ECAAttention(AttentionBlock):
    """Efficient channel attention of Wang et al. (2020), *ECA-Net*.

    z = GAP(x);  s = sigmoid(C1D_k(z))  (Sec. 3.2.2);  output = s * x, channel by channel. C1D_k is a convolution
    along the channels with one kernel of k weights for all of them, zero-padded at both ends.

    Args:
        channel: C, from which k is computed by `adaptive_kernel_size`, with the paper's constants. May be left out
            when `kernel_size` is given; the input may then have any number of channels.
        kernel_size: k, odd. It takes precedence over the formula.

    Raises:
        ValueError: if neither is given, one is not a positive integer, or `kernel_size` is even.

    The authors' networks pass k by hand: 3, 5, 5, 7 for the four stages of ResNet-50, where the formula gives
    5, 5, 5, 7; other depths have others (`attention_lite.published.ECA_KERNELS`).
    """

    def __init__(self, channel: int | None = None, kernel_size: int | None = None) -> None:
        super().__init__()
        if channel is None and kernel_size is None:
            raise ValueError("channel or kernel_size must be given, got neither")
        if channel is not None:
            channel = checks.positive_int("channel", channel)
        k = checks.odd("kernel_size", adaptive_kernel_size(channel) if kernel_size is None else kernel_size)
        self.channel = channel
        self.conv = nn.Conv1d(1, 1, k, padding=k // 2, bias=False)

    def attention(self, x: Tensor) -> dict[str, Tensor]:
        """Return the gates of `x`.

        Args:
            x: feature map, (B, C, H, W), floating point.

        Returns:
            {"channel": s}: s has shape (B, C), each value in (0, 1). No axis sums to one.

        Raises:
            ValueError: if `x` is not a (B, C, H, W) tensor of the weights' dtype, with C = `channel` if that was
                given.
        """
        checks.feature_map("x", x, self.channel, self.conv)
        z = x.mean(dim=(2, 3))                                    # squeeze: (B, C, H, W) -> (B, C)
        s = torch.sigmoid(self.conv(z[:, None])[:, 0])            # C channels are a line of C numbers
        return {"channel": s}

    def forward(self, x: Tensor) -> Tensor:
        """Return `x` with each channel multiplied by its gate: (B, C, H, W) -> (B, C, H, W).

        Args and errors are those of `attention`.
        """
        s = self.attention(x)["channel"]
        return x * s[..., None, None].to(x.dtype)                 # scale:   (B, C) broadcasts over H and W
