"""Scaled dot-product self-attention with several heads: every position reads from every other."""

import math

from torch import Tensor, nn

from attention_lite import checks, precision
from attention_lite.block import AttentionBlock
from attention_lite.fused import fused_attention


class ScaledDotProductAttention(AttentionBlock):
    """Multi-head scaled dot-product attention of Vaswani et al. (2017), *Attention Is All You Need*.

    A_i = softmax(Q_i K_i^T / sqrt(d_k)), head_i = A_i V_i  (Eq. 1);
    output = Concat(head_1 … head_h) W_O  (Sec. 3.2.2).

    Args:
        d_model: width of the tokens that come in and go out.
        d_k: width of queries and keys *of one head*. Default: d_model / h, as in the paper.
        d_v: width of values *of one head*. Default: d_model / h, as in the paper.
        h: number of heads.
        dropout: rate at which attention weights are dropped in training; `attention` shows them undropped.
        bias: whether the four projections have biases. The paper's projections are matrices, without;
            torch.nn.MultiheadAttention has them by default.

    Raises:
        ValueError: if a size is not a positive integer, `dropout` is outside [0, 1), or `h` does not divide
            `d_model` while `d_k` or `d_v` is left to its default, or `bias` is not a boolean.

    With `ScaledDotProductAttention(d_model=512, d_k=512, d_v=512, h=8)` the queries are 8 · 512 wide: d_k and d_v
    count for one head.
    """

    def __init__(self, d_model: int = 512, d_k: int | None = None, d_v: int | None = None, h: int = 8,
                 dropout: float = 0.0, bias: bool = False) -> None:
        super().__init__()
        d_model = checks.positive_int("d_model", d_model)
        h = checks.positive_int("h", h)
        if d_k is None or d_v is None:
            checks.divides("h", h, "d_model", d_model)
        d_k = checks.positive_int("d_k", d_model // h if d_k is None else d_k)
        d_v = checks.positive_int("d_v", d_model // h if d_v is None else d_v)
        dropout = checks.probability("dropout", dropout)
        bias = checks.boolean("bias", bias)
        self.d_model, self.d_k, self.d_v, self.h, self.dropout = d_model, d_k, d_v, h, dropout
        self.W_Q = nn.Linear(d_model, h * d_k, bias=bias)
        self.W_K = nn.Linear(d_model, h * d_k, bias=bias)
        self.W_V = nn.Linear(d_model, h * d_v, bias=bias)
        self.W_O = nn.Linear(h * d_v, d_model, bias=bias)

    def attention(self, queries: Tensor, keys: Tensor | None = None, values: Tensor | None = None,
                  mask: Tensor | None = None, key_mask: Tensor | None = None) -> dict[str, Tensor]:
        """Return the attention weights.

        Args:
            queries: (B, N_q, d_model), floating point.
            keys: (B, N_k, d_model); default: `queries`, which makes it self-attention.
            values: (B, N_k, d_model); default: `keys`. They change no weight, and are checked all the same.
            mask: boolean, broadcastable to (B, h, N_q, N_k); True where a query may attend to a key
                (as in F.scaled_dot_product_attention; torch.nn.MultiheadAttention means the opposite). Two axes are
                (N_q, N_k); three are refused, for the first could be B or h: make them four.
            key_mask: boolean, (B, N_k); True where a key is there for all queries of its sample. Where sequences of
                some `lengths` are padded to N tokens, it is `torch.arange(N) < lengths[:, None]`.

        Returns:
            {"position": A}: A has shape (B, h, N_q, N_k), each value in [0, 1]; the last axis, over the keys,
            sums to one. A query that may attend to no key at all has a row of zeros.

        Raises:
            ValueError: if an argument has another type, dtype, number of dimensions, width, batch or length.
        """
        keys, values, mask = self._complete(queries, keys, values, mask, key_mask)
        Q, K = self._heads(self.W_Q(queries)), self._heads(self.W_K(keys))    # each (B, h, N, d_k)
        scores = precision.product(Q / math.sqrt(self.d_k), K.transpose(-2, -1))      # (B, h, N_q, N_k)
        if mask is None:
            return {"position": scores.softmax(dim=-1).to(Q.dtype)}
        A = scores.masked_fill(~mask, -math.inf).softmax(dim=-1).to(Q.dtype)
        return {"position": A.masked_fill(~mask.any(dim=-1, keepdim=True), 0.0)}  # no key to attend to: zeros

    def forward(self, queries: Tensor, keys: Tensor | None = None, values: Tensor | None = None,
                mask: Tensor | None = None, key_mask: Tensor | None = None) -> Tensor:
        """Return the attended values, (B, N_q, d_model), through torch's fused kernel.

        Args and errors are those of `attention`. The N_q × N_k map is not stored if the kernel can avoid it.
        A query that may attend to no key gets zeros from every head: its output is W_O's bias, if any.
        Second derivatives and forward-mode ones, which a fused kernel lacks, are there under
        `torch.nn.attention.sdpa_kernel(SDPBackend.MATH)`, which stores the map.
        """
        keys, values, mask = self._complete(queries, keys, values, mask, key_mask)
        Q, K, V = self._heads(self.W_Q(queries)), self._heads(self.W_K(keys)), self._heads(self.W_V(values))
        dropout = self.dropout if self.training else 0.0
        heads = fused_attention(Q, K, V, 1 / math.sqrt(self.d_k), mask, dropout)                  # (B, h, N_q, d_v)
        if mask is not None:                             # torch before 2.5 answers NaN for an empty row
            heads = heads.masked_fill(~mask.any(dim=-1, keepdim=True), 0.0)
        return self.W_O(heads.transpose(1, 2).flatten(2))               # (B, N_q, h·d_v) -> (B, N_q, d_model)

    def _heads(self, x: Tensor) -> Tensor:
        """Split the last axis into heads: (B, N, h·d) -> (B, h, N, d)."""
        return x.unflatten(-1, (self.h, -1)).transpose(1, 2)

    def _complete(self, queries: Tensor, keys: Tensor | None, values: Tensor | None, mask: Tensor | None,
                  key_mask: Tensor | None) -> tuple[Tensor, Tensor, Tensor | None]:
        """Fill in the default keys and values, make both masks one of four dimensions, and check them all."""
        keys, values = checks.queries_keys_values(queries, keys, values, self.d_model, self.W_Q)
        if mask is not None:
            mask = checks.boolean_mask("mask", mask, (queries.shape[0], self.h, queries.shape[1], keys.shape[1]))
        if key_mask is not None:
            checks.key_mask("key_mask", key_mask, keys.shape[:2])
            of_keys = key_mask[:, None, None]                             # (B, 1, 1, N_k)
            mask = of_keys if mask is None else mask & of_keys
        return keys, values, mask
