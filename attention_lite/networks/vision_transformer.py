"""A vision transformer: a photograph's patches become tokens, and twelve layers of self-attention read them."""

import math
from itertools import pairwise

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from attention_lite import checks
from attention_lite.networks.layers import Normalise
from attention_lite.self_attention import ScaledDotProductAttention

IMAGENET_MEAN, IMAGENET_STD = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)


class TransformerLayer(nn.Module):
    """x + s1 · attention(LN(x)), then x + s2 · MLP(LN(x)); each addition has a scale a channel, s."""

    def __init__(self, d_model: int, h: int) -> None:
        super().__init__()
        self.norm1, self.norm2 = (nn.LayerNorm(d_model, eps=1e-6) for _ in range(2))
        self.attention = ScaledDotProductAttention(d_model, h=h, bias=True)
        self.mlp = nn.Sequential(nn.Linear(d_model, 4 * d_model), nn.GELU(), nn.Linear(4 * d_model, d_model))
        self.scale1, self.scale2 = (nn.Parameter(torch.ones(d_model)) for _ in range(2))

    def forward(self, x: Tensor) -> Tensor:
        """(B, N, d_model) -> (B, N, d_model)."""
        x = x + self.scale1 * self.attention(self.norm1(x))
        return x + self.scale2 * self.mlp(self.norm2(x))


class VisionTransformer(nn.Module):
    """The ViT of Dosovitskiy et al. (2021) with the layer scale of DINOv2, Oquab et al. (2024); "small" by default.

    Args:
        d_model, depth, h: width of the tokens, number of layers, heads of each.
        patch: side of a patch in pixels.
        grid: side of the position table in patches; for photographs of another size it is resized.

    Raises:
        ValueError: if a size is not a positive integer, or `h` does not divide `d_model`.

    `record_attention` names its maps layers.0.attention … layers.11.attention. Token 0 is the class token.
    """

    def __init__(self, d_model: int = 384, depth: int = 12, h: int = 6, patch: int = 14, grid: int = 37) -> None:
        super().__init__()
        depth, patch, grid = (checks.positive_int(name, value)
                              for name, value in (("depth", depth), ("patch", patch), ("grid", grid)))
        self.layers = nn.ModuleList(TransformerLayer(d_model, h) for _ in range(depth))
        self.patch = patch
        self.normalise = Normalise(IMAGENET_MEAN, IMAGENET_STD)
        self.patches = nn.Conv2d(3, d_model, patch, stride=patch)
        self.class_token = nn.Parameter(0.02 * torch.randn(1, 1, d_model))
        self.positions = nn.Parameter(0.02 * torch.randn(1, 1 + grid**2, d_model))
        self.norm = nn.LayerNorm(d_model, eps=1e-6)

    def forward(self, x: Tensor) -> Tensor:
        """Photographs (B, 3, H, W), RGB in [0, 1], to tokens (B, 1 + H/patch · W/patch, d_model), row by row.

        Raises:
            ValueError: if `x` has another shape or dtype, or `patch` does not divide H and W.
        """
        x = self.embed(x)
        for layer in self.layers:
            x = layer(x)
        return self.norm(x)

    def embed(self, x: Tensor) -> Tensor:
        """The tokens that the first layer gets: class token and patches, with their positions. See `forward`."""
        checks.feature_map("x", x, 3, self.patches)
        checks.sides("x", x, self.patch)
        x = self.patches(self.normalise(x))                                        # (B, d_model, rows, columns)
        positions = self.resized_positions(*x.shape[2:])
        return torch.cat([self.class_token.expand(len(x), -1, -1), x.flatten(2).transpose(1, 2)], 1) + positions

    def resized_positions(self, rows: int, columns: int) -> Tensor:
        """The position table for rows × columns patches, (1, 1 + rows · columns, d_model), by bicubic interpolation."""
        own, table = self.positions[:, :1], self.positions[:, 1:].transpose(1, 2)
        table = F.interpolate(table.unflatten(2, (math.isqrt(table.shape[2]), -1)), (rows, columns), mode="bicubic")
        return torch.cat([own, table.flatten(2).transpose(1, 2)], 1)


class SaliencyNet(nn.Module):
    """A map of salient regions: a VisionTransformer, then three transposed convolutions on its patches' tokens."""

    def __init__(self, transformer: VisionTransformer, channels: tuple[int, ...] = (384, 256, 128, 64)) -> None:
        super().__init__()
        self.transformer = transformer
        ups = [nn.Sequential(nn.ConvTranspose2d(a, b, 4, stride=2, padding=1), nn.BatchNorm2d(b), nn.ReLU())
               for a, b in pairwise(channels)]
        self.head = nn.Sequential(*ups, nn.Conv2d(channels[-1], 1, 1))

    def forward(self, x: Tensor) -> Tensor:
        """Photographs as the transformer takes them, (B, 3, H, W), to maps (B, H, W), each value in (0, 1)."""
        tokens = self.transformer(x)[:, 1:].transpose(1, 2)                        # (B, d_model, N)
        grid = [side // self.transformer.patch for side in x.shape[2:]]
        maps = self.head(tokens.unflatten(2, grid))                                # (B, 1, 8 rows, 8 columns)
        return F.interpolate(maps, size=x.shape[2:], mode="bilinear").sigmoid()[:, 0]
