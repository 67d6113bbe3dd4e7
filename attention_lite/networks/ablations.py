"""Networks that differ from one of the lab's in one thing: a part of its block taken away, or another start."""

from collections.abc import Callable, Iterable

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from attention_lite import checks
from attention_lite.block import AttentionBlock
from attention_lite.eca import ECAAttention
from attention_lite.emsa import EMSA
from attention_lite.external import ExternalAttention
from attention_lite.networks.context import ContextNet, LocalGate
from attention_lite.networks.layers import build, conv_bn_relu
from attention_lite.networks.search import SearchNet
from attention_lite.networks.segment import SegmentNet
from attention_lite.networks.slot import HEADS, WIDTH, TokenMixer, emsa, slot_blocks
from attention_lite.se import SEAttention


class FullGate(AttentionBlock):
    """SE without its bottleneck: s = sigmoid(W z), W a full C × C matrix (SE-Var3 of Wang et al. 2020, Sec. 3.2.1).

    Raises:
        ValueError: if `channel` is not a positive integer.
    """

    def __init__(self, channel: int) -> None:
        super().__init__()
        self.channel = checks.positive_int("channel", channel)
        self.W = nn.Linear(channel, channel, bias=False)

    def attention(self, x: Tensor) -> dict[str, Tensor]:
        """{"channel": (B, C)}, each value in (0, 1)."""
        checks.feature_map("x", x, self.channel, self.W)
        return {"channel": torch.sigmoid(self.W(x.mean((2, 3))))}

    def forward(self, x: Tensor) -> Tensor:
        """(B, C, H, W) -> (B, C, H, W)."""
        return x * self.attention(x)["channel"][:, :, None, None]


class PlainSoftmax(ExternalAttention):
    """External attention without its double normalisation: a softmax over the slots alone."""

    def attention(self, x: Tensor) -> dict[str, Tensor]:
        """Return {"slot": A}, A (B, h, N, S), whose last axis sums to one."""
        heads = x.unflatten(-1, (self.h, -1)).transpose(1, 2)
        return {"slot": self.M_k(heads).softmax(dim=3)}


class MixOnly(EMSA):
    """EMSA whose heads are mixed and whose maps are not normalised: rows sum to one."""

    def _weights(self, Q: Tensor, K: Tensor) -> Tensor:
        return self._softmax(Q, K)

    def _transformed(self, Q: Tensor, K: Tensor, V: Tensor) -> Tensor:
        return self._weights(Q, K).to(V.dtype) @ V


class NormOnly(EMSA):
    """EMSA whose maps are normalised and whose heads are not mixed."""

    def __init__(self, *args: int, **kwargs: int) -> None:
        super().__init__(*args, **kwargs)
        self.mix = nn.Identity()

    def _weights(self, Q: Tensor, K: Tensor) -> Tensor:
        return F.instance_norm((Q / self.d_k ** 0.5 @ K.transpose(-2, -1)).softmax(dim=-1))


def started_afresh(mixer: TokenMixer, names: Iterable[str]) -> TokenMixer:
    """The mixer with these projections drawn as torch draws a layer; the random numbers of what is built next stay."""
    with torch.random.fork_rng(devices=[]):
        for name in names:
            getattr(mixer.block, name).reset_parameters()
    return mixer


def unmixed(mixer: TokenMixer) -> TokenMixer:
    """The mixer with EMSA's mix of heads started as the identity."""
    with torch.no_grad():
        mixer.block.mix.weight.copy_(torch.eye(HEADS)[:, :, None, None])
    return mixer


def context_ablation(model: str) -> ContextNet:
    """ContextNet with the block called `model`.

    "se-full": see FullGate. "se-no-squeeze": NoSqueeze of SE's paper, which is LocalGate. "eca-1": ECA with
    a kernel of one weight: no channel sees a neighbour.

    Raises:
        ValueError: for any other name.
    """
    c = ContextNet.width
    return ContextNet(build(model, {"se-full": lambda: FullGate(c), "se-no-squeeze": lambda: LocalGate(c, reduction=4),
                                    "eca-1": lambda: ECAAttention(c, kernel_size=1)}))


def search_ablation(model: str) -> SearchNet:
    """SearchNet with the block called `model`: self-attention, EMSA or external attention, but for one thing.

    "attention-fresh-keys": W_K does not start as W_Q. "attention-open-output": W_O does not start at zero.
    "attention-fresh": neither. "self-attention": as it is, for a recipe that differs.
    "emsa-mix": no instance norm. "emsa-norm": no mix of heads. "emsa-identity": the mix starts as the identity.
    "external-slots": a softmax over the slots alone.

    Raises:
        ValueError: for any other name.
    """
    c = SearchNet.width
    attention = slot_blocks(c)["self-attention"]

    def of_emsa(make: type[EMSA]) -> Callable[[], TokenMixer]:
        return lambda: TokenMixer(c, make(c, WIDTH, WIDTH, HEADS, ratio=2))

    return SearchNet(build(model, {
        "self-attention": attention,
        "attention-fresh-keys": lambda: started_afresh(attention(), ["W_K"]),
        "attention-open-output": lambda: started_afresh(attention(), ["W_O"]),
        "attention-fresh": lambda: started_afresh(attention(), ["W_K", "W_O"]),
        "emsa-mix": of_emsa(MixOnly), "emsa-norm": of_emsa(NormOnly), "emsa-identity": lambda: unmixed(emsa(c)),
        "external-slots": lambda: TokenMixer(c, PlainSoftmax(c, S=32, h=HEADS))}))


def segment_ablation(model: str) -> SegmentNet:
    """SegmentNet with the block called `model`: "gate" is SE between the two 1 × 1 convolutions of a branch of DANet.

    Raises:
        ValueError: for any other name.
    """
    c = SegmentNet.width
    return SegmentNet(build(model, {"gate": lambda: nn.Sequential(
        conv_bn_relu(c, c, 1), SEAttention(c, reduction=4), conv_bn_relu(c, c, 1))}))
