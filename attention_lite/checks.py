"""Argument checks shared by all mechanisms: errors name the argument, what it got and what was expected."""

import math
from collections.abc import Callable, Sequence

import torch
from torch import Tensor, nn

# What a layer computes in. Weights of other types, such as float8, are stored so and cast before use.
FLOATS = (torch.float16, torch.bfloat16, torch.float32, torch.float64)


def positive_int(name: str, value: int) -> int:
    """Return `value`; ValueError unless it is an integer of at least 1 (True and False are not integers here)."""
    number = plain(value)
    if not _is(int, number) or number < 1:
        raise ValueError(f"{name} must be a positive integer, got {value!r}")
    return number


def odd(name: str, value: int) -> int:
    """Return `value`; ValueError unless it is a positive odd integer, as a kernel that has a middle must be."""
    number = positive_int(name, value)
    if number % 2 == 0:
        raise ValueError(f"{name} must be odd, got {number}")
    return number


def positive_number(name: str, value: float) -> float:
    """Return `value`; ValueError unless it is a finite number above 0."""
    number = plain(value)
    if not _is((int, float), number) or not 0 < number < math.inf:
        raise ValueError(f"{name} must be a positive number, got {value!r}")
    return number


def non_negative_number(name: str, value: float) -> float:
    """Return `value`; ValueError unless it is a finite number of at least 0."""
    number = plain(value)
    if not _is((int, float), number) or not 0 <= number < math.inf:
        raise ValueError(f"{name} must be a number of at least 0, got {value!r}")
    return number


def sequence_of(name: str, values: Sequence[int], check: Callable[[str, int], int]) -> list[int]:
    """Return `values` as a list; ValueError unless it is a list or tuple, not empty, whose every entry passes."""
    if not isinstance(values, (list, tuple)) or not values:
        raise ValueError(f"{name} must be a list or tuple with at least one entry, got {values!r}")
    return [check(f"{name}[{i}]", value) for i, value in enumerate(values)]


def integer(name: str, value: int) -> int:
    """Return `value`; ValueError unless it is an integer."""
    number = plain(value)
    if not _is(int, number):
        raise ValueError(f"{name} must be an integer, got {value!r}")
    return number


def share(name: str, value: float) -> float:
    """Return `value`; ValueError unless it is a number from 0 to 1."""
    number = plain(value)
    if not _is((int, float), number) or not 0 <= number <= 1:
        raise ValueError(f"{name} must be in [0, 1], got {value!r}")
    return number


def divides(name: str, divisor: int, of_name: str, of: int) -> None:
    """Raise ValueError unless `divisor` divides `of`."""
    if of % divisor:
        raise ValueError(f"{name} must divide {of_name}, got {name}={divisor} and {of_name}={of}")


def probability(name: str, value: float) -> float:
    """Return `value`; ValueError unless it is at least 0 and less than 1, as a dropout rate must be."""
    number = plain(value)
    if not _is((int, float), number) or not 0 <= number < 1:
        raise ValueError(f"{name} must be at least 0 and less than 1, got {value!r}")
    return number


def boolean(name: str, value: bool) -> bool:
    """Return `value`; ValueError unless it is True or False ("False" would pass for true)."""
    switch = plain(value)
    if not isinstance(switch, bool):
        raise ValueError(f"{name} must be True or False, got {value!r}")
    return switch


def plain(value: object) -> object:
    """A single number of NumPy or torch, such as np.int64(8), as Python's own; anything else as it is."""
    return value.item() if getattr(value, "shape", None) == () else value


def _is(kind: type | tuple[type, ...], number: object) -> bool:
    return isinstance(number, kind) and not isinstance(number, bool)


def traced(x: object) -> bool:
    """Whether `x` stands for a tensor that torch.fx will put there later: it has no type or shape to check yet."""
    return isinstance(x, torch.fx.Proxy)


def floating(name: str, x: Tensor, layer: nn.Module | Tensor) -> None:
    """Raise ValueError unless `x` is a tensor that `layer` can take (or a parameter that stands alone).

    That is one of the dtype of the layer's weight; under autocast, which casts all floats but float64, of any but that.
    A layer may have no weight, or none to compare with: quantised, or wrapped in another module.
    """
    if not isinstance(x, Tensor):
        raise ValueError(f"{name} must be a torch.Tensor, got {type(x).__name__}")
    if not x.is_floating_point():
        raise ValueError(f"{name} must hold floating-point numbers, got dtype {x.dtype}")
    dtype = getattr(getattr(layer, "weight", layer), "dtype", x.dtype)
    if x.dtype == dtype or dtype not in FLOATS:
        return
    if not torch.is_autocast_enabled(x.device.type):
        raise ValueError(f"{name} must have the dtype of the block's weights, {dtype}, got {x.dtype}")
    if torch.float64 in (x.dtype, dtype):
        raise ValueError(f"{name} must have the dtype of the block's weights, {dtype}, got {x.dtype}: "
                         "autocast casts no float64")


def feature_map(name: str, x: Tensor, channel: int | None, layer: nn.Module | Tensor) -> None:
    """Raise ValueError unless `x` is a feature map (B, channel, H, W) that `layer` can take.

    `channel` None lets any number of channels pass.
    """
    if traced(x):
        return
    floating(name, x, layer)
    shape = x.shape
    if len(shape) != 4:
        raise ValueError(f"{name} must have 4 dimensions (B, C, H, W), got {len(shape)}: shape {tuple(shape)}")
    if channel is not None and shape[1] != channel:
        raise ValueError(f"{name} must have {channel} channels on axis 1, got {shape[1]}: shape {tuple(shape)}")
    if 0 in shape[1:]:
        raise ValueError(f"{name} must have at least one channel, one row and one column, got shape {tuple(shape)}")


def normalisable(name: str, x: Tensor, layers: nn.Module, stride: int = 1) -> None:
    """Raise ValueError if maps of `x` would give a batch norm of `layers` one number a channel, and it is in training.

    `stride` is that of the layer before the batch norm.
    """
    if not layers.training or traced(x) or x.shape[0] != 1 or max(x.shape[2:]) > stride:
        return
    if any(isinstance(layer, nn.BatchNorm2d) and layer.training for layer in layers.modules()):
        raise ValueError(f"{name} must give batch norm more than one number a channel in training, got shape "
                         f"{tuple(x.shape)}: take a larger map or batch, or call eval()")


def sides(name: str, x: Tensor, multiple: int) -> None:
    """Raise ValueError unless `multiple` divides the height and the width of `x`, (B, C, H, W)."""
    if not traced(x) and (x.shape[2] % multiple or x.shape[3] % multiple):
        raise ValueError(f"{name} must have a height and a width that {multiple} divides, got shape {tuple(x.shape)}")


def tokens(name: str, x: Tensor, d_model: int, layer: nn.Module | Tensor) -> None:
    """Raise ValueError unless `x` is a sequence (B, N, d_model) with N >= 1, that `layer` can take."""
    if traced(x):
        return
    floating(name, x, layer)
    shape = tuple(x.shape)
    if x.dim() != 3:
        raise ValueError(f"{name} must have 3 dimensions (B, N, d_model), got {x.dim()}: shape {shape}")
    if x.shape[2] != d_model:
        raise ValueError(f"{name} must have width d_model={d_model}, got {x.shape[2]}: shape {shape}")
    if x.shape[1] < 1:
        raise ValueError(f"{name} must hold at least one token, got shape {shape}")


def queries_keys_values(queries: Tensor, keys: Tensor | None, values: Tensor | None, d_model: int,
                        layer: nn.Module | Tensor) -> tuple[Tensor, Tensor]:
    """Return keys and values, by default the queries and the keys; raise ValueError unless all fit together."""
    tokens("queries", queries, d_model, layer)
    keys = queries if keys is None else keys
    values = keys if values is None else values
    tokens("keys", keys, d_model, layer)
    tokens("values", values, d_model, layer)
    if any(traced(t) for t in (queries, keys, values)):
        return keys, values
    if keys.shape[0] != queries.shape[0]:
        raise ValueError(f"keys must have the batch size of queries, {len(queries)}, got {len(keys)}")
    if values.shape != keys.shape:
        raise ValueError(f"values must have the shape of keys, {tuple(keys.shape)}, got {tuple(values.shape)}")
    return keys, values


def boolean_mask(name: str, mask: Tensor, shape: tuple[int, ...]) -> Tensor:
    """Return `mask` with all four axes; ValueError unless it is boolean and broadcasts to `shape` without a guess."""
    if traced(mask):
        return mask
    _boolean(name, mask)
    got, last = tuple(mask.shape), shape[len(shape) - mask.dim():]
    if mask.dim() == 3:
        raise ValueError(f"{name} must have four dimensions (B, h, N_q, N_k), or at most two, (N_q, N_k), got three: "
                         f"shape {got}; give it {name}[:, None] if the first is B, {name}[None] if it is h")
    if mask.dim() > len(shape) or any(m not in (1, s) for m, s in zip(got, last, strict=True)):
        raise ValueError(f"{name} must broadcast to (B, h, N_q, N_k) = {shape}, got shape {got}; "
                         "what hides keys of a sample, (B, N_k), is key_mask")
    return mask.reshape((1,) * (4 - mask.dim()) + mask.shape)             # torch's kernel wants two or more


def key_mask(name: str, mask: Tensor, shape: tuple[int, ...]) -> None:
    """Raise ValueError unless `mask` is boolean and of `shape` (B, N_k)."""
    if traced(mask):
        return
    _boolean(name, mask)
    if mask.shape != shape:
        raise ValueError(f"{name} must have the shape (B, N_k) = {tuple(shape)}, got {tuple(mask.shape)}")


def _boolean(name: str, mask: Tensor) -> None:
    if not isinstance(mask, Tensor) or mask.dtype != torch.bool:
        got = mask.dtype if isinstance(mask, Tensor) else type(mask).__name__
        raise ValueError(f"{name} must be a boolean tensor (True where a query may see a key), got {got}")
