"""External attention: every token reads from a small memory that all images share."""

from torch import Tensor, nn

from attention_lite import checks, precision
from attention_lite.block import AttentionBlock


class ExternalAttention(AttentionBlock):
    """External attention of Guo et al. (2021), *Beyond Self-attention: External Attention Using Two Linear Layers*.

    A = Norm(F M_k^T), Norm a softmax over the N *tokens* and then a division by the sum over the S slots
    (double normalisation);  F_out = A M_v. The memories M_k and M_v, S × d, are learned and the same for all samples.

    Args:
        d_model: d, width of the tokens that come in and go out; with several heads, of all heads together.
        S: number of memory slots. The paper's default is 64.
        h: number of heads. Each reads its d_model / h features from the same two memories; the heads are then
            concatenated and projected by W_O. A single head has no projection.

    Raises:
        ValueError: if a size is not a positive integer, or `h` does not divide `d_model`.

    The published network puts the block between 1 × 1 convolutions, adds 1e-9 to the sum over the slots, and
    starts M_v as M_k transposed. Here the division is a softmax of logarithms, which needs no such constant.
    """

    def __init__(self, d_model: int = 512, S: int = 64, h: int = 1) -> None:
        super().__init__()
        d_model = checks.positive_int("d_model", d_model)
        S = checks.positive_int("S", S)
        h = checks.positive_int("h", h)
        checks.divides("h", h, "d_model", d_model)
        self.d_model, self.h = d_model, h
        self.M_k = nn.Linear(d_model // h, S, bias=False)         # F M_k^T: the weight holds M_k, (S, d)
        self.M_v = nn.Linear(S, d_model // h, bias=False)         # A M_v: the weight holds M_v transposed, (d, S)
        self.W_O = nn.Linear(d_model, d_model, bias=False) if h > 1 else nn.Identity()

    def attention(self, x: Tensor) -> dict[str, Tensor]:
        """Return the attention of each token to each slot.

        Args:
            x: tokens F, (B, N, d_model), floating point.

        Returns:
            {"slot": A}: A has shape (B, h, N, S), each value in [0, 1]; the last axis, over the slots, sums to one.

        Raises:
            ValueError: if `x` is not a (B, N, d_model) tensor with N >= 1 and the dtype of the weights.
        """
        checks.tokens("x", x, self.d_model, self.M_k)
        heads = x.unflatten(-1, (self.h, -1)).transpose(1, 2)     # (B, h, N, d/h)
        logits = self.M_k(heads)                                  # (B, h, N, S)
        log_a = precision.widened(logits).log_softmax(dim=2)      # large negative numbers: float16 has few digits there
        # exp(log a) / sum_s exp(log a) = a / sum_s a, and no a underflows to 0 / 0 where logits are large.
        return {"slot": log_a.softmax(dim=3).to(logits.dtype)}

    def forward(self, x: Tensor) -> Tensor:
        """Return what the tokens read from the memory: (B, N, d_model) -> (B, N, d_model).

        Args and errors are those of `attention`.
        """
        heads = self.M_v(self.attention(x)["slot"])               # (B, h, N, d/h)
        return self.W_O(heads.transpose(1, 2).flatten(2))         # (B, N, d_model)
