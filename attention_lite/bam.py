"""Bottleneck attention: which channels and which places, computed side by side and added."""

import torch
from torch import Tensor, nn

from attention_lite import checks
from attention_lite.block import AttentionBlock, untouched
from attention_lite.pooled_norm import PooledBatchNorm


class BAMBlock(AttentionBlock):
    """Bottleneck attention module of Park et al. (2018), *BAM*.

    M_c = BN(MLP(GAP(F)))  (Eq. 3);  M_s = BN(f1x1(f3x3(f3x3(f1x1(F)))))  (Eq. 4), the 3 × 3 convolutions dilated;
    M = sigmoid(M_c + M_s)  (Eq. 2);  output = F + F * M  (Eq. 1).

    Args:
        channel: C, the number of channels of the input.
        reduction: r; both branches have C / r hidden channels, so r must divide C. The paper's default is 16.
        dia_val: dilation of the two 3 × 3 convolutions. The paper's default is 4.
        published: whether to build the variant of the authors' published code: M = sigmoid(M_c * M_s), batch norm
            after each hidden layer and none at the end.

    Raises:
        ValueError: if a size is not a positive integer, `reduction` does not divide `channel`, or `published` is
            not a boolean.

    The equations print no activations. Without any, each branch would be one linear map, so a ReLU follows each
    hidden layer here, as in the published code. The paper finds the sum of the branches better than the product
    that its code computes (its ablation on the combining method).
    """

    def __init__(self, channel: int = 512, reduction: int = 16, dia_val: int = 4, published: bool = False) -> None:
        super().__init__()
        channel = checks.positive_int("channel", channel)
        reduction = checks.positive_int("reduction", reduction)
        checks.divides("reduction", reduction, "channel", channel)
        dia_val = checks.positive_int("dia_val", dia_val)
        published = checks.boolean("published", published)
        self.channel = channel
        self.combine = torch.mul if published else torch.add
        hidden = channel // reduction

        def norm(layer: type[nn.Module], width: int, last: bool) -> nn.Module:
            return layer(width) if last != published else nn.Identity()

        self.channel_branch = nn.Sequential(
            nn.Linear(channel, hidden), norm(PooledBatchNorm, hidden, last=False), nn.ReLU(),
            nn.Linear(hidden, channel), norm(PooledBatchNorm, channel, last=True))

        def dilated() -> nn.Conv2d:
            return nn.Conv2d(hidden, hidden, 3, padding=dia_val, dilation=dia_val)

        self.spatial_branch = nn.Sequential(
            nn.Conv2d(channel, hidden, 1), norm(nn.BatchNorm2d, hidden, last=False), nn.ReLU(),
            dilated(), norm(nn.BatchNorm2d, hidden, last=False), nn.ReLU(),
            dilated(), norm(nn.BatchNorm2d, hidden, last=False), nn.ReLU(),
            nn.Conv2d(hidden, 1, 1), norm(nn.BatchNorm2d, 1, last=True))

    def attention(self, x: Tensor) -> dict[str, Tensor]:
        """Return the gates of `x`, and the two maps from which they are made.

        Args:
            x: feature map, (B, C, H, W), floating point.

        Returns:
            {"channel_and_place": M, "channel_logits": M_c, "spatial_logits": M_s}: M has shape (B, C, H, W), each
            value in (0, 1). M_c (B, C) and M_s (B, H, W) are the branches before the sigmoid, any number. No
            axis sums to one.

        Raises:
            ValueError: if `x` is not a (B, C, H, W) tensor with C = `channel` and the dtype of the weights.
        """
        with untouched(self):
            M, M_c, M_s = self._gate(x)
        return {"channel_and_place": M, "channel_logits": M_c, "spatial_logits": M_s[:, 0]}

    def forward(self, x: Tensor) -> Tensor:
        """Return F + F * M: (B, C, H, W) -> (B, C, H, W).

        Args and errors are those of `attention`.
        """
        gated = x * self._gate(x)[0].to(x.dtype)                  # M is needed no longer: its memory is free again
        return x + gated

    def _gate(self, x: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Return M (B, C, H, W), M_c (B, C) and M_s (B, 1, H, W)."""
        checks.feature_map("x", x, self.channel, self.spatial_branch[0])
        checks.normalisable("x", x, self.spatial_branch)
        M_c = self.channel_branch(x.mean(dim=(2, 3)))
        M_s = self.spatial_branch(x)
        return torch.sigmoid(self.combine(M_c[..., None, None], M_s)), M_c, M_s
