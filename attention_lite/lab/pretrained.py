"""Networks that others trained, rebuilt from this package's blocks and filled with their weights."""

from typing import TYPE_CHECKING

import torch
from torch import Tensor

from attention_lite.lab.weights import read_weights
from attention_lite.networks.vision_transformer import SaliencyNet, VisionTransformer

if TYPE_CHECKING:
    from onnx import GraphProto


def vision_transformer() -> VisionTransformer:
    """A vision transformer, DINOv2-small by the names and shapes of its weights, in eval mode.

    It takes photographs (B, 3, H, W), RGB in [0, 1], whose sides 14 divides; the weights were stored for 224 × 224.

    Raises:
        ValueError: if the weights are missing or not the expected ones (see `read_weights`).
    """
    return saliency_net().transformer


def saliency_net() -> SaliencyNet:
    """The saliency predictor that this transformer was shipped in, in eval mode. Input and errors are the same."""
    net = SaliencyNet(VisionTransformer())
    net.load_state_dict(_saliency_weights(read_weights("vision-transformer")))
    return net.eval()


def tensors(graph: "GraphProto") -> dict[str, Tensor]:
    """The graph's weights by their names; a matrix that lost its name in the export has that of its MatMul."""
    from onnx import numpy_helper

    found = {t.name: torch.from_numpy(numpy_helper.to_array(t).copy()) for t in graph.initializer}
    for node in graph.node:
        if node.op_type == "MatMul" and node.input[1] in found:
            found[node.name] = found[node.input[1]]
    return found


# Where the parts of a TransformerLayer lie in the file. Its matrices are stored as (in, out), torch's as (out, in).
_MATRICES = {"attention.W_Q": "attention/attention/query", "attention.W_K": "attention/attention/key",
             "attention.W_V": "attention/attention/value", "attention.W_O": "attention/output/dense",
             "mlp.0": "mlp/fc1", "mlp.2": "mlp/fc2"}
_VECTORS = {"norm1.weight": "norm1.weight", "norm1.bias": "norm1.bias", "scale1": "layer_scale1.lambda1",
            "norm2.weight": "norm2.weight", "norm2.bias": "norm2.bias", "scale2": "layer_scale2.lambda1"}


def _saliency_weights(graph: "GraphProto") -> dict[str, Tensor]:
    """The state dict of SaliencyNet from the file's graph."""
    stored = tensors(graph)
    state = {f"transformer.patches.{part}": stored[f"backbone.embeddings.patch_embeddings.projection.{part}"]
             for part in ("weight", "bias")}
    state["transformer.class_token"] = stored["backbone.embeddings.cls_token"]
    state["transformer.positions"] = _positions(graph, stored)
    for i in range(12):
        layer, file = f"transformer.layers.{i}.", f"backbone.encoder.layer.{i}."
        for ours, theirs in _MATRICES.items():
            state[f"{layer}{ours}.weight"] = stored[f"/backbone/encoder/layer.{i}/{theirs}/MatMul"].T
            state[f"{layer}{ours}.bias"] = stored[file + theirs.replace("/", ".") + ".bias"]
        state |= {layer + ours: stored[file + theirs] for ours, theirs in _VECTORS.items()}
    state |= {f"transformer.norm.{part}": stored[f"backbone.layernorm.{part}"] for part in ("weight", "bias")}
    for i in range(3):
        state |= {f"head.{i}.0.{part}": stored[f"decoder.upconv{i + 1}.{part}"] for part in ("weight", "bias")}
        state |= {f"head.{i}.1.{part}": stored[f"decoder.bn{i + 1}.{part}"]
                  for part in ("weight", "bias", "running_mean", "running_var")}
        state[f"head.{i}.1.num_batches_tracked"] = torch.tensor(0)
    return state | {f"head.3.{part}": stored[f"decoder.final_conv.{part}"] for part in ("weight", "bias")}


def _positions(graph: "GraphProto", stored: dict[str, Tensor]) -> Tensor:
    """The position table, (1, 1 + 37², 384). Its two parts lost their names, but only they have three axes."""
    used = {name for node in graph.node for name in node.input}
    parts = [t for name, t in stored.items() if name.startswith("onnx::") and name in used and t.dim() == 3]
    return torch.cat(sorted(parts, key=lambda t: t.shape[1]), 1)
