"""attention_lite: the attention mechanisms of *Attention You Can See*, one short file each."""

from attention_lite.block import AttentionBlock
from attention_lite.recording import record_attention
from attention_lite.se import SEAttention
from attention_lite.self_attention import ScaledDotProductAttention

__all__ = ["AttentionBlock", "SEAttention", "ScaledDotProductAttention", "record_attention"]
__version__ = "0.1.0"
