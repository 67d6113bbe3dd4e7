"""Argument checks shared by all mechanisms: each error names the argument, what it got and what was expected."""

import torch
from torch import Tensor


def positive_int(name: str, value: int) -> None:
    """Raise ValueError unless `value` is an integer of at least 1 (True and False are not integers here)."""
    if isinstance(value, bool) or not isinstance(value, int) or value < 1:
        raise ValueError(f"{name} must be a positive integer, got {value!r}")


def divides(name: str, divisor: int, of_name: str, of: int) -> None:
    """Raise ValueError unless `divisor` divides `of`."""
    if of % divisor:
        raise ValueError(f"{name} must divide {of_name}, got {name}={divisor} and {of_name}={of}")


def probability(name: str, value: float) -> None:
    """Raise ValueError unless 0 <= `value` < 1, as a dropout rate must be."""
    if isinstance(value, bool) or not isinstance(value, (int, float)) or not 0 <= value < 1:
        raise ValueError(f"{name} must be at least 0 and less than 1, got {value!r}")


def floating(name: str, x: Tensor) -> None:
    """Raise ValueError unless `x` is a tensor of floating-point numbers."""
    if not isinstance(x, Tensor):
        raise ValueError(f"{name} must be a torch.Tensor, got {type(x).__name__}")
    if not x.is_floating_point():
        raise ValueError(f"{name} must hold floating-point numbers, got dtype {x.dtype}")


def feature_map(name: str, x: Tensor, channel: int) -> None:
    """Raise ValueError unless `x` is a floating-point feature map (B, channel, H, W) with H, W >= 1."""
    floating(name, x)
    if x.dim() != 4:
        raise ValueError(f"{name} must have 4 dimensions (B, C, H, W), got {x.dim()}: shape {tuple(x.shape)}")
    if x.shape[1] != channel:
        raise ValueError(f"{name} must have {channel} channels on axis 1, got {x.shape[1]}: shape {tuple(x.shape)}")
    if x.shape[2] < 1 or x.shape[3] < 1:
        raise ValueError(f"{name} must have at least one row and one column, got shape {tuple(x.shape)}")


def tokens(name: str, x: Tensor, d_model: int) -> None:
    """Raise ValueError unless `x` is a floating-point sequence (B, N, d_model) with N >= 1."""
    floating(name, x)
    if x.dim() != 3:
        raise ValueError(f"{name} must have 3 dimensions (B, N, d_model), got {x.dim()}: shape {tuple(x.shape)}")
    if x.shape[2] != d_model:
        raise ValueError(f"{name} must have width d_model={d_model} on its last axis, got {x.shape[2]}: shape {tuple(x.shape)}")
    if x.shape[1] < 1:
        raise ValueError(f"{name} must hold at least one token, got shape {tuple(x.shape)}")


def boolean_mask(name: str, mask: Tensor, shape: tuple[int, ...]) -> None:
    """Raise ValueError unless `mask` is boolean and broadcasts to `shape`."""
    if not isinstance(mask, Tensor) or mask.dtype != torch.bool:
        got = mask.dtype if isinstance(mask, Tensor) else type(mask).__name__
        raise ValueError(f"{name} must be a boolean tensor (True where a query may attend to a key), got {got}")
    fits = mask.dim() <= len(shape) and all(m in (1, s) for m, s in zip(reversed(mask.shape), reversed(shape)))
    if not fits:
        raise ValueError(f"{name} must broadcast to (B, h, N_q, N_k) = {shape}, got shape {tuple(mask.shape)}")
