"""Coordinate attention: for each channel one gate a row and one gate a column."""

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from attention_lite import checks
from attention_lite.block import AttentionBlock, untouched

NARROWEST = 8        # units of the hidden layer, however few the channels: the authors' code has it, the paper not


class CoordinateAttention(AttentionBlock):
    """Coordinate attention of Hou et al. (2021), *Coordinate Attention for Efficient Mobile Network Design*.

    z_h(i) = mean of row i  (Eq. 4);  z_w(j) = mean of column j  (Eq. 5), channel by channel;
    f = delta(F1([z_h, z_w])), the same layer at every row and column  (Eq. 6);
    g_h = sigmoid(F_h(f_h))  (Eq. 7);  g_w = sigmoid(F_w(f_w))  (Eq. 8);
    output = x(i, j) * g_h(i) * g_w(j), channel by channel  (Eq. 9).

    Args:
        channel: C, the number of channels of the input.
        reduction: r; the hidden layer has C / r units, rounded down, and never fewer than 8. The paper's default is 32.

    Raises:
        ValueError: if `channel` or `reduction` is not a positive integer.

    This is the authors' code: the paper's equations leave open what delta is, and have no biases and no smallest number
    of hidden units. There F1 has a batch norm behind it, delta is the hard swish, u * min(max(u + 3, 0), 6) / 6,
    and F1, F_h and F_w have biases. The paper's 3.95 M parameters of MobileNetV2 with this block count the biases.
    """

    def __init__(self, channel: int = 512, reduction: int = 32) -> None:
        super().__init__()
        channel = checks.positive_int("channel", channel)
        reduction = checks.positive_int("reduction", reduction)
        hidden = max(NARROWEST, channel // reduction)
        self.channel = channel
        self.F1 = nn.Conv1d(channel, hidden, 1)                   # 1 × 1: each row and column by itself
        self.norm = nn.BatchNorm1d(hidden)
        self.F_h = nn.Conv1d(hidden, channel, 1)
        self.F_w = nn.Conv1d(hidden, channel, 1)

    def attention(self, x: Tensor) -> dict[str, Tensor]:
        """Return the gates of `x`.

        Args:
            x: feature map, (B, C, H, W), floating point.

        Returns:
            {"rows": g_h, "columns": g_w}: shapes (B, C, H) and (B, C, W), each value in (0, 1). No axis sums to
            one. The gate of channel c at row i and column j is the product g_h(c, i) * g_w(c, j).

        Raises:
            ValueError: if `x` is not a (B, C, H, W) tensor with C = `channel` and the dtype of the weights.
        """
        with untouched(self):
            g_h, g_w = self._gates(x)
        return {"rows": g_h, "columns": g_w}

    def forward(self, x: Tensor) -> Tensor:
        """Return `x` multiplied by the gates of its row and its column: (B, C, H, W) -> (B, C, H, W).

        Args and errors are those of `attention`.
        """
        g_h, g_w = self._gates(x)
        return x * g_h[..., None].to(x.dtype) * g_w[..., None, :].to(x.dtype)

    def _gates(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """Return g_h (B, C, H) and g_w (B, C, W)."""
        checks.feature_map("x", x, self.channel, self.F1)
        H = x.shape[2]
        z = torch.cat([x.mean(dim=3), x.mean(dim=2)], dim=2)      # rows, then columns: (B, C, H + W)
        f = F.hardswish(self.norm(self.F1(z)))                    # (B, hidden, H + W)
        return torch.sigmoid(self.F_h(f[..., :H])), torch.sigmoid(self.F_w(f[..., H:]))
