"""Read a digit that another place points out: the network of cued search and one digit, and its controls."""

import torch
from torch import Tensor, nn

from attention_lite.networks.layers import build, conv_bn_relu
from attention_lite.self_attention import ScaledDotProductAttention


class SearchNet(nn.Module):
    """Read a digit that another place in the picture points out: the network of the tasks cued search and one digit.

    (B, 3, 48, 48) -> 16 channels, stride 2 -> 32, stride 2 -> 48 on 12 × 12 places -> `block` -> 48 -> global max
    -> 10 classes.
    """

    width = 48
    grid = (12, 12)      # places that the block sees, for 48 × 48 pixels

    def __init__(self, block: nn.Module) -> None:
        super().__init__()
        self.stem = nn.Sequential(conv_bn_relu(3, 16, 5, 2), conv_bn_relu(16, 32, 3, 2), conv_bn_relu(32, self.width))
        self.block = block
        self.tail = conv_bn_relu(self.width, self.width)
        self.head = nn.Sequential(nn.Linear(self.width, self.width), nn.ReLU(), nn.Linear(self.width, 10))

    def forward(self, x: Tensor) -> Tensor:
        """Class scores: (B, 3, H, W) -> (B, 10)."""
        return self.head(self.tail(self.block(self.stem(x))).amax((2, 3)))


class PositionMixer(nn.Module):
    """Self-attention over the places of a feature map, with layer norm before and the input added after.

    x + sa(LN(x)), where the places become tokens: (B, C, H, W) -> (B, H·W, C) and back.
    Queries and keys start equal, so that the first maps are plain self-similarity. W_O starts at zero, so that the
    block starts as the identity and the convolutions learn first.
    """

    def __init__(self, channel: int, d_k: int = 16, h: int = 4) -> None:
        super().__init__()
        self.norm = nn.LayerNorm(channel)
        self.sa = ScaledDotProductAttention(channel, d_k, d_k, h)
        with torch.no_grad():
            self.sa.W_K.weight.copy_(self.sa.W_Q.weight)
            self.sa.W_O.weight.zero_()

    def forward(self, x: Tensor) -> Tensor:
        """(B, C, H, W) -> (B, C, H, W)."""
        tokens = self.norm(x.flatten(2).transpose(1, 2))
        return x + self.sa(tokens).transpose(1, 2).unflatten(2, x.shape[2:])


class LocalMixer(nn.Module):
    """Control for self-attention: a residual 3×3 convolution, about as many parameters, that sees neighbours only.

    It starts as the identity, as PositionMixer does: its last batch norm starts at zero.
    """

    def __init__(self, channel: int, hidden: int) -> None:
        super().__init__()
        self.mix = nn.Sequential(conv_bn_relu(channel, hidden, 1), conv_bn_relu(hidden, hidden),
                                 nn.Conv2d(hidden, channel, 1, bias=False), nn.BatchNorm2d(channel))
        nn.init.zeros_(self.mix[-1].weight)

    def forward(self, x: Tensor) -> Tensor:
        """(B, C, H, W) -> (B, C, H, W)."""
        return torch.relu(x + self.mix(x))


def search_net(model: str) -> SearchNet:
    """SearchNet with the block called `model`: "self-attention", or a control: "none", "conv".

    Raises:
        ValueError: for any other name.
    """
    c = SearchNet.width
    return SearchNet(build(model, {
        "self-attention": lambda: PositionMixer(c), "none": nn.Identity, "conv": lambda: LocalMixer(c, hidden=32)}))
