"""Which attention block stands where in a ResNet, as its paper puts it."""

from collections.abc import Callable
from typing import Any

from torch import nn

from attention_lite import checks
from attention_lite.bam import BAMBlock
from attention_lite.cbam import CBAMBlock
from attention_lite.danet import DAModule
from attention_lite.eca import ECAAttention
from attention_lite.psa import PSA
from attention_lite.se import SEAttention
from attention_lite.sk import SKAttention

# At the end of each residual branch, before the addition: (channels, published, the block's other arguments).
ON_THE_BRANCH: dict[str, Callable[..., nn.Module]] = {
    "se": lambda c, published, **own: SEAttention(c, bias=published, **own),
    "eca": lambda c, published, **own: ECAAttention(c, **own),
    "cbam": lambda c, published, **own: CBAMBlock(c, published=published, **own),
}
# In the place of a bottleneck's 3×3 convolution: (channels, stride, …). SK brings its own norms and ReLUs.
FOR_THE_3X3: dict[str, Callable[..., nn.Module]] = {
    "sk": lambda c, stride, published, **own: SKAttention(c, stride=stride, **own),
    "psa": lambda c, stride, published, **own: nn.Sequential(
        PSA(c, stride=stride, published=published, **own), nn.BatchNorm2d(c), nn.ReLU(inplace=True)),
}
# Behind a stage: (channels, …).
BEHIND: dict[str, Callable[..., nn.Module]] = {
    "bam": lambda c, published, **own: BAMBlock(c, published=published, **own),
    "danet": lambda c, published, **own: DAModule(c, published=published, **own),
}
ATTENTION = ("none", *ON_THE_BRANCH, *FOR_THE_3X3, *BEHIND)

# What ECA's authors pass by hand, by depth and stage: the kernels in the names of their trained networks.
ECA_KERNELS = {18: (3, 5, 7, 7), 34: (3, 3, 5, 7), 50: (3, 5, 5, 7), 101: (3, 3, 5, 7), 152: (3, 3, 5, 7)}


def by_stage(attention: str, depth: int, published: bool, own: dict[str, Any]) -> list[dict[str, Any]]:
    """The block's other arguments in each of the four stages: `own`, but of ECA's kernels each stage has one.

    Raises:
        ValueError: if there are arguments and no block, or `kernel_size` is neither an odd number nor four of them.
    """
    if attention == "none" and own:
        raise ValueError(f"{', '.join(own)} must be left out when attention is 'none': there is no block to take it")
    if attention != "eca":
        return [own] * 4
    kernels = own.get("kernel_size", ECA_KERNELS[depth] if published else None)
    if not isinstance(kernels, (list, tuple)):
        kernels = [kernels] * 4
    elif len(checks.sequence_of("kernel_size", kernels, checks.odd)) != 4:
        raise ValueError(f"kernel_size must be odd, or one for each of the 4 stages, got {len(kernels)}: {kernels}")
    return [own | {"kernel_size": k} for k in kernels]
