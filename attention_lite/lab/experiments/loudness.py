"""How large EMSA's output is against its values, with the instance norm of its maps and without."""

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from attention_lite import precision
from attention_lite.lab.experiments import own
from attention_lite.lab.scenes import Scenes

TASK = "cued-search"
RUNS = own.runs(TASK, "emsa", "emsa-1", "emsa-4")


def sizes(mixer: nn.Module, features: Tensor) -> Tensor:
    """Squared sizes of values, of the heads' outputs, and of those without the norm; and 1 / sigma: (4, n)."""
    block = mixer.block
    tokens = mixer.norm(features.flatten(2).transpose(1, 2))
    small = block._reduce(tokens)
    Q, K, V = block._heads(block.W_Q(tokens)), block._heads(block.W_K(small)), block._heads(block.W_V(small))
    A = block._mixed(precision.product(Q / block.d_k ** 0.5, K.transpose(-2, -1))).softmax(-1)
    sigma = A.std((2, 3), correction=0)
    return torch.stack([*(x.square().mean((1, 2, 3)) for x in (V, F.instance_norm(A) @ V, A @ V)),
                        (1 / sigma).mean(1)])


def measure(task: str, model: str, seed: int) -> dict:
    """One row: the root mean square of the output over that of the values, and the mean of 1 / sigma."""
    net, scenes = own.load(task, model, seed), own.test_scenes(task)
    values, normed, plain, loud = _mean(net, scenes)
    return {"scenes": len(scenes), "output / values": (normed / values) ** 0.5,
            "without the norm": (plain / values) ** 0.5, "1 / sigma": loud}


def _mean(net: nn.Module, scenes: Scenes) -> list[float]:
    found = own.gathered(scenes, lambda images: sizes(net.block, net.stem(images)).T)
    return found.mean(0).tolist()
