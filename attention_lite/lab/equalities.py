"""That the rebuilt networks are the stored ones: the same numbers as onnxruntime's and transformers' on photographs.

Both oracles come with the extra `test`; nothing else of the lab needs them.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from attention_lite import record_attention
from attention_lite.extras import extra
from attention_lite.lab import pretrained
from attention_lite.lab.photographs import PHOTOGRAPHS, load, picture
from attention_lite.lab.weights import find_weights
from attention_lite.networks.text_detector import TextDetector
from attention_lite.networks.text_direction import TextDirection
from attention_lite.networks.vision_transformer import VisionTransformer
from attention_lite.recording import Maps
from attention_lite.se import SEAttention


@dataclass(frozen=True)
class Equality:
    """The largest difference of one kind of result between a rebuilt network and its oracle, and what it may be."""

    what: str
    photograph: str
    difference: float
    bound: float

    @property
    def holds(self) -> bool:
        """Whether the difference is as small as it must be."""
        return self.difference <= self.bound

    def __str__(self) -> str:
        verdict = "holds" if self.holds else "DOES NOT HOLD"
        return f"{self.photograph:22}{self.what:52}{self.difference:.1e} <= {self.bound:.0e}  {verdict}"


def equalities() -> Iterator[Equality]:
    """All of them, on the book's photographs."""
    yield from transformer_equalities(tuple(PHOTOGRAPHS))
    yield from resized_equalities(("astronaut", "chelsea", "coffee"))
    yield from detector_equalities(tuple(PHOTOGRAPHS))
    yield from direction_equalities(tuple(PHOTOGRAPHS))


@torch.no_grad()
def transformer_equalities(names: Sequence[str]) -> Iterator[Equality]:
    """Tokens, all 72 maps and the saliency map at 224 × 224, against onnxruntime."""
    net, oracle = pretrained.saliency_net(), Oracle("vision-transformer", ("Softmax", "/backbone/layernorm/Add_1"))
    for name in names:
        x = picture(load(name))
        saliency, *maps, tokens = oracle(net.transformer.normalise(x))
        with record_attention(net.transformer) as recorded:
            ours = net.transformer(x)
        yield Equality("tokens", name, largest(ours, tokens), 1e-4)
        yield Equality("all 72 maps", name, largest(all_maps(recorded), torch.stack(maps)), 5e-5)
        yield Equality("saliency map", name, largest(net(x), saliency[:, 0]), 1e-4)


@torch.no_grad()
def resized_equalities(names: Sequence[str], side: int = 448) -> Iterator[Equality]:
    """Tokens and all maps at another size, where the position table is resized, against transformers' DINOv2 class."""
    net = pretrained.vision_transformer()
    oracle = as_dinov2(net)
    for name in names:
        x = picture(load(name), side)
        theirs = oracle(net.normalise(x), output_attentions=True)
        with record_attention(net) as recorded:
            ours = net(x)
        yield Equality(f"tokens at {side} × {side}", name, largest(ours, theirs.last_hidden_state), 1e-4)
        yield Equality(f"all 72 maps at {side} × {side}", name,
                       largest(all_maps(recorded), torch.stack(theirs.attentions)), 5e-5)


@torch.no_grad()
def detector_equalities(names: Sequence[str], side: int = 640) -> Iterator[Equality]:
    """The text detector's 13 SE blocks, each on what the stored one averaged; then all gates and the map, end to end.

    End to end the gates may differ by more: what is left is the rounding of onnxruntime, which adds up a stage's
    25,600 places in float32; our gates move by less than 3e-6 in float64.
    """
    net, oracle = pretrained.text_detector(), Oracle("text-detector", ("HardSigmoid",))
    inside = Oracle("text-detector", ("ReduceMean", "GlobalAveragePool", "HardSigmoid"))      # in turn: mean, gates
    blocks = [block for block in net.modules() if isinstance(block, SEAttention)]
    for name in names:
        x = picture(load(name), side)
        _, *stored = inside(net.normalise(x).flip(1))
        triples = zip(blocks, stored[::2], stored[1::2], strict=True)
        yield Equality("each of 13 SE blocks", name, max(
            largest(block.attention(mean)["channel"], gates[:, :, 0, 0]) for block, mean, gates in triples), 1e-5)
        yield from _gates_and_output(net, oracle, x, name, 2e-5, "text map", 1e-4)


@torch.no_grad()
def direction_equalities(names: Sequence[str]) -> Iterator[Equality]:
    """The gates of the direction classifier's 9 SE blocks and its answer, for the photographs' middles."""
    net, oracle = pretrained.text_direction(), Oracle("text-direction", ("HardSigmoid",))
    for name in names:
        x = picture(load(name), 192)[:, :, 72:120].contiguous()
        yield from _gates_and_output(net, oracle, x, name, 1e-5, "upright or not", 1e-5)


def _gates_and_output(net: TextDetector | TextDirection, oracle: "Oracle", x: Tensor, name: str,
                      gates_bound: float, output: str, output_bound: float) -> Iterator[Equality]:
    stored, *gates = oracle(net.normalise(x).flip(1))
    with record_attention(net) as recorded:
        ours = net(x)
    pairs = zip(recorded.values(), gates, strict=True)
    yield Equality(f"all {len(gates)} gates end to end", name,
                   max(largest(a["channel"], b[:, :, 0, 0]) for a, b in pairs), gates_bound)
    yield Equality(output, name, largest(ours, stored.squeeze(1)), output_bound)


def all_maps(recorded: Maps) -> Tensor:
    """The maps of all layers, (12, B, 6, 1 + N, 1 + N)."""
    return torch.stack([recorded[f"layers.{i}.attention"]["position"] for i in range(12)])


def largest(ours: Tensor, theirs: Tensor) -> float:
    """The largest absolute difference of two tensors of one shape."""
    if ours.shape != theirs.shape:
        raise ValueError(f"ours and theirs must have one shape, got {tuple(ours.shape)} and {tuple(theirs.shape)}")
    return (ours - theirs).abs().max().item()


class Oracle:
    """A stored network run by onnxruntime, which also returns what some of its nodes compute.

    Args:
        name: of the weights.
        wanted: names of nodes, or operators, such as "Softmax", for all nodes of that kind, in the graph's order.
    """

    def __init__(self, name: str, wanted: Sequence[str]) -> None:
        with extra("test"):
            import onnx
            import onnxruntime

        model = onnx.load(find_weights(name))
        self.input = model.graph.input[0].name
        for node in [n for n in model.graph.node if n.op_type in wanted or n.name in wanted]:
            model.graph.output.append(onnx.helper.make_tensor_value_info(node.output[0], onnx.TensorProto.FLOAT, None))
        self.session = onnxruntime.InferenceSession(model.SerializeToString(), providers=["CPUExecutionProvider"])

    def __call__(self, x: Tensor) -> list[Tensor]:
        """The network's own output, then what was wanted."""
        return [torch.from_numpy(np.asarray(out)) for out in self.session.run(None, {self.input: x.numpy()})]


def as_dinov2(net: VisionTransformer) -> torch.nn.Module:
    """The weights of `net` in transformers' Dinov2Model."""
    with extra("test"):
        from transformers import Dinov2Config, Dinov2Model
        from transformers.utils import logging

    logging.disable_progress_bar()
    config = Dinov2Config(hidden_size=384, num_attention_heads=6, image_size=518, attn_implementation="eager")
    ours = net.state_dict()
    renamed = {"embeddings.cls_token": ours["class_token"], "embeddings.position_embeddings": ours["positions"],
               "embeddings.mask_token": torch.zeros(1, 384)}
    for part in ("weight", "bias"):
        renamed[f"embeddings.patch_embeddings.projection.{part}"] = ours[f"patches.{part}"]
        renamed[f"layernorm.{part}"] = ours[f"norm.{part}"]
        for i in range(12):
            theirs, layer = f"encoder.layer.{i}.", f"layers.{i}."
            for own, other in _DINOV2.items():
                renamed[f"{theirs}{other}.{part}"] = ours[f"{layer}{own}.{part}"]
            renamed |= {f"{theirs}layer_scale{n}.lambda1": ours[f"{layer}scale{n}"] for n in (1, 2)}
    # The names of published weights: from_pretrained, unlike load_state_dict, knows what each version makes of them.
    return Dinov2Model.from_pretrained(None, config=config, state_dict=renamed).eval()


_DINOV2 = {"norm1": "norm1", "attention.W_Q": "attention.attention.query", "attention.W_K": "attention.attention.key",
           "attention.W_V": "attention.attention.value", "attention.W_O": "attention.output.dense",
           "norm2": "norm2", "mlp.0": "mlp.fc1", "mlp.2": "mlp.fc2"}
