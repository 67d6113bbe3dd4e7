"""What the lab's networks share."""

from collections.abc import Callable

from torch import nn


def conv_bn_relu(c_in: int, c_out: int, kernel: int = 3, stride: int = 1) -> nn.Sequential:
    """Convolution without bias, batch norm, ReLU; pads so that stride 1 keeps the size."""
    return nn.Sequential(nn.Conv2d(c_in, c_out, kernel, stride, kernel // 2, bias=False),
                         nn.BatchNorm2d(c_out), nn.ReLU(inplace=True))


def build(model: str, blocks: dict[str, Callable[[], nn.Module]]) -> nn.Module:
    """Build the one of `blocks` that is called `model`; raise ValueError, with the names there are, for any other."""
    if model not in tuple(blocks):
        raise ValueError(f"model must be one of {', '.join(blocks)}; got {model!r}")
    return blocks[model]()
