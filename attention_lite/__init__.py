"""attention_lite: the attention mechanisms of *Attention You Can See*, one short file each."""

from attention_lite.bam import BAMBlock
from attention_lite.block import AttentionBlock
from attention_lite.cbam import CBAMBlock
from attention_lite.coordinate import CoordinateAttention
from attention_lite.danet import ChannelAttentionModule, DAModule, PositionAttentionModule
from attention_lite.eca import ECAAttention
from attention_lite.emsa import EMSA
from attention_lite.external import ExternalAttention
from attention_lite.forcing import force_gates
from attention_lite.global_context import GlobalContextBlock
from attention_lite.psa import PSA
from attention_lite.recording import record_attention
from attention_lite.se import SEAttention
from attention_lite.self_attention import ScaledDotProductAttention
from attention_lite.simam import SimAM
from attention_lite.sk import SKAttention

__all__ = [
    "EMSA",
    "PSA",
    "AttentionBlock",
    "BAMBlock",
    "CBAMBlock",
    "ChannelAttentionModule",
    "CoordinateAttention",
    "DAModule",
    "ECAAttention",
    "ExternalAttention",
    "GlobalContextBlock",
    "PositionAttentionModule",
    "SEAttention",
    "SKAttention",
    "ScaledDotProductAttention",
    "SimAM",
    "force_gates",
    "record_attention",
]
__version__ = "0.2.0"
