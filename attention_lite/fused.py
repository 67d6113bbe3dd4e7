"""Scaled dot-product attention through torch's fused kernel, in the layout that the kernel asks for."""

import torch
import torch.nn.functional as F
from torch import Tensor


def fused_attention(Q: Tensor, K: Tensor, V: Tensor, scale: float, mask: Tensor | None = None,
                    dropout: float = 0.0) -> Tensor:
    """Return softmax(scale * Q K^T) V, (B, h, N_q, d_v), without storing the map.

    Args are those of F.scaled_dot_product_attention: Q (B, h, N_q, d_k), K (B, h, N_k, d_k), V (B, h, N_k, d_v).

    The kernels want queries, keys and values of one width, and the numbers of a token side by side in memory. For
    anything else F.scaled_dot_product_attention silently computes the whole map. Zeros at the end of a token change
    no product, and columns of zeros in V are cut off again.
    """
    d_v = V.shape[-1]
    Q, K, V = _of_one_width(Q, K, V)
    return F.scaled_dot_product_attention(Q, K, V, mask, dropout, scale=scale)[..., :d_v]


@torch.fx.wrap                               # torch.fx has no widths while it traces: its graph calls this
def _of_one_width(Q: Tensor, K: Tensor, V: Tensor) -> tuple[Tensor, ...]:
    width = max(Q.shape[-1], V.shape[-1])
    return tuple(_side_by_side(t, width) for t in (Q, K, V))


def _side_by_side(t: Tensor, width: int) -> Tensor:
    """Fill up the last axis with zeros, and let its numbers lie side by side."""
    short = width - t.shape[-1]
    t = F.pad(t, (0, short)) if short else t
    return t if t.stride(-1) == 1 else t.contiguous()
