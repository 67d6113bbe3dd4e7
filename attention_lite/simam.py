"""SimAM: a gate for every number of a feature map, by how far it lies from its channel's mean. Nothing is learned."""

import torch
from torch import Tensor

from attention_lite import checks, precision
from attention_lite.block import AttentionBlock


class SimAM(AttentionBlock):
    """SimAM of Yang et al. (2021).

    The paper is *SimAM: A Simple, Parameter-Free Attention Module for Convolutional Neural Networks*.
    e = 4 (s² + lam) / ((x - m)² + 2 s² + 2 lam), with m and s² the mean and the variance of x's channel  (Eq. 5);
    output = sigmoid(1 / e) * x  (Eq. 6).
    What is left of 1 / e is (x - m)² / (4 (s² + lam)) + 1/2: the farther from the mean, to either side, the more open.

    Args:
        lam: the paper's lambda, which keeps a constant channel from a division by zero. Its default is 1e-4.
        published: whether the variance is that of the authors' code, which divides by one place fewer.

    Raises:
        ValueError: if `lam` is not a positive number or `published` is not a boolean.
    """

    def __init__(self, lam: float = 1e-4, published: bool = False) -> None:
        super().__init__()
        self.lam = checks.positive_number("lam", lam)
        self.published = checks.boolean("published", published)

    def attention(self, x: Tensor) -> dict[str, Tensor]:
        """Return the gates of `x`.

        Args:
            x: feature map, (B, C, H, W), floating point, any number of channels; of two places or more, if `published`.

        Returns:
            {"channel_and_place": s}: shape (B, C, H, W), each value above sigmoid(1/2) = 0.622, or at it, up to 1.
            No axis sums to one.

        Raises:
            ValueError: if `x` is not a (B, C, H, W) tensor, or has one place alone, if `published`.
        """
        return {"channel_and_place": self._gates(x).to(x.dtype)}

    def forward(self, x: Tensor) -> Tensor:
        """Return `x` multiplied by its gates: (B, C, H, W) -> (B, C, H, W).

        Args and errors are those of `attention`.
        """
        return x * self._gates(x).to(x.dtype)

    def _gates(self, x: Tensor) -> Tensor:
        """Return s (B, C, H, W), in float32 at least: half precision does not hold the square of a large number."""
        checks.feature_map("x", x, None, self)
        if self.published and not checks.traced(x) and x.shape[2] * x.shape[3] == 1:
            raise ValueError(f"x must have two places or more if published is True, got shape {tuple(x.shape)}")
        wide = precision.widened(x)
        d = (wide - wide.mean(dim=(2, 3), keepdim=True)).square()                  # (x - m)²
        s2 = d.mean(dim=(2, 3), keepdim=True)                                      # (B, C, 1, 1)
        if self.published:
            places = x.shape[2] * x.shape[3]
            s2 = s2 * (places / (places - 1))
        return torch.sigmoid(d / (4 * (s2 + self.lam)) + 0.5)
