"""Read a digit that another place points out: the network of cued search and one digit."""

from torch import Tensor, nn

from attention_lite.networks.layers import build, conv_bn_relu
from attention_lite.networks.slot import emsa, slot_blocks


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


def search_net(model: str) -> SearchNet:
    """SearchNet with the block called `model`: one of `slot_blocks`, or a variant of EMSA.

    "emsa" shrinks keys and values by 2, "emsa-1" and "emsa-4" by 1 and 4; "emsa-plain" shrinks them by 2 and has
    neither convolution nor instance norm.

    Raises:
        ValueError: for any other name.
    """
    c = SearchNet.width
    return SearchNet(build(model, slot_blocks(c) | {
        "emsa-1": lambda: emsa(c, ratio=1), "emsa-4": lambda: emsa(c, ratio=4),
        "emsa-plain": lambda: emsa(c, apply_transform=False)}))


class WideSearchNet(SearchNet):
    """SearchNet with twice the channels from the block on."""

    width = 96


def wide_search_net(model: str) -> WideSearchNet:
    """WideSearchNet with the block called `model`, one of `slot_blocks`.

    Raises:
        ValueError: for any other name.
    """
    return WideSearchNet(build(model, slot_blocks(WideSearchNet.width)))
