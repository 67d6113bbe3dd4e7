"""Does a line of text stand upright or upside down? A small MobileNetV3 with nine squeeze-and-excitation blocks."""

import torch.nn.functional as F
from torch import Tensor, nn

from attention_lite import checks
from attention_lite.networks.layers import Normalise
from attention_lite.networks.text_detector import steep_sigmoid
from attention_lite.se import SEAttention


class InvertedResidual(nn.Module):
    """Widen, look at neighbours, gate, narrow: the block of MobileNetV3 (Howard et al. 2019, Fig. 4)."""

    def __init__(self, c_in: int, kernel: int, hidden: int, c_out: int, gated: bool, act: type[nn.Module],
                 halve: bool) -> None:
        super().__init__()
        self.widen = nn.Sequential(nn.Conv2d(c_in, hidden, 1, bias=False), nn.BatchNorm2d(hidden), act())
        self.neighbours = nn.Sequential(
            nn.Conv2d(hidden, hidden, kernel, (2, 1) if halve else 1, kernel // 2, groups=hidden, bias=False),
            nn.BatchNorm2d(hidden), act())
        self.se = SEAttention(hidden, 4, bias=True, sigmoid=steep_sigmoid) if gated else nn.Identity()
        self.narrow = nn.Sequential(nn.Conv2d(hidden, c_out, 1, bias=False), nn.BatchNorm2d(c_out))
        self.residual = c_in == c_out and not halve

    def forward(self, x: Tensor) -> Tensor:
        """(B, c_in, H, W) -> (B, c_out, H or H / 2, W)."""
        y = self.narrow(self.se(self.neighbours(self.widen(x))))
        return x + y if self.residual else y


# Kernel, hidden channels, channels out, whether gated, activation, whether the height is halved.
BLOCKS = (
    (3, 8, 8, True, nn.ReLU, True), (3, 24, 8, False, nn.ReLU, True), (3, 32, 8, False, nn.ReLU, False),
    (5, 32, 16, True, nn.Hardswish, True), (5, 88, 16, True, nn.Hardswish, False),
    (5, 88, 16, True, nn.Hardswish, False), (5, 40, 16, True, nn.Hardswish, False),
    (5, 48, 16, True, nn.Hardswish, False), (5, 104, 32, True, nn.Hardswish, True),
    (5, 200, 32, True, nn.Hardswish, False), (5, 200, 32, True, nn.Hardswish, False),
)


class TextDirection(nn.Module):
    """The probabilities that a line of text stands upright and upside down: PP-OCR's first mobile direction classifier.

    `record_attention` names the gates blocks.0.se, blocks.3.se, blocks.4.se … blocks.10.se.
    """

    def __init__(self) -> None:
        super().__init__()
        self.normalise = Normalise((0.5, 0.5, 0.5), (0.5, 0.5, 0.5))
        self.first = nn.Sequential(nn.Conv2d(3, 8, 3, 2, 1, bias=False), nn.BatchNorm2d(8), nn.Hardswish())
        widths = (8, *(block[2] for block in BLOCKS))
        self.blocks = nn.Sequential(*(InvertedResidual(c, *block) for c, block in zip(widths, BLOCKS, strict=False)))
        self.last = nn.Sequential(nn.Conv2d(32, 200, 1, bias=False), nn.BatchNorm2d(200), nn.Hardswish())
        self.classify = nn.Linear(200, 2)

    def forward(self, x: Tensor) -> Tensor:
        """Lines of text (B, 3, 48, 192), RGB in [0, 1], to probabilities (B, 2), upright first; each row sums to one.

        Raises:
            ValueError: if `x` has another shape or dtype.
        """
        checks.feature_map("x", x, 3, self.classify.weight)
        if x.shape[2:] != (48, 192):
            raise ValueError(f"x must hold lines of text of 48 × 192 pixels, got shape {tuple(x.shape)}")
        x = self.last(self.blocks(self.first(self.normalise(x).flip(1))))      # blue first, as it was stored to see
        return self.classify(F.max_pool2d(x, 2).mean((2, 3))).softmax(1)
