"""What a block is proved with: the operations of its equations written out, and the comparison of the two.

Nothing here calls torch.nn. A block's weights come as a dict of plain tensors under the names of its state_dict;
`part` picks those of one layer, to be handed on as keywords.
"""

from collections.abc import Callable

import torch
from torch import Tensor, nn

DOUBLE = torch.float64
Weights = dict[str, Tensor]
Reference = Callable[[Tensor, Weights], tuple[dict[str, Tensor], Tensor]]


def part(weights: Weights, layer: str) -> Weights:
    """The weights of one layer, without its name in front."""
    return {name.removeprefix(f"{layer}."): w for name, w in weights.items() if name.startswith(f"{layer}.")}


def relu(x: Tensor) -> Tensor:
    return torch.where(x > 0, x, x * 0)


def sigmoid(x: Tensor) -> Tensor:
    return 1 / (1 + torch.exp(-x))


def softmax(x: Tensor, axis: int) -> Tensor:
    e = torch.exp(x)
    return e / e.sum(axis, keepdim=True)


def mean_over_places(x: Tensor) -> Tensor:
    """GAP: (B, C, H, W) -> (B, C)."""
    return torch.einsum("bchw->bc", x) / (x.shape[2] * x.shape[3])


def largest(values: list[Tensor]) -> Tensor:
    """The largest of several tensors of one shape, number by number."""
    best = values[0]
    for v in values[1:]:
        best = torch.where(v > best, v, best)
    return best


def linear(x: Tensor, weight: Tensor, bias: Tensor | None = None) -> Tensor:
    """(B, in) -> (B, out), with `weight` (out, in)."""
    y = torch.einsum("bi,oi->bo", x, weight)
    return y if bias is None else y + bias


def conv2d(x: Tensor, weight: Tensor, bias: Tensor | None = None, *, stride: int = 1, padding: int = 0,
           dilation: int = 1, groups: int = 1) -> Tensor:
    """(B, C, H, W) -> (B, out, H', W'), with `weight` (out, C / groups, k, k): a sum over the k × k taps."""
    B, C, H, W = x.shape
    k = weight.shape[-1]
    padded = x.new_zeros(B, C, H + 2 * padding, W + 2 * padding)
    padded[:, :, padding:padding + H, padding:padding + W] = x
    rows, columns = (size + 2 * padding - dilation * (k - 1) for size in (H, W))      # where the first tap can stand
    y = 0
    for i in range(k):
        for j in range(k):
            top, left = i * dilation, j * dilation
            seen = padded[:, :, top:top + rows:stride, left:left + columns:stride].unflatten(1, (groups, -1))
            tap = weight[:, :, i, j].unflatten(0, (groups, -1))
            y = y + torch.einsum("bgchw,goc->bgohw", seen, tap)
    y = y.flatten(1, 2)
    return y if bias is None else y + bias[:, None, None]


def batch_norm(x: Tensor, weight: Tensor, bias: Tensor, running_mean: Tensor, running_var: Tensor, *,
               training: bool) -> Tensor:
    """Normalise axis 1 of (B, C) or (B, C, H, W): by the batch in training, else by the running statistics."""
    values = x.movedim(1, -1).reshape(-1, x.shape[1])             # one row a place and image
    if training:
        mean = values.sum(0) / len(values)
        var = ((values - mean) ** 2).sum(0) / len(values)
    else:
        mean, var = running_mean, running_var
    y = (values - mean) / torch.sqrt(var + 1e-5) * weight + bias
    return y.reshape(x.movedim(1, -1).shape).movedim(-1, 1)


def pooled_batch_norm(x: Tensor, *args: Tensor, training: bool, **weights: Tensor) -> Tensor:
    """`batch_norm` on (B, C); a batch of one image has no spread, so it takes the running statistics."""
    return batch_norm(x, *args, training=training and len(x) > 1, **weights)


def layer_norm(x: Tensor, weight: Tensor, bias: Tensor) -> Tensor:
    """Normalise each row of (B, C) by itself."""
    mean = x.sum(1, keepdim=True) / x.shape[1]
    var = ((x - mean) ** 2).sum(1, keepdim=True) / x.shape[1]
    return (x - mean) / torch.sqrt(var + 1e-5) * weight + bias


def shuffle_places(x: Tensor, order: Tensor) -> Tensor:
    """(B, C, H, W) with its H · W places in another order."""
    return x.flatten(2)[:, :, order].unflatten(2, x.shape[2:])


def randomise(block: nn.Module, seed: int) -> nn.Module:
    """The block in float64, with no weight, bias or running statistic left at 0 or 1."""
    torch.manual_seed(seed)
    with torch.no_grad():
        for p in block.double().parameters():
            p.normal_(std=p[0].numel() ** -0.5)                   # each sum of products has a spread near 1
        for name, statistic in block.named_buffers():
            if name.endswith("running_mean"):
                statistic.normal_()
            elif name.endswith("running_var"):
                statistic.uniform_(0.5, 2)
    return block


def assert_same(block: nn.Module, reference: Reference, x: Tensor, tolerance: float = 1e-10) -> None:
    """Output, maps, and the gradients of input and every parameter through both, are those of `reference`."""
    weights = {name: w.detach().clone() for name, w in block.state_dict().items()
               if not name.endswith("num_batches_tracked")}
    parameters = dict(block.named_parameters())
    for name in parameters:
        weights[name].requires_grad_()
    mine, theirs = (x.detach().clone().requires_grad_() for _ in range(2))

    expected_maps, expected = reference(theirs, weights)
    y, maps = block(mine), block.attention(mine)
    assert list(maps) == list(expected_maps)
    pairs = [(y, expected), *((maps[name], expected_maps[name]) for name in maps)]
    for a, b in pairs:
        torch.testing.assert_close(a, b, rtol=0, atol=tolerance)

    upstream = [torch.randn_like(a) for a, _ in pairs]
    for side in zip(*pairs, strict=True):
        sum((a * up).sum() for a, up in zip(side, upstream, strict=True)).backward()
    torch.testing.assert_close(mine.grad, theirs.grad, rtol=0, atol=tolerance)
    for name, p in parameters.items():
        torch.testing.assert_close(p.grad, weights[name].grad, rtol=0, atol=tolerance,
                                   msg=lambda text, name=name: f"{name}: {text}")


def assert_differentiable(block: nn.Module, x: Tensor) -> None:
    """torch.autograd.gradcheck of output and maps, with respect to the input and to every parameter."""
    names, weights = [name for name, _ in block.named_parameters()], list(block.parameters())

    def everything(x: Tensor, *weights: Tensor) -> tuple[Tensor, ...]:
        mine = {f"block.{name}": w for name, w in zip(names, weights, strict=True)}
        return torch.func.functional_call(Everything(block), mine, (x,))

    assert torch.autograd.gradcheck(everything, (x.requires_grad_(), *weights))


class Everything(nn.Module):
    """A block whose output is all that it can tell: the output proper, and then the maps."""

    def __init__(self, block: nn.Module) -> None:
        super().__init__()
        self.block = block

    def forward(self, x: Tensor) -> tuple[Tensor, ...]:
        return self.block(x), *self.block.attention(x).values()
