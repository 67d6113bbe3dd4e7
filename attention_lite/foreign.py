"""Attention modules of other packages: known by their class's name, and read from the operations that they run.

Nothing of them is imported, called again or changed: what a module computes passes by, and the map is in it.
"""

from collections.abc import Mapping
from functools import cache
from typing import Any

import torch
from torch import Tensor, nn

from attention_lite.precision import product, widened

# The class's name, and on what its weights lie. "position": softmax(Q K^T) V in heads; the other two: input * gate.
KNOWN = {
    **dict.fromkeys(("MultiheadAttention",                                                     # torch.nn
                     "Attention", "AttentionRope", "EvaAttention",                             # timm
                     "ViTAttention", "Dinov2Attention", "Dinov2WithRegistersAttention",        # transformers, and below
                     "ViTSelfAttention", "Dinov2SelfAttention", "Dinov2WithRegistersSelfAttention"),    # before 5.0
                    "position"),
    **dict.fromkeys(("SEModule", "SqueezeExcite", "SqueezeExciteCl", "EffectiveSEModule",      # timm
                     "EcaModule", "CecaModule", "ChannelAttn", "LightChannelAttn",             # timm; two parts of CBAM
                     "SqueezeExcitation"),                                                     # torchvision
                    "channel"),
    **dict.fromkeys(("SpatialAttn", "LightSpatialAttn"), "spatial"),                           # timm; their others
}
SOFTMAX = ("softmax", "_softmax", "_safe_softmax")


def kind(module: nn.Module) -> str | None:
    """On what the weights of a known module lie, "position", "channel" or "spatial"; None for all others."""
    return _kind(type(module))


@cache
def _kind(cls: type) -> str | None:
    return next((KNOWN[c.__name__] for c in cls.__mro__ if c.__name__ in KNOWN), None)


def called_attention(module: nn.Module) -> bool:
    """Whether the class calls itself attention, and so promises a map."""
    return any(word in type(module).__name__.lower() for word in ("attention", "attn"))


def scores_shape(op: Any, args: tuple, kwargs: Mapping[str, Any], out: Any) -> tuple[int, ...] | None:
    """(…, N_q, N_k), if `op` makes attention weights of scores; None if it does something else."""
    name = op.overloadpacket.__name__
    if name in SOFTMAX:
        last = out.dim() > 2 and _named(op, args, kwargs)["dim"] in (-1, out.dim() - 1)
        return tuple(out.shape) if last else None
    if "scaled_dot_product" in name:
        given = _named(op, args, kwargs)
        return (*given["query"].shape[:-1], given["key"].shape[-2])
    if name in ("_native_multi_head_attention", "_transformer_encoder_layer_fwd"):
        tokens = args[0].size(1) if not args[0].is_nested else args[0]._nested_tensor_size()[:, 0].max().item()
        return (args[0].size(0), tokens, tokens)
    return None


def weights(op: Any, args: tuple, kwargs: Mapping[str, Any], out: Any) -> Tensor:
    """The weights that `op`, which has a `scores_shape`, has made, before any dropout: (…, N_q, N_k)."""
    name, given = op.overloadpacket.__name__, _named(op, args, kwargs)
    if name in SOFTMAX:
        return out.clone()
    if name == "_transformer_encoder_layer_fwd":
        return _fast_layer(given)
    if name == "_native_multi_head_attention":
        return _fast_heads(given["query"], given, given["num_head"])
    return _fused(given)


def gates(op: Any, args: tuple, x: object) -> list[Tensor]:
    """The other factor, where `op` multiplies the module's input `x` with a tensor."""
    if op.overloadpacket.__name__ not in ("mul", "mul_") or not any(factor is x for factor in args):
        return []
    return [factor.detach() for factor in args if factor is not x and isinstance(factor, Tensor)]


def as_map(module: nn.Module, found: Tensor) -> dict[str, Tensor] | None:
    """What a block's `attention` returns: (B, h, N_q, N_k), (B, C) or (B, H, W). None if it does not fit the module."""
    on = kind(module)
    if on == "position":
        h = next((n for name in ("num_heads", "num_attention_heads", "heads") if (n := getattr(module, name, None))), 1)
        if found.dim() == 3 and len(found) % h == 0:                       # torch lays samples and heads on one axis
            found = found.unflatten(0, (-1, h))
        return {on: found} if found.dim() == 4 and found.shape[1] == h else None
    for axis in range(1, found.dim()):                                     # expanded to the input's size: all the same
        found = found.narrow(axis, 0, 1) if found.stride(axis) == 0 else found
    if on == "spatial":
        return {on: found[:, 0].clone()} if found.dim() == 4 and found.shape[1] == 1 else None
    return {on: found.flatten(1).clone()} if sum(n > 1 for n in found.shape[1:]) <= 1 else None


def _named(op: Any, args: tuple, kwargs: Mapping[str, Any]) -> dict[str, Any]:
    """The arguments of an operation by their names in its schema, with its defaults."""
    schema = op._schema.arguments
    defaults = {argument.name: argument.default_value for argument in schema if argument.has_default_value()}
    return defaults | dict(zip((argument.name for argument in schema), args, strict=False)) | dict(kwargs)


def _fused(given: Mapping[str, Any]) -> Tensor:
    """softmax(scale Q K^T + mask), which a fused kernel does not store. Each device has kernels of its own."""
    Q, K = given["query"], given["key"]
    if Q.shape[1] != K.shape[1]:                                           # several heads of queries share one of keys
        K = K.repeat_interleave(Q.shape[1] // K.shape[1], 1)
    scale = given.get("scale")
    scores = product(Q, K.mT) * (Q.shape[-1] ** -0.5 if scale is None else scale)          # (B, h, N_q, N_k)
    mask = next((given[name] for name in ("attn_mask", "attn_bias") if given.get(name) is not None), None)
    if given.get("is_causal"):
        mask = torch.ones(scores.shape[-2:], dtype=torch.bool, device=scores.device).tril()
    if mask is not None:
        scores = scores.masked_fill(~mask, -torch.inf) if mask.dtype == torch.bool else scores + widened(mask)
    return scores.softmax(-1)


def _fast_layer(given: Mapping[str, Any]) -> Tensor:
    """The weights in torch's one call for a whole encoder layer, in which no module for attention runs."""
    x = given["src"]
    if given["norm_first"]:
        x = nn.functional.layer_norm(x, x.shape[-1:], given["norm_weight_1"], given["norm_bias_1"], given["eps"])
    return _fast_heads(x, given, given["num_heads"])


def _fast_heads(x: Tensor, given: Mapping[str, Any], num_heads: int) -> Tensor:
    """The weights in torch's one call for all heads, which gives them to those who ask."""
    mask, mask_type = given["mask"], given["mask_type"]
    if x.is_nested:                                                        # samples of their own lengths: no padding
        lengths, x = x._nested_tensor_size()[:, 0], x.to_padded_tensor(0)
        mask, mask_type = torch.arange(x.shape[1])[None] >= lengths[:, None], 1          # 1: a mask of keys, True hides
        mask = mask.to(x.device)
    return torch._native_multi_head_attention(
        x, x, x, given["embed_dim"], num_heads, given["qkv_weight"], given["qkv_bias"], given["proj_weight"],
        given["proj_bias"], mask, need_weights=True, average_attn_weights=False, mask_type=mask_type)[1]
