"""Convolutional block attention: first which channels, then which places."""

import torch
from torch import Tensor, nn

from attention_lite import checks
from attention_lite.block import AttentionBlock, untouched


class CBAMBlock(AttentionBlock):
    """Convolutional block attention module of Woo et al. (2018), *CBAM*.

    M_c = sigmoid(MLP(AvgPool(F)) + MLP(MaxPool(F))), one MLP for both  (Eq. 2);  F' = M_c * F;
    M_s = sigmoid(f([AvgPool(F'); MaxPool(F')])), pools over the channels, f a k × k convolution  (Eq. 3);
    output = M_s * F'  (Eq. 1).

    Args:
        channel: C, the number of channels of the input.
        reduction: r; the MLP's hidden layer has C / r units, so r must divide C. The paper's default is 16.
        kernel_size: k of the spatial convolution, odd. The paper's default is 7.
        published: whether to build the variant of the authors' published code, which adds biases to the MLP, puts
            a batch norm after the spatial convolution, and stacks the pools as [max; mean]. The order
            of the pools only names the two input planes of the convolution.

    Raises:
        ValueError: if a size is not a positive integer, `reduction` does not divide `channel`, `kernel_size` is
            even, or `published` is not a boolean.

    The block has no residual connection: in the paper, that is the host network's.
    """

    def __init__(self, channel: int = 512, reduction: int = 16, kernel_size: int = 7,
                 published: bool = False) -> None:
        super().__init__()
        channel = checks.positive_int("channel", channel)
        reduction = checks.positive_int("reduction", reduction)
        checks.divides("reduction", reduction, "channel", channel)
        kernel_size = checks.odd("kernel_size", kernel_size)
        published = checks.boolean("published", published)
        self.channel, self.published = channel, published
        self.W0 = nn.Linear(channel, channel // reduction, bias=published)
        self.W1 = nn.Linear(channel // reduction, channel, bias=published)
        self.conv = nn.Conv2d(2, 1, kernel_size, padding=kernel_size // 2, bias=False)
        self.norm = nn.BatchNorm2d(1) if published else nn.Identity()

    def attention(self, x: Tensor) -> dict[str, Tensor]:
        """Return the gates of `x`.

        Args:
            x: feature map, (B, C, H, W), floating point.

        Returns:
            {"channel": M_c, "spatial": M_s}: shapes (B, C) and (B, H, W), each value in (0, 1). No axis sums to
            one. M_s is computed from the map that M_c has already scaled.

        Raises:
            ValueError: if `x` is not a (B, C, H, W) tensor with C = `channel` and the dtype of the weights.
        """
        with untouched(self):
            M_c, M_s, _ = self._gate(x)
        return {"channel": M_c, "spatial": M_s[:, 0]}

    def forward(self, x: Tensor) -> Tensor:
        """Return `x` multiplied by both gates: (B, C, H, W) -> (B, C, H, W).

        Args and errors are those of `attention`.
        """
        _, M_s, refined = self._gate(x)
        return refined * M_s.to(x.dtype)                          # (B, 1, H, W) broadcasts over C

    def _gate(self, x: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Return M_c (B, C), M_s (B, 1, H, W), and F' (B, C, H, W): the input scaled by M_c."""
        checks.feature_map("x", x, self.channel, self.W0)
        checks.normalisable("x", x, self.norm)
        M_c = torch.sigmoid(self._mlp(x.mean(dim=(2, 3))) + self._mlp(x.amax(dim=(2, 3))))        # (B, C)
        refined = x * M_c[..., None, None].to(x.dtype)
        pools = [refined.mean(dim=1, keepdim=True), refined.amax(dim=1, keepdim=True)]    # two maps (B, 1, H, W)
        stacked = torch.cat(pools[::-1] if self.published else pools, dim=1)              # (B, 2, H, W)
        return M_c, torch.sigmoid(self.norm(self.conv(stacked))), refined

    def _mlp(self, pooled: Tensor) -> Tensor:
        """The shared MLP: (B, C) -> (B, C/r) -> (B, C)."""
        return self.W1(torch.relu(self.W0(pooled)))
