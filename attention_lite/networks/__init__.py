"""The small networks that the lab trains, a place for an attention block in each, and networks that others trained.

A control has the block's place, and often its parameters, but lacks what the block is said to bring.
"""

from attention_lite.networks.context import AddedContext, ContextNet, LocalGate, Shuffled, context_net
from attention_lite.networks.residual import CBAMAblation, ResidualNet, residual_net
from attention_lite.networks.scale import ScaleNet, scale_net
from attention_lite.networks.search import SearchNet, WideSearchNet, search_net, wide_search_net
from attention_lite.networks.segment import SegmentNet, segment_net
from attention_lite.networks.slot import LocalMixer, TokenMixer, slot_blocks
from attention_lite.networks.text_detector import TextDetector
from attention_lite.networks.text_direction import TextDirection
from attention_lite.networks.vision_transformer import SaliencyNet, VisionTransformer

__all__ = ["AddedContext", "CBAMAblation", "ContextNet", "LocalGate", "LocalMixer", "ResidualNet",
           "SaliencyNet", "ScaleNet", "SearchNet", "SegmentNet", "Shuffled", "TextDetector", "TextDirection",
           "TokenMixer", "VisionTransformer", "WideSearchNet", "context_net", "residual_net", "scale_net",
           "search_net", "segment_net", "slot_blocks", "wide_search_net"]
