"""Selective kernels: each channel picks its receptive field from several."""

import torch
from torch import Tensor, nn

from attention_lite import checks
from attention_lite.block import AttentionBlock, untouched
from attention_lite.pooled_norm import PooledBatchNorm


class SKAttention(AttentionBlock):
    """Selective kernel convolution SK[M, G, r] of Li et al. (2019), *Selective Kernel Networks*.

    Split: U_m = relu(BN(conv_m(x))), m = 1 … M. Fuse: U = sum of the U_m  (Eq. 1); s = GAP(U)  (Eq. 2);
    z = relu(BN(W s)), d = max(C / r, L) wide  (Eq. 3, 4). Select: a = softmax over the M branches, for each channel
    (Eq. 5); output = sum of a_m * U_m  (Eq. 6).

    Args:
        channel: C, the number of channels of input and output.
        reduction: r, which must divide C. The paper's default is 16.
        M: number of branches. Branch m is a 3 × 3 convolution dilated m times: 3 × 3, "5 × 5", "7 × 7" and so on,
            as the paper builds its larger kernels. The paper's default is 2.
        group: G, the convolutions' groups, which must divide C. The paper's default is 32.
        L: the least width of z. The paper's default is 32.
        stride: stride of the convolutions, for a network that shrinks its map here.

    Raises:
        ValueError: if a size is not a positive integer, or `reduction` or `group` does not divide `channel`.
    """

    def __init__(self, channel: int = 512, reduction: int = 16, M: int = 2, group: int = 32, L: int = 32,
                 stride: int = 1) -> None:
        super().__init__()
        sizes = {"channel": channel, "reduction": reduction, "M": M, "group": group, "L": L, "stride": stride}
        channel, reduction, M, group, L, stride = (checks.positive_int(name, size) for name, size in sizes.items())
        checks.divides("reduction", reduction, "channel", channel)
        checks.divides("group", group, "channel", channel)
        self.channel, self.stride = channel, stride
        self.branches = nn.ModuleList(nn.Sequential(
            nn.Conv2d(channel, channel, 3, stride, padding=m, dilation=m, groups=group, bias=False),
            nn.BatchNorm2d(channel), nn.ReLU()) for m in range(1, M + 1))
        d = max(channel // reduction, L)
        self.compact = nn.Sequential(nn.Linear(channel, d, bias=False), PooledBatchNorm(d), nn.ReLU())
        self.select = nn.Linear(d, M * channel, bias=False)       # the paper's A, B, … one below the other

    def attention(self, x: Tensor) -> dict[str, Tensor]:
        """Return how much each channel takes from each branch.

        Args:
            x: feature map, (B, C, H, W), floating point.

        Returns:
            {"kernel": a}: a has shape (B, M, C), each value in (0, 1); axis 1, over the branches, sums to one.

        Raises:
            ValueError: if `x` is not a (B, C, H, W) tensor with C = `channel` and the dtype of the weights.
        """
        with untouched(self):
            return {"kernel": self._weigh(self._split(x))}

    def forward(self, x: Tensor) -> Tensor:
        """Return the selected mixture of the branches: (B, C, H, W) -> (B, C, H', W'), H' = ceil(H / stride).

        Args and errors are those of `attention`.
        """
        U = self._split(x)
        a = self._weigh(U).to(U[0].dtype)[..., None, None]        # (B, M, C, 1, 1)
        V = U[0] * a[:, 0]
        for m in range(1, len(U)):
            V = torch.addcmul(V, U[m], a[:, m])                   # V + U_m * a_m in one pass
        return V

    def _split(self, x: Tensor) -> list[Tensor]:
        """The branches: M maps (B, C, H', W')."""
        checks.feature_map("x", x, self.channel, self.branches[0][0])
        checks.normalisable("x", x, self.branches, self.stride)
        return [branch(x) for branch in self.branches]

    def _weigh(self, U: list[Tensor]) -> Tensor:
        """Fuse the branches and weigh them: (B, M, C)."""
        s = sum(u.mean(dim=(2, 3)) for u in U)                    # GAP of the sum is the sum of the GAPs: (B, C)
        z = self.compact(s)                                       # (B, d)
        return self.select(z).unflatten(1, (len(U), -1)).softmax(dim=1)
