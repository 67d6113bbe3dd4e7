"""The small networks that the lab trains: a slot for an attention block in each, and controls that can stand there.

A control has the block's place and parameters but lacks what the block is said to bring.
"""

from collections.abc import Callable

import torch
from torch import Tensor, nn

from attention_lite import checks
from attention_lite.block import AttentionBlock
from attention_lite.se import SEAttention
from attention_lite.self_attention import ScaledDotProductAttention


def conv_bn_relu(c_in: int, c_out: int, kernel: int = 3, stride: int = 1) -> nn.Sequential:
    """Convolution without bias, batch norm, ReLU; pads so that stride 1 keeps the size."""
    return nn.Sequential(nn.Conv2d(c_in, c_out, kernel, stride, kernel // 2, bias=False),
                         nn.BatchNorm2d(c_out), nn.ReLU(inplace=True))


class ContextNet(nn.Module):
    """Read a digit, given context from elsewhere: the network of the task context gating.

    (B, 3, H, W) -> 24 channels, stride 2 -> 48, stride 2 -> `block` -> 64 -> 1×1 to 64 -> global max -> 10 classes.
    A unit before the global max sees 15 × 15 pixels: a digit, or the frame and at most the edge of a digit.
    """

    width = 48

    def __init__(self, block: nn.Module) -> None:
        super().__init__()
        self.stem = nn.Sequential(conv_bn_relu(3, 24, 3, 2), conv_bn_relu(24, self.width, 3, 2))
        self.block = block
        self.tail = nn.Sequential(conv_bn_relu(self.width, 64), conv_bn_relu(64, 64, 1))
        self.head = nn.Linear(64, 10)

    def forward(self, x: Tensor) -> Tensor:
        """Class scores: (B, 3, H, W) -> (B, 10)."""
        return self.head(self.tail(self.block(self.stem(x))).amax((2, 3)))


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


class LocalGate(AttentionBlock):
    """Control for SE: the same two layers and the same sigmoid gate, computed at each place from that place alone.

    It has exactly SE's parameters and lacks one thing: the squeeze, which looks at the whole image.
    Arguments and errors are those of `SEAttention`.
    """

    def __init__(self, channel: int, reduction: int) -> None:
        super().__init__()
        _check_widths(channel, reduction)
        self.channel = channel
        self.W1 = nn.Conv2d(channel, channel // reduction, 1, bias=False)
        self.W2 = nn.Conv2d(channel // reduction, channel, 1, bias=False)

    def attention(self, x: Tensor) -> dict[str, Tensor]:
        """{"channel_and_place": (B, C, H, W)}, each value in (0, 1)."""
        checks.feature_map("x", x, self.channel, self.W1.weight)
        return {"channel_and_place": torch.sigmoid(self.W2(torch.relu(self.W1(x))))}

    def forward(self, x: Tensor) -> Tensor:
        """(B, C, H, W) -> (B, C, H, W)."""
        return x * self.attention(x)["channel_and_place"]


class AddedContext(nn.Module):
    """Control for SE: the same squeeze and the same two layers, whose result is *added* before a ReLU: no gate at all.

    Arguments and errors are those of `SEAttention`.
    """

    def __init__(self, channel: int, reduction: int) -> None:
        super().__init__()
        _check_widths(channel, reduction)
        self.channel = channel
        self.W1 = nn.Linear(channel, channel // reduction, bias=False)
        self.W2 = nn.Linear(channel // reduction, channel, bias=False)

    def forward(self, x: Tensor) -> Tensor:
        """(B, C, H, W) -> (B, C, H, W)."""
        checks.feature_map("x", x, self.channel, self.W1.weight)
        context = self.W2(torch.relu(self.W1(x.mean((2, 3)))))
        return torch.relu(x + context[:, :, None, None])


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


def context_net(model: str) -> ContextNet:
    """ContextNet with the block called `model`: "se", or a control: "none", "local-gate", "added-context".

    Raises:
        ValueError: for any other name.
    """
    c = ContextNet.width
    return ContextNet(_build(model, {
        "se": lambda: SEAttention(c, reduction=4), "none": nn.Identity,
        "local-gate": lambda: LocalGate(c, reduction=4), "added-context": lambda: AddedContext(c, reduction=4)}))


def search_net(model: str) -> SearchNet:
    """SearchNet with the block called `model`: "self-attention", or a control: "none", "conv".

    Raises:
        ValueError: for any other name.
    """
    c = SearchNet.width
    return SearchNet(_build(model, {
        "self-attention": lambda: PositionMixer(c), "none": nn.Identity, "conv": lambda: LocalMixer(c, hidden=32)}))


def _build(model: str, blocks: dict[str, Callable[[], nn.Module]]) -> nn.Module:
    if model not in tuple(blocks):
        raise ValueError(f"model must be one of {', '.join(blocks)}; got {model!r}")
    return blocks[model]()


def _check_widths(channel: int, reduction: int) -> None:
    checks.positive_int("channel", channel)
    checks.positive_int("reduction", reduction)
    checks.divides("reduction", reduction, "channel", channel)
