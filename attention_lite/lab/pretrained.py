"""Networks that others trained, rebuilt from this package's blocks and filled with their weights."""

from collections.abc import Callable
from typing import TYPE_CHECKING, TypeVar

import torch
from torch import Tensor, nn

from attention_lite.extras import extra
from attention_lite.lab.precision import float32
from attention_lite.lab.weights import read_weights
from attention_lite.networks.text_detector import TextDetector
from attention_lite.networks.text_direction import TextDirection
from attention_lite.networks.vision_transformer import SaliencyNet, VisionTransformer

if TYPE_CHECKING:
    from onnx import GraphProto

Net = TypeVar("Net", bound=nn.Module)


def vision_transformer() -> VisionTransformer:
    """A vision transformer, DINOv2-small by the names and shapes of its weights, in eval mode.

    It takes photographs (B, 3, H, W), RGB in [0, 1], whose sides 14 divides; the weights were stored for 224 × 224.

    Raises:
        ValueError: if the weights are missing or not the expected ones (see `read_weights`).
    """
    return saliency_net().transformer


def saliency_net() -> SaliencyNet:
    """The saliency predictor that this transformer was shipped in, in eval mode. Input and errors are the same."""
    with float32():
        net = SaliencyNet(VisionTransformer())
    net.load_state_dict(_saliency_weights(read_weights("vision-transformer")))
    return net.eval()


def text_detector() -> TextDetector:
    """A detector of text, in eval mode, for photographs (B, 3, H, W), RGB in [0, 1], whose sides 32 divides.

    Raises:
        ValueError: if the weights are missing or not the expected ones (see `read_weights`).
    """
    return _fill_in_order(TextDetector, read_weights("text-detector"))


def text_direction() -> TextDirection:
    """A classifier of lines of text (B, 3, 48, 192), upright or upside down, in eval mode. Errors: the detector's."""
    return _fill_in_order(TextDirection, read_weights("text-direction"))


def tensors(graph: "GraphProto") -> dict[str, Tensor]:
    """The graph's weights by their names; a matrix that lost its name in the export has that of its MatMul."""
    with extra("lab"):
        from onnx import numpy_helper

    stored = {t.name: t for t in graph.initializer}
    stored |= {node.output[0]: node.attribute[0].t for node in graph.node if node.op_type == "Constant"}
    found = {name: torch.from_numpy(numpy_helper.to_array(t).copy()) for name, t in stored.items()}
    for node in graph.node:
        if node.op_type == "MatMul" and node.input[1] in found:
            found[node.name] = found[node.input[1]]
        if node.op_type in ("Identity", "Reshape") and node.input[0] in found:      # a bias made to fit a feature map
            found[node.output[0]] = found[node.input[0]]
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


def _fill_in_order(build: Callable[[], Net], graph: "GraphProto") -> Net:
    """Build and fill a network whose layers are defined in the order in which the graph computes them; in eval mode."""
    with float32():
        net = build()
    stored, biases = tensors(graph), _biases(graph)
    layers = [m for m in net.modules() if isinstance(m, (nn.Conv2d, nn.ConvTranspose2d, nn.Linear, nn.BatchNorm2d))]
    nodes = [n for n in graph.node if n.op_type in ("Conv", "ConvTranspose", "MatMul", "BatchNormalization")]
    with torch.no_grad():
        for layer, node in zip(layers, nodes, strict=True):
            if isinstance(layer, nn.BatchNorm2d):
                own = (layer.weight, layer.bias, layer.running_mean, layer.running_var)
                for ours, name in zip(own, node.input[1:], strict=True):
                    ours.copy_(stored[name])
                continue
            weight = stored[node.input[1]]
            if isinstance(layer, nn.Linear):         # stored as (in, out), or, in an SE block, as a 1 × 1 convolution
                weight = weight.T if node.op_type == "MatMul" else weight.flatten(1)
            layer.weight.copy_(weight)
            if layer.bias is not None:
                layer.bias.copy_(stored[biases[node.output[0]]].flatten())
    return net.eval()


def _biases(graph: "GraphProto") -> dict[str, str]:
    """The name of what is added to each node's output."""
    same = {node.output[0]: node.input[0] for node in graph.node if node.op_type == "Identity"}
    return {same.get(node.input[0], node.input[0]): node.input[1] for node in graph.node if node.op_type == "Add"}
