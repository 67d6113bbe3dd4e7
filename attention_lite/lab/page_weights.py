"""The weights of the lab's networks as pages carry them, where explorers/engine.js runs the networks."""

import json

import torch
from safetensors.torch import save

from attention_lite import checks
from attention_lite.lab.checkpoints import load_checkpoint, round_to_half
from attention_lite.lab.training import untrained

UNUSED = "num_batches_tracked"      # of batch norms: training alone asks for it


def pack(task: str, model: str, seed: int, trained: bool = True) -> bytes:
    """Return a network of the lab as `Engine().load` reads it: a safetensors file of float16, named as in its state.

    Its one entry of metadata, "network", is JSON with "task", "model", "seed" and "trained", as text: safetensors
    would shuffle several, and the same network must be the same bytes in every build, whose hash names its script.

    Args:
        task, model, seed: a trained network that is shipped; with trained=False the same network before its
            first step, of any seed, its weights rounded to half precision as those of a checkpoint are.

    Raises:
        ValueError: those of `load_checkpoint` or `untrained`; or if `trained` is not a boolean.
    """
    trained = checks.boolean("trained", trained)
    net = load_checkpoint(task, model, seed)[0] if trained else round_to_half(untrained(task, model, seed))
    tensors = {name: t.to(torch.float16).contiguous() for name, t in net.state_dict().items()
               if not name.endswith(UNUSED)}
    about = {"task": task, "model": model, "seed": str(seed), "trained": str(trained).lower()}
    return save(tensors, metadata={"network": json.dumps(about)})
