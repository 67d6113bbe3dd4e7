"""Global context block: one map of places, shared by all queries, whose average is added to every place."""

import torch.nn.functional as F
from torch import Tensor, nn

from attention_lite import checks, precision
from attention_lite.block import AttentionBlock


class GlobalContextBlock(AttentionBlock):
    """Global context block of Cao et al. (2019).

    The paper is *GCNet: Non-local Networks Meet Squeeze-Excitation Networks and Beyond*, its section "Global Context
    Block":
    a_j = softmax over all places j of W_k x_j;  context = sum_j a_j x_j;
    output at every place i: x_i + W_v2 ReLU(LN(W_v1 context)).

    Args:
        channel: C, the number of channels of the input.
        reduction: r; the hidden layer has C / r units. The paper's default is 16.

    Raises:
        ValueError: if `channel` or `reduction` is not a positive integer, or `reduction` does not divide `channel`.

    The layers have biases, as in the authors' code; the paper's equation has none. That of W_k changes nothing: a
    softmax does not see what is added to all its scores. The authors' code lets W_v2 start at zero, so that the block
    starts as the identity; here every layer starts as torch draws it.
    """

    def __init__(self, channel: int = 512, reduction: int = 16) -> None:
        super().__init__()
        channel = checks.positive_int("channel", channel)
        reduction = checks.positive_int("reduction", reduction)
        checks.divides("reduction", reduction, "channel", channel)
        hidden = channel // reduction
        self.channel = channel
        self.W_k = nn.Conv2d(channel, 1, 1)                       # one score a place
        self.W_v1 = nn.Linear(channel, hidden)
        self.norm = nn.LayerNorm(hidden)
        self.W_v2 = nn.Linear(hidden, channel)

    def attention(self, x: Tensor) -> dict[str, Tensor]:
        """Return the one map of `x`.

        Args:
            x: feature map, (B, C, H, W), floating point.

        Returns:
            {"context": a}: shape (B, H, W), the weight of each place in the average that all places read. The weights
            of a picture sum to one.

        Raises:
            ValueError: if `x` is not a (B, C, H, W) tensor with C = `channel` and the dtype of the weights.
        """
        return {"context": self._weights(x)[:, 0].unflatten(1, x.shape[2:]).to(x.dtype)}

    def forward(self, x: Tensor) -> Tensor:
        """Return `x` plus what its context brings: (B, C, H, W) -> (B, C, H, W).

        Args and errors are those of `attention`.
        """
        a = self._weights(x).to(x.dtype)                          # (B, 1, N)
        context = (x.flatten(2) @ a.transpose(1, 2))[..., 0]      # (B, C, N) @ (B, N, 1) -> (B, C)
        brought = self.W_v2(F.relu(self.norm(self.W_v1(context.to(x.dtype)))))
        return x + brought[:, :, None, None].to(x.dtype)

    def _weights(self, x: Tensor) -> Tensor:
        """Return a (B, 1, N), in float32 at least: half precision does not hold large scores."""
        checks.feature_map("x", x, self.channel, self.W_k)
        scores = precision.applied(self.W_k, precision.widened(x))                 # (B, 1, H, W)
        return scores.flatten(2).softmax(dim=-1)
