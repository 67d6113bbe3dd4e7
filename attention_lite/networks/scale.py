"""Read one digit of any size with bottlenecks that look at several scales: the network of SK and PSA."""

from collections.abc import Callable

import torch
from torch import Tensor, nn

from attention_lite.networks.layers import build, conv_bn_relu
from attention_lite.psa import PSA, SEWeight
from attention_lite.sk import SKAttention


class Bottleneck(nn.Module):
    """relu(skip(x) + expand(middle(reduce(x)))), where `middle` takes the place of a 3 × 3 convolution."""

    def __init__(self, c_in: int, hidden: int, c_out: int, middle: nn.Module) -> None:
        super().__init__()
        self.reduce = conv_bn_relu(c_in, hidden, 1)
        self.middle = middle
        self.expand = nn.Sequential(nn.Conv2d(hidden, c_out, 1, bias=False), nn.BatchNorm2d(c_out))
        self.skip = nn.Identity()
        if c_in != c_out:
            self.skip = nn.Sequential(nn.Conv2d(c_in, c_out, 1, bias=False), nn.BatchNorm2d(c_out))

    def forward(self, x: Tensor) -> Tensor:
        """(B, c_in, H, W) -> (B, c_out, H, W)."""
        return torch.relu(self.skip(x) + self.expand(self.middle(self.reduce(x))))


class ScaleNet(nn.Module):
    """Three bottlenecks on 12 × 12 places.

    (B, 3, 48, 48) -> 16 channels, stride 2 -> 32, stride 2 -> three bottlenecks to 48 -> global max -> 10 classes.
    """

    widths = (16, 32, 48)
    hidden = 32

    def __init__(self, middle: Callable[[int], nn.Module]) -> None:
        super().__init__()
        a, b, c = self.widths
        self.stem = nn.Sequential(conv_bn_relu(3, a, 5, 2), conv_bn_relu(a, b, 3, 2))
        self.blocks = nn.Sequential(*(Bottleneck(c_in, self.hidden, c, middle(self.hidden)) for c_in in (b, c, c)))
        self.head = nn.Linear(c, 10)

    def forward(self, x: Tensor) -> Tensor:
        """Class scores: (B, 3, H, W) -> (B, 10)."""
        return self.head(self.blocks(self.stem(x)).amax((2, 3)))


class EvenSK(SKAttention):
    """Control for SK: the same branches, each with weight 1 / M whatever the picture."""

    def __init__(self, *args: int, **kwargs: int) -> None:
        super().__init__(*args, **kwargs)
        del self.compact, self.select

    def _weigh(self, U: list[Tensor]) -> Tensor:
        return U[0].new_full((len(U[0]), len(U), U[0].shape[1]), 1 / len(U))


class EvenPSA(PSA):
    """Control for PSA: the same splits, each with weight 1 / S whatever the picture."""

    def __init__(self, *args: int, **kwargs: int) -> None:
        super().__init__(*args, **kwargs)
        del self.weights

    def _weigh(self, F: list[Tensor]) -> Tensor:
        return F[0].new_full((len(F[0]), len(F), F[0].shape[1]), 1 / len(F))


class SEScores(SEWeight):
    """SEWeight without its sigmoid: any number, (B, C, H, W) -> (B, C)."""

    def forward(self, x: Tensor) -> Tensor:
        return self.W1(torch.relu(self.W0(x.mean(dim=(2, 3)))))


def open_psa(*args: int, **kwargs: int) -> PSA:
    """PSA whose softmax gets the scores themselves, not their sigmoids, and so may go from 0 to 1."""
    block = PSA(*args, **kwargs)
    block.weights = nn.ModuleList(SEScores(w.W0.in_features, w.W0.in_features // w.W0.out_features, bias=False)
                                  for w in block.weights)
    return block


def scale_net(model: str) -> ScaleNet:
    """ScaleNet with the blocks called `model`: "sk", "psa", or a control.

    "sk-even" and "psa-even" weigh all branches alike; "psa-open" is PSA without the inner sigmoid.

    Raises:
        ValueError: for any other name.
    """
    def sk(make: type[SKAttention]) -> Callable[[], ScaleNet]:
        return lambda: ScaleNet(lambda c: make(c, reduction=2, group=1, L=16))

    def psa(make: Callable[..., PSA]) -> Callable[[], ScaleNet]:
        return lambda: ScaleNet(lambda c: nn.Sequential(
            make(c, reduction=2, groups=(2, 4, 8, 8)), nn.BatchNorm2d(c), nn.ReLU()))

    return build(model, {"sk": sk(SKAttention), "sk-even": sk(EvenSK), "psa": psa(PSA), "psa-open": psa(open_psa),
                         "psa-even": psa(EvenPSA)})
