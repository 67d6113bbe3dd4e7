"""Read a digit, given context from elsewhere: the network of context gating, and its controls."""

import torch
from torch import Tensor, nn

from attention_lite import checks
from attention_lite.block import AttentionBlock
from attention_lite.eca import ECAAttention
from attention_lite.global_context import GlobalContextBlock
from attention_lite.networks.layers import build, conv_bn_relu
from attention_lite.networks.slot import slot_blocks


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


class LocalGate(AttentionBlock):
    """Control for SE: the same two layers and the same sigmoid gate, computed at each place from that place alone.

    It has exactly SE's parameters and lacks one thing: the squeeze, which looks at the whole image.
    Arguments and errors are those of `SEAttention`.
    """

    def __init__(self, channel: int, reduction: int) -> None:
        super().__init__()
        channel, reduction = _check_widths(channel, reduction)
        self.channel = channel
        self.W1 = nn.Conv2d(channel, channel // reduction, 1, bias=False)
        self.W2 = nn.Conv2d(channel // reduction, channel, 1, bias=False)

    def attention(self, x: Tensor) -> dict[str, Tensor]:
        """{"channel_and_place": (B, C, H, W)}, each value in (0, 1)."""
        checks.feature_map("x", x, self.channel, self.W1)
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
        channel, reduction = _check_widths(channel, reduction)
        self.channel = channel
        self.W1 = nn.Linear(channel, channel // reduction, bias=False)
        self.W2 = nn.Linear(channel // reduction, channel, bias=False)

    def forward(self, x: Tensor) -> Tensor:
        """(B, C, H, W) -> (B, C, H, W)."""
        checks.feature_map("x", x, self.channel, self.W1)
        context = self.W2(torch.relu(self.W1(x.mean((2, 3)))))
        return torch.relu(x + context[:, :, None, None])


class Shuffled(AttentionBlock):
    """Control for ECA: the same block on channels in another order, fixed for good, and the order restored after.

    A block that treats channels alike, whatever their numbers, does not notice.

    Args:
        block: a block whose `attention` returns {"channel": (B, C)}.
        order: (C,), a permutation of the channels' numbers.
    """

    def __init__(self, block: AttentionBlock, order: Tensor) -> None:
        super().__init__()
        self.block = block
        self.register_buffer("order", order)

    def attention(self, x: Tensor) -> dict[str, Tensor]:
        """{"channel": (B, C)}, in the order of the input's channels."""
        gates = self.block.attention(x[:, self.order])["channel"]
        return {"channel": gates[:, self.order.argsort()]}

    def forward(self, x: Tensor) -> Tensor:
        """(B, C, H, W) -> (B, C, H, W)."""
        return x * self.attention(x)["channel"][:, :, None, None]


def global_context(channel: int, reduction: int) -> GlobalContextBlock:
    """The block as its authors start it: as the identity."""
    block = GlobalContextBlock(channel, reduction)
    for p in block.W_v2.parameters():
        nn.init.zeros_(p)
    return block


def context_net(model: str) -> ContextNet:
    """ContextNet with the block called `model`: one of `slot_blocks`, a control of SE or ECA, or global context.

    "local-gate", "added-context": see LocalGate and AddedContext. "eca-shuffled": ECA whose channels stand in another
    order from the first step of the training on. "global-context": see GlobalContextBlock.

    Raises:
        ValueError: for any other name.
    """
    c = ContextNet.width
    return ContextNet(build(model, slot_blocks(c) | {
        "local-gate": lambda: LocalGate(c, reduction=4), "added-context": lambda: AddedContext(c, reduction=4),
        "eca-shuffled": lambda: Shuffled(ECAAttention(c), torch.randperm(c)),
        "global-context": lambda: global_context(c, reduction=4)}))


def _check_widths(channel: int, reduction: int) -> tuple[int, int]:
    channel = checks.positive_int("channel", channel)
    reduction = checks.positive_int("reduction", reduction)
    checks.divides("reduction", reduction, "channel", channel)
    return channel, reduction
