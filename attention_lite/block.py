"""The one thing that every mechanism of this package has in common."""

from torch import Tensor, nn


class AttentionBlock(nn.Module):
    """A module whose forward pass applies the very weights that `attention` returns.

    `record_attention` looks for this class: that is how it tells an attention block from a module that
    merely has something called `attention` inside.
    """

    def attention(self, *args: Tensor, **kwargs: Tensor) -> dict[str, Tensor]:
        """Return the attention weights for the arguments that `forward` takes, as a dict of named tensors."""
        raise NotImplementedError(f"{type(self).__name__} does not define attention()")
