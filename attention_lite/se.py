"""Squeeze-and-excitation: one gate for each channel, computed from the whole image."""

from collections.abc import Callable

import torch
from torch import Tensor, nn

from attention_lite import checks
from attention_lite.block import AttentionBlock


class SEAttention(AttentionBlock):
    """Squeeze-and-excitation block of Hu et al. (2018), *Squeeze-and-Excitation Networks*.

    z = GAP(x)  (Eq. 2);  s = sigmoid(W2 relu(W1 z))  (Eq. 3);  output = s * x, channel by channel  (Eq. 4).

    Args:
        channel: C, the number of channels of the input.
        reduction: r; the hidden layer has C / r units, so r must divide C. The paper's default is 16.
        bias: whether W1 and W2 have biases. The paper's equations have none; the authors' published networks
            and timm have them. `bias=True` gives that variant.
        sigmoid: the last function of Eq. 3, from any number to [0, 1]. MobileNetV3 (Howard et al. 2019, Sec. 5.2)
            puts the cheaper torch.nn.functional.hardsigmoid here, min(max(x / 6 + 1/2, 0), 1).

    Raises:
        ValueError: if `channel` or `reduction` is not a positive integer, `bias` is not a boolean, `sigmoid` is not
            callable, or `reduction` does not divide `channel`.

    timm rounds the hidden width to a multiple of 8; this block, as the paper, does not.
    """

    def __init__(self, channel: int = 512, reduction: int = 16, bias: bool = False,
                 sigmoid: Callable[[Tensor], Tensor] = torch.sigmoid) -> None:
        super().__init__()
        channel = checks.positive_int("channel", channel)
        reduction = checks.positive_int("reduction", reduction)
        checks.divides("reduction", reduction, "channel", channel)
        bias = checks.boolean("bias", bias)
        if not callable(sigmoid):
            raise ValueError(f"sigmoid must be a function of a tensor, got {sigmoid!r}")
        self.channel, self.sigmoid = channel, sigmoid
        self.W1 = nn.Linear(channel, channel // reduction, bias=bias)
        self.W2 = nn.Linear(channel // reduction, channel, bias=bias)

    def attention(self, x: Tensor) -> dict[str, Tensor]:
        """Return the gates of `x`.

        Args:
            x: feature map, (B, C, H, W), floating point.

        Returns:
            {"channel": s}: s has shape (B, C), each value in (0, 1); a hard sigmoid's ends are 0 and 1
            themselves. Each is a sigmoid of its own score: no axis sums to one.

        Raises:
            ValueError: if `x` is not a (B, C, H, W) tensor with C = `channel` and the dtype of the weights.
        """
        checks.feature_map("x", x, self.channel, self.W1)
        z = x.mean(dim=(2, 3))                                    # squeeze: (B, C, H, W) -> (B, C)
        s = self.sigmoid(self.W2(torch.relu(self.W1(z))))         # excite:  (B, C) -> (B, C/r) -> (B, C)
        return {"channel": s}

    def forward(self, x: Tensor) -> Tensor:
        """Return `x` with each channel multiplied by its gate: (B, C, H, W) -> (B, C, H, W).

        Args and errors are those of `attention`.
        """
        s = self.attention(x)["channel"]
        return x * s[..., None, None].to(x.dtype)                 # scale:   (B, C) broadcasts over H and W
