"""Batch norm for vectors pooled from whole images, which also trains on one image at a time."""

import torch.nn.functional as F
from torch import Tensor, nn

from attention_lite import checks


class PooledBatchNorm(nn.BatchNorm1d):
    """nn.BatchNorm1d on (B, C), except for a training batch of one image.

    A pooled vector holds one number a channel and image. With one image there is nothing to average over, and
    nn.BatchNorm1d refuses. This layer then normalises with its running statistics, as in evaluation, and leaves
    them as they are.
    """

    def forward(self, x: Tensor) -> Tensor:
        """(B, C) -> (B, C)."""
        if checks.traced(x) and self.training:
            raise ValueError("x must be a tensor in training, where a batch of one is treated apart: "
                             "let torch.fx trace the model in evaluation mode, after model.eval()")
        if not self.training or x.shape[0] == 1:
            return F.batch_norm(x, self.running_mean, self.running_var, self.weight, self.bias, eps=self.eps)
        return super().forward(x)
