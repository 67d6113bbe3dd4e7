"""Explorers of attention on photographs, and of a table: ipywidgets in a notebook, the same ES module in a static page.

They know arrays and nothing of torch: anything that `numpy.asarray` reads will do, and any tensor of torch, with
gradient, in bfloat16, on another device.
"""

from attention_lite.extras import extra

with extra("book"):
    from attention_lite.explorers.forced_gates import ForcedGatesExplorer
    from attention_lite.explorers.gates import GatesExplorer
    from attention_lite.explorers.live import LiveExplorer
    from attention_lite.explorers.positions import PositionsExplorer
    from attention_lite.explorers.slots import SlotsExplorer
    from attention_lite.explorers.table import Column, TableExplorer
    from attention_lite.explorers.transformer import TransformerExplorer

__all__ = ["Column", "ForcedGatesExplorer", "GatesExplorer", "LiveExplorer", "PositionsExplorer", "SlotsExplorer",
           "TableExplorer", "TransformerExplorer"]
