"""What the lab's networks share."""

from collections.abc import Callable, Sequence

import torch
from torch import Tensor, nn


def conv_bn_relu(c_in: int, c_out: int, kernel: int = 3, stride: int = 1) -> nn.Sequential:
    """Convolution without bias, batch norm, ReLU; pads so that stride 1 keeps the size."""
    return nn.Sequential(nn.Conv2d(c_in, c_out, kernel, stride, kernel // 2, bias=False),
                         nn.BatchNorm2d(c_out), nn.ReLU(inplace=True))


class Normalise(nn.Module):
    """(x - mean) / std, channel by channel: what a trained network expects of a photograph in [0, 1]."""

    def __init__(self, mean: Sequence[float], std: Sequence[float]) -> None:
        super().__init__()
        self.register_buffer("mean", torch.tensor(mean)[:, None, None], persistent=False)
        self.register_buffer("std", torch.tensor(std)[:, None, None], persistent=False)

    def forward(self, x: Tensor) -> Tensor:
        """(B, C, H, W) -> (B, C, H, W)."""
        return (x - self.mean) / self.std


def build(model: str, blocks: dict[str, Callable[[], nn.Module]]) -> nn.Module:
    """Build the one of `blocks` that is called `model`; raise ValueError, with the names there are, for any other."""
    if model not in tuple(blocks):
        raise ValueError(f"model must be one of {', '.join(blocks)}; got {model!r}")
    return blocks[model]()
