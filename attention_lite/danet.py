"""Dual attention: every place reads from every place, and every channel from every channel."""

import torch
from torch import Tensor, nn

from attention_lite import checks, precision
from attention_lite.block import AttentionBlock, untouched
from attention_lite.fused import fused_attention


class PositionAttentionModule(AttentionBlock):
    """Position attention module of Fu et al. (2019), *Dual Attention Network* (Sec. 3.2).

    s_ji = softmax over i of B_i · C_j  (Eq. 1), with no 1 / sqrt(d);  E_j = alpha * sum_i s_ji D_i + A_j  (Eq. 2).
    B, C and D are 1 × 1 convolutions of the input A: one linear map for all places. alpha is learned and starts at 0.

    Args:
        channel: number of channels of A, and of B, C and D.
        published: whether B and C have only an eighth of the channels, as in the authors' published code;
            `channel` must then be a multiple of 8.

    Raises:
        ValueError: if `channel` is not a positive integer (a multiple of 8 if `published`), or `published` is not
            a boolean.
    """

    def __init__(self, channel: int = 512, published: bool = False) -> None:
        super().__init__()
        channel = checks.positive_int("channel", channel)
        published = _check_published(published, "channel", channel)
        width = channel // 8 if published else channel
        self.channel = channel
        self.B = nn.Linear(channel, width)
        self.C = nn.Linear(channel, width)
        self.D = nn.Linear(channel, channel)
        self.alpha = nn.Parameter(torch.zeros(()))

    def reset_parameters(self) -> None:
        """Let alpha start at 0, where the block was built on the meta device; each layer starts itself."""
        nn.init.zeros_(self.alpha)

    def attention(self, x: Tensor) -> dict[str, Tensor]:
        """Return where each place reads from.

        Args:
            x: feature map A, (B, C, H, W), floating point. Place (row, column) is number row · W + column.

        Returns:
            {"position": S}: S has shape (B, 1, N, N), N = H · W, each value in [0, 1]; S[b, 0, j, i] is the weight
            with which place j reads from place i, and the last axis, over i, sums to one.

        Raises:
            ValueError: if `x` is not a (B, C, H, W) tensor with C = `channel` and the dtype of the weights.
        """
        checks.feature_map("x", x, self.channel, self.D)
        tokens = _tokens(x)                                                   # (B, 1, N, C): one head
        queries, keys = self.C(tokens), self.B(tokens)                        # each (B, 1, N, width)
        return {"position": precision.product(queries, keys.transpose(-2, -1)).softmax(dim=-1).to(queries.dtype)}

    def forward(self, x: Tensor) -> Tensor:
        """Return E: (B, C, H, W) -> (B, C, H, W), through torch's fused kernel, which stores no N × N map.

        Args and errors are those of `attention`. Second derivatives and forward-mode ones, which a fused
        kernel lacks, are there under `torch.nn.attention.sdpa_kernel(SDPBackend.MATH)`,
        which stores the map.
        """
        checks.feature_map("x", x, self.channel, self.D)
        tokens = _tokens(x).contiguous()                  # one copy into the kernel's layout, not one a projection
        read = fused_attention(self.C(tokens), self.B(tokens), self.D(tokens), scale=1.0)         # (B, 1, N, C)
        read = read[:, 0].transpose(1, 2).unflatten(2, x.shape[2:])           # (B, 1, N, C) -> (B, C, H, W)
        return torch.addcmul(x, self.alpha.to(x.dtype), read.to(x.dtype))     # x + alpha * read


class ChannelAttentionModule(AttentionBlock):
    """Channel attention module of Fu et al. (2019), *Dual Attention Network* (Sec. 3.3).

    x_ji = softmax over i of A_i · A_j, for channels i and j, with no projections  (Eq. 3);
    E_j = beta * sum_i x_ji A_i + A_j  (Eq. 4). beta is learned and starts at 0.

    Args:
        published: whether the logits have the sign of the authors' published code, which takes the softmax of
            max_i(A_i · A_j) - A_i · A_j. That attends to the channels *least* like channel j.

    Raises:
        ValueError: if `published` is not a boolean.
    """

    def __init__(self, published: bool = False) -> None:
        super().__init__()
        self.published = checks.boolean("published", published)
        self.beta = nn.Parameter(torch.zeros(()))

    def reset_parameters(self) -> None:
        """Let beta start at 0, where the block was built on the meta device."""
        nn.init.zeros_(self.beta)

    def attention(self, x: Tensor) -> dict[str, Tensor]:
        """Return which channels each channel reads from.

        Args:
            x: feature map A, (B, C, H, W), floating point, any number of channels.

        Returns:
            {"channel_to_channel": X}: X has shape (B, C, C), each value in [0, 1]; X[b, j, i] is the weight with
            which channel j reads from channel i, and the last axis, over i, sums to one.

        Raises:
            ValueError: if `x` is not a (B, C, H, W) tensor of the dtype of beta.
        """
        checks.feature_map("x", x, None, self.beta)
        A = x.flatten(2)                                                      # (B, C, N)
        energy = precision.product(A, A.transpose(1, 2))                      # (B, C, C)
        return {"channel_to_channel": (-energy if self.published else energy).softmax(dim=-1).to(x.dtype)}

    def forward(self, x: Tensor) -> Tensor:
        """Return E: (B, C, H, W) -> (B, C, H, W).

        Args and errors are those of `attention`.
        """
        X = self.attention(x)["channel_to_channel"]
        read = (X @ x.flatten(2).to(X.dtype)).unflatten(2, x.shape[2:])       # (B, C, C) @ (B, C, N)
        return torch.addcmul(x, self.beta.to(x.dtype), read.to(x.dtype))      # x + beta * read


class DAModule(AttentionBlock):
    """Dual attention head of Fu et al. (2019), *Dual Attention Network* (Fig. 2).

    Both modules on features of their own, then the sum: conv(position(conv(x))) + conv(channel(conv(x))).

    Args:
        d_model: number of channels of input and output.
        kernel_size: size of the four convolutions, odd. Each is followed by batch norm and ReLU, as in the published
            code; the paper says "a convolution layer".
        H, W: height and width of the input, in places. The module needs neither; if given, the input is checked.
        published: whether both modules are built as in the authors' published code (see each).

    Raises:
        ValueError: if a size is not a positive integer (a multiple of 8 for `d_model`, if `published`), `kernel_size`
            is even, or `published` is not a boolean.
    """

    def __init__(self, d_model: int = 512, kernel_size: int = 3, H: int | None = None, W: int | None = None,
                 published: bool = False) -> None:
        super().__init__()
        d_model = checks.positive_int("d_model", d_model)
        kernel_size = checks.odd("kernel_size", kernel_size)
        published = _check_published(published, "d_model", d_model)
        self.d_model = d_model
        self.H, self.W = (size if size is None else checks.positive_int(name, size)
                          for name, size in {"H": H, "W": W}.items())

        def conv() -> nn.Sequential:
            same = nn.Conv2d(d_model, d_model, kernel_size, padding=kernel_size // 2, bias=False)
            return nn.Sequential(same, nn.BatchNorm2d(d_model), nn.ReLU())

        self.before_position, self.before_channel = conv(), conv()
        self.position = PositionAttentionModule(d_model, published)
        self.channel = ChannelAttentionModule(published)
        self.after_position, self.after_channel = conv(), conv()

    def attention(self, x: Tensor) -> dict[str, Tensor]:
        """Return the maps of both modules.

        Args:
            x: feature map, (B, d_model, H, W), floating point.

        Returns:
            {"position": (B, 1, N, N), "channel_to_channel": (B, C, C)}, as the two modules define them.

        Raises:
            ValueError: if `x` is not a (B, d_model, H, W) tensor of the dtype of the weights, with the H and W
                given to the constructor, if any.
        """
        self._check(x)
        with untouched(self):
            return self.position.attention(self.before_position(x)) | self.channel.attention(self.before_channel(x))

    def forward(self, x: Tensor) -> Tensor:
        """Return the sum of both branches: (B, d_model, H, W) -> (B, d_model, H, W).

        Args and errors are those of `attention`. PositionAttentionModule says how to get second derivatives.
        """
        self._check(x)
        by_position = self.after_position(self.position(self.before_position(x)))
        return by_position + self.after_channel(self.channel(self.before_channel(x)))

    def _check(self, x: Tensor) -> None:
        checks.feature_map("x", x, self.d_model, self.position.D)
        checks.normalisable("x", x, self)
        if checks.traced(x):
            return
        for name, size, got in (("H", self.H, x.shape[2]), ("W", self.W, x.shape[3])):
            if size is not None and got != size:
                raise ValueError(f"x must have {name}={size}, as given to the constructor, got {got}: "
                                 f"shape {tuple(x.shape)}")


def _check_published(published: bool, name: str, channel: int) -> bool:
    published = checks.boolean("published", published)
    if published and channel % 8:
        raise ValueError(f"{name} must be a multiple of 8 if published is True, got {channel}")
    return published


def _tokens(x: Tensor) -> Tensor:
    """A feature map as one head of tokens: (B, C, H, W) -> (B, 1, N, C)."""
    return x.flatten(2).transpose(1, 2)[:, None]
