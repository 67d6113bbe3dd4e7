"""Argument checks shared by all mechanisms: errors name the argument, what it got and what was expected."""

import math
from collections.abc import Callable, Sequence

import torch
from torch import Tensor


def positive_int(name: str, value: int) -> None:
    """Raise ValueError unless `value` is an integer of at least 1 (True and False are not integers here)."""
    if isinstance(value, bool) or not isinstance(value, int) or value < 1:
        raise ValueError(f"{name} must be a positive integer, got {value!r}")


def odd(name: str, value: int) -> None:
    """Raise ValueError unless `value` is a positive odd integer, as a kernel that has a middle must be."""
    positive_int(name, value)
    if value % 2 == 0:
        raise ValueError(f"{name} must be odd, got {value}")


def positive_number(name: str, value: float) -> None:
    """Raise ValueError unless `value` is a finite number above 0."""
    if not _finite(value) or value <= 0:
        raise ValueError(f"{name} must be a positive number, got {value!r}")


def non_negative_number(name: str, value: float) -> None:
    """Raise ValueError unless `value` is a finite number of at least 0."""
    if not _finite(value) or value < 0:
        raise ValueError(f"{name} must be a number of at least 0, got {value!r}")


def sequence_of(name: str, values: Sequence[int], check: Callable[[str, int], None]) -> None:
    """Raise ValueError unless `values` is a list or tuple, not empty, whose every entry passes `check`."""
    if not isinstance(values, (list, tuple)) or not values:
        raise ValueError(f"{name} must be a list or tuple with at least one entry, got {values!r}")
    for i, value in enumerate(values):
        check(f"{name}[{i}]", value)


def integer(name: str, value: int) -> None:
    """Raise ValueError unless `value` is an integer."""
    if isinstance(value, bool) or not isinstance(value, int):
        raise ValueError(f"{name} must be an integer, got {value!r}")


def share(name: str, value: float) -> None:
    """Raise ValueError unless `value` is a number from 0 to 1."""
    if isinstance(value, bool) or not isinstance(value, (int, float)) or not 0 <= value <= 1:
        raise ValueError(f"{name} must be in [0, 1], got {value!r}")


def divides(name: str, divisor: int, of_name: str, of: int) -> None:
    """Raise ValueError unless `divisor` divides `of`."""
    if of % divisor:
        raise ValueError(f"{name} must divide {of_name}, got {name}={divisor} and {of_name}={of}")


def probability(name: str, value: float) -> None:
    """Raise ValueError unless 0 <= `value` < 1, as a dropout rate must be."""
    if isinstance(value, bool) or not isinstance(value, (int, float)) or not 0 <= value < 1:
        raise ValueError(f"{name} must be at least 0 and less than 1, got {value!r}")


def boolean(name: str, value: bool) -> None:
    """Raise ValueError unless `value` is True or False ("False" would pass for true)."""
    if not isinstance(value, bool):
        raise ValueError(f"{name} must be True or False, got {value!r}")


def floating(name: str, x: Tensor, weight: Tensor) -> None:
    """Raise ValueError unless `x` is a tensor of the dtype of `weight` (under autocast: of any float)."""
    if not isinstance(x, Tensor):
        raise ValueError(f"{name} must be a torch.Tensor, got {type(x).__name__}")
    if not x.is_floating_point():
        raise ValueError(f"{name} must hold floating-point numbers, got dtype {x.dtype}")
    if x.dtype != weight.dtype and not torch.is_autocast_enabled(x.device.type):
        raise ValueError(f"{name} must have the dtype of the block's weights, {weight.dtype}, got {x.dtype}")


def feature_map(name: str, x: Tensor, channel: int | None, weight: Tensor) -> None:
    """Raise ValueError unless `x` is a feature map (B, channel, H, W) of the dtype of `weight`.

    `channel` None lets any number of channels pass.
    """
    floating(name, x, weight)
    shape = x.shape
    if len(shape) != 4:
        raise ValueError(f"{name} must have 4 dimensions (B, C, H, W), got {len(shape)}: shape {tuple(shape)}")
    if channel is not None and shape[1] != channel:
        raise ValueError(f"{name} must have {channel} channels on axis 1, got {shape[1]}: shape {tuple(shape)}")
    if 0 in shape[1:]:
        raise ValueError(f"{name} must have at least one channel, one row and one column, got shape {tuple(shape)}")


def sides(name: str, x: Tensor, multiple: int) -> None:
    """Raise ValueError unless `multiple` divides the height and the width of `x`, (B, C, H, W)."""
    if x.shape[2] % multiple or x.shape[3] % multiple:
        raise ValueError(f"{name} must have a height and a width that {multiple} divides, got shape {tuple(x.shape)}")


def tokens(name: str, x: Tensor, d_model: int, weight: Tensor) -> None:
    """Raise ValueError unless `x` is a sequence (B, N, d_model) with N >= 1, of the dtype of `weight`."""
    floating(name, x, weight)
    shape = tuple(x.shape)
    if x.dim() != 3:
        raise ValueError(f"{name} must have 3 dimensions (B, N, d_model), got {x.dim()}: shape {shape}")
    if x.shape[2] != d_model:
        raise ValueError(f"{name} must have width d_model={d_model}, got {x.shape[2]}: shape {shape}")
    if x.shape[1] < 1:
        raise ValueError(f"{name} must hold at least one token, got shape {shape}")


def queries_keys_values(queries: Tensor, keys: Tensor | None, values: Tensor | None, d_model: int,
                        weight: Tensor) -> tuple[Tensor, Tensor]:
    """Return keys and values, by default the queries and the keys; raise ValueError unless all fit together."""
    tokens("queries", queries, d_model, weight)
    keys = queries if keys is None else keys
    values = keys if values is None else values
    tokens("keys", keys, d_model, weight)
    tokens("values", values, d_model, weight)
    if keys.shape[0] != queries.shape[0]:
        raise ValueError(f"keys must have the batch size of queries, {len(queries)}, got {len(keys)}")
    if values.shape != keys.shape:
        raise ValueError(f"values must have the shape of keys, {tuple(keys.shape)}, got {tuple(values.shape)}")
    return keys, values


def boolean_mask(name: str, mask: Tensor, shape: tuple[int, ...]) -> None:
    """Raise ValueError unless `mask` is boolean and broadcasts to `shape` without a guess."""
    _boolean(name, mask)
    got, last = tuple(mask.shape), shape[len(shape) - mask.dim():]
    if mask.dim() == 3:
        raise ValueError(f"{name} must have four dimensions (B, h, N_q, N_k), or at most two, (N_q, N_k), got three: "
                         f"shape {got}; give it {name}[:, None] if the first is B, {name}[None] if it is h")
    if mask.dim() > len(shape) or any(m not in (1, s) for m, s in zip(got, last, strict=True)):
        raise ValueError(f"{name} must broadcast to (B, h, N_q, N_k) = {shape}, got shape {got}; "
                         "what hides keys of a sample, (B, N_k), is key_mask")


def key_mask(name: str, mask: Tensor, shape: tuple[int, ...]) -> None:
    """Raise ValueError unless `mask` is boolean and of `shape` (B, N_k)."""
    _boolean(name, mask)
    if tuple(mask.shape) != shape:
        raise ValueError(f"{name} must have the shape (B, N_k) = {shape}, got {tuple(mask.shape)}")


def _boolean(name: str, mask: Tensor) -> None:
    if not isinstance(mask, Tensor) or mask.dtype != torch.bool:
        got = mask.dtype if isinstance(mask, Tensor) else type(mask).__name__
        raise ValueError(f"{name} must be a boolean tensor (True where a query may see a key), got {got}")


def _finite(value: float) -> bool:
    return isinstance(value, (int, float)) and not isinstance(value, bool) and math.isfinite(value)
