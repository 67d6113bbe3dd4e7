"""The papers' own networks, built from this package's blocks, and what the papers and their code say of their size."""

import copy
from collections.abc import Callable
from functools import partial
from typing import NamedTuple

import torch
from torch import nn
from torch.utils.flop_counter import FlopCounterMode

from attention_lite.published.blocks import ATTENTION, ECA_KERNELS
from attention_lite.published.resnet import ResNet, epsanet50, epsanet_large, sknet50
from attention_lite.published.rest import ResT

__all__ = ["ATTENTION", "ECA_KERNELS", "TABLE", "ResNet", "ResT", "Row", "epsanet50", "epsanet_large", "macs",
           "parameters", "sknet50"]


class Row(NamedTuple):
    """One network: how to build it here, and its published figures for 224 × 224 pixels and 1000 classes."""

    name: str
    build: Callable[[], nn.Module]
    parameters: int            # counted in the published network, to the last unit; its note says so if there is none
    parameters_printed: str    # as the source prints them; "" if it does not
    macs: float | None         # multiply-accumulates of the source, in 10⁹, rounded as it rounds them
    macs_printed: str          # as the source prints them; "" if it does not
    source: str                # key in the book's references, or the name of a library
    note: str = ""             # why paper and count differ, where they do


# tests/test_published.py rebuilds the printed figures from this.
_REST = ("The paper's figures are those of the 7 × 7 stem that its code holds beside the one it uses, without the "
         "products of queries, keys and values, which no layer computes.")

_ECA = ("The paper's M is 2²⁰ and its G 2³⁰, and its counter adds two operations for each number that a batch norm "
        "touches.")
_LARGE = ("Its code is not published. With the paper's kernels, 3, 5, 7, 9, the count would be another; the ones here "
          "have the printed parameters and operations.")

# The tables that the rows of SE, CBAM and BAM cite count a ResNet whose bottlenecks shrink the map in their first 1×1
# convolution. The code published with the last two shrinks it in the 3×3: the same parameters, but 4.09 G.
TABLE = (
    Row("ResNet-18", partial(ResNet, 18), 11_689_512, "11689512", 1.81, "1.81 G", "torchvision"),
    Row("ResNet-34", partial(ResNet, 34), 21_797_672, "21797672", 3.66, "3.66 G", "torchvision"),
    Row("ResNet-50", partial(ResNet, 50), 25_557_032, "25557032", 4.09, "4.09 G", "torchvision"),
    Row("ResNet-101", partial(ResNet, 101), 44_549_160, "44549160", 7.80, "7.80 G", "torchvision"),
    Row("ResNet-152", partial(ResNet, 152), 60_192_808, "60192808", 11.51, "11.51 G", "torchvision"),
    Row("ResNet-50, stride in the 1×1", partial(ResNet, 50, stride_first=True),
        25_557_032, "25.56 M", 3.858, "3.858 G", "woo2018cbam"),
    Row("SE-ResNet-50", partial(ResNet, 50, "se", published=True, stride_first=True),
        28_088_024, "28.09 M", 3.860, "3.860 G", "woo2018cbam"),
    Row("SE-ResNet-50, without biases", partial(ResNet, 50, "se", stride_first=True),
        28_071_976, "", None, "", "hu2018squeeze", "As in the paper's equations; its networks have biases."),
    Row("SE-ResNeXt-50 (32×4d)",
        partial(ResNet, 50, "se", published=True, stride_first=True, width=128, cardinality=32),
        27_559_896, "27.56 M", 3.771, "3.771 G", "woo2018cbam"),
    Row("ECA-ResNet-18", partial(ResNet, 18, "eca", published=True),
        11_689_556, "11.15 M", 1.825, "1.70 G", "wang2020eca", _ECA),
    Row("ECA-ResNet-34", partial(ResNet, 34, "eca", published=True),
        21_797_744, "20.79 M", 3.683, "3.43 G", "wang2020eca", _ECA),
    Row("ECA-ResNet-50", partial(ResNet, 50, "eca", published=True),
        25_557_112, "24.37 M", 4.145, "3.86 G", "wang2020eca", _ECA),
    Row("ECA-ResNet-101", partial(ResNet, 101, "eca", published=True),
        44_549_317, "42.49 M", 7.892, "7.35 G", "wang2020eca", _ECA),
    Row("ECA-ResNet-152", partial(ResNet, 152, "eca", published=True),
        60_193_042, "57.41 M", 11.629, "10.83 G", "wang2020eca", f"{_ECA} 57.4046 M, rounded twice."),
    Row("CBAM-ResNet-50", partial(ResNet, 50, "cbam", published=True, stride_first=True),
        28_089_624, "28.09 M", 3.864, "3.864 G", "woo2018cbam"),
    Row("BAM-ResNet-50", partial(ResNet, 50, "bam", published=True, stride_first=True),
        25_915_099, "25.92 M", 3.938, "+0.08 G", "park2018bam", "0.08 G on the 3.858 G of ResNet-50."),
    Row("SKNet-50", sknet50, 27_479_784, "27.5 M", 4.47, "4.47 G", "li2019selective"),
    Row("EPSANet-50 (small)", epsanet50, 22_561_715, "22.56 M", 3.62, "3.62 G", "zhang2021epsanet"),
    Row("EPSANet-101 (small)", partial(ResNet, 101, "psa", published=True),
        38_900_279, "38.90 M", 6.82, "6.82 G", "zhang2021epsanet"),
    Row("EPSANet-50 (large)", partial(epsanet_large, 50),
        27_899_518, "27.90 M", 4.72, "4.72 G", "zhang2021epsanet", _LARGE),
    Row("EPSANet-101 (large)", partial(epsanet_large, 101),
        49_592_198, "49.59 M", 8.97, "8.97 G", "zhang2021epsanet", _LARGE),
    Row("ResT-Lite", partial(ResT, "lite"), 10_508_300, "10.49 M", 1.4, "1.4 G", "zhang2021rest", _REST),
    Row("ResT-Small", partial(ResT, "small"), 13_679_708, "13.66 M", 1.9, "1.9 G", "zhang2021rest", _REST),
    Row("ResT-Base", partial(ResT, "base"), 30_327_052, "30.28 M", 4.3, "4.3 G", "zhang2021rest", _REST),
    Row("ResT-Large", partial(ResT, "large"), 51_676_156, "51.63 M", 7.9, "7.9 G", "zhang2021rest", _REST),
)


def parameters(network: nn.Module) -> int:
    """Return the number of learned weights of `network`."""
    return sum(p.numel() for p in network.parameters())


def macs(network: nn.Module, size: int = 224) -> int:
    """Return the multiply-accumulates of one image of size × size pixels: convolutions and matrix products alone.

    torch's counter counts two operations each. It runs on a copy of the network on the meta device: nothing is
    computed, `network` stays as it is, and attention comes as plain products (the CPU's fused kernel goes uncounted).
    """
    twin = copy.deepcopy(network).to("meta").eval()
    with FlopCounterMode(display=False) as counter, torch.no_grad():
        twin(torch.empty(1, 3, size, size, device="meta"))
    return counter.get_total_flops() // 2
