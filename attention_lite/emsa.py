"""Efficient multi-head self-attention: keys and values from a shrunken map."""

import math

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from attention_lite import checks, precision
from attention_lite.block import AttentionBlock
from attention_lite.fused import fused_attention

EPS = 1e-5                                   # under IN's root


class EMSA(AttentionBlock):
    """Efficient multi-head self-attention of Zhang & Yang (2021), *ResT*.

    Keys and values come from LN(DWConv(x)), a depth-wise convolution of kernel s + 1, stride s and padding s / 2;
    EMSA(Q, K, V) = IN(softmax(Conv(Q K^T / sqrt(d_k)))) V for all heads together, Conv a 1 × 1 convolution that
    mixes the heads, IN an instance norm of each head's map; then the heads are concatenated and projected.

    Args:
        d_model: width of the tokens that come in and go out.
        d_k: width of queries and keys *of one head*. Default: d_model / h, as in the paper.
        d_v: width of values *of one head*. Default: d_model / h, as in the paper.
        h: number of heads.
        H, W: height and width of the map whose places are the tokens, row by row. Default: the map is a square
            (for torch.export, a free number of tokens is then Dim.DYNAMIC: no range holds squares only).
        ratio: s, by which height and width of keys and values shrink; 1 leaves them as they are. ResT takes 8, 4,
            2, 1 in its four stages.
        apply_transform: whether Conv and IN are there. As in the published code, a single head has neither.
        bias: whether projections and Conv have biases, as in the published networks.

    Raises:
        ValueError: if a size is not a positive integer, a switch is not a boolean, only one of H and W is given, or
            `h` does not divide `d_model` while `d_k` or `d_v` is left to its default.

    After IN the weights of a row sum to 0, not 1, and about half of them or more are negative: the map is not a
    distribution. With `ratio=1` and `apply_transform=False` this is ScaledDotProductAttention.
    """

    def __init__(self, d_model: int = 512, d_k: int | None = None, d_v: int | None = None, h: int = 8,
                 H: int | None = None, W: int | None = None, ratio: int = 1, apply_transform: bool = True,
                 bias: bool = False) -> None:
        super().__init__()
        d_model = checks.positive_int("d_model", d_model)
        h = checks.positive_int("h", h)
        if d_k is None or d_v is None:
            checks.divides("h", h, "d_model", d_model)
        d_k = checks.positive_int("d_k", d_model // h if d_k is None else d_k)
        d_v = checks.positive_int("d_v", d_model // h if d_v is None else d_v)
        if (H is None) != (W is None):
            raise ValueError(f"H and W must be given together or not at all, got H={H} and W={W}")
        if H is not None:
            H, W = checks.positive_int("H", H), checks.positive_int("W", W)
        ratio = checks.positive_int("ratio", ratio)
        apply_transform = checks.boolean("apply_transform", apply_transform)
        bias = checks.boolean("bias", bias)
        self.d_model, self.d_k, self.h, self.ratio = d_model, d_k, h, ratio
        self.size = None if H is None else (H, W)
        self.W_Q = nn.Linear(d_model, h * d_k, bias=bias)
        self.W_K = nn.Linear(d_model, h * d_k, bias=bias)
        self.W_V = nn.Linear(d_model, h * d_v, bias=bias)
        self.W_O = nn.Linear(h * d_v, d_model, bias=bias)
        self.shrink = self.norm = self.mix = None
        if ratio > 1:
            self.shrink = nn.Conv2d(d_model, d_model, ratio + 1, ratio, padding=ratio // 2, groups=d_model)
            self.norm = nn.LayerNorm(d_model)
        if apply_transform and h > 1:
            self.mix = HeadMix(h, h, 1, bias=bias)

    def attention(self, queries: Tensor, keys: Tensor | None = None, values: Tensor | None = None
                  ) -> dict[str, Tensor]:
        """Return the weights with which the values are summed.

        Args:
            queries: (B, N_q, d_model), floating point.
            keys: (B, N, d_model), N = H · W; default: `queries`, which makes it self-attention.
            values: of the shape of keys; default: `keys`. They change no weight, and are checked all the same.

        Returns:
            {"position": A}: A has shape (B, h, N_q, N'), N' the places of the shrunken map. With the transform each
            row sums to 0, and values may have either sign; without it each row sums to 1, values in [0, 1].

        Raises:
            ValueError: if an argument has another type, dtype, number of dimensions, width, batch or length, if N is
                not H · W (or no square, where H and W were not given), if an odd ratio leaves nothing of the map, or if
                the transform would get a map of one single weight, which no instance norm can normalise.
        """
        keys, values = self._complete(queries, keys, values)
        Q, K = self._heads(self.W_Q(queries)), self._heads(self.W_K(self._reduce(keys)))
        return {"position": self._weights(Q, K).to(Q.dtype)}

    def forward(self, queries: Tensor, keys: Tensor | None = None, values: Tensor | None = None) -> Tensor:
        """Return the attended values, (B, N_q, d_model); without the transform, through torch's fused kernel.

        Args and errors are those of `attention`. Without the transform, second derivatives and forward-mode ones,
        which a fused kernel lacks, are there under `torch.nn.attention.sdpa_kernel(SDPBackend.MATH)`.
        """
        keys, values = self._complete(queries, keys, values)
        same, keys = values is keys, self._reduce(keys)
        values = keys if same else self._reduce(values)
        Q, K, V = self._heads(self.W_Q(queries)), self._heads(self.W_K(keys)), self._heads(self.W_V(values))
        # The kernel has no room for a transform.
        heads = fused_attention(Q, K, V, 1 / math.sqrt(self.d_k)) if self.mix is None else self._transformed(Q, K, V)
        return self.W_O(heads.transpose(1, 2).flatten(2))                     # (B, N_q, h·d_v) -> (B, N_q, d_model)

    def _weights(self, Q: Tensor, K: Tensor) -> Tensor:
        """The map of each head: (B, h, N_q, N')."""
        A = self._softmax(Q, K)
        return A if self.mix is None else F.instance_norm(A, eps=EPS)

    def _transformed(self, Q: Tensor, K: Tensor, V: Tensor) -> Tensor:
        """IN(A) V without a second map as large as A: (B, h, N_q, d_v).

        Rows of A sum to 1, so that A's mean is 1/N', (A - 1/N') V = A (V - mean V), and A's variance is
        mean(A²) - 1/N'².
        """
        A = self._softmax(Q, K)
        n = A.shape[-1]
        squares = torch.linalg.vector_norm(A, dim=-1, keepdim=True).square().mean(-2, keepdim=True)   # (B, h, 1, 1)
        heads = precision.product(A, V - V.mean(-2, keepdim=True))
        return (heads * (squares / n - 1 / n ** 2 + EPS).rsqrt()).to(V.dtype)

    def _softmax(self, Q: Tensor, K: Tensor) -> Tensor:
        """The weights before IN, each row a distribution: (B, h, N_q, N')."""
        return self._mixed(precision.product(Q / math.sqrt(self.d_k), K.transpose(-2, -1))).softmax(dim=-1)

    def _mixed(self, scores: Tensor) -> Tensor:
        """The scores of each head become a mixture of all heads': (B, h, N_q, N')."""
        return scores if self.mix is None else precision.applied(self.mix, scores)

    def _reduce(self, tokens: Tensor) -> Tensor:
        """Shrink the map that the tokens form: (B, N, d_model) -> (B, N', d_model)."""
        if self.shrink is None:
            return tokens
        map_ = tokens.transpose(1, 2).unflatten(2, _map_size(tokens.shape[1], self.size))
        return self.norm(self.shrink(map_).flatten(2).transpose(1, 2))

    def _heads(self, x: Tensor) -> Tensor:
        """Split the last axis into heads: (B, N, h·d) -> (B, h, N, d)."""
        return x.unflatten(-1, (self.h, -1)).transpose(1, 2)

    def _complete(self, queries: Tensor, keys: Tensor | None, values: Tensor | None) -> tuple[Tensor, Tensor]:
        """Fill in the default keys and values, and check all three."""
        keys, values = checks.queries_keys_values(queries, keys, values, self.d_model, self.W_Q)
        if checks.traced(keys):
            return keys, values
        size = _map_size(keys.shape[1], self.size)
        height, width = (self._shrunken(side) for side in size)
        if height < 1 or width < 1:
            raise ValueError(f"keys must form a map of 2 × 2 places or more for the odd ratio {self.ratio}, "
                             f"got {size[0]} × {size[1]}")
        if self.mix is not None and queries.shape[1] * height * width == 1:
            raise ValueError("queries and keys must give a map of two weights or more, or else "
                             "apply_transform must be False: got one query and one key")
        return keys, values

    def _shrunken(self, side: int) -> int:
        """Height or width after `shrink`: ceil(side / ratio) for an even ratio; an odd one is padded less."""
        s = self.ratio
        return side if s == 1 else (side - 1 - s % 2) // s + 1


class HeadMix(nn.Conv2d):
    """A 1 × 1 convolution across heads, (B, h, N_q, N') -> (B, h, N_q, N'), as a product of matrices.

    The processor's convolution of a few channels takes many times as long, and many times the memory.
    """

    def forward(self, scores: Tensor) -> Tensor:
        M = self.weight[:, :, 0, 0].expand(scores.shape[0], -1, -1)       # (B, h, h)
        mixed = (M @ scores.flatten(2)).view_as(scores)
        return mixed if self.bias is None else mixed + self.bias[:, None, None]


@torch.fx.wrap                               # torch.fx has no n while it traces: its graph calls this
def _map_size(n: int, size: tuple[int, int] | None) -> tuple[int, int]:
    """Height and width of the map that n tokens form: `size`, or a square."""
    side = torch.sym_int(n ** 0.5 + 0.5)                 # math.isqrt takes no n that is a symbol
    if size is None and side * side != n:
        raise ValueError(f"keys must hold a square number of tokens unless H and W are given, got {n}")
    height, width = size or (side, side)
    if height * width != n:
        raise ValueError(f"keys must hold H · W = {height} · {width} = {height * width} tokens, got {n}")
    return height, width
